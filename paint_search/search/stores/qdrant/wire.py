"""Calls to a Qdrant server: connected, retried while the line is at fault, errors in one sentence.

A call is repeated only where the server was not reached or was too busy to take it; what it has
rejected is never sent again. Every call made through here may be repeated without harm.
"""

import logging
import os
import re
import socket
import ssl
import threading
import time
import warnings
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

import grpc
import tenacity
from qdrant_client import QdrantClient, models
from qdrant_client import grpc as wire
from qdrant_client.common.client_exceptions import ResourceExhaustedResponse
from qdrant_client.http.exceptions import ApiException

from paint_search.errors import StoreError, UsageError, argument
from paint_search.files import read_bytes
from paint_search.search.stores.qdrant.servers import (
    how_to_give_a_key,
    is_here,
    key_of,
    nodes_told_by,
    remember_nodes,
)
from paint_search.search.stores.uri import Place

#: Environment variable: seconds for which a server that answered before may be away, such as for a
#: restart.
PATIENCE: Final = "PAINT_SEARCH_PATIENCE"
_PATIENCE: Final = 120.0

#: Seconds to find out that there is no server.
FIRST_PATIENCE: Final = 5.0

#: Longest that one call may take.
CALL_SECONDS: Final = 60

#: Seconds for what is asked of one node alone.
_NODE_SECONDS: Final = 5

#: Seconds for which one that has not answered is not the first to be asked again.
_AWAY_SECONDS: Final = 30.0
_AWAY: Final[dict[str, float]] = {}  # since when

