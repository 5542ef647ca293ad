"""Fit a compressor to an index and shorten every vector: the run behind ``paint-search compress``.

A new store is written beside the old one and takes its place when the manifest that names it does,
so that a run killed at any moment leaves the index as it was. Works on the parts of an index that
it is handed.
"""

import itertools
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from paint_search.compress.base import Compressor
from paint_search.compress.kinds import make_compressor
from paint_search.compress.record import Compression, Loss, Told
from paint_search.errors import CompressError, EvalError, StoreError, UsageError
from paint_search.index.long_vectors import open_features
from paint_search.index.manifest import Manifest
from paint_search.index.sample import Parts
from paint_search.indexer.feature_cache import FeatureCache
from paint_search.painting import Progress, Record
from paint_search.search.background import measure_background
from paint_search.search.recall import choose_oversampling, measure_recall
from paint_search.search.stores.base import LONGEST, Store, VectorName
from paint_search.search.stores.opening import delete_store, next_place, open_store

AUTO: Final = "auto"

#: What ``auto`` tries: a dense layer for vectors that it can take, else convolutions. Those find
#: nothing in the order of a short vector's numbers, which means nothing.
_TRIED: Final = ("pca", "autoencoder")
_TRIED_LONG: Final = ("pca", "convolutional")

_KS: Final = (1, 10, 50)
_LEAST_CHOICE: Final = 4
_PAGE: Final = 512

#: Numbers held at once, 256 MB, where vectors are so long that the figures above are too many.
_CELLS: Final = 2**26

#: Called with what is being done and how far it is.
Report = Callable[[str, Progress], None]


@dataclass(frozen=True)
class CompressRequest:
    """What ``Index.compress`` was asked; see there."""

    method: str
    dims: int
    seed: int
    drop_full: bool
    label: str | None
    report: Report
    note: Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Trial:
    """One kind of compressor, fitted: what it keeps among the held-out paintings.

    ``recall`` is k -> share of the k nearest kept; ``refused`` says why it could not be fitted;
    ``told`` is what a method that learned from labels is for.
    """

    method: str
    recall: dict[str, float]
    seconds: float
    refused: str | None = None
    told: Told | None = None


@dataclass(frozen=True, slots=True)
class CompressSummary:
    """What a run did; ``bytes_before`` and ``bytes_after`` are those of the vectors."""

    compression: Compression
    trials: tuple[Trial, ...]
    paintings: int
    bytes_before: int
    bytes_after: int
    seconds: float


def compress(
    index: Path, manifest: Manifest, store: Store, request: CompressRequest
) -> tuple[Manifest, Store, CompressSummary]:
    """Fit, rewrite the store with compact vectors, and return what now describes the index.

    The old store is closed and gone once this returns, and untouched where it raises.

    Raises:
        UsageError: an unknown method, or the full vectors are no longer there.
        CompressError: the vectors do not allow it.
        StoreError: the disk is full, or the store failed.
    """
    start = time.monotonic()
    features = open_features(index, manifest)
    if features is None and "full" not in manifest.vectors and store.count():
        raise UsageError(
            f"{index} keeps no full vectors to learn from (compress --drop-full); index the "
            "paintings anew with another --index"
        )
    parts = Parts.read(store, features, request.seed, _label(request))
    compressor, trials = _choose(parts, request)
    kept = next(trial for trial in trials if trial.method == compressor.method)
    kinds: tuple[VectorName, ...] = ("full", "compact")
    if request.drop_full or features is not None:
        kinds = ("compact",)
    compression = Compression(
        folder=_fresh(index, "compressor"),
        method=compressor.method,
        dims=compressor.dims,
        seed=request.seed,
        split=parts.split,
        fitted_to=len(parts.learned),
        recall=kept.recall,
        told=kept.told,
        held_out=Loss.measure(compressor, parts.held_out),
    )
    place = next_place(index, manifest.store)
    if not place.embedded and place.generation > manifest.store.generation + 1:
        request.note(
            f"the vectors go into the collection {place.name}; of those numbered before it, delete "
            "what no index uses: a run that is killed leaves one behind"
        )
    new = replace(manifest, store=place, vectors=kinds, compression=compression)
    before, after = (store.count() * 2 * sum(m.dimensions.values()) for m in (manifest, new))
    if features is not None:
        before += features.bytes_on_disk
        after += 0 if request.drop_full else features.bytes_on_disk
    if request.drop_full:
        request.note(_cost(compression, before, after))
    try:
        source = _Source(store, features)
        fresh, new = _rewrite(index, new, source, compressor, compression.folder, request.report)
    except BaseException:
        # The new manifest may be in place already, if Ctrl-C came right after it.
        current = Manifest.read(index)
        sweep(index, manifest, current)
        if current.store != place:
            with suppress(StoreError):  # a server that is away; what is left there goes next time
                delete_store(index, place)
        raise
    if missing := store.count() - new.paintings:
        request.note(
            f"{missing:,} paintings are not in the feature cache and were left out; run "
            "paint-search index again for them"
        )
    store.close()
    if features is not None and request.drop_full:
        features.delete()
    try:
        delete_store(index, manifest.store)
    except StoreError as error:  # the index has its new store all the same
        request.note(f"the collection {manifest.store.name} is still there: {error}")
    sweep(index, new)
    seconds = time.monotonic() - start
    summary = CompressSummary(
        compression=new.compression or compression,
        trials=trials,
        paintings=new.paintings,
        bytes_before=before,
        bytes_after=after,
        seconds=seconds,
    )
    return new, fresh, summary


