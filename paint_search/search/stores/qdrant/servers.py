"""Which Qdrant servers the user has named on this machine, and which API key belongs to which.

An index may come from anybody, and its manifest names a server; only one that the user has named
too is connected to. Named are those of an explicit ``--store`` or ``--to``, which are remembered in
the user's own state folder, those of the user's configuration and environment, and this machine.
Never reads or writes anything in an index.
"""

import os
import shlex
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from platformdirs import user_config_path, user_state_path

from paint_search.errors import StoreError, UsageError
from paint_search.files import read_bytes
from paint_search.search.stores.uri import Place

#: Environment variable: the key of this machine's server, and of those that were named, over TLS.
API_KEY: Final = "QDRANT_API_KEY"

#: Environment variable: ``HOST:PORT=KEY`` of each server, separated by commas; ``qdrant://`` before
#: a host lets its key go in clear.
KEYS: Final = "PAINT_SEARCH_QDRANT_KEYS"

_MOST: Final = 2**20  # bytes of a file

#: Those that were named in this process, where the user's folders may not be to be written.
_NAMED: Final[set[str]] = set()


@contextmanager
def named(server: str) -> Iterator[None]:
    """Trust a server that the user has just named, and from now on if the block succeeds."""
    _NAMED.add(server)
    yield
    if not _is_here(server) and server not in _remembered():
        with suppress(OSError), _memory().open("a", encoding="utf-8") as stream:
            stream.write(f"{server}\n")


def key_of(server: str) -> str | None:
    """Return the API key that a server is sent; None for none.

    Args:
        server: scheme, host and port, as in a ``Place``.

    Raises:
        StoreError: the user has not named it.
        UsageError: the configuration or the environment cannot be read.
    """
    own = _configured() | _in_environment()
    here = _is_here(server)
    if not (here or server in own or server in _NAMED or server in _remembered()):
        raise StoreError(
            f"this index keeps its points on {server}, a server that you have not named on this "
            "machine, and nothing was sent there; if you trust it, set "
            f"{shlex.quote(f'{KEYS}={server}=KEY')} (without a KEY where it needs none), or write "
            f'"{server}" = "KEY" below [servers] in {_configuration()}'
        )
    if own.get(server):
        return own[server]
    return os.environ.get(API_KEY) or None if here or server.startswith("qdrants:") else None


def how_to_give_a_key(server: str) -> str:
    """Say how a server is given its key."""
    entry = shlex.quote(f"{KEYS}={server}=KEY")
    if _is_here(server) or server.startswith("qdrants:"):
        return f"set {API_KEY} in the environment, or {entry}"
    return f"{API_KEY} is not sent in clear: use qdrants://, or set {entry} to do so all the same"


def _is_here(server: str) -> bool:
    host = server.partition("://")[2].rpartition(":")[0].strip("[]")
    with suppress(ValueError):
        return ip_address(host).is_loopback
    return host == "localhost"


def _configuration() -> Path:
    return user_config_path("paint-search") / "config.toml"


def _memory() -> Path:
    return user_state_path("paint-search", ensure_exists=True) / "servers"


def _remembered() -> list[str]:
    try:
        return read_bytes(_memory(), _MOST).decode(errors="replace").split()
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
