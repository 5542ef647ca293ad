"""The files that commands are told of: where ``~`` is, what is fetched, what cannot be written."""

from __future__ import annotations

import csv
import threading
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import numpy as np
import pytest
from conftest import Cli
from PIL import Image

from paint_search import Index

RISKY = ("=1+1", "+49 30", "-x", "@here", "'=a", "a=b", "-0.5", "\u2212 5")


def a_file(home: Path) -> Path:
    return min((home / "paintings").glob("*/*.jpg"))


@pytest.mark.parametrize(
    "arguments",
    [
        "info --index=~/.paint-search",
        "similar paintings/{} --index ~/.paint-search --sheet=~/s.jpg --html=~/h.html",
        "similar ~/paintings/{} --unlike=~/paintings/{} --index=~/.paint-search",
        "eval artists --index=~/.paint-search --plot=~/p.png --csv=~/c.csv",
        "export ~/x.npy --index=~/.paint-search",
        "copy --to faiss --into=~/copied --index=~/.paint-search",
        "index ~/paintings --index=~/new --table=~/paintings/works.csv --backbone descriptors",
    ],
)
def test_home_is_found_in_all_paths(
    studio: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch, arguments: str
) -> None:
    monkeypatch.setenv("HOME", str(studio))
    monkeypatch.setenv("USERPROFILE", str(studio))
    work = a_file(studio).relative_to(studio / "paintings").as_posix()
    cli.ok(*(part.format(work) for part in arguments.split(" ")))
    assert not (studio / "~").exists()
    for part in arguments.split(" "):
        if "~/" in part and "{}" not in part:
            assert (studio / part.partition("~/")[2]).exists()


def test_home_is_found_in_the_environment(
    studio: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(studio))
    monkeypatch.setenv("PAINT_SEARCH_INDEX", "~/.paint-search")
    monkeypatch.chdir(tmp_path)
    assert cli.ok("list", "--json").json["paintings"]


class Web(BaseHTTPRequestHandler):
    """Serves what ``pages`` holds: bytes, where else it is, or so many megabytes."""

    pages: dict[str, bytes | str | int]
    asked: list[tuple[str, str]]

    def do_GET(self) -> None:
        self.asked.append((self.path, self.headers["User-Agent"]))
        page = self.pages.get(self.path, b"")
        self.send_response(302 if isinstance(page, str) else 200 if page else 404)
        if isinstance(page, str):
            self.send_header("Location", page)
        self.end_headers()
        if isinstance(page, bytes):
            self.wfile.write(page)
        elif isinstance(page, int):
            with suppress(ConnectionError):
                for _ in range(page):
                    self.wfile.write(bytes(1_000_000))

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def web(in_museum: Path) -> Iterator[tuple[str, type[Web]]]:
    """A server on this machine that has one painting, and no network beside it."""
    kind = type("Served", (Web,), {"pages": {}, "asked": []})
    with HTTPServer(("127.0.0.1", 0), kind) as server:
        kind.pages = {
            "/a%20b/monet.jpg": a_file(in_museum).read_bytes(),
            "/moved": "/a%20b/monet.jpg",
            "/page": b"<html>no picture</html>",
            "/damaged.jpg": a_file(in_museum).read_bytes()[:300],
            "/inside": f"http://localhost:{server.server_port}/a%20b/monet.jpg",
            "/private": "http://10.0.0.1:9/x.jpg",
            "/file": "file:///etc/passwd",
            "/round": "/round",
            "/huge": 120,
        }
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", kind
        server.shutdown()
        thread.join()


def test_an_address_is_fetched_when_asked_for(
    in_museum: Path, tmp_path: Path, cli: Cli, web: tuple[str, type[Web]]
) -> None:
    address, served = web
    outcome = cli("similar", f"{address}/a b/monet.jpg")
    assert (outcome.code, served.asked) == (2, [])
    assert "--fetch" in outcome.err
    file = cli.ok("similar", a_file(in_museum), "-k", 3, "--json").json["hits"]
    for name in ("a b/monet.jpg", "a%20b/monet.jpg", "moved"):
        page = tmp_path / "hits.html"
        told = cli.ok("similar", f"{address}/{name}", "--fetch", "-k", 4, "--json", "--html", page)
        assert [hit["path"] for hit in told.json["hits"]][1:] == [hit["path"] for hit in file]
        assert ("monet" if "monet" in name else "moved") in page.read_text()
    assert all(agent.startswith("paint-search/") for _, agent in served.asked)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("nothing", "404"),
        ("page", "is no picture"),
        ("damaged.jpg", "cannot be looked for"),
        ("inside", "on this machine or in a private network"),
        ("private", "cannot be fetched"),
        ("file", "cannot be fetched"),
        ("round", "cannot be fetched"),
        ("huge", "larger than 100 MB"),
    ],
)
def test_what_cannot_be_fetched_is_said(
    cli: Cli, web: tuple[str, type[Web]], name: str, reason: str
) -> None:
    address, served = web
    outcome = cli("similar", f"{address}/{name}", "--fetch")
    assert outcome.code == 1
    assert reason in outcome.err
    assert name != "inside" or len(served.asked) == 1


