"""The paintings laid out by likeness: a page to explore, a figure to print, and coordinates."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from paint_search.errors import UsageError, argument, readable
from paint_search.eval import METHOD_NAMES, Method, Projection, project
from paint_search.files import COORDINATES, PAGES, replacing
from paint_search.report.tables import Part, Remark, Table
from paint_search.studies.exhibit import Exhibit
from paint_search.studies.result import Report, Result, check_file
from paint_search.studies.works import AnIndex, Exclude, Where, read_works

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, eq=False)
class Maps(Result):
    """The works in one or more views."""

    exhibit: Exhibit  #: the works, and what is known of them
    views: Sequence[Projection]  #: their coordinates, and how far these can be believed
    by: str  #: the field that colours them at first

    def to_dict(self) -> dict[str, Any]:
        """Return what is to be known of each view; the coordinates are in the table."""
        return {"views": [view.to_dict() for view in self.views]}

    def table(self) -> Table:
        """Return one row a painting: its path and labels, then each axis of each view."""
        columns = self._columns()
        return Table(list(columns), list(zip(*columns.values(), strict=True)))

    def figure(self) -> Figure:
        """Draw the first view, coloured by the field."""
        from paint_search.report import group_values, scatter_figure

        groups = group_values(self.by, self.exhibit.columns[self.by])
        title = f"{readable(self.exhibit.works.root.name)} by {self.by}, {self.views[0].name}"
        return scatter_figure(self.views[0], groups, title, self.exhibit.names)

    def describe(self) -> Iterator[Part]:
        """Yield how far each view can be believed."""
        yield Table(
            ["view", ">variance shown", ">trustworthiness", ">measured on"],
            [
                (
                    view.name,
                    f"{sum(shares):.1%}" if (shares := view.explained_variance_ratio) else "",
                    view.trustworthiness,
                    f"{view.trust_sample:,} paintings",
                )
                for view in self.views
            ],
        )
        yield Remark(
            "trustworthiness: how many neighbours on the map are neighbours to the model; 1 is "
            "all, about 0.5 is chance."
        )

    def write_page(
        self,
        file: str | Path,
        report: Report = lambda words, progress: None,
        *,
        served: bool = False,
    ) -> None:
        """Write the page to explore, with all views and thumbnails; it opens anywhere.

        One that is ``served`` leads to the pages of the paintings on its server.

        Raises:
            UsageError: no name of a page, or no folder to write it into.
        """
        check_file(file, PAGES)
        with self.exhibit.thumbnails(report) as picture:
            self.exhibit.write_page(Path(file), self.views, picture, self.by, served)

    def write_coordinates(self, file: str | Path) -> None:
        """Write the table, as CSV or Parquet by the suffix.

        Raises:
            UsageError: another suffix, or no folder to write it into.
        """
        check_file(file, COORDINATES)
        if Path(file).suffix.lower() == ".csv":
            self.write_csv(file)
            return
        import pyarrow as pa
        import pyarrow.parquet as pq

        from paint_search.index.export import one_type_each

        with replacing(Path(file)) as fresh, fresh.open("wb") as stream:
            pq.write_table(pa.table(one_type_each(self._columns())), stream)

    def _columns(self) -> dict[str, Sequence[Any]]:
        paintings = self.exhibit.works.paintings
        columns: dict[str, Sequence[Any]] = {
            "path": [painting.path for painting in paintings],
            "title": [painting.title for painting in paintings],
            **self.exhibit.columns,
        }
        for view in self.views:
            for axis in range(view.dims):
                name = f"{view.method}_{view.dims}d_{axis + 1}"
                columns[name] = view.coordinates[:, axis].tolist()
        return columns


def maps(
    index: AnIndex,
    by: str | None = None,
    *,
    where: Where = None,
    exclude: Exclude = None,
    method: Sequence[Method] = ("umap",),
    dims: Sequence[Literal[2, 3]] = (2,),
    seed: int = 0,
) -> Maps:
    """Lay the paintings out by likeness, once for each method and number of dimensions.

    The field ``by`` colours them, by default one of few values; ``method`` are of umap, pca and
    tsne, ``dims`` of 2 and 3.

    Raises:
        UsageError: an unknown method or field, or no work.
        EvalError: fewer than three works.
    """
    for name in method:
        if name not in METHOD_NAMES:
            raise UsageError(f"{argument('method', name)}: use {' or '.join(METHOD_NAMES)}")
    works = read_works(index, "path", where, exclude)
    exhibit = Exhibit(works)
    field = by or exhibit.telling_field
    if field not in exhibit.columns:
        known = ", ".join(exhibit.columns)
        raise UsageError(f"no painting here has a field {field!r} to colour by; choose {known}")
    ways = [(name, size) for name in dict.fromkeys(method) for size in dict.fromkeys(dims)]
    views = [project(works.vectors, name, size, seed) for name, size in ways]
    return Maps(exhibit, views, field)
