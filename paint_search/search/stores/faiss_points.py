"""Ids, payloads and float16 vectors in one SQLite file: the truth of a FAISS store.

Each version of a point has a label, a number that is never given twice; a FAISS index that knows a
label therefore knows its vector, for ever. Never computes a similarity.
"""

import json
import os
import sqlite3
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from paint_search.errors import StoreError
from paint_search.painting import Record, Value
from paint_search.search.filters import Condition, Filter
from paint_search.search.stores.base import VectorName
from paint_search.search.stores.faiss_fields import LISTED, holding, meeting, words_of

_PAGE: Final = 512
_BLOCK_BYTES: Final = 4 * 1024 * 1024

#: ``words`` answers equality, ``numbers`` ranges; ``gone`` are labels that an index may still know.
_TABLES: Final = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE points (
    label INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, payload TEXT NOT NULL);
CREATE TABLE full (label INTEGER PRIMARY KEY, vector BLOB NOT NULL);
CREATE TABLE compact (label INTEGER PRIMARY KEY, vector BLOB NOT NULL);
CREATE TABLE fields (number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, points INTEGER);
CREATE TABLE words (
    field INTEGER, key TEXT, label INTEGER, PRIMARY KEY (field, key, label)) WITHOUT ROWID;
CREATE TABLE numbers (
    field INTEGER, number REAL, label INTEGER, PRIMARY KEY (field, number, label)) WITHOUT ROWID;
