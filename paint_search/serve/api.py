"""The HTTP API, version 1: an index and a request in, JSON and pictures out.

All that only reads can be linked to; what is looked for is named by ids, of works and of pictures
that were sent before. Errors are raised here, and become problems in ``app.py``.
"""

import io
from collections.abc import Callable, Sequence
from pathlib import Path as FilePath
from typing import Annotated, Any, Final, Literal
from urllib.parse import quote

import numpy as np
from fastapi import APIRouter, Body, Depends, Path, Query, Request, Response
from pydantic import StringConstraints

from paint_search import studies
from paint_search.errors import BackboneError, StoreBusyError, UnknownError, UsageError
from paint_search.eval.inputs import plain
from paint_search.search.filters import parse_filter
from paint_search.serve import schemas
from paint_search.serve.gallery import Gallery
from paint_search.serve.jobs import Report
from paint_search.serve.pictures import UPLOADED, jpeg, thumbnail

_PICTURE: Final = {"description": "a JPEG", "content": {"image/jpeg": {}}}
_PROBLEMS: Final[dict[int | str, dict[str, Any]]] = {
    code: {
        "description": words,
        "content": {"application/problem+json": {"schema": schemas.Problem.model_json_schema()}},
    }
    for code, words in {
        "4XX": "the request cannot be answered; the detail says why, and what to do",
        "5XX": "the index cannot be used, or the server is busy",
    }.items()
}
_RAW: Final = {
    "requestBody": {
        "required": True,
        "content": {"image/*": {"schema": {"type": "string", "format": "binary"}}},
    }
}
_CACHED: Final = {"Cache-Control": "private, max-age=300"}
_BOX: Final = r"^[0-9]{1,6}(,[0-9]{1,6}){3}$"
_MOST_BYTES: Final = 2**29  # of vectors in one answer
_PATIENCE: Final = 1.0  # seconds that a request waits for a study
_NEAREST: Final = 24  # artists

# A field, and what is to be in it; of words, one at least.
_FILTER: Final = r"^([^=]*[^=~\s]\s*=[\s\S]*\S|[^=]*[^=~\s][^=]*~\s*=[\s\S]*\w)[\s\S]*$"

Where = Annotated[
    list[Annotated[str, StringConstraints(pattern=_FILTER, max_length=1000)]],
    Query(
        description="only works with this: `FIELD=VALUE`, `FIELD=LOW..HIGH` or `FIELD~=WORDS`; the "
        "same field twice: either"
    ),
]
Not = Annotated[
    list[Annotated[str, StringConstraints(pattern=_FILTER, max_length=1000)]],
    Query(alias="not", description="no works with this: `FIELD=VALUE`"),
]
Id = Annotated[str, Path(description="of a work", max_length=64)]
Example = Annotated[str, Query(description="a work, or a picture that was sent", max_length=64)]
Examples = Annotated[
    list[str], Query(max_length=64, description="works, or pictures that were sent")
]
Wanted = Annotated[
    list[str], Query(min_length=1, max_length=64, description="works, or pictures that were sent")
]
Size = Annotated[int, Query(ge=64, le=4096, description="most pixels of the longer side")]


def gallery_of(request: Request) -> Gallery:
    """Return what the server shows."""
    gallery: Gallery = request.app.state.gallery
    return gallery


Shown = Annotated[Gallery, Depends(gallery_of)]


async def read_body(request: Request) -> bytes:
    """Return what was sent, which has been counted on its way."""
    return await request.body()


Sent = Annotated[bytes, Depends(read_body)]

api = APIRouter(prefix="/v1", responses=_PROBLEMS)


# ---- works


@api.get("/works", tags=["works"], summary="List, filter and page")
def works(
    gallery: Shown,
    request: Request,
    where: Where = [],  # noqa: B006 - FastAPI copies it
    exclude: Not = [],  # noqa: B006
    sort: Literal["id", "name", "year", "-year", "path", "random"] = "id",
    seed: Annotated[int, Query(ge=0, lt=2**31, description="of the random order")] = 0,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
    offset: Annotated[int, Query(ge=0, lt=2**31)] = 0,
    sizes: Annotated[bool, Query(description="whether to tell width and height")] = True,
) -> schemas.Works:
    """Works that meet a filter, in an order, a page at a time."""
    catalogue = gallery.catalogue
    chosen = gallery.chosen(where, exclude)
    rows = catalogue.ordered(sort, seed)
    if chosen is not None:
        rows = [row for row in rows if row in chosen]
    page = [catalogue.works[row] for row in rows[offset : offset + limit]]
    following = request.url.include_query_params(offset=offset + limit, limit=limit)
    more = offset + limit < len(rows)
    return schemas.Works(
        total=len(rows),
        offset=offset,
        works=[schemas.Work.of(work, gallery, sizes=sizes) for work in page],
        next=f"{following.path}?{following.query}" if more else None,
    )


