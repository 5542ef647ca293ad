"""What kind of picture a file holds, and what opens it: Pillow, one of its plugins, or tifffile.

Goes by the content; only camera raw, which is TIFF by its content, is told by its name as well.
"""

import ctypes
import io
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
import PIL
from numpy.typing import NDArray
from PIL import Image, ImageFile, UnidentifiedImageError
from PIL.PngImagePlugin import PngInfo

from paint_search.errors import ImageError, NotAnImageError, missing_libraries

#: Formats whose Pillow plugins start other programs, decode nothing, or decode (icons, textures) a
#: picture of another size than they declare.
_REFUSED: Final = frozenset(
    {"BLP", "BUFR", "CUR", "EPS", "GRIB", "HDF5", "ICNS", "ICO", "MPEG", "WMF"}
)

#: Pillow's decoders in Python take seconds and many times the memory for larger pictures.
_SLOW_PIXELS: Final = 4_000_000

_HEAD: Final = 64
_PREFIX: Final = 16  # bytes that Pillow shows its openers
_TIFF: Final = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")

#: Brands of ISO media files that are pictures.
_HEIF: Final = frozenset(
    {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1", b"mif2"}
)

#: First bytes of pictures that neither Pillow nor a plugin is sure to open, and what they are.
_KINDS: Final[Mapping[bytes, str]] = {
    b"\xff\x0a": "JPEG XL",
    b"\0\0\0\x0cJXL \r\n\x87\n": "JPEG XL",
    b"FUJIFILMCCD-RAW": "camera raw",
    b"IIRO": "camera raw",
    b"IIRS": "camera raw",
    b"MMOR": "camera raw",
    b"IIU\0": "camera raw",
    b"FOVb": "camera raw",
    b"\0MRM": "camera raw",
    b"II\xbc": "JPEG XR",
    b"v/1\x01": "OpenEXR",
    b"8BPS\0\x02": "large Photoshop document (PSB)",
    b"AT&TFORM": "DjVu",
}
_RAW_NAMES: Final = (
    ".3fr .arw .cr2 .cr3 .dng .erf .iiq .kdc .mef .mos .nef .nrw .orf .pef .raf .rw2 .srw"
)

#: Where to get what opens them.
_PLUGINS: Final = {"JPEG XL": "pillow_jxl", "camera raw": "rawpy"}

_WHITE_IS_ZERO, _GREY, _RGB, _COLOUR_FILTER = (
    0,
    1,
    2,
    32803,
)  # kinds of pictures in a TIFF, the latter of sensors
_ORIENTATION, _PROFILE, _DNG_VERSION = 274, 34675, 50706  # tags of a TIFF

#: What pictures that this program writes of an index say of themselves, as PNG and EXIF have it.
SOFTWARE: Final = "paint-search"
_SOFTWARE_TAG: Final = 305


#: Opens a stream, and tells by its first bytes whether it may.
_Opener = tuple[Callable[..., Any], Callable[[bytes], Any] | None]


@dataclass(frozen=True)
class Opened:
    """A picture of which the size is known, and that is not decoded yet.

    Attributes:
        size: width and height.
        load: decodes it, and gives a picture that Pillow knows all about.
        pillow: the picture as Pillow opened it, where Pillow decodes it.
    """

    size: tuple[int, int]
    load: Callable[[], Image.Image]
    pillow: ImageFile.ImageFile | None = None


def open_picture(stream: IO[bytes], name: str = "") -> Opened:
    """Open a picture by its content, without decoding it.

    Pillow's own limit of pixels is the host's business and is passed over: the caller has one.

    Args:
        stream: a file.
        name: of the file, by which camera raw is told.

    Raises:
        NotAnImageError: it is no picture.
        ImageError: it is one of a kind that is not read here, with what would.
        OSError: it is damaged, or cannot be read.
    """
    head = stream.read(_HEAD)
    kind = _kind(head, name)
    if kind == "camera raw":
        return _raw(stream)
    if head[:4] in _TIFF and (wide := _tiff(stream, head)):
        return wide
    for opener, accepts in _openers():
        if accepts is not None and not _agrees(accepts, head):
            continue
        stream.seek(0)
        with suppress(SyntaxError, IndexError, TypeError, UnidentifiedImageError):
            picture: ImageFile.ImageFile = opener(stream, "")
            return Opened(picture.size, partial(_itself, picture), picture)
    if kind is None:
        raise NotAnImageError("not an image, or of a kind that cannot be read")
    raise _unread(kind)


def is_picture(file: Path) -> bool:
    """Tell by its content whether a file is a picture, read here or not, without decoding it."""
    try:
        with file.open("rb") as stream:
            open_picture(stream, file.name)
    except NotAnImageError:
        return False
    except (ImageError, Warning):  # the latter where the host makes errors of them
        return True
    except Exception:  # whatever a plugin makes of a damaged file, it is no usable picture
        return False
    return True


def is_own(picture: Image.Image) -> bool:
    """Tell whether this program wrote the picture: a sheet or a plot, not a painting."""
    if picture.info.get("Software") == SOFTWARE:
        return True
    return "exif" in picture.info and picture.getexif().get(_SOFTWARE_TAG) == SOFTWARE


def signed() -> dict[str, Any]:
    """Return the keywords with which Pillow writes a picture that ``is_own`` knows again."""
    text, exif = PngInfo(), Image.Exif()
    text.add_text("Software", SOFTWARE)
    exif[_SOFTWARE_TAG] = SOFTWARE
    return {"pnginfo": text, "exif": exif}


def decodes_slowly(picture: ImageFile.ImageFile) -> bool:
    """Tell whether Pillow decodes this one in Python, and it is too large for that."""
    slow = any(tile[0] in Image.DECODERS for tile in picture.tile)
    return slow and picture.width * picture.height > _SLOW_PIXELS


def _openers() -> Iterator[_Opener]:
    """Yield Pillow's openers and its plugins', the host's list of them left as it is.

    Those of the usual formats come first: to import the others takes longer than to decode a JPEG.
    """
    Image.preinit()
    yield from [opener for name, opener in Image.OPEN.items() if name not in _REFUSED]
    yield from _all_openers()


@lru_cache(maxsize=1)
def _all_openers() -> list[_Opener]:
    from pillow_heif import HeifImageFile

    Image.init()
    _hush_libtiff()
    openers: list[_Opener] = [o for name, o in Image.OPEN.items() if name not in _REFUSED]
    openers.append((HeifImageFile, lambda head: head[4:8] == b"ftyp" and head[8:12] in _HEIF))
    with suppress(ImportError):
        from pillow_jxl.JpegXLImagePlugin import JXLImageFile

        openers.append((JXLImageFile, lambda head: _kind(head, "") == "JPEG XL"))
    return openers


def _itself(picture: Image.Image) -> Image.Image:
    return picture


def _agrees(accepts: Callable[[bytes], Any], head: bytes) -> bool:
    """Tell whether an opener takes a file that begins so; a text is its refusal."""
    with suppress(Exception):  # a plugin may trip over short files
        answer = accepts(head[:_PREFIX])
        return bool(answer) and not isinstance(answer, str)
    return False


def _kind(head: bytes, name: str) -> str | None:
    """Name a format by its first bytes; None where Pillow is to be asked."""
    if head[4:8] == b"ftyp":
        if head[8:12] == b"crx ":
            return "camera raw"
        return "HEIF" if head[8:12] in _HEIF else None
    named_raw = Path(name).suffix.lower() in _RAW_NAMES.split()
    if head[:4] in _TIFF and (named_raw or head[8:10] == b"CR"):
        return "camera raw"
    return next((kind for first, kind in _KINDS.items() if head.startswith(first)), None)


def _unread(kind: str) -> ImageError:
    plugin = _PLUGINS.get(kind)
    missing = missing_libraries("formats", plugin) if plugin else None
    if missing:
        return ImageError(f"a picture in {kind}, which needs {missing}")
    return ImageError(f"a picture in {kind}, which is not read; save it as TIFF, PNG or JPEG")


def _raw(stream: IO[bytes]) -> Opened:
    """Open a camera's raw picture, which is shown as the camera would, in sRGB."""
    try:
        import rawpy
    except ImportError as error:
        raise _unread("camera raw") from error
    stream.seek(0)
    content = stream.read()

    def develop() -> Image.Image:
        try:
            with rawpy.imread(io.BytesIO(content)) as raw:
                return Image.fromarray(raw.postprocess(use_camera_wb=True))
        except rawpy.LibRawError as error:
            raise ImageError(f"a camera raw file that cannot be developed ({error})") from error

    try:
        with rawpy.imread(io.BytesIO(content)) as raw:
            return Opened((raw.sizes.width, raw.sizes.height), develop)
    except rawpy.LibRawError as error:
        raise ImageError(f"a camera raw file that cannot be read ({error})") from error


def _tiff(stream: IO[bytes], head: bytes) -> Opened | None:
    """Open a TIFF that Pillow reads wrongly or not at all; None where Pillow is to read it.

    It takes planes of 16 bits, floats of the other byte order, numbers of 32 bits, and 16 bits of
    which white is zero for something else, without a word.
    """
    import tifffile

    stream.seek(0)
    try:
        page = tifffile.TiffFile(stream).pages.first
        bits, dtype, tags = page.bitspersample, page.dtype, page.tags
    except Exception:  # tifffile raises nearly anything; Pillow may be more patient
        return None
    if _DNG_VERSION in tags or page.photometric == _COLOUR_FILTER:
        return _raw(stream)
    kind = "" if dtype is None else dtype.kind
    if bits <= 8 and kind in "ub":
        return None
    # Pillow also has codecs, such as LZW, that tifffile lacks.
    in_pixels = page.planarconfig == 1
    if in_pixels and kind == "u" and bits == 16 and page.photometric in (_GREY, _RGB):
        return None
    if in_pixels and kind == "f" and page.photometric == _GREY and head[:2] == b"II":
        return None
    return Opened((page.imagewidth, page.imagelength), partial(_wide, page))


def _wide(page: Any) -> Image.Image:
    """Return a page of a TIFF, of more than 8 bits a channel, with 8."""
    try:
        values = page.asarray()
    except Exception as error:  # also where tifffile lacks a codec
        raise ImageError(
            f"a TIFF of {page.bitspersample} bits a channel that cannot be read right ({error}); "
            "save it with 8 bits a channel, or uncompressed"
        ) from error
    if page.planarconfig == 2 and values.ndim == 3:
        values = np.moveaxis(values, 0, -1)
    made = Image.fromarray(_eight_bits(values, inverted=page.photometric == _WHITE_IS_ZERO))
    if _PROFILE in page.tags:
        made.info["icc_profile"] = page.tags[_PROFILE].value
    if _ORIENTATION in page.tags:
        made.getexif()[_ORIENTATION] = int(page.tags[_ORIENTATION].value)
    return made


def _eight_bits(values: NDArray[Any], *, inverted: bool) -> NDArray[np.uint8]:
    """Return (h, w) or (h, w, 3) of any numbers as 8 bits; 16 bits and more by what they span."""
    colours = values[..., :3] if values.ndim == 3 and values.shape[2] >= 3 else values
    flat = colours[..., 0] if colours.ndim == 3 and colours.shape[2] < 3 else colours
    if flat.ndim not in (2, 3):
        raise ImageError(f"a TIFF of shape {values.shape}, which is no picture")
    shares = flat.astype(np.float32) / white_of(flat)
    shares = np.clip(np.nan_to_num(shares, posinf=1.0, neginf=0.0), 0.0, 1.0)
    return np.asarray(((1.0 - shares if inverted else shares) * 255.0).astype(np.uint8))


def white_of(values: NDArray[Any]) -> float:
    """Return the number that stands for white: of 16 bits the largest, else as far as they go.

    Values up to twice a usual range still mean that range: floats overshoot where they are sharp.
    """
    if values.dtype == np.uint16:
        return 65535.0
    top = float(values.max(initial=0, where=np.isfinite(values)))
    if top > 2**30:
        return 2.0**31 - 1 if top < 2**31 else 2.0**32 - 1
    return next((full for full in (1.0, 255.0, 65535.0) if top <= 2 * full), top)


def _hush_libtiff() -> None:
    """Keep libtiff, which Pillow brings, from writing to the screen what Pillow raises anyway."""
    home = Path(PIL.__file__).parent
    for file in (*home.parent.glob("pillow.libs/libtiff*"), *home.glob(".dylibs/libtiff*")):
        library = ctypes.CDLL(str(file))
        library.TIFFSetWarningHandler(None)
        library.TIFFSetErrorHandler(None)
