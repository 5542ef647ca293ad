"""Similarity search for paintings: index folders of images, ask for the nearest, study the results.

The public names are imported on first use, so that importing the package costs nothing: ``Index``,
``Client``, ``Painting``, ``Hit``, the room ``studies``, and every error of ``paint_search.errors``.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import paint_search.studies as studies
    from paint_search.errors import (
        BackboneError,
        CompressError,
        EvalError,
        ImageError,
        IndexMissingError,
        ManifestError,
        NotAnImageError,
        PaintSearchError,
        StoreBusyError,
        StoreError,
        UnknownError,
        UsageError,
    )
    from paint_search.index import Index
    from paint_search.painting import Hit, Painting
    from paint_search.serve.client import Client

__all__ = [
    "BackboneError",
    "Client",
    "CompressError",
    "EvalError",
    "Hit",
    "ImageError",
    "Index",
    "IndexMissingError",
    "ManifestError",
    "NotAnImageError",
    "PaintSearchError",
    "Painting",
    "StoreBusyError",
    "StoreError",
    "UnknownError",
    "UsageError",
    "studies",
]

_HOMES = {
    "Client": "paint_search.serve.client",
    "Hit": "paint_search.painting",
    "Index": "paint_search.index",
    "Painting": "paint_search.painting",
}


def __getattr__(name: str) -> Any:
    if name == "studies":
        return import_module("paint_search.studies")
    if name in __all__:
        return getattr(import_module(_HOMES.get(name, "paint_search.errors")), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
