"""The right to use an index: one process at a time where its points are in its own folder.

Points on a server are there for all; then only those who write into the folder take turns. Who
cannot write may read, while nobody writes. The operating system frees a lock when its holder dies,
however it dies. Never deletes a lock.
"""

import os
import shlex
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from filelock import FileLock, Timeout

from paint_search.errors import StoreBusyError, StoreError, readable
from paint_search.files import UNWRITABLE, read_bytes

_HOLDER_BYTES: Final = 2**20  # of a command, which may be long


class IndexLock:
    """The right to use the index in ``folder``, until ``release``.

    Args:
        folder: of the index.
        alone: whether no other process may so much as read, because the points are in the folder.
        patience: seconds to wait for a process that has it.
        reading: whether a folder that cannot be written will do.

    Attributes:
        refusal: why the folder cannot be written; None where it can, or nobody has asked.

    Raises:
        StoreBusyError: another process still has it then.
        StoreError: the folder cannot be written.
    """

    def __init__(
        self, folder: Path, *, alone: bool, patience: float, reading: bool = False
    ) -> None:
        self.refusal: str | None = None
        self._folder = folder
        self._lock = folder / "lock"
        self._file = FileLock(self._lock, thread_local=False)  # any may close the index
        self._holder = folder / "lock.holder"
        self._alone = alone
        self._patience = patience
        if alone:
            try:
                self._acquire()
            except StoreBusyError:
                raise
            except StoreError as error:
                cause = error.__cause__
                if not (reading and isinstance(cause, OSError) and cause.errno in UNWRITABLE):
                    raise
                self.refusal = str(error)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Hold the right to change what is in the folder.

        Raises:
            StoreBusyError, StoreError: as above.
        """
        if self.refusal is not None:
            raise StoreError(self.refusal)
        if self._alone:
            yield
            return
        self._acquire()
        try:
            yield
        finally:
            self._release()

    @contextmanager
    def standstill(self) -> Iterator[None]:
        """Keep those who can write from it, where this process cannot, and the system can tell.

        Raises:
            StoreBusyError: another process is writing.
        """
        try:
            import fcntl  # what ``filelock`` holds a lock with, where there is one

            stream = self._lock.open("rb")
        except (ImportError, OSError):
            yield
            return
        with stream:
            until = time.monotonic() + self._patience
            while True:
                try:
                    fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > until:
                        raise self._busy() from None
                    time.sleep(0.05)
                except OSError:
                    break
            yield

    def release(self) -> None:
        """Let other processes in."""
        if self._alone and self.refusal is None:
            self._release()

    def _acquire(self) -> None:
        try:
            for file in (self._lock, self._holder):
                if file.is_symlink():  # what it leads to would be emptied
                    file.unlink()
            self._file.acquire(timeout=self._patience)
            command = readable(shlex.join(_command()))
            self._holder.write_text(f"{os.getpid()} {command}\n", encoding="utf-8")
        except Timeout:
            raise self._busy() from None
        except OSError as error:
            self._file.release()
            raise StoreError(
                f"the index {self._folder} cannot be opened for writing ({error.strerror}); "
                "copy it to a folder you may write to"
            ) from error

    def _release(self) -> None:
        self._holder.unlink(missing_ok=True)
        self._file.release()

    def _busy(self) -> StoreBusyError:
        try:
            said = read_bytes(self._holder, _HOLDER_BYTES).decode(errors="replace").strip()
            pid, _, command = said.partition(" ")
            holder = f"process {pid} ({command})"
        except (OSError, ValueError):
            holder = "another process"
        return StoreBusyError(
            f"the index {self._folder} is in use by {holder}; "
            "wait until it has finished, or stop it"
        )


def _command() -> list[str]:
    return [Path(sys.argv[0]).name, *sys.argv[1:]]
