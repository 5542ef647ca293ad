"""What Qdrant's engine is told in the same words, embedded in this process or on a server.

Filters become its conditions and mean what ``Condition.matches`` says; points become records; each
field of a payload gets an index. The classes of the two packages are alike but not the same.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from paint_search.errors import StoreError
from paint_search.painting import Record, Value
from paint_search.search.filters import SPANS, Condition, Filter, as_number
from paint_search.search.stores.base import NOT_INDEXED, Match, VectorName, checked

PAGE: Final = 512


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one package names the conditions of a filter."""

    filter: Callable[..., Any]
    field: Callable[..., Any]
    match_any: Callable[..., Any]
    range: Callable[..., Any]
    has_id: Callable[[list[str]], Any]
    is_empty: Callable[[str], Any]

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
    """What the stores of both kinds do alike with fields and vectors."""

    dialect: Dialect
    _dimensions: Mapping[VectorName, int]
    _indexed: set[str]

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
    def _page(self, condition: Any, offset: Any, vectors: bool) -> tuple[Sequence[Any], Any]:
        """Return a page of points by their ids, and where the next begins; None for the end."""

    def scroll(self, where: Filter = (), *, vectors: bool = False) -> Iterator[Record]:
        """Yield all points that match, in the order of their ids, one page in memory at a time."""
        condition, offset = self._translate(where), None
        while True:
            page, offset = self._page(condition, offset, vectors)
            yield from map(as_record, page)
            if offset is None:
                return

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
