"""``info``, ``list``, ``remove``, ``export``, ``backbones`` and ``demo``."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import TINY, WORKS, Cli
from PIL import Image

from paint_search import Index
from paint_search.errors import UsageError

TOTAL = 10 * WORKS


def listed(cli: Cli, *arguments: object) -> list[dict[str, Any]]:
    return list(cli.ok("list", *arguments, "--json").json["paintings"])


def rows_of(file: Path) -> list[dict[str, str]]:
    with file.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def test_info_says_what_is_in_the_index_and_how_it_is_searched(in_museum: Path, cli: Cli) -> None:
    text = cli.ok("info").out
    for words in (
        str(in_museum / ".paint-search"),
        f"{TOTAL} below {in_museum / 'paintings'}",
        "descriptors, ",
        f"support ({TOTAL})",
        "exact",
        "Half of the pairs by one artist",
        "MB on disk",
        "works.csv",
    ):
        assert words in text
    facts = cli.ok("info", "--json").json
    assert facts["paintings"] == facts["manifest"]["paintings"] == TOTAL
    assert facts["fields"]["movement"] == TOTAL
    assert facts["recall"] is None
    assert facts["bytes_on_disk"] > 0


def test_info_of_a_network_says_its_engine_and_weights(
    tiny_museum: Path, tiny_weights: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tiny_museum)
    text = cli.ok("info").out
    assert TINY in text
    assert tiny_weights.name in text
    assert str(tiny_weights) not in text
    assert "OpenVINO on the CPU, " in text


def test_list_is_sorted_by_path_and_filtered(in_museum: Path, cli: Cli) -> None:
    rows = rows_of(in_museum / "paintings/works.csv")
    assert [p["path"] for p in listed(cli)] == sorted(row["path"] for row in rows)
    movement = rows[0]["movement"]
    kept = [row["path"] for row in rows if row["movement"] == movement]
    assert [p["path"] for p in listed(cli, "--where", f"movement={movement}")] == sorted(kept)
    rest = {p["path"] for p in listed(cli, "--not", f"movement={movement}")}
    assert rest == {row["path"] for row in rows} - set(kept)
    table = cli.ok("list", "--where", f"movement={movement}")
    assert len(table.out.splitlines()) == 1 + WORKS
    assert all(path in table.out for path in kept)
    assert table.err == f"{WORKS} paintings\n"


def test_fields_that_no_painting_has_any_more_are_unknown(studio: Path, cli: Cli) -> None:
    rows = rows_of(studio / "paintings/works.csv")
    lines = ["path,technique", *(f"paintings/{row['path']},oil" for row in rows)]
    (studio / "works.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    cli.ok("index", "paintings", "--table", "works.csv")
    assert cli.ok("info", "--json").json["fields"] == {"path": TOTAL, "technique": TOTAL}
    outcome = cli("list", "--where", f"artist={rows[0]['artist']}")
    assert outcome.code == 2
    assert "no painting has a field 'artist'" in outcome.err
    with Index.open() as index, pytest.raises(UsageError):
        index.field("artist")


def test_remove_takes_out_what_was_named_and_index_brings_it_back(studio: Path, cli: Cli) -> None:
    before = listed(cli)
    by_path, by_id, by_file = before[0], before[5], before[9]
    names = (by_path["path"], by_id["id"], studio / "paintings" / by_file["path"])
    outcome = cli.ok("remove", *names)
    assert "3 paintings removed" in outcome.out
    assert listed(cli) == [p for p in before if p not in (by_path, by_id, by_file)]
    assert all((studio / "paintings" / p["path"]).is_file() for p in before)
    assert cli.ok("info", "--json").json["manifest"]["paintings"] == TOTAL - 3
    assert cli.ok("index", "paintings", "--json").json["new"] == 3
    assert listed(cli) == before


def test_remove_by_filter_and_by_name_counts_each_painting_once(studio: Path, cli: Cli) -> None:
    one = listed(cli)[0]
    where = f"artist={one['artist']}"
    result = cli.ok("remove", one["path"], one["id"], "--where", where, "--json").json
    assert result == {"removed": WORKS}
    assert len(listed(cli)) == TOTAL - WORKS
    outcome = cli("list", "--where", where)
    assert outcome.code == 2
    assert f"no painting has the artist {one['artist']!r}" in outcome.err


def test_remove_names_what_it_does_not_know_and_removes_nothing(studio: Path, cli: Cli) -> None:
    outcome = cli("remove", listed(cli)[0]["path"], "nobody/nothing.jpg")
    assert outcome.code == 2
    assert "nobody/nothing.jpg is not in the index" in outcome.err
    assert len(listed(cli)) == TOTAL


def test_remove_without_a_name_or_filter_is_refused(studio: Path, cli: Cli) -> None:
    assert cli("remove").code == 2
    assert len(listed(cli)) == TOTAL


def test_the_last_painting_can_be_removed(studio: Path, cli: Cli) -> None:
    one = listed(cli)[0]["path"]
    cli.ok("remove", "--where", "year=0..9999")
    assert listed(cli) == []
    outcome = cli("similar", studio / "paintings" / one)
    assert outcome.code in (1, 2)
    assert "is empty" in outcome.err
    cli.ok("info")


def test_export_npy_with_its_labels_beside_it(in_museum: Path, cli: Cli, tmp_path: Path) -> None:
    result = cli.ok("export", tmp_path / "all.npy", "--json").json
    assert result["paintings"] == TOTAL
    assert set(result["files"]) == {str(tmp_path / "all.npy"), str(tmp_path / "all.csv")}
    vectors = np.load(tmp_path / "all.npy", allow_pickle=False)
    with Index.open() as index:
        ids, expected = index.vectors()
    assert vectors.dtype == np.float32
    np.testing.assert_array_equal(vectors, expected)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-3)
    rows = rows_of(tmp_path / "all.csv")
    assert [row["id"] for row in rows] == ids
    table = {row["path"]: row for row in rows_of(in_museum / "paintings/works.csv")}
    for row in rows:
        assert {name: row[name] for name in table[row["path"]]} == table[row["path"]]


def test_export_parquet_keeps_types_and_vectors(in_museum: Path, cli: Cli, tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    file = tmp_path / "some.parquet"
    outcome = cli.ok("export", file, "--to", "parquet", "--where", "year=1900..")
    table = pq.read_table(file)
    with Index.open() as index:
        ids, vectors = index.vectors({"year": (1900, None)})
        years = index.field("year", {"year": (1900, None)})
    assert 0 < len(ids) < TOTAL
    assert f"{len(ids)} paintings" in outcome.out
    assert table["id"].to_pylist() == ids
    assert table["year"].to_pylist() == years
    np.testing.assert_array_equal(np.array(table["vector"].to_pylist(), np.float32), vectors)


def test_export_csv_of_labels_only(in_museum: Path, cli: Cli, tmp_path: Path) -> None:
    cli.ok("export", tmp_path / "labels.csv", "--to", "csv", "--where", "support=paper")
    rows = rows_of(tmp_path / "labels.csv")
    assert rows
    assert {row["support"] for row in rows} == {"paper"}
    assert [path.name for path in tmp_path.iterdir()] == ["labels.csv"]


def test_export_of_nothing_is_an_empty_table(in_museum: Path, cli: Cli, tmp_path: Path) -> None:
    for form in ("npy", "parquet", "csv"):
        outcome = cli.ok("export", tmp_path / f"x.{form}", "--to", form, "--where", "year=3000..")
        assert "0 paintings" in outcome.out
    assert np.load(tmp_path / "x.npy").shape[0] == 0


def test_export_never_writes_labels_over_the_vectors(
    in_museum: Path, cli: Cli, tmp_path: Path
) -> None:
    outcome = cli("export", tmp_path / "all.csv")
    if outcome.code == 0:
        assert len({file.read_bytes() for file in tmp_path.iterdir()}) == 2
    else:
        assert outcome.code == 2
        assert not list(tmp_path.iterdir())


def test_export_refuses_an_unknown_form(in_museum: Path, cli: Cli, tmp_path: Path) -> None:
    outcome = cli("export", tmp_path / "all.mat", "--to", "mat")
    assert outcome.code == 2
    assert "npy, parquet or csv" in outcome.err


def test_backbones_lists_names_dimensions_and_where_weights_are(cli: Cli) -> None:
    rows = {row["name"]: row for row in cli.ok("backbones", "--json").json["backbones"]}
    assert rows["resnet50"]["dimension"] == 2048
    assert rows["vgg16"]["dimension"] == 512
    assert rows["resnet50"]["weights"].startswith("not here")
    assert rows["builtin"]["weights"] == rows["descriptors"]["weights"] == "none needed"
    assert rows["builtin"]["dimension"] <= 512
    text = cli.ok("backbones").out
    for words in ("resnet50", "2048", "vgg16", "512", "builtin", "descriptors", "timm:NAME"):
        assert words in text


def test_quiet_keeps_every_command_silent(studio: Path, cli: Cli) -> None:
    for arguments in (["info"], ["list"], ["backbones"], ["export", "a.npy"]):
        outcome = cli.ok(*arguments, "--quiet")
        assert (outcome.out, outcome.err) == ("", "")


def test_demo_paints_indexes_and_leaves_a_sheet(
    tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcome = cli.ok("demo", tmp_path / "shop", "--works", 2)
    assert "indexed 20 paintings" in outcome.out
    assert str(tmp_path / "shop" / "hits.jpg") in outcome.out
    with Image.open(tmp_path / "shop/hits.jpg") as sheet:
        sheet.load()
        assert sheet.width > 900
    monkeypatch.chdir(tmp_path / "shop")
    assert cli.ok("info", "--json").json["paintings"] == 20


def test_demo_overwrites_nothing(tmp_path: Path, cli: Cli) -> None:
    (tmp_path / "mine.txt").write_text("precious")
    outcome = cli("demo", tmp_path)
    assert outcome.code == 2
    assert "not empty" in outcome.err
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
