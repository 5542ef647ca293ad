"""Paintings that a program hands over: vectors made elsewhere, pictures, labels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from conftest import WORKS, Cli
from PIL import Image

from paint_search import Index
from paint_search.errors import BackboneError, ImageError, UsageError

TOTAL = 10 * WORKS


def test_vectors_made_elsewhere(studio: Path) -> None:
    """Vectors of one index go into another as they are, under names that are no files."""
    with Index.open() as index:
        vectors, fingerprint = index.vectors()[1][:5] * 3, index.fingerprint
        keys = [f"catalogue/{number}" for number in range(5)]
        labels = [{"artist": "Ann Other", "year": np.int64(1900 + n)} for n in range(5)]
        written = index.upsert(keys, vectors, labels=labels, fingerprint=fingerprint)
        assert written == 5
        assert len(index) == TOTAL + 5
        added = [index.get(key) for key in keys]
        assert [(p.path, p.artist, p.year) for p in added] == [
            (key, "Ann Other", 1900 + n) for n, key in enumerate(keys)
        ]
        hits = index.similar(keys[2], k=1, exclude={"artist": "Ann Other"})
        assert hits[0].score == pytest.approx(1, abs=1e-3)
        assert index.upsert(keys, vectors, labels=labels, fingerprint=fingerprint) == 5
        assert len(index) == TOTAL + 5, "the same again replaces"


def test_pictures_that_are_no_files(studio: Path, cli: Cli) -> None:
    red, noise = Image.new("RGB", (90, 60), "red"), np.random.default_rng(3)
    pixels = noise.integers(0, 255, (50, 70, 3), dtype=np.uint8)
    with Index.open() as index:
        index.upsert(["red", "noise.png"], images=[red, pixels], labels=[{"title": "Red"}, {}])
        assert len(index) == TOTAL + 2
        assert index.get("red").title == "Red"
        assert index.similar(red, k=1)[0].path == "red"
        assert index.similar("noise.png", k=3, exact=True)
        expected = index.embed([pixels])[0]
        where = index.vectors()[0].index(index.get("noise.png").id)
        np.testing.assert_allclose(index.vectors()[1][where], expected, atol=2e-3)
        summary = index.add(prune=True)
        assert (summary.gone, summary.pruned, summary.unchanged) == (0, 0, TOTAL)
        assert "red" in index
        index.remove("red", "noise.png")
    assert cli.ok("info", "--json").json["paintings"] == TOTAL


def test_files_of_the_corpus_keep_what_they_were_given(studio: Path) -> None:
    """Neither a second run nor the labels of folders undo what a program has said."""
    Image.new("RGB", (80, 80), "navy").save(studio / "paintings/new.jpg")
    with Index.open() as index:
        assert index.upsert(["new.jpg"], labels=[{"artist": "Ann Other", "Mood ": "calm"}]) == 1
        one = list(index)[7]
        index.upsert([one.id], labels=[{"artist": "Relabelled"}])
        summary = index.add()
        assert (summary.new, summary.changed, summary.relabelled) == (0, 0, 0)
        assert index.get("new.jpg")["artist"] == "Ann Other"
        assert index.get("new.jpg")["mood"] == "calm"
        assert index.get(one.path).to_dict() == {
            "id": one.id,
            "path": one.path,
            "artist": "Relabelled",
        }
        before = index.vectors()
        Image.new("RGB", (80, 80), "olive").save(studio / "paintings/new.jpg")
        assert index.add().changed == 1, "a file that changed is the corpus's again"
        after = index.vectors()
        assert before[0] == after[0]
        assert not np.array_equal(before[1], after[1])


def test_what_is_upserted_into_a_compressed_index_is_compressed(studio: Path) -> None:
    with Index.open() as index:
        index.compress("pca", 8)
        index.upsert(["red"], images=[Image.new("RGB", (64, 64), "red")])
        ids, compact = index.vectors(which="compact")
        assert compact.shape == (TOTAL + 1, 8)
        assert index.compressor is not None
        full = index.vectors(which="full")[1]
        row = ids.index(index.get("red").id)
        np.testing.assert_allclose(
            compact[row], index.compressor.transform(full[row : row + 1])[0], atol=2e-3
        )


@pytest.mark.parametrize("store", ["faiss"])
def test_other_stores_take_them_too(studio: Path, tmp_path: Path, store: str) -> None:
    with Index.open() as index:
        index.copy(store, tmp_path / "copy")
    with Index.open(tmp_path / "copy") as index:
        index.upsert(["red"], images=[Image.new("RGB", (64, 64), "red")], labels=[{"year": 1999}])
        assert index.similar(Image.new("RGB", (32, 32), "red"), k=1)[0]["year"] == 1999


def test_unsound_things_are_refused_and_nothing_is_written(studio: Path) -> None:
    with Index.open() as index:
        good, named = index.vectors()[1][:2], index.fingerprint
        bad = good.copy()
        bad[1, 0] = np.nan
        blank = Image.new("RGB", (9, 9))
        calls = (
            (UsageError, "not finite", lambda: index.upsert(["a", "b"], bad, fingerprint=named)),
            (
                UsageError,
                "numbers",
                lambda: index.upsert(["a", "b"], good[:, 1:], fingerprint=named),
            ),
            (UsageError, "2 vectors", lambda: index.upsert(["a"], good, fingerprint=named)),
            (UsageError, "fingerprint", lambda: index.upsert(["a", "b"], good)),
            (BackboneError, "cannot be", lambda: index.upsert(["a", "b"], good, fingerprint="x")),
            (UsageError, "not both", lambda: index.upsert(["a"], good[:1], images=[blank])),
            (ImageError, "bytes", lambda: index.upsert(["a", "b"], images=[blank, b"no"])),
            (UsageError, "no file", lambda: index.upsert(["nothing.jpg"])),
            (UsageError, "twice", lambda: index.upsert(["a", "./a"], images=[blank, blank])),
            (UsageError, "corpus", lambda: index.upsert(["../a"], images=[blank])),
            (UsageError, "corpus", lambda: index.upsert(["/etc/a"], images=[blank])),
            (UsageError, "label", lambda: index.upsert(["a"], images=[blank], labels=[{"x": {}}])),
        )
        for error, words, call in calls:
            with pytest.raises(error, match=words):
                call()
        assert len(index) == TOTAL
