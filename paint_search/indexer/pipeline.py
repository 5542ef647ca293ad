"""Scan -> decode -> embed -> store, overlapped: threads decode while the engine embeds.

Only what is new or changed is opened; memory is bounded by the batch and the queue, never by the
corpus. The store is the only memory of what was done, so a killed run is continued by the next.
"""

import itertools
import os
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any, Final, Literal, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from paint_search.errors import ImageError, NotAnImageError
from paint_search.indexer.backbones.engines import Embedder
from paint_search.indexer.corpus.labels import LabelSource
from paint_search.indexer.corpus.scan import ScannedFile, Walk, find_file
from paint_search.indexer.corpus.skips import SkipList
from paint_search.indexer.images.decode import Decoded, decode
from paint_search.indexer.images.perceptual_hash import look
from paint_search.indexer.images.preprocessing import Preprocessing
from paint_search.indexer.shared import one_blas_thread
from paint_search.painting import Painting, Progress, Record, composed, painting_id

#: Images embedded at once. On a CPU 8 to 32 run equally fast, and fewer hold less memory.
BATCH: Final = 16
_PAGE: Final = 512
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
    skipped: int = 0
    ignored: int = 0
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
        return bool(self.new + self.changed + self.relabelled + self.moved + self.pruned)


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

    def record(self, vector: Vector | None, digest: str, seen: str, run: int) -> Record:
        """Return the point to store; ``seen`` is the perceptual hash, ``run`` the run's number."""
        bookkeeping = {
            "_size": self.file.size,
            "_mtime_ns": self.file.mtime_ns,
            "_hash": digest,
            "_look": seen,
            "_run": run,
        }
        payload = {"path": self.file.path, **self.labels, **bookkeeping}
        return Record(painting_id(self.file.path), payload, vector)

    def relabelled(self) -> Record:
        """Return the point that is there already, with the labels of now and without its vector."""
        assert self.known is not None  # noqa: S101 - else the file is new
        old = self.known.payload
        return self.record(None, old["_hash"], old["_look"], old["_run"])


Batch = list[tuple[_Task, Decoded]]


