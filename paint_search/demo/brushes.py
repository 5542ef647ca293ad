"""Shared brushes of the invented painters: palettes, gradients, noise, strokes, canvas.

Painters work on a ground SCALE times the wanted size and hand it to `finish`, which shrinks it
(that is the antialiasing) and lays the weave on. Every draw of chance comes from the generator
passed in; nothing here reads a clock, a font or a file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageDraw

Colour = tuple[int, int, int]
Size = tuple[int, int]
Field = NDArray[np.float32]
Points = NDArray[np.float64]
Rng = np.random.Generator
T = TypeVar("T")

SCALE = 2


def enlarge(size: Size) -> Size:
    """Return the size of the ground a painter works on."""
    return size[0] * SCALE, size[1] * SCALE


def palette(text: str) -> list[Colour]:
    """Read colours written as hexadecimal words: ``"0b1d3a f2e8d5"``."""
    return [(r, g, b) for r, g, b in map(bytes.fromhex, text.split())]


def pick(rng: Rng, items: Sequence[T]) -> T:
    """Return one item, each as likely."""
    return items[int(rng.integers(len(items)))]


def shuffled(rng: Rng, items: Sequence[T]) -> list[T]:
    """Return the items in a random order."""
    return [items[i] for i in rng.permutation(len(items))]


def mix(a: Colour, b: Colour, t: float) -> Colour:
    """Return the colour a part `t` (0 to 1) of the way from `a` to `b`."""
    r, g, b_ = (round(p + (q - p) * t) for p, q in zip(a, b, strict=True))
    return r, g, b_


def varied(rng: Rng, colours: ArrayLike, spread: float, hue: float = 0.35) -> Iterator[Colour]:
    """Yield colours (n, 3) shifted in lightness by `spread` and in hue by `spread * hue`."""
    base = np.atleast_2d(np.asarray(colours, dtype=np.float64))
    light = rng.normal(0, spread, (len(base), 1))
    tint = rng.normal(0, spread * hue, base.shape)
    shifted = np.clip(base + light + tint, 0, 255).astype(int)
    return ((r, g, b) for r, g, b in shifted.tolist())


def noise(rng: Rng, size: Size, cells: float, octaves: int = 4) -> Field:
    """Return fractal value noise (height, width) in 0..1, `cells` bumps along the longer side."""
    total = np.zeros(size[::-1], dtype=np.float32)
    for octave in range(octaves):
        per_pixel = cells * 2**octave / max(size)
        shape = tuple(max(2, round(side * per_pixel) + 1) for side in size[::-1])
        coarse = Image.fromarray(rng.random(shape, dtype=np.float32))
        total += np.asarray(coarse.resize(size, Image.Resampling.BICUBIC)) / 2**octave
    total -= total.min()
    total /= total.max()
    return total


def mask(field: NDArray[np.floating], size: Size) -> Image.Image:
    """Turn a field of 0..1 into an 8-bit mask of the given size."""
    levels = Image.fromarray((np.clip(field, 0, 1) * 255).astype(np.uint8))
    return levels.resize(size, Image.Resampling.BICUBIC)


def gradient(size: Size, colours: Sequence[Colour], angle: float = 90.0) -> Image.Image:
    """Return a gradient through the colours; the angle in degrees, 90 runs top to bottom."""
    axis = np.linspace(-0.5, 0.5, 96)
    turn = np.deg2rad(angle)
    along = np.cos(turn) * axis[None, :] + np.sin(turn) * axis[:, None]
    along = (along - along.min()) / np.ptp(along)
    stops = np.linspace(0, 1, len(colours))
    bands = [np.interp(along, stops, channel) for channel in zip(*colours, strict=True)]
    small = Image.fromarray(np.stack(bands, axis=-1).astype(np.uint8))
    return small.resize(size, Image.Resampling.BILINEAR)


def glow(
    picture: Image.Image,
    centre: tuple[float, float],
    radius: float,
    colour: Colour,
    strength: float = 1.0,
) -> None:
    """Lay a soft round light of the colour on the picture, fading to nothing at the radius."""
    side = max(2, int(2 * radius))
    fade = Image.radial_gradient("L").point(
        [int(strength * 255 * (1 - min(1, v / 180)) ** 2) for v in range(256)]
    )
    corner = (int(centre[0] - radius), int(centre[1] - radius))
    picture.paste(colour, corner, fade.resize((side, side), Image.Resampling.BILINEAR))


def shifted(point: ArrayLike, dx: float, dy: float) -> Points:
    """Return the point, or every point of (n, 2), moved by dx to the right and dy down."""
    moved: Points = np.asarray(point, dtype=np.float64) + np.array([dx, dy])
    return moved


def oval(
    draw: ImageDraw.ImageDraw,
    centre: tuple[float, float] | Points,
    radii: tuple[float, float],
    fill: Colour,
) -> None:
    """Draw a filled ellipse of the radii across and down."""
    x, y = centre
    draw.ellipse((x - radii[0], y - radii[1], x + radii[0], y + radii[1]), fill=fill)


def disc(
    draw: ImageDraw.ImageDraw, centre: tuple[float, float] | Points, radius: float, fill: Colour
) -> None:
    """Draw a filled circle."""
    oval(draw, centre, (radius, radius), fill)


def circle(
    centre: tuple[float, float],
    radii: tuple[float, float],
    count: int = 60,
    start: float = 0.0,
    sweep: float = 360.0,
) -> Points:
    """Return points (count, 2) along an elliptic arc; angles in degrees."""
    turn = np.deg2rad(np.linspace(start, start + sweep, count))
    return np.stack([centre[0] + radii[0] * np.cos(turn), centre[1] + radii[1] * np.sin(turn)], 1)


def curve(knots: ArrayLike, count: int = 60) -> Points:
    """Return a Catmull-Rom curve (count, 2) through the knots (k, 2)."""
    p = np.asarray(knots, dtype=np.float64)
    p = np.vstack([2 * p[0] - p[1], p, 2 * p[-1] - p[-2]])
    where = np.linspace(0, len(p) - 3 - 1e-9, count)
    i = where.astype(int)
    t = (where - i)[:, None]
    a, b, c, d = p[i], p[i + 1], p[i + 2], p[i + 3]
    path: Points = 0.5 * (
        2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3
    )
    return path


def normals(path: Points) -> Points:
    """Return the unit normals (n, 2) of a path (n, 2)."""
    tangent = np.gradient(path, axis=0)
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True) + 1e-9
    across: Points = tangent[:, ::-1] * (-1, 1)
    return across


def ribbon(draw: ImageDraw.ImageDraw, path: Points, widths: ArrayLike, fill: Colour) -> None:
    """Fill the band around a path (n, 2); widths is a number or one a point."""
    half = np.broadcast_to(np.asarray(widths, dtype=np.float64) / 2, len(path))[:, None]
    side = normals(path) * half
    draw.polygon(np.vstack([path + side, (path - side)[::-1]]).ravel().tolist(), fill=fill)


def scatter(rng: Rng, size: Size, spacing: float) -> Points:
    """Return points (n, 2) that cover the size about `spacing` apart, in random order."""
    x, y = np.meshgrid(
        np.arange(0, size[0] + spacing, spacing), np.arange(0, size[1] + spacing, spacing)
    )
    points = np.stack([x.ravel(), y.ravel()], 1)
    return rng.permutation(points + rng.uniform(-0.6, 0.6, points.shape) * spacing)


def sample(picture: Image.Image, points: Points) -> NDArray[np.uint8]:
    """Return the colours (n, 3) of the picture under the points, the nearest inside it."""
    pixels = np.asarray(picture)
    inside = np.clip(points, 0, (picture.width - 1, picture.height - 1)).astype(int)
    under: NDArray[np.uint8] = pixels[inside[:, 1], inside[:, 0]]
    return under


def repaint(
    picture: Image.Image,
    rng: Rng,
    spacing: float,
    stroke: tuple[float, int],
    angle: Callable[[Points], Points],
    spread: float = 8.0,
) -> Image.Image:
    """Paint the picture over with short strokes of (length, width) in its own colours.

    `angle` gives the direction in radians (n,) of the strokes at the points (n, 2).
    """
    points = scatter(rng, picture.size, spacing)
    turn = angle(points)
    half = 0.5 * stroke[0] * np.stack([np.cos(turn), np.sin(turn)], 1)
    half *= rng.uniform(0.6, 1.3, (len(points), 1))
    colours = varied(rng, sample(picture, points), spread)
    painted = picture.copy()
    draw = ImageDraw.Draw(painted)
    for ends, colour in zip(
        np.hstack([points - half, points + half]).tolist(), colours, strict=True
    ):
        draw.line(ends, fill=colour, width=stroke[1])
    return painted


def finish(
    picture: Image.Image, rng: Rng, weave: float = 0.03, grain: float = 0.02, relief: float = 0.0
) -> Image.Image:
    """Shrink a ground to its final size and give it canvas weave, grain and thickness of paint.

    Strengths are parts of full white; `relief` lights the edges of strokes from the upper left.
    """
    pixels = np.asarray(picture.reduce(SCALE), dtype=np.float32)
    height, width = pixels.shape[:2]
    threads = np.sin(np.arange(width) * 2.1)[None, :] * np.sin(np.arange(height) * 2.1)[:, None]
    surface = 1 + weave * threads + grain * rng.standard_normal((height, width), dtype=np.float32)
    if relief:
        grey = pixels.mean(axis=2)
        surface = surface + relief / 255 * (grey - np.roll(grey, (1, 1), (0, 1)))
    return Image.fromarray(np.clip(pixels * surface[..., None], 0, 255).astype(np.uint8))
