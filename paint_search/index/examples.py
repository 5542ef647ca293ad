"""What a user calls a painting (a file, an indexed path, an id) -> its vector.

An indexed painting answers with its stored vector and is never decoded again unless its file has
changed. Works on the parts of an index that it is handed.
"""

import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from paint_search.compress.base import Compressor
from paint_search.errors import ImageError, UsageError
from paint_search.indexer.backbones.model import Model
from paint_search.indexer.images.decode import decode
from paint_search.painting import Record, painting_id
from paint_search.search.stores.base import Store


@dataclass(frozen=True, slots=True)
class Example:
    """A painting to look for: its vector, (d,) with unit norm, and its id if it is indexed.

    The vector is full or compact, as its reader was asked.
    """

    vector: NDArray[np.float32]
    id: str | None


@dataclass(frozen=True, slots=True)
class ExampleReader:
    """Reads examples for one index, whose corpus is ``root``; compact ones with a compressor."""

    store: Store
    model: Model
    root: Path
    compressor: Compressor | None = None

    def example(self, query: str | Path) -> Example:
        """Return the example that ``query`` names.

        Raises:
            UsageError: it is neither a file nor an indexed painting, or the index is empty.
            ImageError: it is a file, but no image.
        """
        record = find_indexed(self.store, self.root, query)
        if record is not None and not _changed(query, record):
            stored = record.vector if self.compressor is None else record.compact
            if stored is not None:
                return Example(stored, record.id)
        file = Path(query)
        if not file.is_file():
            raise UsageError(
                f"{query} is neither an image file nor an indexed painting; "
                "see paint-search list for those"
            )
        if not self.store.count():
            raise UsageError("the index is empty; run paint-search index first")
        try:
            pixels = decode(file, self.model.record.preprocessing).pixels
        except ImageError as error:
            raise type(error)(f"{query} cannot be looked for: {error}") from error
        vectors = self.model.query_embedder().embed(pixels[np.newaxis])
        if self.compressor is not None:
            vectors = self.compressor.transform(vectors)
        return Example(vectors[0], None if record is None else record.id)


def find_indexed(store: Store, root: Path, painting: str | Path) -> Record | None:
    """Return the record, with its vector, of an id, an indexed path, or a file of the corpus."""
    text = str(painting)
    paths = [
        file.relative_to(base).as_posix()
        for file, base in (
            (Path(os.path.abspath(text)), root),
            (Path(text).resolve(), root.resolve()),
        )
        if file.is_relative_to(base)
    ]
    if not Path(text).exists():  # a file outside the corpus is itself, whatever it is called
        paths.append(Path(text).as_posix())
    ids: list[str] = []
    with suppress(ValueError):
        ids.append(str(UUID(text)))
    with suppress(UnicodeEncodeError):  # such a name is never indexed
        ids += map(painting_id, paths)
    found = store.get(ids, vectors=True) if ids else {}
    return next((found[key] for key in ids if key in found), None)


def find_ids(store: Store, root: Path, paintings: Iterable[str | Path]) -> list[str]:
    """Return the ids of indexed paintings, in their order.

    Raises:
        UsageError: one of them is not indexed.
    """
    ids = []
    for painting in paintings:
        record = find_indexed(store, root, painting)
        if record is None:
            raise UsageError(f"{painting} is not in the index; see paint-search list")
        ids.append(record.id)
    return ids


def _changed(query: str | Path, record: Record) -> bool:
    """Tell whether the query names a file that is not the one that was indexed."""
    try:
        stat = Path(query).stat()
    except OSError:
        return False
    indexed = (record.payload["_size"], record.payload["_mtime_ns"])
    return (stat.st_size, stat.st_mtime_ns) != indexed
