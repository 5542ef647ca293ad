"""The FAISS index beside the points: chosen, measured, kept up, mapped and mended."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path

import faiss
import numpy as np
import pytest
from clustered import (
    COUNT,
    DIMENSION,
    clustered,
    faiss_store,
    filled,
    nearest_to,
    opened,
    points,
    recall,
)

from paint_search.errors import UsageError
from paint_search.files import fingerprint
from paint_search.painting import Record, painting_id
from paint_search.search import Condition, measure_recall
from paint_search.search.stores import VectorName, VectorQuery, faiss_of

FLAT = "FAISS, flat: exact"


@pytest.mark.parametrize(
    ("factory", "searched"),
    [
        (None, "FAISS, HNSW32,SQfp16"),
        ("SQfp16", FLAT),
        ("Flat", "FAISS, Flat"),
        ("HNSW16,Flat", "FAISS, HNSW16,Flat"),
        ("IVF32,Flat", "FAISS, IVF32,Flat"),
        ("IVF32,SQ8", "FAISS, IVF32,SQ8"),
        ("PCA24,IVF16,PQ8x4", "FAISS, PCA24,IVF16,PQ8x4"),
        ("PQ16x4fs", "FAISS, PQ16x4fs"),
    ],
)
def test_each_kind_of_index_finds_nearly_all_and_survives_reopening(
    tmp_path: Path, factory: str | None, searched: str
) -> None:
    store = filled(tmp_path, factory)
    assert store.describe() == FLAT
    assert not store.approximate()
    assert measure_recall(store) is None
    store.optimize()
    assert store.describe() == searched
    assert store.approximate() == (searched != FLAT)
    vectors, queries = clustered(), clustered(60, seed=9)
    least = 0.9 if store.approximate() else 1.0
    assert recall(store, vectors, queries) >= least
    assert recall(store, vectors, queries, Condition("tenth", (3,))) == 1.0
    assert recall(store, vectors, queries, Condition("tenth", (3,), negated=True)) >= least
    assert recall(store, vectors, queries, Condition("tenth", low=2, high=6)) >= least
    if store.approximate():
        assert (measure_recall(store) or 0) >= least
    exact = [match.score for match in nearest_to(queries[0], store, 10, exact=True)]
    np.testing.assert_allclose(exact, np.sort(vectors @ queries[0])[::-1][:10], atol=1e-4)
    found = nearest_to(queries[1], store, 20)
    scores = [vectors[int(match.record.payload["path"])] @ queries[1] for match in found]
    np.testing.assert_allclose([match.score for match in found], scores, atol=1e-4)
    store.close()
    store = opened(tmp_path, factory)
    assert store.describe() == searched
    assert [match.record.id for match in nearest_to(queries[1], store, 20)] == [
        match.record.id for match in found
    ]
    store.close()


def test_what_cannot_be_built_is_refused_and_exact_meanwhile(tmp_path: Path) -> None:
    store = faiss_store(tmp_path, {"full": DIMENSION}, "IVF64,PQ8")
    store.upsert(points(clustered(20)))
    with pytest.raises(UsageError, match=r"^FAISS makes no index 'IVF64,PQ8' .*Number of train"):
        store.optimize()
    assert store.describe() == FLAT
    assert len(nearest_to(clustered(1)[0], store, 30)) == 20
    store.upsert(points(clustered(2000)))
    store.optimize()
    assert store.describe() == "FAISS, IVF64,PQ8"
    store.close()


def test_an_index_of_another_factory_is_built_anew(tmp_path: Path) -> None:
    store = filled(tmp_path)
    store.optimize()
    store.close()
    store = opened(tmp_path, "IVF32,Flat")
    assert store.describe() == "FAISS, HNSW32,SQfp16"
    store.optimize()
    assert store.describe() == "FAISS, IVF32,Flat"
    store.close()


@pytest.mark.parametrize("factory", ["PQ7", "OPQ7_30,PQ7", "nonsense", "", "LSH"])
def test_a_factory_that_faiss_does_not_know(tmp_path: Path, factory: str) -> None:
    with pytest.raises(UsageError, match=r"^FAISS makes no index [^\n]* try HNSW32"):
        faiss_store(tmp_path, {"full": DIMENSION}, factory)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("factory", [None, "IVF32,SQfp16", "PCA24,IVF16,PQ8x4"])
def test_changes_after_the_index_was_built(tmp_path: Path, factory: str | None) -> None:
    store = filled(tmp_path, factory)
    store.optimize()
    (file,) = tmp_path.rglob("*.faiss")
    vectors, fresh = clustered(), clustered(250, seed=5)
    gone = [painting_id(str(i)) for i in range(0, 60)]
    store.delete(gone)
    built = file.read_bytes()
    store.optimize()
    assert file.read_bytes() == built, "few deletions are no reason to build it anew"
    store.upsert(points(fresh[:50], start=COUNT))  # new
    store.upsert(points(fresh[50:90], start=1000))  # with other vectors than before
    queries = clustered(40, seed=9)

    def check(last: int) -> None:
        for new in (fresh[0], fresh[49], fresh[50], fresh[89], fresh[last]):
            assert nearest_to(new, store, 1)[0].score == pytest.approx(1, abs=1e-3)
        for old in (vectors[0], vectors[59], vectors[1000], vectors[1039]):
            assert nearest_to(old, store, 1, exact=True)[0].score < 0.999
            assert nearest_to(old, store, 1)[0].score < 0.999
        for query in queries:
            assert not {m.record.id for m in nearest_to(query, store, 50)} & set(gone)

    check(0)
    store.close()
    store = opened(tmp_path, factory)
    check(0)
    store.upsert(points(fresh[90:], start=COUNT + 50))
    check(249)
    store.optimize()
    assert len(file.read_bytes()) > len(built), "it was added to"
    check(249)
    store.delete([painting_id(str(i)) for i in range(2000, 2600)])
    check(249)
    store.optimize()
    assert faiss.read_index(str(file)).ntotal == store.count(), "it was built anew"
    check(249)
    index, labels = faiss_of(store) or (None, {})
    assert index.ntotal == len(labels) == store.count() == COUNT - 60 + 210 - 600
    store.close()


def test_a_filter_that_keeps_little_finds_all_it_keeps(tmp_path: Path) -> None:
    vectors = clustered()
    store = filled(tmp_path)
    store.optimize()
    assert store.approximate()
    for rare in range(0, 100, 7):
        query, where = clustered(1, seed=rare)[0], [Condition("rare", (rare,))]
        found = nearest_to(query, store, 100, where)
        assert {match.record.payload["rare"] for match in found} == {rare}
        scores = np.sort(vectors[30 * rare : 30 * rare + 30] @ query)[::-1]
        assert [match.score for match in found] == pytest.approx(scores, abs=1e-3)
        few = nearest_to(query, store, 10, where)
        assert [m.record.id for m in few] == [m.record.id for m in found[:10]]
    store.delete([found[0].record.id])
    left = nearest_to(query, store, 100, where)
    assert [m.record.id for m in left] == [m.record.id for m in found[1:]]
    store.upsert(points(clustered(30), start=rare * 30))
    assert len(nearest_to(query, store, 100, where)) == 30
    most = nearest_to(clustered(1)[0], store, 5000, [Condition("rare", (3,), negated=True)])
    assert len(most) == COUNT - 30
    store.close()


def test_a_filter_that_leaves_out_the_nearest_finds_the_next(tmp_path: Path) -> None:
    store = filled(tmp_path)
    store.optimize()
    for query in clustered(20, seed=9):
        nearest = [match.record for match in nearest_to(query, store, 60, exact=True)]
        names = tuple(record.payload["path"] for record in nearest[:50])
        where = [Condition("path", names, negated=True)]
        for found in (
            nearest_to(query, store, 10, where),
            nearest_to(query, store, 10, without=[record.id for record in nearest[:50]]),
        ):
            assert [m.record.id for m in found] == [record.id for record in nearest[50:]]
    store.close()


def test_compact_vectors_are_indexed_and_full_ones_compared(tmp_path: Path) -> None:
    vectors = clustered()
    kinds: dict[VectorName, int] = {"full": DIMENSION, "compact": 8}
    store = faiss_store(tmp_path, kinds, exact_bytes=16 * 1024)
    store.upsert([Record(r.id, r.payload, r.vector, r.best[:8]) for r in points(vectors)])
    store.optimize()
    index, labels = faiss_of(store) or (None, {})
    assert (index.d, index.ntotal, len(labels)) == (8, COUNT, COUNT)
    query = clustered(1, seed=4)[0]
    assert store.approximate()
    found = nearest_to(query, store, 10)
    best = np.argsort(-(vectors @ query))[:10]
    assert [m.record.id for m in found] == [painting_id(str(i)) for i in best]
    store.close()


def test_the_raw_index_answers_with_labels_of_paintings(tmp_path: Path) -> None:
    store = filled(tmp_path)
    store.delete([painting_id("0")])
    index, labels = faiss_of(store) or (None, {})
    assert isinstance(index, faiss.Index)
    assert index.metric_type == faiss.METRIC_INNER_PRODUCT
    vectors = clustered()
    _, found = index.search(vectors[5:8], 1)
    assert [labels[label] for label in found[:, 0]] == [painting_id(str(i)) for i in (5, 6, 7)]
    assert index.ntotal == len(labels) == COUNT - 1
    store.close()


@pytest.mark.parametrize("factory", [None, "IVF32,SQfp16"])
def test_large_batches_are_answered_by_a_copy_on_the_gpus(
    tmp_path: Path, factory: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There may be no GPU here: what FAISS would copy to one is searched on the CPU instead."""
    copies = []

    def copied(index: faiss.Index) -> faiss.Index:
        copies.append(index)
        return index

    monkeypatch.setattr(faiss, "get_num_gpus", lambda: 1)
    monkeypatch.setattr(faiss, "index_cpu_to_all_gpus", copied)
    store = filled(tmp_path, factory)
    store.optimize()
    queries, where = clustered(200, seed=9), [Condition("tenth", (3,), negated=True)]
    store.search(VectorQuery(queries[:5], 10))
    assert not copies, "a copy for a few is not worth it"
    for conditions in ([], where):
        found = store.search(VectorQuery(queries, 10, conditions))
        exact = [nearest_to(query, store, 10, conditions, exact=True) for query in queries]
        assert [[m.record.id for m in row] for row in found] == [
            [m.record.id for m in row] for row in exact
        ]
    assert [index.ntotal for index in copies] == [COUNT]
    store.upsert(points(clustered(1, seed=5), start=COUNT))
    store.search(VectorQuery(queries, 10))
    assert [index.ntotal for index in copies] == [COUNT, COUNT + 1]
    store.close()


