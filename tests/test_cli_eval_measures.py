"""``paint-search eval silhouette`` and ``retrieval``: what is printed, written and refused."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import WORKS, Cli
from PIL import Image
from sklearn.metrics import silhouette_score
from studied import PAINTERS, Museum, read_csv, read_museum

from paint_search.eval import retrieval


@pytest.fixture(scope="module")
def held(museum: Path) -> Museum:
    return read_museum(museum)


# silhouette


def test_a_pair_of_silhouettes_is_said_with_both_distances(
    in_museum: Path, cli: Cli, held: Museum
) -> None:
    a, b = held.names[2], held.names[5]
    said = cli.ok("eval", "silhouette", "--min-works", 3, "--pair", a, b).out
    two = np.isin(held.artists, (a, b))
    figures = re.findall(r"(-?\d\.\d{3}) with (\w+) distance", said)
    assert [name for _, name in figures] == ["cosine", "Euclidean"]
    for value, name in figures:
        expected = silhouette_score(held.vectors[two], held.artists[two], metric=name.lower())
        assert float(value) == pytest.approx(expected, abs=2e-3)


def test_silhouettes_of_pairs_are_listed_best_and_worst(
    in_museum: Path, cli: Cli, tmp_path: Path
) -> None:
    file = tmp_path / "pairs.csv"
    outcome = cli.ok("eval", "silhouette", "--min-works", 3, "--top", 2, "--csv", file)
    rows = read_csv(file)
    pairs = [row for row in rows if row["b"]]
    values = [float(row["cosine"]) for row in pairs]
    assert len(rows) == 45 + PAINTERS
    assert values == sorted(values, reverse=True)
    best, rest = outcome.out.split("stand apart worst")
    worst, middle = rest.split("the pair in the middle")
    assert all(row["a"] in best and row["b"] in best for row in pairs[:2])
    assert all(row["a"] in worst and row["b"] in worst for row in pairs[-2:])
    assert pairs[22]["a"] in middle
    assert re.search(rf"cosine .* 45 +{sum(value < 0 for value in values)} ", best)


def test_silhouettes_refuse_too_few_works(in_museum: Path, cli: Cli) -> None:
    outcome = cli("eval", "silhouette", "--min-works", WORKS + 1)
    assert outcome.code == 2
    assert "two artists of at least 4 works (--min-works)" in outcome.err


def test_compact_vectors_are_refused_until_there_are_any(in_museum: Path, cli: Cli) -> None:
    outcome = cli("eval", "silhouette", "--vectors", "compact")
    assert outcome.code == 2
    assert "no compact vectors" in outcome.err
    assert "full or compact" in cli("eval", "silhouette", "--vectors", "both").err


# retrieval


def split_file(held: Museum, file: Path) -> tuple[list[int], list[int]]:
    """Let the first work of each painter ask the second; the third takes no part."""
    rows = [np.flatnonzero(held.artists == name).tolist() for name in held.names]
    queries, gallery = ([row[place] for row in rows] for place in (0, 1))
    with file.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(("path", "split"))
        writer.writerows((held.paths[row], "query") for row in queries)
        writer.writerows((held.paths[row], "gallery") for row in gallery)
    return queries, gallery


def test_a_split_file_says_who_asks_whom(
    in_museum: Path, cli: Cli, held: Museum, tmp_path: Path
) -> None:
    queries, gallery = split_file(held, tmp_path / "split.csv")
    told = cli.ok("eval", "retrieval", "--split", tmp_path / "split.csv", "--json").json
    expected = retrieval(
        held.vectors, held.artists.tolist(), ks=(1, 10, 100), queries=queries, gallery=gallery
    )
    assert told["queries"] == PAINTERS
    means = expected.summary()
    assert {name: told["summary"][name] for name in means} == pytest.approx(means, abs=1e-6)
    for column, k in enumerate((1, 10, 100)):
        mean = expected.rank_precision[:, column].mean()
        assert told["summary"][f"CSD mAP@{k}"] == pytest.approx(mean, abs=1e-6)
    assert told["summary"]["P@1 by chance"] == pytest.approx(1 / PAINTERS)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "there is no split file"),
        ("path,split\n{0},train\n", "puts a work into 'train': write query or gallery"),
        ("path,split\n{0},query\n", "names no gallery work of this index"),
        ("path,part\n{0},query\n", "needs the columns path and split"),
    ],
)
def test_split_files_that_cannot_be_used(
    in_museum: Path, cli: Cli, held: Museum, tmp_path: Path, content: str | None, message: str
) -> None:
    file = tmp_path / "split.csv"
    if content:
        file.write_text(content.format(held.paths[0]), encoding="utf-8")
    outcome = cli("eval", "retrieval", "--split", file)
    assert outcome.code == 2
    assert message in outcome.err


def test_copies_are_left_out_when_asked(studio: Path, cli: Cli, held: Museum) -> None:
    original = Path("paintings") / held.paths[0]
    copy = original.with_name("copy.jpg")
    Image.open(original).save(copy, quality=85)
    with Path("paintings/works.csv").open("a", encoding="utf-8") as table:
        table.write(f"{copy.relative_to('paintings')},{held.artists[0]},copy,1900,none,none\n")
    cli.ok("index", "paintings", "--quiet")
    everything, without = (
        cli.ok("eval", "retrieval", "--json", *options).json
        for options in ([], ["--exclude-copies"])
    )
    assert (everything["queries"], everything["copies_left_out"]) == (len(held.paths) + 1, 0)
    assert (without["queries"], without["copies_left_out"]) == (len(held.paths), 1)


def test_the_hardest_artists_are_named(in_museum: Path, cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "artists.csv"
    outcome = cli.ok("eval", "retrieval", "--csv", file, "--min-works", WORKS, "--top", 3)
    rows = sorted(read_csv(file), key=lambda row: (float(row["mAP@10"]), row["artist"]))
    hardest = outcome.out.split("the hardest")[1].split("who is taken")[0]
    listed = [line.split("  ")[0] for line in hardest.splitlines()[2:] if line.strip()]
    assert listed == [row["artist"] for row in rows[:3]]
    nobody = cli.ok("eval", "retrieval", "--min-works", WORKS + 1).out
    assert rows[0]["artist"] not in nobody.split("the hardest")[1].split("who is taken")[0]


def test_single_works_cannot_be_retrieved(in_museum: Path, cli: Cli, held: Museum) -> None:
    only: list[Any] = [
        f"--where=path={held.paths[held.artists.tolist().index(name)]}" for name in held.names
    ]
    outcome = cli("eval", "retrieval", *only)
    assert outcome.code == 1
    assert "Nothing to measure" in outcome.err
