"""Reliability diagrams and training curves -> figures for print."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from paint_search.report.groups import PALETTE
from paint_search.report.plots.style import DASHED, LINE, SOFT, drawing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from paint_search.eval import Reliability
    from paint_search.eval.inputs import Floats


def reliability_figure(diagrams: Mapping[str, Reliability], promised: str) -> Figure:
    """Draw observed shares over forecasts, and below them how often each forecast was made.

    Args:
        diagrams: by what they are called in the legend.
        promised: what the probability is of, for the axis.
    """
    with drawing(6.0, 6.4) as figure:
        axes, below = figure.subplots(
            2, 1, sharex=True, height_ratios=(4, 1), gridspec_kw={"hspace": 0.08}
        )
        axes.plot([0, 1], [0, 1], color=SOFT, linewidth=0.9, linestyle=DASHED)
        axes.text(0.03, 0.09, "as promised", rotation=45, color=SOFT, fontsize=8)
        width = 0.8 / max(1, len(diagrams))
        for number, (name, diagram) in enumerate(diagrams.items()):
            colour = PALETTE[number % len(PALETTE)]
            filled = diagram.counts > 0
            axes.plot(
                diagram.forecast[filled], diagram.observed[filled],
                marker="o", markersize=4, color=colour, label=name,
            )  # fmt: skip
            step = np.diff(diagram.edges)
            left = diagram.edges[:-1] + step * (0.1 + number * width)
            below.bar(
                left, diagram.counts / diagram.counts.sum(),
                width=step * width, align="edge", color=colour,
            )  # fmt: skip
        axes.set(xlim=(0, 1), ylim=(0, 1), ylabel="Share that came true")
        axes.set_title("Reliability", pad=12)
        axes.legend(frameon=False, loc="lower right")
        below.set(xlabel=promised, ylabel="Share of pairs")
        for part in (axes, below):
            part.grid(color=LINE, linewidth=0.5)
            part.set_axisbelow(True)
    return figure


def curve_figure(steps: Floats, losses: Floats, aucs: Floats) -> Figure:
    """Draw how a training went: the loss of what was learned from, the AUC of what was not.

    Args:
        steps: (n,) of the checks.
        losses: (n,) mean loss since the check before.
        aucs: (n,) on pairs that were kept out.
    """
    with drawing(6.8, 4.2) as figure:
        axes = figure.add_subplot()
        other = axes.twinx()
        axes.plot(steps, losses, marker="o", markersize=3, color=PALETTE[2])
        other.plot(steps, aucs, marker="o", markersize=3, color=PALETTE[0])
        best = int(np.argmax(aucs))
        other.axvline(steps[best], color=SOFT, linewidth=0.9, linestyle=DASHED)
        axes.set(xlabel="Step; dashed: the one that is kept", xlim=(0, None))
        axes.set_ylabel("Loss of what was learned from", color=PALETTE[2])
        other.set_ylabel("AUC of what was kept out", color=PALETTE[0])
        axes.set_title("Training", pad=12)
        axes.grid(color=LINE, linewidth=0.5)
    return figure