#: What version 0.1 wrote: each value of each payload in tables, and numbered files of the index.
OLD = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE points (
    label INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, payload TEXT NOT NULL);
CREATE TABLE full (label INTEGER PRIMARY KEY, vector BLOB NOT NULL);
CREATE TABLE compact (label INTEGER PRIMARY KEY, vector BLOB NOT NULL);
CREATE TABLE fields (number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, points INTEGER);
CREATE TABLE words (
    field INTEGER, key TEXT, label INTEGER, PRIMARY KEY (field, key, label)) WITHOUT ROWID;
CREATE TABLE numbers (
    field INTEGER, number REAL, label INTEGER, PRIMARY KEY (field, number, label)) WITHOUT ROWID;
CREATE TABLE gone (label INTEGER PRIMARY KEY);
"""


def write_old(index: Path, note: Callable[[Path], dict[str, object]] | None = None) -> None:
    """Write a store as version 0.1 did, with three deleted points."""
    folder = index / "store"
    folder.mkdir()
    names = {"path": 1, "tenth": 2, "rare": 3}
    with sqlite3.connect(folder / "points.sqlite") as base:
        base.executescript(f"PRAGMA journal_mode = WAL; {OLD}")
        dimensions = json.dumps({"full": DIMENSION})
        base.execute("INSERT INTO meta VALUES ('dimensions', ?)", [dimensions])
        for name, number in names.items():
            base.execute("INSERT INTO fields VALUES (?, ?, ?)", [number, json.dumps(name), COUNT])
        for label, point in enumerate(points(clustered()), start=1):
            if label > COUNT - 3:
                base.execute("INSERT INTO gone VALUES (?)", [label])
                continue
            payload = json.dumps(dict(point.payload))
            base.execute("INSERT INTO points VALUES (?, ?, ?)", [label, point.id, payload])
            half = np.asarray(point.vector, dtype=np.float16).tobytes()
            base.execute("INSERT INTO full VALUES (?, ?)", [label, half])
            for name, value in point.payload.items():
                key = json.dumps(value) if isinstance(value, str) else repr(float(value))
                base.execute("INSERT INTO words VALUES (?, ?, ?)", [names[name], key, label])
                if not isinstance(value, str):
                    row = [names[name], float(value), label]
                    base.execute("INSERT INTO numbers VALUES (?, ?, ?)", row)
        if note is not None:
            base.execute("INSERT INTO meta VALUES ('index', ?)", [json.dumps(note(folder))])
    base.close()


@pytest.mark.parametrize("indexed", [False, True])
def test_a_store_of_version_0_1_is_read(tmp_path: Path, indexed: bool) -> None:
    def note(folder: Path) -> dict[str, object]:
        index = faiss.index_factory(DIMENSION, "IDMap,HNSW32,SQfp16", faiss.METRIC_INNER_PRODUCT)
        index.add_with_ids(clustered(), np.arange(1, COUNT + 1))
        faiss.write_index(index, str(folder / "vectors-2.faiss"))
        plan = {"factory": "HNSW32,SQfp16", "asked": "HNSW32,SQfp16", "points": COUNT}
        plan |= {"effort": 16, "factor": 1, "recall": 0.98, "remark": ""}
        # Of the length and of what is at 64 places: as it was written by version 0.1.
        return {"number": 2, "fingerprint": fingerprint(folder / "vectors-2.faiss"), "plan": plan}

    write_old(tmp_path, note if indexed else None)
    for _ in range(2):
        store = opened(tmp_path)
        assert store.describe() == FLAT
        assert store.count() == COUNT - 3
        assert store.fields() == {"path": COUNT - 3, "rare": COUNT - 3, "tenth": COUNT - 3}
        assert store.count([Condition("tenth", ("4",))]) == COUNT / 10
        assert store.count([Condition("rare", low=2, high=3)]) == 60
        assert recall(store, clustered()[:-3], clustered(40, seed=9)) > 0.95
        store.close()
    assert not list(tmp_path.rglob("*.faiss"))
    store = opened(tmp_path)
    store.upsert(points(clustered(), start=0))
    store.optimize()
    assert store.describe() == "FAISS, HNSW32,SQfp16"
    assert store.count() == COUNT
    assert recall(store, clustered(), clustered(40, seed=9)) > 0.95
    store.close()
