"""A store of FAISS and SQLite in a folder of the index: for those who want a FAISS file.

SQLite holds the ids, payloads and float16 vectors and is the truth; the FAISS index over the
vectors that are searched first is derived from it. Knows nothing of paintings.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from paint_search.errors import StoreError
from paint_search.painting import Record
from paint_search.search.filters import Filter
from paint_search.search.stores import faiss_plans
from paint_search.search.stores.base import Candidates, Match, VectorName
from paint_search.search.stores.faiss_building import Builder
from paint_search.search.stores.faiss_index import DerivedIndex
from paint_search.search.stores.faiss_plans import Wanted
from paint_search.search.stores.faiss_points import Points
from paint_search.search.stores.faiss_scan import (
    Filters,
    Floats,
    Found,
    Labels,
    rank,
    scan,
    spread_out,
)

if TYPE_CHECKING:
    import faiss

__all__ = ["FaissStore", "Wanted"]

#: The spread chooses among this many times as many as are wanted, as in the Edge store.
_SPREAD_AMONG: Final = 10

_ANYTHING: Final = Wanted()


class FaissStore:
    """A FAISS index and its points in ``folder``; made there where none exists.

    Whoever opens one holds the lock of the index: a store has one user at a time.

    Args:
        folder: the store's own.
        dimensions: of each kind of vectors that it keeps. Compact ones are searched first where
            there are any, and full ones are then compared one by one.
        wanted: what the approximate index must be like.

    Raises:
        StoreError: it is damaged, or its folder cannot be written.
        UsageError: FAISS knows no such index as is wanted.
    """

    def __init__(
        self, folder: Path, dimensions: Mapping[VectorName, int], wanted: Wanted = _ANYTHING
    ) -> None:
        self._folder = folder
        self._dimensions = dimensions
        first: VectorName = "compact" if "compact" in dimensions else "full"
        if wanted.factory is not None and dimensions:
            faiss_plans.make(wanted.factory, dimensions[first])
        try:
            folder.mkdir(exist_ok=True)
        except OSError as error:
            raise StoreError(f"the store {folder} cannot be made: {error.strerror}") from error
        self._points = Points(folder, dimensions)
        self._filters = Filters(self._points)
        self._first = first
        self._index: DerivedIndex | None = None
        if dimensions:
            builder = Builder(self._points, first, dimensions[first], wanted)
            self._index = DerivedIndex(folder, builder, self._filters)

    def upsert(self, records: Sequence[Record]) -> None:
        """Write points with the vectors they have; a point of the same id is replaced."""
        self._points.upsert({record.id: self._checked(record) for record in records})

    def set_payloads(self, records: Sequence[Record]) -> None:
        """Replace the payloads of existing points and leave their vectors alone."""
        self._points.set_payloads(records)

    def delete(self, ids: Sequence[str]) -> None:
        """Delete points; unknown ids are passed over."""
        self._points.delete(ids)

    def get(self, ids: Sequence[str], *, vectors: bool = False) -> dict[str, Record]:
        """Return the points that exist among ``ids``, by id."""
        return self._points.get(ids, vectors=vectors)

    def scroll(self, where: Filter = (), *, vectors: bool = False) -> Iterator[Record]:
        """Yield all points that match, in the order of their ids, one page in memory at a time."""
        return self._points.scroll(where, vectors=vectors)

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
        limit = max(1, limit)
        firsts = None if among is None else [among]
        found = self._found(vector[np.newaxis], limit, where, using, firsts, without, spread, exact)
        return self._matched(found)[0]

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
        found = self._found(vectors, max(1, limit), where, using, among, (), 0.0, exact)
        return self._matched(found)

    def _found(
        self,
        vectors: NDArray[np.float32],
        limit: int,
        where: Filter,
        using: VectorName,
        among: Sequence[Candidates] | None,
        without: Collection[str],
        spread: float,
        exact: bool,
    ) -> list[Found]:
        if not self._dimensions:
            return [Found.none() for _ in vectors]
        queries = self._queries(vectors, using)
        ignored = self._labels(without, using if among is None else "compact")
        count = _SPREAD_AMONG * limit if spread > 0 else limit
        if among is None:
            found = self._nearest(queries, count, where, ignored, using=using, exact=exact)
        else:
            firsts = self._queries([first.vector for first in among], "compact")
            wide = max([count, *(first.count for first in among)])
            near = self._nearest(firsts, wide, where, ignored, using="compact", exact=exact)
            found = [
                rank(self._points, using, query, each.labels[: max(first.count, count)], count)
                for query, each, first in zip(queries, near, among, strict=True)
            ]
        if spread > 0:
            return [self._spread_out(each, limit, spread, using) for each in found]
        return found

    def _matched(self, found: Sequence[Found]) -> list[list[Match]]:
        """Return the points of what was found, read all at once."""
        records = self._points.at({int(label) for each in found for label in each.labels})
        return [
            [
                Match(records[label], score)
                for label, score in zip(each.labels.tolist(), each.scores.tolist(), strict=True)
            ]
            for each in found
        ]

    def count(self, where: Filter = ()) -> int:
        """Count the points that match."""
        return self._points.count(where)

    def has_field(self, name: str) -> bool:
        """Tell whether filters may name this field."""
        return name in self._points.fields()

    def fields(self) -> dict[str, int]:
        """Return the fields that filters may name, with the number of points having each."""
        return self._points.fields()

    def flush(self) -> None:
        """Make everything written so far durable."""
        self._points.flush()

    def optimize(self) -> None:
        """Choose, build and tune the FAISS index anew where the collection has changed enough."""
        if self._index is not None:
            self._index.optimize()
        self._points.flush()

    def approximate(self) -> bool:
        """Tell whether searches go through an index that may miss a neighbour."""
        return self._index is not None and self._index.approximate()

    def describe(self) -> str:
        """Say in words how it is searched, with the recall that was measured."""
        return "no vectors" if self._index is None else self._index.describe()

    def raw(self) -> "tuple[faiss.Index, dict[int, str]]":
        """Return the FAISS index, brought up to date, and the id of the point of each label.

        Raises:
            StoreError: there are no vectors.
        """
        labels = {} if self._index is None else self._points.labels(self._first)
        if self._index is None or not labels:
            raise StoreError(f"the store {self._folder} has no vectors to make a FAISS index of")
        return self._index.raw(), labels

    def close(self) -> None:
        """Make everything durable and let go of the storage."""
        self._index = None
        self._points.close()

    def _nearest(
        self,
        queries: Floats,
        k: int,
        where: Filter,
        without: Labels,
        *,
        using: VectorName,
        exact: bool,
    ) -> list[Found]:
        index = self._index
        if using == self._first and index is not None:
            return index.nearest(queries, k, where, without, exact=exact)
        keeps = partial(self._filters.kept, where=where) if where else None
        more = k + len(without)
        found = scan(self._points, using, queries, more, keeps=keeps)
        return [each.without(without, k) for each in found]

    def _spread_out(self, found: Found, limit: int, spread: float, using: VectorName) -> Found:
        labels, vectors = self._points.vectors(using, found.labels)
        return spread_out(found, vectors[np.searchsorted(labels, found.labels)], limit, spread)

    def _labels(self, ids: Collection[str], name: VectorName) -> Labels:
        labels = self._points.labels(name, ids) if ids else ()
        return np.fromiter(labels, dtype=np.int64)

    def _queries(self, vectors: Iterable[NDArray[np.float32]], name: VectorName) -> Floats:
        """Return queries, (n, d), of unit norms."""
        if name not in self._dimensions:
            raise StoreError(f"the store {self._folder} keeps no {name} vectors")
        queries = [_unit(self._of_length(vector, name)) for vector in vectors]
        return np.array(queries, dtype=np.float32).reshape(-1, self._dimensions[name])

    def _checked(self, record: Record) -> Record:
        """Return a record with the vectors that are kept, of unit norm."""
        full = self._stored(record.vector, "full")
        return Record(record.id, record.payload, full, self._stored(record.compact, "compact"))

    def _stored(self, vector: NDArray[np.float32] | None, name: VectorName) -> Floats | None:
        if vector is None or name not in self._dimensions:
            return None
        return _unit(self._of_length(vector, name))

    def _of_length(self, vector: NDArray[np.float32], name: VectorName) -> Floats:
        if np.shape(vector) != (self._dimensions[name],) or not np.isfinite(vector).all():
            raise StoreError(
                f"the store {self._folder} keeps {name} vectors of {self._dimensions[name]} finite "
                f"numbers; one of shape {np.shape(vector)} is not one of them"
            )
        return np.asarray(vector, dtype=np.float32)


def _unit(vector: Floats) -> Floats:
    norm = float(np.linalg.norm(vector))
    return vector / norm if norm > 0 else vector
