"""Who paints like whom: every two artists, or movements, compared by their works."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from paint_search.eval import (
    ArtistPair,
    ArtistSimilarity,
    artist_similarity,
    centroids,
    hierarchy,
    ranked_pairs,
)
from paint_search.report import tables
from paint_search.studies.result import Data, Note, Result
from paint_search.studies.works import AnIndex, Exclude, Where, Works, read_works

if TYPE_CHECKING:
    from matplotlib.figure import Figure


_COLUMNS = ("a", "b", "works_a", "works_b", "rank", "score", "low", "high", "centroid", "csls")


@dataclass(frozen=True, eq=False)
class Artists(Result):
    """How alike the works of every two labels are.

    Attributes:
        works: that were compared.
        similarity: the matrices, and all that can be asked of them.
        pair: the two that were asked about, if any.
        nearest: the one whose likest were asked for, if any.
        top: how many pairs a list holds.
    """

    works: Works
    similarity: ArtistSimilarity
    pair: tuple[str, str] | None
    nearest: str | None
    top: int

    def to_dict(self) -> dict[str, Any]:
        """Return the pair that was asked about, the likest of one, or all matrices."""
        found = self.similarity
        if self.pair:
            return self._told(found.pair(*self.pair))
        if self.nearest:
            likest = found.nearest(self.nearest, self.top)
            return {"nearest": [self._told(pair) for pair in likest]}
        lists = {"closest": found.closest(self.top), "farthest": found.farthest(self.top)}
        return found.to_dict() | {
            name: [self._told(pair) for pair in pairs] for name, pairs in lists.items()
        }

    def table(self) -> Data:
        """Return one row a pair, the most alike first, then one row a label: with itself."""
        from scipy.stats import rankdata

        found = self.similarity
        names, counts = found.groups.names, found.groups.counts.tolist()
        matrices = (found.mean, found.low, found.high, found.centroid, found.csls)
        pairs = ranked_pairs(found.mean)
        ranks = rankdata(-found.mean[tuple(pairs.T)], "min").astype(int).tolist()
        own = [((i, i), None) for i in range(len(names))]
        rows = []
        for (i, j), rank in (*zip(pairs.tolist(), ranks, strict=True), *own):
            figures = (float(matrix[i, j]) for matrix in matrices)
            rows.append([names[i], names[j], counts[i], counts[j], rank, *figures])
        return Data(_COLUMNS, rows)

    def figure(self) -> Figure:
        """Draw the mean cosines as a heat map, like beside like."""
        from paint_search.report import heat_map_figure

        names, centres = centroids(self.works.vectors, self.works.labels)
        tree = hierarchy(centres, names)
        title = f"How alike {len(names):,} {self.works.many} paint"
        return heat_map_figure(
            self.similarity.mean, names, tree.linkage, title, "mean cosine over pairs of works"
        )

    def describe(self) -> Iterator[tables.Part]:
        """Yield a sentence on a pair, the likest of one, or the closest and farthest pairs."""
        found, by = self.similarity, self.works.by
        if self.pair:
            yield tables.artist_pair(found, found.pair(*self.pair), self.works.name)
        elif self.nearest:
            likest = found.nearest(self.nearest, self.top)
            yield from tables.likest_artists(likest, by, self.works.name)
        else:
            yield from tables.artists(found, by, self.top)

    def _told(self, pair: ArtistPair) -> dict[str, Any]:
        return pair.to_dict() | {
            "work_a": self.works.paintings[pair.work_a].to_dict(),
            "work_b": self.works.paintings[pair.work_b].to_dict(),
        }


def artists(
    index: AnIndex,
    by: str = "artist",
    *,
    where: Where = None,
    exclude: Exclude = None,
    min_works: int = 1,
    pair: tuple[str, str] | None = None,
    nearest: str | None = None,
    top: int = 10,
    note: Note = lambda line: None,
) -> Artists:
    """Compare every two artists, movements, ... by the cosines of their works.

    ``pair`` are two labels to compare; ``nearest`` is a label whose likest are wanted, instead.

    Raises:
        UsageError: an unknown field or label, or no work.
        EvalError: no work has a label.
    """
    works = read_works(index, by, where, exclude, min_works)
    if pair:
        pair = works.named_pair(pair)
    if nearest:
        (nearest,) = works.named(nearest)
    note(works.describe())
    similarity = artist_similarity(works.vectors, works.labels)
    return Artists(works, similarity, pair, nearest, top)
