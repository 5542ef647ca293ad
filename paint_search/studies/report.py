"""Everything there is to say of a collection, as a page to be sent, and the map beside it."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from paint_search.errors import EvalError
from paint_search.eval import Projection, project
from paint_search.studies.exhibit import Exhibit
from paint_search.studies.result import PAGES, Report, check_file, counting
from paint_search.studies.works import AnIndex, Exclude, Where, read_works, reading

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from paint_search.index.manifest import Manifest

_SHOWN = 280  # pixels of a picture in the report, twice what it takes on the screen
_HASH_DIGITS = 16  # of a look; the others are its mean colour
_MEASURED_WITH = ("numpy", "scipy", "scikit-learn", "umap-learn", "matplotlib")


@dataclass(frozen=True)
class Written:
    """What was written: the report, then the map if there is one, and of how many works."""

    files: list[Path]
    paintings: int
    labels: int

    def to_dict(self) -> dict[str, Any]:
        """Return the same as JSON can carry it."""
        return vars(self) | {"files": [str(file) for file in self.files]}


def report(
    index: AnIndex,
    out: str | Path,
    by: str = "artist",
    *,
    where: Where = None,
    exclude: Exclude = None,
    progress: Report = lambda words, progress: None,
) -> Written:
    """Write a report on the collection into ``out``, and beside it OUT-map.html, to explore.

    Raises:
        UsageError: an unknown field, or a page that cannot be written.
    """
    from paint_search.indexer.images.thumbnails import thumbnail
    from paint_search.report import SECTIONS, ReportPage, write_report

    out = Path(out)
    check_file(out, PAGES)
    with reading(index) as source:
        # Unlike the studies, a report has words for none at all.
        works = read_works(source, by, where, exclude, need_artists=False, may_be_empty=True)
        skipped = source.skipped()
    exhibit = Exhibit(works)
    page = out.with_name(f"{out.stem}-map.html")
    views, hashes = _show(exhibit, page, progress)
    titles = exhibit.titles
    if by != "artist":
        artists = [work.artist for work in works.paintings]
        named = zip(artists, titles, strict=True)
        titles = [f"{artist}: {title}" if artist else title for artist, title in named]
    described = ReportPage(
        name=works.root.name,
        one=by,
        many=works.many,
        vectors=works.vectors,
        labels=works.labels,
        titles=titles,
        names=exhibit.names,
        fields={name: column for name, column in exhibit.columns.items() if name != by},
        hashes=hashes,
        nearest=exhibit.nearest if len(works.files) > 1 else None,
        projection=views[0] if views else None,
        coloured_by=exhibit.telling_field,
        map_address=page.name if views else "",
        picture=lambda row: thumbnail(works.files[row], _SHOWN),
        skipped=skipped,
        made=_making(works.manifest),
    )
    done = counting(progress, "sections", len(SECTIONS))
    write_report(out, described, f"{date.today():%d %B %Y}", done)
    return Written([out, page] if views else [out], len(works.files), len(works.names))


def _show(
    exhibit: Exhibit, page: Path, progress: Report
) -> tuple[list[Projection], NDArray[np.uint64]]:
    """Write the page to explore; return its views, none where no map can be made, and the hashes.

    Hashes are of the thumbnails, which are decoded anyway.
    """
    from paint_search.indexer.images.perceptual_hash import look

    works = exhibit.works
    views: list[Projection] = []
    with exhibit.thumbnails(progress) as picture:
        with suppress(EvalError):  # the report says in its place that there is no map
            views = [project(works.vectors, "umap"), project(works.vectors, "pca")]
            exhibit.write_page(page, views, picture, exhibit.telling_field)
        looks = [look(np.asarray(picture(row))) for row in range(len(works.files))]
    hashes = [int(seen[:_HASH_DIGITS], 16) for seen in looks]
    return views, np.array(hashes, dtype=np.uint64)


def _making(manifest: Manifest) -> list[tuple[str, str]]:
    """Return how the index and the figures came about, line by line."""
    from importlib.metadata import version

    backbone, background = manifest.backbone, manifest.background
    return [
        ("model", f"{backbone.name}, {backbone.dimension:,} numbers a painting"),
        ("weights", f"{backbone.weights} (SHA-256 {backbone.fingerprint[:16]}...)"),
        ("pictures as the model sees them", backbone.preprocessing.describe()),
        ("engine", manifest.engine.describe() if manifest.engine else "a formula"),
        ("indexed", f"{manifest.created}, with paint-search {manifest.made_with}"),
        ("reported", f"{date.today().isoformat()}, with paint-search {version('paint-search')}"),
        ("measured with", ", ".join(f"{name} {version(name)}" for name in _MEASURED_WITH)),
        ("usual likeness", background.describe() if background else "too few labels to say"),
    ]
