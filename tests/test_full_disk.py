"""A full disk and a folder that cannot be written: said in a sentence, and nothing is lost."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from conftest import WORKS, Cli, copy_tree

from paint_search import Index
from paint_search.errors import StoreError
from paint_search.indexer import BATCH

NOBODY = 65534

needs_root = pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0,
    reason="only root can mount a small disk or become another user",
)


def mounted(folder: Path, size: str) -> Iterator[Path]:
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    try:
        done = subprocess.run(mount, capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("there is no mount command here")
    if done.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 8 MB."""
    yield from mounted(tmp_path / "tiny disk", "8m")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 400 MB, enough for a small index."""
    yield from mounted(tmp_path / "small disk", "400m")


@needs_root
def test_a_disk_too_small_to_begin_with(painted: Path, tiny_disk: Path, cli: Cli) -> None:
    outcome = cli(
        "index", painted, "--backbone", "descriptors", "--index", tiny_disk / "index", "--json"
    )
    assert outcome.code == 1
    assert "full" in outcome.json["error"]
    assert str(tiny_disk) in outcome.json["error"]
    assert outcome.err.count("\n") == 1
    assert not list(tiny_disk.iterdir()), "what was begun is taken back"


@needs_root
def test_a_disk_that_fills_up_keeps_what_was_done_and_goes_on_later(
    painted: Path, small_disk: Path, cli: Cli
) -> None:
    ballast = small_disk / "ballast"

    def fill(progress: object) -> None:
        if not ballast.exists() and getattr(progress, "done", 0) >= BATCH:
            free = shutil.disk_usage(small_disk).free
            ballast.write_bytes(bytes(free - 1_000_000))

    folder = small_disk / "index"
    with (
        Index.create(painted, folder, backbone="descriptors") as index,
        pytest.raises(StoreError, match=r"full|No space"),
    ):
        index.add(report=fill)
    ballast.unlink()
    with Index.open(folder) as index:
        kept = len(index)
    assert kept == BATCH
    result = cli("index", painted, "--index", folder, "--json").json
    assert (result["unchanged"], result["new"]) == (kept, 10 * WORKS - kept)


@needs_root
def test_a_full_disk_leaves_a_whole_index_readable(
    museum: Path, small_disk: Path, cli: Cli
) -> None:
    copy_tree(museum / ".paint-search", small_disk / "index")
    copy_tree(museum / "paintings", small_disk / "paintings")
    (small_disk / "ballast").write_bytes(bytes(shutil.disk_usage(small_disk).free))
    query = sorted((small_disk / "paintings").rglob("*.jpg"))[0]
    where = ("--index", small_disk / "index")
    found = cli("similar", query, *where, "--json")
    assert found.code in (0, 1)
    if found.code == 1:
        assert "full" in found.json["error"] or "No space" in found.json["error"]
    for arguments in (
        ["similar", query, "--sheet", small_disk / "hits.jpg"],
        ["export", small_disk / "all.npy"],
    ):
        outcome = cli(*arguments, *where)
        assert outcome.code == 1
        assert "No space left" in outcome.err or "full" in outcome.err
        assert outcome.err.splitlines()[-1].startswith("error: ")
        assert str(small_disk) in outcome.err.splitlines()[-1]
    assert not (small_disk / "all.npy").exists()
    (small_disk / "ballast").unlink()
    assert cli.ok("similar", query, *where, "--json").json["hits"]


#: Runs commands once, so that all their modules are loaded, and only then becomes another user,
#: who may perhaps not read this Python's own files.
AS_NOBODY = f"""
import concurrent.futures.process, contextlib, io, json, os, sys, tempfile
from paint_search.cli.app import app

def run(*command):
    with contextlib.redirect_stderr(io.StringIO()) as said:
        try:
            app(command)
        except SystemExit as end:
            return int(end.code or 0), said.getvalue()

paintings, query, commands = sys.argv[1:]
for store in ("edge", "faiss"):
    with tempfile.TemporaryDirectory() as folder:
        where = "--index", folder, "--quiet"
        run("index", paintings, "--backbone", "descriptors", "--store", store, *where)
        for command in ("info", "list", "compress", ("export", folder + "/all.npy")):
            run(*([command] if isinstance(command, str) else command), *where)
        run("similar", query, *where)
        run("similar", "none", *where)
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid({NOBODY})
    os.setuid({NOBODY})
