"""Scan -> decode -> embed -> store, overlapped: workers decode while the engine embeds.

Only what is new or changed is opened, once; memory is bounded by what is under way, never by the
corpus. The store is the only memory of what was done, so a killed run is continued by the next.
"""

import itertools
import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path, PurePosixPath
from queue import SimpleQueue
from typing import Any, Final, Literal, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from paint_search.errors import (
    BackboneError,
    ImageError,
    NotAnImageError,
    OwnPictureError,
    PaintSearchError,
    argument,
    counted,
)
from paint_search.indexer.backbones.engines import BATCH, Embedder
from paint_search.indexer.corpus.labels import LabelSource
from paint_search.indexer.corpus.scan import ScannedFile, Walk, find_file
from paint_search.indexer.corpus.skips import USED_ALL_THE_SAME, SkipList
from paint_search.indexer.decoders import Read, Reader, decoders
from paint_search.indexer.images.trim import cut_fields
from paint_search.indexer.shared import one_blas_thread
from paint_search.painting import Painting, Progress, Record, composed, painting_id

#: Files that the store is asked about at once: by their paths, and by their contents.
_PAGE: Final = 512
_CONTENTS: Final = 128

#: Files that go to a worker together, and how many times as many are under way for each.
_TOGETHER: Final = 4
_AHEAD: Final = 2

#: So many pictures of different looks have not all one vector.
_DIFFERENT: Final = 4

_CHECKPOINT_SECONDS: Final = 10.0

State = Literal["new", "changed", "relabelled", "unchanged"]
Vector = NDArray[np.float32]
_In = TypeVar("_In")
_Out = TypeVar("_Out")


class Sink(Protocol):
    """What the pipeline asks of a store."""

    def get(self, ids: Sequence[str], *, vectors: bool = False) -> dict[str, Record]:
        """Return the points that exist among ``ids``."""
        ...

    def upsert(self, records: Sequence[Record]) -> None:
        """Write points."""
        ...

    def set_payloads(self, records: Sequence[Record]) -> None:
        """Replace payloads."""
        ...

    def flush(self) -> None:
        """Make everything written durable."""
        ...


@dataclass(slots=True)
class Summary:
    """What a run did, in files. ``embedded`` counts vectors computed, not taken over."""

    new: int = 0
    changed: int = 0
    relabelled: int = 0
    unchanged: int = 0
    moved: int = 0
    gone: int = 0
    pruned: int = 0
    excluded: int = 0
    skipped: int = 0
    ignored: int = 0
    own: int = 0
    damaged: int = 0
    trimmed: int = 0
    embedded: int = 0
    unmatched_files: int = 0
    unmatched_rows: int = 0
    refused_labels: int = 0
    seconds: float = 0.0
    interrupted: bool = False
    notes: list[str] = field(default_factory=list)

    @property
    def touched(self) -> bool:
        """Tell whether the collection is another one than before the run."""
        taken_out = self.moved + self.pruned + self.excluded
        return bool(self.new + self.changed + self.relabelled + taken_out)


@dataclass(frozen=True)
class _Task:
    file: ScannedFile
    labels: Mapping[str, Any]
    known: Record | None

    @cached_property
    def state(self) -> State:
        if self.known is None:
            return "new"
        payload, file = self.known.payload, self.file
        if (payload.get("_size"), payload.get("_mtime_ns")) != (file.size, file.mtime_ns):
            return "changed"
        if payload.get("_given"):
            return "unchanged"  # labels that a program gave are not those of folders and tables
        stored = Painting.from_payload(payload).labels()
        return "unchanged" if stored == self.labels else "relabelled"

    def record(self, vector: Vector, read: Read, run: int) -> Record:
        """Return the point to store; ``run`` is the run's number."""
        known = {"_hash": read.digest, "_look": read.look, "_run": run}
        return self._point(vector, known | cut_fields(read.kept))

    def relabelled(self) -> Record:
        """Return the point that is there already, with the labels of now and without its vector."""
        assert self.known is not None  # noqa: S101 - else the file is new
        old = self.known.payload
        kept = ("_hash", "_look", "_run", "_trimmed", "_kept")
        return self._point(None, {name: old[name] for name in kept if name in old})

    def _point(self, vector: Vector | None, bookkeeping: Mapping[str, Any]) -> Record:
        stamp = {"_size": self.file.size, "_mtime_ns": self.file.mtime_ns}
        payload = {"path": self.file.path, **self.labels, **stamp, **bookkeeping}
        return Record(painting_id(self.file.path), payload, vector)


@dataclass(frozen=True, slots=True)
class _Picture:
    """A file that was read; ``vector`` is that of the same content elsewhere, if known."""

    task: _Task
    read: Read
    vector: Vector | None = None


