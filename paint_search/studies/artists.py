"""Who paints like whom: every two artists, or movements, compared by their works."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from paint_search.errors import counted
from paint_search.eval import (
    ArtistPair,
    ArtistSimilarity,
    artist_similarity,
    centroids,
    hierarchy,
    ranked_pairs,
)
from paint_search.report.tables import Part, Remark, Table, interval, plural
from paint_search.studies.result import Drawn, Note, Result, most_telling
from paint_search.studies.works import AnIndex, Exclude, Where, Works, read_works

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_COLUMNS = ("a", "b", "works_a", "works_b", "rank", "score", "low", "high", "centroid", "csls")
_LEAST = 5  # works of a label of whose pairs the closest mean something
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
    least: int = 1  #: labels of fewer works are in no list of pairs

    def to_dict(self) -> dict[str, Any]:
        """Return the pair that was asked about, the likest of one, or all matrices."""
        found = self.similarity
        if self.pair:
            return self._told(found.pair(*self.pair))
        if self.nearest:
            likest = found.nearest(self.nearest, self.top)
            return {"nearest": [self._told(pair) for pair in likest]}
        return found.to_dict() | {
            name: [self._told(pair) for pair in pairs] for name, pairs in self._ends().items()
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

    @property
    def drawn(self) -> Drawn | None:
        """Return the labels that are most like another."""
        if self.pair or self.nearest:
            return None
        mean, counts = self.similarity.mean.copy(), self.similarity.groups.counts
        np.fill_diagonal(mean, -np.inf)
        few = 2.0 * (counts < self.least)  # more than any cosine: they come last
        return most_telling(mean.max(axis=1) - few, self.works.many, "that are most like another")

    def figure(self) -> Figure:
        """Draw the mean cosines as a heat map, like beside like; or those that were asked for."""
        from paint_search.report import heat_map_figure

        drawn = self.drawn
        if drawn is None:
            return self._asked()
        names, centres = centroids(self.works.vectors, self.works.labels)
        shown = [names[row] for row in drawn.rows]
        tree = hierarchy(centres[drawn.rows], shown)
        return heat_map_figure(
            self.similarity.mean[np.ix_(drawn.rows, drawn.rows)],
            shown,
            tree.linkage,
            f"How alike {len(names):,} {self.works.many} paint\n{drawn.line}".strip(),
            "mean cosine over pairs of works",
        )

    def _asked(self) -> Figure:
        """Draw the likest of one with their intervals, or two beside what each is to itself."""
        from paint_search.report import interval_figure

        found = self.similarity
        code, works = found.groups.code, found.groups.counts
        if self.pair:
            one, other = map(code, self.pair)
            title = f"How alike {self.pair[0]} and {self.pair[1]} paint"
            rows = {
                "a work of each": (one, other, works[one] + works[other]),
                f"two of {self.pair[0]}": (one, one, works[one]),
                f"two of {self.pair[1]}": (other, other, works[other]),
            }
        else:
            title = f"Who paints most like {self.nearest}"
            likest = found.nearest(str(self.nearest), self.top)
            rows = {pair.b: (code(pair.a), code(pair.b), works[code(pair.b)]) for pair in likest}
        rows = {name: row for name, row in rows.items() if np.isfinite(found.mean[row[:2]])}
        at = tuple(np.array([row[:2] for row in rows.values()]).T)
        return interval_figure(
            list(rows),
            found.mean[at],
            np.stack([found.low[at], found.high[at]], axis=1),
            [int(row[2]) for row in rows.values()],
            title,
            "mean cosine over pairs of works, with its 95 % interval",
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
            f"{pair.rank:,} of {counted(pair.pairs, 'pair')} from the most alike down; their two "
            f"closest works, at {pair.closest:.3f}, are {name(pair.work_a)} and "
            f"{name(pair.work_b)}."
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
        some = f" of {self.least} works or more" if found.groups.counts.min() < self.least else ""
        for kind, pairs in self._ends().items():
            yield f"\nthe {kind} pairs of {many}{some}"
            yield Table(
                ["", "", ">score", "95 % interval", ">centroids", ">CSLS"],
                [(p.a, p.b, p.score, (p.low, p.high), p.centroid, f"{p.csls:+.3f}") for p in pairs],
            )
        yield _REMARK

    def _ends(self) -> dict[str, list[ArtistPair]]:
        found, top, least = self.similarity, self.top, self.least
        return {"closest": found.closest(top, least), "farthest": found.farthest(top, least)}

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
    min_works: int | None = None,
    pair: tuple[str, str] | None = None,
    nearest: str | None = None,
    top: int = 10,
    note: Note = lambda line: None,
) -> Artists:
    """Compare every two artists, movements, ... by the cosines of their works.

    ``pair`` are two labels to compare; ``nearest`` is a label whose likest are wanted, instead.
    Labels of fewer than ``min_works`` works are left out; unless it is given, those of fewer than
    five are in no list of the closest and farthest pairs, where two have more.

    Raises:
        UsageError: an unknown field or label, or no work.
        EvalError: no work has a label.
    """
    works = read_works(index, by, where, exclude, min_works or 1)
    if pair:
        pair = works.named_pair(pair)
    if nearest:
        (nearest,) = works.named(nearest)
    note(works.describe())
    similarity = artist_similarity(works.vectors, works.labels)
    many = np.count_nonzero(similarity.groups.counts >= _LEAST) > 1
    least = _LEAST if min_works is None and many else 1
    return Artists(works, similarity, pair, nearest, top, least)
