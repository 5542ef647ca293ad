"""Labels from the command line: what cannot be right is said, counted, listed and not used."""

from __future__ import annotations

import csv
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from conftest import Cli
from PIL import Image
from qdrant_server import QdrantServer

from paint_search import Index
from paint_search.painting import Record, painting_id
from paint_search.search.stores import open_store

INDEX = ("index", "paintings", "--backbone", "descriptors")
DÜRER = unicodedata.normalize("NFC", "Albrecht Dürer")
APART = unicodedata.normalize("NFD", "Albrecht Dürer")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def paint(home: Path, *paths: str) -> None:
    """Paint a small picture of its own at each path below ``paintings``."""
    for number, path in enumerate(paths):
        file = home / "paintings" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        picture = Image.linear_gradient("L").rotate(37 * number).resize((32, 32))
        bands = [
            picture.point([value * (band + number) % 256 for value in range(256)])
            for band in (1, 2, 3)
        ]
        Image.merge("RGB", bands).save(file)


def table(home: Path, *lines: str, encoding: str = "utf-8") -> str:
    (home / "works.csv").write_text("\n".join(lines) + "\n", encoding=encoding)
    return "works.csv"


def artists(cli: Cli) -> dict[str, Any]:
    return {p["path"]: p.get("artist") for p in cli.ok("list", "--json").json["paintings"]}


def listed(home: Path) -> list[dict[str, str]]:
    with (home / ".paint-search/unmatched.csv").open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def test_an_ambiguous_name_labels_nothing_and_is_listed(home: Path, cli: Cli) -> None:
    files = ("Monet/001.jpg", "Klee/001.jpg", "Miro/001.jpg")
    paint(home, *files)
    rows = ("path,artist", "001.jpg,Claude Monet", "001.jpg,Paul Klee", "001.jpg,Joan Miro")
    outcome = cli(*INDEX, "--table", table(home, *rows))
    assert outcome.code == 3
    assert "3 lines of the table are ambiguous" in outcome.out
    assert str(home / ".paint-search/unmatched.csv") in outcome.out
    assert artists(cli) == dict.fromkeys(files)
    kinds = [row["kind"] for row in listed(home)]
    assert kinds == ["file without labels"] * 3 + ["ambiguous row"] * 3
    assert "Klee/001.jpg or Miro/001.jpg" in listed(home)[3]["why"]
    assert cli("index", "paintings", "--json").json["refused_labels"] == 3
    table(home, "path,artist", "Monet/001.jpg,Monet", "Klee/001.jpg,Klee", "Miro/001.jpg,Miro")
    assert cli.ok("index", "paintings").out.startswith("3 relabelled")
    assert artists(cli) == {file: file.split("/")[0] for file in files}
    assert listed(home) == []


def test_contradictions_ragged_lines_and_years_are_listed(home: Path, cli: Cli) -> None:
    paint(home, "a.jpg", "b.jpg", "c.jpg", "d.jpg")
    name = table(
        home,
        "path,title,artist,year",
        "a.jpg,Madonna, with Child,Raphael,1505",
        "b.jpg,Lilies,Monet,1906",
        "b.jpg,Lilies,Manet,1906",
        "c.jpg,Fish,Klee,19255",
        'd.jpg,"Dog,Goya,1820',
    )
    outcome = cli(*INDEX, "--table", name)
    assert outcome.code == 3
    assert "4 lines of the table" in outcome.out
    assert artists(cli) == {"a.jpg": None, "b.jpg": None, "c.jpg": "Klee", "d.jpg": None}
    found = [(row["kind"], row["path"], row["why"]) for row in listed(home)]
    assert [row for row in found if row[0] != "file without labels"] == [
        ("unreadable line", "", "line 2: 5 cells, 4 expected"),
        ("contradiction", "b.jpg", "lines 3 and 4 give it another artist"),
        ("unreadable year", "c.jpg", "line 5: 19255 names no year"),
        ("unreadable line", "", found[-1][2]),
    ]
    assert found[-1][2].startswith("line 6: a quote is not closed")


