"""Ids, payloads and float16 vectors in one SQLite file: the truth of a FAISS store.

Each version of a point has a label, a number that is never given twice, so that whatever knows a
label knows its vector for ever. Filters are SQLite's JSON functions, with an index for each field.
"""

import json
import os
import sqlite3
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from itertools import chain
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from paint_search.errors import StoreError
from paint_search.files import replacing
from paint_search.painting import Record, Value
from paint_search.search.filters import SPANS, Condition, Filter, as_number
from paint_search.search.stores.base import NOT_INDEXED, VectorName

Labels = NDArray[np.int64]
Floats = NDArray[np.float32]

_PAGE: Final = 512
_BLOCK_BYTES: Final = 4 * 1024 * 1024

#: The FAISS index beside it.
INDEX: Final = "vectors.faiss"

#: What is ``gone`` an index may still know.
_TABLES: Final = """
PRAGMA journal_mode = OFF;
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE points (
    label INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, payload TEXT NOT NULL);
CREATE TABLE full (label INTEGER PRIMARY KEY, vector BLOB NOT NULL);
CREATE TABLE compact (label INTEGER PRIMARY KEY, vector BLOB NOT NULL);
CREATE TABLE gone (label INTEGER PRIMARY KEY);
"""

#: A list as one parameter: as many values as one likes, and one text to compile.
LISTED: Final = "(SELECT value FROM json_each(?))"


