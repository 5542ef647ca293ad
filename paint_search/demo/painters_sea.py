"""An invented painter of moonlit seas: ships, headlands and islands under a lit sky.

The painter takes a generator and a (width, height) in pixels and returns an RGB picture of that
size. It reads nothing else.
"""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from paint_search.demo.brushes import (
    Colour,
    Rng,
    Size,
    disc,
    enlarge,
    finish,
    glow,
    gradient,
    mask,
    mix,
    noise,
    palette,
    pick,
    repaint,
)

# Zenith, sky, light at the horizon, water, deep water, moon.
NIGHTS = [
    palette("0a1530 1d3a66 6f93b5 254a72 081226 fdf6dc"),
    palette("0d1b2a 24506b 8fb5b3 2c5f74 07141f fff3cf"),
    palette("141433 37427d 9a93bd 34427a 0b0c22 fff0d8"),
    palette("0c1a22 2a4f57 a8b79a 2f5a5e 081317 fbe9b4"),
    palette("1a1430 4d3a63 d08a6a 3d3557 0d0a1a ffdc9a"),
    palette("07121f 14304f 3f6b94 123250 050c16 f4f6ff"),
]


def moonlit_sea(rng: Rng, size: Size) -> Image.Image:
    """Hang a moon over the water, light the clouds and the waves by it, and add a dark shore."""
    width, height = enlarge(size)
    night = pick(rng, NIGHTS)
    zenith, sky, light, water, deep, moon = night
    horizon = int(height * rng.uniform(0.46, 0.66))
    picture = gradient((width, height), [water, mix(water, deep, 0.6), deep])
    picture.paste(gradient((width, horizon), [zenith, sky, sky, light]))
    picture.paste(
        gradient((width, height - horizon), [mix(light, water, 0.55), water, deep]), (0, horizon)
    )
    place = (width * rng.uniform(0.2, 0.8), horizon * rng.uniform(0.22, 0.62))
    glow(picture, place, height * 0.75, mix(light, moon, 0.3), 0.75)
    picture.paste(
        gradient((width, height - horizon), [mix(light, water, 0.6), water, deep]), (0, horizon)
    )
    _clouds(picture, rng, horizon, place, night)
    picture = repaint(picture, rng, 13, (40, 7), lambda p: rng.normal(0, 0.12, len(p)), 5)
    far = mix(night[2], night[3], 0.7)
    ImageDraw.Draw(picture).line((0, horizon, width, horizon), fill=far, width=8)
    _glitter(picture, rng, horizon, place[0], night)
    radius = min(width, height) * rng.uniform(0.03, 0.06)
    glow(picture, place, radius * 4, moon, 0.8)
    disc(ImageDraw.Draw(picture), place, radius, moon)
    pick(rng, (_ships, _ships, _cliff, _islands))(picture, rng, horizon, place[0], night)
    return finish(picture, rng, weave=0.035, grain=0.02, relief=0.5)


