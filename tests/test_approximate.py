"""Above a size the store builds HNSW: it says so, and its recall is measured, not assumed."""

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from clustered import nearest_to
from conftest import copy_tree
from numpy.typing import NDArray

from paint_search.painting import Record, painting_id
from paint_search.search import Condition, choose_effort, measure_recall
from paint_search.search.stores import Maker, Match, Place, Store, VectorQuery, open_store

COUNT, DIMENSION = 3000, 64


def opened(folder: Path, **tuning: Any) -> Store:
    """Open a store that builds a graph at 64 KiB; 40 KiB are 320 vectors, one in ten of them."""
    sizes = {"exact_bytes": 64 * 1024, "compared_kib": 40}
    maker = Maker("test", "fingerprint")
    return open_store(folder, Place(), {"full": DIMENSION}, maker, **sizes, **tuning)


def filled(store: Store, vectors: NDArray[np.float32]) -> Store:
    store.upsert(
        [
            Record(painting_id(str(i)), {"path": str(i), "even": i % 2, "number": i}, vector)
            for i, vector in enumerate(vectors)
        ]
    )
    return store


def at_random(count: int = COUNT) -> NDArray[np.float32]:
    return np.random.default_rng(0).standard_normal((count, DIMENSION), dtype=np.float32)


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a store that has built its graph, closed. To be copied."""
    folder = tmp_path_factory.mktemp("graph") / "built"
    folder.mkdir()
    store = filled(opened(folder), at_random())
    store.optimize()
    store.close()
    return folder


@pytest.fixture(scope="module")
def built(graph: Path) -> Iterator[Store]:
    """A store with its graph. Read only."""
    store = opened(copy_tree(graph, graph.with_name("read")))
    yield store
    store.close()


@pytest.fixture
def copied(graph: Path, tmp_path: Path) -> Path:
    """A copy of the graph's folder, to do anything with."""
    return copy_tree(graph, tmp_path / "copied")


def test_before_optimizing_search_is_exact_and_recall_is_not_asked(tmp_path: Path) -> None:
    store = filled(opened(tmp_path), at_random())
    assert not store.approximate()
    assert measure_recall(store) is None
    store.close()


def test_after_optimizing_search_is_approximate_with_a_measured_recall(built: Store) -> None:
    assert built.approximate()
    assert built.count() == COUNT
    recall = measure_recall(built)
    assert recall is not None
    assert 0.95 <= recall <= 1


def test_exact_search_ignores_the_approximate_index(built: Store) -> None:
    records = list(built.scroll(vectors=True))
    vectors = np.array([record.vector for record in records])
    scores = vectors @ vectors[0]
    wanted = {records[i].id for i in np.argsort(-scores)[:20]}
    found = nearest_to(vectors[0], built, 20, exact=True)
    assert {match.record.id for match in found} == wanted
    even = nearest_to(vectors[0], built, 20, [Condition("even", values=(0,))])
    assert {match.record.payload["even"] for match in even} == {0}


@pytest.mark.parametrize("kept", [30, 300, 400, 600, 1000, 1500, 2900])
def test_few_neighbours_are_missed_however_much_a_filter_keeps(built: Store, kept: int) -> None:
    where = [Condition("number", low=0, high=kept - 1)]
    records = list(built.scroll(where, vectors=True))
    vectors = np.array([record.vector for record in records])
    queries = np.random.default_rng(1).standard_normal((50, DIMENSION), dtype=np.float32)
    hits = 0
    found = built.search(VectorQuery(queries, 10, where))
    for query, row in zip(queries, found, strict=True):
        wanted = {records[i].id for i in np.argsort(-(vectors @ query))[:10]}
        hits += len(wanted & {match.record.id for match in row})
    assert len(records) == kept
    assert hits / 500 >= 0.95


def test_a_filter_that_leaves_out_the_nearest_finds_the_next(built: Store) -> None:
    queries = np.random.default_rng(1).standard_normal((20, DIMENSION), dtype=np.float32)
    hits = 0
    for query in queries:
        nearest = nearest_to(query, built, 60, exact=True)
        numbers = tuple(match.record.payload["number"] for match in nearest)
        where = [Condition("number", numbers[:50], negated=True)]
        found = nearest_to(query, built, 10, where)
        assert not {match.record.payload["number"] for match in found} & set(numbers[:50])
        wanted = {match.record.id for match in nearest[50:]}
        hits += len(wanted & {match.record.id for match in found})
    assert hits / 200 >= 0.95


