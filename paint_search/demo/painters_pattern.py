"""Two invented painters of order: a hard-edge painter and a maker of ornament.

Each function takes a generator and a (width, height) in pixels and returns an RGB picture of
that size. None of them reads anything else.
"""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageChops, ImageDraw

from paint_search.demo.brushes import (
    Colour,
    Points,
    Rng,
    Size,
    circle,
    disc,
    enlarge,
    finish,
    mask,
    mix,
    noise,
    palette,
    pick,
    ribbon,
    shuffled,
    varied,
)

# Ground first.
FLATS = [
    palette("f1ead9 e4472b 1d3f8f f3b61f 15161a"),
    palette("f4efe4 0f7c6c f0642d f6c544 20232c"),
    palette("ece4d2 d63a4a 1b6fae f7d046 12263a"),
    palette("f5f0e6 3b2e83 ef5a3c 7fc4c1 1a1a1f"),
]
# Ground, leaf, petal, heart, outline.
GLAZES = [
    palette("f2e6cc 1f7f86 b8432f e3a53a 1c2b52"),
    palette("193a5e e9dcbd 2d9a94 d4603c f4ead2"),
    palette("7a1f2b e8c98f 2f6f6a e39a3b f7ead0"),
    palette("e9d9b6 2b5d3f c25a2b 7a2a4c 3a1d17"),
    palette("0f5a5c f0dfb4 d1783a 8a2335 fbf3dd"),
]


def hard_edge(rng: Rng, size: Size) -> Image.Image:
    """Set flat shapes edge to edge: quarter discs, targets, crossing bars or chevrons."""
    ground, *flats = varied(rng, pick(rng, FLATS), 7)
    picture = Image.new("RGB", enlarge(size), ground)
    pick(rng, (_quarters, _targets, _overlaps, _chevrons))(picture, rng, [ground, *flats])
    return finish(picture, rng, weave=0.012, grain=0.012)


def _quarters(picture: Image.Image, rng: Rng, flats: list[Colour]) -> None:
    """A grid of tiles, each with a quarter disc, a half disc, a ring or nothing."""
    cell = max(picture.size) / int(rng.integers(4, 8))
    for row in range(int(picture.height / cell) + 1):
        for column in range(int(picture.width / cell) + 1):
            x, y = column * cell, row * cell
            back, front, inner = shuffled(rng, flats)[:3]
            side, end = pick(rng, (0.0, 0.5, 1.0)), pick(rng, (0, 1))
            tile = Image.new("RGB", (int(cell) + 1, int(cell) + 1), back)
            pen = ImageDraw.Draw(tile)
            for part, colour in ((1.0, front), (0.55, inner)):
                radius = cell * part * (0.5 if side == 0.5 else 1)
                disc(pen, (cell * side, cell * end), radius, colour)
            picture.paste(tile, (int(x), int(y)))


def _targets(picture: Image.Image, rng: Rng, flats: list[Colour]) -> None:
    """Rings around two centres, one in each part of a canvas cut in two."""
    width, height = picture.size
    cut = int(width * rng.uniform(0.3, 0.7))
    step = max(picture.size) * rng.uniform(0.07, 0.12)
    for left, right in ((0, cut), (cut, width)):
        part = Image.new("RGB", (right - left, height), flats[0])
        draw = ImageDraw.Draw(part)
        cx, cy = pick(rng, (0, part.width)), height * rng.uniform(0.2, 0.8)
        colours = shuffled(rng, flats)
        for k in range(int(rng.integers(5, 10)), 0, -1):
            disc(draw, (cx, cy), k * step, colours[k % len(colours)])
        picture.paste(part, (left, 0))


def _overlaps(picture: Image.Image, rng: Rng, flats: list[Colour]) -> None:
    """Large discs and bars whose crossings darken as glass does."""
    width, height = picture.size
    *colours, black = flats[1:]
    colours = shuffled(rng, colours)
    places = shuffled(rng, [(x, y) for x in (0.2, 0.5, 0.8) for y in (0.25, 0.5, 0.75)])
    for k, place in enumerate(places[: int(rng.integers(4, 8))]):
        layer = Image.new("RGB", picture.size, (255, 255, 255))
        draw = ImageDraw.Draw(layer)
        x, y = (place + rng.normal(0, 0.05, 2)) * picture.size
        reach = min(picture.size) * rng.uniform(0.16, 0.42)
        if k % 3 == 2:
            half = reach * 0.28
            upright = rng.random() < 0.5
            bar = (x - half, 0, x + half, height) if upright else (0, y - half, width, y + half)
            draw.rectangle(bar, fill=black)
        else:
            disc(draw, (x, y), reach, colours[k % len(colours)])
        picture.paste(ImageChops.multiply(picture, layer))


def _chevrons(picture: Image.Image, rng: Rng, flats: list[Colour]) -> None:
    """Nested angles that march across the canvas or down it."""
    turned = rng.random() < 0.5
    sheet = picture.transpose(Image.Transpose.TRANSPOSE) if turned else picture
    draw = ImageDraw.Draw(sheet)
    width, height = sheet.size
    band = max(sheet.size) * rng.uniform(0.06, 0.14)
    peak, slope = height * rng.uniform(0.3, 0.7), rng.uniform(0.4, 1.0)
    colours = shuffled(rng, flats)
    for k in range(int((width + 2 * slope * height) / band) + 1):
        x = k * band - slope * height
        draw.polygon(
            [
                x,
                0,
                x + slope * peak,
                peak,
                x + slope * (2 * peak - height),
                height,
                2 * width,
                height,
                2 * width,
                0,
            ],
            fill=colours[k % len(colours)],
        )
    if turned:
        picture.paste(sheet.transpose(Image.Transpose.TRANSPOSE))


