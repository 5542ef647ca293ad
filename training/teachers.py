"""What the network learns to reproduce of a painting: two teachers, each seen once and cached.

The descriptors (colour, layout, touch) see the painting as a whole. A larger network, if one is
given, is asked what it sees in each region of a 7 x 7 or similar grid; only its answers are
learned from, its weights are never read by the student.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from corpus import Corpus, cache, cached, pixels_of
from discriminant import Discriminant, fit_discriminant
from numpy.typing import NDArray

from paint_search.indexer.backbones.builtin import descriptors
from paint_search.indexer.backbones.engines import OpenVinoEmbedder
from paint_search.indexer.backbones.registry import find_backbone
from paint_search.indexer.backbones.timm_network import Network, build_network, export_openvino

Floats = NDArray[np.float32]

#: Length of what is to be reproduced of each teacher.
DIMENSION: Final = 256


class Regions(Network):
    """The last feature map of a backbone: uint8 pixels -> (n, rows * columns, channels)."""

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return the features of the regions, row by row."""
        images = (pixels.permute(0, 3, 1, 2).float() - self.mean) / self.std
        features: torch.Tensor = self.model.forward_features(images)  # type: ignore[operator]
        return features.flatten(2).transpose(1, 2)


def describe_corpus(corpus: Corpus, out: Path) -> Floats:
    """Return the cached descriptors of every painting, (n, descriptors.DIMENSION)."""

    def fill(start: int, stop: int) -> Floats:
        return descriptors.describe(pixels_of(corpus.files[start:stop], descriptors.INPUT_SIZE))

    file = out / f"descriptors-{corpus.fingerprint}.npy"
    return cache(file, len(corpus), fill, "descriptors")


def ask_teacher(corpus: Corpus, backbone: str, weights: Path, out: Path) -> NDArray[np.float16]:
    """Return the cached feature map of every painting, (n, regions, channels)."""
    file = out / f"teacher-{corpus.fingerprint}.npy"
    if file.exists():
        return cached(file)
    network, record = build_network(find_backbone(backbone), weights, "squash")
    regions = Regions(network.model, record.preprocessing, network.pooling).eval()
    export_openvino(regions, out / "teacher.xml")
    engine = OpenVinoEmbedder(out / "teacher.xml")

    def fill(start: int, stop: int) -> NDArray[np.float16]:
        pixels = pixels_of(corpus.files[start:stop], record.preprocessing.size)
        return engine.embed(pixels).astype(np.float16)

    return cache(file, len(corpus), fill, "teacher")


@dataclass(frozen=True)
class Targets:
    """What is to be reproduced, for every painting of the corpus.

    Attributes:
        wholes: (teachers, n, DIMENSION) unit rows, one layer a teacher.
        regions: (n, side, side, DIMENSION) float16, of the larger teacher; None without one.
    """

    wholes: Floats
    regions: NDArray[np.float16] | None


def make_targets(
    described: Floats, maps: NDArray[np.float16] | None, artists: NDArray[np.int64]
) -> Targets:
    """Map both teachers to where artists lie apart, fitted on the paintings labelled here only.

    Args:
        described: (n, d) descriptors.
        maps: (n, regions, channels) of the larger teacher, if there is one.
        artists: (n,) numbers, -1 for paintings that must not be learned from.
    """
    wholes = [fit_discriminant(described, artists, DIMENSION)(described)]
    regions = None
    if maps is not None:
        pooled = np.stack([row.astype(np.float32).mean(axis=0) for row in maps])
        length = np.linalg.norm(pooled, axis=1, keepdims=True)
        fitted = fit_discriminant(pooled / length, artists, DIMENSION)
        wholes.append(fitted(pooled / length))
        regions = _regions(maps, length, fitted)
    return Targets(np.stack(wholes), regions)


def _regions(
    maps: NDArray[np.float16], length: Floats, fitted: Discriminant
) -> NDArray[np.float16]:
    side = round(maps.shape[1] ** 0.5)
    dimension = fitted.axes.shape[1]
    regions = np.empty((len(maps), side, side, dimension), dtype=np.float16)
    for start in range(0, len(maps), 256):
        block = maps[start : start + 256].astype(np.float32)
        block /= length[start : start + 256, :, None]
        mapped = (block - fitted.mean) @ fitted.axes
        regions[start : start + 256] = mapped.reshape(len(block), side, side, dimension)
    return regions
