"""The ink corpus: its table, its determinism, and that its truths are what is on the paper."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from conftest import Cli
from inked import SEEN

from paint_search.demo import paint_ink_corpus
from paint_search.indexer.backbones import ink
from paint_search.indexer.images import decode

WORKS = 30
COLUMNS = ["path", "title", "shape", "eyes", "strokes", "stroke_count", "blackness", "eye_fill"]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ink") / "new"
    assert paint_ink_corpus(folder, works=WORKS) == folder / "works.csv"
    return folder


def table(folder: Path) -> list[dict[str, str]]:
    with (folder / "works.csv").open(newline="", encoding="utf-8") as handle:
        return list(csv.DictReader(handle))


def test_the_table_has_a_row_a_picture_and_says_what_it_is(corpus: Path) -> None:
    rows = table(corpus)
    assert list(rows[0]) == COLUMNS
    assert sorted(row["path"] for row in rows) == sorted(file.name for file in corpus.glob("*.jpg"))
    assert {row["shape"] for row in rows} == {"circular", "square", ""}
    assert {row["eyes"] for row in rows} == {"0", "1", "2+"}
    assert {row["strokes"] for row in rows} == {"1", "2", "3", "4+"}
    for row in rows:
        assert row["strokes"] == (row["stroke_count"] if int(row["stroke_count"]) < 4 else "4+")
        assert (row["eyes"] == "0") == (float(row["eye_fill"]) == 0)


def test_the_truths_are_what_is_on_the_paper(corpus: Path) -> None:
    rows = table(corpus)
    pixels = np.stack([decode(corpus / row["path"], SEEN).pixels for row in rows])
    values = ink.read(ink.describe(pixels), ["blackness", "eye-fill", "eyes", "grey"])
    blackness, fill, eyes, grey = values.T
    truth = [np.array([float(row[name]) for row in rows]) for name in ("blackness", "eye_fill")]
    assert np.abs(blackness - truth[0]).max() < 0.03
    assert np.median(np.abs(fill - truth[1])) < 0.005
    named = ["2+" if count > 1 else f"{count:.0f}" for count in eyes]
    # A dry brush may leave open what was meant to be closed.
    assert np.mean([name == row["eyes"] for name, row in zip(named, rows, strict=True)]) > 0.9
    assert grey.max() < ink.GREY / 2


def test_fewer_works_are_the_first_to_the_byte_and_another_seed_paints_others(
    corpus: Path, tmp_path: Path
) -> None:
    painted: list[None] = []
    paint_ink_corpus(tmp_path / "a", works=4, done=lambda: painted.append(None))
    paint_ink_corpus(tmp_path / "b", works=4, seed=8)
    assert len(painted) == 4
    assert table(tmp_path / "a") == table(corpus)[:4]
    for row in table(tmp_path / "a"):
        picture = (tmp_path / "a" / row["path"]).read_bytes()
        assert picture == (corpus / row["path"]).read_bytes()
        assert picture != (tmp_path / "b" / row["path"]).read_bytes()


def test_a_corpus_that_there_is_not_is_refused(cli: Cli, tmp_path: Path) -> None:
    outcome = cli("demo", tmp_path / "demo", "--corpus", "oil")
    assert outcome.code == 2
    assert "unknown --corpus 'oil': use painters or ink" in outcome.err
    assert not (tmp_path / "demo").exists()


def test_the_demo_paints_and_indexes_the_ink_corpus(cli: Cli, tmp_path: Path) -> None:
    told = cli.ok("demo", tmp_path / "demo", "--corpus", "ink", "--works", 6)
    assert "indexed 6 paintings" in told.out
    assert "painting 6 works of ink" in told.err
    assert (tmp_path / "demo" / "hits.jpg").exists()
    told = cli.ok("info", "--index", tmp_path / "demo" / ".paint-search", "--json")
    assert told.json["fields"]["eyes"] == 6
