"""Named selections of works: kept in the index folder, listed, exported, left out of the index."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from conftest import WORKS, Cli

from paint_search import Index
from paint_search.errors import StoreError, UsageError
from paint_search.index import iiif_manifest

TOTAL = 10 * WORKS
FILE = Path(".paint-search/selections.json")


def test_a_selection_keeps_its_order_and_outlives_the_index_that_saved_it(studio: Path) -> None:
    with Index.open() as index:
        assert index.selections() == []
        works = list(index.paintings())
        ids = [works[row].id for row in (7, 2, 2, 5)]
        index.save_selection("hands", ids)
        index.save_selection(" Mädchen .. ", [], excluded=True)
    with Index.open() as index:
        maidens, hands = index.selections()
        assert (maidens.name, maidens.excluded, maidens.ids) == ("Mädchen ..", True, ())
        assert (hands.name, hands.excluded, list(hands.ids)) == (
            "hands",
            False,
            [ids[0], *ids[1::2]],
        )
        assert [work.path for work in index.selected("hands")] == list(hands.paths)
        index.save_selection("hands", ids[:1])
        assert index.selection("hands").paths == (works[7].path,)
        index.delete_selection("Mädchen ..")
        assert [one.name for one in index.selections()] == ["hands"]
    assert sorted(path.name for path in Path().iterdir()) == [".paint-search", "paintings"]


@pytest.mark.parametrize(
    "name", ["", " ", "a\nb", "a\x1b[2J", "\u202e", "x" * 201, "a/b", "\udcff"]
)
def test_a_name_that_is_none_is_refused(studio: Path, name: str) -> None:
    with Index.open() as index:
        with pytest.raises(UsageError, match="names no selection"):
            index.save_selection(name, [])
        assert index.selections() == []


def test_what_is_not_there_is_said(studio: Path, cli: Cli) -> None:
    with Index.open() as index:
        for unknown in ("nobody", "00000000-0000-0000-0000-000000000000"):
            with pytest.raises(UsageError, match=f"'{unknown}' is no id of this index"):
                index.save_selection("x", [unknown])
        with pytest.raises(UsageError, match="give a list of ids"):
            index.save_selection("x", "nobody")
        index.save_selection("x", [])
        for ask in (index.delete_selection, index.selected):
            with pytest.raises(UsageError, match="no selection 'y'; this index has 'x'"):
                ask("y")
    outcome = cli("list", "--selection", "y")
    assert (outcome.code, outcome.out) == (2, "")
    for damage in ("[]", "{", '{"format": 2}', _with(paths=["/etc/passwd"]), _with(name="")):
        FILE.write_text(damage)
        outcome = cli("list", "--selection", "x")
        assert outcome.code == 1
        assert "selections.json is damaged" in outcome.err
        assert outcome.err.count("\n") == 1
    with Index.open() as index, pytest.raises(StoreError, match="is damaged"):
        index.save_selection("x", [])


def _with(name: str = "x", paths: list[str] | None = None) -> str:
    one = {"name": name, "excluded": False, "paths": paths or []}
    return json.dumps({"format": 1, "selections": [one]})


def test_files_that_are_left_out_are_taken_out_by_the_next_run_and_come_back(
    studio: Path, cli: Cli
) -> None:
    with Index.open() as index:
        false = [work.id for work in index.paintings()][:3]
        files = [index.locate(index.get(one)) for one in false]
        index.save_selection("forgeries", false[:2], excluded=True)
        index.save_selection("kept", false[2:])
        assert len(index) == TOTAL, "until the next run"
    for taken in (2, 0):
        outcome = cli.ok("index", "paintings", "--json")
        assert (outcome.json["excluded"], outcome.json["paintings"]) == (taken, TOTAL - 2)
        assert outcome.json["notes"] == ["2 files excluded by the selection 'forgeries'"]
    assert all(file.is_file() for file in files)
    assert "forgeries (2 works, excluded), kept (1 work)" in cli.ok("info").out.replace("\n", " ")
    with Index.open() as index:
        assert [work.id for work in index.selected("forgeries")] == false[:2]
        index.save_selection("forgeries", false[1:2], excluded=True)
        summary = index.add(files[0].parent)
        assert (summary.new, len(index)) == (1, TOTAL - 1)
        index.save_selection("forgeries", false[1:2])
        assert index.add().new == 1
        assert index.add().notes == []


def test_a_selection_is_listed_and_exported(studio: Path, cli: Cli) -> None:
    with Index.open() as index:
        works = list(index.paintings())[3:6][::-1]
        index.save_selection("three", [work.id for work in works])
    listed = cli.ok("list", "--selection", "three", "--json").json["paintings"]
    assert listed == [work.to_dict() for work in works]
    artist = works[0].artist
    some = cli.ok("list", "--selection", "three", "--where", f"artist={artist}", "--json").json
    assert some["paintings"] == [work.to_dict() for work in works if work.artist == artist]
    cli.ok("export", "three.csv", "--to", "csv", "--selection", "three")
    with Path("three.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["id"] for row in rows] == sorted(work.id for work in works)


def test_a_selection_as_a_manifest_of_iiif(studio: Path) -> None:
    with Index.open() as index:
        works = list(index.paintings())[:3]
        selection = index.save_selection("a&b ü", [work.id for work in works])
    sizes = {work.id: (30 + row, 20) for row, work in enumerate(works[:2])}
    made = json.loads(json.dumps(iiif_manifest(selection, works, "http://host:7700/", sizes)))
    assert (made["type"], made["id"]) == (
        "Manifest",
        "http://host:7700/v1/selections/a%26b%20%C3%BC/iiif",
    )
    assert made["label"] == {"none": ["a&b ü"]}
    assert [(one["width"], one["height"]) for one in made["items"]] == [(30, 20), (31, 20)]
    for canvas, work in zip(made["items"], works, strict=False):
        (page,) = canvas["items"]
        (painted,) = page["items"]
        assert (painted["motivation"], painted["target"]) == ("painting", canvas["id"])
        at = f"http://host:7700/v1/works/{work.id}/iiif"
        assert painted["body"]["id"] == f"{at}/full/max/0/default.jpg"
        assert painted["body"]["service"][0]["id"] == at
    assert len({canvas["id"] for canvas in made["items"]}) == 2
