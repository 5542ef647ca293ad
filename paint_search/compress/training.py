"""The one training loop: batches, a loss and an optimiser in, a trained network out.

What else a training needs watches its steps as a callback: stopping early, checkpoints, progress.
It draws nothing at random itself. Imports torch, so import it late.
"""

import copy
import hashlib
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

import torch
from torch import Tensor, nn

from paint_search.compress.base import Floats, Report
from paint_search.errors import BackboneError
from paint_search.files import replacing
from paint_search.painting import Progress

Batch = TypeVar("Batch")

#: Greatest norm of a network's gradient, where it is held to one.
_CLIPPED: Final = 5.0


class Weights(nn.Module):
    """Weights of one of ``networks``, by name, as parameters."""

    def __init__(self, weights: Mapping[str, Floats]) -> None:
        super().__init__()
        self._names = tuple(weights)
        self.values = nn.ParameterList(torch.tensor(value) for value in weights.values())

    @property
    def tensors(self) -> dict[str, Tensor]:
        """The tensors that are trained."""
        return dict(zip(self._names, self.values, strict=True))

    def arrays(self) -> dict[str, Floats]:
        """Return copies for NumPy."""
        return {name: value.detach().cpu().numpy().copy() for name, value in self.tensors.items()}


class Callback:
    """Watches a training; what a subclass does not need it leaves as it is here."""

    def begin(self, training: "Training[Any]") -> None:
        """Act before the first step of this process."""

    def after_step(self, training: "Training[Any]", loss: Tensor) -> None:
        """Act after a step, whose loss is (), detached; ``training.stopped`` ends the training."""

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint must hold for a training to go on as if never interrupted."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what ``state_dict`` gave."""


@dataclass
class Training(Generic[Batch]):
    """A network on its way."""

    network: nn.Module  #: is trained in place
    objective: nn.Module  #: what the loss is made with; its own parameters are trained too
    batches: Callable[[int], Iterable[Batch]]  #: gives them from a step on, counted from 0
    loss: Callable[[Batch], Tensor]  #: of a batch, ()
    optimiser: torch.optim.Optimizer  #: of both modules' parameters
    schedule: torch.optim.lr_scheduler.LRScheduler  #: of the learning rate, step by step
    steps: int  #: at most
    callbacks: Sequence[Callback] = ()  #: called in this order
    clipped: bool = False  #: whether the network's gradient is held to a norm of 5
    step: int = field(default=0, init=False)  #: how many were taken
    stopped: bool = field(default=False, init=False)  #: whether it ended before its time

    def run(self) -> None:
        """Take the steps that are left."""
        for callback in self.callbacks:
            callback.begin(self)
        if self.finished:
            return
        for batch in self.batches(self.step):
            self.network.train()
            self.optimiser.zero_grad(set_to_none=True)
            loss = self.loss(batch)
            torch.autograd.backward(loss)
            if self.clipped:
                nn.utils.clip_grad_norm_(self.network.parameters(), _CLIPPED)
            self.optimiser.step()
            self.schedule.step()
            self.step += 1
            for callback in self.callbacks:
                callback.after_step(self, loss.detach())
            if self.finished:
                return

    @property
    def finished(self) -> bool:
        """Whether no step is left to be taken."""
        return self.stopped or self.step >= self.steps

    def due(self, every: int) -> bool:
        """Tell whether what happens every so many steps, and at the end, is due now."""
        return self.step % every == 0 or self.finished


