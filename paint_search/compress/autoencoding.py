"""Train an autoencoder's weights on vectors: what to minimise, and on which rows.

A batch of vectors is compared with a larger gallery, in full and compressed; the encoder learns to
rank the gallery alike, which is what a search needs, and not only to be decoded well. Imports
torch, so import it late.
"""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from paint_search.compress.base import Floats, Report, unit_rows
from paint_search.compress.networks import Coder
from paint_search.compress.training import EarlyStopping, Reporting, Training, Weights
from paint_search.errors import CompressError, counted
from paint_search.indexer.backbones import find_device
from paint_search.painting import Progress

_RATE: Final = 1e-3
_DROPOUT: Final = 0.1
_DRAWN: Final = 4096  # rows a step
_CELLS: Final = 2**23  # numbers in them, at most: 32 MB; fewer rows where they are long
_WORTH_THREADS: Final = 2**19  # numbers in the rows of a step
_VALIDATION: Final = 0.1
_MOST_VALIDATED: Final = 2048
_LEAST: Final = 8  # rows, of which a quarter can ask the others
_CHECK_EVERY: Final = 25  # steps
_PATIENCE: Final = 4  # checks without progress
_SHARPNESS: Final = 0.4  # temperature of the ranking, in standard deviations of the cosines


@dataclass(frozen=True, slots=True)
class Objective:
    """What is minimised: a weighted sum."""

    reconstruction: float = 0.0  #: weight of 1 - cosine between a vector and its decoded code
    #: weight of the Kullback-Leibler divergence between the softmax of a work's cosines to the
    #: gallery in full and compressed, as in stochastic neighbour embedding (Hinton & Roweis 2002),
    #: but with both sides normalised over the same gallery.
    ranking: float = 0.0
    correlation: float = 0.0  #: weight of 1 - Pearson's correlation of these cosines
    #: weight of the squared distance between a row and its decoded code, over the row's squared
    #: norm: reconstruction in the plain sense, of lengths too.
    squares: float = 0.0


#: Chosen by neighbours kept on held-out artists; see benchmarks/README.md.
KEEP_SIMILARITY: Final = Objective(reconstruction=0.1, ranking=1.0, correlation=0.5)
RECONSTRUCT: Final = Objective(squares=1.0)


class Examples(Protocol):
    """Rows to learn from, read as they are drawn: an array, a mapped file, a part of either."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(n, d)."""
        ...

    def __getitem__(self, rows: NDArray[np.int64], /) -> NDArray[Any]:
        """Return these rows."""
        ...


