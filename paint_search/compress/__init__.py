"""Compressors: feature vectors -> shorter ones that keep who is near whom, or who is like whom.

(n, d) vectors come in, (n, dims) unit rows go out. Each compressor is an estimator that
scikit-learn can clone and chain; saved, it holds numbers and no code. Called by the index, to fit
one and at every query, and by studies; applying needs NumPy alone, and so does fitting PCA, while
fitting the others imports torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from paint_search.errors import CompressError, missing_libraries

if TYPE_CHECKING:
    from paint_search.compress.autoencoder import Autoencoder
    from paint_search.compress.base import Compressor
    from paint_search.compress.convolutional import Convolutional, PlainConvolutional
    from paint_search.compress.hold_out import HoldOut, choose_hold_out, works_held_out
    from paint_search.compress.kinds import (
        LEARN_FROM_LABELS,
        METHODS,
        load_compressor,
        make_compressor,
    )
    from paint_search.compress.pca import PCA
    from paint_search.compress.record import Compression, Loss, Told
    from paint_search.compress.siamese import Siamese
    from paint_search.compress.siamese_training import check_collapse
    from paint_search.compress.training import Callback, Checkpoint, EarlyStopping, Training

__all__ = [
    "LEARN_FROM_LABELS", "METHODS", "PCA", "Autoencoder", "Callback", "Checkpoint", "Compression",
    "Compressor", "Convolutional", "EarlyStopping", "HoldOut", "Loss", "PlainConvolutional",
    "Siamese", "Told", "Training", "check_collapse", "choose_hold_out", "load_compressor",
    "make_compressor", "works_held_out",
]  # fmt: skip

#: Where each name is: a query of an index without a compressor waits for none of them.
_HOMES: Final = {
    "autoencoder": ("Autoencoder",),
    "base": ("Compressor",),
    "convolutional": ("Convolutional", "PlainConvolutional"),
    "hold_out": ("HoldOut", "choose_hold_out", "works_held_out"),
    "kinds": ("LEARN_FROM_LABELS", "METHODS", "load_compressor", "make_compressor"),
    "pca": ("PCA",),
    "record": ("Compression", "Loss", "Told"),
    "siamese": ("Siamese",),
    "siamese_training": ("check_collapse",),
    "training": ("Callback", "Checkpoint", "EarlyStopping", "Training"),
}
_WITH_TORCH: Final = ("siamese_training", "training")


def __getattr__(name: str) -> Any:
    home = next((home for home, names in _HOMES.items() if name in names), None)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if home in _WITH_TORCH:
        missing = missing_libraries("torch", "torch", "pytorch_metric_learning")
        if missing:
            raise CompressError(f"compress.{name} needs {missing}")
    return getattr(import_module(f"{__name__}.{home}"), name)
