"""``copy``: from any store to any store, read back, resumed; the same queries give the same ids."""

import json
import os
import shutil
import signal
import subprocess
import time
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from conftest import COMMAND, Cli
from qdrant_server import QdrantServer

from paint_search import Index
from paint_search.errors import StoreError
from paint_search.painting import Progress

KINDS = ("edge", "faiss", "qdrant")


def _store(kind: str, server: QdrantServer, name: str) -> str:
    return server.url(name) if kind == "qdrant" else kind


def _answers(folder: Path) -> list[object]:
    """Ask everything there is to ask, by ids."""
    with Index.open(folder) as index:
        ids, _ = index.vectors()
        answers: list[object] = [ids, index.field("artist"), sorted(index.info().fields.items())]
        for query in ids[::10]:
            for options in (
                {},
                {"exact": True},
                {"compact_only": True},
                {"spread": 0.5},
                {"where": {"year": (1900, 1960)}, "exclude": {"artist": index.field("artist")[0]}},
            ):
                answers.append([h.painting.id for h in index.similar(query, k=8, **options)])
    return answers


@pytest.mark.parametrize(("source", "target"), list(product(KINDS, KINDS)))
def test_every_pair_of_stores(
    source: str, target: str, server: QdrantServer, compressed: Path, cli: Cli
) -> None:
    first = compressed / ".paint-search"
    if source != "edge":
        cli.ok("copy", "--to", _store(source, server, "a"), "--into", "first")
        first = compressed / "first"
    before = _answers(first)
    copied = cli.ok(
        "copy", "--index", first, "--to", _store(target, server, "b"), "--into", "second", "--json"
    ).json
    assert (copied["paintings"], copied["written"]) == (30, 30)
    assert copied["difference"] < 1e-3
    assert _answers(compressed / "second") == before
    assert _answers(first) == before
    # The copy is an index like any other: it goes on with the same paintings.
    again = cli.ok("index", "paintings", "--index", "second", "--json").json
    assert (again["unchanged"], again["new"]) == (30, 0)


def test_the_folder_is_named_after_the_store_and_may_move(
    compressed: Path, cli: Cli, tmp_path: Path
) -> None:
    said = cli.ok("copy", "--to", "faiss")
    assert ".paint-search-faiss" in said.err
    assert "read back and compared" in said.out
    elsewhere = cli.ok("copy", "--to", "edge", "--into", tmp_path / "a/b/copy", "--json").json
    with Index.open(elsewhere["folder"]) as index:
        assert index.root == compressed / "paintings"
        assert all(index.locate(painting).exists() for painting in index.paintings())


