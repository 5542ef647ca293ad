"""The embedded store: a Qdrant Edge shard in a folder of the index.

Vectors are float16: half the disk and memory, at a cosine of 0.99997 to float32, far above the
0.999 that the fastest engines of a backbone are held to. Every update goes through Qdrant's
write-ahead log, so a killed process loses nothing that was written.
"""

import json
import math
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, TypeVar, cast

import qdrant_edge as edge

from paint_search.errors import StoreError
from paint_search.files import read_json
from paint_search.painting import Record, Value
from paint_search.search.recall import choose_effort
from paint_search.search.stores.base import Match, VectorName, VectorQuery, as_store_error
from paint_search.search.stores.engine import PAGE, Dialect, Engine, as_matches, as_record

#: The engine writes through memory maps, where a full disk kills the process; it is never let
#: closer than this. Twice the 32 MiB in which it grows its files.
_FREE_BYTES: Final = 64 * 1024 * 1024

#: See benchmarks/README.md.
_EXACT_BYTES: Final = 64 * 1024 * 1024
_COMPARED_KIB: Final = 25_000

#: The graph is built and walked on 4 bits a number, a quarter of the vectors' own bytes; what the
#: walk keeps is ordered by the vectors themselves.
_CODES: Final = edge.TurboQuantQuantizationConfig(bits=edge.TurboQuantBitSize.Bits4)

_EFS: Final = (32, 48, 64, 96, 128, 192, 256, 384, 512)
_EF: Final = 256  # before anything was tried
_MOST_EF: Final = 2**16

#: Where the one that does is kept, in the shard's folder.
_EFFORT: Final = "effort.json"

#: A filter that keeps more than is compared in any case is walked through the neighbours of
#: neighbours. Links of its own for each value of each field would double the build, and were seen
#: to miss nine of ten in a range.
_ACORN: Final = edge.AcornSearchParams(enable=True, max_selectivity=1.0)

#: Where it keeps a smaller share than this, everything it keeps is compared all the same: the graph
#: comes apart, and missed up to half of the neighbours.
_RARE: Final = 0.25

#: Where it keeps a larger one, so many times as many as will do on average are sifted first. Of
#: 1,000,000 x 320 vectors one thread takes: a filter that keeps 1 %, compared point by point,
#: 1.0 ms; one that keeps 10 %, likewise, 26 ms; 30 %, sifted, 1.4 ms; no filter, 0.7 ms.
_SIFTED: Final = 2
_MOST_SIFTED: Final = 256

#: For each point that is wanted, at least this many are compared by the vectors themselves.
_OVERSAMPLING: Final = 2.0

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Plan:
    """How searches with one filter go.

    Attributes:
        condition: the filter as the engine takes it; None for all.
        effort: ``ef``; None to compare with all that is kept.
        sifted: how many of the nearest of all to sift by the filter at first; 0 where that is of
            no use.
    """

    condition: edge.Filter | None
    effort: int | None = None
    sifted: int = 0

    def params(self, limit: int) -> edge.SearchParams:
        """Return how to search for ``limit`` points."""
        if self.effort is None:
            return edge.SearchParams(exact=True)
        oversampling = max(_OVERSAMPLING, self.effort / limit)
        return edge.SearchParams(
            hnsw_ef=max(self.effort, limit),
            quantization=edge.QuantizationSearchParams(rescore=True, oversampling=oversampling),
            acorn=_ACORN,
        )


