"""What all figures share: their look, how they are made, and how they are written.

A figure belongs to nobody: no pyplot, no window, no global state. Labels are shown as they are,
never read as TeX. The same figure gives the same bytes: no date is written into it.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Sized
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from paint_search.errors import EvalError
from paint_search.files import replacing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INK, SOFT, LINE = "#211e1a", "#6d665c", "#d8d1c3"
DASHED = (0, (5, 4))
_DPI = 150
_LONGEST_LABEL = 48
_STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Serif", "font.size": 9.0, "text.parse_math": False,
    "axes.edgecolor": LINE, "axes.labelcolor": SOFT, "text.color": INK,
    "xtick.color": SOFT, "ytick.color": INK, "axes.titlelocation": "left", "axes.titlesize": 13.0,
    "figure.facecolor": "white", "svg.hashsalt": "paint-search", "svg.fonttype": "none",
}  # fmt: skip


@contextmanager
def drawing(width: float, height: float) -> Iterator[Figure]:
    """Give a new figure of that many inches, which no global list holds on to, to draw on.

    Draw within this: texts take fonts, and TeX reading, from the style when they are made.
    """
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with rc_context(_STYLE):
        figure = Figure(figsize=(width, height))
        FigureCanvasAgg(figure)
        yield figure


def save_figure(figure: Figure, *paths: str | os.PathLike[str]) -> None:
    """Write a figure to each path, in the format of its ending (png, svg, pdf).

    Each file takes its place once it is complete.
    """
    for path in map(Path, paths):
        with replacing(path) as fresh:
            _write(figure, fresh, path.suffix.lower().removeprefix("."))


def svg(figure: Figure) -> bytes:
    """Return a figure as an SVG file."""
    stream = io.BytesIO()
    _write(figure, stream, "svg")
    return stream.getvalue()


def _write(figure: Figure, target: Path | IO[bytes], kind: str) -> None:
    from matplotlib import rc_context

    from paint_search.indexer.images.formats import SOFTWARE

    of = {"svg": {"Date": None}, "pdf": {"CreationDate": None}, "png": {"Software": SOFTWARE}}
    with rc_context(_STYLE):
        figure.savefig(target, format=kind, dpi=_DPI, bbox_inches="tight", metadata=of.get(kind))


def check_lengths(count: int, **columns: Sized | None) -> None:
    """Refuse columns that are not all `count` long; None stands for an absent one."""
    for name, column in columns.items():
        if column is not None and len(column) != count:
            raise EvalError(f"The figure has {count} entries, but {len(column)} {name}.")


def short_label(label: str) -> str:
    """The label, cut where it would push all else aside."""
    return label if len(label) <= _LONGEST_LABEL else f"{label[: _LONGEST_LABEL - 3].rstrip()}..."
