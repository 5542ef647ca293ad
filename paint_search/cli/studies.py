"""``paint-search eval``: the studies of an index, one command each."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, cast

import typer

from paint_search.cli.output import (
    Exit,
    IndexOption,
    JsonOption,
    NotOption,
    Output,
    QuietOption,
    WhereOption,
    reports_errors,
    shows_steps,
)
from paint_search.errors import CompressError

if TYPE_CHECKING:
    from collections.abc import Callable

    from paint_search.studies import Classified, Compression
    from paint_search.studies.result import Result

R = TypeVar("R", bound="Result")

ByOption = Annotated[
    str, typer.Option(metavar="FIELD", help="Label that groups the works: artist, movement, ...")
]
TopOption = Annotated[int, typer.Option(min=1, help="How many rows each list shows.")]
MinWorksOption = Annotated[
    int, typer.Option(min=1, help="Leave out artists, movements, ... of fewer works.")
]
SeveralWorksOption = Annotated[
    int, typer.Option(min=2, help="Leave out artists, movements, ... of fewer works.")
]
PairOption = Annotated[
    tuple[str, str] | None,
    typer.Option(metavar="A B", help="Say how these two compare.", show_default=False),
]
FeaturesOption = Annotated[
    str | None,
    typer.Option(
        metavar="A,B,...",
        help="Only these features, of an index made with --backbone ink; two are drawn as a plane.",
        show_default=False,
    ),
]
PlotOption = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Draw a figure, as .png or .svg.", show_default=False),
]
CsvOption = Annotated[
    Path | None,
    typer.Option("--csv", metavar="FILE", help="Write all the numbers as CSV.", show_default=False),
]

studies = typer.Typer(
    name="eval",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="Study an index: who is like whom, what belongs together, how well it is told apart.",
)


@dataclass(frozen=True)
class _Run:
    """What all studies take: files to leave, conditions, where the index is, how to speak."""

    plot: Path | None
    table: Path | None
    where: list[str] | None
    exclude: list[str] | None
    index: Path | None
    output: Output
    page: Path | None = None

    def ask(self, study: "Callable[..., R]", *asked: Any, **options: Any) -> R:
        """Ask a study of the works that meet the conditions."""
        from paint_search.search.filters import parse_filter

        self.check()
        where = parse_filter(self.where or (), self.exclude or ())
        return study(self.index, *asked, where=where, note=self.output.note, **options)

    def check(self) -> None:
        """Refuse files that cannot be written, before the work and not after."""
        from paint_search.studies.result import FIGURES, PAGES, check_file

        for file, kinds in ((self.plot, FIGURES), (self.table, ()), (self.page, PAGES)):
            check_file(file, kinds)

    def show(self, result: "Result") -> None:
        """Print a result, and write its table, its figure and its page."""
        self.output.json(result.to_dict())
        self.output.show(result.describe())
        for file, write in ((self.table, result.write_csv), (self.plot, result.plot)):
            if file:
                write(file)
                self.output.note(f"wrote {file}")
        if self.page:
            with shows_steps(self.output, "pictures") as report:
                cast("Classified | Compression", result).write_page(self.page, report)
            self.output.note(f"wrote {self.page}")


@studies.command()
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
    from paint_search.studies import artists as study

    run = _Run(plot, table, where, exclude, index, Output(as_json=as_json, quiet=quiet))
    run.show(run.ask(study, by, min_works=min_works, pair=pair, nearest=nearest, top=top))


@studies.command()
@reports_errors
def clusters(
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
            show_default=False,
        ),
    ] = None,
    height: Annotated[
        float | None,
        typer.Option(help="Cut the tree at this height instead.", show_default=False),
    ] = None,
    against: Annotated[
        str | None,
        typer.Option(
            metavar="FIELD",
            help="Label to compare the clusters with.  [default: movement, where known]",
            show_default=False,
        ),
    ] = None,
    features: FeaturesOption = None,
    min_works: MinWorksOption = 1,
    plot: PlotOption = None,
    table: CsvOption = None,
    where: WhereOption = None,
    exclude: NotOption = None,
    index: IndexOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Cluster artists, or paintings, by likeness; the plot is a dendrogram.

    Of two --features it is their plane, with the k-means clusters.
    Example: `paint-search eval clusters -k 10 --min-works 20 --plot tree.svg`
    """
    from paint_search.studies import clusters as study

    run = _Run(plot, table, where, exclude, index, Output(as_json=as_json, quiet=quiet))
    run.show(
        run.ask(
            study,
            by,
            min_works=min_works,
            linkage=linkage,
            k=k,
            height=height,
            against=against,
            features=_names(features),
        )
    )


