"""Similarity search for paintings: index folders of images, ask for the nearest, study the results.

The public names are imported on first use, so that importing the package costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from paint_search.errors import PaintSearchError
    from paint_search.index.index import Index
    from paint_search.painting import Hit, Painting

__all__ = ["Hit", "Index", "PaintSearchError", "Painting"]

_HOMES = {
    "Hit": "paint_search.painting",
    "Index": "paint_search.index.index",
    "PaintSearchError": "paint_search.errors",
    "Painting": "paint_search.painting",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
