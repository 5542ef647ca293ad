"""``eval silhouette``: how well the works of two artists, and of all, stand apart."""

from collections.abc import Iterator
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
    PairOption,
    PlotOption,
    TopOption,
    check_outputs,
    interval,
    plural,
    ranked_pairs,
    read_works,
    write_csv,
    write_plot,
)
from paint_search.errors import UsageError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from paint_search.eval.silhouette import PairSilhouette, Silhouette
    from paint_search.search.stores.base import VectorName

_MEANING = (
    "silhouette: 1 where the works of the two keep to themselves, 0 where they touch, below 0 "
    "where they mix. Pairs: over the works of these two alone, as in the compression study; "
    "overall: among all. The vectors are normalised for both distances."
)


@reports_errors
def silhouette(
    by: ByOption = "artist",
    pair: PairOption = None,
    vectors: Annotated[
        str | None,
        typer.Option(
            help="full or compact.  [default: full where the index keeps them]",
            show_default=False,
        ),
    ] = None,
    min_works: Annotated[
        int, typer.Option(min=2, help="Leave out artists, movements, ... of fewer works.")
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
    """Measure how well artists stand apart, two by two and all together.

    Example: `paint-search eval silhouette --by movement --pair Impressionism Baroque`
    """
    from paint_search.eval.silhouette import silhouettes
    from paint_search.index.index import Index

    output = Output(as_json=as_json, quiet=quiet)
    check_outputs(plot, table)
    with Index.open(index) as collection:
        works = read_works(collection, by, where, exclude, min_works, which=_kind(vectors))
    if len(works.names) < 2:
        raise UsageError(
            f"silhouettes take two {plural(by)} of at least {min_works} works (--min-works), but "
            f"here are {works.describe()}"
        )
    if pair:
        works.check_pair(pair)
    output.note(works.describe())
    cosine = silhouettes(works.vectors, works.labels, metric="cosine")
    euclidean = silhouettes(works.vectors, works.labels, metric="euclidean")
    if pair:
        _print_pair(output, pair, cosine, euclidean)
    else:
        _print_overview(output, by, top, cosine, euclidean)
    if table:
        columns = ("a", "b", "works_a", "works_b", "cosine", "low", "high", "euclidean")
        write_csv(table, columns, _rows(cosine, euclidean))
        output.note(f"wrote {table}")
    if plot:
        write_plot(plot, _figure(cosine, by))
        output.note(f"wrote {plot}")


def _kind(name: str | None) -> "VectorName | None":
    match name:
        case None | "full" | "compact":
            return name
    raise UsageError(f"unknown --vectors {name!r}: use full or compact")


def _print_pair(
    output: Output, pair: tuple[str, str], cosine: "Silhouette", euclidean: "Silhouette"
) -> None:
    results = {result.metric: result.pair(*pair) for result in (cosine, euclidean)}
    output.json({metric: vars(found) for metric, found in results.items()})
    figures = " and ".join(
        f"{found.value:.3f} with {metric} distance "
        f"(95 % interval {interval(found.low, found.high)})"
        for metric, found in zip(("cosine", "Euclidean"), results.values(), strict=True)
    )
    below = int((cosine.pair_values < results["cosine"].value).sum())
    output.line(
        f"{pair[0]} and {pair[1]} have a silhouette of {figures}; {below:,} of "
        f"{len(cosine.pair_values):,} pairs stand less apart (cosine)."
    )
    output.note(_MEANING)


def _print_overview(
    output: Output, by: str, top: int, cosine: "Silhouette", euclidean: "Silhouette"
) -> None:
    output.json({result.metric: result.to_dict() for result in (cosine, euclidean)})
    output.table(
        ["distance", ">overall", "95 % interval", ">pairs", ">below 0", ">median pair"],
        [
            [
                result.metric.replace("euclidean", "Euclidean"),
                f"{result.overall:.3f}",
                interval(*result.overall_interval),
                f"{len(result.pair_values):,}",
                f"{result.negative_pairs:,}",
                f"{result.median().value:.3f}",
            ]
            for result in (cosine, euclidean)
        ],
    )
    lists = {
        f"the pairs of {plural(by)} that stand apart best": cosine.best(top),
        f"the pairs of {plural(by)} that stand apart worst": cosine.worst(top),
        "the pair in the middle": [cosine.median()],
    }
    for words, pairs in lists.items():
        output.line(f"\n{words}")
        _print_pairs(output, pairs, euclidean)
    _print_labels(output, by, top, cosine, euclidean)
    output.note(_MEANING)


def _print_pairs(output: Output, pairs: "list[PairSilhouette]", euclidean: "Silhouette") -> None:
    output.table(
        ["", "", ">cosine", "95 % interval", ">Euclidean"],
        [
            [
                pair.a,
                pair.b,
                f"{pair.value:.3f}",
                interval(pair.low, pair.high),
                f"{euclidean.pair(pair.a, pair.b).value:.3f}",
            ]
            for pair in pairs
        ],
    )


def _print_labels(
    output: Output, by: str, top: int, cosine: "Silhouette", euclidean: "Silhouette"
) -> None:
    both = sorted(
        zip(cosine.per_label, euclidean.per_label, strict=True), key=lambda two: -two[0].value
    )
    # The middle is left out where both ends do not cover all.
    ends = both if len(both) <= 2 * top else both[:top] + both[-top:]
    kind = "" if len(ends) == len(both) else f", the {top} best and the {top} worst"
    output.line(f"\neach {by} among all{kind}")
    output.table(
        [by, ">works", ">cosine", "95 % interval", ">Euclidean"],
        [
            [
                one.label,
                f"{one.works:,}",
                f"{one.value:.3f}",
                interval(one.low, one.high),
                f"{other.value:.3f}",
            ]
            for one, other in ends
        ],
    )


def _figure(result: "Silhouette", by: str) -> "Figure":
    import numpy as np

    from paint_search.report import interval_figure

    labels = result.per_label
    return interval_figure(
        [one.label for one in labels],
        np.array([one.value for one in labels]),
        np.array([(one.low, one.high) for one in labels]),
        [one.works for one in labels],
        f"How well {len(labels):,} {plural(by)} stand apart from all others",
        "mean silhouette, cosine distance, with its 95 % interval",
    )


def _rows(cosine: "Silhouette", euclidean: "Silhouette") -> Iterator[list[object]]:
    """Yield one row a pair, the best first, then one row a label among all."""
    names, counts = cosine.names, cosine.counts
    for i, j, _ in ranked_pairs(cosine.pairs):
        figures = (
            table[i, j] for table in (cosine.pairs, cosine.low, cosine.high, euclidean.pairs)
        )
        yield [names[i], names[j], counts[i], counts[j], *figures]
    for one, other in zip(cosine.per_label, euclidean.per_label, strict=True):
        yield [one.label, None, one.works, None, one.value, one.low, one.high, other.value]
