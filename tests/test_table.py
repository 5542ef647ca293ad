"""Label tables: CSV as people and spreadsheets write it, Parquet, and which row is whose."""

from __future__ import annotations

import datetime
import time
import unicodedata
from pathlib import Path
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
    """Return the labels that the table gives to the file at ``path`` below ``root``."""
    with LabelTable(table) as opened:
        return table_labels(opened, root)(path)


def csv_file(folder: Path, text: str | bytes) -> Path:
    return write(folder / "works.csv", text)


def parquet_file(folder: Path, columns: dict[str, Any]) -> Path:
    pq.write_table(pa.table(columns), folder / "works.parquet")
    return folder / "works.parquet"


LILIES = {"artist": "Monet", "title": "Lilies, pale", "year": 1906}


@pytest.mark.parametrize(
    "text",
    [
        'path,artist,title,year\na.jpg,Monet,"Lilies, pale",1906\n',
        '\ufeffpath,artist,title,year\na.jpg,Monet,"Lilies, pale",1906\n',
        '\ufeff"path","artist","title","year"\r\n"a.jpg","Monet","Lilies, pale","1906"\r\n',
        "path;artist;title;year\na.jpg;Monet;Lilies, pale;1906\n",
        "path\tartist\ttitle\tyear\na.jpg\tMonet\tLilies, pale\t1906",
        "path|artist|title|year\na.jpg|Monet|Lilies, pale|1906",
        'path, artist, title, year\na.jpg, Monet, "Lilies, pale", c. 1906\n',
        'path,artist,title,year\ra.jpg,Monet,"Lilies, pale",1906\r',
        "\n".join(["path,artist,title,year", "", 'a.jpg,Monet,"Lilies, pale",1906', "", ""]),
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


def test_ragged_rows_keep_what_they_have(tmp_path: Path) -> None:
    table = csv_file(tmp_path, "path,artist,x\na.jpg,Monet\nb.jpg\nc.jpg,Manet,1,2,3\n,Degas,1\n")
    found = [labels(table, f"{name}.jpg") for name in "abc"]
    assert found == [{"artist": "Monet"}, {}, {"artist": "Manet", "x": 1}]


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
        ("Monet/a.jpg", "Monet/a.png", False),
        ("net/a.jpg", "Monet/a.jpg", False),
        ("onet_a.jpg", "a.jpg", False),
        ("../../etc/passwd", "a.jpg", False),
        ("0", "0", True),
        ("1.10", "x/1.10", True),
        (unicodedata.normalize("NFC", "é.jpg"), unicodedata.normalize("NFD", "é.jpg"), True),
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


def test_the_same_name_in_two_folders_gets_its_own_row(tmp_path: Path) -> None:
    text = "path,artist\n1.jpg,nobody\nManet/1.jpg,Manet\n/old/Monet/1.jpg,Monet\n"
    table = csv_file(tmp_path, text)
    assert labels(table, "Manet/1.jpg") == {"artist": "Manet"}
    assert labels(table, "Degas/1.jpg") == {"artist": "nobody"}


def test_of_rows_of_one_path_the_first_counts_and_the_others_are_unused(tmp_path: Path) -> None:
    table = csv_file(tmp_path, "path,artist\nb.jpg,B\na.jpg,first\na.jpg,second\nx/a.jpg,X\n")
    with LabelTable(table) as opened:
        assert table_labels(opened, Path("/c"))("a.jpg") == {"artist": "first"}
        assert list(opened.unused()) == ["b.jpg", "a.jpg", "x/a.jpg"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "has no column that names the image files"),
        (b"\n\n", "has no column that names the image files"),
        (b"path,artist\n", "it has no rows"),
        (b"name,artist\na.jpg,Monet\n", "call it one of path, file, .* (it has: name, artist)"),
        ("path,artist\na.jpg,Cézanne\n".encode("latin-1"), "is not UTF-8 text; save it as"),
        ("path,artist\na.jpg,Monet\n".encode("utf-16"), "is not UTF-8 text; save it as"),
        (b"path,x\na.jpg," + b"x" * 200_000, "field larger than field limit"),
        (b'path,x\na.jpg,"never closed' + b"\nb.jpg,1" * 30_000, "field larger than"),
    ],
    ids=["empty", "blank", "no rows", "no path", "latin-1", "utf-16", "huge field", "open quote"],
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
        "width": 92,
        "price": 0.1,
        "signed": "true",
        "bought": "1951-03-04",
        "code": "007",
        "wall_no": "A",
    }


def test_a_large_table_is_joined_quickly_and_says_what_was_not_used(tmp_path: Path) -> None:
    rows = 20_000
    lines = [f"/old/{i}/full.jpg,{i}" for i in range(rows)]
    table = csv_file(tmp_path, "path,artist\n" + "\n".join(lines))
    start = time.perf_counter()
    with LabelTable(table) as opened:
        source = table_labels(opened, Path("/old"))
        for i in range(0, rows, 20):
            assert source(f"{i}/full.jpg") == {"artist": str(i)}
            assert source(f"{i}/other.jpg") == {}
        assert sum(1 for _ in opened.unused()) == rows - rows // 20
    assert time.perf_counter() - start < 5
