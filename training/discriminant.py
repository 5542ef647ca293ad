"""Vectors and labels -> the linear map under which paintings of one artist lie closest.

Linear discriminant analysis, softened: the spread within artists is divided out only in part, which
carries over to artists never seen far better than dividing it out whole.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from paint_search.eval.inputs import unit_rows

Floats = NDArray[np.float32]

_SHRINKAGE: Final = 0.2  # of the within-artist covariance, towards a sphere
_EXPONENT: Final = 0.25  # 0.5 would whiten the spread within artists
_MOST_WORKS: Final = 20  # an artist with more works counts as one with so many


@dataclass(frozen=True)
class Discriminant:
    """x -> (x - mean) @ axes; ``mean`` is (d,), ``axes`` (d, k)."""

    mean: Floats
    axes: Floats

    def __call__(self, vectors: Floats) -> Floats:
        """Return the mapped vectors with unit rows, (n, k)."""
        return np.asarray(unit_rows((vectors - self.mean) @ self.axes, np.float32))


def fit_discriminant(vectors: Floats, labels: NDArray[np.int64], dimension: int) -> Discriminant:
    """Fit the map on the labelled rows.

    Args:
        vectors: (n, d).
        labels: (n,) numbers; rows with -1 are left out.
        dimension: how many axes to keep, at most one fewer than there are labels.
    """
    kept = labels >= 0
    vectors, codes = vectors[kept].astype(np.float64), labels[kept]
    counts = np.bincount(codes)
    centres = np.zeros((len(counts), vectors.shape[1]))
    np.add.at(centres, codes, vectors)
    centres /= np.maximum(counts, 1)[:, None]
    mean = vectors.mean(axis=0)
    within = vectors - centres[codes]
    covariance = within.T @ within / len(within)
    sphere = np.eye(len(covariance)) * (np.trace(covariance) / len(covariance))
    values, axes = np.linalg.eigh((1 - _SHRINKAGE) * covariance + _SHRINKAGE * sphere)
    soften = axes * values**-_EXPONENT
    weight = np.sqrt(np.minimum(counts, _MOST_WORKS))[:, None]
    _, _, directions = np.linalg.svd((centres - mean) @ soften * weight, full_matrices=False)
    return Discriminant(
        mean.astype(np.float32), (soften @ directions[:dimension].T).astype(np.float32)
    )
