"""One collection for a whole team: it says itself what it is, and any machine opens it by address.

Each machine is a home of its own for the user's cache; the server is the stand-in.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from conftest import WORKS, Cli, copy_tree
from PIL import Image
from qdrant_client import QdrantClient, models
from qdrant_server import Fault, QdrantServer

from paint_search import Index
from paint_search.errors import IndexMissingError, ManifestError, StoreError, UsageError

TOTAL = 10 * WORKS
Machine = Callable[[str], Path]


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """Make another machine the one that things are done on: its cache, its current folder."""

    def move(name: str) -> Path:
        home = tmp_path / name
        home.mkdir(exist_ok=True)
        for variable in ("XDG_CACHE_HOME", "XDG_STATE_HOME", "XDG_CONFIG_HOME"):
            monkeypatch.setenv(variable, str(home / variable))
        monkeypatch.chdir(home)
        return home

    return move


@pytest.fixture
def team(server: QdrantServer, painted: Path, machine: Machine, cli: Cli) -> QdrantServer:
    """A server with the paintings that machine ``one`` has indexed, ``works`` on it."""
    copy_tree(painted, machine("one") / "paintings")
    url = server.url("works")
    cli.ok(
        "index", "paintings", "--store", url, "--backbone", "descriptors",
        "--table", "paintings/works.csv",
    )  # fmt: skip
    return server


def test_a_machine_without_a_folder_asks_by_the_address(
    team: QdrantServer, painted: Path, machine: Machine, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = sorted(painted.rglob("*.jpg"))[0]
    here = cli.ok("similar", picture, "--json").json["hits"]
    info = cli.ok("info", "--json").json
    machine("two")
    url = team.url("works")
    there = cli.ok("similar", picture, "--index", url, "--json").json["hits"]
    assert [(hit["id"], hit["score"]) for hit in there] == [
        (hit["id"], hit["score"]) for hit in here
    ]
    monkeypatch.setenv("PAINT_SEARCH_INDEX", url)
    assert "pictures are not on this machine" in cli.ok("info").out
    said = cli.ok("info", "--json").json
    assert said["fields"] == info["fields"]
    for name in ("background", "backbone", "recall", "created"):
        assert said["manifest"][name] == info["manifest"][name]
    assert len(cli.ok("list", "--json").json["paintings"]) == TOTAL
    assert cli.ok("eval", "artists", "--json").code == 0
    with Index.open(url) as index:
        assert index.similar(picture, k=3)[0].id == here[0]["id"]


def test_nothing_of_a_machine_is_told(team: QdrantServer, tmp_path: Path) -> None:
    told = json.dumps(team.engine.get_collection("works-1").config.metadata)
    assert "descriptors" in told
    assert str(tmp_path) not in told
    assert "paintings/" not in told
    assert "root" not in json.loads(told)["paint_search"]["manifest"]


def test_pictures_are_where_this_machine_says(
    team: QdrantServer,
    painted: Path,
    machine: Machine,
    cli: Cli,
    caplog: pytest.LogCaptureFixture,
) -> None:
    query, url = next(iter(sorted(painted.rglob("*.jpg")))), team.url("works")
    home = machine("two")
    cli.ok("similar", query, "--index", url, "--sheet", "none.jpg")
    assert "has no pictures on this machine; name their folder with --images" in caplog.text
    copy_tree(painted, home / "scans")
    cli.ok("similar", query, "--index", url, "--images", "scans", "--sheet", "some.jpg")
    with Image.open(home / "none.jpg") as sheet:
        words = sheet.convert("L").crop((300, 100, 500, 180)).getextrema()
    assert words[0] < 160, "the second tile, of a painting without a picture, says so"
    assert (home / "some.jpg").stat().st_size > 1.5 * (home / "none.jpg").stat().st_size
    cli.ok("similar", query, "--index", url, "--sheet", "again.jpg")
    assert (home / "again.jpg").stat().st_size == (home / "some.jpg").stat().st_size
    gone = cli("similar", query, "--index", url, "--images", "nowhere")
    assert (gone.code, "there is no folder nowhere" in gone.err) == (2, True)


def test_a_path_that_leads_out_of_the_pictures_is_not_shown(
    team: QdrantServer, machine: Machine
) -> None:
    home = machine("two")
    (home / "scans").mkdir()
    (home / "private.jpg").write_bytes(b"mine")
    with Index.open(team.url("works"), images=home / "scans") as index:
        stolen = replace(next(iter(index)), path="../private.jpg")
        assert not index.locate(stolen).is_relative_to(home)


def test_any_machine_indexes_compresses_and_removes(
    team: QdrantServer, painted: Path, machine: Machine, cli: Cli
) -> None:
    url = team.url("works")
    first = sorted(painted.rglob("*.jpg"))[0]
    home = machine("two")
    copy_tree(painted, home / "scans")
    shutil.copyfile(first, home / "scans" / "one more.jpg")
    refused = cli("index", "scans", "--index", url)
    assert refused.code == 2
    assert "come from a table, works.csv, on another machine" in " ".join(refused.err.split())
    made = cli.ok("index", "scans", "--index", url, "--table", "scans/works.csv", "--json").json
    assert made["paintings"] == TOTAL + 1
    assert made["unchanged"] + made["moved"] + made["new"] + made["relabelled"] >= TOTAL
    cli.ok("compress", "--method", "pca", "--dims", "6", "--index", url)
    machine("one")
    assert "in two steps" in cli.ok("info").out
    with Index.open() as index:
        assert len(index) == TOTAL + 1
        assert index.vectors(which="compact")[1].shape == (TOTAL + 1, 6)
        hits = index.similar(first, k=5, compact_only=True)
    machine("three")
    with Index.open(url) as index:
        assert [hit.id for hit in index.similar(first, k=5, compact_only=True)] == [
            hit.id for hit in hits
        ]
    assert cli.ok("remove", "one more.jpg", "--index", url, "--json").json["removed"] == 1
    machine("one")
    with Index.open() as index:
        assert len(index) == TOTAL


def test_an_open_handle_goes_on_with_what_another_machine_has_made(
    team: QdrantServer, painted: Path, machine: Machine
) -> None:
    query, url = sorted(painted.rglob("*.jpg"))[0], team.url("works")
    machine("two")
    with Index.open(url) as theirs:
        machine("one")
        with Index.open() as ours:
            before = [hit.id for hit in ours.similar(query, k=5)]
            theirs.compress("pca", 8, keep=0)
            assert team.collections == ["works-2", "works.parts"]
            # In the same second, so that nothing but the server's refusal tells.
            assert [hit.id for hit in ours.similar(query, k=5)] == before
            assert ours.vectors(which="compact")[1].shape == (TOTAL, 8)
            theirs.compress("pca", 6, keep=0)
            assert ours.add().unchanged == TOTAL
            assert ours.vectors(which="compact")[1].shape == (TOTAL, 6)
            codes = ours.compressor.transform(ours.vectors(which="full")[1])  # type: ignore[union-attr]
            stored = ours.vectors(which="compact")[1]
            assert (np.sum(codes * stored, axis=1) > 0.999).all()


def test_what_is_written_while_another_compresses_is_kept(
    team: QdrantServer, painted: Path, machine: Machine
) -> None:
    url = team.url("works")
    machine("two")
    with Index.open(url) as theirs:
        machine("one")
        with Index.open() as ours:
            vector = ours.vectors()[1][:1]
            gone = next(iter(ours)).path
            done: list[str] = []

            def meanwhile(words: str, progress: object) -> None:
                if words == "writing vectors" and not done:
                    done.append(words)
                    ours.upsert(["late.jpg"], vector, fingerprint=ours.fingerprint)
                    ours.remove(gone)

            theirs.compress("pca", 6, keep=0, report=meanwhile)
            assert done
            for index in (ours, theirs):
                assert "late.jpg" in index
                assert gone not in index
                assert len(index) == TOTAL
                assert index.vectors(which="compact")[1].shape == (TOTAL, 6)


def test_of_two_that_compress_at_once_one_wins_and_the_other_says_so(
    team: QdrantServer, machine: Machine
) -> None:
    url = team.url("works")
    machine("two")
    with Index.open(url) as theirs:
        machine("one")
        with Index.open() as ours:
            said: list[StoreError] = []

            def meanwhile(words: str, progress: object) -> None:
                if words == "writing vectors" and not said:
                    with pytest.raises(StoreError, match="another machine is writing") as refusal:
                        ours.compress("pca", 8)
                    said.append(refusal.value)

            theirs.compress("pca", 6, report=meanwhile)
            assert said
            assert ours.vectors(which="compact")[1].shape == (TOTAL, 6)
            assert team.aliases == {"works": "works-2"}


def test_what_a_killed_compress_has_left_does_not_stop_the_next(
    team: QdrantServer, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PAINT_SEARCH_PATIENCE", "0.5")

    class Killed(BaseException):
        pass

    url = team.url("works")
    machine("one")
    with Index.open() as ours:

        def die(words: str, progress: object) -> None:
            if words == "writing vectors":
                team.die()  # so that nothing can be put in order
                raise Killed

        with pytest.raises((Killed, StoreError)):
            ours.compress("pca", 6, report=die)
    team.start()
    assert team.collections == ["works-1", "works-2", "works.parts"]
    machine("two")
    with Index.open(url) as theirs:
        with pytest.raises(StoreError, match="another machine is writing"):
            theirs.compress("pca", 6)
        machine("one")
        with Index.open() as ours:  # who knows that it is dead
            ours.compress("pca", 6, keep=0)
        assert team.aliases == {"works": "works-3"}
        assert theirs.vectors(which="compact")[1].shape == (TOTAL, 6)


def test_generations_of_before_are_deleted_when_their_time_is_over(
    team: QdrantServer, machine: Machine
) -> None:
    machine("one")
    with Index.open() as index:
        index.compress("pca", 6, keep=0.2)
        assert "works-1" in team.collections
        time.sleep(0.3)
        index.remove(next(iter(index)).path)
        assert team.collections == ["works-2", "works.parts"]


def test_an_index_of_before_is_read_and_lifted(
    server: QdrantServer, painted: Path, machine: Machine, cli: Cli
) -> None:
    """A plain collection, whose vectors have no generation, and that says its maker alone."""
    home = machine("one")
    copy_tree(painted, home / "paintings")
    url = server.url("works")
    cli.ok("index", "paintings", "--store", url, "--backbone", "descriptors")
    _make_old(server, home / ".paint-search")
    query = sorted(painted.rglob("*.jpg"))[0]
    hits = cli.ok("similar", query, "--json").json["hits"]
    machine("two")
    early = cli("similar", query, "--index", url)
    assert (early.code, "made before collections said what they are" in early.err) == (1, True)
    machine("one")
    with Index.open() as index:
        index.upsert(["late.jpg"], index.vectors()[1][:1], fingerprint=index.fingerprint)
        index.remove("late.jpg")
    machine("two")
    assert cli.ok("similar", query, "--index", url, "--json").json["hits"] == hits
    machine("one")
    cli.ok("compress", "--method", "pca", "--dims", "6")
    assert server.collections == ["works-2", "works.parts"]
    machine("two")
    assert len(cli.ok("list", "--index", url, "--json").json["paintings"]) == TOTAL


@pytest.mark.parametrize("cut_short", [False, True])
def test_an_index_of_before_is_compressed_at_once(
    server: QdrantServer,
    painted: Path,
    machine: Machine,
    cli: Cli,
    monkeypatch: pytest.MonkeyPatch,
    cut_short: bool,
) -> None:
    """A plain collection has the public name itself; cut short, its points are still there."""
    home = machine("one")
    copy_tree(painted, home / "paintings")
    cli.ok("index", "paintings", "--store", server.url("works"), "--backbone", "descriptors")
    _make_old(server, home / ".paint-search")
    if cut_short:
        monkeypatch.setenv("PAINT_SEARCH_PATIENCE", "0.2")
        away = grpc.StatusCode.UNAVAILABLE
        server.faults = [Fault("UpdateAliases", away, "gone", times=99)]
        assert cli("compress", "--method", "pca", "--dims", "6").code == 1
        server.faults = []
    else:
        cli.ok("compress", "--method", "pca", "--dims", "6")
    for name in ("one", "two"):
        machine(name)
        at = ["--index", server.url("works")] if name == "two" else []
        assert len(cli.ok("list", *at, "--json").json["paintings"]) == TOTAL
        assert "in two steps" in cli.ok("info", *at).out
    assert server.aliases == {"works": "works-2"}


def test_a_switch_whose_answer_is_lost_deletes_nothing(
    team: QdrantServer, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PAINT_SEARCH_PATIENCE", "0.2")
    machine("one")

    def lose(method: str) -> None:
        if method == "UpdateAliases":  # it is carried out, and the line breaks
            team.during = lambda method: None
            team.faults = [Fault("Update", grpc.StatusCode.UNAVAILABLE, times=99)]

    team.during = lose
    with Index.open() as index, pytest.raises(StoreError):
        index.compress("pca", 6)
    team.faults = []
    assert team.aliases == {"works": "works-2"}
    with Index.open() as index:
        assert index.vectors(which="compact")[1].shape == (TOTAL, 6)
        index.compress("pca", 8, keep=0)
        assert index.vectors(which="compact")[1].shape == (TOTAL, 8)


def test_a_folder_whose_collection_is_gone_says_so(
    team: QdrantServer, machine: Machine, cli: Cli
) -> None:
    machine("one")
    team.engine.delete_collection("works-1")
    for command in (["info"], ["index", "paintings"]):
        gone = cli(*command)
        assert (gone.code, "has no collection 'works' (any more)" in gone.err) == (1, True)


def test_generations_are_deleted_past_a_gap(team: QdrantServer, machine: Machine) -> None:
    machine("one")
    with Index.open() as index:
        index.compress("pca", 6, keep=0.5)
        index.compress("pca", 5, keep=0)
        time.sleep(0.6)
        index.remove(next(iter(index)).path)
        assert team.collections == ["works-3", "works.parts"]


def _make_old(server: QdrantServer, folder: Path) -> None:
    """Put a collection in the place of the newest, as version 0.1 made it."""
    client = QdrantClient(port=1, grpc_port=server.port, prefer_grpc=True)
    points: list[Any] = client.scroll("works", limit=1000, with_vectors=True)[0]
    config: Any = client.get_collection("works").config
    said, params = config.metadata["paint_search"], config.params.vectors["full-1"]
    client.delete_collection("works-1")
    client.delete_collection("works.parts")
    client.create_collection(
        "works",
        {"full": models.VectorParams(size=params.size, distance=params.distance)},
        metadata={"paint_search": {name: said[name] for name in ("maker", "fingerprint")}},
    )
    fresh = [
        models.PointStruct(id=p.id, vector={"full": p.vector["full-1"]}, payload=p.payload)
        for p in points
    ]
    client.upsert("works", fresh)
    for field in ("_hash", "path", "artist"):
        client.create_payload_index("works", field, models.PayloadSchemaType.KEYWORD)
    client.close()
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({**manifest, "format": 3}))
    (folder / "shared.json").unlink()


def test_addresses_that_lead_nowhere(server: QdrantServer, machine: Machine, cli: Cli) -> None:
    machine("one")
    with pytest.raises(IndexMissingError, match=f"no collection {server.named('works')!r}"):
        Index.open(server.url("works"))
    both = cli("index", ".", "--index", server.url("works"), "--store", server.url("works"))
    assert both.code == 2
    for wrong in ("qdrant://", "qdrant://host", "qdrant:///x", "qdrant://a@host/x"):
        with pytest.raises(UsageError):
            Index.open(wrong)


def test_a_collection_that_is_made_by_its_address(
    server: QdrantServer, painted: Path, machine: Machine, cli: Cli
) -> None:
    home = machine("one")
    copy_tree(painted, home / "paintings")
    url = server.url("works", "?replicas=2")
    made = cli.ok("index", "paintings", "--index", url, "--backbone", "descriptors", "--json").json
    assert made["new"] == TOTAL
    assert not (home / ".paint-search").exists()
    assert cli.ok("index", "paintings", "--index", url, "--json").json["unchanged"] == TOTAL
    assert server.created["works-1"].replication_factor == 2
    sheet = cli.ok("similar", "paintings/" + _some(painted), "--index", url, "--sheet", "s.jpg")
    assert "no pictures" not in sheet.err
    cli.ok("compress", "--method", "pca", "--dims", "6", "--index", server.url("works"))
    assert server.created["works-2"].replication_factor == 2


def _some(painted: Path) -> str:
    return sorted(painted.rglob("*.jpg"))[0].relative_to(painted).as_posix()


def test_keys_for_the_two_names_do_for_all_but_making_and_replacing(
    server: QdrantServer, painted: Path, machine: Machine, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = machine("one")
    copy_tree(painted, home / "paintings")
    url = server.url("works")
    cli.ok("index", "paintings", "--store", url, "--backbone", "descriptors")
    cli.ok("compress", "--method", "pca", "--dims", "6", "--keep", "0")
    server.rights = {
        "reader": {"works": "r", "works.parts": "r"},
        "writer": {"works": "rw", "works.parts": "rw"},
    }
    query = painted / _some(painted)
    machine("two")
    monkeypatch.setenv("QDRANT_API_KEY", "reader")
    hits = cli.ok("similar", query, "--index", url, "--json").json["hits"]
    assert hits
    refused = cli("remove", hits[0]["path"], "--index", url)
    assert (refused.code, "this key may not write" in " ".join(refused.err.split())) == (1, True)
    monkeypatch.setenv("QDRANT_API_KEY", "writer")
    written = cli.ok("remove", hits[0]["path"], "--index", url, "--json")
    assert written.json["removed"] == 1
    refused = cli("compress", "--method", "pca", "--dims", "6", "--index", url)
    assert refused.code == 1
    assert "may not" in refused.err


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        ({"manifest": {"format": 99, "settings": {}}}, ManifestError, "format 99"),
        ({"manifest": {"format": 5}}, ManifestError, "is damaged"),
        ({"parts": {"../../x.json": {"size": 1, "sha256": "0"}}}, StoreError, "can be read"),
        ({"parts": {"backbone.pkl": {"size": 1, "sha256": "0"}}}, StoreError, "can be read"),
        ({"parts": {"backbone.xml": {"size": 2**40, "sha256": "0"}}}, StoreError, "can be read"),
        ({"generation": "many"}, StoreError, "can be read"),
    ],
)
def test_descriptions_that_are_no_good_are_refused(
    team: QdrantServer, machine: Machine, change: dict[str, object], error: type, says: str
) -> None:
    config: Any = team.engine.get_collection("works-1").config
    said = config.metadata["paint_search"]
    client = QdrantClient(port=1, grpc_port=team.port, prefer_grpc=True)
    client.update_collection("works", metadata={"paint_search": {**said, **change}})
    client.close()
    home = machine("two")
    with pytest.raises(error, match=says):
        Index.open(team.url("works"))
    assert not list(home.rglob("x.json"))


def test_files_that_were_changed_on_the_server_are_refused_and_sent_again(
    team: QdrantServer, painted: Path, machine: Machine, cli: Cli
) -> None:
    machine("one")
    with Index.open() as index:
        index.compress("pca", 6, keep=0)
    client = QdrantClient(port=1, grpc_port=team.port, prefer_grpc=True)
    points, _ = client.scroll("works.parts", limit=100)
    client.upsert(
        "works.parts",
        [models.PointStruct(id=p.id, vector={}, payload={"data": "AAAA"}) for p in points],
    )
    machine("two")
    with (
        Index.open(team.url("works")) as index,
        pytest.raises(StoreError, match="is damaged or not there"),
    ):
        index.similar(painted / _some(painted), compact_only=True)
    client.delete("works.parts", [p.id for p in points])
    client.close()
    machine("one")
    cli.ok("index", "paintings", "--repair")
    machine("two")
    with Index.open(team.url("works")) as index:
        assert index.similar(painted / _some(painted), compact_only=True)
