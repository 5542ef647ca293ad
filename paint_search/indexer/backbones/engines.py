"""Batches of pixels -> vectors, by the one engine of a device: OpenVINO on CPUs, torch on GPUs.

An engine takes (n, size, size, 3) uint8 and returns (n, d) float32 with unit rows. Where it
computes in less than float32, a first batch shows whether that is exact enough. Knows nothing of
files of paintings or of stores.
"""

import copy
import ctypes
import logging
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from platformdirs import user_cache_path

from paint_search.errors import BackboneError, UsageError, argument
from paint_search.indexer.backbones.builtin.descriptors import describe

if TYPE_CHECKING:
    from paint_search.indexer.backbones.timm_network import Network

DEVICES: Final = ("auto", "cpu", "cuda")

Precision = Literal["f32", "bf16", "f16"]

#: Least cosine between an engine's vector and float32's, for every image of the first batch.
LEAST_COSINE: Final = 0.999

#: Images at once on a CPU, where 1 to 32 run equally fast, and fewer hold less memory.
BATCH: Final = 16

#: Of a GPU: most images at once, and the share of its free memory that they may take.
_GPU_BATCH: Final = 512
_GPU_SHARE: Final = 0.7

#: Compiling a network takes about a minute, which a third more speed pays back at so many images.
_WORTH_COMPILING: Final = 100_000


#: Compiled networks that are kept for the next question.
_CACHED: Final = 8

_CONVERTER: Final = "openvino.tools.ovc"

_loading: Final = threading.Lock()
_LOG: Final = logging.getLogger(__name__)


class Embedder(Protocol):
    """Runs a backbone; calls from ``lanes`` threads at the same time use the machine best."""

    @property
    def lanes(self) -> int:
        """How many threads should call ``embed`` at the same time."""
        ...

    @property
    def batch(self) -> int:
        """How many images a call should have."""
        ...

    def embed(
        self, pixels: NDArray[np.uint8], descriptions: NDArray[np.float32] | None = None, /
    ) -> NDArray[np.float32]:
        """Return the unit-norm embeddings, (n, d), of (n, size, size, 3) sRGB pixels.

        ``descriptions`` are those of the backbone, where it has any and they are known already.
        """
        ...


@dataclass(frozen=True, slots=True)
class EngineChoice:
    """The engine that ran last, in which precision.

    ``cosine`` is the least to float32 over the first batch; None where float32 itself ran.
    """

    engine: str
    precision: str
    cosine: float | None = None

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> "EngineChoice":
        """Read the record back from a manifest; those of version 0.1 name no precision.

        Raises:
            KeyError, TypeError, ValueError: the record is not of that form.
        """
        cosine = record["cosine"]
        return cls(
            engine=str(record["engine"]),
            precision=str(record.get("precision", "")),
            cosine=None if cosine is None else float(cosine),
        )

    def describe(self) -> str:
        """Say in a phrase which engine it is, and how exact."""
        words = f"{self.engine}, {self.precision}".rstrip(", ")
        return (
            words if self.cosine is None else f"{words}, cosine to f32 {self.cosine:.4f} at least"
        )


@dataclass(frozen=True, slots=True)
class FormulaEmbedder:
    """A formula that needs no weights: the descriptors, or the measures of ink on paper."""

    describe: Callable[[NDArray[np.uint8]], NDArray[np.float32]]
    lanes: int = 1
    batch: int = BATCH

    def embed(
        self, pixels: NDArray[np.uint8], descriptions: NDArray[np.float32] | None = None
    ) -> NDArray[np.float32]:
        """Return the unit-norm embeddings, (n, d): the descriptions themselves."""
        return self.describe(pixels) if descriptions is None else descriptions


