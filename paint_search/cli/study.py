"""What the studies share: their options, the works they look at, the files they leave.

An index and a filter go in, vectors with one label a work come out, and tables are written as CSV.
Nothing here measures anything.
"""

import csv
import math
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from paint_search.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from paint_search.index.index import Index
    from paint_search.painting import Painting, Value
    from paint_search.search.stores.base import VectorName

ByOption = Annotated[
    str, typer.Option(metavar="FIELD", help="Label that groups the works: artist, movement, ...")
]
TopOption = Annotated[int, typer.Option(min=1, help="How many rows each list shows.")]
MinWorksOption = Annotated[
    int, typer.Option(min=1, help="Leave out artists, movements, ... of fewer works.")
]
PlotOption = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Draw a figure, as .png or .svg.", show_default=False),
]
CsvOption = Annotated[
    Path | None,
    typer.Option("--csv", metavar="FILE", help="Write all the numbers as CSV.", show_default=False),
]
PairOption = Annotated[
    tuple[str, str] | None,
    typer.Option(metavar="A B", help="Say how these two compare.", show_default=False),
]


@dataclass(frozen=True)
class Works:
    """The paintings of a study, row by row.

    Attributes:
        by: the field that the labels come from.
        paintings: n paintings.
        files: where each lies.
        vectors: (n, d) unit vectors.
        labels: n labels; None for works that take no part.
        unlabelled: how many works have no label.
        too_few: how many were left out because their label has too few works.
    """

    by: str
    paintings: "list[Painting]"
    files: list[Path]
    vectors: "NDArray[np.float32]"
    labels: list[str | None]
    unlabelled: int
    too_few: int

    @property
    def names(self) -> list[str]:
        """The distinct labels, sorted."""
        return sorted({label for label in self.labels if label is not None})

    def describe(self) -> str:
        """Say in a sentence how many works take part and why others do not."""
        taking_part = len(self.labels) - self.labels.count(None)
        left_out = [
            f"{self.unlabelled:,} have no {self.by}" if self.unlabelled else "",
            f"{self.too_few:,} are of {plural(self.by)} with fewer works" if self.too_few else "",
        ]
        reasons = ", ".join(filter(None, left_out))
        count = len(self.names)
        groups = "" if self.by == "path" else f" of {count:,} {plural(self.by, count)}"
        return f"{taking_part:,} paintings{groups}" + (f"; left out: {reasons}" if reasons else "")

    def name(self, row: int) -> str:
        """Return what to call a work in a sentence: its title if known, and its path."""
        painting = self.paintings[row]
        return f"{painting.title} ({painting.path})" if painting.title else painting.path

    def caption(self, row: int) -> str:
        """Return artist and title of a work where both are known, else its path."""
        work = self.paintings[row]
        return f"{work.artist}: {work.title}" if work.artist and work.title else work.path

    def field(self, name: str) -> list[str | None]:
        """Return another field of the n works as text, None where it is missing.

        Raises:
            UsageError: no work has such a field.
        """
        found = [painting.to_dict().get(name) for painting in self.paintings]
        values = [None if value is None else str(value) for value in found]
        if not any(values):
            raise UsageError(f"no painting here has a field {name!r}; see paint-search info")
        return values

    def check(self, *names: str) -> None:
        """Refuse labels that no work carries, and name those that are like them.

        Raises:
            UsageError: such a label.
        """
        known = self.names
        for name in names:
            if name not in known:
                near = get_close_matches(name, known, n=3)
                hint = f"; did you mean {' or '.join(near)}?" if near else ""
                raise UsageError(f"no painting here has the {self.by} {name!r}{hint}")

    def check_pair(self, pair: tuple[str, str]) -> None:
        """Refuse a pair of labels that are not two, or that no work carries.

        Raises:
            UsageError: such a pair.
        """
        self.check(*pair)
        if pair[0] == pair[1]:
            raise UsageError(f"--pair takes two different {plural(self.by)}, not {pair[0]} twice")


