"""The training loop: batches of views, the optimiser, checkpoints that a kill cannot harm.

Everything drawn at random follows from the seed, the epoch and the painting, and every step from
the one before it, so that an interrupted run ends with the weights of an uninterrupted one.
"""

import copy
import math
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from corpus import FIELDS, Corpus, cache, pixels_of
from lessons import Batch, Lessons
from network import PaintingNet
from numpy.typing import NDArray
from progress import progress_bar
from teachers import Targets, make_targets
from views import View, draw_view

from paint_search.errors import UsageError

BATCH: Final = 96
_CACHED: Final = 160  # side of the cached paintings that views are cut from
_RATE: Final = 2e-3
_DECAY: Final = 0.05
_WARM_UP: Final = 0.05  # share of all steps
_AVERAGE: Final = 0.998  # of the weights, from step to step
_SAVE_EVERY: Final = 40  # steps

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


def learn(plan: Plan) -> PaintingNet:
    """Train from random initialisation, or go on from the checkpoint in ``plan.out``.

    Raises:
        UsageError: the checkpoint there is of another run.
    """
    if plan.threads:
        torch.set_num_threads(plan.threads)
    torch.manual_seed(plan.seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    labels = {field: plan.corpus.codes(field, plan.learned) for field in FIELDS}
    artists = np.where(plan.learned, labels["artist"][0], -1)
    targets = make_targets(plan.described, plan.maps, artists)
    network = PaintingNet().to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    classes = {field: count for field, (_, count) in labels.items()}
    lessons = Lessons(len(targets.wholes), targets.wholes.shape[2], classes).to(device)
    run = _Run(plan, network, lessons, device)
    run.resume()
    codes = {field: numbers for field, (numbers, _) in labels.items()}
    batches = _batches(plan, targets, codes, run.step)
    with progress_bar() as bar:
        task = bar.add_task("training", total=plan.steps, completed=run.step, note="")
        for views, batch in batches:
            loss = run.learn(views, batch)
            note = f"epoch {run.step / plan.steps_per_epoch:.1f}, loss {loss:.3f}"
            bar.update(task, advance=1, note=note)
            if run.step % _SAVE_EVERY == 0 or run.step == plan.steps:
                run.save()
                with (plan.out / "log.csv").open("a", encoding="utf-8") as log:
                    log.write(f"{run.step},{run.step / plan.steps_per_epoch:.3f},{loss:.4f}\n")
    return run.average


class _Run:
    """Network, average network, heads and optimiser, at one step of a plan."""

    def __init__(
        self, plan: Plan, network: PaintingNet, lessons: Lessons, device: torch.device
    ) -> None:
        self.plan, self.network, self.lessons, self.device = plan, network, lessons, device
        self.average = copy.deepcopy(network).eval()
        self.step = 0
        parameters = [*network.parameters(), *lessons.parameters()]
        groups = [
            {"params": [p for p in parameters if p.ndim > 1], "weight_decay": _DECAY},
            {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
        ]
        self.optimiser = torch.optim.AdamW(groups, lr=_RATE, fused=True)

    def learn(self, views: torch.Tensor, batch: Batch) -> float:
        """Take one step and return the loss."""
        share = self.step / self.plan.steps
        warm = min(1.0, (share + 1e-9) / _WARM_UP)
        cosine = 0.5 * (1 + math.cos(math.pi * max(0.0, share - _WARM_UP) / (1 - _WARM_UP)))
        for group in self.optimiser.param_groups:
            group["lr"] = _RATE * warm * cosine
        self.network.train()
        batch = _to(batch, self.device)
        with torch.autocast(self.device.type, torch.bfloat16):
            embedding, features = self.network(views.to(self.device))
        loss = self.lessons(embedding, features, batch)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 5.0)
        self.optimiser.step()
        self.step += 1
        self._average()
        return float(loss.detach())

    @torch.no_grad()
    def _average(self) -> None:
        """Move the average towards the network; quickly at first, to forget the start."""
        keep = min(_AVERAGE, (1 + self.step) / (10 + self.step))
        own = self.network.state_dict()
        for name, value in self.average.state_dict().items():
            if value.is_floating_point():
                value.lerp_(own[name], 1 - keep)
            else:
                value.copy_(own[name])

    def save(self) -> None:
        """Write the checkpoint beside the old one, then put it in its place."""
        fresh = self.plan.out / "checkpoint.pt.new"
        state = {
            "identity": self.plan.identity(),
            "step": self.step,
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "lessons": self.lessons.state_dict(),
            "optimiser": self.optimiser.state_dict(),
        }
        with fresh.open("wb") as stream:
            torch.save(state, stream)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(fresh, self.plan.out / "checkpoint.pt")

    def resume(self) -> None:
        """Take over the checkpoint, if there is one."""
        file = self.plan.out / "checkpoint.pt"
        if not file.exists():
            return
        state = torch.load(file, map_location=self.device, weights_only=True)
        if state["identity"] != self.plan.identity():
            raise UsageError(
                f"{file} is of another run ({state['identity']}); give another --out, or delete it"
            )
        self.step = state["step"]
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self.lessons.load_state_dict(state["lessons"])
        self.optimiser.load_state_dict(state["optimiser"])


def _batches(
    plan: Plan, targets: Targets, codes: dict[str, NDArray[np.int64]], start: int
) -> Iterator[tuple[torch.Tensor, Batch]]:
    """Yield the batches from step ``start`` on; views are drawn while the network learns."""
    pixels = plan.pixels
    members = np.flatnonzero(plan.learned)

    def draw(step: int) -> tuple[torch.Tensor, Batch]:
        epoch, place = divmod(step, plan.steps_per_epoch)
        order = np.random.default_rng((plan.seed, epoch)).permutation(members)
        chosen = order[place * BATCH : (place + 1) * BATCH]
        side = [side for share, side in _SIDES if share <= step / plan.steps][-1]
        views = [draw_view(pixels[i], side, (plan.seed, epoch, int(i))) for i in chosen]
        return torch.from_numpy(np.stack([v.pixels for v in views])), _batch(
            targets, codes, chosen, views
        )

    with ThreadPoolExecutor(1) as pool:
        ahead = [pool.submit(draw, step) for step in range(start, min(start + 2, plan.steps))]
        for step in range(start, plan.steps):
            ready = ahead.pop(0)
            if step + 2 < plan.steps:
                ahead.append(pool.submit(draw, step + 2))
            yield ready.result()


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
