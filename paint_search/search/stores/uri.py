"""Where an index keeps its points, as users write it: ``edge``, ``faiss`` or ``qdrant://…``.

Settings stand behind a ``?``, as in ``faiss?factory=HNSW32`` or ``qdrant://host:6334/works?shards=6``.
Reads and writes text, never touches a store. Secrets have no place in it.
"""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Literal, Self, cast
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from paint_search.errors import UsageError, argument

Kind = Literal["edge", "faiss", "qdrant"]
Setting = str | int | bool

#: Port of Qdrant's gRPC interface.
PORT: Final = 6334

#: Settings that are files of this machine, and belong nowhere else.
LOCAL: Final = ("ca", "cert", "key")

_SCHEMES: Final = ("qdrant", "qdrants")
_COLLECTION: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,199}")


@dataclass(frozen=True, slots=True)
class Place:
    """Where the points of an index are.

    Attributes:
        kind: of the store.
        base: name of the folder in the index, or public name of the collection.
        generation: counts up whenever the points are written anew, as ``compress`` does.
        server: scheme, host and port, of several nodes separated by commas; None for stores in a
            folder of the index.
        settings: those that were given, checked.
    """

    kind: Kind = "edge"
    base: str = "store"
    generation: int = 1
    server: str | None = None
    settings: Mapping[str, Setting] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what was given as ``--store``.

        Raises:
            UsageError: no such store, or a setting that it does not have.
        """
        head, _, query = text.partition("?")
        if head in ("edge", "faiss"):
            kind = cast("Kind", head)
            return cls(kind, settings=_settings(kind, query, text))
        if "@" in head:
            raise UsageError(
                f"keep secrets out of {argument('store')}: the API key goes into QDRANT_API_KEY"
            )
        scheme, _, rest = head.partition("://")
        if scheme not in _SCHEMES:
            raise UsageError(
                f"unknown {argument('store', text)}: use edge, faiss, "
                f"qdrant://HOST:{PORT}/COLLECTION, or qdrants:// for TLS"
            )
        nodes, _, name = rest.partition("/")
        name = name.strip("/")
        try:
            text.encode()  # a name of other bytes is no server's
            addresses = [urlsplit(f"//{node}") for node in nodes.split(",")]
            hosts = [(address.hostname or "", address.port or PORT) for address in addresses]
        except ValueError as error:
            raise UsageError(f"cannot read {argument('store', text)}: {error}") from error
        if not all(host for host, _ in hosts) or not _COLLECTION.fullmatch(name):
            raise UsageError(
                f"{argument('store', text)} names no host or no collection: write "
                f"qdrant://HOST:{PORT}/COLLECTION, with letters, digits, '_', '-' and '.'"
            )
        settings = _settings("qdrant", query, text)
        if scheme == "qdrant" and not settings.keys().isdisjoint(LOCAL):
            raise UsageError(
                f"{argument('store', head)}: {', '.join(LOCAL)} name files for TLS; write qdrants://"
            )
        if ("cert" in settings) != ("key" in settings):
            raise UsageError(
                f"{argument('store', head)}: cert and key, this machine's certificate and the file "
                "of its private key, go together; an API key goes into QDRANT_API_KEY"
            )
        shown = (f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in hosts)
        return cls(
            "qdrant",
            base=name,
            server=f"{scheme}://{','.join(dict.fromkeys(shown))}",
            settings=settings,
        )

    @property
    def name(self) -> str:
        """Name of the folder in the index, or of the collection of this generation.

        The public name of a collection is ``base``, which leads to the newest generation.
        """
        first = self.embedded and self.generation == 1
        return self.base if first else f"{self.base}-{self.generation}"

    @property
    def servers(self) -> list[str]:
        """Scheme, host and port of each node of the server."""
        scheme, _, addresses = (self.server or "").partition("://")
        return [f"{scheme}://{address}" for address in addresses.split(",") if address]

    @property
    def files(self) -> Mapping[str, Path]:
        """The files of this machine that its settings name."""
        return {name: Path(str(self.settings[name])) for name in LOCAL if name in self.settings}

    @property
    def embedded(self) -> bool:
        """Whether the points are in a folder of the index, which one process holds at a time."""
        return self.server is None

    def same_as(self, other: Self) -> bool:
        """Tell whether both name one place, whatever their settings and generations."""
        return (self.kind, self.base, self.server) == (other.kind, other.base, other.server)

    def as_named(self, named: Self) -> Self:
        """Return the same with the files that a user has named now, if any."""
        if not named.files:
            return self
        kept = {name: v for name, v in self.settings.items() if name not in LOCAL}
        files = {name: str(file) for name, file in named.files.items()}
        return replace(self, settings=kept | files)

    def successor(self, taken: Callable[[Self], bool]) -> Self:
        """Return the place of the next generation that is not taken."""
        made = replace(self, generation=self.generation + 1)
        while taken(made):
            made = replace(made, generation=made.generation + 1)
        return made

    def __str__(self) -> str:
        head = self.kind if self.server is None else f"{self.server}/{quote(self.base)}"
        return f"{head}?{urlencode(self.settings)}" if self.settings else head

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Self:
        """Read the place back from a manifest.

        Raises:
            LookupError, TypeError, ValueError: the record is not of that form.
        """
        kind, server, base = record["kind"], record["server"], str(record["base"])
        known = {n: v for n, v in record["settings"].items() if n not in _RETIRED.get(kind, ())}
        head = str(kind) if server is None else f"{server}/{base}"
        try:
            written = cls.parse(f"{head}?{urlencode(known)}")
        except UsageError as error:
            raise ValueError(str(error)) from error
        if (written.kind, written.server, written.base) != (kind, server, base):
            raise ValueError(f"{kind} keeps nothing at {head}")
        return replace(written, generation=int(record["generation"]))


def _settings(kind: Kind, query: str, text: str) -> Mapping[str, Setting]:
    settings: dict[str, Setting] = {}
    known, where = _SETTINGS[kind], argument("store", text)
    try:
        pairs = dict(parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query)))
    except ValueError as error:
        raise UsageError(
            f"cannot read the settings of {where}: write ?key=value&key=value"
        ) from error
    for name, value in pairs.items():
        if name in _RETIRED.get(kind, ()):
            raise UsageError(
                f"{where}: {kind} takes no {name} any more; name an index with ?factory=, and "
                "paint-search info shows its measured recall"
            )
        if name not in known:
            has = f"has {', '.join(known)}" if known else "has none"
            raise UsageError(f"{where}: there is no setting {name!r}; {kind} {has}")
        try:
            settings[name] = known[name](value)
        except (ValueError, KeyError):
            raise UsageError(f"{where}: {value!r} is no value of {name}") from None
    return settings


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number


def _flag(text: str) -> bool:
    return {"true": True, "false": False}[text.lower()]


def _file(text: str) -> str:
    if not text:
        raise ValueError(text)
    return str(Path(os.path.expanduser(text)).absolute())  # noqa: PTH111


_SETTINGS: Final[Mapping[Kind, Mapping[str, Callable[[str], Setting]]]] = {
    "edge": {},
    "faiss": {"factory": str},
    "qdrant": {
        "shards": _positive,
        "replicas": _positive,
        "consistency": _positive,
        "on_disk": _flag,
        "quantization": {"int8": "int8", "binary": "binary"}.__getitem__,
        **dict.fromkeys(LOCAL, _file),
    },
}

#: What manifests of version 0.1 may still name.
_RETIRED: Final[Mapping[Kind, tuple[str, ...]]] = {"faiss": ("memory", "recall")}
