"""Train the head of the siamese compressor: works of one label together, of two labels apart.

A batch holds several works of each of many labels; every pair in it is judged at once by the
logistic loss, pairs of one label and of two weighing alike. Imports torch, so import it late.
"""

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from pytorch_metric_learning.distances import CosineSimilarity
from pytorch_metric_learning.losses import GenericPairLoss
from torch import Tensor, nn
from torch.nn import functional

from paint_search.compress.base import Floats, Report
from paint_search.errors import CompressError, EvalError
from paint_search.eval import Pairs, PairSource
from paint_search.painting import Progress

#: Chosen on artists that no figure we report is of; see benchmarks/README.md.
_HIDDEN: Final = 1024
_DROPPED_INPUTS: Final = 0.65
_DROPPED_HIDDEN: Final = 0.5
_LABELS: Final = 96
_WORKS: Final = 4
_STEPS: Final = 300
_RATE: Final = 1e-3
_DECAY: Final = 1e-2
_CHECK_EVERY: Final = 25
_PATIENCE: Final = 6
_VALIDATION: Final = 0.15  # of the labels
_VALIDATED: Final = 20_000  # pairs

#: Cosine above which random works count as alike, and AUC up to which a head knows nothing.
_ALIKE: Final = 0.99
_CHANCE: Final = 0.52


@dataclass(frozen=True, slots=True)
class Lesson:
    """What is learned from: features of unit spread, what stands beside the head, and labels.

    Attributes:
        rows: (n, d) what the head takes.
        beside: (n, k) unit rows that the head's output is set beside.
        labels: n labels; rows labelled None are passed over.
    """

    rows: Floats
    beside: Floats
    labels: list[str | None]


class TwinHead(nn.Module):
    """``linear(x) + out(relu(hidden(x)))``, scaled to unit length: both twins in one."""

    def __init__(self, inputs: int, outputs: int, hidden: int = _HIDDEN) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, outputs, bias=False)
        self.hidden = nn.Linear(inputs, hidden)
        self.out = nn.Linear(hidden, outputs, bias=False)

    def forward(self, rows: Tensor) -> Tensor:
        """(n, inputs) -> (n, outputs) unit rows."""
        rows = functional.dropout(rows, _DROPPED_INPUTS, self.training)
        hidden = functional.relu(self.hidden(rows))
        hidden = functional.dropout(hidden, _DROPPED_HIDDEN, self.training)
        return functional.normalize(self.linear(rows) + self.out(hidden), dim=1)


class PairLogisticLoss(GenericPairLoss):  # type: ignore[misc]
    """-log of the probability, logistic in the cosine, that a pair is what it is.

    The mean over pairs of one label plus the mean over pairs of two; scale and shift of the
    cosine are learned. Unlike the losses that rank within an anchor's row, it asks for one
    threshold that holds for all pairs, which is what verification needs.
    """

    def __init__(self) -> None:
        super().__init__(mat_based_loss=False)
        self.log_scale = nn.Parameter(torch.tensor(math.log(5.0)))
        self.shift = nn.Parameter(torch.tensor(-2.0))

    def _compute_loss(self, same: Any, other: Any, indices: Any) -> dict[str, Any]:
        losses = {}
        for name, cosines, sign in (("pos", same, -1.0), ("neg", other, 1.0)):
            value: Any = 0
            if len(cosines):
                value = functional.softplus(sign * (cosines * self.log_scale.exp() + self.shift))
            losses[f"{name}_loss"] = {
                "losses": value,
                "indices": indices[:2] if name == "pos" else indices[2:],
                "reduction_type": f"{name}_pair",
            }
        return losses

    def _sub_loss_names(self) -> list[str]:
        return ["pos_loss", "neg_loss"]

    def get_default_distance(self) -> CosineSimilarity:
        """Pairs are compared by cosine, as they will be in a search."""
        return CosineSimilarity()


def train_head(lesson: Lesson, dims: int, *, seed: int, report: Report) -> tuple[TwinHead, float]:
    """Train a head of ``dims`` outputs, on a GPU where there is one.

    Twice: first without every seventh label or so, whose AUC says after how many steps to stop;
    then with all of them, for as many steps. Returns the second head, on the CPU, and that AUC.

    Raises:
        CompressError: too few labels, or the training collapsed.
    """
    rng = np.random.default_rng(seed)
    learned, judged = _sides(lesson.labels, rng)
    everyone = np.array([label is not None for label in lesson.labels])
    device = "cuda" if torch.cuda.is_available() else "cpu"
    rows, beside = (torch.from_numpy(part).to(device) for part in (lesson.rows, lesson.beside))
    best, best_step, total = 0.0, 0, 2 * _STEPS
    with torch.random.fork_rng():
        trial = _train(rows, _Batches(lesson.labels, learned, rng), dims, seed)
        for step, head in enumerate(itertools.islice(trial, _STEPS), start=1):
            report(Progress(step, total, f"AUC {best:.3f} on unseen labels"))
            if step % _CHECK_EVERY == 0:
                auc = _auc(head, rows, beside, judged)
                if auc > best:
                    best, best_step = auc, step
                elif step - best_step >= _PATIENCE * _CHECK_EVERY:
                    break
        _check_collapse(head, rows, judged)
        done, total = step, step + best_step
        final = _train(rows, _Batches(lesson.labels, everyone, rng), dims, seed)
        for step, trained in enumerate(itertools.islice(final, best_step), start=1):
            head = trained
            report(Progress(done + step, total, f"AUC {best:.3f} on unseen labels"))
    _check_alike(head, rows, judged)
    return head.to("cpu").eval(), best


