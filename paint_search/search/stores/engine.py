"""What Qdrant's engine is told in the same words, embedded in this process or on a server.

Filters become its conditions and mean what ``Condition.matches`` says; points become records; each
field of a payload gets an index; one plan says how the graph is built and walked. The classes of
the two packages are alike but not the same.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from paint_search.errors import StoreError
from paint_search.painting import Record, Value
from paint_search.search.filters import SPANS, Condition, Filter, as_number
from paint_search.search.stores.base import (
    NOT_INDEXED,
    Match,
    VectorName,
    VectorQuery,
    checked,
)

PAGE: Final = 512

#: Points, and where the next page begins.
_Page = tuple[Sequence[Any], Any]

#: Links of a point in the graph. Links of its own for each value of each field would double the
#: build, and were seen to miss nine of ten in a range.
_LINKS: Final = {"m": 16, "payload_m": 0}
_NO_LINKS: Final = {"m": 0, "payload_m": 0}

#: Where a filter keeps a smaller share than this, everything it keeps is compared: the graph comes
#: apart, and missed up to half of the neighbours.
_RARE: Final = 0.25

#: Where it keeps a larger one, so many times as many as will do on average are sifted first. Of
#: 1,000,000 x 320 vectors one thread takes: a filter that keeps 1 %, compared point by point,
#: 1.0 ms; one that keeps 10 %, likewise, 26 ms; 30 %, sifted, 1.4 ms; no filter, 0.7 ms.
_SIFTED: Final = 2
_MOST_SIFTED: Final = 256

#: For each point that is wanted, at least this many are compared by the vectors themselves.
_OVERSAMPLING: Final = 2.0


@dataclass(frozen=True, slots=True)
class Plan:
    """How the graph is built, and when it is walked: one for both engines.

    It is built and walked on codes of 4 bits a number, a quarter of the vectors' own bytes; what
    the walk keeps is ordered by the vectors themselves.

    Attributes:
        exact_bytes: above this many bytes of vectors it is built.
        compared_kib: what a filter keeps is compared vector by vector up to this many KiB; less
            than ``exact_bytes``, since the graph is not walked in a collection as small as that.
        efforts: how many candidates (``ef``) a walk may keep, rising; the least that finds enough
            is taken.
        effort: the one that is taken before any was tried.

    The thresholds are measured in benchmarks/README.md.
    """

    exact_bytes: int = 64 * 1024 * 1024
    compared_kib: int = 25_000
    efforts: Sequence[int] = (32, 48, 64, 96, 128, 192, 256, 384, 512)
    effort: int = 256

    def links(self, make: Callable[..., Any], *, graph: bool) -> Any:
        """Return how the graph of one kind of vectors is built, if it is to have one."""
        links = _LINKS if graph else _NO_LINKS
        return make(ef_construct=128, full_scan_threshold=self.compared_kib, **links)

    def optimizers(self, make: Callable[..., Any]) -> Any:
        """Return when it is built: one graph, over all that there is."""
        return make(default_segment_number=1, indexing_threshold=self.indexing_threshold)

    @property
    def indexing_threshold(self) -> int:
        """``exact_bytes`` as the engine takes them, in KiB."""
        return self.exact_bytes // 1024


@dataclass(frozen=True, slots=True)
class Route:
    """How searches with one filter go.

    Attributes:
        condition: the filter as the engine takes it; None for all.
        effort: ``ef``; None to compare with all that is kept.
        sifted: how many of the nearest of all to sift by the filter at first; 0 where that is of
            no use.
    """

    condition: Any | None
    effort: int | None = None
    sifted: int = 0


@dataclass(frozen=True, slots=True)
class Size:
    """How many points and vectors a collection has, and how many of these are in its graph."""

    points: int
    vectors: int
    indexed: int

    @classmethod
    def of(cls, info: Any, kinds: int) -> Self:
        """Read it from what the engine says of a collection with so many kinds of vectors."""
        points = info.points_count or 0
        vectors = points * max(1, kinds)
        # Points that were deleted are counted in the graph until it is built anew.
        return cls(points, vectors, min(vectors, info.indexed_vectors_count or 0))


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one package names the conditions of a filter and the parameters of a search."""

    filter: Callable[..., Any]
    field: Callable[..., Any]
    match_any: Callable[..., Any]
    range: Callable[..., Any]
    has_id: Callable[[list[str]], Any]
    is_empty: Callable[[str], Any]
    search: Callable[..., Any]
    quantization: Callable[..., Any]
    acorn: Callable[..., Any]

    def translate(self, where: Filter, without: Collection[str] = ()) -> Any | None:
        """Return a filter as flat as can be: each one inside another halves the speed."""
        must: list[Any] = []
        should: list[Any] = []
        must_not: list[Any] = []
        for condition in where:
            options = self._options(condition)
            if condition.negated:  # none of its values
                must_not += options
            elif len(options) == 1:
                must += options
            elif should:
                must.append(self.filter(should=options))
            else:
                should = options
        if without:
            must_not.append(self.has_id(list(without)))
        if not (must or should or must_not):
            return None
        return self.filter(must=must or None, should=should or None, must_not=must_not or None)

    def _options(self, condition: Condition) -> list[Any]:
        """Return what a point must meet one of; a number equals its text, whichever it has."""
        spans = [self._meeting(SPANS[condition.field], *span) for span in condition.spans]
        if not condition.values:
            return [self._within(condition.field, condition.low, condition.high), *spans]
        # One condition for all texts: of eighty, each of its own, a search takes ten times as long.
        texts = self.match_any(any=[str(value) for value in condition.values])
        numbers = (as_number(value) for value in condition.values)
        return [
            self.field(key=condition.field, match=texts),
            *(self._within(condition.field, n, n) for n in numbers if n is not None),
            *spans,
        ]

    def _meeting(self, ends: tuple[str, str], low: float | None, high: float | None) -> Any:
        first, last = self._within(ends[0], None, high), self._within(ends[1], low, None)
        return self.filter(must=[first, last])

    def _within(self, field: str, low: float | None, high: float | None) -> Any:
        return self.field(key=field, range=self.range(gte=low, lte=high))


