"""An exported network -> the same with its convolutions in whole numbers of 8 bits: twice as quick.

Scales are set by what a sample of the paintings learned from makes of every layer. Weights keep to
seven bits, since processors without VNNI instructions would overflow with eight: an index made on
one machine is asked on another.
"""

import contextlib
import io
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

_SAMPLE: Final = 512
_BLOCK: Final = 32


class _Paintings(CalibrationDataReader):  # type: ignore[misc]
    """Feeds the sample to ONNX Runtime, block by block."""

    def __init__(self, pixels: NDArray[np.uint8], described: NDArray[np.float32]) -> None:
        self._blocks = self._deal(pixels, described)

    @staticmethod
    def _deal(pixels: NDArray[np.uint8], described: NDArray[np.float32]) -> Iterator[Any]:
        for start in range(0, len(pixels), _BLOCK):
            block = slice(start, start + _BLOCK)
            yield {"pixels": pixels[block], "descriptors": described[block]}

    def get_next(self) -> Any:
        """Return the next block, None at the end."""
        return next(self._blocks, None)


def quantise(
    file: Path,
    pixels: NDArray[np.uint8],
    described: NDArray[np.float32],
    learned: NDArray[np.int64],
    seed: int,
) -> None:
    """Rewrite the network in ``file``.

    Args:
        file: ONNX, in single precision.
        pixels: of all paintings, (n, s, s, 3).
        described: their descriptors, (n, d).
        learned: numbers of the paintings that may be looked at.
        seed: of the sample.
    """
    count = min(_SAMPLE, len(learned))
    sample = np.sort(np.random.default_rng(seed).choice(learned, count, replace=False))
    logging.getLogger().setLevel(logging.ERROR)  # ONNX Runtime advises what has been done
    with contextlib.redirect_stdout(io.StringIO()):
        quantize_static(
            file,
            file,
            _Paintings(pixels[sample], described[sample]),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["Conv"],
            per_channel=True,
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
