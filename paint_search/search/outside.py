"""Queries as they come from outside: a graph finds its own nodes sooner than anything else.

In a million vectors, a search that found 0.997 of the neighbours of its own found 0.975 of those of
others, and 0.980 of those of the vectors made here; benchmarks/outside.py has more.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

#: What is nowhere near another takes this for the nearest: a step must have an end.
_LEAST_COSINE: Final = 0.1


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
