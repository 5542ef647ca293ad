"""The store of those who outgrow one process: a collection of a Qdrant server or cluster.

Vectors are float16, as in the embedded store, and answers are the same. Points are uploaded in
parallel batches; since they are written by id, repeating one changes nothing, and several machines
may fill one collection. Never keeps anything on this machine.
"""

from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from itertools import repeat
from typing import Any, Final, cast

import numpy as np
from numpy.typing import NDArray
from qdrant_client import models

from paint_search.painting import Record
from paint_search.search.filters import Filter
from paint_search.search.stores.base import (
    NOT_INDEXED,
    Candidates,
    Maker,
    Match,
    VectorName,
)
from paint_search.search.stores.qdrant.collection import enter
from paint_search.search.stores.qdrant.points import as_record, index_of, translate
from paint_search.search.stores.qdrant.wire import Wire
from paint_search.search.stores.uri import Place

_UPLOAD: Final = 128  # 1.3 MB at 2,048 dimensions
_PARALLEL: Final = 4
_PAGE: Final = 512

_EF: Final = 256

#: Quantized vectors find this many times as many as are wanted; the stored ones rank them.
_OVERSAMPLING: Final = 3.0


class QdrantStore:
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
        self._upload, self._parallel = upload, parallel
        self._name = place.name
        self._dimensions = dimensions
        self._wire = Wire(place)
        self._client = self._wire.client
        self._pool = ThreadPoolExecutor(parallel, thread_name_prefix="upload")
        self._uploads: deque[Future[Any]] = deque()
        self._afloat: set[str] = set()
        try:
            self._indexed = enter(self._wire, place, dimensions, maker)
        except BaseException:
            self._hang_up()
            raise

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
                    id=record.id, vector=self._vectors_of(record), payload=dict(record.payload)
                )
                for record in records[start : start + self._upload]
            ]
            self._drain(2 * self._parallel - 1)
            upload = self._pool.submit(
                self._call, self._client.upsert, self._name, points, wait=True
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
            self._ask(self._client.batch_update_points, self._name, operations, wait=True)

    def delete(self, ids: Sequence[str]) -> None:
        """Delete points; unknown ids are passed over."""
        chosen = models.PointIdsList(points=list(ids))
        self._ask(self._client.delete, self._name, chosen, wait=True)

    def get(self, ids: Sequence[str], *, vectors: bool = False) -> dict[str, Record]:
        """Return the points that exist among ``ids``, by id."""
        found = self._ask(
            self._client.retrieve, self._name, list(ids), with_payload=True, with_vectors=vectors
        )
        return {record.id: record for record in map(as_record, found)}

    def scroll(self, where: Filter = (), *, vectors: bool = False) -> Iterator[Record]:
        """Yield all points that match, in the order of their ids, one page in memory at a time."""
        condition, offset = translate(where), None
        while True:
            page, offset = self._ask(
                self._client.scroll,
                self._name,
                scroll_filter=condition,
                limit=_PAGE,
                offset=offset,
                with_payload=True,
                with_vectors=vectors,
            )
            yield from map(as_record, page)
            if offset is None:
                return

    def search(
        self,
        vector: NDArray[np.float32],
        limit: int,
        where: Filter = (),
        *,
        using: VectorName = "full",
        among: Candidates | None = None,
        without: Collection[str] = (),
        spread: float = 0.0,
        exact: bool = False,
    ) -> list[Match]:
        """Return up to ``limit`` points by falling cosine, or by maximal marginal relevance."""
        request = self._request(
            vector, limit, translate(where, without), using, among, spread, exact
        )
        return self._found([request])[0]

    def search_many(
        self,
        vectors: NDArray[np.float32],
        limit: int,
        where: Filter = (),
        *,
        using: VectorName = "full",
        among: Sequence[Candidates] | None = None,
        exact: bool = False,
    ) -> list[list[Match]]:
        """Return up to ``limit`` points by falling cosine for each of many queries at once."""
        condition = translate(where)
        return self._found(
            [
                self._request(vector, limit, condition, using, first, 0.0, exact)
                for vector, first in zip(vectors, among or repeat(None, len(vectors)), strict=True)
            ]
        )

    def _found(self, requests: list[models.QueryRequest]) -> list[list[Match]]:
        answers = self._ask(self._client.query_batch_points, self._name, requests)
        return [
            [Match(as_record(point), float(point.score)) for point in answer.points]
            for answer in answers
        ]

    def _request(
        self,
        vector: NDArray[np.float32],
        limit: int,
        condition: models.Filter | None,
        using: VectorName,
        among: Candidates | None,
        spread: float,
        exact: bool,
    ) -> models.QueryRequest:
        limit = max(1, limit)
        prefetch = None
        if among is not None:
            wanted = max(among.count, 10 * limit if spread > 0 else limit)
            prefetch = models.Prefetch(
                query=among.vector.tolist(),
                using="compact",
                limit=wanted,
                filter=condition,
                params=self._params(exact, ef=max(_EF, wanted)),
            )
        mmr = models.Mmr(diversity=spread, candidates_limit=10 * limit) if spread > 0 else None
        return models.QueryRequest(
            query=models.NearestQuery(nearest=vector.tolist(), mmr=mmr),
            using=using,
            prefetch=prefetch,
            filter=condition,
            params=self._params(exact, ef=_EF),
            limit=limit,
            with_payload=True,
        )

    def count(self, where: Filter = ()) -> int:
        """Count the points that match."""
        condition = translate(where)
        found = self._ask(self._client.count, self._name, count_filter=condition, exact=True)
        return int(found.count)

    def has_field(self, name: str) -> bool:
        """Tell whether filters may name this field."""
        self._drain()
        info = self._info().payload_schema.get(name)
        # Counted with an index are only the values of its type.
        return (
            info is not None
            and not name.startswith("_")
            and bool(info.points or self._count_having(name))
        )

    def fields(self) -> dict[str, int]:
        """Return the fields that filters may name, with the number of points having each."""
        self._drain()
        names = sorted(name for name in self._info().payload_schema if not name.startswith("_"))
        counts = {name: self._count_having(name) for name in names}
        return {name: count for name, count in counts.items() if count}

    def _count_having(self, field: str) -> int:
        """Count the points that have a field, with values of any type."""
        absent = models.IsEmptyCondition(is_empty=models.PayloadField(key=field))
        having = models.Filter(must_not=[absent])
        return int(self._call(self._client.count, self._name, having, exact=True).count)

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
        return cast("models.CollectionInfo", self._call(self._client.get_collection, self._name))

    def _params(self, exact: bool, *, ef: int) -> models.SearchParams:
        quantized = models.QuantizationSearchParams(rescore=True, oversampling=_OVERSAMPLING)
        return models.SearchParams(exact=exact, hnsw_ef=ef, quantization=quantized)

    def _vectors_of(self, record: Record) -> dict[str, Any]:
        stored = {"full": record.vector, "compact": record.compact}
        return {
            name: vector.tolist()
            for name in self._dimensions
            if (vector := stored[name]) is not None
        }

    def _index_fields(self, records: Sequence[Record]) -> None:
        """Index each field before its first value is uploaded, by the type of that value."""
        for record in records:
            for name in record.payload.keys() - self._indexed - NOT_INDEXED:
                kind = index_of(name, record.payload[name])
                self._ask(self._client.create_payload_index, self._name, name, kind, wait=True)
                self._indexed.add(name)

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
        return self._wire.call(partial(method, *args, **options))
