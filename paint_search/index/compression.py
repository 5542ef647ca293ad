"""Fit a compressor to an index and shorten every vector: the run behind ``paint-search compress``.

A new store is written beside the old one and takes its place when the manifest that names it does,
so that a run killed at any moment leaves the index as it was.
"""

import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Final, Self, cast

import numpy as np
from numpy.typing import NDArray

from paint_search.compress.base import Compressor, Rows
from paint_search.compress.hold_out import HoldOut, choose_hold_out, works_held_out
from paint_search.compress.kinds import make_compressor
from paint_search.compress.record import Compression, Loss, Told
from paint_search.errors import CompressError, EvalError, StoreError, UsageError, argument, counted
from paint_search.index.collection import Collection, measured, sweep
from paint_search.index.long_vectors import open_features
from paint_search.index.manifest import Manifest
from paint_search.index.select import rows_of
from paint_search.index.shared import BACKBONE, claim_of, share
from paint_search.indexer.feature_cache import FeatureCache
from paint_search.painting import Progress, Record
from paint_search.search.stores.base import Store, VectorName
from paint_search.search.stores.opening import delete_store, open_next

AUTO: Final = "auto"

#: What ``auto`` tries: a dense layer for vectors that it can take, else convolutions. Those find
#: nothing in the order of a short vector's numbers, which means nothing.
_TRIED: Final = ("pca", "autoencoder")
_TRIED_LONG: Final = ("pca", "convolutional")

_KS: Final = (1, 10, 50)
_LEAST_CHOICE: Final = 4
_PAGE: Final = 512

#: More vectors teach a compressor nothing, and these fit into 400 MB at 2,048 dimensions.
_MOST_FITTED: Final = 50_000
_MOST_HELD_OUT: Final = 5_000
_LEAST_HELD_OUT: Final = 3

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
    keep: float
    report: Report
    note: Callable[[str], None]


@dataclass(frozen=True, slots=True)
class MethodFit:
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
    trials: tuple[MethodFit, ...]
    paintings: int
    bytes_before: int
    bytes_after: int
    seconds: float


