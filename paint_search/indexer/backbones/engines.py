"""Batches of pixels -> vectors, by the fastest engine of this machine that is still exact enough.

An engine is a way to run a backbone: ONNX Runtime, torch in float32 or bfloat16, CUDA. All take
(n, size, size, 3) uint8 and return (n, d) float32 with unit rows. Knows nothing of files or stores.
"""

import copy
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from paint_search.errors import BackboneError, UsageError, argument
from paint_search.indexer.backbones.builtin.descriptors import describe

if TYPE_CHECKING:
    from paint_search.indexer.backbones.timm_network import Network

DEVICES: Final = ("auto", "cpu", "cuda")

#: Least cosine between an engine's vector and plain float32, for every image of the first batch.
LEAST_COSINE: Final = 0.999

_TRIAL: Final = 4  # images

ONNX: Final = "onnxruntime fp32"


class Embedder(Protocol):
    """Runs a backbone; ``lanes`` is how many calls at the same time use the machine best."""

    @property
    def lanes(self) -> int:
        """How many threads should call ``embed`` at the same time."""
        ...

    def embed(self, pixels: NDArray[np.uint8], /) -> NDArray[np.float32]:
        """Return the unit-norm embeddings, (n, d), of (n, size, size, 3) sRGB pixels."""
        ...


@dataclass(frozen=True, slots=True)
class FormulaEmbedder:
    """A formula that needs no weights: the descriptors, or the measures of ink on paper."""

    embed: Callable[[NDArray[np.uint8]], NDArray[np.float32]]
    lanes: int = 1


class OnnxEmbedder:
    """An exported backbone in ONNX Runtime, on the CPU.

    The built-in network is shown the descriptors of a painting beside its pixels.
    With one lane a call uses all cores, the quickest for one image. With as many lanes as cores
    each call keeps to one core and waits for no other, the quickest for many images.

    Raises:
        BackboneError: the file is missing or not an ONNX network.
    """

    def __init__(self, file: Path, lanes: int = 1) -> None:
        import onnxruntime

        self.lanes = lanes
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        if lanes > 1:
            options.intra_op_num_threads = 1
        # Idle compute threads give their core to the decoders at once.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._session = onnxruntime.InferenceSession(
                str(file), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # ONNX Runtime's errors have no public common type
            raise BackboneError(
                f"the backbone {file} cannot be loaded ({error}); run paint-search index again "
                f"with {argument('weights')} to write it anew"
            ) from error
        self._is_shown_descriptors = len(self._session.get_inputs()) > 1

    def embed(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the unit-norm embeddings, (n, d)."""
        inputs: dict[str, NDArray[Any]] = {"pixels": pixels}
        if self._is_shown_descriptors:
            inputs["descriptors"] = describe(pixels)
        vectors: NDArray[np.float32] = self._session.run(None, inputs)[0]
        return vectors


class TorchEmbedder:
    """A network in torch on a device; ``plain`` runs it eagerly in float32, as the reference."""

    lanes = 1

    def __init__(self, network: "Network", device: str, precision: str, plain: bool) -> None:
        import torch

        self._device = device
        self._plain = plain
        self._network = network
        if not plain:
            self._network = copy.deepcopy(network).to(device)
            self._network.model.to(getattr(torch, precision))
            self._network.model.to(memory_format=torch.channels_last)

    def embed(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the unit-norm embeddings, (n, d)."""
        import torch

        with torch.inference_mode():
            batch = torch.from_numpy(pixels).to(self._device)
            vectors: NDArray[np.float32] = self._network(batch).float().cpu().numpy()
        return vectors


@dataclass(frozen=True, slots=True)
class EngineChoice:
    """The engine in use, what it was measured at, and on which machine.

    ``cosine`` is the least over the first batch, against plain float32.
    """

    engine: str
    images_per_second: float
    cosine: float
    machine: str

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> "EngineChoice":
        """Read the record back from a manifest.

        Raises:
            KeyError, TypeError, ValueError: the record is not of that form.
        """
        return cls(
            engine=str(record["engine"]),
            images_per_second=float(record["images_per_second"]),
            cosine=float(record["cosine"]),
            machine=str(record["machine"]),
        )

    def describe(self) -> str:
        """Say in a phrase which engine it is and how it was found."""
        return (
            f"{self.engine}, measured at {self.images_per_second:.0f} images/s, "
            f"cosine to float32 {self.cosine:.4f} at least"
        )


def torch_engines(network: "Network", device: str) -> Mapping[str, Callable[[], Embedder]]:
    """Return the makers of the torch engines that fit a device, ``cpu`` or ``cuda``."""
    precisions = ("float16", "bfloat16", "float32") if device == "cuda" else ("bfloat16", "float32")
    return {
        f"torch {device} {precision}": partial(
            TorchEmbedder, network, device, precision, plain=False
        )
        for precision in precisions
    }


def find_device(wanted: str) -> str:
    """Return ``cuda`` or ``cpu`` for ``auto``, or the wanted one if this machine has it.

    Raises:
        UsageError: CUDA was asked for and is not there.
    """
    import torch

    if wanted == "cuda" and not torch.cuda.is_available():
        raise UsageError(
            f"{argument('device', 'cuda')}: torch finds no GPU here; use "
            f"{argument('device', 'auto')}"
        )
    return "cuda" if wanted != "cpu" and torch.cuda.is_available() else "cpu"


def fastest_engine(
    network: "Network",
    makers: Mapping[str, Callable[[], Embedder]],
    pixels: NDArray[np.uint8],
    machine: str,
    note: Callable[[str], None],
) -> tuple[Embedder, EngineChoice]:
    """Keep the fastest engine that agrees with plain float32 on every image of a first batch.

    The engines are ranked on a few images; in that order, the first whose vectors all reach
    ``LEAST_COSINE`` is taken.

    Args:
        network: the backbone; run eagerly in float32 on the CPU, it is the reference.
        makers: engine name -> how to make it.
        pixels: the first batch, (n, size, size, 3).
        machine: named in the choice, so that another machine measures again.
        note: told of each engine that cannot run here, and why.

    Raises:
        BackboneError: no engine reproduces the reference.
    """
    trials = []
    for name, make in makers.items():
        try:
            engine = make()
            engine.embed(pixels[:1])  # the first call compiles and allocates
            trials.append((_rate(engine, pixels[:_TRIAL])[0], name, engine))
        except (RuntimeError, NotImplementedError, BackboneError) as error:
            note(f"the engine {name} cannot run here ({error})")
    reference = TorchEmbedder(network, "cpu", "float32", plain=True).embed(pixels)
    for _, name, engine in sorted(trials, key=lambda trial: -trial[0]):
        rate, vectors = _rate(engine, pixels)
        cosine = float(np.einsum("nd,nd->n", vectors, reference).min())
        if cosine >= LEAST_COSINE:
            return engine, EngineChoice(name, round(rate, 1), round(cosine, 6), machine)
    raise BackboneError(
        "no engine of this machine reproduces the backbone's float32 vectors; are its weights "
        "damaged (NaN or infinite)?"
    )


def _rate(engine: Embedder, pixels: NDArray[np.uint8]) -> tuple[float, NDArray[np.float32]]:
    """Return images per second, and the vectors."""
    parts = np.array_split(pixels, min(engine.lanes, len(pixels)))
    with ThreadPoolExecutor(len(parts)) as pool:
        start = time.perf_counter()
        vectors = np.concatenate(list(pool.map(engine.embed, parts)))
        return len(pixels) / (time.perf_counter() - start), vectors
