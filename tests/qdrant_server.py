"""A Qdrant server for tests: the real gRPC interface before the client's own in-memory engine.

Everything goes over a socket of this machine, so that faults can be put on the wire: refusals,
slowness, a server that dies and comes back with its data. It keeps payload indexes as the server
does (the engine in memory has none), by the real names of collections, which may be asked for by
aliases, and refuses with the real codes and words.

Several are the nodes of a cluster. A collection has one shard, whose copies are on as many nodes as
it has replicas; what each node lacks or has is its own, and what they agree on (collections,
aliases, which copies are dead) is changed by more than half of them. A write that too few copies
take is refused, and stays in those that took it; else the others are dead, until their node is back
and has been given what it missed. Reads are of one copy, the node's own first, or, if they ask for
all, of what all have alike; like the server's, a page of those may be short, and says then that it
is the last one.

A server may be strict, and then refuses what is beyond its limits. Its keys may have rights, to
collections by the names that requests have for them.
"""

from __future__ import annotations

import copy
import os
import re
import sys
import threading
import time
import uuid
import warnings
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from operator import methodcaller
from typing import Any, cast

import grpc
import pytest
from qdrant_client import QdrantClient, models
from qdrant_client import grpc as wire
from qdrant_client.conversions.conversion import GrpcToRest, RestToGrpc, grpc_to_payload

_KINDS = {0: "keyword", 1: "integer", 2: "float"}

#: What a key may do: ``manage`` or ``r`` with everything, or ``r`` or ``rw`` with each collection.
Rights = str | Mapping[str, str]


class Fault:
    """Answers ``times`` calls of a method with an error, after ``skip`` that pass."""

    def __init__(
        self,
        method: str,
        code: grpc.StatusCode,
        details: str = "injected",
        *,
        times: int = 1,
        skip: int = 0,
        retry_after: int | None = None,
    ) -> None:
        self.method, self.code, self.details = method, code, details
        self.times, self.skip, self.retry_after = times, skip, retry_after

    def strikes(self, method: str) -> bool:
        if not method.endswith(f"/{self.method}") or not self.times:
            return False
        if self.skip:
            self.skip -= 1
            return False
        self.times -= 1
        return True


class Cluster:
    """What its nodes know of each other, and of collections."""

    def __init__(self) -> None:
        self.nodes: list[QdrantServer] = []
        self.indexes: dict[str, dict[str, str]] = {}
        self.created: dict[str, wire.CreateCollection] = {}
        self.dead: dict[str, set[QdrantServer]] = {}  # which copies of a collection
        self.lock = threading.RLock()

    @property
    def has_quorum(self) -> bool:
        return 2 * sum(node.alive for node in self.nodes) > len(self.nodes)

    def holders(self, collection: str) -> list[QdrantServer]:
        """Return the nodes with a copy, dead ones too."""
        made = self.created.get(collection)
        return self.nodes[: (made and made.replication_factor) or 1]

    def agree(self, change: Callable[[QdrantClient], object]) -> None:
        """Change all nodes; those that are away learn of it when they are back."""
        if not self.has_quorum:
            raise _inside("Failed to propose operation: leader is not established within 10s")
        for node in self.nodes:
            change(node.engine)


