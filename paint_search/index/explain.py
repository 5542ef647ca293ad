"""Why two paintings match: the cosine of their vectors as the exact sum of what it is made of.

Two pictures in; heat maps, the pairs of regions that add most, and the share of each property out,
with the same for two works by two artists, picked at random, since any two have such regions.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from paint_search.errors import ImageError, counted
from paint_search.index.collection import Collection
from paint_search.index.examples import (
    Picture,
    Query,
    decode_query,
    name_query,
    picture_of,
    read_examples,
)
from paint_search.indexer.backbones.parts import Decomposer, Parts
from paint_search.painting import Painting

#: Left, top, width and height in pixels of a picture as it is shown.
Box = tuple[int, int, int, int]

#: What is called so is the part of a score that lies in places of the pictures.
NETWORK: Final = "network"

_REGIONS: Final = 5
_SIDE: Final = 0.25  # of a region, as a share of the rows and columns of places

#: Works among which two by two artists are looked for.
_SAMPLE: Final = 64

#: From this score on, parts are told as shares of it.
_TELLING: Final = 0.05


@dataclass(frozen=True, slots=True)
class Region:
    """A region of each picture, which together add ``score`` to the cosine."""

    one: Box
    other: Box
    score: float


@dataclass(frozen=True, eq=False)
class Side:
    """One of the two pictures.

    Attributes:
        name: what to call it.
        painting: where it is indexed.
        size: its width and height in pixels, as it is shown.
        seen: left, top, width and height of the square that the backbone saw, in those pixels; with
            ``pad`` more than the picture.
        heat: (rows, columns), what each place of that square adds to the cosine; of no rows where
            the vector is no sum over places.
    """

    name: str
    painting: Painting | None
    size: tuple[int, int]
    seen: tuple[float, float, float, float]
    heat: NDArray[np.float32]

    def box(self, row: int, column: int, side: int) -> Box:
        """Return a square of places as a box within the picture."""
        left, top, width, height = self.seen
        high, wide = self.heat.shape
        x, right = (
            min(max(round(left + width * at / wide), 0), self.size[0])
            for at in (column, column + side)
        )
        y, bottom = (
            min(max(round(top + height * at / high), 0), self.size[1]) for at in (row, row + side)
        )
        return x, y, right - x, bottom - y

    @property
    def inside(self) -> NDArray[np.bool_]:
        """Which places, (rows, columns), have their middle in the picture."""
        axes = []
        for start, length, count, end in zip(
            self.seen[1::-1], self.seen[:1:-1], self.heat.shape, self.size[::-1], strict=True
        ):
            middle = start + length * (np.arange(count) + 0.5) / count
            axes.append((middle >= 0) & (middle <= end))
        return np.asarray(axes[0][:, None] & axes[1])

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able mapping."""
        return {
            "name": self.name,
            "painting": self.painting and self.painting.to_dict(),
            "width": self.size[0],
            "height": self.size[1],
            "seen": [round(side, 2) for side in self.seen],
            "heat": self.heat.round(6).tolist(),
        }


