"""A second run: files told apart, vectors kept, and every kind of interruption survived."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import COMMAND, WORKS, Cli
from numpy.typing import NDArray
from PIL import Image

from paint_search import Index
from paint_search.indexer import BATCH

TOTAL = 10 * WORKS


def pictures(home: Path) -> list[Path]:
    return sorted((home / "paintings").rglob("*.jpg"))


def counts(cli: Cli, *arguments: object) -> dict[str, int]:
    """Run ``index`` and return its counts that are not zero."""
    result = cli("index", "paintings", *arguments, "--json").json
    return {name: value for name, value in result.items() if value and type(value) is int}


def stored() -> dict[str, NDArray[np.float32]]:
    with Index.open() as index:
        ids, vectors = index.vectors()
        paths = {painting.id: painting.path for painting in index.paintings()}
    assert len(ids) == len(set(ids)) == len(set(paths.values()))
    return {paths[key]: vector for key, vector in zip(ids, vectors, strict=True)}


def blank(*files: Path) -> None:
    """Overwrite files with zeros, unseen from outside: opened, they would be found damaged."""
    for file in files:
        stat = file.stat()
        file.write_bytes(bytes(stat.st_size))
        os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def test_unchanged_files_are_not_opened(studio: Path, cli: Cli) -> None:
    blank(*pictures(studio))
    assert cli("similar", pictures(studio)[0]).code == 0
    Image.new("RGB", (300, 200), "teal").save(studio / "paintings/one.png")
    result = counts(cli)
    assert (result["unchanged"], result["new"]) == (TOTAL, 1)
    assert "skipped" not in result


def test_new_changed_moved_gone_and_unchanged_are_told_apart(studio: Path, cli: Cli) -> None:
    (studio / "paintings/works.csv").rename(studio / "works.csv")
    cli.ok("index", "paintings", "--table", "works.csv")
    before = stored()
    moved, changed, deleted, *_ = pictures(studio)
    paths = [file.relative_to(studio / "paintings").as_posix() for file in pictures(studio)[:3]]
    (studio / "paintings/Attic").mkdir()
    moved.rename(studio / "paintings/Attic/found.jpg")
    with Image.open(changed) as image:
        image.convert("L").save(changed)
    deleted.unlink()
    Image.linear_gradient("L").save(studio / "paintings/new.png")
    blank(*set(pictures(studio)) - {changed, studio / "paintings/Attic/found.jpg"})
    assert counts(cli) == {
        "new": 1,
        "changed": 1,
        "moved": 1,
        "gone": 1,
        "embedded": 2,
        "unchanged": TOTAL - 3,
        "paintings": TOTAL + 1,
        "unmatched_files": 2,
        "unmatched_rows": 2,
    }
    after = stored()
    assert set(after) == set(before) - {paths[0]} | {"Attic/found.jpg", "new.png"}
    np.testing.assert_array_equal(after["Attic/found.jpg"], before[paths[0]])
    assert not np.array_equal(after[paths[1]], before[paths[1]])
    for path in before.keys() - set(paths[:2]):
        np.testing.assert_array_equal(after[path], before[path])
    assert counts(cli, "--prune")["pruned"] == 1
    assert set(stored()) == set(after) - {paths[2]}


def test_a_moved_file_keeps_its_vector_through_many_moves(studio: Path, cli: Cli) -> None:
    before = stored()
    files = pictures(studio)
    paths = [file.relative_to(studio / "paintings").as_posix() for file in files]
    for number in range(3):
        for i, file in enumerate(files):
            files[i] = file.rename(studio / f"paintings/{number}-{i}.jpg")
        result = counts(cli)
        assert result["moved"] == TOTAL
        assert "embedded" not in result
        assert "new" not in result
    after = stored()
    for path, file in zip(paths, files, strict=True):
        np.testing.assert_array_equal(after[file.name], before[path])


def test_a_deleted_copy_is_gone_and_not_moved(studio: Path, cli: Cli) -> None:
    """Its twin was there before; nothing has moved, and a new file is still new."""
    original = pictures(studio)[0]
    copy = studio / "paintings/copy.jpg"
    shutil.copyfile(original, copy)
    assert counts(cli)["new"] == 1
    copy.unlink()
    Image.linear_gradient("L").save(studio / "paintings/new.png")
    result = counts(cli)
    assert (result.get("new"), result.get("moved"), result.get("gone")) == (1, None, 1)
    assert counts(cli, "--prune")["pruned"] == 1


def test_relabelled_files_are_not_opened(studio: Path, cli: Cli) -> None:
    table = studio / "paintings/works.csv"
    lines = table.read_text(encoding="utf-8").splitlines()
    cells = lines[1].split(",")
    lines[1] = ",".join([*cells[:2], "A New Title", *cells[3:]])
    table.write_text("\n".join(lines) + "\n", encoding="utf-8")
    before = stored()
    blank(*pictures(studio)[:-1])
    result = counts(cli)
    assert (result["relabelled"], result["unchanged"]) == (1, TOTAL - 1)
    assert not {"embedded", "skipped"} & result.keys()
    (painting,) = cli.ok("list", "--where", "title=A New Title", "--json").json["paintings"]
    assert painting["path"] == lines[1].split(",")[0]
    after = stored()
    np.testing.assert_array_equal(after[painting["path"]], before[painting["path"]])
    assert counts(cli)["unchanged"] == TOTAL


def test_a_touched_file_is_changed_and_keeps_its_vector(studio: Path, cli: Cli) -> None:
    file = pictures(studio)[4]
    before = stored()
    os.utime(file)
    assert counts(cli)["changed"] == 1
    path = file.relative_to(studio / "paintings").as_posix()
    np.testing.assert_array_equal(stored()[path], before[path])
    assert counts(cli)["unchanged"] == TOTAL


def test_a_folder_that_cannot_be_seen_is_not_pruned(
    studio: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    genuine = os.scandir
    hidden = pictures(studio)[0].parent

    def scandir(path: Any = ".") -> Any:
        if Path(path) == hidden:
            raise PermissionError(13, "Permission denied")
        return genuine(path)

    monkeypatch.setattr(os, "scandir", scandir)
    outcome = cli("index", "paintings", "--prune", "--json")
    assert (outcome.code, outcome.json["pruned"], outcome.json["skipped"]) == (3, 0, 1)
    assert outcome.json["paintings"] == TOTAL


def large_corpus(studio: Path, copies: int) -> int:
    """Add files of distinct content; return how many pictures there are."""
    for number in range(copies):
        for i, file in enumerate(pictures(studio)[:TOTAL]):
            content = file.read_bytes() + f"{number}-{i}".encode()  # after the end of the picture
            (studio / f"paintings/z{number}").mkdir(exist_ok=True)
            (studio / f"paintings/z{number}/{i}.jpg").write_bytes(content)
    return TOTAL * (copies + 1)


def test_killed_at_any_moment_it_goes_on_and_loses_nothing(studio: Path, cli: Cli) -> None:
    total = large_corpus(studio, 3)
    shutil.rmtree(studio / ".paint-search")
    moments = random.Random(7)
    reached = 0
    for _ in range(6):
        with subprocess.Popen(
            [*COMMAND, "index", "paintings", "--backbone", "descriptors", "--quiet"], cwd=studio
        ) as process:
            time.sleep(moments.uniform(0.3, 3.0))
            process.kill()
        if (studio / ".paint-search/manifest.json").exists():
            kept = len(stored())
            assert kept >= reached, "a kill loses nothing that was stored"
            reached = kept
    result = counts(cli)
    assert result["paintings"] == total
    assert result.get("unchanged", 0) == reached
    kept_vectors = stored()
    expected = {f.relative_to(studio / "paintings").as_posix() for f in pictures(studio)}
    assert set(kept_vectors) == expected
    assert all(abs(np.linalg.norm(v) - 1) < 1e-3 for v in kept_vectors.values())
    assert counts(cli)["unchanged"] == total


def test_ctrl_c_saves_says_how_to_go_on_and_exits_130(studio: Path, cli: Cli) -> None:
    total = large_corpus(studio, 6)
    program = (
        "import itertools, os, signal, sys\n"
        "files = itertools.count()\n"
        "def look(event, arguments):\n"
        "    if event == 'open' and str(arguments[0]).endswith('.jpg') and next(files) == 80:\n"
        "        os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.addaudithook(look)\n"
        "from paint_search.cli.app import main; main()"
    )
    process = subprocess.run(
        [COMMAND[0], "-c", program, "index", "paintings"],
        cwd=studio,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert process.returncode == 130, process.stderr
    assert "run the same command to go on" in process.stderr
    assert "Traceback" not in process.stderr
    kept = len(stored())
    assert TOTAL + BATCH <= kept < total, "what was in flight was finished and kept"
    result = counts(cli)
    assert result["unchanged"] == kept
    assert result["paintings"] == total


def test_ctrl_c_in_this_process_restores_the_handler(studio: Path, cli: Cli) -> None:
    before = signal.getsignal(signal.SIGINT)
    cli.ok("index", "paintings")
    assert signal.getsignal(signal.SIGINT) is before


def test_a_store_that_lost_its_manifest_is_not_written_over(studio: Path, cli: Cli) -> None:
    """The manifest is written before the store, so its absence means that somebody lost it."""
    manifest = studio / ".paint-search/manifest.json"
    text = manifest.read_bytes()
    before = stored()
    manifest.unlink()
    result = cli("index", "paintings")
    assert result.code == 1
    assert "manifest.json" in result.err
    manifest.write_bytes(text)
    assert stored().keys() == before.keys()


def test_killed_between_manifest_and_store_the_next_run_makes_the_store(
    studio: Path, cli: Cli
) -> None:
    shutil.rmtree(studio / ".paint-search/store")
    assert counts(cli)["new"] == TOTAL
