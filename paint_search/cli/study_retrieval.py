"""``eval retrieval``: how often the nearest works are by the same artist, and who is mistaken."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from paint_search.cli.output import (
    IndexOption,
    JsonOption,
    NotOption,
    Output,
    QuietOption,
    WhereOption,
    reports_errors,
)
from paint_search.cli.study import (
    ByOption,
    CsvOption,
    PlotOption,
    TopOption,
    Works,
    check_outputs,
    interval,
    plural,
    read_works,
    write_csv,
    write_plot,
)
from paint_search.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from paint_search.eval.retrieval import Retrieval

_PARTS = ("query", "gallery")
_MEANING = (
    "P@k: share of the k nearest works with the same {by}. mAP@k: that share where each such work "
    "stands, summed and divided by min(k, works there are to find). R@k: share of the queries with "
    "such a work among the k nearest. R-precision: P@k for as many works as there are to find. "
    "AUC: how often two works of one {by} score above two of different {plural}."
)
_CSD_MEANING = (
    "CSD mAP@k: the mean of P@1 to P@k, called mAP@k by the code of Somepalli et al. 2024; compare "
    "this one with the tables of style-retrieval papers."
)


@dataclass(frozen=True)
class _Task:
    """The works that take part, (n, d) and n labels, and which of them ask and may be found."""

    vectors: "NDArray[np.float32]"
    labels: list[str | None]
    queries: "NDArray[np.bool_]"
    gallery: "NDArray[np.bool_]"

    def only(self, keep: "NDArray[np.bool_]") -> "_Task":
        labels = [label for label, kept in zip(self.labels, keep, strict=True) if kept]
        return _Task(self.vectors[keep], labels, self.queries[keep], self.gallery[keep])


@reports_errors
def retrieval(
    by: ByOption = "artist",
    k: Annotated[
        list[int] | None,
        typer.Option(
            "-k",
            min=1,
            help="Cut-off of P, mAP and R; may be repeated.  "
            "[default: 1 and 10; with --split 1, 10 and 100]",
            show_default=False,
        ),
    ] = None,
    split: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="CSV or Parquet with the columns path and split (query or gallery), instead of "
            "every work asking all others.",
            show_default=False,
        ),
    ] = None,
    without_copies: Annotated[
        bool, typer.Option("--exclude-copies", help="First drop near-identical works.")
    ] = False,
    min_works: Annotated[
        int, typer.Option(min=1, help="Name as hardest only those with so many queries.")
    ] = 5,
    top: TopOption = 10,
    plot: PlotOption = None,
    table: CsvOption = None,
    where: WhereOption = None,
    exclude: NotOption = None,
    index: IndexOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Measure how often the nearest works are by the same artist; the plot shows who is mistaken.

    Example: `paint-search eval retrieval --exclude-copies --csv artists.csv`
    """
    from paint_search.eval.inputs import plain
    from paint_search.eval.neighbours import exclude_copies
    from paint_search.eval.retrieval import retrieval as score
    from paint_search.index.index import Index

    output = Output(as_json=as_json, quiet=quiet)
    check_outputs(plot, table)
    with Index.open(index) as collection:
        works = read_works(collection, by, where, exclude)
        task = _task(works, _read_split(split, collection.root, works) if split else None)
    output.note(works.describe())
    copies = 0
    if without_copies:
        found = exclude_copies(task.vectors)
        task, copies = task.only(found.keep), len(found.keep) - int(found.keep.sum())
        output.note(f"{copies:,} near-identical works left out")
    cuts = k or ((1, 10, 100) if split else (1, 10))
    result = score(task.vectors, task.labels, ks=cuts, queries=task.queries, gallery=task.gallery)
    figures = _figures(result, task, csd=split is not None)
    intervals = {name: result.interval(name) for name in result.per_query()}
    output.json(
        {"by": by, "copies_left_out": copies}
        | result.to_dict()
        | {
            "summary": figures,
            "intervals": {name: list(map(plain, ends)) for name, ends in intervals.items()},
        }
    )
    _print(output, result, figures, intervals, by)
    _print_labels(output, result, by, top, min_works)
    if table:
        write_csv(table, _columns(result, by), (vars(row).values() for row in result.per_label()))
        output.note(f"wrote {table}")
    if plot:
        write_plot(plot, _heat_map(result, task, by))
        output.note(f"wrote {plot}")