def _clouds(
    picture: Image.Image, rng: Rng, horizon: int, place: tuple[float, float], night: list[Colour]
) -> None:
    """Drift long clouds across, silver where the moon is near."""
    small = (picture.width // 4, horizon // 4)
    stretched = noise(rng, (small[0], small[1] * 3), rng.uniform(4, 8), octaves=5)
    cloud = np.clip((stretched[::3][: small[1]] - rng.uniform(0.4, 0.55)) * 4, 0, 1)
    y, x = np.mgrid[: small[1], : small[0]]
    near = np.exp(-np.hypot(x * 4 - place[0], y * 4 - place[1]) / (0.3 * picture.width))
    area = (picture.width, horizon)
    picture.paste(mix(night[0], night[1], 0.5), (0, 0), mask(cloud * 0.75, area))
    picture.paste(
        mix(night[2], night[5], 0.6), (0, 0), mask(cloud * (1.15 - cloud) * 3 * near, area)
    )


def _glitter(picture: Image.Image, rng: Rng, horizon: int, x: float, night: list[Colour]) -> None:
    """Strew the path of the moon with dashes, wider and rarer towards the viewer."""
    draw = ImageDraw.Draw(picture)
    depth = rng.uniform(0, 1, 900) ** 1.4
    spread = picture.width * (0.02 + 0.16 * depth)
    middle = x + rng.normal(0, 1, 900) * spread
    level = horizon + 4 + depth * (picture.height - horizon)
    length = picture.width * (0.006 + 0.04 * depth) * rng.uniform(0.4, 1.5, 900)
    bright = np.exp(-0.5 * ((middle - x) / (spread + 1)) ** 2) * rng.uniform(0.3, 1, 900)
    for at, y, half, far, shine in zip(middle, level, length, depth, bright, strict=True):
        colour = mix(mix(night[3], night[2], 0.5), night[5], float(shine))
        draw.line((at - half, y, at + half, y), fill=colour, width=2 + int(4 * far))


def _ships(picture: Image.Image, rng: Rng, horizon: int, x: float, night: list[Colour]) -> None:
    """Sailing ships against the light."""
    draw = ImageDraw.Draw(picture)
    dark = mix(night[0], (0, 0, 0), 0.45)
    for k in range(int(rng.integers(1, 4))):
        reach = picture.height * rng.uniform(0.2, 0.36) / (1 + 1.2 * k)
        base = horizon + reach * rng.uniform(0.2, 0.45)
        at = min(max(x + picture.width * rng.uniform(-0.4, 0.4), reach), picture.width - reach)
        draw.polygon(
            [
                (at - reach * 0.55, base - reach * 0.12),
                (at + reach * 0.62, base - reach * 0.15),
                (at + reach * 0.42, base),
                (at - reach * 0.42, base),
            ],
            fill=dark,
        )
        for mast, tall in ((-0.25, 0.8), (0.05, 1.0), (0.32, 0.72)):
            foot = at + mast * reach
            draw.line((foot, base, foot, base - tall * reach), fill=dark, width=4)
            for low, high in ((0.2, 0.5), (0.53, 0.75), (0.78, 0.95)):
                half = reach * 0.16 * (1.25 - low)
                draw.polygon(
                    [
                        (foot - half, base - low * tall * reach),
                        (foot + half, base - low * tall * reach),
                        (foot + half * 0.75, base - high * tall * reach),
                        (foot - half * 0.75, base - high * tall * reach),
                    ],
                    fill=mix(dark, night[1], 0.4),
                )


def _cliff(picture: Image.Image, rng: Rng, horizon: int, x: float, night: list[Colour]) -> None:
    """A headland on the side away from the moon, with a lit lighthouse."""
    width, height = picture.size
    left = x > width / 2
    along = np.linspace(0, 1, 200)
    ridge = noise(rng, (200, 2), 7, octaves=5)[0]
    top = (
        horizon
        - height * (0.3 * (1 - along) ** 1.2 * (0.6 + 0.6 * ridge))
        + along**3 * height * 0.05
    )
    reach = width * rng.uniform(0.35, 0.55)
    xs = along * reach if left else width - along * reach
    dark = mix(night[0], (0, 0, 0), 0.5)
    draw = ImageDraw.Draw(picture)
    edge = 0 if left else width
    shore = [*np.stack([xs, top], 1).ravel().tolist(), edge, horizon + height * 0.07]
    draw.polygon([edge, horizon, *shore], fill=dark)
    foot, base = float(xs[70]), float(top[70]) + 6
    tall = height * 0.12
    draw.polygon(
        [
            (foot - tall * 0.12, base),
            (foot + tall * 0.12, base),
            (foot + tall * 0.08, base - tall),
            (foot - tall * 0.08, base - tall),
        ],
        fill=mix(dark, night[2], 0.25),
    )
    glow(picture, (foot, base - tall), tall * 1.3, (255, 196, 96), 0.9)
    disc(draw, (foot, base - tall), tall * 0.09, (255, 240, 190))


def _islands(picture: Image.Image, rng: Rng, horizon: int, x: float, night: list[Colour]) -> None:
    """Far islands in haze, dark rocks in front."""
    width, height = picture.size
    for far, level in ((0.55, horizon), (0.2, horizon + 6), (0.0, height * 1.01)):
        ridge = np.clip(noise(rng, (160, 2), 5, octaves=5)[0] - rng.uniform(0.35, 0.5), 0, 1)
        top = level - ridge * height * (0.2 if far else 0.28)
        colour = mix(mix(night[0], (0, 0, 0), 0.4), night[1], far)
        line = np.stack([np.linspace(0, width, 160), top], 1).ravel().tolist()
        ImageDraw.Draw(picture).polygon([0, level + 2, *line, width, level + 2], fill=colour)