class QdrantServer:
    """A node that serves on a free port of the loopback; ``url`` names a collection in it.

    Args:
        rights: of keys; None where none is asked for.
        strict: what it allows.
        certificate: with the key before it; None for no TLS.
        clients: who has to have signed a client's certificate; None to ask for none.
        joins: a node of the cluster that it belongs to from now on; None for one of its own.
    """

    def __init__(
        self,
        *,
        rights: Mapping[str, Rights] | None = None,
        strict: models.StrictModeConfigOutput | None = None,
        certificate: tuple[bytes, bytes] | None = None,
        clients: bytes | None = None,
        joins: QdrantServer | None = None,
    ) -> None:
        self.rights, self.certificate, self.clients = rights, certificate, clients
        self.strict = strict or models.StrictModeConfigOutput()
        self.cluster = joins.cluster if joins else Cluster()
        self.cluster.nodes.append(self)
        self.peer = len(self.cluster.nodes)
        self.indexes, self.created = self.cluster.indexes, self.cluster.created
        self.engine = QdrantClient(":memory:", force_disable_check_same_thread=True)
        self.read_all: list[str] = []  # methods that asked all copies
        self.faults: list[Fault] = []
        self.calls: list[str] = []
        self.keys: set[str | None] = set()  # that were sent
        self.thresholds: list[int] = []  # that a graph was to be built at, one after the other
        self.tell: Callable[[models.CollectionInfo], None] = lambda info: None  # may change it
        self.before: Callable[[str], None] = lambda method: None
        self.during: Callable[[str], None] = lambda method: None
        #: Called for what another node asks of this one, and may be slow or raise a Refusal.
        self.within: Callable[[str], None] = lambda method: None
        self.port = 0
        self._server: grpc.Server | None = None
        self.start()

    def url(self, collection: str, settings: str = "") -> str:
        return f"qdrant://{self.address}/{self.named(collection)}{settings}"

    def url_of_all(self, collection: str, settings: str = "") -> str:
        """Name a collection by all nodes of the cluster."""
        nodes = ",".join(node.address for node in self.cluster.nodes)
        return f"qdrant://{nodes}/{self.named(collection)}{settings}"

    def named(self, collection: str) -> str:
        """Return what a test's collection is called: on real servers, each test has its own."""
        return collection

    def client(self, key: str | None = None) -> QdrantClient:
        return _connected(self.address, key)

    def start(self) -> None:
        """Serve, on the port of before if there was one; what was stored is still there."""
        server = grpc.server(
            ThreadPoolExecutor(8),
            interceptors=[_Gate(self)],
            options=[
                ("grpc.so_reuseport", 0),
                ("grpc.max_receive_message_length", -1),
                ("grpc.max_send_message_length", -1),
            ],
        )
        wire.add_CollectionsServicer_to_server(_Collections(self), server)
        wire.add_PointsServicer_to_server(_Points(self), server)
        for _ in range(50):
            try:
                address = f"127.0.0.1:{self.port}"
                if self.certificate is None:
                    self.port = server.add_insecure_port(address)
                else:
                    secured = grpc.ssl_server_credentials(
                        [self.certificate], self.clients, self.clients is not None
                    )
                    self.port = server.add_secure_port(address, secured)
                break
            except RuntimeError:  # the port of before is not free yet
                time.sleep(0.1)
        with self.cluster.lock:
            server.start()
            self._server = server
            for collection, dead in self.cluster.dead.items():
                others = (node for node in self.cluster.holders(collection) if node not in dead)
                source = next((node for node in others if node.alive), None)
                if self in dead and source:
                    shards = (node.engine._client.collections for node in (self, source))
                    mine, theirs = shards
                    mine[collection] = copy.deepcopy(theirs[collection])
                    dead.discard(self)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def alive(self) -> bool:
        return self._server is not None

    def die(self, *, wait: bool = True) -> None:
        """Stop at once: calls under way break off. From within one, nobody waits for its end."""
        server, self._server = self._server, None
        if server is not None:
            ended = server.stop(grace=None)
            if wait:
                ended.wait()

    def count(self, collection: str) -> int:
        return self.engine.count(collection).count

    @property
    def collections(self) -> list[str]:
        return sorted(one.name for one in self.engine.get_collections().collections)

    @property
    def aliases(self) -> dict[str, str]:
        return {one.alias_name: one.collection_name for one in self.engine.get_aliases().aliases}

    def real(self, name: str) -> str:
        """Return the name of the collection that is asked for by its own or by an alias."""
        known = self.aliases.get(name, name)
        if known not in self.collections:
            raise _missing(known)
        return known

    def admit(self, key: str | None, right: str, name: str | None) -> None:
        """Refuse what a key has no right to; a name of None is of the whole server."""
        if self.rights is None:
            return
        rights = self.rights[key or ""]
        mode = rights if isinstance(rights, str) else rights.get(name or "")
        if mode == "manage" or (mode, right) in {("r", "r"), ("rw", "r"), ("rw", "rw")}:
            return
        if isinstance(rights, str):
            words = "Global manage access is required"
        elif name is None:
            words = "Global access is required"
        elif mode is None:
            words = f"Access to collection {name} is required"
        else:
            words = f"Write access to collection {name} is required"
        raise Refusal(grpc.StatusCode.PERMISSION_DENIED, f"Forbidden: {words}")

    def may(self, key: str | None, names: Iterable[str]) -> list[str]:
        """Return those that a key may know of."""
        found = []
        for name in names:
            with suppress(Refusal):
                self.admit(key, "r", name)
                found.append(name)
        return found

    def allow(self, name: str, value: float | None) -> None:
        """Refuse a value above the limit of that name."""
        limit = getattr(self.strict, name)
        if limit is not None and (value or 0) > limit:
            raise ValueError(f"Bad request: Limit exceeded {value} > {limit} for {name!r}")

    def allow_filter(self, collection: str, condition: Any) -> None:
        """Refuse a filter that asks for what has no index."""
        if condition is None or self.strict.unindexed_filtering_retrieve is not False:
            return
        for part in (condition.must, condition.should, condition.must_not):
            for one in part or ():
                if isinstance(one, models.Filter):
                    self.allow_filter(collection, one)
                    continue
                if isinstance(one, models.HasIdCondition):
                    continue
                asked = one.is_empty.key if isinstance(one, models.IsEmptyCondition) else one.key
                kind = self.indexes[collection].get(asked)
                if kind is None or (
                    isinstance(one, models.FieldCondition)
                    and kind != ("keyword" if one.match else "float")
                ):
                    raise ValueError(f'Bad request: Index required but not found for "{asked}"')

    def write(self, method: str, collection: str, change: Callable[[QdrantClient], object]) -> None:
        """Change the copies that are not dead, as many as the collection wants at least."""
        cluster = self.cluster
        holders, dead = cluster.holders(collection), cluster.dead.setdefault(collection, set())
        if dead.issuperset(holders):
            raise _inside(f"The replica set for shard 0 on peer {self.peer} has no active replica")
        failed: dict[QdrantServer, Refusal] = {}
        live = [node for node in holders if node not in dead]
        for node in live:
            try:
                self._reach(node, method)
            except Refusal as error:
                failed[node] = error
            else:
                change(node.engine)
        if not failed:
            return
        made = cluster.created.get(collection)
        wanted = min((made and made.write_consistency_factor) or 1, len(holders))
        peer, error = next((node.peer, error) for node, error in failed.items())
        if len(live) - len(failed) < wanted:
            raise error
        if not cluster.has_quorum:
            raise _inside(
                "Some replica of shard 0 failed to apply operation and deactivation timed out "
                "after 30s. Consistency of this update is not guaranteed. Please retry. Failed "
                f"peer: {peer}, error: {error}"
            )
        dead.update(failed)

    def read(self, method: str, collection: str, request: Any) -> list[QdrantClient]:
        """Return the copies that a call asks, by its consistency, if it has one."""
        consistency = getattr(request, "read_consistency", wire.ReadConsistency())
        holders = self.cluster.holders(collection)
        dead = self.cluster.dead.get(collection, set())
        active = [node for node in holders if node not in dead]
        wanted = 1
        if consistency.WhichOneof("value") == "type":
            assert consistency.type == wire.ReadConsistencyType.All
            self.read_all.append(method)
            wanted = len(holders)
        if len(active) < wanted:
            raise _inside(
                f"The replica set for shard 0 on peer {self.peer} does not have enough active "
                "replicas"
            )
        found: list[QdrantClient] = []
        errors: list[Refusal] = []
        for node in sorted(active, key=lambda node: node is not self):
            try:
                self._reach(node, method)
                found.append(node.engine)
            except Refusal as error:
                errors.append(error)
            if len(found) == wanted:
                return found
        lines = [f"{len(errors)} of {len(found) + len(errors)} read operations failed:", *errors]
        raise _inside("\n  ".join(map(str, lines)))

    def _reach(self, node: QdrantServer, method: str) -> None:
        """Ask another node, or this one; either may die of it."""
        if node is not self:
            node.within(method)
        if not self.alive:
            raise ConnectionAbortedError  # nobody hears the answer
        if not node.alive:
            raise _inside(
                'Tonic status error: status: Unavailable, message: "error trying to connect: tcp '
                'connect error: Connection refused (os error 111)"'
            )


