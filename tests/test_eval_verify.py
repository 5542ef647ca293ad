"""Figures of judged pairs, against scikit-learn and brute force."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, confusion_matrix, roc_auc_score, roc_curve

from paint_search.errors import EvalError
from paint_search.eval import PairSource, equal_error_rate, verification

ARTISTS = 24
NAMES = [f"artist {number:02}" for number in range(ARTISTS)]


def judged(
    seed: int = 0, count: int = 2000, sharp: float = 1.0
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Pairs whose probabilities are what comes true: probabilities, truth, artists."""
    rng = np.random.default_rng(seed)
    artists = np.repeat(np.arange(ARTISTS), 6)
    pairs = PairSource([NAMES[code] for code in artists]).draw(count, seed)
    score = rng.normal(np.where(pairs.same, sharp, -sharp), np.sqrt(2 * sharp))
    return 1 / (1 + np.exp(-score)), pairs.same, artists[pairs.left], artists[pairs.right]


def test_figures_are_those_of_scikit_learn() -> None:
    p, same, left, right = judged()
    found = verification(p, same, left, right, NAMES)
    assert found.pairs == 2000
    assert found.artists == ARTISTS
    assert found.figures["AUC"] == pytest.approx(roc_auc_score(same, p))
    assert found.figures["average precision"] == pytest.approx(average_precision_score(same, p))
    assert found.figures["accuracy"] == pytest.approx(((p >= 0.5) == same).mean())
    np.testing.assert_array_equal(found.confusion, confusion_matrix(same, p >= 0.5))
    assert found.confusion.sum() == 2000
    assert found.figures["calibration error"] < 0.04, "these probabilities are honest"
    for name, (low, high) in found.intervals.items():
        assert low <= high
        if name != "calibration error":
            assert low <= found.figures[name] <= high


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), sharp=st.floats(0.05, 3))
def test_at_the_equal_error_rate_both_errors_are_equal(seed: int, sharp: float) -> None:
    p, same, _, _ = judged(seed, 200, sharp)
    false_positive, true_positive, _ = roc_curve(same, p)
    rate = equal_error_rate(false_positive, true_positive)
    missed = 1 - np.interp(rate, false_positive, true_positive)
    steps = max(np.diff(false_positive).max(), np.diff(true_positive).max())
    assert abs(missed - rate) <= steps + 1e-9
    thresholds = np.linspace(0, 1, 500)
    gaps = [
        max((p[~same] >= t).mean(), (p[same] < t).mean()) for t in thresholds
    ]  # the least of the larger of both errors is the rate, up to a step
    assert abs(min(gaps) - rate) < 0.03


def test_perfect_and_hopeless_judges() -> None:
    _, same, left, right = judged()
    perfect = verification(np.where(same, 0.99, 0.01), same, left, right, NAMES)
    assert perfect.figures["AUC"] == 1
    assert perfect.figures["equal error rate"] == 0
    assert perfect.confusion[0, 1] == perfect.confusion[1, 0] == 0
    coin = verification(np.full(len(same), 0.5), same, left, right, NAMES)
    assert coin.figures["AUC"] == pytest.approx(0.5)
    assert coin.figures["equal error rate"] == pytest.approx(0.5)
    assert coin.figures["calibration error"] == pytest.approx(0)


def test_each_artist_has_its_own_shares() -> None:
    p, same, left, right = judged()
    found = {score.label: score for score in verification(p, same, left, right, NAMES).per_artist}
    one = found["artist 07"]
    own = same & (left == 7)
    other = ~same & ((left == 7) | (right == 7))
    assert (one.same, one.other) == (own.sum(), other.sum())
    assert one.recognised == pytest.approx((p[own] >= 0.5).mean())
    assert one.told_apart == pytest.approx((p[other] < 0.5).mean())


def test_intervals_of_artists_are_wider_than_those_of_pairs_would_be() -> None:
    """Half of the artists are easy and half impossible: that is what varies."""
    _, same, left, right = judged(count=4000)
    easy = (left % 2 == 0) & (right % 2 == 0)
    p = np.where(easy, np.where(same, 0.9, 0.1), 0.5)
    found = verification(p, same, left, right, NAMES)
    low, high = found.intervals["accuracy"]
    share = found.figures["accuracy"]
    assert high - low > 2 * 1.96 * np.sqrt(share * (1 - share) / 4000) * 1.5


@pytest.mark.parametrize(
    ("same", "says"),
    [([True, True], "pairs of one artist and pairs of two"), ([True], "one outcome for each")],
)
def test_what_cannot_be_measured_is_refused(same: list[bool], says: str) -> None:
    codes = np.zeros(2, dtype=np.int64)
    with pytest.raises(EvalError, match=says):
        verification([0.5, 0.5], same, codes, codes, NAMES)
