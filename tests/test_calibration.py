"""Reliability diagrams and the expected calibration error, against brute force and scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.calibration import calibration_curve

from paint_search.errors import EvalError
from paint_search.eval import reliability

forecasts = st.lists(
    st.tuples(st.floats(0, 1) | st.sampled_from([0.0, 0.1, 0.5, 1.0]), st.booleans()),
    min_size=1,
    max_size=80,
)


@settings(max_examples=100, deadline=None)
@given(given_=forecasts, bins=st.integers(1, 12))
def test_the_error_is_that_of_brute_force(given_: list[tuple[float, bool]], bins: int) -> None:
    edges = np.linspace(0, 1, bins + 1)
    total = 0.0
    for number in range(bins):
        low, high = edges[number], edges[number + 1]
        held = [(p, y) for p, y in given_ if low < p <= high or (number == 0 and p == 0)]
        if held:
            total += abs(sum(y for _, y in held) - sum(p for p, _ in held))
    p, y = zip(*given_, strict=True)
    error = reliability(p, y, bins=bins).error
    assert error == pytest.approx(total / len(given_), abs=1e-9)
    assert 0 <= error <= 1


def test_the_diagram_is_that_of_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    p = rng.random(5000)
    y = rng.random(5000) < p**2
    found = reliability(p, y)
    observed, forecast = calibration_curve(y, p, n_bins=10)
    np.testing.assert_allclose(found.observed, observed)
    np.testing.assert_allclose(found.forecast, forecast)
    assert found.counts.sum() == 5000


def test_honest_forecasts_have_no_error_to_speak_of_and_boasting_ones_have() -> None:
    rng = np.random.default_rng(1)
    p = rng.random(40_000)
    y = rng.random(40_000) < p
    assert reliability(p, y).error < 0.01
    assert reliability(np.where(p > 0.5, 1.0, 0.0), y).error == pytest.approx(0.25, abs=0.01)


@pytest.mark.parametrize(
    ("p", "y", "bins", "says"),
    [
        ([], [], 10, "one outcome for each"),
        ([0.5], [True, False], 10, "one outcome for each"),
        ([1.5], [True], 10, "between 0 and 1"),
        ([float("nan")], [True], 10, "between 0 and 1"),
        ([0.5], [True], 0, "at least one bin"),
    ],
)
def test_what_is_no_forecast_is_refused(
    p: list[float], y: list[bool], bins: int, says: str
) -> None:
    with pytest.raises(EvalError, match=says):
        reliability(p, y, bins=bins)
