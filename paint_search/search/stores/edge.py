"""The embedded store: a Qdrant Edge shard in a folder of the index.

Vectors are float16: half the disk and memory, at a cosine of 0.99997 to float32, far above the
0.999 that the fastest engines of a backbone are held to. Every update goes through Qdrant's
write-ahead log, so a killed process loses nothing that was written.
"""

import json
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, TypeVar, cast

import qdrant_edge as edge

from paint_search.errors import StoreError
from paint_search.files import read_json
from paint_search.painting import Record, Value
from paint_search.search.recall import choose_effort
from paint_search.search.stores.base import (
    Match,
    Report,
    VectorName,
    VectorQuery,
    as_store_error,
    never,
    silent,
)
from paint_search.search.stores.engine import (
    Dialect,
    Engine,
    Plan,
    Route,
    Size,
    as_matches,
    as_record,
)

#: The engine writes through memory maps, where a full disk kills the process; it is never let
#: closer than this. Twice the 32 MiB in which it grows its files.
_FREE_BYTES: Final = 64 * 1024 * 1024

_CODES: Final = edge.TurboQuantQuantizationConfig(bits=edge.TurboQuantBitSize.Bits4)

_MOST_EF: Final = 2**16

#: Where the one that does is kept, in the shard's folder.
_EFFORT: Final = "effort.json"

_T = TypeVar("_T")