def sweep(index: Path, *manifests: Manifest) -> None:
    """Delete the stores and compressors in the index that none of these manifests names."""
    used = {manifest.store.name for manifest in manifests if manifest.store.embedded}
    used |= {made.folder for manifest in manifests if (made := manifest.compression)}
    for kind in ("store", "compressor"):
        for folder in index.glob(f"{kind}*"):
            if folder.is_dir() and folder.name not in used:
                shutil.rmtree(folder, ignore_errors=True)


def _choose(parts: Parts, request: CompressRequest) -> tuple[Compressor, tuple[Trial, ...]]:
    """Fit the kind that was asked for, or each and keep the best by recall@10."""
    long = parts.learned.shape[1] > LONGEST
    tried = _TRIED_LONG if long else _TRIED
    methods = tried if request.method == AUTO else (request.method,)
    fitted: list[tuple[float, Compressor]] = []
    trials = []
    for method in methods:
        try:
            compressor, trial = _fit(method, parts, request)
        except CompressError as error:
            if request.method != AUTO:
                raise
            trials.append(Trial(method, {}, 0.0, str(error)))
            continue
        trials.append(trial)
        fitted.append((trial.recall.get("10", trial.recall["1"]), compressor))
    if not fitted:
        raise CompressError(str(trials[0].refused))
    return max(fitted, key=lambda pair: pair[0])[1], tuple(trials)


def _fit(method: str, parts: Parts, request: CompressRequest) -> tuple[Compressor, Trial]:
    from paint_search.eval import neighbours_kept

    start = time.monotonic()
    compressor = make_compressor(method, request.dims, seed=request.seed)
    compressor.fit(
        parts.learned,
        parts.labels,
        report=lambda progress: request.report(f"fitting {method}", progress),
    )
    seconds = time.monotonic() - start
    # Where k is near the number of paintings to choose from, any code keeps nearly all.
    ks = [k for k in _KS if k == 1 or _LEAST_CHOICE * k <= len(parts.held_out)]
    codes = compressor.transform(parts.held_out)
    kept = neighbours_kept(parts.held_out, codes, ks)
    told = None
    if compressor.learns_from_labels and (label := _label(request)) is not None:
        told = _told(label, parts, codes)
    return compressor, Trial(method, {str(k): kept.recall[k] for k in ks}, seconds, told=told)


def _label(request: CompressRequest) -> str | None:
    """Return the field to learn from, None where the method learns from vectors alone.

    Raises:
        UsageError: a field for such a method.
    """
    from paint_search.compress.kinds import LEARN_FROM_LABELS

    if request.method in LEARN_FROM_LABELS:
        return request.label or "artist"
    if request.label is not None:
        raise UsageError(
            f"--label {request.label}: --method {request.method} does not learn from labels; use "
            f"--method {' or '.join(LEARN_FROM_LABELS)}"
        )
    return None


