"""The backbone of ink on paper: a few shape measures a painting, which can be read back by name.

Squares of sRGB pixels come in; unit vectors go out whose cosine falls with every measure in which
two paintings differ. The measures themselves stand in ``measures``. Opens no file, learns nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from paint_search.errors import UsageError
from paint_search.indexer.backbones.ink.measures import COUNTS, MEASURES, measure
from paint_search.indexer.images.preprocessing import check_squares

VERSION: Final = "ink-1"  # change it whenever the same pixels give another vector
INPUT_SIZE: Final = 320
DIMENSION: Final = 2 * len(MEASURES)

#: Fills the square around a painting, and is cut off again: no sheet of paper has such an edge.
#: In grays it is as light as paper, so that copies are known as in any other index.
MARGIN: Final = (1.0, 1.0, 0.0)

#: From this share of gray on, a painting is not black and white.
GREY: Final = 0.15

_HALF_COUNT: Final = 2.0  # the count that lies in the middle between none and infinitely many


def describe(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Measure paintings, and lay the measures on the unit sphere.

    A measure x, brought to 0..1, becomes the point (cos(x pi/2), sin(x pi/2)) of a circle; the
    circles side by side, divided by the root of their number, are the vector. So the cosine of two
    paintings is the mean over the measures of cos((x - y) pi/2): 1 where all agree, 0 where all
    are at opposite ends, falling strictly with every difference, and to second order one minus the
    squared Euclidean distance of the measures. Nothing is lost: `read` gives the measures back.
    (Vectors of the measures alone would lose their lengths when made unit, and a painting twice as
    black and twice as open would count as the same.)

    Args:
        pixels: (n, INPUT_SIZE, INPUT_SIZE, 3) sRGB values, uint8, `MARGIN` around the paintings.

    Returns:
        (n, DIMENSION) rows of unit L2 norm, float32.

    Raises:
        ValueError: the pixels have another shape or type.
    """
    check_squares(pixels, INPUT_SIZE)
    values = [list(measure(_without_margin(image)).values()) for image in pixels]
    return lift(np.array(values, dtype=np.float64).reshape(len(pixels), len(MEASURES)))


def lift(
    values: NDArray[np.float64], names: Sequence[str] = tuple(MEASURES)
) -> NDArray[np.float32]:
    """Return the unit vectors, (n, 2 m), of the m measures (n, m) of these names."""
    shares = np.where(_is_count(names), values / (values + _HALF_COUNT), np.clip(values, 0, 1))
    angles = shares * (np.pi / 2)
    circles = np.stack([np.cos(angles), np.sin(angles)], axis=2) / len(names) ** 0.5
    return np.asarray(circles.reshape(len(values), -1), dtype=np.float32)


def measure_columns() -> dict[str, slice]:
    """Return which numbers of a vector are of which measure, by its name."""
    return {name: slice(2 * i, 2 * i + 2) for i, name in enumerate(MEASURES)}


def read(
    vectors: NDArray[np.floating],
    names: Sequence[str] = tuple(MEASURES),
    stored: Sequence[str] = tuple(MEASURES),
) -> NDArray[np.float64]:
    """Return measures, (n, len(names)), from vectors (n, d) that `lift` or `only` made.

    Vectors stored in half precision give shares within 0.0005 and counts up to 30 exactly. The
    mean of several vectors gives, measure by measure, the mean direction on the circle.

    Args:
        vectors: of any norm, two numbers a measure.
        names: the measures wanted.
        stored: those that the vectors hold, in their order.
    """
    circles = vectors.reshape(len(vectors), len(stored), 2).astype(np.float64)
    shares = np.arctan2(circles[:, :, 1], circles[:, :, 0]) / (np.pi / 2)
    shares = np.clip(shares, 0, 1)[:, [stored.index(name) for name in names]]
    counts = np.rint(_HALF_COUNT * shares / (1 - np.minimum(shares, 0.9999)))
    return np.where(_is_count(names), counts, shares)


def only(vectors: NDArray[np.floating], names: Sequence[str]) -> NDArray[np.float32]:
    """Return unit vectors, (n, 2 len(names)), that hold these measures and no others.

    Args:
        vectors: (n, DIMENSION), of `lift`.
        names: the measures to keep, see `check`.
    """
    columns = [tuple(MEASURES).index(name) for name in names]
    kept = vectors.reshape(len(vectors), len(MEASURES), 2)[:, columns].reshape(len(vectors), -1)
    return np.asarray(kept / np.linalg.norm(kept, axis=1, keepdims=True), dtype=np.float32)


def check(names: Sequence[str]) -> None:
    """Refuse names of measures that there are not, or one name twice.

    Raises:
        UsageError: such names.
    """
    for name in names:
        if name not in MEASURES:
            raise UsageError(f"there is no feature {name!r}: choose from {', '.join(MEASURES)}")
    if len(set(names)) < len(names):
        raise UsageError(f"a feature is named twice in {','.join(names)}")


def _is_count(names: Sequence[str]) -> NDArray[np.bool_]:
    return np.array([name in COUNTS for name in names])


def _without_margin(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Cut off the lines at the edges that are nothing but margin."""
    margin = np.array([255 * channel for channel in MARGIN], dtype=np.uint8)
    painted = (image != margin).any(axis=2)
    if not painted.any():
        return image
    rows, columns = (np.flatnonzero(painted.any(axis=axis)) for axis in (1, 0))
    return image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
