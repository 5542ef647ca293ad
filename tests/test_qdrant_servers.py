"""A server that an index names is asked, and sent a key, only if the user has named it too."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from conftest import Cli
from qdrant_server import Fault, QdrantServer

from paint_search import Index
from paint_search.errors import StoreError, UsageError

MAKE = ("index", "paintings", "--backbone", "descriptors", "--store")


@pytest.fixture
def second(server: QdrantServer) -> Iterator[QdrantServer]:
    """Another node of the server's cluster."""
    made = QdrantServer(joins=server)
    yield made
    made.die()


def far(server: QdrantServer) -> str:
    """Return the server's name as of another machine: not by any name of the loopback."""
    return f"qdrant://0.0.0.0:{server.port}"


def receive(server: QdrantServer, cli: Cli) -> None:
    """Make the index of the current folder one that somebody else made of a far server."""
    cli.ok(*MAKE, server.url("works"))
    file = Path(".paint-search/manifest.json")
    record = json.loads(file.read_text())
    record["store"]["server"] = far(server)
    file.write_text(json.dumps(record))
    server.calls.clear()
    server.keys.clear()


@pytest.mark.parametrize("command", [["info"], ["list"], ["similar", "a"], ["index", "paintings"]])
def test_a_server_that_nobody_named_is_not_asked(
    command: list[str], server: QdrantServer, home: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    receive(server, cli)
    monkeypatch.setenv("QDRANT_API_KEY", "secret")
    outcome = cli(*command)
    assert (outcome.code, outcome.err.count("\n")) == (1, 1)
    assert f"{far(server)}, a server that you have not named on this machine" in outcome.err
    assert f"PAINT_SEARCH_QDRANT_KEYS={far(server)}=KEY" in outcome.err
    assert str(home / "config/paint-search/config.toml") in outcome.err
    assert not server.calls


def test_a_server_that_was_named_once_is_asked_from_then_on(
    server: QdrantServer, home: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    receive(server, cli)
    other = cli("index", "paintings", "--store", "qdrant://0.0.0.0:1/works")
    assert (other.code, "keeps its points in" in other.err) == (2, True)
    assert not server.calls
    assert cli("info").code == 1
    monkeypatch.setenv("QDRANT_API_KEY", "secret")
    cli.ok("index", "paintings", "--store", f"{far(server)}/works")
    assert cli.ok("info")
    assert (home / "state/paint-search/servers").read_text() == f"{far(server)}\n"
    assert server.keys == {None}, "a key is not sent in clear"
    with Index.open(home / ".paint-search", store=f"{far(server)}/works") as index:
        assert len(index) == 3
    with pytest.raises(UsageError, match="keeps its points in"):
        Index.open(home / ".paint-search", store="edge")


def test_a_server_that_cannot_be_reached_is_not_remembered(home: Path, cli: Cli) -> None:
    assert cli(*MAKE, "qdrant://0.0.0.0:1/works").code == 1
    assert not (home / "state/paint-search/servers").exists()


def test_a_copy_names_its_server(server: QdrantServer, home: Path, cli: Cli) -> None:
    cli.ok(*MAKE, "edge")
    cli.ok("copy", "--to", f"{far(server)}/works", "--into", "copy")
    assert cli.ok("info", "--index", "copy")


@pytest.mark.parametrize("where", ["environment", "configuration"])
def test_a_key_belongs_to_a_server(
    where: str, server: QdrantServer, home: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    receive(server, cli)
    server.rights = {"right=": "manage"}

    def give(*entries: tuple[str, str]) -> None:
        if where == "environment":
            said = " , ".join(f"{name}={key}" for name, key in entries)
            monkeypatch.setenv("PAINT_SEARCH_QDRANT_KEYS", said)
            return
        file = home / "config/paint-search/config.toml"
        file.parent.mkdir(parents=True, exist_ok=True)
        lines = [f'"{name}" = "{key}"' for name, key in entries]
        file.write_text("\n".join(["[servers]", *lines]))

    monkeypatch.setenv("QDRANT_API_KEY", "of another server")
    give(("db.example.org", "another's"), (far(server), ""))
    outcome = cli("info")
    assert (outcome.code, server.keys) == (1, {None})
    assert "QDRANT_API_KEY is not sent in clear: use qdrants://" in outcome.err
    give((f"0.0.0.0:{server.port}", "right"))  # over TLS alone
    assert "have not named" in cli("info").err
    give(("db.example.org:7000", "another's"), (far(server), "right="))
    assert cli.ok("info")
    assert server.keys == {None, "right="}


def test_the_one_key_goes_to_this_machine(
    server: QdrantServer, home: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.rights = {"right": "manage"}
    monkeypatch.setenv("QDRANT_API_KEY", "right")
    cli.ok(*MAKE, server.url("works"))
    monkeypatch.setenv("PAINT_SEARCH_QDRANT_KEYS", f"qdrant://127.0.0.1:{server.port}=wrong")
    assert "refuses the API key" in cli("info").err, "one of its own comes first"
    assert server.keys == {"right", "wrong"}


@pytest.mark.parametrize(
    ("variable", "file", "says"),
    [
        ("secret", "", "PAINT_SEARCH_QDRANT_KEYS: entry 1 names no server"),
        ("a=b,me@host=secret", "", "PAINT_SEARCH_QDRANT_KEYS: entry 2 names no server"),
        ("http://host=secret", "", "PAINT_SEARCH_QDRANT_KEYS: entry 1 names no server"),
        ("", "secret", "config.toml cannot be read"),
        ("", "servers = 3", 'write "HOST:PORT" = "KEY"'),
        ("", "[servers]\nhost = 3", 'write "HOST:PORT" = "KEY"'),
        ("", "[servers]\n'a b/secret' = ''", "config.toml: entry 1 names no server"),
        ("", "#" * 2**21, "config.toml cannot be read (it has"),
    ],
)
def test_keys_that_cannot_be_read_are_not_shown(
    variable: str,
    file: str,
    says: str,
    server: QdrantServer,
    home: Path,
    cli: Cli,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PAINT_SEARCH_QDRANT_KEYS", variable)
    if file:
        (home / "config/paint-search").mkdir(parents=True)
        (home / "config/paint-search/config.toml").write_text(file)
    outcome = cli(*MAKE, server.url("works"))
    assert (outcome.code, outcome.err.count("\n")) == (2, 1)
    assert says in outcome.err
    assert "secret" not in outcome.err


def test_another_node_is_asked_when_one_dies(
    server: QdrantServer, second: QdrantServer, home: Path, cli: Cli
) -> None:
    url = server.url_of_all("works", "?replicas=2")
    server.faults = [Fault("Upsert", grpc.StatusCode.UNAVAILABLE, times=99)]
    assert cli.ok(*MAKE, url, "--json").json["new"] == 3
    assert "Upsert" in second.calls
    for _ in range(2):
        names = [painting["id"] for painting in cli.ok("list", "--json").json["paintings"]]
        assert len(names) == 3
        assert cli.ok("similar", names[0], "--json").json["hits"]
        assert cli.ok("index", "paintings", "--json").json["unchanged"] == 3
        server.die()
    second.die()
    dead = cli("list")
    assert dead.code == 1
    assert f"127.0.0.1:{server.port},127.0.0.1:{second.port} cannot be reached" in dead.err


def test_each_node_has_its_key(
    server: QdrantServer,
    second: QdrantServer,
    home: Path,
    cli: Cli,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    nodes = [f"127.0.0.1:{node.port}" for node in (server, second)]
    server.rights, second.rights = {"one": "manage"}, {"two": "manage"}
    keys = ",".join(
        f"qdrant://{node}={key}" for node, key in zip(nodes, ("one", "two"), strict=True)
    )
    monkeypatch.setenv("PAINT_SEARCH_QDRANT_KEYS", keys)
    cli.ok(*MAKE, server.url_of_all("works", "?replicas=2"))
    server.die()
    assert cli.ok("list")
    assert (server.keys, second.keys) == ({"one"}, {"two"})


def test_no_node_is_asked_where_one_was_not_named(
    server: QdrantServer, second: QdrantServer, home: Path, cli: Cli
) -> None:
    receive(server, cli)
    file = Path(".paint-search/manifest.json")
    record = json.loads(file.read_text())
    record["store"]["server"] = f"qdrant://127.0.0.1:{server.port},0.0.0.0:{second.port}"
    file.write_text(json.dumps(record))
    assert f"qdrant://0.0.0.0:{second.port}, a server that you have not named" in cli("info").err
    assert not server.calls
    assert not second.calls


def test_a_user_without_a_folder_of_their_own_names_servers_for_a_while(
    server: QdrantServer, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "state").write_text("in the way")
    with Index.create(
        "paintings", "made", backbone="descriptors", store=f"{far(server)}/works"
    ) as index:
        assert len(index) == 0
    with Index.open("made") as index:
        assert len(index) == 0
    with pytest.raises(StoreError, match="cannot be reached"):
        Index.create("paintings", "other", backbone="descriptors", store="qdrant://0.0.0.0:1/works")
