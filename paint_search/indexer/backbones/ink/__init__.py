"""The backbone for ink on paper: eleven measures of blackness, eyes and strokes, which can be read.

In come pixels of black-and-white works, out go vectors, and the measures back from vectors.
Called by the registry, the engines, and by studies that take features by name.
"""

from paint_search.indexer.backbones.ink.ink import (
    DIMENSION,
    GREY,
    INPUT_SIZE,
    MARGIN,
    VERSION,
    check,
    describe,
    lift,
    only,
    read,
)
from paint_search.indexer.backbones.ink.measures import COUNTS, MEASURES

__all__ = [
    "COUNTS",
    "DIMENSION",
    "GREY",
    "INPUT_SIZE",
    "MARGIN",
    "MEASURES",
    "VERSION",
    "check",
    "describe",
    "lift",
    "only",
    "read",
]
