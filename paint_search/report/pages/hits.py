"""Hits -> a page: the queries first, framed, each hit with its rank, score, artist and title."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from paint_search.report.pages.rendering import write_page
from paint_search.report.sheets import TILE, hit_tiles, readable_name

if TYPE_CHECKING:
    from paint_search.painting import Hit


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
