"""Pairs of paintings' vectors in, the probability that one artist made both out.

Three things speak: the cosine of the vectors that the index is searched by, the log likelihood
ratio of the two-covariance model, and whether both works are like the same known artists. A
logistic regression on held-out pairs weighs them. Judging takes numpy alone; fitting imports
scikit-learn.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from paint_search.eval import Pairs
from paint_search.verify.two_covariance import Floats, TwoCovariance

#: Share of the calibration's pairs below, and above, whose scores are taken for strange.
_TAIL: Final = 0.0005

Rows = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Embeddings:
    """Works as a judge looks at them: rows whose cosine counts, and the model's projections."""

    rows: Floats
    projected: Floats

    @classmethod
    def of(cls, model: TwoCovariance, vectors: Rows, codes: Rows | None) -> Self:
        """Prepare n works to be judged.

        Args:
            model: fitted to such vectors.
            vectors: (n, d) of any norm.
            codes: (n, k) unit rows that the index is searched by, where those are not the vectors.
        """
        rows = model.centred(vectors) if codes is None else np.asarray(codes, dtype=np.float64)
        return cls(rows, model.project(vectors))

    def __getitem__(self, chosen: NDArray[np.int64]) -> "Embeddings":
        """Return some of the works."""
        return Embeddings(self.rows[chosen], self.projected[chosen])


@dataclass(frozen=True, eq=False)
class Judge:
    """Two-covariance model and the weights of what speaks."""

    model: TwoCovariance  #: fitted to works of artists of whom no pair is calibrated on
    weights: Floats  #: (3,) of the cosine, the ratio and the agreement
    shift: float  #: added to their sum; the logistic function of that is the probability
    lowest: float  #: score below which, and
    highest: float  #: above which no pair of the calibration was seen, but for one in two thousand

    @classmethod
    def fit(cls, model: TwoCovariance, works: Embeddings, pairs: Pairs) -> Self:
        """Calibrate on pairs of works that the model was not fitted to, half of them of one artist.

        Platt's scaling, with three numbers instead of one.
        """
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        evidence = _evidence(model, works[pairs.left], works[pairs.right])
        fitted = make_pipeline(StandardScaler(), LogisticRegression()).fit(evidence, pairs.same)
        scaler, logistic = fitted[0], fitted[1]
        weights = logistic.coef_[0] / scaler.scale_
        shift = float(logistic.intercept_[0] - weights @ scaler.mean_)
        low, high = np.quantile(evidence @ weights + shift, [_TAIL, 1 - _TAIL])
        return cls(model, weights, shift, float(low), float(high))

    def score(self, left: Embeddings, right: Embeddings) -> Floats:
        """Return the log odds, (n,), that the works of n pairs are by one artist."""
        return np.asarray(_evidence(self.model, left, right) @ self.weights + self.shift)

    def arrays(self) -> dict[str, Floats]:
        """Return what was fitted, for a file."""
        return {
            **{field.name: getattr(self.model, field.name) for field in fields(self.model)},
            "weights": self.weights,
            "limits": np.array([self.shift, self.lowest, self.highest]),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Take over what ``arrays`` gave.

        Raises:
            KeyError, ValueError: it is not of that form.
        """
        model = TwoCovariance(
            *(np.asarray(arrays[field.name], np.float64) for field in fields(TwoCovariance))
        )
        kept, weights = len(model.components), np.asarray(arrays["weights"], np.float64)
        fits = (
            weights.shape == (3,)
            and all(np.isfinite(array).all() for array in arrays.values())
            and model.components.shape[1:] == model.mean.shape
            and model.quadratic.shape == model.product.shape == (kept, kept)
            and model.manners.shape == (len(model.offsets), kept)
        )
        if not fits:
            raise ValueError("its arrays do not fit together")
        shift, low, high = arrays["limits"].tolist()
        return cls(model, weights, shift, low, high)


def probability(scores: Floats) -> Floats:
    """Return the probability of one artist, where half of all pairs are by one, from log odds."""
    return np.asarray(1 / (1 + np.exp(-np.clip(scores, -500, 500))))


def _evidence(model: TwoCovariance, left: Embeddings, right: Embeddings) -> Floats:
    cosines = np.einsum("nd,nd->n", left.rows, right.rows)
    seen = left.projected, right.projected
    return np.stack([cosines, model.ratio(*seen), model.agreement(*seen)], axis=1)
