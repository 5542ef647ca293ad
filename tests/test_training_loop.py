"""The one training loop: what its callbacks promise, on a regression that torch alone would do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from paint_search.compress import Callback, Checkpoint, EarlyStopping, Training
from paint_search.errors import BackboneError


class Killed(Callback):
    """Stands for a kill after so many steps."""

    def __init__(self, step: int) -> None:
        self.step = step

    def after_step(self, training: Training[Any], loss: Tensor) -> None:
        if training.step == self.step:
            raise KeyboardInterrupt


def training(*callbacks: Callback, steps: int = 40) -> Training[int]:
    """Fit a line to points that are drawn anew at each step, from the step's own seed."""
    torch.manual_seed(0)
    network = nn.Linear(3, 1)
    optimiser = torch.optim.AdamW(network.parameters(), lr=0.1)

    def batches(step: int) -> Iterator[int]:
        yield from range(step, 1000)

    def loss(step: int) -> Tensor:
        points = torch.randn(16, 3, generator=torch.Generator().manual_seed(step))
        return (network(points)[:, 0] - points.sum(dim=1)).square().mean()

    return Training(
        network=network,
        objective=nn.MSELoss(),
        batches=batches,
        loss=loss,
        optimiser=optimiser,
        schedule=torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 0.1, steps),
        steps=steps,
        callbacks=callbacks,
    )


def test_it_stops_after_checks_without_progress_and_keeps_the_best() -> None:
    scores = iter([0.2, 0.5, 0.4, 0.5, 0.9])
    weights: list[Tensor] = []

    def judge() -> float:
        weights.append(run.network.get_parameter("weight").detach().clone())
        return next(scores)

    stopping = EarlyStopping(judge, every=5, patience=2)
    run = training(stopping)
    run.run()
    assert (run.step, run.stopped) == (20, True)
    assert (stopping.best, stopping.best_step) == (0.5, 10)
    assert torch.equal(stopping.best_weights["weight"], weights[1])
    assert [(step, score) for step, _, score in stopping.curve] == [
        (5, 0.2), (10, 0.5), (15, 0.4), (20, 0.5),
    ]  # fmt: skip
    losses = [loss for _, loss, _ in stopping.curve]
    assert losses == sorted(losses, reverse=True), "means of what is minimised"


def test_what_is_judged_first_is_kept_where_nothing_is_better() -> None:
    stopping = EarlyStopping(lambda: 1.0, every=15, patience=None, first=True)
    run = training(stopping)
    before = run.network.get_parameter("weight").detach().clone()
    run.run()
    assert (run.step, run.stopped, stopping.best_step) == (40, False, 0)
    assert torch.equal(stopping.best_weights["weight"], before)
    assert [step for step, _, _ in stopping.curve] == [0, 15, 30, 40], "the last step too"


def test_killed_at_any_step_it_ends_with_the_same_weights(tmp_path: Path) -> None:
    def run(file: Path, *more: Callback) -> tuple[Training[int], EarlyStopping]:
        made = training()
        score = iter(range(made.steps))
        stopping = EarlyStopping(lambda: float(next(score) % 3), every=8, patience=None)
        made.callbacks = [stopping, Checkpoint(file, {"seed": 0}, every=3), *more]
        made.run()
        return made, stopping

    whole, _ = run(tmp_path / "whole.pt")
    for step in (2, 9, 23):
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path / "killed.pt", Killed(step))
    again, stopping = run(tmp_path / "killed.pt")
    assert (again.step, stopping.curve[-1][0]) == (40, 40)
    for name, values in whole.network.state_dict().items():
        assert torch.equal(values, again.network.state_dict()[name])
    done, _ = run(tmp_path / "killed.pt", Killed(40))
    assert done.step == 40, "what is done is not done again"


def test_a_checkpoint_that_cannot_be_gone_on_with_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "checkpoint.pt"
    training(Checkpoint(file, {"seed": 0, "works": 9}, every=50)).run()
    with pytest.raises(BackboneError, match="of another run: its works is 9, not 10"):
        training(Checkpoint(file, {"seed": 0, "works": 10}, every=50)).run()
    file.write_bytes(file.read_bytes()[:200])
    with pytest.raises(BackboneError, match="is damaged"):
        training(Checkpoint(file, {"seed": 0, "works": 9}, every=50)).run()