class EarlyStopping(Callback):
    """Judges the network every so many steps and stops where it no longer gets better.

    Args:
        judge: returns the score, the higher the better; the network is in its evaluation mode.
        every: steps from one check to the next; the last step is followed by one too.
        patience: checks without progress after which it stops; None to never stop.
        first: whether the network is judged before its first step too.

    Attributes:
        best: score, -inf before the first check.
        best_step: after how many steps.
        best_weights: of the network, then.
        curve: step, mean loss since the check before, and score, of every check.
    """

    def __init__(
        self, judge: Callable[[], float], every: int, patience: int | None, *, first: bool = False
    ) -> None:
        self._judge, self._every, self._patience, self._first = judge, every, patience, first
        self._losses: list[Tensor] = []
        self.best, self.best_step = -math.inf, 0
        self.best_weights: dict[str, Tensor] = {}
        self.curve: list[tuple[int, float, float]] = []

    def begin(self, training: Training[Any]) -> None:
        """Judge the network as it begins, if that is wanted."""
        if self._first and training.step == 0:
            self._check(training)

    def after_step(self, training: Training[Any], loss: Tensor) -> None:
        """Judge it when that is due."""
        self._losses.append(loss)
        if training.due(self._every):
            self._check(training)

    def _check(self, training: Training[Any]) -> None:
        training.network.eval()
        score = self._judge()
        if score > self.best or not self.best_weights:
            self.best, self.best_step = score, training.step
            self.best_weights = copy.deepcopy(training.network.state_dict())
        loss = float(torch.stack(self._losses).mean()) if self._losses else math.nan
        self._losses.clear()
        self.curve.append((training.step, loss, score))
        since = training.step - self.best_step
        training.stopped = self._patience is not None and since >= self._patience * self._every

    def state_dict(self) -> dict[str, Any]:
        """Return the best there was, and the curve."""
        return {
            "best": self.best,
            "best_step": self.best_step,
            "best_weights": self.best_weights,
            "curve": [list(row) for row in self.curve],
            "losses": self._losses,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what ``state_dict`` gave."""
        self.best, self.best_step = state["best"], state["best_step"]
        self.best_weights = state["best_weights"]
        self.curve = [(int(step), loss, score) for step, loss, score in state["curve"]]
        self._losses = list(state["losses"])


class Reporting(Callback):
    """Reports every step, with a few words on how it goes."""

    def __init__(self, report: Report, words: Callable[[], str]) -> None:
        self._report, self._words = report, words

    def after_step(self, training: Training[Any], loss: Tensor) -> None:
        """Report it."""
        self._report(Progress(training.step, training.steps, self._words()))


class Checkpoint(Callback):
    """Keeps a training in a file, with all callbacks that come before it, and goes on from there.

    Args:
        file: written beside and renamed into place.
        identity: what must agree for the file to be gone on with; the weights that the network
            begins with must agree too.
        every: steps from one writing to the next; the end is written too.
    """

    def __init__(self, file: Path, identity: Mapping[str, Any], every: int) -> None:
        self._file, self._identity, self._every = file, dict(identity), every

    def begin(self, training: Training[Any]) -> None:
        """Go on from the file, if there is one.

        Raises:
            BackboneError: it is of another run, or damaged.
        """
        self._identity["beginning"] = _fingerprint(training.network)
        if not self._file.exists():
            return
        device = next(training.network.parameters()).device
        try:
            state = torch.load(self._file, map_location=device, weights_only=True)
            found, parts = state["identity"], state["parts"]
        except Exception as error:  # torch raises nearly anything on a damaged file
            raise BackboneError(
                f"{self._file} is damaged ({type(error).__name__}); delete it to begin anew"
            ) from error
        for name, value in self._identity.items():
            if found.get(name) != value:
                raise BackboneError(
                    f"{self._file} is of another run: its {name} is "
                    f"{found.get(name, 'not noted')}, not {value}; give another --out, or delete it"
                )
        training.step, training.stopped = state["step"], state["stopped"]
        for part, kept in zip(self._parts(training), parts, strict=True):
            part.load_state_dict(kept)

    def after_step(self, training: Training[Any], loss: Tensor) -> None:
        """Write the file when that is due."""
        if not training.due(self._every):
            return
        state = {
            "identity": self._identity,
            "step": training.step,
            "stopped": training.stopped,
            "parts": [part.state_dict() for part in self._parts(training)],
        }
        with replacing(self._file) as fresh:
            torch.save(state, fresh)

    def _parts(self, training: Training[Any]) -> list[Any]:
        """Return everything that has a state to be kept, in order."""
        modules = [training.network, training.objective, training.optimiser, training.schedule]
        return [*modules, *training.callbacks[: training.callbacks.index(self)]]


def _fingerprint(network: nn.Module) -> str:
    """Return a hash of a network's weights."""
    digest = hashlib.blake2b(digest_size=8)
    for name, value in sorted(network.state_dict().items()):
        digest.update(name.encode() + value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def draw_ahead(draw: Callable[[int], Batch], start: int, steps: int) -> Iterator[Batch]:
    """Yield what ``draw`` makes for each step from ``start`` on; two are made while one is used."""
    with ThreadPoolExecutor(1) as pool:
        ahead = [pool.submit(draw, step) for step in range(start, min(start + 2, steps))]
        for step in range(start, steps):
            ready = ahead.pop(0)
            if step + 2 < steps:
                ahead.append(pool.submit(draw, step + 2))
            yield ready.result()


def decayed(modules: Iterable[nn.Module], decay: float) -> list[dict[str, Any]]:
    """Return an optimiser's parameter groups, where only matrices and kernels decay."""
    parameters = [value for module in modules for value in module.parameters()]
    return [
        {"params": [value for value in parameters if value.ndim > 1], "weight_decay": decay},
        {"params": [value for value in parameters if value.ndim <= 1], "weight_decay": 0.0},
    ]
