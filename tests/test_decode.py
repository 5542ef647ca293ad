"""Image files of every kind -> the pixels a viewer would show, or one plain reason why not."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from images import (
    PLAIN,
    array,
    cosine,
    difference,
    oriented,
    picture,
    psd,
    swapping_profile,
    write,
)
from PIL import Image, ImageCms
from torchvision import transforms

from paint_search.indexer.images import Fit, Preprocessing, decode, is_picture

NO_IMAGE = "not an image, or of a kind that cannot be read"
CUT_SHORT = "damaged image: the file is cut short"


@pytest.fixture(autouse=True)
def _warnings_are_errors() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def saved(image: Image.Image, file: Path, kind: str, **options: Any) -> Path:
    image.save(file, kind, **options)
    return file


def same_as(image: Image.Image, tolerance: float, file: Path) -> None:
    """Assert that the file decodes to what ``image`` shows."""
    assert difference(decode(file, PLAIN).pixels, image) <= tolerance


@pytest.mark.parametrize("name", ["x.jpg", "x.png", "x.txt", "x"])
@pytest.mark.parametrize(
    ("kind", "options", "tolerance"),
    [
        ("JPEG", {"quality": 95, "subsampling": 0}, 2.0),
        ("PNG", {}, 0.0),
        ("WEBP", {"lossless": True}, 0.0),
        ("WEBP", {"quality": 90}, 5.0),
        ("TIFF", {}, 0.0),
        ("TIFF", {"compression": "tiff_lzw"}, 0.0),
        ("BMP", {}, 0.0),
        ("GIF", {}, 10.0),
        ("AVIF", {"quality": 95}, 5.0),
        ("JPEG2000", {}, 0.0),
        ("TGA", {}, 0.0),
        ("PPM", {}, 0.0),
    ],
)
def test_the_content_counts_and_not_the_name(
    tmp_path: Path, name: str, kind: str, options: dict[str, Any], tolerance: float
) -> None:
    file = saved(picture(), tmp_path / name, kind, **options)
    assert is_picture(file)
    same_as(picture(), tolerance, file)


def test_photoshop_documents_are_read(tmp_path: Path) -> None:
    same_as(picture(), 0.0, write(tmp_path / "x.png", psd(picture())))


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF", "MPO"])
def test_of_many_frames_the_first_counts(tmp_path: Path, kind: str) -> None:
    others = [
        picture(seed=1).copy(),
        picture(seed=2).copy(),
    ]  # Pillow notes on them how they are saved
    file = saved(picture(), tmp_path / "x", kind, save_all=True, append_images=others)
    assert difference(decode(file, PLAIN).pixels, picture()) < 10
    assert difference(decode(file, PLAIN).pixels, others[0]) > 20


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_exif_orientation_shows_the_same_pixels(
    tmp_path: Path, kind: str, orientation: int
) -> None:
    options = {"lossless": True} if kind == "WEBP" else {"quality": 95} if kind == "JPEG" else {}
    stored, exif = oriented(picture(60, 40), orientation)
    file = saved(stored, tmp_path / "x", kind, exif=exif, **options)
    pad = Preprocessing(size=60, fit="pad")
    upright = saved(picture(60, 40), tmp_path / "upright", "PNG")
    tolerance = 4.0 if kind == "JPEG" else 0.0
    assert difference(decode(file, pad).pixels, decode(upright, pad).pixels) <= tolerance


def test_orientation_holds_for_jpegs_reduced_while_decoding(tmp_path: Path) -> None:
    square = Preprocessing(size=32, fit="squash")
    upright = decode(saved(picture(1200, 800), tmp_path / "1", "JPEG"), square).pixels
    for orientation in range(2, 9):
        stored, exif = oriented(picture(1200, 800), orientation)
        file = saved(stored, tmp_path / str(orientation), "JPEG", exif=exif)
        assert difference(decode(file, square).pixels, upright) < 2


def gray(depth: type[np.generic], top: float) -> Image.Image:
    ramp = np.tile(np.linspace(0, top, 48), (48, 1))
    return Image.fromarray(ramp.astype(depth))


def with_alpha(mode: str) -> tuple[Image.Image, Image.Image]:
    """Return a half transparent picture and what it is on white."""
    alpha = Image.fromarray(np.tile(np.linspace(0, 255, 48).astype(np.uint8), (48, 1)).T.copy())
    base = picture().convert(mode.removesuffix("A"))
    layered = base.convert(mode)
    layered.putalpha(alpha)
    share = np.asarray(alpha, float)[..., None] / 255
    on_white = array(base) * share + 255 * (1 - share)
    return layered, Image.fromarray(np.rint(on_white).astype(np.uint8))


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_alpha_is_laid_on_white(tmp_path: Path, mode: str, kind: str) -> None:
    layered, expected = with_alpha(mode)
    same_as(expected, 1.0, saved(layered, tmp_path / "x", kind))


def test_colour_of_transparent_pixels_does_not_bleed_when_reduced(tmp_path: Path) -> None:
    black_and_clear = Image.new("RGBA", (1600, 1200), (0, 0, 0, 0))
    file = saved(black_and_clear, tmp_path / "x.png", "PNG")
    assert decode(file, PLAIN).pixels.min() == 255


@pytest.mark.parametrize("clear", [5, bytes([255] * 5 + [0] + [255] * 250)])
@pytest.mark.parametrize("kind", ["PNG", "GIF"])
def test_clear_palette_entries_are_white(tmp_path: Path, kind: str, clear: int | bytes) -> None:
    palette = picture().quantize(16)
    if kind == "GIF" and isinstance(clear, bytes):
        pytest.skip("GIF has one clear entry at most")
    expected = array(palette)
    expected[np.asarray(palette) == 5] = 255
    file = saved(palette, tmp_path / "x", kind, transparency=clear)
    same_as(Image.fromarray(expected.astype(np.uint8)), 0.0, file)


def test_a_clear_colour_of_rgb_and_gray_is_white(tmp_path: Path) -> None:
    image = Image.new("RGB", (48, 48), (10, 20, 30))
    rgb = saved(image, tmp_path / "rgb", "PNG", transparency=(10, 20, 30))
    flat = saved(Image.new("L", (48, 48), 7), tmp_path / "l", "PNG", transparency=7)
    assert decode(rgb, PLAIN).pixels.min() == decode(flat, PLAIN).pixels.min() == 255


@pytest.mark.parametrize(
    ("image", "kind"),
    [
        (gray(np.uint8, 255), "PNG"),
        (gray(np.uint16, 65535), "PNG"),
        (gray(np.uint16, 65535), "TIFF"),
        (gray(np.int32, 65535), "TIFF"),
        (gray(np.float32, 1.0), "TIFF"),
        (gray(np.float32, 255.0), "TIFF"),
        (gray(np.float32, 65535.0), "TIFF"),
    ],
    ids=["8", "16 png", "16 tiff", "32 tiff", "float 0-1", "float 0-255", "float 0-65535"],
)
def test_grays_of_any_depth_show_the_same_ramp(
    tmp_path: Path, image: Image.Image, kind: str
) -> None:
    same_as(gray(np.uint8, 255), 1.0, saved(image, tmp_path / "x", kind))


def test_a_dark_16_bit_image_stays_dark_even_with_a_clear_colour(tmp_path: Path) -> None:
    dark = gray(np.uint16, 6553)
    for options in ({}, {"transparency": 65535}):
        file = saved(dark, tmp_path / "x.png", "PNG", **options)
        assert 10 < decode(file, PLAIN).pixels.mean() < 15


def test_floats_that_overshoot_or_are_no_numbers_do_not_spoil_the_rest(tmp_path: Path) -> None:
    values = np.array(gray(np.float32, 1.0))
    values[0, :3] = (np.nan, np.inf, -np.inf)
    values[1, :2] = (1.3, -0.2)
    file = saved(Image.fromarray(values), tmp_path / "x.tif", "TIFF")
    assert difference(decode(file, PLAIN).pixels[2:], array(gray(np.uint8, 255))[2:]) < 1


@pytest.mark.parametrize("options", [{"compression": "group4"}, {}])
def test_one_bit_pictures(tmp_path: Path, options: dict[str, Any]) -> None:
    bits = picture().convert("1")
    same_as(bits, 0.0, saved(bits, tmp_path / "x.tif", "TIFF", **options))


def test_lab_is_converted_to_srgb(tmp_path: Path) -> None:
    srgb, lab = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    image = ImageCms.profileToProfile(picture(), srgb, lab, outputMode="LAB")
    same_as(picture(), 3.0, saved(image, tmp_path / "x.tif", "TIFF"))


@pytest.mark.parametrize("kind", ["TIFF", "JPEG"])
def test_cmyk_without_profile(tmp_path: Path, kind: str) -> None:
    file = saved(picture().convert("CMYK"), tmp_path / "x", kind)
    same_as(picture(), 3.0, file)


@pytest.mark.parametrize("profile", [b"rubbish" * 30, swapping_profile()[:200], swapping_profile()])
def test_a_profile_that_does_not_fit_cmyk_is_passed_over(tmp_path: Path, profile: bytes) -> None:
    file = saved(picture().convert("CMYK"), tmp_path / "x", "TIFF", icc_profile=profile)
    same_as(picture(), 1.0, file)


@pytest.mark.parametrize("padding", [0, 200_000], ids=["small", "in many JPEG segments"])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_the_colour_profile_is_applied(tmp_path: Path, kind: str, padding: int) -> None:
    profile = swapping_profile(padding)
    file = saved(picture(), tmp_path / "x", kind, icc_profile=profile, quality=95)
    red, green, blue = picture().split()
    same_as(Image.merge("RGB", (green, red, blue)), 6.0, file)


def test_the_colour_profile_is_applied_to_palettes_alpha_and_reduced_files(tmp_path: Path) -> None:
    red = {"RGB": (200, 30, 30), "RGBA": (200, 30, 30, 255)}
    for size in (48, 2000):
        for mode, palette in (("RGB", False), ("RGB", True), ("RGBA", False)):
            image = Image.new(mode, (size, size), red[mode])
            image = image.quantize(4) if palette else image
            file = saved(image, tmp_path / "x.png", "PNG", icc_profile=swapping_profile())
            assert np.abs(decode(file, PLAIN).pixels.astype(int) - (30, 200, 30)).max() <= 2


SIZES = [(300, 200), (500, 640), (900, 1400), (1999, 1501), (6000, 450), (450, 6000)]


@pytest.mark.parametrize("fit", ["crop", "pad", "squash"])
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_reduced_decoding_agrees_with_full_decoding(
    tmp_path: Path, fit: Fit, size: tuple[int, int]
) -> None:
    preprocessing = Preprocessing(size=96, fit=fit, crop_pct=0.875)
    image = picture(*size)
    file = saved(image, tmp_path / "x", "JPEG", quality=92)
    with Image.open(file) as opened:
        full = np.asarray(preprocessing.fit_image(opened.convert("RGB")))
    pixels = decode(file, preprocessing).pixels
    assert pixels.shape == (96, 96, 3)
    assert difference(pixels, full) < 1.5
    assert cosine(pixels, full) > 0.999


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "LA", "P", "1", "CMYK", "I;16", "F"])
def test_pictures_reduced_in_strips_agree_with_plain_resizing(tmp_path: Path, mode: str) -> None:
    size = (2411, 1203)  # three strips, neither side a multiple of the factor
    image = picture(*size)
    if mode in ("I;16", "F"):
        image = Image.fromarray(np.asarray(image.convert("L")).astype(np.float32) / 255)
        deep = Image.fromarray((np.asarray(image) * 65535).astype(np.uint16))
        image = deep if mode == "I;16" else image
        plain = picture(*size).convert("L")
    else:
        image = image.quantize(32) if mode == "P" else image.convert(mode)
        plain = image
    file = saved(image, tmp_path / "x", "TIFF" if mode in ("CMYK", "F") else "PNG")
    expected = plain.convert("RGB").resize((48, 48), Image.Resampling.BOX)
    assert difference(decode(file, PLAIN).pixels, expected) < 1.5


@pytest.mark.parametrize("size", [(256, 256), (400, 300), (350, 900), (1000, 257)], ids=str)
@pytest.mark.parametrize(("pixels", "share"), [(224, 0.875), (224, 0.95), (96, 1.0)])
def test_crop_is_the_resize_and_centre_crop_that_weights_were_trained_with(
    size: tuple[int, int], pixels: int, share: float
) -> None:
    steps = [
        transforms.Resize(int(pixels / share), transforms.InterpolationMode.BICUBIC),
        transforms.CenterCrop(pixels),
    ]
    expected = np.asarray(transforms.Compose(steps)(picture(*size)))
    fitted = Preprocessing(pixels, "crop", crop_pct=share).fit_image(picture(*size))
    assert difference(np.asarray(fitted), expected) < 3.0  # Torchvision rounds to whole pixels
    assert cosine(np.asarray(fitted), expected) > 0.999


def test_pad_keeps_the_whole_picture_in_the_middle_of_the_mean_colour() -> None:
    pad = Preprocessing(size=40, fit="pad", mean=(0.2, 0.4, 0.6))
    fitted = np.asarray(pad.fit_image(Image.new("RGB", (400, 200), "red")))
    assert (fitted[10:30] == (255, 0, 0)).all()
    assert (fitted[:10] == (51, 102, 153)).all()
    assert (fitted[30:] == (51, 102, 153)).all()
    assert np.asarray(pad.fit_image(Image.new("RGB", (9000, 1)))).shape == (40, 40, 3)


@pytest.mark.parametrize("fit", ["crop", "pad", "squash"])
@pytest.mark.parametrize("size", [(1, 1), (3, 4000), (4000, 2)], ids=str)
def test_slivers_are_images_too(tmp_path: Path, fit: Fit, size: tuple[int, int]) -> None:
    file = saved(Image.new("RGB", size, "lime"), tmp_path / "x.png", "PNG")
    pixels = decode(file, Preprocessing(size=32, fit=fit, crop_pct=0.9)).pixels
    assert pixels.shape == (32, 32, 3)
    assert (pixels == (0, 255, 0)).all(axis=-1).sum() >= 32
