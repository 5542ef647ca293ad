"""Points and filters, to and from what Qdrant's client understands.

The translation means what ``Condition.matches`` says.
"""

from collections.abc import Collection
from typing import Any, Final

import numpy as np
from qdrant_client import models

from paint_search.painting import Record, Value
from paint_search.search.filters import Condition, Filter, as_number

#: Fields of which nearly every point has a value of its own: their indexes stay on disk, where a
#: query by them is quick enough, since they would fill the memory.
_UNIQUE: Final = frozenset({"path", "title", "_hash"})


def index_of(name: str, value: Value) -> models.KeywordIndexParams | models.FloatIndexParams:
    """Return the kind of index for a field; one of integers would hide its other numbers."""
    if not isinstance(value, str):
        return models.FloatIndexParams(type=models.FloatIndexType.FLOAT, on_disk=True)
    keyword = models.KeywordIndexType.KEYWORD
    return models.KeywordIndexParams(type=keyword, on_disk=name in _UNIQUE)


def as_record(point: Any) -> Record:
    """Return a point that the server has sent, with the vectors that came with it."""
    vectors = point.vector if isinstance(point.vector, dict) else {}
    full, compact = (
        np.asarray(vectors[name], dtype=np.float32) if name in vectors else None
        for name in ("full", "compact")
    )
    return Record(id=str(point.id), payload=point.payload or {}, vector=full, compact=compact)


def translate(where: Filter, without: Collection[str] = ()) -> models.Filter | None:
    """Return the filter that these conditions are, without these ids; None if there is none."""
    must: list[models.Condition] = [_any_of(c) for c in where if not c.negated]
    must_not: list[models.Condition] = [_any_of(c) for c in where if c.negated]
    if without:
        must_not.append(models.HasIdCondition(has_id=list(without)))
    if not (must or must_not):
        return None
    return models.Filter(must=must or None, must_not=must_not or None)


def _any_of(condition: Condition) -> models.Filter:
    if not condition.values:
        bounds = models.Range(gte=condition.low, lte=condition.high)
        return models.Filter(should=[models.FieldCondition(key=condition.field, range=bounds)])
    # One condition for all texts: of eighty, each of its own, a search takes ten times as long.
    texts = models.MatchAny(any=[str(value) for value in condition.values])
    options: list[models.Condition] = [models.FieldCondition(key=condition.field, match=texts)]
    for value in condition.values:
        number = as_number(value)
        if number is not None:
            bounds = models.Range(gte=number, lte=number)
            options.append(models.FieldCondition(key=condition.field, range=bounds))
    return models.Filter(should=options)
