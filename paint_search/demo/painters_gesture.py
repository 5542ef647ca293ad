"""Three invented painters of gesture: a dripper, an ink calligrapher, a colour-field painter.

Each function takes a generator and a (width, height) in pixels and returns an RGB picture of
that size. None of them reads anything else.
"""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from paint_search.demo.brushes import (
    SCALE,
    Colour,
    Points,
    Rng,
    Size,
    circle,
    curve,
    disc,
    enlarge,
    finish,
    gradient,
    mask,
    mix,
    noise,
    normals,
    palette,
    pick,
    ribbon,
    shuffled,
    varied,
)

# Ground first, then the enamels poured on it.
ENAMELS = [
    palette("d9c7a3 16130f f4efe2 b8372b 2f5d73 d9a02b"),
    palette("c9b795 1a1714 efe9da 3f6f5e c8742c 7a1f24"),
    palette("b9b3a6 101014 f7f4ea 274b8f e0b12f c44a36"),
    palette("e3d6ba 2a1d16 fbf6e9 8b3a5a 3d7c82 e08a35"),
    palette("2b2622 e8dcc2 0f0d0c b8372b d9a02b 5c7f86"),
]
PAPERS = palette("f3eee2 efe9da f6f3ea ece6d8")
SOOT: Colour = (22, 20, 22)
SEAL: Colour = (178, 44, 34)
# Ground, then the bands that may float on it.
FIELDS = [
    palette("7c1d1a c8402b e58a3a 4a0f17 f0b54c"),
    palette("8f2f4a d9617a f2a65e 521635 f6cf9a"),
    palette("a63b1e e8702e f7b733 6d1f1b fbe0a0"),
    palette("5a1a3a b5305c ee6f57 2f0f2a f5a36c"),
    palette("1d2547 4564a8 c9553b 0e1229 9fb2d6"),
    palette("3b4526 8f9a45 dfc46a 1f2a1a e9dcae"),
]


def drip(rng: Rng, size: Size) -> Image.Image:
    """Pour skeins of enamel from above, one colour over the other, and let them spatter."""
    ground, *enamels = pick(rng, ENAMELS)
    width, height = enlarge(size)
    picture = gradient(
        (width, height),
        [mix(ground, (255, 255, 255), 0.12), ground, mix(ground, (60, 40, 20), 0.15)],
        rng.uniform(0, 180),
    )
    draw = ImageDraw.Draw(picture)
    density = width * height / 9e5 * rng.uniform(0.6, 1.3)
    for colour in [*shuffled(rng, enamels), enamels[0], *shuffled(rng, enamels[:3])]:
        weight = rng.uniform(0.5, 1.8) * (1.5 if colour == enamels[0] else 1.0)
        for _ in range(int(density * rng.integers(4, 8))):
            _skein(draw, rng, (width, height), colour, weight * rng.uniform(3, 9))
        _spatter(draw, rng, (width, height), colour, int(density * rng.integers(60, 220)))
    return finish(picture, rng, weave=0.05, relief=1.0)


def _skein(draw: ImageDraw.ImageDraw, rng: Rng, size: Size, colour: Colour, weight: float) -> None:
    """Draw one long thrown line; where the hand is slow the line is thick."""
    count = int(rng.integers(5, 11))
    knots = rng.uniform(-0.15, 1.15, (count, 2)) * size
    path = curve(knots, 26 * count)
    path += np.cumsum(rng.normal(0, 1.2, path.shape), axis=0)
    speed = np.linalg.norm(np.gradient(path, axis=0), axis=1)
    widths = np.clip(weight * np.median(speed) / (speed + 3), 2, 3.2 * weight)
    for start in range(0, len(path) - 3, 5):
        piece = slice(start, start + 7)
        ribbon(draw, path[piece], widths[piece], colour)
        disc(
            draw,
            path[start],
            widths[start] * (0.7 if widths[start] > 2 * weight else 0.5),
            colour,
        )


