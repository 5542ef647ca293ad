"""The loss of a batch: reproduce both teachers, keep their distances, tell artists apart.

The heads that the lessons need are trained with the network and thrown away after it.
"""

from dataclasses import dataclass
from typing import Final

import torch
from network import EMBEDDING, STAGES
from torch import Tensor, nn
from torch.nn import functional

#: How much each lesson counts. Artists count little: what tells the known ones apart best tells
#: unknown ones apart less well.
WHOLE: Final = 1.0
REGION: Final = 0.5
RELATION: Final = 15.0
LABELS: Final = {"artist": 0.25, "movement": 0.05, "genre": 0.05}

_SHARPNESS: Final = 16.0  # of the softmax over cosines
_SMOOTHING: Final = 0.1


@dataclass(frozen=True)
class Batch:
    """What is known of the paintings of a batch.

    Attributes:
        wholes: (teachers, n, d) unit rows.
        regions: (n, d, side, side) of the larger teacher, or None.
        boxes: (n, 4) left, top, right, bottom of the view, in 0..1.
        mirrored: (n,) bool.
        labels: field -> (n,) numbers, -1 where unknown.
    """

    wholes: Tensor
    regions: Tensor | None
    boxes: Tensor
    mirrored: Tensor
    labels: dict[str, Tensor]


class Lessons(nn.Module):
    """Heads on the network, and the loss that they give."""

    def __init__(self, teachers: int, dimension: int, classes: dict[str, int]) -> None:
        super().__init__()
        self.wholes = nn.ModuleList(nn.Linear(EMBEDDING, dimension) for _ in range(teachers))
        self.regions = nn.Conv2d(STAGES[-1][0], dimension, 1)
        self.classes = nn.ParameterDict(
            {
                field: nn.Parameter(torch.randn(count, EMBEDDING) * 0.05)
                for field, count in classes.items()
                if count > 1
            }
        )

    def forward(self, embedding: Tensor, features: Tensor, batch: Batch) -> Tensor:
        """Return the loss of a batch: embeddings (n, EMBEDDING) and the last feature map."""
        embedding, features = embedding.float(), features.float()
        loss = torch.zeros((), device=embedding.device)
        for head, target in zip(self.wholes, batch.wholes, strict=True):
            answer = functional.normalize(head(embedding), dim=1)
            loss = loss + WHOLE * (1 - (answer * target).sum(1)).mean()
        if batch.regions is not None:
            seen = _through(batch.boxes, batch.mirrored, batch.regions, features)
            answer = functional.normalize(self.regions(features), dim=1)
            loss = loss + REGION * (1 - (answer * seen).sum(1)).mean()
        unit = functional.normalize(embedding, dim=1)
        wanted = torch.stack([target @ target.T for target in batch.wholes]).mean(0)
        loss = loss + RELATION * (unit @ unit.T - wanted).square().mean()
        for field, centres in self.classes.items():
            known = batch.labels[field] >= 0
            if known.any():
                scores = unit[known] @ functional.normalize(centres, dim=1).T
                loss = loss + LABELS[field] * functional.cross_entropy(
                    _SHARPNESS * scores,
                    batch.labels[field][known],
                    label_smoothing=_SMOOTHING,
                )
        return loss


def _through(boxes: Tensor, mirrored: Tensor, regions: Tensor, features: Tensor) -> Tensor:
    """Return what the teacher saw at each place of the last feature map, as unit vectors."""
    grid = _grid(boxes, mirrored, features.shape[2], features.shape[3])
    seen = functional.grid_sample(
        regions, grid, mode="bilinear", padding_mode="border", align_corners=False
    )
    return functional.normalize(seen, dim=1)


def _grid(boxes: Tensor, mirrored: Tensor, rows: int, columns: int) -> Tensor:
    """Centres of the view's cells in the coordinates of the whole painting, -1..1: (n, r, c, 2)."""
    x = (torch.arange(columns, device=boxes.device) + 0.5) / columns
    y = (torch.arange(rows, device=boxes.device) + 0.5) / rows
    left, top, right, bottom = boxes.unbind(1)
    along = torch.where(mirrored[:, None], 1 - x, x)
    across = left[:, None] + (right - left)[:, None] * along
    down = top[:, None] + (bottom - top)[:, None] * y
    grid = torch.stack(
        [
            across[:, None, :].expand(-1, rows, -1),
            down[:, :, None].expand(-1, -1, columns),
        ],
        dim=3,
    )
    return 2 * grid - 1
