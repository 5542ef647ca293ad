"""Training the built-in network: any folder trains it, a kill costs nothing, the seed decides.

On pictures painted by code and for a few steps: what is promised of the program, not of the
network that it makes.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import TINY
from PIL import Image

from paint_search.compress import Callback, Training

TRAINING = Path(__file__).parents[1] / "training"
PAINTERS = 3


@pytest.fixture(scope="module")
def few(painted: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nine pictures by three painters, and works.csv, which names others too. Read only."""
    folder = tmp_path_factory.mktemp("few") / "paintings"
    folder.mkdir()
    shutil.copy(painted / "works.csv", folder)
    for painter in sorted(path for path in painted.iterdir() if path.is_dir())[:PAINTERS]:
        shutil.copytree(painter, folder / painter.name)
    return folder


@pytest.fixture(scope="module")
def trained(
    few: Path, tiny_weights: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """A folder with two epochs of training by two teachers, as a user runs it, and how it ended."""
    home = tmp_path_factory.mktemp("training")
    teacher = ("--teacher", tiny_weights, "--teacher-backbone", TINY)
    arguments = (few, "--table", few / "works.csv", *teacher, "--epochs", 2, "--out", "run")
    command = [sys.executable, TRAINING / "train.py", *arguments]
    return home, subprocess.run(
        list(map(str, command)), cwd=home, capture_output=True, text=True, timeout=300
    )


@dataclass(frozen=True)
class Program:
    """Runs the program in this process."""

    monkeypatch: pytest.MonkeyPatch
    capsys: pytest.CaptureFixture[str]

    def __call__(self, *arguments: object, cwd: Path) -> tuple[int, str]:
        """Return the exit code, and what was said, in one line."""
        import train

        self.monkeypatch.chdir(cwd)
        self.monkeypatch.setattr(sys, "argv", ["train.py", *map(str, arguments)])
        try:
            code = train.main()
        except SystemExit as ended:
            code = int(ended.code or 0)
        return code, " ".join(self.capsys.readouterr().err.split())


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Program:
    monkeypatch.syspath_prepend(str(TRAINING))
    return Program(monkeypatch, capsys)


def test_a_folder_and_a_table_are_enough(
    trained: tuple[Path, subprocess.CompletedProcess[str]], few: Path
) -> None:
    import onnxruntime

    from paint_search.indexer.backbones.builtin import INPUT_SIZE, describe

    home, done = trained
    assert done.returncode == 0, done.stderr
    session = onnxruntime.InferenceSession(home / "run/network.onnx")
    files = sorted(few.glob("*/*.jpg"))[:4]
    pixels = np.stack(
        [np.asarray(Image.open(file).convert("RGB").resize((INPUT_SIZE,) * 2)) for file in files]
    )
    inputs = {"pixels": pixels, "descriptors": describe(pixels)}
    (vectors,) = session.run(None, inputs)
    # Principal axes of the network, and as many axes of the descriptors as there are artists.
    assert vectors.shape == (4, 192 + PAINTERS)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)
    one = {name: values[:1] for name, values in inputs.items()}
    np.testing.assert_allclose(session.run(None, one)[0], vectors[:1], atol=1e-4)


def test_the_network_fits_into_the_wheel(
    trained: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    home, _ = trained
    assert (home / "run/network.onnx").stat().st_size < 8_000_000


def test_the_progress_names_the_stages(
    trained: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    _, done = trained
    for stage in ("reading", "descriptors", "teacher", "pixels", "training"):
        assert stage in done.stderr
    assert "Traceback" not in done.stderr


def test_another_run_is_not_gone_on_with(
    trained: tuple[Path, subprocess.CompletedProcess[str]], few: Path, program: Program
) -> None:
    home, _ = trained
    code, said = program(few, "--epochs", 9, "--out", "run", cwd=home)
    assert code == 1
    assert "checkpoint.pt is of another run" in said


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("nowhere", "--out", "x"), "there is no folder nowhere"),
        ((".", "--out", "x"), "not two artists with 3 paintings each"),
        ((".", "--out", "x", "--table", "no.csv"), "there is no table no.csv"),
        ((".", "--out", "x", "--hold-out", "3/3"), "invalid _fold value"),
    ],
)
def test_what_cannot_be_trained_on_is_said_in_one_sentence(
    arguments: tuple[str, ...], words: str, tmp_path: Path, program: Program
) -> None:
    code, said = program(*arguments, cwd=tmp_path)
    assert code == 2
    assert words in said


class StoppedError(Exception):
    """Stands for a kill right after a checkpoint."""


def test_a_killed_run_ends_with_the_weights_of_an_unbroken_one(
    few: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    monkeypatch.syspath_prepend(str(TRAINING))
    import corpus
    import learning
    import teachers

    found = corpus.read_corpus(few, few / "works.csv", tmp_path)
    described = teachers.describe_corpus(found, tmp_path)[:, :64]  # enough here, and quicker

    def plan(name: str, seed: int = 5) -> learning.Plan:
        (tmp_path / name).mkdir(exist_ok=True)
        return learning.Plan(
            corpus=found,
            described=described,
            maps=None,
            fold=None,
            epochs=3,
            seed=seed,
            threads=1,
            out=tmp_path / name,
            cache=tmp_path,
            every=1,
        )

    class Stop(Callback):
        def after_step(self, training: Training[Any], loss: torch.Tensor) -> None:
            raise StoppedError

    unbroken = learning.learn(plan("unbroken")).state_dict()
    for _ in range(2):
        with pytest.raises(StoppedError):
            learning.learn(plan("killed"), Stop())
    killed = learning.learn(plan("killed")).state_dict()
    other = learning.learn(plan("other", seed=6)).state_dict()
    for name, values in unbroken.items():
        assert torch.equal(values, killed[name]), name
    assert not torch.equal(unbroken["project.weight"], other["project.weight"])


def test_a_cache_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(TRAINING))
    import corpus

    asked: list[tuple[int, int]] = []

    def fill(start: int, stop: int) -> np.ndarray:
        if len(asked) == 2:
            asked.append((start, stop))
            raise StoppedError
        asked.append((start, stop))
        return np.arange(start, stop, dtype=np.float32)[:, None]

    file = tmp_path / "numbers.npy"
    with pytest.raises(StoppedError):
        corpus.cache(file, 200, fill, "numbers")
    assert not file.exists()
    values = corpus.cache(file, 200, fill, "numbers")
    assert asked == [(0, 64), (64, 128), (128, 192), (128, 192), (192, 200)]
    np.testing.assert_array_equal(values[:, 0], np.arange(200))


def test_folds_share_no_artist_and_miss_none(
    painted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(TRAINING))
    import corpus

    found = corpus.read_corpus(painted, None, tmp_path)
    parts = np.stack([found.held_out(part, 3) for part in range(3)])
    np.testing.assert_array_equal(parts.sum(axis=0), 1)
    artists = np.array(found.labels["artist"])
    for part in parts:
        assert not set(artists[part]) & set(artists[~part])
    assert json.loads((tmp_path / "files.json").read_text())["usable"]