def _spatter(draw: ImageDraw.ImageDraw, rng: Rng, size: Size, colour: Colour, count: int) -> None:
    """Throw drops in a few clouds."""
    hearts = rng.uniform(0, 1, (4, 2)) * size
    drops = hearts[rng.integers(4, size=count)] + rng.normal(0, 0.16 * max(size), (count, 2))
    for (x, y), radius in zip(drops.tolist(), rng.lognormal(0.9, 0.6, count).tolist(), strict=True):
        disc(draw, (x, y), min(radius, 14), colour)


def ink(rng: Rng, size: Size) -> Image.Image:
    """Brush a ring, a sign, bamboo or mountains in black ink on paper, and set a small seal."""
    width, height = enlarge(size)
    paper = pick(rng, PAPERS)
    picture = Image.new("RGB", (width, height), paper)
    fibres = mask(noise(rng, (width // 4, height // 4), 24) * 0.16, picture.size)
    picture.paste((150, 138, 118), (0, 0), fibres)
    pick(rng, (_ring, _sign, _sign, _bamboo, _mountains, _reeds))(picture, rng)
    side = 0.055 * min(width, height)
    x, y = width * pick(rng, (0.1, 0.86)), height * rng.uniform(0.8, 0.88)
    draw = ImageDraw.Draw(picture)
    draw.rounded_rectangle((x, y, x + side, y + side * 1.15), side * 0.15, fill=SEAL)
    for k in (0.3, 0.55, 0.8):
        draw.line(
            (x + side * 0.2, y + side * k, x + side * rng.uniform(0.5, 0.85), y + side * k),
            fill=paper,
            width=3,
        )
    draw.line((x + side * 0.5, y + side * 0.2, x + side * 0.5, y + side), fill=paper, width=3)
    return finish(picture, rng, weave=0.0, grain=0.015)


def _stroke(
    picture: Image.Image, rng: Rng, path: Points, weight: float, dry: float, taper: float = 0.3
) -> None:
    """Drag a brush of many hairs along the path (n, 2); they run out of ink towards its end.

    `taper` is the part of the pressure that comes and goes: 1 ends in points.
    """
    draw = ImageDraw.Draw(picture)
    along = np.linspace(0, 1, len(path))
    pressure = weight * (1 - taper * (1 - np.sin(np.pi * (0.06 + 0.9 * along)) ** 0.8))
    hairs = max(7, int(weight / 2.6))
    across = np.linspace(-1, 1, hairs)
    ink_left = rng.uniform(0.15, 1.1, hairs) + 0.35 * (1 - across**2)
    patches = noise(rng, (len(path), hairs), 14, octaves=3)
    side = normals(path)
    for k in rng.permutation(hairs):
        line = path + side * (across[k] / 2 * pressure + rng.normal(0, 0.8))[:, None]
        wet = ink_left[k] + 0.7 * patches[k] > dry * (0.2 + 1.1 * along**1.3)
        # The outer hairs touch the paper later and leave it sooner: a round brush.
        ends = (1 - np.sqrt(1 - 0.98 * across[k] ** 2)) * 0.45 * weight + abs(rng.normal(0, 3))
        travelled = np.linalg.norm(np.diff(path, axis=0, prepend=path[:1]), axis=1).cumsum()
        wet &= (travelled >= ends) & (travelled <= travelled[-1] - ends)
        shade = mix(SOOT, (66, 62, 62), float(rng.uniform(0, 1) ** 2))
        for run in np.split(np.arange(len(path)), np.flatnonzero(np.diff(wet)) + 1):
            if wet[run[0]] and len(run) > 1:
                draw.line(line[run].ravel().tolist(), fill=shade, width=4)


def _ring(picture: Image.Image, rng: Rng) -> None:
    """One breath, one circle."""
    width, height = picture.size
    radius = min(width, height) * rng.uniform(0.27, 0.36)
    path = circle(
        (width * rng.uniform(0.45, 0.55), height * rng.uniform(0.42, 0.5)),
        (radius, radius * rng.uniform(0.92, 1.05)),
        200,
        rng.uniform(0, 360),
        rng.uniform(310, 350),
    )
    _stroke(picture, rng, path, radius * rng.uniform(0.25, 0.5), rng.uniform(0.8, 1.4))


def _sign(picture: Image.Image, rng: Rng) -> None:
    """A sign of no alphabet: level strokes, an upright, two sweeps and a dot, some left out."""
    width, height = picture.size
    reach = min(width, height) * rng.uniform(0.36, 0.46)
    middle = np.array([width * rng.uniform(0.46, 0.54), height * rng.uniform(0.42, 0.5)])
    strokes = [
        [(-0.85, -0.5), (0.0, -0.62), (0.8, -0.7)],
        [(-0.6, 0.05), (0.0, -0.02), (0.62, -0.08)],
        [(0.0, -1.0), (0.06, 0.0), (-0.02, 1.0), (-0.28, 0.84)],
        [(0.0, -0.4), (-0.3, 0.3), (-0.95, 0.85)],
        [(0.05, -0.2), (0.4, 0.45), (1.05, 0.8)],
        [(-0.7, 0.75), (0.0, 0.68), (0.75, 0.7)],
        [(0.5, -1.05), (0.72, -0.9)],
    ]
    weight = reach * rng.uniform(0.18, 0.3)
    for stroke in shuffled(rng, strokes)[: int(rng.integers(4, 7))]:
        knots = np.array(stroke) * rng.uniform(0.8, 1.1) + rng.normal(0, 0.09, (len(stroke), 2))
        path = curve(middle + knots * reach, 90)
        _stroke(picture, rng, path, weight * rng.uniform(0.7, 1.2), rng.uniform(0.5, 1.2), 0.5)
    splash = middle + rng.normal(0, 0.7, (14, 2)) * reach
    for (x, y), radius in zip(splash.tolist(), rng.lognormal(1.0, 0.7, 14).tolist(), strict=True):
        disc(ImageDraw.Draw(picture), (x, y), radius, SOOT)


def _bamboo(picture: Image.Image, rng: Rng) -> None:
    """Jointed canes and pointed leaves in sprays."""
    width, height = picture.size
    reach = min(width, height)
    canes = int(rng.integers(2, 4))
    for x in (np.arange(canes) + rng.uniform(0.25, 0.75, canes)) / canes * width:
        lean, weight = rng.normal(0, 0.06) * width, reach * rng.uniform(0.025, 0.06)
        joints = np.linspace(1.05, -0.05, int(rng.integers(5, 8)))
        for low, high in zip(joints, joints[1:] + 0.012, strict=False):
            cane = curve([(x + lean * low, height * low), (x + lean * high, height * high)], 40)
            _stroke(picture, rng, cane, weight, rng.uniform(0.7, 1.3), 0.12)
        for joint in joints[2:-1]:
            root, way = np.array([x + lean * joint, height * joint]), pick(rng, (-1, 1))
            for _ in range(int(rng.integers(1, 4))):
                tip = root + rng.uniform((0.08, -0.02), (0.3, 0.16)) * reach * (way, 1)
                blade = curve([root, (root + tip) / 2 - (0, reach * 0.02), tip], 40)
                _stroke(picture, rng, blade, reach * rng.uniform(0.035, 0.05), 0.4, 1.0)


def _reeds(picture: Image.Image, rng: Rng) -> None:
    """Reeds bent by one wind, a pale moon, and birds far off."""
    width, height = picture.size
    draw = ImageDraw.Draw(picture)
    moon = np.array([width * rng.uniform(0.25, 0.75), height * rng.uniform(0.22, 0.4)])
    disc(draw, moon, min(width, height) * rng.uniform(0.1, 0.17), (208, 202, 192))
    wind = pick(rng, (-1, 1)) * rng.uniform(0.1, 0.35)
    for x in rng.uniform(0.05, 0.95, int(rng.integers(9, 22))) * width:
        tall = height * rng.uniform(0.25, 0.8)
        bend = wind * tall * rng.uniform(0.5, 1.2)
        reed = curve(
            [(x, height * 1.03), (x + bend * 0.3, height - tall * 0.6), (x + bend, height - tall)],
            70,
        )
        _stroke(picture, rng, reed, height * rng.uniform(0.012, 0.025), 0.6, 0.9)
    for x, y in moon + rng.normal(0, 0.12, (5, 2)) * width:
        wing = width * rng.uniform(0.012, 0.022)
        for way in (-1, 1):
            path = curve([(x, y), (x + way * wing, y - wing * 0.7), (x + way * 2 * wing, y)], 16)
            ribbon(draw, path, np.linspace(7, 1, 16), SOOT)


def _mountains(picture: Image.Image, rng: Rng) -> None:
    """Ridges in washes that darken as they come near, and a pale disc above."""
    width, height = picture.size
    draw = ImageDraw.Draw(picture)
    sun = (width * rng.uniform(0.2, 0.8), height * 0.2)
    disc(draw, sun, min(width, height) * 0.07, (205, 199, 188))
    for depth in np.linspace(0.2, 1, int(rng.integers(3, 6))):
        ridge = noise(rng, (width, 2), 4, octaves=6)[0]
        top = height * (0.15 + 0.6 * depth) - ridge * height * rng.uniform(0.15, 0.35)
        below = np.arange(height)[:, None] - top[None, :]
        wash = np.where(below > 0, np.exp(-np.maximum(below, 0) / (0.16 * height)), 0) * depth
        picture.paste(SOOT, (0, 0), mask(wash * 0.95, picture.size))


def colour_field(rng: Rng, size: Size) -> Image.Image:
    """Float two to four soft-edged bands of colour on a ground, and let them breathe."""
    ground, *bands = pick(rng, FIELDS)
    width, height = enlarge(size)
    picture = gradient((width, height), [mix(ground, (0, 0, 0), 0.15), ground], rng.uniform(0, 180))
    chosen = shuffled(rng, bands)[: int(rng.integers(2, 5))]
    shares = rng.dirichlet(np.full(len(chosen), 4.0)) * (0.9 - 0.02 * len(chosen))
    top = 0.06
    margin = rng.uniform(0.06, 0.12)
    for share, colour in zip(shares, chosen, strict=True):
        box = (margin * width, top * height, (1 - margin) * width, (top + share) * height)
        _float_band(picture, rng, box, next(varied(rng, colour, 10)))
        top += share + 0.02
    return finish(picture, rng, weave=0.035, grain=0.03)


def _float_band(
    picture: Image.Image, rng: Rng, box: tuple[float, float, float, float], colour: Colour
) -> None:
    """Brush one band on: thin at its rim, uneven within."""
    small = (picture.width // 4, picture.height // 4)
    cover = Image.new("L", small)
    ImageDraw.Draw(cover).rectangle([edge / 4 for edge in box], fill=255)
    soft = np.asarray(cover.filter(ImageFilter.GaussianBlur(3.5 * SCALE)), dtype=np.float32) / 255
    cloud = noise(rng, small, 5, octaves=5)
    body = np.clip((soft - 0.25 - 0.3 * (1 - cloud)) * 2.4, 0, 1) * (0.72 + 0.28 * cloud)
    picture.paste(colour, (0, 0), mask(body, picture.size))
    bloom = np.clip(cloud - 0.55, 0, 1) * body * 0.8
    picture.paste(mix(colour, (255, 244, 220), 0.35), (0, 0), mask(bloom, picture.size))