@dataclass(frozen=True)
class Sample:
    """The vectors of an index, dealt out: (n, d) to learn from, (m, d) to judge by.

    Where labels are learned from, some works of the learned artists are left out too, so that
    what is known of seen artists can be measured on other works than those.
    """

    split: HoldOut
    learned: Rows
    held_out: NDArray[np.float32]
    labels: list[str | None]
    held_labels: list[str | None]

    @classmethod
    def read(
        cls,
        collection: Collection,
        seed: int,
        label: str | None,
        most_fitted: int = _MOST_FITTED,
        most_held_out: int = _MOST_HELD_OUT,
    ) -> Self:
        """Draw a bounded number of each by ``seed``; read those alone, or map them from a cache."""
        store, features = collection.store, open_features(collection)
        records = [
            (record.id, record.payload.get("artist"), record.payload.get(label or ""))
            for record in store.scroll()
            if features is None or record.id in features
        ]
        if not records:
            raise UsageError("the index is empty; run paint-search index first")
        ids, artists, values = zip(*records, strict=True)
        if label is not None and not any(values):
            raise UsageError(f"no painting has a field {label!r}; see paint-search info")
        split = choose_hold_out(ids, artists, seed=seed)
        kept_out = split.held_out(ids, artists)
        named = {
            one: None if value is None else str(value)
            for one, value in zip(ids, values, strict=True)
        }
        passed = np.zeros(len(ids), bool) if label is None else works_held_out(split, ids)
        if features is not None:
            most_held_out = min(most_held_out, _CELLS // features.dimension)
        sides = (~kept_out & ~passed, most_fitted), (kept_out, most_held_out)
        drawn = [[ids[row] for row in _draw(side, most, seed)] for side, most in sides]
        if features is not None:
            learned, judged = cast(Rows, features.view(drawn[0])), features.rows(drawn[1])
        else:  # without what another process has deleted meanwhile
            length = collection.manifest.dimensions["full"]
            (drawn[0], learned), (drawn[1], judged) = (
                rows_of(_fetch(store, chosen), "full", length, lambda record: record.id)
                for chosen in drawn
            )
        if len(judged) < _LEAST_HELD_OUT:
            raise CompressError(
                f"of {len(ids)} paintings only {len(judged)} can be held out to judge by; index "
                "more first"
            )
        return cls(split, learned, judged, *([named[one] for one in chosen] for chosen in drawn))


def _draw(side: NDArray[np.bool_], most: int, seed: int) -> list[int]:
    """Return up to so many rows of a side, rising: the same by the same seed."""
    rows = np.flatnonzero(side)
    if len(rows) > most:
        rows = np.sort(np.random.default_rng(seed).choice(rows, most, replace=False))
    chosen: list[int] = rows.tolist()
    return chosen


def _fetch(store: Store, ids: Sequence[str]) -> Iterator[Record]:
    """Yield the points that exist, with their vectors, in the order of ``ids``."""
    for start in range(0, len(ids), _PAGE):
        page = ids[start : start + _PAGE]
        found = store.get(page, vectors=True)
        yield from (found[one] for one in page if one in found)


def compress(collection: Collection, request: CompressRequest) -> CompressSummary:
    """Fit, rewrite the store with compact vectors, and make that the collection's own.

    The old store is gone once this returns, and untouched where it raises.
    """
    if request.method != AUTO:
        make_compressor(request.method, request.dims).check_libraries()
    start = time.monotonic()
    folder, manifest, store = collection.folder, collection.manifest, collection.store
    features = open_features(collection)
    if features is None and "full" not in manifest.vectors and store.count():
        raise UsageError(
            f"{folder} keeps no full vectors to learn from ({argument('drop_full')}); index the "
            f"paintings anew with another {argument('folder', option='--index')}"
        )
    sample = Sample.read(collection, request.seed, _label(request))
    compressor, trials = _choose(sample, request, long=manifest.long)
    kept = next(trial for trial in trials if trial.method == compressor.method)
    kinds: tuple[VectorName, ...] = ("full", "compact")
    if request.drop_full or features is not None:
        kinds = ("compact",)
    compression = Compression(
        folder="",
        method=compressor.method,
        dims=compressor.dims,
        seed=request.seed,
        split=sample.split,
        fitted_to=len(sample.learned),
        recall=kept.recall,
        told=kept.told,
        held_out=Loss.measure(compressor, sample.held_out),
    )
    new = replace(manifest, vectors=kinds, compression=compression)
    before, after = (store.count() * 2 * sum(m.dimensions.values()) for m in (manifest, new))
    if features is not None:
        before += features.bytes_on_disk
        after += 0 if request.drop_full else features.bytes_on_disk
    if request.drop_full:
        ten = compression.recall.get("10")
        found = f", and finds {ten:.1%} of the ten nearest" if ten is not None else ""
        request.note(
            f"without the full vectors the index needs {after / 1e6:.1f} MB for vectors instead of "
            f"{before / 1e6:.1f} MB{found}; they come back only by indexing the paintings anew"
        )
    paintings = store.count()
    if store.shared is not None:
        store.shared.sweep()
        claim = claim_of(folder)
    else:
        claim = ""
    place, target = open_next(folder, store, manifest.store, new.dimensions, new.maker, claim)
    named = next(
        name
        for number in itertools.count(place.generation)
        if not (folder / (name := f"compressor-{number}")).exists()
    )
    new = replace(new, store=place, compression=replace(compression, folder=named))
    try:
        new = _rewrite(collection, new, target, features, compressor, request)
    except BaseException:
        # The new manifest may be in place already, if Ctrl-C came right after it.
        current = Manifest.read(folder)
        sweep(folder, manifest, current)
        if place.embedded and current.store != place:
            delete_store(folder, place)
        raise
    if features is not None and (missing := paintings - new.paintings) > 0:
        request.note(
            f"{counted(missing, 'painting is', 'paintings are')} not in the feature cache and left "
            "out; run paint-search index again for them"
        )
    if features is not None and request.drop_full:
        features.delete()
    sweep(folder, new)
    return CompressSummary(
        compression=new.compression or compression,
        trials=trials,
        paintings=new.paintings,
        bytes_before=before,
        bytes_after=after,
        seconds=time.monotonic() - start,
    )


def _choose(
    sample: Sample, request: CompressRequest, *, long: bool
) -> tuple[Compressor, tuple[MethodFit, ...]]:
    """Fit the kind that was asked for, or each and keep the best by recall@10."""
    tried = _TRIED_LONG if long else _TRIED
    methods = tried if request.method == AUTO else (request.method,)
    fitted: list[tuple[float, Compressor]] = []
    trials = []
    for method in methods:
        try:
            compressor, trial = _fit(method, sample, request)
        except CompressError as error:
            if request.method != AUTO:
                raise
            trials.append(MethodFit(method, {}, 0.0, str(error)))
            continue
        trials.append(trial)
        fitted.append((trial.recall.get("10", trial.recall["1"]), compressor))
    if not fitted:
        raise CompressError(str(trials[0].refused))
    return max(fitted, key=lambda pair: pair[0])[1], tuple(trials)


def _fit(method: str, sample: Sample, request: CompressRequest) -> tuple[Compressor, MethodFit]:
    from paint_search.eval import neighbours_kept

    start = time.monotonic()
    compressor = make_compressor(method, request.dims, seed=request.seed)
    compressor.fit(
        sample.learned,
        sample.labels,
        report=lambda progress: request.report(f"fitting {method}", progress),
    )
    seconds = time.monotonic() - start
    # Where k is near the number of paintings to choose from, any code keeps nearly all.
    ks = [k for k in _KS if k == 1 or _LEAST_CHOICE * k <= len(sample.held_out)]
    codes = compressor.transform(sample.held_out)
    kept = neighbours_kept(sample.held_out, codes, ks)
    told = None
    if compressor.learns_from_labels and (label := _label(request)) is not None:
        told = _told(label, sample, codes)
    return compressor, MethodFit(method, {str(k): kept.recall[k] for k in ks}, seconds, told=told)


def _label(request: CompressRequest) -> str | None:
    """Return the field to learn from, None where the method learns from vectors alone."""
    from paint_search.compress.kinds import LEARN_FROM_LABELS

    if request.method in LEARN_FROM_LABELS:
        return request.label or "artist"
    if request.label is not None:
        raise UsageError(
            f"{argument('label', request.label)}: {argument('method', request.method)} does not "
            f"learn from labels; use {argument('method', ' or '.join(LEARN_FROM_LABELS))}"
        )
    return None


def _told(label: str, sample: Sample, codes: NDArray[np.float32]) -> Told:
    """Measure what a method that learns from labels is for, beside the full vectors."""
    from paint_search.eval import retrieval, same_label_auc

    labels, sides = sample.held_labels, (codes, sample.held_out)
    try:
        aucs = [same_label_auc(vectors, labels) for vectors in sides]
        means = [retrieval(vectors, labels, ks=[10]).summary()["mAP@10"] for vectors in sides]
    except EvalError as error:
        raise CompressError(
            f"of {len(codes)} paintings held out to judge by, too few share a label {label!r}: "
            f"{error}"
        ) from error
    return Told(label, *aucs, *means)


def _rewrite(
    collection: Collection,
    manifest: Manifest,
    new: Store,
    features: FeatureCache | None,
    compressor: Compressor,
    request: CompressRequest,
) -> Manifest:
    """Write the new store and compressor, then the manifest that makes them the index's own."""
    made, before = manifest.compression, collection.store
    assert made is not None  # noqa: S101 - the caller has just made it
    page_size = max(1, min(_PAGE, _CELLS // 8 // manifest.backbone.dimension))
    total, done = before.count(), 0

    def report(what: str, progress: Progress) -> None:
        request.report(what, progress)
        if new.shared is not None:
            new.shared.renew()

    def shortened(records: Sequence[Record]) -> list[Record]:
        return shorten(records, compressor, keeps_full="full" in manifest.vectors)

    try:
        records = _with_full_vectors(before, features)
        while page := list(itertools.islice(records, page_size)):
            new.upsert(shortened(page))
            done += len(page)
            report("writing vectors", Progress(done, total))
        new.flush()
        new.optimize(partial(report, "building the graph"))
        compressor.save(collection.folder / made.folder, manifest.backbone.fingerprint)
        if new.shared is not None and before.shared is not None:
            known = _carry_over(before, new, shortened) if features is None else None
            manifest = measured(manifest, new)
            sent = BACKBONE, made.folder
            share(collection.folder, new.shared, manifest, *sent)
            new.shared.publish(before.shared)
            _part_with(before, new, shortened, known, request)
        else:
            manifest = measured(manifest, new)
        manifest.write(collection.folder)
    except BaseException:
        with suppress(StoreError):  # a server that is away: what is left there goes next time
            if new.shared is not None:
                new.shared.discard()
        new.close()
        raise
    collection.adopt(manifest, new)
    return manifest


def _part_with(
    before: Store,
    new: Store,
    shortened: Callable[[Sequence[Record]], list[Record]],
    known: set[str] | None,
    request: CompressRequest,
) -> None:
    """Take what was written until the last moment from a generation, and let it go."""
    if before.shared is None:
        return
    try:
        if known is not None and before.shared.description is not None:
            _carry_over(before, new, shortened, known)
        before.shared.retire(request.keep)
    except StoreError as error:  # the index has its new points all the same
        request.note(f"the points of before are still on the server: {error}")


def _carry_over(
    before: Store,
    new: Store,
    shortened: Callable[[Sequence[Record]], list[Record]],
    known: set[str] | None = None,
) -> set[str]:
    """Write what others have written since the points were read, and delete what they have deleted.

    Args:
        before: the store that they were read from.
        new: the one that they were written to.
        shortened: makes their compact vectors.
        known: ids that were there when this was last done; None where it was not, and nobody else
            writes to the new store.

    Returns:
        The ids that are there.
    """
    ids: set[str] = set()
    records = before.scroll()
    while page := list(itertools.islice(records, _PAGE)):
        ids |= (here := {record.id for record in page})
        there = new.get(list(here))
        late = [record.id for record in page if _is_newer(record, there.get(record.id))]
        if late:
            new.upsert(shortened(list(before.get(late, vectors=True).values())))
    gone = [r.id for r in new.scroll() if r.id not in ids and (known is None or r.id in known)]
    if gone:
        new.delete(gone)
    new.flush()
    return ids


def _is_newer(record: Record, other: Record | None) -> bool:
    """Tell whether a record was written after what another store has of it."""
    if other is None:
        return True
    runs = (dict(one.payload).get("_run", 0) for one in (record, other))
    return record.payload != other.payload and next(runs) >= next(runs)


def _with_full_vectors(store: Store, features: FeatureCache | None) -> Iterator[Record]:
    """Yield the records that have a full vector, in the store or the cache beside it, with it."""
    if features is None:
        yield from store.scroll(vectors=True)
        return
    for record in store.scroll():
        if record.id in features:
            yield replace(record, vector=features.rows([record.id])[0])


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
