"""What an index directory says about itself: ``manifest.json``, read, checked, written atomically.

Holds everything that a query or a later run must know and the store does not: the backbone, the
corpus root, how labels are made, the engine, the background of the scores. Never holds secrets or
absolute paths where a relative one can be had.
"""

import dataclasses
import hashlib
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from paint_search.compress.record import Compression
from paint_search.errors import (
    IndexMissingError,
    ManifestError,
    StoreError,
    UnknownError,
    UsageError,
)
from paint_search.files import read_json, replacing
from paint_search.indexer.backbones.engines import EngineChoice
from paint_search.indexer.backbones.registry import BackboneRecord
from paint_search.indexer.corpus.labels import FOLDER
from paint_search.indexer.feature_cache import CACHE_BYTES
from paint_search.search.background import Background
from paint_search.search.stores.base import LONGEST, VectorName
from paint_search.search.stores.description import Maker
from paint_search.search.stores.uri import LOCAL, Place

#: 5 since a collection on a server has generations, 4 since borders may be cut off, 3 since the
#: points may be elsewhere, 2 since there may be compact vectors; all are read.
FORMAT: Final = 5
MANIFEST: Final = "manifest.json"

#: What of it belongs to one machine, and is told to no other.
_OWN: Final = ("root", "table", "table_encoding", "store")


_DAMAGE: Final = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError)


