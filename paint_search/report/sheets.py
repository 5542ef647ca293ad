"""Hits, or pairs of paintings -> a contact sheet, JPEG or PNG by the suffix of its name, or a page.

The queries come first, framed; each hit shows its rank, score, artist and title. A file that has
gone since it was indexed is shown as an empty sheet. Nothing in the labels is trusted.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from paint_search.errors import PaintSearchError
from paint_search.files import replacing
from paint_search.report.rendering import write_page

if TYPE_CHECKING:
    from paint_search.index.verification import Verdict
    from paint_search.painting import Hit

TILE: Final = 240
"""Pixels of the square that a picture is shown on."""
_PAPER: Final = (250, 249, 246)
_INK: Final = (38, 36, 34)
_FAINT: Final = (122, 117, 110)
_FRAME: Final = (178, 58, 42)
_GAP: Final = 20
_CAPTION: Final = 62


class Tile(NamedTuple):
    """A picture with the three lines below it: rank, artist, title; a query is framed."""

    file: Path
    rank: str
    artist: str
    title: str = ""
    query: bool = False


def hit_tiles(queries: Sequence[Path], hits: Sequence[Hit], files: Sequence[Path]) -> list[Tile]:
    """Return what is shown of queries, by their files, and of the hits, which lie in ``files``."""
    tiles = [Tile(file, "query", readable_name(file), query=True) for file in queries]
    for hit, file in zip(hits, files, strict=True):
        copies = f"  +{len(hit.copies)} copies" if hit.copies else ""
        rank = f"{hit.rank}   {hit.score:.3f}{copies}"
        artist = hit.painting.artist or hit.painting.path
        tiles.append(Tile(file, rank, artist, hit.painting.title or ""))
    return tiles


def write_sheet(
    out: Path, queries: Sequence[Path], hits: Sequence[Hit], files: Sequence[Path]
) -> None:
    """Write a contact sheet of the files looked for and of hits, which lie in ``files``.

    Raises:
        PaintSearchError: the suffix is of no kind of picture that can be written.
    """
    tiles = hit_tiles(queries, hits, files)
    _lay_out(out, tiles, min(len(tiles), max(4, round(math.sqrt(len(tiles) * 1.4)))))


def write_hits(
    out: Path, queries: Sequence[Path], hits: Sequence[Hit], files: Sequence[Path]
) -> None:
    """Write the page on what files were looked for, what was found, and where its files lie."""
    from paint_search.indexer.images.thumbnails import thumbnail

    write_page(
        out,
        "hits.html",
        asked=", ".join(map(readable_name, queries)),
        count=len(hits),
        tiles=hit_tiles(queries, hits, files),
        picture=lambda file: thumbnail(file, TILE),
    )


def write_pairs(
    out: Path, asked: tuple[Path, Path], verdict: Verdict, references: Sequence[tuple[Path, Path]]
) -> None:
    """Write a sheet of two paintings and the pairs that they compare with, two pairs a row.

    ``references`` are the files of each pair that the verdict names.

    Raises:
        PaintSearchError: the suffix is of no kind of picture that can be written.
    """
    from paint_search.index.verification import write_probability

    probability, words = write_probability(verdict.probability), verdict.describe().partition(":")
    tiles: list[Tile | None] = [
        *(Tile(file, probability, readable_name(file), words[0], query=True) for file in asked),
        *(None, None),
    ]
    for pair, files in zip(verdict.references, references, strict=True):
        whose = "one artist" if pair.same else "two artists"
        said = f"{write_probability(pair.probability)}  {whose}"
        for painting, file in zip((pair.one, pair.other), files, strict=True):
            tiles.append(
                Tile(file, said, painting.artist or "", painting.title or readable_name(file))
            )
    _lay_out(out, tiles, columns=4)


def readable_name(file: Path) -> str:
    """Return the file's name as text, whatever bytes the file system holds."""
    return os.fsencode(file.stem).decode(errors="replace")


def _lay_out(out: Path, tiles: Sequence[Tile | None], columns: int) -> None:
    from PIL import Image, ImageDraw, ImageFont

    from paint_search.indexer.images.formats import signed
    from paint_search.indexer.images.thumbnails import thumbnail

    rows = math.ceil(len(tiles) / columns)
    width = columns * (TILE + _GAP) + _GAP
    sheet = Image.new("RGB", (width, rows * (TILE + _CAPTION + _GAP) + _GAP), _PAPER)
    draw = ImageDraw.Draw(sheet)
    for number, tile in enumerate(tiles):
        if tile is None:
            continue
        left = _GAP + number % columns * (TILE + _GAP)
        top = _GAP + number // columns * (TILE + _CAPTION + _GAP)
        picture = thumbnail(tile.file, TILE)
        across, down = (TILE - picture.width) // 2, (TILE - picture.height) // 2
        sheet.paste(picture, (left + across, top + down))
        if tile.query:
            draw.rectangle((left - 5, top - 5, left + TILE + 4, top + TILE + 4), None, _FRAME, 3)
        top += TILE + 8
        lines = ((tile.rank, 14, _FAINT), (tile.artist, 16, _INK), (tile.title, 13, _FAINT))
        for text, size, colour in lines:
            font = ImageFont.load_default(size)
            while text and draw.textlength(text, font) > TILE:
                text = text.removesuffix("…")[:-1] + "…" if len(text) > 2 else ""
            draw.text((left, top), text, colour, font)
            top += size + 4
    try:
        with replacing(out) as fresh:
            sheet.save(fresh, quality=92, **signed())
    except ValueError as error:
        raise PaintSearchError(f"cannot write {out}: name a .jpg or .png file") from error
