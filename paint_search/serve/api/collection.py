"""The collection as a whole: how it divides, its artists, studies and map."""

from collections.abc import Callable
from typing import Annotated, Any, Final
from urllib.parse import quote

import numpy as np
from fastapi import APIRouter, Path, Query, Response
from fastapi.responses import JSONResponse

from paint_search import studies
from paint_search.errors import UnknownError
from paint_search.eval.inputs import plain
from paint_search.serve import schemas
from paint_search.serve.api.common import Not, Shown, Where
from paint_search.serve.gallery import Gallery
from paint_search.serve.jobs import Report

_PATIENCE: Final = 1.0  # seconds that a request waits for a study

_NEAREST: Final = 24  # artists

router = APIRouter()


# ---- the collection


@router.get("/facets", tags=["collection"], summary="How works divide")
def facets(
    gallery: Shown,
    fields: Annotated[
        list[str],
        Query(default_factory=list, alias="field", description="by default those of few values"),
    ],
    where: Where,
    exclude: Not,
    limit: Annotated[int, Query(ge=1, le=1000, description="values of each field")] = 50,
) -> schemas.Facets:
    """The values of fields among the works that meet a filter, with their counts."""
    catalogue = gallery.catalogue
    rows = np.flatnonzero(gallery.chosen(where, exclude))
    counted = [catalogue.facet(name, rows, limit) for name in fields or catalogue.few_valued]
    for facet in counted if fields else ():
        if not facet.distinct and not any(work[facet.field] for work in catalogue.works):
            known = ", ".join(gallery.index.info().fields)
            raise UnknownError(f"no painting has a field {facet.field!r}; this index has: {known}")
    years = catalogue.years(rows)
    return schemas.Facets(
        total=len(rows),
        facets=[
            schemas.Facet(
                field=facet.field,
                values=[schemas.FacetValue(value=v, count=n) for v, n in facet.values],
                distinct=facet.distinct,
                missing=facet.missing,
            )
            for facet in counted
        ],
        years=None if years is None else schemas.Years(**vars(years)),
    )


@router.get("/artists", tags=["collection"], summary="The artists")
def artists(gallery: Shown) -> schemas.Artists:
    """The artists by name, with their numbers of works."""
    found = gallery.catalogue.artists()
    return schemas.Artists(artists=[schemas.FacetValue(value=name, count=n) for name, n in found])


@router.get(
    "/artists/{name}",
    tags=["collection"],
    responses={202: {"model": schemas.Working, "description": "ask again"}},
    response_model=schemas.Artist,
    summary="An artist, and who is nearest",
)
def artist(gallery: Shown, name: Annotated[str, Path(max_length=500)]) -> Any:
    """The artists whose mean works are most like this one's."""
    counts = dict(gallery.catalogue.artists())
    if name not in counts:
        raise UnknownError(f"no painting here has the artist {name!r}")
    if len(counts) < 2:
        return schemas.Artist(artist=name, works=counts[name], nearest=[])
    found = _job(gallery, ("artists",), lambda report: studies.artists(gallery.index))
    if isinstance(found, Response):
        return found
    return schemas.Artist(
        artist=name,
        works=counts[name],
        nearest=[
            schemas.Kin(artist=pair.b, cosine=pair.score, works=counts.get(pair.b, 0))
            for pair in found.similarity.nearest(name, _NEAREST)
        ],
    )


_STUDIES: Final[dict[str, tuple[str, Callable[..., studies.Result]]]] = {
    "artists": ("Artists: who is like whom", studies.artists),
    "clusters": ("Clusters of artists", studies.clusters),
    "silhouette": ("Silhouettes: how well artists keep apart", studies.silhouette),
    "retrieval": ("Retrieval: how often the nearest is by the same artist", studies.retrieval),
    "classify": ("Classification by the nearest works", studies.classify),
    "verify": ("Same artist or not: how good the answers are", studies.verify),
}


@router.get("/studies", tags=["collection"], summary="The questions about the whole collection")
def list_studies() -> schemas.Studies:
    """What can be asked of the whole collection."""
    return schemas.Studies(
        studies=[
            schemas.StudyName(name=name, title=title, page=f"/studies/{name}")
            for name, (title, _) in _STUDIES.items()
        ]
    )


