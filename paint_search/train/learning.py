"""Pictures and labels in, a backbone that brings works of one label together out.

Every step follows from the seed and its number, and a checkpoint holds the whole state, so that a
killed run goes on where it was. Imports torch, so import it late.
"""

import copy
import csv
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torchvision.transforms import v2

from paint_search.compress.base import Report
from paint_search.compress.siamese_training import PairLogisticLoss
from paint_search.errors import BackboneError, CompressError, EvalError
from paint_search.eval import Pairs, PairSource
from paint_search.indexer.backbones.registry import find_backbone
from paint_search.indexer.backbones.timm_network import Network, make_network
from paint_search.indexer.backbones.weights import load_weights
from paint_search.painting import Progress

CHECKPOINT: Final = "checkpoint.pt"
CURVE: Final = "curve.csv"
_COLUMNS: Final = ("step", "loss", "auc")
_VALIDATED: Final = 10_000  # pairs
_BATCH: Final = 128  # pictures embedded at once to be judged
_DECAY: Final = 0.05
_CHANCE: Final = 0.52

#: Reads pictures: (n,) rows -> (m, size, size, 3) uint8, and which of the rows they are.
Read = Callable[[NDArray[np.int64]], tuple[NDArray[np.uint8], NDArray[np.int64]]]


