"""Paintings that a program hands over, not files that a run finds: vectors, pictures, labels.

Everything is checked before anything is written. What was handed over keeps its labels: a later
run over the folder does not put those of folders and tables in their place.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from paint_search.errors import BackboneError, UsageError, argument
from paint_search.index.collection import Collection
from paint_search.index.examples import Picture, check_vectors, decode_and_embed, find_indexed
from paint_search.index.sync import CompressingStore, entrance_of
from paint_search.indexer.corpus.labels import clean
from paint_search.indexer.corpus.scan import find_file
from paint_search.indexer.corpus.table import field_name
from paint_search.indexer.images.perceptual_hash import look
from paint_search.indexer.images.trim import cut_fields
from paint_search.painting import Painting, Record, Value, composed, painting_id

#: Points written at once.
_PAGE: Final = 512

#: What depends on the paintings is measured anew when so large a share of them has come.
_GROWN: Final = 0.1


@dataclass(frozen=True)
class Handed:
    """What ``Index.upsert`` was given; see there."""

    keys: Sequence[str | Path]
    vectors: ArrayLike | None
    images: Sequence[Picture] | None
    labels: Sequence[Mapping[str, Any]] | None
    fingerprint: str | None

    def __post_init__(self) -> None:
        if isinstance(self.keys, str | Path):
            raise UsageError(f"give a list of paths or ids, not the single {str(self.keys)!r}")
        if self.vectors is not None and self.images is not None:
            raise UsageError(f"give either {argument('vectors')} or {argument('images')}, not both")
        for name in ("vectors", "images", "labels"):
            given = getattr(self, name)
            if given is not None and len(given) != len(self.keys):
                raise UsageError(f"{len(given)} {name} were given for {len(self.keys)} paintings")


def upsert(collection: Collection, handed: Handed) -> int:
    """Write what was handed over into the index, and return how many paintings that were."""
    before = [find_indexed(collection, key) for key in handed.keys]
    paths = [
        _new_path(collection, key) if record is None else record.path
        for key, record in zip(handed.keys, before, strict=True)
    ]
    if len(set(paths)) < len(paths):
        twice = next(path for path in paths if paths.count(path) > 1)
        raise UsageError(f"{twice} is named twice; name each painting once")
    payloads = [
        {"path": path, **_labels(handed, row, before[row]), "_run": time.time_ns(), "_given": 1}
        for row, path in enumerate(paths)
    ]
    vectors = _vectors(collection, handed, payloads, before)
    records = [
        Record(painting_id(path), payload, vector)
        for path, payload, vector in zip(paths, payloads, vectors, strict=True)
    ]
    entrance = entrance_of(collection)
    for start in range(0, len(records), _PAGE):
        page = records[start : start + _PAGE]
        relabelled = [record for record in page if record.vector is None]
        embedded = [record for record in page if record.vector is not None]
        if relabelled:
            entrance.set_payloads(relabelled)
        if embedded:
            entrance.upsert(embedded)
    entrance.flush()
    manifest = collection.manifest
    if isinstance(entrance, CompressingStore):
        manifest = entrance.account(manifest)
    if abs(collection.store.count() - manifest.paintings) > _GROWN * manifest.paintings:
        collection.store.optimize()
        collection.settle(manifest, changed=True)
    elif manifest != collection.manifest:
        collection.save(manifest)
    return len(records)


def _new_path(collection: Collection, key: str | Path) -> str:
    """Return what the index is to call a painting that it does not have."""
    root = collection.root
    file = Path(key).absolute() if Path(key).is_file() else root / key
    for spelling, base in ((file, root), (file.resolve(), root.resolve())):
        if spelling.is_relative_to(base):
            path = composed(spelling.relative_to(base).as_posix())
            inside = ".." not in PurePosixPath(path).parts and path not in ("", ".")
            if inside and "\0" not in path and path.isprintable():
                return path
    raise UsageError(
        f"{str(key)!r} is no place inside the corpus {root}; name each painting by its path below "
        "it, or by any name of that form where there is no file"
    )


def _labels(handed: Handed, row: int, before: Record | None) -> dict[str, Value]:
    """Return the labels given for a painting, else those that it has."""
    if handed.labels is None:
        return {} if before is None else Painting.from_payload(before.payload).labels()
    cells: dict[str, Value | None] = {}
    for name, cell in handed.labels[row].items():
        value = cell.item() if isinstance(cell, np.generic) else cell
        if not (value is None or type(value) in (str, int, float)):
            raise UsageError(
                f"the label {name!r} of {handed.keys[row]} is a {type(value).__name__}; give text "
                "or a number"
            )
        if field := field_name(name):
            cells[field] = value
    return clean(cells)


def _vectors(
    collection: Collection,
    handed: Handed,
    payloads: Sequence[dict[str, Any]],
    before: Sequence[Record | None],
) -> list[NDArray[np.float32] | None]:
    """Return the full vector of each painting, None where only its labels change.

    Adds to the payloads what is known of the files and pictures that the vectors are of.
    """
    if handed.vectors is not None:
        made, given = collection.manifest.backbone, handed.fingerprint
        if given is None:
            raise UsageError(
                f"say which model made the vectors: {argument('fingerprint')} is that of the index "
                "they were embedded with, as Index.fingerprint gives it"
            )
        if given != made.fingerprint:
            raise BackboneError(
                f"the vectors are of a model with fingerprint {given[:16]}, and this index is of "
                f"{made.name} ({made.fingerprint[:16]}); vectors of two models cannot be compared"
            )
        rows = check_vectors(collection, np.asarray(handed.vectors))
        for payload in payloads:
            payload.update(_file_facts(collection, payload["path"]))
        return list(rows)
    if handed.images is not None:
        pictures: Sequence[Picture] = handed.images
        numbers = list(range(len(pictures)))
    else:
        numbers = [row for row, old in enumerate(before) if old is None or handed.labels is None]
        pictures = [_file(collection, payloads[row]["path"]) for row in numbers]
    vectors: list[NDArray[np.float32] | None] = [None] * len(payloads)
    for row, (decoded, vector) in zip(numbers, decode_and_embed(collection, pictures), strict=True):
        vectors[row] = vector
        payloads[row] |= {"_hash": decoded.digest, "_look": look(decoded.pixels)}
        payloads[row] |= cut_fields(decoded.kept)
        if handed.images is None:
            payloads[row] |= _file_facts(collection, payloads[row]["path"])
    for row, old in enumerate(before):
        if old is not None and vectors[row] is None:
            known = {name: value for name, value in old.payload.items() if name.startswith("_")}
            payloads[row] |= known | {"_given": 1}
    return vectors


def _file(collection: Collection, path: str) -> Path:
    file = find_file(collection.root, path)
    if not file.is_file():
        raise UsageError(
            f"there is no file {path} in {collection.root}; give its {argument('vectors')} or "
            f"{argument('images')}"
        )
    return file


def _file_facts(collection: Collection, path: str) -> dict[str, int]:
    """Return what tells that the file has not changed; nothing where there is no file."""
    try:
        stat = find_file(collection.root, path).stat()
    except OSError:
        return {}
    return {"_size": stat.st_size, "_mtime_ns": stat.st_mtime_ns}
