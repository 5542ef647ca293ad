"""The backbone of one index: found, built, converted, and run for indexing and for queries.

Ties the registry, the weights, the network and the engines together. The converted network in the
index folder is enough to index and to query on a CPU; torch is imported for GPUs, and for the
rare network that OpenVINO cannot run.
"""

import shutil
import threading
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from paint_search.errors import BackboneError, UsageError, argument, missing_libraries
from paint_search.files import replacing, require_plain
from paint_search.indexer.backbones import engines, parts, weights
from paint_search.indexer.backbones.builtin.descriptors import describe
from paint_search.indexer.backbones.registry import (
    AUTO,
    BUILT_IN,
    REGISTRY,
    Backbone,
    BackboneRecord,
    OwnBackbone,
    find_backbone,
)
from paint_search.indexer.decoders import Reader
from paint_search.indexer.images.decode import Damaged
from paint_search.indexer.images.preprocessing import Fit, Preprocessing
from paint_search.indexer.shared import cores

if TYPE_CHECKING:
    from paint_search.indexer.backbones.timm_network import Network

_CONVERTED: Final = "backbone.xml"  # with its weights in backbone.bin
_SHIPPED: Final = "network.onnx"
_OWN: Final = "backbone.onnx"  # also what version 0.1 converted to
_STATE: Final = "backbone.safetensors"  # of what OpenVINO cannot run

#: Of a network without its weights, and with them, as far as its format goes.
_MOST_BYTES: Final = {".xml": 2**27, ".onnx": 2**31}

#: What a backbone of timm is built with.
_LIBRARIES: Final = ("torch", "torchvision", "timm", "huggingface_hub")

#: Below this many images a GPU saves less time than importing torch costs (4 s).
_WORTH_A_GPU: Final = 256


