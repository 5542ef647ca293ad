"""Bring an index up to date with its folder of paintings: the run behind ``paint-search index``.

Wires labels, decoder, engine and store into one pipeline, then settles what has moved or gone.
"""

import itertools
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from paint_search.compress.record import Loss
from paint_search.errors import CompressError, StoreError, UsageError, argument
from paint_search.files import read_rows, replacing, write_rows
from paint_search.index.collection import Collection
from paint_search.index.compression import shorten
from paint_search.index.long_vectors import CachingStore
from paint_search.index.manifest import Manifest
from paint_search.index.paths import NOWHERE, read_path, write_path
from paint_search.index.repair import counts_of, repair
from paint_search.index.selections import Exclusions
from paint_search.indexer.backbones.engines import DEVICES, Embedder
from paint_search.indexer.corpus.labels import label_source
from paint_search.indexer.corpus.scan import Part, scan
from paint_search.indexer.corpus.skips import inside, skip_list
from paint_search.indexer.corpus.table import LabelTable
from paint_search.indexer.images.decode import Damaged
from paint_search.indexer.images.formats import is_picture
from paint_search.indexer.pipeline import Pipeline, Summary, gone
from paint_search.painting import Painting, Progress, Record, composed, painting_id
from paint_search.search.filters import Condition
from paint_search.search.stores.base import Store
from paint_search.search.stores.opening import nodes_of

SKIPPED: Final = "skipped.csv"
UNMATCHED: Final = "unmatched.csv"
_NO_LABELS: Final = "file without labels"
_DELETIONS: Final = 512
_TWINS: Final = 128


@dataclass(frozen=True)
class Request:
    """What ``Index.add`` was asked; see there."""

    folder: Path
    labels: str | None
    table: Path | None
    table_encoding: str | None
    prune: bool
    max_pixels: int
    damaged: Damaged
    weights: Path | None
    device: str
    part: Part | None
    repair: bool
    report: Callable[[Progress], None]
    cancelled: Callable[[], bool]


class CompressingStore:
    """A store as the pipeline sees it: what goes in is compressed on its way.

    Attributes:
        lost: what the vectors that went in lost by it.
    """

    def __init__(self, collection: Collection) -> None:
        compressor = collection.compressor
        if compressor is None:
            raise CompressError("this index has no compressor; run paint-search compress first")
        self._store = store = collection.store
        self._compressor = compressor
        self._keeps_full = "full" in collection.manifest.vectors
        self.lost = Loss(0, 0.0, 0.0)
        self.get = store.get
        self.set_payloads = store.set_payloads
        self.flush = store.flush

    def upsert(self, records: Sequence[Record]) -> None:
        """Write points with compact vectors, and with full ones where the index keeps them."""
        self._store.upsert(shorten(records, self._compressor, keeps_full=self._keeps_full))
        vectors = np.stack([np.asarray(record.vector) for record in records])
        self.lost = self.lost.and_more(Loss.measure(self._compressor, vectors))

    def account(self, manifest: Manifest) -> Manifest:
        """Return the manifest with what was lost added to what it tells of the compression."""
        made = manifest.compression
        if made is None:
            return manifest
        return replace(manifest, compression=made.with_added(self.lost))


