"""``paint-search map``: the paintings as a page to explore, a figure to print, and coordinates."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

import typer

from paint_search.cli.exhibit import Exhibit, check_page, describe_view, thumbnails
from paint_search.cli.output import (
    IndexOption,
    JsonOption,
    NotOption,
    Output,
    QuietOption,
    WhereOption,
    reports_errors,
)
from paint_search.cli.study import PlotOption, check_outputs, read_works, write_csv, write_plot
from paint_search.errors import UsageError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from paint_search.eval.maps import Method, Projection

_TABLES = (".csv", ".parquet")


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
    plot: PlotOption = None,
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
    from paint_search.eval.maps import project
    from paint_search.index.index import Index

    output = Output(as_json=as_json, quiet=quiet)
    _check(method or (), out, plot, coordinates)
    methods = cast("list[Method]", list(dict.fromkeys(method or ["umap"])))
    sizes = cast("list[Literal[2, 3]]", list(dict.fromkeys(dims or [2])))
    with Index.open(index) as collection:
        works = read_works(collection, "path", where, exclude)
        exhibit = Exhibit(collection.root.name, collection.manifest, works)
    start = by or exhibit.telling_field
    if start not in exhibit.columns:
        known = ", ".join(exhibit.columns)
        raise UsageError(f"no painting here has a field {start!r} to colour by; choose {known}")
    with thumbnails(works.files, output) as picture:
        views = [project(works.vectors, one, size, seed) for one in methods for size in sizes]
        exhibit.write_page(out, views, picture, start)
    output.note(f"wrote {out}")
    if plot:
        write_plot(plot, _figure(exhibit, views[0], start))
        output.note(f"wrote {plot}")
    if coordinates:
        _write_coordinates(coordinates, exhibit, views)
        output.note(f"wrote {coordinates}")
    _print(output, out, views)


def _check(methods: Sequence[str], out: Path, plot: Path | None, coordinates: Path | None) -> None:
    """Refuse what cannot be done, before the work and not after."""
    from paint_search.eval.maps import METHOD_NAMES

    for method in methods:
        if method not in METHOD_NAMES:
            raise UsageError(f"unknown --method {method!r}: use {' or '.join(METHOD_NAMES)}")
    if coordinates is not None and coordinates.suffix.lower() not in _TABLES:
        raise UsageError(f"cannot write {coordinates}: name a .csv or .parquet file")
    check_page(out)
    check_outputs(plot, coordinates)


def _figure(exhibit: Exhibit, view: "Projection", field: str) -> "Figure":
    from paint_search.report import group_values, scatter_figure

    groups = group_values(field, exhibit.columns[field])
    title = f"{exhibit.name} by {field}, {view.name}"
    return scatter_figure(view, groups, title, exhibit.names)


def _write_coordinates(file: Path, exhibit: Exhibit, views: "Sequence[Projection]") -> None:
    """Write one row a painting: its path and labels, then a column for each axis of each view."""
    works = exhibit.works
    columns: dict[str, Sequence[Any]] = {
        "path": [painting.path for painting in works.paintings],
        "title": [painting.title for painting in works.paintings],
        **exhibit.columns,
    }
    for view in views:
        for axis in range(view.dims):
            name = f"{view.method}_{view.dims}d_{axis + 1}"
            columns[name] = view.coordinates[:, axis].tolist()
    if file.suffix.lower() == ".csv":
        write_csv(file, tuple(columns), zip(*columns.values(), strict=True))
        return
    import pyarrow as pa
    import pyarrow.parquet as pq

    fresh = file.with_name(f"{file.name}.new")
    pq.write_table(
        pa.table({name: _of_one_type(column) for name, column in columns.items()}), fresh
    )
    os.replace(fresh, file)


def _of_one_type(column: Sequence[Any]) -> Sequence[Any]:
    """Return a column as it is, or as text where its values are of several types."""
    if len({type(value) for value in column if value is not None}) < 2:
        return column
    return [None if value is None else str(value) for value in column]


def _print(output: Output, out: Path, views: "Sequence[Projection]") -> None:
    output.json({"page": out, "views": [describe_view(view) for view in views]})
    output.table(
        ["view", ">variance shown", ">trustworthiness", ">measured on"],
        [
            [
                view.name,
                f"{sum(view.explained_variance_ratio):.1%}"
                if view.explained_variance_ratio
                else "",
                f"{view.trustworthiness:.3f}",
                f"{view.trust_sample:,} paintings",
            ]
            for view in views
        ],
    )
    output.note(
        "trustworthiness: how many neighbours on the map are neighbours to the model; 1 is all, "
        "about 0.5 is chance."
    )
