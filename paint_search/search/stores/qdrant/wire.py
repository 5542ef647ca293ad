"""Calls to a Qdrant server: connected, retried while the line is at fault, errors in one sentence.

A call is repeated only where the server was not reached or was too busy to take it; what it has
rejected is never sent again. Every call made through here may be repeated without harm.
"""

import logging
import os
import re
import socket
import ssl
import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Final, TypeVar

import grpc
import tenacity
from qdrant_client import QdrantClient, models
from qdrant_client.common.client_exceptions import ResourceExhaustedResponse

from paint_search.errors import StoreError, UsageError
from paint_search.search.stores.qdrant.servers import how_to_give_a_key, key_of
from paint_search.search.stores.uri import Place

#: Environment variable: seconds for which a server that answered before may be away, such as for a
#: restart.
PATIENCE: Final = "PAINT_SEARCH_PATIENCE"
_PATIENCE: Final = 120.0

#: Seconds to find out that there is no server.
FIRST_PATIENCE: Final = 5.0

#: Longest that one call may take.
CALL_SECONDS: Final = 60

_AGAIN: Final = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,  # also what a proxy's 429, 502, 503 and 504 become
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.ABORTED,
        grpc.StatusCode.CANCELLED,
    }
)

#: What a node says, as an error of its own, while another node is out of reach, a copy of a shard
#: is not active, or the nodes have no leader to agree by.
_INSIDE: Final = re.compile(
    "tcp connect error|error trying to connect|transport error|h2 protocol error|broken pipe"
    "|connection (?:reset|refused|closed|error)|currently unavailable|status: unavailable"
    "|no active replica|not have enough active replicas|at least one `active` replica"
    "|read operations failed|consistency of this update is not guaranteed|via leader peer"
    "|no leader could be selected|leader is not established|consensus operation",
    re.IGNORECASE,
)
_REFUSED: Final = "the Qdrant server {server} refuses the API key ({words}); {key}"
_MEANINGS: Final[Mapping[object, str]] = {
    grpc.StatusCode.UNAUTHENTICATED: _REFUSED,
    grpc.StatusCode.PERMISSION_DENIED: _REFUSED,
    grpc.StatusCode.NOT_FOUND: (
        "the Qdrant server {server} has no collection {name!r} (any more); restore it from a "
        "snapshot, or delete the index folder and index again"
    ),
    grpc.StatusCode.UNIMPLEMENTED: (
        "{server} is no Qdrant server, or an old one ({words}); version 1.16 or "
        "newer is needed, and its gRPC port, usually 6334"
    ),
}
#: What the server's words mean where a key lacks a right.
_RIGHTS: Final[Mapping[str, str]] = {
    "global manage access|write access|only points access": (
        "this key may not write to the collection {name!r} of {server} ({words}); ask for one that "
        "may"
    ),
    "manage access": (
        "this key may not make collections on {server}, or delete them ({words}); ask for one that "
        "may, or have the collection {name!r} made"
    ),
    "access to collection|global access": (
        "this key may not use the collection {name!r} of {server}, or make it ({words}); ask for "
        "one that may"
    ),
}
#: What gRPC's words mean where the two ends do not agree about TLS.
_TLS: Final[Mapping[str, str]] = {
    "certificate has expired|certificate is not yet valid": (
        "the certificate of {server} has expired, or is not valid yet: see the clock of this "
        "machine, and have the server given a new one"
    ),
    "CERTIFICATE_VERIFY_FAILED": (
        "the certificate of {server} is not trusted on this machine: name a file with those that "
        "are, in PEM, in GRPC_DEFAULT_SSL_ROOTS_FILE_PATH"
    ),
    "Hostname Verification": (
        "the certificate of {server} is for another name; use one of those that it was made for"
    ),
    "WRONG_VERSION_NUMBER": (
        "{server} does not speak TLS at this port; use its port for TLS, or qdrant:// if the line "
        "to it is safe"
    ),
}
_SPEAKS_TLS: Final = "{server} speaks TLS at this port; write qdrants:// instead of qdrant://"
_UNREACHED: Final = (
    "the Qdrant server {server} cannot be reached ({words}); see that it runs "
    "and that this is its gRPC port, then run the same command to go on"
)

_NOT_WHOLE: Final = (
    "the Qdrant server {server} answers, but a part of its cluster does not ({words}); see that "
    "all of its nodes run, then run the same command to go on"
)

_LOG: Final = logging.getLogger(__name__)

_T = TypeVar("_T")


