"""One process holds an index: where that does not answer, the next one waits, then says who."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from conftest import WORKS, Cli

from paint_search import Index
from paint_search.errors import StoreError


@pytest.fixture
def stopped(holder: subprocess.Popen[str]) -> subprocess.Popen[str]:
    """Another process that holds the studio's index, and is stopped, so that it answers nobody."""
    holder.send_signal(signal.SIGSTOP)
    return holder


def test_a_held_index_is_refused_with_the_process_that_holds_it(
    studio: Path, cli: Cli, stopped: subprocess.Popen[str]
) -> None:
    start = time.monotonic()
    outcome = cli("index", "paintings", "--json")
    waited = time.monotonic() - start
    assert 4.5 < waited <= 6, "it waits five seconds before it gives up"
    assert outcome.code == 1
    assert outcome.json["error"] in outcome.err
    assert f"process {stopped.pid} " in outcome.err
    assert str(studio / ".paint-search") in outcome.err
    assert outcome.err.count("\n") == 1
    assert stopped.poll() is None


def test_every_command_says_who_holds_it(
    studio: Path, cli: Cli, stopped: subprocess.Popen[str]
) -> None:
    for arguments in (["similar", "a"], ["remove", "a"]):
        outcome = cli(*arguments)
        assert (outcome.code, outcome.out) == (1, "")
        assert f"process {stopped.pid} " in outcome.err


def test_who_may_only_read_waits_until_nobody_writes(
    studio: Path, holder: subprocess.Popen[str]
) -> None:
    # By hard links: the lock is the holder's, in a folder that nobody may write.
    shown = studio.parent / "shown"
    subprocess.run(["cp", "-al", str(studio / ".paint-search"), str(shown)], check=True)
    program = (
        "import os, sys; from paint_search import Index; from paint_search.errors import *\n"
        "import paint_search.search.stores.edge\n"
        "os.geteuid() or os.setuid(65534)\n"
        "index = Index.open(sys.argv[1], patience=0.1)\n"
        "try: print(len(index))\n"
        "except StoreBusyError as error: print(error)"
    )
    subprocess.run(["chmod", "-R", "a+rX,a-w", str(shown)], check=True)
    for folder in studio.parents:  # pytest keeps them to its own user
        if folder.name.startswith(("pytest-", "popen-", "test_")):
            folder.chmod(0o755)
    command = [sys.executable, "-c", program, str(shown)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert f"{shown} is in use by process {holder.pid} " in said
    holder.kill()
    holder.wait()
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "30\n"
    subprocess.run(["chmod", "-R", "u+w", str(shown)], check=True)


def test_a_killed_holder_lets_go(studio: Path, cli: Cli, holder: subprocess.Popen[str]) -> None:
    holder.kill()
    holder.wait()
    start = time.monotonic()
    assert cli.ok("info", "--json").json["paintings"] == 10 * WORKS
    assert time.monotonic() - start < 4


def test_one_who_waits_gets_in_as_soon_as_the_holder_leaves(
    studio: Path, cli: Cli, stopped: subprocess.Popen[str]
) -> None:
    timer = threading.Timer(1.0, stopped.kill)
    timer.start()
    start = time.monotonic()
    assert cli.ok("index", "paintings", "--json").json["unchanged"] == 10 * WORKS
    assert time.monotonic() - start > 0.9
    timer.join()


def test_a_closed_index_lets_the_next_one_in(studio: Path) -> None:
    for _ in range(2):
        with Index.open() as index:
            assert len(index) == 10 * WORKS


def test_an_error_inside_the_block_lets_go_too(studio: Path) -> None:
    with pytest.raises(ZeroDivisionError), Index.open():
        raise ZeroDivisionError
    start = time.monotonic()
    with Index.open():
        assert time.monotonic() - start < 4


def test_the_same_process_may_open_it_twice(studio: Path) -> None:
    with Index.open() as one, Index.open() as other:
        assert len(one) == len(other) == 10 * WORKS


def test_a_closed_index_says_so(studio: Path) -> None:
    index = Index.open()
    index.close()
    index.close()
    for call in (lambda: len(index), lambda: index.similar("a.jpg"), lambda: index.add()):
        with pytest.raises(StoreError, match="is closed; open it again"):
            call()


@pytest.mark.filterwarnings("ignore:This process")  # that it has threads, which is the point
def test_a_forked_process_says_that_it_must_open_the_index_again(studio: Path) -> None:
    with Index.open() as index:
        said, tell = os.pipe()
        child = os.fork()
        if not child:
            words = []
            for ask in (lambda: index.similar(b"", k=1), lambda: index.add(), lambda: index.info()):
                try:
                    ask()
                except StoreError as error:
                    words.append(str(error))
            index.close()
            os.write(tell, "\n".join(words).encode())
            os._exit(0)
        os.close(tell)
        with os.fdopen(said) as stream:
            answers = stream.read().splitlines()
        assert os.waitpid(child, 0)[1] == 0
        assert len(answers) == 3
        assert all("before this process was forked; open it again" in each for each in answers)
        assert len(index) > 0, "the parent goes on"


def test_a_failed_creation_lets_go_of_its_folder(studio: Path, tmp_path: Path) -> None:
    (tmp_path / "new/manifest.new.json").mkdir(parents=True)  # the manifest cannot be written
    with pytest.raises(Exception, match=r"manifest\.json"):
        Index.create(studio / "paintings", tmp_path / "new", backbone="descriptors")
    (tmp_path / "new/manifest.new.json").rmdir()
    start = time.monotonic()
    with Index.create(studio / "paintings", tmp_path / "new", backbone="descriptors") as index:
        assert len(index) == 0
        assert time.monotonic() - start < 4
