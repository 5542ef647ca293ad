"""The brushes that the invented painters share, from a wash of colour to strokes and tiles.

A brush called with its parameters gives a layer; a layer called with a `Canvas` paints on it. All
chance comes from the canvas's generator; nothing reads a clock, a font or a file. Where a parameter
is a `Range`, each use draws a number from it. Places are parts of the width, and `level`s down: 0
at the top, 1 at the horizon, 2 at the bottom. Sizes are parts of the canvas's `unit`; in texts of
figures and paths, hundredths. A `Tone` is a place in the palette, where -2 is white and -1 black,
or a mixture: one place, another, how much of it. Points are complex, x to the right and y down.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache, wraps
from typing import Concatenate, ParamSpec, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageChops, ImageColor, ImageDraw, ImageFilter
from scipy.interpolate import CubicSpline

Colour = tuple[int, int, int]
Size = tuple[int, int]
Floats = NDArray[np.float64]
Path = NDArray[np.complex128]
Rng = np.random.Generator
Range = float | tuple[float, float]
Tone = int | tuple[int, int, float]
T = TypeVar("T")
P = ParamSpec("P")

SCALE = 2  # a ground is so many times the size wanted; shrinking it is the antialiasing


@dataclass(frozen=True)
class Canvas:
    """A ground to paint on, and what its layers share."""

    picture: Image.Image  #: RGB, `SCALE` times the size wanted; layers change it in place
    rng: Rng
    colours: Sequence[Colour]  #: the palette, then white and black
    horizon: float  #: its row in pixels
    spot: complex  #: the point, in pixels, at which things are painted
    unit: float  #: pixels to a size of 1; the shorter side, unless far things are smaller

    def draw(self, wanted: Range) -> float:
        """Return a number of the range, each as likely."""
        return float(self.rng.uniform(*wanted)) if isinstance(wanted, tuple) else wanted

    def colour(self, tone: Tone) -> Colour:
        """Return the colour of a tone."""
        a, b, t = (tone, tone, 0.0) if isinstance(tone, int) else tone
        both = zip(self.colours[a], self.colours[b], strict=True)
        red, green, blue = (round(p + (q - p) * t) for p, q in both)
        return red, green, blue

    def y(self, level: float) -> float:
        """Return the row of a level."""
        below = (level - 1) * (self.picture.height - self.horizon)
        return level * self.horizon if level < 1 else self.horizon + below


Layer = Callable[[Canvas], None]


def ground(picture: Image.Image, rng: Rng, colours: Sequence[Colour]) -> Canvas:
    """Return a canvas with its horizon and its spot in the middle."""
    x, y = picture.width / 2, picture.height / 2
    return Canvas(picture, rng, colours, y, complex(x, y), float(min(picture.size)))


def brush(paint: Callable[Concatenate[Canvas, P], None]) -> Callable[P, Layer]:
    """Let a brush be given its parameters now and its canvas later."""

    @wraps(paint)
    def chosen(*args: P.args, **kwargs: P.kwargs) -> Layer:
        return lambda canvas: paint(canvas, *args, **kwargs)

    return chosen


@brush
def one_of(canvas: Canvas, *layers: Layer) -> None:
    """Paint one of the layers."""
    pick(canvas.rng, layers)(canvas)


@brush
def all_of(canvas: Canvas, *layers: Layer) -> None:
    """Paint one layer over the other."""
    for layer in layers:
        layer(canvas)


@brush
def strew(
    canvas: Canvas, layer: Layer, count: Range, x: Range, level: Range, grows: float = 0.0,
    near: bool = False,
) -> None:  # fmt: skip
    """Paint the layer at places that keep apart across, the far ones first.

    Places are from the spot on where `near`; things grow by a part `grows` from level to level.
    """
    number, (low, high) = round(canvas.draw(count)), x if isinstance(x, tuple) else (x, x)
    slots = low + (high - low) * (np.arange(number) + canvas.rng.uniform(0.2, 0.8, number)) / number
    across = canvas.picture.width * canvas.rng.permutation(slots) + canvas.spot.real * near
    for at, down in zip(across, sorted(canvas.draw(level) for _ in across), strict=True):
        unit = canvas.unit * (1 + grows * (down - 1))
        layer(replace(canvas, spot=complex(at, canvas.y(down)), unit=unit))


@brush
def inside(canvas: Canvas, *layers: Layer, margin: float) -> None:
    """Paint the layers within a margin, as on a canvas of their own."""
    (width, height), edge = canvas.picture.size, round(margin * canvas.unit)
    part = canvas.picture.crop((edge, edge, width - edge, height - edge))
    all_of(*layers)(ground(part, canvas.rng, canvas.colours))
    canvas.picture.paste(part, (edge, edge))


@brush
def wash(
    canvas: Canvas, *tones: Tone, top: float = 0.0, bottom: float = 2.0, angle: Range = 90.0
) -> None:
    """Lay a gradient of the tones between two levels; 90 degrees run from top to bottom."""
    first, last = round(canvas.y(top)), round(canvas.y(bottom))
    axis, turn = np.linspace(-0.5, 0.5, 96), np.deg2rad(canvas.draw(angle))
    along = np.cos(turn) * axis[None, :] + np.sin(turn) * axis[:, None]
    along = (along - along.min()) / np.ptp(along) * (len(tones) - 1)
    channels = np.array([canvas.colour(tone) for tone in tones]).T
    bands = [np.interp(along, np.arange(len(tones)), channel) for channel in channels]
    small = Image.fromarray(np.stack(bands, axis=-1).astype(np.uint8))
    size = (canvas.picture.width, last - first)
    canvas.picture.paste(small.resize(size, Image.Resampling.BILINEAR), (0, first))


@brush
def shine(canvas: Canvas, tone: Tone, radius: float, strength: float) -> None:
    """Lay a soft round light on the spot that fades out at the radius."""
    side = max(2, int(2 * radius * canvas.unit))
    fade = [int(strength * 255 * (1 - min(1, v / 180)) ** 2) for v in range(256)]
    light = Image.radial_gradient("L").point(fade).resize((side, side))
    x, y = canvas.spot.real - side / 2, canvas.spot.imag - side / 2
    canvas.picture.paste(canvas.colour(tone), (int(x), int(y)), light)


@brush
def haze(
    canvas: Canvas, tone: Tone, amount: float, cells: float, stretch: int = 1, bottom: float = 2.0
) -> None:
    """Lay a veil of clouds from the top to a level, so many along it; stretched ones keep apart."""
    area = (canvas.picture.width, round(canvas.y(bottom)))
    cloud = noise(canvas.rng, (area[0] // 4, area[1] // 4 * stretch), cells, 5)[::stretch]
    cloud = np.clip(cloud * 4 - 1.9, 0, 1) if stretch > 1 else cloud
    canvas.picture.paste(canvas.colour(tone), (0, 0), mask(cloud * amount, area))


@brush
def ridges(
    canvas: Canvas, tones: Sequence[Tone], levels: Sequence[float], rise: Range, mist: float = 0.0
) -> None:
    """Lay ridges one before the other, each of a tone, at a level; `mist` dissolves them below."""
    (width, height), rows = canvas.picture.size, np.arange(canvas.picture.height)[:, None]
    for tone, level in zip(tones, levels, strict=True):
        land = noise(canvas.rng, (width, 2), 4, 6)[0] - 0.5
        below = rows - canvas.y(level) + land * height * canvas.draw(rise)
        cover = np.clip(below, 0, 1) * np.exp(-np.clip(below, 0, None) * mist / height)
        canvas.picture.paste(canvas.colour(tone), (0, 0), mask(cover, canvas.picture.size))


@cache
def figure(text: str) -> list[tuple[str, int, Path]]:
    """Read a figure: its parts in order, each with its mark, its colour and its outline.

    Commas divide parts. ``2o x y rx ry`` is an oval of colour 2, ``p x y x y ...`` a polygon, ``s``
    a smooth one, ``c x y x y ... w`` a curved line of width w, ``l`` one pointed like a leaf. A
    part marked ``*`` is repeated around the origin, one marked ``/`` as well, half a step on.
    """
    parts = []
    for part in text.split(","):
        head, *words = part.split()
        values = np.array(words, dtype=np.float64) / 100
        points = values[: len(values) // 2 * 2].view(np.complex128)
        if head[-1] == "o":
            turns = np.linspace(0, 2 * np.pi, 40)
            points = points[0] + values[2] * np.cos(turns) + 1j * values[3] * np.sin(turns)
        elif head[-1] != "p":
            points = curve(points, 24 if head[-1] in "cl" else 80)
        if head[-1] in "cl":
            swell = np.sin(np.linspace(0, np.pi, 24)) ** 0.8 if head[-1] == "l" else 1.0
            side = normals(points) * values[-1] / 2 * swell
            points = np.concatenate([points + side, (points - side)[::-1]])
        parts.append((head[:-2], int(head[-2]), points))
    return parts


@brush
def stamp(
    canvas: Canvas, text: str, size: Range, tones: Sequence[Tone], free: Sequence[int] = (),
    turn: Range = 0.0, copies: Range = 1, sweep: float = 360.0, glass: bool = False,
    mirror: bool = True,
) -> None:  # fmt: skip
    """Set a figure, or as often its mirror image, on the spot.

    Its colours are `tones`, then `free` in any order. Parts marked for it are repeated `copies`
    times within `sweep` degrees; `glass` darkens what is below instead of hiding it.
    """
    picture = Image.new("RGB", canvas.picture.size, (255, 255, 255)) if glass else canvas.picture
    draw, number, turned = ImageDraw.Draw(picture), round(canvas.draw(copies)), canvas.draw(turn)
    colours = [canvas.colour(tone) for tone in [*tones, *canvas.rng.permutation(free).tolist()]]
    high = canvas.draw(size) * canvas.unit
    wide = high * (pick(canvas.rng, (-1, 1)) if mirror else 1)
    for mark, tone, outline in figure(text):
        for k in range(number if mark else 1):
            step = k + (mark == "/") / 2 + (sweep < 360) * (1 - number) / 2 if mark else 0.0
            points = outline * np.exp(1j * np.deg2rad(turned + step * sweep / number))
            placed = points.real * wide + 1j * points.imag * high + canvas.spot
            draw.polygon(placed.view(np.float64).tolist(), fill=colours[tone % len(colours)])
    if glass:
        canvas.picture.paste(ImageChops.multiply(canvas.picture, picture))


@brush
def tiles(canvas: Canvas, across: Range, layer: Layer, mixed: bool = False) -> None:
    """Cover the canvas with tiles: two by turns, straight or half-dropped, or many `mixed`."""
    (width, height), rng = canvas.picture.size, canvas.rng
    side = round(max(width, height) / round(canvas.draw(across)))
    kinds = [Image.new("RGB", (side, side), canvas.colours[0]) for _ in range(20 if mixed else 2)]
    for kind in kinds:
        layer(ground(kind, rng, canvas.colours))
    drop = 0 if mixed else side // 2 * int(rng.integers(2))
    for column in range(-1, width // side + 2):
        for row in range(-1, height // side + 2):
            tile = pick(rng, kinds) if mixed else kinds[(row + column) % 2]
            corner = (width % side // 2 + column * side, row * side + column % 2 * drop)
            canvas.picture.paste(tile, corner)


@dataclass(frozen=True)
class Stroke:
    """One stroke of a brush: its path (n,) in pixels and the brush's width (n,) along it.

    A flat brush begins and ends with an edge, a round one with a bow.
    """

    path: Path
    widths: Floats
    flat: bool = False

    def moved(self, scale: float, degrees: float, to: complex) -> Stroke:
        """Return the stroke scaled and turned around the origin, which then moves to a point."""
        path = self.path * scale * np.exp(1j * np.deg2rad(degrees)) + to
        return replace(self, path=path, widths=self.widths * scale)

    def body(self, sheet: Image.Image) -> None:
        """Lay the stroke in black, without accidents."""
        points, radii = self.path.view(np.float64).tolist(), (self.widths / 2).tolist()
        draw, last, length = ImageDraw.Draw(sheet), len(radii), np.abs(np.diff(self.path)).sum()
        bow = math.ceil(last * max(radii) / length) if self.flat else 0
        for k, (x, y, r) in enumerate(zip(points[::2], points[1::2], radii, strict=True)):
            draw.line(points[2 * k : 2 * k + 4], fill=0, width=round(2 * r))
            if bow <= k < last - bow:
                draw.ellipse((x - r, y - r, x + r, y + r), fill=0)

    def lay(self, sheet: Image.Image, rng: Rng, dry: float, first: float) -> None:
        """Lay the stroke in black on levels of grey, with a ragged edge; it runs dry.

        `dry`, from 0, says how many streaks stay white, from a part `first` of the way or later.
        """
        side, streaks = normals(self.path) * self.widths, int(14 * dry)
        own = Image.new("L", sheet.size, 255) if streaks else sheet
        replace(self, widths=self.widths * (1 + rng.normal(0, 0.015, len(side)))).body(own)
        for _ in range(streaks):
            start, wide = int(len(side) * rng.uniform(first, 0.93)), 2 + 0.03 * self.widths.mean()
            streak = (self.path + side * rng.uniform(-0.46, 0.46))[start:].view(np.float64)
            ImageDraw.Draw(own).line(streak.tolist(), fill=255, width=int(rng.uniform(1, wide)))
        if streaks:
            sheet.paste(ImageChops.darker(sheet, own))


@brush
def strokes(
    canvas: Canvas, paths: str, count: Range, size: Range, width: Range, tone: Tone = 1,
    dry: Range = 0.0, taper: float = 0.3, shake: float = 0.0, turn: Range = 0.0,
) -> None:  # fmt: skip
    """Brush some of the paths around the spot, broader where the hand is slow.

    Paths are divided by commas, each the x and y of its knots, which the hand may `shake`. `taper`
    is the part of the brush's width that comes and goes: 1 ends in points.
    """
    rng, sheet = canvas.rng, Image.new("L", canvas.picture.size, 255)
    scale, degrees, way = canvas.draw(size) * canvas.unit, canvas.draw(turn), pick(rng, (-1, 1))
    swell = 1 - taper * (1 - np.sin(np.pi * np.linspace(0.06, 0.96, 120)) ** 0.8)
    for text in rng.permutation(paths.split(","))[: round(canvas.draw(count))]:
        knots = np.array(text.split(), dtype=np.float64) / 100
        knots = (knots + rng.normal(0, shake, len(knots))).view(np.complex128)
        path = curve(knots.real * way + 1j * knots.imag, 120)
        speed = np.abs(np.gradient(path))
        widths = canvas.draw(width) * swell * np.clip(np.median(speed) / speed, 0.6, 1.8)
        stroke = Stroke(path, widths).moved(scale, degrees, canvas.spot)
        stroke.lay(sheet, rng, canvas.draw(dry), 0.2)
    canvas.picture.paste(canvas.colour(tone), (0, 0), ImageChops.invert(sheet))


@brush
def marks(
    canvas: Canvas, text: str, spacing: Range, sizes: tuple[float, float], spread: float,
    hue: float = 0.35, turns: tuple[float, float] = (0.0, 0.0), rings: bool = False,
) -> None:  # fmt: skip
    """Paint the picture over in its own colours with small marks, all of one figure's outline.

    Marks lie `spacing` pixels of the finished picture apart, at random, turned as said; or in
    `rings` around the spot on a dark bed. Colours vary by `spread`, in hue by a part `hue` of it.
    """
    rng, (width, height), step = canvas.rng, canvas.picture.size, canvas.draw(spacing) * SCALE
    under = np.asarray(canvas.picture)
    if rings:
        radii = np.arange(0.5, np.hypot(width, height) / step) * step
        turn = [r + np.arange(0, 2 * np.pi, step / r) for r in radii]
        points = np.concatenate([r * np.exp(1j * t) for r, t in zip(radii, turn, strict=True)])
        points, angles = points + canvas.spot, np.concatenate(turn)
        canvas.picture.paste(canvas.picture.point(lambda level: level * 0.4))
    else:
        grid = np.arange(0, width + step, step) + 1j * np.arange(0, height + step, step)[:, None]
        shake = rng.uniform(-0.6, 0.6, (*grid.shape, 2)) @ [1, 1j] * step
        points = rng.permutation((grid + shake).ravel())
        angles = np.deg2rad(rng.uniform(*turns, len(points)))
    scale = rng.uniform(*sizes, len(points)) * SCALE * np.exp(1j * angles)
    column = np.clip(points.real, 0, width - 1).astype(int)
    row = np.clip(points.imag, 0, height - 1).astype(int)
    colours, draw = varied(rng, under[row, column], spread, hue), ImageDraw.Draw(canvas.picture)
    outlines = np.outer(scale, figure(text)[0][2]) + points[:, None]
    for outline, colour in zip(outlines.view(np.float64).tolist(), colours, strict=True):
        draw.polygon(outline, fill=colour)


def palette(text: str) -> list[Colour]:
    """Read colours written as hexadecimal words of three or six digits: ``"0b1d3a fed"``."""
    return [ImageColor.getrgb(f"#{word}")[:3] for word in text.split()]


def pick(rng: Rng, items: Sequence[T]) -> T:
    """Return one item, each as likely."""
    return items[int(rng.integers(len(items)))]


def varied(rng: Rng, colours: ArrayLike, spread: float, hue: float = 0.35) -> Iterator[Colour]:
    """Yield colours (n, 3) shifted in lightness by `spread` and in hue by `spread * hue`."""
    base = np.atleast_2d(np.asarray(colours, dtype=np.float64))
    shifts = rng.normal(0, spread, (len(base), 1)) + rng.normal(0, spread * hue, base.shape)
    return ((r, g, b) for r, g, b in np.clip(base + shifts, 0, 255).astype(int).tolist())


def noise(rng: Rng, size: Size, cells: float, octaves: int) -> NDArray[np.float32]:
    """Return fractal value noise (height, width) in 0..1, `cells` bumps along the longer side."""
    total = np.zeros(size[::-1], dtype=np.float32)
    for octave in range(octaves):
        per_pixel = cells * 2**octave / max(size)
        shape = tuple(max(2, round(side * per_pixel) + 1) for side in size[::-1])
        coarse = Image.fromarray(rng.random(shape, dtype=np.float32))
        total += np.asarray(coarse.resize(size, Image.Resampling.BICUBIC)) / 2**octave
    return np.asarray((total - total.min()) / np.ptp(total))


def mask(field: NDArray[np.floating], size: Size) -> Image.Image:
    """Turn a field of 0..1 into an 8-bit mask of the given size."""
    levels = Image.fromarray((np.clip(field, 0, 1) * 255).astype(np.uint8))
    return levels.resize(size, Image.Resampling.BICUBIC)


def curve(knots: ArrayLike, count: int) -> Path:
    """Return a smooth curve (count,) through the knots (k,)."""
    through = np.asarray(knots, dtype=np.complex128)
    spline = CubicSpline(np.arange(len(through)), through, bc_type="natural")
    return np.asarray(spline(np.linspace(0, len(through) - 1, count)))


def normals(path: Path) -> Path:
    """Return the unit normals of a path."""
    tangent = np.gradient(path)
    return np.asarray(1j * tangent / (np.abs(tangent) + 1e-9))


def finish(
    picture: Image.Image, rng: Rng, weave: float, grain: float, relief: float, blur: float = 0.0
) -> Image.Image:
    """Shrink a ground to its final size and give it canvas weave, grain and thickness of paint.

    Strengths are parts of full white; `relief` lights edges from the left, `blur` is a radius.
    """
    soft = picture.filter(ImageFilter.GaussianBlur(blur)) if blur else picture
    pixels = np.asarray(soft.reduce(SCALE), dtype=np.float32)
    height, width = pixels.shape[:2]
    threads = np.sin(np.arange(width) * 2.1) * np.sin(np.arange(height) * 2.1)[:, None]
    grey = pixels.mean(axis=2)
    surface = 1 + weave * threads + grain * rng.standard_normal((height, width))
    surface += relief / 255 * (grey - np.roll(grey, (1, 1), (0, 1)))
    return Image.fromarray(np.clip(pixels * surface[..., None], 0, 255).astype(np.uint8))
