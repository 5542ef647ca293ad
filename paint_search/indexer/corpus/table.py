"""A CSV or Parquet table of works -> its rows, each joined to the one file that it is about.

All files are met at once, since a name says nothing where two files have it. What cannot be right
is used for nothing and told: names of several files, rows that contradict each other, lines of
another number of cells. Rows and files live in a temporary SQLite database, so that a table of
millions costs disk and not memory. Never trusts a path in the table: rows only meet files that were
found.
"""

import csv
import itertools
import json
import math
import re
import sqlite3
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from pathlib import Path, PurePosixPath
from typing import Any, Final, Literal
from urllib.parse import unquote, urlsplit

from paint_search.errors import UsageError, argument
from paint_search.files import unguarded
from paint_search.indexer.corpus.dates import read_years
from paint_search.indexer.corpus.encodings import encoding_of
from paint_search.painting import Value, composed

#: Column names that may hold the path or the file name, in order of preference.
PATH_COLUMNS = ("path", "file", "filename", "file_name", "image", "image_path")

#: Fields that are texts even where they look like numbers: "1.10" is a title too.
_TEXTS = frozenset({"artist", "movement", "title"})

_INTEGER = re.compile(r"-?(0|[1-9]\d{0,14})")
_DECIMAL = re.compile(r"-?(0|[1-9]\d*)\.\d+")

#: A row that does not name the whole path of a file names it from so far above it at most.
_FOLDERS: Final = 8

_TABLES: Final = """
CREATE TABLE rows (line INTEGER PRIMARY KEY, path TEXT, labels TEXT);
CREATE TABLE faults (line INTEGER, kind TEXT, path TEXT, why TEXT);
CREATE TABLE files (path TEXT PRIMARY KEY, loose TEXT, picture INT) WITHOUT ROWID;
CREATE TABLE ends (path TEXT, loose TEXT, file TEXT);
CREATE TABLE meetings (path TEXT, rank INT, line INT);
CREATE TABLE met (path TEXT PRIMARY KEY, labels TEXT) WITHOUT ROWID;
"""

#: What is wrong with a row, a line or a file of a table; the first alone may well be right.
Kind = Literal[
    "row without file", "ambiguous row", "contradiction", "unreadable line", "unreadable year"
]


@dataclass(frozen=True, slots=True)
class Fault:
    """Something in a table that is used for nothing: the path that it speaks of, and why."""

    kind: Kind
    path: str
    why: str


