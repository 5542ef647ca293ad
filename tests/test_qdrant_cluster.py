"""The stand-in for a server is one to its clients: what tests rely on, asked over the wire.

Where PAINT_SEARCH_TEST_QDRANT names real ones, they answer alike.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator

import grpc
import pytest
from qdrant_client import QdrantClient, models
from qdrant_server import QdrantServer

REFUSED = grpc.StatusCode.PERMISSION_DENIED


def connected(server: QdrantServer, key: str | None = None) -> QdrantClient:
    return QdrantClient(
        host="127.0.0.1",
        grpc_port=server.port,
        prefer_grpc=True,
        https=False,
        api_key=key,
        check_compatibility=False,
    )


@pytest.fixture
def client(server: QdrantServer) -> Iterator[QdrantClient]:
    made = connected(server)
    yield made
    made.close()


def make(client: QdrantClient, name: str, *kinds: str, **metadata: object) -> None:
    vectors = {kind: models.VectorParams(size=2, distance=models.Distance.COSINE) for kind in kinds}
    client.create_collection(name, vectors_config=vectors, metadata=metadata or None)


def point(number: int, **vectors: list[float]) -> models.PointStruct:
    return models.PointStruct(id=str(uuid.UUID(int=number)), vector=vectors, payload={"n": number})


def nearest(client: QdrantClient, name: str, using: str, codes: str | None = None) -> list[object]:
    """Return the payloads of all points by their nearness to (1, 0)."""
    prefetch = codes and models.Prefetch(query=[1.0, 0.0], using=codes, limit=9)
    request = models.QueryRequest(
        query=models.NearestQuery(nearest=[1.0, 0.0]),
        using=using,
        prefetch=prefetch or None,
        limit=9,
        with_payload=True,
    )
    (answer,) = client.query_batch_points(name, [request])
    return [hit.payload for hit in answer.points]


def alias(name: str, collection: str) -> models.CreateAliasOperation:
    return models.CreateAliasOperation(
        create_alias=models.CreateAlias(alias_name=name, collection_name=collection)
    )


def refused(action: Callable[[], object]) -> tuple[grpc.StatusCode, str]:
    """Return the code and the words with which the server refuses."""
    with pytest.raises(grpc.RpcError) as error:
        action()
    return error.value.code(), error.value.details()


def test_an_alias_is_a_collection_to_all_who_read_and_write(client: QdrantClient) -> None:
    make(client, "works-1", "full-1", maker="a", state="whole")
    make(client, "works-2", "full-2")
    client.update_collection_aliases([alias("works", "works-1")])
    assert client.collection_exists("works")
    client.create_payload_index("works", "n", models.PayloadSchemaType.FLOAT)
    assert client.get_collection("works-1").payload_schema.keys() == {"n"}
    client.upsert("works", [point(1, **{"full-1": [1, 0]}), point(2, **{"full-1": [0, 1]})])
    assert client.count("works-1").count == client.count("works").count == 2
    client.delete("works", [str(uuid.UUID(int=2))])
    assert nearest(client, "works", "full-1") == [{"n": 1}]
    client.update_collection("works", metadata={"state": "moving", "parts": 3})
    made = client.get_collection("works-1").config.metadata
    assert made == {"maker": "a", "state": "moving", "parts": 3}

    client.update_collection_aliases(
        [
            models.DeleteAliasOperation(delete_alias=models.DeleteAlias(alias_name="works")),
            alias("works", "works-2"),
            alias("old", "works-1"),
        ]
    )
    assert client.count("works").count == 0
    client.update_collection_aliases(
        [
            models.RenameAliasOperation(
                rename_alias=models.RenameAlias(old_alias_name="old", new_alias_name="before")
            )
        ]
    )
    named = {one.alias_name: one.collection_name for one in client.get_aliases().aliases}
    assert named == {"works": "works-2", "before": "works-1"}
    of_one = client.get_collection_aliases("works-1").aliases
    assert [one.alias_name for one in of_one] == ["before"]
    client.delete_collection("works")  # an alias is none
    client.delete_collection("works-1")
    assert [one.name for one in client.get_collections().collections] == ["works-2"]
    assert [one.alias_name for one in client.get_aliases().aliases] == ["works"]


def test_what_a_server_refuses_it_says_as_the_real_one_does(client: QdrantClient) -> None:
    make(client, "works-1", "full-1")
    client.update_collection_aliases([alias("works", "works-1")])
    missing = grpc.StatusCode.NOT_FOUND
    there = grpc.StatusCode.ALREADY_EXISTS
    wrong = grpc.StatusCode.INVALID_ARGUMENT
    assert refused(lambda: client.count("gone")) == (
        missing,
        "Not found: Collection `gone` doesn't exist!",
    )
    assert refused(lambda: make(client, "works-1", "full-1")) == (
        there,
        "Wrong input: Collection `works-1` already exists!",
    )
    code, words = refused(lambda: make(client, "works", "full-1"))
    assert (code, "Alias with the same name already exists" in words) == (wrong, True)
    assert refused(lambda: client.update_collection_aliases([alias("works-1", "works-1")])) == (
        there,
        "Wrong input: Collection `works-1` already exists!",
    )
    assert refused(lambda: client.update_collection_aliases([alias("other", "works")])) == (
        missing,
        "Not found: Collection `works` doesn't exist!",
    )
    unknown = "Wrong input: Not existing vector name error: full-2"
    assert refused(lambda: client.upsert("works", [point(1, **{"full-2": [1, 0]})])) == (
        wrong,
        unknown,
    )
    assert refused(lambda: nearest(client, "works", "full-2")) == (wrong, unknown)
    assert refused(lambda: nearest(client, "works", "full-1", "full-2")) == (wrong, unknown)


def test_points_of_a_collection_without_vectors(client: QdrantClient) -> None:
    make(client, "works.parts")
    client.upsert("works.parts", [point(number) for number in range(3)])
    records, _ = client.scroll("works.parts", limit=9)
    assert [record.payload for record in records] == [{"n": 0}, {"n": 1}, {"n": 2}]
    assert client.retrieve("works.parts", [records[1].id])[0].payload == {"n": 1}
    client.delete("works.parts", [records[0].id])
    assert client.count("works.parts").count == 2


@pytest.mark.filterwarnings("ignore:Api key is used")
def test_keys_have_rights_by_the_names_they_ask_for() -> None:
    server = QdrantServer(
        rights={
            "all": "manage",
            "reads": "r",
            "team": {"works": "rw", "works.parts": "r"},
        }
    )
    owner, reader, team = (connected(server, key) for key in ("all", "reads", "team"))
    make(owner, "works-1", "full-1")
    make(owner, "works.parts")
    owner.update_collection_aliases([alias("works", "works-1")])
    team.upsert("works", [point(1, **{"full-1": [1, 0]})])
    team.create_payload_index("works", "n", models.PayloadSchemaType.FLOAT)
    assert team.count("works").count == reader.count("works-1").count == 1
    assert [one.name for one in team.get_collections().collections] == ["works.parts"]
    assert team.get_aliases().aliases == []
    whole = "Forbidden: Global access is required"
    for action, words in (
        (lambda: team.count("works-1"), "Forbidden: Access to collection works-1 is required"),
        (
            lambda: team.upsert("works.parts", [point(1)]),
            "Forbidden: Write access to collection works.parts is required",
        ),
        (lambda: make(team, "works-2"), whole),
        (lambda: team.update_collection("works", metadata={"a": 1}), whole),
        (lambda: team.update_collection_aliases([alias("w", "works-1")]), whole),
        (lambda: team.delete_collection("works"), whole),
        (
            lambda: reader.upsert("works", [point(1, **{"full-1": [1, 0]})]),
            "Forbidden: Global manage access is required",
        ),
    ):
        assert refused(action) == (REFUSED, words)
    code, _ = refused(lambda: connected(server, "another").count("works"))
    assert code == grpc.StatusCode.UNAUTHENTICATED
    server.die()
