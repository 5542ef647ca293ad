"""``paint-search similar``: every output form, filter and kind of query, against brute force."""

from __future__ import annotations

import csv
import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import WORKS, Cli
from numpy.typing import NDArray
from PIL import Image

from paint_search import Index

Vectors = dict[str, NDArray[np.float32]]


@pytest.fixture(scope="module")
def works(museum: Path) -> list[dict[str, str]]:
    with (museum / "paintings/works.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def vectors(museum: Path) -> Vectors:
    with Index.open(museum / ".paint-search") as index:
        ids, matrix = index.vectors()
        by_id = {painting.id: painting.path for painting in index.paintings()}
    return {by_id[key]: row for key, row in zip(ids, matrix, strict=True)}


def nearest(vectors: Vectors, direction: NDArray[np.float32], without: set[str]) -> list[str]:
    """Rank every other painting by cosine, ties by path."""
    unit = direction / np.linalg.norm(direction)
    scores = {path: float(vector @ unit) for path, vector in vectors.items()}
    return sorted(scores.keys() - without, key=lambda path: (-scores[path], path))


def hits(cli: Cli, *arguments: object) -> list[dict[str, Any]]:
    return list(cli.ok("similar", *arguments, "--json").json["hits"])


def paths(cli: Cli, *arguments: object) -> list[str]:
    return [hit["path"] for hit in hits(cli, *arguments)]


def test_json_hits_are_those_of_brute_force(in_museum: Path, cli: Cli, vectors: Vectors) -> None:
    for query in list(vectors)[::7]:
        found = hits(cli, query, "-k", 12)
        assert [hit["rank"] for hit in found] == list(range(1, 13))
        assert [hit["path"] for hit in found] == nearest(vectors, vectors[query], {query})[:12]
        for hit in found:
            assert hit["score"] == pytest.approx(vectors[query] @ vectors[hit["path"]], abs=2e-3)


def test_hits_carry_every_label_of_the_table(
    in_museum: Path, cli: Cli, works: list[dict[str, str]]
) -> None:
    rows = {row["path"]: row for row in works}
    for hit in hits(cli, works[0]["path"], "-k", 5):
        assert {name: str(hit[name]) for name in rows[hit["path"]]} == rows[hit["path"]]


def test_the_table_says_rank_score_artist_title_and_path(
    in_museum: Path, cli: Cli, works: list[dict[str, str]]
) -> None:
    query = works[0]["path"]
    outcome = cli.ok("similar", query, "-k", 4)
    lines = outcome.out.splitlines()
    assert lines[0].split()[:2] == ["rank", "score"]
    assert len(lines) == 5
    for line, hit in zip(lines[1:], hits(cli, query, "-k", 4), strict=True):
        for part in (str(hit["rank"]), f"{hit['score']:.3f}", hit["artist"], hit["title"]):
            assert part in line
        assert line.rstrip().endswith(hit["path"])
    assert "cosine" in outcome.err
    assert "\x1b" not in outcome.out + outcome.err


def test_csv_says_what_json_says(
    in_museum: Path, cli: Cli, works: list[dict[str, str]], tmp_path: Path
) -> None:
    query, table = works[3]["path"], tmp_path / "hits.csv"
    cli.ok("similar", query, "-k", 6, "--csv", table)
    with table.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for row, hit in zip(rows, hits(cli, query, "-k", 6), strict=True):
        assert row["copies"] == "0"
        for name in ("rank", "score", "id", "path", "artist", "title", "year", "support"):
            assert row[name] == str(hit[name])


def test_csv_of_no_hits_still_has_a_header(
    in_museum: Path, cli: Cli, works: list[dict[str, str]], tmp_path: Path
) -> None:
    table = tmp_path / "hits.csv"
    cli.ok("similar", works[0]["path"], "--csv", table, "--where", "year=3000..")
    assert table.read_text(encoding="utf-8") == "rank,score,path\n"


def test_quiet_prints_nothing(in_museum: Path, cli: Cli, works: list[dict[str, str]]) -> None:
    outcome = cli.ok("similar", works[0]["path"], "--quiet")
    assert (outcome.out, outcome.err) == ("", "")


def test_a_query_can_be_named_in_five_ways(
    in_museum: Path, cli: Cli, works: list[dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = works[7]["path"]
    expected = hits(cli, path)
    (painting,) = cli.ok("list", "--where", f"title={works[7]['title']}", "--json").json[
        "paintings"
    ]
    for name in (painting["id"], f"paintings/{path}", in_museum / "paintings" / path):
        assert hits(cli, name) == expected
    monkeypatch.chdir(in_museum / "paintings" / works[7]["artist"])
    assert hits(cli, Path(path).name) == expected


def test_filters_keep_exactly_what_they_say(
    in_museum: Path, cli: Cli, works: list[dict[str, str]]
) -> None:
    query = works[0]
    years = sorted(int(row["year"]) for row in works)
    low, high = years[8], years[20]
    one, other = works[4]["movement"], works[10]["movement"]
    cases = (
        (["--not", f"artist={query['artist']}"], lambda row: row["artist"] != query["artist"]),
        (["--where", f"movement={one}"], lambda row: row["movement"] == one),
        (
            ["--where", f"movement={one}", "--where", f"movement={other}"],
            lambda row: row["movement"] in (one, other),
        ),
        (["--where", f"year={low}..{high}"], lambda row: low <= int(row["year"]) <= high),
        (["--where", f"year={high}.."], lambda row: int(row["year"]) >= high),
        (["--not", f"year={low}..{high}"], lambda row: not low <= int(row["year"]) <= high),
        (["--where", f"YEAR={years[3]}"], lambda row: int(row["year"]) == years[3]),
        (
            ["--where", f"year=..{high}", "--not", f"movement={one}", "--where", "support=canvas"],
            lambda row: (
                int(row["year"]) <= high and row["movement"] != one and row["support"] == "canvas"
            ),
        ),
    )
    for options, wanted in cases:
        expected = {row["path"] for row in works if wanted(row)} - {query["path"]}
        assert expected, options
        assert set(paths(cli, query["path"], "-k", 99, *options)) == expected, options


def test_min_score_cuts_the_same_ranking(
    in_museum: Path, cli: Cli, works: list[dict[str, str]]
) -> None:
    query = works[5]["path"]
    everything = hits(cli, query, "-k", 99)
    least = (everything[3]["score"] + everything[4]["score"]) / 2
    assert hits(cli, query, "-k", 99, "--min-score", least) == everything[:4]


def test_several_examples_are_averaged_and_left_out(
    in_museum: Path, cli: Cli, vectors: Vectors
) -> None:
    one, other = list(vectors)[2], list(vectors)[19]
    expected = nearest(vectors, (vectors[one] + vectors[other]) / 2, {one, other})
    assert paths(cli, one, other, "-k", 8) == expected[:8]


def test_counter_examples_push_away_and_are_left_out(
    in_museum: Path, cli: Cli, vectors: Vectors
) -> None:
    query = list(vectors)[11]
    unlike = nearest(vectors, vectors[query], {query})[:2]
    pushed = vectors[query] - 0.5 * (vectors[unlike[0]] + vectors[unlike[1]]) / 2
    found = hits(cli, query, "--unlike", unlike[0], "--unlike", unlike[1], "-k", 9)
    assert [hit["path"] for hit in found] == nearest(vectors, pushed, {query, *unlike})[:9]


def test_k_of_a_milliard_gives_every_other_painting(
    in_museum: Path, cli: Cli, vectors: Vectors
) -> None:
    query = next(iter(vectors))
    assert paths(cli, query, "-k", 10**9) == nearest(vectors, vectors[query], {query})
    assert len(vectors) == 10 * WORKS


def test_nothing_found_is_said_and_is_no_failure(
    in_museum: Path, cli: Cli, works: list[dict[str, str]]
) -> None:
    outcome = cli.ok("similar", works[0]["path"], "--where", "year=3000..")
    assert outcome.out == "no painting meets these conditions\n"
    assert hits(cli, works[0]["path"], "--where", "year=3000..") == []


def test_a_contact_sheet_is_a_picture_of_query_and_hits(
    in_museum: Path, cli: Cli, works: list[dict[str, str]], tmp_path: Path
) -> None:
    small, large = tmp_path / "small.jpg", tmp_path / "large.png"
    for file, k in ((small, 2), (large, 20)):
        outcome = cli.ok("similar", works[0]["path"], "-k", k, "--sheet", file)
        assert str(file) in outcome.err
    with Image.open(small) as few, Image.open(large) as many:
        few.load()
        many.load()
        assert (few.format, many.format) == ("JPEG", "PNG")
        assert many.width * many.height > 3 * few.width * few.height
        assert len(few.convert("RGB").resize((64, 64)).getcolors(4096) or ()) > 50


def test_a_page_stands_alone_and_trusts_no_label(studio: Path, cli: Cli) -> None:
    table = studio / "works.csv"
    rows = (studio / "paintings/works.csv").read_text(encoding="utf-8").splitlines()
    evil = '<script>alert("x")</script> $name & Söhne'
    with table.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("path", "title"))
        writer.writerows((f"paintings/{row.split(',')[0]}", evil) for row in rows[1:])
    cli.ok("index", "paintings", "--table", table)
    cli.ok("similar", rows[1].split(",")[0], "-k", 5, "--html", "hits.html")
    page = (studio / "hits.html").read_text(encoding="utf-8")
    assert "<script>alert" not in page
    assert page.count("&lt;script&gt;") >= 5
    assert page.count("data:image/jpeg;base64,") == 6
    assert not re.search(r"""(src|href)=["']?(https?:)?//""", page)


def test_a_hit_whose_file_has_gone_still_has_its_place_on_the_sheet(
    studio: Path, cli: Cli, vectors: Vectors
) -> None:
    query = next(iter(vectors))
    gone = nearest(vectors, vectors[query], {query})[0]
    (studio / "paintings" / gone).unlink()
    assert paths(cli, query, "-k", 3, "--sheet", "hits.jpg", "--html", "hits.html")[0] == gone
    assert (studio / "hits.jpg").stat().st_size > 0


def test_a_file_of_the_name_of_an_indexed_one_is_its_own_query(
    studio: Path,
    cli: Cli,
    works: list[dict[str, str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The file that is there wins over the indexed path of the same text, and hides nothing."""
    shadowed, real = works[0], works[WORKS]
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / shadowed["artist"]).mkdir(parents=True)
    shutil.copyfile(studio / "paintings" / real["path"], elsewhere / shadowed["path"])
    monkeypatch.chdir(elsewhere)
    found = hits(cli, shadowed["path"], "-k", 99, "--index", studio / ".paint-search")
    assert found[0]["path"] == real["path"]
    assert found[0]["score"] == pytest.approx(1, abs=2e-3)
    assert shadowed["path"] in [hit["path"] for hit in found]


def test_a_sheet_of_an_unknown_kind_is_refused(
    in_museum: Path, cli: Cli, works: list[dict[str, str]], tmp_path: Path
) -> None:
    outcome = cli("similar", works[0]["path"], "--sheet", tmp_path / "hits.xyz")
    assert outcome.code in (1, 2)
    assert "name a .jpg or .png file" in outcome.err
    assert not list(tmp_path.glob("hits*"))


def test_json_has_one_line_even_with_a_sheet(
    in_museum: Path, cli: Cli, works: list[dict[str, str]], tmp_path: Path
) -> None:
    outcome = cli.ok("similar", works[0]["path"], "--json", "--sheet", tmp_path / "hits.jpg")
    assert outcome.out.count("\n") == 1
    assert json.loads(outcome.out)["hits"]


def test_an_indexed_painting_is_known_through_a_link_too(
    studio: Path, cli: Cli, works: list[dict[str, str]], tmp_path: Path
) -> None:
    (tmp_path / "link").symlink_to(studio / "paintings")
    path = works[2]["path"]
    assert hits(cli, tmp_path / "link" / path) == hits(cli, path)
    cli.ok("index", tmp_path / "link", "--index", "other", "--backbone", "descriptors")
    by_link = paths(cli, tmp_path / "link" / path, "--index", "other")
    assert paths(cli, studio / "paintings" / path, "--index", "other") == by_link
    assert cli("index", studio / "paintings", "--index", "other").code == 0
