"""Predicted probabilities and what came true in; how far they can be believed, out.

For pairs of works as for classes. A forecast of 0.8 is calibrated where four in five such come
true. Split conformal prediction makes sets of classes of them, from works that the model has not
learned from: they hold the true class as often as stated, over all works to come from the same
source, not over each class, nor for works of another kind.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from paint_search.errors import EvalError
from paint_search.eval.inputs import Bools, Floats, Ints


@dataclass(frozen=True)
class Reliability:
    """A reliability diagram: the forecasts that fall into each of equally wide bins."""

    #: (bins + 1,) from 0 to 1; a bin holds its upper edge, the first its lower one too.
    edges: Floats
    counts: Ints | Floats  #: (bins,) forecasts in each, or their weights
    forecast: Floats  #: (bins,) their mean; NaN in an empty bin
    observed: Floats  #: (bins,) the share that came true; NaN in an empty bin

    @property
    def error(self) -> float:
        """Expected calibration error: the mean gap between forecast and observed share, 0 to 1.

        As in Naeini, Cooper & Hauskrecht 2015.
        """
        gaps = self.counts * np.abs(self.observed - self.forecast)
        return float(np.nansum(gaps) / self.counts.sum())


def reliability(
    probabilities: npt.ArrayLike,
    outcomes: npt.ArrayLike,
    *,
    bins: int = 10,
    weights: npt.ArrayLike | None = None,
) -> Reliability:
    """Sort forecasts into equally wide bins.

    Args:
        probabilities: (n,) of an event, 0 to 1; of a classifier, that of the class it names.
        outcomes: (n,) whether it came true.
        bins: how many.
        weights: (n,) how much each forecast counts, as a resampling does; 1 by default.

    Raises:
        EvalError: no forecast, lengths that differ, a probability outside 0 to 1, or no bin.
    """
    forecasts = np.asarray(probabilities, dtype=np.float64)
    happened = np.asarray(outcomes, dtype=np.bool_)
    if forecasts.ndim != 1 or forecasts.shape != happened.shape or not len(forecasts):
        raise EvalError(
            f"Calibration needs one outcome for each forecast, not {happened.shape} for "
            f"{forecasts.shape}."
        )
    if not ((forecasts >= 0) & (forecasts <= 1)).all():
        raise EvalError("A probability lies between 0 and 1.")
    if bins < 1:
        raise EvalError(f"A reliability diagram needs at least one bin, not {bins}.")
    edges = np.linspace(0, 1, bins + 1)
    place = np.clip(np.searchsorted(edges, forecasts, side="left") - 1, 0, bins - 1)
    each = np.ones(len(forecasts), dtype=np.int64) if weights is None else np.asarray(weights)
    counts = np.bincount(place, weights, minlength=bins)
    with np.errstate(invalid="ignore"):
        forecast = np.bincount(place, each * forecasts, minlength=bins) / counts
        observed = np.bincount(place, each * happened, minlength=bins) / counts
    return Reliability(edges, counts, forecast, observed)


def conformal_threshold(probabilities: Floats, truth: Ints, coverage: float) -> float:
    """Return the least probability with which a class belongs into a set.

    Sadinle, Lei and Wasserman 2019, "Least ambiguous set-valued classifiers with bounded error
    levels": the ceil((n + 1) coverage)-th highest probability of the true class.

    Args:
        probabilities: (n, c) of works that the model has not learned from.
        truth: (n,) their classes, columns of `probabilities`.
        coverage: share of works to come whose set is to hold the true class, between 0 and 1.

    Returns:
        0 where n is too small to promise so much without all classes in every set.

    Raises:
        EvalError: no work, or a coverage outside (0, 1).
    """
    if not 0 < coverage < 1 or not len(truth):
        raise EvalError(
            f"Sets need at least one work to be set by, and a coverage between 0 and 1, not "
            f"{coverage} by {len(truth)} works."
        )
    of_truth = np.sort(probabilities[np.arange(len(truth)), truth])[::-1]
    place = math.ceil((len(truth) + 1) * coverage)
    return float(of_truth[place - 1]) if place <= len(truth) else 0.0


def prediction_sets(probabilities: npt.ArrayLike, threshold: float) -> Bools:
    """Return which classes (n, c) belong into the set of each work; the likeliest always does."""
    likely = np.asarray(probabilities, dtype=np.float64)
    sets = likely >= threshold
    sets[np.arange(len(likely)), likely.argmax(axis=1)] = True
    return sets