@dataclass(frozen=True)
class Pipeline:
    """One run over a corpus.

    Attributes:
        number: larger than that of any run before.
        store: where points go.
        by_hash: finds stored points, with vectors, by the content hashes of their files; None
            where there were no points when the run began.
        labels: what is known of each file.
        reader: reads files as the backbone wants them.
        engine: makes the embedder when the first batch is there to see how exact it is.
        skips: where files that cannot be used are noted.
        report: called with the progress after every batch.
        cancelled: asked between batches; once true, the run ends after the batch in flight.
    """

    number: int
    store: Sink
    by_hash: Callable[[Sequence[str]], Iterable[Record]] | None
    labels: LabelSource
    reader: Reader
    engine: Callable[[NDArray[np.uint8], int], Embedder]
    skips: SkipList
    report: Callable[[Progress], None]
    cancelled: Callable[[], bool]

    def run(self, walk: Walk, summary: Summary) -> None:
        """Bring the store up to date with the corpus, which is walked to count, then to work.

        Adds what was done to ``summary``.
        """
        pages = self._compare(walk(lambda path, reason: None))
        plan = Counter(task.state for page in pages for task in page)
        total = plan["new"] + plan["changed"]
        summary.unchanged = plan["unchanged"]
        self.report(Progress(0, total))
        pending = self._pending(walk(self.skips.add), summary)
        with one_blas_thread():  # not batch by batch: starting its threads again costs more
            self._work_through(pending, total, summary)
        summary.interrupted = self.cancelled()
        summary.skipped = self.skips.count
        self.store.flush()

    def _work_through(self, tasks: Iterator[_Task], total: int, summary: Summary) -> None:
        """Decode, embed and store, whatever is ready first."""
        done, saved = 0, time.monotonic()
        pictures = self._recognised(self._decoded(tasks, total, summary))
        for batch, vectors in self._embedded(pictures, total, summary):
            self.store.upsert(
                [
                    picture.task.record(vector, picture.read, self.number)
                    for picture, vector in zip(batch, vectors, strict=True)
                ]
            )
            for picture in batch:
                state = picture.task.state
                setattr(summary, state, getattr(summary, state) + 1)
            done += len(batch)
            skipped = self.skips.count
            words = f"{skipped:,} skipped" if skipped else ""
            self.report(Progress(done + skipped, total, words))
            if time.monotonic() - saved > _CHECKPOINT_SECONDS:
                self.store.flush()
                saved = time.monotonic()

    def _compare(self, files: Iterator[ScannedFile]) -> Iterator[list[_Task]]:
        """Put beside each file what its labels are and what the store knows of it, by pages."""
        for page in _batched(files, _PAGE):
            if self.cancelled():
                return
            known = self.store.get([painting_id(file.path) for file in page])
            yield [
                _Task(file, self.labels(file.path), known.get(painting_id(file.path)))
                for file in page
            ]

    def _pending(self, files: Iterator[ScannedFile], summary: Summary) -> Iterator[_Task]:
        """Yield the files to decode; new labels of files that did not change are stored at once."""
        for page in self._compare(files):
            renamed = [task.relabelled() for task in page if task.state == "relabelled"]
            if renamed:
                self.store.set_payloads(renamed)
                summary.relabelled += len(renamed)
            yield from (task for task in page if task.state in ("new", "changed"))

    def _decoded(self, tasks: Iterator[_Task], total: int, summary: Summary) -> Iterator[_Picture]:
        """Read files a bounded number ahead, and yield what can be used as it is ready."""
        with decoders(total) as (pool, workers):

            def submit(some: list[_Task]) -> Future[list[Read | ImageError]]:
                return pool.submit(self.reader, [task.file.location for task in some])

            # What is recognised goes on by pages; the next page is read meanwhile.
            ahead = _AHEAD * workers + (_CONTENTS // _TOGETHER if self.by_hash else 0)
            for some, future in _as_finished(_batched(tasks, _TOGETHER), submit, lambda: ahead):
                if self.cancelled():
                    return
                try:
                    made = future.result()
                except BrokenProcessPool as error:
                    raise PaintSearchError(
                        f"a process that decodes was killed at {some[0].file.path} or one of the "
                        "files after it: there was not enough memory, or the file breaks the "
                        "decoder; what was finished is kept, and the next run goes on from there"
                    ) from error
                for task, read in zip(some, made, strict=True):
                    if isinstance(read, ImageError):
                        self._skip(task, read, summary)
                        continue
                    if read.damage:
                        summary.damaged += 1
                        self.skips.remark(task.file.path, f"{USED_ALL_THE_SAME}: {read.damage}")
                    summary.trimmed += read.kept is not None
                    yield _Picture(task, read)

    def _skip(self, task: _Task, error: ImageError, summary: Summary) -> None:
        if isinstance(error, OwnPictureError):
            summary.own += 1
            return
        suffix = PurePosixPath(task.file.path).suffix.lower()
        if isinstance(error, NotAnImageError) and suffix not in Image.registered_extensions():
            summary.ignored += 1
            return
        empty = isinstance(error, NotAnImageError) and task.file.size == 0
        self.skips.add(task.file.path, "the file is empty" if empty else error.for_command_line())

    def _recognised(self, pictures: Iterator[_Picture]) -> Iterator[_Picture]:
        """Give files whose content is stored already the vector that it has there."""
        if self.by_hash is None:
            yield from pictures
            return
        for page in _batched(pictures, _CONTENTS):
            found = self.by_hash([picture.read.digest for picture in page])
            known = {r.payload["_hash"]: r.vector for r in found if r.vector is not None}
            for picture in page:
                yield replace(picture, vector=known.get(picture.read.digest))

    def _embedded(
        self, pictures: Iterator[_Picture], total: int, summary: Summary
    ) -> Iterator[tuple[list[_Picture], list[Vector]]]:
        """Embed as many batches at a time as the engine has lanes, and yield them as they end."""
        embedder: Embedder | None = None

        def batches() -> Iterator[list[_Picture]]:
            while batch := list(itertools.islice(pictures, embedder.batch if embedder else BATCH)):
                yield batch

        def submit(batch: list[_Picture]) -> Future[list[Vector]]:
            nonlocal embedder
            unknown = [picture.read for picture in batch if picture.vector is None]
            summary.embedded += len(unknown)
            if unknown and embedder is None:
                embedder = self.engine(np.stack([read.pixels for read in unknown]), total)
            return pool.submit(_complete, batch, embedder)

        with ThreadPoolExecutor(thread_name_prefix="embed") as pool:
            lanes = _as_finished(batches(), submit, lambda: embedder.lanes if embedder else 0)
            for batch, future in lanes:
                yield batch, future.result()


def gone(records: Iterable[Record], root: Path) -> Iterator[Record]:
    """Yield the points whose files are no longer there; one that cannot be looked at stays.

    No file has a path that is not in NFC: that is how old versions stored some.
    """
    for record in records:
        path = record.path
        if path != composed(path):
            yield record
            continue
        try:
            os.lstat(find_file(root, path))
        except (FileNotFoundError, NotADirectoryError):
            yield record
        except OSError:
            continue


def _complete(batch: Sequence[_Picture], embedder: Embedder | None) -> list[Vector]:
    """Return the vectors of a batch: those that are known by content, and the embedder's.

    Raises:
        BackboneError: the embedder's are not finite, or tell nothing apart.
    """
    unknown = [picture for picture in batch if picture.vector is None]
    made: Iterator[Vector] = iter(())
    if embedder and unknown:
        pixels = np.stack([picture.read.pixels for picture in unknown])
        given = [d for picture in unknown if (d := picture.read.description) is not None]
        vectors = embedder.embed(pixels, np.stack(given) if given else None)
        _check(unknown, vectors)
        made = iter(vectors)
    return [next(made) if picture.vector is None else picture.vector for picture in batch]


def _check(pictures: Sequence[_Picture], vectors: NDArray[np.float32]) -> None:
    """Refuse vectors that a sound backbone does not give."""
    broken = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
    first, looks = pictures[0].task.file.path, {picture.read.look for picture in pictures}
    if len(broken):
        first = pictures[broken[0]].task.file.path
        what = f"gives {first} numbers that are not finite"
    elif len(looks) >= _DIFFERENT and not np.ptp(vectors, axis=0).any():
        what = (
            f"gives {first} and {counted(len(looks) - 1, 'other picture')} one and the same vector"
        )
    else:
        return
    raise BackboneError(
        f"the backbone {what}: its weights are damaged; make another index with "
        f"{argument('weights')}"
    )


def _batched(items: Iterator[_In], size: int) -> Iterator[list[_In]]:
    while batch := list(itertools.islice(items, size)):
        yield batch


def _as_finished(
    items: Iterator[_In], submit: Callable[[_In], Future[_Out]], ahead: Callable[[], int]
) -> Iterator[tuple[_In, Future[_Out]]]:
    """Yield items with the work on them as it ends, while that on ``ahead()`` others goes on."""
    running: dict[Future[_Out], _In] = {}
    finished: SimpleQueue[Future[_Out]] = SimpleQueue()
    for item in items:
        future = submit(item)
        running[future] = item
        future.add_done_callback(finished.put)
        while len(running) > ahead() or not finished.empty():
            future = finished.get()
            yield running.pop(future), future
    while running:
        future = finished.get()
        yield running.pop(future), future
