"""The registry of backbones, as data: name -> architecture, dimension, source of the weights.

``timm:NAME?key=value&...`` names any timm model; keys that belong to timm's weight configuration
(mean, std, interpolation, input_size, crop_pct) override it, all others go to the architecture.
Never imports torch or timm.
"""

import ast
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal
from urllib.parse import parse_qsl

import numpy as np
from numpy.typing import NDArray

from paint_search.errors import BackboneError, argument
from paint_search.indexer.backbones.builtin import descriptors
from paint_search.indexer.backbones.ink import ink
from paint_search.indexer.backbones.ink.measures import MEASURES
from paint_search.indexer.images.preprocessing import Fit, Preprocessing

AUTO: Final = "auto"
BUILT_IN: Final = "builtin"
DESCRIPTORS: Final = "descriptors"
INK: Final = "ink"

#: Keys of a timm weight configuration that a backbone's name may override.
CONFIG_KEYS: Final = frozenset({"mean", "std", "interpolation", "input_size", "crop_pct"})

#: Arguments of timm's factory that open files or the network: never taken from a name, since a
#: name may come with an index that somebody else made.
_FILE_KEYS: Final = frozenset(
    {"cache_dir", "checkpoint_path", "pretrained", "pretrained_cfg", "pretrained_cfg_overlay"}
)

_MOST_DIMENSIONS: Final = 2**22  # of vectors; the longest known are of 125,440

Pooling = Literal["head", "features", "pools"]


@dataclass(frozen=True)
class Backbone:
    """What is known of a backbone before its weights are opened.

    Attributes:
        name: what the user types.
        architecture: timm's name with the tag of the weights; None for an `OwnBackbone`.
        dimension: length of the embedding; None where only timm knows it.
        hub: repository of the published weights; None where only timm knows it or there are none.
        pooling: ``head`` takes timm's pooled features; ``features`` averages the last feature map,
            for architectures whose pooled features pass through dense layers first; ``pools``
            takes the outputs of the last two max-pooling layers whole, the earlier first, each
            flattened channel by channel.
        options: arguments of the architecture.
        config: overrides of the weights' configuration.
        fit: how a painting is made to fit the square input when the user does not say.
        features: names of what can be read back from the vectors, see ``ink.read``; of most
            backbones nothing can.
        summary: one line for the table of backbones.
    """

    name: str
    architecture: str | None = None
    dimension: int | None = None
    hub: str | None = None
    pooling: Pooling = "head"
    options: Mapping[str, Any] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    fit: Fit = "squash"
    features: tuple[str, ...] = ()
    summary: str = ""


@dataclass(frozen=True, kw_only=True)
class OwnBackbone(Backbone):
    """A backbone that comes with the package.

    Attributes:
        version: of its formula; vectors of two versions cannot be compared.
        input_size: of its pixels, (n, input_size, input_size, 3).
        margin: colour around a painting that is made to fit by ``pad``.
        describe: makes unit vectors of pixels; None where a network does, which is shown the
            vectors of the formula.
        blocks: tells which numbers of the vectors come from which property, where any do.
    """

    version: str
    input_size: int
    margin: tuple[float, float, float] = (0.0, 0.0, 0.0)
    describe: Callable[[NDArray[np.uint8]], NDArray[np.float32]] | None = None
    blocks: Callable[[], Mapping[str, slice]] | None = None


