"""Nodes of a cluster: which answer, what their copies have, and how they are made alike again."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Cli
from qdrant_server import QdrantServer
from test_qdrant_faults import Relay

from paint_search import Index

MAKE = ("index", "paintings", "--backbone", "descriptors", "--json")
TWO = "?replicas=2"


def the_collection(node: QdrantServer) -> str:
    """Return the name of the one that keeps the paintings."""
    names = (one.name for one in node.engine.get_collections().collections)
    (name,) = (name for name in names if not name.endswith(".parts"))
    return name


def held(node: QdrantServer) -> dict[str, Any]:
    """Return the points of a node's own copy, by path."""
    name = the_collection(node)
    points, _ = node.engine.scroll(name, limit=99, with_vectors=True)
    return {point.payload["path"]: point for point in points if point.payload}


def test_info_says_which_nodes_answer_and_which_copies_are_active(
    cluster: list[QdrantServer], home: Path, cli: Cli
) -> None:
    first, second, _ = cluster
    cli.ok(*MAKE, "--store", first.url_of_all("works", TWO))
    told = cli.ok("info", "--json").json
    addresses = [f"qdrant://127.0.0.1:{node.port}" for node in cluster]
    assert [node["address"] for node in told["nodes"]] == addresses
    assert [node["points"] for node in told["nodes"]] == [3, 3, 3]
    copies = [node["copies"] for node in told["nodes"]]
    active = {"shard": 0, "state": "Active", "points": 3}
    assert (copies, told["faults"]) == ([[active], [active], []], [])
    assert "2 copies of 1 shard: 2 active" in cli.ok("info").out

    second.die()
    broken = cli("info", "--json")
    assert (broken.code, len(broken.json["faults"])) == (3, 1)
    assert f"{addresses[1]} cannot be reached" in broken.json["faults"][0]
    assert f"{addresses[1]} (no answer)" in cli("info").out
    fresh = Path(next(Path("paintings").iterdir()))
    fresh.with_name(f"later{fresh.suffix}").write_bytes(fresh.read_bytes() + b" ")
    assert cli(*MAKE).code == 0
    assert cli(*MAKE, "--repair").code == 3
    dead = cli("info", "--json")
    assert (dead.code, dead.json["faults"][1]) == (3, "the copy of shard 0 on node 2 is dead")
    second.start()
    assert cli.ok(*MAKE, "--repair").json["notes"] == ["all copies on 3 nodes have the same"]
    assert cli.ok("info")


def test_a_node_without_an_address_is_not_said_to_be_well(
    cluster: list[QdrantServer], home: Path, cli: Cli
) -> None:
    first, second, _ = cluster
    cli.ok(*MAKE, "--store", first.url("works", TWO))
    assert re.search(r"\d \(as others say\)", cli.ok("info").out)
    second.die()
    assert "a node that is known by no address does not answer" in cli("info").out


def test_copies_that_differ_are_made_alike(
    cluster: list[QdrantServer], home: Path, cli: Cli
) -> None:
    first, second, _ = cluster
    cli.ok(*MAKE, "--store", first.url_of_all("works", TWO))
    with Index.open() as index:
        vector = np.ones((1, index.manifest.backbone.dimension), dtype=np.float32)
        index.upsert(["given.jpg"], vector, fingerprint=index.fingerprint)
    gone, lost, changed = sorted(Path("paintings").iterdir())
    ghost = held(second)[gone.name]
    gone.unlink()
    cli.ok(*MAKE, "--prune")
    assert held(second).keys() == {lost.name, changed.name, "given.jpg"}
    # What the second node's copy has lost, and what it has not been told.
    name = the_collection(first)
    second.engine.upsert(name, [ghost])  # type: ignore[list-item]
    points = held(second)
    second.engine.delete(name, [points[lost.name].id, points["given.jpg"].id])
    second.engine.set_payload(name, {"artist": "Nobody"}, [points[changed.name].id])

    notes = cli.ok(*MAKE, "--prune").json["notes"]
    assert "the copies differed" in notes[0]
    assert "they have the same again" in notes[0]
    assert notes[1:] == [
        "1 painting written again to copies that lacked some",
        "1 painting without a file deleted from copies that still had some",
    ]
    assert held(first) == held(second)
    assert held(first).keys() == {lost.name, changed.name, "given.jpg"}
    assert "artist" not in (held(second)[changed.name].payload or {})
    assert cli.ok(*MAKE, "--repair").json["notes"] == ["all copies on 3 nodes have the same"]

    # As many on each, and not the same ones.
    second.engine.upsert(name, [ghost])  # type: ignore[list-item]
    second.engine.delete(name, [points["given.jpg"].id])
    assert not cli.ok(*MAKE).json["notes"]
    assert held(first) != held(second)
    assert len(cli.ok(*MAKE, "--repair", "--prune").json["notes"]) == 2
    assert held(first) == held(second)
    assert cli.ok("info")

    # What has no file here may have one on another machine.
    second.engine.upsert(name, [ghost])  # type: ignore[list-item]
    assert "1 painting written again" in cli.ok(*MAKE).json["notes"][1]
    assert gone.name in held(first).keys() & held(second).keys()


