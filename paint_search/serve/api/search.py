"""Search: pictures that are sent, what is like them, and whether one artist made two."""

import io
from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal

import numpy as np
from fastapi import APIRouter, Body, Depends, Path, Query, Response

from paint_search.errors import BackboneError, UsageError
from paint_search.search.filters import parse_filter
from paint_search.serve import schemas
from paint_search.serve.api.common import (
    PICTURE,
    RAW,
    Example,
    Examples,
    Id,
    Not,
    Sent,
    Shown,
    Size,
    Wanted,
    Where,
    large,
    small,
)
from paint_search.serve.gallery import Gallery

_BOX: Final = r"^[0-9]{1,6}(,[0-9]{1,6}){3}$"

_MOST_BYTES: Final = 2**29  # of vectors in one answer

router = APIRouter()


# ---- pictures that are sent


@router.post(
    "/pictures", tags=["search"], status_code=201, openapi_extra=RAW, summary="Send a picture"
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


@router.get(
    "/pictures/{id}/thumbnail",
    tags=["search"],
    response_class=Response,
    responses={200: PICTURE},
    summary="A sent picture, small",
)
def sent_thumbnail(
    gallery: Shown,
    id_: Annotated[Id, Path(alias="id")],
    size: Literal["128", "256", "512"] = "256",
) -> Response:
    """A picture that was sent, so many pixels long."""
    return small(gallery, gallery.find_upload(id_).id, int(size))


@router.get(
    "/pictures/{id}/image",
    tags=["search"],
    response_class=Response,
    responses={200: PICTURE},
    summary="A sent picture",
)
def sent_image(gallery: Shown, id_: Annotated[Id, Path(alias="id")], size: Size = 2048) -> Response:
    """A picture that was sent."""
    return large(gallery, gallery.find_upload(id_).id, size)


# ---- search


async def read_search(
    where: Where,
    exclude: Not,
    k: Annotated[int, Query(ge=1, le=1000, description="how many hits")] = 10,
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
) -> dict[str, Any]:
    """Return how to search, as ``Index.recommend`` takes it."""
    return {
        "k": k,
        "where": parse_filter(where, exclude),
        "min_score": min_score,
        "spread": spread,
        "exact": exact,
        "compact_only": compact_only,
        "box": None if box is None else tuple(map(int, box.split(","))),
    }


Asked = Annotated[dict[str, Any], Depends(read_search)]


@router.get("/similar", tags=["search"], summary="The works most like examples")
def similar(
    gallery: Shown,
    asked: Asked,
    like: Wanted,
    unlike: Examples,
) -> schemas.Hits:
    """The works nearest to the mean of some examples, less half that of others."""
    return _search(gallery, asked, like, unlike)


@router.post(
    "/similar",
    tags=["search"],
    openapi_extra=RAW,
    summary="The works most like a picture that is sent",
)
def similar_to_sent(
    gallery: Shown,
    content: Sent,
    asked: Asked,
    like: Examples,
    unlike: Examples,
) -> schemas.Hits:
    """As with GET; the body is one more example."""
    if not content:
        raise UsageError("no picture was sent; send the bytes of one as the body")
    return _search(gallery, asked, [gallery.upload(content).id, *like], unlike)


@router.post("/recommend", tags=["search"], summary="The works most like examples of any kind")
def recommend(
    gallery: Shown,
    examples: Annotated[schemas.Examples, Body()],
    asked: Asked,
) -> schemas.Hits:
    """As ``similar``, of examples that may be vectors too."""
    length = gallery.index.manifest.backbone.dimension
    for example in (*examples.like, *examples.unlike):
        if isinstance(example, list) and len(example) != length:
            raise BackboneError(
                f"the vectors of this index have {length:,} numbers, and not {len(example):,}"
            )
    return _search(gallery, asked, examples.like, examples.unlike)


@router.get("/works/{id}/similar", tags=["search"], summary="The works most like one")
def similar_to_work(
    gallery: Shown,
    id_: Annotated[Id, Path(alias="id")],
    asked: Asked,
    unlike: Examples,
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
    find = gallery.example if asked["box"] is None else gallery.picture
    liked, other = (
        [np.array(one) if isinstance(one, list) else find(one) for one in examples]
        for examples in (like, unlike)
    )
    hits = index.recommend(liked, other, **asked)
    manifest = index.manifest
    compared = "compact" if asked["compact_only"] else manifest.searched
    # What is usual of whole pictures says nothing of their parts.
    usual = manifest.background_of(compared) if asked["box"] is None else None
    return schemas.Hits(
        hits=[schemas.Found.of(hit, gallery) for hit in hits],
        background=None if usual is None else schemas.Quantiles.of(usual),
    )


@router.post("/embed", tags=["search"], openapi_extra=RAW, summary="A picture's embedding")
def embed(gallery: Shown, content: Sent) -> schemas.Embedding:
    """The vector that the index's backbone makes of a picture."""
    if not content:
        raise UsageError("no picture was sent; send the bytes of one as the body")
    return schemas.Embedding(vector=gallery.upload(content).vector.tolist())


@router.get(
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
    where: Where,
    exclude: Not,
    which: Annotated[
        Literal["full", "compact"] | None, Query(description="by default those searched")
    ] = None,
) -> Response:
    """Ids and unit-norm vectors of the works that meet a filter, as an Arrow stream."""
    import pyarrow as pa

    dimensions = gallery.index.manifest.dimensions
    longest = max(dimensions.values(), default=0)
    filtered = where or exclude
    count = gallery.chosen(where, exclude).sum() if filtered else gallery.catalogue.total
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


@router.get("/verify", tags=["search"], summary="Whether one artist made two pictures")
def verify(gallery: Shown, one: Example, other: Example) -> schemas.Verdict:
    """How likely one artist made both, and pairs of the index that compare.

    The first question takes longer: it calibrates the answer on pairs of this index.
    """
    verdict = gallery.verifier.verify(gallery.picture(one), gallery.picture(other))
    return schemas.Verdict(**verdict.to_dict(), text=verdict.describe())


@router.get("/explain", tags=["search"], summary="Why two pictures match")
def explain(gallery: Shown, one: Example, other: Example) -> schemas.Explanation:
    """What the cosine of two pictures is made of: places of both, and properties.

    Boxes are x, y, width and height in pixels of the pictures at full size.
    """
    found = gallery.index.explain(gallery.picture(one), gallery.picture(other))
    return schemas.Explanation(**found.to_dict())
