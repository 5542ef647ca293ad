"""The right to use an index: one process at a time where its points are in its own folder.

Points on a server are there for all; then only those who write into the folder take turns.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from paint_search.search.stores.lock import StoreLock
from paint_search.search.stores.uri import Place


class Holding:
    """The right to use the index in ``folder``, until ``release``.

    Raises:
        StoreBusyError: another process has it, after waiting for five seconds.
        StoreError: the folder cannot be written.
    """

    def __init__(self, folder: Path, place: Place) -> None:
        self._folder = folder
        self._lock = StoreLock(folder) if place.embedded else None

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Hold the right to change what is in the folder.

        Raises:
            StoreBusyError: another process has it, after waiting for five seconds.
            StoreError: the folder cannot be written.
        """
        if self._lock is not None:
            yield
            return
        lock = StoreLock(self._folder)
        try:
            yield
        finally:
            lock.release()

    def release(self) -> None:
        """Let other processes in."""
        if self._lock is not None:
            self._lock.release()
