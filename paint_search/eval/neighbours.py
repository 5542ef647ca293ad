"""Vectors in; the nearest works of each out.

Scores are cosines, computed in blocks of queries: there is never a table of all works by all
works. Exact and deterministic: works that score alike come in the order of their rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from paint_search.errors import EvalError
from paint_search.eval.inputs import Ints, Selection, Vectors, row_selection, unit_rows

_BLOCK_CELLS = 2**22  # query x gallery scores held at once: some 100 MB with their sort keys
TIE = 2**20  # scores closer than 1e-6 are a tie: float32 products carry no more


@dataclass(frozen=True)
class Neighbours:
    """The nearest works of each query, best first."""

    queries: Ints  #: (q,) row of each query
    indices: Ints  #: (q, k) rows of its neighbours, -1 where there are fewer than k
    scores: npt.NDArray[np.float32]  #: (q, k) their cosines, NaN where there are fewer than k


def neighbours(
    vectors: npt.ArrayLike,
    k: int,
    *,
    queries: Selection | None = None,
    gallery: Selection | None = None,
) -> Neighbours:
    """Find the k nearest works of each query by cosine, the query itself never among them.

    Exact, in float32; works whose scores agree to 1e-6 come in the order of their rows.

    `k` may exceed the number of works; -1 and NaN fill the rest.

    Raises:
        EvalError: k below 1, a vector without direction, a selection out of range.
    """
    if k < 1:
        raise EvalError(f"The number of neighbours must be at least 1, not {k}.")
    unit = unit_rows(vectors, np.float32)
    asking, searched = row_selection(queries, len(unit)), row_selection(gallery, len(unit))
    indices = np.full((len(asking), k), -1, dtype=np.int64)
    scores = np.full((len(asking), k), np.nan, dtype=np.float32)
    for block, found, cosines in ranked_blocks(unit, asking, searched, k):
        indices[block, : found.shape[1]] = found
        scores[block, : found.shape[1]] = cosines
    return Neighbours(asking, indices, scores)


def ranked_blocks(
    unit: Vectors, queries: Ints, gallery: Ints, width: int
) -> Iterator[tuple[slice, Ints, npt.NDArray[np.float32]]]:
    """Yield blocks of queries with the rows and cosines of their nearest works, best first.

    Rankings are min(width, len(gallery)) wide; where a query itself is the only work left, they
    hold -1 and NaN.
    """
    size = len(gallery)
    width = min(width, size)
    column = np.full(len(unit), -1)
    column[gallery] = np.arange(size)
    searched = unit if size == len(unit) else unit[gallery]
    nothing = np.iinfo(np.int64).min
    for block in row_blocks(len(queries), size):
        scores = unit[queries[block]] @ searched.T
        keys = ranking_keys(scores)
        itself = column[queries[block]]
        keys[itself >= 0, itself[itself >= 0]] = nothing
        if width < size:
            keys.partition(size - width, axis=1)
        best = np.sort(keys[:, size - width :], axis=1)[:, ::-1]
        columns = size - 1 - best % size
        cosines = np.take_along_axis(scores, columns, axis=1).clip(-1, 1)
        missing = best == nothing
        yield block, np.where(missing, -1, gallery[columns]), np.where(missing, np.nan, cosines)


def ranking_keys(scores: Vectors) -> Ints:
    """Return whole numbers that rank each row of scores as `neighbours` does, the highest best.

    A score, rounded to the tie resolution, and its column make one number; all of a row differ,
    so that every ranking has one answer.
    """
    size = scores.shape[1]
    return np.asarray(np.rint(scores * TIE).astype(np.int64) * size + np.arange(size)[::-1])


def row_blocks(rows: int, columns: int) -> Iterator[slice]:
    """Split rows so that a block of rows x columns numbers stays within the memory set above."""
    step = max(1, min(1024, _BLOCK_CELLS // max(1, columns)))
    for start in range(0, rows, step):
        yield slice(start, min(start + step, rows))
