"""An index -> the same index with its points in another store, without embedding anything again.

The copy is an index of its own in a folder of its own; the first one is left alone. A copy that
was interrupted goes on where it was, and one that is done has been read back and compared.
"""

import hashlib
import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np

from paint_search.errors import StoreError, UsageError, counted
from paint_search.files import copy_files, read_json
from paint_search.index.collection import PATIENCE, Collection, measured
from paint_search.index.lock import IndexLock
from paint_search.index.manifest import Manifest, is_index
from paint_search.index.paths import read_path, write_path
from paint_search.index.shared import BACKBONE, CALIBRATION, share
from paint_search.painting import Progress, Record
from paint_search.search.stores.base import Store
from paint_search.search.stores.opening import open_store, reach
from paint_search.search.stores.uri import Place

#: Points read and written at once.
BATCH: Final = 512

#: What belongs to one folder alone; the rest of an index travels as it is.
_OWN: Final = ("manifest*.json*", "store*", "lock*", "copy.json", "shared.json")

#: Says whose copy an unfinished folder is, so that no other is taken for it.
_UNFINISHED: Final = "copy.json"

#: Most that a number of a vector may change. Stores keep float16, whose steps are at most 2**-11
#: below 1; one that normalises what it is given may move a number by a step.
_TOLERANCE: Final = 2.0**-10

Report = Callable[[str, Progress], None]


@dataclass(frozen=True, slots=True)
class CopySummary:
    """What was copied."""

    folder: Path  #: the new index
    store: str  #: where its points are
    paintings: int  #: how many it holds
    written: int  #: how many of them were written in this run
    checksum: str  #: SHA-256 over ids and payloads in the order of the ids, the same on both sides
    difference: float  #: largest change of a number of a vector


def copy_index(
    collection: Collection, to: Place, folder: Path, report: Report, batch: int = BATCH
) -> CopySummary:
    """Make ``folder`` an index like this one, with its points in the store at ``to``."""
    index, manifest, store = collection.folder, collection.manifest, collection.store
    if folder.is_relative_to(index) or (not to.embedded and to.same_as(manifest.store)):
        raise UsageError("the copy needs another place than the index that is copied")
    if is_index(folder):
        raise UsageError(f"{folder} is an index already; name another folder for the copy")
    reach(to, named=True)
    collection.fetch("")  # all files that travel
    _claim(folder, to, manifest)
    with ExitStack() as stack:
        lock = IndexLock(folder, alone=to.embedded, patience=PATIENCE)
        stack.callback(lock.release)
        stack.enter_context(lock.writing())
        copy_files(index, folder, without=_OWN)
        target = open_store(folder, to, manifest.dimensions, manifest.maker)
        stack.callback(target.close)
        written = _write(store, target, report, batch)
        target.flush()
        target.optimize(partial(report, "building the graph"))
        checksum, difference = _compare(store, target, report, batch)
        made = replace(
            manifest,
            store=to,
            root=write_path(collection.root, folder),
            table=manifest.table and write_path(read_path(manifest.table, index), folder),
        )
        made = measured(made, target)
        if target.shared is not None:
            made = replace(made, store=target.shared.place)
            compressor = [made.compression.folder] if made.compression else []
            share(folder, target.shared, made, BACKBONE, CALIBRATION, *compressor)
        made.write(folder)
    (folder / _UNFINISHED).unlink(missing_ok=True)
    return CopySummary(folder, str(to), made.paintings, written, checksum, difference)


def _claim(folder: Path, to: Place, manifest: Manifest) -> None:
    """Go on with what an interrupted run of the same copy has left, else take an empty folder.

    A copy replaces nothing: UsageError if the folder or the collection holds anything else.
    """
    ours = {"of": manifest.maker.fingerprint, "created": manifest.created, "to": str(to)}
    note = folder / _UNFINISHED
    if note.exists():
        with suppress(ValueError):
            if read_json(note) == ours:
                return
        raise UsageError(
            f"{folder} holds an unfinished copy of something else; delete it, or name another "
            "folder for the copy"
        )
    if folder.exists() and any(folder.iterdir()):
        raise UsageError(f"{folder} is not empty; name another folder for the copy")
    if not to.embedded:
        with closing(open_store(folder, to, manifest.dimensions, manifest.maker)) as target:
            if count := target.count():
                raise UsageError(
                    f"{to} holds {counted(count, 'painting')} already; name another collection"
                )
    folder.mkdir(parents=True, exist_ok=True)
    note.write_text(json.dumps(ours), encoding="utf-8")


def _write(source: Store, target: Store, report: Report, batch: int) -> int:
    """Write the points that the target lacks or has otherwise; delete those it has too many."""
    total, done, written = source.count(), 0, 0
    resumed = target.count() > 0
    for page in _pages(source.scroll(vectors=True), batch):
        there = target.get([record.id for record in page], vectors=True) if resumed else {}
        missing = [
            record
            for record in page
            if (other := there.get(record.id)) is None
            or _payload(record) != _payload(other)
            or _distance(record, other) > _TOLERANCE
        ]
        if missing:
            target.upsert(missing)
        written += len(missing)
        done += len(page)
        report("copying", Progress(done, total))
    target.flush()
    if target.count() > total:
        for page in _pages(target.scroll(), batch):
            known = source.get([record.id for record in page])
            target.delete([record.id for record in page if record.id not in known])
    return written


def _compare(source: Store, target: Store, report: Report, batch: int) -> tuple[str, float]:
    """Read both stores and compare; return the checksum and the largest change of a number."""
    digest, difference = hashlib.sha256(), 0.0
    total = source.count()
    ends = object()
    pairs = itertools.zip_longest(
        source.scroll(vectors=True), target.scroll(vectors=True), fillvalue=ends
    )
    for done, (one, other) in enumerate(pairs, start=1):
        if not (isinstance(one, Record) and isinstance(other, Record) and one.id == other.id):
            raise StoreError(
                "the copy holds other paintings than the index; is something else writing to it? "
                "Run the same command again"
            )
        if _payload(one) != _payload(other):
            raise StoreError(f"the copy has other labels of {one.path}; run it again")
        difference = max(difference, _distance(one, other))
        if difference > _TOLERANCE:
            raise StoreError(
                f"the copy has another vector of {one.path} (a number differs by "
                f"{difference:.4f}); run it again"
            )
        digest.update(one.id.encode() + _payload(one))
        if done % batch == 0 or done == total:
            report("comparing", Progress(done, total))
    return digest.hexdigest(), difference


def _payload(record: Record) -> bytes:
    return json.dumps(dict(record.payload), sort_keys=True, ensure_ascii=False).encode()


def _distance(one: Record, other: Record) -> float:
    """Return the largest difference of two numbers; infinity where one has a vector alone."""
    largest = 0.0
    for a, b in ((one.vector, other.vector), (one.compact, other.compact)):
        if a is None and b is None:
            continue
        if a is None or b is None or a.shape != b.shape:
            return float("inf")
        largest = max(largest, float(np.abs(a - b).max(initial=0.0)))
    return largest


def _pages(records: Iterable[Record], size: int) -> Iterator[Sequence[Record]]:
    """Deal out records by the page."""
    stream = iter(records)
    while page := list(itertools.islice(stream, size)):
        yield page
