"""Above a size the store builds HNSW: it says so, and its recall is measured, not assumed."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from paint_search.painting import Record, painting_id
from paint_search.search.filters import Condition
from paint_search.search.recall import measure_recall
from paint_search.search.stores import edge

COUNT, DIMENSION = 3000, 64


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> edge.EdgeStore:
    monkeypatch.setattr(edge, "_EXACT_BYTES", 64 * 1024)
    monkeypatch.setattr(edge, "_COMPARED_KIB", 40)  # 320 vectors: one in ten of them
    store = edge.EdgeStore(tmp_path / "store", {"full": DIMENSION})
    vectors = np.random.default_rng(0).standard_normal((COUNT, DIMENSION), dtype=np.float32)
    store.upsert(
        [
            Record(painting_id(str(i)), {"path": str(i), "even": i % 2, "number": i}, vector)
            for i, vector in enumerate(vectors)
        ]
    )
    return store


def test_before_optimizing_search_is_exact_and_recall_is_not_asked(store: edge.EdgeStore) -> None:
    assert not store.approximate()
    assert measure_recall(store) is None
    store.close()


def test_after_optimizing_search_is_approximate_with_a_measured_recall(
    store: edge.EdgeStore,
) -> None:
    store.optimize()
    assert store.approximate()
    assert store.count() == COUNT
    recall = measure_recall(store)
    assert recall is not None
    assert 0.95 <= recall <= 1
    store.close()


def test_exact_search_ignores_the_approximate_index(store: edge.EdgeStore) -> None:
    store.optimize()
    records = list(store.scroll(vectors=True))
    vectors = np.array([record.vector for record in records])
    scores = vectors @ vectors[0]
    wanted = {records[i].id for i in np.argsort(-scores)[:20]}
    found = store.search(vectors[0], 20, exact=True)
    assert {match.record.id for match in found} == wanted
    even = store.search(vectors[0], 20, [Condition("even", values=(0,))])
    assert {match.record.payload["even"] for match in even} == {0}
    store.close()


@pytest.mark.parametrize("kept", [30, 300, 400, 600, 1000, 1500, 2900])
def test_few_neighbours_are_missed_however_much_a_filter_keeps(
    store: edge.EdgeStore, kept: int
) -> None:
    store.optimize()
    where = [Condition("number", low=0, high=kept - 1)]
    records = list(store.scroll(where, vectors=True))
    vectors = np.array([record.vector for record in records])
    queries = np.random.default_rng(1).standard_normal((50, DIMENSION), dtype=np.float32)
    hits = 0
    for query, row in zip(queries, store.search_many(queries, 10, where), strict=True):
        wanted = {records[i].id for i in np.argsort(-(vectors @ query))[:10]}
        hits += len(wanted & {match.record.id for match in row})
    assert len(records) == kept
    assert hits / 500 >= 0.95
    store.close()


def test_a_filter_that_leaves_out_the_nearest_finds_the_next(store: edge.EdgeStore) -> None:
    store.optimize()
    queries = np.random.default_rng(1).standard_normal((20, DIMENSION), dtype=np.float32)
    hits = 0
    for query in queries:
        nearest = store.search(query, 60, exact=True)
        numbers = tuple(match.record.payload["number"] for match in nearest)
        where = [Condition("number", numbers[:50], negated=True)]
        found = store.search(query, 10, where)
        (again,) = store.search_many(query[None], 10, where)
        assert [match.record.id for match in found] == [match.record.id for match in again]
        assert not {match.record.payload["number"] for match in found} & set(numbers[:50])
        wanted = {match.record.id for match in nearest[50:]}
        hits += len(wanted & {match.record.id for match in found})
    assert hits / 200 >= 0.95
    store.close()


def test_points_that_are_not_wanted_are_not_found_by_a_sifted_filter(
    store: edge.EdgeStore,
) -> None:
    store.optimize()
    where = [Condition("number", low=0, high=2699)]
    query = np.random.default_rng(1).standard_normal(DIMENSION, dtype=np.float32)
    found = [match.record.id for match in store.search(query, 11, where)]
    left = store.search(query, 10, where, without=found[:1])
    assert [match.record.id for match in left] == found[1:]
    store.close()


def test_a_rare_filter_does_not_depend_on_the_graph(
    store: edge.EdgeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(edge, "_EFS", (1,))  # a search that misses nearly everything
    store.optimize()
    queries = np.random.default_rng(1).standard_normal((50, DIMENSION), dtype=np.float32)

    def found(kept: int, *, exact: bool) -> list[str]:
        where = [Condition("number", low=0, high=kept - 1)]
        rows = store.search_many(queries, 3, where, exact=exact)
        return [match.record.id for row in rows for match in row]

    assert found(1500, exact=False) != found(1500, exact=True)
    assert found(600, exact=False) == found(600, exact=True)
    store.close()


def test_the_effort_is_the_least_that_finds_nearly_all_and_is_remembered(
    store: edge.EdgeStore, tmp_path: Path
) -> None:
    store.optimize()
    said = store.describe()
    recall = measure_recall(store)
    assert recall is not None
    assert recall >= 0.99
    store.close()
    again = edge.EdgeStore(tmp_path / "store", {"full": DIMENSION})
    assert again.describe() == said != f"HNSW (m=16, ef={edge._EF})"
    again.close()
    (tmp_path / "store" / "effort.json").write_text("{damaged")
    damaged = edge.EdgeStore(tmp_path / "store", {"full": DIMENSION})
    assert damaged.describe() == f"HNSW (m=16, ef={edge._EF})"
    damaged.close()


def test_vectors_of_zeros_do_not_disturb_the_choice(store: edge.EdgeStore) -> None:
    zeros = np.zeros(DIMENSION, dtype=np.float32)
    store.upsert([Record(painting_id(str(i)), {"path": str(i)}, zeros) for i in range(300)])
    store.optimize()
    recall = measure_recall(store)
    assert recall is not None
    assert 0.95 <= recall <= 1
    store.close()


def test_the_effort_is_chosen_anew_only_after_something_was_built(
    store: edge.EdgeStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen: list[int] = []
    choose = edge.choose_effort

    def counted(*given: Any) -> None:
        chosen.append(len(chosen))
        choose(*given)

    monkeypatch.setattr(edge, "choose_effort", counted)
    store.optimize()
    store.optimize()
    assert len(chosen) == 1
    store.delete([painting_id(str(i)) for i in range(COUNT // 2)])
    store.optimize()
    assert len(chosen) == 2
    (tmp_path / "store" / "effort.json").unlink()
    store.optimize()
    assert len(chosen) == 3
    store.close()
