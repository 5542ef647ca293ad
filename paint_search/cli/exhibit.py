"""What the map and the report share: works with their fields, pictures, the page to explore.

An index goes in once; everything here is read from it before it is closed again.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from paint_search.cli.output import Output
from paint_search.cli.study import Works, check_outputs
from paint_search.errors import UsageError

if TYPE_CHECKING:
    from PIL import Image

    from paint_search.eval.maps import Projection
    from paint_search.eval.neighbours import Neighbours
    from paint_search.index.manifest import Manifest

_NEIGHBOURS = 8


@dataclass(frozen=True)
class Exhibit:
    """The n works to show.

    Attributes:
        name: of the collection.
        manifest: of the index, which says how the vectors were made.
        works: the paintings, their files and vectors.
    """

    name: str
    manifest: "Manifest"
    works: Works

    @cached_property
    def columns(self) -> dict[str, list[Any]]:
        """What is known of the works but their titles, artist first; None where missing."""
        rows = [painting.labels() for painting in self.works.paintings]
        names = dict.fromkeys(["artist", *(name for row in rows for name in row)])
        return {name: [row.get(name) for row in rows] for name in names if name != "title"}

    @cached_property
    def titles(self) -> list[str]:
        """The title of each work, or the name of its file where that is not known."""
        return [work.title or PurePosixPath(work.path).stem for work in self.works.paintings]

    @cached_property
    def names(self) -> list[str]:
        """What to call each work where its artist does not stand beside it."""
        works = zip(self.works.paintings, self.titles, strict=True)
        return [work.title or work.artist or title for work, title in works]

    @cached_property
    def nearest(self) -> "Neighbours":
        """The nearest works of each."""
        from paint_search.eval.neighbours import neighbours

        return neighbours(self.works.vectors, _NEIGHBOURS)

    @cached_property
    def telling_field(self) -> str:
        """The first field of text of which most works have a colour of their own, else artist."""
        from paint_search.report import OTHER, group_values

        for name, values in self.columns.items():
            groups = group_values(name, values)
            own = [colour != OTHER for colour in groups.colours]
            if groups.numbers is None and 2 * groups.counts[own].sum() > len(values):
                return name
        return "artist"

    def write_page(
        self,
        out: Path,
        views: "Sequence[Projection]",
        picture: "Callable[[int], Image.Image]",
        start: str,
    ) -> None:
        """Write the page to explore, coloured by the field ``start`` at first."""
        from paint_search.report import MapPaintings, write_map_page

        shown = MapPaintings(
            titles=self.titles,
            artists=[painting.artist or "" for painting in self.works.paintings],
            thumbnail=picture,
            neighbours=self.nearest.indices,
            fields={name: column for name, column in self.columns.items() if name != "artist"},
            start=start,
        )
        backbone, made = self.manifest.backbone, self.manifest.created[:10]
        note = (
            f"Made by paint-search with the backbone {backbone.name} ({backbone.dimension:,} "
            f"numbers a painting); indexed {made}."
        )
        write_map_page(out, views, shown, heading=self.name, note=note)


def check_page(out: Path) -> None:
    """Refuse a page that cannot be written, before the work and not after.

    Raises:
        UsageError: a name that no browser takes for a page, or a folder that is not there.
    """
    if out.suffix.lower() not in (".html", ".htm"):
        raise UsageError(f"cannot write {out}: name a .html file")
    check_outputs(None, out)


@contextmanager
def thumbnails(files: Sequence[Path], output: Output) -> "Iterator[Callable[[int], Image.Image]]":
    """Decode thumbnails as large as the page shows them, beside other work; a bar on a terminal."""
    from paint_search.indexer.images.thumbnails import decoding
    from paint_search.report import thumbnail_side

    size = thumbnail_side(len(files))
    with steps(output, "pictures", len(files)) as done, decoding(files, size, done) as picture:
        yield picture


@contextmanager
def steps(output: Output, what: str, total: int | None) -> Iterator[Callable[[], None]]:
    """Draw a bar that each call moves on, on a terminal only; one without a total just beats."""
    if not output.shows_progress:
        yield lambda: None
        return
    from rich import progress as bars

    columns = (
        bars.TextColumn("{task.description}"),
        bars.BarColumn(),
        bars.MofNCompleteColumn(),
        bars.TimeElapsedColumn(),
    )
    with bars.Progress(*columns, console=output.errors, transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield lambda: bar.advance(task)


def describe_view(view: "Projection") -> Mapping[str, Any]:
    """Return what is to be known of a view, for machines."""
    return {
        "name": view.name,
        "method": view.method,
        "dims": view.dims,
        "explained_variance_ratio": view.explained_variance_ratio,
        "trustworthiness": view.trustworthiness,
        "trust_sample": view.trust_sample,
        "parameters": dict(view.parameters),
    }
