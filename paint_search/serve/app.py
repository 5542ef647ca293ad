"""A gallery -> the web application: what may come in, what goes out, and how failures are told.

Serves the API and the pages to this machine alone, or to whoever has the token. Nothing of another
host is ever asked for or allowed on a page.
"""

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote

import anyio.to_thread
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response
from starlette.routing import compile_path
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from paint_search.errors import (
    BackboneError,
    EvalError,
    ImageError,
    IndexMissingError,
    ManifestError,
    PaintSearchError,
    StoreBusyError,
    StoreMovedError,
    UnknownError,
    UsageError,
)
from paint_search.indexer.shared import cores
from paint_search.serve.api import api
from paint_search.serve.door import Door
from paint_search.serve.gallery import Gallery
from paint_search.serve.pages import pages
from paint_search.serve.schemas import Problem

_LOG: Final = logging.getLogger(__name__)

_STATUS: Final[tuple[tuple[type[Exception], int], ...]] = (
    (UnknownError, 404),
    (UsageError, 400),
    (BackboneError, 409),  # what the collection is like stands in the way
    (ImageError, 422),
    (EvalError, 409),
    (StoreBusyError, 503),
    (StoreMovedError, 503),
    (IndexMissingError, 503),
    (ManifestError, 503),
)

_HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}


class Guard:
    """Stands before the application: lets in, counts, limits, and writes one line a request."""

    def __init__(self, app: ASGIApp, door: Door, gallery: Gallery) -> None:
        self._app, self._door, self._limits = app, door, gallery.limits
        self._now = 0
        self._held = 0  # bytes that were sent, of requests that are not answered yet

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        answer = _Answer(scope, send)
        refused = self._door.refusal(scope)
        if refused is not None:
            await answer.refuse(*refused)
        elif self._now >= self._limits.at_once:
            await answer.refuse(503, "the server is busy; come again in a second")
        else:
            self._now += 1
            task = asyncio.create_task(self._work(scope, receive, answer))
            try:
                done, _ = await asyncio.wait({task}, timeout=self._limits.seconds)
                if not done:
                    # Threads cannot be stopped: what it does is done to the end, for nobody.
                    await answer.give_up(self._limits.seconds)
            except asyncio.CancelledError:
                task.cancel()
                raise
        answer.log()

    async def _work(self, scope: Scope, receive: Receive, answer: "_Answer") -> None:
        taken = 0

        async def bounded() -> Message:
            nonlocal taken
            message = await receive()
            size = len(message.get("body", b""))
            taken, self._held = taken + size, self._held + size
            if taken > self._limits.upload_bytes:
                limit = self._limits.upload_bytes / 2**20
                raise HTTPException(413, f"more than {limit:.0f} MB were sent, which is the limit")
            if self._held > self._limits.held_bytes:
                raise HTTPException(503, "others are sending much just now; come again in a second")
            return message

        try:
            await self._app(scope, bounded, answer.send)
        except Exception:
            _LOG.exception("a request failed: %s", scope["path"])
        finally:
            self._now -= 1
            self._held -= taken


