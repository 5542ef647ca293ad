"""What a classifier got wrong -> a page to look at, the most confident error first.

Beside each work stand the works learned from that are nearest to it, framed where they bear the
label it was taken for: those misled the model. It opens offline.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from paint_search.eval.classify import Classification
from paint_search.eval.inputs import Ints, Vectors, unit_rows
from paint_search.report.report_page import Section, write_page
from paint_search.report.report_parts import Html, join, paragraph, picture, plot, table

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from PIL import Image

NEIGHBOURS = 10
"""Works learned from that are shown beside each error."""
MOST_ERRORS = 60
"""The page shows no more of them."""

_KEY = (
    "Left what was told wrongly, with what it was told as, what it is, how probable both seemed, "
    "and in brackets all that its set holds. Beside it the works learned from that are nearest, by "
    "the vectors of the index. Framed: those of the label it was told as."
)


@dataclass(frozen=True, eq=False)
class ErrorPage:
    """What the page shows.

    Attributes:
        name: of the collection.
        by: what the classes are: movement, shape ...
        result: what the model made of its works.
        vectors: (n, d) of all works, any norm, to find neighbours by.
        captions: n names of works.
        picture: row -> its picture, about as large as it is shown.
        tables: of figures, each with columns (right-aligned where they start with ``>``) and rows.
        figure: drawn from the same figures.
        made: (what, how) lines about how the figures came about.
    """

    name: str
    by: str
    result: Classification
    vectors: Vectors
    captions: Sequence[str]
    picture: Callable[[int], Image.Image]
    tables: Sequence[tuple[Sequence[str], Sequence[Sequence[str]]]]
    figure: Figure
    made: Sequence[tuple[str, str]]


def shown_rows(result: Classification, vectors: Vectors) -> tuple[Ints, Ints]:
    """Return the rows of the errors shown, (e,), and of the neighbours of each, (e, k).

    Args:
        result: what a model made of its works.
        vectors: (n, d) of all works, any norm.
    """
    tested, learned = result.split.tested, result.split.learned
    rows = tested[result.errors[:MOST_ERRORS]]
    unit = unit_rows(vectors, np.float32)
    order = np.argsort(-(unit[rows] @ unit[learned].T), axis=1, kind="stable")
    return rows, learned[order[:, :NEIGHBOURS]]


def write_error_page(out: Path, page: ErrorPage, done: Callable[[], None] = lambda: None) -> None:
    """Write the page.

    Args:
        out: the file; replaced only once the new one is complete.
        page: what it shows.
        done: called after each error.
    """
    result = page.result
    wrong, (rows, near) = len(result.errors), shown_rows(result, page.vectors)
    errors = []
    for place, row, neighbours in zip(result.errors, rows, near, strict=False):
        errors.append(_error(page, int(place), int(row), neighbours))
        done()
    count = f"{wrong:,} of {len(result.truth):,} tested works were told wrongly"
    more = f"; here are the {MOST_ERRORS} most confident" if wrong > MOST_ERRORS else ""
    drawn = plot(
        page.figure,
        "How many works of each class were told as each; beside it what the model saw, if drawn.",
        "Rows: what the works are. Columns: what they were told as. The darker, the larger the "
        "share of the row. What stands beside it: the works in the plane of two features, on the "
        "ground of what the model tells there; or how each net learned.",
    )
    said = [paragraph(line) for line in result.remarks()]
    tables = [table(*content) for content in page.tables]
    sections = [
        Section("numbers", "In numbers", join(*said, *tables, drawn)),
        Section(
            "errors",
            "What was told wrongly, the most confident first",
            join(paragraph(f"{count}{more}. {_KEY}" if wrong else f"{count}."), *errors),
        ),
        Section("making", "How this was measured", table(("", ""), page.made)),
    ]
    title = f"Telling {page.by} with {result.ensemble.kind}"
    write_page(out, page.name, "classification", title, sections)


def _error(page: ErrorPage, place: int, row: int, neighbours: Ints) -> Html:
    result = page.result
    told = result.classes[result.predicted[place]]
    true = result.classes[result.truth[place]]
    chance = result.probabilities[place]
    held = ", ".join(np.array(result.classes)[result.sets[place]])
    members = len(result.ensemble.model.calibrated_classifiers_)
    lines = (
        f"told as {told}: {chance[result.predicted[place]]:.0%}",
        f"is {true}: {chance[result.truth[place]]:.0%}",
        f"set: [{held}]",
        f"{round(members * result.agreement[place])} of {members} models agree",
    )
    shown = "".join(_neighbour(page, int(other), told) for other in neighbours)
    return Html(
        f'<figure class="query"><div class="asked">'
        f"{picture(page.picture(row), page.captions[row])}<b>{escape(page.captions[row])}</b>"
        + "".join(f"<small>{escape(line)}</small>" for line in lines)
        + '</div><div class="sides"><div class="side"><span>nearest works learned from</span>'
        f"{shown}</div></div></figure>"
    )


def _neighbour(page: ErrorPage, row: int, told: str) -> Html:
    label = page.result.groups.names[page.result.groups.codes[row]]
    caption = page.captions[row]
    return Html(
        f'<div class="near{" both" if label == told else ""}" title="{escape(caption)}">'
        f"{picture(page.picture(row), f'{label}: {caption}')}<small>{escape(label)}</small></div>"
    )
