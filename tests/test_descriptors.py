"""Laws of the built-in backbone, on pictures painted here by code."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from paint_search.indexer.backbones.builtin import (
    DIMENSION,
    INPUT_SIZE,
    describe,
    measure_blocks,
    oklab,
    stored_neutral,
)

CANVAS = (INPUT_SIZE, INPUT_SIZE, 3)
PAINTERS = ("blue strokes", "warm planes", "pale dots")


def paint(painter: str, seed: int, size: int = 640) -> Image.Image:
    """One picture in the manner of a painter; the seed decides its composition."""
    random = np.random.default_rng([PAINTERS.index(painter), seed])
    ground = {"blue strokes": (30, 50, 110), "warm planes": (190, 150, 90)}.get(painter)
    image = Image.new("RGB", (size, size), ground or (225, 220, 210))
    draw = ImageDraw.Draw(image)
    count = {"blue strokes": 700, "warm planes": 25, "pale dots": 1500}[painter]
    for x, y, length, turn, hue in random.random((count, 5)):
        x, y = x * size, y * size
        if painter == "blue strokes":
            dx, dy = size * (0.05 + 0.1 * length), size * 0.06 * (turn - 0.5)
            colour = (int(20 + 60 * hue), int(60 + 90 * turn), int(120 + 120 * length))
            draw.line((x, y, x + dx, y + dy), colour, width=size // 80)
        elif painter == "warm planes":
            w, h = size * (0.1 + 0.3 * length), size * (0.1 + 0.3 * turn)
            colour = (int(140 + 110 * hue), int(60 + 100 * length), int(30 + 40 * turn))
            draw.rectangle((x - w / 2, y - h / 2, x + w / 2, y + h / 2), colour)
        else:
            r = size * (0.004 + 0.012 * length)
            colour = (int(150 + 90 * hue), int(150 + 90 * turn), int(150 + 90 * length))
            draw.ellipse((x - r, y - r, x + r, y + r), colour)
    return image.filter(ImageFilter.GaussianBlur(size / 400))


def canvas(image: Image.Image) -> NDArray[np.uint8]:
    return np.asarray(image.resize((INPUT_SIZE, INPUT_SIZE), Image.Resampling.BICUBIC))


def vector(image: Image.Image) -> NDArray[np.float32]:
    row: NDArray[np.float32] = describe(canvas(image)[None])[0]
    return row


def recompressed(image: Image.Image) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=75)
    return Image.open(buffer)


@given(hnp.arrays(np.uint8, st.tuples(st.integers(0, 3), *map(st.just, CANVAS))))
@settings(max_examples=10, deadline=None)
def test_rows_are_finite_unit_vectors(pixels: NDArray[np.uint8]) -> None:
    vectors = describe(pixels)
    assert vectors.shape == (len(pixels), DIMENSION)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_black_white_grey_and_noise_are_finite_unit_and_distinct() -> None:
    noise = np.random.default_rng(0).integers(0, 256, CANVAS, dtype=np.uint8)
    flat = [np.full(CANVAS, value, dtype=np.uint8) for value in (0, 128, 255)]
    vectors = describe(np.stack([*flat, noise]))
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    cosines = vectors @ vectors.T
    assert cosines[~np.eye(4, dtype=bool)].max() < 0.99


def test_a_vector_does_not_depend_on_its_batch() -> None:
    pixels = np.stack([canvas(paint(p, seed)) for p in PAINTERS for seed in (0, 1)])
    together = describe(pixels)
    np.testing.assert_array_equal(together[::-1], describe(pixels[::-1]))
    for row, image in zip(together, pixels, strict=True):
        np.testing.assert_array_equal(row, describe(image[None])[0])


def test_memory_order_does_not_matter() -> None:
    pixels = canvas(paint("pale dots", 0))[None]
    np.testing.assert_array_equal(describe(pixels), describe(np.asfortranarray(pixels)))


def test_another_process_gives_the_same_vector() -> None:
    program = (
        "import sys, numpy as np\n"
        "from paint_search.indexer.backbones.builtin.descriptors import *\n"
        "pixels = np.arange(INPUT_SIZE**2 * 3).reshape(1, INPUT_SIZE, INPUT_SIZE, 3) % 251; "
        "sys.stdout.buffer.write(describe(pixels.astype(np.uint8)).tobytes())"
    )
    first, second = (
        subprocess.run([sys.executable, "-c", program], capture_output=True, check=True).stdout
        for _ in range(2)
    )
    assert first == second
    assert len(first) == 4 * DIMENSION


@pytest.mark.parametrize("painter", PAINTERS)
def test_a_smaller_or_recompressed_copy_stays_the_same_painting(painter: str) -> None:
    image = paint(painter, 0)
    original = vector(image)
    half = image.resize((320, 320), Image.Resampling.LANCZOS)
    assert original @ vector(half) > 0.95
    assert original @ vector(recompressed(image)) > 0.95


def test_two_works_of_one_painter_are_closer_than_works_of_two() -> None:
    labels = np.repeat(np.arange(len(PAINTERS)), 4)
    pixels = np.stack([canvas(paint(p, seed)) for p in PAINTERS for seed in range(4)])
    vectors = describe(pixels)
    cosines = vectors @ vectors.T
    same = labels[:, None] == labels
    assert cosines[same].min() > cosines[~same].max()


@pytest.mark.parametrize("painter", PAINTERS)
def test_new_colours_move_a_painting_less_than_a_new_painter(painter: str) -> None:
    image = paint(painter, 0)
    red, green, blue = image.split()
    recoloured = Image.merge("RGB", (green, blue, red))
    original = vector(image)
    others = [vector(paint(other, 0)) for other in PAINTERS if other != painter]
    assert max(original @ other for other in others) < original @ vector(recoloured) < 0.95


def test_coarseness_of_the_touch_matters_where_colours_agree() -> None:
    random = np.random.default_rng(0)
    fine, other, coarse = (
        np.kron(random.integers(0, 2, (n, n)), np.ones((INPUT_SIZE // n,) * 2)).astype(np.uint8)
        for n in (INPUT_SIZE // 2, INPUT_SIZE // 2, INPUT_SIZE // 8)
    )
    pixels = np.stack([np.repeat(60 + 120 * x[..., None], 3, -1) for x in (fine, other, coarse)])
    vectors = describe(pixels.astype(np.uint8))
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2] + 0.2


def patchwork(seed: int, rough: int) -> NDArray[np.uint8]:
    """Red and green squares at random; those of colour `rough` carry a fine grain."""
    random = np.random.default_rng(seed)
    kinds = np.kron(random.permutation(np.arange(100) % 2).reshape(10, 10), np.ones((16, 16)))
    grain = 20 * (2 * random.integers(0, 2, kinds.shape) - 1) * (kinds == rough)
    colours = np.array([(170, 90, 90), (90, 140, 90)])[kinds.astype(int)]
    return np.asarray(colours + grain[..., None], dtype=np.uint8)


def test_which_colour_carries_the_grain_matters() -> None:
    vectors = describe(np.stack([patchwork(0, 0), patchwork(1, 0), patchwork(2, 1)]))
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2] + 0.2


def blocks(pixels: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
    return {name: row for name, (row,) in measure_blocks([oklab(pixels)]).items()}


def test_every_block_takes_part_with_its_own_weight() -> None:
    pixels = canvas(paint("blue strokes", 0))
    sizes = [len(block) for block in blocks(pixels).values()]
    parts = np.split(describe(pixels[None])[0], np.cumsum(sizes)[:-1])
    norms = np.array([np.linalg.norm(part) for part in parts])
    assert norms.min() > 0.15
    assert norms.argmax() == list(blocks(pixels)).index("style")


@pytest.mark.parametrize(("degrees", "bin_"), [(0, 0), (45, 2), (90, 4), (135, 6)])
def test_contour_votes_for_the_direction_of_a_grating(degrees: int, bin_: int) -> None:
    y, x = np.mgrid[:INPUT_SIZE, :INPUT_SIZE]
    phase = x * np.cos(np.radians(degrees)) + y * np.sin(np.radians(degrees))
    grating = np.repeat(128 + 60 * np.sin(phase / 4)[..., None], 3, axis=2).astype(np.uint8)
    votes = (blocks(grating)["contour"].reshape(3, 16, 8) ** 2).sum((0, 1))
    assert votes.argmax() == bin_
    assert votes[bin_] > 0.8 * votes.sum()


def test_shares_of_a_flat_canvas() -> None:
    flat = blocks(np.full(CANVAS, (200, 120, 40), dtype=np.uint8))
    assert np.count_nonzero(flat["colour"]) <= 8
    assert np.sum(flat["colour"] ** 2) == pytest.approx(1, abs=1e-5)
    assert np.count_nonzero(flat["touch"]) == 3  # one pattern a level: no neighbour is brighter
    np.testing.assert_allclose(flat["contrast"].reshape(8, 12)[:, 0], 1, atol=1e-5)
    assert not flat["contour"].any()


def test_where_colours_are_matters() -> None:
    top = np.full((1, *CANVAS), 60, dtype=np.uint8)
    top[:, : INPUT_SIZE // 2] = (200, 180, 90)
    assert (describe(top) @ describe(top[:, ::-1]).T).item() < 0.95


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros(CANVAS, dtype=np.uint8),
        np.zeros((1, INPUT_SIZE, INPUT_SIZE, 4), dtype=np.uint8),
        np.zeros((1, INPUT_SIZE - 1, INPUT_SIZE, 3), dtype=np.uint8),
        np.zeros((1, 3, INPUT_SIZE, INPUT_SIZE), dtype=np.uint8),
        np.zeros((1, *CANVAS), dtype=np.float32),
        np.zeros((1, *CANVAS), dtype=np.int64),
    ],
)
def test_other_shapes_and_types_are_refused(pixels: NDArray[np.generic]) -> None:
    with pytest.raises(ValueError, match="expected uint8 pixels of shape"):
        describe(pixels)  # type: ignore[arg-type]


def test_the_stored_statistics_are_those_that_the_program_makes(tmp_path: Path) -> None:
    program = Path(__file__).parents[1] / "training/neutral.py"
    subprocess.run([sys.executable, program, tmp_path / "neutral.npz"], check=True)
    stored, spread = stored_neutral()
    with np.load(tmp_path / "neutral.npz") as made:
        assert made.keys() == stored.keys() | {"spread"}
        for name, values in (stored | {"spread": spread}).items():
            np.testing.assert_allclose(made[name], values, atol=1e-4)
