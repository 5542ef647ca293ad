"""A bounded cache of long feature vectors on disk, for a compressor to be fitted from.

Rows are appended as float16 in one file, the 16 bytes of their ids in another; whole rows are all
that counts, so a killed process loses the last one at most. Reads are memory-mapped and never hold
more than what is asked for.
"""

import os
import shutil
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from paint_search.errors import StoreError

#: Of all rows together, unless told: 17,100 vectors of 125,440 numbers.
CACHE_BYTES: Final = 4 * 1024**3

_ROWS: Final = "rows.f16"
_IDS: Final = "ids.bin"
_ID_BYTES: Final = 16
_FREE_BYTES: Final = 64 * 1024 * 1024  # what the store wants for itself


class FeatureCache:
    """Feature vectors of ``dimension`` numbers in ``folder``, which is made if need be.

    Raises:
        StoreError: the folder cannot be read or written.
    """

    def __init__(self, folder: Path, dimension: int, limit: int = CACHE_BYTES) -> None:
        self.folder = folder
        self.dimension = dimension
        self.capacity = limit // (2 * dimension + _ID_BYTES)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for name in (_ROWS, _IDS):
                (folder / name).touch()
            self._written = self._cut_to_whole_rows()
            ids = (folder / _IDS).read_bytes()
        except OSError as error:
            raise self._failed(error) from error
        self._map = np.empty((0, dimension), dtype=np.float16)
        self._places: dict[str, int] = {}
        for place in range(self._written):
            text = str(uuid.UUID(bytes=ids[place * _ID_BYTES : (place + 1) * _ID_BYTES]))
            self._places[text] = place

    def __len__(self) -> int:
        """The number of ids."""
        return len(self._places)

    def __contains__(self, painting: object) -> bool:
        return painting in self._places

    @property
    def ids(self) -> list[str]:
        """The ids, in the order in which ``places`` and ``mapped`` have their rows."""
        return sorted(self._places, key=self._places.__getitem__)

    @property
    def places(self) -> NDArray[np.int64]:
        """Where in ``mapped`` the row of each of ``ids`` is; rows written anew leave gaps."""
        return np.sort(np.fromiter(self._places.values(), dtype=np.int64, count=len(self)))

    @property
    def room(self) -> int:
        """How many more rows fit within the limit."""
        return max(0, self.capacity - self._written)

    @property
    def bytes_on_disk(self) -> int:
        """Bytes of both files."""
        return self._written * (2 * self.dimension + _ID_BYTES)

    def append(self, ids: Sequence[str], rows: NDArray[np.floating]) -> None:
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
        self._require_space(2 * rows.size)
        try:
            # Ids last: a row counts once its id is there.
            self._append(_ROWS, rows.astype(np.float16).tobytes())
            self._append(_IDS, b"".join(uuid.UUID(text).bytes for text in ids))
        except OSError as error:
            self._cut_to_whole_rows(self._written)
            raise self._failed(error) from error
        for text in ids:
            self._places[text] = self._written
            self._written += 1

    def mapped(self) -> NDArray[np.float16]:
        """Return all rows ever written, (n, d), mapped from the file: see ``places``."""
        if len(self._map) < self._written:  # one mapping, so that no page is counted twice
            shape = (self._written, self.dimension)
            self._map = np.memmap(self.folder / _ROWS, dtype=np.float16, mode="r", shape=shape)
        return self._map

    def rows(self, ids: Sequence[str]) -> NDArray[np.float32]:
        """Return the rows of these ids, (n, d), in their order.

        Raises:
            KeyError: an id is not there.
        """
        return self.mapped()[[self._places[text] for text in ids]].astype(np.float32)

    def view(self, ids: Sequence[str]) -> "RowView":
        """Return the rows of these ids without reading any. KeyError: an id is not there."""
        places = np.array([self._places[text] for text in ids], dtype=np.int64)
        return RowView(self.mapped(), places)

    def flush(self) -> None:
        """Make everything written so far durable."""
        for name in (_ROWS, _IDS):
            with (self.folder / name).open("rb+") as stream:
                os.fsync(stream.fileno())

    def delete(self) -> None:
        """Remove the cache from the disk; it is empty afterwards and cannot be used."""
        self._map = np.empty((0, self.dimension), dtype=np.float16)
        shutil.rmtree(self.folder, ignore_errors=True)
        self._places.clear()
        self._written = 0

    def _append(self, name: str, content: bytes) -> None:
        with (self.folder / name).open("ab") as stream:
            stream.write(content)

    def _cut_to_whole_rows(self, rows: int | None = None) -> int:
        """Cut off what a killed process left half written; return the number of rows."""
        widths = {_ROWS: 2 * self.dimension, _IDS: _ID_BYTES}
        sizes = {name: (self.folder / name).stat().st_size for name in widths}
        whole = min(sizes[name] // width for name, width in widths.items())
        whole = whole if rows is None else min(whole, rows)
        for name, width in widths.items():
            if sizes[name] != whole * width:
                os.truncate(self.folder / name, whole * width)
        return whole

    def _require_space(self, more: int) -> None:
        free = shutil.disk_usage(self.folder).free
        if free < _FREE_BYTES + more:
            raise StoreError(
                f"the disk of {self.folder} is full ({free / 1e6:.0f} MB left, "
                f"{(_FREE_BYTES + more) / 1e6:.0f} MB needed); free some space and run it again"
            )

    def _failed(self, error: OSError) -> StoreError:
        return StoreError(f"the feature cache {self.folder} failed: {error.strerror}")


class RowView:
    """Some rows of a mapped array, read when they are asked for; taken where an array is."""

    ndim = 2

    def __init__(self, array: NDArray[np.float16], places: NDArray[np.int64]) -> None:
        self._array = array
        self._places = places
        self.shape = (len(places), array.shape[1])
        self.size = len(places) * array.shape[1]

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, key: Any) -> NDArray[np.float16]:
        """Return rows, or ``[row, columns]`` as an array has it."""
        if isinstance(key, tuple):
            row, columns = key
            return np.asarray(self._array[self._places[row], columns])
        return np.asarray(self._array[self._places[key]])
