"""``map`` and ``report``: the paintings as a page to explore, and as a page to be sent."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, cast

import typer

from paint_search.cli.output import (
    IndexOption,
    JsonOption,
    NotOption,
    Output,
    QuietOption,
    WhereOption,
    reports_errors,
    shows_steps,
)

if TYPE_CHECKING:
    from paint_search.eval import Method


@reports_errors
def map_paintings(
    out: Annotated[Path, typer.Argument(metavar="OUT.html", help="The page to write.")],
    method: Annotated[
        list[str] | None,
        typer.Option(
            help="umap, pca or tsne; several make several views.  [default: umap]",
            show_default=False,
        ),
    ] = None,
    dims: Annotated[
        list[int] | None,
        typer.Option(
            min=2, max=3, help="2 or 3; both make two views each.  [default: 2]", show_default=False
        ),
    ] = None,
    by: Annotated[
        str | None,
        typer.Option(
            metavar="FIELD",
            help="Colour by this field at first.  [default: one of few values]",
            show_default=False,
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of every random choice.")] = 0,
    plot: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Draw a figure, as .png or .svg.", show_default=False),
    ] = None,
    coordinates: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Write the coordinates, as .csv or .parquet.", show_default=False
        ),
    ] = None,
    where: WhereOption = None,
    exclude: NotOption = None,
    index: IndexOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Lay the paintings out by likeness, on a page that opens anywhere; the plot is its first view.

    Example: `paint-search map map.html --method umap --method pca --by movement`
    """
    from paint_search.search.filters import parse_filter
    from paint_search.studies import maps
    from paint_search.studies.maps import TABLES
    from paint_search.studies.result import FIGURES, PAGES, check_file

    output = Output(as_json=as_json, quiet=quiet)
    for file, kinds in ((coordinates, TABLES), (out, PAGES), (plot, FIGURES)):
        check_file(file, kinds)
    result = maps(
        index,
        by,
        where=parse_filter(where or (), exclude or ()),
        method=cast("list[Method]", method or ["umap"]),
        dims=cast("list[Literal[2, 3]]", dims or [2]),
        seed=seed,
    )
    with shows_steps(output, "pictures") as report:
        result.write_page(out, report)
    output.note(f"wrote {out}")
    if plot:
        result.plot(plot)
        output.note(f"wrote {plot}")
    if coordinates:
        result.write_coordinates(coordinates)
        output.note(f"wrote {coordinates}")
    output.json({"page": str(out)} | result.to_dict())
    output.show(result.describe())


@reports_errors
def report(
    out: Annotated[Path, typer.Argument(metavar="OUT.html", help="The report to write.")],
    by: Annotated[
        str,
        typer.Option(metavar="FIELD", help="Label that groups the works: artist, movement, ..."),
    ] = "artist",
    where: WhereOption = None,
    exclude: NotOption = None,
    index: IndexOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Write a report on the collection, and beside it OUT-map.html, the map to explore.

    Both open anywhere without a network; the report stays small enough to be sent without the map.
    Example: `paint-search report report.html`
    """
    from paint_search.search.filters import parse_filter
    from paint_search.studies import report as write

    output = Output(as_json=as_json, quiet=quiet)
    with shows_steps(output) as progress:
        conditions = parse_filter(where or (), exclude or ())
        written = write(index, out, by, where=conditions, progress=progress)
    for file in written.files:
        output.note(f"wrote {file}")
    output.json(written.to_dict())
