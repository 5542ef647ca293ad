"""Payloads as rows that SQL can look up, and filters as queries over them.

A filter means what ``Condition.matches`` says. Parameters only: no value ever becomes SQL.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from paint_search.painting import Value
from paint_search.search.filters import Condition, Filter, as_number

#: Bookkeeping that nothing ever searches by.
_NOT_INDEXED: Final = frozenset({"_size", "_mtime_ns", "_look", "_run"})

#: A list as one parameter: as many values as one likes, and one text to compile.
LISTED: Final = "(SELECT value FROM json_each(?))"


def words_of(payload: Mapping[str, Value]) -> Iterator[tuple[str, tuple[str, float | None]]]:
    """Yield each field that is searched by, its key, and its number where it is no text.

    Names and keys are ASCII: a name of a file need not be text that SQLite can hold.
    """
    for field, value in payload.items():
        if field not in _NOT_INDEXED:
            number = None if isinstance(value, str) else as_number(value)
            key = json.dumps(str(value)) if number is None else _key(number)
            yield json.dumps(field), (key, number)


def _key(number: float) -> str:
    """Return a text that is the same for equal numbers: 0 equals -0."""
    return repr(number + 0.0)


def _keys(value: Value) -> set[str]:
    """Return the keys of what equals a value: its text, and the number that it is or spells."""
    number = as_number(value)
    return {json.dumps(str(value))} | (set() if number is None else {_key(number)})


def holding(condition: Condition) -> tuple[str, list[Any]]:
    """Return a query for the labels whose field has such a value, and its parameters."""
    field = "field = (SELECT number FROM fields WHERE name = ?)"
    values: list[Any] = [json.dumps(condition.field)]
    if condition.values:
        keys = set[str]().union(*map(_keys, condition.values))
        query = f"SELECT label FROM words WHERE {field} AND key IN {LISTED}"  # noqa: S608
        return query, [*values, json.dumps(sorted(keys))]
    query = f"SELECT label FROM numbers WHERE {field}"  # noqa: S608
    for sign, bound in ((">=", condition.low), ("<=", condition.high)):
        if bound is not None:
            query += f" AND number {sign} ?"
            values.append(float(bound))
    return query, values


def meeting(where: Filter) -> tuple[str, list[Any]]:
    """Return what is true of ``p.label`` where a point meets all conditions, and its parameters."""
    parts, values = ["TRUE"], []
    for condition in where:
        query, given = holding(condition)
        parts.append(f"p.label {'NOT IN' if condition.negated else 'IN'} ({query})")
        values += given
    return " AND ".join(parts), values
