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
    return _joined(measure_blocks(map(oklab, pixels)))


def block_columns() -> dict[str, slice]:
    """Return which numbers of a description are of which block, by its name."""
    origin, _ = stored_neutral()
    ends = np.cumsum([len(origin[name].ravel()) for name in _WEIGHTS]).tolist()
    return {
        name: slice(start, end)
        for name, start, end in zip(_WEIGHTS, [0, *ends], ends, strict=False)
    }


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


def measure_blocks(pictures: Iterable[Array]) -> dict[str, Array]:
    """Measure the six blocks of descriptions by name, each (n, d), before any weight.

    Args:
        pictures: one or more, as Oklab planes (3, INPUT_SIZE, INPUT_SIZE).
    """
    with one_blas_thread():
        rows = [_sheet().measure(lab) for lab in pictures]
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
    """Return where blocks are measured from, by name, and the spread of the style block.

    The mean and the spread over neutral pictures, as ``training/neutral.py`` measured them.
    """
    stored = resources.files(__package__).joinpath(f"{VERSION}.npz")
    with stored.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        return {name: arrays[name] for name in _WEIGHTS}, arrays["spread"]


def oklab(image: NDArray[np.uint8]) -> Array:
    """Oklab planes (3, n, n) of sRGB (n, n, 3), in memory that this thread's next call uses again.

    Lightness 0..1, green-red and blue-yellow.
    """
    return _sheet().oklab(image)


@lru_cache(maxsize=1)
def _sheet() -> Sheet:
    return Sheet()
