"""A picture in a frame, in a mat or before a wall -> the box of the picture itself, if certain.

A border is what lies outside straight edges and hardly changes along each of its sides: plain,
shaded, grained, or a moulding. Works on a small copy; never changes pixels.
"""

from dataclasses import dataclass
from typing import Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Trim = Literal["off", "auto"]
TRIMS: Final[tuple[Trim, ...]] = get_args(Trim)

#: Left, top, right and bottom of what is kept, as shares of the width and the height.
Box = tuple[float, float, float, float]

#: Pixels of the longer side of the copy, those averaged along a line, and of a side too short.
_SIDE: Final = 256
_BLOCK: Final = 4
_SHORT: Final = 32

#: Least share of the picture that is kept, and most of a side that one border takes.
_KEPT: Final = 0.25
_DEEPEST: Final = 0.42

#: The colour along a line of a border departs from a straight line by so many of 255 levels at most
#: (root mean square), and by so much of what lines across the middle do, but for a few levels.
_UNEVEN: Final = 14.0
_UNEVEN_SHARE: Final = 0.55
_EVEN: Final = 6.0

#: An edge is a step of so many levels, and of so many times the border's unevenness, in so large a
#: share of its length; beyond the corners, at most in so large a share.
_STEP: Final = 10.0
_STEP_NOISE: Final = 3.0
_ALONG: Final = 0.85
_BEYOND: Final = 0.4

#: It is sharp: so large a share of it is between one line and the next.
_SHARP: Final = 0.4

#: A border on two sides alone is more certain: colours that differ by so many levels at most, so
#: uneven, with edges that have so large a share of steps.
_ALIKE: Final = 20.0
_PLAIN: Final = 9.0
_ALONG_TWO: Final = 0.95

#: Edges whose steps differ by no larger share are as good, of all four sides together.
_AS_GOOD: Final = 0.05

#: Candidates for the edge of a side, and lines between two of them.
_CANDIDATES: Final = 6
_APART: Final = 4

Lines = NDArray[np.float32]


def cut_fields(kept: Box | None) -> dict[str, str | float]:
    """Return what a payload says of the border: the share that was cut off, and the box kept."""
    if kept is None:
        return {}
    left, top, right, bottom = kept
    share = 1 - (right - left) * (bottom - top)
    return {"_trimmed": round(share, 4), "_kept": " ".join(f"{side:.4f}" for side in kept)}


@dataclass(frozen=True, slots=True)
class _Edges:
    """Where the border of one side may end; the first of each stands for no border there.

    Attributes:
        at: (k,) the first line of the picture, from the outside in.
        steps: (k, m + 1), how many of the first blocks along the edge have a step.
        colour: (k, 3), the mean of the border.
        uneven: (k,), of the border.
    """

    at: NDArray[np.intp]
    steps: NDArray[np.intp]
    colour: Lines
    uneven: Lines


def plain_border(picture: Image.Image) -> Box | None:
    """Return the box of an RGB picture within its borders, one in another; None without any."""
    scale = min(1.0, _SIDE / max(picture.size))
    width, height = (max(1, round(side * scale)) for side in picture.size)
    small = picture if scale == 1 else picture.resize((width, height), Image.Resampling.BOX)
    left, top, right, bottom = whole = (0, 0, width, height)
    while (inner := _within(small.crop((left, top, right, bottom)))) is not None:
        box = (left + inner[0], top + inner[1], left + inner[2], top + inner[3])
        if (box[2] - box[0]) * (box[3] - box[1]) < _KEPT * width * height:
            break
        left, top, right, bottom = box
    if (left, top, right, bottom) == whole:
        return None
    return left / width, top / height, right / width, bottom / height


def _within(picture: Image.Image) -> tuple[int, int, int, int] | None:
    """Return the box within the outermost border, in pixels, if there is one."""
    width, height = picture.size
    if min(width, height) < _SHORT:
        return None
    rows = np.asarray(picture.reduce((_BLOCK, 1)), dtype=np.float32)
    columns = np.asarray(picture.reduce((1, _BLOCK)), dtype=np.float32).transpose(1, 0, 2)
    across, down = _unevenness(columns), _unevenness(rows)
    even = [_even_part(lines) for lines in (across, down, across[::-1], down[::-1])]
    if not (len(even[0]) and len(even[2])) and not (len(even[1]) and len(even[3])):
        return None
    views = (columns, rows, columns[::-1], rows[::-1])  # of each side, from the outside in
    left, top, right, bottom = map(_edges, views, even)
    if not (len(left.at) > 1 < len(right.at) or len(top.at) > 1 < len(bottom.at)):
        return None  # what follows would find as much, and take as long again
    # How good each edge is for each choice of those that it meets; by left, top, right, bottom.
    good = (
        _along(left, top, bottom)[:, :, None, :]
        + _along(top, left, right).transpose(1, 0, 2)[:, :, :, None]
        + _along(right, top, bottom).transpose(1, 0, 2)[None]
        + _along(bottom, left, right).transpose(1, 2, 0)[:, None]
    )
    good[:, 0, :, 0][~_plain_pair(left, right, good[:, 0, :, 0])] = -np.inf
    good[0, :, 0, :][~_plain_pair(top, bottom, good[0, :, 0, :])] = -np.inf
    good[0, 0] = good[0, :, :, 0] = good[:, 0, 0] = good[:, :, 0, 0] = -np.inf
    # Of edges that are as good, as a moulding has them, the innermost counts.
    depth = np.add.outer(left.at, right.at)[:, None, :, None] / width
    depth = depth + np.add.outer(top.at, bottom.at)[None, :, None, :] / height
    best = np.unravel_index(np.argmax((good / _AS_GOOD).round() + depth * 1e-3), good.shape)
    if good[best] == -np.inf:
        return None
    cut = [int(side.at[i]) for side, i in zip((left, top, right, bottom), best, strict=True)]
    return cut[0], cut[1], width - cut[2], height - cut[3]


