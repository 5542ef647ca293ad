"""A folder or an index of labelled paintings in; files, labels and decoded pixels out.

Pictures are decoded as they are drawn, by threads, so that memory is that of a batch. A file that
cannot be read is passed over and remembered.
"""

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from paint_search.compress.hold_out import hold_out_labels
from paint_search.errors import CompressError, ImageError, UsageError
from paint_search.indexer.corpus.labels import FOLDER, label_source
from paint_search.indexer.corpus.scan import scan
from paint_search.indexer.corpus.table import LabelTable
from paint_search.indexer.images.decode import decode
from paint_search.indexer.images.formats import is_picture
from paint_search.indexer.images.preprocessing import Preprocessing

#: Pixels of a side of the pictures that a small net learns from.
SIDE: Final = 64

_LEAST_LABELS: Final = 4


@dataclass(frozen=True)
class Pictures:
    """Files with a label each, in the order of their paths."""

    files: list[Path]  #: n files
    labels: list[str]  #: of the same
    #: reasons by file, of those that were drawn and could not be decoded.
    unreadable: dict[Path, str] = field(default_factory=dict)
    #: what in the table of labels is used for nothing.
    refused: list[str] = field(default_factory=list)

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
    def in_folder(
        cls,
        folder: Path,
        labels: str | None,
        table: Path | None,
        label: str,
        table_encoding: str | None = None,
    ) -> Self:
        """Read a folder's images, labelled as ``paint-search index`` would.

        Raises:
            UsageError: no such folder or table, or no painting has the label.
        """
        if not folder.is_dir():
            raise UsageError(f"there is no folder {folder}")
        with ExitStack() as stack:
            rows = stack.enter_context(LabelTable(table, table_encoding)) if table else None
            source = label_source(labels or FOLDER, rows)
            files = list(scan(folder, folder, lambda path, reason: None))
            if rows is not None:
                rows.meet(folder, (file.path for file in files))
            found = [
                (file.location, source(file.path)) for file in files if is_picture(file.location)
            ]
            faults = list(rows.faults()) if rows is not None else []
        pictures = cls.of(found, label)
        refused = [fault for fault in faults if fault.kind != "row without file"]
        why = [f"{fault.kind} {fault.path} ({fault.why})" for fault in refused]
        return replace(pictures, refused=why)

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

    def read(
        self, rows: NDArray[np.int64], preprocessing: Preprocessing
    ) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """Decode rows, (n,): (m, size, size, 3) pixels of those that could be read, and which."""

        def one(row: int) -> NDArray[np.uint8] | None:
            try:
                return decode(self.files[row], preprocessing).pixels
            except ImageError as error:
                self.unreadable[self.files[row]] = str(error)
                return None

        with ThreadPoolExecutor() as pool:
            found = list(pool.map(one, rows.tolist()))
        pixels = np.array([made for made in found if made is not None], dtype=np.uint8)
        kept = rows[[made is not None for made in found]]
        return pixels.reshape(-1, preprocessing.size, preprocessing.size, 3), kept
