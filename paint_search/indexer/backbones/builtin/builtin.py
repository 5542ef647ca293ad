"""The backbones of our own: the network file beside this module, and the records of their vectors.

The file is copied into every index made with it, so that an index outlives the version that made
it. How the network was trained, and how good it is, is told in README.md. Never imports torch.
"""

import os
import shutil
from importlib import resources
from pathlib import Path
from typing import Final

from paint_search.errors import BackboneError
from paint_search.indexer.backbones.builtin import descriptors
from paint_search.indexer.backbones.ink import ink
from paint_search.indexer.backbones.registry import (
    BUILT_IN,
    DESCRIPTORS,
    INK,
    REGISTRY,
    BackboneRecord,
)
from paint_search.indexer.backbones.weights import fingerprint
from paint_search.indexer.images.preprocessing import Fit, Preprocessing

_NETWORK: Final = "network.onnx"


def install(name: str, fit: Fit | None, file: Path) -> BackboneRecord:
    """Return the record of a backbone of our own; the network of ``builtin`` goes to ``file``."""
    fit = fit or REGISTRY[name].fit
    if name == INK:
        return BackboneRecord(
            name=INK,
            dimension=ink.DIMENSION,
            weights="no weights",
            fingerprint=ink.VERSION,
            preprocessing=Preprocessing(size=ink.INPUT_SIZE, fit=fit, mean=ink.MARGIN),
        )
    preprocessing = Preprocessing(size=descriptors.INPUT_SIZE, fit=fit, crop_pct=1.0)
    if name == DESCRIPTORS:
        return BackboneRecord(
            name=DESCRIPTORS,
            dimension=descriptors.DIMENSION,
            weights="no weights",
            fingerprint=descriptors.VERSION,
            preprocessing=preprocessing,
        )
    fresh = file.with_name(f"{file.name}.new")
    with resources.as_file(resources.files(__package__) / _NETWORK) as network:
        shutil.copyfile(network, fresh)
    os.replace(fresh, file)
    return BackboneRecord(
        name=BUILT_IN,
        dimension=REGISTRY[BUILT_IN].dimension or 0,
        weights=f"{_NETWORK} with {descriptors.VERSION}",
        fingerprint=fingerprint(file),
        preprocessing=preprocessing,
    )


def check(record: BackboneRecord, file: Path) -> None:
    """Raise BackboneError unless the vectors of the record can be made here.

    Args:
        record: of one of these, from an index.
        file: where that index keeps its network.
    """
    needs = record.weights if record.name == BUILT_IN else record.fingerprint
    version = ink.VERSION if record.name == INK else descriptors.VERSION
    if not needs.endswith(version):
        raise BackboneError(
            f"the index {file.parent} was made with {needs}, and this version of paint-search has "
            f"{version}: their vectors cannot be compared; make another index for it"
        )
    if record.name == BUILT_IN and not file.is_file():
        raise BackboneError(f"{file} is missing; restore it from a backup, or make another index")
