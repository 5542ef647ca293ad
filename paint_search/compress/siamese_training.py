"""Train the head of the siamese compressor: works of one label together, of two labels apart.

A batch holds several works of each of many labels; every pair in it is judged at once by the
logistic loss, pairs of one label and of two weighing alike. Imports torch, so import it late.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from pytorch_metric_learning.distances import CosineSimilarity
from pytorch_metric_learning.losses import GenericPairLoss
from torch import Tensor, nn
from torch.nn import functional

from paint_search.compress.base import Floats, Report
from paint_search.compress.hold_out import hold_out_labels
from paint_search.compress.networks import residual_layers, twin
from paint_search.compress.training import Callback, EarlyStopping, Reporting, Training, Weights
from paint_search.errors import CompressError, EvalError
from paint_search.eval import Pairs, PairSource, group_labels
from paint_search.indexer.backbones import find_device
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
_VALIDATED: Final = 20_000  # pairs

#: Mean cosine above which codes count as alike.
_ALIKE: Final = 0.99

#: AUC up to which a network knows nothing of pairs.
CHANCE: Final = 0.52

Ints = NDArray[np.int64]

#: Gives the unit vectors, (n, d), of n rows.
Embed = Callable[[Ints], Floats]


class TwinHead(Weights):
    """``networks.twin`` with random weights, to be trained; drops inputs and hidden values."""

    def __init__(self, inputs: int, outputs: int, seed: int) -> None:
        super().__init__(residual_layers(inputs, outputs, _HIDDEN, np.random.default_rng(seed)))

    def forward(self, rows: Tensor) -> Tensor:
        """(n, inputs) -> (n, outputs) unit rows."""
        seen = functional.dropout(rows, _DROPPED_INPUTS, self.training)
        return twin(self.tensors, seen, self._drop)

    def _drop(self, hidden: Tensor) -> Tensor:
        return functional.dropout(hidden, _DROPPED_HIDDEN, self.training)


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


class WorkSampler:
    """Draws rows for a batch: so many labels, each equally likely, and so many works of each.

    Args:
        codes: (n,) of the labels.
        learned: (n,) rows that may be drawn; labels with one such row are passed over.
        labels: in a batch.
        works: of each.
    """

    def __init__(self, codes: Ints, learned: NDArray[np.bool_], labels: int, works: int) -> None:
        of_label = [np.flatnonzero(learned & (codes == code)) for code in np.unique(codes)]
        self._several = [rows for rows in of_label if len(rows) > 1]
        self._labels, self._works = labels, works

    def draw(self, rng: np.random.Generator) -> Ints:
        """Return the rows of one batch."""
        chosen = rng.permutation(len(self._several))[: self._labels]
        return np.concatenate(
            [rng.permutation(self._several[label])[: self._works] for label in chosen]
        )


def train_head(
    rows: Floats,
    beside: Floats,
    labels: Sequence[str | None],
    dims: int,
    *,
    seed: int,
    report: Report,
) -> tuple[dict[str, Floats], float]:
    """Train a head of ``dims`` outputs, on a GPU where there is one.

    Twice: first without every seventh label or so, whose AUC says after how many steps to stop;
    then with all of them, for as many steps. Returns the second head's weights, and that AUC.

    Args:
        rows: (n, d) what the head takes, of unit spread.
        beside: (n, k) unit rows that the head's output is set beside.
        labels: n labels; rows labelled None are passed over.
        dims: outputs.
        seed: of weights, dropout and batches.
        report: called after every step.

    Raises:
        CompressError: too few labels, or the training collapsed.
    """
    rng = np.random.default_rng(seed)
    codes = group_labels(labels, len(labels)).codes
    learned, judged = hold_out_labels(codes, rng)
    pairs = _pairs(labels, learned, judged, rng)
    device = find_device()
    seen, wanted = torch.from_numpy(rows).to(device), torch.from_numpy(codes).to(device)

    def train(taught: NDArray[np.bool_], steps: int, *callbacks: Callback) -> None:
        torch.manual_seed(seed)
        loss, sampler = PairLogisticLoss().to(device), WorkSampler(codes, taught, _LABELS, _WORKS)
        optimiser = torch.optim.AdamW(
            [
                {"params": head.parameters(), "weight_decay": _DECAY},
                {"params": loss.parameters(), "weight_decay": 0.0},
            ]
        )
        Training(
            network=head,
            objective=loss,
            batches=lambda step: (sampler.draw(rng) for _ in range(step, steps)),
            loss=lambda drawn: loss(head(seen[drawn]), wanted[drawn]),
            optimiser=optimiser,
            schedule=torch.optim.lr_scheduler.OneCycleLR(
                optimiser, [_RATE, 3 * _RATE], total_steps=_STEPS, pct_start=0.1
            ),
            steps=steps,
            callbacks=callbacks,
        ).run()

    @torch.no_grad()
    def answer(chosen: Ints) -> Floats:
        head.eval()
        return np.asarray(head(seen[chosen]).cpu().numpy())

    def joined(chosen: Ints) -> Floats:
        return np.concatenate([answer(chosen), beside[chosen]], axis=1)

    def words() -> str:
        return f"AUC {max(0.0, stopping.best):.3f} on unseen labels"

    def after(taken: int, total: int) -> Report:
        return lambda step: report(Progress(taken + step.done, total, step.words))

    stopping = EarlyStopping(lambda: pair_auc(joined, pairs), _CHECK_EVERY, _PATIENCE)
    with torch.random.fork_rng():
        head = TwinHead(rows.shape[1], dims, seed).to(device)
        train(learned, _STEPS, stopping, Reporting(after(0, 2 * _STEPS), words))
        check_collapse(answer, pairs)
        taken, best = stopping.curve[-1][0], stopping.best_step
        head = TwinHead(rows.shape[1], dims, seed).to(device)
        train(learned | judged, best, Reporting(after(taken, taken + best), words))
    check_collapse(answer, pairs)
    return head.arrays(), stopping.best


def _pairs(
    labels: Sequence[str | None],
    learned: NDArray[np.bool_],
    judged: NDArray[np.bool_],
    rng: np.random.Generator,
) -> Pairs:
    """Draw the pairs to judge by; make sure that there are some to learn from."""
    try:
        pairs = PairSource(labels, rows=judged).draw(_VALIDATED, (int(rng.integers(2**32)),))
        PairSource(labels, rows=learned)
    except EvalError as error:
        counts = group_labels(labels, len(labels)).counts
        raise CompressError(
            "a siamese compressor learns from labels with two works or more, at least four of "
            f"them; here are {int((counts > 1).sum())} among the {int(counts.sum())} works to "
            "learn from: label more works, or choose another label or method"
        ) from error
    return pairs


def pair_auc(embed: Embed, pairs: Pairs) -> float:
    """Return how often a pair of one label has a greater cosine than one of two; 0 for NaN."""
    from sklearn.metrics import roc_auc_score

    rows, place = np.unique(np.concatenate([pairs.left, pairs.right]), return_inverse=True)
    vectors = embed(rows)
    left, right = place.reshape(2, -1)
    cosines = np.einsum("nd,nd->n", vectors[left], vectors[right])
    return float(roc_auc_score(pairs.same, cosines)) if np.isfinite(cosines).all() else 0.0


def check_collapse(embed: Embed, pairs: Pairs) -> None:
    """Refuse a network that makes all works alike, or knows no more of pairs than a coin.

    Raises:
        CompressError: it does.
    """
    alike = float(np.square(embed(np.unique(pairs.left)).mean(axis=0)).sum())
    if not alike < _ALIKE:
        raise CompressError(
            f"the training collapsed: all works are alike, with a mean cosine of {alike:.2f}; "
            "try another seed, more works, or another method"
        )
    auc = pair_auc(embed, pairs)
    if not auc > CHANCE:
        raise CompressError(
            "the training collapsed: it tells works of one label from works of two with an AUC of "
            f"{auc:.2f}, where 0.5 is chance; are the labels right? Try another seed, more works, "
            "or another method"
        )