#: How gRPC notices within ten seconds that a connection is dead, though nobody has closed it: by
#: pings while a call waits. Between two calls there are none: a server that allows no more than
#: gRPC's own do by default (three pings without data) would hang up with ``too_many_pings``, and
#: the next call notices as soon.
_KEPT_ALIVE: Final[Mapping[str, int]] = {
    "grpc.keepalive_time_ms": 5_000,
    "grpc.keepalive_timeout_ms": 5_000,
    "grpc.http2.ping_timeout_ms": 5_000,  # a minute by default, whatever the line above says
    "grpc.min_reconnect_backoff_ms": 5_000,  # how long a connection may take to be made
    "grpc.max_reconnect_backoff_ms": 5_000,  # how long none is made after one that failed
}

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
        "are, in PEM, as ?ca=FILE behind the address"
    ),
    "Hostname Verification": (
        "the certificate of {server} is for another name; use one of those that it was made for"
    ),
    "WRONG_VERSION_NUMBER": (
        "{server} does not speak TLS at this port; use its port for TLS, or qdrant:// if the line "
        "to it is safe"
    ),
    "ALPN": (
        "{server} speaks TLS at this port, but not HTTP/2, which gRPC needs; see that this is its "
        "gRPC port, or what stands before it"
    ),
}
_NO_CERTIFICATE: Final = (
    "{server} hangs up on who has no certificate of a client; name one and its private key behind "
    "the address: ?cert=FILE&key=FILE"
)
_BAD_CERTIFICATE: Final = (
    "{server} refuses the certificate {cert}: see that it has not expired, and that it is signed "
    "by whom the server trusts"
)
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

    Where it has several nodes, they are asked in turn: the next one when one does not answer, first
    those that the user named, then those that these have told of.

    Attributes:
        whole: whether every copy has answered since it was last set.

    Raises:
        StoreError: the user has not named the server, or a file that it names cannot be used.
    """

    def __init__(self, place: Place) -> None:
        self._server, self._place = str(place.server), place
        self._name = place.base
        self._longest = _patience()
        keys = {server: key_of(server, place.files) for server in place.servers}
        for teller in place.servers:
            for node in nodes_told_by(teller):
                keys.setdefault(node, key_of(node, place.files, teller))
        self._credentials = _credentials(place)
        self._keys = keys
        self._servers = [*keys]
        self._clients: dict[str, QdrantClient] = {}  # made when they are first asked
        self._making = threading.Lock()
        self._silent: dict[str, StoreError] = {}  # why a node has not answered for itself
        #: The node that is asked.
        self._at = next((at for at, server in enumerate(self._servers) if not _is_away(server)), 0)
        self._answered = self._said = False
        self.whole = True

    def _client(self, server: str) -> QdrantClient:
        with self._making:
            if server not in self._clients:
                options = {**_KEPT_ALIVE, **self._credentials}
                self._clients[server] = _connected(
                    server, self._keys[server], timeout=CALL_SECONDS, grpc_options=options
                )
            return self._clients[server]

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
                tenacity.stop_after_delay(patience), tenacity.stop_after_attempt(len(self._servers))
            ),
            before_sleep=self._say,
            reraise=True,
        )
        try:
            result = again(lambda: self._attempt(action))
        except (grpc.RpcError, ResourceExhaustedResponse) as error:
            raise self._explained(error, self._servers[self._at], self._server) from error
        self._answered, self._said = True, False
        return result

    def _attempt(self, action: Callable[[QdrantClient], _T]) -> _T:
        at = self._at
        try:
            return action(self._client(self._servers[at]))
        except grpc.RpcError as error:
            if _passes(error) and at == self._at:  # and no other thread has gone on already
                _AWAY[self._servers[at]] = time.monotonic()
                self._at = (at + 1) % len(self._servers)
            raise

    def each(self, action: Callable[[QdrantClient], _T]) -> dict[str, _T | StoreError]:
        """Return what each node answers for itself, by its name, or why it does not."""

        def ask(server: str) -> _T | StoreError:
            if server in self._silent and _is_away(server):
                return self._silent[server]
            try:
                return action(self._client(server))
            except (grpc.RpcError, ResourceExhaustedResponse) as error:
                why = self._explained(error, server, server)
                why.__cause__ = error
                if _passes(error):
                    _AWAY[server], self._silent[server] = time.monotonic(), why
                return why

        with ThreadPoolExecutor(len(self._servers), thread_name_prefix="node") as pool:
            return dict(zip(self._servers, pool.map(ask, self._servers), strict=True))

    def learn(self) -> None:
        """Ask which other nodes the cluster has, and remember those that answer from here.

        The named nodes tell it on their HTTP port, the one below that of gRPC, to a key for all
        collections. Where it cannot be had, what is remembered stays.
        """
        named = self._place.servers
        for teller in named:
            found = self._peers(teller)
            if found is None:
                continue
            before = nodes_told_by(teller)
            for node in found.keys() - self._servers:
                self._keys[node] = key_of(node, self._place.files, teller)
                self._servers.append(node)
            said = self.each(lambda client: int(self.cluster(client).peer_id))
            kept = [
                node
                for node, peer in found.items()
                if said[node] == peer or (node in before and isinstance(said[node], StoreError))
            ]
            remember_nodes(teller, kept)
            for node in {*before, *found}.difference(kept, named).intersection(self._servers):
                self._servers.remove(node)
                self._client(node).close()
                del self._clients[node]
            self._at %= len(self._servers)
            return

    def _peers(self, teller: str) -> dict[str, int] | None:
        """Return address -> number of the other nodes that one tells of; None if it does not."""
        scheme, (host, port) = teller.partition("://")[0], _address(teller)
        safe = scheme == "qdrants"
        options: dict[str, Any] = {"verify": _context(self._place)} if safe else {}
        key = key_of(teller, self._place.files)
        try:
            with closing(_connected(teller, key, timeout=_NODE_SECONDS, **options)) as client:
                status = client.cluster_status()
        except (ApiException, AssertionError, ValueError, OSError):  # what it says may be anything
            return None
        found = {}
        for number, peer in getattr(status, "peers", {}).items():
            with suppress(ValueError):  # of an address that is none
                host = urlsplit(peer.uri).hostname or ""
                node = f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"
                # What a node calls itself is itself; and no key leaves this machine in clear.
                outward = is_here(teller) and not is_here(node) and not safe
                inward = is_here(node) and not is_here(teller)
                if host and not (outward or inward or node in self._place.servers):
                    found[node] = int(number)
        return found

    def cluster(self, client: QdrantClient) -> Any:
        """Return what a node says of the collection's shards."""
        return client.grpc_collections.CollectionClusterInfo(
            wire.CollectionClusterInfoRequest(collection_name=self._name), timeout=_NODE_SECONDS
        )

    def read(self, action: Callable[[QdrantClient, models.ReadConsistencyType | None], _T]) -> _T:
        """Return what ``action`` reads of all copies; where one is away, of another.

        What one copy lacks is then as good as absent, and is written again; a search may ask any.
        """

        def attempt(client: QdrantClient) -> _T:
            if self.whole:
                try:
                    return action(client, models.ReadConsistencyType.ALL)
                except grpc.RpcError as error:
                    if not _inside(error):
                        raise
                    self.whole = False
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
        for client in self._clients.values():
            client.close()

    def _explained(self, error: Exception, server: str, whole: str) -> StoreError:
        """Say in a sentence what befell a call to one node of a server."""
        code = error.code() if isinstance(error, grpc.RpcError) else None
        words = _details(error)
        said = _MEANINGS.get(code, "the Qdrant server {server} rejected the request: {words}")
        if code == grpc.StatusCode.PERMISSION_DENIED:
            said = _meaning(_RIGHTS, words) or said
        elif code == grpc.StatusCode.UNAVAILABLE and (tls := _meaning(_TLS, words)):
            said = tls
        elif _inside(error):
            said, server = _NOT_WHOLE, whole
        elif _passes(error):
            if not self._answered and (tls := _probe(server, self._place)):
                said = tls
            else:
                said, server = _UNREACHED, whole
        key = how_to_give_a_key(server)
        cert = self._place.files.get("cert")
        return StoreError(
            said.format(server=server, name=self._name, words=words[:300], key=key, cert=cert)
        )


