"""The FAISS index beside the points: chosen, measured, kept up, mapped and mended."""

from __future__ import annotations

import json
from pathlib import Path

import faiss
import numpy as np
import pytest
from clustered import COUNT, DIMENSION, clustered, filled, points, recall, shrink

from paint_search.errors import UsageError
from paint_search.painting import Record, painting_id
from paint_search.search.filters import Condition
from paint_search.search.recall import measure_recall
from paint_search.search.stores import faiss_index, faiss_plans, faiss_segment
from paint_search.search.stores.faiss import FaissStore, Wanted


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    shrink(monkeypatch)


@pytest.mark.parametrize(
    ("wanted", "kind", "words"),
    [
        (Wanted(), "HNSW32,SQfp16", "efSearch"),
        (Wanted(recall=1.0), "flat: exact", ""),
        (Wanted(memory=280_000), "IVF", "SQfp16, nprobe"),
        (Wanted(memory=190_000), "IVF", "SQ8, nprobe"),
        (Wanted(recall=0.9, memory=170_000), "OPQ16_32", "re-ranked"),
        (Wanted(factory="OPQ8_32,IVF16,PQ8x4"), "OPQ8_32,IVF16,PQ8x4", "candidates re-ranked"),
        (Wanted(factory="HNSW16,Flat"), "HNSW16,Flat", "efSearch"),
        (Wanted(factory="IVF32,Flat"), "IVF32,Flat", "nprobe"),
        (Wanted(factory="PQ16x4fs"), "PQ16x4fs", "re-ranked"),
        (Wanted(factory="Flat"), "flat: exact", ""),
    ],
)
@pytest.mark.usefixtures("small")
def test_each_kind_reaches_the_recall_and_survives_reopening(
    tmp_path: Path, wanted: Wanted, kind: str, words: str
) -> None:
    store = filled(tmp_path / "store", wanted)
    assert store.describe() == "flat: exact"
    assert not store.approximate()
    store.optimize()
    said = store.describe()
    assert said.startswith(kind)
    assert words in said
    assert "wanted" not in said
    assert store.approximate() == (kind != "flat: exact")
    vectors, queries = clustered(), clustered(60, seed=9)
    least = wanted.recall - 0.03 if store.approximate() else 1.0
    assert recall(store, vectors, queries) >= least
    assert recall(store, vectors, queries, Condition("tenth", (3,))) >= least
    assert recall(store, vectors, queries, Condition("tenth", (3,), negated=True)) >= least
    if store.approximate():
        assert (measure_recall(store) or 0) >= least
    exact = [match.score for match in store.search(queries[0], 10, exact=True)]
    np.testing.assert_allclose(exact, np.sort(vectors @ queries[0])[::-1][:10], atol=1e-4)
    found = [match.record.id for match in store.search(queries[1], 20)]
    if wanted.memory is not None:
        assert sum(file.stat().st_size for file in tmp_path.rglob("*.faiss")) <= wanted.memory
    store.close()
    store = FaissStore(tmp_path / "store", {"full": DIMENSION}, wanted)
    assert store.describe() == said
    assert [match.record.id for match in store.search(queries[1], 20)] == found
    store.close()


@pytest.mark.usefixtures("small")
def test_what_cannot_be_had_is_said(tmp_path: Path) -> None:
    store = filled(tmp_path / "memory", Wanted(memory=1000))
    store.optimize()
    assert store.describe().endswith("MB, more than the 0.001 MB wanted)")
    assert len(store.search(clustered(1)[0], 10)) == 10
    store.close()
    store = filled(tmp_path / "recall", Wanted(recall=0.9999, factory="PQ2x2"))
    store.optimize()
    assert store.describe().endswith("(0.9999 was wanted)")
    store.close()
    store = FaissStore(tmp_path / "few", {"full": DIMENSION}, Wanted(factory="IVF64,PQ8"))
    store.upsert(points(clustered(20)))
    store.optimize()
    assert store.describe() == "flat: exact (20 vectors are too few to train IVF64,PQ8)"
    assert len(store.search(clustered(1)[0], 30)) == 20
    store.close()


