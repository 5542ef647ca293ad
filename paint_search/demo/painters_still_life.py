"""An invented still-life painter: vessels, fruit and candles in the light of one window.

The painter takes a generator and a (width, height) in pixels and returns an RGB picture of that
size. It reads nothing else.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from paint_search.demo.brushes import (
    Colour,
    Rng,
    Size,
    curve,
    enlarge,
    finish,
    glow,
    gradient,
    mask,
    mix,
    oval,
    palette,
    pick,
    repaint,
    ribbon,
    shifted,
    shuffled,
    varied,
)

# Wall in light, wall in shade, table, cloth.
ROOMS = [
    palette("6b4526 140b07 4a2a17 8a2b1f"),
    palette("5c4a2c 100c08 3d2615 d8c9a8"),
    palette("70402a 170a08 54301b 34402c"),
    palette("4f3a2a 0d0908 3a2418 a3702e"),
]
FRUIT = palette("b3261e d9902a c9a227 6f7d2b 8e1f2f e0772b")
CLAY = palette("9a5a34 c9b48c 3f4a3a 6e3b2a 7f8a86")
# Radius from foot to lip of what the potter and the glassblower make.
PROFILES = (
    (0.5, 0.75, 0.95, 0.85, 0.45, 0.36, 0.44),
    (0.55, 0.6, 0.6, 0.58, 0.25, 0.2, 0.22),
    (0.45, 0.8, 1.0, 0.98, 0.8, 0.6, 0.7),
    (0.4, 0.55, 0.75, 0.85, 0.8, 0.5, 0.62),
)
# Where the light comes from: right, down, towards the viewer.
LIGHT = np.array([-0.55, -0.6, 0.58])


def still_life(rng: Rng, size: Size) -> Image.Image:
    """Light a few vessels and fruits from the upper left, and leave the room in the dark."""
    width, height = enlarge(size)
    lit, shade, table, cloth = varied(rng, pick(rng, ROOMS), 5)
    picture = Image.new("RGB", (width, height), shade)
    beam = (width * rng.uniform(0.15, 0.5), height * rng.uniform(0.2, 0.4))
    glow(picture, beam, max(width, height) * 0.95, mix(lit, (255, 190, 110), 0.18), 1.0)
    picture = repaint(picture, rng, 24, (60, 18), lambda p: rng.uniform(0, 3.14, len(p)), 3)
    edge, reach = height * rng.uniform(0.6, 0.7), min(width, height * 1.15)
    front = edge + reach * 0.24
    board = gradient((width, int(front - edge) + 1), [mix(table, lit, 0.5), table, shade], 40)
    picture.paste(board, (0, int(edge)))
    picture.paste(
        gradient((width, int(height - front) + 1), [mix(table, shade, 0.4), shade], 60),
        (0, int(front)),
    )
    if rng.random() < 0.75:
        _cloth(picture, rng, (edge, front), cloth)
    spots = shuffled(rng, [0.24, 0.45, 0.66])[: int(rng.integers(1, 3))]
    for spot in spots:
        at = (width * (spot + rng.normal(0, 0.02)), edge + reach * rng.uniform(0.05, 0.08))
        _vessel(picture, rng, at, reach * rng.uniform(0.36, 0.56), pick(rng, CLAY))
    if rng.random() < 0.35:
        _candle(picture, rng, (width * pick(rng, (0.14, 0.84)), edge + reach * 0.07), reach * 0.3)
    if rng.random() < 0.6:
        _grapes(picture, rng, (width * rng.uniform(0.3, 0.7), edge + reach * 0.19), reach * 0.028)
    _fruits(picture, rng, edge, reach)
    vignette = gradient(picture.size, [(255, 252, 244), (250, 242, 232), (170, 158, 150)], 50)
    return finish(ImageChops.multiply(picture, vignette), rng, weave=0.03, grain=0.02)


def _cloth(picture: Image.Image, rng: Rng, span: tuple[float, float], colour: Colour) -> None:
    """Lay a cloth on the table and let its folds fall over the front; span: the table's rows."""
    width, height = picture.size
    edge, front = span
    left = width * rng.uniform(-0.1, 0.4)
    right = left + width * rng.uniform(0.4, 0.65)
    back = edge + (front - edge) * 0.3
    draw = ImageDraw.Draw(picture)
    draw.polygon(
        [left + width * 0.05, back, right - width * 0.02, back, right, front, left, front],
        fill=mix(colour, (60, 40, 25), 0.25),
    )
    dark = mix(colour, (10, 6, 4), 0.85)
    phase = np.linspace(0, rng.uniform(14, 26), 240) + rng.normal(0, 0.3, 240).cumsum() * 0.3
    folds = 0.5 + 0.5 * np.sin(phase)
    hem = height - (height - front) * (0.15 + 0.1 * np.sin(phase * 0.31))
    xs = np.linspace(left, right, 240)
    for x, after, fold, low in zip(xs, xs[1:], folds, hem, strict=False):
        draw.polygon(
            [x, front, after + 1, front, after + 1 + fold * 9, low, x + fold * 9, low],
            fill=mix(dark, colour, 0.15 + 0.7 * fold),
        )


