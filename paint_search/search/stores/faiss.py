"""A store of FAISS and SQLite in a folder of the index: for those who want a FAISS index.

SQLite is the truth. ``vectors.faiss``, over the vectors that are searched first, is made from it
and mapped: what was written since is added when it is read, what was deleted is passed over, and a
damaged one is made anew. Knows nothing of paintings.
"""

import json
import math
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from paint_search.errors import StoreError, UsageError
from paint_search.files import fingerprint, replacing
from paint_search.search.filters import Filter
from paint_search.search.stores.base import Match, VectorName, VectorQuery
from paint_search.search.stores.sqlite import INDEX, LISTED, Floats, Labels, Points

#: Up to this many bytes of float16 vectors exact search is quick enough; see benchmarks/README.md.
_EXACT_BYTES: Final = 64 * 1024 * 1024

#: The very numbers that are stored, flat and below a graph. Any other index has them beside it.
_FLAT, _GRAPH, _BESIDE = "SQfp16", "HNSW32,SQfp16", "Refine(SQfp16)"

#: efSearch; lists that are probed, at least, and one of how many; candidates that are compared as
#: they are stored for each match. What FAISS does unasked finds too little.
_EF: Final = 128
_PROBED: Final = 16
_CANDIDATES: Final = 16

#: Where a filter keeps a smaller share, all that it keeps is compared; where a larger one, so many
#: times as many as will do on average are found and sifted.
_RARE: Final = 0.25
_SIFTED: Final = 2
_FEW: Final = 1 / 16  # a smaller share is copied side by side, and compared there

#: An index is built anew once this share of it is deleted, or it has grown this many times.
_GONE: Final = 0.1
_GROWTH: Final = 2

_TRAINING: Final = 65_536  # vectors, at least; FAISS asks for 39 a list
_MASKS: Final = 16  # filters whose points are remembered until something is written
_GPU_QUERIES: Final = 64  # for fewer a copy on the GPUs is not worth it
_GPU_MOST: Final = 2048  # hits that a GPU finds for each

_Found = tuple[Labels, Floats]  # (n,) each, best first
_Mask = NDArray[np.bool_]


def _library() -> Any:
    """Import FAISS, whose own stubs lack half of it, when it is needed."""
    import faiss

    return faiss


def on_gpus(flat: Any) -> Any | None:
    """Return a flat index copied to all GPUs in float32; None where none is large enough."""
    faiss = _library()
    with suppress(RuntimeError):
        if faiss.get_num_gpus():
            copy = faiss.index_cpu_to_all_gpus(faiss.IndexFlatIP(flat.d))
            for start in range(0, flat.ntotal, 65_536):
                copy.add(flat.reconstruct_n(start, min(65_536, flat.ntotal - start)))
            return copy
    return None


@dataclass(slots=True)
class _Loaded:
    """An index that holds what SQLite does.

    Attributes:
        index: from label to vector.
        mapped: whether it is the file itself.
        core: the index below the labels.
        flat: what compares all vectors as they are stored: ``core``, or a part of it.
        labels: by position, rising.
        alive: which of them have not been deleted.
        masks: which of them meet a filter.
        copies: ``flat`` on the GPUs, once it was wanted; None where there are none.
    """

    index: Any
    mapped: bool
    core: Any
    flat: Any
    labels: Labels
    alive: _Mask
    masks: dict[str, _Mask] = field(default_factory=dict)
    copies: list[Any] = field(default_factory=list)


