"""Vectors in; pairs of rows and their cosines out, and how well two sets of cosines agree.

A figure over pairs costs the same for a hundred works and for a hundred thousand: all pairs where
they are few, else a random sample of them by seed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from paint_search.errors import EvalError
from paint_search.eval.inputs import Floats, Ints, Vectors
from paint_search.eval.neighbours import row_blocks

MOST_PAIRS = 200_000
"""Pairs compared at most: the standard error of a correlation of 0.96 is then 0.0002."""


@dataclass(frozen=True)
class PairCorrelation:
    """How far the order of pairs by cosine is kept.

    Attributes:
        spearman: correlation of the ranks; NaN where all cosines of one side are equal.
        kendall: tau-b, the share of pairs of pairs in the same order less that in the opposite.
        pairs: how many pairs of works were compared.
    """

    spearman: float
    kendall: float
    pairs: int


def pair_correlation(full: Vectors, compact: Vectors, *, seed: int = 0) -> PairCorrelation:
    """Correlate the cosines of pairs of works before and after compression.

    Args:
        full: (n, d) unit rows.
        compact: (n, m) unit rows of the same works.
        seed: of the sample of pairs, where there are more than `MOST_PAIRS`.

    Raises:
        EvalError: fewer than three works, which have no two pairs.
    """
    from scipy.stats import kendalltau, spearmanr

    if len(full) < 3:
        raise EvalError(f"A correlation of pairs needs at least 3 works, not {len(full)}.")
    left, right = some_pairs(len(full), MOST_PAIRS, seed)
    before, after = (pair_cosines(unit, left, right) for unit in (full, compact))
    if np.ptp(before) == 0 or np.ptp(after) == 0:
        return PairCorrelation(float("nan"), float("nan"), len(left))
    return PairCorrelation(
        float(spearmanr(before, after).statistic),
        float(kendalltau(before, after).statistic),
        len(left),
    )


def some_pairs(size: int, most: int, seed: int) -> tuple[Ints, Ints]:
    """Return all pairs of `size` rows, each once, or `most` random ones where they are more."""
    if size * (size - 1) // 2 <= most:
        left, right = np.triu_indices(size, 1)
        return left, right
    rng = np.random.default_rng(seed)
    left = rng.integers(0, size, most)
    # A step of 1..size-1 from a row, past the end to the start, reaches each other row once.
    return left, (left + rng.integers(1, size, most)) % size


def pair_cosines(unit: Vectors, left: Ints, right: Ints) -> Floats:
    """Return the cosine of each pair of rows, a bounded number of pairs at a time."""
    return np.concatenate(
        [
            np.einsum("ij,ij->i", unit[left[block]], unit[right[block]], dtype=np.float64)
            for block in row_blocks(len(left), unit.shape[1])
        ]
    )
