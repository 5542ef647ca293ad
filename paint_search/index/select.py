"""Which paintings of an index are meant: conditions of any form -> one checked filter.

A field that no painting has is an error, never an empty result.
"""

from collections.abc import Mapping
from difflib import get_close_matches

import numpy as np
from numpy.typing import NDArray

from paint_search.errors import UsageError
from paint_search.index.collection import Collection
from paint_search.search.filters import Condition, Filter, FilterValue, build_filter
from paint_search.search.stores.base import VectorName

#: Field -> value, values or range; or conditions as ``parse_filter`` reads them.
Where = Mapping[str, FilterValue] | Filter


def select(
    collection: Collection, where: Where | None, exclude: Mapping[str, FilterValue] | None = None
) -> list[Condition]:
    """Return the conditions as one filter."""
    conditions = all_conditions(where, exclude)
    for condition in conditions:
        check_field(collection, condition.field)
    return conditions


def all_conditions(
    where: Where | None, exclude: Mapping[str, FilterValue] | None
) -> list[Condition]:
    """Return the conditions as one filter, whose fields are not checked."""
    if where is None or isinstance(where, Mapping):
        return build_filter(where, exclude)
    return [*where, *build_filter(None, exclude)]


def read_vectors(
    collection: Collection, name: VectorName, where: Filter
) -> tuple[list[str], NDArray[np.float32]]:
    """Return ids and vectors of one kind, (n, d), of what matches, in the order of ids."""
    store = collection.store
    length = collection.manifest.dimensions[name]
    vectors = np.empty((store.count(where), length), dtype=np.float32)
    ids: list[str] = []
    for record in store.scroll(where, vectors=True):
        vectors[len(ids)] = record.vector if name == "full" else record.compact
        ids.append(record.id)
    return ids, vectors


def check_field(collection: Collection, name: str) -> None:
    """Raise UsageError if no painting has this field."""
    if not collection.store.has_field(name):
        fields = collection.store.fields()
        near = get_close_matches(name, fields, n=1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise UsageError(
            f"no painting has a field {name!r}; {hint}this index has: {', '.join(fields)}"
        )
