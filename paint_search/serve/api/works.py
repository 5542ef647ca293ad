"""The works: listed, filtered, one by one, with their pictures."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Request, Response

from paint_search.errors import UnknownError
from paint_search.serve import schemas
from paint_search.serve.api.common import (
    PICTURE,
    Id,
    Not,
    Shown,
    Size,
    Where,
    large,
    small,
)
from paint_search.serve.gallery import Gallery

router = APIRouter()


# ---- works


@router.get("/works", tags=["works"], summary="List, filter and page")
def works(
    gallery: Shown,
    request: Request,
    where: Where,
    exclude: Not,
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
    rows = rows[chosen[rows]]
    page = [catalogue.works[row] for row in rows[offset : offset + limit]]
    following = request.url.include_query_params(offset=offset + limit, limit=limit)
    more = offset + limit < len(rows)
    return schemas.Works(
        total=len(rows),
        offset=offset,
        works=[schemas.Work.of(work, gallery, sizes=sizes) for work in page],
        next=f"{following.path}?{following.query}" if more else None,
    )


@router.get("/works/{id}", tags=["works"], summary="One work")
def work(gallery: Shown, id_: Annotated[Id, Path(alias="id")]) -> schemas.Work:
    """A work and all that is known of it."""
    return schemas.Work.of(gallery.work(id_), gallery)


@router.get(
    "/works/{id}/thumbnail",
    tags=["works"],
    response_class=Response,
    responses={200: PICTURE},
    summary="A small picture",
)
def work_thumbnail(
    gallery: Shown,
    id_: Annotated[Id, Path(alias="id")],
    size: Literal["128", "256", "512"] = "256",
) -> Response:
    """The work as JPEG, so many pixels long."""
    return small(gallery, gallery.work(id_).id, int(size))


@router.get(
    "/works/{id}/image",
    tags=["works"],
    response_class=Response,
    responses={200: PICTURE},
    summary="The picture",
)
def work_image(gallery: Shown, id_: Annotated[Id, Path(alias="id")], size: Size = 2048) -> Response:
    """The work as JPEG in sRGB, upright, and never larger than it is."""
    return large(gallery, gallery.work(id_).id, size)


@router.get("/works/{id}/iiif/info.json", tags=["works"], summary="IIIF Image API 3, level 0")
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


@router.get(
    "/works/{id}/iiif/full/{size}/0/default.jpg",
    tags=["works"],
    response_class=Response,
    responses={200: PICTURE},
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
            return large(gallery, painting.id, longer)
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