def sync(collection: Collection, request: Request) -> Summary:
    """Index what is new or changed in the request's folder, and say what was done.

    Raises:
        UsageError: the folder is not of this corpus, or labels cannot be read.
        StoreError: the store or the disk failed; what was finished stays.
    """
    start = time.monotonic()
    summary = Summary()
    check_options(request.labels, request.table, request.device, request.table_encoding)
    require_images(request.folder)
    index, store = collection.folder, collection.store
    manifest, folder = _enter_corpus(collection, request.folder, summary)
    manifest = _remember_labels(index, manifest, request)
    root = read_path(manifest.root, index)
    scope = composed(folder.relative_to(root).as_posix())
    if request.weights is not None:
        collection.backbone.check_weights(request.weights)
    run = time.time_ns()
    before = counts_of(nodes_of(store))
    engine = _Engine(collection, request, summary.notes.append)
    exclusions = Exclusions(index)
    walk = exclusions.without(partial(scan, folder, root))
    part = request.part or Part()
    if part.count > 1:
        walk = part.of(walk)
    entrance = entrance_of(collection)
    if isinstance(entrance, CachingStore):
        walk = entrance.sampled(walk)
    with ExitStack() as stack:
        table = None
        if manifest.table is not None:
            file = read_path(manifest.table, index)
            table = stack.enter_context(LabelTable(file, manifest.table_encoding))
            everything = scan(root, root, lambda path, reason: None)
            table.meet(root, (file.path for file in everything))
            if remark := table.remark():
                summary.notes.append(remark)
        skips = stack.enter_context(skip_list(index / SKIPPED, scope))
        pipeline = Pipeline(
            number=run,
            store=entrance,
            by_hash=partial(_by_hash, store, vectors=True) if store.count() else None,
            labels=label_source(manifest.labels, table),
            reader=collection.backbone.reader(request.max_pixels, request.damaged),
            engine=engine,
            skips=skips,
            report=request.report,
            cancelled=request.cancelled,
        )
        pipeline.run(walk, summary)
        postponed = entrance.postponed if isinstance(entrance, CachingStore) else 0
        whole = scope == "." and part.count == 1 and not summary.interrupted and not postponed
        _list_unmatched(index / UNMATCHED, store if whole else None, table, summary)
    if not summary.interrupted:
        own = partial(_is_own, scope, part)
        _settle_excluded(store, exclusions, own, summary)
        _settle_gone(store, root, own, run, request.prune, summary)
        if part.count == 1 or request.repair:  # other machines' parts are counted as they arrive
            summary.notes += repair(
                store, before, root, own, thorough=request.repair, prune=request.prune
            )
        if request.repair:
            collection.send_all()
        building = partial(replace, words="building the graph")
        store.optimize(lambda progress: request.report(building(progress)), request.cancelled)
    if isinstance(entrance, CachingStore):
        summary.notes.append(entrance.remark())
    elif isinstance(entrance, CompressingStore):
        manifest = entrance.account(manifest)
    collection.settle(replace(manifest, engine=engine.choice), changed=summary.touched)
    summary.seconds = time.monotonic() - start
    return summary


def entrance_of(collection: Collection) -> "Store | CompressingStore | CachingStore":
    """Return the store as full vectors go into it: compressed, cached, or as they are."""
    if collection.compressor is not None:
        return CompressingStore(collection)
    if collection.manifest.long:
        return CachingStore(collection)
    return collection.store


def check_options(
    labels: str | None, table: Path | None, device: str, table_encoding: str | None = None
) -> None:
    """Raise UsageError for options that no index could be made with."""
    if device not in DEVICES:
        raise UsageError(f"unknown device {device!r}: use {', '.join(DEVICES)}")
    if labels is not None and table is not None:
        raise UsageError(f"give either {argument('labels')} or {argument('table')}, not both")
    if table_encoding is not None and table is None:
        raise UsageError(f"{argument('table_encoding')} is of a {argument('table')}; give both")
    if table is not None:
        LabelTable(table, table_encoding).close()
    elif labels is not None:
        label_source(labels, None)


def require_images(folder: Path) -> None:
    """Raise UsageError if there is no image below ``folder``: mistyped, or a drive not mounted."""
    files = 0
    for file in scan(folder, folder, lambda path, reason: None):
        if is_picture(file.location):
            return
        files += 1
    raise UsageError(
        f"there is no image below {folder} ({files} other files); name the folder that holds "
        "the paintings"
    )


class _Engine:
    """Makes the embedder when the first batch has come, and remembers which it is."""

    def __init__(
        self, collection: Collection, request: Request, note: Callable[[str], None]
    ) -> None:
        self.choice = collection.manifest.engine
        self._note = note
        self._model = collection.backbone
        self._request = request

    def __call__(self, pixels: NDArray[np.uint8], pending: int) -> Embedder:
        embedder, self.choice = self._model.index_embedder(
            pixels,
            pending,
            weights_file=self._request.weights,
            device=self._request.device,
            note=self._note,
        )
        return embedder


def _enter_corpus(collection: Collection, folder: Path, summary: Summary) -> tuple[Manifest, Path]:
    """Return the folder as the corpus calls it; a corpus that moved as a whole is followed."""
    index, manifest, root = collection.folder, collection.manifest, collection.root
    for spelling, base in ((folder, root), (folder.resolve(), root.resolve())):
        if spelling.is_relative_to(base):
            return manifest, root / spelling.relative_to(base)
    if root == NOWHERE:  # of a collection that was opened by its address
        return replace(manifest, root=write_path(folder, index)), folder
    if root.exists():
        raise UsageError(
            f"{index} is the index of {root}, and {folder} is not inside it; make another index "
            f"for it with {argument('folder', option='--index')}, or index a folder that holds both"
        )
    summary.notes.append(f"the paintings have moved from {root} to {folder}")
    moved = replace(manifest, root=write_path(folder, index))
    table = None if manifest.table is None else read_path(manifest.table, index)
    if table is not None and table.is_relative_to(root):
        moved = replace(moved, table=write_path(folder / table.relative_to(root), index))
    return moved, folder


