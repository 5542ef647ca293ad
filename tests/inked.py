"""Ink on paper whose measures are known exactly: discs, rings and rectangles, drawn as formulas."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from paint_search.indexer.backbones import ink
from paint_search.indexer.images import Preprocessing

SIZE = (900, 720)  # width, height
AREA = SIZE[0] * SIZE[1]
SEEN = Preprocessing(size=ink.INPUT_SIZE, fit="pad", mean=ink.MARGIN)

Mask = NDArray[np.bool_]


def disc(x: float, y: float, radius: float) -> Mask:
    across, down = _grid(x, y, 0.0)
    return np.asarray(across**2 + down**2 < radius**2)


def box(x: float, y: float, width: float, height: float, degrees: float = 0.0) -> Mask:
    across, down = _grid(x, y, degrees)
    return np.asarray((abs(across) < width / 2) & (abs(down) < height / 2))


def sheet(black: Mask, paper: int = 230, ink_level: int = 20) -> Image.Image:
    levels = np.where(black, ink_level, paper).astype(np.uint8)
    return Image.fromarray(np.stack([levels] * 3, axis=2))


def vectors(*pictures: Image.Image) -> NDArray[np.float32]:
    return ink.describe(np.stack([np.asarray(SEEN.fit_image(picture)) for picture in pictures]))


def measured(picture: Image.Image) -> dict[str, float]:
    return dict(zip(ink.MEASURES, ink.read(vectors(picture))[0].tolist(), strict=True))


def _grid(x: float, y: float, degrees: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    down, across = np.mgrid[0 : SIZE[1], 0 : SIZE[0]] + 0.5
    turn = np.deg2rad(degrees)
    across, down = across - x, down - y
    return (
        across * np.cos(turn) + down * np.sin(turn),
        down * np.cos(turn) - across * np.sin(turn),
    )
