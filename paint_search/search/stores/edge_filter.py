"""Filters as Qdrant Edge takes them; they mean what ``Condition.matches`` says."""

from __future__ import annotations  # the engine's stubs name types that it does not have

from collections.abc import Collection

import qdrant_edge as edge

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
    """Return what a point must meet one of; a number equals its text, whichever a point has."""
    field = condition.field
    if not condition.values:
        bounds = edge.RangeFloat(gte=condition.low, lte=condition.high)
        return [edge.FieldCondition(field, range=bounds)]
    texts = [str(value) for value in condition.values]
    # One condition for all: of eighty, each of its own, a search takes ten times as long.
    match = edge.MatchAny(texts) if len(texts) > 1 else edge.MatchValue(texts[0])
    numbers = [number for value in condition.values if (number := as_number(value)) is not None]
    return [
        edge.FieldCondition(field, match=match),
        *(edge.FieldCondition(field, range=edge.RangeFloat(gte=n, lte=n)) for n in numbers),
    ]
