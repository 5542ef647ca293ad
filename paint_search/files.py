"""How files are written and read, whoever made them.

Written beside their place, and renamed into it when they are whole and durable: a reader finds the
old file or the new one, never half of one, whatever kills the writer; tables so that no spreadsheet
runs what stands in them. Read within limits: an index may come from anybody.
"""

import csv
import errno
import hashlib
import json
import os
import re
import stat
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TextIO

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

#: The suffixes of what is written, kind by kind.
FIGURES: Final = (".png", ".svg")
PAGES: Final = (".html", ".htm")
SHEETS: Final = (".jpg", ".jpeg", ".png")
TABLES: Final = (".csv",)
COORDINATES: Final = (".csv", ".parquet")

#: How a cell begins that a spreadsheet takes for a formula; and one to which ``'`` was added.
_FORMULA: Final = re.compile(r"'*[=+\-@\t\r\n]")
_NUMBER: Final = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)(e[+-]?\d+)?", re.IGNORECASE)

#: What the operating system says where a file or folder cannot be written by this user.
UNWRITABLE: Final = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})

#: Most bytes of a JSON file of an index; a manifest has 50,000, a calibration 150,000.
_MOST_JSON: Final = 16 * 2**20

#: Most bytes of a list of files: a few million.
_MOST_ROWS: Final = 2**28

#: Most bytes of fitted arrays: principal components of the longest vectors there are take a third.
_MOST_ARRAYS: Final = 2**30


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
        if fresh.is_symlink():  # what it leads to is not ours to write
            fresh.unlink()
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


def copy_files(source: Path, target: Path, without: Sequence[str] = ()) -> None:
    """Copy what is in a folder, at any depth, so that it may be written; links are left out.

    Args:
        source: the folder.
        target: where to; made if need be.
        without: patterns of names directly in ``source`` that are left out.

    Raises:
        OSError: something cannot be read or written.
    """
    target.mkdir(parents=True, exist_ok=True)
    for found in source.iterdir():
        if found.is_symlink() or any(fnmatch(found.name, pattern) for pattern in without):
            continue
        if found.is_dir():
            copy_files(found, target / found.name)
        elif found.is_file():
            with found.open("rb") as old, (target / found.name).open("wb") as new:
                while block := old.read(2**20):
                    if block.count(0) < len(block):
                        new.write(block)
                    else:  # a hole stays one: most of a store is made of them
                        new.seek(len(block), os.SEEK_CUR)
                new.truncate(old.tell())


def require_plain(file: Path, most: int) -> None:
    """Refuse what is too large, and what is not a file: a link to another, an endless pipe.

    Raises:
        OSError: it cannot be looked at.
        ValueError: it is no plain file, or has more than ``most`` bytes.
    """
    info = file.lstat()
    if not stat.S_ISREG(info.st_mode):
        raise ValueError("it is no plain file")
    if info.st_size > most:
        raise ValueError(f"it has {info.st_size:,} bytes, more than the {most:,} that are read")


def read_bytes(file: Path, most: int) -> bytes:
    """Return the content of a file of at most so many bytes; see ``require_plain``."""
    require_plain(file, most)
    with file.open("rb") as stream:
        return stream.read(most)


def read_json(file: Path) -> Any:
    """Return what a JSON file says.

    Raises:
        OSError: it cannot be read.
        ValueError: it is too large, too deep, or no JSON.
    """
    try:
        return json.loads(read_bytes(file, _MOST_JSON))
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def read_rows(file: Path) -> Iterator[list[str]]:
    """Yield the rows that ``write_csv`` wrote, one in memory at a time.

    Raises:
        OSError: it cannot be read.
        ValueError: it is too large, no text, or a row is none.
    """
    require_plain(file, _MOST_ROWS)
    with file.open(newline="", encoding="utf-8") as stream:
        try:
            yield from (list(map(unguarded, row)) for row in csv.reader(stream))
        except csv.Error as error:
            raise ValueError(str(error)) from error


def read_arrays(file: Path) -> "dict[str, NDArray[np.generic]]":
    """Return the arrays of a safetensors file.

    Raises:
        OSError: it cannot be read.
        ValueError: it is too large, or damaged.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        return load(read_bytes(file, _MOST_ARRAYS))
    except (SafetensorError, LookupError, TypeError, MemoryError) as error:
        raise ValueError(str(error) or "it does not fit into memory") from error


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
