"""Ink on paper: every measure against shapes of known truth, and what the vectors keep of them."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from inked import AREA, SIZE, box, disc, measured, sheet, vectors
from PIL import Image, ImageDraw

from paint_search.errors import UsageError
from paint_search.indexer.backbones import ink

ONE_PERCENT = 0.01
shares = st.floats(0, 1)


@settings(max_examples=8, deadline=None)
@given(
    st.floats(300, 600), st.floats(300, 420), st.floats(150, 290), st.floats(0.3, 0.8),
    st.integers(140, 255),
)  # fmt: skip
def test_a_ring_is_measured_to_one_percent(
    x: float, y: float, radius: float, hole: float, paper: int
) -> None:
    found = measured(sheet(disc(x, y, radius) & ~disc(x, y, hole * radius), paper))
    area, eye = np.pi * radius**2 / AREA, np.pi * (hole * radius) ** 2 / AREA
    assert found["blackness"] == pytest.approx(area - eye, rel=ONE_PERCENT)
    assert found["eye-fill"] == pytest.approx(eye, rel=ONE_PERCENT)
    assert found["circularity"] == pytest.approx(1, rel=ONE_PERCENT)
    assert found["rectangularity"] == pytest.approx(np.pi / 4, rel=ONE_PERCENT)
    assert found["solidity"] == pytest.approx(1, rel=ONE_PERCENT)
    assert found["aspect"] == pytest.approx(1, rel=ONE_PERCENT)
    assert (found["eyes"], found["blots"], found["ends"]) == (1, 1, 0)
    assert found["grey"] < ONE_PERCENT


@settings(max_examples=8, deadline=None)
@given(
    st.floats(270, 400), st.floats(0.6, 1), st.floats(0, 180), st.integers(140, 255)
)  # fmt: skip
def test_a_filled_rectangle_is_measured_to_one_percent(
    width: float, share: float, degrees: float, paper: int
) -> None:
    height = share * width
    found = measured(sheet(box(440, 370, width, height, degrees), paper))
    assert found["blackness"] == pytest.approx(width * height / AREA, rel=ONE_PERCENT)
    circularity = 6 * width * height / (np.pi * (width**2 + height**2))
    assert found["circularity"] == pytest.approx(circularity, rel=ONE_PERCENT)
    assert found["rectangularity"] == pytest.approx(1, rel=ONE_PERCENT)
    assert found["solidity"] == pytest.approx(1, rel=ONE_PERCENT)
    assert found["aspect"] == pytest.approx(share, rel=ONE_PERCENT)
    assert found["thickness"] == pytest.approx(height / AREA**0.5, abs=2 / ink.INPUT_SIZE)
    assert (found["eyes"], found["blots"], found["eye-fill"]) == (0, 1, 0)


@settings(max_examples=8, deadline=None)
@given(st.integers(1, 5), st.floats(18, 60), st.floats(-15, 15))
def test_strokes_apart_have_two_ends_each(count: int, width: float, degrees: float) -> None:
    places = (np.arange(count) + 0.5) * SIZE[0] / count
    black = np.any([box(x, 360, width, 450, degrees) for x in places], axis=0)
    found = measured(sheet(black))
    assert (found["blots"], found["ends"], found["eyes"]) == (count, 2 * count, 0)


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 6), st.floats(16, 60))
def test_every_eye_is_counted_and_their_fill_summed(count: int, radius: float) -> None:
    black = box(450, 360, 840, 200)
    for number in range(count):
        black &= ~disc(100 + 140 * number, 360, radius)
    found = measured(sheet(black))
    assert found["eyes"] == count
    truth = count * np.pi * radius**2 / AREA
    assert found["eye-fill"] == pytest.approx(truth, rel=ONE_PERCENT, abs=0.0005)


def test_white_that_reaches_the_edge_is_no_eye() -> None:
    ring = disc(60, 360, 250) & ~disc(60, 360, 150)
    assert measured(sheet(ring))["eyes"] == 0
    gap = disc(450, 360, 250) & ~disc(450, 360, 150) & ~box(650, 360, 300, 30)
    assert measured(sheet(gap))["eyes"] == 0


def test_streaks_and_specks_count_as_nothing_but_black_and_white() -> None:
    streaked = box(450, 360, 500, 300) & ~box(450, 330, 300, 7)
    for x, y in ((40, 40), (860, 80), (70, 650), (450, 100)):
        streaked |= disc(x, y, 8)
    found = measured(sheet(streaked))
    assert (found["eyes"], found["blots"], found["eye-fill"]) == (0, 1, 0)
    assert found["rectangularity"] == pytest.approx(1, rel=ONE_PERCENT)
    truth = (500 * 300 - 300 * 7 + 4 * np.pi * 64) / AREA
    assert found["blackness"] == pytest.approx(truth, rel=ONE_PERCENT)


@settings(max_examples=8, deadline=None)
@given(st.tuples(*[st.integers(0, 45)] * 4), st.integers(0, 70))
def test_the_dark_edge_of_a_scan_changes_nothing(
    edges: tuple[int, int, int, int], bed: int
) -> None:
    left, top, right, bottom = (edge if edge > 4 else 0 for edge in edges)
    plain = sheet(disc(450, 360, 250) & ~disc(450, 360, 140))
    scanned = Image.new("RGB", (SIZE[0] + left + right, SIZE[1] + top + bottom), (bed,) * 3)
    scanned.paste(plain, (left, top))
    one, other = measured(plain), measured(scanned)
    for name in ink.MEASURES:
        assert other[name] == pytest.approx(one[name], rel=2 * ONE_PERCENT, abs=0.005), name


def test_a_shape_that_fills_an_edge_is_no_scan() -> None:
    found = measured(sheet(box(450, 660, 1000, 120)))
    assert found["blackness"] == pytest.approx(120 / SIZE[1], rel=ONE_PERCENT)


@pytest.mark.parametrize(("level", "black"), [(255, 0), (170, 0), (0, 1)])
def test_a_sheet_of_one_tone_is_white_or_black(level: int, black: float) -> None:
    found = measured(Image.new("RGB", SIZE, (level,) * 3))
    assert (found["blackness"], found["eyes"], found["blots"]) == (black, 0, black)
    assert found["grey"] == 0


def test_the_share_of_grey_is_what_is_neither_ink_nor_paper() -> None:
    picture = sheet(box(450, 150, 500, 200))
    ImageDraw.Draw(picture).rectangle((200, 400, 699, 599), fill=(140, 140, 140))
    assert measured(picture)["grey"] == pytest.approx(500 * 200 / AREA, abs=ONE_PERCENT)
    ImageDraw.Draw(picture).rectangle((200, 400, 699, 599), fill=(230, 60, 40))
    assert measured(picture)["grey"] == pytest.approx(500 * 200 / AREA, abs=ONE_PERCENT)


@settings(max_examples=20, deadline=None)
@given(hnp.arrays(np.uint8, hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=24)))
def test_any_picture_can_be_measured(levels: np.ndarray) -> None:
    picture = Image.fromarray(np.stack([levels] * 3, axis=2))
    assert all(np.isfinite(value) and value >= 0 for value in measured(picture).values())
    assert np.linalg.norm(vectors(picture)[0]) == pytest.approx(1, abs=1e-6)


# The vectors.

measures = hnp.arrays(
    np.float64, (4, len(ink.MEASURES)), elements=st.floats(0, 1)
)  # fmt: skip
COUNTS = np.array([name in ink.COUNTS for name in ink.MEASURES])


@settings(deadline=None)
@given(measures, st.integers(0, 30))
def test_stored_in_half_precision_the_measures_can_be_read_back(
    values: np.ndarray, top: int
) -> None:
    values[:, COUNTS] = np.rint(values[:, COUNTS] * top)
    stored = ink.lift(values).astype(np.float16).astype(np.float32)
    stored /= np.linalg.norm(stored, axis=1, keepdims=True)
    read = ink.read(stored)
    np.testing.assert_array_equal(read[:, COUNTS], values[:, COUNTS])
    np.testing.assert_allclose(read[:, ~COUNTS], values[:, ~COUNTS], atol=5e-4)
    some = ["eye-fill", "eyes", "blackness"]
    chosen = [list(ink.MEASURES).index(name) for name in some]
    np.testing.assert_array_equal(ink.read(stored, some), read[:, chosen])
    np.testing.assert_allclose(
        ink.read(ink.only(stored, some), some, some), read[:, chosen], atol=1e-5
    )


@given(shares, shares, shares, st.integers(0, len(ink.MEASURES) - 1))
def test_the_cosine_falls_with_every_difference(a: float, b: float, c: float, place: int) -> None:
    low, middle, high = sorted((a, b, c))
    values = np.full((3, len(ink.MEASURES)), 0.4)
    values[:, place] = low, middle, high
    unit = ink.lift(values).astype(np.float64)
    near, far = unit[0] @ unit[1], unit[0] @ unit[2]
    assert far <= near + 1e-6
    if not COUNTS[place]:
        assert far == pytest.approx(
            1 - (1 - np.cos((high - low) * np.pi / 2)) / len(ink.MEASURES), abs=1e-6
        )


@given(hnp.arrays(np.float64, (2, len(ink.MEASURES)), elements=st.floats(0, 1)))
def test_one_minus_the_cosine_is_nearly_the_squared_distance(values: np.ndarray) -> None:
    values[:, COUNTS] = 0
    one, other = ink.lift(values).astype(np.float64)
    distance = ((values[0] - values[1]) ** 2).sum() * np.pi**2 / 8 / len(ink.MEASURES)
    # 1 - cos t lies between 8/pi^2 t^2/2 and t^2/2 for |t| up to pi/2.
    assert 0.81 * distance - 1e-6 <= 1 - one @ other <= distance + 1e-6


def test_a_painting_twice_as_black_and_twice_as_open_is_not_the_same() -> None:
    small = disc(450, 360, 150) & ~disc(450, 360, 75)
    large = disc(450, 360, 212) & ~disc(450, 360, 106)
    one, other = ink.only(vectors(sheet(small), sheet(large)), ["blackness", "eye-fill"])
    assert one @ other < 0.999


@pytest.mark.parametrize(
    ("names", "message"),
    [(["eyes", "eyefill"], "there is no feature 'eyefill'"), (["eyes", "eyes"], "named twice")],
)  # fmt: skip
def test_names_of_no_measure_are_refused(names: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        ink.check(names)


def test_pixels_of_another_shape_are_refused() -> None:
    with pytest.raises(ValueError, match="expected uint8 pixels"):
        ink.describe(np.zeros((1, 10, 10, 3), np.uint8))


def test_a_query_imports_neither_torch_nor_sklearn() -> None:
    program = (
        "import sys, numpy as np\n"
        "from paint_search.indexer.backbones.ink.ink import describe, INPUT_SIZE as n\n"
        "describe(np.zeros((1, n, n, 3), np.uint8))\n"
        "print(sorted({'torch', 'sklearn', 'timm', 'faiss'} & set(sys.modules)))"
    )
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert told.stdout == "[]\n", told.stderr