class OpenVinoEmbedder:
    """A network in OpenVINO, on the CPU.

    The built-in network is shown the descriptors of a painting beside its pixels.

    Args:
        file: an OpenVINO or ONNX network.
        many: for many images: each call keeps to one stream, and waits for no other. Else a call
            uses all cores, the quickest for one image.
        precision: that it computes in.
        network: what was read from the file and given further outputs; None for the file's own.

    Raises:
        BackboneError: the file is damaged.
    """

    batch = BATCH

    def __init__(
        self,
        file: Path,
        *,
        many: bool = False,
        precision: Precision = "f32",
        network: Any | None = None,
    ) -> None:
        settings = {
            "PERFORMANCE_HINT": "THROUGHPUT" if many else "LATENCY",
            "INFERENCE_PRECISION_HINT": precision,
            "ENABLE_CPU_PINNING": False,  # the decoders share the cores
        }
        if not many:  # half a second of a question's wait, where it has been compiled before
            settings["CACHE_DIR"] = _cache()
        openvino = load_openvino()
        try:
            network = openvino.Core().compile_model(network or file, "CPU", settings)
        except Exception as error:  # OpenVINO has no public common type of errors
            raise _damaged(file, "loaded", error) from error
        self._file = file
        self.lanes = network.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS") if many else 1
        self._idle: SimpleQueue[Any] = SimpleQueue()
        for _ in range(self.lanes):
            self._idle.put(network.create_infer_request())
        self._is_shown_descriptors = len(network.inputs) > 1

    def embed(
        self, pixels: NDArray[np.uint8], descriptions: NDArray[np.float32] | None = None
    ) -> NDArray[np.float32]:
        """Return the unit-norm embeddings, (n, d)."""
        return self.run(pixels, descriptions)[0]

    def run(
        self, pixels: NDArray[np.uint8], descriptions: NDArray[np.float32] | None = None
    ) -> list[NDArray[np.float32]]:
        """Return all that the network gives, the embeddings first, a row of each a picture."""
        inputs: list[NDArray[Any]] = [pixels]
        if self._is_shown_descriptors:
            inputs.append(describe(pixels) if descriptions is None else descriptions)
        request = self._idle.get()
        try:
            return list(request.infer(inputs).values())
        except (RuntimeError, ValueError) as error:  # such as of another size of pictures
            raise _damaged(self._file, "run", error) from error
        finally:
            self._idle.put(request)


class TorchEmbedder:
    """A network in torch: on GPUs, or on the CPU where OpenVINO cannot run it.

    Each device has two lanes, so that one batch is copied while another is computed.

    Args:
        network: as it was built, in float32 on the CPU.
        devices: torch's names of them; each gets a copy.
        precision: that of autocast.
        compiled: whether to compile the network.
        batch: most images at once; None for as many as the memory of the smallest GPU holds. It
            is halved whenever a GPU runs out of memory.
    """

    def __init__(
        self,
        network: "Network",
        devices: Sequence[str],
        precision: Precision = "f32",
        *,
        compiled: bool = False,
        batch: int | None = None,
    ) -> None:
        lanes = [
            lane for device in devices for lane in _lanes(network, device, precision, compiled)
        ]
        self.lanes = len(lanes)
        self.batch = batch or min(lane.fitting() for lane in lanes)
        self._idle: SimpleQueue[_Lane] = SimpleQueue()
        for lane in lanes:
            self._idle.put(lane)

    def embed(
        self, pixels: NDArray[np.uint8], descriptions: NDArray[np.float32] | None = None
    ) -> NDArray[np.float32]:
        """Return the unit-norm embeddings, (n, d).

        Raises:
            BackboneError: a GPU has no memory for even one image.
        """
        import torch

        lane = self._idle.get()
        try:
            return lane.embed(pixels)
        except torch.OutOfMemoryError as error:
            if len(pixels) == 1:
                raise BackboneError(
                    f"{lane.device} has no memory left for one image; free some, or use "
                    f"{argument('device', 'cpu')}"
                ) from error
            half = len(pixels) // 2
            self.batch = max(1, min(self.batch, half))
        finally:
            self._idle.put(lane)
        return np.concatenate([self.embed(pixels[:half]), self.embed(pixels[half:])])


