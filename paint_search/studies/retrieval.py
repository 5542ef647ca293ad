"""How often the nearest works are by the same artist, and who is taken for whom."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from paint_search.errors import UsageError, counted
from paint_search.eval import Retrieval, centroids, hierarchy, kept_works, plain, same_label_auc
from paint_search.eval import retrieval as score
from paint_search.report.tables import Part, Remark, Table
from paint_search.studies.result import Drawn, Note, Result, mistakes, most_telling
from paint_search.studies.works import AnIndex, Exclude, Where, Works, read_works

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from numpy.typing import NDArray


_PARTS = ("query", "gallery")
_REMARK = (
    "P@k: share of the k nearest works with the same {by}. mAP@k: that share where each such work "
    "stands, summed and divided by min(k, works there are to find). R@k: share of the queries with "
    "such a work among the k nearest. R-precision: P@k for as many works as there are to find. "
    "AUC: how often two works of one {by} score above two of different {many}."
)
_CSD = Remark(
    "CSD mAP@k: the mean of P@1 to P@k, called mAP@k by the code of Somepalli et al. 2024; compare "
    "this one with the tables of style-retrieval papers."
)


@dataclass(frozen=True, eq=False)
class Recognition(Result):
    """How often works lead to others of their label."""

    works: Works  #: that took part, copies left out
    found: Retrieval  #: the figures of each query
    figures: dict[str, float]  #: each figure by its name, and P@1 of works picked at random
    copies_left_out: int  #: how many works were dropped as near-identical to others
    min_works: int  #: labels of fewer queries are not named as hardest
    top: int  #: how many rows a list holds

    @property
    def intervals(self) -> dict[str, tuple[float, float]]:
        """The 95 % interval of each figure that is a mean over the queries."""
        return {name: self.found.interval(name) for name in self.found.per_query()}

    def to_dict(self) -> dict[str, Any]:
        """Return the figures, their intervals, and the table by label."""
        return (
            {"by": self.works.by, "copies_left_out": self.copies_left_out}
            | self.found.to_dict()
            | {
                "summary": self.figures,
                "intervals": {n: list(map(plain, ends)) for n, ends in self.intervals.items()},
            }
        )

    def table(self) -> Table:
        """Return one row a label."""
        last = self.found.ks[-1]
        columns = (self.works.by, "queries", "P@1", f"mAP@{last}", f"R@{last}", "R-precision")
        return Table(columns, [list(vars(row).values()) for row in self.found.per_label()])

    @property
    def _taken(self) -> NDArray[np.float64]:
        """(m, m) how many queries of each label (row) are taken for each (column)."""
        codes, found = self.found.groups.codes, self.found
        counts = np.zeros((len(found.groups.names), len(found.groups.names)))
        np.add.at(counts, (codes[found.queries], codes[found.nearest]), 1)
        return counts

    @property
    def drawn(self) -> Drawn:
        """Return the labels that are mistaken most often, or others for them."""
        return most_telling(mistakes(self._taken), self.works.many, "that are mistaken most often")

    def figure(self) -> Figure:
        """Draw which share of each label's queries is taken for each label, its own included."""
        from paint_search.report import heat_map_figure

        by, counts, drawn = self.works.by, self._taken, self.drawn
        names, centres = centroids(self.works.vectors, self.works.labels)
        asked = counts.sum(axis=1, keepdims=True)
        shares = np.divide(counts, asked, out=np.full_like(counts, np.nan), where=asked > 0)
        shown = [names[row] for row in drawn.rows]
        return heat_map_figure(
            shares[np.ix_(drawn.rows, drawn.rows)],
            shown,
            hierarchy(centres[drawn.rows], shown).linkage,
            f"Which {by} (column) the works of each {by} (row) are taken for\n{drawn.line}".strip(),
            "share of the queries",
        )

    def describe(self) -> Iterator[Part]:
        """Yield the figures, the hardest labels, and who is taken for whom."""
        found, by, many, intervals = self.found, self.works.by, self.works.many, self.intervals
        yield Table(
            ["figure", ">value", "95 % interval"],
            [(name, value, intervals.get(name)) for name, value in self.figures.items()],
        )
        lonely = f"; {found.lonely:,} had no other work to find" if found.lonely else ""
        yield Remark(f"over {counted(len(found.queries), 'query', 'queries')}{lonely}")
        yield Remark(_REMARK.format(by=by, many=many))
        if any(name.startswith("CSD") for name in self.figures):
            yield _CSD
        yield f"\nthe hardest {many} of {self.min_works} or more queries"
        yield Table(
            [by, *(f">{name}" for name in self.table().columns[1:])],
            [tuple(vars(row).values()) for row in found.hardest(self.top, self.min_works)],
        )
        yield "\nwho is taken for whom, by the nearest work"
        yield Table(
            [by, "taken for", ">works", ">share"],
            [
                (row.label, row.taken_for, row.count, f"{row.share:.0%}")
                for row in found.confusions()[: self.top]
            ],
        )