@api.get("/works/{id}", tags=["works"], summary="One work")
def work(gallery: Shown, id_: Annotated[Id, Path(alias="id")]) -> schemas.Work:
    """A work and all that is known of it."""
    return schemas.Work.of(gallery.work(id_), gallery)


@api.get(
    "/works/{id}/thumbnail",
    tags=["works"],
    response_class=Response,
    responses={200: _PICTURE},
    summary="A small picture",
)
def work_thumbnail(
    gallery: Shown,
    id_: Annotated[Id, Path(alias="id")],
    size: Literal["128", "256", "512"] = "256",
) -> Response:
    """The work as JPEG, so many pixels long."""
    return _small(gallery, gallery.work(id_).id, int(size))


@api.get(
    "/works/{id}/image",
    tags=["works"],
    response_class=Response,
    responses={200: _PICTURE},
    summary="The picture",
)
def work_image(gallery: Shown, id_: Annotated[Id, Path(alias="id")], size: Size = 2048) -> Response:
    """The work as JPEG in sRGB, upright, and never larger than it is."""
    return _large(gallery, gallery.work(id_).id, size)


@api.get("/works/{id}/iiif/info.json", tags=["works"], summary="IIIF Image API 3, level 0")
def iiif(gallery: Shown, request: Request, id_: Annotated[Id, Path(alias="id")]) -> Any:
    """What a viewer needs to know of the picture."""
    painting = gallery.work(id_)
    width, height = _extent(gallery, painting.id)
    at = f"{str(request.base_url).rstrip('/')}/v1/works/{painting.id}/iiif"
    return {
        "@context": "http://iiif.io/api/image/3/context.json",
        "id": at,
        "type": "ImageService3",
        "protocol": "http://iiif.io/api/image",
        "profile": "level0",
        "width": width,
        "height": height,
        "sizes": [
            {"width": wide, "height": high} for wide, high in _iiif_sizes(width, height).values()
        ],
    }


@api.get(
    "/works/{id}/iiif/full/{size}/0/default.jpg",
    tags=["works"],
    response_class=Response,
    responses={200: _PICTURE},
    summary="IIIF: the whole picture in one of its sizes",
)
def iiif_image(
    gallery: Shown,
    id_: Annotated[Id, Path(alias="id")],
    size: Annotated[str, Path(description="`max`, or `w,h` as in info.json")],
) -> Response:
    """The picture, as its description offers it."""
    painting = gallery.work(id_)
    offered = _iiif_sizes(*_extent(gallery, painting.id))
    for longer, (wide, high) in offered.items():
        if size == f"{wide},{high}" or (size == "max" and longer == max(offered)):
            return _large(gallery, painting.id, longer)
    names = ", ".join(f"{wide},{high}" for wide, high in offered.values())
    raise UnknownError(f"this picture has no size {size[:20]!r}; there are max, {names}")


def _iiif_sizes(width: int, height: int) -> dict[int, tuple[int, int]]:
    """Return the sizes that are offered, by their longer side."""
    longest = max(width, height)
    sides = [*(side for side in (256, 512, 1024, 2048) if side < min(longest, 4096)), longest]
    return {
        side: (max(1, round(width * side / longest)), max(1, round(height * side / longest)))
        for side in sides
        if side <= 4096 or side == min(longest, 4096)
    } or {4096: (round(width * 4096 / longest), round(height * 4096 / longest))}


def _extent(gallery: Gallery, id_: str) -> tuple[int, int]:
    painting = gallery.work(id_)
    size = gallery.size(painting)
    if size is None:
        raise UnknownError(f"there is no picture of {painting.path} on the server any more")
    return size


def _small(gallery: Gallery, name: str, size: int) -> Response:
    file = _file(gallery, name)
    stat = file.stat()
    content = thumbnail(file, (stat.st_size, stat.st_mtime_ns), size)
    return Response(content, media_type="image/jpeg", headers=_CACHED)


def _large(gallery: Gallery, name: str, size: int) -> Response:
    content = jpeg(_file(gallery, name), size)
    return Response(content, media_type="image/jpeg", headers=_CACHED)


def _file(gallery: Gallery, name: str) -> FilePath:
    file = gallery.file(name)
    if file.is_file():
        return file
    path = name if name.startswith(UPLOADED) else gallery.work(name).path
    raise UnknownError(f"there is no picture of {path} on the server any more")


