"""A small convolutional network of ours, known to timm as ``twin_small``.

For pictures of a few dozen pixels, and to try things in minutes on one thread. Importing this
module is what makes timm know it.
"""

from typing import Any, Final

import torch
from timm.models import generate_default_cfgs, register_model
from torch import nn

default_cfgs: Final = generate_default_cfgs(
    {"twin_small": {"input_size": (3, 64, 64), "mean": (0.5,) * 3, "std": (0.5,) * 3}}
)


class SmallNetwork(nn.Module):
    """Six 3 x 3 convolutions in three stages, averaged to ``4 * width`` features."""

    def __init__(self, width: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 3
        for stage, wider in enumerate((width, 2 * width, 4 * width)):
            for _ in range(2):
                layers += [
                    nn.Conv2d(channels, wider, 3, padding=1, bias=False),
                    nn.BatchNorm2d(wider),
                    nn.ReLU(),
                ]
                channels = wider
            if stage < 2:
                layers.append(nn.MaxPool2d(2))
        self.layers = nn.Sequential(*layers)
        self.features = nn.Linear(channels, channels)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """(n, 3, size, size) -> (n, 4 * width)."""
        made: torch.Tensor = self.features(self.layers(images).mean(dim=(2, 3)))
        return made


@register_model
def twin_small(pretrained: bool = False, width: int = 32, **options: Any) -> nn.Module:
    """Return the network as timm asks for it; it has no published weights."""
    return SmallNetwork(width)
