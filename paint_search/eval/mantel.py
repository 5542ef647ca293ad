"""Two label x label matrices in, or two trees of the same labels; how well they agree, out.

The cells of a matrix of similarities are not independent of each other, so that an ordinary
p value would be far too small; the Mantel test permutes labels instead of cells.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from paint_search.errors import EvalError
from paint_search.eval.clusters import Hierarchy
from paint_search.eval.inputs import Floats


@dataclass(frozen=True)
class Mantel:
    """Agreement of two matrices (Mantel 1967).

    Attributes:
        r: Pearson correlation of the cells above the diagonals.
        p_value: share of permutations, the labels as they are counted among them, that reach r.
        permutations: how many random ones there were.
        labels: rows of the matrices.
    """

    r: float
    p_value: float
    permutations: int
    labels: int


def mantel(a: npt.ArrayLike, b: npt.ArrayLike, *, permutations: int = 999, seed: int = 0) -> Mantel:
    """Test whether two symmetric matrices over the same labels go together (one-sided).

    Args:
        a: (m, m); the diagonal is not looked at.
        b: (m, m).
        permutations: random orders of the labels of one matrix.
        seed: of the permutations.

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
        reached += (left[np.ix_(order, order)] * right).sum() / 2 >= r - 1e-12
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


def _standardised(matrix: Floats) -> Floats:
    """Return the matrix with mean 0 and sum of squares 1 above the diagonal, 0 on it."""
    above = matrix[np.triu_indices(len(matrix), 1)]
    centred = matrix - above.mean()
    np.fill_diagonal(centred, 0)
    scale = np.sqrt((centred**2).sum() / 2)
    # What rounding leaves of equal cells has no direction.
    flat = scale <= 1e-12 * max(1.0, np.abs(above).max())
    return np.full_like(centred, np.nan) if flat else centred / scale
