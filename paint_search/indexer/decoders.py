"""Files -> pixels, hashes and descriptions, by as many workers as this process may use cores.

Much of what Pillow and the descriptors do holds the interpreter's lock, so that threads cannot fill
the cores. A few files are not worth the start of processes, and are read in threads.
"""

import signal
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from paint_search.errors import ImageError
from paint_search.indexer.images.decode import MEGAPIXELS, Damaged, decode, share_budget
from paint_search.indexer.images.perceptual_hash import look
from paint_search.indexer.images.preprocessing import Preprocessing
from paint_search.indexer.images.trim import Box
from paint_search.indexer.shared import cores, one_blas_thread

#: Files below which processes take longer to start than they save.
WORTH_PROCESSES: Final = 256

_SETTINGS: Final = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}

#: Makes descriptions, (n, d) float32, of (n, size, size, 3) pixels.
Describe = Callable[[NDArray[np.uint8]], NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class Read:
    """What is known of a file that was read once.

    Attributes:
        pixels: (size, size, 3) uint8 sRGB, as the backbone wants them.
        digest: the hash of its content.
        look: the perceptual hash.
        description: (d,), where the backbone works from descriptions.
        damage: what is amiss with a picture that is used all the same.
        kept: what is left of a picture whose border was cut off.
    """

    pixels: NDArray[np.uint8]
    digest: str
    look: str
    description: NDArray[np.float32] | None
    damage: str | None
    kept: Box | None


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads files for one backbone, in whatever thread or process it is called.

    Attributes:
        preprocessing: what the backbone wants its pixels to look like.
        max_pixels: limit of the decoder.
        damaged: whether pictures that are damaged are used as far as they go.
        describe: makes what the backbone works from beside pixels, or instead of them; None where
            pixels are enough.
    """

    preprocessing: Preprocessing
    max_pixels: int
    damaged: Damaged
    describe: Describe | None

    def __call__(self, files: Sequence[Path]) -> list[Read | ImageError]:
        """Return what each file holds, or why it cannot be used."""
        return [self._read(file) for file in files]

    def _read(self, file: Path) -> Read | ImageError:
        try:
            made = decode(file, self.preprocessing, self.max_pixels, self.damaged, own=False)
        except ImageError as error:
            return error
        description = self.describe(made.pixels[np.newaxis])[0] if self.describe else None
        seen = look(made.pixels)
        return Read(made.pixels, made.digest, seen, description, made.damage, made.kept)


@contextmanager
def decoders(pending: int) -> Iterator[tuple[Executor, int]]:
    """Give what runs a ``Reader``, and how many workers it has.

    Args:
        pending: files that are to be read, about.
    """
    workers = cores()
    if workers == 1 or pending < WORTH_PROCESSES:
        threads = ThreadPoolExecutor(workers, thread_name_prefix="decode")
        try:
            yield threads, workers
        finally:
            threads.shutdown(wait=True, cancel_futures=True)
        return
    from loky import ProcessPoolExecutor  # whose processes do not run the user's script again
    from loky.backend.context import get_context

    shared = get_context()
    budget = (shared.Lock(), shared.Semaphore(MEGAPIXELS))
    processes = ProcessPoolExecutor(
        workers, initializer=_begin, initargs=budget, env=_SETTINGS, context=shared
    )
    try:
        yield processes, workers
    finally:
        processes.shutdown(wait=True, kill_workers=True)


def _begin(turn: Any, megapixels: Any) -> None:
    """Make a process ready: memory is shared with the others, Ctrl-C is for the parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    warnings.filterwarnings("ignore", module="PIL")  # an ImageError says what is amiss
    share_budget(turn, megapixels)
    one_blas_thread().__enter__()  # for good
