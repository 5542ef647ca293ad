"""The built-in, weight-free backbone: sRGB canvases in, one unit vector per painting out.

Six blocks describe colour, layout, contour, touch, contrast and style, each measured from what
neutral pictures made by formula would give. Nothing is learned and nothing depends on the corpus;
the block weights, the bin ranges and the statistics of the neutral pictures were tuned by hand on
a development set of paintings. This module opens no image.
"""

from __future__ import annotations

from functools import lru_cache
from importlib import resources
from typing import Final

import numpy as np
from numpy.typing import NDArray

from paint_search.indexer.blas import one_blas_thread

Array = NDArray[np.float32]
Indices = NDArray[np.int64]

VERSION: Final = "descriptors-1"  # change it whenever the same pixels give another vector
INPUT_SIZE: Final = 160
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
    n = INPUT_SIZE
    if pixels.dtype != np.uint8 or pixels.ndim != 4 or pixels.shape[1:] != (n, n, 3):
        got = f"{pixels.dtype} {pixels.shape}"
        raise ValueError(f"expected uint8 pixels of shape (n, {n}, {n}, 3), got {got}")
    vectors = np.empty((len(pixels), DIMENSION), dtype=np.float32)
    with one_blas_thread():
        for row, image in zip(vectors, pixels, strict=True):
            row[:] = _vector(_oklab(image))
    return vectors


def _vector(lab: Array) -> Array:
    """Join the blocks: each measured from the neutral origin, made unit length, weighted."""
    origin, style_spread = _neutral()
    total = sum(weight**2 for weight in _WEIGHTS.values()) ** 0.5
    parts = []
    for name, block in _blocks(lab).items():
        offset = block - origin[name]
        if name == "style":
            offset = offset / style_spread
        parts.append(offset * (_WEIGHTS[name] / total / np.linalg.norm(offset)))
    return np.asarray(np.concatenate(parts), dtype=np.float32)


