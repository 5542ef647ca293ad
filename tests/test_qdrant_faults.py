"""A Qdrant server that fails: one clear sentence, the right exit code, and the next run goes on."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import grpc
import numpy as np
import pytest
from conftest import COMMAND, Cli, copy_tree
from qdrant_server import Fault, QdrantServer

from paint_search.errors import StoreError
from paint_search.painting import Record, painting_id
from paint_search.search.stores import Maker, Place, open_store

MAKE = ("--backbone", "descriptors", "--json")


@pytest.fixture
def home(painted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with paintings as current folder, and little patience."""
    copy_tree(painted, tmp_path / "paintings")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PAINT_SEARCH_PATIENCE", "1.5")
    return tmp_path


def _is_left_alone(home: Path) -> bool:
    return sorted(file.name for file in home.iterdir()) == ["paintings"]


def test_nobody_listens(home: Path, cli: Cli) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    outcome = cli("index", "paintings", "--store", f"qdrant://127.0.0.1:{port}/works", *MAKE)
    assert outcome.code == 1
    assert "cannot be reached" in outcome.json["error"]
    assert outcome.err.count("\n") == 1
    assert _is_left_alone(home)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"",
    ],
)
def test_something_else_listens(answer: bytes, home: Path, cli: Cli) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    connection.sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        outcome = cli("index", "paintings", "--store", f"qdrant://127.0.0.1:{port}/works", *MAKE)
        listener.shutdown(socket.SHUT_RDWR)
    assert outcome.code == 1
    assert "cannot be reached" in outcome.json["error"]
    assert _is_left_alone(home)


