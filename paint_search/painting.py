"""What travels between rooms: a painting, its stored point, a hit; and how far a long run is.

A painting is one image file and what is known of it; a record is what the store keeps of it, with
its vector; a hit is a painting with its rank and score. None holds pixels.
"""

import unicodedata
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paint_search.errors import StoreError, counted

Value = str | int | float

#: Namespace of painting ids; changing it would orphan every index ever written.
_NAMESPACE = uuid.UUID("6f0d3c1e-5f0a-5c59-9d0b-2a6b7c0f4e11")

#: Fields every painting may carry as attributes; all others live in ``Painting.fields``.
LABELS = ("artist", "title", "year", "movement")


def composed(text: str) -> str:
    """Return a text in Unicode's form NFC, in which all texts are stored and compared.

    Some systems write "ü" as a "u" and two dots, most as one letter; they look alike.
    """
    return unicodedata.normalize("NFC", text)


def painting_id(path: str) -> str:
    """Return the UUIDv5 of a corpus-relative path, so that an index can be rebuilt bit by bit."""
    return str(uuid.uuid5(_NAMESPACE, path))


@dataclass(frozen=True, slots=True)
class Painting:
    """One image file and what is known of it.

    ``path`` is relative to the corpus root and uses ``/`` and NFC on every system. ``year`` is a
    number, or the text that stood there; its ends are the fields ``year_from`` and ``year_to``.
    """

    id: str
    path: str
    artist: str | None = None
    title: str | None = None
    year: Value | None = None
    movement: str | None = None
    fields: Mapping[str, Value] = field(default_factory=dict)
    #: bytes and time (ns) of the file when it was indexed; None where there was none.
    stamp: tuple[int, int] | None = field(default=None, repr=False, compare=False)

    @classmethod
    def from_labels(
        cls, path: str, labels: Mapping[str, Value], stamp: tuple[int, int] | None = None
    ) -> "Painting":
        """Make the painting at ``path`` from its labels, a flat mapping of field to value."""
        known: dict[str, Any] = {name: labels[name] for name in LABELS if name in labels}
        rest = {name: value for name, value in labels.items() if name not in LABELS}
        return cls(id=painting_id(path), path=path, fields=rest, stamp=stamp, **known)

    @classmethod
    def from_payload(cls, payload: Mapping[str, Any]) -> "Painting":
        """Make the painting that a stored payload speaks of; ``_`` names are bookkeeping.

        Raises:
            StoreError: its path is none below a corpus.
        """
        labels = {
            name: value
            for name, value in payload.items()
            if name != "path" and not name.startswith("_")
        }
        size, time = payload.get("_size"), payload.get("_mtime_ns")
        stamp = None if size is None or time is None else (size, time)
        return cls.from_labels(path_in(payload), labels, stamp)

    def __hash__(self) -> int:
        return hash(self.id)  # equal paintings have one id, and a mapping has no hash

    def __getitem__(self, name: str) -> Value | None:
        """Return the field of this name; None where it is not known of this painting."""
        return self.to_dict().get(name)

    def labels(self) -> dict[str, Value]:
        """Return every known field but the path as one flat mapping."""
        known = {name: getattr(self, name) for name in LABELS}
        return {name: value for name, value in known.items() if value is not None} | dict(
            self.fields
        )

    def to_dict(self) -> dict[str, Any]:
        """Return a flat JSON-able mapping: id, path, labels."""
        return {"id": self.id, "path": self.path, **self.labels()}


def path_in(payload: Mapping[str, Any]) -> str:
    """Return the corpus-relative path that a stored payload speaks of.

    Raises:
        StoreError: it is none, or leads out of the corpus: somebody else has written it.
    """
    path = payload.get("path")
    if isinstance(path, str) and path and "\0" not in path:
        # Most need no closer look, which takes ten times as long.
        if path[0] not in "/\\" and ".." not in path and ":" not in path:
            return path
        parts = PurePath(path)
        if not parts.anchor and ".." not in parts.parts:
            return path
    raise StoreError(
        f"this index names the file {str(path)[:200]!r}, which is in no corpus: it is damaged, or "
        "made to show other files; nothing was opened"
    )


@dataclass(frozen=True, slots=True)
class Record:
    """One stored point.

    ``vector`` is the backbone's, (d,) float32 with unit norm, ``compact`` the compressed one; each
    is None where it was not asked for or is not stored.
    """

    id: str
    payload: Mapping[str, Any]
    vector: NDArray[np.float32] | None = None
    compact: NDArray[np.float32] | None = None

    @property
    def path(self) -> str:
        """The painting's path below the corpus; StoreError where that leads out of it."""
        return path_in(self.payload)

    @property
    def vectors(self) -> dict[str, NDArray[np.float32]]:
        """The vectors that are here, by kind: full, compact."""
        kinds = {"full": self.vector, "compact": self.compact}
        return {kind: vector for kind, vector in kinds.items() if vector is not None}

    @property
    def best(self) -> NDArray[np.float32] | None:
        """The vector that scores are taken from: the backbone's, or what is left of it."""
        return self.compact if self.vector is None else self.vector


@dataclass(frozen=True, slots=True)
class Hit:
    """A painting found by a query.

    ``score`` is the cosine to the query, -1 to 1. ``above_same_artist`` and
    ``above_other_artists`` are the shares (0 to 1) of painting pairs by one artist, and by two
    artists, that score lower in this index; None where the index has too few labels to say.
    ``copies`` are near-identical paintings folded into this hit. ``box`` is where a detail that was
    looked for lies: left, top, width and height in pixels of the picture as it is shown; the score
    is then the mean cosine of its places.
    """

    rank: int
    score: float
    painting: Painting
    above_same_artist: float | None = None
    above_other_artists: float | None = None
    copies: tuple[Painting, ...] = ()
    box: tuple[int, int, int, int] | None = None

    @property
    def id(self) -> str:
        """The painting's id."""
        return self.painting.id

    @property
    def path(self) -> str:
        """The painting's path below the corpus."""
        return self.painting.path

    @property
    def and_copies(self) -> str:
        """How many copies are folded into it, to be shown behind it; empty if none are."""
        return f"  +{counted(len(self.copies), 'copy', 'copies')}" if self.copies else ""

    def __getitem__(self, name: str) -> Value | None:
        """Return the painting's field of this name; None where it is not known."""
        return self.painting[name]

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able mapping."""
        return {
            "rank": self.rank,
            "score": round(self.score, 6),
            **self.painting.to_dict(),
            "above_same_artist": _rounded(self.above_same_artist),
            "above_other_artists": _rounded(self.above_other_artists),
            "copies": [copy.to_dict() for copy in self.copies],
            "box": self.box and list(self.box),
        }


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a long run is, in steps of its own, and a few words on how it goes."""

    done: int
    total: int
    words: str = ""


def _rounded(share: float | None) -> float | None:
    return None if share is None else round(share, 3)
