"""A store of FAISS and SQLite in a folder of the index: for those who want a FAISS index.

SQLite is the truth. ``vectors.faiss``, over the vectors that are searched first, is made from it
and mapped: what was written since is added when it is read, what was deleted is passed over, and a
damaged one is made anew. Knows nothing of paintings.
"""

import json
import math
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from paint_search.errors import StoreError, UsageError
from paint_search.files import fingerprint, replacing
from paint_search.search.diversity import spread_out
from paint_search.search.filters import Filter
from paint_search.search.stores.base import Match, VectorName, VectorQuery
from paint_search.search.stores.sqlite import LISTED, Floats, Labels, Points

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

#: An index is built anew once this share of it is deleted, or it has grown this many times.
_GONE: Final = 0.1
_GROWTH: Final = 2

_TRAINING: Final = 65_536  # vectors, at least; FAISS asks for 39 a list
_MASK_BYTES: Final = 32 * 1024 * 1024  # of filters, remembered until something is written
_GPU_QUERIES: Final = 64  # for fewer a copy on the GPUs is not worth it
_GPU_MOST: Final = 2048  # hits that a GPU finds for each

_Found = tuple[Labels, Floats]  # (n,) each, best first
_NOTHING: Final[_Found] = np.empty(0, np.int64), np.empty(0, np.float32)


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
        self._index_file = folder / "vectors.faiss"
        self._index: Any = None  # below labels, which rise; then what is in it
        self._core: Any = None
        self._flat: Any = None
        self._copies: list[Any] = []
        self._mapped = False
        self._known = -1  # the version that it is of

    def search(self, query: VectorQuery) -> list[list[Match]]:
        """Return for each vector up to ``limit`` points by falling cosine, or spread."""
        if not self._dimensions or not len(query.vectors):
            return [[] for _ in query.vectors]
        using, count = query.using, query.ranked
        queries = np.array([self._unit(vector, using) for vector in query.vectors])
        ignored = self._labels(ids=query.without)
        if query.codes is None:
            found = self._nearest(using, queries, count, query.where, ignored, query.exact)
        else:
            codes = np.array([self._unit(code, "compact") for code in query.codes])
            most = query.candidates
            near = self._nearest("compact", codes, most, query.where, ignored, query.exact)
            found = [
                self._compare(using, each[None], count, labels)[0]
                for each, (labels, _) in zip(queries, near, strict=True)
            ]
        if query.spread > 0:
            for row, (labels, scores) in enumerate(found):
                rising, stored = self._vectors(using, labels)
                stored = stored[np.searchsorted(rising, labels)]
                chosen = spread_out(scores, stored, query.limit, query.spread)
                found[row] = labels[chosen], scores[chosen]
        wanted = json.dumps(list({label for labels, _ in found for label in labels.tolist()}))
        rows = self._rows(self._select(f"label IN {LISTED}"), wanted)
        records = {row[0]: self._record(row) for row in rows}
        return [
            [Match(records[n], s) for n, s in zip(labels.tolist(), scores.tolist(), strict=True)]
            for labels, scores in found
        ]

    def optimize(self) -> None:
        """Write the index; built anew where the collection has changed enough since it was."""
        if not self._catch_up():
            return
        size = int(self._alive.sum())
        large = 2 * self._dimensions[self._first] * size > self._exact_bytes
        factory = self._factory or (_GRAPH if large else _FLAT)
        made = self._note("index")
        grown = made is None or factory != made["factory"] or size > _GROWTH * made["points"]
        if size and (grown or self._alive.mean() < 1 - _GONE):
            self._build(factory)
        elif made and not self._mapped:
            self._write(self._index, made)

    def approximate(self) -> bool:
        """Tell whether searches go through an index that may miss a neighbour."""
        return self._catch_up() and self._core is not self._flat

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
        if not self._catch_up() or not self._alive.any():
            raise StoreError(f"the store {self._folder} has no vectors to make a FAISS index of")
        if not self._alive.all():
            self._build((self._note("index") or {"factory": _FLAT})["factory"])
            self._catch_up()
        ids = dict(self._rows("SELECT label, id FROM points"))
        return self._index, {label: ids[label] for label in self._labelled.tolist()}

    def _nearest(
        self, name: VectorName, queries: Floats, k: int, where: Filter, ignored: Labels, exact: bool
    ) -> list[_Found]:
        """Return the ``k`` nearest to each query, (n, d), by inner product."""
        if name != self._first:
            some = np.setdiff1d(self._labels(where), ignored) if where or len(ignored) else None
            return self._compare(name, queries, k, some)
        faiss = _library()
        self._catch_up()
        kept = self._kept(where)
        if len(ignored):
            kept = kept & ~self._of(ignored)
        size, count = len(kept), int(np.count_nonzero(kept))
        k = min(k, count)
        found = [_NOTHING for _ in queries]
        if k and count > _RARE * size:
            most = k if count == size else min(size, math.ceil(_SIFTED * k * size / count))
            index = self._core if not exact else self._flat
            if len(queries) >= _GPU_QUERIES and most <= _GPU_MOST:
                self._copies = self._copies or [self._copied(self._flat)]
                index = self._copies[0] or index
            if index is not self._flat:
                scores, at = index.search(queries, most)
                found = self._label(scores, np.where(kept[at], at, -1), k)
        short = [row for row, (labels, _) in enumerate(found) if len(labels) < k]
        if short:
            selected = faiss.IDSelectorBitmap(np.packbits(kept, bitorder="little"))
            params = faiss.SearchParameters(sel=selected) if count < size else None
            scores, at = self._flat.search(queries[short], k, params=params)
            again = self._label(scores, at, k)
            for row, each in zip(short, again, strict=True):
                found[row] = each
        return found

    def _label(self, scores: Floats, at: Labels, k: int) -> list[_Found]:
        """Return the first ``k`` that were found at positions, (n, most), of which -1 is none."""
        rows = [np.flatnonzero(row >= 0)[:k] for row in at]
        return [(self._labelled[a[r]], s[r]) for a, s, r in zip(at, scores, rows, strict=True)]

    def _compare(
        self, name: VectorName, queries: Floats, k: int, labels: Labels | None
    ) -> list[_Found]:
        """Return the ``k`` nearest to each query of all points or some, read from SQLite."""
        faiss = _library()
        heap = faiss.ResultHeap(len(queries), k, keep_max=True)
        for some, vectors in self._blocks(name, labels=labels):
            most = min(k, len(some))
            scores, at = faiss.knn(queries, vectors, most, metric=faiss.METRIC_INNER_PRODUCT)
            heap.add_result(scores, some[at])
        heap.finalize()
        return [(i[i >= 0], d[i >= 0]) for i, d in zip(heap.I, heap.D, strict=True)]

    def _kept(self, where: Filter) -> NDArray[np.bool_]:
        """Tell which positions of the index are of points that match."""
        key = repr(where)
        if key not in self._masks:
            if (len(self._masks) + 1) * len(self._labelled) > _MASK_BYTES:
                self._masks.clear()
            kept = self._alive
            for condition in where:
                having = self._labels([replace(condition, negated=False)])
                kept = kept & (self._of(having) != condition.negated)
            self._masks[key] = kept
        return self._masks[key]

    def _of(self, labels: Labels) -> NDArray[np.bool_]:
        """Tell which positions of the index are of these labels."""
        mask = np.zeros(len(self._labelled), dtype=bool)
        at = np.searchsorted(self._labelled, labels)
        labels, at = labels[at < len(mask)], at[at < len(mask)]
        mask[at[self._labelled[at] == labels]] = True
        return mask

    def _catch_up(self) -> bool:
        """Bring the index in memory up to what SQLite knows; False where there are no vectors."""
        if not self._dimensions or self._known == self._version:
            return bool(self._dimensions)
        faiss = _library()
        if self._index is None:
            self._open()
        labels = faiss.vector_to_array(self._index.id_map)
        try:
            for more, vectors in self._blocks(self._first, after=int(labels.max(initial=0))):
                if self._mapped:
                    self._index, self._mapped = faiss.read_index(str(self._index_file)), False
                self._index.add_with_ids(vectors, more)
        except RuntimeError as error:
            raise StoreError(f"{self._index_file} cannot be added to: {_reason(error)}") from error
        self._core = faiss.downcast_index(self._index.index)
        self._flat = _tuned(self._core)
        self._labelled = faiss.vector_to_array(self._index.id_map)
        self._alive = ~self._of(self._numbers("SELECT label FROM gone"))
        self._masks: dict[str, NDArray[np.bool_]] = {}
        self._copies = []
        self._known = self._version
        return True

    def _open(self) -> None:
        """Map the index that was written, built anew where it is damaged; or begin one."""
        made = self._note("index")
        if made and "plan" in made:  # by version 0.1
            with suppress(OSError):
                os.replace(self._folder / f"vectors-{made['number']}.faiss", self._index_file)
            plan, stamp = made["plan"], made["fingerprint"]
            made = {"factory": plan["asked"], "points": plan["points"], "fingerprint": stamp}
            with self._transaction():
                self._note_down(self._base, "index", made)
        index = self._read() if made else None
        if made and index is None:
            self._build(made["factory"])
            index = self._read()
        self._mapped = index is not None
        self._index = index or _make(_FLAT, self._dimensions[self._first])

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
                    some = np.random.default_rng(0).permutation(self._labels())[:most]
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
        faiss = _library()
        try:
            with replacing(self._index_file) as fresh:
                faiss.write_index(index, str(fresh))
                made = {**made, "fingerprint": fingerprint(fresh)}
        except (OSError, RuntimeError) as error:
            raise StoreError(
                f"the index {self._index_file} cannot be written ({_reason(error)}): is the disk "
                "full? Nothing is lost; free some space and run it again"
            ) from error
        with self._transaction():
            self._note_down(self._base, "index", made)
            if anew:  # it knows none of these
                self._base.execute("DELETE FROM gone")
        self._index = self._core = self._flat = None

    def _read(self) -> Any | None:
        """Return the index in the file; None where it is missing or not the one that was noted."""
        faiss = _library()
        with suppress(OSError, RuntimeError):
            # FAISS trusts what it reads, links of a graph above all.
            if fingerprint(self._index_file) == self._note("index")["fingerprint"]:
                index = faiss.read_index(str(self._index_file), faiss.IO_FLAG_MMAP_IFC)
                return index if _tuned(faiss.downcast_index(index.index)) else None
        return None


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