class Points:
    """All that a ``Store`` does but search; made in ``folder`` where there is none.

    Every method raises StoreError when the file is damaged, cannot be written or the disk is full.

    Args:
        folder: the store's own.
        dimensions: of each kind of vectors.
    """

    def __init__(self, folder: Path, dimensions: Mapping[VectorName, int]) -> None:
        self._folder, self._file = folder, folder / "points.sqlite"
        self._dimensions = dimensions
        self._loaded: Any = None  # what was made of the points, until they change
        with self._guard():
            folder.mkdir(exist_ok=True)
            if not self._file.exists():
                with replacing(self._file) as fresh:  # one without tables has been damaged
                    fresh.unlink(missing_ok=True)
                    with closing(sqlite3.connect(fresh)) as base:
                        base.executescript(_TABLES)
            self._base = self._connect()
        try:
            self._prepare()
        except BaseException:
            self._base.close()
            raise

    def _connect(self) -> sqlite3.Connection:
        # One user at a time, though perhaps in another thread than the one that opened it.
        return sqlite3.connect(self._file, check_same_thread=False)

    def _prepare(self) -> None:
        # So each transaction is durable when it is committed.
        for setting in ("journal_mode = WAL", "synchronous = FULL", "cache_size = -65536"):
            self._rows(f"PRAGMA {setting}")
        tables = {name for (name,) in self._rows("SELECT name FROM sqlite_master")}
        if "meta" not in tables:
            raise StoreError(self._damaged("it has no tables"))
        kept, ours = self._note("dimensions"), dict(self._dimensions)
        if kept is None:
            with self._transaction():
                self._note_down("dimensions", ours)
        elif kept != ours:
            raise StoreError(
                f"the store {self._folder} keeps vectors of other lengths ({kept}) than the "
                f"index ({ours}); it belongs to another index"
            )
        if "words" in tables:
            self._upgrade()

    def _upgrade(self) -> None:
        """Take over from version 0.1, which had each value of each payload in tables."""
        names = self._rows("SELECT name FROM fields WHERE points > 0")
        made = self._note("index")
        with self._transaction():
            for table in ("words", "numbers", "fields"):
                self._base.execute(f"DROP TABLE {table}")
            self._index_fields(json.loads(name) for (name,) in names)
            if made:  # whose index file had a number
                with suppress(FileNotFoundError):
                    old = self._folder / f"vectors-{made['number']}.faiss"
                    os.replace(old, self._folder / INDEX)
                plan = made["plan"]
                note = {"factory": plan["asked"], "points": plan["points"]}
                self._note_down("index", note | {"fingerprint": made["fingerprint"]})

    def upsert(self, records: Sequence[Record]) -> None:
        """Write points with the vectors they have; a point of the same id is replaced."""
        fresh = {record.id: record for record in records}
        with self._transaction():
            self._remove(fresh)
            self._index_fields(name for record in fresh.values() for name in record.payload)
            insert = "INSERT INTO points (id, payload) VALUES (?, ?)"
            for record in fresh.values():
                label = self._base.execute(insert, [record.id, _payload(record)]).lastrowid
                for kind in self._dimensions.keys() & record.vectors.keys():
                    half = self._units(record.vectors[kind][None], kind).astype(np.float16)
                    row = [label, half.tobytes()]
                    self._base.execute(f"INSERT INTO {kind} VALUES (?, ?)", row)  # noqa: S608

    def set_payloads(self, records: Sequence[Record]) -> None:
        """Replace the payloads of existing points and leave their vectors alone."""
        changes = [(_payload(record), record.id) for record in records]
        with self._transaction():
            self._index_fields(name for record in records for name in record.payload)
            self._base.executemany("UPDATE points SET payload = ? WHERE id = ?", changes)

    def delete(self, ids: Sequence[str]) -> None:
        """Delete points; unknown ids are passed over."""
        with self._transaction():
            self._remove(ids)

    def get(self, ids: Sequence[str], *, vectors: bool = False) -> dict[str, Record]:
        """Return the points that exist among ``ids``, by id."""
        rows = self._rows(self._select(f"id IN {LISTED}", vectors), json.dumps(list(ids)))
        return {record.id: record for record in map(self._record, rows)}

    def scroll(self, where: Filter = (), *, vectors: bool = False) -> Iterator[Record]:
        """Yield all points that match, in the order of their ids, one page in memory at a time."""
        condition, *values = _meeting(where)
        # A connection of its own reads one moment of the file, whatever is written meanwhile.
        with self._guard(), closing(self._connect()) as base:
            rows = base.execute(self._select(f"{condition} ORDER BY id", vectors), values)
            while page := rows.fetchmany(_PAGE):
                yield from map(self._record, page)

    def count(self, where: Filter = ()) -> int:
        """Count the points that match."""
        condition, *values = _meeting(where)
        return int(self._rows(f"SELECT COUNT(*) FROM points WHERE {condition}", *values)[0][0])  # noqa: S608

    def has_field(self, name: str) -> bool:
        """Tell whether filters may name this field: some point has it. Quick at any size."""
        query = f"SELECT 1 FROM points WHERE {_value(name)} IS NOT NULL LIMIT 1"  # noqa: S608
        return not name.startswith("_") and name in self._indexed() and bool(self._rows(query))

    def fields(self) -> dict[str, int]:
        """Return the fields that filters may name, with the number of points having each."""
        query = "SELECT COUNT(*) FROM points WHERE {} IS NOT NULL"
        names = sorted(filter(self.has_field, self._indexed()))
        return {name: int(self._rows(query.format(_value(name)))[0][0]) for name in names}

    def texts(self, field: str) -> list[str]:
        """Return the distinct texts that points have in a field, in no order."""
        value = _value(field)
        query = f"SELECT DISTINCT {value} FROM points WHERE typeof({value}) = 'text'"  # noqa: S608
        return [text for (text,) in self._rows(query)]

    def flush(self) -> None:
        """Make everything written so far durable, which it is already."""

    def close(self) -> None:
        """Let go of the file; the store cannot be used afterwards."""
        with self._guard():
            self._base.close()

    def _matching(self, where: Filter) -> Labels:
        condition, *values = _meeting(where)
        return self._numbers(f"SELECT label FROM points WHERE {condition}", *values)  # noqa: S608

    def _labels_of(self, ids: Iterable[str]) -> Labels:
        query = f"SELECT label FROM points WHERE id IN {LISTED}"  # noqa: S608
        return self._numbers(query, json.dumps(list(ids)))

    def _numbers(self, query: str, *values: Any) -> Labels:
        with self._guard():
            rows = self._base.execute(query, values)
            return np.fromiter(chain.from_iterable(rows), dtype=np.int64)

    def _blocks(
        self, name: VectorName, *, after: int = 0, labels: Labels | None = None
    ) -> Iterator[tuple[Labels, Floats]]:
        """Yield labels, rising, and their vectors, (n, d), a few megabytes each.

        All above ``after``, or those of ``labels`` that have such a vector.
        """
        condition, value = "label > ?", str(after)
        if labels is not None:
            condition, value = f"label IN {LISTED}", json.dumps(labels.tolist())
        query = f"SELECT label, vector FROM {name} WHERE {condition} ORDER BY label"  # noqa: S608
        with self._guard():
            rows = self._base.execute(query, [value])
            while block := rows.fetchmany(max(1, _BLOCK_BYTES // (2 * self._dimensions[name]))):
                found, vectors = zip(*block, strict=True)
                yield np.array(found, dtype=np.int64), self._floats(b"".join(vectors), name)

    def _vectors(self, name: VectorName, labels: Labels) -> tuple[Labels, Floats]:
        """Return those of ``labels`` that have such a vector, rising, and their vectors, (n, d)."""
        blocks = [(labels[:0], self._floats(b"", name)), *self._blocks(name, labels=labels)]
        some, vectors = zip(*blocks, strict=True)
        return np.concatenate(some), np.concatenate(vectors)

    def _note(self, name: str) -> Any:
        """Return what was noted under a name, None where nothing was."""
        rows = self._rows("SELECT value FROM meta WHERE name = ?", name)
        with self._guard():
            return json.loads(rows[0][0]) if rows else None

    def _note_down(self, name: str, value: Any) -> None:
        self._base.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", [name, json.dumps(value)])

    def _remove(self, ids: Iterable[str]) -> None:
        """Delete points and all that hangs on them, inside a transaction."""
        labels = [(label,) for label in self._labels_of(ids).tolist()]
        for table in ("points", *self._dimensions):
            self._base.executemany(f"DELETE FROM {table} WHERE label = ?", labels)  # noqa: S608
        self._base.executemany("INSERT INTO gone VALUES (?)", labels)

    def _indexed(self) -> set[str]:
        rows = self._rows("SELECT substr(name, 7) FROM sqlite_master WHERE name GLOB 'field_*'")
        return {bytes.fromhex(code).decode("utf-8", "surrogatepass") for (code,) in rows}

    def _index_fields(self, names: Iterable[str]) -> None:
        """Index each field the first time it is seen, by its name in hexadecimal."""
        for name in sorted(set(names) - self._indexed() - NOT_INDEXED):
            code = name.encode("utf-8", "surrogatepass").hex()
            self._base.execute(f"CREATE INDEX field_{code} ON points ({_value(name)})")

    def _select(self, condition: str, vectors: bool = False) -> str:
        """Return a query of label, id, payload and, if asked, full and compact vectors."""
        vector = "(SELECT vector FROM {0} WHERE {0}.label = points.label)" if vectors else "NULL"
        both = f"{vector.format('full')}, {vector.format('compact')}"
        return f"SELECT label, id, payload, {both} FROM points WHERE {condition}"  # noqa: S608

    def _record(self, row: Sequence[Any]) -> Record:
        _, key, payload, full, compact = row
        vectors = (
            full and self._floats(full, "full")[0],
            compact and self._floats(compact, "compact")[0],
        )
        return Record(key, json.loads(payload), *vectors)

    def _units(self, vectors: Floats, kind: VectorName) -> Floats:
        """Return finite vectors, (n, d), of the right length with unit norms; zeros stay zeros."""
        length = self._dimensions.get(kind)
        if vectors.shape[1:] != (length,) or not np.isfinite(vectors).all():
            raise StoreError(
                f"the store {self._folder} keeps finite vectors of the lengths "
                f"{dict(self._dimensions)}; a {kind} one of shape {vectors.shape[1:]} is not one"
            )
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        return np.asarray(vectors / np.where(norms > 0, norms, 1), dtype=np.float32)

    def _floats(self, data: bytes, name: VectorName) -> Floats:
        length = self._dimensions[name]
        if len(data) % (2 * length):
            raise StoreError(self._damaged("a vector is cut short"))
        return np.frombuffer(data, dtype=np.float16).reshape(-1, length).astype(np.float32)

    def _rows(self, query: str, *values: Any) -> list[Any]:
        with self._guard():
            return self._base.execute(query, values).fetchall()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """Do all or nothing."""
        self._loaded = None
        with self._guard(), self._base:
            self._base.execute("BEGIN IMMEDIATE")
            yield

    @contextmanager
    def _guard(self) -> Iterator[None]:
        """Turn SQLite's errors into ours."""
        try:
            yield
        except (sqlite3.Error, OSError, json.JSONDecodeError) as error:
            said = f"the store {self._folder} failed: {error}"
            if getattr(error, "sqlite_errorname", "").startswith("SQLITE_FULL"):
                said = f"the disk of {self._folder} is full; free some space and run it again"
            elif not isinstance(
                error, sqlite3.OperationalError | sqlite3.ProgrammingError | OSError
            ):
                said = self._damaged(str(error))
            raise StoreError(said) from error

    def _damaged(self, how: str) -> str:
        return f"{self._file} is damaged ({how}); restore it from a backup, or index again"


def _key(name: str) -> str:
    """Return a field's name as a payload has it between quotes: ASCII, without quotes of its own.

    A path in a payload is compared with that text; a name need not even be Unicode.
    """
    return json.dumps(name)[1:-1].replace('\\"', "\\u0022")


def _payload(record: Record) -> str:
    labels = record.payload.items()
    return "{" + ", ".join(f'"{_key(name)}": {json.dumps(value)}' for name, value in labels) + "}"


def _value(name: str) -> str:
    """Return a field of a payload in SQL, in the very words of its index."""
    path = _key(name).replace("'", "''")
    return f"json_extract(payload, '$.\"{path}\"')"


def _meeting(where: Filter) -> list[Any]:
    """Return what is true of a point that meets all conditions, in SQL, then its parameters."""
    parts, values = ["TRUE"], []
    for condition in where:
        part, given = _holding(condition)
        if condition.negated:  # which a point without the field meets
            part = f"label NOT IN (SELECT label FROM points WHERE {part})"  # noqa: S608
        parts.append(part)
        values += given
    return [" AND ".join(parts), *values]


def _holding(condition: Condition) -> tuple[str, list[Any]]:
    """Return what is true of a point that has such a value; in SQL text is above all numbers."""
    value, most = _value(condition.field), sys.float_info.max
    # Read by SQLite as payloads are, text up to a NUL; a number equals its text.
    wanted: list[Value] = [str(each) for each in condition.values]
    wanted += [n for each in condition.values if (n := as_number(each)) is not None]
    wanted += [each for each in condition.values if isinstance(each, int)]  # too long for a float
    part = f"{value} IN {LISTED}"
    given: list[Any] = [json.dumps(wanted)]
    ends = [-most if condition.low is None else condition.low]
    ends += [most if condition.high is None else condition.high]
    if not condition.values:
        part, given = f"{value} BETWEEN ? AND ?", ends
    for low, high in condition.spans:
        first, last = map(_value, SPANS[condition.field])
        part += f" OR {first} BETWEEN ? AND ? AND {last} BETWEEN ? AND ?"
        given += [-most, most if high is None else high, -most if low is None else low, most]
    return f"({part})", given
