"""Whoever holds an embedded index answers the others of its user, and they notice nothing."""

from __future__ import annotations

import json
import os
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from conftest import WORKS, Cli, copy_tree

from paint_search import Index
from paint_search.errors import StoreBusyError, StoreError, StoreMovedError
from paint_search.painting import Record, painting_id
from paint_search.search import Condition
from paint_search.search.stores import (
    Loan,
    Maker,
    Match,
    Place,
    Store,
    VectorQuery,
    borrow,
    lend,
    open_store,
)

TOTAL = 10 * WORKS
SOCKET = Path(".paint-search/lock.socket")


@pytest.fixture
def owner(studio: Path) -> Iterator[Index]:
    """The studio's index, held and lent by this process."""
    with Index.open() as index:
        _until(SOCKET.exists)
        yield index


def _is_lent() -> bool:
    with socket.socket(socket.AF_UNIX) as end:
        return end.connect_ex(str(SOCKET)) == 0


def _until(happened: object, seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not happened():  # type: ignore[operator]
        assert time.monotonic() < end
        time.sleep(0.02)


def _records(count: int) -> list[Record]:
    rows = np.random.default_rng(count).normal(size=(count, 8)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return [
        Record(painting_id(str(i)), {"path": str(i), "year": i % 5, "artist": "ü"}, row, row[:3])
        for i, row in enumerate(rows)
    ]


def _alike(one: list[Match], other: list[Match]) -> bool:
    """Tell whether two answers differ in nothing but the order of points that are as near."""
    scores = [[match.score for match in matches] for matches in (one, other)]
    return bool(np.allclose(*scores, atol=1e-6)) and all(
        a.record.id == b.record.id or abs(a.score - b.score) < 1e-6
        for a, b in zip(one, other, strict=True)
    )


@contextmanager
def _lent(folder: Path, kind: str) -> Iterator[tuple[Store, Loan]]:
    place = Place.parse(kind)
    store = open_store(folder, place, {"full": 8, "compact": 3}, Maker("test", "fingerprint"))
    end = lend(folder, place, store, lambda who, patience: nullcontext())
    found: list[Loan] = []
    _until(lambda: (loan := borrow(folder, "test", 5)) and not found.append(loan))
    yield store, found[0]
    found[0].close()
    end()
    store.close()


@pytest.mark.parametrize("kind", ["edge", "faiss"])
def test_a_borrowed_store_answers_as_the_store_itself(tmp_path: Path, kind: str) -> None:
    folder = tmp_path / ("long" * 40)  # longer than the address of a socket may be
    folder.mkdir()
    records = _records(540)
    with _lent(folder, kind) as (store, loan):
        with pytest.raises(StoreError, match="right to change"):
            loan.upsert(records)
        loan.claim(1)
        loan.upsert(records)
        loan.set_payloads([Record(records[0].id, {"path": "0", "title": "x"})])
        loan.delete([records[1].id])
        loan.optimize()
        loan.flush()
        loan.release()
        where = [Condition("year", low=1, high=3), Condition("artist", ("ü",))]
        for some in ((), where):
            assert loan.count(some) == store.count(some) > 0
            for limit in (None, 520, 0):
                ours = [(r.id, r.payload) for r in loan.scroll(some, limit=limit)]
                assert ours == [(r.id, r.payload) for r in store.scroll(some, limit=limit)]
        pairs = zip(loan.scroll(vectors=True), store.scroll(vectors=True), strict=True)
        for one, other in pairs:
            assert one.id == other.id
            np.testing.assert_array_equal(one.vector, other.vector)
            np.testing.assert_array_equal(one.compact, other.compact)
        ids = [record.id for record in records] + [painting_id("unknown")]
        assert loan.get(ids) == store.get(ids)
        assert loan.get([]) == {}
        queries = np.array([record.vector for record in records[:40]])
        for options in (
            {},
            {"where": where, "without": {records[3].id}},
            {"codes": queries[:, :3], "oversampling": 3},
            {"spread": 0.5, "min_score": 0.1, "exact": True},
        ):
            query = VectorQuery(queries, 20 if options else 540, **options)  # in two messages
            ours, theirs = loan.search(query), store.search(query)
            assert list(map(len, ours)) == list(map(len, theirs)), options
            assert all(map(_alike, ours, theirs)), options
        assert loan.search(VectorQuery(queries[:0], 3)) == []
        assert (loan.fields(), loan.describe()) == (store.fields(), store.describe())
        assert sorted(loan.texts("path")) == sorted(store.texts("path"))
        assert [loan.has_field(name) for name in ("title", "none")] == [True, False]
        assert loan.approximate() is store.approximate()
        with pytest.raises(StoreError):
            loan.search(VectorQuery(queries[:, :5], 3))
        begun = [loan.scroll(limit=1) for _ in range(300)]
        with pytest.raises(StoreError, match="begun and not ended"):
            [next(one) for one in begun]
    with pytest.raises(StoreMovedError, match="has ended"):
        loan.count()


def test_a_list_goes_on_where_it_was_when_its_owner_ends(studio: Path) -> None:
    names = [f"no/file-{number}.jpg" for number in range(700)]  # more than one message has
    with Index.open() as owner, Index.open() as index:
        vectors = np.ones((700, owner.manifest.backbone.dimension))
        owner.upsert(names, vectors, fingerprint=owner.fingerprint)
        paintings = index.paintings()
        ids = [next(paintings).id]
        owner.close()
        ids += [painting.id for painting in paintings]
        assert ids == sorted(set(ids))
        assert len(ids) == TOTAL + 700


@pytest.mark.parametrize("kind", ["edge", "faiss"])
def test_many_threads_search_while_one_writes(tmp_path: Path, kind: str) -> None:
    records = _records(400)
    queries = np.array([record.vector for record in records[:24]])
    place = Place.parse(kind)
    store = open_store(tmp_path, place, {"full": 8, "compact": 3}, Maker("t", "f"))
    store.upsert(records)

    def found(row: int) -> list[tuple[str, float]]:
        (matches,) = store.search(VectorQuery(queries[row : row + 1], 5))
        return [(match.record.id, match.score) for match in matches]

    one_by_one = [found(row) for row in range(24)]
    over = threading.Event()

    def ask(_: int) -> bool:
        same = True
        while not over.is_set():
            same = same and [found(row) for row in range(24)] == one_by_one
        return same

    with ThreadPoolExecutor(8) as pool:
        answers = [pool.submit(ask, number) for number in range(8)]
        for start in range(0, 400, 50):  # the same again, under new labels
            store.upsert(records[start : start + 50])
            store.optimize()
        over.set()
        assert all(answer.result() for answer in answers)
    store.close()


def test_the_socket_is_for_its_user_alone_and_goes_with_its_owner(owner: Index) -> None:
    mode = SOCKET.lstat().st_mode
    assert stat.S_ISSOCK(mode)
    assert stat.S_IMODE(mode) == 0o600
    owner.close()
    assert not SOCKET.exists()


def test_every_command_that_reads_goes_on_beside_an_owner(owner: Index, cli: Cli) -> None:
    query = next(owner.paintings()).path
    said = cli.ok("similar", f"paintings/{query}", "--json").json
    assert said["hits"][0]["path"] == owner.similar(f"paintings/{query}")[0].path
    assert cli.ok("info", "--json").json["paintings"] == TOTAL
    assert len(cli.ok("list", "--json").json["paintings"]) == TOTAL
    cli.ok("export", "all.csv", "--to", "csv")
    assert len(Path("all.csv").read_text().splitlines()) == TOTAL + 1
    cli.ok("copy", "--to", "faiss")
    with Index.open(".paint-search-faiss") as copied:
        assert len(copied) == TOTAL


def test_who_borrows_writes_too_and_the_owner_sees_it(owner: Index, cli: Cli) -> None:
    first, second, *_ = owner.paintings()
    assert cli.ok("remove", first.path).code == 0
    assert len(owner) == TOTAL - 1
    with Index.open() as other:
        assert other.upsert([second.id], labels=[{"title": "renamed"}]) == 1
        assert owner.get(second.id).title == "renamed"
    assert cli.ok("index", "paintings", "--json").json["new"] == 1
    assert len(owner) == owner.info().manifest.paintings == TOTAL


def test_one_writes_at_a_time_and_the_next_is_told_who(owner: Index, cli: Cli) -> None:
    me = f"is being changed by process {os.getpid()} "
    with Index.open(patience=0.1) as one, Index.open(patience=0.1) as other:
        said: list[str] = []

        def report(progress: object) -> None:
            with ThreadPoolExecutor(1) as pool:  # a thread that writes may write
                for index in (one, other, owner):
                    if index is not busy:
                        with pytest.raises(StoreBusyError, match=me) as told:
                            pool.submit(index.remove, where={"year": (None, None)}).result()
                        said.append(str(told.value))

        for busy in (one, owner):
            busy.add(report=report)
        assert len(said) >= 4
        with pytest.raises(StoreBusyError, match="in use by process"):
            one.compress("pca", 4)
        assert len(one) == len(other) == len(owner) == TOTAL
        owner.compress("pca", 4)
        assert one.manifest.compression is None, "as it was read last"
        assert one.vectors(which="compact")[1].shape == other.vectors()[1][:, :4].shape
        assert one.manifest.compression is not None


def test_when_the_owner_ends_a_borrower_becomes_it(studio: Path) -> None:
    owner = Index.open()
    with Index.open() as one, Index.open() as other:
        query = next(one.paintings()).id
        before = [hit.id for hit in one.similar(query)]
        owner.close()
        assert len(one) == TOTAL
        assert [hit.id for hit in other.similar(query)] == before
        _until(SOCKET.exists)
        one.remove(query)
        assert len(other) == TOTAL - 1


def test_a_killed_owner_blocks_nobody(
    studio: Path, cli: Cli, holder: subprocess.Popen[str]
) -> None:
    with Index.open() as index:
        assert len(index) == TOTAL
        holder.kill()
        holder.wait()
        assert SOCKET.is_socket(), "what it left"
        assert len(index) == TOTAL
        assert cli.ok("info", "--json").json["paintings"] == TOTAL


def test_an_owner_that_is_killed_while_index_runs_beside_it_is_succeeded(
    studio: Path, cli: Cli, holder: subprocess.Popen[str]
) -> None:
    cli.ok("remove", *sorted(Path("paintings").rglob("*.jpg"))[:3])
    assert holder.poll() is None
    with Index.open() as index:
        seen = []

        def report(progress: object) -> None:
            seen.append(progress)
            holder.kill()
            holder.wait()

        index.add(report=report)
        assert seen
        assert len(index) == index.info().manifest.paintings == TOTAL


def test_a_killed_borrower_gives_its_right_back(owner: Index) -> None:
    program = (
        "import sys, time; from paint_search import Index\n"
        "index = Index.open(sys.argv[1])\n"
        "def report(progress): print('writing', flush=True); time.sleep(600)\n"
        "index.add(report=report)"
    )
    command = [sys.executable, "-c", program, str(owner.folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "writing\n"
        assert len(owner) == TOTAL, "reading goes on"
        process.kill()
        process.wait()
    assert owner.add().unchanged == TOTAL


def test_questions_are_answered_while_index_runs(studio: Path, cli: Cli) -> None:
    # It holds the index, in the middle of its run, until it is told to go on.
    program = (
        "import sys; from paint_search import Index\n"
        "def report(progress): print(progress.done, flush=True); sys.stdin.readline()\n"
        "with Index.open(sys.argv[1]) as index: print(index.add(report=report).new, flush=True)"
    )
    gone = sorted(Path("paintings").rglob("*.jpg"))[:3]
    cli.ok("remove", *gone)
    with subprocess.Popen(
        [sys.executable, "-c", program, str(studio / ".paint-search")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline()
        assert len(cli.ok("list", "--json").json["paintings"]) in range(TOTAL - 3, TOTAL + 1)
        assert cli.ok("similar", str(gone[0]), "--json").json["hits"]
        outcome = cli("remove", "where-it-is-not")
        assert f"is being changed by process {process.pid} " in outcome.err
        process.stdin.close()
        assert process.stdout.read().splitlines()[-1] == "3"


def test_what_is_no_socket_of_ours_is_put_aside(studio: Path) -> None:
    aim = studio / "aim"
    with socket.socket(socket.AF_UNIX) as stranger:
        stranger.bind("stranger")
        for make in (
            lambda: SOCKET.symlink_to(studio / "stranger"),
            lambda: SOCKET.symlink_to(aim),
            lambda: SOCKET.write_text("no socket"),
        ):
            make()
            with Index.open() as index:
                _until(lambda: SOCKET.exists() and stat.S_ISSOCK(SOCKET.lstat().st_mode))
                with Index.open() as other:
                    assert len(other) == len(index)
        SOCKET.mkdir()
        with Index.open():
            time.sleep(0.3)
            with pytest.raises(StoreBusyError, match="in use by process"):
                Index.open(patience=0.1)
    assert not aim.exists()


def test_who_lends_nothing_or_speaks_otherwise_is_waited_for(studio: Path) -> None:
    with Index.open():
        _until(SOCKET.exists)
        for answer in (b"", b"\xff" * 12, b"\x0d\0\0\0" + bytes(8) + b'{"version":2}'):
            SOCKET.unlink()
            with socket.socket(socket.AF_UNIX) as stranger:
                stranger.bind(str(SOCKET))
                stranger.listen()

                def speak(words: bytes = answer, at: socket.socket = stranger) -> None:
                    end, _ = at.accept()
                    end.recv(2**16)
                    end.sendall(words)
                    end.close()

                threading.Thread(target=speak, daemon=True).start()
                with pytest.raises(StoreBusyError, match="in use by process"):
                    Index.open(patience=0.1)


def test_noise_at_the_socket_harms_nobody(owner: Index) -> None:
    _until(_is_lent)
    for noise in (b"", b"GET / HTTP/1.1\r\n\r\n", b"\2\0\0\0" + bytes(8) + b"[]", b"\xff" * 64):
        with socket.socket(socket.AF_UNIX) as end:
            end.connect(str(SOCKET))
            end.sendall(noise)
    with Index.open() as other:
        assert len(other) == len(owner) == TOTAL


@pytest.mark.filterwarnings("ignore:This process")  # that it has threads, which is the point
def test_a_fork_neither_serves_nor_takes_the_socket_away(owner: Index) -> None:
    child = os.fork()
    if not child:
        owner.close()
        os._exit(len([fd for fd in os.listdir("/proc/self/fd") if _is_socket(fd)]))
    sockets = len([fd for fd in os.listdir("/proc/self/fd") if _is_socket(fd)])
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) < sockets
    with Index.open() as other:
        assert len(other) == TOTAL


def _is_socket(number: str) -> bool:
    try:
        return stat.S_ISSOCK(os.stat(int(number)).st_mode)
    except OSError:
        return False


def test_an_index_that_nobody_closes_is_lent_no_more(studio: Path) -> None:
    program = (
        "import sys, time; from paint_search import Index\n"
        "index = Index.open(sys.argv[1]); time.sleep(0.5)\n"
        "other = Index.open(sys.argv[1]); assert len(other); del index\n"
        "assert len(other); print(len(other))"
    )
    command = [sys.executable, "-c", program, str(studio / ".paint-search")]
    said = subprocess.run(command, capture_output=True, text=True, check=True)
    assert (said.stdout, said.stderr) == (f"{TOTAL}\n", "")
    assert not SOCKET.exists()


def test_one_index_is_asked_by_many_threads_at_once(compressed: Path) -> None:
    with Index.open() as index, Index.open() as other:
        files = sorted(Path("paintings").rglob("*.jpg"))[:6]
        for one in (index, other):
            ask = partial(one.similar, k=3)
            with ThreadPoolExecutor(8) as pool:  # whatever is loaded once is loaded now
                at_once = list(pool.map(ask, files * 4))
            assert at_once == [ask(file) for file in files] * 4
        copied = copy_tree(index.folder, Path("away"))
        assert json.loads((copied / "manifest.json").read_text())["paintings"] == TOTAL
