"""Backbones turn pixels into feature vectors, and engines run them on this machine.

In come names, weights and batches of pixels, (n, h, w, 3) uint8; out go unit-norm vectors, (n, d)
float32. torch and timm are imported below here alone, and never for a query.
Called by the pipeline, and by the index for queries.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from paint_search.errors import BackboneError
from paint_search.indexer.backbones.engines import (
    DEVICES,
    LEAST_COSINE,
    Embedder,
    EngineChoice,
    OpenVinoEmbedder,
    TorchEmbedder,
    exact_enough,
    find_device,
    load_openvino,
)
from paint_search.indexer.backbones.model import Model, missing_for_timm
from paint_search.indexer.backbones.parts import BuiltInParts, NetworkParts, Parts
from paint_search.indexer.backbones.registry import (
    AUTO,
    REGISTRY,
    Backbone,
    BackboneRecord,
    find_backbone,
)

if TYPE_CHECKING:
    from paint_search.indexer.backbones.timm_network import (
        Network,
        build_network,
        export_openvino,
        make_network,
    )

__all__ = [
    "AUTO",
    "DEVICES",
    "LEAST_COSINE",
    "REGISTRY",
    "Backbone",
    "BackboneRecord",
    "BuiltInParts",
    "Embedder",
    "EngineChoice",
    "Model",
    "Network",
    "NetworkParts",
    "OpenVinoEmbedder",
    "Parts",
    "TorchEmbedder",
    "build_network",
    "exact_enough",
    "export_openvino",
    "find_backbone",
    "find_device",
    "load_openvino",
    "make_network",
]


def __getattr__(name: str) -> Any:
    if name in ("Network", "build_network", "export_openvino", "make_network"):
        # They import torch and timm.
        if missing := missing_for_timm():
            raise BackboneError(f"backbones.{name} needs {missing}")
        return getattr(import_module("paint_search.indexer.backbones.timm_network"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
