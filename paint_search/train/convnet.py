"""A small convolutional network for pictures, which scikit-learn can fit, tune and calibrate.

Pixels and codes come in, a classifier goes out. Seeded; it needs no GPU and no weights. Everything
here is torch's and scikit-learn's own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.model_selection import train_test_split
from torch import Tensor, nn
from torch.nn import functional

from paint_search.compress.training import EarlyStopping, Training
from paint_search.eval.inputs import Floats, Ints

EPOCHS: Final = 30

_BATCH: Final = 32
_RATE: Final = 4e-3  # highest of the cycle
_HELD_OUT: Final = 0.15  # of the works, to choose the best epoch by
_TURN: Final = 12.0  # degrees a picture is turned at most, either way
_ZOOM: Final = 0.12
_SHIFT: Final = 0.1  # of the side, half of it


class SmallConvNet(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Four convolutional layers, the mean and the maximum of each last channel, one dense layer.

    Trained with AdamW on pictures that are mirrored, turned and shifted a little. The weights kept
    are those of the epoch of the lowest loss on a seventh of the works, held out for that.

    Args:
        seed: of weights, batches and changes to the pictures.
        epochs: over all works.
        done: called after each.

    Attributes:
        classes_: the codes.
        history_: loss and accuracy by epoch, of the works learned from and of those held out.
        epoch_: the epoch whose weights were kept, from 1 up.
    """

    def __init__(
        self, seed: int = 0, epochs: int = EPOCHS, done: Callable[[], None] = lambda: None
    ) -> None:
        self.seed = seed
        self.epochs = epochs
        self.done = done

    def fit(self, pictures: npt.NDArray[np.uint8], codes: Ints) -> SmallConvNet:
        """Learn from pictures (n, side, side, 3) and their classes (n,)."""
        self.classes_, wanted = np.unique(codes, return_inverse=True)
        learn, check = _split(wanted, self.seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            self._train(_tensor(pictures), torch.from_numpy(wanted), learn, check)
        return self

    def predict_proba(self, pictures: npt.NDArray[np.uint8]) -> Floats:
        """Return the probabilities (n, c), not calibrated."""
        return np.asarray(functional.softmax(_logits(self.net_, _tensor(pictures)), 1).numpy())

    def predict(self, pictures: npt.NDArray[np.uint8]) -> npt.NDArray[Any]:
        """Return the likeliest classes (n,)."""
        return np.asarray(self.classes_[self.predict_proba(pictures).argmax(axis=1)])

    def _train(self, pictures: Tensor, codes: Tensor, learn: Tensor, check: Tensor) -> None:
        self.net_ = _build(pictures.shape[1], len(self.classes_))
        steps = -(-len(learn) // _BATCH)
        optimiser = torch.optim.AdamW(self.net_.parameters(), lr=_RATE, weight_decay=1e-2)
        names = ("loss", "accuracy", "held-out loss", "held-out accuracy")
        self.history_: dict[str, list[float]] = {name: [] for name in names}
        seen: list[tuple[Tensor, Tensor]] = []

        def batches(step: int) -> Iterator[Tensor]:
            for _ in range(self.epochs):
                yield from torch.split(learn[torch.randperm(len(learn))], _BATCH)

        def loss(batch: Tensor) -> Tensor:
            logits = self.net_(_changed(pictures[batch]))
            seen.append((logits.detach(), codes[batch]))
            return functional.cross_entropy(logits, codes[batch])

        def judge() -> float:
            said, true = (torch.cat(parts) for parts in zip(*seen, strict=True))
            seen.clear()
            held_out = _figures(_logits(self.net_, pictures[check]), codes[check])
            for name, value in zip(names, (*_figures(said, true), *held_out), strict=True):
                self.history_[name].append(value)
            self.done()
            return -held_out[0]

        stopping = EarlyStopping(judge, every=steps, patience=None)
        Training(
            network=self.net_,
            objective=nn.CrossEntropyLoss(),
            batches=batches,
            loss=loss,
            optimiser=optimiser,
            schedule=torch.optim.lr_scheduler.OneCycleLR(optimiser, _RATE, self.epochs * steps),
            steps=self.epochs * steps,
            callbacks=[stopping],
        ).run()
        self.epoch_ = stopping.best_step // steps
        self.net_.load_state_dict(stopping.best_weights)


def _build(channels: int, classes: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for width in (16, 32, 64, 96):
        layers += [
            nn.Conv2d(channels, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.MaxPool2d(2),
        ]
        channels = width
    layers += [_MeanAndMaximum(), nn.Dropout(0.3), nn.Linear(2 * channels, classes)]
    return nn.Sequential(*layers)


class _MeanAndMaximum(nn.Module):
    """(n, channels, h, w) -> (n, 2 channels): each channel's mean and maximum."""

    def forward(self, maps: Tensor) -> Tensor:
        """Pool the maps."""
        return torch.cat([maps.mean(dim=(2, 3)), maps.amax(dim=(2, 3))], dim=1)


def _split(codes: Ints, seed: int) -> tuple[Tensor, Tensor]:
    """Return the works to learn from and those to choose the epoch by, of each class if it can."""
    count = max(round(_HELD_OUT * len(codes)), 1)
    few = np.bincount(codes).min() < 2 or count < len(np.unique(codes))
    learn, check = train_test_split(
        np.arange(len(codes)), test_size=count, random_state=seed, stratify=None if few else codes
    )
    return torch.from_numpy(learn), torch.from_numpy(check)


def _tensor(pictures: npt.NDArray[np.uint8]) -> Tensor:
    """(n, side, side, 3) levels -> (n, 3, side, side) about zero."""
    return torch.from_numpy(np.ascontiguousarray(pictures.transpose(0, 3, 1, 2)))


def _logits(net: nn.Module, pictures: Tensor) -> Tensor:
    net.eval()
    with torch.inference_mode():
        return torch.cat([net(_scaled(batch)) for batch in torch.split(pictures, 256)])


def _scaled(pictures: Tensor) -> Tensor:
    return pictures.float() / 127.5 - 1


def _changed(pictures: Tensor) -> Tensor:
    """Mirror half of the pictures, and turn, enlarge and shift each a little; edges go on."""
    count = len(pictures)
    turn = (2 * torch.rand(count) - 1) * (_TURN * torch.pi / 180)
    zoom = 1 + (2 * torch.rand(count) - 1) * _ZOOM
    mirror = 1 - 2 * torch.randint(0, 2, (count,))
    shift = (2 * torch.rand(count, 2) - 1) * _SHIFT
    rows = torch.stack(
        [
            torch.stack([mirror * zoom * turn.cos(), -zoom * turn.sin(), shift[:, 0]], 1),
            torch.stack([mirror * zoom * turn.sin(), zoom * turn.cos(), shift[:, 1]], 1),
        ],
        1,
    )
    grid = functional.affine_grid(rows, list(pictures.shape), align_corners=False)
    return functional.grid_sample(
        _scaled(pictures), grid, padding_mode="border", align_corners=False
    )


def _figures(logits: Tensor, codes: Tensor) -> tuple[float, float]:
    loss = functional.cross_entropy(logits, codes)
    return float(loss), float((logits.argmax(dim=1) == codes).float().mean())
