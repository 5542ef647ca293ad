"""Which paintings of an index are meant: conditions of any form -> one checked filter.

A field that no painting has is an error, and so is a value: never an empty result. A value is taken
for the one that differs from it in case and accents alone, if that is one.
"""

import re
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from paint_search.errors import UnknownError
from paint_search.index.collection import Collection
from paint_search.painting import Record, Value
from paint_search.search.filters import Condition, Filter, FilterValue, build_filter
from paint_search.search.names import did_you_mean, fold, has_words
from paint_search.search.stores.base import Store, VectorName

#: Field -> value, values or range; or conditions as ``parse_filter`` reads them.
Where = Mapping[str, FilterValue] | Filter

_T = TypeVar("_T")


def select(
    collection: Collection, where: Where | None, exclude: Mapping[str, FilterValue] | None = None
) -> list[Condition]:
    """Return the conditions as one filter.

    Raises:
        UnknownError: a field that no painting has, or a value or words that none has in it.
    """
    conditions = all_conditions(where, exclude)
    for condition in conditions:
        check_field(collection, condition.field)
    return [_known(collection.store, condition) for condition in conditions]


def _known(store: Store, condition: Condition) -> Condition:
    """Return the condition with values that some painting has."""
    field = condition.field
    if condition.words is not None:
        texts = store.texts(field)
        values = tuple(text for text in texts if has_words(text, condition.words))
        if not values:
            words = {word for text in texts for word in re.findall(r"\w+", text)}
            raise UnknownError(
                f"no painting has the words {condition.words!r} in its {field}"
                + did_you_mean(condition.words, words)
            )
        return replace(condition, values=values, words=None)
    if condition.values:
        return replace(
            condition, values=tuple(_known_value(store, field, v) for v in condition.values)
        )
    if not store.count([Condition(field, low=-sys.float_info.max)]):
        raise UnknownError(
            f"no painting has a number in the field {field!r}, so that no range of it can be meant"
        )
    return condition


def _known_value(store: Store, field: str, value: Value) -> Value:
    if store.count([Condition(field, (value,))]):
        return value
    texts = store.texts(field)
    alike = [text for text in texts if fold(text) == fold(str(value))]
    if len(alike) != 1:
        hint = f"; did you mean {' or '.join(sorted(alike))}?" if alike else ""
        raise UnknownError(
            f"no painting has the {field} {value!r}" + (hint or did_you_mean(str(value), texts))
        )
    return alike[0]


def all_conditions(
    where: Where | None, exclude: Mapping[str, FilterValue] | None
) -> list[Condition]:
    """Return the conditions as one filter, whose fields are not checked."""
    if where is None or isinstance(where, Mapping):
        return build_filter(where, exclude)
    return [*where, *build_filter(None, exclude)]


def read_vectors(
    collection: Collection, name: VectorName, where: Filter, take: Callable[[Record], _T]
) -> tuple[list[_T], NDArray[np.float32]]:
    """Return what is taken of each record that matches, and vectors, in the order of ids.

    See ``rows_of``.
    """
    records = collection.store.scroll(where, vectors=True)
    return rows_of(records, name, collection.manifest.dimensions[name], take)


def rows_of(
    records: Iterable[Record], name: VectorName, length: int, take: Callable[[Record], _T]
) -> tuple[list[_T], NDArray[np.float32]]:
    """Return what is taken of each record that has such a vector, n, and these, (n, length).

    One pass for both: between two passes, or a count and a pass, another process may write.
    """
    taken, rows = [], bytearray()  # which grows in place, where a list of arrays would be copied
    for record in records:
        if (vector := record.vectors.get(name)) is not None:
            taken.append(take(record))
            rows += vector.tobytes()
    return taken, np.frombuffer(rows, dtype=np.float32).reshape(-1, length)


def check_field(collection: Collection, name: str) -> None:
    """Raise UnknownError if no painting has this field."""
    if not collection.store.has_field(name):
        fields = collection.store.fields()
        hint = did_you_mean(name, fields)
        raise UnknownError(
            f"no painting has a field {name!r}{f'{hint} This' if hint else '; this'} index has: "
            f"{', '.join(fields)}"
        )
