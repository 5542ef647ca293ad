"""One process at a time may hold an embedded store: wait a little, then say who has it.

The operating system frees the lock when its holder dies, however it dies. Never deletes a lock.
"""

import os
import shlex
import sys
from pathlib import Path

from filelock import FileLock, Timeout

from paint_search.errors import StoreBusyError, StoreError
from paint_search.search.stores.base import patience

_PATIENCE = 5.0  # seconds


class StoreLock:
    """The right to use the store in ``folder``, held until ``release``.

    Raises:
        StoreBusyError: another process still holds it after five seconds, or as many as
            ``PAINT_SEARCH_PATIENCE`` says.
        StoreError: the folder cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self._lock = FileLock(folder / "lock")
        self._holder = folder / "lock.holder"
        try:
            self._lock.acquire(timeout=patience(_PATIENCE))
            self._holder.write_text(f"{os.getpid()} {shlex.join(_command())}\n")
        except Timeout:
            raise StoreBusyError(
                f"the index {folder} is in use by {self._name_holder()}; "
                "wait until it has finished, or stop it"
            ) from None
        except OSError as error:
            raise StoreError(
                f"the index {folder} cannot be opened for writing ({error.strerror}); "
                "copy it to a folder you may write to"
            ) from error

    def release(self) -> None:
        """Let the next process in."""
        self._holder.unlink(missing_ok=True)
        self._lock.release()

    def _name_holder(self) -> str:
        try:
            pid, _, command = self._holder.read_text().strip().partition(" ")
        except OSError:
            return "another process"
        return f"process {pid} ({command})"


def _command() -> list[str]:
    return [Path(sys.argv[0]).name, *sys.argv[1:]]
