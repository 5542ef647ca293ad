"""Classification: splits, models, probabilities and sets, against laws and brute force."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from sklearn.metrics import f1_score, precision_score, recall_score

from paint_search.errors import EvalError
from paint_search.eval import (
    Classification,
    classify,
    conformal_threshold,
    group_labels,
    prediction_sets,
    stratified_split,
)
from paint_search.train import SmallConvNet

NAMES = ("cubist", "fauve", "nabi")


def blobs(apart: float, each: int = 60, seed: int = 0) -> tuple[NDArray[np.float64], list[str]]:
    """Unit vectors about three directions, so far apart."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(NAMES, each)
    vectors = apart * np.eye(3, 8)[np.repeat(np.arange(3), each)] + rng.normal(size=(3 * each, 8))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True), labels.tolist()


@pytest.fixture(scope="module", params=["knn", "logistic"])
def told(request: pytest.FixtureRequest) -> Classification:
    return classify(*blobs(2.0), kind=request.param)


def test_figures_are_those_of_the_tested_works(told: Classification) -> None:
    vectors, labels = blobs(2.0)
    true = np.array(labels)[told.split.tested]
    said = told.ensemble.probabilities(vectors[told.split.tested]).argmax(axis=1)
    said = np.array(NAMES)[said]
    assert told.accuracy == np.mean(true == said)
    assert 0.7 < told.accuracy < 1
    expected = [[int(((true == a) & (said == b)).sum()) for b in NAMES] for a in NAMES]
    assert told.confusion().tolist() == expected
    for score in told.per_class():
        ours, theirs = said == score.label, true == score.label
        assert score.precision == pytest.approx(precision_score(theirs, ours))
        assert score.recall == pytest.approx(recall_score(theirs, ours))
        assert score.f1 == pytest.approx(f1_score(theirs, ours))
        assert (score.learned, score.tested) == (36, 15)
    assert told.baseline[1] == pytest.approx(1 / 3)
    low, high = told.interval(told.right)
    assert low < told.accuracy < high


def test_probabilities_sets_and_agreement_hang_together(told: Classification) -> None:
    np.testing.assert_allclose(told.probabilities.sum(axis=1), 1)
    assert (told.probabilities.argmax(axis=1) == told.predicted).all()
    assert told.sets[np.arange(len(told.truth)), told.predicted].all()
    assert set((told.agreement * 5).round(9).tolist()) <= {0, 1, 2, 3, 4, 5}
    errors = told.errors
    assert sorted(errors) == np.flatnonzero(told.predicted != told.truth).tolist()
    assert (np.diff(told.confidence[errors]) <= 0).all()
    assert told.calibration_error < 0.2
    assert 0 < told.calibration_error_by_chance < 0.2


def test_the_same_seed_gives_the_same_and_another_seed_another_split() -> None:
    one, same = (classify(*blobs(1.0), kind="logistic", seed=3) for _ in range(2))
    assert one.to_dict() == same.to_dict()
    other = classify(*blobs(1.0), kind="logistic", seed=4)
    assert one.split.tested.tolist() != other.split.tested.tolist()


def test_settings_are_chosen_without_the_tested_works() -> None:
    vectors, labels = blobs(1.5)
    plain = classify(vectors, labels, kind="knn")
    spoiled = vectors.copy()
    spoiled[plain.split.tested] = np.roll(vectors, 70, axis=0)[plain.split.tested]
    assert classify(spoiled, labels, kind="knn").ensemble.settings == plain.ensemble.settings


def test_over_fitting_is_said_where_there_is_nothing_to_learn() -> None:
    vectors, labels = blobs(0.0, each=100)
    found = classify(
        vectors, np.random.default_rng(1).permutation(labels).tolist(), kind="logistic"
    )
    said = " ".join(found.remarks())
    assert found.fitted > found.accuracy
    assert "over-fitting); only the second figure counts" in said
    assert "which is not safely more than" in said


def test_no_over_fitting_is_said_where_classes_are_plain() -> None:
    said = " ".join(classify(*blobs(12.0), kind="knn").remarks())
    assert "100% of 45 works that it had not seen are told rightly, more than the 33%" in said
    assert "no sign of over-fitting" in said


# The division.


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(8, 30), min_size=2, max_size=5), st.integers(0, 20), st.integers(0, 99))
def test_every_labelled_work_is_in_one_part_and_every_class_in_all(
    counts: list[int], unlabelled: int, seed: int
) -> None:
    labels: list[str | None] = [f"c{c}" for c, count in enumerate(counts) for _ in range(count)]
    labels += [None] * unlabelled
    groups = group_labels(labels, len(labels))
    split = stratified_split(groups, seed=seed)
    parts = (split.learned, split.set_by, split.tested)
    assert sorted(np.concatenate(parts).tolist()) == groups.labelled.tolist()
    for part, share in zip(parts, (0.6, 0.15, 0.25), strict=True):
        found = Counter(labels[row] for row in part)
        for c, count in enumerate(counts):
            assert abs(found[f"c{c}"] - share * count) <= 2


