"""The right to use an index: one process at a time where its points are in its own folder.

Points on a server are there for all; then only those who write into the folder take turns. The
operating system frees a lock when its holder dies, however it dies. Never deletes a lock.
"""

import os
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from paint_search.errors import StoreBusyError, StoreError, readable


class IndexLock:
    """The right to use the index in ``folder``, until ``release``.

    Args:
        folder: of the index.
        alone: whether no other process may so much as read, because the points are in the folder.
        patience: seconds to wait for a process that has it.

    Raises:
        StoreBusyError: another process still has it then.
        StoreError: the folder cannot be written.
    """

    def __init__(self, folder: Path, *, alone: bool, patience: float) -> None:
        self._folder = folder
        self._file = FileLock(folder / "lock")
        self._holder = folder / "lock.holder"
        self._alone = alone
        self._patience = patience
        if alone:
            self._acquire()

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Hold the right to change what is in the folder.

        Raises:
            StoreBusyError, StoreError: as above.
        """
        if self._alone:
            yield
            return
        self._acquire()
        try:
            yield
        finally:
            self._release()

    def release(self) -> None:
        """Let other processes in."""
        if self._alone:
            self._release()

    def _acquire(self) -> None:
        try:
            self._file.acquire(timeout=self._patience)
            command = readable(shlex.join(_command()))
            self._holder.write_text(f"{os.getpid()} {command}\n", encoding="utf-8")
        except Timeout:
            raise StoreBusyError(
                f"the index {self._folder} is in use by {self._name_holder()}; "
                "wait until it has finished, or stop it"
            ) from None
        except OSError as error:
            raise StoreError(
                f"the index {self._folder} cannot be opened for writing ({error.strerror}); "
                "copy it to a folder you may write to"
            ) from error

    def _release(self) -> None:
        self._holder.unlink(missing_ok=True)
        self._file.release()

    def _name_holder(self) -> str:
        try:
            pid, _, command = self._holder.read_text(encoding="utf-8").strip().partition(" ")
        except OSError:
            return "another process"
        return f"process {pid} ({command})"


def _command() -> list[str]:
    return [Path(sys.argv[0]).name, *sys.argv[1:]]
