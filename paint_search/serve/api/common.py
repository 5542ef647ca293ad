"""What the parts of the API share: parameters, problems, and how pictures are sent."""

from pathlib import Path as FilePath
from typing import Annotated, Any, Final

from fastapi import Depends, Path, Query, Request, Response
from pydantic import StringConstraints

from paint_search.errors import UnknownError
from paint_search.serve.gallery import Gallery
from paint_search.serve.pictures import UPLOADED, jpeg, thumbnail

PICTURE: Final = {"description": "a JPEG", "content": {"image/jpeg": {}}}
_PROBLEM: Final = "#/components/schemas/Problem"
PROBLEMS: Final[dict[int | str, dict[str, Any]]] = {
    code: {
        "description": words,
        "content": {
            "application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}
        },
    }
    for code, words in {
        "4XX": "the request cannot be answered; the detail says why, and what to do",
        "5XX": "the index cannot be used, or the server is busy",
    }.items()
}
RAW: Final = {
    "requestBody": {
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}
_CACHED: Final = {"Cache-Control": "private, max-age=300"}

# A field, and what is to be in it; of words, one at least.
_FILTER: Final = r"^([^=]*[^=~\s]\s*=[\s\S]*\S|[^=]*[^=~\s][^=]*~\s*=[\s\S]*\w)[\s\S]*$"

Where = Annotated[
    list[Annotated[str, StringConstraints(pattern=_FILTER, max_length=1000)]],
    Query(
        default_factory=list,
        description="only works with this: `FIELD=VALUE`, `FIELD=LOW..HIGH` or `FIELD~=WORDS`; the "
        "same field twice: either",
    ),
]
Not = Annotated[
    list[Annotated[str, StringConstraints(pattern=_FILTER, max_length=1000)]],
    Query(default_factory=list, alias="not", description="no works with this: `FIELD=VALUE`"),
]
Id = Annotated[str, Path(description="of a work", max_length=64)]
Example = Annotated[str, Query(description="a work, or a picture that was sent", max_length=64)]
Examples = Annotated[
    list[str],
    Query(default_factory=list, max_length=64, description="works, or pictures that were sent"),
]
Wanted = Annotated[
    list[str], Query(min_length=1, max_length=64, description="works, or pictures that were sent")
]
Size = Annotated[int, Query(ge=64, le=4096, description="most pixels of the longer side")]


# What is not ``async`` has a thread each time, which takes longer than this does.


async def gallery_of(request: Request) -> Gallery:
    """Return what the server shows."""
    gallery: Gallery = request.app.state.gallery
    return gallery


Shown = Annotated[Gallery, Depends(gallery_of)]


async def read_body(request: Request) -> bytes:
    """Return what was sent, which has been counted on its way."""
    return await request.body()


Sent = Annotated[bytes, Depends(read_body)]


def small(gallery: Gallery, name: str, size: int) -> Response:
    """Answer with a thumbnail of a work or an upload."""
    file = _file(gallery, name)
    stat = file.stat()
    content = thumbnail(file, (stat.st_size, stat.st_mtime_ns), size)
    return Response(content, media_type="image/jpeg", headers=_CACHED)


def large(gallery: Gallery, name: str, size: int) -> Response:
    """Answer with the picture of a work or an upload."""
    content = jpeg(_file(gallery, name), size)
    return Response(content, media_type="image/jpeg", headers=_CACHED)


def _file(gallery: Gallery, name: str) -> FilePath:
    file = gallery.file(name)
    if file.is_file():
        return file
    path = name if name.startswith(UPLOADED) else gallery.work(name).path
    raise UnknownError(f"there is no picture of {path} on the server any more")
