"""The built-in, weight-free backbone: sRGB canvases in, one unit vector per painting out.

Six blocks describe colour, layout, contour, touch, contrast and style, each measured from what
neutral pictures made by formula would give. Nothing is learned and nothing depends on the corpus;
the block weights, the bin ranges and the statistics of the neutral pictures were tuned by hand on
a development set of paintings. This module opens no image.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from importlib import resources
from typing import Final

import numpy as np
from numpy.typing import NDArray

from paint_search.indexer.backbones.builtin.descriptor_sheet import INPUT_SIZE as INPUT_SIZE
from paint_search.indexer.backbones.builtin.descriptor_sheet import Array, Sheet
from paint_search.indexer.images.preprocessing import check_squares
from paint_search.indexer.shared import one_blas_thread

VERSION: Final = "descriptors-1"  # change it whenever the same pixels give another vector
DIMENSION: Final = 1290

# The cosine of two paintings is the mean of their blocks' cosines, weighted by these squared.
_WEIGHTS: Final = {
    "colour": 0.8,
    "layout": 0.5,
    "contour": 0.8,
    "touch": 1.0,
    "contrast": 0.6,
    "style": 2.0,
}
_NEUTRAL_PICTURES: Final = 12
_STYLE_FLOOR: Final = 1e-3  # keeps a style entry that never varies from being blown up
_EPSILON: Final = 1e-5  # variance below which a pixel feature counts as constant


def describe(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Describe paintings by colour, layout, contour, touch, contrast and style.

    Every picture is described by itself: the other pictures of the batch change nothing.

    Args:
        pixels: (n, INPUT_SIZE, INPUT_SIZE, 3) sRGB values, uint8.

    Returns:
        (n, DIMENSION) rows of unit L2 norm, float32.

    Raises:
        ValueError: the pixels have another shape or type.
    """
    check_squares(pixels, INPUT_SIZE)
    if not len(pixels):
        return np.empty((0, DIMENSION), dtype=np.float32)
    return _joined(measure_blocks(pixels))


def measure_blocks(pixels: NDArray[np.uint8]) -> dict[str, Array]:
    """Measure the six blocks of a description by name, each (n, d), before any weight.

    Args:
        pixels: as ``describe`` takes them, n >= 1.
    """
    with one_blas_thread():
        return _blocks(map(_oklab, pixels))


def _joined(blocks: dict[str, Array]) -> Array:
    """Join the blocks: each measured from the neutral origin, made unit length, weighted."""
    origin, style_spread = stored_neutral()
    total = sum(weight**2 for weight in _WEIGHTS.values()) ** 0.5
    parts = []
    for name, block in blocks.items():
        offset = block - origin[name]
        if name == "style":
            offset = offset / style_spread
        norm = np.linalg.norm(offset, axis=1, keepdims=True)
        parts.append(offset * (_WEIGHTS[name] / total / norm))
    return np.concatenate(parts, axis=1, dtype=np.float32)


def _blocks(pictures: Iterable[Array]) -> dict[str, Array]:
    """Raw blocks, each (n, d), of pictures given as Oklab planes (3, INPUT_SIZE, INPUT_SIZE)."""
    sheet = Sheet()
    rows = [sheet.measure(lab) for lab in pictures]
    colour, layout, contour, touch, contrast, style = map(np.stack, zip(*rows, strict=True))
    return {
        "colour": _hellinger(colour),
        "layout": layout,
        "contour": _hellinger(contour),
        "touch": _hellinger(touch),
        "contrast": _hellinger(contrast),
        "style": _logarithm(style),
    }


def _logarithm(moments: NDArray[np.float64]) -> Array:
    """Log-Euclidean embedding of Gaussians, given by their second moments (n, d + 1, d + 1).

    A Gaussian of mean m and covariance C is the positive definite matrix [[C + m m', m], [m', 1]]
    (Lovric, Min-Oo and Ruh 2000), whose logarithm lives in a flat space (Arsigny et al. 2006).
    Returns its (d + 1)(d + 2) / 2 upper entries: second-order pooling, as Gram matrices in style
    transfer.
    """
    values, vectors = np.linalg.eigh(moments)
    scaled = vectors * np.log(np.maximum(values, 0) + _EPSILON)[:, None]
    logarithm = scaled @ vectors.swapaxes(1, 2)
    i, j = np.triu_indices(moments.shape[1])
    # In C order, or the norms would be summed in another order for another size of batch.
    entries = np.ascontiguousarray(logarithm[:, i, j], dtype=np.float32)
    return np.asarray(entries * np.where(i == j, 1, 2**0.5), dtype=np.float32)


