"""One picture in Oklab planes -> the raw measures of the descriptors, in memory that is used again.

Colour, layout, contour, touch, contrast and style; what they are worth is not decided here.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Indices = NDArray[np.int64]

INPUT_SIZE: Final = 160

# The pyramid: the side of each level, and where its pixels lie in a flat array of all levels.
_SIDES: Final = tuple(INPUT_SIZE >> level for level in range(4))
_ENDS: Final = tuple(int(end) for end in np.cumsum([side * side for side in _SIDES]))
_PIXELS: Final = _ENDS[-1]
_FINE: Final = 3  # levels that contour and touch look at


class Sheet:
    """What is worked out of one picture at a time, in memory that serves picture after picture.

    Fresh arrays of this size come from the system and go back to it: that, not the arithmetic,
    would take most of the time. Planes of all pyramid levels lie one after another, so that most
    steps are one call for the whole pyramid.
    """

    def __init__(self) -> None:
        half = _SIDES[1]
        self._padded = [_empty(3, side + 2, side + 2) for side in _SIDES]
        self._dx, self._dy, self._energy, self._spare = (_empty(3, _PIXELS) for _ in range(4))
        self._magnitude, self._position = _empty(2, _PIXELS), _empty(2, _PIXELS)
        self._slopes = _empty(5, _PIXELS)
        self._votes = np.empty(2 * _PIXELS)
        self._bins = np.empty(2 * _PIXELS, dtype=np.int64)
        self._rings = np.empty(INPUT_SIZE**2, dtype=np.uint8)
        self._tents, self._pairs = _empty(17, half * half), _empty(6, 6, half * half)
        self._features = np.ones((27, half, half), dtype=np.float32)
        self._features[3:6] = _positions()

    def measure(self, lab: Array) -> tuple[NDArray[np.float64] | Array, ...]:
        """Shares of colour, layout, shares of contour, touch and contrast, moments of style."""
        self._fill_pyramid(lab)
        self._fill_gradients()
        coarse, coarsest = self._planes(1), self._planes(3)
        return (
            self._colour(coarse),
            _layout(coarsest),
            self._contour(),
            self._touch(),
            self._contrast(),
            self._style(coarse),
        )

    def _planes(self, level: int) -> Array:
        return self._padded[level][:, 1:-1, 1:-1]

    def _fill_pyramid(self, lab: Array) -> None:
        """Halve the picture level by level, each with its edge pixels repeated round it."""
        self._planes(0)[:] = lab
        for level, padded in enumerate(self._padded):
            if level:
                self._halve(self._planes(level - 1), self._planes(level))
            padded[:, 0], padded[:, -1] = padded[:, 1], padded[:, -2]
            padded[:, :, 0], padded[:, :, -1] = padded[:, :, 1], padded[:, :, -2]

    def _halve(self, planes: Array, out: Array) -> None:
        """Mean of every 2 x 2 square of (c, n, n) planes."""
        count, n, _ = planes.shape
        rows = self._spare.ravel()[: count * n * n // 2].reshape(count, n // 2, n)
        np.add(planes[:, 0::2], planes[:, 1::2], out=rows)
        np.add(rows[:, :, 0::2], rows[:, :, 1::2], out=out)
        out *= np.float32(0.25)

    def _fill_gradients(self) -> None:
        """Central differences, their magnitudes (lightness, chroma) and the slopes of style."""
        slopes = self._slopes
        for level, padded in enumerate(self._padded):
            np.subtract(padded[:, 1:-1, 2:], padded[:, 1:-1, :-2], out=_level(self._dx, level))
            np.subtract(padded[:, 2:, 1:-1], padded[:, :-2, 1:-1], out=_level(self._dy, level))
            light, (down, up) = padded[0], _level(slopes[2:4], level)
            np.subtract(light[2:, 2:], light[:-2, :-2], out=down)
            np.subtract(light[2:, :-2], light[:-2, 2:], out=up)
        np.multiply(self._dx, self._dx, out=self._energy)
        np.multiply(self._dy, self._dy, out=self._spare)
        self._energy += self._spare
        self._energy[1] += self._energy[2]
        np.sqrt(self._energy[:2], out=self._magnitude)
        slopes[2:4] *= np.float32(0.5**0.5)
        slopes[0], slopes[1], slopes[4] = self._dx[0], self._dy[0], self._magnitude[1]
        np.abs(slopes, out=slopes)

    def _colour(self, lab: Array) -> Array:
        """Histogram of Oklab colours, 5 x 6 x 6 trilinear bins.

        The chroma axes are square-rooted, which gives near-greys, most of a painting, more bins.
        """
        position = self._position.ravel()[: 3 * lab[0].size].reshape(3, -1)
        position.reshape(lab.shape)[:] = lab
        chroma = position[1:]
        np.copysign(np.sqrt(np.abs(chroma) / np.float32(0.2)), chroma, out=chroma)
        position[0] = np.clip(position[0] * np.float32(5) - np.float32(0.5), 0, 4)
        np.clip(chroma * np.float32(3) + np.float32(2.5), 0, 5, out=chroma)
        parts = np.split(self._tents, (5, 11))
        for part, place in zip(parts, position, strict=True):
            np.subtract(place, np.arange(len(part), dtype=np.float32)[:, None], out=part)
        np.abs(self._tents, out=self._tents)  # a pixel votes for a bin by 1 - distance, down to 0
        np.subtract(np.float32(1), self._tents, out=self._tents)
        np.maximum(self._tents, np.float32(0), out=self._tents)
        lightness, green, blue = parts
        np.multiply(green[:, None], blue, out=self._pairs)
        votes = lightness @ self._pairs.reshape(36, -1).T
        return np.asarray(votes.ravel() / np.float32(lab[0].size))

    def _contour(self) -> NDArray[np.float64]:
        """Histograms of gradient direction, 8 unsigned bins, over 4 x 4 cells of the fine levels.

        After Dalal and Triggs, "Histograms of oriented gradients for human detection", 2005.
        """
        size = _ENDS[_FINE - 1]
        angle, magnitude = self._position[0, :size], self._magnitude[0, :size]
        np.arctan2(self._dy[0, :size], self._dx[0, :size], out=angle)
        angle *= np.float32(8 / np.pi)
        angle += np.float32(8)  # 0..16, a whole turn; the two halves are added in the end
        bins, share = self._split(angle, _cells())
        whole = share.copy()
        whole[:] = magnitude
        votes = _soft_votes(bins, whole, share * whole, _FINE * 16 * 17).reshape(-1, 17)
        halves = votes[:, :8] + votes[:, 8:16]
        halves[:, 0] += votes[:, 16]
        sizes = np.repeat([side * side for side in _SIDES[:_FINE]], 16 * 8)
        return np.asarray(halves.ravel() / sizes)

    def _touch(self) -> NDArray[np.float64]:
        """Histograms of the 59 kinds of uniform local binary pattern (radius 1), fine levels.

        After Ojala, Pietikainen and Maenpaa, "Multiresolution gray-scale ... texture", PAMI 2002.
        """
        shares = []
        ring = ((1, 0), (2, 0), (2, 1), (2, 2), (1, 2), (0, 2), (0, 1), (0, 0))  # last: lowest bit
        for level, side in enumerate(_SIDES[:_FINE]):
            lightness, n = self._planes(level)[0], side - 2
            centre = self._spare[0, : n * n].reshape(n, n)
            # Flat paint and JPEG noise give no pattern.
            np.add(lightness[1:-1, 1:-1], np.float32(0.01), out=centre)
            code = self._rings[: n * n].reshape(n, n)
            code[:] = 0
            for y, x in ring:
                np.left_shift(code, 1, out=code)
                code |= (lightness[y : n + y, x : n + x] >= centre).view(np.uint8)
            bins = self._bins[: n * n]
            bins[:] = code.ravel()
            counts = np.bincount(bins, minlength=256)
            shares.append(np.bincount(_pattern_kinds(), counts, minlength=59) / code.size)
        return np.concatenate(shares)

    def _contrast(self) -> NDArray[np.float64]:
        """Histograms of the gradients' log2 magnitude, 12 linear bins from 2^-9 to 1.

        In turn lightness and chroma of each level.
        """
        position = self._position
        np.maximum(self._magnitude, np.float32(2.0**-10), out=position)
        np.log2(position, out=position)
        position *= np.float32(12 / 9)
        position += np.float32(12 - 0.5)
        np.clip(position, np.float32(0), np.float32(11), out=position)
        bins, share = self._split(position.ravel(), _levels_and_planes())
        votes = _soft_votes(bins, None, share, 8 * 12).reshape(-1, 12)
        sizes = np.repeat([side * side for side in _SIDES], 2)
        return np.asarray((votes / sizes[:, None]).ravel())

    def _split(self, position: Array, offset: Array) -> tuple[Indices, NDArray[np.float64]]:
        """Lower bin of each position, moved by ``offset``, and the share that the next bin gets."""
        bins, share = self._bins[: position.size], self._votes[: position.size]
        lower = self._spare.ravel()[: position.size]
        np.floor(position, out=lower)
        position -= lower
        share[:] = position
        lower += offset
        np.copyto(bins, lower, casting="unsafe")
        return bins, share

    def _style(self, coarse: Array) -> NDArray[np.float64]:
        """Second moments of the pixels' features and a constant 1, as (27, 27) means.

        Which colours go with which strokes, at which scale and where on the canvas.
        """
        features, half = self._features, _SIDES[1]
        features[:3] = coarse
        for level, side in enumerate(_SIDES):
            slopes, own = _level(self._slopes, level), features[6 + 5 * level : 11 + 5 * level]
            if side > half:
                self._halve(slopes, own)
            else:
                repeat = half // side
                own.reshape(5, side, repeat, side, repeat)[:] = slopes[:, :, None, :, None]
        flat = features.reshape(len(features), -1)
        return np.asarray((flat @ flat.T).astype(np.float64) / flat.shape[1])


def _layout(lab: Array) -> Array:
    """Mean Oklab colour of a 5 x 5 grid, as MPEG-7's colour layout.

    Chroma counts threefold: it spans about a third of the range of lightness.
    """
    cell = lab.shape[1] // 5
    grid = lab.reshape(3, 5, cell, 5, cell).mean((2, 4)).reshape(3, 25)
    grid[1:] *= 3
    return np.asarray(grid.ravel(), dtype=np.float32)


def _empty(*shape: int) -> Array:
    return np.empty(shape, dtype=np.float32)


def _level(planes: Array, level: int) -> Array:
    """View of one pyramid level, (c, n, n), in planes of all levels, (c, _PIXELS)."""
    side = _SIDES[level]
    return planes[:, _ENDS[level] - side * side : _ENDS[level]].reshape(-1, side, side)


def _soft_votes(
    bins: Indices, whole: NDArray[np.float64] | None, share: NDArray[np.float64], count: int
) -> NDArray[np.float64]:
    """Histogram of votes (1 each if None) of which ``share`` goes to the next bin."""
    passed_on = np.bincount(bins, share, minlength=count)
    votes = np.bincount(bins, whole, minlength=count) - passed_on
    votes[1:] += passed_on[:-1]
    return np.asarray(votes, dtype=np.float64)


@lru_cache(maxsize=1)
def _cells() -> Array:
    """First bin of the cell of each pixel of the fine levels: 17 bins, 4 x 4 cells a level."""
    cells = []
    for level, side in enumerate(_SIDES[:_FINE]):
        cell = np.arange(side) * 4 // side
        cells.append((level * 16 + cell[:, None] * 4 + cell).ravel() * 17)
    return np.concatenate(cells).astype(np.float32)


@lru_cache(maxsize=1)
def _levels_and_planes() -> Array:
    """First of the 12 bins of each pixel's magnitude: of lightness, then of chroma."""
    level = np.repeat(np.arange(len(_SIDES)), [side * side for side in _SIDES])
    return np.concatenate([level * 24, level * 24 + 12]).astype(np.float32)


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
