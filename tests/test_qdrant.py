"""A Qdrant server as store, over the wire: the same commands, the same answers.

The server is the client's own in-memory engine behind the real gRPC interface, or, where
PAINT_SEARCH_TEST_QDRANT names one (host:port), a real one.
"""

import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import grpc
import numpy as np
import pandas as pd
import pytest
from conftest import Cli, copy_tree
from qdrant_client import models
from qdrant_server import Fault, QdrantServer

from paint_search import Index
from paint_search.painting import Record, painting_id
from paint_search.search.stores import Maker, Place, open_store
from paint_search.studies import maps

MAKER = Maker("test", "fingerprint")


@pytest.fixture
def home(painted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with paintings, not indexed yet, as current folder."""
    copy_tree(painted, tmp_path / "paintings")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_index_similar_list_export_remove_on_a_server(
    server: QdrantServer, home: Path, cli: Cli, museum: Path
) -> None:
    url = server.url("works")
    made = cli.ok(
        "index", "paintings", "--store", url, "--backbone", "descriptors",
        "--table", "paintings/works.csv", "--json",
    ).json  # fmt: skip
    assert (made["new"], made["paintings"]) == (30, 30)
    assert server.count("works") == 30
    again = cli.ok("index", "paintings", "--store", url, "--json").json
    assert (again["new"], again["unchanged"]) == (0, 30)

    some = cli.ok("list", "--json").json["paintings"]
    here = cli.ok("list", "--json", "--index", museum / ".paint-search").json["paintings"]
    assert some == here
    for painting in some[:5]:
        query = painting["id"]
        ours = cli.ok("similar", query, "--json").json["hits"]
        theirs = cli.ok("similar", query, "--json", "--index", museum / ".paint-search").json[
            "hits"
        ]
        assert [hit["path"] for hit in ours] == [hit["path"] for hit in theirs]
        assert np.allclose([h["score"] for h in ours], [h["score"] for h in theirs], atol=1e-3)

    assert cli.ok("export", "v.npy").code == 0
    assert np.load("v.npy").shape == (30, 1290)
    assert cli.ok("eval", "retrieval", "--json").code == 0
    assert cli.ok("remove", some[0]["path"], "--json").json["removed"] == 1
    assert server.count("works") == 29
    info = cli.ok("info").out
    assert url in info
    assert "exact" in info
    assert "all else on the server" in info


def test_compress_writes_a_collection_beside_and_drops_the_old_one(
    server: QdrantServer, home: Path, cli: Cli
) -> None:
    cli.ok("index", "paintings", "--store", server.url("works"), "--backbone", "descriptors")
    cli.ok("compress", "--method", "pca", "--dims", "6")
    # Those who are reading the one of before may do so for a while.
    assert server.collections == ["works-1", "works-2", "works.parts"]
    assert server.aliases == {"works": "works-2"}
    hits = cli.ok("similar", _first(cli), "--compact-only", "--json").json["hits"]
    assert hits
    # The command that made the index still goes on with it.
    again = cli.ok("index", "paintings", "--store", server.url("works"), "--json").json
    assert again["unchanged"] == 30
    with Index.open() as index:
        _, vectors = index.vectors(which="compact")
    assert vectors.shape == (30, 6)


def test_a_failed_compress_leaves_the_old_collection_and_no_other(
    server: QdrantServer, home: Path, cli: Cli
) -> None:
    cli.ok("index", "paintings", "--store", server.url("works"), "--backbone", "descriptors")
    server.faults = [Fault("Upsert", grpc.StatusCode.INVALID_ARGUMENT, "injected")]
    assert "injected" in cli("compress", "--method", "pca", "--dims", "6").err
    assert not server.faults[0].times
    assert server.collections == ["works-1", "works.parts"]
    assert len(cli.ok("list", "--json").json["paintings"]) == 30
    cli.ok("compress", "--method", "pca", "--dims", "6", "--keep", "0")
    assert server.collections == ["works-2", "works.parts"]
    assert len(cli.ok("list", "--json").json["paintings"]) == 30


def test_an_old_collection_that_cannot_be_deleted_is_said(
    server: QdrantServer, home: Path, cli: Cli
) -> None:
    cli.ok("index", "paintings", "--store", server.url("works"), "--backbone", "descriptors")
    refused = grpc.StatusCode.PERMISSION_DENIED
    server.faults = [Fault("Delete", refused, "collections are not yours to delete", times=1)]
    told = cli.ok("compress", "--method", "pca", "--dims", "6", "--keep", "0").err
    assert "the points of before are still on the server" in told
    assert "in two steps" in cli.ok("info").out


def test_parts_of_a_corpus_fill_one_collection(server: QdrantServer, home: Path, cli: Cli) -> None:
    url = server.url("works")
    news = []
    for number in (1, 2, 3):
        made = cli.ok(
            "index", "paintings", "--store", url, "--part", f"{number}/3",
            "--index", f"machine-{number}", "--backbone", "descriptors", "--prune", "--json",
        ).json  # fmt: skip
        news.append(made["new"])
    assert sum(news) == 30
    assert all(news)
    assert server.count("works") == 30
    joined = cli.ok("index", "paintings", "--store", url, "--index", "late", "--backbone",
                    "descriptors")  # fmt: skip
    assert "holds 30 paintings already" in joined.err
    whole = cli.ok("index", "paintings", "--store", url, "--index", "machine-1", "--json").json
    assert (whole["new"], whole["unchanged"]) == (0, 30)


@pytest.mark.parametrize("part", ["0/3", "4/3", "3", "a/b", "1/0", "/", "-1/2"])
def test_parts_that_there_are_not(part: str, home: Path, cli: Cli) -> None:
    outcome = cli("index", "paintings", f"--part={part}")
    assert outcome.code == 2
    assert "3/16" in outcome.err
    assert not (home / ".paint-search").exists()


def test_how_a_collection_is_made(server: QdrantServer, home: Path) -> None:
    settings = "?shards=3&replicas=2&consistency=2&on_disk=true&quantization=int8"
    place = Place.parse(server.url("works", settings))
    open_store(home, place, {"full": 16, "compact": 4}, MAKER).close()
    request = server.created["works-1"]
    assert (request.shard_number, request.replication_factor) == (3, 2)
    assert request.write_consistency_factor == 2
    vectors = request.vectors_config.params_map.map
    assert set(vectors) == {"full-1", "compact-1"}
    assert all(params.on_disk for params in vectors.values())
    assert not vectors["full-1"].HasField("quantization_config"), "those only rescore"
    assert vectors["compact-1"].quantization_config.HasField("scalar")
    assert vectors["full-1"].hnsw_config.m == 0
    assert vectors["compact-1"].hnsw_config.m == 16


def test_fields_are_indexed_before_their_first_value_is_uploaded(
    server: QdrantServer, home: Path, cli: Cli
) -> None:
    cli.ok("index", "paintings", "--store", server.url("works"), "--backbone", "descriptors")
    first = server.calls.index("Upsert")
    assert "CreateFieldIndex" not in server.calls[first:]
    assert server.indexes["works-1"]["artist"] == "keyword"
    assert not {"_size", "_look"} & server.indexes["works-1"].keys()


def test_uploads_of_many_points_overlap(server: QdrantServer, home: Path) -> None:
    """Each upload is held until another has come: one at a time, none would ever end."""
    two = threading.Barrier(2)

    def hold(method: str) -> None:
        if method == "Upsert":
            two.wait(timeout=20)

    store = open_store(home, Place.parse(server.url("works")), {"full": 3}, MAKER)
    vectors = np.eye(3, dtype=np.float32)
    records = [Record(painting_id(str(i)), {"path": str(i)}, vectors[i % 3]) for i in range(512)]
    server.during = hold
    store.upsert(records)
    store.flush()
    assert not two.broken
    assert (server.calls.count("Upsert"), server.count("works")) == (4, 512)
    store.close()


def test_a_new_index_uploads_while_it_embeds_and_asks_for_nothing_it_cannot_have(
    server: QdrantServer, home: Path, cli: Cli
) -> None:
    two = threading.Barrier(2)

    def hold(method: str) -> None:
        if method == "Upsert":
            two.wait(timeout=20)

    server.during = hold
    cli.ok("index", "paintings", "--store", server.url("works"), "--backbone", "descriptors")
    assert not two.broken
    first = server.calls.index("Upsert")
    last = len(server.calls) - 1 - server.calls[::-1].index("Upsert")
    assert server.calls[first : last + 1] == ["Upsert"] * 2, "known contents are not looked for"
    assert server.count("works") == 30


class Busy:
    """Another handle on a collection, that deletes and adds works whenever a page is read."""

    def __init__(self, server: QdrantServer, home: Path) -> None:
        self._rng, self._there = np.random.default_rng(1), list[str]()
        self.vectors: dict[str, np.ndarray] = {}
        url = server.url("works")
        with Index.create(home / "paintings", store=url, backbone="ink") as index:
            made = index.manifest
        self._dimension = made.backbone.dimension
        self._store = open_store(home, made.store, made.dimensions, made.maker)
        self._add(900)
        server.during = self._meanwhile

    def _meanwhile(self, method: str) -> None:
        if method == "Scroll":
            self._rng.shuffle(self._there)
            self._store.delete([self._there.pop() for _ in range(30)])
            self._add(10)

    def _add(self, count: int) -> None:
        rows = self._rng.normal(size=(count, self._dimension)).astype(np.float32)
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        paths = [f"{len(self.vectors) + row}.jpg" for row in range(count)]
        records = [
            Record(painting_id(path), {"path": path, "number": path}, row)
            for path, row in zip(paths, rows, strict=True)
        ]
        self._store.upsert(records)
        self._store.flush()
        self._there += [record.id for record in records]
        self.vectors |= {record.id: record.vector for record in records}


def _by_vectors(index: Index) -> tuple[Sequence[str], np.ndarray]:
    return index.vectors()


def _by_arrow(index: Index) -> tuple[Sequence[str], np.ndarray]:
    table = index.to_arrow()
    return table["id"].to_pylist(), np.array(table["vector"].to_pylist())


def _by_numpy(index: Index) -> tuple[Sequence[str], np.ndarray]:
    index.export("out.npy", "npy")
    return pd.read_csv("out.csv")["id"].tolist(), np.load("out.npy")


def _by_faiss(index: Index) -> tuple[Sequence[str], np.ndarray]:
    import faiss

    index.export("out.faiss", "faiss")
    made, table = faiss.read_index("out.faiss"), pd.read_csv("out.csv")
    assert table["label"].tolist() == list(range(made.ntotal))
    return table["id"].tolist(), made.reconstruct_n(0, made.ntotal)


def _by_study(index: Index) -> tuple[Sequence[str], np.ndarray]:
    works = maps(index, method=["pca"]).exhibit.works
    return [work.id for work in works.paintings], works.vectors


@pytest.mark.parametrize("read", [_by_vectors, _by_arrow, _by_numpy, _by_faiss, _by_study])
def test_ids_and_vectors_are_of_one_pass_while_another_machine_writes(
    server: QdrantServer, home: Path, read: Callable[[Index], tuple[Sequence[str], np.ndarray]]
) -> None:
    busy = Busy(server, home)
    with Index.open() as index:
        ids, vectors = read(index)
    assert len(vectors) == len(ids) == len(set(ids)) > 512  # more than a page
    np.testing.assert_allclose(vectors, [busy.vectors[one] for one in ids], atol=1e-3)


def test_what_a_copy_lacks_is_written_by_the_next_index(
    cluster: list[QdrantServer], home: Path, cli: Cli
) -> None:
    url = cluster[0].url_of_all("works", "?replicas=2")
    cli.ok("index", "paintings", "--store", url, "--backbone", "descriptors")
    ids = [painting["id"] for painting in cli.ok("list", "--json").json["paintings"]]
    one, other, _ = cluster
    one.engine.delete("works", ids[:2])
    other.engine.delete("works", ids[2:5])
    assert cli.ok("info", "--json").json["paintings"] == 27  # no more than any copy has
    listed = cli.ok("list", "--json").json["paintings"]
    assert [painting["id"] for painting in listed] == ids[5:]
    one.read_all.clear()
    cli.ok("similar", ids[9])
    assert "QueryBatch" not in one.read_all
    again = cli.ok("index", "paintings", "--json").json
    assert (again["new"], again["unchanged"]) == (5, 25)
    assert [node.count("works") for node in cluster] == [30, 30, 0]
    assert cli.ok("index", "paintings", "--json").json["unchanged"] == 30


def test_copies_that_differ_by_their_labels_are_made_alike(
    cluster: list[QdrantServer], home: Path, cli: Cli
) -> None:
    url = cluster[0].url_of_all("works", "?replicas=2")
    cli.ok("index", "paintings", "--store", url, "--backbone", "descriptors")
    name = _first(cli)
    cluster[1].engine.set_payload("works", {"artist": "Nobody"}, [name])
    assert cli.ok("index", "paintings", "--json").json["unchanged"] == 29
    one, other = (node.engine.retrieve("works", [name])[0].payload for node in cluster[:2])
    assert one == other


def test_pages_of_copies_that_differ_are_whole(cluster: list[QdrantServer], home: Path) -> None:
    place = Place.parse(cluster[2].url("works", "?replicas=2"))
    store = open_store(home, place, {"full": 2}, MAKER)
    vector = np.array([0.6, 0.8], dtype=np.float32)
    paths = [f"{number}.jpg" for number in range(1200)]  # three pages
    store.upsert([Record(painting_id(path), {"path": path}, vector) for path in paths])
    store.flush()
    ids = sorted(painting_id(path) for path in paths)
    for node, lacking in zip(cluster[:2], (ids[5:8], ids[100:700]), strict=True):
        node.engine.delete("works", lacking)
    found = list(store.scroll(vectors=True))
    assert [record.id for record in found] == ids[:5] + ids[8:100] + ids[700:]
    assert all(record.vector is not None and record.payload for record in found)
    assert store.get(ids[3:9]).keys() == {ids[3], ids[4], ids[8]}
    assert store.count() == 600
    store.close()


def test_a_copy_that_is_away_is_said_and_the_other_is_read_and_written(
    cluster: list[QdrantServer], home: Path, cli: Cli, caplog: pytest.LogCaptureFixture
) -> None:
    url = cluster[0].url_of_all("works", "?replicas=2")
    cli.ok("index", "paintings", "--store", url, "--backbone", "descriptors")
    name, away = _first(cli), cluster[0]
    away.die()
    assert len(cli.ok("list", "--json").json["paintings"]) == 30
    (said,) = caplog.messages
    assert "is read from one copy, since another does not answer" in said
    cli.ok("remove", name)
    assert cli.ok("index", "paintings", "--json").json["new"] == 1
    away.start()
    away.engine.delete("works", [name])
    assert cli.ok("index", "paintings", "--json").json["new"] == 1
    assert [node.count("works") for node in cluster] == [30, 30, 0]


def test_a_strict_server_is_asked_within_its_limits(home: Path, cli: Cli, museum: Path) -> None:
    strict = models.StrictModeConfigOutput(
        enabled=True,
        max_query_limit=12,
        search_max_batchsize=7,
        upsert_max_batchsize=8,
        search_max_hnsw_ef=64,
        search_max_oversampling=2.0,
        unindexed_filtering_retrieve=False,
        unindexed_filtering_update=False,
    )
    server = QdrantServer(strict=strict)
    cli.ok(
        "index", "paintings", "--store", server.url("works"), "--backbone", "descriptors",
        "--table", "paintings/works.csv",
    )  # fmt: skip
    assert [*server.indexes["works-1"]][:2] == ["_hash", "path"]
    assert server.calls.index("CreateFieldIndex") < server.calls.index("Upsert")
    here = ("--index", museum / ".paint-search")
    listed = cli.ok("list", "--json").json
    assert listed == cli.ok("list", "--json", *here).json
    facts = [cli.ok("info", "--json", *which).json for which in ((), here)]
    assert facts[0]["trimmed"] == facts[1]["trimmed"]
    query = listed["paintings"][0]["id"]
    for options in (["-k", "29"], ["--where", "year=1900.."], ["--not", "year=1900"]):
        ours, theirs = (
            cli.ok("similar", query, "--json", *options, *which).json["hits"]
            for which in ((), here)
        )
        assert [hit["path"] for hit in ours] == [hit["path"] for hit in theirs], options
    wide = cli("similar", query, "-k", "20", "--spread", "0.5")
    assert wide.code == 1
    assert "at most 12 paintings at a time (max_query_limit)" in wide.err
    cli.ok("compress", "--method", "pca", "--dims", "6")
    assert len(cli.ok("similar", query, "-k", "29", "--json").json["hits"]) == 29
    assert cli.ok("eval", "retrieval", "--json").code == 0
    assert cli.ok("index", "paintings", "--json").json["unchanged"] == 30
    server.die()


def test_a_server_that_indexes_few_fields(
    home: Path, cli: Cli, caplog: pytest.LogCaptureFixture
) -> None:
    strict = models.StrictModeConfigOutput(enabled=True, max_payload_index_count=4)
    server = QdrantServer(strict=strict)
    cli.ok(
        "index", "paintings", "--store", server.url("works"), "--backbone", "descriptors",
        "--table", "paintings/works.csv",
    )  # fmt: skip
    indexed = [*server.indexes["works-1"]]
    assert (len(indexed), indexed[:2]) == (4, ["_hash", "path"])
    (without, *_) = {"artist", "title", "year"} - {*indexed}
    said = [words for words in caplog.messages if f"cannot be chosen by {without!r}" in words]
    assert len(said) == 1
    refused = cli("list", "--where", f"{without}=x")
    assert refused.code == 1
    assert "no more than 4 payload indexes of the collection 'works'" in refused.err
    assert len(cli.ok("list", "--json").json["paintings"]) == 30
    server.die()


def test_searches_do_not_hold_the_index(server: QdrantServer, home: Path, cli: Cli) -> None:
    cli.ok("index", "paintings", "--store", server.url("works"), "--backbone", "descriptors")
    with Index.open() as one, Index.open() as other:
        assert len(one) == len(other) == 30


def test_filters_and_spread_are_those_of_the_engine_in_the_process(
    server: QdrantServer, home: Path, cli: Cli, museum: Path
) -> None:
    cli.ok(
        "index", "paintings", "--store", server.url("works"), "--backbone", "descriptors",
        "--table", "paintings/works.csv",
    )  # fmt: skip
    query = _first(cli)
    for options in (["--where", "year=1900.."], ["--spread", "0.5"]):
        ours, theirs = (
            cli.ok("similar", query, "--json", *options, *which).json["hits"]
            for which in ([], ["--index", museum / ".paint-search"])
        )
        assert [hit["path"] for hit in ours] == [hit["path"] for hit in theirs]
    copied = cli.ok("copy", "--to", "edge", "--into", "copied", "--json").json
    assert copied["paintings"] == 30


def _first(cli: Cli) -> str:
    return str(cli.ok("list", "--json").json["paintings"][0]["id"])
