"""The networks behind the compressors, as torch modules to be trained.

What they compute is done again in numpy by the compressors, so that a query needs no torch.
"""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Final, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from paint_search.compress.base import Floats

_DROPOUT: Final = 0.1


class Coder(nn.Module):
    """Shortens rows and lengthens them again; what ``training.train`` takes."""

    @abstractmethod
    def encode(self, rows: Tensor) -> Tensor:
        """(n, d) unit rows -> (n, dims) of any norm."""

    @abstractmethod
    def decode(self, codes: Tensor) -> Tensor:
        """(n, dims) of any norm -> (n, d) of any norm."""


class DenseWay(nn.Module):
    """``linear(x) + out(relu(hidden(x)))``; without the linear part's training it adds nothing."""

    def __init__(self, linear: Tensor, hidden: int) -> None:
        super().__init__()
        outputs, inputs = linear.shape
        self.linear = nn.Linear(inputs, outputs, bias=False)
        self.linear.weight = nn.Parameter(linear.clone())
        self.hidden = nn.Linear(inputs, hidden)
        self.out = nn.Linear(hidden, outputs, bias=False)
        nn.init.zeros_(self.out.weight)

    def forward(self, rows: Tensor) -> Tensor:
        """(n, inputs) unit rows -> (n, outputs)."""
        scaled = rows * rows.shape[1] ** 0.5  # entries of a unit row are small; about 1 from here
        hidden = functional.dropout(functional.relu(self.hidden(scaled)), _DROPOUT, self.training)
        return cast(Tensor, self.linear(rows) + self.out(hidden))


class DenseCoder(Coder):
    """Encoder and decoder, mirrors of each other, that begin as a projection and its transpose."""

    def __init__(self, components: Floats, hidden: int, seed: int) -> None:
        super().__init__()
        projection = torch.from_numpy(components)
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.encoder = DenseWay(projection, hidden)
            self.decoder = DenseWay(projection.T.contiguous(), hidden)

    def encode(self, rows: Tensor) -> Tensor:
        """(n, d) unit rows -> (n, dims)."""
        return cast(Tensor, self.encoder(rows))

    def decode(self, codes: Tensor) -> Tensor:
        """(n, dims) -> (n, d); takes what the codes point to, whatever their length."""
        return cast(Tensor, self.decoder(functional.normalize(codes, dim=1)))


class PatchWay(nn.Module):
    """Layers that each take consecutive patches: 1-D convolutions of stride = kernel, then dense.

    Numbers are kept position by position, so that a patch of k positions is a run of k x channels
    numbers and the convolution one matrix product. A dense layer is one whose patch is everything.
    Between layers every channel has its own leaky rectifier: negative values times ``slope``.
    """

    def __init__(self, weights: Sequence[Tensor], slope: float) -> None:
        super().__init__()
        self.weights = nn.ParameterList(weights)
        self.biases = nn.ParameterList(torch.zeros(len(weight)) for weight in weights)
        self.slopes = nn.ParameterList(torch.full((len(weight),), slope) for weight in weights[:-1])

    def forward(self, rows: Tensor) -> Tensor:
        """(n, inputs) -> (n, outputs)."""
        for place, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            made = functional.linear(rows.reshape(-1, weight.shape[1]), weight, bias)
            if place < len(self.slopes):
                made = functional.prelu(made, self.slopes[place])
            rows = made.reshape(len(rows), -1)
        return rows


class ConvolutionalCoder(Coder):
    """Convolutions, then dense layers, and their mirror back; of one chunk of a long vector.

    Args:
        encoder: where the weights of its layers begin, (outputs, patch) each.
        decoder: the same of the decoder.
        slope: where the rectifiers begin; at 1 the network begins as one linear map.
        scale: what makes the numbers of a row about 1.
        directions: whether the decoder takes what a code points to, whatever its length.
    """

    def __init__(
        self,
        encoder: Sequence[Floats],
        decoder: Sequence[Floats],
        *,
        slope: float,
        scale: float,
        directions: bool,
    ) -> None:
        super().__init__()
        self.encoder = PatchWay([torch.from_numpy(weight) for weight in encoder], slope)
        self.decoder = PatchWay([torch.from_numpy(weight) for weight in decoder], slope)
        self.scale = scale
        self.directions = directions

    def encode(self, rows: Tensor) -> Tensor:
        """(n, d) rows -> (n, dims)."""
        return cast(Tensor, self.encoder(rows * self.scale))

    def decode(self, codes: Tensor) -> Tensor:
        """(n, dims) -> (n, d)."""
        if self.directions:
            codes = functional.normalize(codes, dim=1)
        return cast(Tensor, self.decoder(codes)) / self.scale