@dataclass(frozen=True)
class Pipeline:
    """One run over a corpus.

    Attributes:
        number: larger than that of any run before.
        store: where points go.
        by_hash: finds stored points, with vectors, by the content hashes of their files.
        labels: what is known of each file.
        preprocessing: what the backbone wants its pixels to look like.
        engine: makes the embedder when the first batch is there to measure engines with.
        skips: where files that cannot be used are noted.
        max_pixels: limit of the decoder.
        report: called with the progress after every batch.
        cancelled: asked between batches; once true, the run ends after the batch in flight.
    """

    number: int
    store: Sink
    by_hash: Callable[[Sequence[str]], Iterable[Record]]
    labels: LabelSource
    preprocessing: Preprocessing
    engine: Callable[[NDArray[np.uint8], int], Embedder]
    skips: SkipList
    max_pixels: int
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
        decoded = self._decoded(self._pending(walk(self.skips.add), summary), summary)
        with one_blas_thread():  # not batch by batch: starting its threads again costs more
            self._work_through(decoded, total, summary)
        summary.interrupted = self.cancelled()
        summary.skipped = self.skips.count
        self.store.flush()

    def _work_through(
        self, decoded: Iterator[tuple[_Task, Decoded]], total: int, summary: Summary
    ) -> None:
        """Embed and store what has been decoded, batch by batch."""
        done, saved = 0, time.monotonic()
        for batch, vectors in self._embedded(_batched(decoded, BATCH), total, summary):
            self.store.upsert(
                [
                    task.record(vector, decoded.digest, look(decoded.pixels), self.number)
                    for (task, decoded), vector in zip(batch, vectors, strict=True)
                ]
            )
            for task, _ in batch:
                setattr(summary, task.state, getattr(summary, task.state) + 1)
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

    def _decoded(self, tasks: Iterator[_Task], summary: Summary) -> Iterator[tuple[_Task, Decoded]]:
        """Decode in threads, a bounded number of files ahead of the engine, in order."""
        pool = ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="decode")

        def submit(task: _Task) -> Future[Decoded]:
            return pool.submit(decode, task.file.location, self.preprocessing, self.max_pixels)

        try:
            for task, future in _in_order(tasks, submit, lambda: 2 * BATCH):
                if self.cancelled():
                    return
                finished = self._finish(task, future, summary)
                if finished:
                    yield finished
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _finish(
        self, task: _Task, future: Future[Decoded], summary: Summary
    ) -> tuple[_Task, Decoded] | None:
        try:
            return task, future.result()
        except NotAnImageError as error:
            suffix = PurePosixPath(task.file.path).suffix.lower()
            if suffix not in Image.registered_extensions():
                summary.ignored += 1
                return None
            reason = "the file is empty" if task.file.size == 0 else error.for_command_line()
            self.skips.add(task.file.path, reason)
        except ImageError as error:
            self.skips.add(task.file.path, error.for_command_line())
        return None

    def _embedded(
        self, batches: Iterator[Batch], total: int, summary: Summary
    ) -> Iterator[tuple[Batch, list[Vector]]]:
        """Embed as many batches at a time as the engine has lanes, in order."""
        embedder: Embedder | None = None

        def submit(batch: Batch) -> Future[list[Vector]]:
            nonlocal embedder
            vectors = self._known_vectors(batch)
            unknown = [decoded.pixels for _, decoded in batch if decoded.digest not in vectors]
            summary.embedded += len(unknown)
            if unknown and embedder is None:
                embedder = self.engine(np.stack(unknown), total)
            return pool.submit(_complete, batch, vectors, embedder)

        with ThreadPoolExecutor(thread_name_prefix="embed") as pool:
            ahead = _in_order(batches, submit, lambda: embedder.lanes if embedder else 0)
            for batch, future in ahead:
                yield batch, future.result()

    def _known_vectors(self, batch: Batch) -> dict[str, Vector]:
        """Find the vectors of files whose content is already stored under another path."""
        found = self.by_hash([decoded.digest for _, decoded in batch])
        return {r.payload["_hash"]: r.vector for r in found if r.vector is not None}


def gone(records: Iterable[Record], root: Path) -> Iterator[Record]:
    """Yield the points whose files are no longer there; one that cannot be looked at stays.

    No file has a path that is not in NFC: that is how old versions stored some.
    """
    for record in records:
        path = record.payload["path"]
        if path != composed(path):
            yield record
            continue
        try:
            os.lstat(find_file(root, path))
        except (FileNotFoundError, NotADirectoryError):
            yield record
        except OSError:
            continue


def _complete(batch: Batch, known: Mapping[str, Vector], embedder: Embedder | None) -> list[Vector]:
    """Return the vectors of a batch: those that are known by content, and the embedder's."""
    pixels = [decoded.pixels for _, decoded in batch if decoded.digest not in known]
    made = iter(embedder.embed(np.stack(pixels)) if embedder and pixels else ())
    return [
        known[decoded.digest] if decoded.digest in known else next(made) for _, decoded in batch
    ]


def _batched(items: Iterator[_In], size: int) -> Iterator[list[_In]]:
    while batch := list(itertools.islice(items, size)):
        yield batch


def _in_order(
    items: Iterator[_In], submit: Callable[[_In], Future[_Out]], ahead: Callable[[], int]
) -> Iterator[tuple[_In, Future[_Out]]]:
    """Yield items with the work on them, in order, while that on ``ahead()`` later ones goes on."""
    running: deque[tuple[_In, Future[_Out]]] = deque()
    for item in items:
        running.append((item, submit(item)))
        if len(running) > ahead():
            yield running.popleft()
    while running:
        yield running.popleft()
