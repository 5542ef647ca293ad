"""How files are written: beside their place, and renamed into it when they are whole and durable.

A reader finds the old file or the new one, never half of one, whatever kills the writer.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


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