class FaissStore(Points):
    """A FAISS index and its points in ``folder``; made there where none exists.

    Whoever opens one holds the lock of the index: a store has one user at a time.

    Args:
        folder: the store's own.
        dimensions: of each kind of vectors that it keeps. Compact ones are searched first where
            there are any, and full ones are then compared one by one.
        factory: for ``faiss.index_factory``; None to choose by size.
        exact_bytes: above so many bytes of vectors a graph is chosen.
        copied: copies a flat index for large batches.

    Raises:
        StoreError: it is damaged, or its folder cannot be written.
        UsageError: FAISS knows no such index as is wanted.
    """

    _loaded: _Loaded | None

    def __init__(
        self,
        folder: Path,
        dimensions: Mapping[VectorName, int],
        factory: str | None = None,
        *,
        exact_bytes: int = _EXACT_BYTES,
        copied: Callable[[Any], Any | None] = on_gpus,
    ) -> None:
        self._first: VectorName = "compact" if "compact" in dimensions else "full"
        self._factory, self._exact_bytes, self._copied = factory, exact_bytes, copied
        if factory is not None and dimensions:
            _make(factory, dimensions[self._first])
        super().__init__(folder, dimensions)
        self._index_file = folder / INDEX

    def search(self, query: VectorQuery) -> list[list[Match]]:
        """Return for each vector up to ``limit`` points by falling cosine, or spread."""
        if not self._dimensions or not len(query.vectors):
            return [[] for _ in query.vectors]
        vectors = self._units(query.vectors, query.using)
        if query.codes is None:
            found = self._nearest(query, vectors, query.using, query.ranked)
        else:
            codes = self._units(query.codes, "compact")
            near = self._nearest(query, codes, "compact", query.candidates)
            found = [
                self._compare(query.using, vectors[[row]], query.ranked, labels)[0]
                for row, (labels, _) in enumerate(near)
            ]
        if query.spread > 0:
            found = [self._spread(query, *each) for each in found]
        wanted = json.dumps(list({label for labels, _ in found for label in labels.tolist()}))
        rows = self._rows(self._select(f"label IN {LISTED}"), wanted)
        records = {row[0]: self._record(row) for row in rows}
        return [
            [Match(records[n], s) for n, s in zip(labels.tolist(), scores.tolist(), strict=True)]
            for labels, scores in found
        ]

    def optimize(self) -> None:
        """Write the index; built anew where the collection has changed enough since it was."""
        if not self._dimensions:
            return
        loaded, made = self._load(), self._note("index")
        size = int(loaded.alive.sum())
        large = 2 * self._dimensions[self._first] * size > self._exact_bytes
        factory = self._factory or (_GRAPH if large else _FLAT)
        grown = made is None or factory != made["factory"] or size > _GROWTH * made["points"]
        if size and (grown or loaded.alive.mean() < 1 - _GONE):
            self._build(factory)
        elif made and not loaded.mapped:
            self._write(loaded.index, made)

    def approximate(self) -> bool:
        """Tell whether searches go through an index that may miss a neighbour."""
        return bool(self._dimensions) and self._load().core is not self._load().flat

    def describe(self) -> str:
        """Say in a few words how searches go."""
        approximate, made = self.approximate(), self._note("index") or {}
        searched = f"FAISS, {made['factory']}" if approximate else "FAISS, flat: exact"
        return f"{searched} ({made['remark']})" if made.get("remark") else searched

    def raw(self) -> tuple[Any, dict[int, str]]:
        """Return the FAISS index, brought up to date, and the id of the point of each label.

        Raises:
            StoreError: there are no vectors.
        """
        if not self._dimensions or not self._load().alive.any():
            raise StoreError(f"the store {self._folder} has no vectors to make a FAISS index of")
        if not self._load().alive.all():
            self._build((self._note("index") or {"factory": _FLAT})["factory"])
        loaded, ids = self._load(), dict(self._rows("SELECT label, id FROM points"))
        return loaded.index, {label: ids[label] for label in loaded.labels.tolist()}

    def _nearest(
        self, query: VectorQuery, vectors: Floats, kind: VectorName, k: int
    ) -> list[_Found]:
        """Return the ``k`` nearest to each vector, (n, d), of the points that may be found."""
        ignored = self._labels_of(query.without)
        if kind != self._first:
            some = np.setdiff1d(self._matching(query.where), ignored)
            return self._compare(kind, vectors, k, some if query.where or len(ignored) else None)
        faiss, loaded = _library(), self._load()
        kept = self._kept(query.where) & ~_among(loaded.labels, ignored)
        size, count = len(kept), int(np.count_nonzero(kept))
        k = min(k, count)
        found: list[_Found] = [(loaded.labels[:0], np.empty(0, np.float32)) for _ in vectors]

        def take(rows: list[int], scores: Floats, at: Labels) -> None:
            for row, each, places in zip(rows, scores, at, strict=True):
                real = np.flatnonzero(places >= 0)[:k]
                found[row] = loaded.labels[places[real]], each[real]

        if k and count > _RARE * size:
            most = k if count == size else min(size, math.ceil(_SIFTED * k * size / count))
            index = loaded.flat if query.exact else loaded.core
            if len(vectors) >= _GPU_QUERIES and most <= _GPU_MOST:
                loaded.copies = loaded.copies or [self._copied(loaded.flat)]
                index = loaded.copies[0] or index
            if index is not loaded.flat:
                scores, at = index.search(vectors, most)
                take(list(range(len(vectors))), scores, np.where(kept[at], at, -1))
        short = [row for row, (labels, _) in enumerate(found) if len(labels) < k]
        if short:
            flat = loaded.flat
            if count <= _FEW * size:  # side by side: a selector is asked of every position
                at = np.flatnonzero(kept)
                codes = faiss.rev_swig_ptr(flat.codes.data(), size * flat.code_size)
                some = faiss.IndexScalarQuantizer(flat.d, flat.sq.qtype, flat.metric_type)
                some.add_sa_codes(codes.reshape(size, -1)[at])
                scores, places = some.search(vectors[short], k)
                take(short, scores, at[places])
            else:
                selected = faiss.IDSelectorBitmap(np.packbits(kept, bitorder="little"))
                params = faiss.SearchParameters(sel=selected) if count < size else None
                take(short, *flat.search(vectors[short], k, params=params))
        return found

    def _compare(
        self, kind: VectorName, vectors: Floats, k: int, labels: Labels | None
    ) -> list[_Found]:
        """Return the ``k`` nearest to each vector of all points or some, read from SQLite."""
        faiss = _library()
        heap = faiss.ResultHeap(len(vectors), k, keep_max=True)
        for some, stored in self._blocks(kind, labels=labels):
            most = min(k, len(some))
            scores, at = faiss.knn(vectors, stored, most, metric=faiss.METRIC_INNER_PRODUCT)
            heap.add_result(scores, some[at])
        heap.finalize()
        return [(i[i >= 0], d[i >= 0]) for i, d in zip(heap.I, heap.D, strict=True)]

    def _spread(self, query: VectorQuery, labels: Labels, scores: Floats) -> _Found:
        """Choose ``limit`` of what was found by maximal marginal relevance, the nearest first.

        The next is always the one of the greatest (1 - spread) * score - spread * (greatest cosine
        to those chosen before), as in Qdrant. Reference: Carbonell and Goldstein, The use of MMR,
        diversity-based reranking, SIGIR 1998.
        """
        rising, vectors = self._vectors(query.using, labels)
        vectors = vectors[np.searchsorted(rising, labels)]
        chosen: list[int] = []
        nearest, worth = np.full(len(scores), -np.inf, dtype=np.float32), scores.copy()
        while len(chosen) < min(query.limit, len(scores)):
            chosen.append(int(np.argmax(worth)))
            nearest = np.maximum(nearest, vectors @ vectors[chosen[-1]])
            worth = (1 - query.spread) * scores - query.spread * nearest
            worth[chosen] = -np.inf
        return labels[chosen], scores[chosen]

    def _kept(self, where: Filter) -> _Mask:
        """Tell which positions of the index are of points that match."""
        loaded, key = self._load(), repr(where)
        if key not in loaded.masks:
            if len(loaded.masks) >= _MASKS:
                loaded.masks.clear()
            kept = loaded.alive
            for condition in where:  # what a negated one leaves out is sooner read than the rest
                having = self._matching([replace(condition, negated=False)])
                kept = kept & (_among(loaded.labels, having) != condition.negated)
            loaded.masks[key] = kept
        return loaded.masks[key]

    def _load(self) -> _Loaded:
        """Return the index as SQLite has it: mapped, built anew where it is damaged, or begun.

        What was written since is added to it in memory.
        """
        if self._loaded is not None:
            return self._loaded
        faiss, made = _library(), self._note("index")
        index = self._read() if made else None
        if made and index is None:
            self._build(made["factory"])
            index = self._read()
        mapped = index is not None
        index = index or _make(_FLAT, self._dimensions[self._first])
        last = int(faiss.vector_to_array(index.id_map).max(initial=0))
        try:
            for more, vectors in self._blocks(self._first, after=last):
                if mapped:
                    index, mapped = faiss.read_index(str(self._index_file)), False
                index.add_with_ids(vectors, more)
        except RuntimeError as error:
            raise StoreError(f"{self._index_file} cannot be added to: {_reason(error)}") from error
        core, labels = faiss.downcast_index(index.index), faiss.vector_to_array(index.id_map)
        alive = ~_among(labels, self._numbers("SELECT label FROM gone"))
        self._loaded = _Loaded(index, mapped, core, _tuned(core), labels, alive)
        return self._loaded

    def _build(self, factory: str) -> None:
        """Train, fill and write an index; a flat one where FAISS cannot build what is wanted."""
        faiss = _library()
        remark = ""
        for kind in (factory, _FLAT):
            index = _make(kind, self._dimensions[self._first])
            try:
                if not index.is_trained:
                    lists = faiss.try_extract_index_ivf(index)
                    most = max(_TRAINING, 40 * lists.nlist if lists else 0)
                    some = np.random.default_rng(0).permutation(self._matching(()))[:most]
                    index.train(self._vectors(self._first, some)[1])
                for labels, vectors in self._blocks(self._first):
                    index.add_with_ids(vectors, labels)
                break
            except RuntimeError as error:
                remark = f"FAISS cannot build {kind}: {_reason(error)}"
        made = {"factory": factory, "points": index.ntotal, "remark": remark}
        self._write(index, made, anew=True)

    def _write(self, index: Any, made: dict[str, Any], *, anew: bool = False) -> None:
        """Put an index in its file, note which it is, and let it be mapped."""
        try:
            with replacing(self._index_file) as fresh:
                _library().write_index(index, str(fresh))
                made = {**made, "fingerprint": fingerprint(fresh)}
        except (OSError, RuntimeError) as error:
            raise StoreError(
                f"the index {self._index_file} cannot be written ({_reason(error)}): is the disk "
                "full? Nothing is lost; free some space and run it again"
            ) from error
        with self._transaction():
            self._note_down("index", made)
            if anew:  # it knows none of these
                self._base.execute("DELETE FROM gone")

    def _read(self) -> Any | None:
        """Return the index in the file; None where it is missing or not the one that was noted."""
        faiss = _library()
        with suppress(OSError, RuntimeError):
            # FAISS trusts what it reads, links of a graph above all.
            if fingerprint(self._index_file) == self._note("index")["fingerprint"]:
                index = faiss.read_index(str(self._index_file), faiss.IO_FLAG_MMAP_IFC)
                return index if _tuned(faiss.downcast_index(index.index)) else None
        return None


