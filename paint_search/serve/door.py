"""Who may come in: a request in, and why it is refused out."""

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import Scope

COOKIE: Final = "paint_search"
_OPEN: Final = ("/login", "/assets/", "/v1/openapi.json")  # without a token


class Door:
    """Who may come in: everybody on this machine, or whoever has the token.

    Args:
        token: that is asked for; None for none.
        hosts: the names by which the server may be called where no token is asked for; pages of
            other sites reach a server on this machine by names of their own.
    """

    def __init__(self, token: str | None, hosts: Sequence[str]) -> None:
        self.token, self._hosts = token, frozenset(hosts)
        key = secrets.token_bytes(32)  # of this run: cookies end with the server
        self.cookie = hmac.new(key, (token or "").encode(), hashlib.sha256).hexdigest()

    def knows(self, token: str) -> bool:
        """Tell whether this is the token, in a time that says nothing about it."""
        return self.token is not None and hmac.compare_digest(token.encode(), self.token.encode())

    def refusal(self, scope: Scope) -> tuple[int, str] | None:
        """Return why a request may not come in, as a status and a sentence; None if it may."""
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if self.token is None and urlsplit(f"//{host}").hostname not in self._hosts:
            return 421, f"this server is not called {host[:100]!r}; use http://127.0.0.1"
        origin = headers.get("origin")
        elsewhere = origin is not None and urlsplit(origin).netloc != host
        if scope["method"] not in ("GET", "HEAD") and elsewhere:
            return 403, "pages of other sites may not change anything here"
        if self.token is None or any(scope["path"].startswith(path) for path in _OPEN):
            return None
        kind, _, given = headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer" and self.knows(given.strip()):
            return None
        if hmac.compare_digest(_cookie(headers).encode(), self.cookie.encode()):
            return None
        wrong = "the token is wrong" if given else "this server asks for a token"
        return 401, f"{wrong}; send it as Authorization: Bearer TOKEN, or log in at /login"


def _cookie(headers: Headers) -> str:
    for part in headers.get("cookie", "").split(";"):
        name, _, value = part.strip().partition("=")
        if name == COOKIE:
            return value
    return ""
