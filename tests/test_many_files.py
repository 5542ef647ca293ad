"""Many files are read by processes: the same vectors as by threads, and no run is lost with one."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from paint_search import Index
from paint_search.errors import PaintSearchError
from paint_search.indexer import cores
from paint_search.painting import Progress

#: More than are read in threads.
MANY = 300


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures of noise, half in one folder and half in another, and a file that is none."""
    root = tmp_path_factory.mktemp("many")
    generator = np.random.default_rng(0)
    for number in range(MANY):
        folder = root / ("first" if number < MANY // 2 else "second")
        folder.mkdir(exist_ok=True)
        small = generator.integers(0, 256, (6, 8, 3), dtype=np.uint8)
        Image.fromarray(small).resize((96, 64)).save(folder / f"{number}.png")
    (root / "first/broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    return root


def decoding() -> list[int]:
    """Processes below this one that decode."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(status.read_text().rpartition(")")[2].split()[1])
            words = (status.parent / "cmdline").read_bytes()
        except OSError:  # gone meanwhile
            continue
        if parent == os.getpid() and b"loky" in words and b"resource_tracker" not in words:
            found.append(int(status.parent.name))
    return found


def test_processes_and_threads_read_alike(many: Path, tmp_path: Path) -> None:
    seen: set[int] = set()
    with Index.create(many, tmp_path / "at once", backbone="descriptors") as index:
        summary = index.add(report=lambda progress: seen.update(decoding()))
        assert (summary.new, summary.skipped) == (MANY, 1)
        ids, vectors = index.vectors()
        looks = {work.path: work for work in index.paintings()}
    assert bool(seen) == (cores() > 1)
    assert not decoding(), "none is left behind"
    with Index.create(many, tmp_path / "in halves", backbone="descriptors") as index:
        for half in ("first", "second"):
            index.add(many / half)
        others, expected = index.vectors()
        assert {work.path: work for work in index.paintings()} == looks
    assert ids == others
    np.testing.assert_array_equal(vectors, expected)


def test_a_decoder_that_is_killed_ends_the_run_with_a_sentence_and_loses_nothing(
    many: Path, tmp_path: Path
) -> None:
    if cores() == 1:
        pytest.skip("one core decodes in threads")

    def kill(progress: Progress) -> None:
        if progress.done >= 32 and (found := decoding()):
            os.kill(found[0], signal.SIGKILL)

    with Index.create(many, tmp_path / "index", backbone="descriptors") as index:
        with pytest.raises(PaintSearchError, match=r"decodes was killed at .*\.png") as caught:
            index.add(report=kill)
        assert "\n" not in str(caught.value)
        kept = len(index)
        assert 32 <= kept < MANY
        assert index.add().new == MANY - kept
    assert re.search("memory", str(caught.value))
