"""One picture -> the raw measures of the descriptors, in memory that is used again.

Colour, layout, contour, touch, contrast and style; what they are worth is not decided here.
"""

from __future__ import annotations

import math
import threading
from functools import lru_cache
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
_Number = TypeVar("_Number", bound=np.generic)

INPUT_SIZE: Final = 160

# The pyramid: the side of each level, with a border of one pixel, and where it ends in a flat array
# of all levels.
_SIDES: Final = tuple(INPUT_SIZE >> level for level in range(4))
_ROWS: Final = tuple(side + 2 for side in _SIDES)
_ENDS: Final = tuple(int(end) for end in np.cumsum([row * row for row in _ROWS]))
_PIXELS: Final = _ENDS[-1]
_AREAS: Final = np.array([side * side for side in _SIDES], dtype=np.float64)[:, None, None]
_STRIPS: Final = np.kron(np.eye(5), np.full(_SIDES[-1] // 5, 5 / _SIDES[-1])).astype(np.float32)
_FINE: Final = 3  # levels that contour and touch look at

# Pixels are counted in steps, which are so small that all in one may vote as its middle does.
_TURN: Final = 128  # steps of direction in a quarter of a turn
_OCTAVE: Final = 128  # steps of magnitude between a number and its double, a power of two
_OCTAVES: Final = 9  # from 2^-9 to 1


class Sheet(threading.local):
    """What is worked out of one picture at a time, in memory that each thread keeps.

    Fresh arrays of this size come from the system and go back to it: that, not the arithmetic,
    would take most of the time. Planes of all pyramid levels lie one after another, each with its
    border, so that most steps are one call for the whole pyramid, border and all; what they make
    of the border is left out in the end.
    """

    def __init__(self) -> None:
        # Zeros, for parts of the borders are never written, and yet computed with.
        self._lab, self._dx, self._dy, self._energy, self._spare = np.zeros(
            (5, 3, _PIXELS), dtype=np.float32
        )
        self._slopes = np.zeros((6, _PIXELS), dtype=np.float32)
        self._magnitude = self._slopes[4:]  # of chroma, which is a slope of style, and lightness
        self._bits = np.empty((3, INPUT_SIZE**2), dtype=np.int32)
        self._bins, self._weights = np.empty(2 * _PIXELS, dtype=np.int64), np.empty(_PIXELS)
        self._code, self._bit = np.zeros((2, _PIXELS), dtype=np.uint8)
        self._features = [
            np.ones((count, side, side), dtype=np.float32)
            for count, side in zip((16, 21, 27), _SIDES[1:], strict=True)
        ]
        for features in self._features:
            features[3:6] = _positions(features.shape[1])
        # What is subtracted from what, and compared with what, to where: views, made once.
        light, centre, brighter = self._lab[:1], self._spare[:1], self._bit.view(np.bool_)[None]
        self._differences = [
            (_moved(planes, level, y, x), _moved(planes, level, -y, -x), _moved(out, level))
            for planes, out, y, x in (
                (self._lab, self._dx, 0, 1),
                (self._lab, self._dy, 1, 0),
                (light, self._slopes[2:3], 1, 1),
                (light, self._slopes[3:4], 1, -1),
            )
            for level in range(len(_SIDES))
        ]
        self._comparisons = [
            [
                (_moved(light, level, y, x), _moved(centre, level), _moved(brighter, level))
                for level in range(_FINE)
            ]
            for y, x in ((0, -1), (1, -1), (1, 0), (1, 1), (0, 1), (-1, 1), (-1, 0), (-1, -1))
        ]

    def oklab(self, image: NDArray[np.uint8]) -> Array:
        """Oklab planes (3, n, n) of sRGB (n, n, 3), in memory that the next call uses again.

        Lightness 0..1, green-red and blue-yellow: Bjorn Ottosson, "A perceptual color space for
        image processing", 2020.
        """
        linear, cones = _cut(self._spare, INPUT_SIZE**2, 3), _cut(self._energy, 3, INPUT_SIZE**2)
        _linear_light().take(image.reshape(-1, 3), out=linear, mode="clip")
        np.matmul(_RGB_TO_CONES, linear.T, out=cones)
        # Cube roots in an eighth of the time that np.cbrt takes: a third of a float's bits and a
        # constant are near those of its root, and a step of Halley's makes five digits of two.
        np.floor_divide(cones.view(np.int32), np.int32(3), out=self._bits)
        self._bits += np.int32(709_921_077)
        roots = self._bits.view(np.float32)
        cubes, ratio = linear.reshape(cones.shape), _cut(self._dx, 3, INPUT_SIZE**2)
        np.multiply(roots, roots, out=cubes)
        cubes *= roots
        np.add(cubes, cones, out=ratio)
        cubes += ratio
        ratio += cones
        ratio /= cubes
        roots *= ratio
        return np.matmul(_CONES_TO_OKLAB, roots, out=cones).reshape(3, *image.shape[:2])

    def measure(self, lab: Array) -> tuple[NDArray[np.float64] | Array, ...]:
        """Shares of colour, layout, shares of contour, touch and contrast, moments of style."""
        self._fill_pyramid(lab)
        self._fill_gradients()
        coarse, coarsest = _inner(self._lab, 1), _inner(self._lab, 3)
        return (
            self._colour(coarse),
            _layout(coarsest),
            self._contour(),
            self._touch(),
            self._contrast(),
            self._style(),
        )

    def _fill_pyramid(self, lab: Array) -> None:
        """Halve the picture level by level, each with its edge pixels repeated round it."""
        for level in range(len(_SIDES)):
            planes, inner = _level(self._lab, level), _inner(self._lab, level)
            if level:
                self._halve(_inner(self._lab, level - 1), inner)
            else:
                inner[:] = lab
            planes[:, 0], planes[:, -1] = planes[:, 1], planes[:, -2]
            planes[:, :, 0], planes[:, :, -1] = planes[:, :, 1], planes[:, :, -2]

    def _halve(self, planes: Array, out: Array) -> None:
        """Mean of every 2 x 2 square of (c, n, n) planes."""
        count, n, _ = planes.shape
        rows = _cut(self._spare, count, n // 2, n)
        np.add(planes[:, 0::2], planes[:, 1::2], out=rows)
        np.add(rows[:, :, 0::2], rows[:, :, 1::2], out=out)
        out *= np.float32(0.25)

    def _fill_gradients(self) -> None:
        """Central differences, their magnitudes (lightness, chroma) and the slopes of style."""
        slopes, dx, dy, energy = self._slopes, self._dx, self._dy, self._energy
        for after, before, out in self._differences:
            np.subtract(after, before, out=out)
        np.multiply(dx, dx, out=energy)
        np.multiply(dy, dy, out=self._spare)
        energy += self._spare
        energy[1] += energy[2]
        np.sqrt(energy[1::-1], out=self._magnitude)
        np.abs(dx[0], out=slopes[0])
        np.abs(dy[0], out=slopes[1])
        slopes[2:4] *= np.float32(0.5**0.5)
        np.abs(slopes[2:4], out=slopes[2:4])

    def _colour(self, lab: Array) -> NDArray[np.float64]:
        """Histogram of Oklab colours, 5 x 6 x 6 trilinear bins.

        The chroma axes are square-rooted, which gives near-greys, most of a painting, more bins.
        """
        position, lower = _cut(self._spare, 3, lab[0].size), _cut(self._energy, 3, lab[0].size)
        position.reshape(lab.shape)[:] = lab
        chroma, root = position[1:], lower[1:]
        np.abs(chroma, out=root)
        root *= np.float32(3**2 / 0.2)
        np.sqrt(root, out=root)
        np.copysign(root, chroma, out=chroma)
        position[0] *= np.float32(5)
        position += np.array([[-0.5], [2.5], [2.5]], dtype=np.float32)
        np.clip(position, np.float32(0), np.array([[4], [5], [5]], dtype=np.float32), out=position)
        np.floor(position, out=lower)
        position -= lower
        bins = (np.array([36, 6, 1], dtype=np.float32) @ lower).astype(np.int64)
        # A pixel votes for the lower and the upper bin of each axis, by products of its shares.
        light, green, blue = position.astype(np.float64)
        both = green * blue
        weights = (None, blue, green, both, light, light * blue, light * green, light * both)
        votes = np.stack([np.bincount(bins, weight, minlength=180) for weight in weights])
        for step in (36, 6, 1):
            passed_on = votes[len(votes) // 2 :]
            votes = votes[: len(votes) // 2] - passed_on
            votes[:, step:] += passed_on[:, :-step]
        return np.asarray(votes[0] / lab[0].size)

    def _contour(self) -> NDArray[np.float64]:
        """Histograms of gradient direction, 8 unsigned bins, over 4 x 4 cells of the fine levels.

        After Dalal and Triggs, "Histograms of oriented gradients for human detection", 2005.
        """
        size = _ENDS[_FINE - 1]
        position, bins, weights = self._spare[0, :size], self._bins[:size], self._weights[:size]
        across, up = self._slopes[:2, :size]
        # dy / (|dx| + |dy|) grows with the direction, from -1 to 1 in half a turn.
        np.add(across, up, out=position)
        position += np.float32(1e-30)  # flat paint has no direction
        np.copysign(position, self._dx[0, :size], out=position)
        np.divide(self._dy[0, :size], position, out=position)
        position *= np.float32(_TURN)
        position += _cells()
        np.copyto(bins, position, casting="unsafe")
        weights[:] = self._magnitude[1, :size]
        steps = 2 * _TURN + 1
        votes = np.bincount(bins, weights, minlength=(_FINE * 16 + 1) * steps)
        shares = votes.reshape(-1, steps)[:-1] @ _direction_votes()
        return np.asarray((shares.reshape(_FINE, 16, 8) / _AREAS[:_FINE]).ravel())

    def _touch(self) -> NDArray[np.float64]:
        """Histograms of the 59 kinds of uniform local binary pattern (radius 1), fine levels.

        After Ojala, Pietikainen and Maenpaa, "Multiresolution gray-scale ... texture", PAMI 2002.
        """
        size = _ENDS[_FINE - 1]
        code, bit, bins = self._code[:size], self._bit[:size], self._bins[:size]
        # Flat paint and JPEG noise give no pattern.
        np.add(self._lab[0, :size], np.float32(0.01), out=self._spare[0, :size])
        code[:] = 0
        for comparisons in self._comparisons:
            for neighbour, centre, out in comparisons:
                np.greater_equal(neighbour, centre, out=out)
            code += code  # the last neighbour is the lowest bit
            code += bit
        bins[:] = code
        bins += _rings()
        counts = np.bincount(bins, minlength=256 * (_FINE + 1))
        shares = np.bincount(_pattern_kinds(), counts[:-256]).reshape(_FINE, 59)
        sizes = np.array([(side - 2) ** 2 for side in _SIDES[:_FINE]])
        return np.asarray((shares / sizes[:, None]).ravel())

    def _contrast(self) -> NDArray[np.float64]:
        """Histograms of the gradients' log2 magnitude, 12 linear bins from 2^-9 to 1.

        In turn lightness and chroma of each level.
        """
        position = self._spare[:2]
        below_one = np.nextafter(np.float32(1), np.float32(0))
        np.clip(self._magnitude, np.float32(2.0**-_OCTAVES), below_one, out=position)
        # The bits of a float, read as a whole number, count octaves and the steps within.
        steps = position.view(np.int32)
        steps //= 2**23 // _OCTAVE
        steps += _levels()
        self._bins[:] = steps.ravel()
        counts = np.bincount(self._bins, minlength=9 * _OCTAVES * _OCTAVE)
        shares = counts.reshape(9, -1)[:-1] @ _magnitude_votes()
        return np.asarray((shares.reshape(-1, 2, 12) / _AREAS).ravel())

    def _style(self) -> NDArray[np.float64]:
        """Second moments of the pixels' features and a constant 1, as (27, 27) means.

        Which colours go with which strokes, at which scale and where on the canvas.
        """
        slopes, moments = self._slopes[:5], np.empty((27, 27))
        finer = _inner(slopes, 0)
        for level, features in enumerate(self._features, 1):
            features[:3] = _inner(self._lab, level)
            own = 6 + 5 * level
            self._halve(finer, features[6:own])
            features[own : own + 5] = _inner(slopes, level)
            finer = features[6 : own + 5]
        # The product of a coarse and a fine feature is that of the coarse one and the other's mean.
        for features in reversed(self._features):
            flat = features.reshape(len(features), -1)
            moments[: len(flat), : len(flat)] = flat @ flat.T / np.float32(flat.shape[1])
        return moments


def _layout(lab: Array) -> Array:
    """Mean Oklab colour of a 5 x 5 grid, as MPEG-7's colour layout.

    Chroma counts threefold: it spans about a third of the range of lightness.
    """
    grid = np.asarray(_STRIPS @ lab @ _STRIPS.T)
    grid[1:] *= 3
    return np.asarray(grid.ravel(), dtype=np.float32)


def _cut(memory: NDArray[_Number], *shape: int) -> NDArray[_Number]:
    """View of the beginning of memory, in this shape."""
    return memory.ravel()[: math.prod(shape)].reshape(shape)


def _level(planes: NDArray[_Number], level: int) -> NDArray[_Number]:
    """View of one pyramid level with its border, in planes of all levels, (c, _PIXELS)."""
    row = _ROWS[level]
    return planes[:, _ENDS[level] - row * row : _ENDS[level]].reshape(-1, row, row)


def _moved(planes: NDArray[_Number], level: int, y: int = 0, x: int = 0) -> NDArray[_Number]:
    """View of one pyramid level, flat, from its first to its last pixel, moved by y rows and x."""
    row, end = _ROWS[level], _ENDS[level]
    first = end - row * row + row + 1
    return planes[:, first + y * row + x : end - row - 1 + y * row + x]


def _inner(planes: NDArray[_Number], level: int) -> NDArray[_Number]:
    """View of one pyramid level, (c, n, n), in planes of all levels, (c, _PIXELS)."""
    return _level(planes, level)[:, 1:-1, 1:-1]


def _tent(distance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Votes for a bin at a distance of so many bins: 1 less the distance, down to 0."""
    return np.asarray(np.maximum(1 - np.abs(distance), 0))


@lru_cache(maxsize=1)
def _direction_votes() -> NDArray[np.float64]:
    """Votes of each step of direction for 8 unsigned bins."""
    height = np.linspace(-1, 1, 2 * _TURN + 1)
    position = np.arctan2(height, 1 - np.abs(height)) * (8 / np.pi)
    return _tent((position[:, None] - np.arange(8) + 4) % 8 - 4)


@lru_cache(maxsize=1)
def _magnitude_votes() -> NDArray[np.float64]:
    """Votes of each step of magnitude for 12 bins."""
    octave, step = np.divmod(np.arange(_OCTAVES * _OCTAVE), _OCTAVE)
    logarithm = octave + np.log2(1 + (step + 0.5) / _OCTAVE)
    position = np.clip(logarithm * (12 / _OCTAVES) - 0.5, 0, 11)
    return _tent(position[:, None] - np.arange(12))


@lru_cache(maxsize=1)
def _cells() -> Array:
    """Middle step of direction of each pixel's cell: 4 x 4 cells a level, and one of the border."""
    cells = np.full((1, _ENDS[_FINE - 1]), _FINE * 16)
    for level, side in enumerate(_SIDES[:_FINE]):
        cell = np.arange(side) * 4 // side
        _inner(cells, level)[:] = level * 16 + cell[:, None] * 4 + cell
    return np.asarray(cells[0] * (2 * _TURN + 1) + _TURN + 0.5, dtype=np.float32)


@lru_cache(maxsize=1)
def _levels() -> NDArray[np.int32]:
    """What makes the bits of a magnitude the number of its step: of chroma, and of lightness.

    Level by level, in turn lightness and chroma, the border last.
    """
    levels = np.full((2, _PIXELS), 2 * len(_SIDES), dtype=np.int32)
    for level in range(len(_SIDES)):
        _inner(levels, level)[:] = [[[2 * level + 1]], [[2 * level]]]
    least = 127 - _OCTAVES  # the exponent of a float is 127 more than it means
    return (levels * _OCTAVES - least) * _OCTAVE


def _positions(side: int) -> Array:
    """Where a pixel is on a canvas of this side, -0.1..0.1: distance from the axes, and height."""
    axis = np.linspace(-0.1, 0.1, INPUT_SIZE // 2).reshape(side, -1).mean(axis=1)
    y, x = np.meshgrid(axis, axis, indexing="ij")
    return np.stack([np.abs(x), y, np.abs(y)]).astype(np.float32)


@lru_cache(maxsize=1)
def _rings() -> NDArray[np.int64]:
    """First of the 256 codes of each pixel's level, of the fine ones; last, where no ring is."""
    rings = np.full((1, _ENDS[_FINE - 1]), _FINE * 256)
    for level in range(_FINE):
        _inner(rings, level)[:, 1:-1, 1:-1] = level * 256
    return np.asarray(rings[0])


@lru_cache(maxsize=1)
def _pattern_kinds() -> NDArray[np.int64]:
    """Kind of each 8-bit ring: 0..57 where it changes at most twice going round, else 58.

    The kinds of each fine level are others.
    """
    codes = np.arange(256, dtype=np.uint8)
    turned = (codes >> 1) | (codes << 7)
    uniform = np.bitwise_count(codes ^ turned) <= 2
    kinds = np.where(uniform, np.cumsum(uniform) - 1, 58)
    return np.concatenate([kinds + 59 * level for level in range(_FINE)])


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