class LabelTable:
    """A table of labels, opened from ``file``; use as a context manager.

    Args:
        file: CSV or Parquet.
        encoding: of a CSV; None to find it out where it is certain.

    Raises:
        UsageError: no such file, not a readable table, or no column with paths.
    """

    def __init__(self, file: Path, encoding: str | None = None) -> None:
        if not file.is_file():
            raise UsageError(
                f"there is no table {file}; give {argument('table')} a CSV or Parquet file"
            )
        self._file = file
        self._db = sqlite3.connect("", check_same_thread=False)  # a temporary file of its own
        self._db.executescript(_TABLES)
        parquet = file.suffix.lower() in (".parquet", ".pq")
        reader = _parquet_rows if parquet else lambda file: _csv_rows(file, encoding)
        try:
            self._fill(reader)
        except UnicodeError as error:
            raise UsageError(
                f"{file} is not text in {encoding or 'UTF-8'}; say what it is in with "
                f"{argument('table_encoding')}"
            ) from error
        except (OSError, csv.Error, sqlite3.Error, ValueError) as error:
            raise UsageError(f"{file} cannot be read as a table: {error}") from error

    def __enter__(self) -> "LabelTable":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Drop the rows."""
        self._db.close()

    def meet(self, root: Path, paths: Iterable[str]) -> None:
        """Find the file of each row among all files of a corpus; done once, before any ``row``.

        A row is about the file whose path it ends or that ends it, ``/`` by ``/``, if that is one
        file; else likewise, but without regard to case, extensions, ``_`` for a space, ``%20``, and
        of a URL by its last part. Of rows about one file those that name more of it count.

        Args:
            root: the corpus.
            paths: of its files, relative to it.
        """
        for path in paths:
            whole, *ends = _ends(path)
            picture = PurePosixPath(path).suffix.lower() in _picture_suffixes()
            file = (path, _loose(path), picture)
            self._db.execute("INSERT OR IGNORE INTO files VALUES (?, ?, ?)", file)
            spellings = ((end, _loose(end), path) for end in [whole, *ends[-_FOLDERS:]])
            self._db.executemany("INSERT INTO ends VALUES (?, ?, ?)", spellings)
        for table, column in (("ends", "path"), ("ends", "loose"), ("files", "loose")):
            self._db.execute(f"CREATE INDEX {table}_by_{column} ON {table} ({column})")
        for line, path in self._db.execute("SELECT line, path FROM rows ORDER BY line"):
            self._find(line, path, composed(root.as_posix()))
        meetings = self._db.execute(
            "SELECT meetings.path, rank, line, labels, rows.path FROM meetings "
            "JOIN rows USING (line) ORDER BY meetings.path, rank, line"
        )
        for path, rows in groupby(meetings, key=lambda row: row[0]):
            self._settle(path, [row[1:] for row in rows])

    def row(self, path: str) -> Mapping[str, Value]:
        """Return what the table says of a file; an empty mapping if that is nothing, or unsure."""
        found = self._db.execute("SELECT labels FROM met WHERE path = ?", (path,)).fetchone()
        labels: dict[str, Value] = json.loads(found[0]) if found else {}
        return labels

    def faults(self) -> Iterator[Fault]:
        """Yield what is used for nothing, in the table's order."""
        query = "SELECT kind, path, why FROM faults ORDER BY line, rowid"
        for kind, path, why in self._db.execute(query):
            yield Fault(kind, path, why)

    def remark(self) -> str | None:
        """Say, with an example of either, that fewer than half of rows and files have met."""
        rows = int(self._one("SELECT COUNT(*) FROM rows"))
        met = int(self._one("SELECT COUNT(*) FROM met"))
        files = int(self._one("SELECT COUNT(*) FROM files WHERE picture"))
        row = self._one("SELECT path FROM faults WHERE kind = 'row without file' LIMIT 1")
        alone = "SELECT path FROM files WHERE picture AND path NOT IN (SELECT path FROM met)"
        file = self._one(f"{alone} LIMIT 1")
        if row is None or file is None or 2 * met >= min(rows, files):
            return None
        return (
            f"only {met:,} of the {rows:,} rows of {self._file.name} meet a file: nothing has the "
            f"row {row!r}, and no row has the file {file!r}"
        )

    def _one(self, query: str, *values: Any) -> Any:
        found = self._db.execute(query, values).fetchone()
        return found[0] if found else None

    def _fault(self, line: int, kind: Kind, path: str, why: str) -> None:
        self._db.execute("INSERT INTO faults VALUES (?, ?, ?, ?)", (line, kind, path, why))

    def _fill(self, reader: "_Reader") -> None:
        """Read the rows; of two columns of one name the first filled counts.

        Raises:
            ValueError: none can be used.
        """
        rows = reader(self._file)
        columns = [str(name) for name in next(rows, (0, ()))[1]]
        of_path = _path_column(self._file, columns)
        fields = ["" if i == of_path else field_name(name) for i, name in enumerate(columns)]
        for line, cells in rows:
            wrong = cells if isinstance(cells, str) else None
            if len(cells) != len(fields):
                wrong = wrong or f"{len(cells)} cells, {len(fields)} expected"
            if wrong:
                self._fault(line, "unreadable line", "", f"line {line}: {wrong}")
                continue
            labels: dict[str, Value] = {}
            for name, cell in zip(fields, cells, strict=True):
                value = cell if name in _TEXTS or cell is None else read_cell(cell)
                if name and value not in (None, "") and not _is_nan(value):
                    labels.setdefault(name, value)
            path = _key("" if cells[of_path] is None else str(cells[of_path]))
            year = labels.get("year")
            if year is not None and re.search(r"\d", str(year)) and not read_years(year):
                self._fault(line, "unreadable year", path, f"line {line}: {year!r} names no year")
            row = (line, path, json.dumps(labels))
            self._db.execute("INSERT INTO rows VALUES (?, ?, ?)", row)
        if not self._one("SELECT COUNT(*) FROM rows"):
            why = self._one("SELECT why FROM faults LIMIT 1")
            raise ValueError(f"none of its rows can be read; {why}" if why else "it has no rows")

    def _find(self, line: int, path: str, root: str) -> None:
        """Note the file that a row is about, or why there is none."""
        rank, files = self._files_of(path, root)
        if len(files) == 1:
            self._db.execute("INSERT INTO meetings VALUES (?, ?, ?)", (files[0], rank, line))
        elif files:
            why = f"line {line}: it may be {files[0]} or {files[1]}; write more of the path"
            self._fault(line, "ambiguous row", path, why)
        else:
            self._fault(line, "row without file", path, f"line {line}")

    def _files_of(self, path: str, root: str) -> tuple[int, list[str]]:
        """Return the files, two at most, that a row may be about, and how loosely it names them.

        The rank is the lower the more it names: of the whole path below the corpus or above it, of
        its end, of a path that ends in the file's.
        """
        if not path:
            return 0, []
        address = urlsplit(path) if re.match(r"[a-z][a-z0-9+.-]+://", path, re.IGNORECASE) else None
        if address is not None:
            path = PurePosixPath(unquote(address.path)).name
        below = (path.removeprefix(f"{end}/") for end in [root, *_ends(root)])
        wholes = [path, *(rest for rest in below if rest != path)]
        first, *shorter = _ends(path)
        forms: tuple[tuple[str, Callable[[str], str]], ...] = (("path", str), ("loose", _loose))
        for loosely, (column, form) in enumerate(forms):
            whole = f"SELECT path FROM files WHERE {column} = ?"  # noqa: S608
            part = f"SELECT DISTINCT file FROM ends WHERE {column} = ?"  # noqa: S608
            tries = [
                *((0, whole, name) for name in wholes),
                (50 - first.count("/"), part, first),
                *((50 + cut, whole, name) for cut, name in enumerate(shorter)),
            ]
            for rank, query, name in tries:
                found = self._db.execute(f"{query} LIMIT 2", (form(name),)).fetchall()
                if found:
                    return 100 * loosely + rank, [file for (file,) in found]
        return 0, []

    def _settle(self, path: str, rows: list[tuple[int, int, str, str]]) -> None:
        """Note what the rows about one file say together, or that they contradict each other."""
        best = [(line, json.loads(labels)) for rank, line, labels, _ in rows if rank == rows[0][0]]
        for _, line, _, name in rows[len(best) :]:
            why = f"line {line}: line {best[0][0]} names more of {path}"
            self._fault(line, "row without file", name, why)
        together: dict[str, Value] = {}
        for line, labels in best:
            for name, value in labels.items():
                if together.setdefault(name, value) != value:
                    why = f"lines {best[0][0]} and {line} give it another {name}"
                    self._fault(line, "contradiction", path, why)
                    return
        row = (path, json.dumps(together))
        self._db.execute("INSERT INTO met VALUES (?, ?)", row)


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and math.isnan(value)