def _connected(server: str, key: str | None, **options: Any) -> QdrantClient:
    host, port = _address(server)
    with warnings.catch_warnings():
        # A key sent in clear stays on the machine, or is meant to go so.
        warnings.simplefilter("ignore", UserWarning)
        return QdrantClient(
            host=host,
            port=port - 1,
            grpc_port=port,
            prefer_grpc=True,
            https=server.startswith("qdrants:"),
            api_key=key,
            check_compatibility=False,  # that would ask the other, HTTP port
            **options,
        )


def _is_away(server: str) -> bool:
    since = _AWAY.get(server)
    return since is not None and time.monotonic() - since < _AWAY_SECONDS


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


#: What each file is called by gRPC, and what in it shows that it is one.
_FILES: Final[Mapping[str, tuple[str, bytes, str]]] = {
    "ca": ("root_certificates", b"BEGIN CERTIFICATE", "certificate"),
    "cert": ("certificate_chain", b"BEGIN CERTIFICATE", "certificate"),
    "key": ("private_key", b"PRIVATE KEY", "private key"),
}
_MOST: Final = 2**20  # bytes of a file


def _credentials(place: Place) -> dict[str, bytes]:
    """Return the files for TLS as gRPC takes them, checked, since it would only say that it failed.

    Raises:
        StoreError: one is missing, is something else, or does not fit the other.
    """
    read: dict[str, bytes] = {}
    for name, file in place.files.items():
        option, mark, what = _FILES[name]
        try:
            read[option] = read_bytes(file, _MOST)
        except (OSError, ValueError) as error:
            reason = (isinstance(error, OSError) and error.strerror) or error
            raise StoreError(
                f"the file {file} cannot be read ({reason}), by which {place.server} is known; "
                f"name another as ?{name}=FILE behind the address in {argument('store')}"
            ) from error
        if mark not in read[option]:
            raise StoreError(f"{file} holds no {what} in PEM; name another file as ?{name}=FILE")
        if b"ENCRYPTED" in read[option]:
            raise StoreError(
                f"the private key {file} asks for a password; name a file with the key as it is, "
                "which nobody else may read"
            )
    if read:
        _context(place)
    return read


def _context(place: Place) -> ssl.SSLContext:
    """Return whom and what the files of a place have this machine trust and show."""
    files = place.files
    roots = files.get("ca") or Path(os.environ.get("GRPC_DEFAULT_SSL_ROOTS_FILE_PATH", ""))
    try:
        context = ssl.create_default_context(cafile=roots if roots.is_file() else None)
    except ssl.SSLError as error:
        raise StoreError(f"the certificates in {roots} are damaged ({error.reason})") from error
    if "cert" in files:
        try:
            context.load_cert_chain(files["cert"], files["key"], password=lambda: "")
        except ssl.SSLError as error:
            fits = "mismatch" not in str(error).lower()
            raise StoreError(
                f"the certificate {files['cert']} or its private key {files['key']} is damaged"
                if fits
                else f"{files['key']} is not the private key of the certificate {files['cert']}"
            ) from error
    return context


#: What a connection of HTTP/2 begins with: the preface, and no settings.
_PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])


def _probe(server: str, place: Place) -> str | None:
    """Say what is wrong with TLS where a server that runs has not answered; no key is sent."""
    host, port = _address(server)
    safe = server.startswith("qdrants:")
    context = _context(place)
    context.set_alpn_protocols(["h2"])
    if not safe:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    name = host.strip("[]")
    try:
        with (
            socket.create_connection((name, port), timeout=2) as plain,
            context.wrap_socket(plain, server_hostname=name) as secured,
        ):
            if not safe:
                return _SPEAKS_TLS
            secured.sendall(_PREFACE)
            hangs_up = not secured.recv(1)
    except (TimeoutError, ssl.SSLCertVerificationError):
        return None
    except (ConnectionResetError, BrokenPipeError, ssl.SSLError) as error:
        hangs_up = not isinstance(error, ssl.SSLError) or "ALERT" in str(error)
    except (OSError, ValueError):
        return None
    if not (safe and hangs_up):
        return None
    return _BAD_CERTIFICATE if "cert" in place.files else _NO_CERTIFICATE


def _pause(state: tenacity.RetryCallState) -> float:
    """Back off, or wait as long as the server asks."""
    error = state.outcome.exception() if state.outcome else None
    asked = error.retry_after_s if isinstance(error, ResourceExhaustedResponse) else 0
    return max(float(asked), _BACK_OFF(state))


_BACK_OFF: Final = tenacity.wait_exponential_jitter(multiplier=0.1, max=5, jitter=0.1)


def _details(error: Any) -> str:
    words = error.details() if isinstance(error, grpc.RpcError) else str(error)
    return " ".join((words or type(error).__name__).split())
