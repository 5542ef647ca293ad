"""Which Qdrant servers the user has named on this machine, and which API key belongs to which.

An index may come from anybody, and its manifest names a server; only one that the user has named
too is connected to. Named are those of an explicit ``--store`` or ``--to``, which are remembered in
the user's own state folder, those of the user's configuration and environment, and this machine;
and the nodes that such a server has told of. Never reads or writes anything in an index.
"""

import os
import shlex
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from ipaddress import ip_address
from pathlib import Path
from typing import Final
from urllib.parse import urlencode

from platformdirs import user_config_path, user_state_path

from paint_search.errors import StoreError, UsageError, argument
from paint_search.files import read_bytes, replacing
from paint_search.search.stores.uri import Place

#: Environment variable: the key of this machine's server, and of those that were named, over TLS.
API_KEY: Final = "QDRANT_API_KEY"

#: Environment variable: ``HOST:PORT=KEY`` of each server, separated by commas; ``qdrant://`` before
#: a host lets its key go in clear.
KEYS: Final = "PAINT_SEARCH_QDRANT_KEYS"

_MOST: Final = 2**20  # bytes of a file

#: Files in the user's state folder: what was named, and by which server what was told of.
_SERVERS: Final = "servers"
_NODES: Final = "nodes"

#: Those that were named in this process, where the user's folders may not be to be written.
_NAMED: Final[set[str]] = set()


@contextmanager
def named(server: str, files: Mapping[str, Path]) -> Iterator[None]:
    """Trust a server that the user has just named, and from now on if the block succeeds.

    Args:
        server: scheme, host and port, as in a ``Place``.
        files: those for TLS that were named with it.
    """
    entry = _entry(server, files)
    _NAMED.add(entry)
    yield
    if not is_here(server) and entry not in _remembered(_SERVERS):
        with suppress(OSError), _memory(_SERVERS).open("a", encoding="utf-8") as stream:
            stream.write(f"{entry}\n")


def nodes_told_by(server: str) -> list[str]:
    """Return the other nodes of its cluster that a server has told of, as far as remembered."""
    lines = _remembered(_NODES)
    return [node for teller, node in zip(lines[::2], lines[1::2], strict=False) if teller == server]


def remember_nodes(server: str, nodes: Iterable[str]) -> None:
    """Remember which other nodes a server has told of, in place of those of before."""
    lines = _remembered(_NODES)
    kept = [pair for pair in zip(lines[::2], lines[1::2], strict=False) if pair[0] != server]
    pairs = [*kept, *((server, node) for node in nodes)]
    with suppress(OSError), replacing(_memory(_NODES)) as fresh:
        fresh.write_text("".join(f"{teller} {node}\n" for teller, node in pairs), "utf-8")


def key_of(server: str, files: Mapping[str, Path], teller: str | None = None) -> str | None:
    """Return the API key that a server is sent; None for none.

    Args:
        server: scheme, host and port, as in a ``Place``.
        files: those for TLS that go with it.
        teller: the server that told of it, where the user named only that.

    Raises:
        StoreError: the user has not named it, or not with these files.
        UsageError: the configuration or the environment cannot be read.
    """
    own = _configured() | _in_environment()
    here = is_here(server)
    name = teller or server
    entries = {*_NAMED, *_remembered(_SERVERS)}
    if files and not is_here(name) and _entry(name, files) not in entries:
        # By a certificate of its maker's own, an index could have another take the server's place.
        raise StoreError(
            f"this index says by which files {name} is known "
            f"({', '.join(map(str, files.values()))}), and you have not named them for it on this "
            "machine: if you trust them, name the whole address once in "
            f"{argument('store')}, as index or copy takes it"
        )
    known = own.keys() | {entry.partition("?")[0] for entry in entries}
    if not (is_here(name) or name in known):
        raise StoreError(
            f"this index keeps its points on {server}, a server that you have not named on this "
            "machine, and nothing was sent there; if you trust it, set "
            f"{shlex.quote(f'{KEYS}={server}=KEY')} (without a KEY where it needs none), or write "
            f'"{server}" = "KEY" below [servers] in {_configuration()}'
        )
    if key := own.get(server) or own.get(name):
        return key
    return os.environ.get(API_KEY) or None if here or server.startswith("qdrants:") else None


def how_to_give_a_key(server: str) -> str:
    """Say how a server is given its key."""
    entry = shlex.quote(f"{KEYS}={server}=KEY")
    if is_here(server) or server.startswith("qdrants:"):
        return f"set {API_KEY} in the environment, or {entry}"
    return f"{API_KEY} is not sent in clear: use qdrants://, or set {entry} to do so all the same"


def is_here(server: str) -> bool:
    """Tell whether a server is this machine."""
    host = server.partition("://")[2].rpartition(":")[0].strip("[]")
    with suppress(ValueError):
        return ip_address(host).is_loopback
    return host == "localhost"


def _configuration() -> Path:
    return user_config_path("paint-search") / "config.toml"


def _entry(server: str, files: Mapping[str, Path]) -> str:
    """Return how a server is remembered, in one word."""
    return f"{server}?{urlencode(files)}" if files else server


def _memory(name: str) -> Path:
    return user_state_path("paint-search", ensure_exists=True) / name


def _remembered(name: str) -> list[str]:
    try:
        return read_bytes(_memory(name), _MOST).decode(errors="replace").split()
    except (OSError, ValueError):
        return []


def _in_environment() -> dict[str, str]:
    entries = filter(None, map(str.strip, os.environ.get(KEYS, "").split(",")))
    parts = (entry.partition("=") for entry in entries)
    return _servers(KEYS, [(address if equals else "", key) for address, equals, key in parts])


def _configured() -> dict[str, str]:
    file = _configuration()
    try:
        found = tomllib.loads(read_bytes(file.resolve(), _MOST).decode()).get("servers", {})
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise UsageError(f"{file} cannot be read ({error}); mend or delete it") from error
    if not isinstance(found, Mapping) or not all(isinstance(key, str) for key in found.values()):
        raise UsageError(f'{file}: write "HOST:PORT" = "KEY" for each server below [servers]')
    return _servers(str(file), found.items())


def _servers(where: str, entries: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return server -> key; what cannot be read is not repeated, since it may be a key."""
    made: dict[str, str] = {}
    for number, (address, key) in enumerate(entries, start=1):
        whole = address.strip() if "://" in address else f"qdrants://{address.strip()}"
        try:
            servers = Place.parse(f"{whole}/any").servers
        except UsageError:
            servers = []
        if not servers:
            raise UsageError(
                f"{where}: entry {number} names no server; write HOST:PORT and its key, with "
                "qdrant:// before HOST where the key may go in clear"
            )
        made |= dict.fromkeys(servers, key.strip())
    return made
