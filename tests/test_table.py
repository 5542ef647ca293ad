"""Label tables: CSV as people and spreadsheets write it, Parquet, and which row is whose."""

from __future__ import annotations

import datetime
import unicodedata
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from images import write

from paint_search.errors import UsageError
from paint_search.indexer.corpus import LabelTable, read_cell, table_labels

Row = dict[str, Any]


def labels(table: Path, path: str = "a.jpg", root: Path = Path("/corpus")) -> Row:
    """Return the labels that the table gives to the one file at ``path`` below ``root``."""
    return joined(table, path, root=root)[0][path]


def joined(
    table: Path, *paths: str, root: Path = Path("/corpus"), encoding: str | None = None
) -> tuple[dict[str, Row], list[tuple[str, str]]]:
    """Return the labels of each of these files of a corpus, and (kind, path or why) of faults."""
    with LabelTable(table, encoding) as opened:
        opened.meet(root, paths)
        source = table_labels(opened)
        faults = [(fault.kind, fault.path or fault.why) for fault in opened.faults()]
        return {path: source(path) for path in paths}, faults


def csv_file(folder: Path, text: str | bytes) -> Path:
    return write(folder / "works.csv", text)


def parquet_file(folder: Path, columns: dict[str, Any]) -> Path:
    pq.write_table(pa.table(columns), folder / "works.parquet")
    return folder / "works.parquet"


YEARS = {"year_from": 1906, "year_to": 1906}
LILIES = {"artist": "Monet", "title": "Lilies, pale", "year": 1906, **YEARS}


@pytest.mark.parametrize(
    "text",
    [
        'path,artist,title,year\na.jpg,Monet,"Lilies, pale",1906\n',
        '\ufeffpath,artist,title,year\na.jpg,Monet,"Lilies, pale",1906\n',
        '\ufeff"path","artist","title","year"\r\n"a.jpg","Monet","Lilies, pale","1906"\r\n',
        "path;artist;title;year\na.jpg;Monet;Lilies, pale;1906\n",
        "path\tartist\ttitle\tyear\na.jpg\tMonet\tLilies, pale\t1906",
        "path|artist|title|year\na.jpg|Monet|Lilies, pale|1906",
        'path, artist, title, year\na.jpg, Monet, "Lilies, pale", 1906\n',
        'path,artist,title,year\ra.jpg,Monet,"Lilies, pale",1906\r',
        "\n".join(["path,artist,title,year", "", 'a.jpg,Monet,"Lilies, pale",1906', "", ""]),
        "sep=;\r\npath;artist;title;year\r\na.jpg;Monet;Lilies, pale;1906\r\n",
        "\ufeffsep=!\npath!artist!title!year\na.jpg!Monet!Lilies, pale!1906\n",
        ' PATH ,Artist,TITLE,Year\na.jpg,  Monet ,"Lilies, pale ",1906.0\n',
        'title,year,filename,artist\n"Lilies, pale",1906,./a.jpg,Monet\n',
    ],
    ids=[
        "plain",
        "bom",
        "excel",
        "semicolons",
        "tabs",
        "bars",
        "spaces",
        "old mac",
        "blank",
        "sep",
        "sep of its own",
        "capitals",
        "other order",
    ],
)
def test_csv_in_every_dialect(tmp_path: Path, text: str) -> None:
    assert labels(csv_file(tmp_path, text)) == LILIES


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("12", 12),
        ("-3", -3),
        ("0", 0),
        ("1.5", 1.5),
        ("007", "007"),
        ("-0", "-0"),
        ("1987.10", 1987.1),
        ("0.00001", 0.00001),
        ("1,5", "1,5"),
        ("1e5", "1e5"),
        ("nan", "nan"),
        ("inf", "inf"),
        ("1_000", "1_000"),
        ("١٢", "١٢"),
        ("12345678901234567890", "12345678901234567890"),
        ("c. 1889", "c. 1889"),
        ("two\nlines", "two\nlines"),
        ('say "no"', 'say "no"'),
        ("雪", "雪"),
    ],
)
def test_cells_that_are_numbers_are_read_as_numbers(
    tmp_path: Path, cell: str, value: str | float
) -> None:
    quoted = cell.replace('"', '""')
    found = labels(csv_file(tmp_path, f'path,x\na.jpg,"{quoted}"\n'))
    assert found == {"x": value}
    assert type(found["x"]) is type(value)


