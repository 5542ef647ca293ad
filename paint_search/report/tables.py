"""What results say of themselves: lines, remarks and tables, for a terminal or a page.

Nothing here measures or prints; columns whose name starts with ``>`` are right-aligned.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Integral, Real
from typing import NamedTuple


class Remark(str):
    """A line that helps to read a result and is no part of it."""

    __slots__ = ()


class Table(NamedTuple):
    """A table for people; `cell` says how a value is written."""

    columns: Sequence[str]
    rows: Sequence[Sequence[object]]


Part = str | Table
"""A line, a remark or a table."""


def plural(field: str, count: int = 2) -> str:
    """Return the name of a field as a noun for so many of its values."""
    noun = "painting" if field == "path" else field
    if count == 1 or noun[-1:] == "s":
        return noun
    return f"{noun[:-1]}ies" if noun[-1:] == "y" else f"{noun}s"


def interval(low: float, high: float) -> str:
    """Write an interval, or nothing where there is none."""
    return "" if math.isnan(low) else f"{low:.3f} to {high:.3f}"


def cell(value: object) -> str:
    """Write what stands in a table: counts, figures, (low, high); nothing for None and NaN."""
    if isinstance(value, tuple):
        return interval(*value)
    if isinstance(value, Integral):
        return f"{value:,}"
    if isinstance(value, Real):
        return "" if math.isnan(value) else f"{value:.3f}"
    return "" if value is None else str(value)