class RealServer:
    """A real server at an address, of which a test uses what the stand-in has in common with it.

    A test that goes on to more than that, such as to faults, is skipped there.
    """

    __slots__ = ("_all", "_suffix", "address")

    def __init__(self, *addresses: str, suffix: str = "") -> None:
        self.address = addresses[0]
        self._all = addresses
        self._suffix = suffix or f"-test-{uuid.uuid4().hex[:12]}"

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        pytest.skip("needs the stand-in for a server; unset PAINT_SEARCH_TEST_QDRANT")

    def __setattr__(self, name: str, value: object) -> None:
        if name not in self.__slots__:
            pytest.skip("needs the stand-in for a server; unset PAINT_SEARCH_TEST_QDRANT")
        super().__setattr__(name, value)

    def nodes(self) -> list[QdrantServer]:
        """Return each of its nodes, for the same collections."""
        rounds = [self._all[at:] + self._all[:at] for at in range(len(self._all))]
        return [cast("QdrantServer", RealServer(*one, suffix=self._suffix)) for one in rounds]

    def named(self, collection: str) -> str:
        base, dot, rest = collection.partition(".")
        return re.sub(r"(-\d+)?$", rf"{self._suffix}\1", base, count=1) + dot + rest

    def url(self, collection: str, settings: str = "") -> str:
        return f"qdrant://{self.address}/{self.named(collection)}{settings}"

    def url_of_all(self, collection: str, settings: str = "") -> str:
        return f"qdrant://{','.join(self._all)}/{self.named(collection)}{settings}"

    def client(self) -> QdrantClient:
        return _connected(self.address, os.environ.get("QDRANT_API_KEY"))

    def count(self, collection: str) -> int:
        with closing(self.client()) as client:
            return client.count(self.named(collection)).count

    @property
    def collections(self) -> list[str]:
        with closing(self.client()) as client:
            names = [one.name for one in client.get_collections().collections]
        return sorted(self._of_tests(name) for name in names if self._suffix in name)

    @property
    def aliases(self) -> dict[str, str]:
        with closing(self.client()) as client:
            found = {one.alias_name: one.collection_name for one in client.get_aliases().aliases}
        return {
            self._of_tests(alias): self._of_tests(name)
            for alias, name in found.items()
            if self._suffix in alias
        }

    def _of_tests(self, name: str) -> str:
        return name.replace(self._suffix, "")

    def clean(self) -> None:
        """Delete the collections of this test."""
        with closing(self.client()) as client:
            for name in self.collections:
                client.delete_collection(self.named(name))