def test_faults_of_the_table_are_listed_of_a_folder_too(home: Path, cli: Cli) -> None:
    paint(home, "Monet/1.jpg", "Klee/1.jpg", "Klee/2.jpg")
    cli(*INDEX, "--table", table(home, "path,artist", "1.jpg,Monet", "Klee/2.jpg,Klee"))
    before = listed(home)
    assert cli("index", "paintings/Monet").code == 3
    assert listed(home) == before
    assert [row["kind"] for row in before] == ["file without labels"] * 2 + ["ambiguous row"]


def test_a_table_that_meets_few_files_says_so_with_examples(home: Path, cli: Cli) -> None:
    paint(home, "Monet/1.jpg", "Monet/2.jpg")
    outcome = cli.ok(*INDEX, "--table", table(home, "path,artist", "scan-1,Monet", "scan-2,Monet"))
    assert "only 0 of the 2 rows of works.csv meet a file" in outcome.err
    assert "'scan-1'" in outcome.err
    assert "'Monet/1.jpg'" in outcome.err


def test_an_encoding_is_found_asked_for_and_remembered(home: Path, cli: Cli) -> None:
    paint(home, "a.jpg")
    name = table(home, "path,artist", "a.jpg,Cézanne", encoding="latin-1")
    cli.ok(*INDEX, "--table", name)
    assert artists(cli) == {"a.jpg": "Cézanne"}
    table(home, "path,artist", "a.jpg,Crème", encoding="windows-1252")
    outcome = cli("index", "paintings")
    assert outcome.code == 2
    assert "--table-encoding windows-1252" in outcome.err
    cli.ok("index", "paintings", "--table", name, "--table-encoding", "windows-1252")
    assert artists(cli) == {"a.jpg": "Crème"}
    cli.ok("index", "paintings")
    assert artists(cli) == {"a.jpg": "Crème"}
    outcome = cli("index", "paintings", "--table-encoding", "utf-8")
    assert outcome.code == 2
    assert "--table-encoding" in outcome.err


def test_a_pattern_is_shown_on_three_files_before_anything_is_embedded(
    home: Path, cli: Cli
) -> None:
    paint(home, "Paul_Klee_1.jpg", "Paul_Klee_2.jpg", "Paul_Klee.jpg", "Paul_Klee_4.jpg")
    (home / "paintings/A.txt").write_text("no picture")
    outcome = cli.ok(*INDEX, "--labels", "{artist}_{number}.jpg")
    assert outcome.err.splitlines()[:3] == [
        "Paul_Klee.jpg: does not fit the pattern",
        "Paul_Klee_1.jpg: artist 'Paul Klee', number '1'",
        "Paul_Klee_2.jpg: artist 'Paul Klee', number '2'",
    ]
    assert artists(cli)["Paul_Klee_4.jpg"] == "Paul Klee"


def test_every_unicode_form_of_a_name_finds_it(home: Path, cli: Cli) -> None:
    paint(home, f"{APART}/Hände.jpg", f"{DÜRER}/Hase.jpg", "Klee/Fisch.jpg", "Klee/Garten.jpg")
    cli.ok(*INDEX)
    assert set(artists(cli).values()) == {DÜRER, "Klee"}
    for name in (DÜRER, APART):
        found = cli.ok("list", "--where", f"artist={name}", "--json").json["paintings"]
        assert [p["path"] for p in found] == [f"{DÜRER}/Hase.jpg", f"{DÜRER}/Hände.jpg"]
        found = cli.ok("list", "--not", f"artist={name}", "--json").json["paintings"]
        assert [p["artist"] for p in found] == ["Klee", "Klee"]
        for path in (f"{name}/Hände.jpg", f"paintings/{name}/Hände.jpg"):
            hits = cli.ok("similar", path, "--json").json["hits"]
            assert len(hits) == 3
        assert name_of(cli.ok("eval", "artists", "--pair", name, "Klee").out)
    with Index.open() as index:
        for painting in index:
            assert index.locate(painting).is_file()
            assert index.locate_query(painting.path).is_file()
    assert cli.ok("index", "paintings").out.startswith("4 unchanged")
    for name in (DÜRER, APART):  # of two folders, that which is called so
        outcome = cli("index", f"paintings/{name}")
        assert (outcome.code, outcome.out.startswith("1 unchanged")) == (0, True)
    cli.ok("remove", f"{APART}/Hase.jpg")
    assert cli.ok("remove", "--where", f"artist={APART}", "--json").json == {"removed": 1}
    assert set(artists(cli).values()) == {"Klee"}


