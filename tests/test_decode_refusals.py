"""Files that are no images, damaged, or too large: one plain reason each, quickly, in silence."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import threading
import time
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from images import PLAIN, chunk, difference, picture, png, write
from PIL import Image

from paint_search.errors import ImageError, NotAnImageError
from paint_search.indexer.images import Preprocessing, decode, is_picture

NO_IMAGE = "not an image, or of a kind that cannot be read"
CUT_SHORT = "damaged image: the file is cut short"
EPS = "%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n"


def whole(kind: str, folder: Path) -> bytes:
    """Return a file of noise, which no format makes small."""
    noise = np.random.default_rng(0).integers(0, 255, (120, 160, 3), dtype=np.uint8)
    Image.fromarray(noise).save(folder / "whole", kind)
    return (folder / "whole").read_bytes()


def refusal(file: Path, max_pixels: int = 200_000_000) -> ImageError:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ImageError) as caught:
            decode(file, PLAIN, max_pixels)
    return caught.value


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00",
        b"\xff\xd8",
        b"Not a picture.\n" * 50,
        b"<!DOCTYPE html><html></html>",
        b"%PDF-1.7",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"\x00" * 4096,
        EPS.encode(),
        png(0, 5),
    ],
    ids=["empty", "nul", "jpeg mark", "text", "html", "pdf", "svg", "zeros", "eps", "no width"],
)
def test_what_is_no_image_is_told_from_what_is_damaged(tmp_path: Path, content: bytes) -> None:
    file = write(tmp_path / "x.jpg", content)
    error = refusal(file)
    assert isinstance(error, NotAnImageError)
    assert str(error) == NO_IMAGE
    assert not is_picture(file)


@pytest.mark.parametrize("kind", ["ICO", "ICNS"])
def test_icons_are_refused_since_they_may_hold_more_than_they_declare(
    tmp_path: Path, kind: str
) -> None:
    picture(64, 64).save(tmp_path / "x", kind)
    assert str(refusal(tmp_path / "x")) == NO_IMAGE


@pytest.mark.parametrize(
    ("kind", "share"),
    [
        ("JPEG", 0.9),
        ("JPEG", 0.5),
        ("JPEG", 0.01),
        ("PNG", 0.9),
        ("PNG", 0.3),
        ("TIFF", 0.5),
        ("GIF", 0.5),
        ("BMP", 0.5),
    ],
)
def test_truncated_files_say_so(tmp_path: Path, kind: str, share: float) -> None:
    content = whole(kind, tmp_path)
    error = refusal(write(tmp_path / "x", content[: int(share * len(content))]))
    assert type(error) is ImageError
    assert str(error).startswith(CUT_SHORT)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "GIF", "BMP", "AVIF", "JPEG2000"])
def test_no_damage_does_more_than_refuse_the_file(tmp_path: Path, kind: str) -> None:
    content = whole(kind, tmp_path)
    rng = np.random.default_rng(1)
    for _ in range(25):
        damaged = bytearray(content)
        start = int(rng.integers(0, len(content)))
        damaged[start : start + 40] = rng.bytes(40)
        file = write(tmp_path / "x", bytes(damaged[: int(rng.integers(1, len(content)))]))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            try:
                assert decode(file, PLAIN).pixels.shape == (48, 48, 3)
            except ImageError as error:
                assert 0 < len(str(error)) < 300  # noqa: PT017


def test_a_file_that_cannot_be_opened_says_why(tmp_path: Path) -> None:
    assert str(refusal(tmp_path / "gone.jpg")) == "cannot be read: No such file or directory"


BOMB = """
import resource, sys
from pathlib import Path
from paint_search.errors import ImageError
from paint_search.indexer.images import decode
from paint_search.indexer.images import Preprocessing
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
try:
    decode(Path(sys.argv[1]), Preprocessing(224, "crop"))
except ImageError as error:
    print(error)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


def test_a_decompression_bomb_is_refused_at_once_without_memory(tmp_path: Path) -> None:
    content = png(50_000, 50_000)
    assert len(content) < 200
    file = write(tmp_path / "bomb.png", content)
    done = subprocess.run(
        [sys.executable, "-W", "always", "-c", BOMB, str(file)],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
    )
    reason, megabytes = done.stdout.splitlines()
    assert reason == (
        "50000 x 50000 pixels need 2500 million decoded, above the limit of 200 million; "
        "raise max_pixels"
    )
    assert int(megabytes) < 50
    assert done.stderr == ""
    start = time.perf_counter()
    refusal(file)
    assert time.perf_counter() - start < 0.5


def test_an_icon_is_no_way_around_the_limit(tmp_path: Path) -> None:
    inner = png(50_000, 50_000)
    header = struct.pack("<HHHBBBBHHII", 0, 1, 1, 32, 32, 0, 0, 1, 32, len(inner), 22)
    assert str(refusal(write(tmp_path / "x.ico", header + inner))) == NO_IMAGE


def test_text_in_a_png_is_no_way_around_the_limit(tmp_path: Path) -> None:
    text = chunk(b"zTXt", b"Comment\0\0" + zlib.compress(b"a" * 50_000_000))
    assert "damaged image" in str(refusal(write(tmp_path / "x.png", png(8, 8, text))))


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF", "BMP", "GIF"])
def test_the_limit_is_exact(tmp_path: Path, kind: str) -> None:
    picture(100, 50).save(tmp_path / "x", kind)
    assert decode(tmp_path / "x", PLAIN, max_pixels=5_000).pixels.shape == (48, 48, 3)
    assert str(refusal(tmp_path / "x", max_pixels=4_999)).startswith("100 x 50 pixels need")


