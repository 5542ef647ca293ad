"""Stated probabilities and what came true -> how far the two are apart.

Arrays come in, numbers go out. Nothing is fitted here.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from paint_search.errors import EvalError


def expected_calibration_error(
    probabilities: npt.ArrayLike, correct: npt.ArrayLike, bins: int = 15
) -> float:
    """Return the mean distance between stated probability and share that came true.

    Naeini, Cooper and Hauskrecht 2015, "Obtaining well calibrated probabilities using Bayesian
    binning": over bins of equal width, weighted by the number of cases in each.

    Args:
        probabilities: (n,) from 0 to 1.
        correct: (n,) whether each came true.
        bins: how many.

    Raises:
        EvalError: no case, unlike numbers of both, or no bin.
    """
    stated, true = np.asarray(probabilities, dtype=np.float64), np.asarray(correct, dtype=np.bool_)
    if not len(stated) or stated.shape != true.shape or bins < 1:
        raise EvalError(
            f"A calibration error takes as many probabilities as outcomes, not {stated.shape} and "
            f"{true.shape}, and at least one bin."
        )
    places = np.minimum((stated * bins).astype(np.int64), bins - 1)
    gaps = np.bincount(places, stated - true, minlength=bins)
    return float(np.abs(gaps).sum() / len(stated))
