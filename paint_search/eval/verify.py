"""Judged pairs of works in; how well one artist is told from two, with intervals, out.

A pair comes with the probability it was given and the truth. Intervals come from resampling
artists, not pairs: pairs of one artist are not independent of each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from paint_search.errors import EvalError
from paint_search.eval.calibration import Reliability, reliability
from paint_search.eval.inputs import Bools, Floats, Ints, plain, plain_fields
from paint_search.eval.resampling import percentile_interval, resample_weights

THRESHOLD: Final = 0.5
"""Of a calibrated probability, where half of all pairs are of one artist."""


@dataclass(frozen=True)
class ArtistScore:
    """How one artist's works fare."""

    label: str  #: the artist
    same: int  #: pairs of two of the works
    recognised: float  #: share of those taken for one artist's
    other: int  #: pairs of one of the works and one by somebody else
    told_apart: float  #: share of those taken for two artists'


@dataclass(frozen=True)
class Verification:
    """What a set of judged pairs amounts to."""

    pairs: int  #: how many
    artists: int  #: how many they are of
    #: AUC, average precision, accuracy, equal error rate, calibration error, by name.
    figures: dict[str, float]
    intervals: dict[str, tuple[float, float]]  #: (low, high) of each, at 95 %
    #: true negative, false positive / false negative, true positive; positive is "one artist".
    confusion: Ints
    per_artist: list[ArtistScore]  #: by name
    diagram: Reliability  #: forecasts beside what came true

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as JSON can carry it."""
        columns = self.diagram.counts, self.diagram.forecast, self.diagram.observed
        return {
            **plain_fields(self, "pairs", "artists", "figures", "intervals"),
            **plain_fields(self, "confusion", "per_artist"),
            "reliability": [
                dict(zip(("count", "forecast", "observed"), plain(row), strict=True))
                for row in zip(*columns, strict=True)
            ],
        }


def verification(
    probabilities: npt.ArrayLike,
    same: npt.ArrayLike,
    left: Ints,
    right: Ints,
    names: Sequence[str],
    *,
    samples: int = 200,
    seed: int = 0,
) -> Verification:
    """Measure n judged pairs.

    `probabilities` (n,) say that both works are by one artist, `same` (n,) whether they are; `left`
    and `right` (n,) are the artists of the works, indices into `names`. Artists are resampled.

    Raises:
        EvalError: no pair of one, or none of two artists; lengths or probabilities amiss.
    """
    from sklearn.metrics import confusion_matrix

    forecasts, truth = np.asarray(probabilities, np.float64), np.asarray(same, np.bool_)
    diagram = reliability(forecasts, truth)
    if len(left) != len(truth) or len(right) != len(truth):
        raise EvalError(f"{len(truth)} pairs have {len(left)} and {len(right)} artists.")
    if truth.all() or not truth.any():
        raise EvalError("Verification is measured on pairs of one artist and pairs of two.")
    shown, place = np.unique(np.concatenate([left, right]), return_inverse=True)
    a, b = place.reshape(2, -1)
    taken = forecasts >= THRESHOLD
    return Verification(
        pairs=len(truth),
        artists=len(shown),
        figures=_figures(forecasts, truth, np.ones(len(truth))),
        intervals=_intervals(forecasts, truth, a, b, len(shown), samples, seed),
        confusion=confusion_matrix(truth, taken),
        per_artist=_per_artist(taken, truth, a, b, [names[code] for code in shown]),
        diagram=diagram,
    )


def equal_error_rate(false_positive: Floats, true_positive: Floats) -> float:
    """Return the rate at which as many pairs of two artists pass as pairs of one are refused.

    Rates are those along an ROC curve, ascending, at the same thresholds.
    """
    return float(np.interp(0, false_positive - (1 - true_positive), false_positive))


def _figures(forecasts: Floats, truth: Bools, weights: Floats) -> dict[str, float]:
    from sklearn.metrics import auc, average_precision_score, roc_curve

    false_positive, true_positive, _ = roc_curve(truth, forecasts, sample_weight=weights)
    right = (forecasts >= THRESHOLD) == truth
    precision = average_precision_score(truth, forecasts, sample_weight=weights)
    return {
        "AUC": float(auc(false_positive, true_positive)),
        "average precision": float(precision),
        "accuracy": float(np.average(right, weights=weights)),
        "equal error rate": equal_error_rate(false_positive, true_positive),
        "calibration error": reliability(forecasts, truth, weights=weights).error,
    }


def _intervals(
    forecasts: Floats, truth: Bools, a: Ints, b: Ints, artists: int, samples: int, seed: int
) -> dict[str, tuple[float, float]]:
    """Resample artists; a pair counts as often as its artists come together."""
    draws = []
    for times in resample_weights(np.array([artists]), samples, seed):
        weights = np.where(a == b, times[a], times[a] * times[b]).astype(np.float64)
        kept = weights > 0
        if truth[kept].any() and not truth[kept].all():
            # Half of one artist, half of two, as the pairs were drawn.
            for side in (truth, ~truth):
                weights[side] *= side.sum() / weights[side].sum()
            draws.append(_figures(forecasts[kept], truth[kept], weights[kept]))
    if len(draws) < 2:
        return {}
    low, high = percentile_interval(np.array([list(draw.values()) for draw in draws]), 0.95)
    return dict(zip(draws[0], zip(low.tolist(), high.tolist(), strict=True), strict=True))


def _per_artist(
    taken: Bools, truth: Bools, a: Ints, b: Ints, names: Sequence[str]
) -> list[ArtistScore]:
    right = taken == truth

    def tally(artist: Ints, hits: Bools) -> Floats:
        """Return the pairs of each artist, and the share that was judged rightly."""
        count = np.bincount(artist, minlength=len(names))
        with np.errstate(invalid="ignore"):
            return np.stack([count, np.bincount(artist, hits, minlength=len(names)) / count])

    same, recognised = tally(a[truth], right[truth])
    other, apart = tally(np.concatenate([a[~truth], b[~truth]]), np.tile(right[~truth], 2))
    return [
        ArtistScore(
            name, int(same[row]), float(recognised[row]), int(other[row]), float(apart[row])
        )
        for row, name in enumerate(names)
    ]
