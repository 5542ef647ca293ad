"""The ways in which one store can be searched, tried on its own paintings: how good, how fast.

Recall@10 is the share of the ten nearest by exact search on the best vectors there are that a way
finds. Two steps are tried with paintings of the collection, not counted themselves. A graph is
tried with vectors from outside it: a painting that is one of its nodes is easier to find, by up to
two neighbours in a hundred. Nothing here is estimated.

In a million vectors, a search that found 0.997 of the neighbours of its own found 0.975 of those of
others, and 0.980 of those of the vectors made here; benchmarks/outside.py has more.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from paint_search.painting import Record
from paint_search.search.stores.base import Store, VectorName, VectorQuery

#: What a search promises, and the margin that a sample of queries leaves to chance.
TARGET: Final = 0.99
_MARGIN: Final = 0.005

_QUERIES: Final = 100
_OUTSIDE: Final = 1000  # half to choose with, half to measure with
_TIMED: Final = 20
_K: Final = 10

#: What is nowhere near another takes this for the nearest: a step must have an end.
_LEAST_COSINE: Final = 0.1

_FACTORS: Final = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256)


@dataclass(frozen=True, slots=True)
class Way:
    """One way to search: its median milliseconds, and recall@10 of exact search on full vectors.

    ``recall`` is None for the way that all others are measured by.
    """

    name: str
    milliseconds: float
    recall: float | None


def choose_oversampling(store: Store) -> tuple[int, float]:
    """Return the least oversampling whose recall@10 is at least 0.995 on a sample, and that recall.

    A promise of 0.99 needs the margin, since another sample scores otherwise. The largest factor
    is returned, with what it reaches, where none is enough.
    """
    queries = _sample(store, _QUERIES)
    truth = _truth(store, queries)
    recall = 1.0
    for factor in _FACTORS:
        found = [_found(store, _in_two_steps(query, factor)) for query in queries]
        recall = _recall(found, truth)
        if recall >= TARGET + _MARGIN:
            break
    return factor, recall


def choose_effort(
    store: Store, using: VectorName, efforts: Sequence[int], take: Callable[[int], None]
) -> None:
    """Make a store take the least effort whose recall@10 is at least 0.995 on vectors from outside.

    The greatest is taken where none is enough.

    Args:
        store: its exact search is the truth.
        using: the vectors that are compared.
        efforts: to try, rising.
        take: makes the store's searches take an effort.
    """
    vectors = _from_outside(store, using)[::2]
    truth = _nearest(store, vectors, using, exact=True)
    for effort in efforts:
        take(effort)
        if _recall(_nearest(store, vectors, using, exact=False), truth) >= TARGET + _MARGIN:
            return


def measure_recall(store: Store, using: VectorName = "full") -> float | None:
    """Return recall@10 of the search by one kind of vectors; None where the store is exact.

    It is measured with other vectors than those that ``choose_effort`` has chosen with.
    """
    if not store.approximate():
        return None
    vectors = _from_outside(store, using)[1::2]
    found = _nearest(store, vectors, using, exact=False)
    return _recall(found, _nearest(store, vectors, using, exact=True))


def measure_ways(store: Store, oversampling: int) -> list[Way]:
    """Measure a store of full and compact vectors: exact search, two steps, compact alone."""
    sample = _sample(store, _QUERIES)
    truth = _truth(store, sample)
    ways: dict[str, list[VectorQuery]] = {
        "full vectors, exact": [_like(record, exact=True) for record in sample],
        f"two steps, {oversampling} times as many candidates": [
            _in_two_steps(record, oversampling) for record in sample
        ],
        "compact vectors alone": [_like(record, "compact") for record in sample],
    }
    return [
        Way(
            name,
            _milliseconds(store, queries[:_TIMED]),
            None if number == 0 else _recall([_found(store, query) for query in queries], truth),
        )
        for number, (name, queries) in enumerate(ways.items())
    ]


def step_outside(vectors: NDArray[np.float32], nearest: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return vectors, (n, d), about as hard to find neighbours of as those of paintings kept out.

    Each is a stored one with half of the random step that would take it as far from there as the
    nearest other is: as directions at random are nearly at right angles, a step of length s makes
    the cosine 1 / sqrt(1 + s²). That half of it does was measured; nothing derives it.

    Args:
        vectors: (n, d) with unit norms.
        nearest: (n,) cosine of each to the nearest other.
    """
    cosines = np.clip(nearest, _LEAST_COSINE, 1.0)[:, None]
    random = np.random.default_rng(2026)
    steps = random.standard_normal(vectors.shape, dtype=np.float32) / vectors.shape[1] ** 0.5
    moved: NDArray[np.float32] = vectors + np.sqrt(cosines**-2 - 1) / 2 * steps
    moved /= np.linalg.norm(moved, axis=1, keepdims=True)
    return moved


def _from_outside(store: Store, using: VectorName) -> NDArray[np.float32]:
    """Return vectors, (n, d), near paintings of the collection, but not in it."""
    vectors = np.array([record.vectors[using] for record in _sample(store, _OUTSIDE)])
    if not len(vectors):
        return vectors
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors /= np.where(norms > 0, norms, 1)
    found = store.search(VectorQuery(vectors, 2, using=using, exact=True))
    return step_outside(vectors, np.array([row[-1].score for row in found], dtype=np.float32))


def _like(record: Record, using: VectorName = "full", **how: Any) -> VectorQuery:
    """Return the query for the neighbours of one painting, without itself."""
    return VectorQuery(record.vectors[using][None], _K, using=using, without={record.id}, **how)


def _in_two_steps(record: Record, oversampling: int) -> VectorQuery:
    return _like(record, codes=record.vectors["compact"][None], oversampling=oversampling)


def _truth(store: Store, sample: Sequence[Record]) -> list[set[str]]:
    """Return the nearest by exact search on full vectors, without the paintings themselves."""
    vectors = np.array([record.vectors["full"] for record in sample])
    found = store.search(VectorQuery(vectors, _K + 1, exact=True)) if sample else []
    ids = ([match.record.id for match in row] for row in found)
    return [
        set([key for key in row if key != record.id][:_K])
        for record, row in zip(sample, ids, strict=True)
    ]


def _nearest(
    store: Store, vectors: NDArray[np.float32], using: VectorName, *, exact: bool
) -> list[set[str]]:
    """Return the nearest to each vector, asked all at once."""
    query = VectorQuery(vectors, _K, using=using, exact=exact)
    found = store.search(query) if len(vectors) else []
    return [{match.record.id for match in row} for row in found]


def _found(store: Store, query: VectorQuery) -> set[str]:
    return {match.record.id for match in store.search(query)[0]}


def _sample(store: Store, count: int) -> list[Record]:
    """Return the first points in the order of their ids, which are hashes and so at random."""
    points = store.scroll(vectors=True, limit=count)
    return [record for record in points if record.best is not None]


def _recall(found: Sequence[set[str]], truth: Sequence[set[str]]) -> float:
    wanted = sum(map(len, truth))
    kept = sum(len(a & b) for a, b in zip(found, truth, strict=True))
    return kept / wanted if wanted else 1.0


def _milliseconds(store: Store, queries: Sequence[VectorQuery]) -> float:
    times = []
    for query in queries:
        start = time.perf_counter()
        store.search(query)
        times.append(1000 * (time.perf_counter() - start))
    return float(np.median(times)) if times else 0.0
