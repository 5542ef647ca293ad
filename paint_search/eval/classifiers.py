"""The models of ``classify``: nearest neighbours, logistic regression, or a net handed in.

Rows and codes come in, a fitted ensemble of calibrated models goes out. scikit-learn does the work.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

import numpy as np
import numpy.typing as npt

from paint_search.eval.inputs import Floats, Ints

Kind = Literal["knn", "logistic", "cnn"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)

MEMBERS: Final = {"knn": 5, "logistic": 5, "cnn": 3}
"""How many models an ensemble has; each learns from all but its share of the works."""

_STEPS_FROM: Final = 1000  # works; of fewer, isotonic regression learns the accidents
_NEIGHBOURS: Final = (1, 3, 5, 9, 15, 25)
_STRENGTHS: Final = (0.01, 0.1, 1.0, 10.0)  # inverse of the regularisation
_FOLDS_UP_TO: Final = 2000  # works; beyond, settings are tried on one part held out


@dataclass(frozen=True)
class Ensemble:
    """Models of one kind that have learned from different parts of the same works.

    Attributes:
        kind: of model.
        settings: chosen on works held out of the fit, by name.
        model: the fitted CalibratedClassifierCV.
    """

    kind: Kind
    settings: dict[str, Any]
    model: Any

    def probabilities(self, inputs: npt.NDArray[Any]) -> Floats:
        """Return the calibrated probabilities, (n, c), the mean of those of the members."""
        return np.asarray(self.model.predict_proba(inputs), dtype=np.float64)

    def agreement(self, inputs: npt.NDArray[Any], predicted: Ints) -> Floats:
        """Return the share (n,) of the members that say what the ensemble says."""
        said = [m.predict_proba(inputs).argmax(axis=1) for m in self.model.calibrated_classifiers_]
        return np.asarray((np.stack(said) == predicted).mean(axis=0))

    @property
    def histories(self) -> list[dict[str, list[float]]]:
        """The learning curve of each member of a net, by figure; empty for other kinds."""
        members = [member.estimator for member in self.model.calibrated_classifiers_]
        return [member.history_ for member in members if hasattr(member, "history_")]


def fit_ensemble(
    kind: Kind, inputs: npt.NDArray[Any], codes: Ints, seed: int, net: Any = None
) -> Ensemble:
    """Tune, fit and calibrate.

    The settings are those that do best on parts of the works held out in turn. Each member then
    learns from all but one part, and its probabilities are calibrated on that part: by one
    temperature (Guo et al. 2017, "On calibration of modern neural networks"), those of neighbours
    class by class (Platt 1999; from 1,000 works on isotonic, Zadrozny and Elkan 2002).

    Args:
        kind: of model.
        inputs: (n, d) unit vectors, or (n, side, side, 3) pixels for a net.
        codes: (n,) classes; at least two works of each.
        seed: of the parts.
        net: the classifier, of scikit-learn's kind, that a ``cnn`` is an ensemble of.
    """
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.model_selection import StratifiedKFold

    parts = min(MEMBERS[kind], int(np.bincount(codes).min()))
    folds = StratifiedKFold(parts, shuffle=True, random_state=seed)
    model, settings = (net, {}) if kind == "cnn" else _tuned(kind, inputs, codes, folds, seed)
    method = "temperature"
    if kind == "knn":
        # The votes for a class are often 0, whose logarithm no temperature can bear.
        method = "isotonic" if len(codes) >= _STEPS_FROM else "sigmoid"
    calibrated = CalibratedClassifierCV(model, method=method, cv=folds, ensemble=True)
    return Ensemble(kind, settings, calibrated.fit(inputs, codes))


def _tuned(
    kind: Kind, inputs: Any, codes: Ints, folds: Any, seed: int
) -> tuple[Any, dict[str, Any]]:
    """Return the model with the settings that do best on held-out works, and those settings."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV, StratifiedShuffleSplit
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    learned_from = len(codes) - -(-len(codes) // folds.n_splits)
    if kind == "knn":
        name = "n_neighbors"
        choices: list[Any] = [k for k in _NEIGHBOURS if k <= learned_from]
        model, step = KNeighborsClassifier(), name
    else:
        name, choices = "C", list(_STRENGTHS)
        model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000, tol=1e-3))
        step = f"logisticregression__{name}"
    trials = folds
    if len(codes) > _FOLDS_UP_TO:
        trials = StratifiedShuffleSplit(1, test_size=0.25, random_state=seed)
    search = GridSearchCV(model, {step: choices}, cv=trials, refit=False).fit(inputs, codes)
    chosen = search.best_params_[step]
    return model.set_params(**{step: chosen}), {name: chosen}