def _connected(address: str, key: str | None) -> QdrantClient:
    host, _, port = address.rpartition(":")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a test's key may be sent in clear
        return QdrantClient(
            host=host,
            grpc_port=int(port),
            prefer_grpc=True,
            https=False,
            api_key=key,
            check_compatibility=False,
        )


class Refusal(Exception):  # noqa: N818
    """What the server says instead of an answer."""

    def __init__(self, code: grpc.StatusCode, words: str) -> None:
        super().__init__(words)
        self.code = code


def _inside(words: str) -> Refusal:
    return Refusal(grpc.StatusCode.INTERNAL, f"Service internal error: {words}")


def _missing(collection: str) -> Refusal:
    words = f"Not found: Collection `{collection}` doesn't exist!"
    return Refusal(grpc.StatusCode.NOT_FOUND, words)


class _Gate(grpc.ServerInterceptor):
    """Checks the API key and lets faults strike before a call reaches the engine."""

    def __init__(self, owner: QdrantServer) -> None:
        self._owner = owner

    def intercept_service(self, continuation: Any, details: grpc.HandlerCallDetails) -> Any:
        owner = self._owner
        sent = dict(details.invocation_metadata or ())
        owner.calls.append(details.method.rsplit("/", 1)[1])
        owner.keys.add(sent.get("api-key"))
        owner.before(details.method)
        if owner.rights is not None and sent.get("api-key") not in owner.rights:
            return _aborting(grpc.StatusCode.UNAUTHENTICATED, "Invalid API key or JWT")
        for fault in owner.faults:
            if fault.strikes(details.method):
                return _aborting(fault.code, fault.details, fault.retry_after)
        return continuation(details)


def _aborting(code: grpc.StatusCode, words: str, retry_after: int | None = None) -> Any:
    def abort(request: Any, context: grpc.ServicerContext) -> None:
        if retry_after is not None:
            context.set_trailing_metadata((("retry-after", str(retry_after)),))
        context.abort(code, words)

    return grpc.unary_unary_rpc_method_handler(abort)