@given(st.one_of(st.integers().map(str), st.floats().map(str), st.text("0123456789.-+e_ ١")))
def test_no_cell_changes_its_value(cell: str) -> None:
    read = read_cell(cell)
    assert read == float(cell) if isinstance(read, float) else str(read) == cell.strip()


@pytest.mark.parametrize("cell", ["", "  ", '""', '" "'])
def test_empty_cells_are_no_labels(tmp_path: Path, cell: str) -> None:
    assert labels(csv_file(tmp_path, f"path,artist,x\na.jpg,Monet,{cell}\n")) == {"artist": "Monet"}


def test_lines_of_another_number_of_cells_are_named_and_used_for_nothing(tmp_path: Path) -> None:
    text = (
        "path,title,artist,year\n"
        "a.jpg,Madonna, with Child,Raphael,1505\n"
        'b.jpg,"Madonna, with Child",Raphael,1505\n'
        "c.jpg,Madonna\n"
        "d.jpg,Madonna,Raphael,1505,\n"
    )
    found, faults = joined(csv_file(tmp_path, text), "a.jpg", "b.jpg", "c.jpg", "d.jpg")
    assert [bool(row) for row in found.values()] == [False, True, False, False]
    assert found["b.jpg"]["artist"] == "Raphael"
    assert faults == [
        ("unreadable line", "line 2: 5 cells, 4 expected"),
        ("unreadable line", "line 4: 2 cells, 4 expected"),
        ("unreadable line", "line 5: 5 cells, 4 expected"),
    ]


@pytest.mark.parametrize("cell", ['"Lilies', '"Lilies" (study)', '"a ""b', '"Lilies" '])
def test_an_open_quote_costs_its_own_line_and_no_other(tmp_path: Path, cell: str) -> None:
    lines = ["path,title,artist", *(f'{i}.jpg,"Title, {i}",Artist {i}' for i in range(6))]
    lines[3] = f"2.jpg,{cell},Artist 2"
    table = csv_file(tmp_path, "\n".join(lines) + "\n")
    found, faults = joined(table, *(f"{i}.jpg" for i in range(6)))
    for i in range(6):
        expected = {} if i == 2 else {"title": f"Title, {i}", "artist": f"Artist {i}"}
        assert found[f"{i}.jpg"] == expected
    ((kind, why),) = faults
    assert kind == "unreadable line"
    assert why.startswith("line 4: a quote is not closed")


def test_cells_of_several_lines_are_read_and_lines_still_counted(tmp_path: Path) -> None:
    text = 'path,x\na.jpg,"two\nlines"\nb.jpg,1,2\nc.jpg,"say ""no"""\n'
    found, faults = joined(csv_file(tmp_path, text), "a.jpg", "b.jpg", "c.jpg")
    assert found == {"a.jpg": {"x": "two\nlines"}, "b.jpg": {}, "c.jpg": {"x": 'say "no"'}}
    assert faults == [("unreadable line", "line 4: 3 cells, 2 expected")]


def test_years_that_cannot_be_read_are_named_and_their_text_is_kept(tmp_path: Path) -> None:
    rows = "a.jpg,18890\nb.jpg,undated\nc.jpg,c. 1503-19\nd.jpg,Edo period\n"
    found, faults = joined(csv_file(tmp_path, f"path,year\n{rows}"), "a.jpg", "c.jpg", "d.jpg")
    assert found["a.jpg"] == {"year": 18890}
    assert found["c.jpg"] == {"year": "c. 1503-19", "year_from": 1503, "year_to": 1519}
    assert found["d.jpg"] == {"year": "Edo period"}
    assert faults == [("unreadable year", "a.jpg"), ("row without file", "b.jpg")]


