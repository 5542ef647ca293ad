"""The filter language: which paintings a query, a list or an export speaks of.

A filter is a list of conditions that must all hold: a field equals one of several values, lies in
a range, or must not. Each store translates it; ``matches`` is the meaning that all of them keep.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from paint_search.errors import UsageError
from paint_search.painting import Value

#: What the Python client takes: a value, several (any of them), or a (low, high) range with None
#: for an open end.
FilterValue = Value | Sequence[Value] | tuple[float | None, float | None]


@dataclass(frozen=True, slots=True)
class Condition:
    """``field`` equals any of ``values``, or lies in [low, high] where ``values`` is empty.

    A number equals its text ("1889" and 1889 are the same), text compares exactly, and a painting
    without the field meets no condition but a negated one.
    """

    field: str
    values: tuple[Value, ...] = ()
    low: float | None = None
    high: float | None = None
    negated: bool = False

    def matches(self, labels: Mapping[str, Value]) -> bool:
        """Tell whether a painting with these labels meets the condition."""
        return (self.field in labels and self._holds(labels[self.field])) != self.negated

    def _holds(self, value: Value) -> bool:
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
    """Read ``field=value`` and ``field=low..high`` as typed on a command line.

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


def _read(text: str) -> Condition:
    name, equals, value = (part.strip() for part in text.partition("="))
    if not (name and equals and value):
        raise UsageError(
            f"cannot read the filter {text!r}: write field=value or field=low..high, "
            'as in artist="Claude Monet" or year=1880..1900'
        )
    ends = [end.strip() for end in value.partition("..")[::2]]
    if ".." in value and any(ends) and all(as_number(end) is not None for end in ends if end):
        low, high = map(as_number, ends)
        return Condition(name.lower(), low=low, high=high)
    return Condition(name.lower(), (value,))


def build_filter(
    where: Mapping[str, FilterValue] | None, exclude: Mapping[str, FilterValue] | None = None
) -> list[Condition]:
    """Read the mappings that the Python client takes.

    A tuple of two numbers (or None) is a range, any other sequence means any of its values. NumPy's
    scalars and arrays count as Python's.
    """
    return [
        _condition(name, value, negated)
        for mapping, negated in ((where, False), (exclude, True))
        for name, value in (mapping or {}).items()
    ]


def _condition(name: str, value: FilterValue, negated: bool) -> Condition:
    if isinstance(value, np.generic | np.ndarray):
        value = value.tolist()
    if isinstance(value, str | int | float):
        return Condition(name, values=(value,), negated=negated)
    if isinstance(value, tuple) and len(value) == 2 and not any(isinstance(v, str) for v in value):
        low, high = (None if bound is None else float(bound) for bound in value)
        return Condition(name, low=low, high=high, negated=negated)
    plain = (item.item() if isinstance(item, np.generic) else item for item in value)
    values = tuple(item for item in plain if item is not None)
    if not values:
        raise UsageError(f"the filter on {name!r} names no value")
    return Condition(name, values=values, negated=negated)
