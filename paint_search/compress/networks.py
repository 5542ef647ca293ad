"""The networks behind the compressors, as torch modules to be trained.

What they compute is done again in numpy by the compressors, so that a query needs no torch.
"""

from abc import abstractmethod
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