def _hellinger(shares: NDArray[np.float64] | Array) -> Array:
    """Square root of the shares, so that a dot product compares them by Hellinger's kernel."""
    return np.asarray(np.sqrt(np.maximum(shares, 0)), dtype=np.float32)


@lru_cache(maxsize=1)
def stored_neutral() -> tuple[dict[str, Array], Array]:
    """Return what ``measure_neutral`` measured when this version was made.

    Stored, because measuring takes 0.3 s, which every query would wait for.
    """
    stored = resources.files(__package__).joinpath(f"{VERSION}.npz")
    with stored.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        return {name: arrays[name] for name in _WEIGHTS}, arrays["spread"]


def measure_neutral() -> tuple[dict[str, Array], Array]:
    """Mean of every block, and spread of the style block, over the neutral pictures.

    Measured from this origin, unrelated paintings score low. The legacy generator is used as its
    stream is frozen: every release of numpy draws the same pictures.
    """
    random = np.random.RandomState(0)
    blocks = _blocks(_neutral_picture(random) for _ in range(_NEUTRAL_PICTURES))
    origin = {name: blocks[name].mean(axis=0) for name in _WEIGHTS}
    spread = blocks["style"].std(axis=0) + np.float32(_STYLE_FLOOR)
    return origin, spread


def _neutral_picture(random: np.random.RandomState) -> Array:
    """Oklab planes of one draw: five flat regions under a texture, both of power-law spectrum.

    Power-law spectra and occluding regions are the two classical models of natural images
    (Field 1987; Ruderman 1997). The constants give it a typical painting's range and grain.
    """
    regions = _power_noise(random, 1.9, 5).argmax(0)
    palette = random.normal(size=(3, 5))
    slope = random.uniform(0.9, 1.8)
    texture = np.vstack([_power_noise(random, slope, 1), _power_noise(random, slope + 0.2, 2)])
    spread = np.array([0.18, 0.024, 0.024]) * np.exp(0.3 * random.normal(size=2))[[0, 1, 1]]
    mean = np.array([0.54, 0.01, 0.03]) + np.array([0.13, 0.02, 0.03]) * random.normal(size=3)
    mix = 0.75**0.5 * palette[:, regions] + 0.25**0.5 * texture
    lab = mean[:, None, None] + spread[:, None, None] * mix
    lab[0] = np.clip(lab[0], 0, 1)
    return np.asarray(lab, dtype=np.float32)


def _power_noise(random: np.random.RandomState, slope: float, count: int) -> Array:
    """Gaussian fields (count, INPUT_SIZE, INPUT_SIZE) of amplitude f^-slope and unit variance."""
    n = INPUT_SIZE
    frequency = np.hypot(np.fft.fftfreq(n)[:, None], np.fft.rfftfreq(n))
    frequency[0, 0] = np.inf
    real, imaginary = random.normal(size=(2, count, *frequency.shape))
    field = np.fft.irfft2((real + 1j * imaginary) * frequency**-slope, s=(n, n))
    return np.asarray(field / field.std((1, 2), keepdims=True), dtype=np.float32)


def _oklab(image: NDArray[np.uint8]) -> Array:
    """Oklab planes (3, n, n) of sRGB (n, n, 3): lightness 0..1, green-red and blue-yellow.

    Bjorn Ottosson, "A perceptual color space for image processing", 2020.
    """
    rgb = _linear_light().take(image.reshape(-1, 3))
    cones = _RGB_TO_CONES @ rgb.T
    planes: Array = _CONES_TO_OKLAB @ np.cbrt(cones, out=cones)
    return planes.reshape(3, *image.shape[:2])


@lru_cache(maxsize=1)
def _linear_light() -> Array:
    """Linear light of the 256 sRGB codes."""
    codes = np.arange(256) / 255
    linear = np.where(codes <= 0.04045, codes / 12.92, ((codes + 0.055) / 1.055) ** 2.4)
    return linear.astype(np.float32)


_RGB_TO_CONES: Final = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ],
    dtype=np.float32,
)
_CONES_TO_OKLAB: Final = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ],
    dtype=np.float32,
)
