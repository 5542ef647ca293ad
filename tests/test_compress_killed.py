"""``compress`` killed, interrupted, or on a full disk: the index is the old one or the new one.

A moment is something that the run does to a file of the index; Python tells an audit hook of each.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from conftest import WORKS, Cli

TOTAL = 10 * WORKS
PCA = ("--method", "pca", "--dims", 6)

PROGRAM = """
import errno, os, signal, sys

folder, how, moment = os.path.abspath(sys.argv[1]), sys.argv[2], float(sys.argv[3])
moments, watching = [], True

def watch(event, args):
    global watching
    if not watching or event not in ("open", "os.rename", "os.remove", "os.mkdir", "shutil.rmtree"):
        return
    reads = event == "open" and not set(str(args[1])) & set("wax+")
    if reads or not str(args[0]).startswith(folder) or str(args[0]).endswith("lock.socket"):
        return  # nothing of the index: another thread lends it meanwhile
    moments.append((event, os.path.relpath(args[0], folder)))
    if len(moments) == moment:
        watching = how == "full"
        if how == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        elif how == "interrupted":
            raise KeyboardInterrupt
    if how == "full" and len(moments) >= moment and event in ("open", "os.mkdir"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(args[0]))

from paint_search.cli.app import main
from paint_search.index import Index
sys.argv = ["paint-search", "compress", "--method", "pca", "--dims", "5", "--index", folder]
sys.addaudithook(watch)
try:
    main()
finally:
    watching = False
    manifest = [n for n, m in enumerate(moments, 1) if m[1].startswith("manifest")]
    print(len(moments), *manifest[:1])
"""


@dataclass(frozen=True)
class Here:
    """Runs the program in this process, which it must not kill."""

    monkeypatch: pytest.MonkeyPatch
    capsys: pytest.CaptureFixture[str]

    def __call__(self, home: Path, how: str, moment: float) -> tuple[object, str, str]:
        """Return the exit code, and what was said."""
        self.monkeypatch.setattr(sys, "argv", ["-c", str(home / ".paint-search"), how, str(moment)])
        with pytest.raises(SystemExit) as ended:
            exec(PROGRAM, {})
        return ended.value.code, *self.capsys.readouterr()


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Here:
    return Here(monkeypatch, capsys)


def killed(home: Path, moment: int) -> int:
    """Run the program in a process of its own, and return how that ended."""
    where = (str(home / ".paint-search"), "killed", str(moment))
    return subprocess.run([sys.executable, "-c", PROGRAM, *where], capture_output=True).returncode


def paths(cli: Cli, query: str) -> list[str]:
    return [hit["path"] for hit in cli.ok("similar", query, "--json").json["hits"]]


def check(home: Path, cli: Cli, query: str, found: list[str], dims: tuple[int, ...]) -> None:
    """The index answers as before, holds one store and one compressor, and can be compressed."""
    facts = cli.ok("info", "--json").json
    assert facts["paintings"] == TOTAL
    assert facts["manifest"]["compression"]["dims"] in dims
    assert paths(cli, query) == found
    folders = [f.name for f in (home / ".paint-search").iterdir() if f.is_dir()]
    assert len(folders) == 2, "what the run left is gone"
    cli.ok("compress", *PCA)
    assert paths(cli, query) == found


@pytest.fixture
def asked(compressed: Path, cli: Cli) -> tuple[str, list[str]]:
    """A query, and what it finds before anything is tried."""
    query = str(cli.ok("list", "--json").json["paintings"][0]["path"])
    return query, paths(cli, query)


def test_killed_at_any_moment(
    compressed: Path, cli: Cli, here: Here, asked: tuple[str, list[str]]
) -> None:
    code, told, said = here(compressed, "not at all", float("inf"))
    assert code == 0, said
    moments, manifest = map(int, told.split()[-2:])
    assert 1 < manifest < moments
    cli.ok("compress", *PCA)
    for moment in (1, manifest // 2, manifest, manifest + 1, manifest + 2, moments):
        assert killed(compressed, moment) == -signal.SIGKILL
        # The manifest is opened beside its place, then renamed into it.
        dims = (6,) if moment <= manifest + 1 else (5,)
        check(compressed, cli, *asked, dims)


@pytest.mark.parametrize("how", ["interrupted", "full"])
@pytest.mark.parametrize("moment", [1, 3, 5])
def test_interrupted_or_on_a_full_disk(
    how: str, moment: int, compressed: Path, cli: Cli, here: Here, asked: tuple[str, list[str]]
) -> None:
    code, _, said = here(compressed, how, moment)
    assert code == (130 if how == "interrupted" else 1), said
    assert "Traceback" not in said
    if how == "full":
        assert "No space left on device" in said or "disk" in said
    check(compressed, cli, *asked, (6,))
