"""The paintings of an index in memory, by id and in the orders in which a page shows them.

A snapshot, made anew when the index changes. Measures nothing and reads no picture.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final, Literal

import numpy as np

from paint_search.painting import Painting, Value
from paint_search.search.filters import SPANS, as_number
from paint_search.search.names import fold

Order = Literal["id", "name", "year", "-year", "path", "random"]

#: Most works that are kept in memory, about 1 kB each; of more, the first are listed, and all are
#: searched.
MOST: Final = 200_000

#: A field of more values than this, and than half as many as there are works, is a text, and no
#: facet unless it is asked for.
_FEW: Final = 50

_BINS: Final = 40  # of years


@dataclass(frozen=True)
class Facet:
    """The values of one field among some works."""

    field: str
    values: list[tuple[Value, int]]  #: value and number of works, most works first
    distinct: int  #: how many values there are in all
    missing: int  #: works that lack the field


@dataclass(frozen=True)
class Years:
    """When some works were made, by the first year where that is a span."""

    low: int
    high: int
    counts: list[int]  #: of works in each of as many equal parts from `low` to `high`
    missing: int  #: works whose year is no number


@dataclass(frozen=True, eq=False)
class Catalogue:
    """The works of an index as it was at one time.

    Attributes:
        works: at most ``MOST`` paintings, in the order of their ids.
        total: how many the index holds.
    """

    works: Sequence[Painting]
    total: int
    _orders: dict[Order, np.ndarray] = field(default_factory=dict, repr=False)
    _codes: dict[str, tuple[list[Value], np.ndarray]] = field(default_factory=dict, repr=False)

    @cached_property
    def row(self) -> dict[str, int]:
        """Where each id is."""
        return {work.id: row for row, work in enumerate(self.works)}

    def find(self, id_: str) -> Painting | None:
        """Return the work with this id; None where it is not here."""
        row = self.row.get(id_)
        return None if row is None else self.works[row]

    def ordered(self, by: Order, seed: int = 0) -> np.ndarray:
        """Return all rows in an order; works that lack what they are ordered by come last."""
        if by == "random":  # not kept: there are as many as seeds
            return np.random.default_rng(seed).permutation(len(self.works))
        if by not in self._orders:
            rows = list(range(len(self.works)))
            if by != "id":
                rows.sort(key=lambda row: _KEYS[by](self.works[row]))
            self._orders[by] = np.array(rows, np.int64)
        return self._orders[by]

    def facet(self, name: str, rows: np.ndarray, limit: int) -> Facet:
        """Count the values of a field among some works."""
        values, codes = self._coded(name)
        counts = np.bincount(codes[rows], minlength=len(values) + 1).tolist()
        missing = counts.pop()
        given = [(value, count) for value, count in zip(values, counts, strict=True) if count]
        given.sort(key=lambda item: -item[1])
        return Facet(name, given[:limit], len(given), missing)

    def _coded(self, name: str) -> tuple[list[Value], np.ndarray]:
        """Return a field's values in order, and each work's place among them: the last for none."""
        if name not in self._codes:
            given = [work[name] for work in self.works]
            values = sorted({value for value in given if value is not None}, key=_by_text)
            place: dict[Value | None, int] = {value: code for code, value in enumerate(values)}
            codes = np.array([place.get(value, len(values)) for value in given], np.int64)
            self._codes[name] = values, codes
        return self._codes[name]

    @cached_property
    def few_valued(self) -> list[str]:
        """The fields of text that share values among works: artist, movement, ..."""
        seen: dict[str, Counter[Value]] = {}
        for work in self.works:
            for name, value in work.labels().items():
                seen.setdefault(name, Counter())[value] += 1
        spans = {end for name, ends in SPANS.items() for end in (name, *ends)}
        shared = [
            name
            for name, values in seen.items()
            if name not in spans
            and name != "title"
            and any(isinstance(value, str) for value in values)
            and (len(values) <= _FEW or 2 * len(values) <= values.total())
        ]
        return sorted(shared, key=lambda name: (name != "artist", name != "movement", name))

    @cached_property
    def _years(self) -> np.ndarray:
        years = [_year(work) for work in self.works]
        return np.array([np.nan if year is None else year for year in years])

    def years(self, rows: np.ndarray) -> Years | None:
        """Count works by their years; None where fewer than two years are known."""
        found = self._years[rows]
        known = found[~np.isnan(found)]
        if not len(known) or known.min() == known.max():
            return None
        counts, _ = np.histogram(known, bins=_BINS)
        low, high = int(np.floor(known.min())), int(np.ceil(known.max()))
        return Years(low, high, counts.tolist(), len(found) - len(known))

    def artists(self) -> list[tuple[str, int]]:
        """Return the artists with their numbers of works, by name."""
        counts = Counter(work.artist for work in self.works if work.artist)
        return sorted(counts.items(), key=lambda item: fold(item[0]))

    def among(self, ids: Iterable[str]) -> np.ndarray:
        """Return whether each work has one of these ids."""
        chosen = np.zeros(len(self.works), bool)
        chosen[[self.row[id_] for id_ in ids if id_ in self.row]] = True
        return chosen


def _by_text(value: Value) -> tuple[str, str]:
    return fold(str(value)), str(value)


def _year(work: Painting) -> float | None:
    for name in ("year_from", "year"):
        value = work[name]
        if value is not None and (number := as_number(value)) is not None:
            return number
    return None


def _by_name(work: Painting) -> tuple[object, ...]:
    artist, title = work.artist or "", work.title or ""
    return not artist, fold(artist), not title, fold(title), work.path


def _by_year(work: Painting, sign: int = 1) -> tuple[object, ...]:
    year = _year(work)
    return year is None, sign * (year or 0.0), _by_name(work)


_KEYS: Final[dict[str, Callable[[Painting], tuple[object, ...]]]] = {
    "name": _by_name,
    "year": _by_year,
    "-year": lambda work: _by_year(work, -1),
    "path": lambda work: (work.path,),
}