class Model:
    """The backbone of the index in ``folder``, as its record describes it."""

    def __init__(
        self, record: BackboneRecord, folder: Path, network: "Network | None" = None
    ) -> None:
        self.record = record
        self._folder = folder
        self._network = network
        self._query_embedder: engines.Embedder | None = None
        self._making = threading.Lock()

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
        """Find the weights of the backbone ``name``, build it, and convert it into ``folder``.

        Args:
            name: a backbone, or ``auto``: ResNet-50, else the built-in, and ``note`` is told why.
            folder: the index.
            weights_file: where the weights are, instead of the cache and the hub.
            fit: how a painting is made square; None for the backbone's own way.
            note: takes one line for the user.

        Raises:
            BackboneError: unknown backbone, missing library, weights not to be had or not its own.
            UsageError: weights for a backbone that has none.
        """
        backbone = find_backbone("resnet50" if name == AUTO else name)
        if isinstance(backbone, OwnBackbone):
            if weights_file is not None:
                raise UsageError(f"{argument('weights')}: the backbone {name!r} has no weights")
            return cls(_install(backbone, fit, folder / _OWN), folder)
        missing = missing_for_timm()
        try:
            if missing:
                raise BackboneError(f"the backbone {backbone.name!r} needs {missing}")
            file = weights_file or _find_weights(backbone)
        except BackboneError:
            if name != AUTO or weights_file is not None:
                raise
            lacks, cure = missing, "then index anew"
            if missing is None:
                lacks = "its weights, which are not on this machine, nor to be had from the hub"
                cure = "for it, index anew with --backbone resnet50 --weights FILE"
            note(
                f"using the built-in backbone ({BUILT_IN!r}), since ResNet-50 needs {lacks}; {cure}"
            )
            return cls.create(BUILT_IN, folder, weights_file=None, fit=fit, note=note)
        from paint_search.indexer.backbones import timm_network

        network, record = timm_network.build_network(backbone, file, fit)
        try:
            converted = folder / _CONVERTED
            with replacing(converted.with_suffix(".bin")), replacing(converted) as fresh:
                timm_network.export_openvino(network, fresh)
        except BackboneError as error:
            note(f"{error}; torch runs it, which starts more slowly")
            with replacing(folder / _STATE) as fresh:
                weights.save_weights(network.model, fresh)
        return cls(record, folder, network)

    def query_embedder(self) -> engines.Embedder:
        """Return the embedder of queries, quick for one; it needs torch where nothing else can."""
        with self._making:
            if self._query_embedder is None:
                self._query_embedder = self._formula(lanes=1) or self._unconverted()
            if self._query_embedder is None:
                self._query_embedder = engines.OpenVinoEmbedder(self._converted())
            return self._query_embedder

    def decomposer(self, *, many: bool = False) -> parts.Decomposer:
        """Return what takes vectors of this backbone apart.

        Args:
            many: for many pictures; else it is quick for one.

        Raises:
            BackboneError: its vectors are not the sum of parts that mean something.
        """
        own = REGISTRY.get(self.record.name)
        self._formula(lanes=1)  # of another version it is refused
        if isinstance(own, OwnBackbone) and own.describe and own.blocks:
            return parts.FormulaParts(own.describe, own.blocks())
        if isinstance(own, OwnBackbone):
            return parts.BuiltInParts(self._converted(), many=many)
        if (self._folder / _STATE).is_file():
            raise parts.inexplicable("OpenVINO, which shows its feature maps, cannot run it")
        return parts.NetworkParts(self._converted(), many=many)

    def index_embedder(
        self,
        pixels: NDArray[np.uint8],
        pending: int,
        *,
        weights_file: Path | None,
        device: str,
        note: Callable[[str], None],
    ) -> tuple[engines.Embedder, engines.EngineChoice | None]:
        """Return the embedder for many images, and which engine it is; None for a formula.

        Args:
            pixels: the first batch, (n, size, size, 3), which shows whether it is exact enough.
            pending: how many images are to be embedded.
            weights_file: where the weights are, instead of the cache.
            device: ``auto``, ``cpu`` or ``cuda``.
            note: takes one line for the user, such as why a GPU is not used.

        Raises:
            BackboneError: the weights are not those of this index, or what is in its folder is
                damaged.
            UsageError: ``cuda`` was asked for and cannot be used.
        """
        if device == "cuda" or (device == "auto" and engines.count_gpus()):
            found = self._network_for_gpus(pending if device == "auto" else None, weights_file)
            if not isinstance(found, str):
                embedder, choice = engines.torch_on_gpus(found, pixels, pending, note)
                note(f"engine: {choice.describe()}")
                return embedder, choice
            if device == "cuda":
                raise UsageError(f"{argument('device', device)}: {found}")
            note(f"this machine has a GPU, and the CPU is used: {found}")
        return self.batch_embedder(pixels)

    def reader(self, max_pixels: int, damaged: Damaged) -> Reader:
        """Return what reads files as this backbone wants them."""
        own = REGISTRY.get(self.record.name)
        works_from = (own.describe or describe) if isinstance(own, OwnBackbone) else None
        return Reader(self.record.preprocessing, max_pixels, damaged, works_from)

    def batch_embedder(
        self, pixels: NDArray[np.uint8]
    ) -> tuple[engines.Embedder, engines.EngineChoice | None]:
        """Return the embedder for many images on the CPU, and its engine; None for a formula.

        Args:
            pixels: the first batch, (n, size, size, 3), which shows whether it is exact enough.

        Raises:
            BackboneError: what is in the index's folder is damaged.
        """
        formula = self._formula(lanes=cores())
        if formula is not None:
            return formula, None
        slow = self._unconverted()
        if slow is not None:
            return slow, engines.EngineChoice("torch on the CPU", "f32")
        return engines.openvino_on_cpu(self._converted(), pixels)

    def _network_for_gpus(self, pending: int | None, weights_file: Path | None) -> "Network | str":
        """Return the network, or why the GPUs cannot be used or are not worth it."""
        name = self.record.name
        if isinstance(REGISTRY.get(name), OwnBackbone):
            return f"the backbone {name!r} runs on the CPU only"
        if pending is not None and pending < _WORTH_A_GPU:
            return f"{pending} images are done there before torch has started"
        if missing := missing_for_timm():
            return f"a GPU needs {missing}"
        import torch

        if not torch.cuda.is_available():
            return "torch finds no GPU here"
        network = self._find_network(weights_file)
        if network is None:
            return f"the weights are not in the cache; give them with {argument('weights')}"
        return network

    def _formula(self, lanes: int) -> engines.FormulaEmbedder | None:
        """Return the embedder of a backbone of our own that is a formula alone.

        Raises:
            BackboneError: this version of the package has another formula, or the formula that
                the network is shown is another.
        """
        own = REGISTRY.get(self.record.name)
        if not isinstance(own, OwnBackbone):
            return None
        needs = self.record.fingerprint if own.describe else self.record.weights
        if not needs.endswith(own.version):
            raise BackboneError(
                f"the index {self._folder} was made with {needs}, and this version of "
                f"paint-search has {own.version}: their vectors cannot be compared; make "
                "another index for it"
            )
        if (size := self.record.preprocessing.size) != own.input_size:
            raise BackboneError(
                f"the index {self._folder} says that {own.name} takes pictures of {size} pixels, "
                f"and it takes {own.input_size}: its manifest is damaged; restore it from a "
                "backup, or make another index"
            )
        return engines.FormulaEmbedder(own.describe, lanes) if own.describe else None

    def _unconverted(self) -> engines.TorchEmbedder | None:
        """Return the embedder of a network that OpenVINO cannot run."""
        state = self._folder / _STATE
        if not state.is_file():
            return None
        if missing := missing_for_timm():
            raise BackboneError(f"the backbone {self.record.name!r} needs {missing}")
        from paint_search.indexer.backbones.timm_network import build_network

        backbone = find_backbone(self.record.name)
        network, _ = build_network(backbone, state, self.record.preprocessing.fit)
        return engines.TorchEmbedder(network, ["cpu"])

    def _converted(self) -> Path:
        """Return the network in the folder, or raise BackboneError."""
        for name in (_CONVERTED, _OWN):
            file = self._folder / name
            if file.exists():
                try:
                    require_plain(file, _MOST_BYTES[file.suffix])
                except ValueError as error:
                    raise BackboneError(
                        f"{file} is damaged: {error}; restore it from a backup, or make another "
                        "index"
                    ) from error
                return file
        own = isinstance(REGISTRY.get(self.record.name), OwnBackbone)
        raise BackboneError(
            f"{self._folder / (_OWN if own else _CONVERTED)} is missing; restore it from a "
            "backup, or make another index"
        )

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
        """Return the torch network if its weights are at hand."""
        if self._network is None:
            backbone = find_backbone(self.record.name)
            file = weights_file or weights.cached_weights(_hub(backbone))
            if file is not None and weights.fingerprint(file) == self.record.fingerprint:
                from paint_search.indexer.backbones.timm_network import build_network

                self._network, _ = build_network(backbone, file, self.record.preprocessing.fit)
        return self._network


def missing_for_timm() -> str | None:
    """Return which libraries a backbone of timm lacks, and what installs them; None if none."""
    return missing_libraries("torch", *_LIBRARIES)


def weights_state(backbone: Backbone) -> str:
    """Say whether the weights of a registered backbone are on this machine."""
    if backbone.hub is None:
        return "none needed"
    if missing := missing_for_timm():
        return f"needs {missing}"
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
