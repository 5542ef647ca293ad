"""Bad input: each ends with the documented exit code and one sentence, never with a traceback."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import COMMAND, TINY, Cli

MANIFEST = ".paint-search/manifest.json"


@pytest.fixture
def inputs(in_museum: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder: bad files of every kind, and ``PAINTING``; the museum is the index."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PAINT_SEARCH_INDEX", str(in_museum / ".paint-search"))
    whole = sorted((in_museum / "paintings").rglob("*.jpg"))[0].read_bytes()
    (tmp_path / "painting.jpg").write_bytes(whole)
    (tmp_path / "half.jpg").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.jpg").write_text("no picture at all\n")
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "table.txt").write_text("a,b\n1,2\n")
    (tmp_path / "nothing").mkdir()
    (tmp_path / "words").mkdir()
    (tmp_path / "words/notes.txt").write_text("words")
    (tmp_path / "bomb.png").write_bytes(png_header(60_000, 60_000))
    return tmp_path


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims to be enormous and holds next to nothing."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + check

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    packed = zlib.compress(bytes(1000))
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")
    )


BUILT_IN = ("--backbone", "descriptors")

#: Arguments, exit code, words that the sentence must hold.
CASES: dict[str, tuple[list[str], int, tuple[str, ...]]] = {
    "no such folder": (["index", "nowhere"], 2, ("nowhere", "name the folder")),
    "a file for a folder": (["index", "painting.jpg"], 2, ("painting.jpg", "name the folder")),
    "folder without image": (["index", "words", "--index", "new"], 2, ("no image", "words")),
    "empty folder": (["index", "nothing", "--index", "new"], 2, ("no image", "nothing")),
    "another corpus": (["index", "."], 2, ("not inside", "--index")),
    "another backbone": (
        ["index", ".", "--backbone", "vgg16"],
        1,
        ("'descriptors'", "'vgg16'", "--index"),
    ),
    "unknown backbone": (
        ["index", ".", "--index", "new", "--backbone", "resnet51"],
        1,
        ("resnet51", "timm:NAME"),
    ),
    "unknown timm model": (
        ["index", ".", "--index", "new", "--backbone", "timm:resnet5o"],
        1,
        ("resnet5o",),
    ),
    "unreadable settings": (
        ["index", ".", "--index", "new", "--backbone", "timm:test_resnet?x"],
        1,
        ("key=value",),
    ),
    "explicit resnet50 without weights": (
        ["index", ".", "--index", "new", "--backbone", "resnet50"],
        1,
        ("resnet50", "--weights"),
    ),
    "no such weights": (
        ["index", ".", "--index", "new", "--backbone", TINY, "--weights", "no.safetensors"],
        1,
        ("no.safetensors", "--weights"),
    ),
    "weights for the built-in": (
        ["index", ".", "--index", "new", "--backbone", "descriptors", "--weights", "half.jpg"],
        2,
        ("--weights", "descriptors"),
    ),
    "unknown fit": (["index", ".", "--fit", "stretch"], 2, ("stretch", "crop")),
    "unknown device": (
        ["index", ".", "--index", "new", *BUILT_IN, "--device", "tpu"],
        2,
        ("tpu", "cuda"),
    ),
    "labels and table": (
        ["index", ".", "--index", "new", *BUILT_IN, "--labels", "folder", "--table", "table.txt"],
        2,
        ("--labels", "--table"),
    ),
    "pattern without a field": (
        ["index", ".", "--index", "new", *BUILT_IN, "--labels", "folders"],
        2,
        ("folders", "{artist}"),
    ),
    "no such table": (
        ["index", ".", "--index", "new", *BUILT_IN, "--table", "no.csv"],
        2,
        ("no.csv",),
    ),
    "table without paths": (
        ["index", ".", "--index", "new", *BUILT_IN, "--table", "table.txt"],
        2,
        ("table.txt", "path"),
    ),
    "query not there": (["similar", "no.jpg"], 2, ("no.jpg", "paint-search list")),
    "query is a folder": (["similar", "words"], 2, ("words",)),
    "query is text": (["similar", "text.jpg"], 1, ("text.jpg", "not an image")),
    "query is empty": (["similar", "empty.jpg"], 1, ("empty.jpg",)),
    "query is half": (["similar", "half.jpg"], 1, ("half.jpg", "damaged")),
    "query is a bomb": (["similar", "bomb.png"], 1, ("bomb.png", "pixels")),
    "counter-example is text": (
        ["similar", "painting.jpg", "--unlike", "text.jpg"],
        1,
        ("text.jpg",),
    ),
    "k 0": (["similar", "painting.jpg", "-k", "0"], 2, ("-k 0", "at least one")),
    "k below 0": (["similar", "painting.jpg", "-k", "-3"], 2, ("-k -3",)),
    "k no number": (["similar", "painting.jpg", "-k", "ten"], 2, ("-k",)),
    "spread too large": (["similar", "painting.jpg", "--spread", "2"], 2, ("--spread",)),
    "spread no number": (["similar", "painting.jpg", "--spread", "nan"], 2, ("--spread",)),
    "unknown field": (
        ["similar", "painting.jpg", "--where", "artits=Me"],
        2,
        ("artits", "did you mean artist", "movement"),
    ),
    "bookkeeping field": (["similar", "painting.jpg", "--not", "_hash=1"], 2, ("_hash",)),
    "filter without =": (["list", "--where", "artist"], 2, ("field=value",)),
    "no query": (["similar"], 2, ("PAINTING",)),
    "no such option": (["info", "--colour"], 2, ("--colour",)),
    "no index": (["info", "--index", "nothing"], 1, ("nothing", "paint-search index")),
    "remove nothing": (["remove"], 2, ("--where",)),
    "remove a stranger": (["remove", "no.jpg"], 2, ("no.jpg", "paint-search list")),
    "export to nowhere": (["export", "no/such/folder/a.npy"], 1, ("no/such/folder",)),
    "sheet to nowhere": (["similar", "painting.jpg", "--sheet", "no/a.jpg"], 2, ("no", "a.jpg")),
    "demo over files": (["demo", "words"], 2, ("words", "another folder")),
}


@pytest.mark.parametrize("name", CASES)
def test_one_sentence_and_an_exit_code(name: str, inputs: Path, cli: Cli) -> None:
    arguments, code, words = CASES[name]
    before = sorted(inputs.iterdir())
    outcome = cli(*arguments)
    assert outcome.code == code, outcome
    told = " ".join(outcome.err.split())
    for word in words:
        assert word in told, outcome.err
    if not outcome.err.startswith("Usage: paint-search"):
        errors = [line for line in outcome.err.splitlines() if line.startswith("error: ")]
        assert errors == outcome.err.splitlines()[-1:], "an error is one line, the last"
    assert sorted(inputs.iterdir()) == before, "a refused command leaves nothing behind"


@pytest.mark.parametrize(
    "name",
    [
        "no such folder",
        "another backbone",
        "no such table",
        "query not there",
        "query is half",
        "k 0",
        "unknown field",
        "no index",
        "export to nowhere",
        "sheet to nowhere",
    ],
)
def test_json_asks_for_json_errors_too(name: str, inputs: Path, cli: Cli) -> None:
    arguments, code, words = CASES[name]
    outcome = cli(*arguments, "--json")
    assert outcome.code == code
    assert set(outcome.json) == {"error"}, "one JSON value, the error"
    for word in words:
        assert word in outcome.json["error"]


def later(text: str) -> str:
    return json.dumps(json.loads(text) | {"format": 999})


def other_dimension(text: str) -> str:
    record = json.loads(text)
    record["backbone"]["dimension"] = 7
    return json.dumps(record)


def without_backbone(text: str) -> str:
    record = json.loads(text)
    del record["backbone"]
    return json.dumps(record)


def cosine_in_words(text: str) -> str:
    record = json.loads(text)
    record["engine"] = {"engine": "x", "precision": "f32", "cosine": "close"}
    return json.dumps(record)


DAMAGE: dict[str, tuple[Callable[[str], str], str]] = {
    "empty": (lambda text: "", "damaged"),
    "cut short": (lambda text: text[:200], "damaged"),
    "a list": (lambda text: "[1, 2]", "damaged"),
    "a number": (lambda text: "3", "damaged"),
    "null": (lambda text: "null", "damaged"),
    "no format": (lambda text: "{}", "damaged"),
    "a word for the format": (lambda text: '{"format": "one"}', "damaged"),
    "no backbone": (without_backbone, "damaged"),
    "a cosine in words": (cosine_in_words, "damaged"),
    "too deep": (lambda text: "[" * 100_000, "damaged"),
    "newer": (later, "format 999"),
}


@pytest.mark.parametrize("name", DAMAGE)
@pytest.mark.parametrize("command", [["info"], ["similar", "x.jpg"], ["index", "paintings"]])
def test_a_damaged_or_newer_manifest(
    name: str,
    command: list[str],
    tmp_path: Path,
    museum: Path,
    cli: Cli,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    damage, words = DAMAGE[name]
    (tmp_path / ".paint-search").mkdir()
    (tmp_path / "paintings").mkdir()
    damaged = damage((museum / MANIFEST).read_text(encoding="utf-8"))
    (tmp_path / MANIFEST).write_text(damaged, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    outcome = cli(*command)
    assert outcome.code == 1
    assert words in outcome.err
    assert str(tmp_path / MANIFEST) in outcome.err
    assert outcome.err.count("\n") == 1
    assert (tmp_path / MANIFEST).read_text(encoding="utf-8") == damaged, "left as it was"


def test_a_manifest_that_is_not_utf8(studio: Path, cli: Cli) -> None:
    (studio / MANIFEST).write_bytes(b"\xff\xfe\x00")
    outcome = cli("info")
    assert (outcome.code, outcome.err.count("\n")) == (1, 1)
    assert "damaged" in outcome.err


def test_a_manifest_of_another_dimension_than_the_store(studio: Path, cli: Cli) -> None:
    text = (studio / MANIFEST).read_text(encoding="utf-8")
    (studio / MANIFEST).write_text(other_dimension(text), encoding="utf-8")
    query = sorted((studio / "paintings").rglob("*.jpg"))[0]
    outcome = cli("similar", query)
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err.startswith("error: ")
    assert outcome.err.count("\n") == 1


def test_a_damaged_store(studio: Path, cli: Cli) -> None:
    for file in (studio / ".paint-search/store").rglob("*.json"):
        file.write_text("{")
    outcome = cli("info")
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err.startswith("error: ")
    assert str(studio / ".paint-search") in outcome.err


def test_a_store_that_is_gone_is_not_an_empty_index(studio: Path, cli: Cli) -> None:
    (studio / ".paint-search/store").rename(studio / "elsewhere")
    query = sorted((studio / "paintings").rglob("*.jpg"))[0]
    outcome = cli("similar", query)
    assert outcome.code != 0
    assert "paint-search index" in outcome.err


def test_a_bomb_in_the_corpus_is_one_line_of_the_skip_list(
    studio: Path, cli: Cli, recwarn: pytest.WarningsRecorder
) -> None:
    (studio / "paintings/bomb.png").write_bytes(png_header(60_000, 60_000))
    outcome = cli("index", "paintings")
    assert outcome.code == 3
    assert outcome.err == ""
    assert not [w for w in recwarn if "PIL" in str(w.filename)]
    lines = (studio / ".paint-search/skipped.csv").read_text().splitlines()
    assert len(lines) == 2
    assert lines[1].startswith("bomb.png,")
    assert "--max-pixels" in lines[1]


@pytest.mark.skipif(os.name == "nt" or sys.platform == "darwin", reason="names are text there")
def test_names_that_are_not_text(inputs: Path, cli: Cli) -> None:
    odd = os.fsdecode(b"odd \xff.jpg")
    for command in ("similar", "remove", "index"):
        outcome = cli(command, odd)
        assert (outcome.code, outcome.err.count("\n")) == (2, 1)
        assert outcome.err.startswith("error: ")
    (inputs / odd).write_bytes((inputs / "painting.jpg").read_bytes())
    cli.ok("similar", odd, "-k", 2, "--html", "hits.html", "--sheet", "hits.jpg")
    assert (inputs / "hits.html").read_text(encoding="utf-8").count("<img") == 3


@pytest.mark.parametrize("form", [[], ["--json"]], ids=["table", "json"])
def test_a_reader_that_leaves_is_no_failure(form: list[str], museum: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    where = ["--index", str(museum / ".paint-search")]
    done = subprocess.run(
        [*COMMAND, "list", *where, *form], stdout=writing, stderr=subprocess.PIPE, text=True
    )
    os.close(writing)
    assert done.returncode == 0
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
@pytest.mark.parametrize("form", [[], ["--json"]], ids=["table", "json"])
def test_output_that_cannot_be_written(form: list[str], museum: Path) -> None:
    where = ["--index", str(museum / ".paint-search")]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*COMMAND, "list", *where, *form], stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "error: " in done.stderr
    assert "No space left" in done.stderr