@studies.command()
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
    min_works: SeveralWorksOption = 5,
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
    from paint_search.studies import silhouette as study

    run = _Run(plot, table, where, exclude, index, Output(as_json=as_json, quiet=quiet))
    run.show(run.ask(study, by, min_works=min_works, pair=pair, vectors=vectors, top=top))


@studies.command()
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
    from paint_search.studies import retrieval as study

    run = _Run(plot, table, where, exclude, index, Output(as_json=as_json, quiet=quiet))
    run.show(
        run.ask(
            study,
            by,
            k=k,
            split=split,
            exclude_copies=without_copies,
            min_works=min_works,
            top=top,
        )
    )


@studies.command()
@reports_errors
def compression(
    method: Annotated[
        list[str] | None,
        typer.Option(
            help="pca, autoencoder, convolutional; may be repeated. pca is always measured.  "
            "[default: pca and autoencoder]",
            show_default=False,
        ),
    ] = None,
    dims: Annotated[
        list[int] | None,
        typer.Option(
            min=1,
            help="Numbers of a compressed vector; may be repeated.  [default: 64, 128, 256, 320]",
            show_default=False,
        ),
    ] = None,
    by: ByOption = "artist",
    min_works: SeveralWorksOption = 5,
    seed: Annotated[
        int | None,
        typer.Option(
            help="Deals out which paintings are held out, and fits.  "
            "[default: that of the index's compressor, else 0]",
            show_default=False,
        ),
    ] = None,
    plot: PlotOption = None,
    table: CsvOption = None,
    page: Annotated[
        Path | None,
        typer.Option(
            "--html",
            metavar="FILE",
            help="Write a page of the paintings whose neighbours changed most.",
            show_default=False,
        ),
    ] = None,
    where: WhereOption = None,
    exclude: NotOption = None,
    index: IndexOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> Exit:
    """Measure what compressing the vectors keeps, on paintings that took no part in fitting.

    Example: `paint-search eval compression --dims 64 --dims 128 --html changed.html`
    """
    from paint_search.studies import compression as study
    from paint_search.studies.compression import METHODS

    output = Output(as_json=as_json, quiet=quiet)
    run = _Run(plot, table, where, exclude, index, output, page)
    so_far: list[Compression] = []

    def finished(result: "Compression") -> None:
        # Written after each compressor, so that a kill loses none that is finished.
        so_far[:] = [result]
        if table:
            result.write_csv(table)

    stopped = False
    try:
        with shows_steps(output) as report:
            so_far[:] = [
                run.ask(
                    study,
                    by,
                    min_works=min_works,
                    method=method or METHODS,
                    dims=dims,
                    seed=seed,
                    report=report,
                    finished=finished,
                )
            ]
    except KeyboardInterrupt:
        stopped = True
    for result in so_far:
        run.show(result)
        if result.failed and not (stopped or as_json):
            raise CompressError(result.failures)
    if stopped:
        return Exit.INTERRUPTED
    return Exit.FAILED if any(result.failed for result in so_far) else Exit.DONE


@studies.command()
@reports_errors
def classify(
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
    plot: PlotOption = None,
    table: CsvOption = None,
    html: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Write a page of what was told wrongly.", show_default=False
        ),
    ] = None,
    where: WhereOption = None,
    exclude: NotOption = None,
    index: IndexOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Learn to tell a label on most works, test it on the others, and say how sure it is.

    The plot and the CSV are the confusion matrix; beside it the regions of two --features, or the
    learning curve of a net.
    Example: `paint-search eval classify --label movement --model logistic --html errors.html`
    """
    from paint_search.studies import classify as study

    output = Output(as_json=as_json, quiet=quiet)
    run = _Run(plot, table, where, exclude, index, output, html)
    with shows_steps(output) as report:
        result = run.ask(
            study,
            label,
            min_works=min_works,
            model=model,
            features=_names(features),
            test=test,
            coverage=coverage,
            seed=seed,
            report=report,
        )
    run.show(result)


@studies.command()
@reports_errors
def verify(
    seed: Annotated[int, typer.Option(help="Of the pairs, the folds and the intervals.")] = 0,
    top: TopOption = 10,
    plot: PlotOption = None,
    table: CsvOption = None,
    index: IndexOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Measure how well `paint-search verify` tells; the plot is a reliability diagram.

    Half of the pairs are by one artist, and every artist is drawn alike often.

    Example: `paint-search eval verify --plot reliability.png --csv artists.csv`
    """
    from paint_search.studies import verify as study

    run = _Run(plot, table, None, None, index, Output(as_json=as_json, quiet=quiet))
    run.check()
    run.show(study(index, seed=seed, top=top))


def _names(features: str | None) -> list[str] | None:
    return None if features is None else features.split(",")
