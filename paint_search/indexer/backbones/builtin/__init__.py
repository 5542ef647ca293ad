"""The backbone of our own: a small network trained on paintings, and descriptors beside it.

In come pixels, out go vectors; nothing is downloaded. README.md is the model card. What is exported
is of the descriptors. Called by the registry of backbones and by the engines alone.
"""

from paint_search.indexer.backbones.builtin.descriptors import (
    DIMENSION,
    INPUT_SIZE,
    VERSION,
    describe,
    measure_blocks,
    oklab,
    stored_neutral,
)

__all__ = [
    "DIMENSION",
    "INPUT_SIZE",
    "VERSION",
    "describe",
    "measure_blocks",
    "oklab",
    "stored_neutral",
]
