"""An application and a socket -> a server that answers until it is told to stop."""

import socket
from collections.abc import Callable
from contextlib import suppress

import uvicorn
from starlette.types import ASGIApp

_GRACE = 5  # seconds for what is being answered when it is told to stop


def run(app: ASGIApp, listener: socket.socket, started: Callable[[], object]) -> None:
    """Serve until Ctrl-C or SIGTERM; what is being answered then is finished.

    Args:
        app: the application.
        listener: a socket that is bound.
        started: called once it answers.
    """
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=_GRACE,
    )
    with suppress(KeyboardInterrupt):
        _Server(config, started).run(sockets=[listener])


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, started: Callable[[], object]) -> None:
        super().__init__(config)
        self._say_started = started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to answer, and say so."""
        await super().startup(sockets)
        self._say_started()
