"""The store of those who outgrow one process: a collection of a Qdrant server or cluster.

Vectors are float16, as in the embedded store, and answers are the same. Points are uploaded in
parallel batches; since they are written by id, repeating one changes nothing, and several machines
may fill one collection. Never keeps anything on this machine.
"""

import logging
import math
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final, TypeVar, cast

from grpc import StatusCode
from qdrant_client import QdrantClient, grpc, models
from qdrant_client.conversions.conversion import RestToGrpc

from paint_search.errors import StoreError, StoreMovedError
from paint_search.painting import Progress, Record, Value
from paint_search.search.filters import Filter
from paint_search.search.recall import choose_effort
from paint_search.search.stores.base import (
    Copy,
    Match,
    Node,
    Report,
    VectorName,
    VectorQuery,
    never,
    silent,
)
from paint_search.search.stores.description import Maker
from paint_search.search.stores.engine import (
    PAGE,
    Dialect,
    Engine,
    Plan,
    Route,
    Size,
    as_matches,
    as_record,
)
from paint_search.search.stores.qdrant.collection import ServedCollection, code_of, field_kind
from paint_search.search.stores.qdrant.wire import CALL_SECONDS

_UPLOAD: Final = 128  # 1.3 MB at 2,048 dimensions
_PARALLEL: Final = 4

#: Vectors that are asked at once: a million exact comparisons of each take a core ten seconds.
_QUERIES: Final = 256

#: Seconds for which it is taken for granted how much of the graph is built.
_FRESH: Final = 10.0

#: Seconds between two looks at a graph that is being built: short at first.
_LOOKS: Final = (0.05, 1.0)

#: Seconds within which a server that was told to build one has begun.
_BEGINS: Final = 10.0

#: Where a collection keeps the effort that was chosen, and at how many points.
_EFFORT: Final = "paint_search_effort"
_MOST_EF: Final = 2**16

#: What is chosen anew when the collection has grown by so large a share.
_GROWN: Final = 0.1

#: What says that a key may not ask for the nodes, or that the server knows of none.
_MAY_NOT: Final = (StatusCode.PERMISSION_DENIED, StatusCode.UNIMPLEMENTED)

_NUMBERS: Final = models.PayloadSchemaType.FLOAT

_LOG: Final = logging.getLogger(__name__)


_N = TypeVar("_N", int, float)


