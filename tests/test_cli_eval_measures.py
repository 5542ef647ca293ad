"""``paint-search eval silhouette`` and ``retrieval``, against brute force and scikit-learn."""

from __future__ import annotations

import csv
import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import WORKS, Cli
from PIL import Image
from sklearn.metrics import silhouette_samples, silhouette_score
from studied import PAINTERS, Museum, read_csv, read_museum


@pytest.fixture(scope="module")
def held(museum: Path) -> Museum:
    return read_museum(museum)


# silhouette


def test_silhouettes_are_those_of_scikit_learn(in_museum: Path, cli: Cli, held: Museum) -> None:
    told = cli.ok("eval", "silhouette", "--min-works", 3, "--json").json
    for metric in ("cosine", "euclidean"):
        result = told[metric]
        expected = silhouette_score(held.vectors, held.artists, metric=metric)
        assert result["overall"] == pytest.approx(expected, abs=1e-4)
        each = silhouette_samples(held.vectors, held.artists, metric=metric)
        for row in result["per_label"]:
            assert row["value"] == pytest.approx(
                each[held.artists == row["label"]].mean(), abs=1e-4
            )
            assert row["low"] <= row["value"] <= row["high"]
        a, b = held.names[2], held.names[5]
        two = np.isin(held.artists, (a, b))
        expected = silhouette_score(held.vectors[two], held.artists[two], metric=metric)
        assert result["pairs"][2][5] == pytest.approx(expected, abs=1e-4)


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


def nearest(held: Museum, query: int, gallery: list[int]) -> list[int]:
    scores = held.vectors @ held.vectors[query]
    return sorted((row for row in gallery if row != query), key=lambda row: -scores[row])


def test_retrieval_leaves_one_out(in_museum: Path, cli: Cli, held: Museum) -> None:
    told = cli.ok("eval", "retrieval", "-k", 1, "-k", 5, "--json").json
    everyone = list(range(len(held.paths)))
    found = [held.artists[nearest(held, query, everyone)] for query in everyone]
    same = np.array([row == held.artists[query] for query, row in enumerate(found)])
    assert told["queries"] == len(everyone)
    assert told["summary"]["P@1"] == pytest.approx(same[:, 0].mean())
    assert told["summary"]["R@5"] == pytest.approx(same[:, :5].any(axis=1).mean())
    assert told["summary"]["R-precision"] == pytest.approx(same[:, : WORKS - 1].mean())
    assert told["summary"]["P@1 by chance"] == pytest.approx((WORKS - 1) / (len(everyone) - 1))
    low, high = told["intervals"]["P@1"]
    assert low <= told["summary"]["P@1"] <= high
    mistaken = Counter(
        (held.artists[query], row[0]) for query, row in enumerate(found) if not same[query, 0]
    )
    assert {(row["label"], row["taken_for"]): row["count"] for row in told["confusions"]} == (
        mistaken
    )


def test_retrieval_by_another_field(in_museum: Path, cli: Cli, held: Museum) -> None:
    told = cli.ok("eval", "retrieval", "--by", "support", "--json").json
    everyone = list(range(len(held.paths)))
    counts = Counter(held.supports.tolist())
    asking = [row for row in everyone if counts[held.supports[row]] > 1]
    first = [nearest(held, query, everyone)[0] for query in asking]
    expected = (held.supports[first] == held.supports[asking]).mean()
    assert {row["label"] for row in told["per_label"]} == set(held.supports[asking].tolist())
    assert told["summary"]["P@1"] == pytest.approx(expected)


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
    ranks = np.array(
        [
            1 + held.artists[nearest(held, query, gallery)].tolist().index(held.artists[query])
            for query in queries
        ]
    )
    assert told["queries"] == PAINTERS
    for k in (1, 10, 100):
        # One work to find: the precision where it stands, if that is within k.
        assert told["summary"][f"mAP@{k}"] == pytest.approx(
            np.where(ranks <= k, 1 / ranks, 0).mean()
        )
        assert told["summary"][f"R@{k}"] == pytest.approx((ranks <= k).mean())
        steps = np.arange(1, k + 1)
        precisions = (ranks[:, None] <= steps) / steps
        assert told["summary"][f"CSD mAP@{k}"] == pytest.approx(precisions.mean())
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