@dataclass(frozen=True)
class Plan:
    """A run, as it was asked for.

    Attributes:
        name: of the backbone; a checkpoint of another is refused.
        labels: n labels.
        learned: (n,) rows to learn from.
        judged: (n,) rows whose pairs say when to stop.
        read: reads the pictures of rows.
        out: folder of the checkpoint and the curve.
        steps: most steps.
        every: steps from one check to the next.
        patience: checks without progress after which it stops.
        in_batch: (labels, works of each).
        rate: highest learning rate.
        mirrored: whether works may be mirrored and cropped to make more of them.
        seed: of everything that is drawn.
        device: ``cpu`` or ``cuda``.
    """

    name: str
    labels: Sequence[str]
    learned: NDArray[np.bool_]
    judged: NDArray[np.bool_]
    read: Read
    out: Path
    steps: int
    every: int = 50
    patience: int = 10
    in_batch: tuple[int, int] = (16, 4)
    rate: float = 1e-3
    mirrored: bool = True
    seed: int = 0
    device: str = "cpu"

    def identity(self) -> dict[str, Any]:
        """What must agree for a checkpoint to be gone on with."""
        return {
            "backbone": self.name,
            "works": len(self.labels),
            "labels": len(set(self.labels)),
            "learned": int(self.learned.sum()),
            "steps": self.steps,
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


def learn(plan: Plan, network: Network, report: Report) -> Trained:
    """Train ``network`` in place, or go on from the checkpoint; it ends at its best, on the CPU.

    Raises:
        BackboneError: the checkpoint is of another run or architecture, or is damaged.
        CompressError: too few labels, or the training collapsed.
    """
    try:
        pairs = PairSource(plan.labels, rows=plan.judged).draw(_VALIDATED, plan.seed)
        PairSource(plan.labels, rows=plan.learned)
    except EvalError as error:
        raise CompressError(f"there is too little to train on: {error}") from error
    run = _Run(plan, network)
    run.resume()
    view = v2.Compose([v2.RandomHorizontalFlip(), v2.RandomCrop(network.preprocessing.size)])
    losses: list[float] = []
    for drawn, pixels in () if run.stopped else _batches(plan, run.step):
        torch.manual_seed(hash((plan.seed, run.step)) % 2**63)
        images = torch.from_numpy(pixels)
        if plan.mirrored:
            size = network.preprocessing.size
            larger = v2.functional.resize(images.permute(0, 3, 1, 2), [size * 9 // 8] * 2)
            images = torch.stack([view(one) for one in larger]).permute(0, 2, 3, 1)
        losses.append(run.learn(images.to(plan.device), drawn))
        report(Progress(run.step, plan.steps, f"AUC {run.best:.3f} on unseen works"))
        if run.step % plan.every == 0 or run.step == plan.steps:
            run.check(_auc(plan, network, pairs), float(np.mean(losses)))
            losses.clear()
            if run.stopped:
                break
    network.load_state_dict(run.best_state)
    network.to("cpu").eval()
    if not run.best > _CHANCE:
        raise CompressError(
            f"the training collapsed: it tells unseen works apart with an AUC of {run.best:.2f}, "
            "where 0.5 is chance; try another --seed, more works or a pretrained backbone"
        )
    return Trained(run.best, run.best_step, run.step)


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
    """Write what ``index --backbone timm:NAME --weights FILE`` takes, beside it and then there."""
    fresh = file.with_name(f"{file.name}.new")
    state = network.model.state_dict()
    save_file({name: value.contiguous() for name, value in state.items()}, fresh)
    os.replace(fresh, file)


class _Run:
    """Network, loss and optimiser at one step of a plan."""

    def __init__(self, plan: Plan, network: Network) -> None:
        self.plan, self.network = plan, network.to(plan.device)
        self.loss = PairLogisticLoss().to(plan.device)
        parameters = [*network.parameters(), *self.loss.parameters()]
        groups = [
            {"params": [p for p in parameters if p.ndim > 1], "weight_decay": _DECAY},
            {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
        ]
        self.optimiser = torch.optim.AdamW(groups, lr=plan.rate)
        self.pace = torch.optim.lr_scheduler.OneCycleLR(
            self.optimiser, plan.rate, total_steps=plan.steps, pct_start=0.1
        )
        self.codes = np.unique(plan.labels, return_inverse=True)[1]
        self.step, self.best, self.best_step = 0, 0.0, 0
        self.best_state = copy.deepcopy(network.state_dict())
        self.curve: list[list[float]] = []

    @property
    def stopped(self) -> bool:
        """Whether there was no progress for so long that it stopped."""
        return self.step - self.best_step >= self.plan.patience * self.plan.every

    def learn(self, images: torch.Tensor, drawn: NDArray[np.int64]) -> float:
        """Take one step and return the loss."""
        self.network.train()
        self.optimiser.zero_grad(set_to_none=True)
        labels = torch.from_numpy(self.codes[drawn]).to(self.plan.device)
        loss = self.loss(self.network(images), labels)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 5.0)
        self.optimiser.step()
        self.pace.step()
        self.step += 1
        return float(loss.detach())

    def check(self, auc: float, loss: float) -> None:
        """Note how it goes, keep the network if it is the best, and save all of it."""
        if auc > self.best:
            self.best, self.best_step = auc, self.step
            self.best_state = copy.deepcopy(self.network.state_dict())
        self.curve.append([self.step, loss, auc])
        state = {
            "identity": self.plan.identity(),
            "step": self.step,
            "best": [self.best, self.best_step],
            "best_state": self.best_state,
            "network": self.network.state_dict(),
            "loss": self.loss.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "pace": self.pace.state_dict(),
            "curve": self.curve,
        }
        fresh = self.plan.out / f"{CHECKPOINT}.new"
        with fresh.open("wb") as stream:
            torch.save(state, stream)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(fresh, self.plan.out / CHECKPOINT)
        curve = self.plan.out / f"{CURVE}.new"
        with curve.open("w", newline="", encoding="utf-8") as table:
            csv.writer(table).writerows([_COLUMNS, *self.curve])
        os.replace(curve, self.plan.out / CURVE)

    def resume(self) -> None:
        """Take over the checkpoint, if there is one."""
        file = self.plan.out / CHECKPOINT
        if not file.exists():
            return
        try:
            state = torch.load(file, map_location=self.plan.device, weights_only=True)
            found = state["identity"]
        except Exception as error:  # torch raises nearly anything on a damaged file
            raise BackboneError(
                f"{file} is damaged ({type(error).__name__}); delete it to begin anew"
            ) from error
        if found != self.plan.identity():
            other = [k for k, v in self.plan.identity().items() if found.get(k) != v]
            raise BackboneError(
                f"{file} is of another run: its {other[0]} is {found.get(other[0])}, not "
                f"{self.plan.identity()[other[0]]}; give another --out, or delete it"
            )
        self.step, self.curve = state["step"], state["curve"]
        self.best, self.best_step = state["best"]
        self.best_state = state["best_state"]
        self.network.load_state_dict(state["network"])
        self.loss.load_state_dict(state["loss"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.pace.load_state_dict(state["pace"])


def _batches(plan: Plan, start: int) -> Iterator[tuple[NDArray[np.int64], NDArray[np.uint8]]]:
    """Yield rows and pictures from step ``start`` on; they are read while the network learns."""
    codes = np.unique(plan.labels, return_inverse=True)[1]
    of_label = [np.flatnonzero(plan.learned & (codes == code)) for code in np.unique(codes)]
    several = [works for works in of_label if len(works) > 1]
    labels, works = plan.in_batch

    def draw(step: int) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
        rng = np.random.default_rng((plan.seed, step))
        chosen = [several[place] for place in rng.permutation(len(several))[:labels]]
        rows = np.concatenate([rng.permutation(own)[:works] for own in chosen])
        pixels, kept = plan.read(rows)
        return kept, pixels

    with ThreadPoolExecutor(1) as pool:
        ahead = [pool.submit(draw, step) for step in range(start, min(start + 2, plan.steps))]
        for step in range(start, plan.steps):
            ready = ahead.pop(0)
            if step + 2 < plan.steps:
                ahead.append(pool.submit(draw, step + 2))
            yield ready.result()


def _auc(plan: Plan, network: Network, pairs: Pairs) -> float:
    from sklearn.metrics import roc_auc_score

    rows, place = np.unique(np.concatenate([pairs.left, pairs.right]), return_inverse=True)
    vectors = embed(network, plan.read, rows, plan.device)
    left, right = place.reshape(2, -1)
    cosines = np.einsum("nd,nd->n", vectors[left], vectors[right])
    return float(roc_auc_score(pairs.same, cosines)) if np.isfinite(cosines).all() else 0.0
