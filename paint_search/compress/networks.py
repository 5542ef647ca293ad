"""What the compressors' networks compute, written once for NumPy arrays and torch tensors alike.

Weights by name and rows come in, rows go out. Only operations that both libraries share are used,
so that torch trains and NumPy applies the same lines, and a query needs no torch.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

import numpy as np

from paint_search.compress.base import Floats

if TYPE_CHECKING:
    from torch import Tensor

Rows = TypeVar("Rows", Floats, "Tensor")

#: What a network does to hidden values: dropout while it is trained, nothing afterwards.
Drop = Callable[[Rows], Rows]

#: Added to squared norms, so that a row of zeros stays one, and has a gradient.
_TINY: Final = 1e-24


def keep(rows: Rows) -> Rows:
    """Drop nothing."""
    return rows


def unit(rows: Rows) -> Rows:
    """Scale rows to Euclidean length 1; rows of zeros stay."""
    lengths: Rows = ((rows * rows).sum(-1)[:, None] + _TINY) ** 0.5
    return rows / lengths


def named(weights: Mapping[str, Rows], prefix: str) -> dict[str, Rows]:
    """Return the weights below ``prefix``, by what follows it and a dot."""
    start = f"{prefix}."
    return {
        name.removeprefix(start): value for name, value in weights.items() if name.startswith(start)
    }


def residual(
    weights: Mapping[str, Rows], rows: Rows, scale: float = 1.0, drop: Drop[Rows] = keep
) -> Rows:
    """``linear(x) + out(relu(hidden(scale x)))``: a linear map beside one hidden layer."""
    scaled: Rows = rows * scale
    hidden: Rows = scaled @ weights["hidden.weight"].T + weights["hidden.bias"]
    bent: Rows = drop(hidden * (hidden > 0)) @ weights["out.weight"].T
    made: Rows = rows @ weights["linear.weight"].T + bent
    return made


def twin(weights: Mapping[str, Rows], rows: Rows, drop: Drop[Rows] = keep) -> Rows:
    """Return the unit rows of ``residual``: the head that both twins share."""
    return unit(residual(weights, rows, drop=drop))


def residual_layers(
    inputs: int, outputs: int, hidden: int, rng: np.random.Generator
) -> dict[str, Floats]:
    """Return random weights for ``residual``, uniform within 1 / sqrt(inputs of a layer)."""

    def draw(*shape: int, bound: float) -> Floats:
        return rng.uniform(-bound, bound, shape).astype(np.float32)

    return {
        "linear.weight": draw(outputs, inputs, bound=inputs**-0.5),
        "hidden.weight": draw(hidden, inputs, bound=inputs**-0.5),
        "hidden.bias": draw(hidden, bound=inputs**-0.5),
        "out.weight": draw(outputs, hidden, bound=hidden**-0.5),
    }


def patches(weights: Mapping[str, Rows], rows: Rows) -> Rows:
    """Layers that each take consecutive patches: 1-D convolutions of stride = kernel, then dense.

    Numbers are kept position by position, so that a patch of k positions is a run of k x channels
    numbers and the convolution one matrix product. A dense layer is one whose patch is everything.
    Between layers every channel has its own leaky rectifier.
    """
    count, layer = len(rows), 0
    while (name := f"weights.{layer}") in weights:
        weight = weights[name]
        made = rows.reshape(-1, weight.shape[1]) @ weight.T + weights[f"biases.{layer}"]
        if (slopes := f"slopes.{layer}") in weights:  # PReLU (He et al. 2015)
            made = made - (1 - weights[slopes]) * made.clip(None, 0)
        rows = made.reshape(count, -1)
        layer += 1
    return rows


def patch_layers(layers: list[Floats], slope: float) -> dict[str, Floats]:
    """Return weights for ``patches`` from those of its layers, (outputs, patch) each.

    Args:
        layers: first to last.
        slope: where the rectifiers begin; at 1 the network begins as one linear map.
    """
    made = {}
    for place, weight in enumerate(layers):
        made[f"weights.{place}"] = np.ascontiguousarray(weight)
        made[f"biases.{place}"] = np.zeros(len(weight), dtype=np.float32)
        if place < len(layers) - 1:
            made[f"slopes.{place}"] = np.full(len(weight), slope, dtype=np.float32)
    return made


class DenseCoder:
    """Both ways ``residual``; the decoder takes what a code points to, whatever its length."""

    def encode(self, weights: Mapping[str, Rows], rows: Rows, drop: Drop[Rows] = keep) -> Rows:
        """(n, d) unit rows -> (n, dims)."""
        return self._way(named(weights, "encoder"), rows, drop)

    def decode(self, weights: Mapping[str, Rows], codes: Rows, drop: Drop[Rows] = keep) -> Rows:
        """(n, dims) -> (n, d)."""
        return self._way(named(weights, "decoder"), unit(codes), drop)

    def _way(self, weights: Mapping[str, Rows], rows: Rows, drop: Drop[Rows]) -> Rows:
        # The numbers of a unit row are small; the hidden layer sees them at about 1.
        return residual(weights, rows, rows.shape[1] ** 0.5, drop)


@dataclass(frozen=True)
class PatchCoder:
    """Both ways ``patches``, of one chunk of a long vector."""

    scale: float  #: what makes the numbers of a row about 1
    directions: bool  #: whether the decoder takes what a code points to, whatever its length

    def encode(self, weights: Mapping[str, Rows], rows: Rows, drop: Drop[Rows] = keep) -> Rows:
        """(n, d) rows -> (n, dims)."""
        return patches(named(weights, "encoder"), rows * self.scale)

    def decode(self, weights: Mapping[str, Rows], codes: Rows, drop: Drop[Rows] = keep) -> Rows:
        """(n, dims) -> (n, d)."""
        wanted = unit(codes) if self.directions else codes
        return patches(named(weights, "decoder"), wanted) / self.scale


#: A network that shortens rows and lengthens them again, by weights kept apart from it.
Coder = DenseCoder | PatchCoder