class EdgeStore(Engine):
    """A Qdrant Edge shard in ``folder``; made there where none exists.

    Whoever opens one holds the lock of the index: a shard has one user at a time.

    Args:
        folder: the shard's own.
        dimensions: of each kind of vector that it keeps.
        exact_bytes: above this many bytes of vectors an approximate index is built.
        compared_kib: what a filter keeps is compared vector by vector up to this many KiB; less
            than ``exact_bytes``, since the graph is not walked in a collection as small as that.
        efforts: how many candidates HNSW may keep while it searches, rising; the least that finds
            enough is taken.

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
    )

    def __init__(
        self,
        folder: Path,
        dimensions: Mapping[VectorName, int],
        *,
        exact_bytes: int = _EXACT_BYTES,
        compared_kib: int = _COMPARED_KIB,
        efforts: Sequence[int] = _EFS,
    ) -> None:
        self._folder = folder
        self._exact_bytes = exact_bytes
        self._compared_kib = compared_kib
        self._efforts = efforts
        self._dimensions = dimensions
        # Full vectors beside compact ones only rescore what those have found.
        self._first: VectorName = "compact" if "compact" in dimensions else "full"
        self._shard = self._guard(self._open)
        self._ef = self._read_effort() or _EF
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
                    hnsw_config=edge.HnswIndexConfig(
                        m=16 if name == self._first else 0,
                        ef_construct=128,
                        full_scan_threshold=self._compared_kib,
                        payload_m=0,
                    ),
                    quantization_config=_CODES if name == self._first else None,
                )
                # The engine wants a kind of vectors, even where every point comes without one.
                for name, dimension in (self._dimensions or {"compact": 1}).items()
            },
            optimizers=edge.EdgeOptimizersConfig(
                default_segment_number=1, indexing_threshold=self._exact_bytes // 1024
            ),
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
        plan = self._plan(query)
        found: list[list[Match]] = [[] for _ in query.vectors]
        if plan.sifted and query.codes is None and not query.spread:
            found = self._sift(query, plan)
        short = [row for row, matches in enumerate(found) if len(matches) < query.limit]
        for row, matches in zip(short, self._ask(query.of(short), plan), strict=True):
            found[row] = matches
        return found

    def _sift(self, query: VectorQuery, plan: Plan) -> list[list[Match]]:
        """Return what meets a filter of the nearest without one; fewer than wanted if too few do.

        Where it is as many as wanted, those are the nearest that meet it: all others are farther.
        """
        anything = replace(plan, condition=None)
        return [
            [
                match
                for match in matches
                if match.record.id not in query.without
                and all(condition.matches(match.record.payload) for condition in query.where)
            ][: query.limit]
            for matches in self._ask(replace(query, limit=plan.sifted), anything)
        ]

    def _plan(self, query: VectorQuery) -> Plan:
        condition = self.dialect.translate(query.where, query.without)
        if query.exact or not self.approximate():
            return Plan(condition)
        if not query.where:
            return Plan(condition, self._ef)
        request = edge.CountRequest(exact=False, filter=condition)
        kept = self._guard(lambda: self._shard.count(request))
        if 2 * self._dimensions[self._first] * kept <= 1024 * self._compared_kib:
            return Plan(condition, self._ef)  # the engine compares so few by itself
        share = kept / self._shard.info().points_count
        if share < _RARE:
            return Plan(condition)
        sifted = math.ceil(_SIFTED * query.limit / share)
        return Plan(condition, self._ef, sifted if sifted <= _MOST_SIFTED else 0)

    def _ask(self, query: VectorQuery, plan: Plan) -> list[list[Match]]:
        count = max(1, self._shard.info().points_count)
        requests = []
        for row, vector in enumerate(query.vectors):
            numbers = cast("Any", vector)  # an array is taken as it is, though typed as a list
            prefetches = []
            if query.codes is not None:
                most = min(query.candidates, count)
                nearest = edge.Query.Nearest(cast("Any", query.codes[row]), using="compact")
                params = plan.params(most)
                prefetches = [edge.Prefetch(most, nearest, filter=plan.condition, params=params)]
            request = edge.QueryRequest(
                query=edge.Mmr(numbers, 1.0 - query.spread, query.ranked, using=query.using)
                if query.spread > 0
                else edge.Query.Nearest(numbers, using=query.using),
                prefetches=prefetches,
                limit=query.limit,
                filter=plan.condition,
                with_payload=True,
                score_threshold=query.threshold,
                params=plan.params(query.limit),
            )
            requests.append(request)
        if not requests:
            return []
        batch = edge.QueryBatchRequest(requests)
        return list(map(as_matches, self._guard(lambda: self._shard.query_batch(batch))))

    def flush(self) -> None:
        """Make everything written so far durable."""
        self._guard(self._shard.flush)

    def optimize(self) -> None:
        """Merge segments, and build HNSW where there are more vectors than exact search likes."""
        used = sum(file.stat().st_blocks * 512 for file in self._folder.rglob("*"))
        self._require_space(used)
        built = self._guard(self._shard.optimize)
        if self.approximate() and (built or self._read_effort() is None):
            choose_effort(self, self._first, self._efforts, self._take_effort)
            (self._folder / _EFFORT).write_text(json.dumps({"ef": self._ef}))

    def _take_effort(self, ef: int) -> None:
        self._ef = ef

    def _read_effort(self) -> int | None:
        try:
            effort = int(read_json(self._folder / _EFFORT)["ef"])
            return effort if 0 < effort <= _MOST_EF else None
        except (OSError, ValueError, LookupError, TypeError, ArithmeticError):
            return None

    def approximate(self) -> bool:
        """Tell whether searches go through HNSW."""
        return self._shard.info().indexed_vectors_count > 0

    def describe(self) -> str:
        """Say in a few words how searches go."""
        return (
            f"HNSW (m=16, ef={self._ef})"
            if self.approximate()
            else "exact: compared with every painting"
        )

    def close(self) -> None:
        """Flush and let go of the shard."""
        self._guard(self._shard.close)

    def _page(self, condition: Any, offset: Any, vectors: bool) -> tuple[Sequence[Any], Any]:
        request = edge.ScrollRequest(
            offset=offset, limit=PAGE, filter=condition, with_payload=True, with_vector=vectors
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

    def _count(self, condition: Any) -> int:
        request = edge.CountRequest(exact=True, filter=condition)
        return self._guard(lambda: self._shard.count(request))

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