class _Answer:
    """What is sent back to one request: once, with the headers of all, and logged."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self._scope, self._send = scope, send
        self._began = time.perf_counter()
        self._status, self._bytes = 0, 0
        self._over = False

    async def send(self, message: Message) -> None:
        """Pass on a part of the answer, unless it was given up."""
        if self._over:
            return
        if message["type"] == "http.response.start":
            self._status = message["status"]
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
            if self._scope["path"].startswith("/v1/"):
                headers.setdefault("Cache-Control", "no-store")
        self._bytes += len(message.get("body", b""))
        await self._send(message)

    async def refuse(self, status: int, detail: str) -> None:
        """Answer with a problem, if nothing was answered yet."""
        if self._status:
            return
        path = self._scope["path"]
        response: Response = problem(status, detail)
        if status == 401 and not path.startswith("/v1/") and self._scope["method"] == "GET":
            query = self._scope["query_string"].decode("latin-1")
            response = RedirectResponse(f"/login?next={quote(path + (query and f'?{query}'))}", 303)
        await response(self._scope, _nothing, self.send)

    async def give_up(self, seconds: float) -> None:
        """Say that it takes too long, and send nothing more."""
        await self.refuse(503, f"this took longer than {seconds:.0f} seconds; ask again later")
        self._over = True

    def log(self) -> None:
        """Write the line of this request."""
        scope = self._scope
        took = 1000 * (time.perf_counter() - self._began)
        line = "%s %s %d %d bytes %.0f ms"
        path = quote(scope["path"], safe="/%:,+~@=&;")  # no letter of it acts on a terminal
        _LOG.info(line, scope["method"], path, self._status, self._bytes, took)


async def _nothing() -> Message:
    return {"type": "http.request", "body": b""}


def problem(status: int, detail: str, error: str | None = None) -> Response:
    """Return a failure as RFC 9457 has it; ``error`` is which of the package's it is."""
    title = HTTPStatus(status).phrase
    told = {"type": "about:blank", "title": title, "status": status, "detail": detail}
    told["error"] = error
    headers = {}
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if status == 503:
        headers["Retry-After"] = "1"
    return Response(json.dumps(told), status, headers, "application/problem+json")


def make_app(gallery: Gallery, door: Door) -> ASGIApp:
    """Return the application that shows a gallery; it closes that when it ends."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        # Enough that a slow picture holds nobody up, and too few to fill the memory.
        anyio.to_thread.current_default_thread_limiter().total_tokens = 4 + 2 * cores()
        yield
        await anyio.to_thread.run_sync(gallery.close)

    app = FastAPI(
        title="paint-search",
        summary=f"Similarity search for the paintings of {gallery.name}",
        version="1",
        openapi_url="/v1/openapi.json",
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
        generate_unique_id_function=lambda route: route.name,  # what clients made of it call it
    )
    app.state.gallery, app.state.door = gallery, door
    app.include_router(api)
    app.include_router(pages(app.state))
    described = app.openapi()  # which is kept
    described["components"]["schemas"]["Problem"] = Problem.model_json_schema()
    if door.token is not None:
        described["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        described["security"] = [{"token": []}]
    for kind, handler in _handlers(gallery).items():
        app.add_exception_handler(kind, handler)
    return Guard(app, door, gallery)


def _methods(request: Request) -> list[str]:
    """Return how a path may be asked, as the description has it; pages are only read."""
    path = request.url.path
    for described, asked in request.app.openapi()["paths"].items():
        if compile_path(described)[0].match(path):
            return sorted(map(str.upper, asked))
    return ["POST"] if path == "/login" else ["GET"]


def _handlers(gallery: Gallery) -> dict[type[Exception], Callable[[Request, Any], Response]]:
    def failed(request: Request, error: PaintSearchError) -> Response:
        status = next((code for kind, code in _STATUS if isinstance(error, kind)), 500)
        if status >= 500:
            _LOG.warning("%s", error)
        return problem(status, gallery.without_paths(str(error)), type(error).__name__)

    def refused(request: Request, error: HTTPException) -> Response:
        detail = error.detail
        if error.status_code == 404:
            detail = f"there is nothing at {request.url.path[:200]}; see /v1/openapi.json"
        response = problem(error.status_code, detail)
        if error.status_code == 405:
            response.headers["Allow"] = ", ".join(_methods(request))
        return response

    def invalid(request: Request, error: RequestValidationError) -> Response:
        faults = (
            f"{'.'.join(str(part) for part in fault['loc'][1:]) or 'the body'}: {fault['msg']}"
            for fault in error.errors()
        )
        return problem(422, "; ".join(faults)[:1000])

    def broken(request: Request, error: OSError) -> Response:
        _LOG.warning("%s", error)
        return problem(500, f"the server's disk failed: {error.strerror or 'its log says how'}")

    def unforeseen(request: Request, error: Exception) -> Response:
        return problem(500, "the server failed at this; its log says at what")

    return {
        Exception: unforeseen,  # which is raised all the same, and logged by ``Guard``
        PaintSearchError: failed,
        HTTPException: refused,
        RequestValidationError: invalid,
        OSError: broken,
    }
