"""Works with their neighbours before and after compression -> a page to look at.

Beside each query stand its nearest works by the full and by the compressed vectors, those that
both share framed, the others with the rank they have on the other side. It opens offline.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from paint_search.eval import NeighboursKept, unit_rows
from paint_search.eval.inputs import Ints, Vectors
from paint_search.eval.neighbours import ranking_keys
from paint_search.report.report_page import Section, write_page
from paint_search.report.report_parts import Html, join, paragraph, picture, plot, table

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from PIL import Image

K = 10
"""Neighbours shown of each query, on either side."""
_CHANGED, _MIDDLE, _KEPT = 12, 4, 4


@dataclass(frozen=True)
class Choice:
    """The works to show, as rows: changed most (worst first), in the middle, kept best."""

    changed: Sequence[int]
    middle: Sequence[int]
    kept: Sequence[int]

    @property
    def all(self) -> list[int]:
        """All of them, in the order of the page."""
        return [*self.changed, *self.middle, *self.kept]


@dataclass(frozen=True, eq=False)
class FidelityPage:
    """What the page shows.

    Attributes:
        name: of the collection.
        compressed: which compression is looked at, such as "pca to 64 dimensions".
        full: (n, d) vectors of the works measured, any norm.
        compact: (n, m) vectors of the same works.
        kept: which share of each work's neighbours stayed; of `K` neighbours, too.
        captions: n names of artists, titles.
        picture: row -> its picture, about as large as it is shown.
        table: of figures: columns, right-aligned where they start with ``>``, and rows.
        said: sentences below it.
        figure: drawn from the same figures.
        made: (what, how) lines about how the figures came about.
    """

    name: str
    compressed: str
    full: Vectors
    compact: Vectors
    kept: NeighboursKept
    captions: Sequence[tuple[str, str]]
    picture: Callable[[int], Image.Image]
    table: tuple[Sequence[str], Sequence[Sequence[str]]]
    said: Sequence[str]
    figure: Figure
    made: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class _Sides:
    """The neighbours of one query, and the ranks of all works, by full and by compact vectors."""

    full: Ints
    compact: Ints
    full_ranks: Ints
    compact_ranks: Ints


def choose_works(kept: NeighboursKept) -> Choice:
    """Choose the works whose neighbours changed most, those in the middle, those kept best.

    Equal shares are ordered by the share of the most neighbours measured, then by row.
    """
    by_share = kept.per_work[:, kept.ks.index(K)]
    order = np.lexsort((kept.per_work[:, -1], by_share))
    count = len(order)
    changed = order[: min(_CHANGED, count)]
    start = min(max(len(changed), (count - _MIDDLE) // 2), count)
    middle = order[start : start + _MIDDLE]
    best = order[max(count - _KEPT, start + len(middle)) :][::-1]
    return Choice(changed.tolist(), middle.tolist(), best.tolist())


def write_fidelity_page(
    out: Path, page: FidelityPage, done: Callable[[], None] = lambda: None
) -> None:
    """Write the page.

    Args:
        out: the file; replaced only once the new one is complete.
        page: what it shows.
        done: called after each query.
    """
    full, compact = unit_rows(page.full, np.float32), unit_rows(page.compact, np.float32)
    choice = choose_works(page.kept)

    def queries(rows: Sequence[int]) -> Html:
        shown = []
        for row in rows:
            shown.append(_query(page, row, _sides(full, compact, row)))
            done()
        return join(*shown)

    drawn = plot(
        page.figure,
        "Curves of what is kept by dimensions; silhouettes before and after.",
        "Left: what each way to compress keeps, 1 is everything. Right: how well the works of "
        "every two labels stand apart before and after; on the dashed line nothing has changed.",
    )
    mean = f"{page.kept.recall[K]:.0%}"
    said = [paragraph(line) for line in page.said]
    sections = [
        Section("numbers", "In numbers", join(table(*page.table), *said, drawn)),
        Section(
            "changed",
            "Where neighbours changed most",
            join(paragraph(_KEY), queries(choice.changed)),
        ),
        Section(
            "middle",
            "In the middle",
            join(
                paragraph(
                    "Half of the paintings lose more of their neighbours than these, half fewer; "
                    f"on average {mean} stay."
                ),
                queries(choice.middle),
            ),
        ),
        Section("kept", "Where neighbours were kept best", queries(choice.kept)),
        Section("making", "How this was measured", table(("", ""), page.made)),
    ]
    write_page(out, page.name, "compression", f"What stays alike: {page.compressed}", sections)


_KEY = (
    "Left the painting; beside it its ten nearest by the full vectors, below them its ten nearest "
    "by the compressed ones. Framed: found by both. The number beside an arrow is the place that "
    "the painting has on the other side."
)


def _sides(full: Vectors, compact: Vectors, row: int) -> _Sides:
    orders, ranks = [], []
    for unit in (full, compact):
        keys = ranking_keys(unit[row : row + 1] @ unit.T)[0]
        keys[row] = np.iinfo(np.int64).min
        order = np.argsort(keys)[::-1]
        place = np.empty(len(keys), dtype=np.int64)
        place[order] = np.arange(1, len(keys) + 1)
        orders.append(order[: min(K, len(keys) - 1)])
        ranks.append(place)
    return _Sides(orders[0], orders[1], ranks[0], ranks[1])


def _query(page: FidelityPage, row: int, sides: _Sides) -> Html:
    artist, title = page.captions[row]
    both = len(set(sides.full.tolist()) & set(sides.compact.tolist()))
    lines = (
        ("full", sides.full, sides.compact_ranks, sides.compact),
        ("compressed", sides.compact, sides.full_ranks, sides.full),
    )
    return Html(
        f'<figure class="query"><div class="asked">{picture(page.picture(row), title)}'
        f"<b>{escape(artist)}</b><i>{escape(title)}</i>"
        f'<small>{both} of {len(sides.full)} kept</small></div><div class="sides">'
        + "".join(
            f'<div class="side"><span>{name}</span>'
            + "".join(
                _neighbour(page, int(found), place, int(ranks[found]), found in other)
                for place, found in enumerate(here, start=1)
            )
            + "</div>"
            for name, here, ranks, other in lines
        )
        + "</div></figure>"
    )


def _neighbour(page: FidelityPage, row: int, place: int, other: int, kept: bool) -> Html:
    artist, title = page.captions[row]
    moved = f"{place}" if kept and other == place else f"{place} → {other:,}"
    about = escape(f"{artist}: {title}" if artist else title)
    return Html(
        f'<div class="near{" both" if kept else ""}" title="{about}">'
        f"{picture(page.picture(row), f'{artist}: {title}')}"
        f"<small>{moved}</small></div>"
    )
