"""Groups of a field: which there are, in what order, in which colour, and what is missing."""

from __future__ import annotations

import math
import sys

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from paint_search.report import NOT_GIVEN, OTHER, PALETTE, group_values

VALUES = st.lists(
    st.none() | st.sampled_from(["Monet", "Braque", "Manet", " ", ""]) | st.floats() | st.integers()
)


def test_text_is_ordered_by_count_then_name_and_missing_comes_last() -> None:
    groups = group_values("artist", ["b", "a", "", "c", "c", None, " b ", "d"])
    assert groups.names == ("b", "c", "a", "d", NOT_GIVEN)
    assert groups.counts.tolist() == [2, 2, 1, 1, 2]
    assert groups.codes.tolist() == [0, 2, 4, 1, 1, 4, 0, 3]
    assert groups.colours == (*PALETTE[:4], OTHER)
    assert groups.numbers is None


def test_only_the_first_ten_have_a_colour() -> None:
    groups = group_values("artist", [f"{i:02d}" for i in range(14)])
    assert groups.colours == (*PALETTE, *[OTHER] * 4)


@pytest.mark.parametrize(
    ("values", "names"),
    [
        (range(1400, 2000, 7), ("1400 to 1499", "1500 to 1599", "1600 to 1699", "1700 to 1799",
                                "1800 to 1899", "1900 to 1999")),
        (range(11), ("0 to 1", "2 to 3", "4 to 5", "6 to 7", "8 to 9", "10 to 11")),
        ([i / 20 for i in range(21)], tuple(f"{i / 10:g} to {(i + 1) / 10:g}" for i in range(10))),
        ([0, 1, 0, 1], ("0", "1")),
        (["1889", "1890"], ("1889", "1890")),
        ([True, False], ("False", "True")),
    ],
)  # fmt: skip
def test_numbers_of_many_values_fall_into_round_steps(values: list[object], names: object) -> None:
    groups = group_values("year", list(values))
    assert groups.names == names
    assert groups.counts.sum() == len(values)


def test_each_number_lies_in_the_step_that_names_it() -> None:
    years = [1401, 1500, 1499, 1999, *range(1600, 1900)]
    groups = group_values("year", [*years, None, math.nan])
    for year, code in zip(years, groups.codes, strict=False):
        low, high = groups.names[code].split(" to ")
        assert int(low) <= year <= int(high)
    assert groups.numbers is not None
    assert groups.numbers[:4].tolist() == years[:4]
    assert np.isnan(groups.numbers[-2:]).all()
    assert groups.names[-1] == NOT_GIVEN
    assert groups.counts[-1] == 2
    assert OTHER not in groups.colours[:-1]


@given(VALUES)
@example([*map(float, range(9)), 1.597693134862316e308, -1.0])
@example([*map(float, range(9)), 99999999999.0, -1.0])
def test_every_painting_is_in_one_group_whatever_the_values(values: list[object]) -> None:
    groups = group_values("field", values)
    assert len(groups.codes) == len(values)
    assert groups.counts.sum() == len(values)
    assert len(groups.names) == len(groups.counts) == len(groups.colours)
    np.testing.assert_array_equal(
        np.bincount(groups.codes, minlength=len(groups.names)), groups.counts
    )


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=11, unique=True))
@example([*range(10), -sys.float_info.max, sys.float_info.max])
def test_numbers_rise_from_step_to_step_however_far_apart(values: list[float]) -> None:
    groups = group_values("field", values)
    in_order = groups.codes[np.argsort(values)]
    assert (np.diff(in_order) >= 0).all()
    assert 1 <= len(groups.names) <= 12


@given(st.lists(st.sampled_from(["Monet", "Braque", None]), max_size=30), st.randoms())
def test_the_legend_does_not_depend_on_the_order(values: list[object], random: object) -> None:
    shuffled = list(values)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert group_values("a", shuffled).names == group_values("a", values).names