@pytest.mark.parametrize(
    ("column", "field"),
    [
        ("Genre", "genre"),
        ("Art Movement", "art_movement"),
        ("height (cm)", "height_cm"),
        ("dim.width", "dim_width"),
        ("künstler*in", "künstler_in"),
        ("id", "id_"),
        ("Path", "path_"),
        ("path", "path_"),
        ("SCORE", "score_"),
        ("rank", "rank_"),
        ("vector", "vector_"),
        ("_hash", None),
        (" _hash", None),
        ("__index_level_0__", None),
        ("", None),
        ("%", None),
    ],
)
def test_any_column_is_a_field_that_a_filter_can_name(
    tmp_path: Path, column: str, field: str | None
) -> None:
    table = csv_file(tmp_path, f"path,artist,{column}\na.jpg,Monet,mine\n")
    assert labels(table) == {"artist": "Monet"} | ({field: "mine"} if field else {})


def test_of_two_columns_of_one_name_the_first_filled_one_counts(tmp_path: Path) -> None:
    table = csv_file(tmp_path, "path,x,X,x\na.jpg,1,2,3\nb.jpg,,2,3\nc.jpg,,,3\n")
    assert [labels(table, f"{name}.jpg") for name in "abc"] == [{"x": 1}, {"x": 2}, {"x": 3}]


@pytest.mark.parametrize(
    ("row", "path", "fits"),
    [
        ("Monet/a.jpg", "Monet/a.jpg", True),
        ("./Monet/a.jpg", "Monet/a.jpg", True),
        ("Monet\\a.jpg", "Monet/a.jpg", True),
        ("corpus/Monet/a.jpg", "Monet/a.jpg", True),
        ("/corpus/Monet/a.jpg", "Monet/a.jpg", True),
        ("C:\\Users\\me\\Pictures\\Monet\\a.jpg", "Monet/a.jpg", True),
        ("/old/disk/Monet/a.jpg", "Monet/a.jpg", True),
        ("a.jpg", "Monet/a.jpg", True),
        ("Monet/a.jpg", "museum/Monet/a.jpg", True),
        ("Monet/a.jpg", "Manet/a.jpg", False),
        ("Monet/a.jpg", "a.jpg", True),
        ("Monet/a.jpg", "Monet/a.png", True),
        ("Monet/a", "Monet/a.jpg", True),
        ("Monet/A.JPG", "Monet/a.jpg", True),
        ("Water%20Lilies.jpg", "Water Lilies.jpg", True),
        ("Water Lilies", "Monet/water_lilies.jpg", True),
        ("https://museum.org/iiif/2/lilies.jpg?size=full#x", "Monet/lilies.jpg", True),
        ("https://museum.org/iiif/2/Water%20Lilies", "Monet/Water_Lilies.tif", True),
        ("images/Monet/a.jpg", "Monet/a.jpg", True),
        ("images/a.jpg", "a.jpg", True),
        ("images/a.jpg", "Monet/a.jpg", False),
        ("a.v2", "Monet/a.v2.jpg", True),
        ("a", "Monet/a.v2.jpg", False),
        ("a.jpg", "a.txt", False),
        ("net/a.jpg", "Monet/a.jpg", False),
        ("onet_a.jpg", "a.jpg", False),
        ("../../etc/passwd", "a.jpg", False),
        ("0", "0", True),
        ("1.10", "x/1.10", True),
        (unicodedata.normalize("NFD", "é"), unicodedata.normalize("NFC", "x/É.jpg"), True),
        (unicodedata.normalize("NFD", "é.jpg"), unicodedata.normalize("NFC", "x/é.jpg"), True),
        ("", "a.jpg", False),
    ],
)
@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_which_row_is_of_which_file(
    tmp_path: Path, kind: str, row: str, path: str, fits: bool
) -> None:
    if kind == "csv":
        table = csv_file(tmp_path, f"file,artist\n{row},Monet\nother.jpg,Degas\n")
    else:
        table = parquet_file(tmp_path, {"file": [row, "other.jpg"], "artist": ["Monet", "Degas"]})
    assert labels(table, path) == ({"artist": "Monet"} if fits else {})


