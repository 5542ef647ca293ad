"""The list of files that were not indexed, and why: ``skipped.csv`` beside the store.

Written as the run goes and renamed into place at its end, so that memory does not grow with it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from paint_search.errors import StoreError
from paint_search.files import read_rows, replacing, write_rows

_HEADER = ("path", "reason")

#: What the reason begins with for a file that was indexed.
USED_ALL_THE_SAME = "indexed as it is"


class SkipList:
    """Collects the skips of one run; see `skip_list`."""

    def __init__(self, stream: TextIO) -> None:
        self.count = 0
        self._stream = stream

    def add(self, path: str, reason: str) -> None:
        """Note that the file at this corpus-relative path was not indexed."""
        self.count += 1
        self.remark(path, reason)

    def remark(self, path: str, reason: str) -> None:
        """Note what is amiss with a file that was indexed."""
        write_rows(self._stream, [(path, " ".join(reason.split()))])


@contextmanager
def skip_list(file: Path, scope: str) -> Iterator[SkipList]:
    """Give the list of one run, which takes the place of ``file`` when the run has ended.

    Args:
        file: where the list belongs.
        scope: corpus-relative folder that this run looks at, "." for all; earlier lines about
            other folders are kept.
    """
    with replacing(file) as fresh, fresh.open("w", newline="", encoding="utf-8") as stream:
        earlier = (row for row in read_skips(file) if not inside(row[0], scope))
        write_rows(stream, [_HEADER, *earlier])
        yield SkipList(stream)


def read_skips(file: Path) -> list[tuple[str, str]]:
    """Return (path, reason) of every skipped file; none where the list does not exist.

    Raises:
        StoreError: the list is damaged.
    """
    if not file.exists():
        return []
    try:
        return [(row[0], row[1]) for row in list(read_rows(file))[1:] if len(row) == 2]
    except ValueError as error:
        raise StoreError(f"{file} is damaged ({error}); delete it, and index again") from error


def inside(path: str, scope: str) -> bool:
    """Tell whether a corpus-relative path lies in the folder ``scope``."""
    return scope == "." or path == scope or path.startswith(f"{scope}/")