def _unevenness(lines: Lines) -> Lines:
    """Return how far, (n,), the colours along the middle of (n, m, 3) lines are from straight."""
    lines = lines[:, _middle(lines)]
    length = lines.shape[1]
    slope = np.arange(length, dtype=np.float32) - (length - 1) / 2
    squares = np.einsum("nmc,nmc->nc", lines, lines) - np.square(lines.sum(axis=1)) / length
    squares -= np.square(np.einsum("nmc,m->nc", lines, slope)) / np.square(slope).sum()
    return np.asarray(np.sqrt(squares.clip(0).max(axis=1) / length))


def _middle(lines: Lines) -> slice:
    """Return the part of (n, m, 3) lines that does not lie in the corners of a border."""
    length = lines.shape[1]
    return slice(length // 5, length - length // 5)


def _even_part(uneven: Lines) -> Lines:
    """Return the unevenness of the first lines, as many as a border may have; none if but one."""
    count = len(uneven)
    inside = float(np.sort(uneven[count * 3 // 10 : -(count * 3 // 10)])[count // 5])
    most = min(_UNEVEN, max(_EVEN, _UNEVEN_SHARE * inside))
    outer = uneven[: int(count * _DEEPEST)]
    until = int(np.argmax(outer > most)) if outer.max() > most else len(outer)
    return outer[: until if until > 1 else 0]


def _edges(lines: Lines, uneven: Lines) -> _Edges:
    """Find the edges at which a border of (n, m, 3) lines may end, ``uneven`` of which are even."""
    length, middle = lines.shape[1], _middle(lines)
    places, noises = [0], [0.0]
    colours = [np.zeros(3, dtype=np.float32)]
    steps = [np.zeros(length, dtype=bool)]
    # A step is between the means of two lines on each side, with a blurred one left out between.
    pairs = (lines[: len(uneven) + 5] + lines[1 : len(uneven) + 6]) / 2
    at = np.arange(2, len(uneven) + 3) if len(uneven) else np.arange(0)
    size = np.abs(pairs[at + 1] - pairs[np.maximum(at - 3, 0)]).max(axis=2)
    noise = (np.cumsum(uneven) / np.arange(1, len(uneven) + 1))[np.minimum(at - 2, len(uneven) - 1)]
    stepped = size > np.maximum(_STEP, _STEP_NOISE * noise)[:, None]
    height = size[:, middle].mean(axis=1)
    height[stepped[:, middle].mean(axis=1) < _ALONG - 0.1] = 0
    found: list[int] = []
    for row in np.argsort(-height, kind="stable")[: np.count_nonzero(height)]:
        if all(abs(row - other) > _APART for other in found):
            found.append(int(row))
    for row in sorted(found)[-_CANDIDATES:]:
        first = int(at[row]) - 1
        changes = np.abs(np.diff(lines[first - 1 : first + 4, middle], axis=0))
        sharp = changes.max(axis=2).mean(axis=1)
        if sharp.max() < _SHARP * height[row]:
            continue
        places.append(first + int(np.argmax(sharp)))
        noises.append(float(noise[row]))
        colours.append(lines[max(0, first - 3) : first, middle].mean(axis=(0, 1)))
        steps.append(stepped[row])
    counts = np.cumsum(np.pad(steps, ((0, 0), (1, 0))), axis=1)
    return _Edges(np.array(places), counts, np.array(colours), np.array(noises, dtype=np.float32))


def _along(edges: _Edges, near: _Edges, far: _Edges) -> NDArray[np.float64]:
    """Rate edges by those that they end at: (k, near, far), from 0 to 1, -inf where it is none.

    The share of the length between the corners that has a step, less that beyond them.
    """
    steps, length = edges.steps, edges.steps.shape[1] - 1
    start, stop = -(-near.at // _BLOCK), length - -(-far.at // _BLOCK)
    inside = (steps[:, None, stop] - steps[:, start, None]) / np.maximum(1, stop - start[:, None])
    begin, end = near.at // _BLOCK, length - far.at // _BLOCK
    outside = length - end + begin[:, None]
    beyond = steps[:, begin, None] + steps[:, -1, None, None] - steps[:, None, end]
    beyond = beyond / np.maximum(1, outside)
    rated = np.where((inside >= _ALONG) & (beyond <= _BEYOND), inside - beyond, -np.inf)
    rated[0] = 0
    return np.asarray(rated)


def _plain_pair(one: _Edges, other: _Edges, good: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Tell of which borders of two sides there need be no others."""
    difference = np.abs(one.colour[:, None] - other.colour).max(axis=2)
    uneven = np.maximum.outer(one.uneven, other.uneven)
    return np.asarray((difference <= _ALIKE) & (uneven <= _PLAIN) & (good >= 2 * _ALONG_TWO))
