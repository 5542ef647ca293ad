"""What a collection on a server says of itself, to everybody who opens it by its address.

Data alone, as JSON carries it in the collection's metadata; what of an index stands in it, the
index knows. It may have been written by anybody: it is checked as it is read.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Protocol, Self

from paint_search.search.stores.uri import Place

#: Most bytes of a file that travels with a collection: the largest networks there are.
MOST_BYTES: Final = 2**31

#: What such a file may be called, below the folder of an index: nothing leads out of that.
_FILE: Final = re.compile(
    r"(backbone|(compressor-\d{1,9}|verification)/[a-z_]{1,64})\.(json|safetensors|xml|bin|onnx)"
)


@dataclass(frozen=True, slots=True)
class Maker:
    """What made the vectors of a store: a name to read, and a fingerprint to compare.

    Vectors of two fingerprints must never meet in one store.
    """

    name: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Part:
    """A file that travels with a collection."""

    size: int  #: in bytes
    sha256: str  #: of its content

    @classmethod
    def of(cls, content: bytes) -> Self:
        """Return what tells this content from any other."""
        return cls(len(content), hashlib.sha256(content).hexdigest())


@dataclass(frozen=True, slots=True)
class Description:
    """What a collection says of itself."""

    maker: Maker  #: of its vectors
    #: counts up whenever the points are written anew; 0 in collections of before there were any.
    generation: int = 0
    revision: str = ""  #: another one after each change
    #: what the index says of itself, without what belongs to one machine; empty in those of before.
    manifest: Mapping[str, Any] = field(default_factory=dict)
    parts: Mapping[str, Part] = field(default_factory=dict)  #: its files, by their path
    #: who is filling it, while it is not the one that its public name leads to.
    claim: str = ""
    #: seconds since 1970 until which that claim, or a generation of before, is left alone.
    until: float = 0.0

    def to_metadata(self) -> dict[str, Any]:
        """Return it as JSON can carry it."""
        return asdict(self) | {"maker": self.maker.name, "fingerprint": self.maker.fingerprint}

    @classmethod
    def from_metadata(cls, record: Any) -> Self:
        """Read it back.

        Raises:
            ValueError, LookupError, TypeError, AttributeError: it is not of that form.
        """
        parts = {}
        for name, part in dict(record.get("parts") or {}).items():
            made = Part(int(part["size"]), str(part["sha256"]))
            if not _FILE.fullmatch(name) or not 0 <= made.size <= MOST_BYTES:
                raise ValueError(f"it names {name!r}, a file of {made.size:,} bytes, as its part")
            parts[name] = made
        return cls(
            Maker(str(record["maker"]), str(record["fingerprint"])),
            generation=int(record.get("generation", 0)),
            revision=str(record.get("revision", "")),
            manifest=dict(record.get("manifest") or {}),
            parts=parts,
            claim=str(record.get("claim", "")),
            until=float(record.get("until", 0.0)),
        )


class Shared(Protocol):
    """A collection of a server, as all who open it share it.

    Every method raises StoreError when the server fails.
    """

    @property
    def place(self) -> Place:
        """Where it is, and which generation was found there."""
        ...

    @property
    def description(self) -> Description | None:
        """What it said of itself when it was last asked; None where it is not there."""
        ...

    def look(self) -> Description | None:
        """Ask what it says of itself now."""
        ...

    def describe(self, manifest: Mapping[str, Any], parts: Mapping[str, Part]) -> bool:
        """Say something else from now on; False where the key has no right to that."""
        ...

    def send(self, part: Part, content: bytes) -> bool:
        """Keep the content of a file, unless it is kept already; False where the key may not."""
        ...

    def fetch(self, part: Part) -> bytes:
        """Return the content of a file, checked."""
        ...

    def renew(self) -> None:
        """Say that this generation, which is not public yet, is still being filled."""
        ...

    def publish(self, before: Any) -> None:
        """Let the public name lead here instead of to the generation of before, in one step."""
        ...

    def discard(self) -> None:
        """Delete this generation, unless it was published."""
        ...

    def retire(self, seconds: float) -> None:
        """Leave this generation to those who are reading it, for some time, and then delete it."""
        ...

    def sweep(self) -> None:
        """Delete generations of before whose time is over, as far as the key may."""
        ...
