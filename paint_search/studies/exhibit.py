"""What the map and the report show: works with their fields, pictures, the page to explore.

An index goes in once; everything here is read from it before it is closed again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from paint_search.eval import Neighbours, Projection, neighbours
from paint_search.studies.result import Report, counting
from paint_search.studies.works import Works

if TYPE_CHECKING:
    from PIL import Image

_NEIGHBOURS = 8


@dataclass(frozen=True, eq=False)
class Exhibit:
    """The n works to show, and what of them the pages need."""

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
    def nearest(self) -> Neighbours:
        """The nearest works of each."""
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

    @contextmanager
    def thumbnails(self, report: Report) -> Iterator[Callable[[int], Image.Image]]:
        """Decode thumbnails as large as the page shows them, beside other work."""
        from paint_search.indexer.images.thumbnails import decoding
        from paint_search.report import thumbnail_side

        files = self.works.files
        size = thumbnail_side(len(files))
        with decoding(files, size, counting(report, "pictures", len(files))) as picture:
            yield picture

    def write_page(
        self,
        out: Path,
        views: Sequence[Projection],
        picture: Callable[[int], Image.Image],
        start: str,
        served: bool = False,
    ) -> None:
        """Write the page to explore, coloured by the field ``start`` at first; see `Maps`."""
        from paint_search.report import MapPaintings, write_map_page

        shown = MapPaintings(
            titles=self.titles,
            artists=[painting.artist or "" for painting in self.works.paintings],
            thumbnail=picture,
            neighbours=self.nearest.indices,
            scores=self.nearest.scores,
            fields={name: column for name, column in self.columns.items() if name != "artist"},
            start=start,
            links=[f"/works/{one.id}" for one in self.works.paintings] if served else None,
        )
        manifest = self.works.manifest
        backbone, made = manifest.backbone, manifest.created[:10]
        note = (
            f"Made by paint-search with the backbone {backbone.name} ({backbone.dimension:,} "
            f"numbers a painting); indexed {made}."
        )
        write_map_page(out, views, shown, heading=self.works.root.name, note=note)