results = [run(*command) for command in json.loads(commands)]
print("\\n" + json.dumps(results))
"""


def as_nobody(home: Path, *commands: list[object]) -> list[tuple[int, str]]:
    """Run commands as a user who may write nothing; return each one's exit code and error."""
    painter = next(path for path in (home / "paintings").iterdir() if path.is_dir())
    asked = json.dumps([[str(argument) for argument in command] for command in commands])
    done = subprocess.run(
        [sys.executable, "-c", AS_NOBODY, painter, next(painter.iterdir()), asked],
        capture_output=True,
        text=True,
        timeout=120,
        env=os.environ | {"TMPDIR": str(home.parent / "nobody's")},
    )
    assert done.returncode == 0, done.stderr
    return [(code, said) for code, said in json.loads(done.stdout.splitlines()[-1])]


@pytest.fixture
def readable(museum: Path) -> Iterator[Path]:
    """A copy of the museum that everyone may read and nobody write, or only root; ``nobody's``."""
    with tempfile.TemporaryDirectory() as folder:
        home = copy_tree(museum, Path(folder) / "museum")
        with Index.open(home / ".paint-search") as index:
            index.copy("faiss", home / ".faiss")
        subprocess.run(["chmod", "-R", "a+rX,a-w", folder], check=True)
        Path(folder).chmod(0o755)
        own = home.parent / "nobody's"
        own.mkdir()
        if os.geteuid() == 0:
            os.chown(own, NOBODY, NOBODY)
        yield home
        subprocess.run(["chmod", "-R", "u+w", folder], check=True)


def test_folders_that_may_not_be_written(readable: Path) -> None:
    new = readable / "new"
    where = [["--index", readable / name] for name in (".paint-search", ".faiss")]
    *existing, made = as_nobody(
        readable,
        *(
            [*command, *index]
            for index in where
            for command in (["index", readable / "paintings"], ["remove", "a"], ["compress"])
        ),
        ["index", readable / "paintings", "--index", new, "--backbone", "descriptors"],
    )
    for folder, remedy, (code, error) in [
        *((readable, "may write to", outcome) for outcome in existing),
        (new, "--index", made),
    ]:
        assert code == 1
        assert error.startswith("error: ")
        assert error.count("\n") == 1
        assert str(folder) in error
        assert remedy in error


def test_an_index_that_may_not_be_written_is_read(readable: Path) -> None:
    query = sorted((readable / "paintings").rglob("*.jpg"))[0]
    own = readable.parent / "nobody's"
    for name in (".paint-search", ".faiss"):
        where = ["--index", readable / name]
        before = {file: file.stat().st_mtime_ns for file in (readable / name).rglob("*")}
        *read, wrong = as_nobody(
            readable,
            ["similar", query, "-k", 3, "--sheet", own / "hits.jpg", *where],
            ["info", *where],
            ["list", *where],
            ["export", own / "all.npy", *where],
            ["similar", "none", *where],
        )
        for code, said in read:
            assert (code, said.count("its store is read from a private copy")) == (0, 1)
        assert (wrong[0], wrong[1].splitlines()[-1][:12]) == (2, "error: none ")
        assert np.load(own / "all.npy").shape == (30, 1290)
        names = ["all.csv", "all.npy", "hits.jpg"]
        assert sorted(file.name for file in own.iterdir()) == names, "no copy is left"
        assert {f: f.stat().st_mtime_ns for f in (readable / name).rglob("*")} == before


def test_a_copy_of_an_index_that_may_not_be_written_may_be(readable: Path, cli: Cli) -> None:
    own = readable.parent / "own"
    cli.ok("copy", "--to", "edge", "--into", own, "--index", readable / ".faiss")
    assert all(os.stat(found).st_mode & 0o200 for found in (own, *own.rglob("*")))
    assert cli.ok("remove", "--where", "year=1500..2000", "--index", own)


@needs_root
def test_paintings_that_may_not_be_read_are_skipped(readable: Path) -> None:
    painter = next(path for path in (readable / "paintings").iterdir() if path.is_dir())
    next(painter.iterdir()).chmod(0o600)
    home = readable.parent / "nobody's"
    where = ["--index", home / "index", "--backbone", "descriptors"]
    ((code, error),) = as_nobody(readable, ["index", readable / "paintings", *where])
    assert (code, error) == (3, "")
    (line,) = (home / "index/skipped.csv").read_text(encoding="utf-8").splitlines()[1:]
    assert "Permission denied" in line
