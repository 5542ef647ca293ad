"""An invented pointillist: sunny fields, rivers and bays in dots of divided colour.

The painter takes a generator and a (width, height) in pixels and returns an RGB picture of that
size. It reads nothing else.
"""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from paint_search.demo.brushes import (
    SCALE,
    Colour,
    Rng,
    Size,
    disc,
    enlarge,
    finish,
    glow,
    gradient,
    mix,
    noise,
    oval,
    palette,
    pick,
    sample,
    scatter,
    shifted,
    shuffled,
    varied,
)

# High sky, low sky, far hills, middle ground, meadow, foliage, light.
SEASONS = [
    palette("8fc3ea f7e7c4 8fa8d0 a9c86a d8d65a 3f8a4a fff3b0"),
    palette("5fa6e0 fbe3b8 7c8fc9 e3c14a f0d873 2f7a4f fff6c9"),
    palette("9db8e6 fbc9a0 a07fb8 d9793a e8b34a b5482e ffe6a0"),
    palette("c9a6dc fbb98a 8572b5 7fa06a b9b45a 4b6a5a ffd98f"),
    palette("b9d3ee fbe9dc a9b6dd dfe6f2 f3f1ee 6f86ae fff6df"),
    palette("8ea6e6 f6c3d0 9a8ccb b7a3d6 cfc07a 5b7f6a fff0c4"),
    palette("f0b36a fbe0a0 b5787f d88f4a e9c15a 7a5a3a fff2b8"),
]


def pointillist(rng: Rng, size: Size) -> Image.Image:
    """Set a sunny landscape down in dots of divided colour."""
    big = enlarge(size)
    season = list(varied(rng, pick(rng, SEASONS), 6))
    cartoon = _landscape(rng, size, season)
    picture = cartoon.resize(big).filter(ImageFilter.GaussianBlur(6))
    draw = ImageDraw.Draw(picture)
    for spacing, radius, divide in ((9.5, 5.6, 14.0), (10.5, 4.0, 24.0)):
        points = scatter(rng, big, spacing)
        colours = varied(rng, sample(cartoon, points / SCALE), divide * 0.5, hue=1.7)
        radii = rng.uniform(0.7, 1.15, len(points)) * radius
        for (x, y), r, colour in zip(points.tolist(), radii.tolist(), colours, strict=True):
            draw.ellipse((x - r, y - r, x + r, y + r), fill=colour)
    return finish(picture, rng, weave=0.0, grain=0.015, relief=0.25)


def _landscape(rng: Rng, size: Size, season: list[Colour]) -> Image.Image:
    """Return the plan of a landscape: sky, sun, hills, fields, water or road, trees."""
    width, height = size
    high, low, hills, middle, meadow, _, light = season
    picture = gradient(size, [high, mix(high, low, 0.5), low, low])
    horizon = height * rng.uniform(0.35, 0.55)
    sun = (width * rng.uniform(0.15, 0.85), horizon * rng.uniform(0.3, 0.8))
    glow(picture, sun, height * 0.5, light, 0.9)
    draw = ImageDraw.Draw(picture)
    disc(draw, sun, min(size) * 0.045, mix(light, (255, 255, 255), 0.4))
    grounds = (hills, mix(hills, middle, 0.6), middle, meadow)
    for depth, colour in zip((0.0, 0.14, 0.3, 0.52), grounds, strict=True):
        ridge = noise(rng, (width, 2), 3 - 2 * depth, octaves=3)[0] - 0.5
        top = horizon + depth * (height - horizon) - ridge * height * 0.16 * (1 - depth)
        line = np.stack([np.arange(width), top], 1).ravel().tolist()
        draw.polygon([0, height, *line, width, height], fill=colour)
    land = pick(rng, (_river, _furrows, _furrows, _bay))(draw, rng, size, horizon, season)
    if rng.random() < 0.5:
        _village(draw, rng, size, horizon + (height - horizon) * 0.1, season)
    slots = shuffled(rng, list(np.arange(0.06, 1.0, 0.13)))[: int(rng.integers(2, 6))]
    for depth, slot in zip(np.sort(rng.uniform(land, 0.78, len(slots))), slots, strict=True):
        foot = horizon + (height - horizon) * depth
        at = (width * (slot + rng.normal(0, 0.02)), foot)
        pick(rng, (_poplar, _oak))(draw, rng, at, (foot - horizon * 0.6) * 0.62, season)
    return picture


def _bay(
    draw: ImageDraw.ImageDraw, rng: Rng, size: Size, horizon: float, season: list[Colour]
) -> float:
    """Open water before the far hills, with bright sails; returns how near land begins."""
    width, height = size
    land = rng.uniform(0.4, 0.6)
    near = horizon + (height - horizon) * land
    x = np.linspace(0, width, 40)
    shore = near + height * 0.03 * np.sin(x / width * rng.uniform(4, 9) + rng.uniform(0, 6))
    top = horizon + (height - horizon) * 0.1
    blue = mix(season[0], (40, 110, 190), 0.4)
    draw.polygon([0, top, width, top, *np.stack([x, shore], 1)[::-1].ravel().tolist()], fill=blue)
    for _ in range(int(rng.integers(2, 6))):
        at, base = width * rng.uniform(0.08, 0.92), top + (near - top) * rng.uniform(0.15, 0.8)
        tall = (base - horizon) * 0.8 + height * 0.03
        sail = pick(rng, palette("fff6e0 f2b84b e8743c fbfbff"))
        draw.polygon([at, base, at, base - tall, at + tall * 0.55, base], fill=sail)
        draw.line(
            (at - tall * 0.2, base + 2, at + tall * 0.6, base + 2), fill=(90, 50, 80), width=3
        )
    return land + 0.1


