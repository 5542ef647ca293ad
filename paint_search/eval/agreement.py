"""Two views of the same rows in: clusters and labels, two matrices, or two trees; agreement out.

Each figure stands beside what chance gives, by permutations. The cells of a matrix of similarities
are not independent of each other, so that an ordinary p value would be far too small; the Mantel
test permutes labels instead of cells.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from paint_search.errors import EvalError
from paint_search.eval.clusters import Hierarchy
from paint_search.eval.inputs import Floats, Ints, Labels, group_labels, plain_fields


@dataclass(frozen=True)
class Measure:
    """One figure of agreement beside chance."""

    value: float  #: the figure
    chance: float  #: its mean over random permutations of the labels
    high: float  #: the 95th percentile of those
    p_value: float  #: share of permutations, itself counted, that reach the figure


@dataclass(frozen=True)
class Agreement:
    """How far clusters follow labels."""

    ari: Measure  #: adjusted Rand index, 0 by chance, 1 for the same partition
    nmi: Measure  #: normalised mutual information (arithmetic mean), above 0 even by chance
    purity: Measure  #: share of rows that carry the most frequent label of their cluster
    rows: int  #: labelled rows compared
    unlabelled: int  #: rows left out
    labels: int  #: number of distinct labels
    clusters: int  #: number of distinct clusters among the rows compared

    def to_dict(self) -> dict[str, Any]:
        """Return the figures, each with its chance, as JSON can carry them."""
        return plain_fields(self)


@dataclass(frozen=True)
class Mantel:
    """Agreement of two matrices (Mantel 1967)."""

    r: float  #: Pearson correlation of the cells above the diagonals
    #: share of permutations, the labels as they are counted among them, that reach r.
    p_value: float
    permutations: int  #: how many random ones there were
    labels: int  #: rows of the matrices


def agreement(
    labels: Labels, clusters: npt.ArrayLike, *, permutations: int = 200, seed: int = 0
) -> Agreement:
    """Compare clusters with labels by ARI, NMI and purity, each beside its value by chance.

    `clusters` are (n,) whole numbers; `permutations` are random reassignments of the labels to the
    rows.

    Raises:
        EvalError: no labelled row, as many labels as clusters are not given, or no permutation.
    """
    codes = np.asarray(clusters)
    groups = group_labels(labels, len(codes))
    used = groups.labelled
    if not len(used) or permutations < 1:
        raise EvalError("Agreement needs at least one labelled row and one permutation.")
    truth, found = groups.codes[used], np.unique(codes[used], return_inverse=True)[1]
    observed = _agreements(truth, found)
    rng = np.random.default_rng(seed)
    chance = np.array([_agreements(rng.permutation(truth), found) for _ in range(permutations)])
    # Summation order varies with the permutation; a rounding error is not a difference.
    reached = (chance >= observed - 1e-12).sum(axis=0)
    columns = (observed, chance.mean(0), np.quantile(chance, 0.95, axis=0))
    p_values = (1 + reached) / (1 + permutations)
    ari, nmi, purity = (Measure(*map(float, row)) for row in np.stack([*columns, p_values], axis=1))
    return Agreement(
        ari, nmi, purity, len(used), groups.unlabelled, len(groups.names), int(found.max()) + 1
    )


def mantel(a: npt.ArrayLike, b: npt.ArrayLike, *, permutations: int = 999, seed: int = 0) -> Mantel:
    """Test whether two symmetric matrices over the same labels go together (one-sided).

    `a` and `b` are (m, m), their diagonals not looked at; `permutations` are random orders of the
    labels of one.

    Returns:
        The test; r and p are NaN where all cells of a matrix are equal.

    Raises:
        EvalError: not two square matrices of one size, fewer than three labels, or no permutation.
    """
    left, right = (np.array(matrix, dtype=np.float64) for matrix in (a, b))
    m = len(left)
    if left.shape != (m, m) or right.shape != (m, m) or m < 3 or permutations < 1:
        raise EvalError(
            "A Mantel test takes two square matrices of the same three or more labels and at "
            f"least one permutation, not {left.shape} and {right.shape} with {permutations}."
        )
    left, right = _standardised(left), _standardised(right)
    # Each pair of labels stands twice in a symmetric matrix.
    r = float((left * right).sum() / 2)
    if np.isnan(r):
        return Mantel(r, r, permutations, m)
    rng = np.random.default_rng(seed)
    reached = 0
    for _ in range(permutations):
        order = rng.permutation(m)
        # A rounding error, from another order of summing, is not a difference.
        reached += float((left[np.ix_(order, order)] * right).sum() / 2) >= r - 1e-12
    return Mantel(r, float((1 + reached) / (1 + permutations)), permutations, m)


def tree_correlation(a: Hierarchy, b: Hierarchy) -> float:
    """Correlate the cophenetic distances of two trees over the same leaves (Sokal & Rohlf 1962).

    The cophenetic distance of two leaves is the height at which they meet; where it correlates
    perfectly, the trees join the same leaves in the same order.

    Returns:
        Pearson's r over all pairs of leaves; NaN where all leaves of one tree meet at one height.

    Raises:
        EvalError: other leaves.
    """
    from scipy.cluster.hierarchy import cophenet

    if a.names != b.names:
        raise EvalError("Only trees over the same leaves, in the same order, can be compared.")
    heights = [cophenet(tree.linkage) for tree in (a, b)]
    if any(np.ptp(column) < 1e-12 for column in heights):
        return float("nan")
    return float(np.corrcoef(*heights)[0, 1])


def _agreements(truth: Ints, found: Ints) -> Floats:
    """Return ARI (Hubert & Arabie 1985), NMI and purity of two codings that leave no number out.

    scikit-learn's figures, from the cells that are not empty; its own functions check their
    arguments for milliseconds, which hundreds of permutations cannot afford.
    """
    rows, width = len(truth), int(found.max()) + 1
    where, cells = np.unique(truth * width + found, return_counts=True)
    of_truth, of_found = np.bincount(truth), np.bincount(found)
    most = np.zeros(width)
    np.maximum.at(most, where % width, cells)

    both, one, other = (float(part @ (part - 1)) for part in (cells, of_truth, of_found))
    expected = one * other / max(1, rows * (rows - 1))
    ari = 1.0 if one == both == other else (both - expected) / ((one + other) / 2 - expected)

    joint, left, right = (
        float(part @ np.log(part / rows)) / -rows for part in (cells, of_truth, of_found)
    )
    shared = left + right - joint
    alone = len(of_truth) == len(of_found) == 1
    nmi = 1.0 if alone else 2 * shared / (left + right) if shared > np.finfo(float).eps else 0.0
    return np.array([ari, nmi, most.sum() / rows])


def _standardised(matrix: Floats) -> Floats:
    """Return the matrix with mean 0 and sum of squares 1 above the diagonal, 0 on it."""
    above = matrix[np.triu_indices(len(matrix), 1)]
    centred = matrix - above.mean()
    np.fill_diagonal(centred, 0)
    scale = np.sqrt((centred**2).sum() / 2)
    # What rounding leaves of equal cells has no direction.
    flat = scale <= 1e-12 * max(1.0, np.abs(above).max())
    return np.full_like(centred, np.nan) if flat else centred / scale