CREATE TABLE gone (label INTEGER PRIMARY KEY);
"""


class Points:
    """The points of the store in ``folder``; made there where there are none.

    Every method raises StoreError when the file is damaged, cannot be written or the disk is full.

    Args:
        folder: the store's own.
        dimensions: of each kind of vectors.

    Attributes:
        version: another number after every change of which points or labels there are.
    """

    def __init__(self, folder: Path, dimensions: Mapping[VectorName, int]) -> None:
        self._file = folder / "points.sqlite"
        self._dimensions = dimensions
        self.version = 0
        with self._guard():
            self._base = self._connect()
        try:
            self._prepare()
        except BaseException:
            self._base.close()
            raise

    def _connect(self) -> sqlite3.Connection:
        # One user at a time, though perhaps in another thread than the one that opened it.
        base = sqlite3.connect(self._file, isolation_level=None, check_same_thread=False)
        try:
            base.execute("PRAGMA journal_mode = WAL")
            base.execute("PRAGMA synchronous = NORMAL")  # flush() is what makes things durable
            base.execute("PRAGMA cache_size = -65536")
        except sqlite3.Error:
            base.close()
            raise
        return base

    def _prepare(self) -> None:
        with self._guard():
            known = self._base.execute("SELECT 1 FROM sqlite_master WHERE name = 'meta'").fetchone()
        if not known:
            with self._transaction():
                for statement in _TABLES.split(";"):
                    self._base.execute(statement)
                self._base.execute(
                    "INSERT INTO meta VALUES ('dimensions', ?)",
                    [json.dumps(dict(self._dimensions))],
                )
        kept = self.note("dimensions") or {}
        if kept != dict(self._dimensions):
            raise StoreError(
                f"the store {self._file.parent} keeps vectors of {_said(kept)}, not of "
                f"{_said(self._dimensions)}; it belongs to another index"
            )

    def upsert(self, records: Mapping[str, Record]) -> None:
        """Write points, by id, in one transaction; vectors as they are, in float16."""
        with self._transaction():
            self._remove(records)
            (last,) = self._base.execute("SELECT COALESCE(MAX(seq), 0) FROM sqlite_sequence")
            labelled = dict(enumerate(records.values(), start=last[0] + 1))
            self._base.executemany(
                "INSERT INTO points VALUES (?, ?, ?)",
                [(label, r.id, json.dumps(dict(r.payload))) for label, r in labelled.items()],
            )
            for name in self._dimensions:
                stored = ((label, _vector(record, name)) for label, record in labelled.items())
                self._base.executemany(
                    f"INSERT INTO {name} VALUES (?, ?)",  # noqa: S608 one of two names
                    [
                        (label, v.astype(np.float16).tobytes())
                        for label, v in stored
                        if v is not None
                    ],
                )
            self._name({label: record.payload for label, record in labelled.items()}, {})

    def set_payloads(self, records: Sequence[Record]) -> None:
        """Replace the payloads of existing points."""
        with self._transaction():
            fresh = {record.id: dict(record.payload) for record in records}
            before, after = {}, {}
            for label, key, payload in self._points_of(fresh):
                before[label], after[label] = json.loads(payload), fresh[key]
            self._name(after, before)
            self._base.executemany(
                "UPDATE points SET payload = ? WHERE label = ?",
                [(json.dumps(payload), label) for label, payload in after.items()],
            )

    def delete(self, ids: Sequence[str]) -> None:
        """Delete points; unknown ids are passed over."""
        with self._transaction():
            self._remove(ids)

    def get(self, ids: Sequence[str], *, vectors: bool) -> dict[str, Record]:
        """Return the points that exist among ``ids``, by id."""
        condition = f"WHERE id IN {LISTED}"
        with self._guard():
            rows = self._base.execute(self._select(condition, vectors), [json.dumps(list(ids))])
            return {record.id: record for record in map(self._record, rows)}

    def scroll(self, where: Filter, *, vectors: bool) -> Iterator[Record]:
        """Yield the points that match as they are now, in the order of their ids."""
        condition, values = meeting(where)
        # A connection of its own reads one moment of the file, whatever is written meanwhile.
        with self._guard():
            base = self._connect()
        with closing(base):
            with self._guard():
                rows = base.execute(self._select(f"WHERE {condition} ORDER BY id", vectors), values)
            while True:
                with self._guard():
                    page = rows.fetchmany(_PAGE)
                if not page:
                    return
                yield from map(self._record, page)

    def count(self, where: Filter = ()) -> int:
        """Count the points that match."""
        condition, values = meeting(where)
        query = f"SELECT COUNT(*) FROM points p WHERE {condition}"  # noqa: S608 parameterised
        return int(self._one(query, values))

    def fields(self) -> dict[str, int]:
        """Return the fields that are no bookkeeping, with the number of points having each."""
        with self._guard():
            rows = self._base.execute("SELECT name, points FROM fields WHERE points > 0").fetchall()
        counts = sorted((str(json.loads(name)), int(points)) for name, points in rows)
        return {name: points for name, points in counts if not name.startswith("_")}

    def at(self, labels: Iterable[int]) -> dict[int, Record]:
        """Return the points of these labels, without vectors."""
        with self._guard():
            rows = self._base.execute(
                self._select(f"WHERE p.label IN {LISTED}", vectors=False),
                [json.dumps(list(labels))],
            )
            return {row[0]: self._record(row) for row in rows}

    def labels(self, name: VectorName, ids: Collection[str] | None = None) -> dict[int, str]:
        """Return label -> id of the points that have such a vector, of all or of these."""
        query = f"SELECT label, id FROM points JOIN {name} USING (label)"  # noqa: S608
        with self._guard():
            if ids is None:
                return dict(self._base.execute(query))
            return dict(
                self._base.execute(f"{query} WHERE id IN {LISTED}", [json.dumps(list(ids))])
            )

    def labels_holding(self, condition: Condition) -> NDArray[np.int64]:
        """Return the labels whose field has such a value, in order, whether negated or not."""
        query, values = holding(condition)
        with self._guard():
            rows = self._base.execute(query, values)
            return np.unique(np.fromiter((row[0] for row in rows), dtype=np.int64))

    def blocks(
        self, name: VectorName, after: int = 0
    ) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        """Yield labels above ``after``, rising, and their vectors, (n, d), a few megabytes each."""
        length = self._dimensions[name]
        rows = max(1, _BLOCK_BYTES // (2 * length))
        query = f"SELECT label, vector FROM {name} WHERE label > ? ORDER BY label LIMIT {rows}"  # noqa: S608
        while True:
            with self._guard():
                block = self._base.execute(query, [after]).fetchall()
            if not block:
                return
            labels, vectors = zip(*block, strict=True)
            after = labels[-1]
            yield np.array(labels, dtype=np.int64), self._decode(b"".join(vectors), length)

    def vectors(
        self, name: VectorName, labels: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Return those of these labels that have such a vector, rising, and their vectors."""
        query = f"SELECT label, vector FROM {name} WHERE label IN {LISTED} ORDER BY label"  # noqa: S608
        with self._guard():
            rows = self._base.execute(query, [json.dumps(labels.tolist())]).fetchall()
        found = np.array([row[0] for row in rows], dtype=np.int64)
        return found, self._decode(b"".join(row[1] for row in rows), self._dimensions[name])

    def sample(self, name: VectorName, count: int) -> NDArray[np.int64]:
        """Return the labels of the first points by id, which is a hash: at random."""
        query = f"SELECT label FROM points JOIN {name} USING (label) ORDER BY id LIMIT ?"  # noqa: S608
        with self._guard():
            return np.array([row[0] for row in self._base.execute(query, [count])], dtype=np.int64)

    def size(self, name: VectorName) -> int:
        """Count the vectors of a kind, which takes a while."""
        return int(self._one(f"SELECT COUNT(*) FROM {name}"))  # noqa: S608 one of two names

    def newest(self, name: VectorName) -> int:
        """Return the highest label of a kind of vectors, 0 where there is none."""
        return int(self._one(f"SELECT COALESCE(MAX(label), 0) FROM {name}"))  # noqa: S608

    def gone(self) -> NDArray[np.int64]:
        """Return the labels, rising, that are no more, though an index may know them."""
        with self._guard():
            rows = self._base.execute("SELECT label FROM gone ORDER BY label")
            return np.fromiter((row[0] for row in rows), dtype=np.int64)

    def note(self, name: str) -> Any:
        """Return what was written down under a name, None where nothing was."""
        with self._guard():
            row = self._base.execute("SELECT value FROM meta WHERE name = ?", [name]).fetchone()
            return None if row is None else json.loads(row[0])

    def write_note(self, name: str, value: Any, known: NDArray[np.int64]) -> None:
        """Write something down, with the labels, rising, that the index it tells of knows."""
        gone = self.gone()
        forgotten = gone[~np.isin(gone, known, assume_unique=True)]
        with self._transaction():
            self._base.execute(
                "INSERT OR REPLACE INTO meta VALUES (?, ?)", [name, json.dumps(value)]
            )
            self._base.executemany(
                "DELETE FROM gone WHERE label = ?", [(int(label),) for label in forgotten]
            )

    def flush(self) -> None:
        """Make everything durable; it survives the death of the process without."""
        with self._guard():
            self._base.execute("PRAGMA wal_checkpoint(PASSIVE)")
            log = self._file.with_name(self._file.name + "-wal")
            if log.exists():  # a reader may have kept the checkpoint from syncing it
                with log.open("rb") as stream:
                    os.fsync(stream.fileno())

    def close(self) -> None:
        """Make everything durable and let go of the file."""
        with self._guard():
            self._base.close()

    def _remove(self, ids: Iterable[str]) -> None:
        """Delete points and all that hangs on them, inside a transaction."""
        labelled = {label: json.loads(text) for label, _, text in self._points_of(ids)}
        if not labelled:
            return
        self._name({}, labelled)
        labels = [(label,) for label in labelled]
        for table in ("points", *self._dimensions):
            self._base.executemany(f"DELETE FROM {table} WHERE label = ?", labels)  # noqa: S608
        self._base.executemany("INSERT INTO gone VALUES (?)", labels)

    def _points_of(self, ids: Iterable[str]) -> list[tuple[int, str, str]]:
        query = f"SELECT label, id, payload FROM points WHERE id IN {LISTED}"  # noqa: S608
        return self._base.execute(query, [json.dumps(list(ids))]).fetchall()

    def _name(
        self, after: Mapping[int, Mapping[str, Value]], before: Mapping[int, Mapping[str, Value]]
    ) -> None:
        """Bring the tables of fields from the payloads before to those after, by label."""
        numbers: dict[str, int] = dict(self._base.execute("SELECT name, number FROM fields"))
        had = {(field, label): v for label, p in before.items() for field, v in words_of(p)}
        has = {(field, label): v for label, p in after.items() for field, v in words_of(p)}
        for field in sorted({field for field, _ in has} - numbers.keys()):
            self._base.execute("INSERT INTO fields (name, points) VALUES (?, 0)", [field])
            (numbers[field],) = self._base.execute("SELECT last_insert_rowid()").fetchone()
        lost = [(numbers[f], label, v) for (f, label), v in had.items() if has.get((f, label)) != v]
        new = [(numbers[f], label, v) for (f, label), v in has.items() if had.get((f, label)) != v]
        for table, part in (("words", 0), ("numbers", 1)):
            column = "key" if part == 0 else "number"
            self._base.executemany(
                f"DELETE FROM {table} WHERE field = ? AND {column} = ? AND label = ?",  # noqa: S608
                [(number, v[part], label) for number, label, v in lost if v[part] is not None],
            )
            self._base.executemany(
                f"INSERT INTO {table} VALUES (?, ?, ?)",  # noqa: S608
                [(number, v[part], label) for number, label, v in new if v[part] is not None],
            )
        changes = Counter(number for number, _, _ in new)
        changes.subtract(Counter(number for number, _, _ in lost))
        self._base.executemany(
            "UPDATE fields SET points = points + ? WHERE number = ?",
            [(change, number) for number, change in changes.items() if change],
        )

    def _select(self, condition: str, vectors: bool) -> str:
        """Return a query of label, id, payload and, if asked, full and compact vectors."""
        names = self._dimensions if vectors else ()
        columns = "".join(
            f", {name}.vector" if name in names else ", NULL" for name in ("full", "compact")
        )
        joins = " ".join(f"LEFT JOIN {name} ON {name}.label = p.label" for name in names)
        return f"SELECT p.label, id, payload{columns} FROM points p {joins} {condition}"  # noqa: S608

    def _record(self, row: Sequence[Any]) -> Record:
        _, key, payload, full, compact = row
        return Record(
            id=key,
            payload=json.loads(payload),
            vector=None if full is None else self._decode(full, self._dimensions["full"])[0],
            compact=None
            if compact is None
            else self._decode(compact, self._dimensions["compact"])[0],
        )

    def _decode(self, data: bytes, length: int) -> NDArray[np.float32]:
        if len(data) % (2 * length):
            raise StoreError(_damaged(self._file, "a vector is cut short"))
        return np.frombuffer(data, dtype=np.float16).reshape(-1, length).astype(np.float32)

    def _one(self, query: str, values: Sequence[Any] = ()) -> Any:
        with self._guard():
            return self._base.execute(query, values).fetchone()[0]

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """Do all or nothing."""
        with self._guard():
            self._base.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._base.execute("COMMIT")
            except BaseException:
                if self._base.in_transaction:  # a full disk has ended it already
                    self._base.execute("ROLLBACK")
                raise
            finally:
                self.version += 1

    @contextmanager
    def _guard(self) -> Iterator[None]:
        """Turn SQLite's errors into ours."""
        try:
            yield
        except (sqlite3.Error, OSError, json.JSONDecodeError) as error:
            if getattr(error, "sqlite_errorname", "").startswith("SQLITE_FULL"):
                said = f"the disk of {self._file.parent} is full; free some space and run it again"
            elif isinstance(error, sqlite3.OperationalError | sqlite3.ProgrammingError | OSError):
                said = f"the store {self._file.parent} failed: {error}"
            else:
                said = _damaged(self._file, str(error))
            raise StoreError(said) from error


def _damaged(file: Path, how: str) -> str:
    return f"{file} is damaged ({how}); restore it from a backup, or index again"


def _said(dimensions: Mapping[Any, int]) -> str:
    return " and ".join(f"{n} dimensions ({name})" for name, n in dimensions.items()) or "no kind"


def _vector(record: Record, name: VectorName) -> NDArray[np.float32] | None:
    return record.vector if name == "full" else record.compact
