"""The training of the built-in network: batches of views, the average of the weights, checkpoints.

Everything drawn at random follows from the seed, the epoch and the painting, and every step from
the one before it, so that an interrupted run ends with the weights of an uninterrupted one.
"""

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
import torch
from corpus import FIELDS, Corpus, cache, pixels_of
from lessons import Batch, Lessons
from network import PaintingNet
from numpy.typing import NDArray
from progress import progress_bar
from rich.progress import Progress
from teachers import Targets, make_targets
from views import View, draw_view

from paint_search.compress.training import (
    Callback,
    Checkpoint,
    Training,
    decayed,
    draw_ahead,
)
from paint_search.indexer.backbones import find_device

BATCH: Final = 96
_CACHED: Final = 160  # side of the cached paintings that views are cut from
_RATE: Final = 2e-3
_DECAY: Final = 0.05
_WARM_UP: Final = 0.05  # share of all steps
_AVERAGE: Final = 0.998  # of the weights, from step to step

#: Side of the views, by the share of the steps from which on it holds: small ones cost less.
_SIDES: Final = ((0.0, 112), (0.55, 128), (0.9, 160))


@dataclass(frozen=True)
class Plan:
    """A run, as it was asked for.

    Attributes:
        corpus: the paintings.
        described: (n, d) descriptors.
        maps: (n, regions, channels) of the larger teacher, or None.
        fold: (k, n) to leave out the artists of fold k of n, or None to learn from all.
        epochs: passes over the corpus.
        seed: of everything that is drawn.
        threads: of the CPU; 0 for all.
        out: folder of the checkpoint and the network.
        cache: folder of what several runs share.
        every: steps from one checkpoint to the next.
    """

    corpus: Corpus
    described: NDArray[np.float32]
    maps: NDArray[np.float16] | None
    fold: tuple[int, int] | None
    epochs: int
    seed: int
    threads: int
    out: Path
    cache: Path
    every: int = 40

    @cached_property
    def learned(self) -> NDArray[np.bool_]:
        """Which paintings are learned from, (n,)."""
        if self.fold is None:
            return np.ones(len(self.corpus), dtype=bool)
        return ~self.corpus.held_out(*self.fold)

    @cached_property
    def pixels(self) -> NDArray[np.uint8]:
        """The cached paintings, (n, side, side, 3)."""

        def fill(start: int, stop: int) -> NDArray[np.uint8]:
            return pixels_of(self.corpus.files[start:stop], _CACHED)

        file = self.cache / f"pixels-{self.corpus.fingerprint}.npy"
        return cache(file, len(self.corpus), fill, "pixels")

    @property
    def steps_per_epoch(self) -> int:
        """Batches of an epoch; what is left over waits for the next shuffle."""
        return max(1, int(self.learned.sum()) // BATCH)

    @property
    def steps(self) -> int:
        """Batches of the run."""
        return self.steps_per_epoch * self.epochs

    def identity(self) -> dict[str, Any]:
        """What must agree for a checkpoint to be gone on with."""
        return {
            "corpus": self.corpus.fingerprint,
            "fold": list(self.fold or ()),
            "epochs": self.epochs,
            "seed": self.seed,
            "teacher": self.maps is not None,
        }


def learn(plan: Plan, *watching: Callback) -> PaintingNet:
    """Train from random initialisation, or go on from the checkpoint in ``plan.out``.

    Args:
        plan: of the run.
        watching: called after each step, when what is due has been written.

    Raises:
        BackboneError: the checkpoint there is of another run, or damaged.
    """
    if plan.threads:
        torch.set_num_threads(plan.threads)
    torch.manual_seed(plan.seed)
    device = torch.device(find_device())
    labels = {field: plan.corpus.codes(field, plan.learned) for field in FIELDS}
    artists = np.where(plan.learned, labels["artist"][0], -1)
    targets = make_targets(plan.described, plan.maps, artists)
    network = PaintingNet().to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    classes = {field: count for field, (_, count) in labels.items()}
    lessons = Lessons(len(targets.wholes), targets.wholes.shape[2], classes).to(device)
    codes = {field: numbers for field, (numbers, _) in labels.items()}
    pixels, members = plan.pixels, np.flatnonzero(plan.learned)

    def draw(step: int) -> tuple[torch.Tensor, Batch]:
        epoch, place = divmod(step, plan.steps_per_epoch)
        order = np.random.default_rng((plan.seed, epoch)).permutation(members)
        chosen = order[place * BATCH : (place + 1) * BATCH]
        side = [side for share, side in _SIDES if share <= step / plan.steps][-1]
        views = [draw_view(pixels[i], side, (plan.seed, epoch, int(i))) for i in chosen]
        drawn = torch.from_numpy(np.stack([view.pixels for view in views]))
        return drawn, _batch(targets, codes, chosen, views)

    def loss(drawn: tuple[torch.Tensor, Batch]) -> torch.Tensor:
        views, batch = drawn
        with torch.autocast(device.type, torch.bfloat16):
            embedding, features = network(views.to(device))
        return cast(torch.Tensor, lessons(embedding, features, _to(batch, device)))

    optimiser = torch.optim.AdamW(decayed([network, lessons], _DECAY), lr=_RATE, fused=True)
    average = _Average(network)
    with progress_bar() as bar:
        Training(
            network=network,
            objective=lessons,
            batches=lambda step: draw_ahead(draw, step, plan.steps),
            loss=loss,
            optimiser=optimiser,
            schedule=torch.optim.lr_scheduler.LambdaLR(optimiser, lambda s: _pace(s / plan.steps)),
            steps=plan.steps,
            callbacks=[
                average,
                _Log(plan, bar),
                Checkpoint(plan.out / "checkpoint.pt", plan.identity(), plan.every),
                *watching,
            ],
            clipped=True,
        ).run()
    return average.network


def _pace(share: float) -> float:
    """Return the learning rate at a share of the steps, as a share of the highest."""
    warm = min(1.0, (share + 1e-9) / _WARM_UP)
    return warm * 0.5 * (1 + math.cos(math.pi * max(0.0, share - _WARM_UP) / (1 - _WARM_UP)))


class _Average(Callback):
    """Keeps a network whose weights are the average of those over the steps."""

    def __init__(self, network: PaintingNet) -> None:
        self.network = copy.deepcopy(network).eval()

    @torch.no_grad()
    def after_step(self, training: Training[Any], loss: torch.Tensor) -> None:
        """Move the average towards the network; quickly at first, to forget the start."""
        keep = min(_AVERAGE, (1 + training.step) / (10 + training.step))
        own = training.network.state_dict()
        for name, value in self.network.state_dict().items():
            if value.is_floating_point():
                value.lerp_(own[name], 1 - keep)
            else:
                value.copy_(own[name])

    def state_dict(self) -> dict[str, Any]:
        """Return the average."""
        return self.network.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what ``state_dict`` gave."""
        self.network.load_state_dict(state)


class _Log(Callback):
    """Moves the bar, and writes a line of ``log.csv`` with every checkpoint."""

    def __init__(self, plan: Plan, bar: Progress) -> None:
        self._plan, self._bar = plan, bar
        self._task = bar.add_task("training", total=plan.steps, note="")

    def after_step(self, training: Training[Any], loss: torch.Tensor) -> None:
        """Show how far it is."""
        epoch = training.step / self._plan.steps_per_epoch
        note = f"epoch {epoch:.1f}, loss {float(loss):.3f}"
        self._bar.update(self._task, completed=training.step, note=note)
        if training.due(self._plan.every):
            with (self._plan.out / "log.csv").open("a", encoding="utf-8") as log:
                log.write(f"{training.step},{epoch:.3f},{float(loss):.4f}\n")


def _batch(
    targets: Targets,
    codes: dict[str, NDArray[np.int64]],
    chosen: NDArray[np.int64],
    views: list[View],
) -> Batch:
    regions = None
    if targets.regions is not None:
        regions = torch.from_numpy(targets.regions[chosen].astype(np.float32)).permute(0, 3, 1, 2)
    return Batch(
        wholes=torch.from_numpy(targets.wholes[:, chosen]),
        regions=regions,
        boxes=torch.tensor([view.box for view in views], dtype=torch.float32),
        mirrored=torch.tensor([view.mirrored for view in views]),
        labels={field: torch.from_numpy(numbers[chosen]) for field, numbers in codes.items()},
    )


def _to(batch: Batch, device: torch.device) -> Batch:
    return Batch(
        wholes=batch.wholes.to(device),
        regions=None if batch.regions is None else batch.regions.to(device),
        boxes=batch.boxes.to(device),
        mirrored=batch.mirrored.to(device),
        labels={field: numbers.to(device) for field, numbers in batch.labels.items()},
    )
