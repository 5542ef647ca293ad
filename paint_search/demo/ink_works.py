"""The compositions of the ink corpus: rings, squares and free strokes, with what is true of each.

A generator and a size come in; strokes go out, with the shape they were meant to be. How many eyes
they enclose is counted on the strokes without accidents, and a doubtful work is begun again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import label

from paint_search.demo.brushes import Points, Rng, Size, pick
from paint_search.demo.ink_strokes import Stroke, arc, body, line, loop, rotated, sides

CIRCULAR, SQUARE, FREE = "circular", "square", "none"

_DOUBTFUL = (0.0003, 0.003)  # white areas of such a share of the sheet: an eye, or an accident?
_LEAST_INK = 0.015
_TRIES = 400
_CHOOSY = 60  # tries in which the wanted eyes are waited for; some shapes cannot have them


@dataclass(frozen=True)
class Work:
    """What is to be painted, and what is true of it.

    Attributes:
        strokes: each with its widths (n,) along its path.
        shape: `CIRCULAR`, `SQUARE` or `FREE`.
        eyes: white areas that black encloses.
        blackness: share of the sheet under ink, without the accidents of the brush.
        eye_fill: share of the sheet in eyes, the same.
    """

    strokes: list[tuple[Stroke, Points]]
    shape: str
    eyes: int
    blackness: float
    eye_fill: float


def compose(rng: Rng, size: Size, shape: str, strokes: int, eyes: int) -> Work:
    """Compose a work of so many strokes, whose eyes, or want of them, cannot be doubted.

    Args:
        rng: decides everything else.
        size: (width, height) of the sheet in pixels.
        shape: `CIRCULAR`, `SQUARE` or `FREE`.
        strokes: how many, from 1 up.
        eyes: 0, 1, or 2 for several; where that can be had.
    """
    makers: dict[str, Callable[[Rng, Points, float, int], list[Stroke]]] = {
        CIRCULAR: _ring,
        SQUARE: _square,
        FREE: _free,
    }
    for attempt in range(_TRIES):
        reach = min(size) * rng.uniform(0.2, 0.44)
        off = rng.uniform(0, 1) ** 3 * 0.5  # most in the middle, some run off the sheet
        middle = np.array(size) * (0.5 + rng.uniform(-1, 1, 2) * max(0.06, off))
        made = makers[shape](rng, middle, reach, strokes)
        laid = [(stroke, stroke.widths(rng)) for stroke in made]
        black = _half_size(laid, size)
        areas = _enclosed(black)
        clear = not ((areas > _DOUBTFUL[0]) & (areas < _DOUBTFUL[1])).any()
        if clear and black.mean() > _LEAST_INK and _all_seen(laid, size):
            found = areas[areas >= _DOUBTFUL[1]]
            if min(len(found), 2) == eyes or attempt >= _CHOOSY:
                return Work(laid, shape, len(found), float(black.mean()), float(found.sum()))
    raise RuntimeError(f"{strokes} {shape} strokes on {size} do not come out clear")


def _half_size(laid: list[tuple[Stroke, Points]], size: Size) -> NDArray[np.bool_]:
    """Return what is black of the strokes, at half the size, which is quicker and as true."""
    halved = [(Stroke(s.path / 2, s.width / 2, s.flat), widths / 2) for s, widths in laid]
    sheet = body((size[0] // 2, size[1] // 2), halved)
    return np.asarray(sheet.convert("L")) < 128


def _enclosed(black: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the share of the sheet of every white area that does not reach its edge."""
    white, count = label(~black)
    inside = np.ones(count + 1, dtype=np.bool_)
    inside[[0, *np.unique(np.r_[white[0], white[-1], white[:, 0], white[:, -1]])]] = False
    return np.bincount(white.ravel(), minlength=count + 1)[inside] / black.size


def _all_seen(laid: list[tuple[Stroke, Points]], size: Size) -> bool:
    """Tell whether at least a third of each stroke lies on the sheet."""
    return all(
        ((stroke.path > 0) & (stroke.path < size)).all(axis=1).mean() > 0.33 for stroke, _ in laid
    )


def _ring(rng: Rng, middle: Points, reach: float, strokes: int) -> list[Stroke]:
    """A ring of one stroke or of several, closed or open, with strokes across; or a spiral."""
    width = reach * rng.uniform(0.14, 0.62)
    oval = (reach, reach * rng.uniform(0.86, 1.0))
    turn, start = rng.uniform(0, 360, 2)
    if strokes == 1:
        way = pick(rng, ("closed", "closed", "open", "open", "spiral", "dab"))
        if way == "dab":
            path = arc(rng, middle, (0.5 * reach, 0.45 * reach), start, rng.uniform(340, 420), turn)
            return [Stroke(path, reach * rng.uniform(1.0, 1.2))]
        if way == "spiral":
            path = arc(rng, middle, oval, start, rng.uniform(500, 700), turn)
            inward = np.linspace(1, rng.uniform(0.3, 0.5), len(path))[:, None]
            return [Stroke(middle + (path - middle) * inward, reach * rng.uniform(0.1, 0.2))]
        sweep = rng.uniform(362, 395) if way == "closed" else rng.uniform(285, 335)
        return [Stroke(arc(rng, middle, oval, start, sweep, turn), width)]
    way = pick(rng, ("arcs", "arcs", "crossed", "within"))
    if way == "arcs":
        closed = rng.random() < 0.5
        sweep = 360 / strokes + (rng.uniform(4, 14) if closed else -rng.uniform(14, 30))
        ends = start + 360 / strokes * np.arange(strokes)
        return [Stroke(arc(rng, middle, oval, end, sweep, turn), width) for end in ends]
    width = reach * rng.uniform(0.12, 0.24)
    sweep = pick(rng, (rng.uniform(362, 395), rng.uniform(285, 335)))
    outer = Stroke(arc(rng, middle, oval, start, sweep, turn), width)
    others = _inner(rng, middle, reach - width, turn, strokes - 1, way, width)
    return [outer, *others]