@pytest.mark.parametrize("factory", ["PQ7", "OPQ7_30,PQ7", "nonsense", ""])
def test_a_factory_that_faiss_does_not_know(tmp_path: Path, factory: str) -> None:
    with pytest.raises(UsageError, match=r"^FAISS makes no index [^\n]* try HNSW32"):
        FaissStore(tmp_path / "store", {"full": DIMENSION}, Wanted(factory=factory))
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize("wanted", [{"recall": 0.0}, {"recall": 1.1}, {"memory": 0}])
def test_wishes_that_make_no_sense(wanted: dict[str, float]) -> None:
    with pytest.raises(UsageError):
        Wanted(**wanted)  # type: ignore[arg-type]


@pytest.mark.parametrize("factory", ["HNSW32,SQfp16", "IVF32,SQfp16", "OPQ8_32,IVF16,PQ8x4"])
@pytest.mark.usefixtures("small")
def test_changes_after_the_index_was_built(tmp_path: Path, factory: str) -> None:
    wanted = Wanted(factory=factory)
    store = filled(tmp_path / "store", wanted)
    store.optimize()
    file = next(tmp_path.rglob("*.faiss"))
    vectors, fresh = clustered(), clustered(250, seed=5)
    gone = [painting_id(str(i)) for i in range(0, 60)]
    store.delete(gone)
    store.upsert(points(fresh[:50], start=COUNT))  # new
    store.upsert(points(fresh[50:90], start=1000))  # with other vectors than before
    queries = clustered(40, seed=9)

    def check(opened: FaissStore, last: int, *, folded: bool = False) -> None:
        for new in (fresh[0], fresh[49], fresh[50], fresh[89], fresh[last]):
            nearest = opened.search(new, 1, exact=folded and factory.startswith("OPQ"))[0]
            assert nearest.score == pytest.approx(1, abs=1e-3)
        for old in (vectors[0], vectors[59], vectors[1000], vectors[1039]):
            assert opened.search(old, 1, exact=True)[0].score < 0.999
            assert opened.search(old, 1)[0].score < 0.999
        for query in queries:
            assert not {m.record.id for m in opened.search(query, 50)} & set(gone)

    check(store, 0)
    store.optimize()
    assert file.exists(), "few changes are no reason to build it anew"
    store.close()
    store = FaissStore(tmp_path / "store", {"full": DIMENSION}, wanted)
    check(store, 0)
    store.upsert(points(fresh[90:], start=COUNT + 50))
    check(store, 249)
    store.optimize()
    assert not file.exists(), "it was added to"
    assert len(list(tmp_path.rglob("*.faiss"))) == 1
    check(store, 249, folded=True)
    store.delete([painting_id(str(i)) for i in range(2000, 2600)])
    store.optimize()
    check(store, 249, folded=True)
    index, labels = store.raw()
    assert index.ntotal == len(labels) == store.count() == COUNT - 60 + 210 - 600
    store.close()


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("block", [1, 7 * 2 * DIMENSION, 1024 * 1024])
def test_a_filter_that_keeps_little_finds_all_it_keeps(
    block: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(faiss_plans, "_BLOCK_BYTES", block)
    vectors = clustered()
    store = filled(tmp_path / "store")
    store.optimize()
    assert store.approximate()
    for rare in range(0, 100, 7):
        query, where = clustered(1, seed=rare)[0], [Condition("rare", (rare,))]
        found = store.search(query, 100, where)
        assert {match.record.payload["rare"] for match in found} == {rare}
        scores = np.sort(vectors[30 * rare : 30 * rare + 30] @ query)[::-1]
        assert [match.score for match in found] == pytest.approx(scores, abs=1e-3)
        few = store.search(query, 10, where)
        assert [m.record.id for m in few] == [m.record.id for m in found[:10]]
        again = store.search(query, 100, where)  # from what is remembered
        assert [m.record.id for m in again] == [m.record.id for m in found]
        assert [m.score for m in again] == pytest.approx([m.score for m in found], abs=1e-5)
    store.delete([found[0].record.id])
    for _ in range(3):
        left = store.search(query, 100, where)
        assert [m.record.id for m in left] == [m.record.id for m in found[1:]]
    store.upsert(points(clustered(30), start=rare * 30))
    assert len(store.search(query, 100, where)) == 30
    most = store.search(clustered(1)[0], 5000, [Condition("rare", (3,), negated=True)])
    assert len(most) == COUNT - 30
    store.close()


@pytest.mark.usefixtures("small")
def test_compact_vectors_are_indexed_and_full_ones_compared(tmp_path: Path) -> None:
    vectors = clustered()
    store = FaissStore(tmp_path / "store", {"full": DIMENSION, "compact": 8})
    store.upsert([Record(r.id, r.payload, r.vector, r.best[:8]) for r in points(vectors)])
    store.optimize()
    index, labels = store.raw()
    assert (index.d, index.ntotal, len(labels)) == (8, COUNT, COUNT)
    query = clustered(1, seed=4)[0]
    found = store.search(query, 10)
    best = np.argsort(-(vectors @ query))[:10]
    assert [m.record.id for m in found] == [painting_id(str(i)) for i in best]
    store.close()


@pytest.mark.usefixtures("small")
def test_the_raw_index_answers_with_labels_of_paintings(tmp_path: Path) -> None:
    store = filled(tmp_path / "store")
    store.delete([painting_id("0")])
    index, labels = store.raw()
    assert isinstance(index, faiss.Index)
    assert index.metric_type == faiss.METRIC_INNER_PRODUCT
    vectors = clustered()
    _, found = index.search(vectors[5:8], 1)
    assert [labels[label] for label in found[:, 0]] == [painting_id(str(i)) for i in (5, 6, 7)]
    assert index.ntotal == len(labels) == COUNT - 1
    store.close()


@pytest.mark.usefixtures("small")
def test_newer_vectors_too_many_for_memory_are_read_from_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = filled(tmp_path / "store")
    store.optimize()
    monkeypatch.setattr(faiss_index, "_TAIL_BYTES", 1000)
    fresh = clustered(90, seed=5)
    store.upsert(points(fresh, start=COUNT))
    queries = clustered(20, seed=9)
    assert recall(store, np.concatenate([clustered(), fresh]), queries) > 0.95
    only = store.search(fresh[3], 5, [Condition("rare", (100, 101, 102))])
    assert only[0].record.id == painting_id(str(COUNT + 3))
    store.close()


@pytest.mark.parametrize("factory", ["HNSW32,SQfp16", "IVF32,SQfp16"])
@pytest.mark.usefixtures("small")
def test_gpus_answer_searches_without_a_filter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, factory: str
) -> None:
    """There is no GPU here: what is copied to one is searched on the CPU instead."""
    copies = []

    def copy(index: faiss.Index, co: object = None) -> faiss.Index:
        copies.append(faiss.clone_index(index))
        return copies[-1]

    monkeypatch.setattr(faiss, "get_num_gpus", lambda: 1)
    monkeypatch.setattr(faiss, "index_cpu_to_all_gpus", copy)
    monkeypatch.setattr(faiss, "GpuParameterSpace", faiss.ParameterSpace)
    monkeypatch.setattr(faiss_segment, "_GPU_AFTER", 3)
    monkeypatch.setattr(faiss, "GpuMultipleClonerOptions", lambda: type("Options", (), {})())
    store = filled(tmp_path / "store", Wanted(factory=factory))
    store.optimize()
    vectors, queries = clustered(), clustered(40, seed=9)
    assert not copies
    assert recall(store, vectors, queries) > 0.9
    assert [index.ntotal for index in copies] == [COUNT]
    assert recall(store, vectors, queries, Condition("tenth", (3,))) > 0.9
    store.close()


def test_the_note_beside_the_index_tells_what_was_built(tmp_path: Path) -> None:
    import sqlite3

    store = filled(tmp_path / "store", Wanted(factory="HNSW32"))
    store.optimize()
    store.close()
    with sqlite3.connect(tmp_path / "store" / "points.sqlite") as base:
        (text,) = base.execute("SELECT value FROM meta WHERE name = 'index'").fetchone()
    plan = json.loads(text)["plan"]
    assert plan["factory"] == "HNSW32"
    assert 0.95 <= plan["recall"] <= 1
