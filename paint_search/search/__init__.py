"""Vectors -> hits: stores, filters, queries, and what a score means in this index.

In come a query vector, (d,), and conditions; out go ranked matches, copies folded. No picture and
no backbone is known here. Called by the index; filters by all that take ``--where``.
"""

from paint_search.search.background import Background, measure_background
from paint_search.search.filters import (
    Condition,
    Filter,
    FilterValue,
    build_filter,
    parse_filter,
)
from paint_search.search.names import did_you_mean, fold, has_words, near
from paint_search.search.query import Group, combine, find, is_copy
from paint_search.search.recall import (
    Way,
    choose_effort,
    choose_oversampling,
    measure_recall,
    measure_ways,
    step_outside,
)

__all__ = [
    "Background",
    "Condition",
    "Filter",
    "FilterValue",
    "Group",
    "Way",
    "build_filter",
    "choose_effort",
    "choose_oversampling",
    "combine",
    "did_you_mean",
    "find",
    "fold",
    "has_words",
    "is_copy",
    "measure_background",
    "measure_recall",
    "measure_ways",
    "near",
    "parse_filter",
    "step_outside",
]
