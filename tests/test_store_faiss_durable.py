"""Kills, damage and full disks: the FAISS index is mended, and no point is lost."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import faiss
import pytest
from clustered import COUNT, clustered, filled, nearest_to, opened, points, recall
from test_full_disk import mounted, needs_root

from paint_search.errors import StoreError
from paint_search.painting import painting_id


def cut(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 2)


def overwrite(file: Path) -> None:
    with file.open("r+b") as stream:
        stream.seek(file.stat().st_size // 3)
        stream.write(b"\xff" * (file.stat().st_size // 3))


def empty(file: Path) -> None:
    file.write_bytes(b"")


def swap(file: Path) -> None:
    faiss.write_index(faiss.IndexFlatIP(3), str(file))


@pytest.mark.parametrize("damage", [cut, overwrite, empty, swap, Path.unlink])
@pytest.mark.parametrize("factory", [None, "PCA24,IVF16,PQ8x4"])
def test_a_damaged_index_file_is_built_anew(
    tmp_path: Path, damage: Callable[[Path], object], factory: str | None
) -> None:
    store = filled(tmp_path, factory)
    store.optimize()
    said = store.describe()
    store.close()
    (file,) = tmp_path.rglob("*.faiss")
    damage(file)
    (tmp_path / "store" / "vectors.new.faiss").write_bytes(b"half")
    store = opened(tmp_path, factory)
    assert recall(store, clustered(), clustered(40, seed=9)) > 0.9
    assert store.describe() == said
    assert list(tmp_path.rglob("vectors*")) == [file]
    store.close()


KILLED = """
import os, signal, sys
sys.path.insert(0, sys.argv[2])
from pathlib import Path
from clustered import *
store = opened(Path(sys.argv[1]))
vectors = clustered()
for start in range(0, COUNT, 50):
    store.upsert(points(vectors[start : start + 50], start))
    if start % 500 == 250:
        store.delete([painting_id(str(start))])
        store.optimize()
        nearest_to(vectors[0], store, 3)
    print(start + 50, flush=True)
"""


@pytest.mark.parametrize("moment", [1, 7, 20, 33, 46, 59])
def test_a_kill_loses_nothing_that_was_written(tmp_path: Path, moment: int) -> None:
    """Killed while it writes or builds, after so many writes were confirmed."""
    arguments = [sys.executable, "-c", KILLED, str(tmp_path), str(Path(__file__).parent)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for _ in range(moment):
            done = int(process.stdout.readline())
        os.kill(process.pid, signal.SIGKILL)
        done = max([done, *(int(line) for line in process.stdout if line.endswith("\n"))])
    store = opened(tmp_path)
    kept = {int(record.payload["path"]) for record in store.scroll(vectors=True)}
    deleted = set(range(250, COUNT, 500))
    assert kept >= set(range(done)) - deleted
    assert len(kept) % 50 in {0, *(-n % 50 for n in range(7))}, "a write is whole or not there"
    vectors = clustered()
    for number in sorted(kept)[:: len(kept) // 20 or 1]:
        assert nearest_to(vectors[number], store, 1, exact=True)[0].record.id == painting_id(
            str(number)
        )
    store.upsert(points(vectors))
    store.optimize()
    assert recall(store, vectors, clustered(30, seed=9)) > 0.95
    store.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    yield from mounted(tmp_path / "disk", "8m")


@needs_root
def test_a_full_disk_is_said_and_nothing_is_lost(small_disk: Path) -> None:
    store = filled(small_disk)
    query, found = clustered(1)[0], []
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(shutil.disk_usage(small_disk).free - 400_000))
    with pytest.raises(StoreError, match="is full; free some space"):
        store.optimize()
    assert not list(small_disk.rglob("*.new.*"))
    too_many = points(clustered(40_000, seed=1), start=COUNT)
    store.upsert(too_many[:10])
    with pytest.raises(StoreError, match="is full; free some space"):
        store.upsert(too_many)
    count = store.count()
    assert count == COUNT + 10
    found = nearest_to(query, store, 10)
    ballast.unlink()
    store.optimize()
    assert store.approximate()
    assert store.count() == count
    assert nearest_to(query, store, 1)[0].score == pytest.approx(found[0].score, abs=1e-5)
    store.close()
