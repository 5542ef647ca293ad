"""The ways in which one store can be searched, tried on its own paintings: how good, how fast.

Recall@10 is the share of the ten nearest by exact search on the best vectors there are that a way
finds. Two steps are tried with paintings of the collection, not counted themselves. A graph is
tried with vectors from outside it: a painting that is one of its nodes is easier to find, by up to
two neighbours in a hundred. Nothing here is estimated.
"""

import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from paint_search.painting import Record
from paint_search.search.outside import step_outside
from paint_search.search.stores.base import Candidates, Match, Store, VectorName

#: What a search promises, and the margin that a sample of queries leaves to chance.
TARGET: Final = 0.99
_MARGIN: Final = 0.005

_QUERIES: Final = 100
_OUTSIDE: Final = 1000  # half to choose with, half to measure with
_TIMED: Final = 20
_K: Final = 10
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
        found = [_ids(_in_two_steps(store, query, factor)) for query in queries]
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
    queries = _sample(store, _QUERIES)
    truth = _truth(store, queries)
    ways: dict[str, Callable[[Record], list[Match]]] = {
        "full vectors, exact": lambda query: _exactly(store, query),
        f"two steps, {oversampling} times as many candidates": lambda query: _in_two_steps(
            store, query, oversampling
        ),
        "compact vectors alone": lambda query: _alone(store, query),
    }
    return [
        Way(
            name,
            _milliseconds(search, queries[:_TIMED]),
            None if number == 0 else _recall([_ids(search(query)) for query in queries], truth),
        )
        for number, (name, search) in enumerate(ways.items())
    ]


def _in_two_steps(store: Store, query: Record, oversampling: int) -> list[Match]:
    among = Candidates(_vector(query, "compact"), oversampling * _K)
    return store.search(_vector(query, "full"), _K, among=among, without={query.id})


def _truth(store: Store, queries: Sequence[Record]) -> list[set[str]]:
    """Return the nearest by exact search on full vectors, without the queries."""
    vectors = np.array([_vector(query, "full") for query in queries])
    found = store.search_many(vectors, _K + 1, exact=True) if queries else []
    return [
        _ids([match for match in row if match.record.id != query.id][:_K])
        for query, row in zip(queries, found, strict=True)
    ]


def _nearest(
    store: Store, vectors: NDArray[np.float32], using: VectorName, *, exact: bool
) -> list[set[str]]:
    """Return the nearest to each vector, asked all at once."""
    found = store.search_many(vectors, _K, using=using, exact=exact) if len(vectors) else []
    return [_ids(row) for row in found]


def _from_outside(store: Store, using: VectorName) -> NDArray[np.float32]:
    """Return vectors, (n, d), near paintings of the collection, but not in it."""
    vectors = np.array([_vector(record, using) for record in _sample(store, _OUTSIDE)])
    if not len(vectors):
        return vectors
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors /= np.where(norms > 0, norms, 1)
    nearest = [row[-1].score for row in store.search_many(vectors, 2, using=using, exact=True)]
    return step_outside(vectors, np.array(nearest, dtype=np.float32))


def _exactly(store: Store, query: Record) -> list[Match]:
    return store.search(_vector(query, "full"), _K, without={query.id}, exact=True)


def _alone(store: Store, query: Record) -> list[Match]:
    vector = _vector(query, "compact")
    return store.search(vector, _K, using="compact", without={query.id})


def _vector(query: Record, kind: VectorName) -> NDArray[np.float32]:
    return np.asarray(query.vector if kind == "full" else query.compact)


def _sample(store: Store, count: int) -> list[Record]:
    """Return the first points in the order of their ids, which are hashes and so at random."""
    points = (record for record in store.scroll(vectors=True) if record.best is not None)
    return list(itertools.islice(points, count))


def _ids(matches: Sequence[Match]) -> set[str]:
    return {match.record.id for match in matches}


def _recall(found: Sequence[set[str]], truth: Sequence[set[str]]) -> float:
    wanted = sum(map(len, truth))
    kept = sum(len(a & b) for a, b in zip(found, truth, strict=True))
    return kept / wanted if wanted else 1.0


def _milliseconds(search: Callable[[Record], list[Match]], queries: Sequence[Record]) -> float:
    times = []
    for query in queries:
        start = time.perf_counter()
        search(query)
        times.append(1000 * (time.perf_counter() - start))
    return float(np.median(times)) if times else 0.0
