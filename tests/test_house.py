"""The house stays one that can change: light to enter, and tested through its doors alone."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

HEAVY = ("torch", "timm", "sklearn", "openvino", "faiss")

#: What tests may import from: the package, its three loose files, and the rooms.
DOORS = {
    "paint_search",
    "paint_search.cli.app",
    "paint_search.compress",
    "paint_search.demo",
    "paint_search.errors",
    "paint_search.eval",
    "paint_search.files",
    "paint_search.index",
    "paint_search.indexer",
    "paint_search.indexer.backbones",
    "paint_search.indexer.backbones.builtin",
    "paint_search.indexer.backbones.ink",
    "paint_search.indexer.corpus",
    "paint_search.indexer.images",
    "paint_search.painting",
    "paint_search.report",
    "paint_search.search",
    "paint_search.search.stores",
    "paint_search.serve",
    "paint_search.studies",
    "paint_search.train",
    "paint_search.verify",
}

TESTS = Path(__file__).parent


def imports(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Yield (module, name) of all that is imported from the package; no name for ``import x``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield from ((node.module, alias.name) for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)


def windows(file: Path) -> list[str]:
    """Return what a test does that would break if the inside of a room changed."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    found = []
    own = set()  # names in the test that stand for something of the package
    for module, name in imports(tree):
        if module.split(".")[0] != "paint_search":
            continue
        own.add(name or module.split(".")[0])
        exported = getattr(importlib.import_module(module), "__all__", None)
        if f"{module}.{name}" in DOORS:
            continue
        if module not in DOORS:
            found.append(f"imports {name or 'all'} from {module}, which is no room")
        elif name and exported is not None and name not in exported:
            found.append(f"imports {name}, which {module} does not export")
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in ("setattr", "object")
            and node.args
        ):
            root = node.args[0]
            while isinstance(root, ast.Attribute):
                root = root.value
            inside = isinstance(root, ast.Constant) and str(root.value).startswith("paint_search")
            if inside or (isinstance(root, ast.Name) and root.id in own):
                found.append(f"patches the package in line {node.lineno}")
    return found


@pytest.mark.parametrize("file", sorted(TESTS.glob("*.py")), ids=lambda file: file.name)
def test_tests_go_in_by_the_doors(file: Path) -> None:
    found = windows(file)
    assert not found, f"{file.name} " + "; ".join(found)


@pytest.mark.parametrize(
    "program",
    [
        "import paint_search",
        "from paint_search.cli.app import app; app(['--help'], standalone_mode=False)",
        "from paint_search import Index",
    ],
    ids=["import", "--help", "Index"],
)
def test_the_way_in_is_light(program: str) -> None:
    look = f"import sys; {program}; print(sorted(set({HEAVY}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
