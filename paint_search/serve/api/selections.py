"""Selections: works under a name, kept in the index folder, and given to other tools."""

import csv
import io
import tempfile
from pathlib import Path as FilePath
from typing import Annotated, Literal

from fastapi import APIRouter, Body, Path, Request, Response
from fastapi.responses import JSONResponse

from paint_search.errors import UnknownError
from paint_search.index.selections import Selection, iiif_manifest
from paint_search.serve import schemas
from paint_search.serve.api.common import Shown
from paint_search.serve.gallery import Gallery

router = APIRouter(tags=["selections"])

Name = Annotated[str, Path(min_length=1, max_length=200, description="of a selection")]


@router.get("/selections", summary="The selections")
def selections(gallery: Shown) -> schemas.Selections:
    """Which works were kept under which names, and which are to be left out."""
    return schemas.Selections(
        selections=[schemas.Selection.of(one) for one in gallery.index.selections()]
    )


@router.put("/selections/{name}", summary="Keep works under a name")
def keep(gallery: Shown, name: Name, works: Annotated[schemas.Kept, Body()]) -> schemas.Selection:
    """Keep these works, instead of those that were kept under this name."""
    made = gallery.index.save_selection(name, works.ids, excluded=works.excluded)
    return schemas.Selection.of(made)


@router.get("/selections/{name}", summary="One selection")
def selection(gallery: Shown, name: Name) -> schemas.Selected:
    """The works of a selection, in its order."""
    found = gallery.index.selection(name)
    works = [schemas.Work.of(work, gallery) for work in gallery.index.selected(found.name)]
    return schemas.Selected(**schemas.Selection.of(found).model_dump(), works=works)


@router.delete("/selections/{name}", status_code=204, summary="Forget a selection")
def forget(gallery: Shown, name: Name) -> Response:
    """Forget the name; its works stay where they are."""
    gallery.index.delete_selection(name)
    return Response(status_code=204)


@router.get(
    "/selections/{name}/{form}",
    response_class=Response,
    responses={
        200: {
            "description": "the works: a table, a picture, or IIIF's Presentation API 3",
            "content": {"application/json": {}, "text/csv": {}, "image/jpeg": {}},
        }
    },
    summary="A selection for other tools",
)
def export(
    gallery: Shown, request: Request, name: Name, form: Literal["csv", "json", "sheet", "iiif"]
) -> Response:
    """A selection as a table (csv, json), a contact sheet, or a manifest of IIIF."""
    found = gallery.index.selection(name)
    works = gallery.index.selected(found.name)
    if form == "json":
        return JSONResponse({"name": found.name, "works": [work.to_dict() for work in works]})
    if form == "csv":
        rows = [work.to_dict() for work in works]
        text = io.StringIO()
        writer = csv.DictWriter(text, dict.fromkeys(name for row in rows for name in row))
        writer.writeheader()
        writer.writerows(rows)
        return _file(text.getvalue().encode(), "text/csv", "csv")
    if form == "sheet":
        return _file(_sheet(gallery, found), "image/jpeg", "jpg")
    sizes = {work.id: size for work in works if (size := gallery.size(work)) is not None}
    return JSONResponse(iiif_manifest(found, works, str(request.base_url), sizes))


def _sheet(gallery: Gallery, selection: Selection) -> bytes:
    from paint_search.report import write_works

    works = gallery.index.selected(selection.name)
    if not works:
        raise UnknownError(f"the selection {selection.name!r} holds no work to show")
    with tempfile.TemporaryDirectory(prefix="paint-search-") as folder:
        file = FilePath(folder) / "sheet.jpg"
        write_works(file, works, [gallery.index.locate(work) for work in works])
        return file.read_bytes()


def _file(content: bytes, kind: str, suffix: str) -> Response:
    headers = {"Content-Disposition": f'attachment; filename="selection.{suffix}"'}
    return Response(content, media_type=kind, headers=headers)
