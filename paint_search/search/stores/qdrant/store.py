"""The store of those who outgrow one process: a collection of a Qdrant server or cluster.

Vectors are float16, as in the embedded store, and answers are the same. Points are uploaded in
parallel batches; since they are written by id, repeating one changes nothing, and several machines
may fill one collection. Never keeps anything on this machine.
"""

import logging
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final, TypeVar, cast

from grpc import StatusCode
from qdrant_client import QdrantClient, grpc, models
from qdrant_client.conversions.conversion import RestToGrpc

from paint_search.errors import StoreError
from paint_search.painting import Record, Value
from paint_search.search.filters import Filter
from paint_search.search.stores.base import Copy, Maker, Match, Node, VectorName, VectorQuery
from paint_search.search.stores.engine import PAGE, Dialect, Engine, as_matches, as_record
from paint_search.search.stores.qdrant.collection import enter, field_kind
from paint_search.search.stores.qdrant.wire import CALL_SECONDS, Wire
from paint_search.search.stores.uri import Place

_UPLOAD: Final = 128  # 1.3 MB at 2,048 dimensions
_PARALLEL: Final = 4

_EF: Final = 256

#: Quantized vectors find this many times as many as are wanted; the stored ones rank them.
_OVERSAMPLING: Final = 3.0

#: What says that a key may not ask for the nodes, or that the server knows of none.
_MAY_NOT: Final = (StatusCode.PERMISSION_DENIED, StatusCode.UNIMPLEMENTED)

_NUMBERS: Final = models.PayloadSchemaType.FLOAT

_LOG: Final = logging.getLogger(__name__)


_N = TypeVar("_N", int, float)


