"""Projections and paintings -> one self-contained HTML file: a map to zoom, turn, filter and click.

The page holds its script, style, data and thumbnails, and forbids itself the network. All text is
data to it, never markup, wherever it came from. Nothing here computes a projection or a neighbour.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Callable, Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from paint_search.errors import EvalError
from paint_search.report.groups import NOT_GIVEN, OTHER, PALETTE, group_values
from paint_search.report.rendering import jpeg, write_page

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL import Image

    from paint_search.eval import Projection

_FEW_PAINTINGS = 400  # up to here pictures instead of dots from the start, and in 3-D at all
_SHEET_SIDE = 2_048  # pixels; every browser decodes this much, and 12,000 thumbnails make 12 sheets
_SIDES = ((1_000, 192), (3_000, 128), (6_000, 96))
_SMALLEST_SIDE = 64
_JPEG_QUALITY = 80


@dataclass(frozen=True, slots=True, eq=False)
class MapPaintings:
    """What the page says about each painting; all of one length n, in the order of the map."""

    titles: Sequence[str]  #: (n) what to call it; "" where unknown
    #: (n) who painted it; "" where unknown. Always the first field to colour by.
    artists: Sequence[str]
    #: row -> its picture, a Pillow image or a (height, width[, 3]) uint8 array. Called once a
    #: painting, in order.
    thumbnail: Callable[[int], Image.Image | NDArray[np.uint8]]
    #: (n, k) rows of the most alike paintings, best first; -1 for none.
    neighbours: NDArray[np.integer[Any]]
    scores: NDArray[np.floating[Any]] | None = None  #: (n, k) their cosines
    #: further columns to colour by, name -> (n) values, see `group_values`.
    fields: Mapping[str, Sequence[object]] = field(default_factory=dict)
    start: str = ""  #: the field to colour by at first; "" lets the page choose
    #: (n) where the page of each painting is, on the server that serves the map; none in a file.
    links: Sequence[str] | None = None


def thumbnail_side(count: int) -> int:
    """Return how many pixels the longer side of a thumbnail has on a map of so many paintings."""
    return next((side for most, side in _SIDES if count <= most), _SMALLEST_SIDE)


def write_map_page(
    path: str | os.PathLike[str],
    projections: Sequence[Projection],
    paintings: MapPaintings,
    heading: str = "Map of the paintings",
    note: str = "",
) -> None:
    """Write the map as one HTML file that opens from disk, offline.

    About 30 MB for 12,000 paintings: thumbnails are 64 pixels then, larger for small collections.

    Args:
        path: the file to write; replaced only once the new one is complete.
        projections: one or more views of the same paintings, the first is shown first.
        paintings: titles, artists, pictures, neighbours and fields.
        heading: the page's title.
        note: a closing line, such as the backbone and the date.

    Raises:
        EvalError: no projection, or columns whose lengths do not agree.
    """
    count = _checked_count(projections, paintings)
    side = thumbnail_side(count)
    across = _SHEET_SIDE // side
    sizes = np.zeros((count, 2), dtype=np.uint8)
    packed = list(_pack(paintings.thumbnail, side, across, sizes))
    data = {
        "titles": list(paintings.titles),
        "artists": list(paintings.artists),
        "note": note,
        "start": paintings.start,
        "palette": PALETTE,
        "other": OTHER,
        "fewPaintings": _FEW_PAINTINGS,
        "views": [_view(projection) for projection in projections],
        "fields": [
            _field(name, values)
            for name, values in {"artist": paintings.artists, **paintings.fields}.items()
        ],
        "neighbours": _base64(paintings.neighbours, "<i4"),
        "scores": None if paintings.scores is None else _base64(paintings.scores, "<f4"),
        "links": None if paintings.links is None else list(paintings.links),
        "thumbnails": {
            "cell": side,
            "columns": across,
            "sizes": _base64(sizes, "u1"),
        },
    }
    write_page(Path(path), "map.html", heading=heading, data=data, sheets=packed)


def _checked_count(projections: Sequence[Projection], paintings: MapPaintings) -> int:
    if not projections:
        raise EvalError("A map page needs at least one projection.")
    count = len(projections[0].coordinates)
    neighbours = paintings.neighbours
    columns: dict[str, Sized] = {
        **{projection.name: projection.coordinates for projection in projections},
        **{"titles": paintings.titles, "artists": paintings.artists, "neighbours": neighbours},
        **{"scores": neighbours if paintings.scores is None else paintings.scores},
        **{"links": neighbours if paintings.links is None else paintings.links},
        **paintings.fields,
    }
    for name, column in columns.items():
        if len(column) != count:
            raise EvalError(f"The map has {count} paintings, but {name!r} has {len(column)}.")
    if neighbours.ndim != 2 or not ((neighbours >= -1) & (neighbours < count)).all():
        raise EvalError(f"Neighbours must be an (n, k) array of rows from -1 to {count - 1}.")
    return count


def _view(projection: Projection) -> dict[str, object]:
    """Coordinates moved and scaled into a cube of half-width one, the same scale on all axes."""
    coordinates = projection.coordinates.astype(np.float64)
    low, high = coordinates.min(axis=0), coordinates.max(axis=0)
    centre, half = (low + high) / 2, (high - low) / 2
    # In 3-D the cloud must fit however it is turned: scale by its radius, not by its sides.
    radius = np.linalg.norm(coordinates - centre, axis=1).max()
    unit = (radius if projection.dims == 3 else half.max()) or 1.0
    positions = np.zeros((len(coordinates), 3))
    positions[:, : projection.dims] = (coordinates - centre) / unit
    extent = np.maximum(half / unit, 0.05) if projection.dims == 2 else np.ones(2)
    origin = [*(-centre / unit), 0.0][:3] if projection.explained_variance_ratio else None
    return {
        "name": projection.name,
        "dims": projection.dims,
        "axes": projection.axis_labels,
        "caption": projection.caption,
        "extent": extent.tolist(),
        "origin": origin,  # only where zero means something
        "positions": _base64(positions, "<f4"),
    }


def _field(name: str, values: Sequence[object]) -> dict[str, object]:
    groups = group_values(name, values)
    exact = None
    if groups.numbers is not None:
        exact = [f"{v:.10g}" if np.isfinite(v) else NOT_GIVEN for v in groups.numbers]
    return {
        "name": name,
        "names": groups.names,
        "codes": _base64(groups.codes, "<u4"),
        "counts": groups.counts.tolist(),
        "colours": groups.colours,
        "missing": groups.names[-1:] == (NOT_GIVEN,),
        "exact": exact,  # of numbers, whose group is only a range
    }


def _pack(
    thumbnail: Callable[[int], Image.Image | NDArray[np.uint8]],
    side: int,
    across: int,
    sizes: NDArray[np.uint8],
) -> Iterator[str]:
    """Yield square JPEG sheets of thumbnails, row by row, each at the corner of its cell.

    Notes the size of each thumbnail on the way.
    """
    from PIL import Image

    from paint_search.indexer.images.thumbnails import shrunk

    for first in range(0, len(sizes), across**2):
        rows = range(first, min(first + across**2, len(sizes)))
        sheet = Image.new("RGB", (across * side, -(-len(rows) // across) * side), "#808080")
        for place, row in enumerate(rows):
            picture = shrunk(thumbnail(row), side)
            sheet.paste(picture, (place % across * side, place // across * side))
            sizes[row] = picture.size
        yield jpeg(sheet, _JPEG_QUALITY)


def _base64(array: NDArray[Any], dtype: str) -> str:
    return base64.b64encode(np.ascontiguousarray(array, dtype=dtype).tobytes()).decode()
