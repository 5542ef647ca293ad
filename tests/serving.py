"""A server of this process over an index, for tests of the API, of the client and of the page."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import uvicorn

from paint_search import Index
from paint_search.serve import Door, Gallery, Limits, make_app


@dataclass(frozen=True)
class Served:
    """A server that answers."""

    url: str
    folder: Path  #: of the index
    http: httpx.Client  #: of somebody on this machine


@contextmanager
def serving(
    folder: Path, limits: Limits | None = None, token: str | None = None
) -> Iterator[Served]:
    """Serve the index in a folder from a thread, at a free port of this machine."""
    listener = socket.create_server(("127.0.0.1", 0))
    address = f"http://127.0.0.1:{listener.getsockname()[1]}"
    door = Door(token, ("127.0.0.1", "localhost"))
    app = make_app(Gallery(Index.open(folder), limits or Limits()), door)
    config = uvicorn.Config(app, log_config=None, access_log=False, timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    try:
        with httpx.Client(base_url=address, timeout=60) as http:
            yield Served(address, folder, http)
    finally:
        server.should_exit = True
        thread.join()
