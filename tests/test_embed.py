"""Engines: the fastest that agrees with float32 is kept; the registry says what is true."""

import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from numpy.typing import NDArray

from paint_search.errors import BackboneError
from paint_search.indexer.backbones import (
    LEAST_COSINE,
    REGISTRY,
    Backbone,
    Network,
    OnnxEmbedder,
    TorchEmbedder,
    build_network,
    export_onnx,
    fastest_engine,
    find_backbone,
    torch_engines,
)
from paint_search.indexer.images import Preprocessing

SIZE = 64
SIDE = (3, 64, 64)


@pytest.fixture(scope="module")
def network() -> Network:
    torch.manual_seed(0)
    model = timm.create_model("test_resnet", num_classes=0)
    preprocessing = Preprocessing(SIZE, "squash", mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
    return Network(model, preprocessing, "head").eval()


@pytest.fixture(scope="module")
def pixels() -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (6, SIZE, SIZE, 3), dtype=np.uint8)


class Wrong:
    """Answers at once, with vectors that point elsewhere."""

    lanes = 1

    def __init__(self, network: Network, noise: float) -> None:
        self._plain = TorchEmbedder(network, "cpu", "float32", plain=True)
        self._noise = noise
        self._cache: dict[int, NDArray[np.float32]] = {}

    def embed(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        if len(pixels) not in self._cache:
            vectors = self._plain.embed(pixels)
            vectors[-1] += self._noise * np.eye(vectors.shape[1], dtype=np.float32)[0]
            self._cache[len(pixels)] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        return self._cache[len(pixels)]


class Slow:
    """Right, and late."""

    lanes = 1

    def __init__(self, network: Network) -> None:
        self._plain = TorchEmbedder(network, "cpu", "float32", plain=True)

    def embed(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        time.sleep(0.3)
        return self._plain.embed(pixels)


class Broken:
    """Cannot be made here."""

    def __init__(self) -> None:
        raise RuntimeError("no such device")


def test_one_wrong_image_rules_an_engine_out_however_fast(
    network: Network, pixels: NDArray[np.uint8]
) -> None:
    makers = {
        "wrong": partial(Wrong, network, 1.0),
        "broken": Broken,
        "slow": partial(Slow, network),
    }
    said: list[str] = []
    engine, choice = fastest_engine(network, makers, pixels, "here", said.append)
    assert isinstance(engine, Slow)
    assert said == ["the engine broken cannot run here (no such device)"]
    assert (choice.engine, choice.machine) == ("slow", "here")
    assert choice.cosine >= LEAST_COSINE


def test_of_two_sound_engines_the_faster_is_kept(
    network: Network, pixels: NDArray[np.uint8]
) -> None:
    makers = {"slow": partial(Slow, network), "close": partial(Wrong, network, 1e-4)}
    _, choice = fastest_engine(network, makers, pixels, "here", pytest.fail)
    assert choice.engine == "close"


def test_no_sound_engine_is_an_error(network: Network, pixels: NDArray[np.uint8]) -> None:
    wrong = {"wrong": partial(Wrong, network, 1.0)}
    with pytest.raises(BackboneError, match="no engine"):
        fastest_engine(network, wrong, pixels, "here", pytest.fail)


def test_every_engine_of_a_cpu_runs_here(network: Network, pixels: NDArray[np.uint8]) -> None:
    plain = TorchEmbedder(network, "cpu", "float32", plain=True).embed(pixels)
    made = torch_engines(network, "cpu")
    assert list(made) == ["torch cpu bfloat16", "torch cpu float32"]
    for make in made.values():
        cosines = (make().embed(pixels) * plain).sum(axis=1)
        assert cosines.min() >= LEAST_COSINE


@pytest.mark.parametrize("lanes", [1, 2])
def test_the_export_agrees_for_any_number_of_images(
    network: Network, pixels: NDArray[np.uint8], tmp_path: Path, lanes: int
) -> None:
    export_onnx(network, SIZE, tmp_path / "backbone.onnx")
    exported = OnnxEmbedder(tmp_path / "backbone.onnx", lanes)
    plain = TorchEmbedder(network, "cpu", "float32", plain=True)
    for count in (1, 2, 5):
        vectors = exported.embed(pixels[:count])
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
        np.testing.assert_allclose(vectors, plain.embed(pixels[:count]), atol=1e-4)


def test_a_damaged_export_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "backbone.onnx").write_bytes(b"not a network")
    with pytest.raises(BackboneError, match=r"backbone\.onnx cannot be loaded"):
        OnnxEmbedder(tmp_path / "backbone.onnx")


@pytest.mark.parametrize("name", ["resnet50", "vgg16", "vgg16-pools"])
def test_the_registry_knows_the_dimension(name: str) -> None:
    backbone = REGISTRY[name]
    with torch.device("meta"):
        model = timm.create_model(str(backbone.architecture), num_classes=0)
        network = Network(model, Preprocessing(224, "squash"), backbone.pooling)
        pixels = torch.zeros((2, 224, 224, 3), dtype=torch.uint8)
    assert network(pixels).shape == (2, backbone.dimension)


def test_the_pools_are_the_last_two_whole_and_need_no_dense_layers(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    backbone = Backbone(
        "small", "vgg11", pooling="pools", options={"mlp_ratio": 0.001}, config={"input_size": SIDE}
    )
    torch.manual_seed(0)
    state = timm.create_model("vgg11", num_classes=0, mlp_ratio=0.001).state_dict()
    state = {name: value for name, value in state.items() if name.startswith("features.")}
    save_file(state | {"pre_logits.fc1.weight": torch.zeros(3)}, tmp_path / "vgg.safetensors")
    network, record = build_network(backbone, tmp_path / "vgg.safetensors")
    assert record.dimension == 512 * (4 * 4 + 2 * 2)
    pixels = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), dtype=np.uint8)
    seen = []
    for layer in network.model.features:
        if isinstance(layer, torch.nn.MaxPool2d):
            layer.register_forward_hook(lambda *called: seen.append(called[2].numpy()))
    vectors = TorchEmbedder(network, "cpu", "float32", plain=True).embed(pixels)
    fourth, fifth = vectors[:, : 512 * 16].reshape(3, 512, 4, 4), vectors[:, 512 * 16 :]
    lengths = np.sqrt((seen[3] ** 2).sum((1, 2, 3)) + (seen[4] ** 2).sum((1, 2, 3)))
    np.testing.assert_allclose(fourth, seen[3] / lengths[:, None, None, None], atol=1e-6)
    np.testing.assert_allclose(fifth, seen[4].reshape(3, -1) / lengths[:, None], atol=1e-6)
    for layer in network.model.features:
        layer._forward_hooks.clear()
    export_onnx(network, 64, tmp_path / "backbone.onnx")
    exported = OnnxEmbedder(tmp_path / "backbone.onnx").embed(pixels[:1])
    np.testing.assert_allclose(exported, vectors[:1], atol=1e-5)