# ---- pictures that are sent


@api.post(
    "/pictures", tags=["search"], status_code=201, openapi_extra=_RAW, summary="Send a picture"
)
def send(gallery: Shown, content: Sent) -> schemas.Uploaded:
    """Keep a picture for a while, under a name by which it can be looked for."""
    if not content:
        raise UsageError("no picture was sent; send the bytes of one as the body")
    made = gallery.upload(content)
    at = f"/v1/pictures/{made.id}"
    return schemas.Uploaded(
        id=made.id,
        width=made.size[0],
        height=made.size[1],
        links={
            "image": f"{at}/image",
            "thumbnail": f"{at}/thumbnail",
            "similar": f"/v1/similar?like={made.id}",
        },
    )


@api.get(
    "/pictures/{id}/thumbnail",
    tags=["search"],
    response_class=Response,
    responses={200: _PICTURE},
    summary="A sent picture, small",
)
def sent_thumbnail(
    gallery: Shown,
    id_: Annotated[Id, Path(alias="id")],
    size: Literal["128", "256", "512"] = "256",
) -> Response:
    """A picture that was sent, so many pixels long."""
    return _small(gallery, gallery.find_upload(id_).id, int(size))


@api.get(
    "/pictures/{id}/image",
    tags=["search"],
    response_class=Response,
    responses={200: _PICTURE},
    summary="A sent picture",
)
def sent_image(gallery: Shown, id_: Annotated[Id, Path(alias="id")], size: Size = 2048) -> Response:
    """A picture that was sent."""
    return _large(gallery, gallery.find_upload(id_).id, size)


# ---- search


class Asked:
    """How to search, as parameters of a request."""

    def __init__(
        self,
        k: Annotated[int, Query(ge=1, le=1000, description="how many hits")] = 10,
        where: Where = [],  # noqa: B006
        exclude: Not = [],  # noqa: B006
        min_score: Annotated[float, Query(ge=-1, le=1, description="least cosine")] = -1.0,
        spread: Annotated[
            float, Query(ge=0, le=1, description="0 for the nearest, up to 1 for variety")
        ] = 0.0,
        exact: Annotated[bool, Query(description="compare with every work")] = False,
        compact_only: Annotated[
            bool, Query(description="compare compact vectors alone, after compress")
        ] = False,
        box: Annotated[
            str | None,
            Query(
                description="`x,y,width,height`: search by this part of the one example, in pixels "
                "of its picture at full size",
                pattern=_BOX,
            ),
        ] = None,
    ) -> None:
        self.k = k
        self.box = None if box is None else tuple(map(int, box.split(",")))
        self.options: dict[str, Any] = {
            "where": parse_filter(where, exclude),
            "min_score": min_score,
            "spread": spread,
            "exact": exact,
            "compact_only": compact_only,
        }


@api.get("/similar", tags=["search"], summary="The works most like examples")
def similar(
    gallery: Shown,
    asked: Annotated[Asked, Depends()],
    like: Wanted,
    unlike: Examples = [],  # noqa: B006
) -> schemas.Hits:
    """The works nearest to the mean of some examples, less half that of others."""
    return _search(gallery, asked, like, unlike)


@api.post(
    "/similar",
    tags=["search"],
    openapi_extra=_RAW,
    summary="The works most like a picture that is sent",
)
def similar_to_sent(
    gallery: Shown,
    content: Sent,
    asked: Annotated[Asked, Depends()],
    like: Examples = [],  # noqa: B006
    unlike: Examples = [],  # noqa: B006
) -> schemas.Hits:
    """As with GET; the body is one more example."""
    if not content:
        raise UsageError("no picture was sent; send the bytes of one as the body")
    return _search(gallery, asked, [gallery.upload(content).id, *like], unlike)


@api.post("/recommend", tags=["search"], summary="The works most like examples of any kind")
def recommend(
    gallery: Shown,
    examples: Annotated[schemas.Examples, Body()],
    asked: Annotated[Asked, Depends()],
) -> schemas.Hits:
    """As ``similar``, of examples that may be vectors too."""
    length = gallery.index.manifest.backbone.dimension
    for example in (*examples.like, *examples.unlike):
        if isinstance(example, list) and len(example) != length:
            raise BackboneError(
                f"the vectors of this index have {length:,} numbers, and not {len(example):,}"
            )
    return _search(gallery, asked, examples.like, examples.unlike)


