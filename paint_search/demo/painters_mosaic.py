"""An invented mosaicist: gold or deep blue grounds, stones laid in rings around the subject.

The painter takes a generator and a (width, height) in pixels and returns an RGB picture of that
size. It reads nothing else.
"""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from paint_search.demo.brushes import (
    SCALE,
    Colour,
    Points,
    Rng,
    Size,
    curve,
    disc,
    enlarge,
    finish,
    mix,
    palette,
    pick,
    ribbon,
    sample,
    shifted,
    varied,
)

# Ground, shade of the ground, body, wing, light.
STONES = [
    palette("d8a83a b57f22 1f5f78 8f2c2a f6e7b8"),
    palette("e2b94f c08f2c 235a3f b8472f fff1cf"),
    palette("2a6f87 1d4f6b e3b23c c2512f f5ead0"),
    palette("1f4f5e 163c4b e7bf55 7fb3a0 fbf0d6"),
    palette("cfa24a a8782b 4b2f5f 2c7a78 f7ebc9"),
]
GROUT: Colour = (46, 40, 36)


def mosaic(rng: Rng, size: Size) -> Image.Image:
    """Lay stones in rings around one to three hearts, in the colours of a simple cartoon."""
    stones = list(varied(rng, pick(rng, STONES), 7))
    centre = (size[0] * rng.uniform(0.42, 0.58), size[1] * rng.uniform(0.42, 0.58))
    cartoon = Image.new("RGB", size, stones[0])
    pick(rng, (_sun, _fish, _bird, _tree, _vase))(cartoon, rng, centre, stones)
    inset = min(size) * 0.035
    frame = ImageDraw.Draw(cartoon)
    frame.rectangle((0, 0, size[0] - 1, size[1] - 1), outline=stones[3], width=int(2 * inset))
    frame.rectangle((0, 0, size[0] - 1, size[1] - 1), outline=stones[2], width=int(inset))
    hearts = [np.array(centre)]
    hearts += [rng.uniform(-0.2, 1.2, 2) * size for _ in range(int(rng.integers(0, 3)))]
    # The bed under the stones takes their colour, or the seams between rings would read as cracks.
    picture = Image.blend(cartoon, Image.new("RGB", size, GROUT), 0.6).resize(enlarge(size))
    draw = ImageDraw.Draw(picture)
    for corners in _rings(rng, size, hearts, step=rng.uniform(5.2, 6.6)):
        colours = varied(rng, sample(cartoon, corners.mean(axis=1)), 11)
        for stone, colour in zip((corners * SCALE).reshape(-1, 8).tolist(), colours, strict=True):
            draw.polygon(stone, fill=colour)
    return finish(picture, rng, weave=0.0, grain=0.03, relief=0.5)


def _rings(rng: Rng, size: Size, hearts: list[Points], step: float) -> list[Points]:
    """Return for each heart the corners (n, 4, 2) of its stones: those no other heart is near."""
    laid = []
    for heart in hearts:
        radii = np.arange(0.5, np.hypot(*size) * 1.3 / step) * step
        counts = np.maximum(4, np.round(2 * np.pi * radii / (step * rng.uniform(0.9, 1.15))))
        ring = np.repeat(np.arange(len(radii)), counts.astype(int))
        first = np.repeat(np.cumsum(counts) - counts, counts.astype(int))
        span = 2 * np.pi / counts[ring]
        turn = (np.arange(len(ring)) - first) * span + rng.uniform(0, 6.28, len(radii))[ring]
        spot = heart + radii[ring, None] * np.stack([np.cos(turn), np.sin(turn)], 1)
        away = np.linalg.norm(spot[:, None] - np.array(hearts)[None], axis=2)
        own = np.linalg.norm(spot - heart, axis=1) <= away.min(axis=1) + 1e-6
        seen = own & (spot > -step).all(axis=1) & (spot < np.array(size) + step).all(axis=1)
        out = radii[ring[seen], None] + step * np.array([-0.44, 0.44, 0.44, -0.44])
        arc = turn[seen, None] + span[seen, None] * np.array([-0.44, -0.44, 0.44, 0.44])
        corners = heart + np.stack([out * np.cos(arc), out * np.sin(arc)], -1)
        laid.append(corners + rng.normal(0, 0.045 * step, corners.shape))
    return laid


def _wedge(
    draw: ImageDraw.ImageDraw,
    centre: tuple[float, float],
    radius: float,
    start: float,
    sweep: float,
    fill: Colour,
) -> None:
    box = (centre[0] - radius, centre[1] - radius, centre[0] + radius, centre[1] + radius)
    draw.pieslice(box, start, start + sweep, fill=fill)


def _sun(cartoon: Image.Image, rng: Rng, centre: tuple[float, float], stones: list[Colour]) -> None:
    """A disc, its rings, and rays to the edge."""
    draw = ImageDraw.Draw(cartoon)
    rays = int(rng.integers(8, 17))
    reach = min(cartoon.size)
    for k in range(rays):
        _wedge(draw, centre, 2 * reach, 360 * k / rays, 180 / rays, stones[1])
        _wedge(draw, centre, reach * 0.46, 360 * k / rays, 110 / rays, stones[3])
    for part, colour in ((0.3, 2), (0.25, 4), (0.2, 0), (0.13, 3), (0.07, 4)):
        disc(draw, centre, reach * part, stones[colour])


