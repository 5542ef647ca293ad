"""A Qdrant server for tests: the real gRPC interface before the client's own in-memory engine.

Everything goes over a socket of this machine, so that faults can be put on the wire: refusals,
slowness, a server that dies and comes back with its data. It keeps payload indexes as the server
does (the engine in memory has none) and rejects filters on unknown collections with real codes.

It may keep several copies, as the replicas of a shard. Reads are of the next copy in turn, or, if
they ask for all, of what all have alike; like the server's, a page of those may be short, and says
then that it is the last one. It may be strict, and then refuses what is beyond its limits.
"""

from __future__ import annotations

import itertools
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
from qdrant_client import QdrantClient, models
from qdrant_client import grpc as wire
from qdrant_client.conversions.conversion import GrpcToRest, RestToGrpc, grpc_to_payload

_KINDS = {0: "keyword", 1: "integer", 2: "float"}


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


class QdrantServer:
    """Serves on a free port of the loopback; ``url`` names a collection in it."""

    def __init__(
        self,
        api_key: str | None = None,
        *,
        copies: int = 1,
        strict: models.StrictModeConfigOutput | None = None,
        certificate: tuple[bytes, bytes] | None = None,
    ) -> None:
        self.certificate = certificate  # with the key before it; none for no TLS
        self.strict = strict or models.StrictModeConfigOutput()  # what it allows
        self.copies = [
            QdrantClient(":memory:", force_disable_check_same_thread=True) for _ in range(copies)
        ]
        self.engine = self.copies[0]
        self.inactive: list[QdrantClient] = []  # copies that are neither read nor written
        self.read_all: list[str] = []  # methods that asked all copies
        self._turns = itertools.count()
        self.indexes: dict[str, dict[str, str]] = {}
        self.created: dict[str, wire.CreateCollection] = {}
        self.api_key = api_key
        self.faults: list[Fault] = []
        self.calls: list[str] = []
        self.keys: set[str | None] = set()  # that were sent
        self.before: Callable[[str], None] = lambda method: None
        self.during: Callable[[str], None] = lambda method: None
        self.lock = threading.RLock()
        self.port = 0
        self._server: grpc.Server | None = None
        self.start()

    def url(self, collection: str, settings: str = "") -> str:
        return f"qdrant://127.0.0.1:{self.port}/{collection}{settings}"

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
                    secured = grpc.ssl_server_credentials([self.certificate])
                    self.port = server.add_secure_port(address, secured)
                break
            except RuntimeError:  # the port of before is not free yet
                time.sleep(0.1)
        server.start()
        self._server = server

    def die(self) -> None:
        """Stop at once: calls under way break off."""
        if self._server is not None:
            self._server.stop(grace=None).wait()
            self._server = None

    def count(self, collection: str) -> int:
        return self.engine.count(collection).count

    def allow(self, name: str, value: float | None) -> None:
        """Refuse a value above the limit of that name."""
        limit = getattr(self.strict, name)
        if limit is not None and (value or 0) > limit:
            raise ValueError(f"Limit exceeded {value} > {limit} for {name}")

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
                    raise ValueError(f'Index required but no such for "{asked}"')

    def join(self, other: QdrantServer) -> None:
        """Serve what another node serves, as of one cluster."""
        self.copies, self.engine, self.lock = other.copies, other.engine, other.lock
        self.indexes, self.created = other.indexes, other.created

    def active(self) -> list[QdrantClient]:
        return [copy for copy in self.copies if copy not in self.inactive]

    def read(self, method: str, request: Any) -> list[QdrantClient]:
        """Return the copies that a call asks, by its consistency."""
        active = self.active()
        if request.read_consistency.WhichOneof("value") != "type":
            return [active[next(self._turns) % len(active)]]
        assert request.read_consistency.type == wire.ReadConsistencyType.All
        self.read_all.append(method)
        if self.inactive:
            raise InsideError(
                "Service internal error: The replica set for shard 0 on peer 1 does not have "
                "enough active replicas"
            )
        return self.copies


class InsideError(Exception):
    """What a node says of another one."""


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
        if owner.api_key is not None and sent.get("api-key") != owner.api_key:
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


def _served(method: Callable[..., Any]) -> Callable[..., Any]:
    """Run one call at a time, and turn what the engine raises into the server's codes."""

    def serve(self: Any, request: Any, context: grpc.ServicerContext) -> Any:
        self.owner.during(method.__name__)  # in a thread for each call
        try:
            with self.owner.lock:
                return method(self, request)
        except InsideError as error:
            context.abort(grpc.StatusCode.INTERNAL, str(error))
        except ValueError as error:
            missing = "not found" in str(error)
            taken = "already exists" in str(error)
            code = (
                grpc.StatusCode.NOT_FOUND
                if missing
                else grpc.StatusCode.ALREADY_EXISTS
                if taken
                else grpc.StatusCode.INVALID_ARGUMENT
            )
            context.abort(code, str(error))

    return serve


