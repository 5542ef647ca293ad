"""Points as Qdrant Edge takes and gives them, and how it indexes their fields."""

from typing import Any

import numpy as np
import qdrant_edge as edge

from paint_search.painting import Record, Value
from paint_search.search.stores.base import Match


def index_of(value: Value) -> edge.KeywordIndexParams | edge.FloatIndexParams:
    """Return the kind of index for a field; one of integers would hide its other numbers.

    Either is read from disk: in memory it answers no sooner and takes a million paintings a fifth
    of a second to open.
    """
    if isinstance(value, str):
        return edge.KeywordIndexParams(memory=edge.Memory.Cold)
    return edge.FloatIndexParams(memory=edge.Memory.Cold)


def as_match(point: Any) -> Match:
    """Return what a query has found."""
    return Match(as_record(point), float(point.score))


def as_record(point: Any) -> Record:
    """Return a point with the vectors that came with it."""
    vectors = {
        name: np.asarray(vector, dtype=np.float32) for name, vector in (point.vector or {}).items()
    }
    return Record(
        id=str(point.id),
        payload=point.payload or {},
        vector=vectors.get("full"),
        compact=vectors.get("compact"),
    )
