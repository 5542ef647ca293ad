"""The web page: shells of HTML that ask the API, and the scripts and styles that fill them.

In comes the address, out go templates of ``assets/``; what is in the index is asked for by the page
itself, of ``/v1``. Everything is of this server: no library, font or picture of another host.
"""

import hashlib
import mimetypes
from collections.abc import Callable
from functools import cache
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final
from urllib.parse import parse_qs, quote

from fastapi import APIRouter, HTTPException, Request, Response
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.datastructures import State
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse

from paint_search import studies
from paint_search.errors import StoreBusyError
from paint_search.serve.door import COOKIE, Door
from paint_search.serve.gallery import Gallery
from paint_search.serve.jobs import Report
from paint_search.serve.schemas import Working

#: address -> template, its script, its title, and the entry of the menu that it belongs to.
_SHELLS: Final = {
    "/": ("browse.html", "browse", "Works", "/"),
    "/works/{id}": ("look.html", "look", "Work", ""),
    "/compare": ("compare.html", "compare", "Two works", ""),
    "/artists": ("artists.html", "artists", "Artists", "/artists"),
    "/artists/{name:path}": ("artist.html", "artists", "Artist", "/artists"),
    "/selections": ("selections.html", "selections", "Selections", "/selections"),
    "/selections/{name:path}": ("selection.html", "selections", "Selection", "/selections"),
    "/studies": ("studies.html", "studies", "Studies", "/studies"),
    "/login": ("login.html", "login", "Token", ""),
    "/studies/{name}": ("study.html", "studies", "Study", "/studies"),
}

_MOST_FORM: Final = 8192

#: Checked with the server each time, which answers that nothing has changed.
_CACHE: Final = {"Cache-Control": "private, no-cache"}

#: Of the map, whose scripts and styles are in it: it names them itself, and allows no others.
_ONE_FILE: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
        "img-src 'self' data:; base-uri 'none'; frame-ancestors 'none'"
    )
}


def pages(state: State) -> APIRouter:
    """Return the routes of the pages and of what they are made of.

    Args:
        state: of the application; its ``gallery`` has the name of the collection.
    """
    router = APIRouter(include_in_schema=False)
    for address, shell in _SHELLS.items():
        router.get(address, response_class=HTMLResponse)(_shell(state, *shell))
    router.get("/assets/{name}")(_asset)
    for address in ("/map", "/report"):
        router.get(address, response_model=None)(_drawn(state, address))
    router.post("/login", response_model=None)(_login)
    return router


def _shell(
    state: State, template: str, view: str, title: str, place: str
) -> Callable[[], HTMLResponse]:
    def shell() -> HTMLResponse:
        text = (
            _environment()
            .get_template(template)
            .render(collection=state.gallery.name, view=view, title=title, place=place)
        )
        return HTMLResponse(text, headers=_CACHE)

    return shell


def _drawn(state: State, address: str) -> Callable[[Request], Response]:
    """Return what shows a page that takes long to make, and how far it is until then."""
    name, draw = address.removeprefix("/"), _DRAWN[address]
    shell = _shell(state, "drawn.html", "drawn", name.capitalize(), address)

    def page(request: Request) -> Response:
        gallery: Gallery = state.gallery
        asks = "application/json" in request.headers.get("accept", "")
        try:
            job = gallery.job((f"{name} page",), lambda report: draw(gallery, report))
        except StoreBusyError:
            if asks:
                raise
            return shell()
        if not job.answer.done():
            if not asks:
                return shell()
            done, total = job.progress.done, job.progress.total
            told = Working(words=job.words, done=done, total=total)
            return JSONResponse(told.model_dump(), 202)
        if asks:
            job.answer.result()  # or why there is none
            return JSONResponse({"state": "done"})
        if job.answer.exception() is not None:
            return shell()  # which asks, and says why
        return HTMLResponse(job.answer.result(), headers=_CACHE | _ONE_FILE)

    return page


def _draw_map(gallery: Gallery, report: Report) -> bytes:
    with TemporaryDirectory(prefix="paint-search-") as folder:
        file = Path(folder) / "map.html"
        studies.maps(gallery.index).write_page(file, report, served=True)
        return file.read_bytes()


def _draw_report(gallery: Gallery, report: Report) -> bytes:
    with TemporaryDirectory(prefix="paint-search-") as folder:
        file = Path(folder) / "report.html"
        studies.report(gallery.index, file, progress=report, served=True)
        return file.read_bytes()


_DRAWN: Final = {"/map": _draw_map, "/report": _draw_report}


async def _login(request: Request) -> Response:
    """Let in whoever sends the token, until the server ends."""
    form = b""
    async for part in request.stream():  # of somebody who is not let in yet
        form += part
        if len(form) > _MOST_FORM:
            raise HTTPException(413, f"a form with a token has {_MOST_FORM:,} bytes at most")
    fields = parse_qs(form.decode("utf-8", "replace"))
    following = request.query_params.get("next", "/")
    if not following.startswith("/") or following.startswith(("//", "/\\")):
        following = "/"
    door: Door = request.app.state.door
    if not door.knows(fields.get("token", [""])[0].strip()):
        return RedirectResponse(f"/login?wrong&next={quote(following)}", 303)
    answer = RedirectResponse(following, 303)
    secure = request.url.scheme == "https"
    answer.set_cookie(COOKIE, door.cookie, httponly=True, samesite="strict", secure=secure)
    return answer


def _asset(name: str, request: Request) -> Response:
    """Return a script, a style or an icon, or that it is the same as before."""
    kept = _assets().get(name)
    if kept is None:
        raise HTTPException(404)
    content, kind, tag = kept
    headers = _CACHE | {"ETag": tag}
    if tag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(content, media_type=kind, headers=headers)


@cache
def _assets() -> dict[str, tuple[bytes, str, str]]:
    """Return the packaged files that are no templates: name -> content, type, tag."""
    made = {}
    for file in (files("paint_search.serve") / "assets").iterdir():
        kind = {"js": "text/javascript"}.get(file.name.rpartition(".")[2])
        kind = kind or mimetypes.guess_type(file.name)[0] or ""
        if kind != "text/html" and file.is_file():
            content = file.read_bytes()
            tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
            made[file.name] = (content, kind, tag)
    return made


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("paint_search.serve", "assets"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
