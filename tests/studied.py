"""The painted museum, read without the commands: what the studies are held against."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from paint_search import Index

PAINTERS = 10


@dataclass(frozen=True)
class Museum:
    """What the index holds, read without the commands."""

    vectors: NDArray[np.float32]
    paths: list[str]
    artists: NDArray[np.str_]
    supports: NDArray[np.str_]

    @property
    def names(self) -> list[str]:
        return sorted(set(self.artists.tolist()))

    def of(self, artist: str) -> NDArray[np.float32]:
        return self.vectors[self.artists == artist]

    def mean_cosine(self, a: str, b: str) -> float:
        cosines = self.of(a) @ self.of(b).T
        if a == b:
            cosines = cosines[~np.eye(len(cosines), dtype=bool)]
        return float(cosines.mean())

    def centroids(self) -> NDArray[np.float32]:
        return np.array([self.of(name).mean(axis=0) for name in self.names])


def read_museum(museum: Path) -> Museum:
    """Read the index in ``museum``; the store rounds the vectors a little, so they are mended."""
    with Index.open(museum / ".paint-search") as index:
        _, vectors = index.vectors()
        paintings = list(index.paintings())
    vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return Museum(
        vectors,
        [painting.path for painting in paintings],
        np.array([painting.artist for painting in paintings]),
        np.array([painting.fields["support"] for painting in paintings]),
    )


def read_csv(file: Path) -> list[dict[str, str]]:
    with file.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def ranking(held: Museum) -> list[tuple[str, str]]:
    pairs = [(a, b) for a in held.names for b in held.names if a < b]
    return sorted(pairs, key=lambda pair: -held.mean_cosine(*pair))