def _cast(picture: Image.Image, centre: tuple[float, float], radius: float) -> None:
    """Lay the shadow a thing throws to its right."""
    spot = Image.new("L", (64, 24))
    ImageDraw.Draw(spot).ellipse((10, 5, 54, 19), fill=225)
    soft = spot.filter(ImageFilter.GaussianBlur(3)).resize((int(radius * 4.2), int(radius * 1.3)))
    picture.paste((8, 4, 2), (int(centre[0] - radius * 1.2), int(centre[1] - radius * 0.6)), soft)


def _lit(normal: tuple[NDArray[np.float64], ...], colour: Colour, gloss: float) -> Image.Image:
    """Return the colours of a surface with the normals x, y, z (h, w each) under the one light."""
    x, y, z = normal
    facing = np.clip(LIGHT[0] * x + LIGHT[1] * y + LIGHT[2] * z, 0, 1)
    rim = 0.12 * np.clip(x - 0.2, 0, 1) ** 2
    body = np.asarray(colour) * (0.07 + 1.22 * facing**1.2 + rim)[..., None]
    shine = 235 * gloss * np.clip(facing, 0, 1)[..., None] ** 26
    return Image.fromarray(np.clip(body + shine, 0, 255).astype(np.uint8))


def _ball(
    picture: Image.Image, centre: tuple[float, float], radius: float, colour: Colour, gloss: float
) -> None:
    """Paste one lit sphere."""
    count = max(6, int(2 * radius))
    axis = np.linspace(-1, 1, count)
    x, y = np.meshgrid(axis, axis)
    inside = 1 - x**2 - y**2
    skin = _lit((x, y, np.sqrt(np.clip(inside, 0, 1))), colour, gloss)
    corner = (int(centre[0] - radius), int(centre[1] - radius))
    picture.paste(skin, corner, mask(inside * radius / 3, skin.size))


def _fruits(picture: Image.Image, rng: Rng, edge: float, reach: float) -> None:
    """Set out fruit, the far ones first, none wholly behind another."""
    places = shuffled(rng, list(np.linspace(0.1, 0.9, 8)))[: int(rng.integers(4, 8))]
    colours = shuffled(rng, FRUIT)
    for k, (depth, place) in enumerate(
        zip(np.sort(rng.uniform(0.11, 0.22, len(places))), places, strict=True)
    ):
        x = picture.width * (place + rng.normal(0, 0.02))
        colour = next(varied(rng, colours[k % 3], 10))
        _fruit(picture, rng, (x, edge + reach * depth), reach * rng.uniform(0.052, 0.085), colour)


def _fruit(
    picture: Image.Image, rng: Rng, base: tuple[float, float], radius: float, colour: Colour
) -> None:
    """An apple, an orange or a plum with its stem in a dimple."""
    _cast(picture, (base[0], base[1] - radius * 0.1), radius)
    centre = (base[0], base[1] - radius * 0.9)
    _ball(picture, centre, radius, colour, 0.5)
    x, y = centre[0] + rng.normal(0, 0.12) * radius, centre[1] - radius * 0.7
    box = (x - radius * 0.3, y - radius * 0.09, x + radius * 0.3, y + radius * 0.11)
    ImageDraw.Draw(picture).ellipse(box, fill=mix(colour, (20, 10, 6), 0.55))
    stem = curve([(x, y), (x + 3, y - radius * 0.25), (x + rng.normal(4, 8), y - radius * 0.5)], 12)
    ribbon(ImageDraw.Draw(picture), stem, 6, (62, 40, 22))


