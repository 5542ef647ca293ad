"""Sections of the report on the collection as a whole: numbers, map, what was left out, the making.

In goes the collection, out comes the body of one section. EvalError says why there is nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Real

from paint_search.errors import EvalError
from paint_search.eval.outliers import typical_works
from paint_search.report.groups import group_values
from paint_search.report.report_data import Collection
from paint_search.report.report_parts import (
    Html,
    beside,
    gallery,
    heading,
    join,
    link,
    paragraph,
    plot,
    table,
    work,
)

_TOP = 10
_TYPICAL = 12
_SKIPPED = 50


def numbers(collection: Collection) -> Html:
    """How many works, artists, years; the most frequent values of each field; typical works."""
    if not collection.titles:
        raise EvalError("The collection is empty: no painting is indexed.")
    rows = [("paintings", f"{len(collection.titles):,}")]
    ranked = collection.ranked
    if ranked:
        most, middle = ranked[0], ranked[len(ranked) // 2]
        single = sum(count == 1 for _, count in ranked)
        rows += [
            (collection.many, f"{len(ranked):,}"),
            (f"{collection.many} of a single work", f"{single:,}"),
        ]
        if single < len(ranked):
            rows += [
                (f"most works of one {collection.one}", f"{most[1]:,} ({most[0]})"),
                (f"works of the {collection.one} in the middle", f"{middle[1]:,}"),
            ]
    rows.append((f"works without {collection.one}", f"{list(collection.labels).count(None):,}"))
    rows += [(name, _describe(values)) for name, values in collection.fields.items()]
    return join(
        table(
            ("", ""),
            rows,
            "Counted over the indexed files: one file is one painting here, a copy counts twice. "
            "Labels are as given; nothing has been checked against a catalogue.",
        ),
        _most_frequent(collection),
        _typical(collection),
    )


def the_map(collection: Collection) -> Html:
    """The map for print, and the way to the one that can be explored."""
    if collection.projection is None:
        raise EvalError(
            f"A map needs at least 3 paintings that differ; there are {len(collection.titles):,}."
        )
    from paint_search.report.plots import scatter_figure

    columns = {collection.one: collection.labels, **collection.fields}
    field = collection.coloured_by
    groups = group_values(field, columns[field])
    figure = scatter_figure(
        collection.projection, groups, f"The collection by {field}", collection.names
    )
    return join(
        plot(figure, f"Map of the paintings, coloured by {field}", collection.projection.caption),
        link(collection.map_address, "Open the map to explore it: pictures, neighbours, filters")
        if collection.map_address
        else Html(""),
    )


def skipped(collection: Collection) -> Html:
    """The files that are not in the collection, and why."""
    if not collection.skipped:
        return paragraph("No file was left out when the collection was indexed.")
    rows = collection.skipped[:_SKIPPED]
    more = len(collection.skipped) - len(rows)
    return table(
        ("file", "reason"),
        rows,
        f"{len(collection.skipped):,} files below the collection's folder could not be read as "
        "pictures and take no part in anything here."
        + (f" {more:,} more are named in skipped.csv of the index." if more else ""),
    )


def making(collection: Collection) -> Html:
    """How the figures came about."""
    return table(
        ("", ""),
        collection.made,
        "A model described each picture by a list of numbers, learnt from photographs or set by "
        "rule and never from the history of art; every likeness here is the cosine of two such "
        "lists: 1 is the same, 0 has nothing in common. It sees reproductions: light, colour cast, "
        "framing and subject count as much as the hand. The same index gives the same report.",
    )


def _describe(values: Sequence[object]) -> str:
    given = [value for value in values if value is not None]
    missing = len(values) - len(given)
    lacking = f", missing for {missing:,}" if missing else ""
    figures = [value for value in given if isinstance(value, Real) and math.isfinite(value)]
    if given and len(figures) == len(given) and len(set(figures)) > 2:
        return f"{float(min(figures)):g} to {float(max(figures)):g}{lacking}"
    return f"{len(set(given)):,} different{lacking}"


def _most_frequent(collection: Collection) -> Html:
    tables = [
        table((name, ">works"), [(value, f"{count:,}") for value, count in top])
        for name, values in {collection.one: collection.labels, **collection.fields}.items()
        if (top := _top(name, values))
    ]
    return Html(f'<div class="columns">{"".join(tables)}</div>') if tables else Html("")


def _top(name: str, values: Sequence[object]) -> list[tuple[str, int]]:
    """Return the most frequent values of a text field that is shared by works."""
    groups = group_values(name, values)
    if groups.numbers is not None or len(groups.names) < 2 or groups.counts.max() < 2:
        return []
    return list(zip(groups.names, groups.counts.tolist(), strict=True))[:_TOP]


def _typical(collection: Collection) -> Html:
    """Show the most typical work of those of most works."""
    names = collection.having(2)[:_TYPICAL]
    if not names:
        return Html("")
    rows = typical_works(collection.vectors, collection.only(names))
    return join(
        heading(f"What is typical of the {collection.many} of most works"),
        gallery(
            [beside([work(collection, rows[name]) for name in names])],
            f"The work of each that lies closest to the mean of all works of that "
            f"{collection.one}: the most ordinary one to the model, not the best or best known.",
        ),
    )
