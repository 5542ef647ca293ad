"""An address that the user typed -> the bytes of the picture there, within limits; on the network.

Over http and https alone, and directly. An address of this machine or of a private network is only
asked where it is what was typed: neither a name nor a redirect leads there.
"""

import http.client
import io
import ipaddress
import time
from collections.abc import Callable
from importlib.metadata import version
from typing import Any, Final
from urllib import request
from urllib.parse import quote, urlsplit, urlunsplit

from paint_search.errors import NotAnImageError, PaintSearchError
from paint_search.indexer.images.formats import open_picture

_MOST: Final = 100_000_000  # bytes
_PATIENCE: Final = 20.0  # seconds for an answer, and for each further piece of it
_WHOLE: Final = 120.0  # seconds for all of it
_REDIRECTS: Final = 5
_PIECE: Final = 1 << 16


def fetch(address: str, most: int = _MOST) -> bytes:
    """Return the picture at an address, of ``most`` bytes at most.

    Raises:
        PaintSearchError: it cannot be had, is larger, or is no picture.
    """
    try:
        content = _read(address, most)
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise PaintSearchError(f"{address} cannot be fetched: {error}") from error
    try:
        open_picture(io.BytesIO(content), urlsplit(address).path)
    except NotAnImageError as error:
        raise PaintSearchError(f"{address} is no picture: {error}") from error
    except Exception:  # noqa: S110 - a damaged one, of which decoding says what is amiss
        pass
    return content


def _read(address: str, most: int) -> bytes:
    typed = urlsplit(address)
    path, query = (quote(part, safe="/%:=&?~+!$,;'@()*") for part in (typed.path, typed.query))
    asked = request.Request(  # noqa: S310 - other schemes have no handler
        urlunsplit((typed.scheme, typed.netloc, path, query, "")),
        headers={"User-Agent": f"paint-search/{version('paint-search')} (asked for one picture)"},
    )
    opener = request.OpenerDirector()
    for handler in (
        _Connections(typed.netloc if _is_own(typed.hostname) else None),
        _Redirects(),
        request.HTTPErrorProcessor(),
        request.HTTPDefaultErrorHandler(),
        request.UnknownHandler(),
    ):
        opener.add_handler(handler)
    end, content = time.monotonic() + _WHOLE, bytearray()
    with opener.open(asked, timeout=_PATIENCE) as answer:
        while piece := answer.read1(_PIECE):
            content += piece
            if len(content) > most:
                raise ValueError(f"it is larger than {most / 1e6:,.0f} MB")
            if time.monotonic() > end:
                raise TimeoutError(f"it took longer than {_WHOLE:.0f} seconds")
    return bytes(content)


def _is_own(host: str | None) -> bool:
    """Tell whether a host is written as an address of this machine or of a private network."""
    try:
        return host == "localhost" or not ipaddress.ip_address(host or "").is_global
    except ValueError:
        return False


class _Redirects(request.HTTPRedirectHandler):
    max_redirections = _REDIRECTS


class _Connections(request.HTTPHandler, request.HTTPSHandler):
    """Gives up connections that lead to an own address, unless the user typed that host."""

    def __init__(self, typed: str | None) -> None:
        super().__init__()
        self._typed = typed

    def http_open(self, req: request.Request) -> http.client.HTTPResponse:
        return self.do_open(self._checked(http.client.HTTPConnection, req.host), req)

    def https_open(self, req: request.Request) -> http.client.HTTPResponse:
        return self.do_open(self._checked(http.client.HTTPSConnection, req.host), req)

    def _checked(self, kind: Any, host: str) -> Callable[..., Any]:
        allowed = host == self._typed

        class Checked(kind):  # type: ignore[misc]
            def connect(self) -> None:
                super().connect()
                if not allowed and _is_own(self.sock.getpeername()[0].partition("%")[0]):
                    self.close()
                    raise OSError(f"{host} is on this machine or in a private network")

        return Checked
