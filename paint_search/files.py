"""How files are written: beside their place, and renamed into it when they are whole and durable.

A reader finds the old file or the new one, never half of one, whatever kills the writer.
"""

import hashlib
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