def _fish(
    cartoon: Image.Image, rng: Rng, centre: tuple[float, float], stones: list[Colour]
) -> None:
    """One to three fish among waves."""
    draw = ImageDraw.Draw(cartoon)
    width, height = cartoon.size
    x = np.linspace(0, width, 60)
    for level in np.linspace(0.08, 1.0, 7):
        wave = (level + 0.02 * np.sin(x / width * 14 + level * 9)) * height
        ribbon(draw, np.stack([x, wave], 1), height * 0.05, stones[1])
    count = int(rng.integers(1, 4))
    for k in range(count):
        length = min(width * 0.27, height * 0.8 / count)
        way = pick(rng, (-1, 1))
        cx = centre[0] + (k - (count - 1) / 2) * width * 0.06 + way * length * 0.12
        cy = height * (0.5 + (k - (count - 1) / 2) * 0.3)
        tail = np.array([(-0.7, 0), (-1.3, -0.42), (-1.12, 0), (-1.3, 0.42)]) * (
            way * length,
            length,
        )
        draw.polygon(shifted(tail, cx, cy).ravel().tolist(), fill=stones[3])
        for grow, colour in ((1, 4), (0.88, 2), (0.6, 3), (0.34, 4)):
            draw.ellipse(
                (
                    cx - length * grow,
                    cy - length * 0.42 * grow,
                    cx + length * grow,
                    cy + length * 0.42 * grow,
                ),
                fill=stones[colour],
            )
        eye = (cx + way * length * 0.7, cy - length * 0.06)
        disc(draw, eye, length * 0.1, stones[4])
        disc(draw, eye, length * 0.045, GROUT)


def _bird(
    cartoon: Image.Image, rng: Rng, centre: tuple[float, float], stones: list[Colour]
) -> None:
    """A bird with a spread tail full of eyes."""
    draw = ImageDraw.Draw(cartoon)
    reach = min(cartoon.size) * rng.uniform(0.44, 0.54)
    feathers = int(rng.integers(7, 12))
    root = (centre[0], centre[1] + reach * 0.35)
    for k in range(feathers):
        turn = np.deg2rad(180 + 180 * (k + 0.5) / feathers)
        tip = (root[0] + reach * np.cos(turn), root[1] + reach * np.sin(turn))
        draw.line((*root, *tip), fill=stones[2], width=int(reach * 0.16))
        for part, colour in ((0.17, 2), (0.125, 3), (0.075, 4)):
            disc(draw, tip, reach * part, stones[colour])
    draw.ellipse(
        (
            root[0] - reach * 0.22,
            root[1] - reach * 0.45,
            root[0] + reach * 0.22,
            root[1] + reach * 0.32,
        ),
        fill=stones[3],
    )
    head = (root[0], root[1] - reach * 0.5)
    disc(draw, head, reach * 0.15, stones[3])
    disc(draw, head, reach * 0.06, stones[4])


def _tree(
    cartoon: Image.Image, rng: Rng, centre: tuple[float, float], stones: list[Colour]
) -> None:
    """A round tree in fruit on a hill, before a disc of light."""
    draw = ImageDraw.Draw(cartoon)
    width, height = cartoon.size
    reach = min(width, height)
    top = (centre[0], height * 0.4)
    disc(draw, top, reach * 0.4, stones[4])
    disc(draw, top, reach * 0.36, stones[0])
    draw.ellipse((-width * 0.3, height * 0.78, width * 1.3, height * 1.6), fill=stones[1])
    for bend in (-0.16, 0.0, 0.16):
        branch = curve(
            [
                (top[0] + bend * reach, top[1]),
                (top[0] + bend * reach * 0.3, height * 0.62),
                (top[0], height * 0.88),
            ]
        )
        ribbon(draw, branch, np.linspace(0.03, 0.08, 60) * reach, stones[3])
    leaves = int(rng.integers(7, 11))
    for ring, count in ((0.24, leaves), (0.11, 5), (0.0, 1)):
        for turn in np.linspace(0, 2 * np.pi, count, endpoint=False) + rng.uniform(0, 6):
            spot = np.array(top) + ring * reach * np.array([np.cos(turn), np.sin(turn)])
            disc(draw, spot, reach * 0.085, mix(stones[2], stones[4], 0.25))
            disc(draw, spot, reach * 0.07, stones[2])
            disc(draw, spot, reach * 0.03, stones[3])


def _vase(
    cartoon: Image.Image, rng: Rng, centre: tuple[float, float], stones: list[Colour]
) -> None:
    """A vase of flowers on long stems."""
    draw = ImageDraw.Draw(cartoon)
    width, height = cartoon.size
    reach = min(width, height)
    foot = np.array([centre[0], height * 0.88])
    flowers = int(rng.integers(4, 8))
    for turn in np.linspace(-0.6, 0.6, flowers) + rng.normal(0, 0.04, flowers):
        tip = foot - (np.sin(turn) * reach * 0.55, np.cos(turn) * height * rng.uniform(0.58, 0.7))
        stem = curve([tip, (foot + tip) / 2 + (0, -0.06 * reach), foot - (0, 0.2 * reach)])
        ribbon(draw, stem, reach * 0.026, stones[2])
        for part, colour in ((0.105, 3), (0.075, 4), (0.035, 2)):
            disc(draw, tip, reach * part, stones[colour])
    for grow, colour in ((1.0, 4), (0.84, 2)):
        half = 0.16 * reach * grow
        draw.ellipse(
            (
                foot[0] - half,
                foot[1] - 0.17 * reach - half,
                foot[0] + half,
                foot[1] - 0.13 * reach + half,
            ),
            fill=stones[colour],
        )
    band = np.array([(-0.15, -0.19), (0.15, -0.19), (0.15, -0.12), (-0.15, -0.12)]) * reach
    draw.polygon((foot + band).ravel().tolist(), fill=stones[3])
    lip = np.array([(-0.08, -0.36), (0.08, -0.36), (0.055, -0.26), (-0.055, -0.26)]) * reach
    draw.polygon((foot + lip).ravel().tolist(), fill=stones[4])
