"""Files of paintings -> small pictures in their own shape, decoded by threads beside other work.

A file that has gone, or can no longer be read, gives a sheet that says so. Nothing is written.
"""

import io
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageDraw, ImageFont

from paint_search.errors import ImageError
from paint_search.indexer.images.decode import decode
from paint_search.indexer.images.formats import open_picture
from paint_search.indexer.images.preprocessing import Preprocessing

_PAPER: Final = (236, 232, 224)
_INK: Final = (125, 117, 106)
_LEGIBLE: Final = 150  # pixels: on less no words can be read
_BOX: Final = (178, 58, 42)
_ORIENTATION: Final = 0x0112  # of Exif; above 4 the sides are exchanged
_MARK: Final = (255, 0, 255)  # fills the square around a picture: hardly any has such an edge


def thumbnail(
    file: Path | bytes, size: int, box: tuple[int, int, int, int] | None = None
) -> Image.Image:
    """Return a picture, its longer side ``size`` pixels, or a sheet that says that there is none.

    ``file`` holds it, or is its bytes. ``box``, left, top, width and height in pixels of the whole,
    is drawn on it.
    """
    try:
        picture = scaled(file, size)
        whole = extent(file) if box is not None else (size, size)
    except ImageError:
        return _no_picture(size)
    if box is not None:
        scale = size / max(whole)
        left, top, right, bottom = (
            side * scale for side in (*box[:2], box[0] + box[2], box[1] + box[3])
        )
        draw = ImageDraw.Draw(picture)
        for inset, colour in enumerate((_PAPER, _BOX, _BOX)):
            edge = (left + inset, top + inset, right - inset, bottom - inset)
            draw.rectangle((*edge[:2], max(edge[0], edge[2]), max(edge[1], edge[3])), None, colour)
    return picture


def scaled(file: Path | bytes, size: int) -> Image.Image:
    """Return a picture in sRGB, upright, its longer side ``size`` pixels.

    Raises:
        ImageError: it cannot be had.
    """
    square = Preprocessing(size=size, fit="pad", interpolation="lanczos", mean=(1.0, 0.0, 1.0))
    padded = Image.fromarray(decode(file, square).pixels)
    margin = Image.new("RGB", padded.size, _MARK)
    return padded.crop(ImageChops.difference(padded, margin).getbbox())


def extent(file: Path | bytes) -> tuple[int, int]:
    """Return width and height of a picture in pixels, upright, without decoding it.

    Raises:
        ImageError: it is none, or cannot be read.
    """
    try:
        with io.BytesIO(file) if isinstance(file, bytes) else file.open("rb") as stream:
            opened = open_picture(stream, "" if isinstance(file, bytes) else file.name)
            turned = opened.pillow is not None and opened.pillow.getexif().get(_ORIENTATION, 1) > 4
    except ImageError:
        raise
    except Exception as error:  # Pillow's plugins raise nearly anything on damaged files
        reason = getattr(error, "strerror", None) or error
        raise ImageError(f"cannot be read ({reason})") from error
    width, height = opened.size
    return (height, width) if turned else (width, height)


def _no_picture(size: int) -> Image.Image:
    sheet = Image.new("RGB", (size, size), _PAPER)
    if size >= _LEGIBLE:
        font, middle = ImageFont.load_default(size / 18), (size / 2, size / 2)
        ImageDraw.Draw(sheet).text(middle, "no picture here", _INK, font, anchor="mm")
    return sheet


def is_missing(picture: Image.Image) -> bool:
    """Tell whether a thumbnail is the sheet that says that there is none."""
    width, height = picture.size
    return width == height and picture == _no_picture(width)


def shrunk(picture: Image.Image | NDArray[np.uint8], size: int) -> Image.Image:
    """Return a picture as RGB, neither side longer than ``size`` pixels; it is never enlarged.

    Args:
        picture: of any mode, or (height, width[, 3]) uint8.
        size: in pixels.
    """
    given = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    small = given.convert("RGB")
    small.thumbnail((size, size), Image.Resampling.LANCZOS)
    return small


@contextmanager
def decoding(
    files: Sequence[Path], size: int, done: Callable[[], None] = lambda: None
) -> Iterator[Callable[[int], Image.Image]]:
    """Decode thumbnails in the background; give a function from row to thumbnail that waits.

    Args:
        files: where the pictures lie; rows count them.
        size: of the longer side, in pixels.
        done: called after each one, from any thread.
    """

    def note(_: "Future[Image.Image]") -> None:
        done()

    with ThreadPoolExecutor(thread_name_prefix="thumbnails") as pool:
        pictures = [pool.submit(thumbnail, file, size) for file in files]
        for picture in pictures:
            picture.add_done_callback(note)
        try:
            yield lambda row: pictures[row].result()
        finally:
            pool.shutdown(cancel_futures=True)