def _square(rng: Rng, middle: Points, reach: float, strokes: int) -> list[Stroke]:
    """A square of one stroke around or of several, closed or open, or of broad strokes beside."""
    reach *= 0.88
    turn = rng.normal(0, 14)
    width = reach * rng.uniform(0.14, 0.62)
    start = int(rng.integers(4))
    if strokes == 1:
        way = pick(rng, ("closed", "closed", "open", "open", "filled"))
        if way == "filled":
            return _slab(rng, middle, reach, turn, 1)
        path = sides(rng, middle, reach, turn, 4, start)
        count = len(path)
        if way == "open":
            return [Stroke(path[: int(count * rng.uniform(0.76, 0.9))], width)]
        return [Stroke(np.vstack([path, path[: int(count * rng.uniform(0.03, 0.1))]]), width)]
    way = pick(rng, ("around", "around", "crossed", "within", "beside"))
    if way == "beside":
        return _slab(rng, middle, reach, turn, strokes)
    if way == "around" and strokes in (2, 3, 4):
        corners = {2: (2, 2), 3: (2, 1, 1), 4: (1, 1, 1, 1)}[strokes]
        made = []
        closed = rng.random() < 0.5
        for count in corners:
            path = sides(rng, middle, reach, turn, count, start)
            cut = 0 if closed else int(len(path) * rng.uniform(0.06, 0.14))
            made.append(Stroke(path[cut : len(path) - cut], width * rng.uniform(0.85, 1.1), True))
            start += count
        return made
    width = reach * rng.uniform(0.12, 0.24)
    path = sides(rng, middle, reach, turn, 4, start)
    if rng.random() < 0.4:
        path = path[: int(len(path) * rng.uniform(0.78, 0.9))]
    return [
        Stroke(path, width),
        *_inner(rng, middle, reach - width, turn, strokes - 1, way, width),
    ]


def _slab(rng: Rng, middle: Points, reach: float, turn: float, strokes: int) -> list[Stroke]:
    """Broad flat strokes side by side that fill a square, with or without light between them."""
    pitch = 2 * reach / strokes
    overlap = 1.12 if rng.random() < 0.5 else rng.uniform(0.62, 0.82)
    made = []
    for place in np.arange(strokes) - (strokes - 1) / 2:
        ends = np.array([(-reach, place * pitch), (reach, place * pitch)])
        ends += rng.normal(0, 0.03 * reach, (2, 2)) * (1, 0.3)
        start, end = rotated(ends, turn) + middle
        made.append(Stroke(line(rng, start, end, rng.normal(0, 0.01)), pitch * overlap, True))
    return made


def _inner(
    rng: Rng, middle: Points, room: float, turn: float, strokes: int, way: str, width: float
) -> list[Stroke]:
    """Strokes across a shape from edge to edge, or within it and free of it."""
    made = []
    spread = rng.permutation(np.linspace(-0.55, 0.55, strokes) if strokes > 1 else np.zeros(1))
    lean = rng.uniform(0, 180)
    for place in spread:
        if way == "crossed":
            half = room * (1 - place**2) ** 0.5 + 0.9 * width
            ends = np.array([(-half, place * room), (half, place * room)])
        else:
            half = room * rng.uniform(0.2, 0.5) * (1 - place**2) ** 0.5
            ends = np.array([(-half, place * room), (half, place * room)])
        start, end = rotated(ends, turn + lean) + middle
        made.append(Stroke(line(rng, start, end, rng.normal(0, 0.04)), width, True))
    return made


def _free(rng: Rng, middle: Points, reach: float, strokes: int) -> list[Stroke]:
    """Strokes that are no shape together: crossing, side by side, or with a loop."""
    width = reach * rng.uniform(0.14, 0.4)
    way = pick(rng, ("crossing", "beside", "loops"))
    made = []
    lean = rng.uniform(0, 180)
    for number in range(strokes):
        if way == "loops" and number < 2:
            place = middle + rng.normal(0, 0.35 * reach, 2) * min(1, strokes - 1)
            size = reach * rng.uniform(0.5, 0.8)
            thin = size * rng.uniform(0.16, 0.4)
            made.append(Stroke(loop(rng, place, size, lean + rng.uniform(-60, 60)), thin))
            continue
        tilt = rng.uniform(-18, 18) if way == "beside" else rng.uniform(0, 180)
        length = reach * rng.uniform(0.8, 1.5)
        shift = (number - (strokes - 1) / 2) * 2.4 * reach / max(strokes, 2)
        place = np.array([0.0, shift]) if way == "beside" else rng.normal(0, 0.3 * reach, 2)
        ends = rotated(np.array([(-length, 0.0), (length, 0.0)]), tilt) + place
        start, end = rotated(ends, lean) + middle
        bend = rng.normal(0, 0.16)
        made.append(Stroke(line(rng, start, end, bend), width * rng.uniform(0.7, 1.15), True))
    return made
