"""How well the works of two artists, and of all, stand apart."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from paint_search.errors import UsageError, argument, counted
from paint_search.eval import Silhouette, ranked_pairs, silhouettes
from paint_search.report.tables import Part, Remark, Table, interval
from paint_search.studies.result import Drawn, Note, Result, most_telling
from paint_search.studies.works import AnIndex, Exclude, Where, Works, read_works

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from paint_search.search.stores.base import VectorName

_COLUMNS = ("a", "b", "works_a", "works_b", "cosine", "low", "high", "euclidean")
_REMARK = Remark(
    "silhouette: 1 where the works of the two keep to themselves, 0 where they touch, below 0 "
    "where they mix. Pairs: over the works of these two alone, as in the compression study; "
    "overall: among all. The vectors are normalised for both distances."
)


@dataclass(frozen=True, eq=False)
class Silhouettes(Result):
    """The silhouettes of works, labels and pairs of labels, by both distances."""

    works: Works  #: that were measured
    cosine: Silhouette  #: by cosine distance
    euclidean: Silhouette  #: by Euclidean distance of the unit vectors
    pair: tuple[str, str] | None  #: the two that were asked about, if any
    top: int  #: how many rows a list holds

    def to_dict(self) -> dict[str, Any]:
        """Return what there is by each distance: of the pair, or of all."""
        both = (self.cosine, self.euclidean)
        if self.pair:
            return {found.metric: vars(found.pair(*self.pair)) for found in both}
        return {found.metric: found.to_dict() for found in both}

    def table(self) -> Table:
        """Return one row a pair, the best first, then one row a label among all."""
        cosine, euclidean = self.cosine, self.euclidean
        names, counts = cosine.names, cosine.counts.tolist()
        matrices = (cosine.pairs, cosine.low, cosine.high, euclidean.pairs)
        rows: list[list[object]] = [
            [names[i], names[j], counts[i], counts[j], *(float(m[i, j]) for m in matrices)]
            for i, j in ranked_pairs(cosine.pairs)
        ]
        for one, other in zip(cosine.per_label, euclidean.per_label, strict=True):
            rows.append(
                [one.label, None, one.works, None, one.value, one.low, one.high, other.value]
            )
        return Table(_COLUMNS, rows)

    @property
    def drawn(self) -> Drawn | None:
        """Return the labels that stand apart best and worst."""
        if self.pair:
            return None
        values = np.array([one.value for one in self.cosine.per_label])
        from_middle = np.abs(values.argsort().argsort() - (len(values) - 1) / 2)
        return most_telling(from_middle, self.works.many, "that stand apart best and worst")

    def figure(self) -> Figure:
        """Draw the silhouette of each label with its interval; of a pair, of each of its works."""
        from paint_search.report import interval_figure, silhouette_figure

        if self.pair:
            two = self.works.only(np.isin(np.array(self.works.labels, dtype=object), self.pair))
            found = silhouettes(two.vectors, two.labels, metric="cosine")
            return silhouette_figure(
                found.values,
                [str(label) for label in two.labels],
                f"How well {self.pair[0]} and {self.pair[1]} stand apart",
                "silhouette of each work, cosine distance; dashed: their mean",
            )
        drawn = self.drawn
        labels = [self.cosine.per_label[row] for row in drawn.rows] if drawn else []
        return interval_figure(
            [one.label for one in labels],
            np.array([one.value for one in labels]),
            np.array([(one.low, one.high) for one in labels]),
            [one.works for one in labels],
            f"How well {len(self.cosine.per_label):,} {self.works.many} stand apart from all others"
            + (f"\n{drawn.line}" if drawn and drawn.line else ""),
            "mean silhouette, cosine distance, with its 95 % interval",
        )

    def describe(self) -> Iterator[Part]:
        """Yield a sentence on a pair, or all silhouettes and the best and worst of them."""
        if self.pair:
            found, values = self.cosine.pair(*self.pair), self.cosine.pair_values
            figures = " and ".join(
                f"{p.value:.3f} with {metric} distance (95 % interval {interval(p.low, p.high)})"
                for metric, p in (("cosine", found), ("Euclidean", self.euclidean.pair(*self.pair)))
            )
            yield (
                f"{found.a} and {found.b} have a silhouette of {figures}; "
                f"{int((values < found.value).sum()):,} of {counted(len(values), 'pair')} stand "
                "less apart (cosine)."
            )
        else:
            yield from self._all()
        yield _REMARK

    def _all(self) -> Iterator[Part]:
        """Yield the silhouettes over all, of the best and worst pairs, and of each label."""
        cosine, euclidean, by, top = self.cosine, self.euclidean, self.works.by, self.top
        yield Table(
            ["distance", ">overall", "95 % interval", ">pairs", ">below 0", ">median pair"],
            [
                (
                    result.metric.replace("euclidean", "Euclidean"),
                    *(result.overall, result.overall_interval),
                    *(len(result.pair_values), result.negative_pairs, result.median().value),
                )
                for result in (cosine, euclidean)
            ],
        )
        for words, pairs in (
            (f"the pairs of {self.works.many} that stand apart best", cosine.best(top)),
            (f"the pairs of {self.works.many} that stand apart worst", cosine.worst(top)),
            ("the pair in the middle", [cosine.median()]),
        ):
            yield f"\n{words}"
            yield Table(
                ["", "", ">cosine", "95 % interval", ">Euclidean"],
                [
                    (p.a, p.b, p.value, (p.low, p.high), euclidean.pair(p.a, p.b).value)
                    for p in pairs
                ],
            )
        both = sorted(
            zip(cosine.per_label, euclidean.per_label, strict=True), key=lambda two: -two[0].value
        )
        # The middle is left out where both ends do not cover all.
        ends = both if len(both) <= 2 * top else both[:top] + both[-top:]
        kind = "" if len(ends) == len(both) else f", the {top} best and the {top} worst"
        yield f"\neach {by} among all{kind}"
        yield Table(
            [by, ">works", ">cosine", "95 % interval", ">Euclidean"],
            [(a.label, a.works, a.value, (a.low, a.high), b.value) for a, b in ends],
        )


def silhouette(
    index: AnIndex,
    by: str = "artist",
    *,
    where: Where = None,
    exclude: Exclude = None,
    min_works: int = 5,
    pair: tuple[str, str] | None = None,
    vectors: VectorName | None = None,
    top: int = 10,
    note: Note = lambda line: None,
) -> Silhouettes:
    """Measure how well artists, movements, ... stand apart, two by two and all together.

    ``pair`` are two labels to compare, ``vectors`` the kind to use: ``full`` or ``compact``, by
    default full ones where the index keeps them. ``min_works`` is at least 2.

    Raises:
        UsageError: an unknown field or label, fewer than two labels, or vectors not kept.
    """
    if vectors not in (None, "full", "compact"):
        raise UsageError(f"{argument('vectors', vectors)}: use full or compact")
    works = read_works(index, by, where, exclude, min_works, which=vectors)
    if len(works.names) < 2:
        raise UsageError(
            f"silhouettes take two {works.many} of at least {min_works} works "
            f"({argument('min_works')}), but here are {works.describe()}"
        )
    if pair:
        pair = works.named_pair(pair)
    note(works.describe())
    cosine = silhouettes(works.vectors, works.labels, metric="cosine")
    euclidean = silhouettes(works.vectors, works.labels, metric="euclidean")
    return Silhouettes(works, cosine, euclidean, pair, top)