@pytest.mark.parametrize("key", [None, "wrong"])
def test_a_wrong_api_key(
    key: str | None, home: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    guarded = QdrantServer(rights={"right": "manage"})
    if key is not None:
        monkeypatch.setenv("QDRANT_API_KEY", key)
    refused = cli("index", "paintings", "--store", guarded.url("works"), *MAKE)
    assert refused.code == 1
    assert "set QDRANT_API_KEY" in refused.json["error"]
    assert _is_left_alone(home)
    assert guarded.calls.count("Get") == 1  # what is refused is not sent again
    monkeypatch.setenv("QDRANT_API_KEY", "right")
    done = cli.ok("index", "paintings", "--store", guarded.url("works"), *MAKE)
    assert done.json["new"] == 30
    assert "right" not in done.out + done.err + (home / ".paint-search/manifest.json").read_text()
    guarded.die()


@pytest.mark.parametrize(
    ("method", "words", "said"),
    [
        ("Create", "Manage access for this operation is required", "may not make collections"),
        ("Upsert", "Write access to collection works is required", "may not write"),
        ("Upsert", "Global manage access is required", "may not write"),
        ("Get", "Access to collection works is required", "may not use"),
    ],
)
def test_a_key_without_the_right(
    method: str, words: str, said: str, server: QdrantServer, home: Path, cli: Cli
) -> None:
    denied = grpc.StatusCode.PERMISSION_DENIED
    server.faults = [Fault(method, denied, f"Forbidden: {words}", times=9)]
    refused = cli("index", "paintings", "--store", server.url("works"), *MAKE)
    assert refused.code == 1
    assert f"this key {said}" in refused.json["error"]
    assert "QDRANT_API_KEY" not in refused.json["error"]


OPEN = """
import sys
from pathlib import Path
from paint_search.errors import StoreError
from paint_search.search.stores import Maker, Place, open_store
for url in sys.argv[1:]:
    try:
        open_store(Path(), Place.parse(url), {"full": 2}, Maker("test", "fingerprint")).close()
        print("opened")
    except StoreError as error:
        print(error)
"""


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificates")
def test_each_fault_of_tls_has_its_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """gRPC reads once in a process whom it trusts."""
    monkeypatch.chdir(tmp_path)
    here, name = "subjectAltName=IP:127.0.0.1", "subjectAltName=DNS:elsewhere.example"
    for signer in ("known", "unknown"):
        _openssl("req", "-x509", *_NEW, f"{signer}.key", "-out", f"{signer}.pem", "-days", "2")
    servers = {
        "good": QdrantServer(certificate=_certificate("known", here, "2")),
        "unknown": QdrantServer(certificate=_certificate("unknown", here, "2")),
        "other": QdrantServer(certificate=_certificate("known", name, "2")),
        "old": QdrantServer(certificate=_certificate("known", here, "-1")),
        "plain": QdrantServer(),
    }
    urls = {name: server.url("works") for name, server in servers.items()}
    safe = {name: url.replace("qdrant:", "qdrants:") for name, url in urls.items()}
    monkeypatch.setenv("GRPC_DEFAULT_SSL_ROOTS_FILE_PATH", str(tmp_path / "known.pem"))
    monkeypatch.setenv("PAINT_SEARCH_PATIENCE", "1")
    monkeypatch.delenv("GRPC_VERBOSITY", raising=False)
    ran = subprocess.run(
        [sys.executable, "-c", OPEN, *safe.values(), urls["good"]], capture_output=True, text=True
    )
    for server in servers.values():
        server.die()
    lines = ran.stdout.splitlines()
    for line, words in zip(
        lines,
        (
            "opened",
            "is not trusted on this machine",
            "is for another name",
            "has expired",
            "does not speak TLS",
            "write qdrants:// instead of qdrant://",
        ),
        strict=True,
    ):
        assert words in line
    assert ran.stderr == ""


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificates")
def test_each_fault_of_files_for_tls_has_its_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PAINT_SEARCH_PATIENCE", "0.2")
    here, name = "subjectAltName=IP:127.0.0.1", "subjectAltName=DNS:elsewhere.example"
    for signer in ("known", "unknown"):
        _openssl("req", "-x509", *_NEW, f"{signer}.key", "-out", f"{signer}.pem", "-days", "2")
    for client, signer in (("mine", "known"), ("theirs", "unknown")):
        key, certificate = _certificate(signer, here, "2")
        Path(f"{client}-key.pem").write_bytes(key)
        Path(f"{client}.pem").write_bytes(certificate)
    _openssl(
        "ec", "-in", "mine-key.pem", "-aes256", "-passout", "pass:word", "-out", "locked.pem"
    )  # fmt: skip
    Path("text.pem").write_text("no certificate")
    Path("damaged.pem").write_text("-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n")
    own = _certificate("known", here, "2")
    servers = {
        "open": QdrantServer(certificate=own),
        "other": QdrantServer(certificate=_certificate("known", name, "2")),
        "old": QdrantServer(certificate=_certificate("known", here, "-1")),
        "choosy": QdrantServer(certificate=own, clients=Path("known.pem").read_bytes()),
        "plain": QdrantServer(),
    }
    ca = "?ca=known.pem"
    for server, settings, words in (
        ("open", ca, ""),
        ("open", f"{ca}&cert=theirs.pem&key=theirs-key.pem", ""),  # asks for none
        ("open", "?ca=unknown.pem", "is not trusted on this machine"),
        ("other", ca, "is for another name"),
        ("old", ca, "has expired"),
        ("plain", ca, "does not speak TLS"),
        ("choosy", f"{ca}&cert=mine.pem&key=mine-key.pem", ""),
        ("choosy", ca, "hangs up on who has no certificate"),
        ("choosy", f"{ca}&cert=theirs.pem&key=theirs-key.pem", "theirs.pem: see that it has not"),
        ("open", "?ca=none.pem", "none.pem cannot be read (No such file or directory)"),
        ("open", "?ca=text.pem", "text.pem holds no certificate in PEM"),
        ("open", "?ca=mine-key.pem", "mine-key.pem holds no certificate in PEM"),
        ("open", "?ca=damaged.pem", "damaged.pem are damaged"),
        ("open", f"{ca}&cert=mine.pem&key=theirs-key.pem", "theirs-key.pem is not the private key"),
        ("open", f"{ca}&cert=mine.pem&key=mine.pem", "mine.pem holds no private key"),
        ("open", f"{ca}&cert=mine.pem&key=locked.pem", "locked.pem asks for a password"),
        ("open", f"{ca}&cert=damaged.pem&key=mine-key.pem", "damaged.pem or its private key"),
    ):
        url = servers[server].url("works", settings).replace("qdrant:", "qdrants:")
        said = ""
        try:
            store = open_store(tmp_path, Place.parse(url), {"full": 2}, Maker("test", "print"))
            store.close()
        except StoreError as error:
            said = str(error)
        assert (words in said, bool(words)) == (True, bool(said)), f"{server}{settings}: {said}"
    for server in servers.values():
        server.die()


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificates")
def test_files_for_tls_are_believed_where_they_were_named(
    home: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else an index could bring an authority of its own, and have another take the key."""
    monkeypatch.setenv("XDG_STATE_HOME", str(home / "state"))
    for signer in ("known", "unknown"):
        _openssl("req", "-x509", *_NEW, f"{signer}.key", "-out", f"{signer}.pem", "-days", "2")
    server = QdrantServer(certificate=_certificate("known", "subjectAltName=IP:0.0.0.0", "2"))
    address = f"qdrants://0.0.0.0:{server.port}"
    small = ("index", next(Path("paintings").iterdir()), *MAKE[:2])
    cli.ok(*small, "--store", f"{address}/works?ca=known.pem")
    assert cli.ok("list")
    (entry,) = (home / "state/paint-search/servers").read_text().split()
    assert entry.startswith(f"{address}?ca=")

    Path("known.pem").rename("moved.pem")
    assert "known.pem cannot be read (No such file" in cli("list").err
    file = home / ".paint-search/manifest.json"
    file.write_text(file.read_text().replace("known.pem", "moved.pem"))
    calls = len(server.calls)
    monkeypatch.setenv("PAINT_SEARCH_QDRANT_KEYS", f"{address}=secret")
    refused = cli("list")
    assert f"{home / 'moved.pem'}), and you have not named them" in refused.err
    assert (refused.code, len(server.calls)) == (1, calls)
    cli.ok(*small, "--store", f"{address}/works?ca=moved.pem")
    assert cli.ok("list")
    server.die()


_NEW = (
    "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=test",
    "-keyout",
)  # fmt: skip


def _certificate(signer: str, name: str, days: str) -> tuple[bytes, bytes]:
    """Return a key and a certificate for a name."""
    _openssl("req", *_NEW, "server.key", "-out", "server.csr")
    Path("names").write_text(name)
    _openssl(
        "x509", "-req", "-in", "server.csr", "-CA", f"{signer}.pem", "-CAkey", f"{signer}.key",
        "-CAcreateserial", "-extfile", "names", "-days", days, "-out", "server.pem",
    )  # fmt: skip
    return Path("server.key").read_bytes(), Path("server.pem").read_bytes()


def _openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)


def test_a_collection_of_another_model(server: QdrantServer, home: Path, cli: Cli) -> None:
    url = server.url("works")
    cli.ok("index", "paintings", "--store", url, *MAKE)
    decoded = server.calls.count("Upsert")
    for options in (
        ("--backbone", "builtin"),
        ("--backbone", "descriptors", "--fit", "crop"),
        ("--backbone", "descriptors", "--trim", "off"),
    ):
        other = cli("index", "paintings", "--store", url, "--index", "other", "--json", *options)
        assert other.code == 1
        assert "name another collection" in other.json["error"]
        assert not (home / "other").exists()
    assert server.calls.count("Upsert") == decoded
    assert server.count("works") == 30


def test_a_collection_of_somebody_else(server: QdrantServer, home: Path, cli: Cli) -> None:
    from qdrant_client import models

    plain = models.VectorParams(size=4, distance=models.Distance.DOT)
    server.engine.create_collection("works", plain)
    outcome = cli("index", "paintings", "--store", server.url("works"), *MAKE)
    assert outcome.code == 1
    assert "was not made by paint-search" in outcome.json["error"]
    assert server.count("works") == 0


@pytest.mark.parametrize(
    ("code", "retry_after"),
    [
        (grpc.StatusCode.UNAVAILABLE, None),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, None),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, 1),
        (grpc.StatusCode.DEADLINE_EXCEEDED, None),
        (grpc.StatusCode.ABORTED, None),
    ],
)
def test_what_passes_is_tried_again(
    code: grpc.StatusCode, retry_after: int | None, server: QdrantServer, home: Path, cli: Cli
) -> None:
    server.faults = [Fault("Upsert", code, times=2, skip=1, retry_after=retry_after)]
    start = time.monotonic()
    done = cli.ok("index", "paintings", "--store", server.url("works"), *MAKE).json
    assert (done["new"], server.count("works")) == (30, 30)
    assert server.faults[0].times == 0
    assert time.monotonic() - start >= (retry_after or 0)


@pytest.mark.parametrize(
    "said",
    [
        "Service internal error: Tonic status error: status: Unavailable, message: "
        '"error trying to connect: tcp connect error: Connection refused (os error 111)"',
        "Service internal error: Internal error: h2 protocol error: error reading a body",
        "Service internal error: Tonic transport error: transport error",
        "Service internal error: The replica set for shard 1 on peer 7 has no active replica",
        "Service internal error: 1 of 2 read operations failed: Service internal error: timed out",
        "Service internal error: Some replica of shard 2 failed to apply operation and "
        "deactivation timed out after 10s. Consistency of this update is not guaranteed. "
        "Please retry.",
        "Service internal error: Cannot update shard works:0 with Weak ordering because no leader "
        "could be selected",
        "Service internal error: Failed to propose operation: leader is not established within 10s",
        "Service internal error: Waiting for consensus operation commit failed. Timeout set at: 10 "
        "seconds",
    ],
)
def test_what_befalls_other_nodes_of_a_cluster_is_tried_again(
    said: str, server: QdrantServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Place.parse(server.url("works"))
    store = open_store(tmp_path, place, {"full": 2}, Maker("test", "fingerprint"))
    point = Record(painting_id("a.jpg"), {"path": "a.jpg"}, np.array([1, 0], dtype=np.float32))
    server.faults = [Fault("Upsert", grpc.StatusCode.INTERNAL, said, times=2)]
    store.upsert([point])
    store.close()
    assert (server.faults[0].times, server.count("works")) == (0, 1)

    monkeypatch.setenv("PAINT_SEARCH_PATIENCE", "0.2")
    server.faults = [Fault("Get", grpc.StatusCode.INTERNAL, said, times=99)]
    with pytest.raises(StoreError, match="see that all of its nodes run"):
        open_store(tmp_path, place, {"full": 2}, Maker("test", "fingerprint"))


@pytest.mark.parametrize("code", [grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.INTERNAL])
def test_what_is_rejected_is_not_sent_again(
    code: grpc.StatusCode, server: QdrantServer, home: Path, cli: Cli
) -> None:
    rejected = Fault("Upsert", code, "bad point", times=99)
    server.faults = [rejected]
    outcome = cli("index", "paintings", "--store", server.url("works"), *MAKE)
    assert outcome.code == 1
    assert "rejected the request: bad point" in outcome.json["error"]
    assert rejected.times >= 99 - 4  # once for each upload under way
    server.faults = []
    assert cli.ok("index", "paintings", *MAKE).json["paintings"] == 30


def test_a_server_that_stays_away(server: QdrantServer, home: Path, cli: Cli) -> None:
    server.faults = [Fault("Upsert", grpc.StatusCode.UNAVAILABLE, times=999, skip=1)]
    outcome = cli("index", "paintings", "--store", server.url("works"), *MAKE)
    assert outcome.code == 1
    assert "run the same command to go on" in outcome.json["error"]
    stored = server.count("works")
    assert 0 < stored < 30
    server.faults = []
    done = cli.ok("index", "paintings", *MAKE).json
    assert (done["new"], done["unchanged"], done["paintings"]) == (30 - stored, stored, 30)


def test_a_server_that_dies_in_the_middle_of_an_upload_and_comes_back(
    server: QdrantServer, home: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PAINT_SEARCH_PATIENCE")
    struck = threading.Event()

    def strike(method: str) -> None:
        if method.endswith("/Upsert") and not struck.is_set():
            struck.set()
            threading.Thread(target=_restart, args=(server,), daemon=True).start()
            time.sleep(0.5)

    server.before = strike
    done = cli.ok("index", "paintings", "--store", server.url("works"), *MAKE).json
    assert struck.is_set()
    assert (done["new"], server.count("works")) == (30, 30)


def _restart(server: QdrantServer) -> None:
    server.die()
    time.sleep(1)
    server.start()


class Relay:
    """Hands on what is said to a server and what it says, until it is ``stalled``."""

    def __init__(self, server: QdrantServer, address: tuple[str, int] = ("127.0.0.1", 0)) -> None:
        self.stalled = threading.Event()
        self._target = ("127.0.0.1", server.port)
        self._listener = socket.create_server(address)
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, far = self._listener.accept()[0], socket.create_connection(self._target)
                for ends in ((near, far), (far, near)):
                    threading.Thread(target=self._hand_on, args=ends, daemon=True).start()

    def _hand_on(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while said := source.recv(65536):
                if not self.stalled.is_set():
                    target.sendall(said)


def test_a_connection_that_is_dead_without_a_word(
    server: QdrantServer, home: Path, cli: Cli
) -> None:
    from paint_search import Index

    line = Relay(server)
    url = f"qdrant://127.0.0.1:{line.port}/works"
    cli.ok("index", next(Path("paintings").iterdir()), "--store", url, *MAKE)
    with Index.open() as index:
        assert len(index)
        line.stalled.set()
        with pytest.raises(StoreError, match=r"cannot be reached \(.*ping timeout"):
            len(index)


def test_the_next_node_is_asked_where_one_accepts_and_says_nothing(
    server: QdrantServer, home: Path, cli: Cli
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        nodes = f"127.0.0.1:{silent.getsockname()[1]},127.0.0.1:{server.port}"
        outcome = cli("index", "paintings", "--store", f"qdrant://{nodes}/works", *MAKE)
    assert (outcome.code, server.count("works")) == (0, 30)


def test_a_slow_server(server: QdrantServer, home: Path, cli: Cli) -> None:
    cli.ok("index", "paintings", "--store", server.url("works"), *MAKE)
    server.before = lambda method: time.sleep(0.2)
    assert cli.ok("list", "--json").code == 0
    server.before = lambda method: None
    server.faults = [Fault("Scroll", grpc.StatusCode.DEADLINE_EXCEEDED, times=999)]
    outcome = cli("list", "--json")
    assert outcome.code == 1
    assert "cannot be reached" in outcome.json["error"]


@pytest.mark.parametrize("said", ["soon", "-1", "inf", "nan"])
def test_a_patience_that_is_no_time(
    said: str, server: QdrantServer, home: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PAINT_SEARCH_PATIENCE", said)
    outcome = cli("index", "paintings", "--store", server.url("works"), *MAKE)
    assert outcome.code == 2
    assert outcome.json["error"].startswith(f"PAINT_SEARCH_PATIENCE={said}: give a number")
    assert _is_left_alone(home)


def test_a_collection_that_is_gone(server: QdrantServer, home: Path, cli: Cli) -> None:
    from paint_search import Index

    cli.ok("index", "paintings", "--store", server.url("works"), *MAKE)
    with Index.open() as index:
        server.engine.delete_collection("works-1")
        with pytest.raises(StoreError, match="has no collection 'works'"):
            list(index.paintings())


def test_killed_in_the_middle_of_an_upload(server: QdrantServer, home: Path, cli: Cli) -> None:
    """SIGKILL between two uploads: what has arrived stays, the next run uploads the rest."""
    server.faults = [Fault("Upsert", grpc.StatusCode.UNAVAILABLE, times=999, skip=1)]
    command = (*COMMAND, "index", "paintings", "--store", server.url("works"), *MAKE)
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True
    ) as process:
        while server.calls.count("Upsert") < 3:
            assert process.poll() is None, process.stderr and process.stderr.read()
            time.sleep(0.02)
        os.killpg(process.pid, signal.SIGKILL)
    server.faults = []
    stored = server.count("works")
    assert 0 < stored < 30
    done = cli.ok("index", "paintings", *MAKE).json
    assert (done["new"], done["unchanged"], done["paintings"]) == (30 - stored, stored, 30)
