"""The stand-in for a server is one to its clients: what tests rely on, asked over the wire.

Where PAINT_SEARCH_TEST_QDRANT names real ones, they answer alike.
"""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path

import grpc
import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from PIL import Image
from qdrant_client import QdrantClient, models
from qdrant_client import grpc as wire
from qdrant_server import QdrantServer

from paint_search import Index
from paint_search.errors import StoreError
from paint_search.search.stores import Maker, Part, Place, open_store

REFUSED = grpc.StatusCode.PERMISSION_DENIED
INTERNAL = grpc.StatusCode.INTERNAL


@pytest.fixture
def client(server: QdrantServer) -> Iterator[QdrantClient]:
    made = server.client()
    yield made
    made.close()


def make(
    client: QdrantClient, name: str, *kinds: str, replicas: int = 1, consistency: int = 1
) -> None:
    vectors = {kind: models.VectorParams(size=2, distance=models.Distance.COSINE) for kind in kinds}
    client.create_collection(
        name,
        vectors_config=vectors,
        replication_factor=replicas,
        write_consistency_factor=consistency,
        metadata={"maker": "a", "state": "whole"},
    )


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


def test_an_alias_is_a_collection_to_all_who_read_and_write(
    server: QdrantServer, client: QdrantClient
) -> None:
    works, old, before = map(server.named, ("works", "old", "before"))
    one, two = map(server.named, ("works-1", "works-2"))
    make(client, one, "full-1")
    make(client, two, "full-2")
    client.update_collection_aliases([alias(works, one)])
    assert client.collection_exists(works)
    client.create_payload_index(works, "n", models.PayloadSchemaType.FLOAT)
    assert client.get_collection(one).payload_schema.keys() == {"n"}
    client.upsert(works, [point(1, **{"full-1": [1, 0]}), point(2, **{"full-1": [0, 1]})])
    assert client.count(one).count == client.count(works).count == 2
    client.delete(works, [str(uuid.UUID(int=2))])
    assert nearest(client, works, "full-1") == [{"n": 1}]
    client.update_collection(works, metadata={"state": "moving", "parts": 3})
    made = client.get_collection(one).config.metadata
    assert made == {"maker": "a", "state": "moving", "parts": 3}

    client.update_collection_aliases(
        [
            models.DeleteAliasOperation(delete_alias=models.DeleteAlias(alias_name=works)),
            alias(works, two),
            alias(old, one),
        ]
    )
    assert client.count(works).count == 0
    client.update_collection_aliases(
        [
            models.RenameAliasOperation(
                rename_alias=models.RenameAlias(old_alias_name=old, new_alias_name=before)
            )
        ]
    )
    assert server.aliases == {"works": "works-2", "before": "works-1"}
    assert [a.alias_name for a in client.get_collection_aliases(one).aliases] == [before]
    client.delete_collection(works)  # an alias is none
    client.delete_collection(one)
    assert server.collections == ["works-2"]
    assert server.aliases == {"works": "works-2"}


def test_what_a_server_refuses_it_says_as_the_real_one_does(
    server: QdrantServer, client: QdrantClient
) -> None:
    works, one, gone = map(server.named, ("works", "works-1", "gone"))
    make(client, one, "full-1")
    client.update_collection_aliases([alias(works, one)])
    missing, there, wrong = (
        grpc.StatusCode.NOT_FOUND,
        grpc.StatusCode.ALREADY_EXISTS,
        grpc.StatusCode.INVALID_ARGUMENT,
    )
    unknown = "Wrong input: Not existing vector name error: full-2"
    taken = f"Wrong input: Collection `{one}` already exists!"
    for action, *said in (
        (lambda: client.count(gone), missing, f"Not found: Collection `{gone}` doesn't exist!"),
        (lambda: make(client, one, "full-1"), there, taken),
        (
            lambda: make(client, works, "full-1"),
            wrong,
            f"Wrong input: Can't create collection with name {works}. Alias with the same name "
            "already exists",
        ),
        (lambda: client.update_collection_aliases([alias(one, one)]), there, taken),
        (
            lambda: client.update_collection_aliases([alias(gone, works)]),
            missing,
            f"Not found: Collection `{works}` doesn't exist!",
        ),
        (lambda: client.upsert(works, [point(1, **{"full-2": [1, 0]})]), wrong, unknown),
        (lambda: nearest(client, works, "full-2"), wrong, unknown),
        (lambda: nearest(client, works, "full-1", "full-2"), wrong, unknown),
    ):
        assert refused(action) == tuple(said)


def test_points_of_a_collection_without_vectors(server: QdrantServer, client: QdrantClient) -> None:
    parts = server.named("works.parts")
    make(client, parts)
    client.upsert(parts, [point(number) for number in range(3)])
    records, _ = client.scroll(parts, limit=9)
    assert [record.payload for record in records] == [{"n": 0}, {"n": 1}, {"n": 2}]
    assert client.retrieve(parts, [records[1].id])[0].payload == {"n": 1}
    client.delete(parts, [records[0].id])
    assert client.count(parts).count == 2