def _ends(path: str) -> Iterator[str]:
    """Yield a path, and what is left of it without its first folder, and so on."""
    path = path.lstrip("/")
    while path:
        yield path
        path = path.partition("/")[2].lstrip("/")


def _loose(path: str) -> str:
    """Return what two spellings of a path have in common: no case, no extension, no ``_``."""
    path = composed(unquote(path) if "%" in path else path).casefold()
    stem, dot, suffix = path.rpartition(".")
    if stem and f"{dot}{suffix}" in _picture_suffixes():
        path = stem
    return " ".join(path.replace("_", " ").split())


@cache
def _picture_suffixes() -> frozenset[str]:
    from PIL import Image  # 0.1 s to find its plugins, and only tables need them

    return frozenset(Image.registered_extensions())


#: Yields (line, cells), first of which the names of the columns; or (line, what is wrong with it).
_Reader = Callable[[Path], Iterator[tuple[int, Sequence[Any]]]]


def _csv_rows(file: Path, encoding: str | None) -> Iterator[tuple[int, Sequence[Value]]]:
    """Yield the rows of a CSV; after a line that cannot be read, reading goes on with the next."""
    with file.open(newline="", encoding=encoding_of(file, encoding)) as text:
        lines = enumerate(text, start=1)
        again: deque[tuple[int, str]] = deque()
        taken: list[tuple[int, str]] = []

        def take() -> Iterator[str]:
            while (line := again.popleft() if again else next(lines, None)) is not None:
                taken.append(line)
                yield line[1]

        head = "".join(itertools.islice(take(), 1))
        said = re.fullmatch(r"sep=(.)\s*", head)
        delimiter = said.group(1) if said else max(",;\t|", key=head.count)
        if not said:
            again.extend(taken)
        columns = 0
        while True:
            taken.clear()
            rows = csv.reader(take(), delimiter=delimiter, skipinitialspace=True, strict=True)
            try:
                cells: Sequence[Value] | None = next(rows, None)
                wrong = None
            except csv.Error as error:
                cells, wrong = [], f"a quote is not closed, or text stands behind one ({error})"
            if cells is None:
                return
            (line, _), *rest = taken
            if not columns:
                if wrong:
                    raise csv.Error(f"line {line}: {wrong}")
                columns = len(cells)
                yield line, [str(cell).strip() for cell in cells]
            elif wrong or (cells and len(cells) != columns):
                again.extendleft(reversed(rest))  # an open quote swallows the lines behind it
                yield line, wrong or cells
            elif cells:
                yield line, [unguarded(str(cell).strip()) for cell in cells]


