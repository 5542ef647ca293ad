"""The brush of the ink corpus: paths of strokes, and how a wet brush leaves them on paper.

A `Stroke` is where the brush went and how wide it was; `body` gives the ink without accidents, from
which truths are counted, and `brush` the same with ragged edges and a tail that runs dry.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from PIL import Image, ImageChops, ImageDraw

from paint_search.demo.brushes import Points, Rng, Size, circle, curve, disc, normals, ribbon

BLACK, WHITE = (0, 0, 0), (255, 255, 255)


@dataclass(frozen=True)
class Stroke:
    """One stroke: a path (n, 2) in pixels, and the width of the brush in pixels.

    A flat brush begins and ends with an edge, a round one with a bow.
    """

    path: Points
    width: float
    flat: bool = False

    def widths(self, rng: Rng) -> Points:
        """Return the width (n,) along the path: pressure swells, and trembles a little."""
        count = len(self.path)
        swell = np.interp(np.arange(count), np.linspace(0, count - 1, 6), rng.uniform(0.88, 1.1, 6))
        tremble: Points = self.width * swell * (1 + rng.normal(0, 0.008, count))
        return tremble


def arc(
    rng: Rng, centre: Points, radii: tuple[float, float], start: float, sweep: float, turn: float
) -> Points:
    """Return an arc of a ring that a hand has drawn: a little oval, a little dented, turned.

    Angles in degrees; `start` and `sweep` on the ring before it is turned by `turn`.
    """
    path = circle((0.0, 0.0), radii, max(24, int(abs(sweep) / 3)), start, sweep)
    around = np.deg2rad(np.linspace(start, start + sweep, len(path)))
    for wave in (2, 3, 5):
        dent = rng.normal(0, 0.022 / wave**0.5) * np.cos(wave * around + rng.uniform(0, 6.3))
        path = path * (1 + dent[:, None])
    return rotated(path, turn) + centre


def sides(rng: Rng, centre: Points, half: float, turn: float, corners: int, start: int) -> Points:
    """Return `corners` sides of a square that a hand has drawn, from the corner `start` on."""
    knots = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)], dtype=np.float64)
    knots = knots * half + rng.normal(0, 0.045 * half, knots.shape)
    ends = knots[np.arange(start, start + corners + 1) % 4]
    legs = [_leg(rng, a, b) for a, b in pairwise(ends)]
    return rotated(np.vstack(legs), turn) + centre


def line(rng: Rng, start: Points, end: Points, bend: float) -> Points:
    """Return a line that bends to one side by a part `bend` of its length, and wavers."""
    along = np.asarray(end - start)
    across = along[::-1] * (-1, 1)
    middle = [start + along * t + across * bend * 4 * t * (1 - t) for t in (1 / 3, 2 / 3)]
    shaken = [point + rng.normal(0, 0.015, 2) * np.linalg.norm(along) for point in middle]
    return curve([start, *shaken, end], 48)


def loop(rng: Rng, centre: Points, size: float, turn: float) -> Points:
    """Return a path that crosses itself once: in from the left, around, and out to the right."""
    t = np.linspace(-1, 1, 90)
    x = size * (1.5 * t - 0.95 * np.sin(np.pi * t) * rng.uniform(0.9, 1.15))
    y = size * rng.uniform(0.75, 1.1) * np.cos(np.pi * t) * (1 - 0.25 * np.abs(t))
    return rotated(np.stack([x, y], 1), turn) + centre


def rotated(path: Points, degrees: float) -> Points:
    """Return the path turned around the origin."""
    a = np.deg2rad(degrees)
    turned: Points = path @ np.array([[np.cos(a), np.sin(a)], [-np.sin(a), np.cos(a)]])
    return turned


def body(size: Size, strokes: list[tuple[Stroke, Points]]) -> Image.Image:
    """Return a white sheet with strokes of these widths in black, without accidents."""
    sheet = Image.new("RGB", size, WHITE)
    draw = ImageDraw.Draw(sheet)
    for stroke, widths in strokes:
        _body(draw, stroke, widths)
    return sheet


def brush(sheet: Image.Image, rng: Rng, stroke: Stroke, widths: Points) -> None:
    """Lay a stroke on a sheet: its body, hairs that stand off, streaks where it runs dry."""
    own = Image.new("RGB", sheet.size, WHITE)
    draw = ImageDraw.Draw(own)
    _body(draw, stroke, widths)
    path, across, count = stroke.path, normals(stroke.path), len(stroke.path)
    dry = rng.uniform(0.0, 1.0) ** 2
    for _ in range(int(3 + 14 * dry)):
        offset = rng.uniform(-0.46, 0.46)
        first = int(count * rng.uniform(0.62, 0.93))
        streak = (path + across * (widths * offset)[:, None])[first:]
        if len(streak) > 2:
            thin = np.linspace(0.5, rng.uniform(1.0, 1.5 + 0.03 * stroke.width), len(streak))
            ribbon(draw, streak, thin, WHITE)
    for _ in range(int(rng.integers(6, 26))):
        first = int(rng.integers(0, count - 4))
        last = min(count, first + int(rng.integers(4, 14)))
        side = rng.choice((-0.5, 0.5)) * rng.uniform(0.97, 1.05)
        hair = (path + across * (widths * side)[:, None])[first:last]
        ribbon(draw, hair, rng.uniform(1.0, 3.0), BLACK)
    sheet.paste(ImageChops.darker(sheet, own))


def spatter(sheet: Image.Image, rng: Rng, count: int) -> None:
    """Throw small drops of ink on a sheet, each far too small to be a shape."""
    draw = ImageDraw.Draw(sheet)
    spots = rng.uniform(0, 1, (count, 2)) * sheet.size
    for spot, radius in zip(spots, rng.lognormal(0.2, 0.5, count).tolist(), strict=True):
        disc(draw, spot, min(radius, 4.0), BLACK)


def _leg(rng: Rng, start: Points, end: Points) -> Points:
    path = line(rng, start, end, rng.normal(0, 0.02))
    return path[:-1]


def _body(draw: ImageDraw.ImageDraw, stroke: Stroke, widths: Points) -> None:
    ribbon(draw, stroke.path, widths, BLACK)
    # A band around a sharp bend leaves a notch outside; a brush does not.
    inner = slice(None) if not stroke.flat else slice(len(widths) // 8, -len(widths) // 8 or None)
    for point, width in zip(stroke.path[inner], widths[inner], strict=True):
        disc(draw, point, width / 2, BLACK)