@pytest.mark.parametrize("kind", KINDS)
def test_killed_in_the_middle_it_goes_on(
    kind: str, server: QdrantServer, compressed: Path, cli: Cli
) -> None:
    target = _store(kind, server, "works")
    program = (
        "import time\n"
        "def report(words, progress):\n"
        "    if progress.done >= 10: print('now', flush=True); time.sleep(60)\n"
        "from paint_search import Index\n"
        f"Index.open().copy({target!r}, 'copied', batch=5, report=report)"
    )
    with subprocess.Popen(
        (*COMMAND[:2], program), stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "now\n"
        while kind == "qdrant" and server.count("works") < 5:  # uploads are under way
            time.sleep(0.02)
        os.killpg(process.pid, signal.SIGKILL)
    time.sleep(0.3)
    assert cli("list", "--index", "copied").code == 1  # not taken for an index yet
    done = cli.ok("copy", "--to", target, "--into", "copied", "--json").json
    assert done["paintings"] == 30
    assert 0 < done["written"] <= 25
    assert _answers(compressed / "copied") == _answers(compressed / ".paint-search")


def test_what_changed_since_is_mended(server: QdrantServer, compressed: Path, cli: Cli) -> None:
    url = server.url("works")
    cli.ok("copy", "--to", url, "--into", "copied")
    # An unfinished copy: the manifest is not there yet, the points are not all right.
    manifest = json.loads(Path("copied/manifest.json").read_text())
    with Index.open() as index:
        ids, _ = index.vectors()
        note = {
            "of": index.manifest.maker.fingerprint,
            "created": index.manifest.created,
            "to": url,
        }
    assert manifest["store"]["kind"] == "qdrant"
    Path("copied/manifest.json").unlink()
    Path("copied/copy.json").write_text(json.dumps(note))
    server.engine.delete("works-1", ids[:3])
    server.engine.set_payload("works-1", {"artist": "Nobody"}, ids[3:5])
    server.engine.update_vectors("works-1", [_other_vectors(server, ids[5])])
    done = cli.ok("copy", "--to", url, "--into", "copied", "--json").json
    assert done["written"] == 6
    assert _answers(compressed / "copied") == _answers(compressed / ".paint-search")


def _other_vectors(server: QdrantServer, name: str) -> object:
    from qdrant_client import models

    point = server.engine.retrieve("works-1", [name], with_vectors=True)[0]
    assert isinstance(point.vector, dict)
    turned = {kind: list(reversed(vector)) for kind, vector in point.vector.items()}
    return models.PointVectors(id=name, vector=turned)


def test_a_difference_is_found(server: QdrantServer, compressed: Path) -> None:
    with Index.open() as index:
        ids, _ = index.vectors()

        def loses_one(words: str, progress: Progress) -> None:
            while progress.done == progress.total and server.count("works") < len(ids):
                time.sleep(0.02)
            with server.cluster.lock:  # the upload may not have ended
                server.engine.delete("works-1", ids[:1])

        with pytest.raises(StoreError, match="holds other paintings"):
            index.copy(server.url("works"), report=loses_one)


def test_a_collection_in_use_is_not_copied_into(
    server: QdrantServer, compressed: Path, cli: Cli
) -> None:
    url = server.url("works")
    cli.ok("copy", "--to", url, "--into", "first")
    with Index.open("first") as index:
        index.remove(where={"year": (None, 1950)})
        left = len(index)
    refused = cli("copy", "--to", url, "--into", "second")
    assert refused.code == 2
    assert f"holds {left} paintings already" in refused.err
    assert server.count("works") == left
    assert not Path("second").exists()


def test_places_that_are_taken(compressed: Path, cli: Cli) -> None:
    shutil.copytree(".paint-search", "index")
    Path("full").mkdir()
    Path("full/notes.txt").write_text("mine")
    for folder, says in (("index", "is an index already"), ("full", "is not empty")):
        refused = cli("copy", "--to", "faiss", "--into", folder)
        assert refused.code == 2
        assert says in refused.err
    for folder in (".paint-search", ".paint-search/inside"):
        refused = cli("copy", "--to", "edge", "--into", folder)
        assert refused.code == 2
    assert cli("copy", "--to", "milvus").code == 2
    assert Path("full/notes.txt").read_text() == "mine"


@pytest.mark.parametrize("kind", ["edge", "faiss"])
def test_a_faiss_index_for_other_tools(kind: str, compressed: Path, cli: Cli) -> None:
    import csv

    import faiss

    cli.ok("copy", "--to", kind, "--into", "copied")
    for options, count in (((), 30), (("--where", "year=1900..1950"), None)):
        cli.ok("export", "out.faiss", "--to", "faiss", "--index", "copied", *options)
        index = faiss.read_index("out.faiss")
        with Path("out.csv").open(encoding="utf-8") as stream:
            rows = {int(row["label"]): row["id"] for row in csv.DictReader(stream)}
        assert index.ntotal == len(rows) == (count or len(rows))
        which = "compact" if kind == "faiss" and not options else "full"
        with Index.open("copied") as opened:
            ids, vectors = opened.vectors(which=which)
            made, names = opened.faiss()
        assert set(names.values()) == set(ids)
        assert made.ntotal == 30
        for painting, vector in zip(ids, vectors, strict=True):
            if painting in rows.values():
                _, labels = index.search(vector[np.newaxis], 1)
                assert rows[int(labels[0, 0])] == painting
    assert cli("export", "out.csv", "--to", "faiss").code == 2


def test_many_vectors_at_once(compressed: Path) -> None:
    with Index.open() as index:
        ids, vectors = index.vectors()
        rows = index.similar(vectors, k=3, exact=True)
        assert [row[0].painting.id for row in rows] == ids
        cosines = vectors @ vectors.T
        for row, scores in zip(rows, cosines, strict=True):
            best = np.sort(scores)[::-1][:3]
            assert np.allclose([hit.score for hit in row], best, atol=2e-3)
        assert [hit.rank for hit in rows[0]] == [1, 2, 3]
        some = index.similar(vectors[:2], k=3, where={"year": (None, 1950)})
        years = [hit.painting.year for row in some for hit in row]
        assert years
        assert all(year is not None and year <= 1950 for year in years)
