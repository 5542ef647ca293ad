"""A timm model with its preprocessing inside: uint8 pixels in, unit-norm embeddings out.

The normalisation of the pixels is part of the network, and so of its export: what runs at query
time cannot drift from what ran at index time. Imports torch and timm, so import it late.
"""

import contextlib
import io
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, cast

import timm
import torch
from timm.models import PretrainedCfg, generate_default_cfgs, register_model
from torch import nn

from paint_search.errors import BackboneError, argument
from paint_search.indexer.backbones.engines import load_converter, load_openvino
from paint_search.indexer.backbones.registry import Backbone, BackboneRecord, Pooling
from paint_search.indexer.backbones.weights import fingerprint, load_weights
from paint_search.indexer.images.preprocessing import Fit, Preprocessing

#: Where timm looks for the configurations of the models that this module registers.
default_cfgs: Final = generate_default_cfgs(
    {"twin_small": {"input_size": (3, 64, 64), "mean": (0.5,) * 3, "std": (0.5,) * 3}}
)


class Network(nn.Module):
    """(n, size, size, 3) uint8 sRGB -> (n, dimension) float32 with unit rows."""

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, model: nn.Module, preprocessing: Preprocessing, pooling: Pooling) -> None:
        super().__init__()
        self.model = model
        self.preprocessing = preprocessing
        self.pooling = pooling
        for name, values in (("mean", preprocessing.mean), ("std", preprocessing.std)):
            scaled = torch.tensor(values).view(1, 3, 1, 1) * 255.0
            self.register_buffer(name, scaled, persistent=False)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return the embeddings."""
        images = (pixels.permute(0, 3, 1, 2).float() - self.mean) / self.std
        if self.pooling == "features":
            features = self.model.forward_features(images).mean(dim=(2, 3))  # type: ignore[operator]
        elif self.pooling == "pools":
            features = self._pools(images)
        else:
            features = self.model(images)
        return nn.functional.normalize(features.float(), dim=1)

    def _pools(self, images: torch.Tensor) -> torch.Tensor:
        """Return the outputs of the last two max-pooling layers, flattened, side by side."""
        pooled = []
        for layer in cast(nn.Sequential, self.model.features):
            images = layer(images)
            if isinstance(layer, nn.MaxPool2d):
                pooled.append(images.flatten(1))
        return torch.cat(pooled[-2:], dim=1)


def hub_of(backbone: Backbone) -> str:
    """Return the hub repository of the weights that timm knows for this backbone.

    Raises:
        BackboneError: timm has no such model, or no published weights for it.
    """
    hub = _configuration(backbone).hf_hub_id
    if not hub:
        raise BackboneError(
            f"no published weights for {backbone.name}; give them with {argument('weights')}"
        )
    return str(hub)


def build_network(
    backbone: Backbone, weights: Path, fit: Fit | None = None
) -> tuple[Network, BackboneRecord]:
    """Make the network with these weights, and the record that describes it in a manifest.

    Raises:
        BackboneError: timm has no such model, or the weights are not of it.
    """
    network = make_network(backbone, fit).eval()
    load_weights(network.model, weights)
    preprocessing = network.preprocessing
    sample = torch.zeros((1, preprocessing.size, preprocessing.size, 3), dtype=torch.uint8)
    with torch.inference_mode():
        dimension = network(sample).shape[1]
    record = BackboneRecord(
        name=backbone.name,
        dimension=dimension,
        weights=weights.name,
        fingerprint=fingerprint(weights),
        preprocessing=preprocessing,
    )
    return network, record


def make_network(backbone: Backbone, fit: Fit | None = None) -> Network:
    """Make the network with random weights, to be given others or to be trained.

    Raises:
        BackboneError: timm has no such model.
    """
    configuration = _configuration(backbone)
    try:
        model = timm.create_model(str(backbone.architecture), num_classes=0, **backbone.options)
    except (RuntimeError, TypeError, ValueError) as error:
        raise BackboneError(f"timm cannot make {backbone.name!r}: {error}") from error
    if backbone.pooling == "pools":
        model.pre_logits = nn.Identity()  # 480 MB of dense layers that would never run
    preprocessing = Preprocessing(
        size=int(configuration.input_size[-1]),
        fit=fit or backbone.fit,
        interpolation=configuration.interpolation,
        mean=configuration.mean,
        std=configuration.std,
        crop_pct=float(configuration.crop_pct),
    )
    return Network(model, preprocessing, backbone.pooling)


def export_openvino(network: Network, file: Path) -> None:
    """Write the network for OpenVINO, for any number of images, as ``file`` and its weights.

    Args:
        network: with its weights, in float32.
        file: ends in ``.xml``; the weights go beside it, in one that ends in ``.bin``.

    Raises:
        BackboneError: the architecture has operations that OpenVINO lacks.
    """
    openvino = load_openvino()
    size = network.preprocessing.size
    sample = torch.zeros((2, size, size, 3), dtype=torch.uint8)
    shape = ([-1, size, size, 3], openvino.Type.u8)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        try:
            made = load_converter().convert_model(network, example_input=(sample,), input=[shape])
        except Exception as error:  # the converter has no common error type
            reason = str(error).strip().splitlines()[-1]
            raise BackboneError(f"OpenVINO cannot run this backbone: {reason}") from error
    openvino.save_model(made, file, compress_to_fp16=False)


def _configuration(backbone: Backbone) -> Any:
    """Return timm's configuration for the weights, with the overrides of the backbone's name."""
    architecture = str(backbone.architecture)
    name, _, _ = architecture.partition(".")
    if not timm.is_model(name):
        near = timm.list_models(f"*{name}*")[:5]
        hint = f"; did you mean {', '.join(near)}" if near else ""
        raise BackboneError(f"timm has no model {name!r}{hint}")
    try:
        configuration = timm.get_pretrained_cfg(architecture) or PretrainedCfg()
    except RuntimeError as error:
        tags = ", ".join(timm.list_pretrained(f"{name}.*"))
        raise BackboneError(f"timm has no weights {architecture!r}; it has {tags}") from error
    return replace(configuration, **backbone.config)


class SmallNetwork(nn.Module):
    """Six 3 x 3 convolutions in three stages, averaged to ``4 * width`` features.

    For pictures of a few dozen pixels, and to try things in minutes on one thread.
    """

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
    """Return a `SmallNetwork` as timm asks for it; it has no published weights."""
    return SmallNetwork(width)
