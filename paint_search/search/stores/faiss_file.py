"""A FAISS index in a file: written so that it is whole or not there, checked, read memory-mapped.

Knows nothing of what the index is for.
"""

import hashlib
import os
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from paint_search.errors import StoreError

_SAMPLES: Final = 64
_SAMPLE_BYTES: Final = 4096


def write(index: Any, file: Path) -> None:
    """Write an index beside ``file`` and put it in its place.

    Raises:
        StoreError: the disk is full or cannot be written.
    """
    import faiss

    fresh = file.with_name(f"{file.name}.new")
    try:
        faiss.write_index(index, str(fresh))
        with fresh.open("rb") as stream:
            os.fsync(stream.fileno())
        os.replace(fresh, file)
        _sync_folder(file.parent)
    except (OSError, RuntimeError) as error:
        with suppress(OSError):
            fresh.unlink(missing_ok=True)
        reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else error
        raise StoreError(
            f"the index {file} cannot be written ({reason}): is the disk full? Nothing is lost; "
            "free some space and run it again"
        ) from error


def read(file: Path, fingerprint: str, *, writable: bool = False) -> Any | None:
    """Return the index in a file; None where it is missing or not the one that was written.

    Args:
        file: where.
        fingerprint: of what was written.
        writable: load all of it, to be added to; it is mapped otherwise.
    """
    import faiss

    try:
        if fingerprint_of(file) != fingerprint:
            return None
        return faiss.read_index(str(file), 0 if writable else faiss.IO_FLAG_MMAP_IFC)
    except (OSError, RuntimeError):
        return None


def fingerprint_of(file: Path) -> str:
    """Return a hash of a file's length and of parts spread evenly over it, whatever its length.

    FAISS trusts what it reads, links of a graph above all, so a file that was cut or overwritten
    must not get there.
    """
    size = file.stat().st_size
    digest = hashlib.blake2b(str(size).encode(), digest_size=16)
    with file.open("rb") as stream:
        for number in range(_SAMPLES):
            stream.seek(max(0, size - _SAMPLE_BYTES) * number // (_SAMPLES - 1))
            digest.update(stream.read(_SAMPLE_BYTES))
    return digest.hexdigest()


def _sync_folder(folder: Path) -> None:
    """Make a new name in a folder durable, where the system has a way to."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
