"""A store of FAISS and SQLite in a folder of the index: for those who want a FAISS index.

SQLite is the truth: ids, payloads, float16 vectors. ``vectors.faiss``, of those searched first, is
made from it and mapped: what was written since is added when it is read, what was deleted is passed
over, a damaged one is made anew. It knows each version of a point by a label, never given twice.
Filters are SQLite's JSON functions, with an index for each field. Knows nothing of paintings.
"""

import json
import logging
import math
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext, suppress
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Final

import lazy_loader
import numpy as np
from numpy.typing import NDArray

from paint_search.errors import StoreError, UsageError
from paint_search.files import fingerprint, replacing
from paint_search.painting import Record
from paint_search.search.filters import Filter
from paint_search.search.stores.base import (
    NOT_INDEXED,
    Match,
    Report,
    VectorName,
    VectorQuery,
    as_store_error,
    checked,
    never,
    reason_of,
    silent,
)
from paint_search.search.stores.sql import LISTED, meeting, to_json, value_of

#: Imported when a search needs it; its own stubs lack half of it.
faiss: Any = lazy_loader.load("faiss")

#: Up to this many bytes of float16 vectors exact search is quick enough; see benchmarks/README.md.
_EXACT_BYTES: Final = 64 * 1024 * 1024
#: The very numbers that are stored, flat and below a graph. Any other index has them beside it.
_FLAT, _GRAPH, _BESIDE = "SQfp16", "HNSW32,SQfp16", "Refine(SQfp16)"
#: How thoroughly an index is built and searched; what FAISS does unasked finds too little.
_EFFORT: Final = {"efConstruction": 80, "efSearch": 128, "nprobe": 64, "k_factor_rf": 16}
#: Where a filter keeps a smaller share, all that it keeps is compared; where a larger one, so many
#: times as many as will do on average are found and sifted.
_RARE, _SIFTED = 0.25, 2
#: An index is built anew once no more than this share of it is left, or it has grown so many times.
_KEPT, _GROWTH = 0.9, 2
_TRAINING: Final = 65_536  # vectors, at least; FAISS asks for 39 a list
_BLOCK_BYTES: Final = 4 * 1024 * 1024  # of vectors that are read at once
_GPU_QUERIES, _GPU_MOST = 64, 2048  # are worth a copy on the GPUs; hits that they find for each

