"""Hits, or pairs of paintings -> a contact sheet, JPEG or PNG by the suffix of its name, or a page.

What was asked comes first, framed, counter-examples in grey; each hit shows its rank, score, artist
and title. A file that has gone since it was indexed is shown as an empty sheet. Nothing in the
labels is trusted.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from paint_search.errors import PaintSearchError, counted, readable
from paint_search.files import replacing
from paint_search.report.rendering import write_page

if TYPE_CHECKING:
    from paint_search.index.verification import Verdict
    from paint_search.painting import Hit, Painting

TILE: Final = 240
"""Pixels of the square that a picture is shown on."""
_PAPER: Final = (250, 249, 246)
_INK: Final = (38, 36, 34)
_FAINT: Final = (122, 117, 110)
_FRAME: Final = (178, 58, 42)
_GAP: Final = 20
_CAPTION: Final = 62


class Asked(NamedTuple):
    """A painting that was asked about: its picture, what it is called, and what is known of it."""

    file: Path | bytes
    name: str
    painting: Painting | None = None  #: where it is indexed
    kind: Literal["query", "unlike"] = "query"  #: an example, or a counter-example
    box: tuple[int, int, int, int] | None = None  #: the part that is looked for

    @property
    def artist(self) -> str:
        """Its artist, or what it is called."""
        return (self.painting and self.painting.artist) or self.name

    @property
    def title(self) -> str:
        """Its title; empty where that is not known."""
        return (self.painting and self.painting.title) or ""

    @property
    def caption(self) -> str:
        """Artist and title in one line."""
        return f"{self.artist}: {self.title}" if self.title else self.artist


class Tile(NamedTuple):
    """A picture with the three lines below it: rank, artist, title; what was asked is framed."""

    file: Path | bytes
    rank: str
    artist: str
    title: str = ""
    frame: Literal["", "query", "unlike"] = ""
    box: tuple[int, int, int, int] | None = None  #: drawn on the picture, in its own pixels


def hit_tiles(asked: Sequence[Asked], hits: Sequence[Hit], files: Sequence[Path]) -> list[Tile]:
    """Return what is shown of what was asked, and of the hits, which lie in ``files``."""
    tiles = [Tile(one.file, one.kind, one.artist, one.title, one.kind, one.box) for one in asked]
    for hit, file in zip(hits, files, strict=True):
        rank = f"{hit.rank}   {hit.score:.3f}{hit.and_copies}"
        artist = hit.painting.artist or hit.painting.path
        tiles.append(Tile(file, rank, artist, hit.painting.title or "", box=hit.box))
    return tiles


def write_sheet(
    out: Path, asked: Sequence[Asked], hits: Sequence[Hit], files: Sequence[Path]
) -> None:
    """Write a contact sheet of what was asked and of hits, which lie in ``files``.

    Raises:
        PaintSearchError: the suffix is of no kind of picture that can be written.
    """
    tiles = hit_tiles(asked, hits, files)
    _lay_out(out, tiles, min(len(tiles), max(4, round(math.sqrt(len(tiles) * 1.4)))))


def write_works(out: Path, works: Sequence[Painting], files: Sequence[Path]) -> None:
    """Write a contact sheet of works, which lie in ``files``.

    Raises:
        PaintSearchError: the suffix is of no kind of picture that can be written.
    """
    tiles = [
        Tile(file, "", work.artist or work.path, work.title or "")
        for work, file in zip(works, files, strict=True)
    ]
    _lay_out(out, tiles, min(len(tiles), max(4, round(math.sqrt(len(tiles) * 1.4)))))


def write_hits(
    out: Path, asked: Sequence[Asked], hits: Sequence[Hit], files: Sequence[Path]
) -> None:
    """Write the page on what was asked, what was found, and where its files lie."""
    from paint_search.indexer.images.thumbnails import thumbnail

    write_page(
        out,
        "hits.html",
        asked=", ".join(one.caption for one in asked if one.kind == "query"),
        unlike=", ".join(one.caption for one in asked if one.kind == "unlike"),
        count=counted(len(hits), "painting"),
        tiles=hit_tiles(asked, hits, files),
        picture=lambda tile: thumbnail(tile.file, TILE, tile.box),
    )


def write_pairs(
    out: Path, asked: Sequence[Asked], verdict: Verdict, references: Sequence[tuple[Path, Path]]
) -> None:
    """Write a sheet of two paintings and the pairs that they compare with, two pairs a row.

    ``references`` are the files of each pair that the verdict names.

    Raises:
        PaintSearchError: the suffix is of no kind of picture that can be written.
    """
    from paint_search.index.verification import write_probability

    says = f"{write_probability(verdict.probability)}  {verdict.describe().partition(':')[0]}"
    tiles: list[Tile | None] = [
        *(Tile(one.file, says, one.artist, one.title, "query") for one in asked),
        *(None, None),
    ]
    for pair, files in zip(verdict.references, references, strict=True):
        whose = "one artist" if pair.same else "two artists"
        said = f"{write_probability(pair.probability)}  {whose}"
        for painting, file in zip((pair.one, pair.other), files, strict=True):
            tiles.append(
                Tile(file, said, painting.artist or "", painting.title or readable(file.stem))
            )
    _lay_out(out, tiles, columns=4)


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
        picture = thumbnail(tile.file, TILE, tile.box)
        across, down = (TILE - picture.width) // 2, (TILE - picture.height) // 2
        sheet.paste(picture, (left + across, top + down))
        if tile.frame:
            colour = _FRAME if tile.frame == "query" else _FAINT
            draw.rectangle((left - 5, top - 5, left + TILE + 4, top + TILE + 4), None, colour, 3)
        top += TILE + 8
        lines = ((tile.rank, 14, _FAINT), (tile.artist, 16, _INK), (tile.title, 13, _FAINT))
        for text, size, colour in lines:
            font, text = ImageFont.load_default(size), readable(text)
            while text and draw.textlength(text, font) > TILE:
                text = text.removesuffix("…")[:-1] + "…" if len(text) > 2 else ""
            draw.text((left, top), text, colour, font)
            top += size + 4
    try:
        with replacing(out) as fresh:
            sheet.save(fresh, quality=92, **signed())
    except ValueError as error:
        raise PaintSearchError(f"cannot write {out}: name a .jpg or .png file") from error
