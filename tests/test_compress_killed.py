"""``compress`` killed at any moment, or on a full disk: the index is the old or the new one."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import WORKS, Cli

from paint_search.errors import StoreError

TOTAL = 10 * WORKS
PCA = ("--method", "pca", "--dims", 6)


def first(cli: Cli) -> str:
    return str(cli.ok("list", "--json").json["paintings"][0]["path"])


def paths(cli: Cli, query: str) -> list[str]:
    return [hit["path"] for hit in cli.ok("similar", query, "--json").json["hits"]]


KILL = """
import os, signal, sys
from unittest import mock
from paint_search import Index
from paint_search.compress import Compressor
from paint_search.index.manifest import Manifest
from paint_search.search.stores.edge import EdgeStore
import paint_search.index.compression as compressing

def die(*args, **kwargs):
    os.kill(os.getpid(), signal.SIGKILL)

where = {
    "fit": (compressing, "_fit"), "upsert": (EdgeStore, "upsert"),
    "optimize": (EdgeStore, "optimize"), "save": (Compressor, "save"),
    "measure": (compressing, "measure"), "manifest": (Manifest, "write"),
    "swept": (compressing, "sweep"),
}
owner, name = where[sys.argv[2]]
index = Index.open(sys.argv[1])
with mock.patch.object(owner, name, die):
    index.compress("pca", 5)
"""


@pytest.mark.parametrize(
    "moment", ["fit", "upsert", "optimize", "save", "measure", "manifest", "swept"]
)
def test_killed_at_any_moment_the_index_is_the_old_or_the_new_one(
    compressed: Path, cli: Cli, moment: str
) -> None:
    query = first(cli)
    found = paths(cli, query)
    run = subprocess.run(
        [sys.executable, "-c", KILL, str(compressed / ".paint-search"), moment],
        capture_output=True,
        text=True,
    )
    assert run.returncode == -signal.SIGKILL, run.stderr
    facts = cli.ok("info", "--json").json
    assert facts["paintings"] == TOTAL
    assert facts["manifest"]["compression"]["dims"] == (5 if moment == "swept" else 6)
    assert paths(cli, query) == found
    folders = [f.name for f in (compressed / ".paint-search").iterdir() if f.is_dir()]
    assert len(folders) == 2, "what the killed run left is gone"
    cli.ok("compress", *PCA)
    assert paths(cli, query) == found


def test_a_full_disk_in_the_middle_leaves_the_old_state(
    compressed: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    from paint_search.search.stores.edge import EdgeStore

    query = first(cli)
    found = paths(cli, query)

    def full(self: EdgeStore) -> None:
        raise StoreError("the disk is full (1 MB left, 64 MB needed); free some space")

    with monkeypatch.context() as patch:
        patch.setattr(EdgeStore, "optimize", full)
        outcome = cli("compress", *PCA)
        assert (outcome.code, "disk is full" in outcome.err) == (1, True)
    assert paths(cli, query) == found
    folders = [f.name for f in (compressed / ".paint-search").iterdir() if f.is_dir()]
    assert len(folders) == 2


def test_ctrl_c_exits_130_and_leaves_the_old_state(
    compressed: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    from paint_search.search.stores.edge import EdgeStore

    query = first(cli)
    found = paths(cli, query)

    def interrupted(self: EdgeStore) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(EdgeStore, "optimize", interrupted)
        assert cli("compress", *PCA).code == 130
    assert paths(cli, query) == found
    assert len([f for f in (compressed / ".paint-search").iterdir() if f.is_dir()]) == 2


def test_ctrl_c_right_after_the_new_manifest_leaves_the_new_state(
    compressed: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    from paint_search.index.manifest import Manifest

    query = first(cli)
    found = paths(cli, query)
    write = Manifest.write

    def written_then_interrupted(self: Manifest, folder: Path) -> None:
        write(self, folder)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Manifest, "write", written_then_interrupted)
        assert cli("compress", "--method", "pca", "--dims", 5).code == 130
    facts = cli.ok("info", "--json").json
    assert facts["manifest"]["compression"]["dims"] == 5
    assert paths(cli, query) == found
    assert len([f for f in (compressed / ".paint-search").iterdir() if f.is_dir()]) == 2