class EdgeStore(Engine):
    """A Qdrant Edge shard in ``folder``; made there where none exists.

    Whoever opens one holds the lock of the index: a shard has one user at a time.

    Args:
        folder: the shard's own.
        dimensions: of each kind of vector that it keeps.
        plan: what the graph is built and walked by, as ``Plan`` takes it by keyword.

    Raises:
        StoreError: it is damaged, or its folder cannot be written.
    """

    shared = None
    dialect = Dialect(
        filter=edge.Filter,
        field=edge.FieldCondition,
        match_any=edge.MatchAny,
        range=edge.RangeFloat,
        has_id=lambda ids: edge.HasIdCondition(set(ids)),
        is_empty=edge.IsEmptyCondition,
        search=edge.SearchParams,
        quantization=edge.QuantizationSearchParams,
        acorn=edge.AcornSearchParams,
    )

    def __init__(self, folder: Path, dimensions: Mapping[VectorName, int], **plan: Any) -> None:
        self._folder = folder
        self._plan = Plan(**plan)
        self._dimensions = dimensions
        self._shard = self._guard(self._open)
        self._ef = self._read_effort() or self._plan.effort
        # Stores made before all numbers had one kind of index are mended by the next write.
        self._indexed = {
            name
            for name, info in self._shard.info().payload_schema.items()
            if info.data_type != edge.PayloadSchemaType.Integer
        }

    def _open(self) -> edge.EdgeShard:
        config = edge.EdgeConfig(
            vectors={
                name: edge.EdgeVectorParams(
                    size=dimension,
                    distance=edge.Distance.Cosine,
                    datatype=edge.VectorStorageDatatype.Float16,
                    hnsw_config=self._plan.links(edge.HnswIndexConfig, graph=name == self._first),
                    quantization_config=_CODES if name == self._first else None,
                )
                # The engine wants a kind of vectors, even where every point comes without one.
                for name, dimension in (self._dimensions or {"compact": 1}).items()
            },
            optimizers=self._plan.optimizers(edge.EdgeOptimizersConfig),
        )
        if (self._folder / "edge_config.json").exists():
            return edge.EdgeShard.load(str(self._folder), config)
        self._require_space()
        shutil.rmtree(self._folder, ignore_errors=True)  # a creation that was cut short
        self._folder.mkdir()
        return edge.EdgeShard.create(str(self._folder), config)

    def upsert(self, records: Sequence[Record]) -> None:
        """Write points with the vectors they have; a point of the same id is replaced."""
        self._require_space()
        self._index_fields(records)
        points = [
            edge.Point(record.id, cast("Any", self._vectors_of(record)), dict(record.payload))
            for record in records
        ]
        self._update(edge.UpdateOperation.upsert_points(points))

    def set_payloads(self, records: Sequence[Record]) -> None:
        """Replace the payloads of existing points and leave their vectors alone."""
        self._require_space()
        self._index_fields(records)
        for record in records:
            self._update(edge.UpdateOperation.overwrite_payload([record.id], dict(record.payload)))

    def delete(self, ids: Sequence[str]) -> None:
        """Delete points; unknown ids are passed over."""
        self._update(edge.UpdateOperation.delete_points(list(ids)))

    def get(self, ids: Sequence[str], *, vectors: bool = False) -> dict[str, Record]:
        """Return the points that exist among ``ids``, by id."""
        found = self._guard(
            lambda: self._shard.retrieve(list(ids), with_payload=True, with_vector=vectors)
        )
        return {record.id: record for record in map(as_record, found)}

    def search(self, query: VectorQuery) -> list[list[Match]]:
        """Return for each vector up to ``limit`` points by falling cosine, or spread."""
        query = replace(query, limit=min(query.limit, max(1, self._shard.info().points_count)))
        return super().search(query)

    def _find(self, query: VectorQuery, route: Route) -> list[list[Match]]:
        count = max(1, self._shard.info().points_count)
        requests = []
        for row, vector in enumerate(query.vectors):
            numbers = cast("Any", vector)  # an array is taken as it is, though typed as a list
            prefetches = []
            if query.codes is not None:
                most = min(query.candidates, count)
                nearest = edge.Query.Nearest(cast("Any", query.codes[row]), using="compact")
                params = self._params(route, most)
                prefetches = [edge.Prefetch(most, nearest, filter=route.condition, params=params)]
            request = edge.QueryRequest(
                query=edge.Mmr(numbers, 1.0 - query.spread, query.ranked, using=query.using)
                if query.spread > 0
                else edge.Query.Nearest(numbers, using=query.using),
                prefetches=prefetches,
                limit=query.limit,
                filter=route.condition,
                with_payload=True,
                score_threshold=query.threshold,
                params=self._params(route, query.limit),
            )
            requests.append(request)
        batch = edge.QueryBatchRequest(requests)
        return list(map(as_matches, self._guard(lambda: self._shard.query_batch(batch))))

    def flush(self) -> None:
        """Make everything written so far durable."""
        self._guard(self._shard.flush)

    def optimize(self, report: Report = silent, cancelled: Callable[[], bool] = never) -> None:
        """Merge segments, and build HNSW where there are more vectors than exact search likes."""
        used = sum(file.stat().st_blocks * 512 for file in self._folder.rglob("*"))
        self._require_space(used)
        built = self._guard(self._shard.optimize)
        if self.approximate() and (built or self._read_effort() is None):
            choose_effort(self, self._first, self._plan.efforts, self._take_effort)
            (self._folder / _EFFORT).write_text(json.dumps({"ef": self._ef}))

    def _read_effort(self) -> int | None:
        try:
            effort = int(read_json(self._folder / _EFFORT)["ef"])
            return effort if 0 < effort <= _MOST_EF else None
        except (OSError, ValueError, LookupError, TypeError, ArithmeticError):
            return None

    def _size(self) -> Size:
        info = self._shard.info()
        return Size.of(info, len(self._dimensions))

    def close(self) -> None:
        """Flush and let go of the shard."""
        self._guard(self._shard.close)

    def _page(
        self, condition: Any, offset: Any, limit: int, vectors: bool
    ) -> tuple[Sequence[Any], Any]:
        request = edge.ScrollRequest(
            offset=offset, limit=limit, filter=condition, with_payload=True, with_vector=vectors
        )
        return self._guard(lambda: self._shard.scroll(request))

    def _schema(self) -> Mapping[str, Any]:
        return self._shard.info().payload_schema

    def _create_index(self, field: str, value: Value) -> None:
        # Read from disk: in memory it answers no sooner and takes a million paintings a fifth of a
        # second to open.
        cold = edge.Memory.Cold
        text = isinstance(value, str)
        kind = edge.KeywordIndexParams(memory=cold) if text else edge.FloatIndexParams(memory=cold)
        self._update(edge.UpdateOperation.create_field_index(field, kind))

    def _facet(self, field: str, most: int) -> Iterable[Any]:
        request = edge.FacetRequest(field, limit=max(1, most))
        return [hit.value for hit in self._guard(lambda: self._shard.facet(request)).hits]

    def _count(self, condition: Any, *, exact: bool = True) -> int:
        request = edge.CountRequest(exact=exact, filter=condition)
        return self._guard(lambda: self._shard.count(request))

    def _estimate(self, condition: Any) -> int:
        return self._count(condition, exact=False)

    def _update(self, operation: edge.UpdateOperation) -> None:
        self._guard(lambda: self._shard.update(operation))

    def _require_space(self, more: int = 0) -> None:
        free = shutil.disk_usage(self._folder.parent).free
        if free < _FREE_BYTES + more:
            raise StoreError(
                f"the disk of {self._folder.parent} is full ({free / 1e6:.0f} MB left, "
                f"{(_FREE_BYTES + more) / 1e6:.0f} MB needed); free some space and run it again"
            )

    def _guard(self, action: Callable[[], _T]) -> _T:
        """Turn the engine's errors into ours; its own exceptions are of no common type."""
        try:
            return action()
        except StoreError:
            raise
        except BaseException as error:
            # What panics in Rust is an exception of its own, and of no other kind.
            if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
                raise
            raise as_store_error(self._folder, error) from error
