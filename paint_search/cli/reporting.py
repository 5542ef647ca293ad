"""``paint-search report``: everything there is to say of a collection, as a page to be sent."""

from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from paint_search.cli.exhibit import Exhibit, check_page, steps, thumbnails
from paint_search.cli.output import (
    IndexOption,
    JsonOption,
    NotOption,
    Output,
    QuietOption,
    WhereOption,
    reports_errors,
)
from paint_search.cli.study import ByOption, Works, plural
from paint_search.errors import EvalError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from paint_search.eval.maps import Projection
    from paint_search.index.index import Index
    from paint_search.index.manifest import Manifest
    from paint_search.report import ReportPage

_SHOWN = 280  # pixels of a picture in the report, twice what it takes on the screen
_HASH_DIGITS = 16  # of a look; the others are its mean colour
_MEASURED_WITH = ("numpy", "scipy", "scikit-learn", "umap-learn", "matplotlib")


@reports_errors
def report(
    out: Annotated[Path, typer.Argument(metavar="OUT.html", help="The report to write.")],
    by: ByOption = "artist",
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
    from paint_search.index.index import Index
    from paint_search.report import SECTIONS, write_report

    output = Output(as_json=as_json, quiet=quiet)
    check_page(out)
    with Index.open(index) as collection:
        works = _read(collection, by, where, exclude)
        exhibit = Exhibit(collection.root.name, collection.manifest, works)
        skipped = collection.skipped()
    page = out.with_name(f"{out.stem}-map.html")
    views, hashes = _show(exhibit, page, output)
    described = _describe(exhibit, hashes, views, page.name, skipped)
    with steps(output, "sections", len(SECTIONS)) as done:
        write_report(out, described, f"{date.today():%d %B %Y}", done)
    files = [out, page] if views else [out]
    for file in files:
        output.note(f"wrote {file}")
    output.json({"files": files, "paintings": len(works.files), "labels": len(works.names)})


def _read(
    collection: "Index", by: str, where: "Sequence[str] | None", exclude: "Sequence[str] | None"
) -> Works:
    """Read the works that match; unlike the studies, a report has words for none at all."""
    from paint_search.search.filters import parse_filter

    conditions = parse_filter(where or (), exclude or ())
    paintings = list(collection.paintings(conditions))
    labels = [painting.labels().get(by) for painting in paintings]
    if by != "artist" and not any(labels):
        collection.field(by)  # refuses a name that no painting has, and says which there are
    return Works(
        by=by,
        paintings=paintings,
        files=[collection.locate(painting) for painting in paintings],
        vectors=collection.vectors(conditions)[1],
        labels=[None if label is None else str(label) for label in labels],
        unlabelled=labels.count(None),
        too_few=0,
    )


def _show(
    exhibit: Exhibit, page: Path, output: Output
) -> "tuple[list[Projection], NDArray[np.uint64]]":
    """Write the page to explore; return its views, none where no map can be made, and the hashes.

    Hashes are of the thumbnails, which are decoded anyway.
    """
    import numpy as np

    from paint_search.eval.maps import project
    from paint_search.indexer.images.perceptual_hash import look

    works, views = exhibit.works, list[Any]()
    with thumbnails(works.files, output) as picture:
        with suppress(EvalError):  # the report says in its place that there is no map
            views = [project(works.vectors, method) for method in ("umap", "pca")]
            exhibit.write_page(page, views, picture, exhibit.telling_field)
        looks = [look(np.asarray(picture(row))) for row in range(len(works.files))]
    hashes = [int(seen[:_HASH_DIGITS], 16) for seen in looks]
    return views, np.array(hashes, dtype=np.uint64)


def _describe(
    exhibit: Exhibit,
    hashes: "NDArray[np.uint64]",
    views: "Sequence[Projection]",
    page: str,
    skipped: "Sequence[tuple[str, str]]",
) -> "ReportPage":
    """Gather what the report is made from; ``page`` is the address of the map to explore."""
    from paint_search.indexer.images.thumbnails import thumbnail
    from paint_search.report import ReportPage

    works = exhibit.works
    return ReportPage(
        name=exhibit.name,
        one=works.by,
        many=plural(works.by),
        vectors=works.vectors,
        labels=works.labels,
        titles=_titles(exhibit),
        names=exhibit.names,
        fields={name: column for name, column in exhibit.columns.items() if name != works.by},
        hashes=hashes,
        nearest=exhibit.nearest if len(works.files) > 1 else None,
        projection=views[0] if views else None,
        coloured_by=exhibit.telling_field,
        map_address=page if views else "",
        picture=lambda row: thumbnail(works.files[row], _SHOWN),
        skipped=skipped,
        made=_making(exhibit.manifest),
    )


def _titles(exhibit: Exhibit) -> list[str]:
    """Return the titles, with the artist before them where the labels say something else."""
    if exhibit.works.by == "artist":
        return exhibit.titles
    works = zip(exhibit.works.paintings, exhibit.titles, strict=True)
    return [f"{work.artist}: {title}" if work.artist else title for work, title in works]


def _making(manifest: "Manifest") -> list[tuple[str, str]]:
    """Return how the index and the figures came about, line by line."""
    from importlib.metadata import version

    backbone, background = manifest.backbone, manifest.background
    return [
        ("model", f"{backbone.name}, {backbone.dimension:,} numbers a painting"),
        ("weights", f"{backbone.weights} (SHA-256 {backbone.fingerprint[:16]}...)"),
        ("pictures as the model sees them", backbone.preprocessing.describe()),
        ("engine", manifest.engine.describe() if manifest.engine else "built in"),
        ("indexed", f"{manifest.created}, with paint-search {manifest.made_with}"),
        ("reported", f"{date.today().isoformat()}, with paint-search {version('paint-search')}"),
        ("measured with", ", ".join(f"{name} {version(name)}" for name in _MEASURED_WITH)),
        ("usual likeness", background.describe() if background else "too few labels to say"),
    ]
