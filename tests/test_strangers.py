"""An index that somebody else made: its files are read within limits, and it shows no others."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import Cli, copy_tree

from paint_search import Index
from paint_search.painting import Record, painting_id
from paint_search.search.stores import open_store

KINDS = ("edge", "faiss")


@pytest.fixture(scope="session")
def gift(painted: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with three ``paintings`` and an index of them in each kind of store. Read only."""
    home = tmp_path_factory.mktemp("gift")
    source = next(path for path in sorted(painted.iterdir()) if path.is_dir())
    copy_tree(source, home / "paintings")
    for kind in KINDS:
        with Index.create(
            home / "paintings", home / kind, backbone="descriptors", store=kind
        ) as index:
            index.add()
    return home


@pytest.fixture
def received(gift: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The gift in the current folder, beside a folder with a ``private`` picture."""
    copy_tree(gift, tmp_path / "received")
    (tmp_path / "private").mkdir()
    shutil.copy(next((gift / "paintings").iterdir()), tmp_path / "private/me.jpg")
    monkeypatch.chdir(tmp_path / "received")
    return tmp_path / "received"


def plant(index: Path, payload: dict[str, object]) -> str:
    """Put a point into the store of an index, unlike all that are there; return its id."""
    with Index.open(index) as opened:
        manifest = opened.manifest
    name = painting_id(str(payload.get("path")))
    vector = np.ones(manifest.backbone.dimension, np.float32)
    store = open_store(index, manifest.store, manifest.dimensions, manifest.maker)
    store.upsert([Record(name, payload, vector / np.linalg.norm(vector))])  # type: ignore[arg-type]
    store.close()
    return name


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("path", ["../private/me.jpg", "a/../../private/me.jpg", "/etc/hosts"])
def test_a_path_out_of_the_corpus_is_refused(
    path: str, kind: str, received: Path, cli: Cli
) -> None:
    name = plant(received / kind, {"path": path, "artist": "Me"})
    for command in (
        ["similar", name, "--html", "p.html"],
        ["similar", "paintings", "--html", "p.html", "--sheet", "p.jpg"],
        ["list"],
        ["export", "all.csv", "--to", "csv"],
        ["map", "m.html"],
        ["index", "paintings"],
    ):
        if command[:2] == ["similar", "paintings"]:
            command[1] = str(next((received / "paintings").iterdir()))
        outcome = cli(*command, "--index", kind)
        assert (outcome.code, outcome.err.count("\n")) == (1, 1), (command, outcome.out)
        assert f"this index names the file '{path}', which is in no corpus" in outcome.err
    assert not {"p.html", "p.jpg", "all.csv", "m.html"} & set(os.listdir())


def test_names_that_only_look_so_are_names(received: Path) -> None:
    for path in ("a..b/c.jpg", "study: a.jpg", "..c.jpg"):
        plant(received / "edge", {"path": path})
    with Index.open("edge") as index:
        assert {"a..b/c.jpg", "study: a.jpg", "..c.jpg"} < {work.path for work in index}


def test_a_link_out_of_the_corpus_is_not_followed(
    received: Path, cli: Cli, caplog: pytest.LogCaptureFixture
) -> None:
    (received / "paintings/me.jpg").symlink_to("../../private/me.jpg")
    (received / "paintings/more").symlink_to("../../private")
    stat = (received.parent / "private/me.jpg").stat()
    for path, seconds in (("me.jpg", 5), ("more/me.jpg", 0)):
        size = stat.st_size if seconds else 3
        stamp = {"_size": size, "_mtime_ns": stat.st_mtime_ns + seconds * 10**9}
        plant(received / "edge", {"path": path, **stamp})
    plant(received / "faiss", {"path": "me.jpg"})
    for kind, paths in (("edge", ("me.jpg", "more/me.jpg")), ("faiss", ("me.jpg",))):
        caplog.clear()
        with Index.open(kind) as index:
            for path in paths:
                assert index.locate(index.get(path)) == Path(os.devnull) / "me.jpg"
                assert index.locate_query(path) == Path(os.devnull) / "me.jpg"
            mine = [work for work in index if work.path not in paths]
            assert len(mine) == 3
            assert all(index.locate(work).is_file() for work in mine)
        said = [record.getMessage() for record in caplog.records]
        assert len(said) == 1, "once"
        assert said[0].startswith("me.jpg is not shown, like others perhaps: it lies outside")
    query = next((received / "paintings").glob("*19*"), received / "paintings")
    cli.ok("similar", query, "--index", "faiss", "--html", "p.html")
    private = (received / "p.html").read_text()
    (received / "paintings/me.jpg").unlink()
    cli.ok("similar", query, "--index", "faiss", "--html", "p.html")
    assert (received / "p.html").read_text() == private, "shown like a file that has gone"


@pytest.mark.parametrize("kind", KINDS)
def test_another_folder_as_corpus_is_not_shown(kind: str, received: Path) -> None:
    plant(received / kind, {"path": "me.jpg", "_size": 3, "_mtime_ns": 3})
    file = received / kind / "manifest.json"
    for root in ("../../private", str(received.parent / "private")):
        file.write_text(json.dumps(json.loads(file.read_text()) | {"root": root}))
        with Index.open(kind) as index:
            assert index.locate(index.get("me.jpg")) == Path(os.devnull) / "me.jpg"
    (received / "link").symlink_to("../private")
    file.write_text(json.dumps(json.loads(file.read_text()) | {"root": "../link"}))
    with Index.open(kind) as index:
        assert index.locate(index.get("me.jpg")) == Path(os.devnull) / "me.jpg"


def test_links_and_folders_of_ones_own_are_followed(
    received: Path, tmp_path: Path, cli: Cli
) -> None:
    (received / "paintings/more").symlink_to(tmp_path / "private")
    (received / "paintings/inside.jpg").symlink_to(next((received / "paintings").iterdir()).name)
    (received / "corpus").symlink_to(received / "paintings")
    for folder, corpus in (
        ("own", "paintings"),
        (tmp_path / "far/own", "paintings"),
        ("b", "corpus"),
    ):
        cli.ok("index", corpus, "--index", folder, "--backbone", "descriptors")
        with Index.open(folder) as index:
            assert "more/me.jpg" in index
            assert all(index.locate(work).samefile(index.root / work.path) for work in index)
            assert len(index) == 5
    os.utime(tmp_path / "private/me.jpg", (9, 9))
    with Index.open("own") as index:
        assert not index.locate(index.get("more/me.jpg")).exists()
    cli.ok("index", "paintings", "--index", "own")
    with Index.open("own") as index:
        assert index.locate(index.get("more/me.jpg")).is_file()
        assert index.locate_query("paintings/more/me.jpg").is_file()


def sparse(size: int) -> Callable[[Path], None]:
    """Make a file claim so many bytes, and hold none."""

    def grow(file: Path) -> None:
        file.unlink(missing_ok=True)
        with file.open("wb") as stream:
            stream.truncate(size)

    return grow


def text(words: str) -> Callable[[Path], None]:
    return lambda file: void(file.write_text(words, encoding="utf-8"))


def raw(content: bytes) -> Callable[[Path], None]:
    return lambda file: void(file.write_bytes(content))


def void(result: object) -> None:
    """Forget what a call returns."""


def said(**changes: object) -> Callable[[Path], None]:
    """Change what a JSON file says; ``a__b`` is b of a."""

    def change(file: Path) -> None:
        record = json.loads(file.read_text(encoding="utf-8"))
        for name, value in changes.items():
            *above, last = name.split("__")
            part = record
            for key in above:
                part = part[key]
            part[last] = value
        file.write_text(json.dumps(record), encoding="utf-8")

    return change


def pipe(file: Path) -> None:
    file.unlink(missing_ok=True)
    os.mkfifo(file)


def sql(*statements: str) -> Callable[[Path], None]:
    def run(file: Path) -> None:
        base = sqlite3.connect(file)
        names = base.execute("SELECT name FROM sqlite_master WHERE name LIKE 'value@_%' ESCAPE '@'")
        for (name,) in names.fetchall():  # which would refuse what is no JSON
            base.execute(f"DROP INDEX {name}")
        for statement in statements:
            base.execute(statement)
        base.commit()
        base.close()

    return run


def emptied(pattern: str) -> Callable[[Path], None]:
    def empty(folder: Path) -> None:
        for file in folder.rglob(pattern):
            file.write_bytes(b"")

    return empty


def header(length: int, **entries: object) -> bytes:
    """Begin a safetensors file with a header of another length, or of what is not in it."""
    content = json.dumps(entries).encode()
    return struct.pack("<Q", length or len(content)) + content + bytes(8)


DEEP = "[" * 100_000 + "]" * 100_000
TENSOR = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}

#: Kind of store, file, what is done to it, and what is said.
FILES: dict[str, tuple[str, str, Callable[[Path], None], str]] = {
    "manifest of 1 GB": ("edge", "manifest.json", sparse(2**30), "more than the"),
    "deep manifest": ("edge", "manifest.json", text(DEEP), "too deeply"),
    "deep part": ("edge", "manifest.json", text(f'{{"root": {DEEP}}}'), "too deeply"),
    "manifest that is a pipe": ("edge", "manifest.json", pipe, "there is no index"),
    "endless dimension": (
        "edge", "manifest.json", said(backbone__dimension=float("inf")), "OverflowError",
    ),
    "huge dimension": ("edge", "manifest.json", said(backbone__dimension=10**12), "dimensions"),
    "huge pictures": ("edge", "manifest.json", said(backbone__preprocessing__size=10**6), "size"),
    "effort of 1 GB": ("edge", "store/effort.json", sparse(2**30), ""),
    "deep effort": ("edge", "store/effort.json", text(DEEP), ""),
    "absurd effort": ("edge", "store/effort.json", text('{"ef": 1e30}'), ""),
    "empty parts of a shard": ("edge", "store", emptied("status.dat"), "edge/store failed"),
    "skips of 1 GB": ("edge", "skipped.csv", sparse(2**30), "skipped.csv is damaged"),
    "skips that are no text": ("edge", "skipped.csv", raw(b"\xff\n"), "skipped.csv is damaged"),
    "a skip without end": (
        "edge", "skipped.csv", text("path,reason\n" + "x" * 2**18), "skipped.csv is damaged",
    ),
    "a payload that is a list": (
        "faiss", "store/points.sqlite", sql("UPDATE points SET payload = '[]'"), "without labels",
    ),
    "a label that is a list": (
        "faiss",
        "store/points.sqlite",
        sql("""UPDATE points SET payload = '{"path": "a", "artist": ["b"]}'"""),
        "'artist' of a painting is a list",
    ),
    "a payload without path": (
        "faiss", "store/points.sqlite", sql("UPDATE points SET payload = '{}'"), "names the file",
    ),
    "a look that is none": (
        "faiss",
        "store/points.sqlite",
        sql("""UPDATE points SET payload = '{"path": "a", "_look": "zz"}'"""),
        "look of a painting",
    ),
    "a deep payload": (
        "faiss",
        "store/points.sqlite",
        sql(f"UPDATE points SET payload = '{DEEP}'"),
        "points.sqlite",
    ),
    "a number for a payload": (
        "faiss", "store/points.sqlite", sql("UPDATE points SET payload = 3"), "points.sqlite",
    ),
    "a number for a vector": (
        "faiss", "store/points.sqlite", sql("UPDATE full SET vector = 3"), "points.sqlite",
    ),
    "a short vector": (
        "faiss", "store/points.sqlite", sql("UPDATE full SET vector = x'0000'"), "points.sqlite",
    ),
    "a vector that is not finite": (
        "faiss",
        "store/points.sqlite",
        sql(f"UPDATE full SET vector = x'{'007c' * 1290}'"),
        "not finite",
    ),
    "a number for an id": (
        "faiss", "store/points.sqlite", sql("UPDATE points SET id = x'00ff' || label"), "",
    ),
    "notes that are a list": (
        "faiss", "store/points.sqlite", sql("UPDATE meta SET value = '[1]'"), "",
    ),
    "notes on an index that are none": (
        "faiss",
        "store/points.sqlite",
        sql("""INSERT OR REPLACE INTO meta VALUES ('faiss', '{"factory": 3}')"""),
        "notes on its index",
    ),
    "a view without end": (
        "faiss",
        "store/points.sqlite",
        sql(
            "DROP TABLE points",
            "CREATE VIEW points AS WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) "
            "SELECT x AS label, x AS id, '{}' AS payload FROM n",
        ),
        "it has views",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_absurd_is_a_sentence(name: str, received: Path, cli: Cli) -> None:
    kind, file, damage, words = FILES[name]
    damage(received / kind / file)
    picture = next((received / "paintings").iterdir())
    outcomes = []
    for command in (["similar", picture], ["info"], ["list"], ["export", "all.npy"]):
        outcome = cli(*command, "--index", kind)
        assert outcome.code in (0, 1)
        errors = [line for line in outcome.err.splitlines() if line.startswith("error: ")]
        assert errors == outcome.err.splitlines()[-1:] if outcome.code else not errors
        outcomes.append(outcome)
    if words:
        assert any(words in outcome.err for outcome in outcomes if outcome.code == 1)


COMPRESSORS: dict[str, tuple[str, Callable[[Path], None]]] = {
    "deep": ("compressor.json", text(DEEP)),
    "a list": ("compressor.json", text('["format"]')),
    "large": ("compressor.json", sparse(2**30)),
    "without a backbone": ("compressor.json", text('{"format": 1}')),
    "of huge vectors": ("compressor.json", said(n_features_in=10**13)),
    "of endless vectors": ("compressor.json", said(n_features_in=float("inf"))),
    "of a list of methods": ("compressor.json", said(method=["pca"])),
    "arrays of 5 GB": ("compressor.safetensors", sparse(5 * 2**30)),
    "a header of 1 GB": ("compressor.safetensors", raw(header(2**30))),
    "a header longer than can be": ("compressor.safetensors", raw(header(2**63))),
    "offsets outside": (
        "compressor.safetensors",
        raw(header(0, a=TENSOR | {"shape": [2**40], "data_offsets": [0, 2**42]})),
    ),
    "offsets that overlap": ("compressor.safetensors", raw(header(0, a=TENSOR, b=TENSOR))),
    "another shape": ("compressor.safetensors", raw(header(0, a=TENSOR | {"shape": [3]}))),
    "another type": ("compressor.safetensors", raw(header(0, a=TENSOR | {"dtype": "F4"}))),
    "a deep header": (
        "compressor.safetensors",
        raw(struct.pack("<Q", len(DEEP)) + DEEP.encode()),
    ),
    "other arrays": ("compressor.safetensors", raw(header(0, a=TENSOR))),
}


@pytest.mark.parametrize("name", COMPRESSORS)
def test_a_compressor_that_is_absurd_is_a_sentence(name: str, compressed: Path, cli: Cli) -> None:
    (folder,) = (compressed / ".paint-search").glob("compressor*")
    file, damage = COMPRESSORS[name]
    damage(folder / file)
    shutil.copy(next((compressed / "paintings").rglob("*.jpg")), "query.jpg")
    outcome = cli("similar", "query.jpg", "--compact-only")
    assert (outcome.code, outcome.err.count("\n")) == (1, 1)
    assert f"the compressor {folder} is damaged" in outcome.err or "another backbone" in outcome.err


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (sparse(2**32), "more than the"),
        (pipe, "no plain file"),
        (text("<net>" * 100_000), "cannot be loaded"),
        (raw(b"\x08\x07" * 1000), "cannot be loaded"),
    ],
    ids=["4 GB", "a pipe", "deep XML", "no ONNX"],
)
def test_a_backbone_that_is_absurd_is_a_sentence(
    damage: Callable[[Path], None], words: str, received: Path, cli: Cli
) -> None:
    Index.create("paintings", "made", backbone="builtin").close()
    plant(received / "made", {"path": "a.jpg"})
    damage(received / "made/backbone.onnx")
    outcome = cli("similar", next((received / "paintings").iterdir()), "--index", "made")
    assert (outcome.code, outcome.err.count("\n")) == (1, 1)
    assert "made/backbone.onnx" in outcome.err
    assert words in outcome.err


def test_a_backbone_of_other_pictures_is_a_sentence(received: Path, cli: Cli) -> None:
    said(backbone__preprocessing__size=100)(received / "edge/manifest.json")
    shutil.copy(next((received / "paintings").iterdir()), "query.jpg")
    outcome = cli("similar", "query.jpg", "--index", "edge")
    assert (outcome.code, outcome.err.count("\n")) == (1, 1)
    assert "takes pictures of 100 pixels" in outcome.err


def test_links_of_an_index_are_not_written_through(received: Path, cli: Cli) -> None:
    precious = received.parent / "private/precious.txt"
    precious.write_text("precious")
    for name in ("lock", "lock.holder", "manifest.new.json", "skipped.new.csv"):
        (received / "edge" / name).unlink(missing_ok=True)
        (received / "edge" / name).symlink_to(precious)
    cli.ok("index", "paintings", "--index", "edge")
    assert precious.read_text() == "precious"
    (received / "edge/skipped.csv").unlink()
    (received / "edge/skipped.csv").symlink_to(precious)
    assert "skipped.csv is damaged (it is no plain file)" in cli("info", "--index", "edge").err
    (received / "faiss/store/points.sqlite").rename(received.parent / "private/points.sqlite")
    (received / "faiss/store/points.sqlite").symlink_to("../../../private/points.sqlite")
    assert "points.sqlite is a link" in cli("info", "--index", "faiss").err
