"""One BLAS thread for as long as small matrices are at work, in any number of Python threads.

BLAS starts its threads even for a 27 x 27 eigenproblem, where they do nothing but wait: five times
the CPU time. The setting is one for the whole process, so the last to leave restores it.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from threadpoolctl import ThreadpoolController

_lock = threading.Lock()
_users = 0
_limit: Any = None


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Hold numpy's BLAS to one thread inside the ``with`` block."""
    global _users, _limit
    with _lock:
        if _users == 0:
            _limit = _controller().limit(limits=1, user_api="blas")
        _users += 1
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if _users == 0:
                _limit.restore_original_limits()


@lru_cache(maxsize=1)
def _controller() -> ThreadpoolController:
    """Find the libraries once: it takes a millisecond."""
    return ThreadpoolController()
