"""Vectors or pictures with labels in; how well a model tells the labels apart, and how sure, out.

The works are divided once: some to learn from, some to set the sets of classes by, some to test.
Every figure but that of the fit is of works that the model has not seen. The models are nearest
neighbours, logistic regression, or a net handed in; scikit-learn does the work.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

import numpy as np
import numpy.typing as npt

from paint_search.errors import EvalError, counted
from paint_search.eval.calibration import conformal_threshold, prediction_sets, reliability
from paint_search.eval.inputs import Bools, Floats, Groups, Ints, Labels, group_labels, plain

Kind = Literal["knn", "logistic", "cnn"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)

MEMBERS: Final = {"knn": 5, "logistic": 5, "cnn": 3}
"""How many models an ensemble has; each learns from all but its share of the works."""

_STEPS_FROM: Final = 1000  # works; of fewer, isotonic regression learns the accidents
_NEIGHBOURS: Final = (1, 3, 5, 9, 15, 25)
_STRENGTHS: Final = (0.01, 0.1, 1.0, 10.0)  # inverse of the regularisation
_FOLDS_UP_TO: Final = 2000  # works; beyond, settings are tried on one part held out

LEAST_WORKS = 5
"""Works of a class below which it cannot be learned, set by and tested."""

_CHANCE_DRAWS = 200
_BINS = 15  # of the calibration error
_SET_BY = 0.2  # share of the works to learn from that sets the sets of classes instead


@dataclass(frozen=True)
class Ensemble:
    """Models of one kind that have learned from different parts of the same works."""

    kind: Kind  #: of model
    settings: dict[str, Any]  #: chosen on works held out of the fit, by name
    model: Any  #: the fitted CalibratedClassifierCV

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


@dataclass(frozen=True)
class ThreeWaySplit:
    """Rows of the works: to learn from, to set the sets of classes by, to test."""

    learned: Ints
    set_by: Ints
    tested: Ints


@dataclass(frozen=True)
class ClassScore:
    """The figures of one class among the tested works."""

    label: str
    learned: int
    tested: int
    precision: float
    recall: float
    f1: float


@dataclass(frozen=True)
class Classification:
    """A model, and what it made of t tested works in c classes."""

    classes: tuple[str, ...]  #: c labels, sorted
    groups: Groups  #: the labels of all works handed in
    split: ThreeWaySplit  #: which works were learned from, and which tested
    ensemble: Ensemble  #: the fitted models
    probabilities: Floats  #: (t, c) calibrated
    predicted: Ints  #: (t,) the likeliest class
    truth: Ints  #: (t,) the class it has
    sets: Bools  #: (t, c) classes that hold the true one as often as `coverage` says
    coverage: float  #: what was asked for
    threshold: float  #: the least probability with which a class is in a set
    agreement: Floats  #: (t,) share of the models that say what all say together
    fitted: float  #: share of the works learned from that are told rightly

    @property
    def right(self) -> Bools:
        """(t,) whether each tested work was told rightly."""
        return np.asarray(self.predicted == self.truth)

    @property
    def accuracy(self) -> float:
        """Share of the tested works told rightly."""
        return float(self.right.mean())

    @property
    def baseline(self) -> tuple[str, float]:
        """The most common class of the works learned from; its share of the tested ones."""
        common = int(np.bincount(self.groups.codes[self.split.learned]).argmax())
        return self.classes[common], float((self.truth == common).mean())

    @property
    def confidence(self) -> Floats:
        """(t,) probability of the likeliest class."""
        return np.asarray(self.probabilities.max(axis=1))

    @property
    def covered(self) -> Bools:
        """(t,) whether the set of each tested work holds its class."""
        return np.asarray(self.sets[np.arange(len(self.truth)), self.truth])

    @property
    def calibration_error(self) -> float:
        """Expected calibration error of the stated probabilities."""
        return reliability(self.confidence, self.right, bins=_BINS).error

    @property
    def calibration_error_by_chance(self) -> float:
        """Mean of that error if every probability were right: few works never show 0."""
        stated = self.confidence
        draws = np.random.default_rng(0).random((_CHANCE_DRAWS, len(stated))) < stated
        return float(np.mean([reliability(stated, true, bins=_BINS).error for true in draws]))

    @property
    def errors(self) -> Ints:
        """Places among the tested works of those told wrongly, the most confident first."""
        wrong = np.flatnonzero(~self.right)
        return wrong[np.argsort(-self.confidence[wrong], kind="stable")]

    def interval(self, hits: Bools) -> tuple[float, float]:
        """Return the 95 % Wilson interval of a share of tested works."""
        from scipy.stats import binomtest

        found = binomtest(int(hits.sum()), len(hits)).proportion_ci(0.95, method="wilson")
        return float(found.low), float(found.high)

    def confusion(self) -> Ints:
        """Return how many tested works of each class (row) are told as each (column): (c, c)."""
        from sklearn.metrics import confusion_matrix

        every = np.arange(len(self.classes))
        return np.asarray(confusion_matrix(self.truth, self.predicted, labels=every))

    def per_class(self) -> list[ClassScore]:
        """Return precision, recall and F1 of each class; 0 where a class was never told."""
        from sklearn.metrics import precision_recall_fscore_support

        every = np.arange(len(self.classes))
        columns = precision_recall_fscore_support(
            self.truth, self.predicted, labels=every, zero_division=0
        )
        learned = np.bincount(self.groups.codes[self.split.learned], minlength=len(every))
        return [
            ClassScore(label, int(count), int(tested), float(p), float(r), float(f))
            for label, count, p, r, f, tested in zip(self.classes, learned, *columns, strict=True)
        ]

    def remarks(self) -> list[str]:
        """Say in sentences what the figures mean: against the baseline, over-fitting, sets."""
        from scipy.stats import binomtest

        common, share = self.baseline
        tested = len(self.truth)
        better = binomtest(int(self.right.sum()), tested, max(share, 1e-9), "greater").pvalue < 0.05
        verdict = "more than" if better else "which is not safely more than"
        said = [
            f"{self.accuracy:.0%} of {tested:,} works that it had not seen are told rightly, "
            f"{verdict} the {share:.0%} of always saying {common}."
        ]
        gap = self.fitted - self.accuracy
        spread = (self.accuracy * (1 - self.accuracy) / tested) ** 0.5
        if gap > max(0.05, 2 * spread):
            said.append(
                f"It is right for {self.fitted:.0%} of the works it learned from and for "
                f"{self.accuracy:.0%} of the others: it knows these works better than the "
                "classes (over-fitting); only the second figure counts."
            )
        else:
            said.append(
                f"It is right for {self.fitted:.0%} of the works it learned from as well: no sign "
                "of over-fitting."
            )
        promised = f"{self.coverage:.0%}"
        held, size = float(self.covered.mean()), float(self.sets.sum(axis=1).mean())
        said.append(
            f"Sets made to hold the true class for {promised} of the works hold it for {held:.0%}, "
            f"with {size:.1f} classes of {len(self.classes)} on average."
            + ("" if self.threshold else " (No smaller sets can promise so much.)")
        )
        same = self.agreement == 1
        if 0 < same.sum() < tested:
            said.append(
                f"The {len(self.ensemble.model.calibrated_classifiers_)} models agree on "
                f"{same.mean():.0%} of the works and are right for {self.right[same].mean():.0%} "
                f"of those; where they differ, for {self.right[~same].mean():.0%}."
            )
        return said

    def to_dict(self) -> dict[str, Any]:
        """Return the figures, and what was made of each tested work, as JSON can carry them."""
        common, share = self.baseline
        return {
            "model": self.ensemble.kind,
            "settings": self.ensemble.settings,
            "classes": list(self.classes),
            "unlabelled": self.groups.unlabelled,
            "learned": len(self.split.learned),
            "set_by": len(self.split.set_by),
            "tested": len(self.truth),
            "baseline": {"label": common, "accuracy": share},
            "accuracy": self.accuracy,
            "accuracy_interval": list(self.interval(self.right)),
            "accuracy_on_learned": self.fitted,
            "calibration_error": self.calibration_error,
            "calibration_error_by_chance": self.calibration_error_by_chance,
            "coverage": {
                "asked": self.coverage,
                "found": float(self.covered.mean()),
                "interval": list(self.interval(self.covered)),
                "mean_size": float(self.sets.sum(axis=1).mean()),
            },
            "agreement": float(self.agreement.mean()),
            "confusion": self.confusion().tolist(),
            "per_class": plain(self.per_class()),
            "learning_curves": self.ensemble.histories,
            "remarks": self.remarks(),
        }


def classify(
    inputs: npt.NDArray[Any],
    labels: Labels,
    *,
    kind: Kind = "knn",
    test: float = 0.25,
    coverage: float = 0.9,
    seed: int = 0,
    split: ThreeWaySplit | None = None,
    net: Any = None,
) -> Classification:
    """Divide the works, learn to tell their classes, and test it.

    `inputs` are (n, d) unit vectors, or (n, side, side, 3) pixels for `cnn`, which is an ensemble
    of `net`, a classifier of pixels of scikit-learn's kind. `test` is the share of the works to
    test with, `coverage` how often a set of classes is to hold the true one, `split` another
    division, see `stratified_split`.

    Raises:
        EvalError: fewer than two classes, a class of too few works, an unknown kind, a ``cnn``
            without its net, or a share outside (0, 1).
    """
    groups = group_labels(labels, len(inputs))
    if kind not in KINDS:
        raise EvalError(f"Unknown model {kind!r}; choose {', '.join(KINDS)}.")
    if kind == "cnn" and net is None:
        raise EvalError("A cnn learns with a net that is handed in: net=...")
    if not 0 < coverage < 1:
        raise EvalError(f"The coverage of sets must lie between 0 and 1, not {coverage}.")
    split = split or stratified_split(groups, test=test, seed=seed)
    codes = groups.codes
    ensemble = _fit_ensemble(kind, inputs[split.learned], codes[split.learned], seed, net)
    held = ensemble.probabilities(inputs[split.set_by])
    threshold = conformal_threshold(held, codes[split.set_by], coverage)
    probabilities = ensemble.probabilities(inputs[split.tested])
    predicted = probabilities.argmax(axis=1)
    fitted = ensemble.probabilities(inputs[split.learned]).argmax(axis=1)
    return Classification(
        classes=groups.names,
        groups=groups,
        split=split,
        ensemble=ensemble,
        probabilities=probabilities,
        predicted=predicted,
        truth=codes[split.tested],
        sets=prediction_sets(probabilities, threshold),
        coverage=coverage,
        threshold=threshold,
        agreement=ensemble.agreement(inputs[split.tested], predicted),
        fitted=float((fitted == codes[split.learned]).mean()),
    )


def stratified_split(
    groups: Groups, *, test: float | int = 0.25, learn: int | None = None, seed: int = 0
) -> ThreeWaySplit:
    """Divide the labelled works so that every part has its share of each class.

    `test` is the share of the works to test with, or their number; `learn` is how many others take
    part, all by default. A fifth of those sets the sets of classes.

    Raises:
        EvalError: fewer than two classes, or too few works of a class or in all.
    """
    from sklearn.model_selection import train_test_split

    if len(groups.names) < 2:
        found = f"only {groups.names[0]!r} is" if groups.names else "none is"
        raise EvalError(f"It takes two classes to tell apart; {found} known here.")
    fewest = int(groups.counts.argmin())
    if groups.counts[fewest] < LEAST_WORKS:
        count = int(groups.counts[fewest])
        works = counted(count, "work")
        raise EvalError(
            f"{groups.names[fewest]!r} has {works}; a class needs {LEAST_WORKS} to be learned and "
            "tested: leave out those of fewer."
        )
    rows, codes = groups.labelled, groups.codes
    if isinstance(test, float) and not 0 < test < 1:
        raise EvalError(f"The share of works to test with must lie between 0 and 1, not {test}.")
    try:
        others, tested = train_test_split(
            rows, test_size=test, train_size=learn, stratify=codes[rows], random_state=seed
        )
        learned, set_by = train_test_split(
            others, test_size=_SET_BY, stratify=codes[others], random_state=seed
        )
    except ValueError as error:
        raise EvalError(
            f"{counted(len(rows), 'work is', 'works are')} too few to learn {len(groups.names)} "
            "classes from and test them: take fewer classes, or another share to test with."
        ) from error
    if np.bincount(codes[learned], minlength=len(groups.names)).min() < 2:
        raise EvalError(
            "A class has fewer than two works left to learn from: take fewer works to test with."
        )
    return ThreeWaySplit(np.sort(learned), np.sort(set_by), np.sort(tested))


def _fit_ensemble(
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