def _train(rows: Tensor, batches: "_Batches", dims: int, seed: int) -> Iterator[TwinHead]:
    """Yield the head after every step; after the last it stays as it is."""
    torch.manual_seed(seed)
    head, loss = TwinHead(rows.shape[1], dims).to(rows.device), PairLogisticLoss().to(rows.device)
    optimiser = torch.optim.AdamW(
        [
            {"params": head.parameters(), "weight_decay": _DECAY},
            {"params": loss.parameters(), "weight_decay": 0.0},
        ]
    )
    pace = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, [_RATE, 3 * _RATE], total_steps=_STEPS, pct_start=0.1
    )
    for drawn in itertools.islice(batches, _STEPS):
        head.train()
        optimiser.zero_grad()
        codes = head(rows[torch.from_numpy(drawn).to(rows.device)])
        loss(codes, torch.from_numpy(batches.codes[drawn]).to(rows.device)).backward()
        optimiser.step()
        pace.step()
        yield head


class _Batches:
    """Draws rows for ever: so many labels, each equally likely, and some works of each."""

    def __init__(
        self, labels: list[str | None], learned: NDArray[np.bool_], rng: np.random.Generator
    ) -> None:
        self.codes = np.unique(
            ["" if name is None else name for name in labels], return_inverse=True
        )[1]
        of_label = [
            np.flatnonzero(learned & (self.codes == code)) for code in np.unique(self.codes)
        ]
        self._works = [works for works in of_label if len(works) > 1]
        self._rng = rng

    def __iter__(self) -> Iterator[NDArray[np.int64]]:
        while True:
            chosen = self._rng.permutation(len(self._works))[:_LABELS]
            yield np.concatenate(
                [self._rng.permutation(self._works[label])[:_WORKS] for label in chosen]
            )


def _sides(labels: list[str | None], rng: np.random.Generator) -> tuple[NDArray[np.bool_], Pairs]:
    """Keep labels out; return which rows are learned from, and pairs of the others."""
    named = np.array([label is not None for label in labels])
    codes = np.unique(["" if name is None else name for name in labels], return_inverse=True)[1]
    several = np.flatnonzero(np.bincount(codes[named], minlength=codes.max() + 1) > 1)
    kept_out = rng.permutation(several)[: max(2, round(_VALIDATION * len(several)))]
    judged = np.isin(codes, kept_out) & named
    learned = named & ~judged
    try:
        pairs = PairSource(labels, rows=judged).draw(_VALIDATED, (int(rng.integers(2**32)),))
        PairSource(labels, rows=learned)
    except EvalError as error:
        raise CompressError(
            f"--method siamese learns from labels with two works or more, at least four of them; "
            f"here are {len(several)} among the {int(named.sum())} works to learn from: label more "
            "works, or choose another --label or method"
        ) from error
    return learned, pairs


@torch.no_grad()
def _auc(head: TwinHead, rows: Tensor, beside: Tensor, pairs: Pairs) -> float:
    from sklearn.metrics import roc_auc_score

    head.eval()
    shown, place = np.unique(np.concatenate([pairs.left, pairs.right]), return_inverse=True)
    chosen = torch.from_numpy(shown).to(rows.device)
    codes = torch.cat([head(rows[chosen]), beside[chosen]], dim=1).cpu().numpy()
    left, right = place.reshape(2, -1)
    cosines = np.einsum("nd,nd->n", codes[left], codes[right])
    return float(roc_auc_score(pairs.same, cosines))


def _check_collapse(head: TwinHead, rows: Tensor, judged: Pairs) -> None:
    """Refuse a head that knows no more of unseen labels than a coin.

    Raises:
        CompressError: it does not.
    """
    _check_alike(head, rows, judged)
    auc = _auc(head, rows, rows[:, :0], judged)
    if not auc > _CHANCE:
        raise CompressError(
            "the training collapsed: it tells works of one label from works of two with an AUC of "
            f"{auc:.2f}, where 0.5 is chance; are the labels right? Try another --seed, more "
            "works, or --method pca"
        )


@torch.no_grad()
def _check_alike(head: TwinHead, rows: Tensor, judged: Pairs) -> None:
    """Refuse a head that makes all works alike.

    Raises:
        CompressError: it does.
    """
    head.eval()
    shown = torch.from_numpy(np.unique(judged.left)).to(rows.device)
    mean = float(head(rows[shown]).mean(dim=0).square().sum())
    if not mean < _ALIKE:
        raise CompressError(
            f"the training collapsed: all works are alike, with a mean cosine of {mean:.2f}; "
            "try another --seed, more works, or --method pca"
        )