def test_keys_have_rights_by_the_names_they_ask_for() -> None:
    server = QdrantServer(
        rights={
            "all": "manage",
            "reads": "r",
            "team": {"works": "rw", "works.parts": "r"},
        }
    )
    owner, reader, team = (server.client(key) for key in ("all", "reads", "team"))
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
    code, _ = refused(lambda: server.client("another").count("works"))
    assert code == grpc.StatusCode.UNAUTHENTICATED
    server.die()


def copies(cluster: list[QdrantServer], name: str) -> list[int]:
    return [node.count(name) for node in cluster]


def states(client: QdrantClient, name: str) -> dict[int, str]:
    """Return the state of each copy by its peer."""
    told = client.grpc_collections.CollectionClusterInfo(
        wire.CollectionClusterInfoRequest(collection_name=name)
    )
    shards = [(told.peer_id, one) for one in told.local_shards]
    shards += [(one.peer_id, one) for one in told.remote_shards]
    return {peer: wire.ReplicaState.Name(one.state) for peer, one in shards}


def test_a_copy_that_misses_a_write_is_dead_until_its_node_is_back(
    cluster: list[QdrantServer],
) -> None:
    client, works = cluster[2].client(), cluster[2].named("works")
    make(client, works, "full", replicas=2)
    cluster[1].die()
    client.upsert(works, [point(1, full=[1, 0])])
    assert copies(cluster, "works") == [1, 0, 0]
    assert states(client, works) == {1: "Active", 2: "Dead"}
    assert nearest(client, works, "full") == [{"n": 1}]
    every = models.ReadConsistencyType.ALL
    code, words = refused(lambda: client.scroll(works, consistency=every))
    assert (code, "not have enough active replicas" in words) == (INTERNAL, True)
    cluster[1].start()
    assert copies(cluster, "works") == [1, 1, 0]
    assert states(client, works) == {1: "Active", 2: "Active"}
    assert len(client.scroll(works, consistency=every)[0]) == 1


def test_a_write_that_too_few_copies_take_stays_in_those(cluster: list[QdrantServer]) -> None:
    client, works = cluster[0].client(), cluster[0].named("works")
    make(client, works, "full", replicas=2, consistency=2)
    cluster[1].die()
    code, words = refused(lambda: client.upsert(works, [point(1, full=[1, 0])]))
    assert (code, "tcp connect error" in words) == (INTERNAL, True)
    every = models.ReadConsistencyType.ALL
    code, words = refused(lambda: client.scroll(works, consistency=every))
    assert (code, "1 of 2 read operations failed" in words) == (INTERNAL, True)
    cluster[1].start()
    assert copies(cluster, "works") == [1, 0, 0]
    assert set(states(client, works).values()) == {"Active"}
    assert client.scroll(works, consistency=every)[0] == []
    counts = [node.client().count(works).count for node in cluster]
    assert counts[:2] == [1, 0]


def test_less_than_half_of_the_nodes_agree_on_nothing(cluster: list[QdrantServer]) -> None:
    client, works = cluster[0].client(), cluster[0].named("works")
    make(client, works, "full", replicas=3)
    for node in cluster[1:]:
        node.die()
    for action in (
        lambda: make(client, cluster[0].named("other"), "full"),
        lambda: client.update_collection_aliases([alias(cluster[0].named("a"), works)]),
        lambda: client.upsert(works, [point(1, full=[1, 0])]),
    ):
        code, words = refused(action)
        assert code == INTERNAL
        assert "leader is not established" in words or "deactivation timed out" in words
    assert client.count(works).count == 1


#: What happens: a node dies or comes back, a picture is painted anew, and ``index`` runs: to its
#: end, or until its user stops it, or while a node dies of the nth thing that another asks of it.
NODE = st.integers(0, 2)
EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("die"), NODE, st.just(0)),
        st.tuples(st.just("start"), NODE, st.just(0)),
        st.tuples(st.just("paint"), st.integers(0, 5), st.just(0)),
        st.tuples(st.just("run"), st.just(0), st.just(0)),
        st.tuples(st.just("stopped"), st.integers(1, 6), st.just(0)),
        st.tuples(st.just("struck"), NODE, st.integers(1, 9)),
    ),
    min_size=2,
    max_size=8,
)


class Stopped(Exception):  # noqa: N818
    """The user's Ctrl-C, in the midst of a run."""


