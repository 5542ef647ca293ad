"""An invented facetter: a table or a sitter broken into tilted, shaded planes.

The painter takes a generator and a (width, height) in pixels and returns an RGB picture of that
size. It reads nothing else.
"""

from __future__ import annotations

from operator import itemgetter

import numpy as np
from PIL import Image, ImageChops, ImageDraw

from paint_search.demo.brushes import (
    Colour,
    Points,
    Rng,
    Size,
    disc,
    enlarge,
    finish,
    gradient,
    mix,
    palette,
    pick,
    repaint,
    shifted,
    shuffled,
    varied,
)

# Ground, light plane, dark plane, wood, cool, accent.
FACETS = [
    palette("a08a66 d8c8a0 4a4438 8a5a30 6f7f86 b8542f"),
    palette("8f8a78 d2cdb8 3d4042 7a5638 5f7a8a c29a3a"),
    palette("9a7f5c e0cda6 403830 70482c 7a8a7a 8f3f35"),
    palette("7f8a8c cfd3c8 33393f 846848 4f6a86 c77f3f"),
]


def facets(rng: Rng, size: Size) -> Image.Image:
    """Break a table or a sitter into tilted, shaded planes."""
    width, height = enlarge(size)
    colours = list(varied(rng, pick(rng, FACETS), 7))
    margin = max(width, height) // 6
    motif = _ground(rng, (width + 2 * margin, height + 2 * margin), colours)
    # Brushed before it is broken, so that each plane carries its own direction of the brush.
    motif = repaint(motif, rng, 22, (44, 14), lambda p: rng.normal(0.7, 0.2, len(p)), 9)
    pick(rng, (_guitar, _guitar, _bottles, _sitter))(motif, rng, colours)
    picture = Image.new("RGB", (width, height), colours[0])
    axes = rng.uniform(0, 180) + np.array([0, 28, 62, 90, 118])
    for plane in _shatter(rng, (width, height), axes, int(rng.integers(40, 80))):
        _plane(picture, rng, plane, motif, margin, colours)
    return finish(picture, rng, weave=0.035, grain=0.025, relief=0.35)


def _ground(rng: Rng, size: Size, colours: list[Colour]) -> Image.Image:
    """Return the wall and the table-top before anything stands on it."""
    ground, light, dark, wood, _, _ = colours
    shaded = [mix(ground, dark, 0.5), ground, light, ground, mix(ground, dark, 0.6)]
    picture = gradient(size, shaded, rng.uniform(20, 160))
    reach, middle = min(size), np.array(size) / 2
    top = middle + np.array([(-0.42, 0.12), (0.4, 0.05), (0.48, 0.5), (-0.5, 0.5)]) * reach
    ImageDraw.Draw(picture).polygon(top.ravel().tolist(), fill=mix(wood, ground, 0.55))
    return picture


def _guitar(picture: Image.Image, rng: Rng, colours: list[Colour]) -> None:
    """A guitar across a newspaper, with a bottle and a fruit."""
    _, light, dark, wood, _, accent = colours
    draw, reach = ImageDraw.Draw(picture), min(picture.size)
    heart = np.array(picture.size) * rng.uniform(0.44, 0.56, 2)
    _newspaper(draw, rng, shifted(heart, 0.02 * reach, 0.12 * reach), reach, colours)
    turn = rng.uniform(-2.3, -0.8)
    along = np.array([np.cos(turn), np.sin(turn)]) * reach
    for rim, fill in ((0.012, dark), (0.0, mix(wood, accent, 0.25))):
        disc(draw, heart, reach * (0.17 + rim), fill)
        disc(draw, heart + along * 0.17, reach * (0.125 + rim), fill)
    hole, head = heart + along * 0.1, heart + along * 0.52
    disc(draw, hole, reach * 0.055, dark)
    draw.line((*hole, *head), fill=dark, width=int(reach * 0.045))
    for shift in (-9, -3, 3, 9):
        draw.line((*(heart + shift), *(head + shift)), fill=light, width=3)
    _bottle(draw, shifted(heart, reach * pick(rng, (-0.34, 0.26)), 0), reach, colours)
    disc(draw, shifted(heart, -0.22 * reach, 0.2 * reach), reach * 0.055, accent)


