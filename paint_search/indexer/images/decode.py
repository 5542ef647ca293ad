"""Any image file -> a square of sRGB pixels as the backbone wants it, or the reason why not.

Reads by content, never by extension. Large files are reduced while decoding, as many at a time as
memory allows, and nothing above the pixel limit is decoded at all. Never prints and never raises
but ImageError.
"""

import hashlib
import io
import os
import threading
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import lru_cache, partial
from math import ceil
from pathlib import Path
from typing import IO, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageOps

from paint_search.errors import ImageError, OwnPictureError, argument
from paint_search.indexer.images.formats import decodes_slowly, is_own, open_picture, white_of
from paint_search.indexer.images.preprocessing import Preprocessing
from paint_search.indexer.images.trim import Box, plain_border
from paint_search.indexer.shared import shared

#: Most pixels decoded for one image; at 4 bytes a pixel, 8 while it is turned upright, 1.6 GB.
MAX_PIXELS = 200_000_000

#: Most that are decoded at the same time, in millions.
MEGAPIXELS = MAX_PIXELS // 1_000_000

#: Files up to so many bytes are read once, into memory; larger ones once for their hash, and again.
_WHOLE = 16 * 1024 * 1024

#: Pixels converted at a time while a large picture is made smaller.
_STRIP = 1_000_000

#: Side of what a JPEG decoder takes at once, and the share of such blocks that may be missing from
#: a picture that is whole for all that one sees.
_BLOCK = 16
_ONLY_THE_END = 0.005

#: How a scan of a JPEG begins.
_SCAN = b"\xff\xda"

#: Source pixels kept per target pixel and axis before the final, better resampling.
_OVERSAMPLING = 1.3