def _read_split(file: Path, root: Path, works: Works) -> list[str | None]:
    """Return the part of each work: query, gallery, or None where the file does not name it."""
    from paint_search.indexer.corpus.labels import TableLabels
    from paint_search.indexer.corpus.table import LabelTable

    if not file.is_file():
        raise UsageError(f"there is no split file {file}")
    with LabelTable(file) as table:
        source = TableLabels(table, root)
        parts = [
            source.labels(painting.path, location).get("split")
            for painting, location in zip(works.paintings, works.files, strict=True)
        ]
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


def _task(works: Works, parts: Sequence[str | None] | None) -> _Task:
    import numpy as np

    if parts is None:
        everyone = np.ones(len(works.labels), dtype=np.bool_)
        return _Task(works.vectors, works.labels, everyone, everyone)
    queries, gallery = (np.array([part == name for part in parts]) for name in _PARTS)
    return _Task(works.vectors, works.labels, queries, gallery).only(queries | gallery)


def _figures(result: "Retrieval", task: _Task, *, csd: bool) -> dict[str, float]:
    """Return each figure by its name, and P@1 of works picked at random."""
    import numpy as np

    from paint_search.eval.auc import same_label_auc

    labelled = np.array([label is not None for label in task.labels])
    others = int((labelled & task.gallery).sum()) - task.gallery[result.queries]
    figures = result.summary() | {"P@1 by chance": float((result.relevant / others).mean())}
    if csd:
        means = result.rank_precision.mean(axis=0).tolist()
        figures |= {f"CSD mAP@{k}": mean for k, mean in zip(result.ks, means, strict=True)}
    if len(result.groups.names) > 1:
        figures["AUC"] = same_label_auc(task.vectors, task.labels)
    return figures


def _print(
    output: Output,
    result: "Retrieval",
    figures: dict[str, float],
    intervals: dict[str, tuple[float, float]],
    by: str,
) -> None:
    output.table(
        ["figure", ">value", "95 % interval"],
        [
            [name, f"{value:.3f}", interval(*intervals[name]) if name in intervals else ""]
            for name, value in figures.items()
        ],
    )
    lonely = f"; {result.lonely:,} had no other work to find" if result.lonely else ""
    output.note(f"over {len(result.queries):,} queries{lonely}")
    output.note(_MEANING.format(by=by, plural=plural(by)))
    if any(name.startswith("CSD") for name in figures):
        output.note(_CSD_MEANING)


def _print_labels(output: Output, result: "Retrieval", by: str, top: int, least: int) -> None:
    output.line(f"\nthe hardest {plural(by)} of {least} or more queries")
    first, *others = _columns(result, by)
    output.table(
        [first, *(f">{name}" for name in others)],
        [
            [row.label, f"{row.queries:,}"]
            + [f"{value:.3f}" for value in (row.p_at_1, row.ap, row.hit, row.r_precision)]
            for row in result.hardest(top, least)
        ],
    )
    output.line("\nwho is taken for whom, by the nearest work")
    output.table(
        [by, "taken for", ">works", ">share"],
        [
            [row.label, row.taken_for, f"{row.count:,}", f"{row.share:.0%}"]
            for row in result.confusions()[:top]
        ],
    )


def _columns(result: "Retrieval", by: str) -> tuple[str, ...]:
    last = result.ks[-1]
    return by, "queries", "P@1", f"mAP@{last}", f"R@{last}", "R-precision"


def _heat_map(result: "Retrieval", task: _Task, by: str) -> "Figure":
    """Draw which share of each label's queries is taken for each label, its own included."""
    import numpy as np

    from paint_search.eval.clusters import centroids, hierarchy
    from paint_search.report import heat_map_figure

    names, centres = centroids(task.vectors, task.labels)
    codes = result.groups.codes
    counts = np.zeros((len(names), len(names)))
    np.add.at(counts, (codes[result.queries], codes[result.nearest]), 1)
    asked = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, asked, out=np.full_like(counts, np.nan), where=asked > 0)
    tree = hierarchy(centres, names)
    title = f"Which {by} (column) the works of each {by} (row) are taken for"
    return heat_map_figure(shares, names, tree.linkage, title, "share of the queries")
