"""How often the nearest works are by the same artist, and who is taken for whom."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from paint_search.errors import UsageError
from paint_search.eval import Retrieval, centroids, hierarchy, plain, same_label_auc
from paint_search.eval import exclude_copies as find_copies
from paint_search.eval import retrieval as score
from paint_search.report import tables
from paint_search.studies.result import Data, Note, Result
from paint_search.studies.works import AnIndex, Exclude, Where, Works, read_works

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from numpy.typing import NDArray


_PARTS = ("query", "gallery")


@dataclass(frozen=True, eq=False)
class Recognition(Result):
    """How often works lead to others of their label.

    Attributes:
        works: that took part, copies left out.
        found: the figures of each query.
        figures: each figure by its name, and P@1 of works picked at random.
        copies_left_out: how many works were dropped as near-identical to others.
        min_works: labels of fewer queries are not named as hardest.
        top: how many rows a list holds.
    """

    works: Works
    found: Retrieval
    figures: dict[str, float]
    copies_left_out: int
    min_works: int
    top: int

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

    def table(self) -> Data:
        """Return one row a label."""
        last = self.found.ks[-1]
        columns = (self.works.by, "queries", "P@1", f"mAP@{last}", f"R@{last}", "R-precision")
        return Data(columns, [list(vars(row).values()) for row in self.found.per_label()])

    def figure(self) -> Figure:
        """Draw which share of each label's queries is taken for each label, its own included."""
        from paint_search.report import heat_map_figure

        by, found = self.works.by, self.found
        names, centres = centroids(self.works.vectors, self.works.labels)
        codes = found.groups.codes
        counts = np.zeros((len(names), len(names)))
        np.add.at(counts, (codes[found.queries], codes[found.nearest]), 1)
        asked = counts.sum(axis=1, keepdims=True)
        shares = np.divide(counts, asked, out=np.full_like(counts, np.nan), where=asked > 0)
        tree = hierarchy(centres, names)
        title = f"Which {by} (column) the works of each {by} (row) are taken for"
        return heat_map_figure(shares, names, tree.linkage, title, "share of the queries")

    def describe(self) -> Iterator[tables.Part]:
        """Yield the figures, the hardest labels, and who is taken for whom."""
        yield from tables.retrieval(self.found, self.figures, self.intervals, self.works.by)
        columns = self.table().columns
        yield from tables.hardest(self.found, columns, self.top, self.min_works)


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
        keep = find_copies(works.vectors).keep
        works, sides, copies = works.only(keep), [side[keep] for side in sides], int((~keep).sum())
        note(f"{copies:,} near-identical works left out")
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
