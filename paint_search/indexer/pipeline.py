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
from pathlib import Path, PurePosixPath
from typing import Any, Final, Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from paint_search.errors import ImageError, NotAnImageError
from paint_search.indexer.backbones.engines import Embedder
from paint_search.indexer.corpus.labels import LabelSource
from paint_search.indexer.corpus.scan import ScannedFile, Walk
from paint_search.indexer.corpus.skips import SkipList
from paint_search.indexer.images.decode import Decoded, decode
from paint_search.indexer.images.perceptual_hash import look
from paint_search.indexer.images.preprocessing import Preprocessing
from paint_search.indexer.shared import one_blas_thread
from paint_search.painting import Painting, Progress, Record, painting_id

#: Images embedded at once. On a CPU 8 to 32 run equally fast, and fewer hold less memory.
BATCH: Final = 16
_PAGE: Final = 512
_CHECKPOINT_SECONDS: Final = 10.0

State = Literal["new", "changed", "relabelled", "unchanged"]


class Collection(Protocol):
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
    seconds: float = 0.0
    interrupted: bool = False
    notes: list[str] = field(default_factory=list)

    @property
    def touched(self) -> bool:
        """Tell whether the collection is another one than before the run."""
        return bool(self.new + self.changed + self.relabelled + self.moved + self.pruned)


@dataclass(frozen=True, slots=True)
class _Task:
    file: ScannedFile
    labels: Mapping[str, Any]
    state: State

    def record(
        self, vector: NDArray[np.float32] | None, digest: str, seen: str, run: int
    ) -> Record:
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


Batch = list[tuple[_Task, Decoded]]
Vector = NDArray[np.float32]


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
    store: Collection
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
        plan = Counter(task.state for task in self._compare(walk(lambda path, reason: None)))
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
        for batch, vectors in self._embedded(_batched(decoded), total, summary):
            self._store(batch, vectors)
            for task, _ in batch:
                setattr(summary, task.state, getattr(summary, task.state) + 1)
            done += len(batch)
            skipped = self.skips.count
            words = f"{skipped:,} skipped" if skipped else ""
            self.report(Progress(done + skipped, total, words))
            if time.monotonic() - saved > _CHECKPOINT_SECONDS:
                self.store.flush()
                saved = time.monotonic()

    def _compare(self, files: Iterator[ScannedFile]) -> Iterator[_Task]:
        """Tell new, changed, relabelled and unchanged files apart by what the store knows."""
        while page := list(itertools.islice(files, _PAGE)):
            if self.cancelled():
                return
            known = self.store.get([painting_id(file.path) for file in page])
            for file in page:
                labels = self.labels(file.path)
                yield _Task(file, labels, _state(file, labels, known.get(painting_id(file.path))))

    def _pending(self, files: Iterator[ScannedFile], summary: Summary) -> Iterator[_Task]:
        """Yield the files to decode; new labels of files that did not change are stored at once."""
        tasks = self._compare(files)
        while page := list(itertools.islice(tasks, _PAGE)):
            renamed = [task for task in page if task.state == "relabelled"]
            if renamed:
                known = self.store.get([painting_id(task.file.path) for task in renamed])
                old = [known[painting_id(task.file.path)].payload for task in renamed]
                self.store.set_payloads(
                    [
                        task.record(None, payload["_hash"], payload["_look"], payload["_run"])
                        for task, payload in zip(renamed, old, strict=True)
                    ]
                )
                summary.relabelled += len(renamed)
            yield from (task for task in page if task.state in ("new", "changed"))

    def _decoded(self, tasks: Iterator[_Task], summary: Summary) -> Iterator[tuple[_Task, Decoded]]:
        """Decode in threads, a bounded number of files ahead of the engine, in order."""
        workers = os.cpu_count() or 1
        pool = ThreadPoolExecutor(workers, thread_name_prefix="decode")
        ahead: deque[tuple[_Task, Future[Decoded]]] = deque()
        try:
            for task in itertools.chain(tasks, [None] * 2 * BATCH):
                if self.cancelled():
                    return
                if task is not None:
                    future = pool.submit(
                        decode, task.file.location, self.preprocessing, self.max_pixels
                    )
                    ahead.append((task, future))
                if ahead and (task is None or len(ahead) >= 2 * BATCH):
                    finished = self._finish(*ahead.popleft(), summary)
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
        running: deque[tuple[Batch, list[Vector | None], Future[NDArray[np.float32]] | None]]
        running = deque()
        with ThreadPoolExecutor(thread_name_prefix="embed") as pool:
            for batch in batches:
                vectors = self._known_vectors(batch)
                unknown = [
                    decoded for (_, decoded), v in zip(batch, vectors, strict=True) if v is None
                ]
                future = None
                if unknown:
                    pixels = np.stack([decoded.pixels for decoded in unknown])
                    embedder = embedder or self.engine(pixels, total)
                    future = pool.submit(embedder.embed, pixels)
                    summary.embedded += len(unknown)
                running.append((batch, vectors, future))
                if len(running) > (embedder.lanes if embedder else 0):
                    yield _complete(*running.popleft())
            while running:
                yield _complete(*running.popleft())

    def _known_vectors(self, batch: Batch) -> list[Vector | None]:
        """Find the vectors of files whose content is already stored under another path."""
        known = {
            record.payload["_hash"]: record.vector
            for record in self.by_hash([decoded.digest for _, decoded in batch])
        }
        return [known.get(decoded.digest) for _, decoded in batch]

    def _store(
        self,
        batch: Batch,
        vectors: Sequence[Vector],
    ) -> None:
        self.store.upsert(
            [
                task.record(vector, decoded.digest, look(decoded.pixels), self.number)
                for (task, decoded), vector in zip(batch, vectors, strict=True)
            ]
        )


def gone(records: Iterable[Record], root: Path) -> Iterator[Record]:
    """Yield the points whose files are no longer there; one that cannot be looked at stays."""
    for record in records:
        try:
            os.lstat(root / record.payload["path"])
        except (FileNotFoundError, NotADirectoryError):
            yield record
        except OSError:
            continue


def _state(file: ScannedFile, labels: Mapping[str, Any], known: Record | None) -> State:
    if known is None:
        return "new"
    payload = known.payload
    if (payload.get("_size"), payload.get("_mtime_ns")) != (file.size, file.mtime_ns):
        return "changed"
    if payload.get("_given"):
        return "unchanged"  # labels that a program gave are not those of folders and tables
    stored = Painting.from_payload(payload).labels()
    return "unchanged" if stored == labels else "relabelled"


def _complete(
    batch: Batch, vectors: Sequence[Vector | None], future: Future[NDArray[np.float32]] | None
) -> tuple[Batch, list[Vector]]:
    """Fill the gaps among the vectors with what the engine has made of them."""
    made = iter(future.result() if future is not None else ())
    return batch, [next(made) if vector is None else vector for vector in vectors]


def _batched(items: Iterator[tuple[_Task, Decoded]]) -> Iterator[Batch]:
    while batch := list(itertools.islice(items, BATCH)):
        yield batch
