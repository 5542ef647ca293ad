"""Paints the ink corpus by code: brush strokes on paper, and a table of what is true of each.

In go a folder, a number of works and a seed; out come JPEG files and a works.csv with their shape,
eyes, strokes, blackness and eye-fill. It reads nothing, and depicts no real artist's work.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageOps
from scipy.ndimage import label

from paint_search.demo import brushes as b
from paint_search.demo.painters import picture_size, save_corpus

COLUMNS = ("path", "title", "shape", "eyes", "strokes", "stroke_count", "blackness", "eye_fill")

_SHAPES = ("circular", "square", "circular", "square", "")
_STROKES = (1, 2, 3, 4, 1, 2, 3, 5, 2, 3, 4, 6)
_FORMATS = ((1, 1), (1, 1), (4, 5), (3, 4), (5, 4), (2, 3))
_PAPERS = b.palette("f6f3ea f1ecdf e9e6dd dcd8cd c9c6be b4b1aa f7f7f5 e4dccb")
_INKS = b.palette("0f0e10 1a1817 14161c 241f1c")
_SCANNED = 0.15  # share of the works with the dark edge of a scan
_DOUBTFUL = (0.0003, 0.003)  # white areas of such a share of the sheet: an eye, or an accident?
_LEAST_INK = 0.015
_CHOOSY = 60  # tries in which the wanted eyes are waited for; some shapes cannot have them


def paint_ink_corpus(
    folder: Path, works: int = 600, seed: int = 7, done: Callable[[], None] = lambda: None
) -> Path:
    """Paint the corpus into a folder and return the path of its table.

    Works differ in size, format, paper, ink, brush, place and turn; some run off the sheet, some
    bear specks of ink, some were scanned with a dark edge. In the table ``eyes`` says 0, 1 or 2+
    and ``strokes`` 1, 2, 3 or 4+; works of free strokes have no ``shape``. What the table says is
    of the strokes as they were meant, before ragged edges, dry streaks and specks.

    `done` is called after each work; all else is as of `paint_corpus`.

    Raises:
        OSError: The folder or a file cannot be written.
    """

    def painted() -> Iterator[tuple[list[object], Image.Image]]:
        for number in range(works):
            rng = np.random.default_rng([seed, 1_000, number])
            width, height = picture_size(rng, _FORMATS)
            size = (width * b.SCALE, height * b.SCALE)
            shape, count = _SHAPES[number % 5], _STROKES[number // 5 % 12]
            strokes, black, eyes = _compose(rng, size, shape, count, int(rng.integers(3)))
            named = ["2+" if len(eyes) > 1 else str(len(eyes)), "4+" if count > 3 else str(count)]
            shares = [f"{black:.4f}", f"{eyes.sum():.4f}"]
            row = [f"ink-{number + 1:03d}.jpg", f"ink {number + 1}", shape, *named, count, *shares]
            yield row, _paint(rng, size, strokes)
            done()

    return save_corpus(folder, COLUMNS, painted())


def _compose(
    rng: b.Rng, size: b.Size, shape: str, count: int, eyes: int
) -> tuple[list[b.Stroke], float, b.Floats]:
    """Return so many strokes, the share of the sheet that is black, and the share in each eye.

    An eye is a white area that black encloses; none may be doubtful, and where it can be had there
    are none, one or several (2).
    """
    for attempt in range(400):
        scale, off = min(size) * rng.uniform(0.2, 0.44), max(0.06, rng.uniform() ** 3 * 0.5)
        degrees = rng.normal(0, 14) if shape == "square" else rng.uniform(0, 360)
        across, down = size * (0.5 + rng.uniform(-off, off, 2))  # some run off the sheet
        made = _closed(rng, shape, count) if shape else _free(rng, count)
        strokes = [stroke.moved(scale, degrees, complex(across, down)) for stroke in made]
        sheet = Image.new("L", (size[0] // 2, size[1] // 2), 255)
        for stroke in strokes:
            stroke.moved(0.5, 0, 0).body(sheet)
        black = np.asarray(sheet) < 128
        white = label(~black)[0]
        rim = np.concatenate([white[0], white[-1], white[:, 0], white[:, -1]])
        areas = np.bincount(white[~black & ~np.isin(white, rim)]) / black.size
        found, doubtful = areas[areas >= _DOUBTFUL[1]], areas[areas < _DOUBTFUL[1]]
        places = [(s.path.real / size[0], s.path.imag / size[1]) for s in strokes]
        seen = [((x > 0) & (x < 1) & (y > 0) & (y < 1)).mean() > 1 / 3 for x, y in places]
        clear = not (doubtful > _DOUBTFUL[0]).any() and black.mean() > _LEAST_INK and all(seen)
        if clear and (min(len(found), 2) == eyes or attempt >= _CHOOSY):
            return strokes, float(black.mean()), found
    raise RuntimeError(f"{count} {shape} strokes on {size} do not come out clear")


def _closed(rng: b.Rng, shape: str, count: int) -> list[b.Stroke]:
    """A ring or square: strokes around it, across it or within; a spiral, a dab, broad strokes."""
    ways = ["filled"] * (shape == "square" or count == 1) + ["crossed", "within"] * (count > 1)
    way, closed = b.pick(rng, ["around", "around", *ways]), rng.random() < 0.5
    start = rng.integers(4) / 4 if shape == "square" else rng.uniform()
    if way == "around":
        width, gap = rng.uniform(0.14, 0.62), (0.07, 0.22) if count == 1 else (0.04, 0.08)
        sweep = 1 / count + (rng.uniform(0.01, 0.05) if closed else -rng.uniform(*gap))
        paths = [_arc(rng, shape, start + k / count, sweep) for k in range(count)]
    elif way == "filled" and shape == "square":
        width = 1.7 / count * (1.12 if closed else rng.uniform(0.62, 0.82))
        places = (np.arange(count) - (count - 1) / 2) * 1.7j / count
        paths = [_line(rng, 0.85, 0.01) + place for place in places]
    elif way == "filled" and closed:
        width, paths = rng.uniform(1.0, 1.2), [_arc(rng, shape, start, 1.1) * 0.48]
    elif way == "filled":
        path = _arc(rng, shape, start, rng.uniform(1.4, 1.95))
        width, paths = rng.uniform(0.1, 0.2), [path * np.linspace(1, 0.4, len(path))]
    else:
        width, turn = rng.uniform(0.12, 0.24), np.exp(2j * np.pi * rng.uniform())
        paths = [_arc(rng, shape, start, 1.05 if closed else rng.uniform(0.78, 0.92))]
        for at in rng.permutation(np.arange(1, count) / count - 0.5) * 1.1:
            half = (1 - width) * (1 - at**2) ** 0.5
            half = half + 0.9 * width if way == "crossed" else half * rng.uniform(0.2, 0.5)
            paths.append((_line(rng, half, 0.04) + at * (1 - width) * 1j) * turn)
    flat = shape == "square" and (count > 1 or way == "filled")
    return [_stroke(rng, path, width, flat) for path in paths]


def _free(rng: b.Rng, count: int) -> list[b.Stroke]:
    """Strokes that are no shape together: crossing, side by side, or with a loop."""
    way, width, made = b.pick(rng, ("crossing", "beside", "loops")), rng.uniform(0.14, 0.4), []
    for number in range(count):
        path, place = _line(rng, rng.uniform(0.8, 1.5), 0.16), complex(*rng.normal(0, 0.3, 2))
        degrees, wide = rng.uniform(0, 180), width * rng.uniform(0.7, 1.15)
        if way == "beside":
            place, degrees = (number - (count - 1) / 2) * 2.4j / count, rng.uniform(-18, 18)
        if way == "loops" and number < 2:
            t, size = np.linspace(-1, 1, 90), rng.uniform(0.5, 0.8)
            path = size * (1.5 * t - np.sin(np.pi * t) + 0.9j * np.cos(np.pi * t))
            wide = size * rng.uniform(0.16, 0.4)
        path = path * np.exp(1j * np.deg2rad(degrees)) + place
        made.append(_stroke(rng, path, wide, len(path) < 90))
    return made


def _stroke(rng: b.Rng, path: b.Path, width: float, flat: bool) -> b.Stroke:
    """A stroke of about this width: pressure swells, and trembles a little."""
    swell = np.interp(np.linspace(0, 5, len(path)), range(6), rng.uniform(0.88, 1.1, 6))
    return b.Stroke(path, width * swell * (1 + rng.normal(0, 0.008, len(path))), flat)


def _arc(rng: b.Rng, shape: str, start: float, sweep: float) -> b.Path:
    """A part of a ring or square that a hand has drawn; start and sweep in parts of the whole."""
    turn = np.linspace(start, start + sweep, int(20 + 120 * sweep))
    path = np.exp(2j * np.pi * turn)
    if shape == "square":
        corners = 0.85 * np.array([1 + 1j, -1 + 1j, -1 - 1j, 1 - 1j])
        corners += rng.normal(0, 0.04, (4, 2)) @ [1, 1j]
        path = np.asarray(np.interp(turn * 4 % 4, range(5), [*corners, corners[0]]), np.complex128)
    dents = [rng.normal(0, 0.02 / k**0.5) * np.cos(2 * np.pi * k * turn + k) for k in (2, 3, 5)]
    return np.asarray((path.real * rng.uniform(0.86, 1) + 1j * path.imag) * (1 + sum(dents)))


def _line(rng: b.Rng, half: float, bend: float) -> b.Path:
    """A line through the origin that bends to one side and wavers."""
    knots = np.array([-1, -1 / 3, 1 / 3, 1]) + np.array([0, 1.8j, 1.8j, 0]) * rng.normal(0, bend)
    return b.curve((knots + rng.normal(0, 0.025, (4, 2)) @ [1, 1j]) * half, 48)


def _paint(rng: b.Rng, size: b.Size, strokes: list[b.Stroke]) -> Image.Image:
    """Lay the strokes and some drops on paper, in an ink that is nowhere quite even."""
    sheet, tone, ink = Image.new("L", size, 255), b.pick(rng, _PAPERS), b.pick(rng, _INKS)
    for stroke in strokes:
        stroke.lay(sheet, rng, 0.2 + rng.uniform() ** 2, 0.62)
    for x, y in rng.uniform(0, 1, (int(rng.integers(22)), 2)) * size:
        r = min(rng.lognormal(0.2, 0.5), 4.0)
        ImageDraw.Draw(sheet).ellipse((x - r, y - r, x + r, y + r), fill=0)
    colours = [tone, (70, 68, 68), (0, 0, 0)]
    paper, wet = (b.ground(Image.new("RGB", size, ink), rng, colours) for _ in range(2))
    b.wash(0, (0, -1, rng.uniform(0, 0.1)), angle=(0, 360))(paper)
    b.haze((0, 1, 0.2), rng.uniform(0.1, 0.5), 26)(paper)
    b.haze(1, 0.12, 9)(wet)
    picture = Image.composite(paper.picture, wet.picture, sheet).reduce(b.SCALE)
    grain = rng.normal(0, rng.uniform(1.0, 4.0), (picture.height, picture.width, 1))
    picture = Image.fromarray(np.clip(np.asarray(picture) + grain, 0, 255).astype(np.uint8))
    if rng.random() < _SCANNED:
        edges = tuple((rng.integers(3, 14, 4) * (rng.random(4) < 0.7)).tolist())
        return ImageOps.expand(picture, edges, (22, 22, 24))
    return picture
