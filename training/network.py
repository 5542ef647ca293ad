"""The built-in network: a small residual network whose every stage has a say in the embedding.

Plain 3 x 3 convolutions, the quickest per weight on CPUs. From each stage the mean and the spread
of every channel over the canvas are taken, from the first also covariances, as in the transfer of
style by feature statistics: touch and palette, which early layers see, reach the embedding beside
what late layers recognise.
"""

from typing import Final

import torch
from torch import Tensor, nn

#: Side of the square input that the shipped network is exported for.
INPUT_SIZE: Final = 160

EMBEDDING: Final = 384
STAGES: Final = ((48, 1), (96, 2), (160, 2), (240, 2))  # channels, blocks

#: Channels of the first stage whose covariances over the canvas are part of the embedding.
PAIRED: Final = 24

_UPPER: Final = [PAIRED * row + column for row in range(PAIRED) for column in range(row, PAIRED)]


class Block(nn.Module):
    """Two convolutions and a shortcut (He et al., "Deep residual learning", 2015)."""

    def __init__(self, channels_in: int, channels: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels_in, channels, 3, stride, 1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, channels, 3, 1, 1, bias=False),
            nn.BatchNorm2d(channels),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1 or channels_in != channels:
            self.shortcut = nn.Sequential(
                nn.Conv2d(channels_in, channels, 1, stride, bias=False), nn.BatchNorm2d(channels)
            )

    def forward(self, features: Tensor) -> Tensor:
        """Return the features (n, channels, h / stride, w / stride)."""
        return torch.relu(self.body(features) + self.shortcut(features))


class PaintingNet(nn.Module):
    """(n, size, size, 3) uint8 sRGB -> (n, EMBEDDING) float32, and the last feature map.

    ``size`` is a multiple of 16 from 64 up; the network is trained at several.
    """

    def __init__(self) -> None:
        super().__init__()
        first = STAGES[0][0]
        self.stem = nn.Sequential(
            nn.Conv2d(3, first, 7, 4, 3, bias=False), nn.BatchNorm2d(first), nn.ReLU(inplace=True)
        )
        stages, channels = [], first
        for number, (width, blocks) in enumerate(STAGES):
            layers = []
            for block in range(blocks):
                layers.append(Block(channels, width, 2 if number and not block else 1))
                channels = width
            stages.append(nn.Sequential(*layers))
        self.stages = nn.ModuleList(stages)
        self.pair = nn.Conv2d(first, PAIRED, 1)
        statistics = 2 * (first + sum(width for width, _ in STAGES)) + PAIRED * (PAIRED + 1) // 2
        self.normalise = nn.BatchNorm1d(statistics)
        self.project = nn.Linear(statistics, EMBEDDING)

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Return the embeddings, not normalised, and the map (n, 240, size / 32, size / 32)."""
        statistics, features = self.statistics(pixels)
        return self.project(self.normalise(statistics)), features

    def statistics(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Return the statistics of all stages, (n, s), and the last feature map."""
        images = pixels.permute(0, 3, 1, 2).float() / 64.0 - 2.0
        features = self.stem(images)
        statistics = [_statistics(features)]
        for number, stage in enumerate(self.stages):
            features = stage(features)
            statistics.append(_statistics(features))
            if number == 0:
                statistics.append(_covariances(self.pair(features)))
        return torch.cat(statistics, dim=1), features


def _statistics(features: Tensor) -> Tensor:
    """Mean and standard deviation of each channel over the canvas: (n, 2 c) float32."""
    values = features.float()
    places = values.shape[2] * values.shape[3]
    mean = values.sum(dim=(2, 3)) / places  # dividing sums, not maps, halves the way back
    square = values.square().sum(dim=(2, 3)) / places
    spread = (square - mean.square()).clamp_min(0)
    return torch.cat([mean, (spread + 1e-4).sqrt()], dim=1)


def _covariances(features: Tensor) -> Tensor:
    """Upper triangle of the covariance of the channels, square roots with sign: (n, c (c + 1) / 2).

    Second-order pooling (Lin, RoyChowdhury and Maji, "Bilinear CNN models", 2015).
    """
    with torch.autocast(features.device.type, enabled=False):
        flat = features.float().flatten(2)
        flat = flat - flat.mean(dim=2, keepdim=True)
        covariance = flat @ flat.transpose(1, 2) / flat.shape[2]
        upper = torch.tensor(_UPPER, device=covariance.device)
        values = covariance.flatten(1)[:, upper]
        return values.sign() * (values.abs() + 1e-4).sqrt()
