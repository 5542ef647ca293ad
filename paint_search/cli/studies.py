"""``eval``, ``map`` and ``report``: the studies of an index, one command each."""

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar, cast

import typer

import paint_search
from paint_search.cli.output import (
    ByOption,
    CsvOption,
    Exit,
    Opening,
    Output,
    PageOption,
    PlotOption,
    Works,
    Written,
    command,
    shows_steps,
)
from paint_search.errors import CompressError
from paint_search.files import COORDINATES, PAGES

if TYPE_CHECKING:
    from collections.abc import Callable

    from paint_search.eval import Method
    from paint_search.studies import Classified, Compression
    from paint_search.studies.result import Result

R = TypeVar("R", bound="Result")

TopOption = Annotated[int, typer.Option(min=1, help="How many rows each list shows.")]
MinWorksOption = Annotated[
    int, typer.Option(min=1, help="Leave out artists, movements, ... of fewer works.")
]
SeveralWorksOption = Annotated[
    int, typer.Option(min=2, help="Leave out artists, movements, ... of fewer works.")
]
PairOption = Annotated[
    tuple[str, str] | None, typer.Option(metavar="A B", help="Say how these two compare.")
]
FeaturesOption = Annotated[
    Any,
    typer.Option(
        parser=lambda names: names.split(","),
        metavar="A,B,...",
        help="Only these features, of an index made with --backbone ink; two are drawn as a plane.",
    ),
]

studies = typer.Typer(
    name="eval",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="Study an index: who is like whom, what belongs together, how well it is told apart.",
)


@dataclass(frozen=True)
class Files:
    """What a study writes."""

    plot: PlotOption = None
    table: CsvOption = None

    def show(self, result: "Result", output: Output, page: Path | None = None) -> None:
        """Print a result, and write its table, its figure and its page."""
        output.json(result.to_dict())
        output.show(result.describe())
        for file, write in ((self.table, result.write_csv), (self.plot, result.plot)):
            if file:
                write(file)
                output.note(f"wrote {file}")
        if self.plot and result.drawn and result.drawn.line:
            output.note(result.drawn.line)
        if page:
            with shows_steps(output, "pictures") as report:
                cast("Classified | Compression", result).write_page(page, report)
            output.note(f"wrote {page}")


@dataclass(frozen=True, kw_only=True)
class Asked:
    """Which works of which index a study is about, and how to speak."""

    works: Works
    index: Opening
    output: Output

    def ask(self, study: "Callable[..., R]", **options: Any) -> R:
        """Ask a study of the works that meet the conditions."""
        where = self.works.conditions
        with self.index.open() as opened:
            return study(opened, where=where, note=self.output.note, **options)


def answered(shape: "Callable[..., None]") -> None:
    """Make a command of a signature: it asks the study of that name, and shows what it found."""

    @functools.wraps(shape)
    def answer(files: Files, asked: Asked, **options: Any) -> None:
        result = asked.ask(getattr(paint_search.studies, shape.__name__), **options)
        files.show(result, asked.output)

    studies.command()(command(answer))


@answered
def artists(
    *,
    by: ByOption = "artist",
    pair: PairOption = None,
    nearest: Annotated[
        str | None, typer.Option(metavar="NAME", help="List who paints most like one.")
    ] = None,
    min_works: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Leave out artists, movements, ... of fewer works.  [default: 1; 5 in the lists "
            "of the closest and farthest pairs]",
        ),
    ] = None,
    top: TopOption = 10,
    files: Files,
    asked: Asked,
) -> None:
    """Compare every two artists by the likeness of their works.

    The plot is a heat map; with --pair or --nearest, the scores asked for with their intervals.

    Example: `paint-search eval artists --pair "Georges Braque" "Pablo Picasso"`
    """


@answered
def clusters(
    *,
    by: Annotated[
        str,
        typer.Option(
            metavar="FIELD",
            help="What is clustered: each artist's, or movement's, mean work; path for single "
            "paintings, up to 5,000.",
        ),
    ] = "artist",
    linkage: Annotated[
        str, typer.Option(help="average (cosine distance) or ward (normalised vectors).")
    ] = "average",
    k: Annotated[
        int | None,
        typer.Option(
            "-k",
            min=1,
            help="How many clusters.  [default: from 2 to 20, as k-means separates best]",
        ),
    ] = None,
    height: Annotated[
        float | None, typer.Option(help="Cut the tree at this height instead.")
    ] = None,
    against: Annotated[
        str | None,
        typer.Option(
            metavar="FIELD",
            help="Label to compare the clusters with.  [default: movement, where known]",
        ),
    ] = None,
    features: FeaturesOption = None,
    min_works: MinWorksOption = 1,
    files: Files,
    asked: Asked,
) -> None:
    """Cluster artists, or paintings, by likeness; the plot is a dendrogram.

    Of two --features it is their plane, with the k-means clusters, which are then listed too.
    Example: `paint-search eval clusters -k 10 --min-works 20 --plot tree.svg`
    """


