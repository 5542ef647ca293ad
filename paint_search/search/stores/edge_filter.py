"""Filters as Qdrant Edge takes them; they mean what ``Condition.matches`` says."""

from __future__ import annotations  # the engine's stubs name types that it does not have

from collections.abc import Collection

import qdrant_edge as edge

from paint_search.painting import Value
from paint_search.search.filters import Condition, Filter, as_number


def translate(where: Filter, without: Collection[str] = ()) -> edge.Filter | None:
    """Return a filter as flat as can be: each one inside another halves the speed of a search."""
    must: list[edge.ConditionType] = []
    should: list[edge.ConditionType] = []
    must_not: list[edge.ConditionType] = []
    for condition in where:
        options = _options(condition)
        if condition.negated:  # none of its values
            must_not += options
        elif len(options) == 1:
            must += options
        elif should:
            must.append(edge.Filter(should=options))
        else:
            should = options
    if without:
        must_not.append(edge.HasIdCondition(set(without)))
    if not must and not should and not must_not:
        return None
    return edge.Filter(must=must or None, should=should or None, must_not=must_not or None)


def _options(condition: Condition) -> list[edge.ConditionType]:
    """Return what a point must meet one of."""
    if not condition.values:
        bounds = edge.RangeFloat(gte=condition.low, lte=condition.high)
        return [edge.FieldCondition(condition.field, range=bounds)]
    return [option for value in condition.values for option in _equals(condition.field, value)]


def _equals(field: str, value: Value) -> list[edge.ConditionType]:
    """A number equals its text, whichever of the two the payload holds."""
    options: list[edge.ConditionType] = [
        edge.FieldCondition(field, match=edge.MatchValue(str(value)))
    ]
    number = as_number(value)
    if number is not None:
        bounds = edge.RangeFloat(gte=number, lte=number)
        options.append(edge.FieldCondition(field, range=bounds))
    return options
