"""What a classifier got wrong -> a page to look at, the most confident error first.

Beside each work stand the works learned from that are nearest to it, framed where they bear the
label it was taken for: those misled the model. It opens offline.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from paint_search.eval.classify import Classification
from paint_search.eval.inputs import Ints, Vectors, unit_rows
from paint_search.report.pages.rendering import write_page

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from PIL import Image

    from paint_search.report.tables import Table

NEIGHBOURS = 10
"""Works learned from that are shown beside each error."""
MOST_ERRORS = 60
"""The page shows no more of them."""


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
        tables: of figures.
        figure: drawn from the same figures.
        made: (what, how) lines about how the figures came about.
    """

    name: str
    by: str
    result: Classification
    vectors: Vectors
    captions: Sequence[str]
    picture: Callable[[int], Image.Image]
    tables: Sequence[Table]
    figure: Figure
    made: Sequence[tuple[str, str]]


def shown_rows(result: Classification, vectors: Vectors) -> tuple[Ints, Ints]:
    """Return the rows of the errors shown, (e,), and of the neighbours of each, (e, k).

    ``vectors`` are those of all works, (n, d), of any norm.
    """
    tested, learned = result.split.tested, result.split.learned
    rows = tested[result.errors[:MOST_ERRORS]]
    unit = unit_rows(vectors, np.float32)
    order = np.argsort(-(unit[rows] @ unit[learned].T), axis=1, kind="stable")
    return rows, learned[order[:, :NEIGHBOURS]]


def write_error_page(out: Path, page: ErrorPage) -> None:
    """Write the page."""
    result = page.result
    write_page(
        out,
        "classify.html",
        page=page,
        remarks=result.remarks(),
        model=result.ensemble.kind,
        tested=len(result.truth),
        wrong=len(result.errors),
        most=MOST_ERRORS,
        errors=_errors(page),
    )


def _errors(page: ErrorPage) -> Iterator[dict[str, object]]:
    """Yield what is shown of each error, so that pictures are made one error at a time."""
    result = page.result
    members = len(result.ensemble.model.calibrated_classifiers_)
    for place, row, neighbours in zip(
        result.errors, *shown_rows(result, page.vectors), strict=False
    ):
        told, true = (result.classes[codes[place]] for codes in (result.predicted, result.truth))
        chance = result.probabilities[place]
        labels = [result.groups.names[result.groups.codes[other]] for other in neighbours]
        yield {
            "row": row,
            "lines": (
                f"told as {told}: {chance[result.predicted[place]]:.0%}",
                f"is {true}: {chance[result.truth[place]]:.0%}",
                f"set: [{', '.join(np.array(result.classes)[result.sets[place]])}]",
                f"{round(members * result.agreement[place])} of {members} models agree",
            ),
            "near": [
                (other, label, label == told)
                for other, label in zip(neighbours, labels, strict=True)
            ],
        }