@answered
def silhouette(
    *,
    by: ByOption = "artist",
    pair: PairOption = None,
    vectors: Annotated[
        str | None,
        typer.Option(help="full or compact.  [default: full where the index keeps them]"),
    ] = None,
    min_works: SeveralWorksOption = 5,
    top: TopOption = 10,
    files: Files,
    asked: Asked,
) -> None:
    """Measure how well artists stand apart, two by two and all together.

    The plot is of each artist's silhouette; with --pair, of each work of the two.

    Example: `paint-search eval silhouette --by movement --pair Impressionism Baroque`
    """


@answered
def retrieval(
    *,
    by: ByOption = "artist",
    k: Annotated[
        list[int] | None,
        typer.Option(
            "-k",
            min=1,
            help="Cut-off of P, mAP and R; may be repeated.  "
            "[default: 1 and 10; with --split 1, 10 and 100]",
        ),
    ] = None,
    split: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="CSV or Parquet with the columns path and split (query or gallery), instead of "
            "every work asking all others.",
        ),
    ] = None,
    exclude_copies: Annotated[
        bool, typer.Option("--exclude-copies", help="First drop near-identical works.")
    ] = False,
    min_works: Annotated[
        int, typer.Option(min=1, help="Name as hardest only those with so many queries.")
    ] = 5,
    top: TopOption = 10,
    files: Files,
    asked: Asked,
) -> None:
    """Measure how often the nearest works are by the same artist; the plot shows who is mistaken.

    Example: `paint-search eval retrieval --exclude-copies --csv artists.csv`
    """


@studies.command()
@command
def details(
    *,
    count: Annotated[
        int, typer.Option(min=1, help="How many details are cut, and pasted into other works.")
    ] = 500,
    k: Annotated[int, typer.Option("-k", min=1, help="How many hits count.")] = 10,
    overlap: Annotated[
        float,
        typer.Option(min=0, max=1, help="Least overlap of a box (intersection over union)."),
    ] = 0.3,
    annotations: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="JSON of marked details, as ArtMiner has them, to be looked for instead.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of what is cut, and where it is pasted.")] = 0,
    files: Files,
    asked: Asked,
) -> None:
    """Measure how often a detail is found again, after `paint-search index --details`.

    The plot is by the size that they were pasted in, or by category.

    Example: `paint-search eval details --count 200 --csv found.csv`
    """
    with shows_steps(asked.output, "details") as report:
        result = asked.ask(
            paint_search.studies.details,
            count=count,
            k=k,
            overlap=overlap,
            annotations=annotations,
            seed=seed,
            report=report,
        )
    files.show(result, asked.output)


@studies.command()
@command
def compression(
    *,
    method: Annotated[
        list[str] | None,
        typer.Option(
            help="pca, autoencoder, convolutional; may be repeated. pca is always measured.  "
            "[default: pca and autoencoder]"
        ),
    ] = None,
    dims: Annotated[
        list[int] | None,
        typer.Option(
            min=1,
            help="Numbers of a compressed vector; may be repeated.  [default: 64, 128, 256, 320]",
        ),
    ] = None,
    by: ByOption = "artist",
    min_works: SeveralWorksOption = 5,
    seed: Annotated[
        int | None,
        typer.Option(
            help="Deals out which paintings are held out, and fits.  "
            "[default: that of the index's compressor, else 0]"
        ),
    ] = None,
    files: Files,
    page: PageOption = None,
    asked: Asked,
) -> Exit:
    """Measure what compressing the vectors keeps, on paintings that took no part in fitting.

    The page shows the paintings whose neighbours changed most.

    Example: `paint-search eval compression --dims 64 --dims 128 --html changed.html`
    """
    so_far: list[Compression] = []

    def finished(result: "Compression") -> None:
        # Written after each compressor, so that a kill loses none that is finished.
        so_far[:] = [result]
        if files.table:
            result.write_csv(files.table)

    stopped = False
    try:
        with shows_steps(asked.output) as report:
            so_far[:] = [
                asked.ask(
                    paint_search.studies.compression,
                    by=by,
                    min_works=min_works,
                    method=method,
                    dims=dims,
                    seed=seed,
                    report=report,
                    finished=finished,
                )
            ]
    except KeyboardInterrupt:
        stopped = True
    for result in so_far:
        files.show(result, asked.output, page)
        if result.failed and not (stopped or asked.output.as_json):
            raise CompressError(result.failures)
    if stopped:
        return Exit.INTERRUPTED
    return Exit.FAILED if any(result.failed for result in so_far) else Exit.DONE


