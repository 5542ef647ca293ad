"""Weights: found, loaded, refused when wrong or dangerous, and no network found out at once."""

from __future__ import annotations

import os
import pickle
import re
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import COMMAND, HUB_CACHE, TINY, Cli, copy_tree
from PIL import Image

from paint_search import Index
from paint_search.errors import BackboneError, UsageError
from paint_search.indexer.backbones import find_backbone


@pytest.fixture
def three(painted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with three paintings in ``paintings``."""
    (tmp_path / "paintings").mkdir()
    for number, file in enumerate(sorted(painted.rglob("*.jpg"))[::10]):
        (tmp_path / f"paintings/{number}.jpg").write_bytes(file.read_bytes())
    monkeypatch.chdir(tmp_path)
    return tmp_path


def network(weights: Path, name: str = TINY) -> Any:
    from paint_search.indexer.backbones import build_network

    return build_network(find_backbone(name), weights)[0]


class Payload:
    """Unpickled, it runs code that leaves a file behind."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.trace),)


def test_pth_and_safetensors_give_the_same_vectors(tiny_weights: Path, tmp_path: Path) -> None:
    import torch
    from safetensors.torch import load_file

    from paint_search.indexer.backbones import TorchEmbedder

    state = load_file(tiny_weights)
    head = {"fc.weight": torch.zeros(1000, 96), "fc.bias": torch.zeros(1000)}
    torch.save(
        {f"module.{name}": value for name, value in (state | head).items()}, tmp_path / "plain.pth"
    )
    torch.save({"state_dict": state, "epoch": 3}, tmp_path / "checkpoint.pth")
    pixels = np.random.default_rng(0).integers(0, 256, (2, 160, 160, 3), dtype=np.uint8)
    pixels[1] //= 4
    vectors = [
        TorchEmbedder(network(file), ["cpu"]).embed(pixels)
        for file in (tiny_weights, tmp_path / "plain.pth", tmp_path / "checkpoint.pth")
    ]
    np.testing.assert_array_equal(vectors[0], vectors[1])
    np.testing.assert_array_equal(vectors[0], vectors[2])
    assert not np.allclose(vectors[0][0], vectors[0][1], atol=1e-4)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_pth_that_would_run_code_is_refused_and_does_not_run(
    zipped: bool, three: Path, cli: Cli
) -> None:
    import torch

    trace = three / "it ran"
    if zipped:
        torch.save({"conv1.weight": Payload(trace)}, three / "evil.pth")
    else:
        (three / "evil.pth").write_bytes(pickle.dumps({"conv1.weight": Payload(trace)}, protocol=2))
    (three / "evil.safetensors").write_bytes((three / "evil.pth").read_bytes())
    for name in ("evil.pth", "evil.safetensors"):
        outcome = cli("index", "paintings", "--backbone", TINY, "--weights", name)
        assert outcome.code == 1
        assert name in outcome.err
        assert outcome.err.startswith("error: ")
        assert outcome.err.count("\n") == 1
        assert not trace.exists()
        assert not (three / ".paint-search").exists()
    pickle.loads(pickle.dumps(Payload(trace)))
    assert trace.exists(), "the payload does what it should, were it loaded"


def test_weights_of_another_architecture_are_refused(
    three: Path, tiny_weights: Path, cli: Cli
) -> None:
    for name in ("timm:test_vit", "timm:test_convnext", "resnet50"):
        outcome = cli("index", "paintings", "--backbone", name, "--weights", tiny_weights)
        assert outcome.code == 1
        assert "another architecture" in outcome.err
        assert str(tiny_weights) in outcome.err
        assert "--backbone" in outcome.err
        assert outcome.err.count("\n") == 1
        assert not (three / ".paint-search").exists()


@pytest.mark.parametrize("content", [b"", b"\x80", b"not weights", b"PK\x03\x04" + bytes(100)])
def test_files_that_are_no_weights_are_refused(content: bytes, tmp_path: Path) -> None:
    for name in ("bad.pth", "bad.safetensors", "bad.bin"):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(BackboneError, match=re.escape(str(tmp_path / name))):
            network(tmp_path / name)


def test_a_mapping_of_something_else_is_refused(tmp_path: Path) -> None:
    import torch

    for number, content in enumerate(([1, 2], {"a": 1}, {"state_dict": {"a": "b"}})):
        torch.save(content, tmp_path / f"{number}.pth")
        with pytest.raises(BackboneError, match="no mapping"):
            network(tmp_path / f"{number}.pth")


def test_weights_that_are_not_finite_are_not_indexed(
    three: Path, tiny_weights: Path, cli: Cli
) -> None:
    from safetensors.torch import load_file, save_file

    state = load_file(tiny_weights)
    state["conv1.0.weight" if "conv1.0.weight" in state else "conv1.weight"].fill_(float("nan"))
    save_file(state, three / "nan.safetensors")
    outcome = cli("index", "paintings", "--backbone", TINY, "--weights", "nan.safetensors")
    assert outcome.code == 1
    assert "nan.safetensors is damaged" in outcome.err
    assert "not finite" in outcome.err
    assert outcome.err.count("\n") == 1
    assert not (three / ".paint-search").exists()


def test_weights_that_tell_nothing_apart_are_not_indexed(
    three: Path, tiny_weights: Path, cli: Cli
) -> None:
    from safetensors.torch import load_file, save_file

    for number in range(5):
        Image.linear_gradient("L").rotate(70 * number).save(three / f"paintings/more{number}.png")
    state = load_file(tiny_weights)
    for name, values in state.items():
        if name.endswith("weight"):
            values.zero_()
        if name.endswith("bias"):
            values.fill_(1)
    save_file(state, three / "dull.safetensors")
    outcome = cli("index", "paintings", "--backbone", TINY, "--weights", "dull.safetensors")
    assert outcome.code == 1
    assert "one and the same vector" in outcome.err
    assert outcome.err.count("\n") == 1
    assert "0 paintings" in cli.ok("list").err


def test_other_weights_than_the_index_was_made_with_are_refused(
    tiny_museum: Path, tiny_weights: Path, tmp_path: Path, cli: Cli
) -> None:
    (tmp_path / "other.safetensors").write_bytes(tiny_weights.read_bytes()[:-4] + bytes(4))
    where = ("--index", tiny_museum / ".paint-search")
    outcome = cli("index", tiny_museum / "paintings", *where, "--weights", "other.safetensors")
    assert outcome.code == 1
    weights = tmp_path / "other.safetensors"
    outcome = cli("index", tiny_museum / "paintings", *where, "--weights", weights)
    assert outcome.code == 1
    assert "not the weights file this index was made with" in outcome.err


def test_a_name_carries_settings_to_timm(tiny_weights: Path, tmp_path: Path) -> None:
    from paint_search.indexer.backbones import build_network

    name = f"{TINY}?input_size=96&mean=0.25&interpolation=bicubic&act_layer=gelu"
    _, record = build_network(find_backbone(name), tiny_weights, "pad")
    made = record.preprocessing
    assert (record.name, made.size, made.fit, made.mean) == (name, 96, "pad", (0.25, 0.25, 0.25))
    assert made.interpolation == "bicubic"
    with pytest.raises(BackboneError, match="nonsense"):
        build_network(find_backbone(f"{TINY}?nonsense=1"), tiny_weights)


def test_a_missing_export_is_said(tiny_museum: Path, tmp_path: Path, cli: Cli) -> None:
    home = copy_tree(tiny_museum / ".paint-search", tmp_path / "index")
    (home / "backbone.xml").unlink()
    query = sorted((tiny_museum / "paintings").rglob("*.jpg"))[0]
    (tmp_path / "query.jpg").write_bytes(query.read_bytes())
    outcome = cli("similar", tmp_path / "query.jpg", "--index", home)
    assert outcome.code == 1
    assert "backbone.xml" in outcome.err
    assert outcome.err.count("\n") == 1


def test_an_index_knows_its_engine(tiny_weights: Path, three: Path, cli: Cli) -> None:
    with Index.create(three / "paintings", backbone=TINY, weights=tiny_weights) as index:
        assert index.add().notes == []
    engine = cli.ok("info", "--json").json["manifest"]["engine"]
    assert engine["engine"].startswith("OpenVINO ")
    assert engine["precision"] in ("bf16", "f32")
    assert f"{engine['engine']}, {engine['precision']}" in cli.ok("info").out


DRIVER = """
int cuInit(unsigned int flags) { return 0; }
int cuDeviceGetCount(int *count) { *count = 1; return 0; }
"""


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler to make a driver with")
def test_a_gpu_that_is_not_used_is_said_with_the_reason(
    tiny_weights: Path, three: Path, cli: Cli
) -> None:
    (three / "driver.c").write_text(DRIVER)
    subprocess.run(["cc", "-shared", "-o", "libcuda.so.1", "driver.c"], check=True)
    environment = os.environ | {"LD_LIBRARY_PATH": str(three)}
    for index, reason, arguments in (
        ("own", "the backbone 'builtin' runs on the CPU only", ("--backbone", "builtin")),
        (
            "tiny",
            "3 images are done there before torch has started",
            ("--backbone", TINY, "--weights", str(tiny_weights)),
        ),
    ):
        command = [*COMMAND, "index", "paintings", "--index", index, *arguments]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        assert f"this machine has a GPU, and the CPU is used: {reason}\n" in done.stderr
        done = subprocess.run(
            [*command[:-len(arguments)], "--device", "cpu"], capture_output=True, text=True,
            check=True, env=environment,
        )  # fmt: skip
        assert "GPU" not in done.stderr
    training = "from paint_search.indexer.backbones import find_device; print(find_device())"
    done = subprocess.run(
        [sys.executable, "-c", training], env=environment, capture_output=True, text=True
    )
    said = "this machine has a GPU, and the CPU is used: torch finds no GPU here\n"
    assert (done.stdout, done.stderr[-len(said) :]) == ("cpu\n", said)


def test_cuda_is_not_silently_replaced(
    tiny_museum: Path, tiny_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    home = copy_tree(tiny_museum, tmp_path / "home")
    Image.linear_gradient("L").save(home / "paintings/new.png")
    with (
        Index.open(home / ".paint-search") as index,
        pytest.raises(UsageError, match="cuda"),
    ):
        index.add(device="cuda", weights=tiny_weights)


def test_a_network_that_openvino_cannot_run_is_run_by_torch_and_said(three: Path, cli: Cli) -> None:
    import timm
    import torch
    from safetensors.torch import save_model

    @timm.models.register_model
    def eigen_net(pretrained: bool = False, **options: Any) -> torch.nn.Module:
        """Mean colours, and the roots of their covariance, which OpenVINO has no operation for."""

        class EigenNet(torch.nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.mix = torch.nn.Linear(9, 8)

            def forward(self, images: torch.Tensor) -> torch.Tensor:
                flat = images.flatten(2)
                _, vectors = torch.linalg.eigh(flat @ flat.transpose(1, 2))
                made: torch.Tensor = self.mix(vectors.abs().flatten(1))
                return made

        return EigenNet()

    torch.manual_seed(0)
    save_model(eigen_net(), "eigen.safetensors")
    outcome = cli.ok(
        "index", "paintings", "--backbone", "timm:eigen_net", "--weights", "eigen.safetensors"
    )
    (line,) = [line for line in outcome.err.splitlines() if "OpenVINO" in line]
    assert "torch runs it" in line
    assert cli.ok("info", "--json").json["manifest"]["engine"]["engine"] == "torch on the CPU"
    (three / "query.jpg").write_bytes((three / "paintings/1.jpg").read_bytes())
    (hit, *_) = cli.ok("similar", "query.jpg", "--json").json["hits"]
    assert hit["path"] == "1.jpg"
    assert hit["score"] > 0.999


HUSHED = """
import os, sys
for name in ("CI", "DO_NOT_TRACK", "PAINT_SEARCH_INDEX"):
    os.environ.pop(name, None)
met = []
def watch(event, given):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto", "subprocess.Popen"):
        if given[0] != "/sbin/ldconfig":  # asked where a library is
            met.append((event, str(given)))
sys.addaudithook(watch)
if sys.argv[1] == "loud":
    import openvino
else:
    from paint_search import Index
    with Index.create(*sys.argv[1:3], backbone=sys.argv[3], weights=sys.argv[4]) as index:
        index.add()
        index.similar(next(iter(index.root.glob("*.jpg"))).read_bytes())
print("openvino" in sys.modules, "openvino_telemetry" in sys.modules)
print(met)
"""


def test_indexing_converting_and_asking_open_no_socket(three: Path, tiny_weights: Path) -> None:
    """OpenVINO's converter calls home unless it is kept from it."""

    def watched(*arguments: str | Path) -> list[str]:
        command = [sys.executable, "-c", HUSHED, *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        return done.stdout.splitlines()

    assert watched("paintings", "home", TINY, tiny_weights) == ["True False", "[]"]
    assert watched("loud")[0] == "True True", "the check sees what it looks for"


@pytest.fixture
def black_hole() -> Iterator[str]:
    """The address of a server that takes every connection and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=50) as server:
        taken: list[socket.socket] = []

        def accept() -> None:
            while True:
                try:
                    taken.append(server.accept()[0])
                except OSError:
                    return

        threading.Thread(target=accept, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)
        for connection in taken:
            connection.close()


def through(endpoint: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if "proxy" not in k.lower()}
    environment |= {"HF_ENDPOINT": endpoint, "HF_HUB_OFFLINE": "0"}
    return subprocess.run(
        [*COMMAND, *arguments], env=environment, capture_output=True, text=True, timeout=60
    )


@pytest.mark.parametrize("answers", [True, False], ids=["refuses", "never answers"])
def test_auto_without_a_network_takes_the_built_in(
    answers: bool, three: Path, black_hole: str
) -> None:
    done = through("http://127.0.0.1:1" if answers else black_hole, "index", "paintings")
    assert done.returncode == 0
    (line,) = done.stderr.splitlines()
    assert "ResNet-50" in line
    assert "'builtin'" in line


def test_an_explicit_backbone_does_not_fall_back(three: Path, black_hole: str) -> None:
    done = through(black_hole, "index", "paintings", "--backbone", "resnet50")
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    assert "cannot be reached" in line
    assert "--weights" in line
    assert not (three / ".paint-search").exists()


def test_auto_with_weights_is_resnet50(three: Path, tiny_weights: Path, cli: Cli) -> None:
    outcome = cli("index", "paintings", "--weights", tiny_weights)
    assert outcome.code == 1
    assert "another architecture" in outcome.err


@pytest.fixture
def hub_cache(tiny_weights: Path) -> Iterator[Path]:
    """The hub's cache on this machine, in which the tiny backbone's weights are."""
    repository = Path(HUB_CACHE.name) / "models--timm--test_resnet.r160_in1k"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs/main").write_text("0123abc")
    (repository / "snapshots/0123abc").mkdir(parents=True)
    shutil.copyfile(tiny_weights, repository / "snapshots/0123abc/model.safetensors")
    yield repository
    shutil.rmtree(repository)


def test_cached_weights_are_found_without_a_network(three: Path, hub_cache: Path, cli: Cli) -> None:
    outcome = cli.ok("index", "paintings", "--backbone", TINY)
    assert "3 new" in outcome.out
    record = cli.ok("info", "--json").json["manifest"]["backbone"]
    assert (record["weights"], record["dimension"]) == ("model.safetensors", 96)
    assert (three / ".paint-search/backbone.bin").stat().st_size > 100_000
