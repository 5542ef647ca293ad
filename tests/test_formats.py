"""Kinds of pictures that Pillow alone does not read, or reads wrongly; damaged ones; our own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from conftest import Cli
from images import PLAIN, difference, picture, write
from numpy.typing import NDArray
from PIL import Image

from paint_search import Index
from paint_search.errors import ImageError, NotAnImageError
from paint_search.indexer.images import decode, is_picture


def seen(file: Path) -> NDArray[np.float32]:
    return decode(file, PLAIN).pixels.astype(np.float32)


def test_heic_is_read(tmp_path: Path) -> None:
    import pillow_heif

    image = picture()
    pillow_heif.from_pillow(image).save(str(tmp_path / "x.heic"), quality=95)
    (tmp_path / "x.heic").rename(tmp_path / "a painting")
    assert difference(decode(tmp_path / "a painting", PLAIN).pixels, image) < 8


def test_jpeg_xl_is_read_where_its_plugin_is(tmp_path: Path) -> None:
    pytest.importorskip("pillow_jxl", reason="pip install 'paint-search[formats]'")
    image = picture()
    image.save(tmp_path / "x.jxl", lossless=True)
    assert difference(decode(tmp_path / "x.jxl", PLAIN).pixels, image) < 2


def colours(kind: Any, top: float) -> NDArray[Any]:
    """A picture in numbers of a kind, of which ``top`` is white."""
    return (np.asarray(picture(), dtype=np.float64) / 255 * top).astype(kind)


WIDE: dict[str, tuple[NDArray[Any], dict[str, Any]]] = {
    "16 bits in planes": (
        np.moveaxis(colours(np.uint16, 65535), -1, 0),
        {"photometric": "rgb", "planarconfig": "separate"},
    ),
    "16 bits": (colours(np.uint16, 65535), {"photometric": "rgb"}),
    "big-endian floats, deflated": (
        colours(np.float32, 1)[..., 1],
        {"byteorder": ">", "compression": "zlib", "photometric": "minisblack"},
    ),
    "floats in colour": (colours(np.float32, 1), {"photometric": "rgb"}),
    "32 bits": (colours(np.uint32, 2**32 - 1)[..., 1], {"photometric": "minisblack"}),
    "16 bits, white is zero": (
        65535 - colours(np.uint16, 65535)[..., 1],
        {"photometric": "miniswhite"},
    ),
}


@pytest.mark.parametrize("kind", WIDE)
def test_tiffs_of_many_bits_are_what_they_show(kind: str, tmp_path: Path) -> None:
    values, how = WIDE[kind]
    tifffile.imwrite(tmp_path / "x.tif", values, **how)
    image = picture()
    if values.ndim == 2:
        image = image.getchannel("G").convert("RGB")
    assert difference(decode(tmp_path / "x.tif", PLAIN).pixels, image) < 3


def test_scans_of_16_bits_in_lzw_are_read(tmp_path: Path) -> None:
    """As museums keep them; tifffile alone lacks the codec."""
    grays = Image.fromarray(colours(np.uint16, 65535)[..., 1].copy())
    grays.save(tmp_path / "x.tif", compression="tiff_lzw")
    image = picture().getchannel("G").convert("RGB")
    assert difference(decode(tmp_path / "x.tif", PLAIN).pixels, image) < 3


def test_a_tiff_that_needs_a_codec_is_skipped_with_the_reason(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "x.tif", colours(np.float32, 1)[..., 1], byteorder=">")
    content = bytearray((tmp_path / "x.tif").read_bytes())
    at = content.index(b"\x01\x03\x00\x03\x00\x00\x00\x01\x00\x01")  # compression: none
    content[at + 8 : at + 10] = b"\x00\x05"  # LZW, which its bytes are not
    with pytest.raises(ImageError, match=r"32 bits a channel that cannot be read right"):
        decode(write(tmp_path / "y.tif", bytes(content)), PLAIN)


def test_what_pillow_decodes_in_python_is_not_decoded_when_it_is_large(tmp_path: Path) -> None:
    file = write(tmp_path / "x.ppm", b"P3 2100 2100 255\n" + b"1 2 3 " * 10)
    with pytest.raises(ImageError, match="minutes"):
        decode(file, PLAIN)
    file = write(tmp_path / "y.ppm", b"P3 40 40 255\n" + b"250 20 30 " * 1600)
    assert abs(seen(file).mean(axis=(0, 1)) - (250, 20, 30)).max() < 1


WITHOUT_PLUGINS = """
import sys
from importlib.machinery import PathFinder
class Hidden(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name in ("pillow_jxl", "rawpy") else super().find_spec(name, path, target)
sys.meta_path = [Hidden if finder is PathFinder else finder for finder in sys.meta_path]
from paint_search.cli.app import main
main()
"""


def test_pictures_that_are_not_read_here_are_skipped_by_name(tmp_path: Path) -> None:
    """They are never "no images and passed over": a museum would not notice that they lack."""
    (tmp_path / "works").mkdir()
    picture().save(tmp_path / "works/a.jpg")
    write(tmp_path / "works/b.jxl", b"\xff\x0a" + bytes(200))
    write(tmp_path / "works/c", b"\0\0\0\x18ftypcrx " + bytes(200))
    write(tmp_path / "works/d.nef", b"MM\0*" + bytes(200))
    write(tmp_path / "works/e.exr", b"v/1\x01" + bytes(200))
    write(tmp_path / "works/f.txt", b"words")
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_PLUGINS, "index", "works", "--backbone", "descriptors"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 3, done.stderr
    assert "1 new" in done.stdout
    assert "1 other file is no image" in done.stdout
    rows = (tmp_path / ".paint-search/skipped.csv").read_text().splitlines()[1:]
    reasons = dict(sorted(row.split(",", 1) for row in rows))
    assert list(reasons) == ["b.jxl", "c", "d.nef", "e.exr"]
    for name, words in {
        "b.jxl": ("JPEG XL", "paint-search[formats]"),
        "c": ("camera raw", "paint-search[formats]"),
        "d.nef": ("camera raw", "paint-search[formats]"),
        "e.exr": ("OpenEXR", "save it as"),
    }.items():
        assert all(word in reasons[name] for word in words)
    assert is_picture(tmp_path / "works/e.exr")
    assert not is_picture(tmp_path / "works/f.txt")


def test_a_jpeg_that_lacks_its_end_is_read_and_counted(tmp_path: Path, cli: Cli) -> None:
    works = tmp_path / "works"
    works.mkdir()
    image = picture(800, 600)
    image.save(works / "whole.jpg", quality=90)
    content = (works / "whole.jpg").read_bytes()
    write(works / "end.jpg", content[:-2])
    write(works / "tenth.jpg", content[: len(content) * 9 // 10])
    made = decode(works / "end.jpg", PLAIN)
    np.testing.assert_array_equal(made.pixels, decode(works / "whole.jpg", PLAIN).pixels)
    assert made.damage is not None
    assert "cut short" in made.damage
    index = ("--index", tmp_path / "index")
    outcome = cli("index", works, *index, "--backbone", "descriptors")
    assert outcome.code == 3
    assert "2 new" in outcome.out
    assert "1 damaged file was used as it is" in outcome.out
    skipped = (tmp_path / "index/skipped.csv").read_text()
    assert 'end.jpg,"indexed as it is: the file is cut short' in skipped
    assert 'tenth.jpg,"damaged image: the file is cut short' in skipped
    assert "--damaged use takes it" in skipped
    assert cli.ok("info", *index, "--json").json["skipped"] == 1
    outcome = cli("index", works, *index, "--damaged", "use")
    assert outcome.code == 3
    assert "1 new" in outcome.out
    used = decode(works / "tenth.jpg", PLAIN, damaged="use").pixels
    assert difference(used, image.resize((48, 48))) < 30
    assert cli.ok("info", *index, "--json").json["skipped"] == 0
    assert cli("index", works, *index, "--damaged", "perhaps").code == 2


@pytest.mark.parametrize("size", [30, 400])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_progressive_jpegs_of_any_size_are_read_and_may_lack_their_end(
    tmp_path: Path, size: int, mode: str
) -> None:
    preview = picture(20, 20).copy()
    preview.save(tmp_path / "preview.jpg", progressive=True)
    note = b"Exif\0\0" + (tmp_path / "preview.jpg").read_bytes()
    image = picture(size, size).convert(mode)
    image.save(tmp_path / "x.jpg", progressive=True, quality=90, exif=note)
    content = (tmp_path / "x.jpg").read_bytes()
    whole = decode(content, PLAIN)
    assert whole.damage is None
    assert difference(whole.pixels, image.convert("RGB").resize((48, 48))) < 10
    made = decode(content[:-2], PLAIN)
    np.testing.assert_array_equal(made.pixels, whole.pixels)
    assert "cut short" in (made.damage or "")
    half = content[: content.rindex(b"\xff\xda")]
    with pytest.raises(ImageError, match="finer detail"):
        decode(half, PLAIN)
    assert decode(half, PLAIN, damaged="use").damage


def test_what_this_program_wrote_is_no_painting(museum: Path, tmp_path: Path, cli: Cli) -> None:
    """A sheet of hits, left among the paintings, is not their nearest neighbour ever after."""
    corpus, index = tmp_path / "corpus", ("--index", tmp_path / "index")
    for number in range(8):
        (corpus / f"{'ab'[number % 2]}").mkdir(parents=True, exist_ok=True)
        picture(seed=number).save(corpus / f"{'ab'[number % 2]}/{number}.png")
    cli.ok("index", corpus, *index, "--backbone", "descriptors")
    query = corpus / "a/0.png"
    cli.ok("similar", query, *index, "--sheet", corpus / "hits.jpg")
    cli.ok("similar", query, *index, "--sheet", corpus / "hits.png")
    cli.ok("eval", "artists", *index, "--plot", corpus / "artists.png")
    outcome = cli.ok("index", corpus, *index)
    assert "8 unchanged" in outcome.out
    assert "3 pictures were written by this program, and passed over" in outcome.out
    with Index.open(tmp_path / "index") as opened:
        assert len(opened) == 8
        assert opened.similar(corpus / "hits.jpg", k=1), "one may still ask with it"


def test_a_file_of_no_known_kind_is_no_picture(tmp_path: Path) -> None:
    with pytest.raises(NotAnImageError):
        decode(write(tmp_path / "x.jpg", b"\0\0\0\x18ftypmp42" + bytes(99)), PLAIN)
    assert Image.MAX_IMAGE_PIXELS == 89_478_485
