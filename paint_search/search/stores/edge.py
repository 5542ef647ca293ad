"""The embedded store: a Qdrant Edge shard in a folder of the index.

Vectors are float16: half the disk and memory, at a cosine of 0.99997 to float32, far above the
0.999 that the fastest engines of a backbone are held to. Every update goes through Qdrant's
write-ahead log, so a killed process loses nothing that was written.
"""

import json
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar, cast

import numpy as np
import qdrant_edge as edge
from numpy.typing import NDArray

from paint_search.errors import StoreError
from paint_search.painting import Record
from paint_search.search.filters import Filter
from paint_search.search.recall import choose_effort
from paint_search.search.stores.base import NOT_INDEXED, Candidates, Match, VectorName
from paint_search.search.stores.edge_filter import translate
from paint_search.search.stores.edge_plan import Plan
from paint_search.search.stores.edge_points import as_match, as_record, index_of

_PAGE: Final = 512

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

#: Where the one that does is kept, in the shard's folder.
_EFFORT: Final = "effort.json"

_T = TypeVar("_T")


class EdgeStore:
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
            edge.Point(record.id, self._vectors_of(record), dict(record.payload))
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

    def scroll(self, where: Filter = (), *, vectors: bool = False) -> Iterator[Record]:
        """Yield all points that match, in the order of their ids, one page in memory at a time."""
        condition, offset = translate(where), None
        while True:
            request = edge.ScrollRequest(
                offset=offset,
                limit=_PAGE,
                filter=condition,
                with_payload=True,
                with_vector=vectors,
            )
            page, offset = self._guard(partial(self._shard.scroll, request))
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
        plan = self._plan(limit, where, without, exact=exact)
        if plan.sifted and among is None and spread == 0:
            found = self._sift(vector[None], limit, where, without, using, plan)[0]
            if len(found) == limit:
                return found
        request = self._request(vector, limit, using, among, spread, plan)
        return [as_match(point) for point in self._guard(lambda: self._shard.query(request))]

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
        plan = self._plan(limit, where, exact=exact)
        found: list[list[Match]] = [[] for _ in vectors]
        if plan.sifted and among is None:
            found = self._sift(vectors, limit, where, (), using, plan)
        short = [number for number, row in enumerate(found) if len(row) < limit]
        requests = [
            self._request(vectors[i], limit, using, among[i] if among else None, 0.0, plan)
            for i in short
        ]
        for number, row in zip(short, self._query(requests), strict=True):
            found[number] = row
        return found

    def _query(self, requests: Sequence[edge.QueryRequest]) -> list[list[Match]]:
        batch = edge.QueryBatchRequest(list(requests))
        found = self._guard(lambda: self._shard.query_batch(batch)) if requests else []
        return [list(map(as_match, points)) for points in found]

    def _sift(
        self,
        vectors: NDArray[np.float32],
        limit: int,
        where: Filter,
        without: Collection[str],
        using: VectorName,
        plan: Plan,
    ) -> list[list[Match]]:
        """Return what meets a filter of the nearest without one; fewer than wanted if too few do.

        Where it is as many as wanted, those are the nearest that meet it: all others are farther.
        """
        anything = replace(plan, condition=None)
        requests = [self._request(v, plan.sifted, using, None, 0.0, anything) for v in vectors]
        return [
            [
                match
                for match in row
                if match.record.id not in without
                and all(condition.matches(match.record.payload) for condition in where)
            ][:limit]
            for row in self._query(requests)
        ]

    def _plan(
        self, limit: int, where: Filter, without: Collection[str] = (), *, exact: bool
    ) -> Plan:
        condition = translate(where, without)
        if exact or not self.approximate():
            return Plan(condition, None)
        if not where:
            return Plan(condition, self._ef)
        request = edge.CountRequest(exact=False, filter=condition)
        kept = self._guard(lambda: self._shard.count(request))
        if 2 * self._dimensions[self._first] * kept <= 1024 * self._compared_kib:
            return Plan(condition, self._ef)
        share = kept / self._shard.info().points_count
        return Plan.of_share(condition, share, self._ef, limit)

    def _request(
        self,
        vector: NDArray[np.float32],
        limit: int,
        using: VectorName,
        among: Candidates | None,
        spread: float,
        plan: Plan,
    ) -> edge.QueryRequest:
        count = max(1, self._shard.info().points_count)
        limit = max(1, min(limit, count))
        numbers = cast("Any", vector)  # an array is taken as it is, though typed as a list
        query: edge.ScoringQueryType = (
            edge.Mmr(numbers, 1.0 - spread, candidates_limit=10 * limit, using=using)
            if spread > 0
            else edge.Query.Nearest(numbers, using=using)
        )
        prefetches = []
        if among is not None:
            wanted = min(max(among.count, 10 * limit if spread > 0 else limit), count)
            nearest = edge.Query.Nearest(cast("Any", among.vector), using="compact")
            params = plan.params(wanted)
            prefetches = [edge.Prefetch(wanted, nearest, filter=plan.condition, params=params)]
        return edge.QueryRequest(
            query=query,
            prefetches=prefetches,
            limit=limit,
            filter=plan.condition,
            with_payload=True,
            params=plan.params(limit),
        )

    def count(self, where: Filter = ()) -> int:
        """Count the points that match."""
        request = edge.CountRequest(exact=True, filter=translate(where))
        return self._guard(lambda: self._shard.count(request))

    def has_field(self, name: str) -> bool:
        """Tell whether filters may name this field."""
        info = self._shard.info().payload_schema.get(name)
        # Counted with an index are only the values of its type.
        return (
            info is not None
            and not name.startswith("_")
            and bool(info.points or self._count_having(name))
        )

    def fields(self) -> dict[str, int]:
        """Return the fields that filters may name, with the number of points having each."""
        names = sorted(n for n in self._shard.info().payload_schema if not n.startswith("_"))
        counts = {name: self._count_having(name) for name in names}
        return {name: count for name, count in counts.items() if count}

    def _count_having(self, field: str) -> int:
        """Count the points that have a field, with values of any type."""
        having = edge.Filter(must_not=[edge.IsEmptyCondition(field)])
        return self._guard(lambda: self._shard.count(edge.CountRequest(filter=having)))

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
            return int(json.loads((self._folder / _EFFORT).read_text())["ef"])
        except (OSError, ValueError, LookupError, TypeError):
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

    def _vectors_of(self, record: Record) -> dict[str, Any]:
        stored = {"full": record.vector, "compact": record.compact}
        return {name: stored[name] for name in self._dimensions if stored[name] is not None}

    def _index_fields(self, records: Sequence[Record]) -> None:
        """Index each field the first time it is seen, by the type of its first value."""
        for record in records:
            for name in record.payload.keys() - self._indexed - NOT_INDEXED:
                kind = index_of(record.payload[name])
                self._update(edge.UpdateOperation.create_field_index(name, kind))
                self._indexed.add(name)

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
        except Exception as error:
            raise StoreError(f"the store {self._folder} failed: {error}") from error