@router.get(
    "/studies/{name}",
    tags=["collection"],
    responses={202: {"model": schemas.Working, "description": "ask again"}},
    response_model=schemas.Study,
    summary="A question about the whole collection",
)
def study(
    gallery: Shown,
    name: str,
    by: Annotated[str, Query(max_length=100, description="field that groups the works")] = "artist",
) -> Any:
    """The figures of a study, with its tables and lines as a page shows them."""
    title, result = _study(gallery, name, by)
    if isinstance(result, Response):
        return result
    from paint_search.report.tables import Table, cell

    parts = [
        schemas.Rows(
            columns=list(part.columns), rows=[[cell(value) for value in row] for row in part.rows]
        )
        if isinstance(part, Table)
        else schemas.Paragraph(text=str(part))
        for part in result.describe()
    ]
    at = f"/v1/studies/{name}/figure.svg?by={quote(by)}"
    figures = plain(result.to_dict())
    return schemas.Study(name=name, title=title, result=figures, parts=parts, figure=at)


@router.get(
    "/studies/{name}/figure.svg",
    tags=["collection"],
    response_class=Response,
    responses={
        200: {"description": "a drawing", "content": {"image/svg+xml": {}}},
        202: {"model": schemas.Working, "description": "ask again"},
    },
    summary="A study's figure",
)
def study_figure(
    gallery: Shown,
    name: str,
    by: Annotated[str, Query(max_length=100)] = "artist",
) -> Any:
    """The figure of a study, for print."""
    _, result = _study(gallery, name, by)
    if isinstance(result, Response):
        return result
    from paint_search.report.plots.style import svg

    return Response(svg(result.figure()), media_type="image/svg+xml")


def _study(gallery: Gallery, name: str, by: str) -> tuple[str, Any]:
    if name not in _STUDIES:
        raise UnknownError(f"there is no study {name[:60]!r}; there are {', '.join(_STUDIES)}")
    title, ask = _STUDIES[name]
    options = {} if name == "verify" else {"by": by}
    key = (name, *options.values())
    return title, _job(gallery, key, lambda report: ask(gallery.index, **options))


def _job(gallery: Gallery, key: tuple[str, ...], work: Callable[[Report], Any]) -> Any:
    """Return the answer, or after a moment a response that says how far it is."""
    job = gallery.job(key, work)
    try:
        return job.answer.result(_PATIENCE)
    except TimeoutError:
        if job.answer.done():
            raise
        done, total = job.progress.done, job.progress.total
        told = schemas.Working(words=job.words, done=done, total=total)
        return JSONResponse(told.model_dump(), 202, {"Retry-After": "2"})


@router.get(
    "/map",
    tags=["collection"],
    responses={202: {"model": schemas.Working, "description": "ask again"}},
    response_model=schemas.Map,
    summary="The works laid out by likeness",
)
def map_points(gallery: Shown) -> Any:
    """Where each work lies on the map."""
    found = _job(gallery, ("map",), lambda report: studies.maps(gallery.index))
    if isinstance(found, Response):
        return found
    view = found.views[0]
    works = found.exhibit.works.paintings
    points = zip(works, view.coordinates.tolist(), strict=True)
    return {
        **plain(view.to_dict()),
        "points": [{"id": w.id, "x": x, "y": y} for w, (x, y) in points],
    }


@router.get("/info", tags=["collection"], summary="What the index is")
def info(gallery: Shown) -> dict[str, Any]:
    """What the index holds, how it was made and how it is searched; no path of the server."""
    told: dict[str, Any] = gallery.info()
    return told


@router.get("/skipped", tags=["collection"], summary="Files that are not in the index")
def skipped(gallery: Shown) -> schemas.Skipped:
    """Files that the last runs could not index, and why."""
    files = gallery.index.skipped()
    return schemas.Skipped(
        files=[
            schemas.SkippedFile(path=path, reason=gallery.without_paths(why)) for path, why in files
        ]
    )