def test_preprocessing_comes_from_timm_unless_the_name_overrides_it(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    weights = tmp_path / "weights.safetensors"
    save_file(timm.create_model("test_resnet").state_dict(), weights)
    config = timm.get_pretrained_cfg("test_resnet")
    _, record = build_network(find_backbone("timm:test_resnet"), weights)
    assert record.preprocessing.mean == config.mean
    assert record.preprocessing.size == config.input_size[-1]
    assert record.preprocessing.crop_pct == config.crop_pct
    name = "timm:test_resnet?mean=0.25&input_size=96&interpolation=bilinear"
    _, record = build_network(find_backbone(name), weights, "pad")
    assert record.preprocessing.mean == (0.25, 0.25, 0.25)
    assert record.preprocessing.std == config.std
    assert (record.preprocessing.size, record.preprocessing.fit) == (96, "pad")
    assert record.preprocessing.interpolation == "bilinear"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("resnet", "unknown backbone"),
        ("timm:", "unknown backbone"),
        ("timm:resnet18?pad", "settings"),
        ("timm:resnet18?checkpoint_path=x.pth", "give them with weights"),
        ("timm:no_such_model", "timm has no model"),
        ("timm:resnet18.no_such_tag", "timm has no weights"),
    ],
)
def test_names_that_mean_nothing(name: str, words: str) -> None:
    with pytest.raises(BackboneError, match=words):
        build_network(find_backbone(name), Path("none"))