def name_of(text: str) -> bool:
    return f"{DÜRER} (2 works) and Klee (2 works)" in text


def test_a_folder_is_found_whatever_the_form_it_is_typed_in(home: Path, cli: Cli) -> None:
    paint(home, f"{APART}/Hände.jpg", "Klee/Fisch.jpg")
    cli.ok(*INDEX)
    folder = home / "paintings" / APART
    (folder / "Hände.jpg").rename(folder / "Hase.jpg")
    assert cli.ok("index", f"paintings/{DÜRER}", "--json").json["moved"] == 1


def test_rows_of_another_unicode_form_meet_their_files(home: Path, cli: Cli) -> None:
    paint(home, f"{APART}.jpg", "Klee.jpg")
    name = table(home, "path,artist", f"{DÜRER}.jpg,{APART}", "Klee.jpg,Klee")
    cli.ok(*INDEX, "--table", name)
    assert artists(cli) == {f"{DÜRER}.jpg": DÜRER, "Klee.jpg": "Klee"}


def test_paths_that_an_old_version_stored_apart_are_found_and_then_composed(
    home: Path, cli: Cli
) -> None:
    paint(home, f"{APART}/Hände.jpg", "Klee/Fisch.jpg")
    cli.ok(*INDEX)
    with Index.open() as index:
        manifest, folder = index.manifest, index.folder
    store = open_store(folder, manifest.store, manifest.dimensions, manifest.maker)
    path, old = f"{DÜRER}/Hände.jpg", f"{APART}/Hände.jpg"
    record = store.get([painting_id(path)], vectors=True)[painting_id(path)]
    payload = {**record.payload, "path": old, "artist": APART}
    store.delete([record.id])
    store.upsert([Record(painting_id(old), payload, record.vector)])
    store.close()
    assert cli.ok("similar", old, "--json").json["hits"]
    assert cli.ok("list", "--where", f"artist={DÜRER}", "--json").json["paintings"]
    assert cli.ok("index", "paintings").out.startswith("1 moved, 1 unchanged")
    assert artists(cli) == {path: DÜRER, "Klee/Fisch.jpg": "Klee"}


@pytest.mark.parametrize(
    ("where", "words"),
    [
        (
            "artist=Anneke Strandhui",
            "no painting has the artist 'Anneke Strandhui'; did you mean A",
        ),
        ("artist=Strandhuis", "did you mean Anneke Strandhuis?"),
        ("movement=Nocturnismus", "did you mean Nocturnism?"),
        ("year=3000", "no painting has the year '3000'"),
        ("title~=zzzzq", "no painting has the words 'zzzzq' in its title"),
        ("artist~=strandhuiss", "no painting has the words 'strandhuiss' in its artist; did you"),
        ("title=1800..1900", "no painting has a number in the field 'title'"),
        ("artits=x", "no painting has a field 'artits'; did you mean artist?"),
    ],
)
@pytest.mark.parametrize(
    "command", [["list"], ["remove"], ["export", "x.csv"], ["eval", "artists"], ["map", "x.html"]]
)
def test_what_exists_nowhere_is_said_with_what_was_meant(
    in_museum: Path, cli: Cli, command: list[str], where: str, words: str
) -> None:
    for option in ("--where", "--not") if command != ["remove"] else ("--where",):
        outcome = cli(*command, option, where)
        assert outcome.code == 2
        assert words in outcome.err