@api.get("/works/{id}/similar", tags=["search"], summary="The works most like one")
def similar_to_work(
    gallery: Shown,
    id_: Annotated[Id, Path(alias="id")],
    asked: Annotated[Asked, Depends()],
    unlike: Examples = [],  # noqa: B006
) -> schemas.Hits:
    """The works nearest to this one."""
    return _search(gallery, asked, [id_], unlike)


def _search(
    gallery: Gallery,
    asked: Asked,
    like: Sequence[str | list[float]],
    unlike: Sequence[str | list[float]],
) -> schemas.Hits:
    index = gallery.index
    if asked.box is not None:
        raise UnknownError("box: this index has no details to search by")
    liked, other = (
        [np.array(one) if isinstance(one, list) else gallery.example(one) for one in examples]
        for examples in (like, unlike)
    )
    hits = index.recommend(liked, other, asked.k, **asked.options)
    manifest = index.manifest
    compared = "compact" if asked.options["compact_only"] else manifest.searched
    usual = manifest.background_of(compared)
    return schemas.Hits(
        hits=[schemas.Found.of(hit, gallery) for hit in hits],
        background=None if usual is None else schemas.Quantiles.of(usual),
    )


@api.post("/embed", tags=["search"], openapi_extra=_RAW, summary="A picture's embedding")
def embed(gallery: Shown, content: Sent) -> schemas.Embedding:
    """The vector that the index's backbone makes of a picture."""
    if not content:
        raise UsageError("no picture was sent; send the bytes of one as the body")
    return schemas.Embedding(vector=gallery.upload(content).vector.tolist())


@api.get(
    "/vectors",
    tags=["search"],
    response_class=Response,
    responses={
        200: {
            "description": "columns id and vector",
            "content": {"application/vnd.apache.arrow.stream": {}},
        }
    },
    summary="The stored vectors",
)
def vectors_of(
    gallery: Shown,
    where: Where = [],  # noqa: B006
    exclude: Not = [],  # noqa: B006
    which: Annotated[
        Literal["full", "compact"] | None, Query(description="by default those searched")
    ] = None,
) -> Response:
    """Ids and unit-norm vectors of the works that meet a filter, as an Arrow stream."""
    import pyarrow as pa

    dimensions = gallery.index.manifest.dimensions
    longest = max(dimensions.values(), default=0)
    chosen = gallery.chosen(where, exclude)
    count = gallery.catalogue.total if chosen is None else len(chosen)
    if count * longest * 4 > _MOST_BYTES:
        raise UsageError(
            f"{count:,} vectors of {longest:,} numbers are too many for one answer; ask for "
            "fewer works with where"
        )
    ids, rows = gallery.index.vectors(parse_filter(where, exclude), which)
    column = pa.FixedSizeListArray.from_arrays(pa.array(rows.reshape(-1)), rows.shape[1])
    table = pa.table({"id": ids, "vector": column})
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    return Response(sink.getvalue(), media_type="application/vnd.apache.arrow.stream")


@api.get("/verify", tags=["search"], summary="Whether one artist made two pictures")
def verify(gallery: Shown, one: Example, other: Example) -> dict[str, Any]:
    """How likely one artist made both, and pairs of the index that compare.

    The first question takes longer: it calibrates the answer on pairs of this index.
    """
    verdict = gallery.verifier.verify(gallery.picture(one), gallery.picture(other))
    return verdict.to_dict() | {"text": verdict.describe()}


# ---- the collection


@api.get("/facets", tags=["collection"], summary="How works divide")
def facets(
    gallery: Shown,
    fields: Annotated[
        list[str], Query(alias="field", description="by default those of few values")
    ] = [],  # noqa: B006
    where: Where = [],  # noqa: B006
    exclude: Not = [],  # noqa: B006
    limit: Annotated[int, Query(ge=1, le=1000, description="values of each field")] = 50,
) -> schemas.Facets:
    """The values of fields among the works that meet a filter, with their counts."""
    catalogue = gallery.catalogue
    chosen = gallery.chosen(where, exclude)
    rows = range(len(catalogue.works)) if chosen is None else chosen
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


@api.get("/artists", tags=["collection"], summary="The artists")
def artists(gallery: Shown) -> schemas.Artists:
    """The artists by name, with their numbers of works."""
    found = gallery.catalogue.artists()
    return schemas.Artists(artists=[schemas.FacetValue(value=name, count=n) for name, n in found])


