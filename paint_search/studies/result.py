"""What every study hands back: figures for machines, a table, a drawing, lines for people.

A study reads an index, measures, and returns one of these; files are checked before the work and
take their place when they are whole. Nothing here measures anything.
"""

from __future__ import annotations

import itertools
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from paint_search.errors import UsageError
from paint_search.files import FIGURES, TABLES, write_csv
from paint_search.painting import Progress

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from paint_search.eval.inputs import Ints
    from paint_search.report.tables import Part, Table

Note = Callable[[str], None]
"""Takes a line for the user, such as how many works take part."""
Report = Callable[[str, Progress], None]
"""Takes what is being done and how far it is, from any thread."""


_ALIASES: Final = (".htm", ".jpeg")

MOST_DRAWN: Final = 60
"""More artists than these are not told apart by anyone who looks at a figure."""


class Drawn(NamedTuple):
    """Which labels a figure shows, as rows, and a line that says so where these are not all."""

    rows: Ints
    line: str


def most_telling(weights: NDArray[Any], many: str, why: str) -> Drawn:
    """Return the labels of the highest weights, 60 at most, in their own order.

    Args:
        weights: (m,) of each label.
        many: what the labels are.
        why: what makes those telling, after their number.
    """
    rows = np.sort(np.argsort(-weights, kind="stable")[:MOST_DRAWN])
    all_of_them = len(rows) == len(weights)
    line = "" if all_of_them else f"shown: the {len(rows)} of {len(weights):,} {many} {why}"
    return Drawn(rows, line)


def mistakes(counts: NDArray[Any]) -> NDArray[Any]:
    """Return how often each label is taken for others, and others for it.

    ``counts`` are (m, m): how many of each label (row) were taken for each (column).
    """
    wrong = counts - np.diag(np.diag(counts))
    return np.asarray(wrong.sum(axis=0) + wrong.sum(axis=1))


class Result(ABC):
    """What a study found."""

    @property
    def drawn(self) -> Drawn | None:
        """Which labels the figure shows; None where there is no choice."""
        return None

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
            UsageError: no name of a CSV, or no folder to write it into.
        """
        check_file(file, TABLES)
        columns, rows = self.table()
        write_csv(Path(file), columns, (map(_cell, row) for row in rows))

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
        kinds = " or ".join(suffix for suffix in suffixes if suffix not in _ALIASES)
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