def _candle(picture: Image.Image, rng: Rng, base: tuple[float, float], tall: float) -> None:
    """A burning candle in a brass foot."""
    x, y = base
    _cast(picture, base, tall * 0.2)
    draw = ImageDraw.Draw(picture)
    half = tall * 0.055
    draw.ellipse(
        (x - half * 3.4, y - half * 0.9, x + half * 3.4, y + half * 0.9), fill=(120, 84, 34)
    )
    draw.ellipse((x - half * 3, y - half * 1.0, x + half * 3, y + half * 0.5), fill=(168, 124, 56))
    wax = gradient(
        (int(2 * half), int(tall * 0.7)), [(246, 226, 178), (206, 168, 112), (96, 62, 34)], 20
    )
    picture.paste(wax, (int(x - half), int(y - tall * 0.7)))
    tip = (x, y - tall * 0.78)
    glow(picture, tip, tall * 1.5, (226, 132, 48), 0.55)
    flame = curve([(x, y - tall * 0.7), (x, y - tall * 0.8), (x + rng.normal(0, 4), y - tall)], 24)
    for grow, colour in ((1.0, (255, 176, 70)), (0.6, (255, 240, 190))):
        ribbon(
            ImageDraw.Draw(picture),
            flame[: int(24 * (0.5 + grow / 2))],
            np.sin(np.linspace(0.35, np.pi, int(24 * (0.5 + grow / 2)))) * half * 1.7 * grow,
            colour,
        )
    glow(picture, tip, tall * 0.3, (255, 226, 150), 0.7)


def _grapes(picture: Image.Image, rng: Rng, base: tuple[float, float], radius: float) -> None:
    """A bunch, the far ones first."""
    colour = pick(rng, palette("4b2350 7d8f3a 33204a"))
    _cast(picture, base, radius * 4)
    for row in range(4, -1, -1):
        for k in range(6 - row):
            x = base[0] + (k - (5 - row) / 2) * radius * 1.7 + rng.normal(0, 0.25) * radius
            y = base[1] - row * radius * 1.3 + rng.normal(0, 0.2) * radius
            _ball(picture, (x, y), radius, next(varied(rng, colour, 8)), 0.75)


def _vessel(
    picture: Image.Image, rng: Rng, base: tuple[float, float], tall: float, colour: Colour
) -> None:
    """A jug, bottle or vase: a profile turned on the wheel."""
    rows, half = int(tall), tall * rng.uniform(0.3, 0.38)
    path = curve(np.stack([np.linspace(1, 0, 7), pick(rng, PROFILES)], 1), rows)
    radius = np.interp(np.linspace(0, 1, rows), path[::-1, 0], path[::-1, 1]) * half
    columns = int(2 * half * 1.05)
    x = (np.arange(columns)[None, :] - columns / 2) / radius[:, None]
    slope = np.gradient(radius)[:, None]
    z = np.sqrt(np.clip(1 - x**2, 0, 1))
    length = np.sqrt(1 + slope**2)
    normal = (x / length, np.broadcast_to(-0.6 * slope / length, x.shape), z / length)
    skin = _lit(normal, colour, rng.uniform(0.2, 0.8))
    _cast(picture, base, half)
    corner = (int(base[0] - columns / 2), int(base[1] - rows))
    draw = ImageDraw.Draw(picture)
    lip, foot = radius[0], radius[-1]
    oval(draw, base, (foot, foot * 0.18), mix(colour, (8, 4, 2), 0.85))
    picture.paste(skin, corner, mask((1 - np.abs(x)) * radius[:, None] / 2, skin.size))
    rim = (base[0], corner[1])
    oval(draw, rim, (lip * 1.04, lip * 0.21), mix(colour, (255, 236, 200), 0.15))
    oval(draw, shifted(rim, 0, lip * 0.04), (lip * 0.9, lip * 0.18), mix(colour, (8, 4, 2), 0.8))