class QdrantStore(Engine):
    """A collection of a server; made there where it is missing.

    Args:
        served: the collection.
        dimensions: of each kind of vector that it keeps.
        maker: of those vectors.
        upload: points of one request.
        parallel: requests under way at a time while points are written.
        plan: what the graph is built and walked by, as ``Plan`` takes it by keyword.

    Raises:
        StoreError: the server is out of reach, or the collection holds other vectors.
    """

    dialect = Dialect(
        filter=models.Filter,
        field=models.FieldCondition,
        match_any=models.MatchAny,
        range=models.Range,
        has_id=lambda ids: models.HasIdCondition(has_id=cast("Any", ids)),
        is_empty=lambda field: models.IsEmptyCondition(is_empty=models.PayloadField(key=field)),
        search=models.SearchParams,
        quantization=models.QuantizationSearchParams,
        acorn=models.AcornSearchParams,
    )

    def __init__(
        self,
        served: ServedCollection,
        dimensions: Mapping[VectorName, int],
        maker: Maker,
        *,
        upload: int = _UPLOAD,
        parallel: int = _PARALLEL,
        **plan: Any,
    ) -> None:
        self._parallel = parallel
        self._dimensions = dimensions
        self.shared = served
        self._wire = served.wire
        self._pool = ThreadPoolExecutor(parallel, thread_name_prefix="upload")
        self._uploads: deque[Future[Any]] = deque()
        self._afloat: set[str] = set()
        self._plan = Plan(**plan)
        self._written, longest = 0, max(dimensions.values(), default=1)
        # A graph that was begun would have to be finished before the collection takes any settings.
        self._bulk = self._plan.exact_bytes // 2 // (2 * longest)
        try:
            info = self._keep(served.enter(dimensions, maker, self._plan))
        except BaseException:
            self._hang_up()
            raise
        # Those of this generation, whatever the public name leads to.
        self._vectors: dict[str, str] = dict(served.vectors.items())
        self._indexed = set(info.payload_schema)
        self._replicated = (info.config.params.replication_factor or 1) > 1
        strict = info.config.strict_mode_config
        self._limits = strict if strict and strict.enabled else models.StrictModeConfigOutput()
        self._upload = _least(upload, self._limits.upsert_max_batchsize)
        self._most_ef = _least(math.inf, self._limits.search_max_hnsw_ef)
        self._most_oversampling = _least(math.inf, self._limits.search_max_oversampling)
        self._most_found = _least(math.inf, self._limits.max_query_limit)
        self._ef, _ = self._effort(info) or (self._plan.effort, 0)

    def upsert(self, records: Sequence[Record]) -> None:
        """Write points with the vectors they have; a point of the same id is replaced.

        Returns before all is written; ``flush`` and every search wait for it. In a long load the
        graph waits until ``optimize``, if the key may say so: it is built once, not bit by bit.
        """
        self._index_fields(records)
        ids = {record.id for record in records}
        if not self._afloat.isdisjoint(ids):
            self._drain()  # two writes of one point must not overtake each other
        if self._written <= self._bulk < self._written + len(records):
            self._configure(optimizers_config=models.OptimizersConfigDiff(indexing_threshold=0))
        for start in range(0, len(records), self._upload):
            self._drain(2 * self._parallel - 1)
            some = records[start : start + self._upload]
            self._uploads.append(self._pool.submit(self._send, some))
        self._written += len(records)
        self._afloat |= ids

    def _send(self, records: Sequence[Record]) -> None:
        """Upload points, in the words of the wire: the client's own take twice as long to make."""
        points = [
            grpc.PointStruct(
                id=grpc.PointId(uuid=record.id),
                vectors=grpc.Vectors(
                    vectors=grpc.NamedVectors(
                        vectors={
                            self._vectors[kind]: grpc.Vector(
                                dense=grpc.DenseVector(data=vector.tolist())
                            )
                            for kind, vector in self._vectors_of(record).items()
                        }
                    )
                ),
                payload=RestToGrpc.convert_payload(dict(record.payload)),
            )
            for record in records
        ]
        request = grpc.UpsertPoints(collection_name=self._name, points=points, wait=True)
        self._call(lambda client: client.grpc_points.Upsert(request, timeout=CALL_SECONDS))

    def set_payloads(self, records: Sequence[Record]) -> None:
        """Replace the payloads of existing points and leave their vectors alone."""
        self._index_fields(records)
        operations = [
            models.OverwritePayloadOperation(
                overwrite_payload=models.SetPayload(
                    payload=dict(record.payload), points=[record.id]
                )
            )
            for record in records
        ]
        if operations:
            self._ask(QdrantClient.batch_update_points, self._name, operations, wait=True)

    def delete(self, ids: Sequence[str]) -> None:
        """Delete points; unknown ids are passed over."""
        chosen = models.PointIdsList(points=list(ids))
        self._ask(QdrantClient.delete, self._name, chosen, wait=True)

    def get(self, ids: Sequence[str], *, vectors: bool = False) -> dict[str, Record]:
        """Return the points that exist among ``ids``, by id."""
        self._drain()
        found = self._retrieve(ids, vectors)
        return {record.id: record for record in map(as_record, found)}

    def search(self, query: VectorQuery) -> list[list[Match]]:
        """Return for each vector up to ``limit`` points by falling cosine, or spread."""
        self._drain()
        return super().search(query)

    def _find(self, query: VectorQuery, route: Route) -> list[list[Match]]:
        most = _least(query.limit, self._limits.max_query_limit)
        if query.spread > 0 and most < query.limit:
            raise StoreError(
                f"{self.shared.place.server} answers with at most {most:,} paintings at a time "
                "(max_query_limit), and no more than these can be spread; ask for fewer"
            )
        found: list[dict[str, Any]] = [{} for _ in query.vectors]
        at_once = _least(_QUERIES, self._limits.search_max_batchsize)
        left, offset = list(range(len(found))), 0
        while left:
            page = min(most, query.limit - offset)
            asked = [self._request(query, row, route, page, offset) for row in left]
            answers = [
                answer.points
                for start in range(0, len(asked), at_once)
                for answer in self._call(
                    QdrantClient.query_batch_points, self._name, asked[start : start + at_once]
                )
            ]
            for row, points in zip(left, answers, strict=True):
                found[row].update((point.id, point) for point in points)
            offset += page
            full = (row for row, points in zip(left, answers, strict=True) if len(points) == page)
            left = list(full) if offset < query.limit else []
        return [as_matches(points.values()) for points in found]

    def _request(
        self, query: VectorQuery, row: int, route: Route, limit: int, offset: int
    ) -> models.QueryRequest:
        """Return what asks for ``limit`` points of one vector after the first ``offset``."""
        prefetch = None
        # What is found by codes comes in one page; beyond that, all full vectors are compared.
        if query.codes is not None and limit == query.limit:
            candidates = _least(query.candidates, self._limits.max_query_limit)
            prefetch = models.Prefetch(
                query=query.codes[row].tolist(),
                using=self._vectors["compact"],
                limit=candidates,
                filter=route.condition,
                params=self._params(route, candidates),
            )
        mmr = models.Mmr(diversity=query.spread, candidates_limit=query.ranked)
        nearest = models.NearestQuery(
            nearest=query.vectors[row].tolist(), mmr=mmr if query.spread > 0 else None
        )
        return models.QueryRequest(
            query=nearest,
            using=self._vectors[query.using],
            prefetch=prefetch,
            filter=route.condition,
            params=self._params(route, offset + limit),
            limit=limit,
            offset=offset,
            score_threshold=query.threshold,
            with_payload=True,
        )

    def flush(self) -> None:
        """Wait until the server has written everything so far."""
        self._drain()

    def optimize(self, report: Report = silent, cancelled: Callable[[], bool] = never) -> None:
        """Wait until the server has built its graph, which it goes on with where nobody waits.

        A graph that waits for the end of a load, this or one that was killed, is begun.
        """
        info, begun, stopped = self._info(), True, False
        if self._threshold == 0 or _status(info) == "grey":
            threshold = self._threshold or self._plan.indexing_threshold
            told = models.OptimizersConfigDiff(indexing_threshold=threshold)
            self._configure(optimizers_config=told)
            info, begun = self._info(), not self._is_due(info)
        pause, longest = _LOOKS
        latest = time.monotonic() + _BEGINS
        try:
            while (_status(info) == "yellow" or not begun) and not stopped:
                size = self._size()
                report(Progress(size.indexed, size.vectors))
                time.sleep(pause)
                pause = min(longest, 2 * pause)
                info, stopped = self._info(), cancelled()
                begun = begun or _status(info) == "yellow" or time.monotonic() > latest
        except KeyboardInterrupt:
            stopped = True
        if stopped:
            _LOG.warning(
                "%s goes on building the graph of %r by itself; searches are slower until it has",
                self.shared.place.server,
                self._name,
            )
        elif self.approximate():
            self._settle_effort(info)

    def _is_due(self, info: models.CollectionInfo) -> bool:
        """Tell whether a shard has more vectors outside of a graph than are ever left there."""
        size, shards = self._size(), info.config.params.shard_number or 1
        outside = size.points * (1 - size.indexed / max(1, size.vectors))
        return outside / shards > 2 * self._bulk

    def _settle_effort(self, info: models.CollectionInfo) -> None:
        """Choose the effort where the collection has none or has grown, and the key may keep it."""
        chosen, points = self._effort(info), info.points_count or 0
        if chosen and abs(points - chosen[1]) <= _GROWN * chosen[1]:
            return
        if self._configure(metadata={_EFFORT: [self._ef, 0]}):
            choose_effort(self, self._first, self._plan.efforts, self._take_effort)
            self._configure(metadata={_EFFORT: [self._ef, points]})

    @staticmethod
    def _effort(info: models.CollectionInfo) -> tuple[int, int] | None:
        """Return the effort that was chosen for a collection, and at how many points."""
        try:
            effort, points = map(int, (info.config.metadata or {})[_EFFORT])
            return (effort, points) if 0 < effort <= _MOST_EF and points >= 0 else None
        except (LookupError, TypeError, ValueError, ArithmeticError):
            return None

    def _configure(self, **settings: Any) -> bool:
        """Change settings of the collection; tell whether the key may."""
        # By its own name: another generation may have become the public one.
        name = self.shared.own_name
        try:
            self._ask(QdrantClient.update_collection, name, **settings)
        except StoreError as error:
            if code_of(error) != StatusCode.PERMISSION_DENIED:
                raise
            _LOG.debug("the collection %r stays as it was: %s", name, error)
            return False
        return True

    def describe(self) -> str:
        """Say in a few words how searches go, and how much of the graph there is."""
        quantization = self.shared.place.settings.get("quantization")
        how = super().describe()
        if self._threshold == 0:
            how += ", and the graph waits for a load to end: run paint-search index again"
        return f"{how}, {quantization} and rescored" if quantization else how

    def close(self) -> None:
        """Wait for what is under way and hang up."""
        try:
            self._drain()
        finally:
            self._hang_up()

    def _hang_up(self) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._wire.close()

    def _info(self) -> models.CollectionInfo:
        self._drain()
        return self._keep(self._call(QdrantClient.get_collection, self._name))

    def _keep(self, info: models.CollectionInfo) -> models.CollectionInfo:
        self._told = Size.of(info, len(self._dimensions))
        self._threshold = info.config.optimizer_config.indexing_threshold
        self._told_at = time.monotonic()
        return info

    def _size(self) -> Size:
        if time.monotonic() - self._told_at > _FRESH:
            self._info()
        return self._told

    def _begin(self, read: Callable[[], Any]) -> Callable[[], Any]:
        self._drain()
        return self._pool.submit(read).result

    def _page(
        self, condition: Any, offset: Any, limit: int, vectors: bool
    ) -> tuple[Sequence[Any], Any]:
        # Pages of all copies would be cut short where these differ, and seem to be the last: one
        # copy says what there may be, and all are asked for it.
        page, after = self._call(
            QdrantClient.scroll,
            self._name,
            scroll_filter=condition,
            limit=_least(limit, self._limits.max_query_limit),
            offset=offset,
            with_payload=not self._replicated,
            with_vectors=self._wanted(vectors and not self._replicated),
        )
        if self._replicated and page:
            ids = [point.id for point in page]
            found = {point.id: point for point in self._retrieve(ids, vectors)}
            page = [found[name] for name in ids if name in found]
        else:
            page = self._by_kind(page)
        return page, after

    def _retrieve(self, ids: Sequence[str], vectors: bool) -> Sequence[Any]:
        found = self._read(
            lambda client, copies: client.retrieve(
                self._name, list(ids), with_vectors=self._wanted(vectors), consistency=copies
            )
        )
        return self._by_kind(found)

    def _wanted(self, vectors: bool) -> list[str] | bool:
        """Return the names of all vectors: those of another generation are refused."""
        return list(self._vectors.values()) if vectors else False

    def _by_kind(self, points: Sequence[Any]) -> Sequence[Any]:
        """Call the vectors of points by their kind alone."""
        for point in points:
            if isinstance(point.vector, dict):
                kinds = self._vectors.items()
                point.vector = {k: point.vector[n] for k, n in kinds if n in point.vector}
        return points

    def _schema(self) -> Mapping[str, Any]:
        return self._info().payload_schema

    def _create_index(self, field: str, value: Value) -> None:
        kind = field_kind(field, value)
        try:
            self._ask(QdrantClient.create_payload_index, self._name, field, kind, wait=True)
        except StoreError:
            schema = self._schema()
            if field in schema:
                return  # by another machine
            if not self._is_full(schema):
                raise
            _LOG.warning(
                "%s takes no more than %d payload indexes (max_payload_index_count): paintings of "
                "%s cannot be chosen by %r",
                self.shared.place.server,
                len(schema),
                self._name,
                field,
            )

    def _is_full(self, schema: Mapping[str, Any]) -> bool:
        most = self._limits.max_payload_index_count
        return most is not None and len(schema) >= most

    def has_field(self, name: str) -> bool:
        """Tell whether filters may name this field.

        Raises:
            StoreError: it may be one that the server did not index.
        """
        schema = self._schema()
        if name not in schema and not name.startswith("_") and self._is_full(schema):
            raise StoreError(
                f"{self.shared.place.server} takes no more than {len(schema)} payload indexes of "
                f"the collection {self._name!r} (max_payload_index_count), and has none of "
                f"{name!r}: choose paintings by another field, or ask for that index on the server"
            )
        return super().has_field(name)

    def _translate(self, where: Filter, without: Collection[str] = ()) -> Any | None:
        condition = super()._translate(where, without)
        if condition is None or self._limits.unindexed_filtering_retrieve is not False:
            return condition
        return self._of_indexes(condition, self._schema())

    def _of_indexes(self, condition: Any, schema: Mapping[str, Any]) -> Any:
        """Return a filter that asks for nothing but what is indexed, and means the same.

        Raises:
            StoreError: there is none.
        """
        if isinstance(condition, models.Filter):
            parts: dict[str, Any] = {
                part: [self._of_indexes(one, schema) for one in getattr(condition, part)]
                for part in ("must", "should", "must_not")
                if getattr(condition, part)
            }
            return models.Filter(**parts)
        if not isinstance(condition, models.FieldCondition):
            return condition
        info = schema.get(condition.key)
        if info is None and self._is_full(schema):
            return condition  # there may be values; the server says what it wants
        if info is not None:
            kind = models.PayloadSchemaType.KEYWORD if condition.match else _NUMBERS
            if info.data_type == kind:
                return condition
            if info.points < self._count_having(condition.key):
                raise StoreError(
                    f"{self.shared.place.server} chooses by indexed values only "
                    f"(unindexed_filtering_retrieve), and {condition.key!r} has texts and numbers, "
                    "of which one kind can be indexed; choose paintings by another field"
                )
        return models.HasIdCondition(has_id=[])  # no painting has such a value

    def _facet(self, field: str, most: int) -> Iterable[Any]:
        limit = _least(max(1, most), self._limits.max_query_limit)
        if limit < most:  # and some would be left out
            return {record.payload.get(field) for record in self.scroll()}
        answer = self._ask(QdrantClient.facet, self._name, field, limit=limit)
        return [hit.value for hit in answer.hits]

    def _count(self, condition: Any) -> int:
        where = condition and RestToGrpc.convert_filter(condition)

        def count(client: QdrantClient, copies: models.ReadConsistencyType | None) -> Any:
            # The client's own method takes no consistency.
            request = grpc.CountPoints(
                collection_name=self._name,
                filter=where,
                exact=True,
                read_consistency=cast(
                    "Any", copies and RestToGrpc.convert_read_consistency(copies)
                ),
            )
            return client.grpc_points.Count(request, timeout=CALL_SECONDS)

        self._drain()
        return int(self._read(count).result.count)

    def _estimate(self, condition: Any) -> int:
        answer = self._call(QdrantClient.count, self._name, count_filter=condition, exact=False)
        return int(answer.count)

    def nodes(self) -> list[Node]:
        """Return the nodes of the server, as each that can be reached from here tells.

        Those that are not known by an address yet are asked for, and remembered if they answer. No
        nodes where the key may not ask.
        """
        self._drain()
        found = self._nodes()
        if any(node.address is None or node.fault for node in found):
            self._wire.learn()
            found = self._nodes()
        return found

    def _nodes(self) -> list[Node]:
        def ask(client: QdrantClient) -> tuple[Any, int]:
            return self._wire.cluster(client), client.count(self._name).count

        found: list[Node] = []
        others: dict[int, dict[int, Copy]] = {}
        answers = self._wire.each(ask)
        for server, said in answers.items():
            if isinstance(said, StoreError):
                if code_of(said) in _MAY_NOT:
                    return []
                found.append(Node(server, None, [], None, str(said)))
                continue
            cluster, points = said
            if cluster.peer_id not in {node.peer for node in found}:  # by another address
                copies = [_copy(shard, shard.points_count) for shard in cluster.local_shards]
                found.append(Node(server, cluster.peer_id, copies, points))
            for shard in cluster.remote_shards:
                others.setdefault(shard.peer_id, {})[shard.shard_id] = _copy(shard, None)
        away = others.keys() - {node.peer for node in found}
        fault = None
        if away and not any(node.fault for node in found):
            self._count(None)
            if not self._wire.whole:
                fault = (
                    "a node that is known by no address does not answer, or a copy is not active"
                )
        return [
            *found,
            *(Node(None, n, list(others[n].values()), None, fault) for n in sorted(away)),
        ]

    def uneven(self) -> Iterator[Record]:
        """Yield the points that some copies have, and others lack or have otherwise.

        Each node is asked for what its own copies have, so that copies on nodes that cannot be
        reached from here are not seen. Of two versions the one of the later run is given.

        Raises:
            StoreError: not all copies answer.
        """
        self._drain()
        found: dict[str, Record] = {}
        for said in self._wire.each(self._uneven_of).values():
            if isinstance(said, StoreError):
                raise said
            for record in said:
                before = found.get(record.id)
                if before is None or record.payload.get("_run", 0) > before.payload.get("_run", 0):
                    found[record.id] = record
        yield from found.values()

    def _uneven_of(self, client: QdrantClient) -> list[Record]:
        """Return what the copies of one node have, and not all others."""
        found: list[Record] = []
        offset, limit = None, _least(PAGE, self._limits.max_query_limit)
        while True:
            page, offset = client.scroll(
                self._name, limit=limit, offset=offset, with_payload=False, with_vectors=False
            )
            ids = [point.id for point in page]
            same = client.retrieve(self._name, ids, consistency=models.ReadConsistencyType.ALL)
            if lacking := set(ids).difference(point.id for point in same):
                points = client.retrieve(
                    self._name, list(lacking), with_vectors=self._wanted(vectors=True)
                )
                found += map(as_record, self._by_kind(points))
            if offset is None:
                return found

    def _drain(self, left: int = 0) -> None:
        """Wait until no more than ``left`` uploads are under way; after a failed one, for none."""
        try:
            while len(self._uploads) > left:
                self._uploads.popleft().result()
        except BaseException:
            for upload in self._uploads:
                upload.cancel()
            self._uploads.clear()
            raise
        if not self._uploads:
            self._afloat.clear()

    def _ask(self, method: Callable[..., Any], *args: Any, **options: Any) -> Any:
        """Call once everything uploaded before has arrived."""
        self._drain()
        return self._call(method, *args, **options)

    def _call(self, method: Callable[..., Any], *args: Any, **options: Any) -> Any:
        try:
            return self._wire.call(lambda client: method(client, *args, **options))
        except StoreError as error:
            raise _moved(error) from error.__cause__

    def _read(self, action: Callable[..., Any]) -> Any:
        try:
            return self._wire.read(action)
        except StoreError as error:
            raise _moved(error) from error.__cause__

    @property
    def _name(self) -> str:
        return self.shared.name


def _moved(error: StoreError) -> StoreError:
    """Return the error of a question that was meant for another generation, or what it was."""
    if code_of(error) == StatusCode.INVALID_ARGUMENT and "vector name" in str(error):
        return StoreMovedError(f"another machine has replaced this index meanwhile ({error})")
    return error


def _status(info: models.CollectionInfo) -> str:
    """Return what the optimizers do: nothing in green, work in yellow, wait to be told in grey."""
    return str(info.status.value)


def _copy(shard: Any, points: int | None) -> Copy:
    return Copy(shard.shard_id, grpc.ReplicaState.Name(shard.state), points)


def _least(wanted: _N, limit: _N | None) -> _N:
    """Return what is wanted, or what the server allows of it."""
    return wanted if limit is None else min(wanted, limit)
