"""Corpora painted by code, indexes of them made once a session, and the command line in-process.

No test touches the network: the model hub is off and its cache is an empty folder.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from qdrant_server import QdrantServer

HUB_CACHE = tempfile.TemporaryDirectory(prefix="paint-search-hub-")
os.environ.update(HF_HUB_OFFLINE="1", HF_HOME=HUB_CACHE.name, HF_HUB_CACHE=HUB_CACHE.name)
for name in ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME"):
    os.environ[name] = HUB_CACHE.name
os.environ.pop("PAINT_SEARCH_INDEX", None)
# Compiled code of UMAP sets the OpenMP threads of the whole process, torch's too, to all cores: in
# each worker that has drawn such a map, threads would then wait for each other in busy loops.
os.environ.setdefault("NUMBA_NUM_THREADS", "1")


#: Files that train, or start many processes: begun first, so that no core waits for one at last.
LONG = {
    f"test_{name}.py"
    for name in (
        "light", "docs", "compress_killed", "training", "train", "siamese", "cli_verify", "copy",
        "eval_maps",
    )
}  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest files first."""
    items.sort(key=lambda item: item.path.name not in LONG)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many tests were skipped, and why, which is also what would run them."""
    reasons = Counter(
        str(report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr)
        for report in terminalreporter.stats.get("skipped", [])
    )
    for reason, count in sorted(reasons.items()):
        terminalreporter.write_line(f"{count} skipped: {reason.removeprefix('Skipped: ')}")


#: No property is a timed test: machines are shared.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

#: Real Qdrant servers that tests run against instead of the stand-in: ``HOST:PORT`` of the gRPC
#: ports, separated by commas; several are the nodes of one cluster.
REAL_SERVERS = [one for one in os.environ.get("PAINT_SEARCH_TEST_QDRANT", "").split(",") if one]

WORKS = 3
TOKEN = "a-token-of-these-tests"
TINY = "timm:test_resnet"

#: The command line as a process of its own.
COMMAND = (sys.executable, "-c", "from paint_search.cli.app import main; main()")


@dataclass(frozen=True)
class Outcome:
    """How a command ended and what it said."""

    code: int
    out: str
    err: str
    output: str = ""  # both, as a terminal shows them

    @property
    def json(self) -> Any:
        """The one JSON value on standard output."""
        return json.loads(self.out)


class Cli:
    """Runs the command line in this process and never lets a traceback pass."""

    def __call__(self, *arguments: object) -> Outcome:
        from typer.testing import CliRunner

        from paint_search.cli.app import app

        result = CliRunner().invoke(app, [str(argument) for argument in arguments])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise AssertionError(f"{arguments} raised") from result.exception
        assert "Traceback" not in result.stdout + result.stderr
        return Outcome(result.exit_code, result.stdout, result.stderr, result.output)

    def ok(self, *arguments: object) -> Outcome:
        """Run and expect exit code 0."""
        outcome = self(*arguments)
        assert outcome.code == 0, outcome
        return outcome


@pytest.fixture
def cli() -> Cli:
    return Cli()


def copy_tree(source: Path, target: Path) -> Path:
    """Copy with times, and with the holes of sparse files, which are most of a store."""
    subprocess.run(["cp", "-a", str(source), str(target)], check=True)
    return target


@pytest.fixture(scope="session")
def painted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Thirty pictures by ten painters, and works.csv. Read only."""
    from paint_search.demo import paint_corpus

    folder = tmp_path_factory.mktemp("painted") / "paintings"
    paint_corpus(folder, works=WORKS)
    return folder


@pytest.fixture(scope="session")
def museum(painted: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``paintings`` and their index ``.paint-search``, built in. Read only."""
    from paint_search import Index

    home = tmp_path_factory.mktemp("museum")
    copy_tree(painted, home / "paintings")
    with Index.create(home / "paintings", home / ".paint-search", backbone="descriptors") as index:
        index.add(table=home / "paintings" / "works.csv")
    return home


@pytest.fixture
def in_museum(museum: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The museum as current folder, for tests that change nothing in it."""
    monkeypatch.chdir(museum)
    return museum


@pytest.fixture
def studio(museum: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the museum as current folder, to do anything with."""
    home = copy_tree(museum, tmp_path / "studio")
    monkeypatch.chdir(home)
    return home


@pytest.fixture(scope="session")
def academy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with 160 small ``paintings`` by 40 artists and their index, built in. Read only."""
    from academy import found_academy

    home = tmp_path_factory.mktemp("academy")
    found_academy(home)
    return home


@pytest.fixture(scope="session")
def tiny_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seeded random weights of timm's smallest ResNet, as safetensors."""
    import timm
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(1889)
    model = timm.create_model("test_resnet", num_classes=0)
    file = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    save_file(model.state_dict(), file)
    return file


@pytest.fixture(scope="session")
def tiny_museum(
    painted: Path, tiny_weights: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """As ``museum``, with the tiny timm backbone. Read only."""
    from paint_search import Index

    home = tmp_path_factory.mktemp("tiny")
    copy_tree(painted, home / "paintings")
    with Index.create(
        home / "paintings", home / ".paint-search", backbone=TINY, weights=tiny_weights
    ) as index:
        index.add()
    return home


@pytest.fixture
def holder(studio: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the studio's index until it is killed."""
    program = (
        "import sys, time; from paint_search import Index\n"
        "index = Index.open(sys.argv[1]); print('held', flush=True); time.sleep(600)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(studio / ".paint-search")],
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


@pytest.fixture
def home(painted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three paintings in the current folder of a user without configuration."""
    source = next(path for path in painted.iterdir() if path.is_dir())
    copy_tree(source, tmp_path / "paintings")
    for name in ("CONFIG", "STATE"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / name.lower()))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PAINT_SEARCH_PATIENCE", "0.5")
    return tmp_path


@pytest.fixture
def server() -> Iterator[QdrantServer]:
    """A stand-in for a Qdrant server, of one node; or the first that the environment names."""
    from qdrant_server import QdrantServer, RealServer  # two seconds, which few tests need wait

    if REAL_SERVERS:
        real = RealServer(*REAL_SERVERS)
        yield cast("QdrantServer", real)
        real.clean()
        return
    made = QdrantServer()
    yield made
    made.die()


@pytest.fixture
def cluster(server: QdrantServer) -> Iterator[list[QdrantServer]]:
    """A cluster of three, the server among them."""
    from qdrant_server import QdrantServer, RealServer

    if isinstance(server, RealServer):
        if len(REAL_SERVERS) < 3:
            pytest.skip("needs a cluster; name its three nodes with PAINT_SEARCH_TEST_QDRANT")
        yield server.nodes()
        return
    nodes = [server, QdrantServer(joins=server), QdrantServer(joins=server)]
    yield nodes
    for node in nodes:
        node.die()


@pytest.fixture(scope="session")
def compressed_museum(museum: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As ``museum``, with compact vectors of six dimensions by PCA. Read only."""
    from paint_search import Index

    home = copy_tree(museum, tmp_path_factory.mktemp("compressed") / "museum")
    with Index.open(home / ".paint-search") as index:
        index.compress("pca", 6)
    return home


@pytest.fixture
def compressed(compressed_museum: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the compressed museum as current folder, to do anything with."""
    home = copy_tree(compressed_museum, tmp_path / "compressed")
    monkeypatch.chdir(home)
    return home
