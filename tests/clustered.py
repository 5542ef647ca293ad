"""A small clustered collection in a FAISS store to which it is a large one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from paint_search.painting import Record, painting_id
from paint_search.search import Condition
from paint_search.search.stores import (
    Maker,
    Match,
    Place,
    Store,
    VectorName,
    VectorQuery,
    open_store,
)

COUNT, DIMENSION = 3000, 32
Floats = np.ndarray[tuple[int, ...], np.dtype[np.float32]]


def clustered(count: int = COUNT, seed: int = 0) -> Floats:
    """Unit vectors in float16, so that brute force compares the very numbers that are stored."""
    random = np.random.default_rng(seed)
    centres = np.random.default_rng(0).standard_normal((100, DIMENSION))
    vectors = centres[random.integers(0, 100, count)]
    vectors = vectors + 0.7 * random.standard_normal((count, DIMENSION))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors.astype(np.float16).astype(np.float32)


def points(vectors: Floats, start: int = 0) -> list[Record]:
    return [
        Record(painting_id(str(i)), {"path": str(i), "tenth": i % 10, "rare": i // 30}, vector)
        for i, vector in enumerate(vectors, start=start)
    ]


def faiss_store(
    index: Path, dimensions: dict[VectorName, int], factory: str | None = None, **tuning: Any
) -> Store:
    """Open the FAISS store of an index folder."""
    place = Place("faiss", settings={} if factory is None else {"factory": factory})
    return open_store(index, place, dimensions, Maker("test", "fingerprint"), **tuning)


def opened(index: Path, factory: str | None = None) -> Store:
    """Open a store to which a small collection is a large one."""
    return faiss_store(index, {"full": DIMENSION}, factory, exact_bytes=64 * 1024)


def filled(index: Path, factory: str | None = None) -> Store:
    store = opened(index, factory)
    vectors = clustered()
    for start in range(0, COUNT, 1000):
        store.upsert(points(vectors[start : start + 1000], start))
    return store


def nearest_to(
    vector: Floats, store: Store, limit: int, where: Any = (), **how: Any
) -> list[Match]:
    return store.search(VectorQuery(vector[None], limit, where, **how))[0]


def recall(store: Store, vectors: Floats, queries: Floats, *where: Condition) -> float:
    """Recall@10 against brute force, over queries that are not in the store."""
    kept = [i for i in range(len(vectors)) if all(c.matches({"tenth": i % 10}) for c in where)]
    ids = np.array([painting_id(str(i)) for i in kept])
    truth = np.argsort(-(queries @ vectors[kept].T), axis=1)[:, :10]
    hits = [
        len({match.record.id for match in nearest_to(query, store, 10, where)} & set(ids[best]))
        for query, best in zip(queries, truth, strict=True)
    ]
    return sum(hits) / (10 * len(queries))
