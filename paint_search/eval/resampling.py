"""Bootstrap of works within their labels: how often each is drawn, and what interval comes out.

Every study that shows an interval resamples in this one way, so that the same seed means the
same resamples. Works of one label are never traded for works of another.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from paint_search.errors import EvalError
from paint_search.eval.inputs import Floats, Ints

CELLS = 2**26
"""Resampled figures held at once: 256 MB in float32."""


def resample_weights(counts: Ints, samples: int, seed: int) -> npt.NDArray[np.float32]:
    """Draw how often each work occurs in each resample.

    Args:
        counts: (labels,) works of each label.
        samples: how many resamples.
        seed: of the random generator.

    Returns:
        (samples, counts.sum()) whole numbers, works in the order of their labels; those of one
        label sum to its count in every resample.

    Raises:
        EvalError: fewer than two resamples.
    """
    if samples < 2:
        raise EvalError(f"An interval needs at least 2 resamples, not {samples}.")
    rng = np.random.default_rng(seed)
    draws = [rng.multinomial(n, np.full(n, 1 / n), size=samples) for n in counts]
    return np.concatenate(draws, axis=1).astype(np.float32)


def percentile_interval(draws: npt.NDArray[Any], level: float) -> npt.NDArray[Any]:
    """Return the lower and upper percentile over the first axis, NaN left out: shape (2, ...).

    `draws` is overwritten. EvalError: a level outside (0, 1).
    """
    if not 0 < level < 1:
        raise EvalError(f"The level of an interval must lie between 0 and 1, not {level}.")
    tails = (1 - level) / 2, (1 + level) / 2
    quantile = np.nanquantile if np.isnan(draws).any() else np.quantile
    return np.asarray(quantile(draws, tails, axis=0, overwrite_input=True))


def pair_intervals(
    draw: Callable[[slice], npt.NDArray[np.float32]],
    labels: int,
    samples: int,
    level: float,
    cells: int,
) -> Floats:
    """Return the lower and upper ends of the intervals of every two labels: (2, labels, labels).

    `draw` takes a block of labels, so many that no more than `cells` figures are held, and returns
    the figures with the labels from its first on, (samples, block, labels - block.start); those
    with earlier labels are known by symmetry.
    """
    from threadpoolctl import threadpool_limits

    ends = np.full((2, labels, labels), np.nan)
    step = max(1, cells // max(1, samples * labels))
    for start in range(0, labels, step):
        block = slice(start, min(start + step, labels))
        # Thousands of small products: threads would wait for each other longer than they work.
        with threadpool_limits(1, user_api="blas"):
            draws = draw(block)
        ends[:, block, start:] = percentile_interval(draws, level)
    rows, columns = np.tril_indices(labels, -1)
    ends[:, rows, columns] = ends[:, columns, rows]
    return ends
