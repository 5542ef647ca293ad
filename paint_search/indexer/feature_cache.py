"""A bounded cache of long feature vectors on disk, for a compressor to be fitted from.

Rows are appended as float16 in one file, the 16 bytes of their ids in another; whole rows are all
that counts, so a killed process loses the last one at most. Reads are memory-mapped and never hold
more than what is asked for.
"""

import os
import shutil
import sys
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from paint_search.errors import StoreError
from paint_search.files import require_plain

#: Of all rows together, unless told: 17,100 vectors of 125,440 numbers.
CACHE_BYTES: Final = 4 * 1024**3

_IDS: Final = "ids.bin"
_ID_BYTES: Final = 16
_MOST_IDS: Final = 2**30  # bytes of them
_FREE_BYTES: Final = 64 * 1024 * 1024  # what the store wants for itself


class FeatureCache:
    """Feature vectors of ``dimension`` numbers in ``folder``, which is made if need be.

    Args:
        folder: of both files.
        dimension: numbers of a row.
        limit: most bytes of all rows.
        dtype: of the numbers.

    Raises:
        StoreError: the folder cannot be read or written.
    """

    def __init__(
        self,
        folder: Path,
        dimension: int,
        limit: int = CACHE_BYTES,
        dtype: type[np.generic] = np.float16,
    ) -> None:
        self.folder = folder
        self.dimension = dimension
        self._dtype = np.dtype(dtype)
        self._rows = folder / f"rows.{self._dtype.kind}{8 * self._dtype.itemsize}"
        row = self._dtype.itemsize * dimension
        self._bytes = {self._rows: row, folder / _IDS: _ID_BYTES}  # of one row
        self.capacity = limit // sum(self._bytes.values())
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for file in self._bytes:
                if not file.exists():  # else it may be one that can only be read
                    file.touch()
            sizes = [file.stat().st_size // width for file, width in self._bytes.items()]
            self._written = min(sizes)
            require_plain(folder / _IDS, _MOST_IDS)
            require_plain(self._rows, sys.maxsize)
            ids = np.fromfile(folder / _IDS, f"V{_ID_BYTES}", count=self._written).tolist()
        except ValueError as error:
            raise StoreError(f"the feature cache {folder} is damaged: {error}") from error
        except OSError as error:
            raise self._failed(error) from error
        self._places = {str(uuid.UUID(bytes=name)): place for place, name in enumerate(ids)}
        self._map = np.empty((0, dimension), dtype=self._dtype)

    def __len__(self) -> int:
        """The number of ids."""
        return len(self._places)

    def __contains__(self, painting: object) -> bool:
        return painting in self._places

    @property
    def ids(self) -> list[str]:
        """The ids, in the order in which they came."""
        return list(self._places)

    @property
    def room(self) -> int:
        """How many more rows fit within the limit."""
        return max(0, self.capacity - self._written)

    @property
    def bytes_on_disk(self) -> int:
        """Bytes of both files."""
        return self._written * sum(self._bytes.values())

    def append(self, ids: Sequence[str], rows: NDArray[Any]) -> None:
        """Write rows, (n, d), at the end; an id that is there already means the new row from now.

        Raises:
            StoreError: no room within the limit, or the disk is full. Nothing was added.
        """
        if rows.shape != (len(ids), self.dimension):
            raise ValueError(f"{len(ids)} ids and rows of shape {rows.shape}")
        if len(ids) > self.room:
            raise StoreError(
                f"the feature cache {self.folder} is full at {self.capacity} vectors; run "
                "paint-search compress"
            )
        free, needed = (
            shutil.disk_usage(self.folder).free,
            _FREE_BYTES + self._dtype.itemsize * rows.size,
        )
        if free < needed:
            raise StoreError(
                f"the disk of {self.folder} is full ({free / 1e6:.0f} MB left, "
                f"{needed / 1e6:.0f} MB needed); free some space and run it again"
            )
        names = b"".join(uuid.UUID(text).bytes for text in ids)
        # Ids last: a row counts once its id is there.
        contents = rows.astype(self._dtype).tobytes(), names
        try:
            self._cut()
            for file, content in zip(self._bytes, contents, strict=True):
                with file.open("ab") as stream:
                    stream.write(content)
        except OSError as error:
            self._cut()
            raise self._failed(error) from error
        for text in ids:
            self._places[text] = self._written
            self._written += 1

    def rows(self, ids: Sequence[str]) -> NDArray[np.float32]:
        """Return the rows of these ids, (n, d), in their order. KeyError: an id is not there."""
        return self.view(ids)[:].astype(np.float32)

    def view(self, ids: Sequence[str]) -> "RowView":
        """Return the rows of these ids without reading any. KeyError: an id is not there."""
        if len(self._map) < self._written:  # one mapping, so that no page is counted twice
            shape = (self._written, self.dimension)
            self._map = np.memmap(self._rows, dtype=self._dtype, mode="r", shape=shape)
        return RowView(self._map, np.array([self._places[text] for text in ids], dtype=np.int64))

    def flush(self) -> None:
        """Make everything written so far durable."""
        for file in self._bytes:
            with file.open("rb+") as stream:
                os.fsync(stream.fileno())

    def delete(self) -> None:
        """Remove the cache from the disk; it is empty afterwards and cannot be used."""
        self._map = np.empty((0, self.dimension), dtype=self._dtype)
        shutil.rmtree(self.folder, ignore_errors=True)
        self._places.clear()
        self._written = 0

    def _cut(self) -> None:
        """Cut off what a killed process, or a full disk, left half written."""
        for file, width in self._bytes.items():
            if file.stat().st_size > self._written * width:
                os.truncate(file, self._written * width)

    def _failed(self, error: OSError) -> StoreError:
        return StoreError(f"the feature cache {self.folder} failed: {error.strerror}")


class RowView:
    """Some rows of a mapped array, read when they are asked for; taken where an array is."""

    ndim = 2

    def __init__(self, array: NDArray[Any], places: NDArray[np.int64]) -> None:
        self._array = array
        self._places = places
        self.shape = (len(places), array.shape[1])
        self.size = len(places) * array.shape[1]

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, key: Any) -> NDArray[Any]:
        """Return rows, or ``[row, columns]`` as an array has it."""
        row, *columns = key if isinstance(key, tuple) else (key,)
        return np.asarray(self._array[(self._places[row], *columns)])
