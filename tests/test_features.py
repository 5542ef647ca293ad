"""The feature cache: whole rows only, the last of an id wins, bounded, killed and full."""

import shutil
import signal
import subprocess
import sys
import uuid
from collections import namedtuple
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from paint_search.errors import StoreError
from paint_search.indexer import FeatureCache

LENGTH = 50
IDS = [str(uuid.uuid5(uuid.NAMESPACE_URL, str(number))) for number in range(12)]


def rows(*values: float) -> Any:
    return np.full((len(values), LENGTH), 1.0) * np.array(values)[:, None]


@given(st.lists(st.lists(st.integers(0, 11), min_size=1, max_size=4), max_size=8))
def test_it_is_a_mapping_that_survives_being_opened_again(batches: list[list[int]]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        cache, model, value = FeatureCache(Path(folder) / "f", LENGTH), {}, 0
        for batch in batches:
            values = [value + place for place in range(len(batch))]
            cache.append([IDS[number] for number in batch], rows(*values))
            model |= dict(zip((IDS[number] for number in batch), values, strict=True))
            value += len(batch)
        for view in (cache, FeatureCache(Path(folder) / "f", LENGTH)):
            assert set(view.ids) == set(model)
            assert len(view) == len(model)
            assert view.rows(view.ids)[:, 0].tolist() == [model[text] for text in view.ids]
            assert view.view(view.ids)[:, 0].tolist() == [model[text] for text in view.ids]


@pytest.mark.parametrize(("file", "left"), [("rows.f16", 2 * 2 * LENGTH + 7), ("ids.bin", 35)])
def test_half_written_rows_do_not_count(tmp_path: Path, file: str, left: int) -> None:
    FeatureCache(tmp_path, LENGTH).append(IDS[:4], rows(0, 1, 2, 3))
    whole = (tmp_path / file).read_bytes()
    (tmp_path / file).write_bytes(whole[:left])
    cache = FeatureCache(tmp_path, LENGTH)
    assert cache.ids == IDS[:2]
    cache.append(IDS[2:3], rows(9))
    assert FeatureCache(tmp_path, LENGTH).rows(IDS[:3])[:, 0].tolist() == [0, 1, 9]


def test_a_killed_writer_leaves_whole_rows(tmp_path: Path) -> None:
    program = f"""
import sys, uuid, numpy as np
from pathlib import Path
from paint_search.indexer import FeatureCache
cache = FeatureCache(Path(sys.argv[1]), {LENGTH})
for number in range(10**6):
    cache.append([str(uuid.UUID(int=number))], np.full((1, {LENGTH}), number % 1000))
    if number == 20: print("running", flush=True)
"""
    command = [sys.executable, "-c", program, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGKILL)
    cache = FeatureCache(tmp_path, LENGTH)
    assert len(cache) >= 21
    numbers = [uuid.UUID(text).int % 1000 for text in cache.ids]
    np.testing.assert_array_equal(cache.rows(cache.ids), rows(*numbers))


def test_it_keeps_within_its_limit(tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path, LENGTH, limit=3 * (2 * LENGTH + 16) + 5)
    assert (cache.capacity, cache.room) == (3, 3)
    cache.append(IDS[:2], rows(0, 1))
    with pytest.raises(StoreError, match="full at 3 vectors; run paint-search compress"):
        cache.append(IDS[2:4], rows(2, 3))
    cache.append(IDS[2:3], rows(2))
    assert cache.room == 0
    assert cache.bytes_on_disk == sum(f.stat().st_size for f in tmp_path.iterdir()) == 348


def test_a_full_disk_is_a_clear_error_and_nothing_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = FeatureCache(tmp_path, LENGTH)
    cache.append(IDS[:1], rows(5))
    usage = namedtuple("usage", "total used free")
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda folder: usage(10**9, 10**9, 10**6))
        with pytest.raises(StoreError, match=r"disk of .* is full \(1 MB left"):
            cache.append(IDS[1:2], rows(6))
    assert FeatureCache(tmp_path, LENGTH).ids == IDS[:1]
    cache.append(IDS[1:2], rows(6))
    assert cache.rows(IDS[1:2])[0, 0] == 6


def test_deleted_it_leaves_nothing(tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path / "features", LENGTH)
    cache.append(IDS[:1], rows(5))
    cache.delete()
    assert not (tmp_path / "features").exists()
    assert len(cache) == 0
