"""A folder or an index of labelled paintings in; files, labels and decoded pixels out.

Pictures are decoded as they are drawn, by threads, so that memory is that of a batch. A file that
cannot be read is passed over and remembered.
"""

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from paint_search.compress.hold_out import hold_out_labels
from paint_search.errors import CompressError, ImageError, UsageError
from paint_search.indexer.corpus.labels import FOLDER, label_source
from paint_search.indexer.corpus.scan import scan
from paint_search.indexer.corpus.table import LabelTable
from paint_search.indexer.images.decode import decode, is_image
from paint_search.indexer.images.preprocessing import Preprocessing

#: Pixels of a side of the pictures that a small net learns from.
SIDE: Final = 64

_LEAST_LABELS: Final = 4


@dataclass(frozen=True)
class Pictures:
    """Files with a label each, in the order of their paths.

    Attributes:
        files: n files.
        labels: of the same.
        unreadable: reasons by file, of those that were drawn and could not be decoded.
    """

    files: list[Path]
    labels: list[str]
    unreadable: dict[Path, str] = field(default_factory=dict)

    @classmethod
    def of(cls, works: Iterable[tuple[Path, Mapping[str, Any]]], label: str) -> Self:
        """Take those works that have the label.

        Raises:
            UsageError: none has.
        """
        named = sorted((file, str(found[label])) for file, found in works if found.get(label))
        if not named:
            raise UsageError(
                f"no painting has a field {label!r} to train on; give labels with --labels or "
                "--table, or name another --label"
            )
        return cls([file for file, _ in named], [name for _, name in named])

    @classmethod
    def in_folder(cls, folder: Path, labels: str | None, table: Path | None, label: str) -> Self:
        """Read a folder's images, labelled as ``paint-search index`` would.

        Raises:
            UsageError: no such folder or table, or no painting has the label.
        """
        if not folder.is_dir():
            raise UsageError(f"there is no folder {folder}")
        with ExitStack() as stack:
            rows = stack.enter_context(LabelTable(table)) if table else None
            source = label_source(labels or FOLDER, rows, folder)
            found = [
                (file.location, source(file.path))
                for file in scan(folder, folder, lambda path, reason: None)
                if is_image(file.location)
            ]
        return cls.of(found, label)

    def sides(self, seed: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Return which works to learn from, and which, of other labels, say when to stop.

        Raises:
            CompressError: fewer than four labels have two works or more.
        """
        names, codes = np.unique(self.labels, return_inverse=True)
        several = np.flatnonzero(np.bincount(codes) > 1)
        if len(several) < _LEAST_LABELS:
            raise CompressError(
                f"training needs {_LEAST_LABELS} labels with two works or more; here are "
                f"{len(several)} among {len(names)}: add works, or name another --label"
            )
        return hold_out_labels(codes, np.random.default_rng(seed))

    def reader(self, preprocessing: Preprocessing) -> "Reader":
        """Return what decodes them for a network."""
        return Reader(self, preprocessing)


class Reader:
    """Decodes rows: (n,) -> (m, size, size, 3) uint8 of those that could be read, and which."""

    def __init__(self, pictures: Pictures, preprocessing: Preprocessing) -> None:
        self._pictures = pictures
        self._preprocessing = preprocessing
        self._pool = ThreadPoolExecutor()

    def __call__(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """Return pixels, and the rows that they are of."""
        found = list(self._pool.map(self._decode, rows.tolist()))
        both = zip(rows, found, strict=True)
        read = [(row, pixels) for row, pixels in both if pixels is not None]
        size = self._preprocessing.size
        stacked = np.array([pixels for _, pixels in read], dtype=np.uint8)
        kept = np.array([row for row, _ in read], dtype=np.int64)
        return stacked.reshape(-1, size, size, 3), kept

    def _decode(self, row: int) -> NDArray[np.uint8] | None:
        file = self._pictures.files[row]
        try:
            return decode(file, self._preprocessing).pixels
        except ImageError as error:
            self._pictures.unreadable[file] = str(error)
            return None
