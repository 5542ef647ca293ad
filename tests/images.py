"""Pictures and files made by code, for the tests of what goes from files to pixels."""

from __future__ import annotations

import struct
import zlib
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from paint_search.indexer.images import Preprocessing

#: Squashes without resampling what is already 48 x 48, so that pixels can be compared.
PLAIN = Preprocessing(size=48, fit="squash")

Pixels = NDArray[np.uint8]


@lru_cache(maxsize=32)
def picture(width: int = 48, height: int = 48, seed: int = 0) -> Image.Image:
    """Paint smooth coloured waves and a bright corner: no symmetry, little fine detail."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    channels = []
    for _ in range(3):
        fx, fy, phase = rng.uniform(0.5, 2.5), rng.uniform(0.5, 2.5), rng.uniform(0, 6)
        channels.append(0.5 + 0.4 * np.sin(2 * np.pi * (fx * x + fy * y) + phase))
    values = np.stack(channels, axis=-1)
    values[(x < 0.3) & (y < 0.2)] = (1.0, 0.9, 0.2)
    return Image.fromarray((values * 255).astype(np.uint8))


def array(image: Image.Image) -> NDArray[np.float64]:
    """Return the RGB pixels as numbers that may be subtracted."""
    return np.asarray(image.convert("RGB"), dtype=np.float64)


def difference(one: Pixels, other: Image.Image | Pixels) -> float:
    """Return the mean absolute difference of two pictures, in levels of 0-255."""
    reference = array(other) if isinstance(other, Image.Image) else other.astype(float)
    return float(np.abs(one.astype(float) - reference).mean())


def cosine(one: Pixels, other: Pixels) -> float:
    """Return the cosine of two pictures' 8 x 8 colour layouts about middle gray."""
    layouts = [
        np.asarray(Image.fromarray(p).resize((8, 8), Image.Resampling.BOX), float).ravel() - 128
        for p in (one, other)
    ]
    return float(layouts[0] @ layouts[1] / np.prod([np.linalg.norm(v) for v in layouts]))


def write(path: Path, content: bytes | str = b"") -> Path:
    """Write a file and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def png(width: int, height: int, chunks: bytes = b"") -> bytes:
    """Return a PNG that declares this size and holds nearly nothing."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = zlib.compress(b"\0" * 16)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunks
        + chunk(b"IDAT", data)
        + chunk(b"IEND", b"")
    )


def chunk(kind: bytes, data: bytes) -> bytes:
    """Return a PNG chunk."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def psd(image: Image.Image) -> bytes:
    """Return an uncompressed RGB Photoshop document; Pillow reads them but writes none."""
    width, height = image.size
    header = b"8BPS" + struct.pack(">H6xHIIHH", 1, 3, height, width, 8, 3)
    planes = b"".join(band.tobytes() for band in image.convert("RGB").split())
    return header + b"\0" * 12 + b"\0\0" + planes


def oriented(image: Image.Image, orientation: int) -> tuple[Image.Image, Image.Exif]:
    """Return the pixels and the EXIF that a viewer shows as ``image`` (EXIF 2.3, tag 0x0112)."""
    turn = Image.Transpose
    undo = {
        2: turn.FLIP_LEFT_RIGHT,
        3: turn.ROTATE_180,
        4: turn.FLIP_TOP_BOTTOM,
        5: turn.TRANSPOSE,
        6: turn.ROTATE_90,
        7: turn.TRANSVERSE,
        8: turn.ROTATE_270,
    }
    exif = Image.Exif()
    exif[0x0112] = orientation
    return (image.transpose(undo[orientation]) if orientation > 1 else image), exif


def swapping_profile(padding: int = 0) -> bytes:
    """Return sRGB's ICC profile with the red and green primaries exchanged, as large as asked.

    A picture that carries it looks as if its red and green channels were exchanged.
    """
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    count = struct.unpack(">I", profile[128:132])[0]
    tags = {bytes(profile[at : at + 4]): at for at in range(132, 132 + 12 * count, 12)}
    red, green = tags[b"rXYZ"], tags[b"gXYZ"]
    profile[red : red + 4], profile[green : green + 4] = b"gXYZ", b"rXYZ"
    profile += b"\0" * padding
    profile[:4] = struct.pack(">I", len(profile))
    return bytes(profile)