def _parquet_rows(file: Path) -> Iterator[tuple[int, Sequence[Value | None]]]:
    import pyarrow.parquet as pq  # 0.2 s, and only this kind of table needs it

    with file.open("rb") as stream:
        table = pq.ParquetFile(stream)
        yield 0, table.schema_arrow.names
        line = itertools.count(1)
        for batch in table.iter_batches(batch_size=1024):
            for row in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                yield next(line), [_plain(value) for value in row]


def _plain(value: Any) -> Value | None:
    """Return a cell of Parquet as text, number or None; dates are written as ISO 8601."""
    if value is None or type(value) in (str, int, float):
        cell: Value | None = value
        return cell
    return str(value).lower() if isinstance(value, bool) else str(value)


def read_cell(text: Value) -> Value:
    """Read a cell as the number it is; "007", "1e5" and "1_000" are names, not numbers."""
    if not isinstance(text, str):
        return text
    text = text.strip()
    if _INTEGER.fullmatch(text) and str(int(text)) == text:
        return int(text)
    if _DECIMAL.fullmatch(text):
        return float(text)
    return text


def _key(path: str) -> str:
    """Return a path as it is compared: with ``/``, and accents composed as macOS does not."""
    return composed(path.strip().replace("\\", "/").removeprefix("./"))


def _path_column(file: Path, columns: Sequence[str]) -> int:
    names = [name.strip().lower() for name in columns]
    for name in PATH_COLUMNS:
        if name in names:
            return names.index(name)
    raise UsageError(
        f"{file} has no column that names the image files: call it one of "
        f"{', '.join(PATH_COLUMNS)} (it has: {', '.join(columns)})"
    )


def field_name(name: str) -> str:
    """Return a column's name as ``--where`` takes it; empty for one that is not to be kept."""
    name = composed(name.strip().lower())
    return "" if name.startswith("_") else re.sub(r"\W+", "_", name).strip("_")