def _bottles(picture: Image.Image, rng: Rng, colours: list[Colour]) -> None:
    """Two or three bottles, a glass, a newspaper and fruit."""
    _, light, dark, _, cool, accent = colours
    draw, reach = ImageDraw.Draw(picture), min(picture.size)
    heart = np.array(picture.size) / 2
    _newspaper(draw, rng, shifted(heart, -0.1 * reach, 0.08 * reach), reach * 1.3, colours)
    for x in shuffled(rng, [-0.3, -0.12, 0.1, 0.24])[: int(rng.integers(2, 4))]:
        foot = shifted(heart, x * reach, rng.uniform(-0.12, 0.05) * reach)
        _bottle(draw, foot, reach * 1.2, colours)
    x, y = heart + rng.uniform(-0.2, 0.1, 2) * reach
    bowl = (x - 0.09 * reach, y - 0.02 * reach, x + 0.09 * reach, y + 0.16 * reach)
    draw.pieslice(bowl, 0, 180, fill=mix(cool, light, 0.6), outline=dark, width=5)
    draw.line((x, y + 0.16 * reach, x, y + 0.28 * reach), fill=light, width=9)
    for spot in heart + rng.uniform((-0.3, 0.14), (0.3, 0.28), (3, 2)) * reach:
        disc(draw, spot, reach * 0.05, dark)
        disc(draw, spot, reach * 0.044, accent)


def _sitter(picture: Image.Image, rng: Rng, colours: list[Colour]) -> None:
    """A head, half in shade, on dark shoulders."""
    ground, light, dark, wood, cool, accent = colours
    draw, reach = ImageDraw.Draw(picture), min(picture.size)
    heart = np.array(picture.size) * (rng.uniform(0.46, 0.54), rng.uniform(0.4, 0.46))
    body = np.array(
        [(-0.08, 0.12), (0.08, 0.12), (0.3, 0.26), (0.36, 0.7), (-0.36, 0.7), (-0.3, 0.26)]
    )
    draw.polygon((heart + body * reach).ravel().tolist(), fill=pick(rng, (dark, cool, wood)))
    collar = np.array([(-0.08, 0.13), (0.08, 0.13), (0.0, 0.3)])
    draw.polygon((heart + collar * reach).ravel().tolist(), fill=accent)
    face = [
        *shifted(heart, -0.13 * reach, -0.19 * reach),
        *shifted(heart, 0.13 * reach, 0.19 * reach),
    ]
    draw.ellipse(face, fill=mix(light, wood, 0.25), outline=dark, width=6)
    draw.pieslice(face, -90, 90, fill=mix(ground, wood, 0.6))
    draw.chord(face, 190, 350, fill=mix(dark, wood, 0.2))
    nose = heart + np.array([(0, -0.05), (0.05, 0.07), (-0.005, 0.075)]) * reach
    draw.polygon(nose.ravel().tolist(), fill=light, outline=dark, width=3)
    for side in (-0.06, 0.06):
        x, y = shifted(heart, side * reach, -0.025 * reach)
        draw.ellipse(
            (x - 0.03 * reach, y - 0.014 * reach, x + 0.03 * reach, y + 0.014 * reach),
            fill=light,
            outline=dark,
            width=5,
        )
        disc(draw, (x, y), 0.012 * reach, dark)
    x, y = shifted(heart, 0, 0.115 * reach)
    draw.ellipse((x - 0.04 * reach, y - 8, x + 0.04 * reach, y + 8), fill=accent)


def _bottle(draw: ImageDraw.ImageDraw, heart: Points, reach: float, colours: list[Colour]) -> None:
    """A bottle with a label, standing at the left of the point."""
    _, light, dark, _, cool, _ = colours
    outline = np.array(
        [
            (0, 0.25),
            (0, -0.1),
            (0.04, -0.18),
            (0.04, -0.32),
            (0.08, -0.32),
            (0.08, -0.18),
            (0.12, -0.1),
            (0.12, 0.25),
        ]
    )
    draw.polygon((heart + outline * reach).ravel().tolist(), fill=cool, outline=dark, width=6)
    label = np.array([(0.015, 0.015), (0.105, 0.12)])
    draw.rectangle((heart + label * reach).ravel().tolist(), fill=light)