@dataclass(frozen=True)
class Explanation:
    """What the cosine of two pictures is made of.

    Attributes:
        one, other: the pictures.
        backbone: whose vectors they are.
        score: their cosine.
        compact_score: that of their compact vectors, where this index searches those.
        parts: by name, numbers whose sum is the score; ``network`` is that of all pairs of places.
        regions: the pairs of regions that add most, the greatest first; no two overlap.
        regions_pairs: the share of all pairs of places that lies in them.
        random: the same for two works by two artists of this index; None where it has none.
    """

    one: Side
    other: Side
    backbone: str
    score: float
    compact_score: float | None
    parts: dict[str, float]
    regions: tuple[Region, ...]
    regions_pairs: float
    random: "Explanation | None" = None

    @property
    def regions_score(self) -> float:
        """What the regions add to the score."""
        return sum(region.score for region in self.regions)

    @property
    def text(self) -> list[str]:
        """The explanation in sentences."""
        told = [f"cosine {self.score:.3f}, by the backbone {self.backbone}"]
        if self.compact_score is not None:
            told.append(
                f"searches here compare compact vectors, whose cosine is "
                f"{self.compact_score:.3f}; what follows is of the backbone's own"
            )
        if len(self.parts) > 1:
            parts = sorted(self.parts.items(), key=lambda part: -part[1])
            shares = ", ".join(f"{name} {self._told(value)}" for name, value in parts)
            told.append(f"of it, {shares}")
        if self.regions:
            told.append(
                f"the {counted(len(self.regions), 'pair')} of regions that match best, "
                f"{self.regions_pairs:.1%} of all pairs of places, add "
                f"{self._told(self.regions_score)}"
            )
        if self.random is not None:
            other = self.random
            lies = f", {other._told(other.regions_score)} in such regions" if self.regions else ""
            told.append(
                f"{other.one.name} and {other.other.name}, by two artists and picked at random, "
                f"have cosine {other.score:.3f}{lies}"
            )
        return told

    def _told(self, value: float) -> str:
        """Write a part of the score, and its share where that says anything."""
        return f"{value:.3f}" + (f" ({value / self.score:.0%})" if self.score > _TELLING else "")

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able mapping; boxes are [x, y, w, h] in pixels of the pictures as shown."""
        return {
            "one": self.one.to_dict(),
            "other": self.other.to_dict(),
            "backbone": self.backbone,
            "score": round(self.score, 6),
            "compact_score": self.compact_score and round(self.compact_score, 6),
            "parts": [{"name": name, "score": round(x, 6)} for name, x in self.parts.items()],
            "regions": [
                {"one": list(one.one), "other": list(one.other), "score": round(one.score, 6)}
                for one in self.regions
            ],
            "regions_score": round(self.regions_score, 6),
            "regions_pairs": round(self.regions_pairs, 6),
            "random": self.random and self.random.to_dict(),
            "text": self.text,
        }


def explain(collection: Collection, one: Query, other: Query) -> Explanation:
    """Say what the cosine of two pictures is made of; see ``Index.explain``."""
    asked = [picture_of(collection, query, "explained") for query in (one, other)]
    decomposer = collection.backbone.decomposer()
    found = _compare(collection, decomposer, asked)
    if collection.manifest.searched == "compact":
        first, second = read_examples(collection, [one, other], "compact")
        cosine = first.vector @ second.vector
        length = np.linalg.norm(first.vector) * np.linalg.norm(second.vector)
        found = replace(found, compact_score=float(cosine / length))
    return replace(found, random=_random_pair(collection, decomposer, asked))


#: A picture, and what is known of it where it is indexed.
_Asked = tuple[Picture, Painting | None]


def _compare(
    collection: Collection, decomposer: Decomposer, pictures: Sequence[_Asked]
) -> Explanation:
    """Explain two pictures, without a random pair beside them."""
    backbone = collection.manifest.backbone
    wanted = backbone.preprocessing
    decoded = [decode_query(picture, wanted, "explained") for picture, _ in pictures]
    parts = decomposer.take_apart(np.stack([one.pixels for one in decoded]))
    first, second = (one.places for one in parts)
    pairs = np.tensordot(first, second, axes=(2, 2))
    heats = (pairs.sum(axis=(2, 3)), pairs.sum(axis=(0, 1)))
    one, other = (
        Side(_name(*asked), asked[1], seen.size, wanted.seen(seen.size, seen.kept), heat)
        for asked, seen, heat in zip(pictures, decoded, heats, strict=True)
    )
    regions, area = _regions(pairs, one, other)
    score = float(parts[0].vector @ parts[1].vector)
    shares = _shares(*parts)
    return Explanation(one, other, backbone.name, score, None, shares, regions, area)


def _shares(one: Parts, other: Parts) -> dict[str, float]:
    """Return what each property adds to the cosine; what two add together is half of each."""
    shares = {}
    if one.places.size:
        both = (one.places.sum(axis=(0, 1)), other.places.sum(axis=(0, 1)))
        shares[NETWORK] = float(both[0] @ other.vector + one.vector @ both[1]) / 2
    for name, part in one.named.items():
        shares[name] = float(part @ other.vector + one.vector @ other.named[name]) / 2
    return shares


def _regions(
    pairs: NDArray[np.float32], one: Side, other: Side
) -> tuple[tuple[Region, ...], float]:
    """Return the pairs of square regions that add most, no two overlapping, and their share.

    ``pairs``, (rows, columns, rows, columns), is what the pairs of places add; what lies outside of
    the pictures does not count.
    """
    if not pairs.size:
        return (), 0.0
    sides = [max(1, round(_SIDE * side.heat.shape[0])) for side in (one, other)]
    sums = pairs.astype(np.float64) * one.inside[:, :, None, None] * other.inside
    for axis, side in enumerate((sides[0], sides[0], sides[1], sides[1])):
        total = np.cumsum(np.insert(sums, 0, 0, axis=axis), axis=axis)
        length = total.shape[axis]
        sums = total.take(range(side, length), axis) - total.take(range(length - side), axis)
    found: list[Region] = []
    while len(found) < _REGIONS:
        at = np.unravel_index(int(np.argmax(sums)), sums.shape)
        if sums[at] <= 0:
            break
        row, column, other_row, other_column = map(int, at)
        boxes = one.box(row, column, sides[0]), other.box(other_row, other_column, sides[1])
        found.append(Region(*boxes, float(sums[at])))
        rows = [slice(max(0, i - sides[n // 2] + 1), i + sides[n // 2]) for n, i in enumerate(at)]
        sums[rows[0], rows[1]] = -np.inf
        sums[:, :, rows[2], rows[3]] = -np.inf
    return tuple(found), len(found) * sides[0] ** 2 * sides[1] ** 2 / pairs.size


def _random_pair(
    collection: Collection, decomposer: Decomposer, asked: Sequence[_Asked]
) -> Explanation | None:
    """Explain two works by two artists; ids are hashes, so the first are a random sample."""
    known = {painting.id for _, painting in asked if painting is not None}
    sample = [
        painting
        for record in collection.store.scroll(limit=_SAMPLE)
        if (painting := Painting.from_payload(record.payload)).artist and record.id not in known
    ]
    for one, other in combinations(sample, 2):
        files = [collection.locate(painting) for painting in (one, other)]
        if one.artist == other.artist or not all(file.is_file() for file in files):
            continue
        try:
            return _compare(collection, decomposer, list(zip(files, (one, other), strict=True)))
        except ImageError:
            continue
    return None


def _name(picture: Picture, painting: Painting | None) -> str:
    """Return what to call a picture in a sentence, without where it lies."""
    if painting is not None:
        title = painting.title or Path(painting.path).stem
        return f"{painting.artist}: {title}" if painting.artist else title
    return Path(picture).stem if isinstance(picture, str | Path) else name_query(picture)
