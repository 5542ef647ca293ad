"""An index that somebody else made: its files are read within limits, and it shows no others."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from conftest import Cli, copy_tree

from paint_search import Index
from paint_search.painting import Record, painting_id
from paint_search.search.stores import open_store

KINDS = ("edge", "faiss")


@pytest.fixture(scope="session")
def gift(painted: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with three ``paintings`` and an index of them in each kind of store. Read only."""
    home = tmp_path_factory.mktemp("gift")
    source = next(path for path in sorted(painted.iterdir()) if path.is_dir())
    copy_tree(source, home / "paintings")
    for kind in KINDS:
        with Index.create(
            home / "paintings", home / kind, backbone="descriptors", store=kind
        ) as index:
            index.add()
    return home


@pytest.fixture
def received(gift: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The gift in the current folder, beside a folder with a ``private`` picture."""
    copy_tree(gift, tmp_path / "received")
    (tmp_path / "private").mkdir()
    shutil.copy(next((gift / "paintings").iterdir()), tmp_path / "private/me.jpg")
    monkeypatch.chdir(tmp_path / "received")
    return tmp_path / "received"


def plant(index: Path, payload: dict[str, object]) -> str:
    """Put a point into the store of an index, unlike all that are there; return its id."""
    with Index.open(index) as opened:
        manifest = opened.manifest
    name = painting_id(str(payload.get("path")))
    vector = np.ones(manifest.backbone.dimension, np.float32)
    store = open_store(index, manifest.store, manifest.dimensions, manifest.maker)
    store.upsert([Record(name, payload, vector / np.linalg.norm(vector))])  # type: ignore[arg-type]
    store.close()
    return name


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("path", ["../private/me.jpg", "a/../../private/me.jpg", "/etc/hosts"])
def test_a_path_out_of_the_corpus_is_refused(
    path: str, kind: str, received: Path, cli: Cli
) -> None:
    name = plant(received / kind, {"path": path, "artist": "Me"})
    for command in (
        ["similar", name],
        ["similar", "paintings", "--html", "p.html", "--sheet", "p.jpg"],
        ["list"],
        ["export", "all.csv", "--to", "csv"],
        ["map", "m.html"],
        ["index", "paintings"],
    ):
        if command[:2] == ["similar", "paintings"]:
            command[1] = str(next((received / "paintings").iterdir()))
        outcome = cli(*command, "--index", kind)
        assert (outcome.code, outcome.err.count("\n")) == (1, 1), outcome
        assert f"this index names the file '{path}', which is in no corpus" in outcome.err
    assert not {"p.html", "p.jpg", "all.csv", "m.html"} & set(os.listdir())


def test_names_that_only_look_so_are_names(received: Path) -> None:
    for path in ("a..b/c.jpg", "study: a.jpg", "..c.jpg"):
        plant(received / "edge", {"path": path})
    with Index.open("edge") as index:
        assert {"a..b/c.jpg", "study: a.jpg", "..c.jpg"} < {work.path for work in index}


def test_a_link_out_of_the_corpus_is_not_followed(
    received: Path, cli: Cli, caplog: pytest.LogCaptureFixture
) -> None:
    (received / "paintings/me.jpg").symlink_to("../../private/me.jpg")
    (received / "paintings/more").symlink_to("../../private")
    stat = (received.parent / "private/me.jpg").stat()
    for path, seconds in (("me.jpg", 5), ("more/me.jpg", 0)):
        size = stat.st_size if seconds else 3
        stamp = {"_size": size, "_mtime_ns": stat.st_mtime_ns + seconds * 10**9}
        plant(received / "edge", {"path": path, **stamp})
    plant(received / "faiss", {"path": "me.jpg"})
    for kind, paths in (("edge", ("me.jpg", "more/me.jpg")), ("faiss", ("me.jpg",))):
        caplog.clear()
        with Index.open(kind) as index:
            for path in paths:
                assert index.locate(index.get(path)) == Path(os.devnull) / "me.jpg"
                assert index.locate_query(path) == Path(os.devnull) / "me.jpg"
            mine = [work for work in index if work.path not in paths]
            assert len(mine) == 3
            assert all(index.locate(work).is_file() for work in mine)
        said = [record.getMessage() for record in caplog.records]
        assert len(said) == 1, "once"
        assert said[0].startswith("me.jpg is not shown, like others perhaps: it lies outside")
    query = next((received / "paintings").glob("*19*"), received / "paintings")
    cli.ok("similar", query, "--index", "faiss", "--html", "p.html")
    private = (received / "p.html").read_text()
    (received / "paintings/me.jpg").unlink()
    cli.ok("similar", query, "--index", "faiss", "--html", "p.html")
    assert (received / "p.html").read_text() == private, "shown like a file that has gone"


@pytest.mark.parametrize("kind", KINDS)
def test_another_folder_as_corpus_is_not_shown(kind: str, received: Path) -> None:
    plant(received / kind, {"path": "me.jpg", "_size": 3, "_mtime_ns": 3})
    file = received / kind / "manifest.json"
    for root in ("../../private", str(received.parent / "private")):
        file.write_text(json.dumps(json.loads(file.read_text()) | {"root": root}))
        with Index.open(kind) as index:
            assert index.locate(index.get("me.jpg")) == Path(os.devnull) / "me.jpg"
    (received / "link").symlink_to("../private")
    file.write_text(json.dumps(json.loads(file.read_text()) | {"root": "../link"}))
    with Index.open(kind) as index:
        assert index.locate(index.get("me.jpg")) == Path(os.devnull) / "me.jpg"


def test_links_and_folders_of_ones_own_are_followed(
    received: Path, tmp_path: Path, cli: Cli
) -> None:
    (received / "paintings/more").symlink_to(tmp_path / "private")
    (received / "paintings/inside.jpg").symlink_to(next((received / "paintings").iterdir()).name)
    (received / "corpus").symlink_to(received / "paintings")
    for folder, corpus in (
        ("own", "paintings"),
        (tmp_path / "far/own", "paintings"),
        ("b", "corpus"),
    ):
        cli.ok("index", corpus, "--index", folder, "--backbone", "descriptors")
        with Index.open(folder) as index:
            assert "more/me.jpg" in index
            assert all(index.locate(work).samefile(index.root / work.path) for work in index)
            assert len(index) == 5
    os.utime(tmp_path / "private/me.jpg", (9, 9))
    with Index.open("own") as index:
        assert not index.locate(index.get("more/me.jpg")).exists()
    cli.ok("index", "paintings", "--index", "own")
    with Index.open("own") as index:
        assert index.locate(index.get("more/me.jpg")).is_file()
        assert index.locate_query("paintings/more/me.jpg").is_file()
