"""The compressors by name: made to be fitted, or loaded from the folder where one was saved.

Imports a compressor's module when it is asked for, and torch never.
"""

from pathlib import Path
from typing import Final

from paint_search.compress.base import Compressor, damaged, load_files
from paint_search.errors import CompressError, UsageError

#: In the order in which a user meets them; the last is the published study's own training.
METHODS: Final = ("pca", "autoencoder", "siamese", "convolutional", "convolutional-plain")

#: Those of them whose ``fit`` needs labels.
LEARN_FROM_LABELS: Final = ("siamese",)


def make_compressor(method: str, dims: int, *, seed: int = 0) -> Compressor:
    """Return a compressor to be fitted.

    Raises:
        UsageError: no such method.
        CompressError: the method cannot make so many dimensions.
    """
    return _class_of(method)(dims, seed=seed)


def load_compressor(folder: Path, features: str) -> Compressor:
    """Load the compressor that was saved in ``folder`` for the backbone of that fingerprint.

    Raises:
        CompressError: damaged, of a newer format, or of another backbone.
    """
    settings, arrays = load_files(folder, features)
    try:
        compressor = _class_of(settings["method"])(
            int(settings["dims"]), seed=int(settings["seed"])
        )
        compressor.restore(settings, arrays)
    except (CompressError, UsageError, LookupError, TypeError, ValueError) as error:
        raise damaged(folder, error) from error
    return compressor


def _class_of(method: str) -> type[Compressor]:
    match method:
        case "pca":
            from paint_search.compress.pca import PCA

            return PCA
        case "autoencoder":
            from paint_search.compress.autoencoder import Autoencoder

            return Autoencoder
        case "siamese":
            from paint_search.compress.siamese import Siamese

            return Siamese
        case "convolutional":
            from paint_search.compress.convolutional import ConvolutionalAutoencoder

            return ConvolutionalAutoencoder
        case "convolutional-plain":
            from paint_search.compress.convolutional import PlainConvolutionalAutoencoder

            return PlainConvolutionalAutoencoder
    raise UsageError(f"unknown method {method!r}: use {', '.join(METHODS)}")