def test_points_that_are_not_wanted_are_not_found_by_a_sifted_filter(built: Store) -> None:
    where = [Condition("number", low=0, high=2699)]
    query = np.random.default_rng(1).standard_normal(DIMENSION, dtype=np.float32)
    found = [match.record.id for match in nearest_to(query, built, 11, where)]
    left = nearest_to(query, built, 10, where, without=found[:1])
    assert [match.record.id for match in left] == found[1:]


def test_a_rare_filter_does_not_depend_on_the_graph(copied: Path) -> None:
    (copied / "store/effort.json").unlink()
    store = opened(copied, efforts=(1,))  # which misses nearly everything
    store.optimize()
    queries = np.random.default_rng(1).standard_normal((50, DIMENSION), dtype=np.float32)

    def found(kept: int, *, exact: bool) -> list[str]:
        where = [Condition("number", low=0, high=kept - 1)]
        rows = store.search(VectorQuery(queries, 3, where, exact=exact))
        return [match.record.id for row in rows for match in row]

    assert found(1500, exact=False) != found(1500, exact=True)
    assert found(600, exact=False) == found(600, exact=True)
    store.close()


def test_the_effort_finds_nearly_all_and_is_remembered(copied: Path) -> None:
    store = opened(copied)
    said = store.describe()
    recall = measure_recall(store)
    assert recall is not None
    assert recall >= 0.99
    store.close()
    again = opened(copied)
    assert again.describe() == said != "HNSW (m=16, ef=256)"
    again.close()
    (copied / "store/effort.json").write_text("{damaged")
    damaged = opened(copied)
    assert damaged.describe() == "HNSW (m=16, ef=256)"
    damaged.close()


def test_a_small_collection_takes_a_small_effort(tmp_path: Path) -> None:
    store = filled(opened(tmp_path), at_random(700))
    store.optimize()
    assert store.describe() in {f"HNSW (m=16, ef={ef})" for ef in (32, 48, 64, 96)}
    store.close()


class Graph:
    """As much of a store as an effort is chosen by: below ``enough`` it finds half."""

    def __init__(self, enough: int) -> None:
        self.enough, self.effort = enough, 0
        vectors = at_random(40)
        self.vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        self.records = [Record(painting_id(str(i)), {}, v) for i, v in enumerate(self.vectors)]

    def scroll(
        self, where: Any = (), *, vectors: bool = False, limit: int | None = None
    ) -> Iterator[Record]:
        return iter(self.records[:limit])

    def search(self, query: VectorQuery) -> list[list[Match]]:
        enough = query.exact or self.effort >= self.enough
        found = query.limit if enough else query.limit // 2
        rows = query.vectors @ self.vectors.T
        return [
            [Match(self.records[i], float(row[i])) for i in np.argsort(-row)[:found]]
            for row in rows
        ]


@pytest.mark.parametrize(("enough", "taken"), [(0, 1), (1, 1), (3, 4), (8, 8), (9, 8)])
def test_the_effort_is_the_least_that_finds_nearly_all(enough: int, taken: int) -> None:
    graph = Graph(enough)
    choose_effort(cast("Store", graph), "full", (1, 2, 4, 8), partial(setattr, graph, "effort"))
    assert graph.effort == taken


def test_vectors_of_zeros_do_not_disturb_the_choice(tmp_path: Path) -> None:
    store = filled(opened(tmp_path), at_random())
    zeros = np.zeros(DIMENSION, dtype=np.float32)
    store.upsert([Record(painting_id(str(i)), {"path": str(i)}, zeros) for i in range(300)])
    store.optimize()
    recall = measure_recall(store)
    assert recall is not None
    assert 0.95 <= recall <= 1
    store.close()


def test_the_effort_is_chosen_anew_only_after_something_was_built(copied: Path) -> None:
    file, store = copied / "store/effort.json", opened(copied)
    chosen = file.read_text()
    file.write_text('{"ef": 5}')
    store.optimize()
    assert file.read_text() == '{"ef": 5}'
    store.delete([painting_id(str(i)) for i in range(COUNT // 2)])
    store.optimize()
    assert file.read_text() != '{"ef": 5}'
    file.unlink()
    store.optimize()
    assert file.exists()
    assert json.loads(chosen).keys() == {"ef"}
    store.close()