def _newspaper(
    draw: ImageDraw.ImageDraw, rng: Rng, heart: Points, reach: float, colours: list[Colour]
) -> None:
    """A tilted sheet with lines of unreadable print."""
    corners = np.array([(-0.16, -0.1), (0.2, -0.16), (0.26, 0.18), (-0.1, 0.24)])
    a, b, c, d = heart + corners * reach
    draw.polygon([*a, *b, *c, *d], fill=mix(colours[1], (255, 250, 235), 0.35))
    for k in np.linspace(0.12, 0.92, 9):
        start, end = a + (d - a) * k, b + (c - b) * k
        reach_of_line = rng.uniform(0.5, 0.92)
        draw.line(
            [*(start + (end - start) * 0.08), *(start + (end - start) * reach_of_line)],
            fill=colours[2],
            width=5,
        )


def _shatter(rng: Rng, size: Size, axes: Points, count: int) -> list[Points]:
    """Cut the canvas into convex planes (k, 2), a large one each time, along one of the axes."""
    whole = np.array([(0, 0), (size[0], 0), size, (0, size[1])], dtype=np.float64)
    planes = [(_area(whole), whole)]
    while len(planes) < count:
        planes.sort(key=itemgetter(0))
        _, plane = planes.pop(int(rng.integers(max(0, len(planes) - 4), len(planes))))
        turn = np.deg2rad(pick(rng, axes.tolist()) + rng.normal(0, 5))
        through = rng.dirichlet(np.full(len(plane), 3.0)) @ plane
        planes += [(_area(part), part) for part in _cut(plane, through, turn) if len(part) > 2]
    return [plane for _, plane in shuffled(rng, planes)]


def _area(plane: Points) -> float:
    """Return the area of a polygon by the shoelace formula."""
    x, y = plane.T
    return float(abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1))) / 2)


def _cut(plane: Points, through: Points, turn: float) -> tuple[Points, Points]:
    """Return the two parts of a convex polygon on either side of a line."""
    side = (plane - through) @ np.array([-np.sin(turn), np.cos(turn)])
    parts: tuple[list[Points], list[Points]] = ([], [])
    for here, there, a, b in zip(
        plane, np.roll(plane, -1, 0), side, np.roll(side, -1), strict=True
    ):
        parts[int(a > 0)].append(here)
        if (a > 0) != (b > 0):
            crossing = here + (there - here) * a / (a - b)
            parts[0].append(crossing)
            parts[1].append(crossing)
    return np.array(parts[0]), np.array(parts[1])


def _plane(
    picture: Image.Image,
    rng: Rng,
    plane: Points,
    motif: Image.Image,
    margin: int,
    colours: list[Colour],
) -> None:
    """Paste one plane: the scene seen shifted and turned, shaded from one edge to the other."""
    low = np.floor(plane.min(axis=0)).astype(int)
    width, height = (int(v) + 2 for v in np.ceil(plane.max(axis=0)).astype(int) - low)
    turn, zoom = rng.normal(0, 0.22), rng.uniform(0.75, 1.1)
    a, b = zoom * np.cos(turn), zoom * np.sin(turn)
    shift = low + margin + rng.normal(0, 0.22 * margin, 2)
    seen = motif.transform(
        (width, height),
        Image.Transform.AFFINE,
        (a, -b, shift[0], b, a, shift[1]),
        Image.Resampling.NEAREST,
    )
    tint = Image.new("RGB", seen.size, pick(rng, colours[:5]))
    seen = Image.blend(seen, tint, rng.uniform(0.0, 0.35))
    bright, dim = int(rng.uniform(150, 225)), int(rng.uniform(35, 105))
    shade = gradient(seen.size, [(bright,) * 3, (dim,) * 3], rng.uniform(0, 360))
    stencil = Image.new("L", seen.size)
    ImageDraw.Draw(stencil).polygon((plane - low).ravel().tolist(), fill=255)
    picture.paste(ImageChops.overlay(seen, shade), (int(low[0]), int(low[1])), stencil)
    ends = np.vstack([plane, plane[:1]])[: int(rng.integers(2, len(plane) + 2))]
    line = mix(colours[2], (0, 0, 0), 0.3)
    ImageDraw.Draw(picture).line(ends.ravel().tolist(), fill=line, width=4)
