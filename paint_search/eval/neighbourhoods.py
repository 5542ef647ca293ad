"""Vectors before and after compression in; how far the neighbours of each work are kept, out.

Recall counts the neighbours that stay among the nearest; trustworthiness and continuity weigh
those that come and go by how far they came or went. Exact, in blocks of works: no table of all
works by all works is ever held.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from paint_search.errors import EvalError
from paint_search.eval.inputs import Floats, Ints, Vectors, unit_rows
from paint_search.eval.neighbours import neighbours, ranking_keys, row_blocks

MOST_TRUSTED = 5000
"""Works that trustworthiness is measured on at most; ranks among all of them are counted."""


@dataclass(frozen=True)
class NeighboursKept:
    """Which share of each work's nearest works is the same before and after compression.

    Attributes:
        ks: the numbers of neighbours, ascending.
        recall: mean over the works, by number of neighbours.
        per_work: (n, len(ks)) the share of each work.
    """

    ks: tuple[int, ...]
    recall: dict[int, float]
    per_work: Floats = field(repr=False)

    def difference(self, other: NeighboursKept, k: int) -> tuple[float, float, float]:
        """Return the recall@k of this less that of the other on the same works, paired.

        Returns:
            The mean difference and the ends of its 95 % interval (normal approximation).

        Raises:
            EvalError: other works, or a k that one of them lacks.
        """
        if len(self.per_work) != len(other.per_work) or k not in self.ks or k not in other.ks:
            raise EvalError(f"Only recalls@{k} of the same works can be subtracted.")
        mine, theirs = (kept.per_work[:, kept.ks.index(k)] for kept in (self, other))
        each = mine - theirs
        mean, error = float(each.mean()), float(each.std(ddof=1) / np.sqrt(len(each)))
        return mean, mean - 1.96 * error, mean + 1.96 * error


@dataclass(frozen=True)
class Trust:
    """How far neighbourhoods can be believed, 1 where they are the same (Venna & Kaski 2001).

    Attributes:
        trustworthiness: low where works that were far apart become neighbours.
        continuity: low where neighbours come to lie far apart.
        neighbours: how many make a neighbourhood.
        works: on how many works it was measured, a random sample where there are more.
    """

    trustworthiness: float
    continuity: float
    neighbours: int
    works: int


def neighbours_kept(
    full: npt.ArrayLike, compact: npt.ArrayLike, ks: Sequence[int] = (1, 10, 50)
) -> NeighboursKept:
    """Measure the recall@k of the compact vectors' neighbours against the full ones'.

    Neighbours are those of `neighbours`: exact, by cosine, never the work itself, ties in the
    order of rows. Where fewer than k other works exist, all of them are neighbours on both sides
    and the recall is 1, which says nothing.

    Args:
        full: (n, d), any norm.
        compact: (n, m), any norm, of the same works.
        ks: numbers of neighbours.

    Raises:
        EvalError: fewer than two works, unlike numbers of works, a k below 1, or a vector
            without direction.
    """
    before, after = _of_the_same_works(full, compact)
    cuts = tuple(sorted(set(ks)))
    if not cuts or cuts[0] < 1:
        raise EvalError(f"Numbers of neighbours must be whole and from 1 up, not {list(ks)}.")
    others = len(before) - 1
    if others < 1:
        raise EvalError(f"Neighbours need at least two works, not {len(before)}.")
    widest = min(cuts[-1], others)
    found, kept = (neighbours(unit, widest).indices for unit in (before, after))
    per_work = np.stack(
        [
            _common(found[:, :width], kept[:, :width]) / width
            for width in (min(k, others) for k in cuts)
        ],
        axis=1,
    )
    means = per_work.mean(axis=0).tolist()
    return NeighboursKept(cuts, dict(zip(cuts, means, strict=True)), per_work)


def trust(full: npt.ArrayLike, compact: npt.ArrayLike, k: int = 10, *, seed: int = 0) -> Trust:
    """Measure trustworthiness and continuity of the compact vectors at k neighbours.

    1 - 2 / (n k (2 n - 3 k - 1)) times the sum, over works and those of their k neighbours that
    are none on the other side, of the rank there less k. The neighbours are the compact vectors'
    and the ranks the full ones' for trustworthiness, the other way round for continuity.

    Args:
        full: (n, d), any norm.
        compact: (n, m), any norm, of the same works.
        k: number of neighbours, less than half of the works.
        seed: of the sample, where there are more than `MOST_TRUSTED` works.

    Raises:
        EvalError: k below 1 or not less than half of the works, unlike numbers of works, or a
            vector without direction.
    """
    before, after = _of_the_same_works(full, compact)
    if len(before) > MOST_TRUSTED:
        rng = np.random.default_rng(seed)
        rows = np.sort(rng.choice(len(before), MOST_TRUSTED, replace=False))
        before, after = before[rows], after[rows]
    n = len(before)
    if not 1 <= k < n / 2:
        raise EvalError(
            f"Trustworthiness at {k} neighbours needs more than {max(2 * k, 2)} works, not {n}."
        )
    scale = 2 / (n * k * (2 * n - 3 * k - 1))
    came, went = (
        scale * _excess_ranks(there, neighbours(here, k).indices, k)
        for here, there in ((after, before), (before, after))
    )
    return Trust(1 - came, 1 - went, k, n)


def _of_the_same_works(full: npt.ArrayLike, compact: npt.ArrayLike) -> tuple[Vectors, Vectors]:
    before, after = unit_rows(full, np.float32), unit_rows(compact, np.float32)
    if len(before) != len(after):
        raise EvalError(
            f"{len(after)} compact vectors were given for {len(before)} full ones; they must be "
            "of the same works."
        )
    return before, after


def _common(a: Ints, b: Ints) -> Ints:
    """Return how many of each row of `a` are in the same row of `b`; within a row all differ."""
    both = np.sort(np.concatenate([a, b], axis=1), axis=1)
    return np.asarray(np.count_nonzero(both[:, 1:] == both[:, :-1], axis=1))


def _excess_ranks(unit: Vectors, found: Ints, k: int) -> int:
    """Return the sum of rank - k over the rows in `found` (n, k) that rank beyond k in `unit`."""
    total = 0
    for block in row_blocks(len(unit), len(unit)):
        keys = ranking_keys(unit[block] @ unit.T)
        line = np.arange(block.stop - block.start)
        keys[line, line + block.start] = np.iinfo(np.int64).min
        for column in range(k):
            key = keys[line, found[block, column]]
            ranks = 1 + np.count_nonzero(keys > key[:, None], axis=1)
            total += int(np.maximum(ranks - k, 0).sum())
    return total
