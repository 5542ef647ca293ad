"""The backbone of one index: found, built, exported for queries, and run for indexing.

Ties the registry, the weights, the network and the engines together. The exported network in the
index folder is enough to index and to query; torch is imported only where it pays.
"""

import os
import platform
import shutil
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from paint_search.errors import BackboneError, UsageError, argument
from paint_search.files import replacing
from paint_search.indexer.backbones import engines, weights
from paint_search.indexer.backbones.registry import (
    AUTO,
    BUILT_IN,
    REGISTRY,
    Backbone,
    BackboneRecord,
    OwnBackbone,
    find_backbone,
)
from paint_search.indexer.images.preprocessing import Fit, Preprocessing

if TYPE_CHECKING:
    from paint_search.indexer.backbones.timm_network import Network

_EXPORT: Final = "backbone.onnx"
_SHIPPED: Final = "network.onnx"

#: Below this many images, importing torch (4 s) costs more than its faster engine saves.
_WORTH_TORCH: Final = 128


class Model:
    """The backbone of the index in ``folder``, as its record describes it."""

    def __init__(
        self, record: BackboneRecord, folder: Path, network: "Network | None" = None
    ) -> None:
        self.record = record
        self._folder = folder
        self._network = network
        self._query_embedder: engines.Embedder | None = None

    @classmethod
    def create(
        cls,
        name: str,
        folder: Path,
        *,
        weights_file: Path | None,
        fit: Fit | None,
        note: Callable[[str], None],
    ) -> "Model":
        """Find the weights of the backbone ``name``, build it, and export it into ``folder``.

        Args:
            name: a backbone, or ``auto``: ResNet-50, else the built-in, said through ``note``.
            folder: the index.
            weights_file: where the weights are, instead of the cache and the hub.
            fit: how a painting is made square; None for the backbone's own way.
            note: takes one line for the user.

        Raises:
            BackboneError: unknown backbone, weights not to be had or not its own.
            UsageError: weights for a backbone that has none.
        """
        backbone = find_backbone("resnet50" if name == AUTO else name)
        if isinstance(backbone, OwnBackbone):
            if weights_file is not None:
                raise UsageError(f"{argument('weights')}: the backbone {name!r} has no weights")
            return cls(_install(backbone, fit, folder / _EXPORT), folder)
        try:
            file = weights_file or _find_weights(backbone)
        except BackboneError:
            if name != AUTO:
                raise
            note(
                "ResNet-50's weights are not on this machine and the model hub cannot be reached: "
                f"using the built-in backbone ({BUILT_IN!r}). For ResNet-50, index anew with "
                "--weights FILE."
            )
            return cls.create(BUILT_IN, folder, weights_file=None, fit=fit, note=note)
        from paint_search.indexer.backbones.timm_network import build_network, export_onnx

        network, record = build_network(backbone, file, fit)
        with replacing(folder / _EXPORT) as fresh:
            export_onnx(network, record.preprocessing.size, fresh)
        return cls(record, folder, network)

    def query_embedder(self) -> engines.Embedder:
        """Return the embedder of queries: ONNX Runtime or the built-in; torch is never imported."""
        if self._query_embedder is None:
            self._query_embedder = self._exported(lanes=1)
        return self._query_embedder

    def index_embedder(
        self,
        pixels: NDArray[np.uint8],
        pending: int,
        *,
        measured: engines.EngineChoice | None,
        weights_file: Path | None,
        device: str,
        note: Callable[[str], None],
    ) -> tuple[engines.Embedder, engines.EngineChoice | None]:
        """Return the fastest sound embedder for many images, and how it was chosen.

        Args:
            pixels: the first batch, (n, size, size, 3), to measure engines with.
            pending: how many images are to be embedded.
            measured: the choice of an earlier run; taken over on the same machine.
            weights_file: where the weights are, instead of the cache.
            device: ``auto``, ``cpu`` or ``cuda``.
            note: takes one line for the user, on each engine that cannot run here.

        Raises:
            BackboneError: the weights are not those of this index, or no engine is sound.
            UsageError: ``cuda`` was asked for and cannot be used.
        """
        machine = _machine(device)
        lanes = os.cpu_count() or 1
        if isinstance(REGISTRY.get(self.record.name), OwnBackbone):
            if device == "cuda":
                raise UsageError(
                    f"{argument('device', device)}: the backbone {self.record.name!r} runs on the "
                    "CPU only"
                )
            return self._exported(lanes), None
        known = measured if measured and measured.machine == machine else None
        prefers_onnx = known is not None and known.engine == engines.ONNX
        small = pending < _WORTH_TORCH and self._network is None
        network = None
        if device == "cuda" or not (prefers_onnx or small):
            network = self._find_network(weights_file)
        if network is None:
            if device == "cuda":
                raise UsageError(
                    f"{argument('device', device)} needs the weights, which are not in the cache; "
                    f"give them with {argument('weights')}"
                )
            return self._exported(lanes), known
        makers: dict[str, Callable[[], engines.Embedder]] = {}
        if device != "cuda":
            makers[engines.ONNX] = lambda: self._exported(lanes)
        makers |= engines.torch_engines(network, engines.find_device(device))
        if known is not None and known.engine in makers:
            return makers[known.engine](), known
        return engines.fastest_engine(network, makers, pixels, machine, note)

    def _exported(self, lanes: int) -> engines.Embedder:
        record, file = self.record, self._folder / _EXPORT
        own = REGISTRY.get(record.name)
        if isinstance(own, OwnBackbone):
            needs = record.fingerprint if own.describe else record.weights
            if not needs.endswith(own.version):
                raise BackboneError(
                    f"the index {self._folder} was made with {needs}, and this version of "
                    f"paint-search has {own.version}: their vectors cannot be compared; make "
                    "another index for it"
                )
            if own.describe:
                return engines.FormulaEmbedder(own.describe)
            if not file.is_file():
                raise BackboneError(
                    f"{file} is missing; restore it from a backup, or make another index"
                )
        return engines.OnnxEmbedder(file, lanes)

    def check_weights(self, weights_file: Path) -> None:
        """Raise BackboneError unless this is the file that the index was made with."""
        if not weights_file.is_file():
            raise BackboneError(
                f"there is no weights file {weights_file}; check {argument('weights')}"
            )
        if weights.fingerprint(weights_file) != self.record.fingerprint:
            raise BackboneError(
                f"{weights_file} is not the weights file this index was made with "
                f"({self.record.weights}); make another index for it"
            )

    def _find_network(self, weights_file: Path | None) -> "Network | None":
        """Return the torch network if its weights are at hand; the export serves where not."""
        if self._network is None:
            backbone = find_backbone(self.record.name)
            file = weights_file or weights.cached_weights(_hub(backbone))
            if file is not None and weights.fingerprint(file) == self.record.fingerprint:
                from paint_search.indexer.backbones.timm_network import build_network

                self._network, _ = build_network(backbone, file, self.record.preprocessing.fit)
        return self._network


