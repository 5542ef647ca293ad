"""A light install: everything that the built-in needs, and one sentence where an extra is wanted.

``light.py`` holds what is tested in a process where no library of an extra can be found.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import Cli
from light import FAISS, TORCH

TESTS = Path(__file__).parent


def test_what_a_light_install_does() -> None:
    """One process for all of it, since hiding a library that was imported hides nothing."""
    done = subprocess.run(
        [sys.executable, TESTS / "light.py"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def without(*modules: str) -> list[str]:
    """Return the command line as a process of its own, where these modules cannot be found."""
    program = f"import light; light.hide{modules!r}; from paint_search.cli.app import main; main()"
    return [sys.executable, "-c", program]


def run(command: list[str], *arguments: str) -> str:
    """Run a command and return what it says beside its result."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(TESTS), *sys.path])}
    done = subprocess.run(
        [*command, *arguments], capture_output=True, text=True, env=environment, check=False
    )
    assert "Traceback" not in done.stderr
    return done.stderr


def test_an_index_in_a_faiss_store_says_what_it_needs(studio: Path, cli: Cli) -> None:
    cli.ok("copy", "--to", "faiss", "--into", "faiss")
    said = run(without("faiss"), "similar", "--index", "faiss", "query.jpg")
    assert said == f"error: a FAISS index needs faiss: {FAISS}\n"


@pytest.mark.parametrize(
    ("hidden", "needs"),
    [
        (("timm",), f"timm: {TORCH}; then index anew"),
        (("torch", "timm"), f"torch and timm: {TORCH}; then index anew"),
        (
            ("nothing",),
            "its weights, which are not on this machine, nor to be had from the hub; for it, "
            "index anew with --backbone resnet50 --weights FILE",
        ),
    ],
)
def test_auto_says_what_resnet_lacks(studio: Path, hidden: tuple[str, ...], needs: str) -> None:
    said = run(without(*hidden), "index", "paintings", "--index", "new")
    assert said.splitlines()[0] == (
        f"using the built-in backbone ('builtin'), since ResNet-50 needs {needs}"
    )