class QdrantStore(Engine):
    """The collection at ``place``; made there where none exists.

    Args:
        place: server, collection and settings; those matter only where it is made.
        dimensions: of each kind of vector that it keeps.
        maker: of those vectors.
        upload: points of one request.
        parallel: requests under way at a time while points are written.

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
    )

    def __init__(
        self,
        place: Place,
        dimensions: Mapping[VectorName, int],
        maker: Maker,
        *,
        upload: int = _UPLOAD,
        parallel: int = _PARALLEL,
    ) -> None:
        self._place = place
        self._parallel = parallel
        self._name = place.name
        self._dimensions = dimensions
        self._wire = Wire(place)
        self._pool = ThreadPoolExecutor(parallel, thread_name_prefix="upload")
        self._uploads: deque[Future[Any]] = deque()
        self._afloat: set[str] = set()
        try:
            info = enter(self._wire, place, dimensions, maker)
        except BaseException:
            self._hang_up()
            raise
        self._indexed = set(info.payload_schema)
        self._replicated = (info.config.params.replication_factor or 1) > 1
        strict = info.config.strict_mode_config
        self._limits = strict if strict and strict.enabled else models.StrictModeConfigOutput()
        self._upload = _least(upload, self._limits.upsert_max_batchsize)

    def upsert(self, records: Sequence[Record]) -> None:
        """Write points with the vectors they have; a point of the same id is replaced.

        Returns before all is written; ``flush`` and every search wait for it.
        """
        self._index_fields(records)
        ids = {record.id for record in records}
        if not self._afloat.isdisjoint(ids):
            self._drain()  # two writes of one point must not overtake each other
        for start in range(0, len(records), self._upload):
            points = [
                models.PointStruct(
                    id=record.id,
                    vector={name: v.tolist() for name, v in self._vectors_of(record).items()},
                    payload=dict(record.payload),
                )
                for record in records[start : start + self._upload]
            ]
            self._drain(2 * self._parallel - 1)
            upload = self._pool.submit(
                self._call, QdrantClient.upsert, self._name, points, wait=True
            )
            self._uploads.append(upload)
        self._afloat |= ids

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
        found = self._retrieve(ids, vectors)
        return {record.id: record for record in map(as_record, found)}

    def search(self, query: VectorQuery) -> list[list[Match]]:
        """Return for each vector up to ``limit`` points by falling cosine, or spread."""
        self._drain()
        condition = self._translate(query.where, query.without)
        most = _least(query.limit, self._limits.max_query_limit)
        if query.spread > 0 and most < query.limit:
            raise StoreError(
                f"{self._place.server} answers with at most {most:,} paintings at a time "
                "(max_query_limit), and no more than these can be spread; ask for fewer"
            )
        found: list[dict[str, Any]] = [{} for _ in query.vectors]
        left, offset = list(range(len(found))), 0
        while left:
            page = min(most, query.limit - offset)
            asked = [self._request(query, row, condition, page, offset) for row in left]
            at_once = _least(len(asked), self._limits.search_max_batchsize)
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
        self, query: VectorQuery, row: int, condition: Any, limit: int, offset: int
    ) -> models.QueryRequest:
        """Return what asks for ``limit`` points of one vector after the first ``offset``."""
        prefetch = None
        # What is found by codes comes in one page; beyond that, all full vectors are compared.
        if query.codes is not None and limit == query.limit:
            candidates = _least(query.candidates, self._limits.max_query_limit)
            prefetch = models.Prefetch(
                query=query.codes[row].tolist(),
                using="compact",
                limit=candidates,
                filter=condition,
                params=self._params(query, ef=max(_EF, candidates)),
            )
        mmr = models.Mmr(diversity=query.spread, candidates_limit=query.ranked)
        nearest = models.NearestQuery(
            nearest=query.vectors[row].tolist(), mmr=mmr if query.spread > 0 else None
        )
        return models.QueryRequest(
            query=nearest,
            using=query.using,
            prefetch=prefetch,
            filter=condition,
            params=self._params(query, ef=_EF),
            limit=limit,
            offset=offset,
            score_threshold=query.threshold,
            with_payload=True,
        )

    def _params(self, query: VectorQuery, *, ef: int) -> models.SearchParams:
        oversampling = _least(_OVERSAMPLING, self._limits.search_max_oversampling)
        return models.SearchParams(
            exact=query.exact,
            hnsw_ef=_least(ef, self._limits.search_max_hnsw_ef),
            quantization=models.QuantizationSearchParams(rescore=True, oversampling=oversampling),
        )

    def flush(self) -> None:
        """Wait until the server has written everything so far."""
        self._drain()

    def optimize(self) -> None:
        """Wait for what is under way; the server merges and builds its graphs by itself."""
        self._drain()

    def approximate(self) -> bool:
        """Tell whether searches go through HNSW, wholly or in part."""
        return bool(self._info().indexed_vectors_count)

    def describe(self) -> str:
        """Say in a few words how searches go."""
        quantization = self._place.settings.get("quantization")
        how = "HNSW (m=16)" if self.approximate() else "exact until the server has built its graph"
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
        return cast("models.CollectionInfo", self._call(QdrantClient.get_collection, self._name))

    def _page(self, condition: Any, offset: Any, vectors: bool) -> tuple[Sequence[Any], Any]:
        # Pages of all copies would be cut short where these differ, and seem to be the last: one
        # copy says what there may be, and all are asked for it.
        page, after = self._ask(
            QdrantClient.scroll,
            self._name,
            scroll_filter=condition,
            limit=_least(PAGE, self._limits.max_query_limit),
            offset=offset,
            with_payload=not self._replicated,
            with_vectors=vectors and not self._replicated,
        )
        if self._replicated and page:
            ids = [point.id for point in page]
            found = {point.id: point for point in self._retrieve(ids, vectors)}
            page = [found[name] for name in ids if name in found]
        return page, after

    def _retrieve(self, ids: Sequence[str], vectors: bool) -> Sequence[Any]:
        self._drain()
        return self._wire.read(
            lambda client, copies: client.retrieve(
                self._name, list(ids), with_vectors=vectors, consistency=copies
            )
        )

    def _schema(self) -> Mapping[str, Any]:
        self._drain()
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
                self._place.server,
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
                f"{self._place.server} takes no more than {len(schema)} payload indexes of the "
                f"collection {self._name!r} (max_payload_index_count), and has none of {name!r}: "
                "choose paintings by another field, or ask for that index on the server"
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
                    f"{self._place.server} chooses by indexed values only "
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
        return int(self._wire.read(count).result.count)

    def nodes(self) -> list[Node]:
        """Return the nodes of the server, as each that can be reached from here tells.

        Those that are not known by an address yet are asked for, and remembered if they answer.
        None where the key may not ask.
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
                if getattr(said.__cause__, "code", lambda: None)() in _MAY_NOT:
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
                points = client.retrieve(self._name, list(lacking), with_vectors=True)
                found += map(as_record, points)
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
        return self._wire.call(lambda client: method(client, *args, **options))


def _copy(shard: Any, points: int | None) -> Copy:
    return Copy(shard.shard_id, grpc.ReplicaState.Name(shard.state), points)


def _least(wanted: _N, limit: _N | None) -> _N:
    """Return what is wanted, or what the server allows of it."""
    return wanted if limit is None else min(wanted, limit)