def train_coder(
    coder: Coder,
    weights: Mapping[str, Floats],
    vectors: Examples,
    *,
    objective: Objective,
    steps: int,
    seed: int,
    report: Report,
) -> dict[str, Floats]:
    """Train the weights of ``coder``, on a GPU where there is one; return the best there were.

    A tenth of the rows is kept out to judge by: every 25 steps the same objective is measured on
    them, and after four times without progress training stops. The learning rate rises over a
    tenth of the steps, then falls to zero.

    Args:
        coder: the network.
        weights: what it begins with.
        vectors: (n, d) of any norm; taken as unit rows, but as they are where the objective is of
            squares alone.
        objective: what to minimise.
        steps: at most.
        seed: of the order of rows and of dropout.
        report: called after every step.

    Raises:
        CompressError: fewer than eight rows.
    """
    device = find_device()
    order = np.random.default_rng(seed)
    as_they_are = objective == Objective(squares=objective.squares)
    rows = order.permutation(vectors.shape[0])
    if len(rows) < _LEAST:
        raise CompressError(
            f"{counted(len(rows), 'painting is', 'paintings are')} too few to train on: index "
            "more, or choose pca"
        )
    kept_out = max(_LEAST, min(int(_VALIDATION * len(rows)), _MOST_VALIDATED))
    judged, learned = rows[:kept_out], rows[kept_out:] if len(rows) > 2 * kept_out else rows
    size = max(2, min(_DRAWN, len(learned), _CELLS // vectors.shape[1]))

    def read(drawn: NDArray[np.int64]) -> Tensor:
        found = np.asarray(vectors[drawn], dtype=np.float32)
        return torch.from_numpy(found if as_they_are else unit_rows(found)).to(device)

    network = _CoderModule(coder, weights).to(device)
    loss = _Loss(objective, read(judged[: 2 * size])).to(device)

    def held_out() -> float:
        parts = np.array_split(judged, max(1, len(judged) // size))
        with torch.no_grad():
            return -float(np.mean([float(loss(network, read(part))) for part in parts]))

    stopping = EarlyStopping(held_out, _CHECK_EVERY, _PATIENCE, first=True)
    groups: list[dict[str, Any]] = [
        {"params": network.parameters()},
        {"params": loss.parameters(), "lr": 10 * _RATE},
    ]
    optimiser = torch.optim.AdamW(groups, lr=_RATE, weight_decay=0.0)
    with torch.random.fork_rng(), _threads_for(size * vectors.shape[1]):
        torch.manual_seed(seed)
        Training(
            network=network,
            objective=loss,
            batches=lambda step: (
                order.choice(learned, size, replace=False) for _ in range(step, steps)
            ),
            loss=lambda drawn: loss(network, read(drawn)),
            optimiser=optimiser,
            schedule=torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: _pace(step, steps)),
            steps=steps,
            callbacks=[stopping, Reporting(report, lambda: f"held-out loss {-stopping.best:.4f}")],
        ).run()
    network.load_state_dict(stopping.best_weights)
    report(Progress(steps, steps))
    return network.arrays()


class _CoderModule(Weights):
    """A coder with its weights, to be trained."""

    def __init__(self, coder: Coder, weights: Mapping[str, Floats]) -> None:
        super().__init__(weights)
        self._coder = coder

    def encode(self, rows: Tensor) -> Tensor:
        """(n, d) -> (n, dims)."""
        return self._coder.encode(self.tensors, rows, self._drop)

    def decode(self, codes: Tensor) -> Tensor:
        """(n, dims) -> (n, d)."""
        return self._coder.decode(self.tensors, codes, self._drop)

    def _drop(self, hidden: Tensor) -> Tensor:
        return functional.dropout(hidden, _DROPOUT, self.training)


class _Loss(nn.Module):
    """The objective over a drawn set of rows: a quarter of them asks, the others are found."""

    def __init__(self, objective: Objective, sample: Tensor) -> None:
        super().__init__()
        self.objective = objective
        cosines = (sample @ sample.T)[~torch.eye(len(sample), dtype=torch.bool)]
        self.temperature = max(1e-3, _SHARPNESS * float(cosines.std()))
        # The compressed cosines may spread otherwise; their own temperature is learned.
        self.log_temperature = nn.Parameter(torch.tensor(math.log(self.temperature)))

    def forward(self, coder: _CoderModule, rows: Tensor) -> Tensor:
        weigh = self.objective
        codes = coder.encode(rows)
        asking = max(1, len(rows) // 4)
        total = rows.new_zeros(())
        if weigh.squares:
            squares = (coder.decode(codes) - rows).square().sum() / rows.square().sum()
            total = total + weigh.squares * squares
        if weigh.reconstruction:
            again = functional.normalize(coder.decode(codes[:asking]), dim=1)
            lost = 1 - (again * rows[:asking]).sum(dim=1)
            total = total + weigh.reconstruction * lost.mean()
        if weigh.ranking or weigh.correlation:
            short = functional.normalize(codes, dim=1)
            full, compact = rows[:asking] @ rows[asking:].T, short[:asking] @ short[asking:].T
            wanted = functional.log_softmax(full / self.temperature, dim=1)
            given = functional.log_softmax(compact / self.log_temperature.exp(), dim=1)
            apart = functional.kl_div(given, wanted, reduction="batchmean", log_target=True)
            alike = torch.corrcoef(torch.stack([full.flatten(), compact.flatten()]))[0, 1]
            total = total + weigh.ranking * apart + weigh.correlation * (1 - alike)
        return total


@contextmanager
def _threads_for(cells: int) -> Iterator[None]:
    """Use one thread where steps are small: several would wait longer than they work."""
    before = torch.get_num_threads()
    if cells < _WORTH_THREADS:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _pace(step: int, steps: int) -> float:
    rise = max(1, steps // 10)
    if step < rise:
        return (step + 1) / rise
    return 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, steps - rise)))
