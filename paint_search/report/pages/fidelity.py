"""Works with their neighbours before and after compression -> a page to look at.

Beside each query stand its nearest works by the full and by the compressed vectors, those that
both share framed, the others with the rank they have on the other side. It opens offline.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from paint_search.eval import NeighboursKept, unit_rows
from paint_search.eval.inputs import Ints, Vectors
from paint_search.eval.neighbours import ranking_keys
from paint_search.report.pages.rendering import write_page

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from PIL import Image

    from paint_search.report.tables import Table

K = 10
"""Neighbours shown of each query, on either side."""
_CHANGED, _MIDDLE, _KEPT = 12, 4, 4


class Choice(NamedTuple):
    """The works to show, as rows: changed most (worst first), in the middle, kept best."""

    changed: list[int]
    middle: list[int]
    kept: list[int]


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
        table: of figures.
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
    table: Table
    said: Sequence[str]
    figure: Figure
    made: Sequence[tuple[str, str]]


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
    """Write the page; ``done`` is called after each query."""
    units = [unit_rows(vectors, np.float32) for vectors in (page.full, page.compact)]
    choice = choose_works(page.kept)
    write_page(
        out,
        "fidelity.html",
        page=page,
        mean=page.kept.recall[K],
        changed=_queries(units, choice.changed, done),
        middle=_queries(units, choice.middle, done),
        best=_queries(units, choice.kept, done),
    )


def _queries(
    units: Sequence[Vectors], rows: Sequence[int], done: Callable[[], None]
) -> Iterator[dict[str, object]]:
    """Yield what is shown of each query, so that pictures are made one query at a time."""
    for row in rows:
        full, compact = (_others(unit, row) for unit in units)
        yield {
            "row": row,
            "kept": len({*full[:K].tolist()} & {*compact[:K].tolist()}),
            "of": len(full[:K]),
            "sides": {"full": _side(full, compact), "compressed": _side(compact, full)},
        }
        done()


def _others(unit: Vectors, row: int) -> Ints:
    """Return all other works, (n - 1,), the nearest first."""
    keys = ranking_keys(unit[row : row + 1] @ unit.T)[0]
    keys[row] = np.iinfo(np.int64).min
    return np.argsort(keys)[:0:-1]


def _side(here: Ints, there: Ints) -> Iterator[tuple[int, str, bool]]:
    """Yield the nearest works, where they stand here and there, and whether both sides have them.

    Each side holds all works but one, (n - 1,), the most like it first.
    """
    for place, row in enumerate(here[:K].tolist(), start=1):
        other = int(np.flatnonzero(there == row)[0]) + 1
        moved = f"{place}" if other == place else f"{place} → {other:,}"
        yield row, moved, other <= K
