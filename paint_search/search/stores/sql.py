"""A filter in the words of SQLite: what points, whose payloads are JSON, meet it.

It means what ``Condition.matches`` says. Payloads, written by ``to_json``, are a column
of the table ``points``; an index on ``value_of(field)`` makes conditions on that field quick.
"""

import json
import re
import sys
from typing import Any, Final

from paint_search.search.filters import SPANS, Filter, as_number

#: A list as one parameter: as many values as one likes, and one text to compile.
LISTED: Final = "(SELECT value FROM json_each(?))"


def to_json(value: Any) -> str:
    """Return JSON without escaped quotes, which no path into a payload could name."""
    return re.sub(r"\\.", lambda found: found[0].replace('"', "u0022"), json.dumps(value))


def value_of(name: str) -> str:
    """Return a field of a payload in SQL, in the very words of its index."""
    return "json_extract(payload, '$.{}')".format(to_json(name).replace("'", "''"))


def meeting(where: Filter) -> tuple[Any, ...]:
    """Return what is true of a point that meets all conditions, in SQL, and its parameters."""
    parts, parameters = ["TRUE"], list[Any]()
    for condition in where:
        part = f"{value_of(condition.field)} IN {LISTED}"
        low, high, most = condition.low, condition.high, sys.float_info.max
        if condition.values:  # read by SQLite as payloads are; a number equals its text
            numbers = [
                n for v in condition.values for n in (as_number(v), v) if isinstance(n, float | int)
            ]
            parameters.append(json.dumps([*map(str, condition.values), *numbers]))
        else:  # all text is above all numbers
            part = f"{value_of(condition.field)} BETWEEN ? AND ?"
            parameters += [-most if low is None else low, most if high is None else high]
        for first, last in condition.spans:
            begins, ends = map(value_of, SPANS[condition.field])
            part += f" OR {begins} BETWEEN ? AND ? AND {ends} BETWEEN ? AND ?"
            parameters += [-most, most if last is None else last]
            parameters += [-most if first is None else first, most]
        part = f"({part})"
        if condition.negated:  # which a point without the field meets
            part = f"label NOT IN (SELECT label FROM points WHERE {part})"
        parts.append(part)
    return " AND ".join(parts), *parameters