def ornament(rng: Rng, size: Size) -> Image.Image:
    """Repeat two rosettes by turns, straight or half-dropped, over vines and inside a border."""
    glazes = list(varied(rng, pick(rng, GLAZES), 7))
    width, height = enlarge(size)
    band = int(min(width, height) * rng.uniform(0.06, 0.1))
    across = int(rng.integers(3, 7))
    side = (width - 2 * band) / across
    down = int(height / side) + 2
    drop = pick(rng, (0.0, 0.5))
    picture = Image.new("RGB", (width, height), glazes[0])
    draw = ImageDraw.Draw(picture)
    first_row = height / 2 - side * (down // 2 + 0.5)
    _vines(draw, glazes, [band + side * k for k in range(across + 1)], (first_row, side, height))
    flowers = [_rosette(rng, side, glazes, int(pick(rng, (6, 8, 8, 10, 12)))) for _ in range(2)]
    for column in range(-1, across + 1):
        for row in range(-1, down + 1):
            middle = np.array(
                [band + (column + 0.5) * side, first_row + (row + 0.5 + (column % 2) * drop) * side]
            )
            for outline, colour in flowers[(row + column) % 2]:
                draw.polygon((outline + middle).ravel().tolist(), fill=colour)
            bud = middle + side * (np.array([-0.125, 0.5]) if drop else np.array([0.5, 0.5]))
            for part, glaze in ((1.0, 4), (0.8, 2), (0.45, 3)):
                disc(draw, bud, side * part * (0.1 if drop else 0.16), glazes[glaze])
    _border(picture, rng, glazes, band)
    wear = mask(noise(rng, (width // 4, height // 4), 8) * 0.24, picture.size)
    picture.paste(mix(glazes[0], (90, 70, 50), 0.5), (0, 0), wear)
    return finish(picture, rng, weave=0.03, grain=0.02, relief=0.3)


def _vines(
    draw: ImageDraw.ImageDraw,
    glazes: list[Colour],
    columns: list[float],
    rows: tuple[float, float, int],
) -> None:
    """Wind a vine with leaves down every column; rows: where they start, their step, the end."""
    start, side, height = rows
    y = np.linspace(-side, height + side, 40 * int(height / side + 2))
    for k, x in enumerate(columns):
        sway = (-1) ** k * 0.12 * side * np.sin(2 * np.pi * (y - start) / side)
        for width, glaze in ((0.07, 4), (0.04, 1)):
            ribbon(draw, np.stack([x + sway, y], 1), width * side, glazes[glaze])


def _rosette(rng: Rng, side: float, glazes: list[Colour], fold: int) -> list[tuple[Points, Colour]]:
    """Return the outlines (n, 2), around the origin, and colours of one flower, in order."""
    ground, *leaves, outline = glazes
    leaf, petal, heart = shuffled(rng, leaves)
    drawn: list[tuple[Points, Colour]] = []
    layers = (
        (rng.uniform(0.42, 0.48), leaf, 0.0),
        (rng.uniform(0.3, 0.37), petal, 0.5),
        (rng.uniform(0.16, 0.22), heart, 0.0),
    )
    for length, colour, shift in layers:
        plump = rng.uniform(0.7, 1.1) * np.pi / fold
        for k in range(fold):
            turn = 2 * np.pi * (k + shift) / fold
            drawn += [
                (_petal(side * length, turn, plump), outline),
                (_petal(side * length * 0.86, turn, plump * 0.86), colour),
            ]
    for part, colour in ((0.1, outline), (0.075, ground), (0.04, petal)):
        drawn.append((circle((0, 0), (side * part, side * part), 24), colour))
    return drawn


def _petal(length: float, turn: float, plump: float) -> Points:
    """Return the outline (32, 2) of a pointed petal that grows from the origin."""
    along = np.linspace(0, 1, 16)
    half = plump * length * 0.62 * np.sin(np.pi * along**1.3) * (1 - along**4)
    edge = np.stack(
        [np.concatenate([along, along[::-1]]) * length, np.concatenate([half, -half[::-1]])], 1
    )
    c, s = np.cos(turn), np.sin(turn)
    outline: Points = edge @ np.array([[c, s], [-s, c]])
    return outline


def _border(picture: Image.Image, rng: Rng, glazes: list[Colour], band: int) -> None:
    """Frame the field with a band of beads."""
    ground, leaf, petal, heart, outline = glazes
    draw = ImageDraw.Draw(picture)
    width, height = picture.size
    for part, colour in ((1.0, outline), (0.94, ground), (0.86, outline), (0.8, petal)):
        draw.rectangle((0, 0, width - 1, height - 1), outline=colour, width=int(band * part))
    beads = shuffled(rng, [leaf, heart, ground])
    half = band * 0.4
    for k, x in enumerate(np.linspace(half, width - half, round(width / band)).tolist()):
        for y in (half, height - half):
            _bead(draw, (x, y), band, [outline, beads[k % 2], beads[2]])
    for k, y in enumerate(np.linspace(half, height - half, round(height / band)).tolist()[1:-1]):
        for x in (half, width - half):
            _bead(draw, (x, y), band, [outline, beads[(k + 1) % 2], beads[2]])


def _bead(
    draw: ImageDraw.ImageDraw, at: tuple[float, float], band: int, colours: list[Colour]
) -> None:
    for part, colour in zip((0.33, 0.27, 0.11), colours, strict=True):
        disc(draw, at, band * part, colour)