def _told(label: str, parts: Parts, codes: NDArray[np.float32]) -> Told:
    """Measure what a method that learns from labels is for, beside the full vectors."""
    from paint_search.eval import retrieval, same_label_auc

    try:
        figures = [
            (
                same_label_auc(vectors, parts.held_labels),
                retrieval(vectors, parts.held_labels, ks=[10]).summary()["mAP@10"],
            )
            for vectors in (codes, parts.held_out)
        ]
    except EvalError as error:
        raise CompressError(
            f"of {len(codes)} paintings held out to judge by, too few share a label {label!r}: "
            f"{error}"
        ) from error
    (auc, precision), (auc_full, precision_full) = figures
    return Told(label, auc, auc_full, precision, precision_full)


def _rewrite(
    index: Path,
    manifest: Manifest,
    old: "_Source",
    compressor: Compressor,
    folder: str,
    report: Report,
) -> tuple[Store, Manifest]:
    """Write the new store and compressor, then the manifest that makes them the index's own."""
    keeps_full = "full" in manifest.vectors
    page_size = max(1, min(_PAGE, _CELLS // 8 // manifest.backbone.dimension))
    total, done = old.store.count(), 0
    new = open_store(index, manifest.store, manifest.dimensions, manifest.maker)
    try:
        records = old.records()
        while page := list(itertools.islice(records, page_size)):
            new.upsert(shorten(page, compressor, keeps_full=keeps_full))
            done += len(page)
            report("writing vectors", Progress(done, total))
        new.flush()
        new.optimize()
        compressor.save(index / folder, manifest.backbone.fingerprint)
        manifest = measure(manifest, new)
        manifest.write(index)
    except BaseException:
        new.close()
        raise
    return new, manifest


@dataclass(frozen=True)
class _Source:
    """Where the full vectors are: in the store, or beside it in a feature cache."""

    store: Store
    features: FeatureCache | None

    def records(self) -> Iterator[Record]:
        """Yield the records that have a full vector somewhere, with it."""
        if self.features is None:
            yield from self.store.scroll(vectors=True)
            return
        for record in self.store.scroll():
            if record.id in self.features:
                yield replace(record, vector=self.features.rows([record.id])[0])


def measure(manifest: Manifest, store: Store) -> Manifest:
    """Return the manifest with what depends on the paintings in the store measured anew."""
    background = measure_background(store, manifest.searched) if manifest.vectors else None
    manifest = replace(manifest, background=background, paintings=store.count())
    if manifest.compression is None or not manifest.two_steps or not manifest.paintings:
        recall = measure_recall(store, manifest.searched) if manifest.vectors else None
        return replace(manifest, recall=recall)
    oversampling, recall = choose_oversampling(store)
    compression = replace(manifest.compression, oversampling=oversampling, two_step_recall=recall)
    return replace(manifest, compression=compression, recall=recall)


def shorten(records: Sequence[Record], compressor: Compressor, *, keeps_full: bool) -> list[Record]:
    """Return the records with compact vectors, and without full ones where those are not kept."""
    rows = [number for number, record in enumerate(records) if record.vector is not None]
    shortened = list(records)
    if rows:
        codes = compressor.transform(np.stack([np.asarray(records[row].vector) for row in rows]))
        for row, code in zip(rows, codes, strict=True):
            vector = records[row].vector if keeps_full else None
            shortened[row] = replace(records[row], vector=vector, compact=code)
    return shortened


def _fresh(index: Path, kind: str) -> str:
    """Return a name that no folder of this index has."""
    return next(
        name for number in itertools.count(2) if not (index / (name := f"{kind}-{number}")).exists()
    )


def _cost(compression: Compression, before: int, after: int) -> str:
    kept = compression.recall.get("10")
    found = f", and finds {kept:.1%} of the ten nearest" if kept is not None else ""
    return (
        f"without the full vectors the index needs {after / 1e6:.1f} MB for vectors instead of "
        f"{before / 1e6:.1f} MB{found}; they come back only by indexing the paintings anew"
    )