def _served(right: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Run one call at a time if the key has the right, and answer errors with the server's codes.

    Methods get the real name of the collection, and the key where no right is asked for.
    """

    def decorate(method: Callable[..., Any]) -> Callable[..., Any]:
        def serve(self: Any, request: Any, context: grpc.ServicerContext) -> Any:
            owner = self.owner
            owner.during(method.__name__)  # in a thread for each call
            key = dict(context.invocation_metadata() or ()).get("api-key")
            try:
                with owner.cluster.lock:
                    if right == "any":
                        return method(self, request, key)
                    if right == "manage":
                        owner.admit(key, right, None)
                        return method(self, request)
                    owner.admit(key, right, request.collection_name)
                    return method(self, request, owner.real(request.collection_name))
            except Refusal as error:
                context.abort(error.code, str(error))
            except ConnectionAbortedError:
                context.abort(grpc.StatusCode.UNAVAILABLE, "Socket closed")
            except ValueError as error:
                context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))

        return serve

    return decorate


class _Collections(wire.CollectionsServicer):
    def __init__(self, owner: QdrantServer) -> None:
        self.owner = owner

    @_served("any")
    def CollectionExists(self, request: Any, key: str | None) -> Any:  # noqa: N802
        self.owner.admit(key, "r", request.collection_name)
        try:
            exists = bool(self.owner.real(request.collection_name))
        except Refusal:
            exists = False
        return wire.CollectionExistsResponse(result=wire.CollectionExists(exists=exists))

    @_served("any")
    def List(self, request: Any, key: str | None) -> Any:  # noqa: N802
        names = self.owner.may(key, self.owner.collections)
        found = [wire.CollectionDescription(name=name) for name in names]
        return wire.ListCollectionsResponse(collections=found)

    @_served("manage")
    def Create(self, request: Any) -> Any:  # noqa: N802
        name, owner = request.collection_name, self.owner
        self._refuse_taken(name)
        if name in owner.aliases:
            raise ValueError(
                f"Wrong input: Can't create collection with name {name}. Alias with the same name "
                "already exists"
            )
        vectors = {}
        if request.HasField("vectors_config"):
            vectors = GrpcToRest.convert_vectors_config(request.vectors_config)
        metadata = grpc_to_payload(request.metadata)
        owner.cluster.agree(lambda node: node.create_collection(name, vectors, metadata=metadata))
        owner.created[name] = request
        owner.indexes[name] = {}
        return wire.CollectionOperationResponse(result=True)

    @_served("manage")
    def Update(self, request: Any) -> Any:  # noqa: N802
        """Change the metadata, and when a graph is to be built: there is none in memory."""
        name = self.owner.real(request.collection_name)
        if request.HasField("optimizers_config"):
            self.owner.thresholds.append(request.optimizers_config.indexing_threshold)
        metadata = grpc_to_payload(request.metadata)
        self.owner.cluster.agree(lambda node: node.update_collection(name, metadata=metadata))
        return wire.CollectionOperationResponse(result=True)

    @_served("manage")
    def Delete(self, request: Any) -> Any:  # noqa: N802
        """By its own name alone, with its aliases; by an alias, nothing."""
        name, cluster = request.collection_name, self.owner.cluster
        there = name in self.owner.collections
        cluster.agree(lambda node: node.delete_collection(name))
        for known in (cluster.created, cluster.indexes, cluster.dead):
            known.pop(name, None)
        return wire.CollectionOperationResponse(result=there)

    def _refuse_taken(self, name: str) -> None:
        if name in self.owner.collections:
            raise Refusal(
                grpc.StatusCode.ALREADY_EXISTS,
                f"Wrong input: Collection `{name}` already exists!",
            )

    @_served("manage")
    def UpdateAliases(self, request: Any) -> Any:  # noqa: N802
        """Nobody sees a part of it; where one action fails, those before it stay done."""
        for one in request.actions:
            if one.HasField("create_alias"):
                if one.create_alias.collection_name not in self.owner.collections:
                    raise _missing(one.create_alias.collection_name)
                self._refuse_taken(one.create_alias.alias_name)
            elif one.HasField("rename_alias"):
                alias = one.rename_alias.old_alias_name
                if alias not in self.owner.aliases:
                    raise Refusal(
                        grpc.StatusCode.NOT_FOUND, f"Not found: Alias {alias} does not exists!"
                    )
            change = [GrpcToRest.convert_alias_operations(one)]
            self.owner.cluster.agree(methodcaller("update_collection_aliases", change))
        return wire.CollectionOperationResponse(result=True)

    @_served("any")
    def ListAliases(self, request: Any, key: str | None) -> Any:  # noqa: N802
        known = self.owner.may(key, self.owner.collections)
        return self._described(key, known)

    @_served("any")
    def ListCollectionAliases(self, request: Any, key: str | None) -> Any:  # noqa: N802
        self.owner.admit(key, "r", request.collection_name)
        return self._described(key, [request.collection_name])

    def _described(self, key: str | None, collections: Collection[str]) -> Any:
        named = self.owner.aliases
        return wire.ListAliasesResponse(
            aliases=[
                wire.AliasDescription(alias_name=alias, collection_name=named[alias])
                for alias in self.owner.may(key, named)
                if named[alias] in collections
            ]
        )

    @_served("r")
    def Get(self, request: Any, name: str) -> Any:  # noqa: N802
        cluster = self.owner.cluster
        (shard,) = self.owner.read("Get", name, request)
        info = shard.get_collection(name)
        info.config.strict_mode_config = self.owner.strict
        if self.owner.thresholds:
            info.config.optimizer_config.indexing_threshold = self.owner.thresholds[-1]
        self.owner.tell(info)
        if name in cluster.created:
            info.config.params.replication_factor = cluster.created[name].replication_factor or 1
        info.payload_schema = {
            field: models.PayloadIndexInfo(
                data_type=models.PayloadSchemaType(kind), points=_having(shard, name, field, kind)
            )
            for field, kind in cluster.indexes.get(name, {}).items()
        }
        return wire.GetCollectionInfoResponse(result=RestToGrpc.convert_collection_info(info))

    @_served("r")
    def CollectionClusterInfo(self, request: Any, name: str) -> Any:  # noqa: N802
        owner, local, remote = self.owner, [], []
        for node in owner.cluster.holders(name):
            gone = node in owner.cluster.dead.get(name, ())
            state = wire.ReplicaState.Dead if gone else wire.ReplicaState.Active
            if node is owner:
                count = node.count(name)
                shard = wire.LocalShardInfo(shard_id=0, points_count=count, state=state)
                local.append(shard)
            else:
                remote.append(wire.RemoteShardInfo(shard_id=0, peer_id=node.peer, state=state))
        return wire.CollectionClusterInfoResponse(
            peer_id=owner.peer, shard_count=1, local_shards=local, remote_shards=remote
        )


def _having(shard: QdrantClient, name: str, field: str, kind: str) -> int:
    """Count the points that have a value of the index's kind."""
    absent = models.IsEmptyCondition(is_empty=models.PayloadField(key=field))
    number = models.FieldCondition(key=field, range=models.Range(gte=-sys.float_info.max))
    text = models.Filter(must_not=[absent, number])
    which = text if kind == "keyword" else models.Filter(must=[number])
    return shard.count(name, which).count


class _Points(wire.PointsServicer):
    def __init__(self, owner: QdrantServer) -> None:
        self.owner = owner

    @_served("rw")
    def Upsert(self, request: Any, name: str) -> Any:  # noqa: N802
        self.owner.allow("upsert_max_batchsize", len(request.points))
        points = [GrpcToRest.convert_point_struct(point) for point in request.points]

        def write(shard: QdrantClient) -> None:
            # Twice: the engine rounds a new vector otherwise than one that replaces another.
            for _ in range(2):
                shard.upsert(name, points)

        self.owner.write("Upsert", name, write)
        return _done()

    @_served("rw")
    def Delete(self, request: Any, name: str) -> Any:  # noqa: N802
        selector = GrpcToRest.convert_points_selector(request.points)
        self.owner.write("Delete", name, lambda shard: shard.delete(name, selector))
        return _done()

    @_served("rw")
    def UpdateBatch(self, request: Any, name: str) -> Any:  # noqa: N802
        operations = [GrpcToRest.convert_points_update_operation(o) for o in request.operations]
        self.owner.write(
            "UpdateBatch", name, lambda shard: shard.batch_update_points(name, operations)
        )
        return wire.UpdateBatchResponse(result=[_done().result for _ in operations])

    @_served("rw")
    def CreateFieldIndex(self, request: Any, name: str) -> Any:  # noqa: N802
        kinds = self.owner.indexes[name]
        self.owner.allow("max_payload_index_count", len(kinds) + 1)
        self.owner.cluster.agree(lambda node: None)
        kinds[request.field_name] = _KINDS[request.field_type]
        return _done()

    @_served("r")
    def Get(self, request: Any, name: str) -> Any:  # noqa: N802
        found = _in_all(
            [
                shard.retrieve(
                    name,
                    [GrpcToRest.convert_point_id(one) for one in request.ids],
                    with_vectors=GrpcToRest.convert_with_vectors_selector(request.with_vectors),
                )
                for shard in self.owner.read("Get", name, request)
            ]
        )
        return wire.GetResponse(result=[RestToGrpc.convert_retrieved_point(p) for p in found])

    @_served("r")
    def Scroll(self, request: Any, name: str) -> Any:  # noqa: N802
        self.owner.allow("max_query_limit", request.limit)
        self.owner.allow_filter(name, _filter(request, "filter"))
        offset = request.offset if request.HasField("offset") else None
        page = _in_all(
            [
                shard.scroll(
                    name,
                    scroll_filter=_filter(request, "filter"),
                    limit=request.limit + 1,
                    offset=offset and GrpcToRest.convert_point_id(offset),
                    with_vectors=GrpcToRest.convert_with_vectors_selector(request.with_vectors),
                )[0]
                for shard in self.owner.read("Scroll", name, request)
            ]
        )
        answer = wire.ScrollResponse(
            result=[RestToGrpc.convert_retrieved_point(p) for p in page[: request.limit]]
        )
        if len(page) > request.limit:
            following = RestToGrpc.convert_extended_point_id(page[request.limit].id)
            answer.next_page_offset.CopyFrom(following)
        return answer

    @_served("r")
    def Count(self, request: Any, name: str) -> Any:  # noqa: N802
        self.owner.allow_filter(name, _filter(request, "filter"))
        count = min(
            shard.count(name, _filter(request, "filter")).count
            for shard in self.owner.read("Count", name, request)
        )
        return wire.CountResponse(result=wire.CountResult(count=count))

    @_served("r")
    def Facet(self, request: Any, name: str) -> Any:  # noqa: N802
        assert self.owner.indexes[name][request.key] == "keyword"
        self.owner.allow("max_query_limit", request.limit)
        (shard,) = self.owner.read("Facet", name, request)
        found = shard.facet(name, request.key, limit=sys.maxsize).hits
        texts = [hit for hit in found if isinstance(hit.value, str)]  # as that index has
        hits = [RestToGrpc.convert_facet_value_hit(hit) for hit in texts[: request.limit]]
        return wire.FacetResponse(hits=hits)

    @_served("r")
    def QueryBatch(self, request: Any, name: str) -> Any:  # noqa: N802
        self.owner.allow("search_max_batchsize", len(request.query_points))
        known = self.owner.engine.get_collection(name).config.params.vectors or {}
        for query in request.query_points:
            self.owner.allow_filter(name, _filter(query, "filter"))
            for asked in (query, *query.prefetch):
                if asked.using not in known:
                    raise ValueError(f"Wrong input: Not existing vector name error: {asked.using}")
                self.owner.allow("max_query_limit", asked.limit)
                self.owner.allow("search_max_hnsw_ef", asked.params.hnsw_ef)
                oversampling = asked.params.quantization.oversampling
                self.owner.allow("search_max_oversampling", oversampling)
        (shard,) = self.owner.read("QueryBatch", name, request)
        answers = [
            shard.query_points(
                name,
                query=GrpcToRest.convert_query(query.query),
                using=query.using or None,
                prefetch=[GrpcToRest.convert_prefetch_query(p) for p in query.prefetch] or None,
                query_filter=_filter(query, "filter"),
                limit=query.limit,
                offset=query.offset,
                score_threshold=query.score_threshold
                if query.HasField("score_threshold")
                else None,
            )
            for query in request.query_points
        ]
        return wire.QueryBatchResponse(
            result=[
                wire.BatchResult(result=[RestToGrpc.convert_scored_point(p) for p in a.points])
                for a in answers
            ]
        )


def _in_all(found: Sequence[Sequence[models.Record]]) -> list[models.Record]:
    """Return the points that every copy has, and has alike."""
    first, *others = found
    return [point for point in first if all(point in other for other in others)]


def _filter(request: Any, name: str) -> models.Filter | None:
    return GrpcToRest.convert_filter(request.filter) if request.HasField(name) else None


def _done() -> Any:
    return wire.PointsOperationResponse(result=wire.UpdateResult(operation_id=0, status=2))
