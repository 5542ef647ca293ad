"""``eval artists``: who paints like whom, as a sentence, a list, a heat map or a table."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

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
    MinWorksOption,
    PairOption,
    PlotOption,
    TopOption,
    Works,
    check_outputs,
    interval,
    plural,
    ranked_pairs,
    read_works,
    write_csv,
    write_plot,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from paint_search.eval.artists import ArtistPair, ArtistSimilarity

_COLUMNS = ("a", "b", "works_a", "works_b", "rank", "score", "low", "high", "centroid", "csls")


@reports_errors
def artists(
    by: ByOption = "artist",
    pair: PairOption = None,
    nearest: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="List who paints most like one.", show_default=False),
    ] = None,
    min_works: MinWorksOption = 1,
    top: TopOption = 10,
    plot: PlotOption = None,
    table: CsvOption = None,
    where: WhereOption = None,
    exclude: NotOption = None,
    index: IndexOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Compare every two artists by the likeness of their works; the plot is a heat map.

    Example: `paint-search eval artists --pair "Georges Braque" "Pablo Picasso"`
    """
    from paint_search.eval.artists import artist_similarity
    from paint_search.index.index import Index

    output = Output(as_json=as_json, quiet=quiet)
    check_outputs(plot, table)
    with Index.open(index) as collection:
        works = read_works(collection, by, where, exclude, min_works)
    if pair:
        works.check_pair(pair)
    if nearest:
        works.check(nearest)
    similarity = artist_similarity(works.vectors, works.labels)
    output.note(works.describe())
    if pair:
        compared = similarity.pair(*pair)
        output.json(_pair_dict(compared, works))
        output.line(_sentence(compared, similarity, works))
    elif nearest:
        likest = similarity.nearest(nearest, top)
        output.json({"nearest": [_pair_dict(compared, works) for compared in likest]})
        _print_nearest(output, likest, works)
    else:
        _print_overview(output, similarity, works, top)
    if table:
        write_csv(table, _COLUMNS, _rows(similarity))
        output.note(f"wrote {table}")
    if plot:
        write_plot(plot, _heat_map(similarity, works))
        output.note(f"wrote {plot}")


def _sentence(pair: "ArtistPair", similarity: "ArtistSimilarity", works: Works) -> str:
    counts = [similarity.groups.counts[similarity.groups.code(name)] for name in (pair.a, pair.b)]
    ends = interval(pair.low, pair.high)
    certainty = f"95 % interval {ends}" if ends else "no interval with a single work"
    return (
        f"{pair.a} ({_works(counts[0])}) and {pair.b} ({_works(counts[1])}) score "
        f"{pair.score:.3f} ({certainty}), rank {pair.rank:,} of {pair.pairs:,} pairs from the "
        f"most alike down; their two closest works, at {pair.closest:.3f}, are "
        f"{works.name(pair.work_a)} and {works.name(pair.work_b)}."
    )


def _works(count: int) -> str:
    return "1 work" if count == 1 else f"{count:,} works"


def _print_nearest(output: Output, pairs: "list[ArtistPair]", works: Works) -> None:
    output.table(
        [">rank", works.by, ">score", "95 % interval", ">CSLS", "closest works"],
        [
            [
                str(rank),
                pair.b,
                f"{pair.score:.3f}",
                interval(pair.low, pair.high),
                f"{pair.csls:+.3f}",
                f"{works.name(pair.work_a)} and {works.name(pair.work_b)}",
            ]
            for rank, pair in enumerate(pairs, start=1)
        ],
    )
    output.note(_MEANING)


def _print_overview(output: Output, similarity: "ArtistSimilarity", works: Works, top: int) -> None:
    named = {"closest": similarity.closest(top), "farthest": similarity.farthest(top)}
    output.json(
        similarity.to_dict()
        | {key: [_pair_dict(pair, works) for pair in pairs] for key, pairs in named.items()}
    )
    output.line(_background(similarity, works.by))
    if not named["closest"]:
        return
    for key, pairs in named.items():
        output.line(f"\nthe {key} pairs of {plural(works.by)}")
        output.table(
            ["", "", ">score", "95 % interval", ">centroids", ">CSLS"],
            [
                [
                    pair.a,
                    pair.b,
                    f"{pair.score:.3f}",
                    interval(pair.low, pair.high),
                    f"{pair.centroid:.3f}",
                    f"{pair.csls:+.3f}",
                ]
                for pair in pairs
            ],
        )
    output.note(_MEANING)


def _background(similarity: "ArtistSimilarity", by: str) -> str:
    """Say what a label's works score among each other and against those of another label."""
    import numpy as np

    within = similarity.mean.diagonal()
    across = similarity.mean[np.triu_indices(len(within), 1)]
    figures = [
        f"{name} {np.nanmean(scores):.3f} on average"
        for name, scores in ((f"of one {by}", within), (f"of two {plural(by)}", across))
        if np.isfinite(scores).any()
    ]
    return f"two works {', '.join(figures)}" if figures else f"a single work of a single {by}"


_MEANING = (
    "score: mean cosine over all pairs of works across the two. centroids: cosine between the two "
    "mean works. CSLS: the score less what both score with their ten nearest, so that nobody is "
    "close to everyone."
)


def _heat_map(similarity: "ArtistSimilarity", works: Works) -> "Figure":
    from paint_search.eval.clusters import centroids, hierarchy
    from paint_search.report import heat_map_figure

    names, centres = centroids(works.vectors, works.labels)
    tree = hierarchy(centres, names)
    title = f"How alike {len(names):,} {plural(works.by)} paint"
    return heat_map_figure(
        similarity.mean, names, tree.linkage, title, "mean cosine over pairs of works"
    )


def _rows(similarity: "ArtistSimilarity") -> Iterator[list[object]]:
    """Yield one row a pair, the most alike first, then one row a label: its score with itself."""
    names, counts = similarity.groups.names, similarity.groups.counts
    matrices = (
        similarity.mean,
        similarity.low,
        similarity.high,
        similarity.centroid,
        similarity.csls,
    )
    own = ((i, i, None) for i in range(len(names)))
    for i, j, rank in (*ranked_pairs(similarity.mean), *own):
        yield [names[i], names[j], counts[i], counts[j], rank, *(m[i, j] for m in matrices)]


def _pair_dict(pair: "ArtistPair", works: Works) -> dict[str, Any]:
    return pair.to_dict() | {
        "work_a": works.paintings[pair.work_a].to_dict(),
        "work_b": works.paintings[pair.work_b].to_dict(),
    }