class Wire:
    """A connection to the server of ``place``; nothing is sent before the first call.

    Where it has several nodes, they are asked in turn: the next one when one does not answer.

    Raises:
        StoreError: the user has not named the server.
    """

    def __init__(self, place: Place) -> None:
        self._server, self._servers = str(place.server), place.servers
        self._name = place.base
        self._longest = _patience()
        self._clients = [_connected(server) for server in self._servers]
        self._at = 0  # the node that is asked
        self._answered = self._said = False
        self._whole = True  # whether every copy has answered so far

    def call(self, action: Callable[[QdrantClient], _T]) -> _T:
        """Return what ``action`` returns; while the server is away, try again for a while.

        Raises:
            StoreError: it stayed away, refuses the API key, or rejects what was sent.
        """
        patience = self._longest if self._answered else min(FIRST_PATIENCE, self._longest)
        again = tenacity.Retrying(
            retry=tenacity.retry_if_exception(_passes),
            wait=_pause,
            stop=tenacity.stop_all(
                tenacity.stop_after_delay(patience), tenacity.stop_after_attempt(len(self._clients))
            ),
            before_sleep=self._say,
            reraise=True,
        )
        try:
            result = again(lambda: self._attempt(action))
        except (grpc.RpcError, ResourceExhaustedResponse) as error:
            raise self._explained(error) from error
        self._answered, self._said = True, False
        return result

    def _attempt(self, action: Callable[[QdrantClient], _T]) -> _T:
        at = self._at
        try:
            return action(self._clients[at])
        except grpc.RpcError as error:
            if _passes(error) and at == self._at:  # and no other thread has gone on already
                self._at = (at + 1) % len(self._clients)
            raise

    def read(self, action: Callable[[QdrantClient, models.ReadConsistencyType | None], _T]) -> _T:
        """Return what ``action`` reads of all copies; where one is away, of another.

        What one copy lacks is then as good as absent, and is written again; a search may ask any.
        """

        def attempt(client: QdrantClient) -> _T:
            if self._whole:
                try:
                    return action(client, models.ReadConsistencyType.ALL)
                except grpc.RpcError as error:
                    if not _inside(error):
                        raise
                    self._whole = False
                    _LOG.warning(
                        "the collection %r of %s is read from one copy, since another does not "
                        "answer (%s); what that lacks is written by the first index after all "
                        "nodes run again",
                        self._name,
                        self._server,
                        _details(error)[:300],
                    )
            return action(client, None)

        return self.call(attempt)

    def _say(self, state: tenacity.RetryCallState) -> None:
        """Tell a user who waits why, once for each outage."""
        if self._answered and not self._said:
            self._said = True
            error = state.outcome.exception() if state.outcome else None
            away = "is not whole" if error and _inside(error) else "does not answer"
            _LOG.warning(
                "the Qdrant server %s %s; trying again for up to %.0f s",
                self._server,
                away,
                self._longest,
            )

    def close(self) -> None:
        """Hang up."""
        for client in self._clients:
            client.close()

    def _explained(self, error: Exception) -> StoreError:
        code = error.code() if isinstance(error, grpc.RpcError) else None
        words, server = _details(error), self._servers[self._at]
        said = _MEANINGS.get(code, "the Qdrant server {server} rejected the request: {words}")
        if code == grpc.StatusCode.PERMISSION_DENIED:
            said = _meaning(_RIGHTS, words) or said
        elif code == grpc.StatusCode.UNAVAILABLE and (tls := _meaning(_TLS, words)):
            said = tls
        elif _inside(error):
            said, server = _NOT_WHOLE, self._server
        elif _passes(error):
            plain = not self._answered and server.startswith("qdrant:")
            if plain and _speaks_tls(server):
                said = _SPEAKS_TLS
            else:
                said, server = _UNREACHED, self._server
        key = how_to_give_a_key(server)
        return StoreError(said.format(server=server, name=self._name, words=words[:300], key=key))


def _connected(server: str) -> QdrantClient:
    host, port = _address(server)
    with warnings.catch_warnings():
        # A key sent in clear stays on the machine, or is meant to go so.
        warnings.simplefilter("ignore", UserWarning)
        return QdrantClient(
            host=host,
            grpc_port=port,
            prefer_grpc=True,
            https=server.startswith("qdrants:"),
            api_key=key_of(server),
            timeout=CALL_SECONDS,
            check_compatibility=False,  # that would ask the other, HTTP port
        )


def _address(server: str) -> tuple[str, int]:
    host, _, port = server.partition("://")[2].rpartition(":")
    return host, int(port)


def _patience() -> float:
    """Return what the environment says, else two minutes."""
    said = os.environ.get(PATIENCE, "").strip()
    try:
        seconds = float(said or _PATIENCE)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise UsageError(f"{PATIENCE}={said}: give a number of seconds, such as 30")
    return seconds


def _passes(error: BaseException) -> bool:
    """Tell whether the fault is on the line, or the server's for now."""
    if isinstance(error, grpc.RpcError):
        code, words = error.code(), _details(error)
        # A connection that breaks inside a message is reported as internal.
        if code == grpc.StatusCode.UNAVAILABLE and _meaning(_TLS, words):
            return False
        broken = code == grpc.StatusCode.INTERNAL and "RST_STREAM" in words
        return code in _AGAIN or broken or _inside(error)
    return isinstance(error, ResourceExhaustedResponse)


def _inside(error: BaseException) -> bool:
    """Tell whether the node that was asked is well, and others of its cluster are not."""
    return (
        isinstance(error, grpc.RpcError)
        and error.code() == grpc.StatusCode.INTERNAL
        and _INSIDE.search(_details(error)) is not None
    )


def _meaning(meanings: Mapping[str, str], words: str) -> str | None:
    """Return the sentence for the first pattern that the words have."""
    found = (said for what, said in meanings.items() if re.search(what, words, re.IGNORECASE))
    return next(found, None)


def _speaks_tls(server: str) -> bool:
    """Tell whether a server that has not answered in clear does so over TLS; nothing is sent."""
    host, port = _address(server)
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with (
        suppress(OSError),
        socket.create_connection((host.strip("[]"), port), timeout=2) as plain,
        context.wrap_socket(plain),
    ):
        return True
    return False


def _pause(state: tenacity.RetryCallState) -> float:
    """Back off, or wait as long as the server asks."""
    error = state.outcome.exception() if state.outcome else None
    asked = error.retry_after_s if isinstance(error, ResourceExhaustedResponse) else 0
    return max(float(asked), _BACK_OFF(state))


_BACK_OFF: Final = tenacity.wait_exponential_jitter(multiplier=0.1, max=5, jitter=0.1)


def _details(error: Any) -> str:
    words = error.details() if isinstance(error, grpc.RpcError) else str(error)
    return " ".join((words or type(error).__name__).split())
