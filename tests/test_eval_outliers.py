"""Typical works and outliers: against brute force, and the laws that they obey."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from paint_search.errors import EvalError
from paint_search.eval import outliers, typical_works


def works(seed: int) -> tuple[NDArray[np.float64], list[str | None]]:
    rng = np.random.default_rng(seed)
    labels = [str(label) if label < 4 else None for label in rng.integers(0, 5, size=40)]
    return rng.normal(size=(40, 8)), labels


@given(st.integers(0, 1000))
def test_each_is_the_work_whose_best_companion_is_farthest(seed: int) -> None:
    points, labels = works(seed)
    unit = points / np.linalg.norm(points, axis=1, keepdims=True)
    for outlier in outliers(points, labels, min_works=3):
        rows = [row for row, label in enumerate(labels) if label == outlier.label]
        best = {a: max(float(unit[a] @ unit[b]) for b in rows if b != a) for a in rows}
        all_of = {a: sum(float(unit[a] @ unit[b]) for b in rows) for a in rows}
        assert outlier.row == min(rows, key=lambda a: (round(best[a], 6), all_of[a]))
        assert outlier.own == pytest.approx(best[outlier.row], abs=1e-5)
        assert outlier.usual == pytest.approx(float(np.median(list(best.values()))), abs=1e-5)
        mean = unit[rows].mean(axis=0)
        assert outlier.typical == max(rows, key=lambda row: float(unit[row] @ mean))


def test_the_stranger_of_the_tightest_label_comes_first() -> None:
    rng = np.random.default_rng(0)
    axes = np.eye(10)
    tight = axes[0] + rng.normal(scale=0.05, size=(6, 10))
    loose = axes[1] + rng.normal(scale=0.5, size=(6, 10))
    points = np.concatenate([tight, axes[[5]], loose])
    labels = ["tight"] * 7 + ["loose"] * 6
    first, second = outliers(points, labels)
    assert (first.label, first.row) == ("tight", 6)
    assert first.gap > second.gap
    assert first.typical < 6


@given(st.integers(0, 1000), st.floats(0.01, 100))
def test_neither_order_nor_scale_matters(seed: int, scale: float) -> None:
    points, labels = works(seed)
    order = np.random.default_rng(seed).permutation(len(labels))
    moved = outliers(points[order] * scale, [labels[row] for row in order], min_works=3)
    still = outliers(points, labels, min_works=3)
    assert [(o.label, int(order[o.row]), int(order[o.typical])) for o in moved] == [
        (o.label, o.row, o.typical) for o in still
    ]


def test_labels_of_few_works_are_passed_over() -> None:
    points, labels = works(1)
    labels[:] = [None] * 30 + ["few"] * 4 + ["many"] * 6
    assert [outlier.label for outlier in outliers(points, labels)] == ["many"]
    with pytest.raises(EvalError, match="No label has the 7 works"):
        outliers(points, labels, min_works=7)


def test_a_single_work_is_typical_and_nothing_is_of_no_label() -> None:
    points, _ = works(2)
    assert typical_works(points, [None, "one", *[None] * 38]) == {"one": 1}
    with pytest.raises(EvalError, match="labelled"):
        typical_works(points, [None] * 40)