@pytest.mark.parametrize(("progressive", "fits"), [(False, True), (True, False)])
def test_progressive_jpegs_count_in_full_and_others_as_reduced(
    tmp_path: Path, progressive: bool, fits: bool
) -> None:
    picture(2000, 1500).save(tmp_path / "x", "JPEG", progressive=progressive)
    if fits:
        assert decode(tmp_path / "x", PLAIN, max_pixels=100_000).pixels.shape == (48, 48, 3)
    else:
        assert "need 3 million decoded" in str(refusal(tmp_path / "x", max_pixels=100_000))
        decode(tmp_path / "x", PLAIN, max_pixels=3_100_000)


def test_pillows_warnings_stay_inside(tmp_path: Path) -> None:
    image = picture()
    image.save(tmp_path / "frames", "MPO", save_all=True, append_images=[image])
    content = bytearray((tmp_path / "frames").read_bytes())
    at = content.index(b"MPF\0")
    content[at + 4 : at + 12] = b"\xff" * 8
    malformed = write(tmp_path / "malformed.jpg", bytes(content))
    cut = b"Exif\0\0MM\0*\0\0\0\x08\0\x05\x01\x12\0\x03\0\0\0\x01\0\x06"
    image.save(tmp_path / "cut.jpg", exif=cut)
    for file in (malformed, tmp_path / "cut.jpg"):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with pytest.raises(UserWarning), Image.open(file) as opened:
                opened.getexif()
            assert difference(decode(file, PLAIN).pixels, image) < 8
            assert is_picture(file)


@pytest.mark.parametrize("limit", [None, 1000, 89_478_485])
def test_pillows_own_limit_and_the_filters_are_never_touched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int | None
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    filters = list(warnings.filters)
    picture(300, 300).save(tmp_path / "good.png")
    write(tmp_path / "bad.png", b"bad")

    def work() -> None:
        for _ in range(10):
            decode(tmp_path / "good.png", PLAIN)
            assert not is_picture(tmp_path / "bad.png")
            with pytest.raises(ImageError):
                decode(tmp_path / "bad.png", PLAIN)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert limit == Image.MAX_IMAGE_PIXELS
    assert list(warnings.filters) == filters


def test_threads_decode_what_one_thread_decodes(tmp_path: Path) -> None:
    files = []
    for seed in range(6):
        files.append(tmp_path / f"{seed}.jpg")
        picture(700, 500, seed).save(files[-1])
    fit = Preprocessing(64, "crop", crop_pct=0.875)
    expected = [decode(file, fit) for file in files]
    results: dict[int, bool] = {}

    def work(number: int) -> None:
        found = [decode(file, fit) for file in files * 3]
        results[number] = all(
            (a.pixels == b.pixels).all() and a.digest == b.digest
            for a, b in zip(found, expected * 3, strict=True)
        )

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == dict.fromkeys(range(4), True)


METERED = """
import sys, threading
from concurrent.futures import ThreadPoolExecutor
from PIL import Image, ImageFile
from paint_search.indexer.images import Preprocessing, decode

side = int(sys.argv[1])
lock, gone = threading.Lock(), threading.Event()
inside = most = 0

class Metered(ImageFile.ImageFile):
    format = "METERED"
    def _open(self):
        if self.fp.read(7) != b"METERED":
            raise SyntaxError("another format")
        self._mode, self._size = "L", (side, side)
    def load(self):
        global inside, most
        with lock:
            inside += 1
            most = max(most, inside)
        gone.wait(float(sys.argv[2]) if most < 2 else 0)
        if most == 2:
            gone.set()
        with lock:
            inside -= 1
        self._size, self.im = (50, 50), Image.core.fill("L", (50, 50), 0)

Image.init()
Image.register_open("METERED", Metered)
with ThreadPoolExecutor(2) as pool:
    made = list(pool.map(lambda _: decode(b"METERED", Preprocessing(48, "squash")), range(2)))
print(most, made[0].pixels.shape)
"""


@pytest.mark.parametrize(
    ("side", "patience", "together"),
    [("12000", "0.3", 1), ("9000", "30", 2)],
    ids=["too much at once", "fits"],
)
def test_pictures_are_decoded_together_as_far_as_memory_allows(
    side: str, patience: str, together: int
) -> None:
    """Two of 144 million pixels are more than the 200 million that are held at once."""
    command = [sys.executable, "-c", METERED, side, patience]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split(maxsplit=1) == [str(together), "(48, 48, 3)\n"]


def test_the_hash_is_of_the_bytes_and_not_of_the_name(tmp_path: Path) -> None:
    picture().save(tmp_path / "a.png")
    content = (tmp_path / "a.png").read_bytes()
    write(tmp_path / "b.png", content)
    picture(seed=1).save(tmp_path / "c.png")
    digests = [decode(tmp_path / f"{name}.png", PLAIN).digest for name in "abc"]
    assert digests[0] == digests[1] != digests[2]
    assert [len(digest) for digest in digests] == [32] * 3
