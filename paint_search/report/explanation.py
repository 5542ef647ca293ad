"""Why two paintings match -> a page: heat maps over both, and lines between their best regions.

The same of two works picked at random stands below, drawn to the same scale. Nothing is measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from paint_search.report.rendering import write_page

if TYPE_CHECKING:
    from PIL import Image

    from paint_search.index.explain import Explanation, Side

_SIDE: Final = 480  # pixels of the longer side of a picture
_GAP: Final = 60
_ADDS: Final = (178, 58, 42)
_TAKES: Final = (42, 92, 158)
_MOST_PAINT: Final = 0.8  # of the colour, where a place adds most


class _Picture(NamedTuple):
    """A picture of the drawing: itself, its name, where it lies, and the scale it is drawn in."""

    image: Image.Image
    name: str
    left: int
    scale: float

    def drawn(self, box: tuple[int, int, int, int]) -> tuple[float, float, float, float]:
        """Return a box of the picture as one of the drawing: left, top, width, height."""
        x, y, width, height = (round(side * self.scale, 1) for side in box)
        return self.left + x, y, width, height


def write_explanation(out: Path, explanation: Explanation, files: Sequence[Path | bytes]) -> None:
    """Write the page of an explanation.

    Args:
        out: the page.
        explanation: with its random pair, if it has one.
        files: the pictures of the two, and of the random pair.
    """
    shown = [one for one in (explanation, explanation.random) if one is not None]
    sides = [(one.one, one.other) for one in shown]
    heats = [side.heat for pair in sides for side in pair]
    most = max(float(np.abs(heat * heat.size).max(initial=0)) for heat in heats) or 1.0
    drawings = []
    for pair, own in zip(sides, (files[:2], files[2:]), strict=False):
        pictures: list[_Picture] = []
        for side, file in zip(pair, own, strict=True):
            left = _GAP + pictures[0].image.width if pictures else 0
            image = _heated(file, side, most)
            pictures.append(_Picture(image, side.name, left, image.width / side.size[0]))
        drawings.append(pictures)
    write_page(out, "explanation.html", shown=list(zip(shown, drawings, strict=True)))


def _heated(file: Path | bytes, side: Side, most: float) -> Image.Image:
    """Return a picture, greyed, with what its places add in red, and what they take in blue."""
    from PIL import Image

    from paint_search.indexer.images.thumbnails import thumbnail

    picture = thumbnail(file, _SIDE)
    if not side.heat.size:
        return picture
    scale = picture.width / side.size[0]
    left, top, width, height = (round(length * scale) for length in side.seen)
    # Of a place as if the whole picture were like it, so that maps of any fineness compare.
    field = Image.fromarray((side.heat * side.heat.size / most).astype(np.float32))
    field = field.resize((max(1, width), max(1, height)), Image.Resampling.BICUBIC)
    whole = Image.new("F", picture.size, 0.0)
    whole.paste(field, (left, top))
    amount = np.asarray(whole)[..., None]
    pixels = np.asarray(picture, dtype=np.float32)
    pixels = (pixels + pixels.mean(axis=2, keepdims=True)) / 2
    paint = np.where(amount > 0, _ADDS, _TAKES)
    cover = _MOST_PAINT * np.sqrt(np.abs(amount).clip(0, 1))
    return Image.fromarray((pixels * (1 - cover) + paint * cover).astype(np.uint8))