def read_works(
    collection: "Index",
    by: str,
    where: Sequence[str] | None,
    exclude: Sequence[str] | None,
    min_works: int = 1,
    *,
    need_artists: bool = True,
    which: "VectorName | None" = None,
) -> Works:
    """Read the works that match, labelled by one field.

    Args:
        collection: where they are.
        by: the field of the labels.
        where: conditions, as typed.
        exclude: conditions that must not hold, as typed.
        min_works: labels with fewer works take no part.
        need_artists: whether to refuse an index that names no artist at all.
        which: the kind of vectors; full ones where the index keeps them.

    Raises:
        UsageError: no such field, a condition that cannot be read, or no work that matches.
    """
    from paint_search.search.filters import parse_filter

    if not len(collection):
        raise UsageError(f"the index {collection.folder} is empty; run paint-search index first")
    conditions = parse_filter(where or (), exclude or ())
    paintings = list(collection.paintings(conditions))
    if by == "artist" and not need_artists:
        found: list[Value | None] = [painting.artist for painting in paintings]
    else:
        found = collection.field(by, conditions)
    if not found:
        raise UsageError("no painting meets these conditions; see paint-search list")
    values = [None if value is None else str(value) for value in found]
    counts = Counter(values)
    labels = [None if value is None or counts[value] < min_works else value for value in values]
    return Works(
        by=by,
        paintings=paintings,
        files=[collection.locate(painting) for painting in paintings],
        vectors=collection.vectors(conditions, which)[1],
        labels=labels,
        unlabelled=counts[None],
        too_few=labels.count(None) - counts[None],
    )


def check_outputs(plot: Path | None, table: Path | None) -> None:
    """Refuse files that cannot be written, before the work and not after.

    Raises:
        UsageError: a folder that is not there, or a figure that is neither PNG nor SVG.
    """
    if plot is not None and plot.suffix.lower() not in (".png", ".svg"):
        raise UsageError(f"cannot draw {plot}: name a .png or .svg file")
    for file in (plot, table):
        if file is not None and not file.parent.is_dir():
            raise UsageError(f"there is no folder {file.parent} to write {file.name} into")


def write_csv(file: Path, columns: Sequence[str], rows: Iterable[Iterable[object]]) -> None:
    """Write a table, None and NaN as empty cells, beside its place and then into it."""
    fresh = file.with_name(f"{file.name}.new")
    with fresh.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(columns)
        writer.writerows(map(_cell, row) for row in rows)
    os.replace(fresh, file)


def write_plot(file: Path, figure: "Figure") -> None:
    """Write a figure."""
    from paint_search.report import save_figure

    save_figure(figure, file)


def ranked_pairs(scores: "NDArray[Any]") -> "Iterator[tuple[int, int, int]]":
    """Yield the pairs of a symmetric matrix, the highest first, with their rank; ties share one."""
    import numpy as np

    rows, columns = np.triu_indices(len(scores), 1)
    downwards = -scores[rows, columns]
    order = np.argsort(downwards, kind="stable")
    ranks = np.searchsorted(downwards[order], downwards[order]) + 1
    yield from zip(rows[order].tolist(), columns[order].tolist(), ranks.tolist(), strict=True)


def plural(field: str, count: int = 2) -> str:
    """Return the name of a field as a noun for so many of its values."""
    noun = "painting" if field == "path" else field
    if count == 1 or noun[-1:] == "s":
        return noun
    return f"{noun[:-1]}ies" if noun[-1:] == "y" else f"{noun}s"


def interval(low: float, high: float) -> str:
    """Write an interval, or nothing where there is none."""
    return "" if math.isnan(low) else f"{low:.3f} to {high:.3f}"


def _cell(value: object) -> object:
    """Write a fraction with six digits, all that single precision means; NaN becomes empty."""
    if not isinstance(value, float):
        return value
    return None if math.isnan(value) else f"{value:.6f}"
