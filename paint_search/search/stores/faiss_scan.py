"""Exact search over the vectors in SQLite, a block at a time, and which labels a filter keeps.

Serves whatever no FAISS index holds. Labels and scores come in pairs of arrays, best first.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from paint_search.search.filters import Condition, Filter
from paint_search.search.stores.base import VectorName
from paint_search.search.stores.faiss_points import Points

#: Most labels of conditions that are remembered until something is written.
_LABELS: Final = 4_000_000

Labels = NDArray[np.int64]
Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Found:
    """Labels and their scores, (n,) each, best first."""

    labels: Labels
    scores: Floats

    @classmethod
    def best(cls, labels: Labels, scores: Floats, k: int) -> "Found":
        """Return the ``k`` of the highest scores."""
        order = np.argsort(-scores, kind="stable")[:k]
        return cls(labels[order], scores[order])

    @classmethod
    def none(cls) -> "Found":
        """Return nothing."""
        return cls(np.empty(0, dtype=np.int64), np.empty(0, dtype=np.float32))

    def merged(self, other: "Found", k: int) -> "Found":
        """Return the ``k`` best of both."""
        labels = np.concatenate([self.labels, other.labels])
        return Found.best(labels, np.concatenate([self.scores, other.scores]), k)

    def without(self, labels: Labels, k: int) -> "Found":
        """Return the ``k`` best that are none of these."""
        kept = ~np.isin(self.labels, labels)
        return Found(self.labels[kept][:k], self.scores[kept][:k])


class Filters:
    """Which labels meet a filter; remembers the latest conditions until something is written."""

    def __init__(self, points: Points) -> None:
        self._points = points
        self._version = points.version
        self._known: dict[str, Labels] = {}

    def kept(self, labels: Labels, where: Filter) -> Mask:
        """Tell of each of these labels, rising, whether it meets all conditions."""
        kept = np.ones(len(labels), dtype=bool)
        for condition in where:
            holding = self._holding(condition)
            at = np.searchsorted(labels, holding)
            at = at[at < len(labels)] if len(at) else at
            holds = np.zeros(len(labels), dtype=bool)
            holds[at[labels[at] == holding[: len(at)]]] = True
            kept &= holds != condition.negated
        return kept

    def _holding(self, condition: Condition) -> Labels:
        if self._version != self._points.version:
            self._known.clear()
            self._version = self._points.version
        known = repr(condition)  # 1 == 1.0 == True, but not as text
        if known not in self._known:
            labels = self._points.labels_holding(condition)
            held = sum(map(len, self._known.values()))
            if held + len(labels) > _LABELS:
                self._known.clear()
            self._known[known] = labels
        return self._known[known]


def scan(
    points: Points,
    name: VectorName,
    queries: Floats,
    k: int,
    *,
    keeps: Callable[[Labels], Mask] | None = None,
    after: int = 0,
) -> list[Found]:
    """Return the ``k`` nearest to each query by inner product, reading every vector once.

    Args:
        points: where.
        name: which vectors.
        queries: (q, d).
        k: how many.
        keeps: tells of labels, rising, which take part; all by default.
        after: only labels above this one.
    """
    import faiss

    best = [Found.none() for _ in queries]
    for labels, vectors in points.blocks(name, after):
        if keeps is not None:
            kept = keeps(labels)
            labels, vectors = labels[kept], vectors[kept]
        if len(labels):
            scores, at = faiss.knn(
                queries, vectors, min(k, len(labels)), metric=faiss.METRIC_INNER_PRODUCT
            )
            best = [
                found.merged(Found(labels[row], score), k)
                for found, row, score in zip(best, at, scores, strict=True)
            ]
    return best


def rank(points: Points, name: VectorName, query: Floats, labels: Labels, k: int) -> Found:
    """Return the ``k`` nearest to a query, (d,), among these labels, by their stored vectors."""
    found, vectors = points.vectors(name, labels)
    return Found.best(found, vectors @ query, k)


def spread_out(found: Found, vectors: Floats, k: int, spread: float) -> Found:
    """Return ``k`` of what was found by maximal marginal relevance, in the order they are chosen.

    The next is always the one of the greatest (1 - spread) * score - spread * (greatest cosine to
    those chosen before), the first the nearest, as in Qdrant. Scores stay cosines to the query.

    Reference: Carbonell and Goldstein, The use of MMR, diversity-based reranking, SIGIR 1998.

    Args:
        found: candidates.
        vectors: theirs, (n, d), in that order.
        k: how many.
        spread: 0 for relevance alone, 1 for variety alone.
    """
    chosen: list[int] = []
    nearest = np.full(len(vectors), -np.inf, dtype=np.float32)
    worth = found.scores
    for _ in range(min(k, len(vectors))):
        worth = np.where(np.isin(np.arange(len(vectors)), chosen), -np.inf, worth)
        chosen.append(int(np.argmax(worth)))
        nearest = np.maximum(nearest, vectors @ vectors[chosen[-1]])
        worth = (1 - spread) * found.scores - spread * nearest
    return Found(found.labels[chosen], found.scores[chosen])
