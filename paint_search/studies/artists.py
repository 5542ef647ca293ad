"""Who paints like whom: every two artists, or movements, compared by their works."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from paint_search.eval import (
    ArtistPair,
    ArtistSimilarity,
    artist_similarity,
    centroids,
    hierarchy,
    ranked_pairs,
)
from paint_search.report.tables import Part, Remark, Table, interval, plural
from paint_search.studies.result import Note, Result
from paint_search.studies.works import AnIndex, Exclude, Where, Works, read_works

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_COLUMNS = ("a", "b", "works_a", "works_b", "rank", "score", "low", "high", "centroid", "csls")
_REMARK = Remark(
    "score: mean cosine over all pairs of works across the two. centroids: cosine between the two "
    "mean works. CSLS: the score less what both score with their ten nearest, so that nobody is "
    "close to everyone."
)


@dataclass(frozen=True, eq=False)
class Artists(Result):
    """How alike the works of every two labels are."""

    works: Works  #: that were compared
    similarity: ArtistSimilarity  #: the matrices, and all that can be asked of them
    pair: tuple[str, str] | None  #: the two that were asked about, if any
    nearest: str | None  #: the one whose likest were asked for, if any
    top: int  #: how many pairs a list holds

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

    def table(self) -> Table:
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
        return Table(_COLUMNS, rows)

    def figure(self) -> Figure:
        """Draw the mean cosines as a heat map, like beside like."""
        from paint_search.report import heat_map_figure

        names, centres = centroids(self.works.vectors, self.works.labels)
        tree = hierarchy(centres, names)
        title = f"How alike {len(names):,} {self.works.many} paint"
        return heat_map_figure(
            self.similarity.mean, names, tree.linkage, title, "mean cosine over pairs of works"
        )

    def describe(self) -> Iterator[Part]:
        """Yield a sentence on a pair, the likest of one, or the closest and farthest pairs."""
        found, name = self.similarity, self.works.name
        if self.pair:
            yield self._sentence(found.pair(*self.pair))
        elif self.nearest:
            rows = []
            for rank, pair in enumerate(found.nearest(self.nearest, self.top), start=1):
                works = f"{name(pair.work_a)} and {name(pair.work_b)}"
                figures = (pair.score, (pair.low, pair.high), f"{pair.csls:+.3f}")
                rows.append([rank, pair.b, *figures, works])
            columns = [">rank", self.works.by, ">score", "95 % interval", ">CSLS", "closest works"]
            yield Table(columns, rows)
            yield _REMARK
        else:
            yield from self._all()

    def _sentence(self, pair: ArtistPair) -> str:
        groups, name = self.similarity.groups, self.works.name

        def of(label: str) -> str:
            count = int(groups.counts[groups.code(label)])
            return f"{label} ({count:,} {plural('work', count)})"

        ends = interval(pair.low, pair.high)
        certainty = f"95 % interval {ends}" if ends else "no interval with a single work"
        return (
            f"{of(pair.a)} and {of(pair.b)} score {pair.score:.3f} ({certainty}), rank "
            f"{pair.rank:,} of {pair.pairs:,} pairs from the most alike down; their two closest "
            f"works, at {pair.closest:.3f}, are {name(pair.work_a)} and {name(pair.work_b)}."
        )

    def _all(self) -> Iterator[Part]:
        """Yield what works score within and across labels, and the closest and farthest pairs."""
        found, by, many = self.similarity, self.works.by, self.works.many
        within = found.mean.diagonal()
        across = found.mean[np.triu_indices(len(within), 1)]
        figures = [
            f"{name} {np.nanmean(scores):.3f} on average"
            for name, scores in ((f"of one {by}", within), (f"of two {many}", across))
            if np.isfinite(scores).any()
        ]
        yield f"two works {', '.join(figures)}" if figures else f"a single work of a single {by}"
        if not len(across):
            return
        ends = {"closest": found.closest(self.top), "farthest": found.farthest(self.top)}
        for kind, pairs in ends.items():
            yield f"\nthe {kind} pairs of {many}"
            yield Table(
                ["", "", ">score", "95 % interval", ">centroids", ">CSLS"],
                [(p.a, p.b, p.score, (p.low, p.high), p.centroid, f"{p.csls:+.3f}") for p in pairs],
            )
        yield _REMARK

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
