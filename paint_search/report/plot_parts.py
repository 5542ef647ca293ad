"""What the figures of `plots` share: style, sizes of text, trees and thumbnails.

In go the data of one part of a figure, out comes that part, drawn. No figure is written here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sized
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from paint_search.errors import EvalError
from paint_search.report.groups import PALETTE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray
    from PIL import Image

INK, SOFT, LINE = "#211e1a", "#6d665c", "#d8d1c3"
MOST_LEAVES = 600
"""A larger tree is drawn from its last merges down to this many branches."""
_LONGEST_LABEL = 48
_STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Serif", "font.size": 9.0, "text.parse_math": False,
    "axes.edgecolor": LINE, "axes.labelcolor": SOFT, "text.color": INK,
    "xtick.color": SOFT, "ytick.color": INK, "axes.titlelocation": "left", "axes.titlesize": 13.0,
    "figure.facecolor": "white", "svg.hashsalt": "paint-search", "svg.fonttype": "none",
}  # fmt: skip


@contextmanager
def print_style() -> Iterator[None]:
    """Draw and save within this: texts take fonts, and TeX reading, from it when they are made."""
    from matplotlib import rc_context

    with rc_context(_STYLE):
        yield


def new_figure(width: float, height: float) -> Figure:
    """A figure of that many inches that no global list holds on to."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height))
    FigureCanvasAgg(figure)
    return figure


def check_lengths(count: int, **columns: Sized | None) -> None:
    """Refuse columns that are not all `count` long; None stands for an absent one."""
    for name, column in columns.items():
        if column is not None and len(column) != count:
            raise EvalError(f"The figure has {count} entries, but {len(column)} {name}.")


def short_label(label: str) -> str:
    """The label, cut where it would push all else aside."""
    return label if len(label) <= _LONGEST_LABEL else f"{label[: _LONGEST_LABEL - 3].rstrip()}..."


def draw_tree(axes: Axes, linkage: NDArray[np.float64], cut: float | None) -> list[int]:
    """Draw the merges, leaves at the right at y = 5, 15, 25 ...; return the leaves from the top."""
    from matplotlib.collections import LineCollection
    from scipy.cluster.hierarchy import dendrogram

    tree = dendrogram(
        linkage, no_plot=True, p=MOST_LEAVES,
        truncate_mode="lastp" if len(linkage) >= MOST_LEAVES else None,
        color_threshold=0 if cut is None else cut, above_threshold_color=INK,
    )  # fmt: skip
    # scipy names the colours of clusters C1, C2 ... in turn.
    colours = [
        PALETTE[(int(name[1:]) - 1) % len(PALETTE)] if name.startswith("C") else name
        for name in tree["color_list"]
    ]
    paths = [np.c_[d, i] for d, i in zip(tree["dcoord"], tree["icoord"], strict=True)]
    axes.add_collection(LineCollection(paths, colors=colours, linewidths=1.1))
    axes.set_xlim(float(linkage[:, 2].max()) * 1.03 or 1.0, 0)
    if cut is not None:
        axes.axvline(cut, color=SOFT, linewidth=0.9, linestyle=(0, (5, 4)))
    return list(tree["leaves"])


def branch_label(linkage: NDArray[np.float64], node: int) -> str:
    """Name of a branch that stands for several leaves."""
    return f"({int(linkage[node - len(linkage) - 1, 3]):,} together)"


def place_thumbnail(axes: Axes, picture: Image.Image | NDArray[np.uint8], y: float) -> None:
    """Put a picture to the right of the leaf at height y."""
    from matplotlib.offsetbox import AnnotationBbox, OffsetImage
    from PIL import Image

    given = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    small = given.convert("RGB")
    small.thumbnail((128, 128), Image.Resampling.LANCZOS)
    image = OffsetImage(np.asarray(small), zoom=32 / max(small.size), resample=True)
    axes.add_artist(
        AnnotationBbox(
            image, (0, y), (22, 0), boxcoords="offset points", frameon=False, annotation_clip=False
        )
    )
