"""Pictures and labels in, a backbone that brings works of one label together out.

Every step follows from the seed and its number, and a checkpoint holds the whole state, so that a
killed run goes on where it was. Imports torch, so import it late.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor
from torchvision.transforms import v2

from paint_search.compress.base import Report
from paint_search.compress.siamese_training import CHANCE, PairLogisticLoss, WorkSampler, pair_auc
from paint_search.compress.training import (
    Callback,
    Checkpoint,
    EarlyStopping,
    Reporting,
    Training,
    decayed,
    draw_ahead,
)
from paint_search.errors import CompressError, EvalError
from paint_search.eval import PairSource
from paint_search.files import replacing, write_csv
from paint_search.indexer.backbones.registry import find_backbone
from paint_search.indexer.backbones.timm_network import Network, make_network
from paint_search.indexer.backbones.weights import load_weights

CHECKPOINT: Final = "checkpoint.pt"
CURVE: Final = "curve.csv"
_COLUMNS: Final = ("step", "loss", "auc")
_VALIDATED: Final = 10_000  # pairs
_BATCH: Final = 128  # pictures embedded at once to be judged
_DECAY: Final = 0.05

#: Reads pictures: (n,) rows -> (m, size, size, 3) uint8, and which of the rows they are.
Read = Callable[[NDArray[np.int64]], tuple[NDArray[np.uint8], NDArray[np.int64]]]


@dataclass(frozen=True)
class Recipe:
    """A training, as it was asked for."""

    name: str  #: of the backbone; a checkpoint of another is refused
    labels: Sequence[str]  #: n labels
    learned: NDArray[np.bool_]  #: (n,) rows to learn from
    judged: NDArray[np.bool_]  #: (n,) rows whose pairs say when to stop
    read: Read  #: reads the pictures of rows
    out: Path  #: folder of the checkpoint and the curve
    steps: int  #: most steps
    every: int = 50  #: steps from one check to the next
    patience: int = 10  #: checks without progress after which it stops
    in_batch: tuple[int, int] = (16, 4)  #: (labels, works of each)
    rate: float = 1e-3  #: highest learning rate
    mirrored: bool = True  #: whether works may be mirrored and cropped to make more of them
    seed: int = 0  #: of everything that is drawn
    device: str = "cpu"  #: ``cpu`` or ``cuda``

    def identity(self) -> dict[str, Any]:
        """What must agree for a checkpoint to be gone on with."""
        return {
            "backbone": self.name,
            "works": len(self.labels),
            "labels": len(set(self.labels)),
            "learned": int(self.learned.sum()),
            "split": hashlib.blake2b(
                repr((list(self.labels), self.learned.tolist(), self.judged.tolist())).encode(),
                digest_size=8,
            ).hexdigest(),
            "steps": self.steps,
            "every": self.every,
            "patience": self.patience,
            "batch": list(self.in_batch),
            "rate": self.rate,
            "mirrored": self.mirrored,
            "seed": self.seed,
        }


@dataclass(frozen=True, slots=True)
class Trained:
    """What came of it: the best AUC on the judged pairs, at which step, of how many taken."""

    auc: float
    best_step: int
    steps: int


def begin(name: str, weights: Path | None = None, seed: int = 0) -> Network:
    """Return the backbone of that name, with these weights or with random ones of the seed.

    Raises:
        BackboneError: timm has no such model, or the weights are not of it.
    """
    torch.manual_seed(seed)
    network = make_network(find_backbone(name))
    if weights is not None:
        load_weights(network.model, weights)
    return network


def learn(recipe: Recipe, network: Network, report: Report) -> Trained:
    """Train ``network`` in place, or go on from the checkpoint; it ends at its best, on the CPU.

    Raises:
        BackboneError: the checkpoint is of another run or architecture, or is damaged.
        CompressError: too few labels, or the training collapsed.
    """
    try:
        pairs = PairSource(recipe.labels, rows=recipe.judged).draw(_VALIDATED, recipe.seed)
        PairSource(recipe.labels, rows=recipe.learned)
    except EvalError as error:
        raise CompressError(f"there is too little to train on: {error}") from error
    device, steps, size = recipe.device, recipe.steps, network.preprocessing.size
    loss = PairLogisticLoss().to(device)
    network.to(device)
    codes = np.unique(recipe.labels, return_inverse=True)[1]
    sampler = WorkSampler(codes, recipe.learned, *recipe.in_batch)
    view = v2.Compose([v2.RandomHorizontalFlip(), v2.RandomCrop(size)])

    def draw(step: int) -> tuple[Tensor, Tensor]:
        pixels, kept = recipe.read(sampler.draw(np.random.default_rng((recipe.seed, step))))
        return torch.from_numpy(pixels), torch.from_numpy(codes[kept])

    def lose(batch: tuple[Tensor, Tensor]) -> Tensor:
        images, wanted = batch
        torch.manual_seed(hash((recipe.seed, training.step)) % 2**63)
        if recipe.mirrored:
            larger = v2.functional.resize(images.permute(0, 3, 1, 2), [size * 9 // 8] * 2)
            images = torch.stack([view(one) for one in larger]).permute(0, 2, 3, 1)
        return cast(Tensor, loss(network(images.to(device)), wanted.to(device)))

    def unseen(rows: NDArray[np.int64]) -> NDArray[np.float32]:
        return embed(network, recipe.read, rows, device)

    stopping = EarlyStopping(lambda: pair_auc(unseen, pairs), recipe.every, recipe.patience)
    optimiser = torch.optim.AdamW(decayed([network, loss], _DECAY), lr=recipe.rate)
    training = Training(
        network=network,
        objective=loss,
        batches=lambda step: draw_ahead(draw, step, steps),
        loss=lose,
        optimiser=optimiser,
        schedule=torch.optim.lr_scheduler.OneCycleLR(
            optimiser, recipe.rate, total_steps=steps, pct_start=0.1
        ),
        steps=steps,
        callbacks=[
            stopping,
            Reporting(report, lambda: f"AUC {max(0.0, stopping.best):.3f} on unseen works"),
            _Curve(stopping, recipe.out / CURVE),
            Checkpoint(recipe.out / CHECKPOINT, recipe.identity(), recipe.every),
        ],
        clipped=True,
    )
    training.run()
    network.load_state_dict(stopping.best_weights)
    network.to("cpu").eval()
    if not stopping.best > CHANCE:
        raise CompressError(
            "the training collapsed: it tells unseen works apart with an AUC of "
            f"{stopping.best:.2f}, where 0.5 is chance; try another --seed, more works or a "
            "pretrained backbone"
        )
    return Trained(stopping.best, stopping.best_step, training.step)


def embed(
    network: Network, read: Read, rows: NDArray[np.int64], device: str = "cpu"
) -> NDArray[np.float32]:
    """Return unit vectors of these rows, (n, d); rows that cannot be read become zeros."""
    network.eval()
    made: NDArray[np.float32] | None = None
    for start in range(0, len(rows), _BATCH):
        block = rows[start : start + _BATCH]
        pixels, kept = read(block)
        with torch.inference_mode():
            vectors = network(torch.from_numpy(pixels).to(device)).cpu().numpy()
        if made is None:
            made = np.zeros((len(rows), vectors.shape[1]), dtype=np.float32)
        made[start + np.flatnonzero(np.isin(block, kept))] = vectors
    return np.zeros((0, 1), dtype=np.float32) if made is None else made


def save_weights(network: Network, file: Path) -> None:
    """Write what ``index --backbone timm:NAME --weights FILE`` takes."""
    state = network.model.state_dict()
    with replacing(file) as fresh:
        save_file({name: value.contiguous() for name, value in state.items()}, fresh)


class _Curve(Callback):
    """Writes the curve of a training to a file whenever there is more of it."""

    def __init__(self, stopping: EarlyStopping, file: Path) -> None:
        self._stopping, self._file = stopping, file
        self._written = 0

    def after_step(self, training: Training[Any], loss: Tensor) -> None:
        if len(self._stopping.curve) > self._written:
            self._written = len(self._stopping.curve)
            write_csv(self._file, _COLUMNS, self._stopping.curve)
