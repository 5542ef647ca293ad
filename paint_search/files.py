"""How files are written: beside their place, and renamed into it when they are whole and durable.

A reader finds the old file or the new one, never half of one, whatever kills the writer. Tables are
written so that no spreadsheet runs what stands in them.
"""

import csv
import hashlib
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, TextIO

#: The suffixes of what is written, kind by kind.
FIGURES: Final = (".png", ".svg")
PAGES: Final = (".html", ".htm")
SHEETS: Final = (".jpg", ".jpeg", ".png")
TABLES: Final = (".csv",)
COORDINATES: Final = (".csv", ".parquet")

#: How a cell begins that a spreadsheet takes for a formula; and one to which ``'`` was added.
_FORMULA: Final = re.compile(r"'*[=+\-@\t\r\n]")
_NUMBER: Final = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)(e[+-]?\d+)?", re.IGNORECASE)


@contextmanager
def replacing(file: Path) -> Iterator[Path]:
    """Give the path of a fresh file, of the same suffix, that takes the place of ``file``.

    It does so, written to disk, when the block ends; where the block raises, the fresh file goes
    and ``file`` stays as it was.

    Raises:
        OSError: the folder cannot be written, or the disk is full.
    """
    fresh = file.with_name(f"{file.stem}.new{file.suffix}")
    try:
        yield fresh
        with fresh.open("rb") as stream:
            os.fsync(stream.fileno())
        os.replace(fresh, file)
    except BaseException as error:
        with suppress(OSError):
            fresh.unlink()
        if isinstance(error, OSError) and error.filename == str(fresh):
            error.filename = str(file)  # the name that the user knows
        raise


def write_csv(file: Path, columns: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    """Write a table as CSV in UTF-8; see ``write_rows``.

    Raises:
        OSError: as ``replacing``.
    """
    with replacing(file) as fresh, fresh.open("w", newline="", encoding="utf-8") as stream:
        write_rows(stream, [columns])
        write_rows(stream, rows)


def write_rows(stream: TextIO, rows: Iterable[Iterable[object]]) -> None:
    """Write rows of CSV; a text that a spreadsheet would run as a formula gets a ``'`` before it.

    Numbers stay numbers, and ``unguarded`` gives each text back.
    """
    csv.writer(stream).writerows(map(_guarded, row) for row in rows)


def read_rows(stream: TextIO) -> Iterator[list[str]]:
    """Yield the rows that ``write_rows`` wrote."""
    return (list(map(unguarded, row)) for row in csv.reader(stream))


def unguarded(cell: str) -> str:
    """Return the text that a cell was written for."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


def _guarded(cell: Any) -> Any:
    if isinstance(cell, str) and _FORMULA.match(cell) and not _NUMBER.fullmatch(cell):
        return f"'{cell}"
    return cell


def fingerprint(file: Path) -> str:
    """Return a hash of a file's length and of parts spread evenly over it, whatever its length.

    Raises:
        OSError: it cannot be read.
    """
    parts, length, size = 64, 4096, file.stat().st_size
    digest = hashlib.blake2b(str(size).encode(), digest_size=16)
    with file.open("rb") as stream:
        for number in range(parts):
            stream.seek(max(0, size - length) * number // (parts - 1))
            digest.update(stream.read(length))
    return digest.hexdigest()
