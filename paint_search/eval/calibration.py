"""Predicted probabilities and what came true in; how far the one can be taken for the other, out.

Arrays only: for pairs of works as for classes. A forecast of 0.8 is calibrated where four in five
such forecasts come true.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from paint_search.errors import EvalError
from paint_search.eval.inputs import Bools, Floats, Ints


@dataclass(frozen=True)
class Reliability:
    """A reliability diagram: the forecasts that fall into each of equally wide bins.

    Attributes:
        edges: (bins + 1,) from 0 to 1; a bin holds its upper edge, the first its lower one too.
        counts: (bins,) forecasts in each.
        forecast: (bins,) their mean; NaN in an empty bin.
        observed: (bins,) the share that came true; NaN in an empty bin.
    """

    edges: Floats
    counts: Ints
    forecast: Floats
    observed: Floats


def reliability(
    probabilities: npt.ArrayLike, outcomes: npt.ArrayLike, *, bins: int = 10
) -> Reliability:
    """Sort forecasts into equally wide bins.

    Args:
        probabilities: (n,) of an event, 0 to 1; of a classifier, that of the class it names.
        outcomes: (n,) whether it came true.
        bins: how many.

    Raises:
        EvalError: no forecast, lengths that differ, a probability outside 0 to 1, or no bin.
    """
    forecasts, happened = _checked(probabilities, outcomes)
    place, edges = _bins(forecasts, bins)
    counts = np.bincount(place, minlength=bins)
    with np.errstate(invalid="ignore"):
        forecast = np.bincount(place, weights=forecasts, minlength=bins) / counts
        observed = np.bincount(place, weights=happened, minlength=bins) / counts
    return Reliability(edges, counts, forecast, observed)


def expected_calibration_error(
    probabilities: npt.ArrayLike,
    outcomes: npt.ArrayLike,
    *,
    bins: int = 10,
    weights: npt.ArrayLike | None = None,
) -> float:
    """Return the mean gap between forecast and observed share over equally wide bins, 0 to 1.

    As in Naeini, Cooper & Hauskrecht 2015.

    Args:
        probabilities: (n,) as `reliability`.
        outcomes: (n,) as `reliability`.
        bins: how many.
        weights: (n,) how much each forecast counts, as a resampling does; 1 by default.

    Raises:
        EvalError: as `reliability`.
    """
    forecasts, happened = _checked(probabilities, outcomes)
    place, _ = _bins(forecasts, bins)
    counts = np.ones(len(forecasts)) if weights is None else np.asarray(weights, np.float64)
    gaps = np.bincount(place, weights=counts * (happened - forecasts), minlength=bins)
    return float(np.abs(gaps).sum() / counts.sum())


def _bins(forecasts: Floats, bins: int) -> tuple[Ints, Floats]:
    """Return the bin of each forecast, and the edges of all."""
    if bins < 1:
        raise EvalError(f"A reliability diagram needs at least one bin, not {bins}.")
    edges = np.linspace(0, 1, bins + 1)
    return np.clip(np.searchsorted(edges, forecasts, side="left") - 1, 0, bins - 1), edges


def _checked(probabilities: npt.ArrayLike, outcomes: npt.ArrayLike) -> tuple[Floats, Bools]:
    forecasts = np.asarray(probabilities, dtype=np.float64)
    happened = np.asarray(outcomes, dtype=np.bool_)
    if forecasts.ndim != 1 or forecasts.shape != happened.shape or not len(forecasts):
        raise EvalError(
            f"Calibration needs one outcome for each forecast, not {happened.shape} for "
            f"{forecasts.shape}."
        )
    if not ((forecasts >= 0) & (forecasts <= 1)).all():
        raise EvalError("A probability lies between 0 and 1.")
    return forecasts, happened
