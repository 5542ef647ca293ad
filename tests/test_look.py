"""The perceptual hash: copies of a picture look alike, other pictures do not."""

from __future__ import annotations

import io
import itertools

import numpy as np
import pytest
from images import PLAIN, Pixels, picture
from PIL import Image, ImageEnhance
from scipy.fft import dctn

from paint_search.indexer.images import look
from paint_search.search import is_copy

#: Of two hashes of 64 bits, as many may differ in copies of one picture.
COPY_BITS = 6


def bits(one: Pixels, other: Pixels) -> int:
    """Return the number of bits in which two looks differ."""
    return (int(look(one)[:16], 16) ^ int(look(other)[:16], 16)).bit_count()


def textured(seed: int) -> Image.Image:
    """Return a picture with detail of every size, as paintings have."""
    rng = np.random.default_rng(seed)
    layers = [
        np.asarray(
            Image.fromarray(rng.integers(0, 256, (n, n, 3), dtype=np.uint8)).resize((400, 300)),
            dtype=float,
        )
        for n in (3, 6, 12, 50)
    ]
    mixed = 0.4 * layers[0] + 0.3 * layers[1] + 0.2 * layers[2] + 0.1 * layers[3]
    return Image.fromarray(mixed.astype(np.uint8))


def jpeg(image: Image.Image, quality: int) -> Image.Image:
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=quality)
    return Image.open(stream)


def fitted(image: Image.Image) -> Pixels:
    return np.asarray(PLAIN.fit_image(image.convert("RGB")))


@pytest.mark.parametrize("seed", range(8))
def test_copies_look_alike(seed: int) -> None:
    image = textured(seed)
    copies = {
        "smaller": image.resize((130, 97)),
        "larger": image.resize((900, 675)),
        "poor JPEG": jpeg(image, 25),
        "darker": ImageEnhance.Brightness(image).enhance(0.85),
        "flatter": ImageEnhance.Contrast(image).enhance(0.8),
        "grayscale": image.convert("L"),
        "all of it": jpeg(ImageEnhance.Brightness(image.resize((200, 150))).enhance(0.9), 50),
    }
    distances = {name: bits(fitted(image), fitted(copy)) for name, copy in copies.items()}
    assert max(distances.values()) <= COPY_BITS, distances


def test_other_pictures_mirrored_and_turned_ones_look_different() -> None:
    looks = [fitted(textured(seed)) for seed in range(30)]
    assert min(bits(a, b) for a, b in itertools.combinations(looks, 2)) > COPY_BITS
    for pixels in looks:
        turned = (pixels[:, ::-1], pixels[::-1], np.rot90(pixels), 255 - pixels)
        assert all(bits(pixels, np.ascontiguousarray(other)) > COPY_BITS for other in turned)


@pytest.mark.parametrize("size", [(32, 32), (224, 224), (64, 48)])
def test_the_look_is_the_sign_of_the_lowest_frequencies_about_their_median(
    size: tuple[int, int],
) -> None:
    pixels = np.asarray(picture(*size))
    grays = Image.fromarray(pixels).convert("L").resize((32, 32), Image.Resampling.BOX)
    lowest = dctn(np.asarray(grays, float), norm="ortho")[:8, :8].ravel()
    expected = sum(1 << (63 - i) for i in range(64) if lowest[i] > np.median(lowest))
    assert look(pixels)[:16] == f"{expected:016x}"


def test_half_of_the_bits_are_set() -> None:
    for seed in range(5):
        text = look(fitted(textured(seed)))
        assert int(text[:16], 16).bit_count() == 32


def test_blank_pictures_are_copies_only_of_their_own_colour() -> None:
    def blank(*colour: int) -> str:
        return look(np.full((20, 20, 3), colour, dtype=np.uint8))

    assert blank(1, 2, 255)[16:] == "0102ff"
    assert is_copy(blank(200, 30, 30), blank(180, 25, 25))
    assert not is_copy(blank(200, 30, 30), blank(30, 30, 200))


@pytest.mark.parametrize(("differing", "copy"), [(0, True), (6, True), (7, False), (12, False)])
def test_looks_of_copies_differ_in_six_bits_at_most(differing: int, copy: bool) -> None:
    random = np.random.default_rng(differing)
    for _ in range(20):
        one = int.from_bytes(random.bytes(8))
        other = one
        for bit in random.choice(64, differing, replace=False):
            other ^= 1 << int(bit)
        assert is_copy(f"{one:016x}808080", f"{other:016x}808080") == copy


@pytest.mark.parametrize(("colour", "copy"), [("80b080", True), ("80b180", False)])
def test_mean_colours_of_copies_differ_by_48_levels_at_most(colour: str, copy: bool) -> None:
    assert is_copy("f" * 16 + "808080", "f" * 16 + colour) == copy