def weights_state(backbone: Backbone) -> str:
    """Say whether the weights of a registered backbone are on this machine."""
    if backbone.hub is None:
        return "none needed"
    return "here" if weights.cached_weights(backbone.hub) else "not here; --weights or download"


def _install(backbone: OwnBackbone, fit: Fit | None, file: Path) -> BackboneRecord:
    """Return the record of a backbone of our own, whose network, if it has one, goes to ``file``.

    It is copied into every index, so that an index outlives the version that made it.
    """
    made_by, fingerprint = "no weights", backbone.version
    if backbone.describe is None:
        shipped = resources.files("paint_search.indexer.backbones.builtin") / _SHIPPED
        with resources.as_file(shipped) as network, replacing(file) as fresh:
            shutil.copyfile(network, fresh)
        made_by = f"{_SHIPPED} with {backbone.version}"
        fingerprint = weights.fingerprint(file)
    preprocessing = Preprocessing(backbone.input_size, fit or backbone.fit, mean=backbone.margin)
    return BackboneRecord(
        backbone.name, backbone.dimension or 0, made_by, fingerprint, preprocessing
    )


def _find_weights(backbone: Backbone) -> Path:
    hub = _hub(backbone)
    return weights.cached_weights(hub) or weights.download_weights(hub)


def _hub(backbone: Backbone) -> str:
    if backbone.hub is not None:
        return backbone.hub
    from paint_search.indexer.backbones.timm_network import hub_of

    return hub_of(backbone)


def _machine(device: str) -> str:
    """Describe what decides which engine is fastest, without naming the machine."""
    from importlib.metadata import version  # slow to import, and only wanted here

    versions = [f"{name} {version(name)}" for name in ("torch", "onnxruntime")]
    return f"{platform.machine()}, {os.cpu_count()} cores, {device}, {', '.join(versions)}"
