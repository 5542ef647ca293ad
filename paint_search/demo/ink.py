"""Paints the ink corpus by code: brush strokes on paper, and a table of what is true of each.

In go a folder, a number of works and a seed; out come JPEG files and a works.csv with their shape,
eyes, strokes, blackness and eye-fill. It reads nothing, and depicts no real artist's work.
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from paint_search.demo.brushes import SCALE, Colour, Rng, Size, enlarge, mask, noise, palette, pick
from paint_search.demo.ink_strokes import body, brush, spatter
from paint_search.demo.ink_works import CIRCULAR, FREE, SQUARE, Work, compose

__all__ = ["COLUMNS", "WORKS", "paint_ink_corpus"]

WORKS = 600
COLUMNS = ("path", "title", "shape", "eyes", "strokes", "stroke_count", "blackness", "eye_fill")

_SHAPES = (CIRCULAR, SQUARE, CIRCULAR, SQUARE, FREE)
_STROKES = (1, 2, 3, 4, 1, 2, 3, 5, 2, 3, 4, 6)
_FORMATS = ((1, 1), (1, 1), (4, 5), (3, 4), (5, 4), (2, 3))
_PAPERS = palette("f6f3ea f1ecdf e9e6dd dcd8cd c9c6be b4b1aa f7f7f5 e4dccb")
_INKS = palette("0f0e10 1a1817 14161c 241f1c")
_SCANNED = 0.15  # share of the works with the dark edge of a scan


def paint_ink_corpus(
    folder: Path, works: int = WORKS, seed: int = 7, done: Callable[[], None] = lambda: None
) -> Path:
    """Paint the corpus into a folder and return the path of its table.

    Works differ in size, format, paper, ink, brush, place and turn; some run off the sheet, some
    bear specks of ink, some were scanned with a dark edge. In the table ``eyes`` says 0, 1 or 2+
    and ``strokes`` 1, 2, 3 or 4+; works of free strokes have no ``shape``. What the table says is
    of the strokes as they were meant, before hairs, dry streaks and specks.

    Args:
        folder: Where to paint; made if absent, files of the same names are replaced.
        works: How many.
        seed: Each picture depends only on (seed, number), so fewer works are the first of more,
            byte for byte on one machine with the same numpy and Pillow.
        done: Called after each.

    Returns:
        ``folder/works.csv``, one row a picture; `path` is relative to the folder.

    Raises:
        OSError: The folder or a file cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    table = folder / "works.csv"
    with table.open("w", newline="", encoding="utf-8") as handle:
        rows = csv.writer(handle, lineterminator="\n")
        rows.writerow(COLUMNS)
        for number in range(works):
            rng = np.random.default_rng([seed, 1_000, number])
            size = _format(rng)
            shape = _SHAPES[number % len(_SHAPES)]
            count = _STROKES[number // len(_SHAPES) % len(_STROKES)]
            work = compose(rng, enlarge(size), shape, count, int(rng.integers(3)))
            path = f"ink-{number + 1:03d}.jpg"
            _paint(rng, size, work).save(folder / path, quality=90)
            rows.writerow((path, f"ink {number + 1}", *_truths(work)))
            done()
    return table


def _truths(work: Work) -> tuple[object, ...]:
    count = len(work.strokes)
    return (
        "" if work.shape == FREE else work.shape,
        "2+" if work.eyes > 1 else str(work.eyes),
        "4+" if count > 3 else str(count),
        count,
        f"{work.blackness:.4f}",
        f"{work.eye_fill:.4f}",
    )


def _paint(rng: Rng, size: Size, work: Work) -> Image.Image:
    """Lay the strokes on paper, in an ink that is nowhere quite even."""
    ground = enlarge(size)
    sheet = body(ground, [])
    for stroke, widths in work.strokes:
        brush(sheet, rng, stroke, widths)
    spatter(sheet, rng, int(rng.integers(0, 22)))
    paper = _paper(rng, ground)
    ink = Image.new("RGB", ground, pick(rng, _INKS))
    cloud = mask(noise(rng, (ground[0] // 4, ground[1] // 4), 9) * 0.12, ground)
    ink.paste((70, 68, 68), (0, 0), cloud)
    paper.paste(ink, (0, 0), sheet.convert("L").point([255 - level for level in range(256)]))
    picture = paper.reduce(SCALE)
    grain = rng.normal(0, rng.uniform(1.0, 4.0), (picture.height, picture.width, 1))
    pixels = np.clip(np.asarray(picture, dtype=np.float64) + grain, 0, 255)
    picture = Image.fromarray(pixels.astype(np.uint8))
    return _scanned(rng, picture) if rng.random() < _SCANNED else picture


def _paper(rng: Rng, size: Size) -> Image.Image:
    """A sheet with fibres, lit a little more on one side."""
    tone: Colour = pick(rng, _PAPERS)
    small = (max(2, size[0] // 4), max(2, size[1] // 4))
    paper = Image.new("RGB", size, tone)
    shade = (int(tone[0] * 0.82), int(tone[1] * 0.81), int(tone[2] * 0.78))
    paper.paste(shade, (0, 0), mask(noise(rng, small, 26) * rng.uniform(0.1, 0.5), size))
    across, down = np.meshgrid(np.linspace(-1, 1, small[0]), np.linspace(-1, 1, small[1]))
    turn = rng.uniform(0, 2 * np.pi)
    fall = (across * np.cos(turn) + down * np.sin(turn)) * 0.5 + 0.5
    paper.paste(shade, (0, 0), mask(fall * rng.uniform(0, 0.5), size))
    return paper


def _scanned(rng: Rng, picture: Image.Image) -> Image.Image:
    """Return the sheet as a scanner saw it whose bed it did not fill."""
    width, height = picture.size
    edges = rng.integers(3, max(4, int(0.035 * min(width, height))), 4) * (rng.random(4) < 0.7)
    left, top, right, bottom = (int(edge) for edge in edges)
    bed = Image.new("RGB", (width + left + right, height + top + bottom), (22, 22, 24))
    bed.paste(picture, (left, top))
    return bed


def _format(rng: Rng) -> Size:
    """Return a (width, height) in pixels, the longer side 360 to 640."""
    across, down = _FORMATS[int(rng.integers(len(_FORMATS)))]
    longest = int(rng.integers(360, 641))
    scale = longest / max(across, down)
    return round(across * scale), round(down * scale)