@pytest.mark.parametrize("address", ["ftp://127.0.0.1/x.jpg", "file:///etc/passwd", "http://["])
def test_other_addresses_are_refused(in_museum: Path, cli: Cli, address: str) -> None:
    outcome = cli("similar", address, "--fetch")
    assert outcome.code == 1
    assert f"{address} cannot be fetched" in outcome.err


@pytest.mark.parametrize(
    "arguments",
    [
        "similar {} --html out.pdf",
        "similar {} --sheet out.gif",
        "similar {} --csv out.xlsx",
        "verify {} {} --sheet out.pdf",
        "list --csv out.tsv",
        "eval artists --plot out.pdf",
        "eval artists --csv out.xlsx",
        "eval classify --html out.pdf",
        "map out.pdf",
        "map out.html --coordinates out.xlsx",
        "report out.pdf",
        "export out.xlsx",
        "export out.csv --to npy",
        "export out.npy --to parquet",
        "list --csv nowhere/out.csv",
    ],
)
def test_files_of_another_kind_are_refused_before_the_work(
    in_museum: Path, cli: Cli, arguments: str
) -> None:
    work = str(a_file(in_museum))
    outcome = cli(*(part.format(work) for part in arguments.split(" ")))
    assert outcome.code == 2
    assert "out." in outcome.err
    assert not list(in_museum.glob("out.*"))


@pytest.mark.parametrize(
    ("arguments", "column"),
    [
        ("similar {}", "score"),
        ("list", "path"),
        ("info", "what"),
        ("backbones", "dimension"),
        ("eval silhouette --min-works 2", "cosine"),
        ("map map.html --method pca", "trustworthiness"),
        ("compress --method pca --dims 4", "fit_seconds"),
    ],
)
def test_every_table_is_written_as_csv(studio: Path, cli: Cli, arguments: str, column: str) -> None:
    work = str(a_file(studio))
    told = cli.ok(*(part.format(work) for part in arguments.split(" ")), "--csv", "t.csv")
    assert "wrote t.csv" in told.err
    with Path("t.csv").open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert rows
    assert all(column in row for row in rows)


def test_labels_are_no_formulas_and_come_back_by_the_table(studio: Path, cli: Cli) -> None:
    with Index.open(studio / ".paint-search") as index:
        paths = [painting.path for painting in index][: len(RISKY)]
        index.upsert(paths, labels=[{"artist": text, "label": text} for text in RISKY])
    cli.ok("export", "labels.csv", "--to", "csv")
    with Path("labels.csv").open(newline="", encoding="utf-8") as stream:
        cells = [cell for row in csv.reader(stream) for cell in row]
    assert not [cell for cell in cells if cell[:1] in tuple("=+@") or cell[:2] == "-x"]
    assert "-0.5" in cells
    cli.ok(
        "index", "paintings", "--index", "new", "--table", "labels.csv", "--backbone", "descriptors"
    )
    with Index.open("new") as index:
        assert [index.get(path).artist for path in paths] == list(RISKY)


def test_an_export_overwrites_no_table_and_no_label(studio: Path, cli: Cli) -> None:
    Path("mine.csv").write_text("my own notes")
    for form in ("npy", "faiss"):
        outcome = cli("export", f"mine.{form}", "--to", form)
        assert outcome.code == 2
        assert "mine.csv" in outcome.err
    assert Path("mine.csv").read_text() == "my own notes"
    cli.ok("export", "own.npy")
    cli.ok("export", "own.npy")
    with Index.open(studio / ".paint-search") as index:
        ids, vectors = index.vectors()
        index.upsert(ids, labels=[{"label": f"its own {one}"} for one in ids])
    cli.ok("export", "theirs.faiss", "--to", "faiss")
    with Path("theirs.csv").open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    import faiss

    stored = faiss.read_index("theirs.faiss").reconstruct_n(0, len(ids))
    for row in rows:
        assert row["label_"] == f"its own {row['id']}"
        np.testing.assert_allclose(
            stored[int(row["label"])], vectors[ids.index(row["id"])], atol=1e-3
        )


def test_sheets_and_pages_say_what_was_asked(studio: Path, cli: Cli) -> None:
    with Index.open(studio / ".paint-search") as index:
        one, other, *_ = index
    cli.ok(
        "similar", one.path, "--unlike", other.path, "-k", 2, "--html", "h.html", "--sheet", "s.png"
    )
    page = Path("h.html").read_text(encoding="utf-8")
    for asked in (one, other):
        assert f"{asked.artist}: {asked.title}" in page
    assert (
        f"<h1>The 2 paintings most like {one.artist}: {one.title}, and unlike {other.artist}"
        in page
    )
    assert page.count('class="query"') == page.count('class="unlike"') == 1
    cli.ok("similar", one.path, "-k", 2, "--sheet", "fewer.png")
    with Image.open("s.png") as sheet, Image.open("fewer.png") as fewer:
        assert sheet.width > fewer.width


def test_one_is_no_plural(studio: Path, cli: Cli) -> None:
    a_file(studio).unlink()
    told = cli.ok("index", "paintings").out
    assert "1 file is gone; --prune drops it from the index" in told
    assert "1 other file is no image and was passed over" in told
    kept = a_file(studio)
    assert (
        "1 painting\n"
        in cli.ok("list", "--where", f"path={kept.relative_to(studio / 'paintings')}").err
    )
