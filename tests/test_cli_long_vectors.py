"""Vectors too long for the store: cached, compressed, then searched; the built-in's stand for them.

What is too long is set so low that the built-in backbone's 1,290 numbers are.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path
from uuid import UUID

import numpy as np
import pytest
from conftest import WORKS, Cli
from qdrant_server import QdrantServer

from paint_search import Index
from paint_search.errors import UsageError
from paint_search.indexer import FeatureCache
from paint_search.painting import painting_id

TOTAL = 10 * WORKS
LENGTH = 1290
INDEX = ("index", "paintings", "--backbone", "descriptors")
PCA = ("compress", "--method", "pca", "--dims", 6)
ROW_BYTES = 2 * LENGTH + 16


@pytest.fixture
def empty(painted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with ``paintings`` as current folder, and no index yet."""
    shutil.copytree(painted, tmp_path / "paintings")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def found(store: str = "edge", **limits: int) -> None:
    """Make an empty index where 1,000 numbers are too many."""
    Index.create("paintings", store=store, backbone="descriptors", longest=1000, **limits).close()


@pytest.fixture
def home(empty: Path) -> Path:
    """The same with such an index."""
    found()
    return empty


def cached() -> FeatureCache:
    return FeatureCache(Path(".paint-search/features"), LENGTH)


def some_painting() -> str:
    with Index.open() as index:
        return next(index.paintings()).path


def test_before_compressing_every_search_says_what_to_do(home: Path, cli: Cli) -> None:
    outcome = cli.ok(*INDEX)
    assert "cannot be searched yet" in outcome.err
    assert len(cached()) == TOTAL
    assert f"{TOTAL} unchanged" in cli.ok(*INDEX).out
    for command in (["similar", some_painting()], ["eval", "retrieval"], ["eval", "compression"]):
        refused = cli(*command)
        assert refused.code == 2
        assert "1,290 dimensions are too long to search" in refused.err
        assert len(refused.err.strip().splitlines()) <= 3
    told = cli.ok("info")
    assert "not yet" in told.out
    assert f"{TOTAL * ROW_BYTES / 1e6:.1f} MB" in told.out
    assert len(cli.ok("list", "--json").json["paintings"]) == TOTAL


def test_compressed_it_is_searched_and_later_paintings_go_past_the_cache(
    home: Path, cli: Cli
) -> None:
    late = next((home / "paintings").rglob("*.png"), None) or next(
        (home / "paintings").rglob("*.jpg")
    )
    aside = home / late.name
    late.rename(aside)
    cli.ok(*INDEX)
    summary = cli.ok(*PCA, "--json").json
    assert summary["paintings"] == TOTAL - 1
    with Index.open() as index:
        ids, compact = index.vectors()
        compressor = index.compressor
        assert compressor is not None
        with pytest.raises(UsageError, match="keeps no full vectors: 1,290"):
            index.vectors(which="full")
    expected = compressor.transform(cached().rows(ids))
    np.testing.assert_allclose(compact, expected, atol=1e-3)
    hits = cli.ok("similar", some_painting(), "--json").json["hits"]
    assert len(hits) == 10
    cli.ok("eval", "retrieval")
    assert "drift" in cli.ok("info").out
    aside.rename(late)
    assert "1 new" in cli.ok(*INDEX).out
    assert len(cached()) == TOTAL - 1
    with Index.open() as index:
        assert len(index.vectors()[0]) == TOTAL
    path = late.relative_to(home / "paintings").as_posix()
    assert cli.ok("similar", path, "--json").json["hits"]
    # Compressed anew, what the cache lacks is left for the next run.
    again = cli.ok(*PCA)
    assert "1 painting is not in the feature cache" in again.err
    assert "1 new" in cli.ok(*INDEX).out