def _village(
    draw: ImageDraw.ImageDraw, rng: Rng, size: Size, foot: float, season: list[Colour]
) -> None:
    """A huddle of houses with red roofs and one tower."""
    unit = min(size) * rng.uniform(0.035, 0.05)
    at = size[0] * rng.uniform(0.15, 0.75)
    for k in range(int(rng.integers(3, 7))):
        x, base = at + k * unit * 1.3, foot + rng.uniform(-0.3, 0.5) * unit
        tall = unit * (2.6 if k == 1 else rng.uniform(0.8, 1.2))
        wall = mix(season[6], (235, 205, 190), rng.uniform(0.2, 0.8))
        draw.rectangle((x, base - tall, x + unit * 1.2, base), fill=wall)
        draw.rectangle(
            (x + unit * 0.7, base - tall, x + unit * 1.2, base),
            fill=mix(wall, (110, 90, 170), 0.45),
        )
        roof = np.array([(-0.15, 0), (0.6, -0.9), (1.35, 0)]) * unit
        draw.polygon(shifted(roof, x, base - tall).ravel().tolist(), fill=(205, 84, 58))


def _river(
    draw: ImageDraw.ImageDraw, rng: Rng, size: Size, horizon: float, season: list[Colour]
) -> float:
    """Water that winds to the horizon and holds the sky; returns how near trees may stand."""
    depth = np.linspace(0.12, 1.05, 50)
    middle = size[0] * (rng.uniform(0.3, 0.7) + 0.13 * np.sin(depth * rng.uniform(5, 8)) * depth)
    half = size[0] * (0.015 + 0.17 * depth**1.8)
    y = horizon + depth * (size[1] - horizon)
    banks = np.vstack([np.stack([middle - half, y], 1), np.stack([middle + half, y], 1)[::-1]])
    draw.polygon(banks.ravel().tolist(), fill=mix(season[0], season[1], 0.25))
    return 0.15


def _furrows(
    draw: ImageDraw.ImageDraw, rng: Rng, size: Size, horizon: float, season: list[Colour]
) -> float:
    """Rows that run to one point, some in flower; returns how near trees may stand."""
    width, height = size
    meet, start = (
        width * rng.uniform(0.2, 0.8),
        horizon + (height - horizon) * rng.uniform(0.45, 0.6),
    )
    flower: Colour = pick(rng, palette("d9485f 8f5fb8 e8892f c9539a"))
    for k, x in enumerate(np.linspace(-1.5, 2.5, 26) * width):
        colour = flower if k % 2 else mix(season[4], season[5], 0.45)
        near = np.array([x, height * 1.02])
        far = near + (np.array([meet, horizon]) - near) * (near[1] - start) / (near[1] - horizon)
        row = [*shifted(far, -1, 0), *shifted(far, 1, 0)]
        row += [*shifted(near, width * 0.05, 0), *shifted(near, -width * 0.05, 0)]
        draw.polygon(row, fill=colour)
    return 0.15


def _poplar(
    draw: ImageDraw.ImageDraw, rng: Rng, at: tuple[float, float], tall: float, season: list[Colour]
) -> None:
    """A tree like a flame, dark on the side away from the sun."""
    x, foot = at
    half = tall * rng.uniform(0.11, 0.16)
    draw.ellipse(
        (x - half * 0.6, foot - half * 0.4, x + half * 3.2, foot + half * 0.4),
        fill=mix(season[5], (70, 50, 140), 0.5),
    )
    draw.ellipse((x - half, foot - tall, x + half, foot), fill=mix(season[5], (40, 40, 110), 0.35))
    draw.ellipse((x - half, foot - tall, x + half * 0.3, foot - tall * 0.06), fill=season[5])


def _oak(
    draw: ImageDraw.ImageDraw, rng: Rng, at: tuple[float, float], tall: float, season: list[Colour]
) -> None:
    """A round tree of several crowns with light on the upper left."""
    x, foot = at
    dark = mix(season[5], (40, 40, 110), 0.2)
    shade = mix(season[5], (70, 50, 140), 0.5)
    oval(draw, shifted(at, tall * 0.15, 0), (tall * 0.55, tall * 0.07), shade)
    draw.line(
        (x, foot, x, foot - tall * 0.5),
        fill=mix(season[5], (70, 30, 60), 0.7),
        width=max(2, int(tall * 0.08)),
    )
    for lit, leaf in ((0.0, dark), (0.5, mix(season[5], season[6], 0.3))):
        for dx, dy in (rng.normal(0, 0.13, (7, 2)) - lit * 0.12).tolist():
            spot = (x + dx * tall, foot + (dy - 0.66) * tall)
            disc(draw, spot, tall * (0.2 - 0.14 * lit), leaf)