def test_a_name_that_several_files_have_labels_none_of_them(tmp_path: Path) -> None:
    text = "path,artist\n001.jpg,Claude Monet\n001.jpg,Paul Klee\n001.jpg,Joan Miro\n"
    files = ("Monet/001.jpg", "Klee/001.jpg", "Miro/001.jpg")
    found, faults = joined(csv_file(tmp_path, text), *files)
    assert found == {file: {} for file in files}
    assert faults == [("ambiguous row", "001.jpg")] * 3


@pytest.mark.parametrize("row", ["1", "1.JPG", "images/a/1.jpg", "https://x.org/q/1.jpg", "A/1"])
def test_loose_spellings_of_several_files_label_none_of_them(tmp_path: Path, row: str) -> None:
    table = csv_file(tmp_path, f"path,artist\n{row},Monet\n")
    found, faults = joined(table, "a/1.jpg", "b/1.jpg", "b/a/1.png")
    certain = {"images/a/1.jpg": "a/1.jpg", "A/1": "a/1.jpg"}.get(row)
    assert [path for path, labels in found.items() if labels] == ([certain] if certain else [])
    assert [kind for kind, _ in faults] == ([] if certain else ["ambiguous row"])


def test_the_same_name_in_two_folders_gets_its_own_row(tmp_path: Path) -> None:
    text = "path,artist\n1.jpg,nobody\nManet/1.jpg,Manet\n/old/Monet/1.jpg,Monet\n"
    found, faults = joined(csv_file(tmp_path, text), "Manet/1.jpg", "Degas/1.jpg", "Monet/1.jpg")
    artists = {path: row.get("artist") for path, row in found.items()}
    assert artists == {"Manet/1.jpg": "Manet", "Degas/1.jpg": None, "Monet/1.jpg": "Monet"}
    assert faults == [("ambiguous row", "1.jpg")]


def test_a_file_at_the_top_has_its_whole_path_as_name(tmp_path: Path) -> None:
    table = csv_file(tmp_path, "path,artist\n1.jpg,Monet\n")
    found, faults = joined(table, "1.jpg", "Klee/1.jpg")
    assert found == {"1.jpg": {"artist": "Monet"}, "Klee/1.jpg": {}}
    assert not faults


def test_rows_about_one_file_that_contradict_each_other_are_used_for_nothing(
    tmp_path: Path,
) -> None:
    text = "path,artist,x\na.jpg,Monet,\n./a.jpg,Manet,\nb.jpg,Klee,\nb.jpg,,1\nb.jpg,Klee,1\n"
    found, faults = joined(csv_file(tmp_path, text), "a.jpg", "b.jpg")
    assert found == {"a.jpg": {}, "b.jpg": {"artist": "Klee", "x": 1}}
    assert faults == [("contradiction", "a.jpg")]
    with LabelTable(tmp_path / "works.csv") as table:
        table.meet(Path("/corpus"), ["a.jpg", "b.jpg"])
        assert [fault.why for fault in table.faults()] == ["lines 2 and 3 give it another artist"]


def test_of_rows_about_one_file_that_which_names_more_of_it_counts(tmp_path: Path) -> None:
    text = "path,artist\nb.jpg,B\nA,least\na.jpg,less\nx/a.jpg,most\n/old/y/x/a.jpg,other\n"
    found, faults = joined(csv_file(tmp_path, text), "x/a.jpg", root=Path("/c"))
    assert found == {"x/a.jpg": {"artist": "most"}}
    assert [path for _, path in faults] == ["b.jpg", "A", "a.jpg", "/old/y/x/a.jpg"]
    assert {kind for kind, _ in faults} == {"row without file"}