def test_one_copy_is_compared_with_nothing(home: Path, cli: Cli) -> None:
    assert cli.ok(*MAKE, "--repair").json["notes"] == [
        "no copies were compared: the store has one, or the key may not ask for more"
    ]
    assert cli.ok("info", "--json").json["nodes"] == []


class Told(HTTPServer):
    """The HTTP port of a node, which tells of others."""

    def __init__(self, node: QdrantServer) -> None:
        self.peers: dict[int, str] = {}
        self.keys: set[str | None] = set()
        super().__init__(("127.0.0.1", node.port - 1), _Telling)
        threading.Thread(target=self.serve_forever, daemon=True).start()


class _Telling(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert isinstance(self.server, Told)
        self.server.keys.add(self.headers["api-key"])
        peers = {str(peer): {"uri": f"http://{at}:6335/"} for peer, at in self.server.peers.items()}
        status = {
            "status": "enabled",
            "peer_id": 1,
            "peers": peers,
            "raft_info": {
                "term": 1, "commit": 1, "pending_operations": 0, "leader": 1, "role": "Leader",
                "is_voter": True,
            },
            "consensus_thread_status": {
                "consensus_thread_status": "working", "last_update": "2026-01-01T00:00:00Z",
            },
            "message_send_failures": {},
        }  # fmt: skip
        body = json.dumps({"result": status, "status": "ok", "time": 0.0}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *words: object) -> None:
        """Keep quiet."""


@pytest.fixture
def told() -> Iterator[tuple[QdrantServer, QdrantServer, Told]]:
    """Two nodes, of which one tells of others on its HTTP port."""
    for _ in range(50):
        first = QdrantServer(rights={"right": "manage"})
        try:
            http = Told(first)
        except OSError:  # the port below is taken
            first.die()
            continue
        second = QdrantServer(rights=first.rights, joins=first)
        yield first, second, http
        http.shutdown()
        http.server_close()
        for node in (first, second):
            node.die()
        return


def test_nodes_that_are_told_of_are_asked_when_the_named_one_dies(
    told: tuple[QdrantServer, QdrantServer, Told],
    home: Path,
    cli: Cli,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first, second, http = told
    monkeypatch.setenv("QDRANT_API_KEY", "right")
    try:
        Relay(second, ("127.0.0.2", first.port))
    except OSError:
        pytest.skip("this machine has one address of the loopback")
    known = f"qdrant://127.0.0.2:{first.port}"
    memory = home / "state/paint-search/nodes"
    cli.ok(*MAKE, "--store", first.url("works", TWO))
    # Names that lead nowhere, or elsewhere; no key leaves this machine in clear.
    http.peers = {1: "127.0.0.1", 5: "127.0.0.2", 6: "nowhere.invalid", 7: "192.0.2.1", 8: "["}
    assert re.search(r"\d \(as others say\)", cli.ok("info").out)
    assert not memory.read_text()
    http.peers = {1: "127.0.0.1", 2: "127.0.0.2"}
    assert known in cli.ok("info").out
    assert memory.read_text() == f"qdrant://127.0.0.1:{first.port} {known}\n"
    assert (http.keys, second.keys) == ({"right"}, {"right"})
    first.die()
    assert len(cli.ok("list", "--json").json["paintings"]) == 3
    # An index that comes from somebody says nothing of them.
    assert "127.0.0.2" not in Path(".paint-search/manifest.json").read_text()