@dataclass(frozen=True)
class Manifest:
    """The manifest of one index."""

    backbone: BackboneRecord  #: the model that made the vectors
    root: str  #: the corpus folder, relative to the index folder where both are on one drive
    labels: str = FOLDER  #: ``folder`` or a pattern
    table: str | None = None  #: the table of labels, written like ``root``; None without one
    #: of the table, as the user said it; None to find it out
    table_encoding: str | None = None
    #: the file of the table that labels came from on another machine, which this one has not.
    from_table: str | None = None
    #: what embedded last; None before the first run, and for a formula.
    engine: EngineChoice | None = None
    #: what scores usually are; None where the index has too few labels to say.
    background: Background | None = None
    #: the same of compact vectors alone, where full ones are searched.
    compact_background: Background | None = None
    store: Place = field(default_factory=Place)  #: where the points are
    #: the kinds of vectors that the store keeps; none yet where those of the backbone are too long
    #: for it.
    vectors: tuple[VectorName, ...] = ("full",)
    #: the compressor of the compact ones; None before ``compress``.
    compression: Compression | None = None
    #: most numbers of a vector that the store is given as it is; longer ones wait in a feature
    #: cache for a compressor.
    longest: int = LONGEST
    cache_bytes: int = CACHE_BYTES  #: most that the cache may take
    #: recall@10 of the default search on the index's own paintings, when the last run ended; None
    #: where that is exact.
    recall: float | None = None
    paintings: int = 0  #: how many were indexed when the last run ended; the store is the truth
    created: str = ""  #: when, in UTC
    made_with: str = ""  #: version of paint-search that made the index

    @classmethod
    def new(
        cls, backbone: BackboneRecord, root: str, store: Place, longest: int, cache_bytes: int
    ) -> "Manifest":
        """Return the manifest of an empty index."""
        from importlib.metadata import version  # slow to import, and only wanted here

        now = datetime.now(UTC).isoformat(timespec="seconds")
        made = cls(
            backbone,
            root,
            store=store,
            longest=longest,
            cache_bytes=cache_bytes,
            created=now,
            made_with=version("paint-search"),
        )
        return dataclasses.replace(made, vectors=()) if made.long else made

    @property
    def long(self) -> bool:
        """Whether the backbone's vectors are too long for a store, and wait in a feature cache."""
        return self.backbone.dimension > self.longest

    @property
    def dimensions(self) -> dict[VectorName, int]:
        """Length of each kind of vectors that the store keeps."""
        compact = self.compression.dims if self.compression else 0
        lengths: dict[VectorName, int] = {"full": self.backbone.dimension, "compact": compact}
        return {name: lengths[name] for name in self.vectors}

    @property
    def maker(self) -> Maker:
        """What made the vectors that the store keeps."""
        made = self.compression
        fitted = [made.method, made.dims, made.seed, made.fitted_to, made.recall] if made else None
        prepared = dataclasses.asdict(self.backbone.preprocessing)
        if self.backbone.preprocessing.trim == "off":
            del prepared["trim"]  # as before there was any: those vectors are the same
        parts = [self.backbone.fingerprint, prepared, fitted]
        digest = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
        method = "" if "trim" not in prepared else ", borders cut"
        method += f" and {made.method}" if made else ""
        return Maker(self.backbone.name + method, digest)

    @property
    def two_steps(self) -> bool:
        """Whether compact vectors find and full ones rank."""
        return len(self.vectors) == 2 and self.searched == "full"

    @property
    def oversampling(self) -> int:
        """How many candidates the first step of a search in two finds for each match wanted."""
        return (self.compression and self.compression.oversampling) or 1

    @property
    def searched(self) -> VectorName:
        """The vectors that scores are taken from; those that learned from labels if there are such.

        Raises:
            UsageError: there are none yet.
        """
        if not self.vectors:
            raise UsageError(
                f"vectors of {self.backbone.dimension:,} dimensions are too long to search; run "
                "paint-search compress --method convolutional --dims 320 first"
            )
        learned = self.compression is not None and self.compression.told is not None
        return "full" if "full" in self.vectors and not learned else "compact"

    def background_of(self, kind: VectorName) -> Background | None:
        """Return what scores of one kind of vectors usually are."""
        return self.background if kind == self.searched else self.compact_background

    def kept(self, which: VectorName | None) -> VectorName:
        """Return this kind of vectors, or by default the searched one, if the store keeps it.

        Raises:
            UnknownError: it does not.
        """
        name = which or self.searched
        if name in self.vectors:
            return name
        if name == "compact":
            reason = "run paint-search compress first"
        elif self.long:
            reason = f"{self.backbone.dimension:,} dimensions are too long to search"
        else:
            reason = "they were dropped (compress --drop-full); index the paintings anew for them"
        raise UnknownError(f"this index keeps no {name} vectors: {reason}")

    @classmethod
    def read(cls, folder: Path) -> "Manifest":
        """Read the manifest of the index in ``folder``.

        Raises:
            IndexMissingError: there is none.
            ManifestError: damaged, or of a newer format than this program knows.
        """
        file = folder / MANIFEST
        try:
            return cls._checked(read_json(file), str(file))
        except FileNotFoundError as error:
            raise IndexMissingError(
                f"there is no index in {folder} any more: it was moved or deleted; open it where "
                "it is, or run paint-search index"
            ) from error
        except (OSError, *_DAMAGE) as error:
            raise ManifestError(
                f"{file} is damaged ({type(error).__name__}: {error}); restore it from a backup, "
                f"or delete {folder} and index again"
            ) from error

    def write(self, folder: Path) -> None:
        """Write the manifest beside the old one and put it in its place.

        Raises:
            StoreError: the folder cannot be written or the disk is full.
        """
        file = folder / MANIFEST
        record = {"format": FORMAT, **dataclasses.asdict(self)}
        lines = (f" {json.dumps(name)}: {json.dumps(value)}" for name, value in record.items())
        try:
            with replacing(file) as fresh:
                fresh.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
        except OSError as error:
            raise StoreError(f"{file} cannot be written: {error.strerror}") from error

    def shared(self) -> dict[str, Any]:
        """Return what all are told who open its collection by address: nothing of this machine."""
        record = {n: v for n, v in dataclasses.asdict(self).items() if n not in _OWN}
        record |= {
            "format": FORMAT,
            "settings": {n: v for n, v in self.store.settings.items() if n not in LOCAL},
            "from_table": Path(self.table).name if self.table else self.from_table,
        }
        plain: dict[str, Any] = json.loads(json.dumps(record))
        return plain

    @classmethod
    def of_shared(
        cls, record: dict[str, Any], place: Place, root: str, here: "Manifest | None"
    ) -> "Manifest":
        """Return the manifest of a collection, as ``shared`` told it, on this machine.

        Args:
            record: what was told.
            place: where the collection is.
            root: the corpus folder on this machine, as ``write_path`` writes it.
            here: what this machine has known of the index so far.

        Raises:
            ManifestError: damaged, or of a newer format than this program knows.
        """
        own = {
            "root": root,
            "table": here and here.table,
            "table_encoding": here and here.table_encoding,
        }
        try:
            theirs = {n: v for n, v in record.get("settings", {}).items() if n not in LOCAL}
            settings = {**theirs, **place.settings}
            store = dataclasses.replace(place, settings=settings)
            whole = record | own | {"store": dataclasses.asdict(store)}
            return cls._checked(whole, f"the description of {place}")
        except _DAMAGE as error:
            raise ManifestError(
                f"what {place} says of itself is damaged ({type(error).__name__}: {error}); "
                "restore it from a snapshot, or upgrade paint-search"
            ) from error

    @classmethod
    def _checked(cls, record: dict[str, Any], called: str) -> "Manifest":
        """Return a manifest; raise ManifestError where it is of a newer format."""
        if record["format"] > FORMAT:
            raise ManifestError(
                f"{called} has format {record['format']}, this version of paint-search reads up "
                f"to {FORMAT}; upgrade with pip install --upgrade paint-search"
            )
        return cls._from_dict(record)

    @classmethod
    def _from_dict(cls, record: dict[str, Any]) -> "Manifest":
        engine = record["engine"]
        compression = record.get("compression")
        store = _place(record.get("store", "store"))
        vectors = tuple(record.get("vectors", ("full",)))
        made_by = BackboneRecord.from_dict(record["backbone"])
        possible = {"compact"} if compression else set()
        longest = int(record.get("longest", LONGEST))
        if made_by.dimension <= longest:
            possible.add("full")
        if not set(vectors) <= possible or bool(vectors) != bool(possible):
            raise ValueError("unknown kinds of vectors")
        return cls(
            backbone=made_by,
            root=str(record["root"]),
            labels=str(record["labels"]),
            table=None if record["table"] is None else str(record["table"]),
            table_encoding=None if (of := record.get("table_encoding")) is None else str(of),
            from_table=None if (name := record.get("from_table")) is None else str(name),
            engine=EngineChoice.from_dict(engine) if engine else None,
            background=_background(record["background"]),
            compact_background=_background(record.get("compact_background")),
            store=store,
            vectors=vectors,
            compression=Compression.from_dict(compression) if compression else None,
            longest=longest,
            cache_bytes=int(record.get("cache_bytes", CACHE_BYTES)),
            recall=None if record.get("recall") is None else float(record["recall"]),
            paintings=int(record["paintings"]),
            created=str(record["created"]),
            made_with=str(record["made_with"]),
        )


def _background(record: Any) -> Background | None:
    return Background.from_dict(record) if record else None


def _place(record: Any) -> Place:
    """Read a place; before format 3 it was the name of a folder, ``store`` or ``store-N``."""
    if not isinstance(record, str):
        return Place.from_dict(record)
    base, _, number = record.partition("-")
    if base != "store":
        raise ValueError("the store lies in the index itself")
    return Place(generation=int(number or 1))


def is_index(folder: Path) -> bool:
    """Tell whether ``folder`` holds an index."""
    return (folder / MANIFEST).is_file()
