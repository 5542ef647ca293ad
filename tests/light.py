"""What a light install does, and what it says of the rest: tests for a process without the extras.

    python tests/light.py [ARGUMENT OF PYTEST...]

hides the libraries of the extras from Python, whether they are installed or not, and runs what is
below. ``test_light.py`` does so.
"""

from __future__ import annotations

import importlib
import pkgutil
import shlex
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from conftest import Cli, copy_tree
from docs_output import ROOT, Reader, alike, furnish, read

import paint_search
from paint_search import Index, PaintSearchError, studies

TORCH = "pip install 'paint-search[torch]'"
FAISS = "pip install 'paint-search[faiss]'"

#: As Python imports them: those of each extra.
EXTRAS = {
    "torch": ("torch", "torchvision", "timm", "huggingface_hub", "pytorch_metric_learning"),
    "faiss": ("faiss",),
    "formats": ("pillow_jxl", "rawpy"),
}

#: What is imported only where torch is wanted.
WITH_TORCH = {
    "paint_search.compress.autoencoding",
    "paint_search.compress.siamese_training",
    "paint_search.compress.training",
    "paint_search.indexer.backbones.timm_network",
    "paint_search.train.convnet",
    "paint_search.train.learning",
}


class Without:
    """A finder of modules that does not find these."""

    def __init__(self, finder: Any, names: tuple[str, ...]) -> None:
        self._finder = finder
        self._names = names

    def find_spec(self, name: str, path: Any = None, target: ModuleType | None = None) -> Any:
        if name.partition(".")[0] in self._names:
            return None
        return self._finder.find_spec(name, path, target)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._finder, name)


def hide(*names: str) -> None:
    """Make modules impossible to find in this process; by default those of all extras."""
    names = names or tuple(name for extra in EXTRAS.values() for name in extra)
    sys.meta_path[:] = [Without(finder, names) for finder in sys.meta_path]


@pytest.fixture(scope="module")
def furnished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return furnish(tmp_path_factory.mktemp("light") / "home")


@pytest.fixture
def home(furnished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home as the documentation describes it, as current folder."""
    home = copy_tree(furnished, tmp_path / "ann")
    monkeypatch.chdir(home)
    return home


@pytest.fixture
def in_museum(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Its index of artists enough to hold some out, as current folder."""
    monkeypatch.chdir(home / "museum")
    return home / "museum"


def test_every_module_but_a_few_can_be_imported() -> None:
    failed = {}
    for found in pkgutil.walk_packages(paint_search.__path__, "paint_search."):
        try:
            importlib.import_module(found.name)
        except ModuleNotFoundError as error:
            failed[found.name] = error.name
    assert failed.keys() == WITH_TORCH
    assert set(failed.values()) <= {*EXTRAS["torch"]}


def test_the_readme_does_what_it_says(home: Path) -> None:
    reader = Reader(home)
    for step in read(ROOT / "README.md"):
        if step.marker != "not run":
            real = reader.run(step)
            assert step.shown is None or alike(step.shown, real), step.code


def test_what_needs_no_extra_runs(in_museum: Path, cli: Cli) -> None:
    for command in (
        "info",
        "list --where movement='Movement 1'",
        "backbones",
        "similar paintings/Artist\\ 1/work\\ 1.png",
        "verify paintings/Artist\\ 1/work\\ 1.png paintings/Artist\\ 2/work\\ 2.png",
        "eval verify",
        "eval clusters --by movement",
        "eval silhouette --min-works 2",
        "eval classify --label movement --model logistic",
        "export vectors.npy",
        "export vectors.parquet --to parquet",
        "export labels.csv --to csv",
        "compress --method pca --dims 6",
        "similar paintings/Artist\\ 1/work\\ 1.png",
        "copy --to edge --into copy",
        "remove paintings/Artist\\ 1/work\\ 1.png",
    ):
        cli.ok(*shlex.split(command))


def test_what_can_be_fitted_is_measured_and_the_rest_is_named(in_museum: Path, cli: Cli) -> None:
    said = cli.ok("eval", "compression", "--dims", "8").err
    assert f"autoencoder is left out: fitting autoencoder needs torch: {TORCH}" in said
    tried = cli.ok("compress", "--dims", "8", "--json").json["trials"]
    assert [trial["method"] for trial in tried] == ["pca", "autoencoder"]
    assert tried[1]["refused"] == f"fitting autoencoder needs torch: {TORCH}"


def test_auto_says_what_is_missing(in_museum: Path, cli: Cli) -> None:
    said = cli.ok("index", "paintings", "--index", "auto").err.splitlines()[0]
    assert said == (
        "using the built-in backbone ('builtin'), since ResNet-50 needs torch, torchvision, timm "
        f"and huggingface_hub: {TORCH}; then index anew"
    )


@pytest.mark.parametrize(
    ("command", "cure"),
    [
        ("compress --method autoencoder --dims 8", TORCH),
        ("compress --method siamese --dims 8", TORCH),
        ("compress --method convolutional --dims 8", TORCH),
        ("compress --method convolutional-plain --dims 8", TORCH),
        ("eval compression --method autoencoder --dims 8", TORCH),
        ("eval compression --method pca --method convolutional --dims 8", TORCH),
        ("eval classify --model cnn", TORCH),
        ("train paintings", TORCH),
        ("train", TORCH),
        ("index paintings --index new --backbone resnet50", TORCH),
        ("index paintings --index new --backbone timm:resnet18", TORCH),
        ("index paintings --index new --weights some.safetensors", TORCH),
        ("index paintings --index new --store faiss --backbone builtin", FAISS),
        ("copy --to faiss --into new", FAISS),
        ("export new --to faiss", FAISS),
    ],
)
def test_a_command_says_what_it_needs_and_does_nothing(
    in_museum: Path, cli: Cli, command: str, cure: str
) -> None:
    outcome = cli(*command.split())
    assert outcome.code in (1, 2)
    assert outcome.out == ""
    assert outcome.err.count("\n") == 1
    assert outcome.err.startswith("error: ")
    assert " needs " in outcome.err
    assert outcome.err.endswith(f": {cure}\n")
    assert not (in_museum / "new").exists()
    assert not (in_museum / "twins").exists()


def test_python_says_the_same(in_museum: Path) -> None:
    def importing(room: str, name: str) -> Any:
        return lambda: getattr(importlib.import_module(f"paint_search.{room}"), name)

    with Index.open() as index:
        calls = {
            "compress": (lambda: index.compress("autoencoder", 8), TORCH),
            "classify": (lambda: studies.classify(index, model="cnn"), TORCH),
            "compression": (lambda: studies.compression(index, method=["siamese"]), TORCH),
            "faiss": (index.faiss, FAISS),
            "export": (lambda: index.export("new", "faiss"), FAISS),
            "copy": (lambda: index.copy("faiss", "new"), FAISS),
            "create": (lambda: Index.create("paintings", "new", backbone="vgg16"), TORCH),
            "learn": (importing("train", "learn"), TORCH),
            "SmallConvNet": (importing("train", "SmallConvNet"), TORCH),
            "Training": (importing("compress", "Training"), TORCH),
            "build_network": (importing("indexer.backbones", "build_network"), TORCH),
        }
        for name, (call, cure) in calls.items():
            with pytest.raises(PaintSearchError) as caught:
                call()
            assert str(caught.value).endswith(f": {cure}"), name
    assert not (in_museum / "new").exists()


if __name__ == "__main__":
    hide()
    sys.exit(pytest.main([__file__, "-p", "no:cacheprovider", *sys.argv[1:]]))