def test_case_and_accents_do_not_matter_where_one_value_is_meant(in_museum: Path, cli: Cli) -> None:
    def count(where: str) -> int:
        return len(cli.ok("list", "--where", where, "--json").json["paintings"])

    assert count("artist=anneke strandhuis") == count("artist=Anneke Strandhuis") > 0
    assert count("artist~=STRANDHUIS") == count("artist=Anneke Strandhuis")
    assert count("movement=NOCTURNÏSM") == count("movement=Nocturnism") > 0
    said = cli.ok("eval", "artists", "--nearest", "anneke strandhuis", "--json").json
    assert said == cli.ok("eval", "artists", "--nearest", "Anneke Strandhuis", "--json").json
    outcome = cli("eval", "artists", "--nearest", "Strandhuis")
    assert outcome.code == 2
    assert "did you mean Anneke Strandhuis?" in outcome.err


def test_two_spellings_are_no_guess(home: Path, cli: Cli) -> None:
    paint(home, "Klee/1.jpg", "KLEE/2.jpg", "Arp/3.jpg")
    cli.ok(*INDEX)
    outcome = cli("list", "--where", "artist=klee")
    assert outcome.code == 2
    assert "did you mean KLEE or Klee?" in outcome.err


@pytest.mark.parametrize("store", ["edge", "faiss", "qdrant"])
def test_every_store_finds_years_in_texts_and_words(
    home: Path, cli: Cli, store: str, request: pytest.FixtureRequest
) -> None:
    years = {"a": "c. 1503-19", "b": "late 15th century", "c": "1910", "d": "undated", "e": "-700"}
    paint(home, *(f"{name}.jpg" for name in years))
    name = table(home, "path,year", *(f'{key}.jpg,"{year}"' for key, year in years.items()))
    server = QdrantServer() if store == "qdrant" else None
    request.addfinalizer(server.die if server else lambda: None)
    cli.ok(*INDEX, "--store", server.url("works") if server else store, "--table", name)

    def found(*options: str) -> str:
        paintings = cli.ok("list", *options, "--json").json["paintings"]
        return "".join(p["path"][0] for p in paintings)

    assert found("--where", "year=1490..1510") == "ab"
    assert found("--where", "year=1510..1910") == "ac"
    assert found("--where", "year=..0") == "e"
    assert found("--where", "year=-700") == "e"
    assert found("--where", "year=1505") == "a"
    assert found("--where", "year=c. 1503-19") == "a"
    assert found("--where", "year=undated") == "d"
    assert found("--not", "year=1490..1510") == "cde"
    assert found("--where", "year_to=1500..1600") == "a"
    assert found("--where", "year~=15TH céntury") == "b"
    assert found("--not", "year~=century") == "acde"
    hits = cli.ok("similar", "c.jpg", "--where", "year=1490..1510", "--json").json["hits"]
    assert {(hit["path"], hit["year"], hit["year_from"], hit["year_to"]) for hit in hits} == {
        ("a.jpg", "c. 1503-19", 1503, 1519),
        ("b.jpg", "late 15th century", 1467, 1499),
    }


def test_a_split_that_names_no_certain_file_is_refused(
    in_museum: Path, cli: Cli, tmp_path: Path
) -> None:
    split = tmp_path / "split.csv"
    with Index.open() as index:
        path = next(iter(index)).path
    split.write_text(f"path,split\n{path},query\n{path},gallery\n", encoding="utf-8")
    outcome = cli("eval", "retrieval", "--split", split)
    assert outcome.code == 2
    assert "lines 2 and 3 give it another split" in outcome.err
