"""A CSV or Parquet table of works -> its rows, found by path or file name.

The rows live in a temporary SQLite database, so that a table of millions costs disk and not memory;
it also remembers which rows were never asked for. Never trusts a path in the table: rows are only
matched with files that the scan has found.
"""

import csv
import json
import re
import sqlite3
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from paint_search.errors import UsageError, argument
from paint_search.painting import Value

#: Column names that may hold the path or the file name, in order of preference.
PATH_COLUMNS = ("path", "file", "filename", "file_name", "image", "image_path")

#: Fields that are texts even where they look like numbers: "1.10" is a title too.
_TEXTS = frozenset({"artist", "movement", "title"})

_INTEGER = re.compile(r"-?(0|[1-9]\d{0,14})")
_DECIMAL = re.compile(r"-?(0|[1-9]\d*)\.\d+")

#: Yields the names of the columns, then the cells of each row.
_Reader = Callable[[Path], Iterator[Sequence[Any]]]


class LabelTable:
    """A table of labels, opened from ``file``; use as a context manager.

    Raises:
        UsageError: no such file, not a readable table, or no column with paths.
    """

    def __init__(self, file: Path) -> None:
        if not file.is_file():
            raise UsageError(
                f"there is no table {file}; give {argument('table')} a CSV or Parquet file"
            )
        self._db = sqlite3.connect("", check_same_thread=False)  # a temporary file of its own
        self._db.execute("CREATE TABLE rows (path TEXT, name TEXT, labels TEXT, used INT)")
        reader = _parquet_rows if file.suffix.lower() in (".parquet", ".pq") else _csv_rows
        try:
            self._db.executemany("INSERT INTO rows VALUES (?, ?, ?, 0)", _records(file, reader))
        except UnicodeError as error:
            raise UsageError(f"{file} is not UTF-8 text; save it as CSV in UTF-8") from error
        except (OSError, csv.Error, sqlite3.Error, ValueError) as error:
            raise UsageError(f"{file} cannot be read as a table: {error}") from error
        self._db.execute("CREATE INDEX by_path ON rows (path)")
        self._db.execute("CREATE INDEX by_name ON rows (name)")

    def __enter__(self) -> "LabelTable":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Drop the rows."""
        self._db.close()

    def row(self, root: Path, path: str) -> Mapping[str, Value]:
        """Return the row of the file at ``path`` below ``root``; an empty mapping if there is none.

        A row fits whose path is the end of the file's absolute path, the longest first ("a.jpg"
        fits in every folder); else one from another place whose path ends in all of ``path``.
        """
        parts = PurePosixPath(_key((root / path).as_posix())).parts
        ends = ["/".join(parts[start:]) for start in range(1, len(parts))]
        for end in ["/" + ends[0], *ends]:
            found = self._db.execute("SELECT rowid, labels FROM rows WHERE path = ?", (end,))
            if row := found.fetchone():
                return self._use(*row)
        same_name = "SELECT rowid, labels, path FROM rows WHERE name = ? LIMIT 2"
        rows = self._db.execute(same_name, (parts[-1],)).fetchall()
        if len(rows) == 1 and rows[0][2].endswith("/" + _key(path)):
            return self._use(*rows[0][:2])
        return {}

    def _use(self, row: int, labels: str) -> Mapping[str, Value]:
        self._db.execute("UPDATE rows SET used = 1 WHERE rowid = ?", (row,))
        read: dict[str, Value] = json.loads(labels)
        return read

    def unused(self) -> Iterator[str]:
        """Yield the path of every row that no file asked for, in the table's order."""
        for (path,) in self._db.execute("SELECT path FROM rows WHERE used = 0 ORDER BY rowid"):
            yield path


def _records(file: Path, reader: _Reader) -> Iterator[tuple[str, str, str]]:
    """Yield (path, file name, labels as JSON); of two columns of one name the first filled counts.

    Raises:
        ValueError: the table has no rows.
    """
    rows = reader(file)
    columns = [str(name) for name in next(rows)]
    of_path = _path_column(file, columns)
    fields = ["" if i == of_path else field_name(name) for i, name in enumerate(columns)]
    empty = True
    for cells in rows:
        empty = False
        labels: dict[str, Value] = {}
        for name, cell in zip(fields, cells, strict=False):  # rows may be ragged
            value = cell if name in _TEXTS or cell is None else read_cell(cell)
            if name and value not in (None, ""):
                labels.setdefault(name, value)
        cell = cells[of_path] if of_path < len(cells) else None
        path = _key("" if cell is None else str(cell))
        yield path, PurePosixPath(path).name, json.dumps(labels)
    if empty:
        raise ValueError("it has no rows")


def _csv_rows(file: Path) -> Iterator[Sequence[Value]]:
    with file.open(newline="", encoding="utf-8-sig") as text:
        head = text.readline()
        text.seek(0)
        reader = csv.reader(text, delimiter=max(",;\t|", key=head.count), skipinitialspace=True)
        yield next(reader, [])
        for cells in reader:
            if cells:
                yield [cell.strip() for cell in cells]


def _parquet_rows(file: Path) -> Iterator[Sequence[Value | None]]:
    import pyarrow.parquet as pq  # 0.2 s, and only this kind of table needs it

    table = pq.ParquetFile(file)
    yield table.schema_arrow.names
    for batch in table.iter_batches(batch_size=1024):
        for row in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            yield [_plain(value) for value in row]


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
    return unicodedata.normalize("NFC", path.strip().replace("\\", "/").removeprefix("./"))


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
    name = name.strip().lower()
    return "" if name.startswith("_") else re.sub(r"\W+", "_", name).strip("_")