class Engine(ABC):
    """What the stores of both kinds do alike with fields, vectors and searches."""

    dialect: Dialect
    _dimensions: Mapping[VectorName, int]
    _indexed: set[str]
    _plan: Plan
    _ef: int

    # What the engine allows of a search.
    _most_ef: float = math.inf
    _most_oversampling: float = math.inf
    _most_found: float = math.inf

    @abstractmethod
    def _size(self) -> Size:
        """Return how large the collection is, and how much of its graph is built."""

    @abstractmethod
    def _find(self, query: VectorQuery, route: Route) -> list[list[Match]]:
        """Return for each vector up to ``limit`` points by falling cosine, or spread."""

    @abstractmethod
    def _estimate(self, condition: Any) -> int:
        """Count about how many points meet a condition of the engine's own."""

    @abstractmethod
    def _schema(self) -> Mapping[str, Any]:
        """Return the fields that have an index, with how many points have one of its type."""

    @abstractmethod
    def _create_index(self, field: str, value: Value) -> None:
        """Index a field by the type of its first value.

        Numbers are all indexed as floats: an index of integers would hide the others.
        """

    @abstractmethod
    def _count(self, condition: Any) -> int:
        """Count the points that meet a condition of the engine's own."""

    @abstractmethod
    def _facet(self, field: str, most: int) -> Iterable[Any]:
        """Return the distinct values of a field that is indexed as text."""

    @abstractmethod
    def _page(self, condition: Any, offset: Any, limit: int, vectors: bool) -> _Page:
        """Return a page of points by their ids, and where the next begins; None for the end."""

    def _begin(self, read: Callable[[], _Page]) -> Callable[[], _Page]:
        """Return what gives a page; a store that has to wait for one begins to read it now."""
        return read

    def scroll(
        self, where: Filter = (), *, vectors: bool = False, limit: int | None = None
    ) -> Iterator[Record]:
        """Yield all points that match, in the order of their ids, two pages in memory at most."""
        condition, most = self._translate(where), math.inf if limit is None else limit

        def begin(offset: Any, left: float) -> Callable[[], _Page]:
            return self._begin(
                partial(self._page, condition, offset, int(min(PAGE, left)), vectors)
            )

        return _rest(begin, begin(None, most), most) if most else iter(())

    def search(self, query: VectorQuery) -> list[list[Match]]:
        """Return for each vector up to ``limit`` points by falling cosine, or spread."""
        route = self._route(query)
        found: list[list[Match]] = [[] for _ in query.vectors]
        if route.sifted and query.codes is None and not query.spread:
            found = self._sift(query, route)
        short = [row for row, matches in enumerate(found) if len(matches) < query.limit]
        if short:
            for row, matches in zip(short, self._find(query.of(short), route), strict=True):
                found[row] = matches
        return found

    def _sift(self, query: VectorQuery, route: Route) -> list[list[Match]]:
        """Return what meets a filter of the nearest without one; fewer than wanted if too few do.

        Where it is as many as wanted, those are the nearest that meet it: all others are farther.
        """
        anything = replace(route, condition=None)
        return [
            [
                match
                for match in matches
                if match.record.id not in query.without
                and all(condition.matches(match.record.payload) for condition in query.where)
            ][: query.limit]
            for matches in self._find(replace(query, limit=route.sifted), anything)
        ]

    def _route(self, query: VectorQuery) -> Route:
        condition, size = self._translate(query.where, query.without), self._size()
        if query.exact or not size.indexed:
            return Route(condition)
        if not query.where:
            return Route(condition, self._ef)
        kept = self._estimate(condition)
        if 2 * self._dimensions[self._first] * kept <= 1024 * self._plan.compared_kib:
            return Route(condition, self._ef)  # the engine compares so few by itself
        share = kept / max(1, size.points)
        if share < _RARE:
            return Route(condition)
        sifted = math.ceil(_SIFTED * query.limit / share)
        possible = sifted <= min(_MOST_SIFTED, self._most_found)
        return Route(condition, self._ef, sifted if possible else 0)

    def _params(self, route: Route, limit: int) -> Any:
        """Return how to search for ``limit`` points; a filter is walked by neighbours of others."""
        dialect = self.dialect
        if route.effort is None:
            return dialect.search(exact=True)
        oversampling = max(_OVERSAMPLING, route.effort / limit)
        return dialect.search(
            hnsw_ef=int(min(max(route.effort, limit), self._most_ef)),
            quantization=dialect.quantization(
                rescore=True, oversampling=min(oversampling, self._most_oversampling)
            ),
            acorn=dialect.acorn(enable=True, max_selectivity=1.0),
        )

    def _take_effort(self, effort: int) -> None:
        self._ef = effort

    @property
    def _first(self) -> VectorName:
        """The vectors that are searched; full ones beside compact ones only rescore the found."""
        return "compact" if "compact" in self._dimensions else "full"

    def approximate(self) -> bool:
        """Tell whether searches go through HNSW, wholly or in part."""
        return self._size().indexed > 0

    def describe(self) -> str:
        """Say in a few words how searches go, and how much of the graph there is."""
        size = self._size()
        if not size.indexed:
            return "exact: compared with every painting"
        built = 100 * size.indexed // size.vectors
        how = f"HNSW (m={_LINKS['m']}, ef={self._ef})"
        return how if built == 100 else f"{how}, {built} % built"

    def count(self, where: Filter = ()) -> int:
        """Count the points that match."""
        return self._count(self._translate(where))

    def has_field(self, name: str) -> bool:
        """Tell whether filters may name this field."""
        info = self._schema().get(name)
        if info is None or name.startswith("_"):
            return False
        # Counted with an index are only the values of its type.
        return bool(info.points or self._count_having(name))

    def fields(self) -> dict[str, int]:
        """Return the fields that filters may name, with the number of points having each."""
        names = sorted(name for name in self._schema() if not name.startswith("_"))
        counts = {name: self._count_having(name) for name in names}
        return {name: count for name, count in counts.items() if count}

    def texts(self, field: str) -> list[str]:
        """Return the distinct texts that points have in a field, in no order."""
        info = self._schema().get(field)
        if info is not None and "keyword" in str(info.data_type).lower():
            return [hit for hit in self._facet(field, info.points) if isinstance(hit, str)]
        # Where the first value was a number, texts have no index.
        values = {record.payload.get(field) for record in self.scroll()}
        return [value for value in values if isinstance(value, str)]

    def _translate(self, where: Filter, without: Collection[str] = ()) -> Any | None:
        """Return a filter in the engine's own words."""
        return self.dialect.translate(where, without)

    def _count_having(self, field: str) -> int:
        """Count the points that have a field, with values of any type."""
        return self._count(self.dialect.filter(must_not=[self.dialect.is_empty(field)]))

    def _index_fields(self, records: Sequence[Record]) -> None:
        """Index each field before its first value is written."""
        for record in records:
            for name in record.payload.keys() - self._indexed - NOT_INDEXED:
                self._create_index(name, record.payload[name])
                self._indexed.add(name)

    def _vectors_of(self, record: Record) -> dict[str, NDArray[np.float32]]:
        return {name: v for name, v in record.vectors.items() if name in self._dimensions}


def _rest(
    begin: Callable[[Any, float], Callable[[], _Page]], page: Callable[[], _Page], left: float
) -> Iterator[Record]:
    """Yield the points of a page that was begun, and of those after it."""
    while True:
        points, offset = page()
        left -= len(points)
        ends = offset is None or left <= 0
        if not ends:
            page = begin(offset, left)
        yield from map(as_record, points)
        if ends:
            return


def as_record(point: Any) -> Record:
    """Return a point with the vectors that came with it."""
    vectors = point.vector if isinstance(point.vector, dict) else {}
    full, compact = (
        np.asarray(vectors[name], dtype=np.float32) if name in vectors else None
        for name in ("full", "compact")
    )
    try:
        payload = checked(point.payload or {})
        if not all(v is None or np.isfinite(v).all() for v in (full, compact)):
            raise ValueError("its vector is not finite")
    except ValueError as error:
        raise StoreError(f"the point {point.id} of this index is damaged: {error}") from error
    return Record(id=str(point.id), payload=payload, vector=full, compact=compact)


def as_matches(points: Iterable[Any]) -> list[Match]:
    """Return what a query has found."""
    return [Match(as_record(point), float(point.score)) for point in points]
