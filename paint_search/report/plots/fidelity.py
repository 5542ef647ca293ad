"""What compression keeps, drawn: figures against dimensions, and silhouettes before and after."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from paint_search.errors import EvalError
from paint_search.report.groups import PALETTE
from paint_search.report.plots.style import DASHED, INK, LINE, SOFT, drawing, short_label

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from paint_search.eval.silhouette import Comparison

_LABELLED = 6  # pairs of a scatter that bear their names
_MARKERS = "osD^v"


@dataclass(frozen=True)
class Curve:
    """One way to compress, at several sizes."""

    name: str  #: of the way
    dims: Sequence[int]  #: (m) sizes, ascending
    values: Mapping[str, Sequence[float]]  #: of the figures by name, m each


def fidelity_figure(
    curves: Sequence[Curve], comparison: Comparison | None, title: str, compared: str, of: str
) -> Figure:
    """What is kept at which size, and beside it the silhouettes of pairs before and after.

    Args:
        curves: the ways to compress, all with the same figures; each is one panel.
        comparison: silhouettes of pairs of labels; None where there are none.
        title: above the figure.
        compared: which compression the silhouettes are of.
        of: what a label is, in the plural.

    Raises:
        EvalError: no curve, or curves of unlike figures.
    """
    named = [list(curve.values) for curve in curves]
    if not named or any(names != named[0] for names in named):
        raise EvalError("The figure needs curves, all of the same figures.")
    side = 4.6
    width = 3.9 + (side + 1.1 if comparison else 0.0)
    with drawing(width, side) as figure:
        figure.suptitle(title, x=0.0, y=1 + 0.42 / side, ha="left", va="bottom", size=13.0)
        gap = 0.62 / side
        height = (1 - gap * (len(named[0]) - 1)) / len(named[0])
        for row, name in enumerate(named[0]):
            bottom = 1 - height - row * (height + gap)
            axes = figure.add_axes((0.0, bottom, 3.9 / width, height))
            _draw_curves(axes, curves, name, legend=row == 0)
        axes.set_xlabel("dimensions")
        if comparison:
            axes = figure.add_axes((1 - side / width, 0.0, side / width, 1.0))
            _draw_silhouettes(axes, comparison, compared, of)
    return figure


def _draw_curves(axes: Axes, curves: Sequence[Curve], name: str, *, legend: bool) -> None:
    for place, curve in enumerate(curves):
        axes.plot(
            curve.dims, curve.values[name], label=curve.name, color=PALETTE[place % len(PALETTE)],
            marker=_MARKERS[place % len(_MARKERS)], markersize=5, linewidth=1.4, clip_on=False,
        )  # fmt: skip
    axes.set_xticks(sorted({size for curve in curves for size in curve.dims}))
    axes.set_title(name, fontsize=9.5, color=SOFT, pad=6)
    axes.grid(axis="y", color=LINE, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(length=0)
    axes.spines[["left", "right", "top"]].set_visible(False)
    if legend:
        axes.legend(frameon=False, loc="lower right", handlelength=1.6, borderaxespad=0.2)


def _draw_silhouettes(axes: Axes, comparison: Comparison, compared: str, of: str) -> None:
    rows, columns = np.triu_indices(len(comparison.names), 1)
    before, after = comparison.full[rows, columns], comparison.compact[rows, columns]
    low, high = min(before.min(), after.min()), max(before.max(), after.max())
    margin = 0.06 * (high - low) or 0.05
    ends = (low - margin, high + margin)
    axes.axhline(0, color=LINE, linewidth=1, zorder=0)
    axes.axvline(0, color=LINE, linewidth=1, zorder=0)
    axes.plot(ends, ends, color=SOFT, linewidth=0.9, linestyle=DASHED, zorder=1)
    axes.scatter(
        before, after, s=min(36.0, max(4.0, 9000 / len(before))), color=PALETTE[0], alpha=0.45,
        linewidths=0, rasterized=len(before) > 2000,
    )  # fmt: skip
    axes.set(xlim=ends, ylim=ends, xlabel="silhouette, full vectors")
    axes.set_ylabel("silhouette, compressed")
    axes.set_aspect("equal")
    axes.spines[["right", "top"]].set_visible(False)
    axes.tick_params(color=LINE)
    _name_changes(axes, comparison, ends)
    r = "" if np.isnan(comparison.correlation) else f", r = {comparison.correlation:.3f}"
    axes.set_title(
        f"{comparison.pairs:,} pairs of {of}: {compared}{r}", fontsize=9.5, color=SOFT, pad=6
    )


def _name_changes(axes: Axes, comparison: Comparison, ends: tuple[float, float]) -> None:
    """Number the pairs that change most, and name them in the corner that the line leaves free."""
    changes = comparison.largest_changes(_LABELLED)
    for number, change in enumerate(changes, start=1):
        axes.plot(change.full, change.compact, "o", color=PALETTE[2], markersize=4.5)
        # Each in a direction of its own, so that the numbers of neighbouring dots stay apart.
        angle = 2 * np.pi * number / _LABELLED
        axes.annotate(
            str(number), (change.full, change.compact), textcoords="offset points",
            xytext=(8 * np.cos(angle), 8 * np.sin(angle)), ha="center", va="center",
            fontsize=7.5, color=INK, weight="bold",
        )  # fmt: skip
    raised = sum(change.compact > change.full for change in changes) * 2 > len(changes)
    # Pairs that rose lie above the line, so that the corner below it is free; and the reverse.
    x, y, across, down = (1.0, 0.02, "right", "bottom") if raised else (0.02, 1.0, "left", "top")
    text = "\n".join(
        f"{number}  {short_label(change.a)} and {short_label(change.b)}"
        for number, change in enumerate(changes, start=1)
    )
    axes.text(
        x, y, f"largest changes\n{text}", transform=axes.transAxes, ha=across, va=down,
        fontsize=7, color=SOFT, linespacing=1.5, bbox={"fc": "white", "ec": "none", "pad": 2},
    )  # fmt: skip