class _Lane:
    """One way through a device: a stream of its own, and a pinned buffer that copies start from."""

    def __init__(self, network: "Network", device: str, precision: Precision) -> None:
        import torch

        self.device = device
        self._network = network
        types = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}
        self._dtype = types[precision]
        self._stream: Any = None
        if device.startswith("cuda"):
            self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._pinned: Any = None  # a tensor, as large as the largest batch so far

    def embed(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        import torch

        kind = self.device.partition(":")[0]
        half = self._dtype is not torch.float32
        with torch.inference_mode(), torch.autocast(kind, self._dtype, enabled=half):
            batch = torch.from_numpy(pixels)
            if self._stream is None:
                return np.asarray(self._network(batch).float().numpy())
            with torch.cuda.stream(self._stream):
                if self._pinned is None or len(self._pinned) < len(batch):
                    self._pinned = torch.empty_like(batch, pin_memory=True)
                start = self._pinned[: len(batch)].copy_(batch)
                made = self._network(start.to(self.device, non_blocking=True)).float()
                vectors = made.to("cpu", non_blocking=True)
            self._stream.synchronize()  # of this lane: the others go on
            return np.asarray(vectors.numpy())

    def fitting(self) -> int:
        """Return how many images the device's free memory holds beside another lane's."""
        import torch

        if self._stream is None:
            return BATCH
        size, tried = self._network.preprocessing.size, 8
        sample = np.zeros((tried, size, size, 3), dtype=np.uint8)
        self.embed(sample)  # what is loaded and chosen once is no image's
        torch.cuda.reset_peak_memory_stats(self.device)
        before = torch.cuda.memory_allocated(self.device)
        self.embed(sample)
        each = max(1, (torch.cuda.max_memory_allocated(self.device) - before) // tried)
        free = torch.cuda.mem_get_info(self.device)[0] * _GPU_SHARE / 2
        return int(min(_GPU_BATCH, max(1, 2 ** int(np.log2(max(1, free / each))))))


def _lanes(network: "Network", device: str, precision: Precision, compiled: bool) -> list[_Lane]:
    import torch

    if not device.startswith("cuda"):
        return [_Lane(network, device, precision)]
    there = copy.deepcopy(network).to(device).to(memory_format=torch.channels_last)
    if compiled:
        there.model = torch.compile(there.model)  # type: ignore[assignment]
    return [_Lane(there, device, precision) for _ in range(2)]


def torch_on_gpus(
    network: "Network", pixels: NDArray[np.uint8], pending: int, note: Callable[[str], None]
) -> tuple[Embedder, EngineChoice]:
    """Return the network on all GPUs, in float16 where that is exact enough.

    Args:
        network: as it was built.
        pixels: the first batch, (n, size, size, 3).
        pending: how many images are to be embedded; for many the network is compiled.
        note: takes one line, where compiling failed.
    """
    import torch

    devices = [f"cuda:{number}" for number in range(torch.cuda.device_count())]
    name = f"torch {torch.__version__} on {len(devices)} x {torch.cuda.get_device_name(0)}"

    def make(precision: Precision) -> Embedder:
        if pending >= _WORTH_COMPILING:
            try:
                made = TorchEmbedder(network, devices, precision, compiled=True)
                made.embed(pixels[:1])
                return made
            except Exception as error:  # compilers and drivers raise nearly anything
                note(f"the network could not be compiled, and runs as it is ({error})")
        return TorchEmbedder(network, devices, precision)

    return exact_enough(name, "f16", make, pixels)


def openvino_on_cpu(file: Path, pixels: NDArray[np.uint8]) -> tuple[Embedder, EngineChoice]:
    """Return the network for many images, in bfloat16 where that is quick and exact enough.

    Args:
        file: an OpenVINO or ONNX network.
        pixels: the first batch, (n, size, size, 3).

    Raises:
        BackboneError: the file is damaged.
    """

    def make(precision: Precision) -> Embedder:
        return OpenVinoEmbedder(file, many=True, precision=precision)

    fast: Precision = "bf16" if _multiplies_bfloat16() else "f32"
    return exact_enough("OpenVINO on the CPU", fast, make, pixels)


def exact_enough(
    name: str,
    fast: Precision,
    make: Callable[[Precision], Embedder],
    pixels: NDArray[np.uint8],
) -> tuple[Embedder, EngineChoice]:
    """Return the engine in the fast precision if it keeps to float32, else in float32.

    It does where every image of the first batch has a cosine of ``LEAST_COSINE`` or more.

    Args:
        name: of the engine.
        fast: the precision to try.
        make: the engine in a precision.
        pixels: the first batch, (n, size, size, 3).
    """
    engine = make(fast)
    if fast == "f32":
        return engine, EngineChoice(name, fast)
    exact = make("f32")
    cosine = float(np.einsum("nd,nd->n", engine.embed(pixels), exact.embed(pixels)).min())
    if cosine >= LEAST_COSINE:
        return engine, EngineChoice(name, fast, round(cosine, 6))
    return exact, EngineChoice(name, "f32")


def _cache() -> str:
    """Return the user's own folder of compiled networks; none where there can be none.

    Never one in an index: what is compiled is trusted, and an index may come from anybody. Each
    index has one of its own, so that the oldest go.
    """
    folder = user_cache_path("paint-search") / "openvino"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        made = sorted(folder.glob("*.blob"), key=lambda file: file.stat().st_mtime)
        for file in made[:-_CACHED]:
            file.unlink()
    except OSError:
        return ""
    return str(folder)


def count_gpus() -> int:
    """Return how many CUDA devices the driver shows, without the seconds that torch takes."""
    try:
        driver = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return 0
    count = ctypes.c_int(0)
    if driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count)):
        return 0
    return count.value


