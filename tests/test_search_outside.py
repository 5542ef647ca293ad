"""Vectors that stand for queries from outside: how far they are, and that they are not easier."""

import numpy as np
import pytest
from numpy.typing import NDArray

from paint_search.search import step_outside


def _unit(count: int, seed: int) -> NDArray[np.float32]:
    vectors = np.random.default_rng(seed).standard_normal((count, 256), dtype=np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.mark.parametrize("cosine", [0.9, 0.7, 0.4])
def test_each_is_half_a_step_away(cosine: float) -> None:
    vectors = _unit(500, 0)
    moved = step_outside(vectors, np.full(500, cosine, dtype=np.float32))
    assert moved.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(moved, axis=1), 1, atol=1e-5)
    step = np.sqrt(cosine**-2 - 1) / 2
    assert np.mean(np.sum(vectors * moved, axis=1)) == pytest.approx(
        1 / np.sqrt(1 + step**2), abs=0.005
    )


def test_of_two_copies_neither_moves() -> None:
    vectors = _unit(5, 1)
    np.testing.assert_allclose(step_outside(vectors, np.ones(5, np.float32)), vectors, atol=1e-6)


def test_what_is_nowhere_near_another_moves_and_stays_finite() -> None:
    vectors = _unit(5, 2)
    for cosine in (0.0, -1.0):
        moved = step_outside(vectors, np.full(5, cosine, dtype=np.float32))
        assert np.all(np.isfinite(moved))
        assert np.all(np.sum(vectors * moved, axis=1) < 0.9)


def test_none() -> None:
    assert step_outside(_unit(0, 3), np.empty(0, np.float32)).shape == (0, 256)