class Campaign:
    """An index of six pictures on a cluster, and what befalls them."""

    def __init__(self, folder: Path, replicas: int, consistency: int) -> None:
        self.folder, self.rng = folder, np.random.default_rng(replicas)
        strict = models.StrictModeConfigOutput(enabled=True, upsert_max_batchsize=2)
        first = QdrantServer(strict=strict)
        self.nodes = [first, *(QdrantServer(strict=strict, joins=first) for _ in range(2))]
        (folder / "paintings").mkdir()
        for number in range(6):
            self.paint(number)
        url = first.url_of_all("works", f"?replicas={replicas}&consistency={consistency}")
        self.index = Index.create(
            folder / "paintings", folder / "index", store=url, backbone="descriptors"
        )

    def paint(self, number: int, _: int = 0) -> None:
        pixels = self.rng.integers(0, 256, (24, 24, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(self.folder / "paintings" / f"{number}.png")

    def die(self, node: int, _: int) -> None:
        self.nodes[node].die()

    def start(self, node: int, _: int = 0) -> None:
        if not self.nodes[node].alive:
            self.nodes[node].start()

    def run(self, *_: int) -> None:
        with suppress(StoreError):
            self.index.add()

    def stopped(self, after: int, _: int) -> None:
        def report(progress: object) -> None:
            nonlocal after
            after -= 1
            if not after:
                raise Stopped

        with suppress(StoreError, Stopped):
            self.index.add(report=report)

    def struck(self, victim: int, nth: int) -> None:
        asked = itertools.count(1)

        def strike(method: str) -> None:
            if next(asked) == nth:
                self.nodes[victim].die(wait=False)

        for node in self.nodes:
            node.within = strike
        self.run()
        for node in self.nodes:
            node.within = lambda method: None


@example(events=[("die", 1, 0), ("run", 0, 0)], replicas=2, consistency=2)
@settings(max_examples=4, suppress_health_check=[HealthCheck.too_slow])
@given(events=EVENTS, replicas=st.integers(2, 3), consistency=st.integers(1, 2))
def test_whatever_befalls_a_cluster_one_more_index_makes_its_copies_whole(
    events: list[tuple[str, int, int]],
    replicas: int,
    consistency: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    with pytest.MonkeyPatch.context() as patched, ExitStack() as ending:
        patched.setenv("PAINT_SEARCH_PATIENCE", "0.2")
        campaign = Campaign(tmp_path_factory.mktemp("campaign"), replicas, consistency)
        for node in campaign.nodes:
            ending.callback(node.die)
        for what, *which in events:
            getattr(campaign, what)(*which)
        for number in range(3):
            campaign.start(number)
        with suppress(StoreError):  # of an upload that was under way
            campaign.index.close()
        patched.setenv("PAINT_SEARCH_PATIENCE", "20")
        with Index.open(campaign.folder / "index") as index:
            index.add()
            assert len(index) == 6
        _assert_alike(campaign.nodes, replicas)


def _assert_alike(nodes: list[QdrantServer], replicas: int) -> None:
    """Every copy has the six pictures, and whichever node is asked answers alike."""
    name = nodes[0].real("works")
    found = [node.engine.scroll(name, limit=99, with_vectors=True)[0] for node in nodes]
    assert [len(records) for records in found] == [6] * replicas + [0] * (3 - replicas)
    assert all(records == found[0] for records in found[:replicas])
    (kind, vector), *_ = found[0][0].vector.items()
    query = models.NearestQuery(nearest=vector)
    asked = [models.QueryRequest(query=query, using=kind, limit=9, with_payload=True)]
    answers = []
    for node in nodes:
        client = node.client()
        (answer,) = client.query_batch_points(name, asked)
        answers.append((answer.points, client.count(name).count))
        client.close()
    assert answers == [answers[0]] * 3


def test_an_index_that_stays_open_asks_all_copies_again_when_they_are_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PAINT_SEARCH_PATIENCE", "5")
    campaign = Campaign(tmp_path, replicas=2, consistency=2)
    campaign.run()
    campaign.die(1, 0)
    assert len(list(campaign.index)) == 6
    campaign.start(1)
    name = campaign.nodes[1].real("works")
    lost = [record.id for record in campaign.nodes[1].engine.scroll(name, limit=2)[0]]
    campaign.nodes[1].engine.delete(name, lost)
    assert campaign.index.add().new == 2
    assert copies(campaign.nodes, "works") == [6, 6, 0]
    campaign.index.close()
    for node in campaign.nodes:
        node.die()


def test_a_file_that_one_copy_lacks_is_sent_again(
    cluster: list[QdrantServer], tmp_path: Path
) -> None:
    place = Place.parse(cluster[0].url_of_all("works", "?replicas=2"))
    content = b"fitted"
    part = Part.of(content)
    with closing(open_store(tmp_path, place, {"full": 2}, Maker("test", "fingerprint"))) as store:
        shared = store.shared
        assert shared is not None
        shared.send(part, content)
        everything = models.FilterSelector(filter=models.Filter())
        cluster[1].engine.delete("works.parts", everything)
        shared.send(part, content)
        assert copies(cluster, "works.parts") == [1, 1, 0]
        assert shared.fetch(part) == content
