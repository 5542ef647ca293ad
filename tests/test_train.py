"""``train``: what it leaves, that a kill costs nothing, and what it refuses."""

from __future__ import annotations

import csv
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import Cli
from PIL import Image
from safetensors.numpy import load_file

from paint_search import Index
from paint_search.indexer.backbones import build_network, find_backbone

SMALL = "timm:twin_small?width=4&input_size=32"
QUICK = ("--backbone", SMALL, "--steps", 40)


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def atelier(academy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The academy's pictures and table, without an index, as current folder."""
    shutil.copytree(academy / "paintings", tmp_path / "paintings")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def options(atelier: Path) -> tuple[object, ...]:
    folder = atelier / "paintings"
    return (folder, "--table", folder / "works.csv", *QUICK)


@pytest.fixture(scope="module")
def trained(academy: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """The academy's pictures with what training on them leaves, and what it told."""
    home = tmp_path_factory.mktemp("trained")
    shutil.copytree(academy / "paintings", home / "paintings")
    return home, Cli().ok("train", *options(home), "--out", home / "twins", "--json").json


def test_it_leaves_weights_that_an_index_takes_and_a_curve(
    trained: tuple[Path, Any], cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    atelier, result = trained
    monkeypatch.chdir(atelier)
    assert result["auc"] > 0.55
    assert result["best_step"] <= result["steps"] == 40
    with (atelier / "twins" / "curve.csv").open() as table:
        rows = list(csv.DictReader(table))
    assert [int(float(row["step"])) for row in rows] == [20, 40]
    assert max(float(row["auc"]) for row in rows) == pytest.approx(result["auc"])
    with Image.open(atelier / "twins" / "curve.png") as curve:
        assert curve.size[0] > 500
    cli.ok("index", "paintings", "--backbone", SMALL, "--weights", "twins/weights.safetensors")
    with Index.open() as index:
        _, vectors = index.vectors()
        paintings = list(index.paintings())
    network, _ = build_network(find_backbone(SMALL), atelier / "twins" / "weights.safetensors")
    with Image.open(atelier / "paintings" / paintings[0].path) as picture:
        pixels = np.asarray(picture.convert("RGB").resize((32, 32), Image.Resampling.BICUBIC))
    with torch.inference_mode():
        expected = network(torch.from_numpy(pixels[None].copy())).numpy()[0]
    assert float(vectors[0] @ expected) > 0.99


KILL = """
import os, signal, sys
import torch
from paint_search.compress import Checkpoint
torch.set_num_threads(1)
write = Checkpoint.after_step
def die(checkpoint, training, loss):
    write(checkpoint, training, loss)
    if training.step == 20:
        os.kill(os.getpid(), signal.SIGKILL)
Checkpoint.after_step = die
from paint_search.cli.app import app
app(sys.argv[1:])
"""


def test_killed_it_goes_on_and_ends_where_it_would_have(
    trained: tuple[Path, Any], atelier: Path, cli: Cli
) -> None:
    outs = (trained[0] / "twins", atelier / "killed")
    killed = (*options(atelier), "--out", "killed")
    command = [sys.executable, "-c", KILL, "train", *map(str, killed)]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == -signal.SIGKILL, run.stderr
    assert (atelier / "killed" / "checkpoint.pt").exists()
    assert not (atelier / "killed" / "weights.safetensors").exists()
    cli.ok("train", *killed)
    one, other = (load_file(out / "weights.safetensors") for out in outs)
    for name, values in one.items():
        np.testing.assert_allclose(other[name], values, atol=1e-5, err_msg=name)
    curves = [(out / "curve.csv").read_text() for out in outs]
    assert [line.split(",")[0] for line in curves[0].split()] == [
        line.split(",")[0] for line in curves[1].split()
    ]
    again = cli.ok("train", *killed, "--json").json
    assert again["steps"] == 40, "what is done is not done again"


def test_a_checkpoint_of_another_architecture_is_refused(atelier: Path, cli: Cli) -> None:
    cli.ok("train", *options(atelier)[:-1], 1)
    other = [SMALL.replace("width=4", "width=8") if o == SMALL else o for o in options(atelier)]
    outcome = cli("train", *other[:-1], 1)
    assert outcome.code == 1
    assert "is of another run: its backbone is timm:twin_small?width=4" in outcome.err
    for changed, says in (
        (("--rate", 0.01), "its rate is 0.001, not 0.01"),
        (("--seed", 1), "its split is"),
        (("--weights", "twins/weights.safetensors"), "its beginning is"),
    ):
        outcome = cli("train", *options(atelier)[:-1], 1, *changed)
        assert (outcome.code, outcome.err.count("error: ")) == (1, 1)
        assert f"twins/checkpoint.pt is of another run: {says}" in outcome.err
    (atelier / "twins" / "checkpoint.pt").write_bytes(b"nothing")
    outcome = cli("train", *options(atelier))
    assert outcome.code == 1
    assert "checkpoint.pt is damaged" in outcome.err


def test_an_index_can_be_trained_on_and_broken_files_are_passed_over(
    academy: Path, cli: Cli, tmp_path: Path
) -> None:
    shutil.copytree(academy, tmp_path / "academy")
    home = tmp_path / "academy"
    for number in range(0, 160, 4):
        (home / "paintings" / f"{number}.png").write_bytes(b"gone")
    outcome = cli(
        "train", "--index", home / ".paint-search", "--out", tmp_path / "out", *QUICK, "--json"
    )
    assert outcome.code == 3
    assert 0 < len(outcome.json["unreadable"]) <= 40
    assert all(name.endswith(".png") for name in outcome.json["unreadable"])


@pytest.mark.parametrize(
    ("arguments", "says", "code"),
    [
        (("nowhere",), "there is no folder nowhere", 2),
        (("paintings", "--label", "genre"), "no painting has a field 'genre' to train on", 2),
        (("paintings",), "no painting has a field 'artist' to train on", 2),
        (("solo",), "training needs 4 labels with two works or more; here are 1 among 1", 1),
        (("paintings", "--table", "works.csv", "--label", "title"), "here are 0 among 160", 1),
        (("paintings", "--table", "nowhere.csv"), "there is no table nowhere.csv", 2),
    ],
    ids=["no folder", "no label", "no artist", "one artist", "one work each", "no table"],
)
def test_what_cannot_be_trained_on_is_a_sentence(
    atelier: Path, cli: Cli, arguments: tuple[str, ...], says: str, code: int
) -> None:
    rows = [f"{number}.png,{number}" for number in range(160)]
    shutil.copytree(atelier / "paintings", atelier / "solo" / "Ann", ignore=most)
    Path("works.csv").write_text("\n".join(["path,title", *rows]))
    outcome = cli("train", *arguments, *QUICK)
    assert outcome.code == code
    assert says in outcome.err


def most(folder: str, names: list[str]) -> list[str]:
    return [name for name in names if not name.startswith("1")]


def test_pictures_that_say_nothing_are_called_a_collapse(atelier: Path, cli: Cli) -> None:
    blank = Image.new("RGB", (48, 48), "grey")
    for file in (atelier / "paintings").rglob("*.png"):
        blank.save(file)
    outcome = cli("train", *options(atelier))
    assert outcome.code == 1
    assert "the training collapsed" in outcome.err
