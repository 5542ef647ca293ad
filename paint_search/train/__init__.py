"""Labelled pictures -> weights: a backbone of your own, or a small net that tells classes apart.

Files or pixels and their labels come in; networks of torch go out, and checkpoints on the way.
Called by the command line and by studies that are asked for a net, never by a query: it imports
torch, so import it late.
"""

from paint_search.train.convnet import SIDE, SmallConvNet
from paint_search.train.learning import (
    CURVE,
    Recipe,
    Trained,
    begin,
    embed,
    find_device,
    learn,
    save_weights,
)
from paint_search.train.pictures import Pictures

__all__ = [
    "CURVE", "SIDE", "Pictures", "Recipe", "SmallConvNet", "Trained", "begin", "embed",
    "find_device", "learn", "save_weights",
]  # fmt: skip
