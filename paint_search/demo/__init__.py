"""Paints a small corpus by code: ten invented painters, each with a hand of their own.

In go a folder, a number of works and a seed; out come JPEG files, one folder a painter, and a
works.csv that says what they are. It reads nothing, and depicts no real artist's work.
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from paint_search.demo import (
    painters_facets,
    painters_gesture,
    painters_landscape,
    painters_mosaic,
    painters_pattern,
    painters_sea,
    painters_still_life,
)

__all__ = ["PAINTERS", "Painter", "paint_corpus"]

COLUMNS = ("path", "artist", "title", "year", "movement", "support")
FORMATS = ((4, 3), (3, 4), (1, 1), (3, 2), (4, 5), (16, 10), (2, 3))
MOODS = (
    "quiet",
    "first",
    "late",
    "red",
    "hollow",
    "small",
    "distant",
    "broken",
    "bright",
    "slow",
    "second",
    "lost",
)


@dataclass(frozen=True)
class Painter:
    """One invented painter.

    `paint` takes a generator and a (width, height) in pixels and returns an RGB picture of that
    size; `years` are the first and last of the painter's working life; `subjects` end the titles;
    `supports` are what the painter works on.
    """

    name: str
    movement: str
    years: tuple[int, int]
    paint: Callable[[np.random.Generator, tuple[int, int]], Image.Image]
    subjects: tuple[str, ...] = ("study",)
    supports: tuple[str, ...] = ("canvas",)


PAINTERS: tuple[Painter, ...] = (
    Painter(
        "Ruben Halvorsund",
        "Nocturnism",
        (1851, 1889),
        painters_sea.moonlit_sea,
        ("harbour", "moonrise", "crossing", "tide", "headland", "watch"),
        ("canvas", "panel"),
    ),
    Painter(
        "Iola Tesserin",
        "New Mosaic",
        (1921, 1958),
        painters_mosaic.mosaic,
        ("garden", "procession", "orchard", "fountain", "feast", "saint"),
        ("panel",),
    ),
    Painter(
        "Renn Hisakawa",
        "Free Ink",
        (1948, 1987),
        painters_gesture.ink,
        ("breath", "reed", "pass", "silence", "rain", "gate"),
        ("paper",),
    ),
    Painter(
        "Celestine Dubrais",
        "Divisionism",
        (1884, 1911),
        painters_landscape.pointillist,
        ("meadow", "harvest", "riverbank", "poplars", "noon", "valley"),
        ("canvas", "panel"),
    ),
    Painter(
        "Tobin Ashvale",
        "Colour Field",
        (1949, 1972),
        painters_gesture.colour_field,
        ("ember", "threshold", "hour", "veil", "chapel", "heat"),
        ("canvas",),
    ),
    Painter(
        "Beatrix Oudemolen",
        "Tenebrism",
        (1627, 1661),
        painters_still_life.still_life,
        ("supper", "pitcher", "pantry", "grapes", "table", "larder"),
        ("panel", "canvas"),
    ),
    Painter(
        "Anneke Strandhuis",
        "Hard Edge",
        (1956, 1984),
        painters_pattern.hard_edge,
        ("interval", "signal", "corner", "axis", "module", "counterpoint"),
        ("canvas", "panel"),
    ),
    Painter(
        "Odile Brannt",
        "Facetism",
        (1908, 1926),
        painters_facets.facets,
        ("guitar", "bottle", "newspaper", "cafe", "musician", "mantelpiece"),
        ("canvas",),
    ),
    Painter(
        "Samira Ouzaal",
        "Ornamentalism",
        (1894, 1932),
        painters_pattern.ornament,
        ("carpet", "courtyard", "tilework", "lattice", "rosette", "pavilion"),
        ("paper", "panel"),
    ),
    Painter(
        "Marlo Quench",
        "Action Painting",
        (1946, 1963),
        painters_gesture.drip,
        ("weather", "thicket", "storm", "static", "tangle", "pulse"),
        ("canvas",),
    ),
)


def paint_corpus(folder: Path, works: int = 12, seed: int = 7, painters: int | None = None) -> Path:
    """Paint the corpus into a folder and return the path of its table.

    Args:
        folder: Where to paint; made if absent, files of the same names are replaced.
        works: Works a painter.
        seed: Each picture depends only on (seed, painter, number), so fewer works are the first
            of more, byte for byte on one machine with the same numpy and Pillow.
        painters: Only the first so many of `PAINTERS`; all of them by default.

    Returns:
        ``folder/works.csv``, one row a picture; `path` is relative to the folder, with slashes.

    Raises:
        OSError: The folder or a file cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    table = folder / "works.csv"
    with table.open("w", newline="", encoding="utf-8") as handle:
        rows = csv.writer(handle, lineterminator="\n")
        rows.writerow(COLUMNS)
        for number, painter in enumerate(PAINTERS[:painters]):
            (folder / painter.name).mkdir(exist_ok=True)
            titles = _titles(painter, np.random.default_rng([seed, number]))
            for work in range(works):
                rng = np.random.default_rng([seed, number, work])
                title, year = (
                    titles[work % len(titles)],
                    int(rng.integers(*painter.years, endpoint=True)),
                )
                if work >= len(titles):
                    title += f"-no-{work // len(titles) + 1}"
                path = f"{painter.name}/{title}-{year}.jpg"
                support = painter.supports[int(rng.integers(len(painter.supports)))]
                painter.paint(rng, _format(rng)).save(folder / path, quality=90)
                rows.writerow((path, painter.name, title, year, painter.movement, support))
    return table


def _titles(painter: Painter, rng: np.random.Generator) -> list[str]:
    """Return every title the painter may give, in the order they are given."""
    titles = [f"{mood}-{subject}" for mood in MOODS for subject in painter.subjects]
    return [titles[i] for i in rng.permutation(len(titles))]


def _format(rng: np.random.Generator) -> tuple[int, int]:
    """Return a (width, height) in pixels, the longer side 360 to 640."""
    across, down = FORMATS[int(rng.integers(len(FORMATS)))]
    longest = int(rng.integers(360, 641))
    scale = longest / max(across, down)
    return round(across * scale), round(down * scale)