def test_the_sizes_of_a_split_can_be_given() -> None:
    groups = group_labels(blobs(1.0)[1], 180)
    split = stratified_split(groups, learn=100, test=59)
    assert (len(split.learned), len(split.set_by), len(split.tested)) == (80, 20, 59)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (["a"] * 40, "It takes two classes to tell apart; only 'a' is known here"),
        ([None] * 40, "none is known here"),
        (["a"] * 39 + ["b"], "'b' has 1 work; a class needs 5"),
        (["a"] * 36 + ["b"] * 4, "'b' has 4 works; a class needs 5"),
        ([f"c{i // 5}" for i in range(40)], "40 works are too few to learn 8 classes"),
    ],
)
def test_works_that_cannot_be_classified_are_refused(
    labels: list[str | None], message: str
) -> None:
    with pytest.raises(EvalError, match=message):
        classify(np.random.default_rng(0).normal(size=(40, 3)), labels, test=0.1)


@pytest.mark.parametrize(
    ("given_", "message"),
    [
        ({"kind": "forest"}, "Unknown model 'forest'"),
        ({"coverage": 1.0}, "coverage of sets must lie between"),
        ({"test": 1.5}, "must lie between 0 and 1"),
    ],
)
def test_wrong_arguments_are_refused(given_: dict[str, object], message: str) -> None:
    with pytest.raises(EvalError, match=message):
        classify(*blobs(1.0), **given_)  # type: ignore[arg-type]


# Sets with a stated coverage.


@pytest.mark.parametrize("coverage", [0.8, 0.9])
def test_sets_hold_the_class_as_often_as_stated(coverage: float) -> None:
    rng = np.random.default_rng(0)
    held = []
    for _ in range(300):
        # Probabilities that are wrong: coverage must not depend on their being right.
        truth = rng.integers(0, 4, 120)
        scores = rng.dirichlet(np.ones(4), 120) + 0.3 * np.eye(4)[truth]
        threshold = conformal_threshold(scores[:60], truth[:60], coverage)
        sets = scores[60:] >= threshold
        held.append(sets[np.arange(60), truth[60:]].mean())
    # Between coverage and coverage + 1 / (n + 1); the mean of 300 has a standard error of 0.003.
    assert coverage - 0.01 <= np.mean(held) <= coverage + 1 / 61 + 0.01


probabilities = hnp.arrays(np.float64, (12, 3), elements=st.floats(0, 1))


@given(probabilities, hnp.arrays(np.int64, 12, elements=st.integers(0, 2)), st.floats(0.05, 0.98))
def test_the_threshold_is_the_highest_that_covers_enough(
    likely: NDArray[np.float64], truth: NDArray[np.int64], coverage: float
) -> None:
    threshold = conformal_threshold(likely, truth, coverage)
    of_truth = likely[np.arange(12), truth]
    needed = np.ceil(13 * coverage)
    if needed > 12:
        assert threshold == 0
    else:
        assert (of_truth >= threshold).sum() >= needed
        assert (of_truth > threshold).sum() < needed


@given(probabilities, st.floats(0, 1), st.floats(0, 1))
def test_sets_grow_as_the_threshold_falls_and_are_never_empty(
    likely: NDArray[np.float64], a: float, b: float
) -> None:
    small, large = prediction_sets(likely, max(a, b)), prediction_sets(likely, min(a, b))
    assert (large | ~small).all()
    assert small.any(axis=1).all()


@pytest.mark.parametrize("coverage", [0.0, 1.0])
def test_a_coverage_of_none_or_all_is_refused(coverage: float) -> None:
    with pytest.raises(EvalError, match="coverage between 0 and 1"):
        conformal_threshold(np.ones((3, 2)), np.zeros(3, dtype=np.int64), coverage)


# The net.


def bars(each: int = 16) -> tuple[NDArray[np.uint8], list[str]]:
    """Small pictures of upright and of level bars."""
    rng = np.random.default_rng(0)
    pictures = rng.integers(200, 255, (2 * each, 64, 64, 3)).astype(np.uint8)
    for number, picture in enumerate(pictures):
        for _ in range(3):
            start, length, x, y = rng.integers(0, 20), rng.integers(25, 40), *rng.integers(0, 58, 2)
            if number < each:
                picture[start : start + length, x : x + 5] = 20
            else:
                picture[y : y + 5, start : start + length] = 20
    return pictures, ["upright"] * each + ["level"] * each


def test_a_net_learns_from_pictures_and_shows_how() -> None:
    from paint_search.train import SmallConvNet  # torch

    pictures, labels = bars()
    steps: list[None] = []
    net = SmallConvNet(done=lambda: steps.append(None))
    found = classify(pictures, labels, kind="cnn", net=net)
    assert found.accuracy > 0.8
    curves = found.ensemble.histories
    assert len(curves) == 3
    assert {len(values) for curve in curves for values in curve.values()} == {len(steps) // 3}
    assert curves[0]["loss"][-1] < curves[0]["loss"][0]


def test_a_net_of_one_seed_is_one_net() -> None:

    pictures, _ = bars(each=10)
    codes = np.repeat([0, 1], 10)
    nets = [SmallConvNet(seed=seed, epochs=2).fit(pictures, codes) for seed in (0, 0, 1)]
    one, same, other = (net.predict_proba(pictures) for net in nets)
    np.testing.assert_array_equal(one, same)
    assert (one != other).any()
