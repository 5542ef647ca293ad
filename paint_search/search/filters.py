"""The filter language: which paintings a query, a list or an export speaks of.

A filter is a list of conditions that must all hold: a field equals one of several values, lies in
a range, has words in its text, or must not. Each store translates it; ``matches`` is the meaning
that all of them keep.
"""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from paint_search.errors import UsageError
from paint_search.painting import Value, composed
from paint_search.search.names import has_words

#: What the Python client takes: a value, several (any of them), or a (low, high) range with None
#: for an open end.
FilterValue = Value | Sequence[Value] | tuple[float | None, float | None]


#: Fields that may hold a text of several numbers, and those that hold the least and the greatest.
SPANS: Final[Mapping[str, tuple[str, str]]] = {"year": ("year_from", "year_to")}


@dataclass(frozen=True, slots=True)
class Condition:
    """``field`` equals any of ``values``, or lies in [low, high] where ``values`` is empty.

    A number equals its text ("1889" and 1889 are the same), text compares exactly, and a painting
    without the field meets no condition but a negated one. A range, or a number, of years is also
    met by a work whose years have any in common with it.

    With ``words`` the text has all of those instead, whatever their case and accents; it is turned
    into the values that do before a store is asked.
    """

    field: str
    values: tuple[Value, ...] = ()
    low: float | None = None
    high: float | None = None
    negated: bool = False
    words: str | None = None

    def matches(self, labels: Mapping[str, Value]) -> bool:
        """Tell whether a painting with these labels meets the condition."""
        holds = self.field in labels and self._holds(labels[self.field])
        return (holds or self._meets(labels)) != self.negated

    @property
    def spans(self) -> list[tuple[float | None, float | None]]:
        """The ranges that a span of years must meet one of; none for other fields."""
        if self.field not in SPANS or self.words is not None:
            return []
        numbers = (as_number(value) for value in self.values)
        points = [(number, number) for number in numbers if number is not None]
        return [*points] if self.values else [(self.low, self.high)]

    def _meets(self, labels: Mapping[str, Value]) -> bool:
        ends = [labels.get(name) for name in SPANS.get(self.field, ())]
        if not ends or any(end is None or isinstance(end, str) for end in ends):
            return False
        first, last = (as_number(end) for end in ends if end is not None)
        return any(
            (high is None or (first is not None and first <= high))
            and (low is None or (last is not None and last >= low))
            for low, high in self.spans
        )

    def _holds(self, value: Value) -> bool:
        if self.words is not None:
            return isinstance(value, str) and has_words(value, self.words)
        number = as_number(value)
        if self.values:
            return any(
                str(value) == str(wanted)
                # The text "2.0" is not the number 2: no store can look up every spelling of it.
                or (
                    not isinstance(value, str)
                    and number is not None
                    and number == as_number(wanted)
                )
                for wanted in self.values
            )
        if isinstance(value, str) or number is None:
            return False
        above = self.low is None or number >= self.low
        return above and (self.high is None or number <= self.high)


Filter = Sequence[Condition]


def as_number(value: Value) -> float | None:
    """Return the number that a value is or spells, or None; never NaN or infinity."""
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def parse_filter(where: Iterable[str], exclude: Iterable[str] = ()) -> list[Condition]:
    """Read ``field=value``, ``field=low..high`` and ``field~=words`` as typed on a command line.

    The same field given twice in ``where`` means either value.

    Raises:
        UsageError: an expression has no ``=``, no field or no value.
    """
    wanted: dict[str, tuple[Value, ...]] = {}
    ranges = []
    for condition in map(_read, where):
        if condition.values:
            wanted[condition.field] = wanted.get(condition.field, ()) + condition.values
        else:
            ranges.append(condition)
    either = [Condition(name, values) for name, values in wanted.items()]
    return ranges + either + [replace(_read(text), negated=True) for text in exclude]


def write_filter(conditions: Filter) -> tuple[list[str], list[str]]:
    """Write conditions as ``parse_filter`` reads them: those to meet, and those not to.

    Raises:
        UsageError: there is no way to write one of them so.
    """
    written: tuple[list[str], list[str]] = [], []
    for condition in conditions:
        name = condition.field
        if condition.words is not None:
            texts = [f"{name}~={condition.words}"]
        elif condition.values:
            texts = [f"{name}={value}" for value in condition.values]
        else:
            ends = ("" if end is None else f"{end!r}" for end in (condition.low, condition.high))
            texts = [f"{name}={'..'.join(ends)}"]
        where, exclude = ([], texts) if condition.negated else (texts, [])
        read = parse_filter(where, exclude)
        values = [str(value) for one in read for value in one.values]
        alike = replace(condition, values=()) == replace(read[0], values=())
        if not alike or values != [str(value) for value in condition.values]:
            raise UsageError(f"the condition on {name!r} cannot be asked of a server")
        written[0].extend(where)
        written[1].extend(exclude)
    return written


def _read(text: str) -> Condition:
    name, equals, value = (composed(part).strip() for part in text.partition("="))
    if not (name.rstrip("~ ") and equals and value):
        raise UsageError(
            f"cannot read the filter {text!r}: write field=value, field=low..high or field~=words, "
            'as in artist="Claude Monet", year=1880..1900 or title~=bacchus'
        )
    if name.endswith("~"):
        return _condition(name.lower(), value)
    ends = [end.strip() for end in value.partition("..")[::2]]
    if ".." in value and any(ends) and all(as_number(end) is not None for end in ends if end):
        low, high = map(as_number, ends)
        return Condition(name.lower(), low=low, high=high)
    return Condition(name.lower(), (_plain(value),))


def build_filter(
    where: Mapping[str, FilterValue] | None, exclude: Mapping[str, FilterValue] | None = None
) -> list[Condition]:
    """Read the mappings that the Python client takes.

    A tuple of two numbers (or None) is a range, any other sequence means any of its values. A name
    with ``~`` behind it asks for words: ``{"title~": "bacchus"}``. NumPy's scalars and arrays count
    as Python's.
    """
    return [
        _condition(composed(name), value, negated)
        for mapping, negated in ((where, False), (exclude, True))
        for name, value in (mapping or {}).items()
    ]


def _condition(name: str, value: FilterValue, negated: bool = False) -> Condition:
    if name.endswith("~"):
        if not isinstance(value, str) or not re.search(r"\w", value):
            raise UsageError(f"the filter on {name!r} names no words")
        return Condition(name[:-1].strip(), negated=negated, words=composed(value))
    if isinstance(value, np.generic | np.ndarray):
        value = value.tolist()
    if isinstance(value, str | int | float):
        return Condition(name, values=(_plain(value),), negated=negated)
    if isinstance(value, tuple) and len(value) == 2 and not any(isinstance(v, str) for v in value):
        low, high = (None if bound is None else float(bound) for bound in value)
        return Condition(name, low=low, high=high, negated=negated)
    plain = (item.item() if isinstance(item, np.generic) else item for item in value)
    values = tuple(_plain(item) for item in plain if item is not None)
    if not values:
        raise UsageError(f"the filter on {name!r} names no value")
    return Condition(name, values=values, negated=negated)


def _plain(value: Value) -> Value:
    if not isinstance(value, str):
        return value
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise UsageError(f"the filter's value {value!r} is not valid text; labels are") from error
    return composed(value)
