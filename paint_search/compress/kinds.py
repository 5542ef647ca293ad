"""The compressors by name: made to be fitted, or loaded from the folder where one was saved."""

from pathlib import Path
from typing import Final

from paint_search.compress.autoencoder import Autoencoder
from paint_search.compress.base import Compressor, damaged, load_files
from paint_search.compress.convolutional import Convolutional, PlainConvolutional
from paint_search.compress.pca import PCA
from paint_search.compress.siamese import Siamese
from paint_search.errors import CompressError, UsageError

_CLASSES: Final[dict[str, type[Compressor]]] = {
    kind.method: kind for kind in (PCA, Autoencoder, Siamese, Convolutional, PlainConvolutional)
}

#: In the order in which a user meets them; the last is the published study's own training.
METHODS: Final = tuple(_CLASSES)

#: Those of them whose ``fit`` needs labels.
LEARN_FROM_LABELS: Final = tuple(name for name, k in _CLASSES.items() if k.learns_from_labels)


def make_compressor(method: str, dims: int, *, seed: int = 0) -> Compressor:
    """Return a compressor to be fitted.

    Raises:
        UsageError: no such method.
    """
    if method not in _CLASSES:
        raise UsageError(f"unknown method {method!r}: use {', '.join(METHODS)}")
    return _CLASSES[method](dims, seed=seed)


def load_compressor(folder: Path, features: str) -> Compressor:
    """Load the compressor that was saved in ``folder`` for the backbone of that fingerprint."""
    settings, arrays = load_files(folder, features)
    try:
        compressor = _CLASSES[settings["method"]](int(settings["dims"]), seed=int(settings["seed"]))
        compressor.restore(settings, arrays)
    except (
        CompressError,
        LookupError,
        TypeError,
        ValueError,
        ArithmeticError,
        AttributeError,
        MemoryError,
    ) as error:
        raise damaged(folder, error) from error
    return compressor
