"""What every study hands back: figures for machines, a table, a drawing, lines for people.

A study reads an index, measures, and returns one of these; files are checked before the work and
take their place when they are whole. Nothing here measures anything.
"""

from __future__ import annotations

import csv
import itertools
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from paint_search.errors import UsageError
from paint_search.files import replacing
from paint_search.painting import Progress

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from paint_search.report.tables import Part, Table

Note = Callable[[str], None]
"""Takes a line for the user, such as how many works take part."""
Report = Callable[[str, Progress], None]
"""Takes what is being done and how far it is, from any thread."""

FIGURES = (".png", ".svg")
PAGES = (".html", ".htm")


class Result(ABC):
    """What a study found."""

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """Return the figures as JSON can carry them."""

    @abstractmethod
    def table(self) -> Table:
        """Return the table behind ``to_pandas`` and ``write_csv``."""

    @abstractmethod
    def figure(self) -> Figure:
        """Draw it, for print."""

    @abstractmethod
    def describe(self) -> Iterator[Part]:
        """Yield lines, tables and notes for people."""

    def to_pandas(self) -> pd.DataFrame:
        """Return the table as a data frame."""
        import pandas as pd

        columns, rows = self.table()
        return pd.DataFrame(rows, columns=columns)

    def write_csv(self, file: str | Path) -> None:
        """Write the table as CSV, fractions with six digits, None and NaN as empty cells.

        Raises:
            UsageError: there is no folder to write it into.
        """
        check_file(file)
        columns, rows = self.table()
        with (
            replacing(Path(file)) as fresh,
            fresh.open("w", newline="", encoding="utf-8") as stream,
        ):
            writer = csv.writer(stream)
            writer.writerow(columns)
            writer.writerows(map(_cell, row) for row in rows)

    def plot(self, file: str | Path) -> None:
        """Draw the figure into a file, as PNG or SVG by its suffix.

        Raises:
            UsageError: another suffix, or no folder to write it into.
        """
        from paint_search.report import save_figure

        check_file(file, FIGURES)
        save_figure(self.figure(), file)


def check_file(file: str | Path | None, suffixes: Sequence[str] = ()) -> None:
    """Refuse a file that cannot be written, before the work and not after.

    Raises:
        UsageError: none of the suffixes, where there are any, or a folder that is not there.
    """
    if file is None:
        return
    path = Path(file)
    if suffixes and path.suffix.lower() not in suffixes:
        verb = "draw" if suffixes == FIGURES else "write"
        kinds = PAGES[0] if suffixes == PAGES else " or ".join(suffixes)
        raise UsageError(f"cannot {verb} {path}: name a {kinds} file")
    if not path.parent.is_dir():
        raise UsageError(f"there is no folder {path.parent} to write {path.name} into")


def counting(report: Report, words: str, total: int) -> Callable[[], None]:
    """Return what reports one step more each time it is called, from any thread."""
    steps = itertools.count(1)
    return lambda: report(words, Progress(next(steps), total))


def _cell(value: object) -> object:
    """Write a fraction with six digits, all that single precision means; NaN becomes empty."""
    if not isinstance(value, float):
        return value
    return None if math.isnan(value) else f"{value:.6f}"