def _blocks(lab: Array) -> dict[str, Array]:
    """Raw blocks of one picture, given as Oklab planes (3, INPUT_SIZE, INPUT_SIZE)."""
    coarse = _halve(lab)
    contour, touch, contrast = [], [], []
    features = [coarse, _positions()]
    for level, planes in enumerate((lab, coarse, _halve(coarse), _halve(_halve(coarse)))):
        padded = np.pad(planes, ((0, 0), (1, 1), (1, 1)), mode="edge")
        dx, dy = _difference(padded, 0, 1), _difference(padded, 1, 0)
        down, up = _difference(padded[0], 1, 1), _difference(padded[0], 1, -1)
        chroma = np.sqrt((dx[1:] ** 2 + dy[1:] ** 2).sum(0))
        light = np.sqrt(dx[0] ** 2 + dy[0] ** 2)
        if level < 3:
            contour.append(_contour(dx[0], dy[0], light))
            touch.append(_touch(planes[0]))
        contrast += [_contrast(light), _contrast(chroma)]
        slopes = np.abs(np.stack([dx[0], dy[0], down, up, chroma]))
        features.append(_resize(slopes, INPUT_SIZE // 2))
    return {
        "colour": _colour(coarse),
        "layout": _layout(coarse),
        "contour": np.concatenate(contour),
        "touch": np.concatenate(touch),
        "contrast": np.concatenate(contrast),
        "style": _style(np.concatenate(features)),
    }


def _colour(lab: Array) -> Array:
    """Histogram of Oklab colours, 5 x 6 x 6 trilinear bins; square-rooted (Hellinger's kernel).

    The chroma axes are square-rooted too, which gives near-greys, most of a painting, more bins.
    """
    chroma = np.sign(lab[1:]) * np.sqrt(np.abs(lab[1:]) / 0.2)
    axes = ((lab[0], 0.0, 5), (chroma[0], -1.0, 6), (chroma[1], -1.0, 6))
    (i, u), (j, v), (k, w) = (_soft_bins(plane, low, 1.0, bins) for plane, low, bins in axes)
    histogram = np.zeros(180)
    for a, b, c in np.ndindex(2, 2, 2):
        vote = (u if a else 1 - u) * (v if b else 1 - v) * (w if c else 1 - w)
        histogram += np.bincount(((i + a) * 6 + j + b) * 6 + k + c, vote, minlength=180)
    return _hellinger(histogram, lab[0].size)


def _layout(lab: Array) -> Array:
    """Mean Oklab colour of a 5 x 5 grid, as MPEG-7's colour layout.

    Chroma counts threefold: it spans about a third of the range of lightness.
    """
    cell = lab.shape[1] // 5
    grid = lab.reshape(3, 5, cell, 5, cell).mean((2, 4))
    return np.asarray((grid.reshape(3, 25).T * (1, 3, 3)).T.ravel(), dtype=np.float32)


def _contour(dx: Array, dy: Array, magnitude: Array) -> Array:
    """Histograms of gradient direction, 8 unsigned bins, over 4 x 4 cells; square-rooted.

    After Dalal and Triggs, "Histograms of oriented gradients for human detection", 2005.
    """
    magnitude = magnitude.ravel()
    angle = np.arctan2(dy, dx).ravel()
    angle[angle < 0] += np.float32(np.pi)  # the modulus takes ten times as long
    angle *= np.float32(8 / np.pi)
    lower = angle.astype(np.int64)
    share = angle - lower
    cell = np.arange(len(dx)) * 4 // len(dx)
    base = (cell[:, None] * 4 + cell).ravel() * 8
    votes = np.bincount(base + lower % 8, magnitude * (1 - share), minlength=128)
    votes += np.bincount(base + (lower + 1) % 8, magnitude * share, minlength=128)
    return _hellinger(votes, magnitude.size)


def _touch(lightness: Array) -> Array:
    """Histogram of the 59 kinds of uniform local binary pattern (radius 1); square-rooted.

    After Ojala, Pietikainen and Maenpaa, "Multiresolution gray-scale ... texture", PAMI 2002.
    """
    n = len(lightness)
    centre = lightness[1:-1, 1:-1] + np.float32(0.01)  # flat paint and JPEG noise give no pattern
    code = np.zeros(centre.shape, dtype=np.uint8)
    ring = ((0, 0), (0, 1), (0, 2), (1, 2), (2, 2), (2, 1), (2, 0), (1, 0))
    for bit, (y, x) in enumerate(ring):
        code |= (lightness[y : n - 2 + y, x : n - 2 + x] >= centre).astype(np.uint8) << bit
    histogram = np.bincount(_pattern_kinds()[code.ravel()], minlength=59)
    return _hellinger(histogram, code.size)


def _contrast(magnitude: Array) -> Array:
    """Histogram of the gradient's log2 magnitude, 12 linear bins from 2^-9 to 1; square-rooted."""
    bin_, share = _soft_bins(np.log2(np.maximum(magnitude, 2.0**-10)), -9.0, 0.0, 12)
    histogram = np.bincount(bin_, 1 - share, minlength=12)
    histogram += np.bincount(bin_ + 1, share, minlength=12)
    return _hellinger(histogram, magnitude.size)


def _style(features: Array) -> Array:
    """Log-Euclidean embedding of the Gaussian fitted to the pixels' features (d, n, n).

    A Gaussian of mean m and covariance C is the positive definite matrix [[C + m m', m], [m', 1]]
    (Lovric, Min-Oo and Ruh 2000), whose logarithm lives in a flat space (Arsigny et al. 2006).
    Returns its (d + 1)(d + 2) / 2 upper entries. Which colours go with which strokes, at which
    scale and where on the canvas: second-order pooling, as Gram matrices in style transfer.
    """
    flat = features.reshape(len(features), -1).astype(np.float64)
    flat = np.vstack([flat, np.ones(flat.shape[1])])
    values, vectors = np.linalg.eigh(flat @ flat.T / flat.shape[1])
    logarithm = (vectors * np.log(np.maximum(values, 0) + _EPSILON)) @ vectors.T
    i, j = np.triu_indices(len(logarithm))
    return np.asarray(logarithm[i, j] * np.where(i == j, 1, 2**0.5), dtype=np.float32)


@lru_cache(maxsize=1)
def _neutral() -> tuple[dict[str, Array], Array]:
    """Return what ``measure_neutral`` measured when this version was made.

    Stored, because measuring takes 0.3 s, which every query would wait for.
    """
    stored = resources.files("paint_search").joinpath("assets", f"{VERSION}.npz")
    with stored.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        return {name: arrays[name] for name in _WEIGHTS}, arrays["spread"]


def measure_neutral() -> tuple[dict[str, Array], Array]:
    """Mean of every block, and spread of the style block, over the neutral pictures.

    Measured from this origin, unrelated paintings score low. The legacy generator is used as its
    stream is frozen: every release of numpy draws the same pictures.
    """
    random = np.random.RandomState(0)
    blocks = [_blocks(_neutral_picture(random)) for _ in range(_NEUTRAL_PICTURES)]
    origin = {name: np.mean([b[name] for b in blocks], axis=0) for name in _WEIGHTS}
    spread = np.std([b["style"] for b in blocks], axis=0) + np.float32(_STYLE_FLOOR)
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
    codes = np.arange(256) / 255
    linear = np.where(codes <= 0.04045, codes / 12.92, ((codes + 0.055) / 1.055) ** 2.4)
    rgb = linear.astype(np.float32)[image.reshape(-1, 3).T]
    planes: Array = _CONES_TO_OKLAB @ np.cbrt(_RGB_TO_CONES @ rgb)
    return planes.reshape(3, *image.shape[:2])


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


def _halve(planes: Array) -> Array:
    """Mean of every 2 x 2 square of (c, n, n) planes."""
    rows = planes[:, 0::2] + planes[:, 1::2]
    return np.float32(0.25) * (rows[:, :, 0::2] + rows[:, :, 1::2])


def _resize(planes: Array, size: int) -> Array:
    """Bring a pyramid level to size x size: halved if it is finer, repeated if coarser."""
    n = planes.shape[-1]
    return _halve(planes) if n > size else planes.repeat(size // n, 1).repeat(size // n, 2)


def _difference(padded: Array, y: int, x: int) -> Array:
    """Central difference per pixel along (y, x), of planes padded by one pixel."""
    n = padded.shape[-1] - 2
    ahead = padded[..., 1 + y : 1 + y + n, 1 + x : 1 + x + n]
    behind = padded[..., 1 - y : 1 - y + n, 1 - x : 1 - x + n]
    return (ahead - behind) * np.float32((y * y + x * x) ** -0.5)


def _soft_bins(values: Array, low: float, high: float, bins: int) -> tuple[Indices, Array]:
    """Lower bin of each value (flattened) and the share of its vote that the next bin gets."""
    position = np.clip((values.ravel() - low) * (bins / (high - low)) - 0.5, 0, bins - 1)
    lower = np.minimum(position.astype(np.int64), bins - 2)
    return lower, (position - lower).astype(np.float32)


def _hellinger(votes: NDArray[np.float64] | Indices, total: int) -> Array:
    """Square root of the shares, so that a dot product compares them by Hellinger's kernel."""
    return np.asarray(np.sqrt(votes / total), dtype=np.float32)


@lru_cache(maxsize=1)
def _positions() -> Array:
    """Where a pixel is on the half-size canvas, -0.1..0.1: distance from the axes, and height."""
    axis = np.linspace(-0.1, 0.1, INPUT_SIZE // 2, dtype=np.float32)
    y, x = np.meshgrid(axis, axis, indexing="ij")
    return np.stack([np.abs(x), y, np.abs(y)])


@lru_cache(maxsize=1)
def _pattern_kinds() -> Indices:
    """Kind of each 8-bit ring: 0..57 where it changes at most twice going round, else 58."""
    codes = np.arange(256, dtype=np.uint8)
    turned = (codes >> 1) | (codes << 7)
    uniform = np.bitwise_count(codes ^ turned) <= 2
    return np.where(uniform, np.cumsum(uniform) - 1, 58)