def retrieval(
    index: AnIndex,
    by: str = "artist",
    *,
    where: Where = None,
    exclude: Exclude = None,
    k: Sequence[int] | None = None,
    split: str | Path | None = None,
    exclude_copies: bool = False,
    min_works: int = 5,
    top: int = 10,
    note: Note = lambda line: None,
) -> Recognition:
    """Measure how often the nearest works are by the same artist, of the same movement, ...

    ``k`` are the cut-offs of P, mAP and R, by default 1 and 10, with a split 1, 10 and 100.
    ``split`` is a CSV or Parquet file with the columns path and split (query or gallery), instead
    of every work asking all others. ``exclude_copies`` drops near-identical works first. Labels of
    fewer than ``min_works`` queries are not named as hardest.

    Raises:
        UsageError: an unknown field, no work, or a split that names none.
        EvalError: no work has another of its label to find.
    """
    works = read_works(index, by, where, exclude)
    parts = _read_split(Path(split), works) if split else None
    note(works.describe())
    if parts is None:
        sides = [np.ones(len(works.labels), dtype=np.bool_)] * 2
    else:
        sides = [np.array([part == name for part in parts]) for name in _PARTS]
        taking_part = sides[0] | sides[1]
        works, sides = works.only(taking_part), [side[taking_part] for side in sides]
    copies = 0
    if exclude_copies:
        kept_as = kept_works(works.vectors)
        keep = kept_as == np.arange(len(kept_as))
        works, sides, copies = works.only(keep), [side[keep] for side in sides], int((~keep).sum())
        note(f"{counted(copies, 'near-identical work')} left out")
    queries, gallery = sides
    cuts = k or ((1, 10, 100) if split else (1, 10))
    found = score(works.vectors, works.labels, ks=cuts, queries=queries, gallery=gallery)
    figures = _figures(found, works, gallery, csd=split is not None)
    return Recognition(works, found, figures, copies, min_works, top)


def _read_split(file: Path, works: Works) -> list[str | None]:
    """Return the part of each work: query, gallery, or None where the file does not name it."""
    from paint_search.indexer.corpus.labels import table_labels
    from paint_search.indexer.corpus.table import LabelTable

    if not file.is_file():
        raise UsageError(f"there is no split file {file}")
    with LabelTable(file) as table:
        table.meet(works.root, (painting.path for painting in works.paintings))
        source = table_labels(table)
        for fault in table.faults():
            if fault.kind != "row without file":
                raise UsageError(f"{file}: {fault.why} ({fault.path or fault.kind}); mend it")
        parts = [source(painting.path).get("split") for painting in works.paintings]
    strange = next((part for part in parts if part not in (None, *_PARTS)), None)
    if strange is not None:
        raise UsageError(f"{file} puts a work into {strange!r}: write query or gallery")
    missing = [part for part in _PARTS if part not in parts]
    if missing:
        raise UsageError(
            f"{file} names no {missing[0]} work of this index: it needs the columns path and "
            "split, with query or gallery in each row"
        )
    return [None if part is None else str(part) for part in parts]


def _figures(
    found: Retrieval, works: Works, gallery: NDArray[np.bool_], *, csd: bool
) -> dict[str, float]:
    """Return each figure by its name, and P@1 of works picked at random."""
    labelled = np.array([label is not None for label in works.labels])
    others = int((labelled & gallery).sum()) - gallery[found.queries]
    figures = found.summary() | {"P@1 by chance": float((found.relevant / others).mean())}
    if csd:
        means = found.rank_precision.mean(axis=0).tolist()
        figures |= {f"CSD mAP@{cut}": mean for cut, mean in zip(found.ks, means, strict=True)}
    if len(found.groups.names) > 1:
        figures["AUC"] = same_label_auc(works.vectors, works.labels)
    return figures