@api.get(
    "/artists/{name}",
    tags=["collection"],
    responses={202: {"model": schemas.Working, "description": "ask again"}},
    summary="An artist, and who is nearest",
)
def artist(gallery: Shown, name: Annotated[str, Path(max_length=500)], response: Response) -> Any:
    """The artists whose mean works are most like this one's."""
    counts = dict(gallery.catalogue.artists())
    if name not in counts:
        raise UnknownError(f"no painting here has the artist {name!r}")
    if len(counts) < 2:
        return schemas.Artist(artist=name, works=counts[name], nearest=[])
    found = _job(gallery, response, ("artists",), lambda report: studies.artists(gallery.index))
    if isinstance(found, schemas.Working):
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


@api.get("/studies", tags=["collection"], summary="The questions about the whole collection")
def list_studies() -> dict[str, list[dict[str, str]]]:
    """What can be asked of the whole collection."""
    return {
        "studies": [
            {"name": name, "title": title, "page": f"/studies/{name}"}
            for name, (title, _) in _STUDIES.items()
        ]
    }


@api.get(
    "/studies/{name}",
    tags=["collection"],
    responses={202: {"model": schemas.Working, "description": "ask again"}},
    summary="A question about the whole collection",
)
def study(
    gallery: Shown,
    name: str,
    response: Response,
    by: Annotated[str, Query(max_length=100, description="field that groups the works")] = "artist",
) -> Any:
    """The figures of a study, with its tables and lines as a page shows them."""
    title, result = _study(gallery, name, by, response)
    if isinstance(result, schemas.Working):
        return result
    from paint_search.report.tables import Table, cell

    parts: list[Any] = [
        {
            "columns": list(part.columns),
            "rows": [[cell(value) for value in row] for row in part.rows],
        }
        if isinstance(part, Table)
        else {"text": str(part)}
        for part in result.describe()
    ]
    at = f"/v1/studies/{name}/figure.svg?by={quote(by)}"
    return {"name": name, "title": title, "result": plain(result.to_dict()), "parts": parts,
            "figure": at}  # fmt: skip


@api.get(
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
    response: Response,
    by: Annotated[str, Query(max_length=100)] = "artist",
) -> Any:
    """The figure of a study, for print."""
    _, result = _study(gallery, name, by, response)
    if isinstance(result, schemas.Working):
        return Response(result.model_dump_json(), 202, media_type="application/json")
    from paint_search.report.plots.style import svg

    return Response(svg(result.figure()), media_type="image/svg+xml")


def _study(gallery: Gallery, name: str, by: str, response: Response) -> tuple[str, Any]:
    if name not in _STUDIES:
        raise UnknownError(f"there is no study {name[:60]!r}; there are {', '.join(_STUDIES)}")
    title, ask = _STUDIES[name]
    options = {} if name == "verify" else {"by": by}
    key = (name, *options.values())
    return title, _job(gallery, response, key, lambda report: ask(gallery.index, **options))


def _job(
    gallery: Gallery, response: Response, key: tuple[str, ...], work: Callable[[Report], Any]
) -> Any:
    """Return the answer, or after a moment how far it is."""
    gallery.catalogue  # noqa: B018 - forgets answers about what the index was
    job = gallery.jobs.ask(key, work)
    if job is None:
        raise StoreBusyError("too many studies wait to be worked on; come again in a minute")
    try:
        return job.answer.result(_PATIENCE)
    except TimeoutError:
        if job.answer.done():
            raise
        response.status_code = 202
        response.headers["Retry-After"] = "2"
        done, total = job.progress.done, job.progress.total
        return schemas.Working(words=job.words, done=done, total=total)


@api.get(
    "/map",
    tags=["collection"],
    responses={202: {"model": schemas.Working, "description": "ask again"}},
    summary="The works laid out by likeness",
)
def map_points(gallery: Shown, response: Response) -> Any:
    """Where each work lies on the map."""
    found = _job(gallery, response, ("map",), lambda report: studies.maps(gallery.index))
    if isinstance(found, schemas.Working):
        return found
    view = found.views[0]
    works = found.exhibit.works.paintings
    points = zip(works, view.coordinates.tolist(), strict=True)
    return {
        **plain(view.to_dict()),
        "points": [{"id": w.id, "x": x, "y": y} for w, (x, y) in points],
    }


@api.get("/info", tags=["collection"], summary="What the index is")
def info(gallery: Shown) -> Any:
    """What the index holds, how it was made and how it is searched; no path of the server."""
    return gallery.info()


@api.get("/skipped", tags=["collection"], summary="Files that are not in the index")
def skipped(gallery: Shown) -> schemas.Skipped:
    """Files that the last runs could not index, and why."""
    files = gallery.index.skipped()
    return schemas.Skipped(
        files=[
            schemas.SkippedFile(path=path, reason=gallery.without_paths(why)) for path, why in files
        ]
    )