@given(
    files=st.lists(st.sampled_from(["a/1.jpg", "b/1.jpg", "a/b/2.png", "2.jpg"]), unique=True),
    rows=st.lists(st.sampled_from(["1", "1.jpg", "a/1.jpg", "2", "x/2.jpg", "3", "b/3", "a"])),
)
def test_each_row_is_used_once_or_told(files: list[str], rows: list[str]) -> None:
    with TemporaryDirectory() as folder:
        lines = [f"{row},artist {number}" for number, row in enumerate(rows)]
        table = csv_file(Path(folder), "\n".join(["path,artist", *lines, "never.jpg,nobody"]))
        found, faults = joined(table, *files)
    used = [row["artist"] for row in found.values() if row]
    told = len([kind for kind, _ in faults if kind != "contradiction"])
    assert len(used) == len(set(used))
    assert len(used) + told <= len(rows) + 1
    assert ("row without file", "never.jpg") in faults


def test_few_rows_that_meet_a_file_are_said_with_an_example_of_either(tmp_path: Path) -> None:
    table = csv_file(tmp_path, "path,artist\nscans/x1.jpg,A\nscans/x2.jpg,B\nm/3.jpg,C\n")
    with LabelTable(table) as opened:
        opened.meet(Path("/corpus"), ["m/1.jpg", "m/2.jpg", "m/3.jpg"])
        assert opened.remark() == (
            "only 1 of the 3 rows of works.csv meet a file: nothing has the row 'scans/x1.jpg', "
            "and no row has the file 'm/1.jpg'"
        )
    with LabelTable(table) as opened:
        opened.meet(Path("/corpus"), ["m/3.jpg", "notes.txt"])
        assert opened.remark() is None


WORDS = "path,title,artist\na.jpg,Stilleben – “Äpfel”,Cézanne\nb.jpg,Ritter,Albrecht DÜRER\n"


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("utf-8", WORDS),
        ("utf-8-sig", WORDS),
        ("utf-16", WORDS),
        ("utf-16-le", WORDS),
        ("utf-16-be", WORDS),
        ("utf-32", WORDS),
        ("windows-1252", WORDS),
        ("mac-roman", WORDS),
        ("latin-1", WORDS.replace("–", "-").replace("“", "").replace("”", "")),
    ],
)
def test_encodings_that_are_certain_are_read(tmp_path: Path, encoding: str, text: str) -> None:
    table = csv_file(tmp_path, text.encode(encoding))
    found, _ = joined(table, "a.jpg", "b.jpg")
    assert (found["a.jpg"]["artist"], found["b.jpg"]["artist"]) == ("Cézanne", "Albrecht DÜRER")
    assert found["a.jpg"]["title"] == text.splitlines()[1].split(",")[1]


@pytest.mark.parametrize(
    ("encoding", "name"),
    [
        ("windows-1252", "Crème"),
        ("windows-1250", "Čapek"),
        ("windows-1251", "Малевич"),
        ("windows-1253", "Γύζης"),
        ("shift_jis", "葛飾北斎"),
    ],
)
def test_encodings_that_are_not_are_asked_for(tmp_path: Path, encoding: str, name: str) -> None:
    table = csv_file(tmp_path, f"path,artist\na.jpg,{name}\n".encode(encoding))
    with pytest.raises(UsageError, match=r"not certain.* say it with table_encoding="):
        LabelTable(table)
    found, _ = joined(table, "a.jpg", encoding=encoding)
    assert found == {"a.jpg": {"artist": name}}


@pytest.mark.parametrize("encoding", ["klingon", "base64", ""])
def test_what_is_no_encoding_is_refused(tmp_path: Path, encoding: str) -> None:
    with pytest.raises(UsageError, match="is no encoding; write utf-8, utf-16, windows-1252"):
        LabelTable(csv_file(tmp_path, "path,artist\na.jpg,Monet\n"), encoding)


