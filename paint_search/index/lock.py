"""The right to use an index: one process at a time where its points are in its own folder.

Others may ask that process for the points, and for the right to change them (``Turn``). Points on a
server are there for all; then only those who write into the folder take turns. Who cannot write may
read, while nobody writes. The operating system frees a lock when its holder dies, however it dies.
Never deletes a lock.
"""

import os
import shlex
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from filelock import FileLock, Timeout

from paint_search.errors import StoreBusyError, StoreError, readable
from paint_search.files import UNWRITABLE, read_bytes
from paint_search.search.stores.opening import Loan

_HOLDER_BYTES: Final = 2**20  # of a command, which may be long
_LEAST_PATIENCE: Final = 0.5  # seconds for an answer of a process that is there


class Turn:
    """The right to change an index that one process holds: of one thread, or one asker, at a time.

    A thread that has it may take it again.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.RLock()
        self._who = ""

    @contextmanager
    def taken(self, who: str, patience: float) -> Iterator[None]:
        """Have the right, as ``who`` is called in a sentence.

        Raises:
            StoreBusyError: another has it still after so many seconds.
        """
        if not self._lock.acquire(timeout=patience):
            raise StoreBusyError(
                f"the index {self._folder} is being changed by {self._who}; wait until it has "
                "finished, or stop it"
            )
        before, self._who = self._who, who
        try:
            yield
        finally:
            self._who = before
            self._lock.release()


class IndexLock:
    """The right to use the index in ``folder``, until ``release``.

    Args:
        folder: of the index.
        alone: whether no other process may so much as read, because the points are in the folder.
        patience: seconds to wait for a process that has it.
        reading: whether a folder that cannot be written will do.
        borrow: asks the process that has it for its store, with that many seconds of patience; None
            where that is of no use.

    Attributes:
        refusal: why the folder cannot be written; None where it can, or nobody has asked.
        loan: the store of the process that has the index, if it was borrowed.
        turn: the right to change it, which this process gives where it has it alone.

    Raises:
        StoreBusyError: another process still has it then.
        StoreError: the folder cannot be written.
    """

    def __init__(
        self,
        folder: Path,
        *,
        alone: bool,
        patience: float,
        reading: bool = False,
        borrow: Callable[[str, float], Loan | None] | None = None,
    ) -> None:
        self.refusal: str | None = None
        self.loan: Loan | None = None
        self.turn = Turn(folder)
        self._borrow = borrow
        self._folder = folder
        self._lock = folder / "lock"
        # Another thread may close what one has opened; among writers, each thread waits for itself.
        self._file = FileLock(self._lock, thread_local=not alone)
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

    @property
    def held(self) -> bool:
        """Whether no other process can have the index now."""
        return self._alone and self.refusal is None and self.loan is None

    def renew(self) -> None:
        """Take or borrow the index anew, after whoever lent it has ended.

        Raises:
            StoreBusyError, StoreError: as above.
        """
        if self.loan is not None:
            self.loan.close()
            self._acquire()

    @contextmanager
    def writing(self, *, replacing: bool = False) -> Iterator[None]:
        """Hold the right to change what is in the folder.

        Args:
            replacing: even the store itself, which only the process can that has it open.

        Raises:
            StoreBusyError, StoreError: as above.
        """
        if self.refusal is not None:
            raise StoreError(self.refusal)
        if self._alone:
            with self.turn.taken(f"process {os.getpid()} ({_command()})", self._patience):
                if (loan := self.loan) is None:
                    yield
                    return
                if replacing:
                    raise self._busy()
                loan.claim(self._patience)
                try:
                    yield
                finally:
                    loan.release()
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
        if self.held:
            self._release()

    def _acquire(self) -> None:
        try:
            for file in (self._lock, self._holder):
                if file.is_symlink():  # what it leads to would be emptied
                    file.unlink()
            if self._taken():
                self._holder.write_text(f"{os.getpid()} {_command()}\n", encoding="utf-8")
        except Timeout:
            raise self._busy() from None
        except OSError as error:
            self._file.release()
            raise StoreError(
                f"the index {self._folder} cannot be opened for writing ({error.strerror}); "
                "copy it to a folder you may write to"
            ) from error

    def _taken(self) -> bool:
        """Wait for the lock, or for a process that has it and lends its store: then False."""
        if self._borrow is None:
            self._file.acquire(timeout=self._patience)
            return True
        until = time.monotonic() + self._patience
        while True:
            with suppress(Timeout):
                self._file.acquire(timeout=0)
                self.loan = None
                return True
            left = until - time.monotonic()
            if loan := self._borrow(_command(), max(left, _LEAST_PATIENCE)):
                self.loan = loan
                return False
            if left < 0:
                raise Timeout(str(self._lock))
            time.sleep(0.05)

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


def _command() -> str:
    return readable(shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]))