def find_device(wanted: str = "auto") -> str:
    """Return where torch is to train: ``cuda`` or ``cpu``.

    Args:
        wanted: one of these, or ``auto``; a GPU that is not used is then said as a warning.

    Raises:
        UsageError: no such device, or CUDA was asked for and is not there.
    """
    import torch

    if wanted not in DEVICES:
        raise UsageError(f"unknown device {wanted!r}: use {', '.join(DEVICES)}")
    if wanted == "cpu" or torch.cuda.is_available():
        return "cpu" if wanted == "cpu" else "cuda"
    if wanted == "cuda":
        raise UsageError(
            f"{argument('device', 'cuda')}: torch finds no GPU here; use "
            f"{argument('device', 'auto')}"
        )
    if count_gpus():
        _LOG.warning("this machine has a GPU, and the CPU is used: torch finds no GPU here")
    return "cpu"


def _multiplies_bfloat16() -> bool:
    """Tell whether the processor multiplies bfloat16 in tiles (AMX): without, f32 is quicker."""
    if "BF16" not in load_openvino().Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        return False
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
    except OSError:
        return False
    return "amx_bf16" in flags


def read_network(file: Path) -> Any:
    """Return the graph of a converted network.

    Raises:
        BackboneError: the file is damaged.
    """
    try:
        return load_openvino().Core().read_model(file)
    except Exception as error:
        raise _damaged(file, "loaded", error) from error


def _damaged(file: Path, done: str, error: Exception) -> BackboneError:
    reason = str(error).strip().splitlines()[-1]
    return BackboneError(
        f"the backbone {file} cannot be {done} ({reason}); restore it from a backup, or make "
        "another index"
    )


def load_openvino() -> Any:
    """Import OpenVINO without its converter, which takes longer to import than all the rest.

    Its first array is made here: two threads that make theirs at the same time wait for each other
    for ever, one with C++'s lock of what is set up once, the other with Python's own.
    """
    with _loading, _hidden(_CONVERTER):
        import openvino

        _ = openvino.Tensor(openvino.Type.u8, [1]).data
    return openvino


def load_converter() -> Any:
    """Import OpenVINO's converter, which then sends nobody word of it.

    It calls home through a package of its own unless that cannot be imported.
    """
    load_openvino()
    with _loading, _hidden("openvino_telemetry"):
        from openvino.tools import ovc
    return ovc


@contextmanager
def _hidden(module: str) -> Iterator[None]:
    """Let a module that has not been imported yet not be found."""
    if module in sys.modules:
        yield
        return
    sys.modules[module] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[module]
