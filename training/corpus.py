"""A folder of paintings -> their paths, their labels as numbers, and caches of one row a painting.

A cache is a plain array file that is filled once, in order, and goes on where a killed run left
off. Nothing below the folder is written to.
"""

import hashlib
import json
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from progress import track

from paint_search.errors import ImageError, UsageError
from paint_search.files import replacing
from paint_search.indexer.corpus.labels import FOLDER, label_source
from paint_search.indexer.corpus.scan import find_file, scan
from paint_search.indexer.corpus.table import LabelTable
from paint_search.indexer.images.decode import decode
from paint_search.indexer.images.formats import is_picture
from paint_search.indexer.images.preprocessing import Preprocessing

#: Labels that the network is taught to tell apart, where the corpus has them.
FIELDS: Final = ("artist", "movement", "genre")

#: Values of a label with fewer paintings teach nothing.
_FEWEST: Final = 3

_BLOCK: Final = 64

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Corpus:
    """The paintings to learn from: files, and one label of each field, None where unknown."""

    files: tuple[Path, ...]
    labels: dict[str, tuple[str | None, ...]]

    def __len__(self) -> int:
        return len(self.files)

    @property
    def fingerprint(self) -> str:
        """Hash of the file names, in order: tells the caches of two corpora apart."""
        names = "\n".join(f"{file.parent.name}/{file.name}" for file in self.files)
        return hashlib.blake2b(names.encode(), digest_size=8).hexdigest()

    def held_out(self, part: int, parts: int) -> NDArray[np.bool_]:
        """Tell which paintings belong to the held-out artists of one fold, (n,).

        An artist's fold is a hash of the name: the same in every corpus and in any order.
        """
        folds = [fold_of(artist, parts) for artist in self.labels["artist"]]
        return np.array([fold == part for fold in folds])

    def codes(self, field: str, among: NDArray[np.bool_]) -> tuple[Ints, int]:
        """Number the values of a field that have works enough ``among`` some; -1 elsewhere."""
        values = self.labels[field]
        counts = Counter(value for value, kept in zip(values, among, strict=True) if kept and value)
        names = sorted(name for name, count in counts.items() if count >= _FEWEST)
        number = {name: code for code, name in enumerate(names)}
        return np.array([number.get(value or "", -1) for value in values]), len(names)


def fold_of(artist: str | None, parts: int) -> int:
    """Return the fold of an artist, 0 to ``parts`` - 1."""
    digest = hashlib.blake2b((artist or "").encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") % parts


def read_corpus(folder: Path, table: Path | None, out: Path) -> Corpus:
    """Find the images below ``folder`` that can be decoded, and their labels.

    Which files can be used is found out once and kept in ``out``.

    Raises:
        UsageError: no such folder, an unreadable table, or too few paintings of known artists.
    """
    if not folder.is_dir():
        raise UsageError(f"there is no folder {folder}; name the folder of paintings")
    with ExitStack() as stack:
        rows = stack.enter_context(LabelTable(table)) if table else None
        source = label_source(FOLDER, rows)
        usable = _usable_files(folder, out)
        if rows is not None:
            rows.meet(folder, usable)
        labels = [source(path) for path in usable]
    corpus = Corpus(
        files=tuple(find_file(folder, path) for path in usable),
        labels={
            field: tuple(str(row[field]) if field in row else None for row in labels)
            for field in FIELDS
        },
    )
    _, artists = corpus.codes("artist", np.ones(len(corpus), dtype=bool))
    if artists < 2:
        raise UsageError(
            f"{folder} has not two artists with {_FEWEST} paintings each; sort the paintings into "
            "one folder an artist, or give their artists with --table"
        )
    return corpus


def _usable_files(folder: Path, out: Path) -> list[str]:
    """List the images that decode, by path relative to ``folder``; remembered in ``out``."""
    found = list(scan(folder, folder, lambda path, reason: None))
    state = [[file.path, file.size, file.mtime_ns] for file in found]
    memory = out / "files.json"
    if memory.exists():
        known = json.loads(memory.read_text(encoding="utf-8"))
        if known["state"] == state:
            return [str(path) for path in known["usable"]]
    images = [file for file in found if is_picture(file.location)]
    small = Preprocessing(size=8, fit="squash")
    usable = []
    with ThreadPoolExecutor() as pool:
        decoded = pool.map(lambda file: _decodes(file.location, small), images)
        for file, good in zip(track(images, "reading"), decoded, strict=False):
            if good:
                usable.append(file.path)
    write_json(memory, {"state": state, "usable": usable})
    return usable


def _decodes(file: Path, small: Preprocessing) -> bool:
    try:
        decode(file, small)
    except ImageError:
        return False
    return True


def pixels_of(files: Sequence[Path], size: int) -> NDArray[np.uint8]:
    """Decode whole paintings, squashed to squares: (n, size, size, 3) uint8 sRGB."""
    preprocessing = Preprocessing(size=size, fit="squash")
    with ThreadPoolExecutor() as pool:
        return np.stack(list(pool.map(lambda file: decode(file, preprocessing).pixels, files)))


def cache(
    file: Path,
    rows: int,
    fill: Callable[[int, int], NDArray[Any]],
    what: str,
) -> NDArray[Any]:
    """Return the array in ``file``, filled block by block by ``fill(start, stop)`` if need be.

    A killed run goes on with the block it was at: how far it came is kept beside the array.
    """
    part, reached = file.with_suffix(".part.npy"), file.with_suffix(".json")
    if not file.exists():
        done = json.loads(reached.read_text())["done"] if reached.exists() else 0
        array = np.lib.format.open_memmap(part, "r+") if done else None
        for start, stop in _blocks(done, rows, what):
            values = fill(start, stop)
            if array is None:
                shape = (rows, *values.shape[1:])
                array = np.lib.format.open_memmap(part, "w+", values.dtype, shape)
            array[start:stop] = values
            array.flush()
            write_json(reached, {"done": stop})
        os.replace(part, file)
    return cached(file)


def cached(file: Path) -> NDArray[Any]:
    """Return the array in a finished cache; it stays on the disk."""
    array: NDArray[Any] = np.load(file, mmap_mode="r")
    return array


def _blocks(done: int, rows: int, what: str) -> Iterator[tuple[int, int]]:
    for start in track(range(done, rows, _BLOCK), what, scale=_BLOCK):
        yield start, min(start + _BLOCK, rows)


def write_json(file: Path, value: Any) -> None:
    """Write a value that JSON can carry."""
    with replacing(file) as fresh:
        fresh.write_text(json.dumps(value), encoding="utf-8")
