"""What reaches the terminal: names of any bytes, few letters and columns, nothing that acts."""

from __future__ import annotations

import csv
import io
import os
import re
import shutil
import subprocess
import unicodedata
from pathlib import Path

import pytest
from conftest import COMMAND, Cli
from hypothesis import given
from hypothesis import strategies as st

from paint_search import Index
from paint_search.errors import readable
from paint_search.files import unguarded, write_rows

BYTES = os.fsdecode(b"q\xe9")  # a name as Python keeps it that is not UTF-8
EVIL = "\x1b[31mred\x07\x9b \u202egnp.exe\nsecond"
SHOWN = r"\x1b[31mred\x07\x9b \u202egnp.exe\nsecond"


@given(st.text(st.characters()))
def test_what_is_readable_acts_on_nothing(text: str) -> None:
    shown = readable(text)
    shown.encode()
    assert not {unicodedata.category(letter) for letter in shown} & {"Cc", "Cs", "Zl", "Zp"}
    assert not set(shown) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
    assert readable(shown) == shown


def test_letters_are_left_as_they_are() -> None:
    for text in ("Mélièś 月 日本 ابت\u200f", "a\\b", "\U0001f5bc"):
        assert readable(text) == text


@pytest.mark.parametrize(
    "arguments",
    [
        "similar {0}.jpg -k 2 --sheet {0}.png --html {0}.html",
        "similar {0}.jpg -k 2 --unlike {0}.jpg --json",
        "eval artists --plot {0}.svg --csv {0}.csv",
        "export {0}.npy",
        "export {0}.parquet --to parquet",
        "export {0}.faiss --to faiss",
        "index {0} --index {0}.index --backbone descriptors --table {0}-t.csv",
        "map {0}.html --method pca --plot {0}.png --coordinates {0}.parquet",
    ],
)
def test_names_of_any_bytes_work(studio: Path, cli: Cli, arguments: str) -> None:
    works = sorted((studio / "paintings").glob("*/*.jpg"))[:3]
    (studio / BYTES).mkdir()
    shutil.copy(works[0], studio / f"{BYTES}.jpg")
    for work in works:
        shutil.copy(work, studio / BYTES / work.name)
    (studio / f"{BYTES}-t.csv").write_text(f"path,artist\n{works[0].name},Somebody\n")
    outcome = cli.ok(*arguments.format(BYTES).split())
    outcome.output.encode()


@pytest.mark.parametrize(
    "arguments",
    [
        "similar {0}",
        "list --index {0}",
        "list --where artist={0}",
        "list --where {0}=1",
        "list --not title={0}",
        "list {0}\x1b[31m",
        "--{0}\x1b[31m",
        "index {0}",
        "index paintings --index new --table {0}.csv",
        "index paintings --index new --weights {0}",
        "index paintings --index new --store qdrant://{0}/x",
        "index paintings --index {0} --store faiss --backbone descriptors",
        "eval artists --by {0}",
        "eval artists --pair {0} {0}",
        "eval retrieval --split {0}",
        "export out --to {0}",
        "remove {0}",
    ],
)
def test_names_of_any_bytes_that_do_not_work_are_said(
    in_museum: Path, cli: Cli, arguments: str
) -> None:
    outcome = cli(*arguments.format(BYTES).split(" "))
    assert outcome.code in (1, 2)
    outcome.err.encode()
    assert r"q\xe9" in outcome.err or r"q\udce9" in outcome.err
    assert "\x1b" not in outcome.err


def test_labels_act_on_no_terminal(studio: Path, cli: Cli) -> None:
    with Index.open(studio / ".paint-search") as index:
        first, second, *_ = (painting.path for painting in index)
        index.upsert([first, second], labels=[{"artist": EVIL, "title": EVIL}] * 2)
    for arguments in (
        ["list"],
        ["similar", first, "-k", "29"],
        ["eval", "artists", "--nearest", EVIL],
    ):
        outcome = cli.ok(*arguments)
        assert SHOWN in outcome.out
        assert not set(outcome.output) & {"\x1b", "\x07", "\x9b", "\u202e"}
    assert EVIL in [
        one["artist"] for one in cli.ok("list", "--json").json["paintings"] if "artist" in one
    ]
    assert cli.ok("list", "--json").out.isascii()


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_few_letters_are_enough(in_museum: Path, encoding: str) -> None:
    environment = os.environ | {"PYTHONIOENCODING": encoding}
    for arguments in (["--help"], ["similar", "月\u010d.jpg"]):
        done = subprocess.run([*COMMAND, *arguments], env=environment, capture_output=True)
        assert b"Traceback" not in done.stderr
        assert done.returncode in (0, 2)
    assert rb"\u6708\u010d.jpg" in done.stderr


@pytest.mark.parametrize("width", [40, 80])
def test_artist_and_title_are_readable_on_few_columns(
    in_museum: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    query = next((in_museum / "paintings").glob("*/*.jpg"))
    hits = cli.ok("similar", query, "-k", 4, "--json").json["hits"]
    for name, value in {"TTY_COMPATIBLE": "1", "TERM": "xterm", "COLUMNS": str(width)}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("NO_COLOR", "1")
    shown = re.sub(r"\x1b\[[0-9;]*m", "", cli.ok("similar", query, "-k", 4).out)
    assert max(map(len, shown.splitlines())) <= width
    for hit in hits:
        for word in (*hit["artist"].split(), hit["title"], f"{hit['score']:.3f}"):
            assert word in shown
        if width == 40:
            assert f"artist       {hit['artist']}" in shown
    whole = "".join(shown.split())
    assert width != 40 or all("".join(hit["path"].split()) in whole for hit in hits)


@given(st.text(max_size=6), st.text("'=+-@\t\r\n0.5e ", max_size=6))
def test_no_cell_of_a_table_is_run_and_each_is_read_back(text: str, risky: str) -> None:
    for cell in (text, risky, risky + text):
        stream = io.StringIO(newline="")
        write_rows(stream, [[cell, -0.5, 3, None]])
        stream.seek(0)
        (row,) = csv.reader(stream)
        assert row[1:] == ["-0.5", "3", ""]
        if row[0][:1] in ("=", "@", "\t", "\r", "\n"):
            raise AssertionError(row)
        if row[0][:1] in ("+", "-"):
            float(row[0])
        stream.seek(0)
        assert [unguarded(found[0]) for found in csv.reader(stream)] == [cell]
