"""``paint-search index``: what is embedded, skipped, labelled and said, run after run."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import WORKS, Cli, copy_tree

TOTAL = 10 * WORKS
COMMANDS = ("index", "similar", "info", "list", "remove", "export", "backbones", "demo")


@pytest.fixture
def fresh(painted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder: six paintings by two painters in ``paintings``, and no index."""
    for painter in sorted(path for path in painted.iterdir() if path.is_dir())[:2]:
        (tmp_path / "paintings").mkdir(exist_ok=True)
        copy_tree(painter, tmp_path / "paintings" / painter.name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def skips(home: Path) -> list[list[str]]:
    with (home / ".paint-search/skipped.csv").open(newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    assert header == ["path", "reason"]
    return rows


def test_index_then_again(fresh: Path, cli: Cli) -> None:
    first = cli.ok("index", "paintings", "--backbone", "descriptors")
    assert "6 new" in first.out
    assert f"6 paintings in {fresh / '.paint-search'} (descriptors)" in first.out
    assert skips(fresh) == []
    again = cli.ok("index", "paintings")
    assert "6 unchanged" in again.out
    assert "new" not in again.out
    assert "\x1b" not in first.out + first.err + again.out + again.err


def test_json_is_one_object_with_every_count(fresh: Path, cli: Cli) -> None:
    outcome = cli.ok("index", "paintings", "--backbone", "descriptors", "--json")
    assert outcome.out.count("\n") == 1
    result = outcome.json
    counts = {name: value for name, value in result.items() if value and type(value) is int}
    assert counts == {"new": 6, "embedded": 6, "paintings": 6}
    assert result["index"] == str(fresh / ".paint-search")
    assert result["interrupted"] is False


def test_quiet_prints_nothing_but_errors(fresh: Path, cli: Cli) -> None:
    outcome = cli.ok("index", "paintings", "--backbone", "descriptors", "--quiet")
    assert (outcome.out, outcome.err) == ("", "")
    assert cli("index", "nowhere", "--quiet").err.startswith("error: ")


def test_auto_says_in_one_line_that_it_falls_back(fresh: Path, cli: Cli) -> None:
    outcome = cli.ok("index", "paintings")
    (line,) = outcome.err.splitlines()
    assert "ResNet-50" in line
    assert "'builtin'" in line
    assert "--weights" in line
    assert cli.ok("info", "--json").json["manifest"]["backbone"]["name"] == "builtin"


def test_every_unusable_file_is_listed_once_with_its_reason(fresh: Path, cli: Cli) -> None:
    paintings = fresh / "paintings"
    whole = next(paintings.rglob("*.jpg")).read_bytes()
    (paintings / "empty.jpg").touch()
    (paintings / "text.jpg").write_text("no picture\n")
    (paintings / "half.jpg").write_bytes(whole[: len(whole) // 2])
    (paintings / "dangling.png").symlink_to("nowhere.png")
    (paintings / "notes.txt").write_text("not meant to be a picture\n")
    outcome = cli("index", "paintings", "--backbone", "descriptors")
    assert outcome.code == 3
    assert "4 files were skipped" in outcome.out
    assert str(fresh / ".paint-search/skipped.csv") in outcome.out
    assert "1 other file is no image" in outcome.out
    rows = skips(fresh)
    assert sorted(path for path, _ in rows) == [
        "dangling.png",
        "empty.jpg",
        "half.jpg",
        "text.jpg",
    ]
    reasons = dict(rows)
    assert "empty" in reasons["empty.jpg"]
    assert "not an image" in reasons["text.jpg"]
    assert "link" in reasons["dangling.png"]
    assert reasons["half.jpg"]
    assert cli("index", "paintings", "--json").json["skipped"] == 4
    assert cli.ok("info", "--json").json["skipped"] == 4


def test_a_skipped_file_that_is_mended_is_taken_in(fresh: Path, cli: Cli) -> None:
    whole = next((fresh / "paintings").rglob("*.jpg")).read_bytes()
    broken = fresh / "paintings/broken.jpg"
    broken.write_bytes(whole[:3000])
    assert cli("index", "paintings", "--backbone", "descriptors").code == 3
    broken.write_bytes(whole)
    result = cli.ok("index", "paintings", "--json").json
    assert (result["new"], result["unchanged"], result["skipped"]) == (1, 6, 0)
    assert skips(fresh) == []


def test_skips_of_other_folders_stay_when_one_folder_is_looked_at(fresh: Path, cli: Cli) -> None:
    one, other = sorted((fresh / "paintings").iterdir())
    (one / "a.jpg").touch()
    (other / "b.jpg").touch()
    assert cli("index", "paintings", "--backbone", "descriptors").code == 3
    (one / "a.jpg").unlink()
    assert cli("index", one).code == 0
    assert [path for path, _ in skips(fresh)] == [f"{other.name}/b.jpg"]


def test_the_pixel_limit_skips_with_a_remedy(fresh: Path, cli: Cli) -> None:
    outcome = cli("index", "paintings", "--backbone", "descriptors", "--max-pixels", 100)
    assert outcome.code == 3
    assert len(skips(fresh)) == 6
    assert all("--max-pixels" in reason for _, reason in skips(fresh))


def test_labels_by_folder_pattern_and_table(fresh: Path, cli: Cli, painted: Path) -> None:
    def labels() -> dict[str, dict[str, object]]:
        return {p["path"]: p for p in cli.ok("list", "--json").json["paintings"]}

    cli.ok("index", "paintings", "--backbone", "descriptors")
    path, painting = next(iter(labels().items()))
    artist, name = path.removesuffix(".jpg").split("/")
    assert (painting["artist"], painting["title"]) == (artist, name)
    assert "year" not in painting

    cli.ok("index", "paintings", "--labels", "{artist}/{title}-{year}.jpg")
    assert labels()[path]["title"] == name.rpartition("-")[0]
    assert labels()[path]["year"] == int(name[-4:])

    with (painted / "works.csv").open(newline="", encoding="utf-8") as file:
        row = next(row for row in csv.DictReader(file) if row["path"] == path)
    result = cli.ok("index", "paintings", "--table", painted / "works.csv", "--json").json
    assert (result["relabelled"], result["embedded"]) == (6, 0)
    assert (labels()[path]["movement"], labels()[path]["support"]) == (
        row["movement"],
        row["support"],
    )
    cli.ok("index", "paintings")
    assert labels()[path]["support"] == row["support"], "the last table is remembered"


def test_rows_and_files_that_do_not_match_are_counted_and_listed(fresh: Path, cli: Cli) -> None:
    files = sorted(p.relative_to(fresh / "paintings").as_posix() for p in fresh.rglob("*.jpg"))
    table = fresh / "works.csv"
    rows = ["file,artist", f'"{files[0]}",Ann', f'"{files[1]}",Bob', "ghost.jpg,Cy"]
    table.write_text("\n".join(rows) + "\n", encoding="utf-8")
    args = ("index", "paintings", "--backbone", "descriptors", "--table", table)
    result = cli.ok(*args, "--json").json
    assert (result["unmatched_files"], result["unmatched_rows"]) == (4, 1)
    with (fresh / ".paint-search/unmatched.csv").open(newline="", encoding="utf-8") as file:
        listed = [row[1] for row in list(csv.reader(file))[1:]]
    assert sorted(listed) == sorted([*files[2:], "ghost.jpg"])
    out = cli.ok("index", "paintings").out
    assert "4 files have no labels" in out
    assert "1 row of the table has no file" in out


def test_rows_of_folders_not_looked_at_are_not_called_unmatched(studio: Path, cli: Cli) -> None:
    painter = next(path for path in (studio / "paintings").iterdir() if path.is_dir())
    result = cli.ok("index", painter, "--json").json
    assert (result["unchanged"], result["unmatched_rows"]) == (WORKS, 0)


def test_a_column_called_id_does_not_replace_the_id(fresh: Path, cli: Cli) -> None:
    files = sorted(p.relative_to(fresh / "paintings").as_posix() for p in fresh.rglob("*.jpg"))
    lines = [f'"{path}",{number},9,8' for number, path in enumerate(files)]
    (fresh / "works.csv").write_text("path,id,rank,score\n" + "\n".join(lines), encoding="utf-8")
    cli.ok("index", "paintings", "--backbone", "descriptors", "--table", "works.csv")
    paintings = cli.ok("list", "--json").json["paintings"]
    found = cli.ok("similar", paintings[0]["id"], "--json").json["hits"]
    assert [hit["rank"] for hit in found] == list(range(1, len(found) + 1))
    assert all(hit["score"] <= 1 for hit in found)


def test_a_folder_inside_the_corpus_is_looked_at_alone(fresh: Path, cli: Cli) -> None:
    one, other = sorted((fresh / "paintings").iterdir())
    cli.ok("index", "paintings", "--backbone", "descriptors")
    shutil.copyfile(next(other.iterdir()), other / "new.jpg")
    result = cli.ok("index", one, "--json").json
    assert (result["unchanged"], result["new"], result["paintings"]) == (3, 0, 6)
    assert cli.ok("index", other, "--json").json["new"] == 1


def test_an_index_is_found_from_below_and_by_the_environment(
    studio: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(next(path for path in (studio / "paintings").iterdir() if path.is_dir()))
    assert cli.ok("info", "--json").json["folder"] == str(studio / ".paint-search")
    monkeypatch.chdir(tmp_path)
    assert cli("info").code == 1
    monkeypatch.setenv("PAINT_SEARCH_INDEX", str(studio / ".paint-search"))
    assert cli.ok("info", "--json").json["paintings"] == TOTAL


def test_the_index_and_its_paintings_can_move_together(studio: Path, cli: Cli) -> None:
    home = studio.rename(studio.with_name("moved house"))
    result = cli.ok("index", home / "paintings", "--index", home / ".paint-search", "--json").json
    assert (result["unchanged"], result["embedded"]) == (TOTAL, 0)


def test_paintings_that_moved_alone_are_followed(studio: Path, cli: Cli) -> None:
    (studio / "paintings").rename(studio / "works")
    outcome = cli.ok("index", "works", "--table", "works/works.csv")
    assert f"{TOTAL} unchanged" in outcome.out
    assert "moved from" in outcome.err
    assert cli.ok("info", "--json").json["root"] == str(studio / "works")


def test_another_corpus_is_refused(studio: Path, cli: Cli) -> None:
    copy_tree(studio / "paintings", studio / "others")
    outcome = cli("index", "others")
    assert outcome.code == 2
    assert "--index" in outcome.err


def test_the_way_of_fitting_is_kept_and_not_mixed(fresh: Path, cli: Cli) -> None:
    cli.ok("index", "paintings", "--backbone", "descriptors", "--fit", "pad")
    made = cli.ok("info", "--json").json["manifest"]["backbone"]["preprocessing"]
    assert made["fit"] == "pad"
    cli.ok("index", "paintings", "--fit", "pad")
    outcome = cli("index", "paintings", "--fit", "crop")
    assert outcome.code == 1
    assert "'pad'" in outcome.err


def test_an_index_among_the_paintings_is_not_taken_for_paintings(fresh: Path, cli: Cli) -> None:
    where = ("--index", "paintings/index")
    cli.ok("index", "paintings", *where, "--backbone", "descriptors")
    result = cli.ok("index", "paintings", *where, "--json").json
    assert (result["paintings"], result["new"], result["skipped"]) == (6, 0, 0)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_help_has_an_example(command: str, cli: Cli) -> None:
    for flag in ("--help", "-h"):
        outcome = cli.ok(command, flag)
        assert outcome.out.count("Example: ") == 1
        assert f"paint-search {command}" in outcome.out


def test_the_help_documents_the_exit_codes(cli: Cli) -> None:
    words = " ".join(cli.ok("--help").out.split())
    for code in ("0 all done", "1 failed", "2 wrong usage", "3 done but some", "130 interrupted"):
        assert code in words
    for command in COMMANDS:
        assert command in words


def test_progress_is_reported_to_the_client(fresh: Path) -> None:
    from paint_search import Index

    seen: list[tuple[int, int]] = []
    report: Callable[..., None] = lambda p: seen.append((p.done, p.total))  # noqa: E731
    with Index.create("paintings", backbone="descriptors") as index:
        index.add(report=report)
    assert seen[0] == (0, 6)
    assert seen[-1] == (6, 6)
    assert json.loads((fresh / ".paint-search/manifest.json").read_text())["paintings"] == 6
