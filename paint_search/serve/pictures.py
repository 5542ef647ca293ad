"""Pictures as a browser can show them: of works, and of what was uploaded to be looked for.

Files are read again from where they lie; uploads wait in a private folder that goes with the
server, and the oldest go when there are too many.
"""

import hashlib
import io
import tempfile
import threading
from collections import OrderedDict
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from paint_search.indexer.images.thumbnails import extent, scaled

UPLOADED: Final = "picture-"
"""How the name of an upload begins."""
_QUALITY: Final = 84
_MOST_BYTES: Final = 2**29  # of all uploads
_THUMBNAILS: Final = 8192  # in memory, about 15 kB each


@dataclass(frozen=True, eq=False)
class Upload:
    """A picture that somebody has sent."""

    id: str  #: made of its content, so that the same picture has the same name
    file: Path
    size: tuple[int, int]  #: width and height in pixels, upright
    vector: NDArray[np.float32]  #: (d,) its embedding


class Uploads:
    """The pictures that were sent, the last ones used up to half a gigabyte."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="paint-search-serve-")
        self._kept: OrderedDict[str, Upload] = OrderedDict()
        self._bytes = 0
        self._turn = threading.Lock()

    def add(self, content: bytes, vector: NDArray[np.float32]) -> Upload:
        """Keep a picture that was embedded.

        Raises:
            ImageError: its size cannot be read.
        """
        name = UPLOADED + hashlib.sha256(content).hexdigest()[:32]
        with self._turn:
            if name not in self._kept:
                file = Path(self._folder.name) / name
                file.write_bytes(content)
                self._kept[name] = Upload(name, file, extent(content), vector)
                self._bytes += len(content)
            self._kept.move_to_end(name)
            while self._bytes > _MOST_BYTES and len(self._kept) > 1:
                _, oldest = self._kept.popitem(last=False)
                self._bytes -= oldest.file.stat().st_size
                oldest.file.unlink()
            return self._kept[name]

    def find(self, name: str) -> Upload | None:
        """Return an upload; None where it is gone."""
        with self._turn:
            if name in self._kept:
                self._kept.move_to_end(name)
            return self._kept.get(name)

    def close(self) -> None:
        """Delete all of them."""
        self._folder.cleanup()


@lru_cache(_THUMBNAILS)
def thumbnail(file: Path, stamp: tuple[int, int], size: int) -> bytes:
    """Return a small picture as JPEG; ``stamp`` is the file's, by which a changed one is known.

    Raises:
        ImageError: it cannot be had.
    """
    return jpeg(file, size)


def jpeg(file: Path, size: int) -> bytes:
    """Return a picture as JPEG, its longer side ``size`` pixels; it is never enlarged.

    Raises:
        ImageError: it cannot be had.
    """
    stream = io.BytesIO()
    scaled(file, min(size, max(extent(file)))).save(stream, "JPEG", quality=_QUALITY)
    return stream.getvalue()