def _among(known: Labels, labels: Labels) -> _Mask:
    """Tell which of the known labels, which rise, are among these."""
    mask = np.zeros(len(known), dtype=bool)
    at = np.searchsorted(known, labels)
    labels, at = labels[at < len(mask)], at[at < len(mask)]
    mask[at[known[at] == labels]] = True
    return mask


def _make(factory: str, dimension: int) -> Any:
    """Return an empty index by inner product that keeps labels.

    Raises:
        UsageError: FAISS knows no such index for vectors of this length.
    """
    faiss = _library()
    whole = factory if factory in (_FLAT, _GRAPH) else f"{factory},{_BESIDE}"
    try:
        index = faiss.index_factory(dimension, f"IDMap,{whole}", faiss.METRIC_INNER_PRODUCT)
    except RuntimeError as error:
        raise UsageError(
            f"FAISS makes no index {factory!r} for {dimension} dimensions ({_reason(error)}); "
            "try HNSW32, IVF1024,SQfp16 or OPQ16_64,IVF1024,PQ16"
        ) from error
    _tuned(faiss.downcast_index(index.index))
    return index


def _tuned(index: Any) -> Any | None:
    """Set how thoroughly an index is searched; return the flat one of the stored numbers in it."""
    faiss = _library()
    if isinstance(index, faiss.IndexRefine):
        index.k_factor = _CANDIDATES
        _tuned(faiss.downcast_index(index.base_index))
        return faiss.downcast_index(index.refine_index)
    if lists := faiss.try_extract_index_ivf(index):
        lists.nprobe = max(_PROBED, lists.nlist // _PROBED)
        if isinstance(lists := faiss.downcast_index(lists), faiss.IndexIVFPQ):
            lists.do_polysemous_training = False  # half a minute for codes that are not used
    if isinstance(index, faiss.IndexHNSW):
        index.hnsw.efSearch, index.hnsw.efConstruction = _EF, 80
        index = faiss.downcast_index(index.storage)
    return index if isinstance(index, faiss.IndexScalarQuantizer) else None


def _reason(error: Exception) -> str:
    said = getattr(error, "strerror", None) or str(error)
    return said.rpartition("Error: ")[2].rpartition("failed: ")[2].strip() or "unknown"
