"""Hits -> something to look at: a contact sheet, or a page that opens anywhere.

The queries come first, framed; each hit shows its rank, score, artist and title. A file that has
gone since it was indexed is shown as an empty frame. Nothing in the labels is trusted.
"""

import base64
import io
import math
import os
from collections.abc import Sequence
from html import escape
from importlib.resources import files as resources
from pathlib import Path
from string import Template
from typing import Final

from PIL import Image, ImageDraw, ImageFont

from paint_search.errors import ImageError, PaintSearchError
from paint_search.index.verification import Verdict, write_probability
from paint_search.indexer.images.decode import decode
from paint_search.indexer.images.preprocessing import Preprocessing
from paint_search.painting import Hit

_PAPER: Final = (250, 249, 246)
_INK: Final = (38, 36, 34)
_FAINT: Final = (122, 117, 110)
_FRAME: Final = (178, 58, 42)
_TILE: Final = 240
_GAP: Final = 20
_CAPTION: Final = 62

#: A picture, None for an empty place; three lines below it; whether it is framed.
_Tile = tuple[Image.Image | None, tuple[str, str, str], bool]


def write_sheet(
    out: Path, queries: Sequence[Path], hits: Sequence[Hit], files: Sequence[Path]
) -> None:
    """Write a contact sheet as JPEG or PNG, by the suffix of ``out``.

    Args:
        out: the picture to write.
        queries: files that were looked for.
        hits: what was found.
        files: where each hit's file lies.

    Raises:
        PaintSearchError: the suffix is of no kind of picture that can be written.
    """
    tiles: list[_Tile] = [(thumbnail(file), ("query", _name(file), ""), True) for file in queries]
    tiles += [
        (thumbnail(file), _caption(hit), False) for hit, file in zip(hits, files, strict=True)
    ]
    columns = min(len(tiles), max(4, round(math.sqrt(len(tiles) * 1.4))))
    _lay_out(out, tiles, columns)


def write_pairs(
    out: Path,
    asked: tuple[Path, Path],
    verdict: Verdict,
    references: Sequence[tuple[Path, Path]],
) -> None:
    """Write a sheet of two paintings and the pairs that they compare with, two pairs a row.

    Args:
        out: the picture to write, JPEG or PNG by its suffix.
        asked: files of the two.
        verdict: what was said of them.
        references: files of each pair that it names.

    Raises:
        PaintSearchError: the suffix is of no kind of picture that can be written.
    """
    said = write_probability(verdict.probability), verdict.describe().partition(":")[0]
    tiles: list[_Tile] = [
        (thumbnail(file), (said[0], _name(file), said[1]), True) for file in asked
    ]
    tiles += [(None, ("", "", ""), False)] * 2
    for pair, files in zip(verdict.references, references, strict=True):
        words = (
            f"{write_probability(pair.probability)}  {'one artist' if pair.same else 'two artists'}"
        )
        for painting, file in zip((pair.one, pair.other), files, strict=True):
            caption = words, painting.artist or "", painting.title or _name(file)
            tiles.append((thumbnail(file), caption, False))
    _lay_out(out, tiles, columns=4)


def _lay_out(out: Path, tiles: Sequence[_Tile], columns: int) -> None:
    rows = math.ceil(len(tiles) / columns)
    width = columns * (_TILE + _GAP) + _GAP
    sheet = Image.new("RGB", (width, rows * (_TILE + _CAPTION + _GAP) + _GAP), _PAPER)
    draw = ImageDraw.Draw(sheet)
    for number, (picture, caption, framed) in enumerate(tiles):
        left = _GAP + number % columns * (_TILE + _GAP)
        top = _GAP + number // columns * (_TILE + _CAPTION + _GAP)
        if picture is not None:
            sheet.paste(picture, (left, top))
        if framed:
            draw.rectangle((left - 5, top - 5, left + _TILE + 4, top + _TILE + 4), None, _FRAME, 3)
        _write_caption(draw, left, top + _TILE + 8, caption)
    try:
        sheet.save(out, quality=92)
    except ValueError as error:
        raise PaintSearchError(f"cannot write {out}: name a .jpg or .png file") from error


def write_page(
    out: Path, queries: Sequence[Path], hits: Sequence[Hit], files: Sequence[Path]
) -> None:
    """Write the hits as one HTML file that needs no other file and no network."""
    template = Template(
        resources("paint_search.report").joinpath("assets", "hits.html").read_text(encoding="utf-8")
    )
    figures = [_figure(file, ("query", _name(file), ""), "query") for file in queries]
    figures += [_figure(file, _caption(hit), "hit") for hit, file in zip(hits, files, strict=True)]
    title = escape(", ".join(map(_name, queries)))
    page = template.substitute(title=title, count=len(hits), figures="\n".join(figures))
    out.write_text(page, encoding="utf-8")


def thumbnail(file: Path, size: int = _TILE) -> Image.Image:
    """Return the picture in ``file`` on a square of paper, or an empty frame where it has gone."""
    paper = tuple(channel / 255 for channel in _PAPER)
    letterbox = Preprocessing(
        size=size, fit="pad", interpolation="lanczos", mean=(paper[0], paper[1], paper[2])
    )
    try:
        return Image.fromarray(decode(file, letterbox).pixels)
    except ImageError:
        empty = Image.new("RGB", (size, size), _PAPER)
        ImageDraw.Draw(empty).rectangle((0, 0, size - 1, size - 1), outline=_FAINT)
        return empty


def _name(file: Path) -> str:
    """Return the file's name as text, whatever bytes the file system holds."""
    return os.fsencode(file.stem).decode(errors="replace")


def _caption(hit: Hit) -> tuple[str, str, str]:
    copies = f"  +{len(hit.copies)} copies" if hit.copies else ""
    artist = hit.painting.artist or hit.painting.path
    return f"{hit.rank}   {hit.score:.3f}{copies}", artist, hit.painting.title or ""


def _write_caption(
    draw: ImageDraw.ImageDraw, left: int, top: int, caption: tuple[str, str, str]
) -> None:
    lines = ((caption[0], 14, _FAINT), (caption[1], 16, _INK), (caption[2], 13, _FAINT))
    for text, size, colour in lines:
        font = ImageFont.load_default(size)
        while text and draw.textlength(text, font) > _TILE:
            text = text.removesuffix("…")[:-1] + "…" if len(text) > 2 else ""
        draw.text((left, top), text, colour, font)
        top += size + 4


def _figure(file: Path, caption: tuple[str, str, str], kind: str) -> str:
    stream = io.BytesIO()
    thumbnail(file).save(stream, "JPEG", quality=88)
    picture = base64.b64encode(stream.getvalue()).decode()
    rank, artist, title = map(escape, caption)
    return (
        f'<figure class="{kind}">'
        f'<img src="data:image/jpeg;base64,{picture}" alt="{artist}: {title}">'
        f"<figcaption><small>{rank}</small><b>{artist}</b><i>{title}</i></figcaption></figure>"
    )
