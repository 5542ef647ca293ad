"""A projection and the groups of a field -> the map for print."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from paint_search.errors import counted
from paint_search.report.groups import NOT_GIVEN, OTHER
from paint_search.report.plots.style import SOFT, check_lengths, drawing, short_label

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from paint_search.eval import Projection
    from paint_search.report.groups import Groups

_FEW_POINTS = 40  # up to here every point bears its name


def scatter_figure(
    projection: Projection, groups: Groups, title: str, labels: Sequence[str] | None = None
) -> Figure:
    """The map for print: a dot a painting, coloured by group, legend beside it.

    Args:
        projection: the map, in two or three dimensions.
        groups: a field of the same n paintings.
        title: above the figure.
        labels: (n) names, written beside the dots where there are 40 or fewer.

    Raises:
        EvalError: lengths that do not agree.
    """
    points = projection.coordinates
    check_lengths(len(points), groups=groups.codes, labels=labels)
    with drawing(8.6, 6.4) as figure:
        axes: Any = figure.add_subplot(projection="3d" if projection.dims == 3 else None)
        colours = np.array(groups.colours)[groups.codes]
        # Grey below colour, otherwise in a fixed shuffle: no group always covers another.
        order = np.random.default_rng(0).permutation(len(points))
        order = order[np.argsort(colours[order] != OTHER, kind="stable")]
        axes.scatter(
            *points[order].T, c=colours[order], s=min(60.0, max(5.0, 18_000 / len(points))),
            linewidths=0, rasterized=len(points) > 5_000,
        )  # fmt: skip
        if labels is not None and len(points) <= _FEW_POINTS:
            axes.margins(x=0.2)
            for point, label in zip(points, labels, strict=True):
                text = "\N{NO-BREAK SPACE}" * 2 + short_label(label)
                axes.text(*point, text, fontsize=7.5, va="center", color=SOFT)
        for axis, name in zip("xyz", projection.axis_labels, strict=False):
            axes.set(**{f"{axis}label": name, f"{axis}ticks": []})
        axes.set_aspect("equal", adjustable="datalim" if projection.dims == 2 else "box")
        axes.set_title(title, pad=12)
        _legend(axes, groups, left=1.02 if projection.dims == 2 else 1.2)
    return figure


def _legend(axes: Axes, groups: Groups, left: float) -> None:
    from matplotlib.lines import Line2D

    shown, grey = [], dict[str, int]()
    for name, count, colour in zip(groups.names, groups.counts, groups.colours, strict=True):
        if colour == OTHER:
            grey[name] = count
        else:
            shown.append((f"{short_label(name)} ({count:,})", colour))
    if grey:
        what = NOT_GIVEN if list(grey) == [NOT_GIVEN] else counted(len(grey), "other group")
        shown.append((f"{what} ({sum(grey.values()):,})", OTHER))
    dots = [Line2D([], [], marker="o", linestyle="", color=colour) for _, colour in shown]
    axes.legend(
        dots, [text for text, _ in shown], title=groups.field, loc="upper left",
        bbox_to_anchor=(left, 1.0), frameon=False, alignment="left", handletextpad=0.2,
    )  # fmt: skip
