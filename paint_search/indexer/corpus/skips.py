"""The list of files that were not indexed, and why: ``skipped.csv`` beside the store.

Written as the run goes and renamed into place at its end, so that memory does not grow with it.
"""

import csv
import os
from pathlib import Path

_HEADER = ("path", "reason")


class SkipList:
    """Collects skips of one run over ``scope``; use as a context manager.

    Args:
        file: where the list belongs.
        scope: corpus-relative folder that this run looks at, "." for all; earlier lines about
            other folders are kept.
    """

    def __init__(self, file: Path, scope: str) -> None:
        self.count = 0
        self._file = file
        self._scope = scope
        self._fresh = file.with_name(file.name + ".new")

    def __enter__(self) -> "SkipList":
        self._stream = self._fresh.open("w", newline="", encoding="utf-8")
        self._writer = csv.writer(self._stream)
        self._writer.writerow(_HEADER)
        for path, reason in read_skips(self._file):
            if not inside(path, self._scope):
                self._writer.writerow((path, reason))
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()
        os.replace(self._fresh, self._file)

    def add(self, path: str, reason: str) -> None:
        """Note that the file at this corpus-relative path was not indexed."""
        self.count += 1
        self._writer.writerow((path, " ".join(reason.split())))


def read_skips(file: Path) -> list[tuple[str, str]]:
    """Return (path, reason) of every skipped file; none where the list does not exist."""
    if not file.exists():
        return []
    with file.open(newline="", encoding="utf-8") as stream:
        return [(row[0], row[1]) for row in list(csv.reader(stream))[1:] if len(row) == 2]


def inside(path: str, scope: str) -> bool:
    """Tell whether a corpus-relative path lies in the folder ``scope``."""
    return scope == "." or path == scope or path.startswith(f"{scope}/")