def _remember_labels(index: Path, manifest: Manifest, request: Request) -> Manifest:
    unsaid = request.table is None and request.labels is None
    if manifest.from_table and manifest.table is None and unsaid:
        raise UsageError(
            f"labels of this index come from a table, {manifest.from_table}, on another machine; "
            f"name it with {argument('table')}, or say where they come from now with "
            f"{argument('labels')}"
        )
    if request.table is not None:
        table = write_path(request.table.absolute(), index)
        return replace(manifest, table=table, table_encoding=request.table_encoding)
    if request.labels is not None:
        return replace(
            manifest, labels=request.labels, table=None, table_encoding=None, from_table=None
        )
    return manifest


def _list_unmatched(
    file: Path, store: Store | None, table: LabelTable | None, summary: Summary
) -> None:
    """List the paintings without any label, and what of the table is used for nothing.

    Without a store, which is not read where a run has seen but a part, the paintings of before.
    """
    rows = _without_labels(file, store)
    with replacing(file) as fresh, fresh.open("w", newline="", encoding="utf-8") as stream:
        write_rows(stream, [("kind", "path", "why")])
        for path in rows:
            summary.unmatched_files += store is not None
            write_rows(stream, [(_NO_LABELS, path, "")])
        for fault in table.faults() if table is not None else ():
            if fault.kind == "row without file":
                summary.unmatched_rows += 1
            else:
                summary.refused_labels += 1
            write_rows(stream, [(fault.kind, fault.path, fault.why)])


def _without_labels(file: Path, store: Store | None) -> Iterator[str]:
    if store is not None:
        for record in store.scroll():
            if not Painting.from_payload(record.payload).labels():
                yield record.path
    elif file.exists():
        try:
            yield from (row[1] for row in read_rows(file) if len(row) > 1 and row[0] == _NO_LABELS)
        except ValueError as error:
            raise StoreError(f"{file} is damaged ({error}); delete it, and index again") from error


def _by_hash(store: Store, hashes: Sequence[str], *, vectors: bool) -> Iterator[Record]:
    return store.scroll([Condition("_hash", values=tuple(hashes))], vectors=vectors)


def _is_own(scope: str, part: Part, record: Record) -> bool:
    """Tell whether a point is one that this run answers for."""
    return inside(record.path, scope) and part.has(record.path)


def _settle_excluded(
    store: Store, exclusions: Exclusions, own: Callable[[Record], bool], summary: Summary
) -> None:
    """Delete points of files that are left out, and say how many were passed over."""
    ids = list(map(painting_id, exclusions.paths))
    for start in range(0, len(ids), _DELETIONS):
        found = store.get(ids[start : start + _DELETIONS])
        doomed = [key for key, record in found.items() if own(record)]
        if doomed:
            store.delete(doomed)
        summary.excluded += len(doomed)
    summary.notes += exclusions.remarks()


def _settle_gone(
    store: Store,
    root: Path,
    own: Callable[[Record], bool],
    run: int,
    prune: bool,
    summary: Summary,
) -> None:
    """Delete points of files that moved to another path; count or prune those that are gone.

    A file has moved if its content was found under another path in a later run than its own; that
    also mends a run that was killed half-way through a move.
    """
    doomed: list[str] = []
    known = {"_size", "_hash", "_run"}
    files = (record for record in store.scroll() if known <= record.payload.keys())
    for record, twins in _with_twins(store, gone(filter(own, files), root)):
        later = [twin for twin in twins if twin.payload.get("_run", 0) > record.payload["_run"]]
        lost = {twin.id for twin in gone(later, root)}
        runs = [twin.payload["_run"] for twin in later if twin.id not in lost]
        if runs:
            summary.moved += 1
            summary.new -= run in runs
        elif prune:
            summary.pruned += 1
        else:
            summary.gone += 1
            continue
        doomed.append(record.id)
        if len(doomed) == _DELETIONS:
            store.delete(doomed)
            doomed.clear()
    if doomed:
        store.delete(doomed)


def _with_twins(
    store: Store, records: Iterator[Record]
) -> Iterator[tuple[Record, Sequence[Record]]]:
    """Yield records with those of the same content, which the store is asked for by the page."""
    while page := list(itertools.islice(records, _TWINS)):
        twins = defaultdict(list)
        for twin in _by_hash(store, [record.payload["_hash"] for record in page], vectors=False):
            twins[twin.payload["_hash"]].append(twin)
        yield from ((record, twins[record.payload["_hash"]]) for record in page)