def test_where_the_cache_has_no_room_a_fair_sample_is_taken_and_the_rest_later(
    empty: Path, cli: Cli
) -> None:
    home = empty
    found(cache_bytes=29 * ROW_BYTES)
    outcome = cli.ok(*INDEX)
    assert "a fair sample was indexed" in outcome.err
    share = (29 - 3 * 29**0.5) / TOTAL
    files = [file for file in (home / "paintings").rglob("*") if file.suffix in (".jpg", ".png")]
    assert len(files) == TOTAL
    names = [painting_id(file.relative_to(home / "paintings").as_posix()) for file in files]
    drawn = {name for name in names if UUID(name).int < share * 2**128}
    assert set(cached().ids) == drawn
    assert f"{TOTAL - len(drawn):,} files wait" in outcome.err
    cli.ok("compress", "--method", "pca", "--dims", 4)
    assert f"{TOTAL - len(drawn)} new" in cli.ok(*INDEX).out
    assert len(cached()) == len(drawn)
    with Index.open() as index:
        assert index.vectors()[1].shape == (TOTAL, 4)


def test_dropping_the_full_vectors_deletes_the_cache(home: Path, cli: Cli) -> None:
    cli.ok(*INDEX)
    outcome = cli.ok(*PCA, "--drop-full")
    assert f"instead of {TOTAL * ROW_BYTES / 1e6:.1f} MB" in outcome.err
    assert not Path(".paint-search/features").exists()
    assert cli.ok("similar", some_painting(), "--json").json["hits"]
    refused = cli(*PCA)
    assert refused.code == 2
    assert "keeps no full vectors to learn from" in refused.err
    assert not Path(".paint-search/features").exists()


def test_points_without_their_features_are_indexed_again(home: Path, cli: Cli) -> None:
    cli.ok(*INDEX)
    rows = Path(".paint-search/features/rows.f16")
    rows.write_bytes(rows.read_bytes()[: 25 * 2 * LENGTH + 11])
    outcome = cli.ok(*PCA)
    assert f"{TOTAL - 25} paintings are not in the feature cache" in outcome.err
    assert f"{TOTAL - 25} new" in cli.ok(*INDEX).out


def test_a_run_killed_between_batches_is_continued_by_the_next(home: Path, cli: Cli) -> None:
    program = "from paint_search.cli.app import main; main()"
    with subprocess.Popen([sys.executable, "-c", program, *INDEX]) as process:
        ids = Path(".paint-search/features/ids.bin")
        while process.poll() is None and not (ids.exists() and ids.stat().st_size):
            time.sleep(0.001)
        process.kill()
    assert len(cached()) > 0
    cli.ok(*INDEX)
    assert cli.ok(*PCA, "--json").json["paintings"] == TOTAL
    with Index.open() as index:
        names, compact = index.vectors()
        compressor = index.compressor
    assert len(set(names)) == TOTAL
    assert compressor is not None
    expected = compressor.transform(cached().rows(names))
    np.testing.assert_allclose(compact, expected, atol=1e-3)


def test_a_dense_autoencoder_is_refused_for_very_long_vectors() -> None:
    from paint_search.compress import make_compressor
    from paint_search.errors import CompressError

    vectors = np.random.default_rng(0).random((4, 20_000), dtype=np.float32)
    with pytest.raises(CompressError, match="20,000 dimensions are too many"):
        make_compressor("autoencoder", 2).fit(vectors)


@pytest.mark.parametrize("kind", ["faiss", "qdrant"])
def test_in_any_store(kind: str, empty: Path, cli: Cli) -> None:
    server = QdrantServer()
    found(server.url("works") if kind == "qdrant" else kind)
    cli.ok(*INDEX)
    assert len(cli.ok("list", "--json").json["paintings"]) == TOTAL
    cli.ok("copy", "--to", "edge", "--into", "copied")
    for folder in (".paint-search", "copied"):
        cli.ok(*PCA, "--index", folder)
    answers = []
    for folder in (".paint-search", "copied"):
        hits = cli.ok("similar", some_painting(), "--index", folder, "--json").json["hits"]
        answers.append([hit["id"] for hit in hits])
    assert answers[0] == answers[1]
    assert len(answers[0]) == 10
    server.die()