def test_an_encoding_that_it_is_not_in_is_said(tmp_path: Path) -> None:
    table = csv_file(tmp_path, "path,artist\na.jpg,Cézanne\n".encode("latin-1"))
    with pytest.raises(UsageError, match=r"is not text in utf-8; say what .* table_encoding"):
        LabelTable(table, "utf-8")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "has no column that names the image files"),
        (b"\n\n", "has no column that names the image files"),
        (b"path,artist\n", "it has no rows"),
        (b"name,artist\na.jpg,Monet\n", "call it one of path, file, .* (it has: name, artist)"),
        (b"path,x\na.jpg," + b"x" * 200_000, "none of its rows .* field larger than field limit"),
        (
            b"path,x\na.jpg,1,2\nb.jpg\n",
            "none of its rows can be read; line 2: 3 cells, 2 expected",
        ),
        (b'path,"x\na.jpg,1\n', "a quote is not closed"),
        (b"path,artist\na.jpg,\xff\xfe\x81\x8d\n", "is not UTF-8 text"),
    ],
    ids=["empty", "blank", "no rows", "no path", "huge", "ragged", "open quote", "no text"],
)
def test_a_csv_that_cannot_be_used_says_why(tmp_path: Path, content: bytes, message: str) -> None:
    table = csv_file(tmp_path, content)
    with pytest.raises(UsageError) as caught:
        LabelTable(table)
    assert str(table) in str(caught.value)
    assert all(part in str(caught.value) for part in message.split(" .* "))


@pytest.mark.parametrize("name", ["works.parquet", "works.pq", "WORKS.PARQUET"])
@pytest.mark.parametrize("content", [b"", b"path,artist\na.jpg,Monet\n", b"PAR1" * 20])
def test_what_is_no_parquet_says_so(tmp_path: Path, name: str, content: bytes) -> None:
    with pytest.raises(UsageError, match="cannot be read as a table"):
        LabelTable(write(tmp_path / name, content))


@pytest.mark.parametrize("name", ["nothing.csv", "."])
def test_no_such_table(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match=r"there is no table .*; give table a CSV or Parquet"):
        LabelTable(tmp_path / name)


def test_parquet_keeps_the_types_that_a_field_can_have(tmp_path: Path) -> None:
    table = parquet_file(
        tmp_path,
        {
            "path": [None, "a.jpg"],
            "artist": pa.array(["Manet", "Monet"]).dictionary_encode(),
            "year": [None, 1906.0],
            "width": [1, 92],
            "price": [2.5, 0.1],
            "signed": [None, True],
            "bought": [None, datetime.date(1951, 3, 4)],
            "code": ["1", "007"],
            "Wall No": ["B", "A"],
            "nothing": [None, None],
            "unknown": [1.0, float("nan")],
            "_private": ["x", "y"],
        },
    )
    assert labels(table) == {
        "artist": "Monet",
        "year": 1906,
        **YEARS,
        "width": 92,
        "price": 0.1,
        "signed": "true",
        "bought": "1951-03-04",
        "code": "007",
        "wall_no": "A",
    }


def test_a_large_table_says_what_was_not_used(tmp_path: Path) -> None:
    rows = 20_000
    lines = [f"/old/{i}/full.jpg,{i}" for i in range(rows)]
    table = csv_file(tmp_path, "path,artist\n" + "\n".join(lines))
    with LabelTable(table) as opened:
        opened.meet(Path("/old"), (f"{i}/full.jpg" for i in range(0, rows, 20)))
        source = table_labels(opened)
        for i in range(0, rows, 20):
            assert source(f"{i}/full.jpg") == {"artist": str(i)}
            assert source(f"{i}/other.jpg") == {}
        assert sum(1 for _ in opened.faults()) == rows - rows // 20
