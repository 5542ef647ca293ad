"""``serve``: the index as a web page and an HTTP API."""

import logging
import os
import socket
import sys
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final

import typer

from paint_search.cli.output import Exit, Opening, Output, command
from paint_search.errors import UsageError, argument, missing_libraries
from paint_search.files import read_bytes

TOKEN: Final = "PAINT_SEARCH_TOKEN"  # noqa: S105 - the name of the variable that holds it
_LOCAL: Final = ("localhost", "127.0.0.1", "::1")
_LEAST: Final = 16  # letters of a token
_MOST: Final = 1024


@command
def serve(
    *,
    host: Annotated[
        str,
        typer.Option(help="Address to listen at; any but this machine's own asks for a token."),
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 for a free one.")] = 7700,
    token_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="File whose one line is the token that is asked for.  "
            f"[default: ${TOKEN}, if it is set]",
        ),
    ] = None,
    no_open: Annotated[
        bool, typer.Option("--no-open", help="Do not open the page in a browser.")
    ] = False,
    index: Opening,
    output: Output,
) -> Exit:
    """Look at an index, ask it and share it: a web page and an HTTP API.

    The page is for this machine alone unless `--host` names another address; then a token is asked
    for, which `$PAINT_SEARCH_TOKEN` or `--token-file` gives. The API is described at
    `/v1/openapi.json`; `paint_search.Client` speaks it. Ctrl-C stops it.

    Example: `paint-search serve`
    """
    if missing := missing_libraries("serve", "fastapi", "uvicorn"):
        raise UsageError(f"serve needs {missing}")
    token = _token(token_file)
    if token is None and host not in _LOCAL:
        raise UsageError(
            f"{argument('host', host)} lets others in: set ${TOKEN}, or name a file that holds a "
            f"token with {argument('token_file')}"
        )
    from paint_search.serve import Door, Gallery, Limits, make_app, run

    with (
        index.open() as collection,
        _listening(host, port) as listener,
        _logged_requests(quiet=output.quiet),
    ):
        shown = f"[{host}]" if ":" in host else host
        address = f"http://{shown}:{listener.getsockname()[1]}"
        app = make_app(Gallery(collection, Limits()), Door(token, (*_LOCAL, host)))

        def started() -> None:
            output.json({"address": address, "paintings": len(collection)})
            output.line(f"{address}  (Ctrl-C stops it)")
            sys.stdout.flush()
            if not no_open:
                webbrowser.open(address)

        run(app, listener, started)
    return Exit.DONE


def _token(file: Path | None) -> str | None:
    if file is not None:
        try:
            said = read_bytes(file, _MOST).decode().strip()
        except (OSError, ValueError) as error:
            raise UsageError(
                f"{argument('token_file', str(file))} cannot be read: {error}"
            ) from error
    else:
        said = os.environ.get(TOKEN, "")
        if not said:
            return None
    if len(said) < _LEAST or not said.isascii() or not said.isprintable() or " " in said:
        raise UsageError(
            f"a token has {_LEAST} letters and digits or more, without spaces; make one with: "
            'python -c "import secrets; print(secrets.token_urlsafe())"'
        )
    return said


def _listening(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
        if os.name == "posix":  # elsewhere it would let two servers share a port
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        raise UsageError(
            f"cannot listen at {host}:{port} ({error.strerror}); choose another "
            f"{argument('port')}, or 0 for a free one"
        ) from error
    return listener


@contextmanager
def _logged_requests(*, quiet: bool) -> Iterator[None]:
    """Write one line a request, with its time, to standard error."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    loggers = [logging.getLogger(name) for name in ("paint_search.serve", "uvicorn")]
    before = [(logger.level, logger.propagate) for logger in loggers]
    for logger, level in zip(loggers, (logging.INFO, logging.WARNING), strict=True):
        logger.addHandler(handler)
        logger.propagate = False
        logger.setLevel(logging.WARNING if quiet else level)
    try:
        yield
    finally:
        for logger, (level, propagate) in zip(loggers, before, strict=True):
            logger.removeHandler(handler)
            logger.setLevel(level)
            logger.propagate = propagate
