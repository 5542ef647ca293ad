"""Small pictures by many artists, enough to hold some artists out: what compression is tried on."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from images import picture
from numpy.typing import NDArray
from PIL import Image

from paint_search import Index
from paint_search.compress import choose_hold_out, make_compressor

ARTISTS, EACH = 40, 4
Values = list[str | int | float | None]
EVIL = "</i><script>window.broken = 1</script> $name"


@dataclass(frozen=True)
class Held:
    """What the index holds, read without the command."""

    vectors: NDArray[np.float32]
    mask: NDArray[np.bool_]
    artists: Values
    movements: Values
    titles: Values

    def of(self, values: Values) -> list[str]:
        """Those of the works held out."""
        return [str(values[row]) for row in np.flatnonzero(self.mask)]

    def codes(self, dims: int) -> tuple[NDArray[np.float32], NDArray[np.float16]]:
        """Full and compressed vectors of the works held out."""
        compressor = make_compressor("pca", dims, seed=0).fit(self.vectors[~self.mask])
        full = self.vectors[self.mask]
        return full, compressor.transform(full).astype(np.float16)


def found_academy(home: Path) -> None:
    """Paint 160 pictures by 40 artists of five movements, and index them built in."""
    corpus = home / "paintings"
    corpus.mkdir()
    rows = []
    for number in range(ARTISTS * EACH):
        artist, work = divmod(number, EACH)
        paint(corpus / f"{number}.png", artist, work)
        title = f"work {number} {EVIL}"
        rows.append((f"{number}.png", f"Artist {artist}", f"Movement {artist % 5}", title))
    with (corpus / "works.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("path", "artist", "movement", "title"), *rows])
    with Index.create(corpus, home / ".paint-search", backbone="descriptors") as index:
        index.add(table=corpus / "works.csv")


def read_academy(home: Path, seed: int) -> Held:
    """Read the index, and divide its works."""
    with Index.open(home / ".paint-search") as index:
        ids, vectors = index.vectors()
        artists, movements, titles = map(index.field, ("artist", "movement", "title"))
    mask = choose_hold_out(ids, artists, seed=seed).held_out(ids, artists)
    return Held(vectors, mask, artists, movements, titles)


def paint(file: Path, artist: int, work: int) -> None:
    """One manner an artist, with a bright stroke of its own in each work."""
    pixels = np.array(picture(48, 48, artist))
    rng = np.random.default_rng(100 * artist + work)
    for _ in range(6):
        y, x = rng.integers(0, 40, 2)
        pixels[y : y + rng.integers(3, 9), x : x + rng.integers(3, 9)] = rng.integers(0, 255, 3)
    Image.fromarray(pixels).save(file)