@studies.command()
@command
def classify(
    *,
    label: Annotated[
        str, typer.Option(metavar="FIELD", help="What is to be told: artist, movement, ...")
    ] = "artist",
    model: Annotated[
        str,
        typer.Option(
            help="knn or logistic, by the vectors of the index; cnn, a small net that learns from "
            "the image files."
        ),
    ] = "knn",
    features: FeaturesOption = None,
    test: Annotated[
        float, typer.Option(metavar="SHARE", help="Share of the works to test with.")
    ] = 0.25,
    coverage: Annotated[
        float,
        typer.Option(metavar="SHARE", help="How often a set of classes is to hold the true one."),
    ] = 0.9,
    seed: Annotated[int, typer.Option(min=0, help="Of the division of the works.")] = 0,
    min_works: Annotated[
        int, typer.Option(min=1, help="Leave out classes of fewer works; 5 are needed.")
    ] = 10,
    files: Files,
    html: PageOption = None,
    asked: Asked,
) -> None:
    """Learn to tell a label on most works, test it on the others, and say how sure it is.

    The plot and the CSV are the confusion matrix; beside it the regions of two --features, or the
    learning curve of a net. The page shows what was told wrongly.
    Example: `paint-search eval classify --label movement --model logistic --html errors.html`
    """
    with shows_steps(asked.output) as report:
        result = asked.ask(
            paint_search.studies.classify,
            by=label,
            min_works=min_works,
            model=model,
            features=features,
            test=test,
            coverage=coverage,
            seed=seed,
            report=report,
        )
    files.show(result, asked.output, html)


@studies.command()
@command
def verify(
    *,
    seed: Annotated[int, typer.Option(help="Of the pairs, the folds and the intervals.")] = 0,
    top: TopOption = 10,
    files: Files,
    index: Opening,
    output: Output,
) -> None:
    """Measure how well `paint-search verify` tells; the plot is a reliability diagram.

    Half of the pairs are by one artist, and every artist is drawn alike often.

    Example: `paint-search eval verify --plot reliability.png --csv artists.csv`
    """
    with index.open() as opened:
        result = paint_search.studies.verify(opened, seed=seed, top=top)
    files.show(result, output)


@command
def map_paintings(
    *,
    out: Annotated[
        Path, typer.Argument(metavar="OUT.html", help="The page to write."), Written(PAGES)
    ],
    method: Annotated[
        list[str] | None,
        typer.Option(help="umap, pca or tsne; several make several views.  [default: umap]"),
    ] = None,
    dims: Annotated[
        list[int] | None,
        typer.Option(min=2, max=3, help="2 or 3; both make two views each.  [default: 2]"),
    ] = None,
    by: Annotated[
        str | None,
        typer.Option(
            metavar="FIELD", help="Colour by this field at first.  [default: one of few values]"
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of every random choice.")] = 0,
    plot: PlotOption = None,
    coordinates: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write the coordinates, as .csv or .parquet."),
        Written(COORDINATES),
    ] = None,
    table: CsvOption = None,
    works: Works,
    index: Opening,
    output: Output,
) -> None:
    """Lay the paintings out by likeness, on a page that opens anywhere; the plot is its first view.

    Example: `paint-search map map.html --method umap --method pca --by movement`
    """
    with index.open() as opened:
        result = paint_search.studies.maps(
            opened,
            by,
            where=works.conditions,
            method=cast("list[Method]", method or ["umap"]),
            dims=cast("list[Literal[2, 3]]", dims or [2]),
            seed=seed,
        )
    with shows_steps(output, "pictures") as report:
        result.write_page(out, report)
    output.note(f"wrote {out}")
    for file, write in ((plot, result.plot), (coordinates, result.write_coordinates)):
        if file:
            write(file)
            output.note(f"wrote {file}")
    output.csv(table, result.to_dict()["views"])
    output.json({"page": str(out)} | result.to_dict())
    output.show(result.describe())


@command
def report(
    *,
    out: Annotated[
        Path, typer.Argument(metavar="OUT.html", help="The report to write."), Written(PAGES)
    ],
    by: ByOption = "artist",
    works: Works,
    index: Opening,
    output: Output,
) -> None:
    """Write a report on the collection, and beside it OUT-map.html, the map to explore.

    Both open anywhere without a network; the report stays small enough to be sent without the map.
    Example: `paint-search report report.html`
    """
    study = paint_search.studies.report
    with index.open() as opened, shows_steps(output) as progress:
        written = study(opened, out, by, where=works.conditions, progress=progress)
    for file in written.files:
        output.note(f"wrote {file}")
    output.json(written.to_dict())
