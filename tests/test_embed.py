"""Engines agree with float32, or float32 itself runs; the registry says what is true."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
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
    OpenVinoEmbedder,
    TorchEmbedder,
    build_network,
    exact_enough,
    export_openvino,
    find_backbone,
    make_network,
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


class Off:
    """The network, one of its vectors turned away a little."""

    lanes, batch = 1, 16

    def __init__(self, network: Network, noise: float) -> None:
        self._exact = TorchEmbedder(network, ["cpu"])
        self._noise = noise

    def embed(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        vectors = self._exact.embed(pixels)
        vectors[-1] += self._noise * np.eye(vectors.shape[1], dtype=np.float32)[0]
        rows: NDArray[np.float32] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        return rows


@pytest.mark.parametrize(("noise", "kept"), [(1e-4, "bf16"), (1.0, "f32")])
def test_one_wrong_image_of_the_first_batch_rules_a_precision_out(
    network: Network, pixels: NDArray[np.uint8], noise: float, kept: str
) -> None:
    engines = {"bf16": Off(network, noise), "f32": TorchEmbedder(network, ["cpu"])}
    engine, choice = exact_enough("an engine", "bf16", lambda precision: engines[precision], pixels)
    assert engine is engines[kept]
    assert (choice.engine, choice.precision) == ("an engine", kept)
    if kept == "bf16":
        assert choice.cosine is not None
        assert LEAST_COSINE <= choice.cosine <= 1
    else:
        assert choice.cosine is None


@pytest.mark.parametrize("many", [False, True])
def test_the_converted_network_agrees_for_any_number_of_images_and_callers(
    network: Network, pixels: NDArray[np.uint8], tmp_path: Path, many: bool
) -> None:
    export_openvino(network, tmp_path / "backbone.xml")
    engine = OpenVinoEmbedder(tmp_path / "backbone.xml", many=many)
    exact = TorchEmbedder(network, ["cpu"]).embed(pixels)
    for count in (1, 2, 5):
        vectors = engine.embed(pixels[:count])
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
        np.testing.assert_allclose(vectors, exact[:count], atol=1e-4)
    with ThreadPoolExecutor(4) as pool:  # more callers than the engine has lanes
        rows = list(pool.map(lambda row: engine.embed(pixels[row : row + 1])[0], [*range(6)] * 5))
    np.testing.assert_allclose(rows, np.tile(exact, (5, 1)), atol=1e-4)


@pytest.mark.parametrize(
    "architecture",
    [
        "test_byobnet",
        "test_convnext",
        "test_efficientnet_gn",
        "test_mambaout",
        "test_nfnet",
        "test_resnet",
        "test_vit4",
        "mobilenetv3_small_050",
        "regnetx_002",
        "swin_tiny_patch4_window7_224",
    ],
)
def test_networks_of_every_family_convert_and_agree(architecture: str, tmp_path: Path) -> None:
    settings = "" if "swin" not in architecture else "embed_dim=16&depths=(1,1,1,1)"
    if architecture.startswith(("mobilenet", "regnet")):
        settings = "input_size=64"
    torch.manual_seed(0)
    network = make_network(find_backbone(f"timm:{architecture}?{settings}".rstrip("?"))).eval()
    export_openvino(network, tmp_path / "backbone.xml")
    side = network.preprocessing.size
    pictures = np.random.default_rng(0).integers(0, 256, (2, side, side, 3), dtype=np.uint8)
    pictures[1] //= 3
    made = OpenVinoEmbedder(tmp_path / "backbone.xml").embed(pictures)
    exact = TorchEmbedder(network, ["cpu"]).embed(pictures)
    assert (made * exact).sum(axis=1).min() > 1 - 1e-5


def test_lanes_of_torch_serve_many_callers_and_share_what_memory_there_is(
    pixels: NDArray[np.uint8],
) -> None:
    """The logic of GPUs, with the CPU as device: a batch that is too large is halved."""
    torch.manual_seed(0)
    network = make_network(find_backbone("timm:test_resnet?input_size=64")).eval()
    exact = TorchEmbedder(network, ["cpu"]).embed(pixels)
    most, seen = 2, []

    def allocate(_: torch.nn.Module, given: tuple[torch.Tensor, ...]) -> None:
        if len(given[0]) > most:
            raise torch.OutOfMemoryError("no memory")
        seen.append(len(given[0]))

    network.register_forward_pre_hook(allocate)
    engine = TorchEmbedder(network, ["cpu", "cpu"], batch=16)
    assert (engine.lanes, engine.batch) == (2, 16)
    with ThreadPoolExecutor(2) as pool:
        for vectors in pool.map(engine.embed, [pixels] * 4):
            np.testing.assert_allclose(vectors, exact, atol=1e-5)
    assert max(seen) <= 2
    assert engine.batch <= 3, "the next batches are no larger than what was possible"
    most = 0
    with pytest.raises(BackboneError, match="no memory left for one image; free some"):
        engine.embed(pixels)


def test_a_damaged_network_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "backbone.xml").write_bytes(b"not a network")
    with pytest.raises(BackboneError, match=r"backbone\.xml cannot be loaded"):
        OpenVinoEmbedder(tmp_path / "backbone.xml")


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
    vectors = TorchEmbedder(network, ["cpu"]).embed(pixels)
    fourth, fifth = vectors[:, : 512 * 16].reshape(3, 512, 4, 4), vectors[:, 512 * 16 :]
    lengths = np.sqrt((seen[3] ** 2).sum((1, 2, 3)) + (seen[4] ** 2).sum((1, 2, 3)))
    np.testing.assert_allclose(fourth, seen[3] / lengths[:, None, None, None], atol=1e-6)
    np.testing.assert_allclose(fifth, seen[4].reshape(3, -1) / lengths[:, None], atol=1e-6)
    for layer in network.model.features:
        layer._forward_hooks.clear()
    export_openvino(network, tmp_path / "backbone.xml")
    exported = OpenVinoEmbedder(tmp_path / "backbone.xml").embed(pixels[:1])
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


def test_compiled_networks_are_kept_for_the_next_question(
    network: Network, pixels: NDArray[np.uint8], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    export_openvino(network, file := tmp_path / "network.xml")
    vectors = OpenVinoEmbedder(file).embed(pixels)
    (kept,) = (tmp_path / "paint-search/openvino").iterdir()
    made = kept.stat()
    OpenVinoEmbedder(file)
    assert kept.stat().st_mtime_ns == made.st_mtime_ns
    kept.chmod(0o600)
    os.truncate(kept, made.st_size // 2)
    np.testing.assert_allclose(OpenVinoEmbedder(file).embed(pixels), vectors, atol=1e-5)
    assert kept.stat().st_size == made.st_size, "a damaged one is made anew"
    for number in range(20):
        (kept.parent / f"{number}.blob").touch()
        os.utime(kept.parent / f"{number}.blob", (number, number))
    OpenVinoEmbedder(file)
    assert kept.exists()
    assert len(list(kept.parent.iterdir())) == 8


_AT_ONCE = """
import os, sys, threading
from pathlib import Path
import numpy as np
import openvino
from openvino import opset13
from paint_search.indexer.backbones import OpenVinoEmbedder

given = opset13.parameter([-1, 4], np.uint8)
network = openvino.Model([opset13.convert(given, "f32")], [given])
openvino.save_model(network, sys.argv[1])
embedders = [OpenVinoEmbedder(Path(sys.argv[1]), many=True) for _ in range(8)]
start, done = threading.Barrier(len(embedders)), []
sys.setswitchinterval(1e-6)

def embed(embedder):
    start.wait()
    done.append(embedder.embed(np.zeros((16, 4), np.uint8)))

threads = [threading.Thread(target=embed, args=[one], daemon=True) for one in embedders]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join(30)
os._exit(len(done) != len(embedders))
"""


def test_the_first_batches_of_a_process_do_not_wait_for_each_other(tmp_path: Path) -> None:
    for _ in range(3):  # one of five such processes would
        run = [sys.executable, "-c", _AT_ONCE, str(tmp_path / "network.xml")]
        subprocess.run(run, check=True, timeout=120)