# The weights of the original recipes: the published studies used them, and their features are less
# tuned to ImageNet's labels than those of later recipes with heavy augmentation.
REGISTRY: Final[Mapping[str, Backbone]] = {
    backbone.name: backbone
    for backbone in (
        Backbone(
            name="resnet50",
            architecture="resnet50.tv_in1k",
            dimension=2048,
            hub="timm/resnet50.tv_in1k",
            summary="ResNet-50, average-pooled last layer (the default where its weights are)",
        ),
        Backbone(
            name="vgg16",
            architecture="vgg16.tv_in1k",
            dimension=512,
            hub="timm/vgg16.tv_in1k",
            pooling="features",
            summary="VGG16, average-pooled fifth convolutional block",
        ),
        Backbone(
            name="vgg16-pools",
            architecture="vgg16.tv_in1k",
            dimension=125_440,
            hub="timm/vgg16.tv_in1k",
            pooling="pools",
            summary="VGG16, fourth and fifth pooling layer whole; too long to search uncompressed",
        ),
        OwnBackbone(
            name=BUILT_IN,
            dimension=384,
            version=descriptors.VERSION,
            input_size=descriptors.INPUT_SIZE,
            summary="a small network of our own, trained on paintings; needs no download",
        ),
        OwnBackbone(
            name=DESCRIPTORS,
            dimension=descriptors.DIMENSION,
            version=descriptors.VERSION,
            input_size=descriptors.INPUT_SIZE,
            describe=descriptors.describe,
            blocks=descriptors.block_columns,
            summary="nothing learned: colour, layout, gradient and texture",
        ),
        OwnBackbone(
            name=INK,
            dimension=ink.DIMENSION,
            version=ink.VERSION,
            input_size=ink.INPUT_SIZE,
            margin=ink.MARGIN,
            describe=ink.describe,
            blocks=ink.measure_columns,
            fit="pad",
            features=tuple(MEASURES),
            summary=f"for ink on paper: blackness, eye-fill and {len(MEASURES) - 2} more measures",
        ),
    )
}


def find_backbone(name: str) -> Backbone:
    """Return the backbone that ``name`` means.

    Raises:
        BackboneError: the name is neither registered nor of the form ``timm:NAME?key=value``.
    """
    if name in REGISTRY:
        return REGISTRY[name]
    if not name.startswith("timm:") or len(name) == len("timm:"):
        raise BackboneError(
            f"unknown backbone {name!r}: use {AUTO}, {', '.join(REGISTRY)}, or timm:NAME for any "
            "timm model, such as timm:vit_small_patch14_dinov2"
        )
    architecture, _, query = name.removeprefix("timm:").partition("?")
    try:
        settings = {
            key: _literal(value)
            for key, value in parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query))
        }
    except ValueError as error:
        raise BackboneError(
            f"cannot read the settings of {name!r}: write them as ?key=value&key=value"
        ) from error
    if _FILE_KEYS & settings.keys():
        raise BackboneError(
            f"{name!r} names weights in its settings; give them with {argument('weights')}"
        )
    return Backbone(
        name=name,
        architecture=architecture,
        options={key: value for key, value in settings.items() if key not in CONFIG_KEYS},
        config={key: _triple(key, settings[key]) for key in CONFIG_KEYS & settings.keys()},
        summary="any timm model",
    )


def _literal(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def _triple(key: str, value: Any) -> Any:
    """Let ``mean=0.5`` stand for all three channels, and ``input_size=384`` for a square."""
    if key in ("mean", "std") and isinstance(value, int | float):
        return (value, value, value)
    if key == "input_size" and isinstance(value, int):
        return (3, value, value)
    return value


@dataclass(frozen=True, slots=True)
class BackboneRecord:
    """What an index says about the backbone that made its vectors.

    ``weights`` is the name of the weights file, without its folder; ``fingerprint`` the SHA-256
    of its bytes. Both are those of the algorithm for the descriptors and for ink.
    """

    name: str
    dimension: int
    weights: str
    fingerprint: str
    preprocessing: Preprocessing

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> "BackboneRecord":
        """Read the record back from a manifest.

        Raises:
            KeyError, TypeError, ValueError: the record is not of that form.
        """
        dimension = int(record["dimension"])
        if not 1 <= dimension <= _MOST_DIMENSIONS:
            raise ValueError(f"vectors of {dimension} dimensions")
        return cls(
            name=str(record["name"]),
            dimension=dimension,
            weights=str(record["weights"]),
            fingerprint=str(record["fingerprint"]),
            preprocessing=Preprocessing.from_dict(record["preprocessing"]),
        )
