"""Settings that are one for the whole process, and so are held by all its threads together."""

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import lru_cache

from threadpoolctl import ThreadpoolController


def shared(
    setting: Callable[[], AbstractContextManager[object]],
) -> Callable[[], AbstractContextManager[None]]:
    """Make a context that the first thread inside enters, and the last one to go leaves."""
    lock, held = threading.Lock(), ExitStack()
    users = 0

    @contextmanager
    def hold() -> Iterator[None]:
        nonlocal users
        with lock:
            if users == 0:
                held.enter_context(setting())
            users += 1
        try:
            yield
        finally:
            with lock:
                users -= 1
                if users == 0:
                    held.close()

    return hold


@shared
def one_blas_thread() -> AbstractContextManager[object]:
    """Hold numpy's BLAS to one thread.

    It starts its threads even for a 27 x 27 eigenproblem, where they do nothing but wait: five
    times the CPU time.
    """
    limit: AbstractContextManager[object] = _controller().limit(limits=1, user_api="blas")
    return limit


def cores() -> int:
    """Return how many cores this process may use: its affinity, and the limit of its cgroup."""
    from loky import cpu_count  # a tenth of a second, which a query must not wait for

    return int(cpu_count())


@lru_cache(maxsize=1)
def _controller() -> ThreadpoolController:
    """Find the libraries once: it takes a millisecond."""
    return ThreadpoolController()