class _Collections(wire.CollectionsServicer):
    def __init__(self, owner: QdrantServer) -> None:
        self.owner = owner

    @_served
    def CollectionExists(self, request: Any) -> Any:  # noqa: N802
        exists = self.owner.engine.collection_exists(request.collection_name)
        return wire.CollectionExistsResponse(result=wire.CollectionExists(exists=exists))

    @_served
    def Create(self, request: Any) -> Any:  # noqa: N802
        for copy in self.owner.copies:
            copy.create_collection(
                request.collection_name,
                GrpcToRest.convert_vectors_config(request.vectors_config),
                metadata=grpc_to_payload(request.metadata),
            )
        self.owner.created[request.collection_name] = request
        self.owner.indexes[request.collection_name] = {}
        return wire.CollectionOperationResponse(result=True)

    @_served
    def Delete(self, request: Any) -> Any:  # noqa: N802
        for copy in self.owner.copies:
            copy.delete_collection(request.collection_name)
        return wire.CollectionOperationResponse(result=True)

    @_served
    def Get(self, request: Any) -> Any:  # noqa: N802
        name = request.collection_name
        info = self.owner.engine.get_collection(name)
        info.config.strict_mode_config = self.owner.strict
        if name in self.owner.created:
            info.config.params.replication_factor = self.owner.created[name].replication_factor or 1
        info.payload_schema = {
            field: models.PayloadIndexInfo(
                data_type=models.PayloadSchemaType(kind), points=self._having(name, field, kind)
            )
            for field, kind in self.owner.indexes.get(name, {}).items()
        }
        return wire.GetCollectionInfoResponse(result=RestToGrpc.convert_collection_info(info))

    def _having(self, name: str, field: str, kind: str) -> int:
        """Count the points that have a value of the index's kind."""
        absent = models.IsEmptyCondition(is_empty=models.PayloadField(key=field))
        number = models.FieldCondition(key=field, range=models.Range(gte=-sys.float_info.max))
        text = models.Filter(must_not=[absent, number])
        which = text if kind == "keyword" else models.Filter(must=[number])
        return self.owner.engine.count(name, which).count


class _Points(wire.PointsServicer):
    def __init__(self, owner: QdrantServer) -> None:
        self.owner = owner

    @_served
    def Upsert(self, request: Any) -> Any:  # noqa: N802
        self.owner.allow("upsert_max_batchsize", len(request.points))
        points = [GrpcToRest.convert_point_struct(point) for point in request.points]
        for copy in self.owner.active():
            copy.upsert(request.collection_name, points)
        return _done()

    @_served
    def Delete(self, request: Any) -> Any:  # noqa: N802
        selector = GrpcToRest.convert_points_selector(request.points)
        for copy in self.owner.active():
            copy.delete(request.collection_name, selector)
        return _done()

    @_served
    def UpdateBatch(self, request: Any) -> Any:  # noqa: N802
        operations = [GrpcToRest.convert_points_update_operation(o) for o in request.operations]
        for copy in self.owner.active():
            copy.batch_update_points(request.collection_name, operations)
        return wire.UpdateBatchResponse(result=[_done().result for _ in operations])

    @_served
    def CreateFieldIndex(self, request: Any) -> Any:  # noqa: N802
        self.owner.engine.get_collection(request.collection_name)
        kinds = self.owner.indexes[request.collection_name]
        self.owner.allow("max_payload_index_count", len(kinds) + 1)
        kinds[request.field_name] = _KINDS[request.field_type]
        return _done()

    @_served
    def Get(self, request: Any) -> Any:  # noqa: N802
        found = _in_all(
            [
                copy.retrieve(
                    request.collection_name,
                    [GrpcToRest.convert_point_id(name) for name in request.ids],
                    with_vectors=GrpcToRest.convert_with_vectors_selector(request.with_vectors),
                )
                for copy in self.owner.read("Get", request)
            ]
        )
        return wire.GetResponse(result=[RestToGrpc.convert_retrieved_point(p) for p in found])

    @_served
    def Scroll(self, request: Any) -> Any:  # noqa: N802
        self.owner.allow("max_query_limit", request.limit)
        self.owner.allow_filter(request.collection_name, _filter(request, "filter"))
        offset = request.offset if request.HasField("offset") else None
        page = _in_all(
            [
                copy.scroll(
                    request.collection_name,
                    scroll_filter=_filter(request, "filter"),
                    limit=request.limit + 1,
                    offset=offset and GrpcToRest.convert_point_id(offset),
                    with_vectors=GrpcToRest.convert_with_vectors_selector(request.with_vectors),
                )[0]
                for copy in self.owner.read("Scroll", request)
            ]
        )
        answer = wire.ScrollResponse(
            result=[RestToGrpc.convert_retrieved_point(p) for p in page[: request.limit]]
        )
        if len(page) > request.limit:
            following = RestToGrpc.convert_extended_point_id(page[request.limit].id)
            answer.next_page_offset.CopyFrom(following)
        return answer

    @_served
    def Count(self, request: Any) -> Any:  # noqa: N802
        self.owner.allow_filter(request.collection_name, _filter(request, "filter"))
        count = min(
            copy.count(request.collection_name, _filter(request, "filter")).count
            for copy in self.owner.read("Count", request)
        )
        return wire.CountResponse(result=wire.CountResult(count=count))

    @_served
    def Facet(self, request: Any) -> Any:  # noqa: N802
        assert self.owner.indexes[request.collection_name][request.key] == "keyword"
        self.owner.allow("max_query_limit", request.limit)
        (copy,) = self.owner.read("Facet", request)
        found = copy.facet(request.collection_name, request.key, limit=request.limit)
        hits = [RestToGrpc.convert_facet_value_hit(hit) for hit in found.hits]
        return wire.FacetResponse(hits=hits)

    @_served
    def QueryBatch(self, request: Any) -> Any:  # noqa: N802
        self.owner.allow("search_max_batchsize", len(request.query_points))
        for query in request.query_points:
            self.owner.allow_filter(request.collection_name, _filter(query, "filter"))
            for asked in (query, *query.prefetch):
                self.owner.allow("max_query_limit", asked.limit)
                self.owner.allow("search_max_hnsw_ef", asked.params.hnsw_ef)
                oversampling = asked.params.quantization.oversampling
                self.owner.allow("search_max_oversampling", oversampling)
        (copy,) = self.owner.read("QueryBatch", request)
        answers = [
            copy.query_points(
                request.collection_name,
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