class _PixelBudget:
    """Lets workers decode at once what fits together: the bound above holds for all of them.

    Whoever waits for room is not overtaken, however small the others are.
    """

    def __init__(self, turn: AbstractContextManager[Any], megapixels: threading.Semaphore) -> None:
        self._turn, self._free = turn, megapixels

    @contextmanager
    def spend(self, pixels: int) -> Iterator[None]:
        """Wait until so many pixels may be held, and hold them; more than all count as all."""
        units = min(MEGAPIXELS, -(-pixels // 1_000_000))
        with self._turn:
            for _ in range(units):
                self._free.acquire()
        try:
            yield
        finally:
            for _ in range(units):
                self._free.release()


_budget = _PixelBudget(threading.Lock(), threading.Semaphore(MEGAPIXELS))


def share_budget(turn: AbstractContextManager[Any], megapixels: threading.Semaphore) -> None:
    """Spend from what other processes spend from too.

    Args:
        turn: a lock of them all.
        megapixels: a semaphore of them all, made with ``MEGAPIXELS``.
    """
    global _budget
    _budget = _PixelBudget(turn, megapixels)


#: What is made of a damaged picture that can be shown in part.
Damaged = Literal["skip", "use"]


@dataclass(frozen=True, slots=True)
class Decoded:
    """The pixels of one file, (size, size, 3) uint8 sRGB, and the BLAKE2b hash of its bytes.

    ``damage`` says what is amiss with a picture that was used all the same, ``kept`` what is left
    of one whose border was cut off, ``size`` the width and height of the whole as it is shown.
    """

    pixels: NDArray[np.uint8]
    digest: str
    size: tuple[int, int]
    damage: str | None = None
    kept: Box | None = None


class _Fitted(NamedTuple):
    """A picture made square, of what size it was, and what of it was kept."""

    square: Image.Image
    size: tuple[int, int]
    kept: Box | None

    def decoded(self, digest: str, damage: str | None = None) -> Decoded:
        return Decoded(np.asarray(self.square), digest, self.size, damage, self.kept)


def decode(
    source: Path | bytes | Image.Image | NDArray[np.uint8],
    preprocessing: Preprocessing,
    max_pixels: int = MAX_PIXELS,
    damaged: Damaged = "skip",
    own: bool = True,
) -> Decoded:
    """Decode a picture and fit it to the square that ``preprocessing`` describes.

    Args:
        source: a file, the bytes of one, an open Pillow image, or (h, w, 3) sRGB pixels.
        preprocessing: what the backbone wants.
        max_pixels: most pixels that are decoded.
        damaged: whether a JPEG that is cut short is used as far as it goes. One that lacks no
            more than its end always is.
        own: whether what this program wrote of an index, sheets and plots, is decoded.

    Raises:
        ImageError: with the reason, fit to stand in a skip list.
    """
    if isinstance(source, Image.Image | np.ndarray):
        return _from_memory(source, preprocessing)
    decode_file = partial(_decode_file, source, preprocessing, max_pixels, damaged, own)
    try:
        try:
            return decode_file()
        except Warning:  # only where the host makes errors of warnings
            with _hushed():
                return decode_file()
    except ImageError:
        raise
    except OSError as error:
        raise ImageError(_reason(error)) from error
    except MemoryError as error:
        raise ImageError(
            f"not enough memory to decode it; lower {argument('max_pixels')}"
        ) from error
    except Exception as error:  # Pillow's plugins raise nearly anything on damaged files
        raise ImageError(f"damaged image ({type(error).__name__}: {error})") from error


def _decode_file(
    source: Path | bytes, preprocessing: Preprocessing, max_pixels: int, damaged: Damaged, own: bool
) -> Decoded:
    with _opened(source) as stream:
        digest = hashlib.file_digest(stream, _blake2b).hexdigest()
        stream.seek(0)
        name = source.name if isinstance(source, Path) else ""
        try:
            return _picture(stream, name, preprocessing, max_pixels, own).decoded(digest)
        except OSError as error:
            if error.strerror or "truncated" not in str(error):
                raise
            fitted, damage = _cut_short(stream, preprocessing, max_pixels, damaged)
            return fitted.decoded(digest, damage)


def _from_memory(source: Image.Image | NDArray[np.uint8], preprocessing: Preprocessing) -> Decoded:
    """Fit a picture that a program holds; its hash is that of its pixels."""
    if isinstance(source, np.ndarray):
        if source.dtype != np.uint8 or source.ndim != 3 or source.shape[2] != 3:
            raise ImageError(
                f"an array of shape {source.shape} and type {source.dtype} is no picture; give "
                "(h, w, 3) uint8"
            )
        source = Image.fromarray(source)
    picture = source.copy()  # turning it upright would change the caller's
    digest = hashlib.blake2b(picture.tobytes(), digest_size=16).hexdigest()
    return _fitted(picture, preprocessing, picture.size).decoded(digest)


def _opened(source: Path | bytes) -> io.BytesIO | io.BufferedReader:
    """Return what to read a file from: its content where that is small, else the file."""
    if isinstance(source, bytes):
        return io.BytesIO(source)
    stream = source.open("rb")
    size = os.fstat(stream.fileno()).st_size
    if size > _WHOLE:
        return stream
    with stream:  # what is no plain file has no size
        return io.BytesIO(stream.read(size or _WHOLE + 1))


def _blake2b() -> Any:
    return hashlib.blake2b(digest_size=16)


def _picture(
    stream: IO[bytes], name: str, preprocessing: Preprocessing, max_pixels: int, own: bool = True
) -> _Fitted:
    opened = open_picture(stream, name)
    whole = opened.size
    pixels = whole[0] * whole[1]
    if opened.pillow is not None:
        if not own and is_own(opened.pillow):
            raise OwnPictureError("a picture that paint-search wrote of an index, not a painting")
        _shrink_on_load(opened.pillow, preprocessing)
        pixels = _pixels_to_decode(opened.pillow)
        if decodes_slowly(opened.pillow):
            raise ImageError(
                f"{pixels / 1e6:.0f} million pixels of {opened.pillow.format}, which would take "
                "minutes to decode; save it as TIFF, PNG or JPEG"
            )
    if pixels > max_pixels:
        width, height = opened.size
        raise ImageError(
            f"{width} x {height} pixels need {pixels / 1e6:.0f} million decoded, above the "
            f"limit of {max_pixels / 1e6:.0f} million; raise {argument('max_pixels')}"
        )
    with _budget.spend(pixels), opened.load() as image:
        return _fitted(image, preprocessing, whole)


def _cut_short(
    stream: IO[bytes], preprocessing: Preprocessing, max_pixels: int, damaged: Damaged
) -> tuple[_Fitted, str]:
    """Decode a JPEG without its end as far as it goes, and say how much is missing.

    Raises:
        ImageError: too much is, or it is no JPEG.
    """
    stream.seek(0)
    ended = stream.read() + b"\xff\xd9"  # what the decoder cannot know it then fills with flat grey
    opened = open_picture(io.BytesIO(ended)).pillow
    if opened is None or opened.format not in ("JPEG", "MPO"):
        raise ImageError("damaged image: the file is cut short")
    if opened.info.get("progressive"):
        # Cut within the last scan, it lacks a bit of some numbers, which nobody sees.
        missing = 0.0 if _in_last_scan(ended) else 1.0
        words = "the file is cut short; it lacks its end or its finer detail"
    else:
        with _budget.spend(opened.width * opened.height):
            missing = _flat_end(opened)
        words = f"the file is cut short; it lacks its end, or {missing:.0%} of the picture"
    if missing > _ONLY_THE_END and damaged == "skip":
        raise ImageError(
            f"damaged image: {words}; {argument('damaged', 'use')} takes it as far as it goes"
        )
    return _picture(io.BytesIO(ended), "", preprocessing, max_pixels), words


def _in_last_scan(jpeg: bytes) -> bool:
    """Tell whether a progressive JPEG has begun to say the last bits of all of its channels.

    By the headers of its scans (ITU-T T.81, B.2.3): those whose band ends with coefficient 63.
    """
    at = 2  # past the notes, where a preview may have scans too
    while at < len(jpeg) - 4 and jpeg[at + 1] != _SCAN[1]:
        at += 2 + int.from_bytes(jpeg[at + 2 : at + 4])
    begun, last = set[int](), set[int]()
    while at >= 0 and len(header := jpeg[at + 4 : at + 16]) > 4:
        end = 1 + 2 * header[0]
        channels = set(header[1:end:2])
        begun |= channels
        if header[end + 1 : end + 2] == b"\x3f" and header[end + 2] & 15 == 0:
            last |= channels
        at = jpeg.find(_SCAN, at + 2)
    return bool(begun) and begun == last


def _flat_end(picture: Image.Image) -> float:
    """Return the share of blocks after which there is nothing but one colour, row by row."""
    grays = np.asarray(picture.convert("L"))
    high, wide = (side // _BLOCK for side in grays.shape)
    blocks = grays[: high * _BLOCK, : wide * _BLOCK].reshape(high, _BLOCK, wide, _BLOCK)
    lively = np.flatnonzero(np.ptp(blocks, axis=(1, 3)).ravel() > 0)
    last = int(lively[-1]) + 1 if len(lively) else 0
    return float(1 - last / max(1, high * wide))


def _fitted(image: Image.Image, preprocessing: Preprocessing, whole: tuple[int, int]) -> _Fitted:
    """Fit a picture that may have been made smaller while it was decoded; ``whole`` it was so."""
    image.load()
    lying = image.size
    ImageOps.exif_transpose(image, in_place=True)
    if image.size != lying:
        whole = whole[::-1]
    factor = max(1, int(_spare(image, preprocessing)))
    extent = (image.width / factor, image.height / factor)
    small = _reduced(image, factor)
    if small.mode in ("I", "F"):
        small = _eight_bits(small, 65535.0 if image.mode.startswith("I;16") else None)
    small = _to_srgb(small, image.info.get("icc_profile"))
    kept = plain_border(small) if preprocessing.trim == "auto" else None
    if kept is not None:
        left, top = ceil(kept[0] * small.width), ceil(kept[1] * small.height)
        right, bottom = int(kept[2] * small.width), int(kept[3] * small.height)
        extent = (min(right, extent[0]) - left, min(bottom, extent[1]) - top)
        small = small.crop((left, top, right, bottom))
    return _Fitted(preprocessing.fit_image(small, extent), whole, kept)


def _shrink_on_load(image: Image.Image, preprocessing: Preprocessing) -> None:
    """Let the JPEG decoder halve the picture (up to 1/8) while it is still larger than needed."""
    spare = _spare(image, preprocessing)
    if spare > 1:
        image.draft(None, (int(image.width / spare), int(image.height / spare)))


def _spare(image: Image.Image, preprocessing: Preprocessing) -> float:
    """Return by how much each side exceeds what good resampling to the target needs."""
    short, long = sorted(image.size)
    return short / (preprocessing.short_side(short, long) * _OVERSAMPLING)


def _pixels_to_decode(image: Image.Image) -> int:
    """Count the pixels that decoding holds at once; a progressive JPEG holds its full size."""
    width, height = image.size
    if image.info.get("progressive") and image.format in ("JPEG", "MPO"):
        # Empty for one that is not made smaller while it is decoded.
        scale = (*getattr(image, "decoderconfig", ()), 1)[0] or 1
        return int(width * height * scale * scale)
    return width * height


def _reduced(image: Image.Image, factor: int) -> Image.Image:
    """Average blocks of ``factor`` x ``factor`` pixels, in strips: never a second large copy."""
    if factor == 1:
        return _plain_mode(image)
    width, height = image.size
    rows = max(1, _STRIP // (width * factor)) * factor
    tops = range(0, height, rows)
    strips = (image.crop((0, top, width, min(top + rows, height))) for top in tops)
    parts = [_plain_mode(strip).reduce(factor) for strip in strips]
    small = Image.new(parts[0].mode, (parts[0].width, sum(part.height for part in parts)))
    for top, part in zip(tops, parts, strict=True):
        small.paste(part, (0, top // factor))
    return small


def _plain_mode(image: Image.Image) -> Image.Image:
    """Return the image in a mode that can be averaged: L, RGB, CMYK, LAB, I or F, without alpha."""
    if image.mode.startswith("I;16"):
        return image.convert("I")
    if image.mode in ("I", "F"):
        return image
    if image.has_transparency_data:
        layers = image.convert("RGBA")
        white = Image.new("RGBA", layers.size, "white")
        return Image.alpha_composite(white, layers).convert("RGB")
    if image.mode in ("RGB", "L", "CMYK", "LAB"):
        return image
    return image.convert("L" if image.mode == "1" else "RGB")


def _eight_bits(image: Image.Image, white: float | None) -> Image.Image:
    """Scale integer or float grays to 8 bits; ``white`` None: by the range their values tell of."""
    values = np.asarray(image, dtype=np.float32)
    shares = np.nan_to_num(values / (white or white_of(values)), posinf=1.0, neginf=0.0)
    return Image.fromarray((np.clip(shares, 0.0, 1.0) * 255.0).astype(np.uint8))


def _to_srgb(image: Image.Image, icc_profile: bytes | None) -> Image.Image:
    """Apply the embedded colour profile; a damaged or unfit one is passed over, as viewers do."""
    if icc_profile:
        try:
            transformed = ImageCms.applyTransform(image, _transform(icc_profile, image.mode))
            if transformed is not None:
                return transformed
        except (ImageCms.PyCMSError, OSError, ValueError):
            pass
    return image if image.mode == "RGB" else image.convert("RGB")  # which would copy it


@lru_cache(maxsize=64)
def _transform(icc_profile: bytes, mode: str) -> ImageCms.ImageCmsTransform:
    source = ImageCms.ImageCmsProfile(io.BytesIO(icc_profile))
    return ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), mode, "RGB")


@shared
def _hushed() -> AbstractContextManager[object]:
    """Keep the warnings of Pillow from becoming errors."""
    return warnings.catch_warnings(action="ignore")


def _reason(error: OSError) -> str:
    if error.strerror:
        return f"cannot be read: {error.strerror}"
    if "truncated" in str(error).lower():
        return "damaged image: the file is cut short"
    return f"damaged image ({error})"
