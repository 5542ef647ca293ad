"""Labelled pictures -> weights: a backbone of your own, or a small net that tells classes apart.

Files or pixels and their labels come in; networks of torch go out, and checkpoints on the way.
Called by the command line and by studies that are asked for a net, never by a query: it imports
torch, so import it late.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from paint_search.errors import UsageError, missing_libraries

if TYPE_CHECKING:
    from paint_search.train.convnet import SmallConvNet
    from paint_search.train.learning import (
        CURVE,
        Recipe,
        Trained,
        begin,
        embed,
        learn,
        save_weights,
    )
    from paint_search.train.pictures import SIDE, Pictures

__all__ = [
    "CURVE",
    "SIDE",
    "Pictures",
    "Recipe",
    "SmallConvNet",
    "Trained",
    "begin",
    "embed",
    "learn",
    "save_weights",
]

_HOMES = {
    "CURVE": "learning",
    "SIDE": "pictures",
    "Pictures": "pictures",
    "Recipe": "learning",
    "SmallConvNet": "convnet",
    "Trained": "learning",
    "begin": "learning",
    "embed": "learning",
    "learn": "learning",
    "save_weights": "learning",
}


#: What all but the pictures need.
_LIBRARIES = ("torch", "torchvision", "timm", "pytorch_metric_learning")


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        needed = () if _HOMES[name] == "pictures" else _LIBRARIES
        if missing := missing_libraries("torch", *needed):
            raise UsageError(f"training needs {missing}")
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