#: What is ``gone`` an index may still know. Version 0.1 had each value of each payload in tables.
_TABLES: Final = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS points (
    label INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, payload TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS full (label INTEGER PRIMARY KEY, vector BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS compact (label INTEGER PRIMARY KEY, vector BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS gone (label INTEGER PRIMARY KEY);
CREATE TRIGGER IF NOT EXISTS going AFTER DELETE ON points BEGIN
    INSERT INTO gone VALUES (old.label);
    DELETE FROM full WHERE label = old.label; DELETE FROM compact WHERE label = old.label; END;
DROP TABLE IF EXISTS words; DROP TABLE IF EXISTS numbers; DROP TABLE IF EXISTS fields;
"""
#: A point as a ``Record``, with its vectors and without; names of columns say how they are read.
_SELECT: Final = {
    False: 'SELECT label, id, payload AS "payload [json]", NULL, NULL FROM points',
    True: """SELECT label, id, payload AS "payload [json]", full.vector AS "full [halves]",
        compact.vector AS "compact [halves]"
        FROM points LEFT JOIN full USING (label) LEFT JOIN compact USING (label)""",
}
sqlite3.register_converter("json", lambda text: checked(json.loads(text)))
sqlite3.register_converter("halves", lambda data: np.frombuffer(data, np.float16).astype("f4"))

_LOG: Final = logging.getLogger(__name__)

_Floats = NDArray[np.float32]
_Labels = NDArray[np.int64]


class _Loaded:
    """An index that holds what SQLite does, its labels, which rise, and which are not deleted.

    ``core`` is below the labels; ``flat``, the same or a part, compares all vectors as they are.
    """

    def __init__(self, index: Any, gone: _Labels) -> None:
        self.index = index
        self.core = core = faiss.downcast_index(index.index)
        flat = getattr(core, "refine_index", None) or getattr(core, "storage", core)
        self.flat = core if flat is core else faiss.downcast_index(flat)
        self.labels: _Labels = faiss.vector_to_array(index.id_map)
        self.alive = ~self.among(gone)

    def among(self, labels: _Labels) -> NDArray[np.bool_]:
        """Tell which of the index's labels are among these."""
        at = np.searchsorted(self.labels, labels)
        mask = np.zeros(len(self.labels) + 1, dtype=bool)
        mask[at[np.append(self.labels, -1)[at] == labels]] = True
        return mask[:-1]

    @cached_property
    def on_gpus(self) -> Any | None:
        """All vectors in float32 on all GPUs; None where there is none large enough."""
        if not faiss.get_num_gpus():
            return None
        try:
            copy = faiss.index_cpu_to_all_gpus(faiss.IndexFlatIP(self.flat.d))
            for start in range(0, self.flat.ntotal, _TRAINING):
                most = min(_TRAINING, self.flat.ntotal - start)
                copy.add(self.flat.reconstruct_n(start, most))
            return copy
        except RuntimeError as error:
            _LOG.warning("this machine has a GPU, and the CPU searches: %s", reason_of(error))
        return None


class FaissStore:
    """A FAISS index and its points in ``folder``; made there where none exists.

    Whoever opens one holds the lock of the index: a store has one process at a time. Any number of
    its threads may search together; one at a time may write, and waits for those who search.

    Args:
        folder: the store's own.
        dimensions: of each kind of vectors that it keeps. Compact ones are searched first where
            there are any, and full ones are then compared one by one.
        factory: for ``faiss.index_factory``; None to choose by size.
        exact_bytes: above so many bytes of vectors a graph is chosen.

    Raises:
        StoreError: it is damaged, or its folder cannot be written.
        UsageError: FAISS knows no such index as is wanted.
    """

    shared = None

    def __init__(
        self,
        folder: Path,
        dimensions: Mapping[VectorName, int],
        factory: str | None = None,
        *,
        exact_bytes: int = _EXACT_BYTES,
    ) -> None:
        self._file, self._index_file = folder / "points.sqlite", folder / "vectors.faiss"
        try:
            str(folder).encode()
        except UnicodeEncodeError as error:
            raise StoreError(f"FAISS takes no folder such as {folder}; rename it") from error
        self._dimensions, self._factory, self._exact_bytes = dimensions, factory, exact_bytes
        self._first: VectorName = "compact" if "compact" in dimensions else "full"
        self._loaded: _Loaded | None = None  # until something is written
        self._free = threading.Condition()  # held by who writes, and by who reads what may change
        self._searching = self._waiting = 0  # how many search, and how many wait for them to write
        self._gpus = threading.Lock()
        if factory is not None and dimensions:
            self._make(factory)
        how = {"detect_types": sqlite3.PARSE_COLNAMES, "check_same_thread": False}
        self._connect = partial[sqlite3.Connection](sqlite3.connect, self._file, **how)
        with self._guard():
            folder.mkdir(exist_ok=True)
            if not self._file.exists():
                with replacing(self._file) as fresh:  # one without tables has been damaged
                    fresh.unlink(missing_ok=True)
                    with closing(sqlite3.connect(fresh)) as base:
                        base.executescript(_TABLES)
            self._base = self._connect()
            # Committed is durable; what is replaced is deleted, so that the trigger hears of it.
            for setting in ("journal_mode = WAL", "synchronous = FULL", "recursive_triggers = ON"):
                self._base.execute(f"PRAGMA {setting}")
            if self._rows("SELECT 1 FROM sqlite_master WHERE type = 'view'"):
                raise ValueError("it has views, which need not end")
        kept, ours = self._note("dimensions"), dict(dimensions)
        if kept not in (None, ours):
            raise StoreError(f"{folder} has vectors of {kept}, not {ours}: it is another index's")
        made, known = self._note("faiss"), self._note("fields")
        kinds: Any = {"factory": str | None, "points": int, "last": int, "fingerprint": str}
        with self._guard():
            if made is not None and not all(isinstance(made[n], k) for n, k in kinds.items()):
                raise ValueError("the notes on its index are of another form")
            if not all(isinstance(name, str) for name in known or ()):
                raise ValueError("the notes on its fields are of another form")
        if known is None:  # new, or of version 0.1
            for old in folder.glob("vectors-*.faiss"):
                old.unlink()
            with self._guard():
                self._base.executescript(_TABLES)
            with self._transaction():
                self._note_down("dimensions", ours)
                rows = self._base.execute('SELECT payload AS "payload [json]" FROM points')
                self._index_fields(payload for (payload,) in rows)

    def upsert(self, records: Sequence[Record]) -> None:
        """Write points with the vectors they have; a point of the same id is replaced."""
        insert = "INSERT OR REPLACE INTO points (id, payload) VALUES (?, ?)"
        with self._change():
            self._index_fields(record.payload for record in records)
            for record in records:
                label = self._base.execute(insert, [record.id, to_json(record.payload)]).lastrowid
                for kind in self._dimensions.keys() & record.vectors.keys():
                    half = self._units(record.vectors[kind][None], kind).astype(np.float16)
                    self._base.execute(f"INSERT INTO {kind} VALUES (?, ?)", [label, half.tobytes()])

    def set_payloads(self, records: Sequence[Record]) -> None:
        """Replace the payloads of existing points and leave their vectors alone."""
        changes = [(to_json(record.payload), record.id) for record in records]
        with self._change():
            self._index_fields(record.payload for record in records)
            self._base.executemany("UPDATE points SET payload = ? WHERE id = ?", changes)

    def delete(self, ids: Sequence[str]) -> None:
        """Delete points; unknown ids are passed over."""
        with self._change():
            self._base.executemany("DELETE FROM points WHERE id = ?", [(key,) for key in ids])

    def get(self, ids: Sequence[str], *, vectors: bool = False) -> dict[str, Record]:
        """Return the points that exist among ``ids``, by id."""
        rows = self._rows(f"{_SELECT[vectors]} WHERE id IN {LISTED}", json.dumps(list(ids)))
        with self._guard():
            return {row[1]: self._record(row) for row in rows}

    def scroll(
        self, where: Filter = (), *, vectors: bool = False, limit: int | None = None
    ) -> Iterator[Record]:
        """Yield all points that match, in the order of their ids, one at a time in memory."""
        condition, *values = meeting(where)
        # A connection of its own reads one moment of the file, whatever is written meanwhile.
        with self._guard(), closing(self._connect()) as base:
            chosen = f"{_SELECT[vectors]} WHERE {condition} ORDER BY id LIMIT ?"
            rows = base.execute(chosen, [*values, -1 if limit is None else limit])
            yield from map(self._record, rows)

    def search(self, query: VectorQuery) -> list[list[Match]]:
        """Return for each vector up to ``limit`` points by falling cosine, or spread."""
        if not self._dimensions or not len(query.vectors):
            return [[] for _ in query.vectors]
        vectors = self._units(query.vectors, query.using)
        with self._moment() as loaded:
            found = zip(vectors, *self._nearest(query, loaded), strict=True)
            return [self._matches(query, *row) for row in found]

    def count(self, where: Filter = ()) -> int:
        """Count the points that match."""
        condition, *values = meeting(where)
        return int(self._rows(f"SELECT COUNT(*) FROM points WHERE {condition}", *values)[0][0])

    def has_field(self, name: str) -> bool:
        """Tell whether filters may name this field: some point has it. Quick at any size."""
        having = f"SELECT 1 FROM points WHERE {value_of(name)} IS NOT NULL LIMIT 1"
        return name[:1] != "_" and name in self._note("fields") and bool(self._rows(having))

    def fields(self) -> dict[str, int]:
        """Return the fields that filters may name, with the number of points having each."""
        names = sorted(filter(self.has_field, self._note("fields")))
        query = "SELECT COUNT(*) FROM points WHERE {} IS NOT NULL"
        return {name: self._rows(query.format(value_of(name)))[0][0] for name in names}

    def texts(self, field: str) -> list[str]:
        """Return the distinct texts that points have in a field, in no order."""
        value = value_of(field)
        rows = self._rows(f"SELECT DISTINCT {value} FROM points WHERE typeof({value}) = 'text'")
        return [text for (text,) in rows]

    def flush(self) -> None:
        """Make everything written so far durable, which it is already."""

    def optimize(self, report: Report = silent, cancelled: Callable[[], bool] = never) -> None:
        """Write the index; built anew where the collection has changed enough since it was."""
        if not self._dimensions:
            return
        with self._free:
            loaded, made = self._load(), self._note("faiss") or {"factory": None}
        if not (size := int(loaded.alive.sum())):
            return
        large = 2 * self._dimensions[self._first] * size > self._exact_bytes
        factory = self._factory or (_GRAPH if large else _FLAT)
        few = loaded.alive.mean() < _KEPT
        if few or factory != made["factory"] or size > _GROWTH * made["points"]:
            self._load(factory)
            self._loaded = None  # so that the file is mapped
        elif loaded.labels[-1] > made["last"]:
            self._write(loaded.index, made)

    def approximate(self) -> bool:
        """Tell whether searches go through an index that may miss a neighbour."""
        if not self._dimensions:
            return False
        with self._moment() as loaded:
            return loaded.core is not loaded.flat

    def describe(self) -> str:
        """Say in a few words how searches go."""
        return f"FAISS, {self._note('faiss')['factory'] if self.approximate() else 'flat: exact'}"

    def raw(self) -> tuple[Any, dict[int, str]]:
        """Return the FAISS index, brought up to date, and the id of the point of each label.

        Raises:
            StoreError: there are no vectors.
        """
        with self._free:
            if not self._dimensions or not self._load().alive.any():
                raise StoreError(f"{self._file} has no vectors to make a FAISS index of")
            if not self._load().alive.all():
                self._load(self._note("faiss")["factory"])
            ids = self._rows(f"SELECT label, id FROM points JOIN {self._first} USING (label)")
            return self._load().index, dict(ids)

    def close(self) -> None:
        """Let go of the file; the store cannot be used afterwards."""
        self._base.close()

    def _matches(
        self, query: VectorQuery, vector: _Floats, scores: _Floats, labels: _Labels
    ) -> list[Match]:
        """Return the points of one answer, compared by their own vectors where that is asked."""
        if query.codes is not None or query.spread > 0:
            labels, stored = self._vectors(query.using, labels)
            scores = stored @ vector
            order = np.argsort(-scores, kind="stable")[: query.ranked]
            order = order[scores[order] > query.threshold]
            if query.spread > 0:
                order = order[query.diverse(stored[order], scores[order])]
            scores, labels = scores[order], labels[order]
        labels = np.where(scores > query.threshold, labels, -1)
        rows = self._rows(f"{_SELECT[False]} WHERE label IN {LISTED}", json.dumps(labels.tolist()))
        points = {row[0]: Record(*row[1:]) for row in rows}
        both = zip(labels.tolist(), scores.tolist(), strict=True)
        return [Match(points[label], score) for label, score in both if label in points]

    @contextmanager
    def _moment(self) -> Iterator[_Loaded]:
        """Give the index with all points in it, and let nobody write meanwhile."""
        with self._free:
            self._free.wait_for(lambda: not self._waiting)
            loaded = self._load()
            self._searching += 1
        try:
            yield loaded
        finally:
            with self._free:
                self._searching -= 1
                self._free.notify_all()

    @contextmanager
    def _change(self) -> Iterator[None]:
        """Write all or nothing, once nobody searches."""
        with self._free:
            self._waiting += 1
            try:
                self._free.wait_for(lambda: not self._searching)
                with self._transaction():
                    yield
            finally:
                self._waiting -= 1
                self._free.notify_all()

    def _nearest(self, query: VectorQuery, loaded: _Loaded) -> tuple[_Floats, _Labels]:
        """Return the scores and labels, (n, k), of the nearest that may be found; -1 for none.

        The index is asked for more than are wanted, as what may not be found has to be sifted;
        where too few are left, or little is kept, all that is kept is compared.
        """
        kind, k, vectors = query.using, query.ranked, query.vectors
        if query.codes is not None:
            kind, k, vectors = "compact", query.candidates, query.codes
        vectors = self._units(vectors, kind)
        ignored = self._labels(f"id IN {LISTED}", json.dumps(list(query.without)))
        if kind != self._first:  # of those there is no index
            heap = faiss.ResultHeap(len(vectors), k, keep_max=True)
            kept = np.setdiff1d(self._labels(*meeting(query.where)), ignored)
            for labels, stored in self._blocks(kind, kept):
                scores, at = faiss.knn(vectors, stored, k, metric=faiss.METRIC_INNER_PRODUCT)
                heap.add_result(scores, np.append(labels, -1)[at])
            heap.finalize()
            return heap.D, heap.I
        may = loaded.alive & ~loaded.among(ignored)
        for condition in query.where:  # what a negated one leaves out is sooner read
            having = self._labels(*meeting([replace(condition, negated=False)]))
            may &= loaded.among(having) != condition.negated
        size, count = len(may), int(np.count_nonzero(may))
        k = min(k, count)
        most = min(size, math.ceil(_SIFTED * k * size / max(count, 1)))
        index = loaded.flat if query.exact else loaded.core
        turn: AbstractContextManager[Any] = nullcontext()
        if len(vectors) >= _GPU_QUERIES and most <= _GPU_MOST:
            with self._gpus:  # which take one search at a time
                copy = loaded.on_gpus
            index, turn = (copy, self._gpus) if copy else (index, turn)
        scores, at = np.zeros((len(vectors), k), np.float32), np.full((len(vectors), k), -1)
        if index is not loaded.flat and count > _RARE * size:
            with turn:
                scores, at = index.search(vectors, most)
            at[~may[at]] = -1
            first = np.argsort(at < 0, axis=1, kind="stable")[:, :k]
            scores, at = np.take_along_axis(scores, first, 1), np.take_along_axis(at, first, 1)
        if len(short := np.flatnonzero((at < 0).any(axis=1))):
            selector = faiss.IDSelectorBitmap(np.packbits(may, bitorder="little"))
            params = faiss.SearchParameters(sel=selector) if count < size else None
            scores[short], at[short] = loaded.flat.search(vectors[short], k, params=params)
        return scores, loaded.labels[at]

    def _load(self, factory: str | None = None) -> _Loaded:
        """Return the index with all points in it: in memory where its file has not all of them.

        Made anew by a factory, or where the file is damaged: FAISS trusts what it reads.
        """
        loaded = self._loaded
        if loaded is not None and not factory:
            return loaded
        index, made = None, self._note("faiss") or {"factory": None}
        with suppress(OSError, RuntimeError):
            if not factory and fingerprint(self._index_file) == made.get("fingerprint"):
                newer = len(self._labels("label > ? LIMIT 1", made["last"]))
                mapped = 0 if newer else faiss.IO_FLAG_MMAP_IFC
                index = faiss.read_index(str(self._index_file), mapped)
                if (type(index), index.d) != (faiss.IndexIDMap, self._dimensions[self._first]):
                    index = None  # of another store
        if anew := index is None:
            factory = factory or made["factory"]
            index = self._make(factory or _FLAT, self._labels("TRUE"))
        last = int(faiss.vector_to_array(index.id_map).max(initial=0))
        with self._guard():
            for labels, vectors in self._blocks(self._first, self._labels("label > ?", last)):
                index.add_with_ids(vectors, labels)
        if anew and factory:
            self._write(index, {"factory": factory, "points": index.ntotal})
        gone = np.array(self._rows("SELECT label FROM gone"), dtype=np.int64).ravel()
        self._loaded = loaded = _Loaded(index, gone)
        return loaded

    def _make(self, factory: str, labels: _Labels | None = None) -> Any:
        """Return an empty index by inner product, trained with vectors of ``labels``."""
        dimension = self._dimensions[self._first]
        whole = factory if factory in (_FLAT, _GRAPH) else f"{factory},{_BESIDE}"
        try:
            index = faiss.index_factory(dimension, f"IDMap,{whole}", faiss.METRIC_INNER_PRODUCT)
            for name, value in _EFFORT.items():
                with suppress(RuntimeError):  # an index of that kind has none
                    faiss.ParameterSpace().set_index_parameter(index, name, value)
            if labels is not None and not index.is_trained:
                most = _TRAINING
                if lists := faiss.try_extract_index_ivf(index):
                    most = max(most, 40 * lists.nlist)
                    if isinstance(lists := faiss.downcast_index(lists), faiss.IndexIVFPQ):
                        lists.do_polysemous_training = False  # minutes, for what nothing uses
                some = np.random.default_rng(0).permutation(labels)[:most]
                index.train(self._vectors(self._first, some)[1])
        except RuntimeError as error:
            raise UsageError(
                f"FAISS makes no index {factory!r} of these vectors of {dimension} numbers: "
                f"{reason_of(error)}; try HNSW32, IVF1024,SQfp16, OPQ16_64,IVF1024,PQ16 or none"
            ) from error
        return index

    def _write(self, index: Any, made: dict[str, Any]) -> None:
        """Put an index in its file, and note which it is."""
        with self._free:
            with self._guard(), replacing(self._index_file) as fresh:
                faiss.write_index(index, str(fresh))
                last = self._rows("SELECT max(label) FROM points")[0][0] or 0
                made = {**made, "last": last, "fingerprint": fingerprint(fresh)}
            with self._transaction():
                self._note_down("faiss", made)
                if index.ntotal == made["points"]:  # made anew, it knows nothing that is gone
                    self._base.execute("DELETE FROM gone")

    def _vectors(self, kind: VectorName, labels: _Labels) -> tuple[_Labels, _Floats]:
        """Return those of ``labels`` that have such a vector, rising, and these, (n, d)."""
        query = f'SELECT label, vector AS "vector [halves]" FROM {kind} WHERE label IN {LISTED}'
        rows = self._rows(f"{query} ORDER BY label", json.dumps(labels.tolist()))
        with self._guard():
            vectors = np.array([vector for _, vector in rows], dtype=np.float32)
            vectors = vectors.reshape(len(rows), self._dimensions[kind])
        return np.array([label for label, _ in rows], dtype=np.int64), vectors

    def _blocks(self, kind: VectorName, labels: _Labels) -> Iterator[tuple[_Labels, _Floats]]:
        """Yield the same, a few megabytes at a time."""
        size = max(1, _BLOCK_BYTES // (2 * self._dimensions[kind]))
        for start in range(0, len(labels), size):
            yield self._vectors(kind, labels[start : start + size])

    def _labels(self, condition: str, *values: Any) -> _Labels:
        rows = self._rows(f"SELECT label FROM points WHERE {condition}", *values)
        return np.array(rows, dtype=np.int64).ravel()

    def _index_fields(self, payloads: Iterable[Mapping[str, Any]]) -> None:
        """Index each field the first time it is seen, inside a transaction."""
        known = self._note("fields") or []
        fresh = sorted(set[str]().union(*payloads) - NOT_INDEXED - set(known))
        for number, name in enumerate(fresh, start=len(known)):
            self._base.execute(f"CREATE INDEX value_{number} ON points ({value_of(name)})")
        self._note_down("fields", known + fresh)

    def _note(self, name: str) -> Any:
        """Return what was noted under a name, None where nothing was."""
        rows = self._rows("SELECT value FROM meta WHERE name = ?", name)
        with self._guard():
            return json.loads(rows[0][0]) if rows else None

    def _note_down(self, name: str, value: Any) -> None:
        self._base.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", [name, json.dumps(value)])

    def _units(self, vectors: _Floats, kind: VectorName) -> _Floats:
        """Return finite vectors, (n, d), of the right length with unit norms; zeros stay zeros."""
        if vectors.shape[1:] != (self._dimensions.get(kind),) or not np.isfinite(vectors).all():
            raise StoreError(
                f"{self._file.parent} keeps finite vectors of the lengths {dict(self._dimensions)}"
                f"; a {kind} one of shape {vectors.shape[1:]} is not one"
            )
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        return np.asarray(vectors / np.where(norms > 0, norms, 1), dtype=np.float32)

    def _record(self, row: Sequence[Any]) -> Record:
        """Return a point; ValueError if it is none of ours."""
        record, lengths = Record(*row[1:]), {str(k): n for k, n in self._dimensions.items()}
        for kind, vector in record.vectors.items():
            if vector.size != lengths.get(kind) or not np.isfinite(vector).all():
                raise ValueError(f"a {kind} vector of {vector.size} numbers, or not finite")
        if not isinstance(record.id, str):
            raise ValueError("an id that is no text")
        return record

    def _rows(self, query: str, *values: Any) -> list[Any]:
        with self._free, self._guard():
            return self._base.execute(query, values).fetchall()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """Do all or nothing."""
        with self._free, self._guard(), self._base:
            self._loaded = None
            self._base.execute("BEGIN IMMEDIATE")
            yield

    @contextmanager
    def _guard(self) -> Iterator[None]:
        """Turn errors of SQLite, FAISS and the disk, and what cannot be read, into ours."""
        try:
            yield
        except (sqlite3.Error, OSError, RuntimeError, ValueError, TypeError, LookupError) as error:
            raise as_store_error(self._file, error) from error
