"""What a classifier made of its works -> figures for print: confusions, regions, learning curves.

Two features span a plane, which clusters are drawn in too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from paint_search.errors import EvalError
from paint_search.eval.inputs import Bools, Floats, Ints
from paint_search.report.groups import OTHER, PALETTE
from paint_search.report.plots.style import INK, LINE, SOFT, check_lengths, drawing, short_label

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_FEW_CLASSES = 20
"""Up to here the numbers are written into a confusion matrix."""
_GRID = 180  # points of a side of the plane for which the class is asked
_MARGIN = 0.06  # of the range of the points, around them
_PALE = 0.24


@dataclass(frozen=True, eq=False)
class Plane:
    """Works in the plane of two features."""

    points: Floats  #: (n, 2) their features
    codes: Ints  #: (n,) the class or cluster of each
    names: Sequence[str]  #: what codes are called
    axes: tuple[str, str]  #: the names of the two features
    #: (n,) those drawn larger, such as the tested ones; None for all alike.
    emphasised: Bools | None = None
    emphasis: str = ""  #: what these are called
    wrong: Bools | None = None  #: (n,) those ringed; None for none
    #: (m, 2) features -> the (m,) codes a model gives them; None for no regions.
    predict: Callable[[Floats], Ints] | None = None
    centres: Floats | None = None  #: (k, 2) marked with crosses; None for none


def confusion_figure(
    confusion: Ints,
    names: Sequence[str],
    title: str,
    plane: Plane | None = None,
    curves: Sequence[Mapping[str, Sequence[float]]] = (),
) -> Figure:
    """The confusion matrix; beside it the regions of two features, or the curves of learning.

    Args:
        confusion: (c, c) how many works of each class (row) were told as each (column).
        names: the c classes.
        title: above the figure.
        plane: the works in the plane of two features.
        curves: of each member of an ensemble of nets, loss and accuracy by epoch.

    Raises:
        EvalError: sizes that do not agree.
    """
    if confusion.shape != (len(names), len(names)):
        raise EvalError(f"{len(names)} classes have no confusions of shape {confusion.shape}.")
    side = max(3.2, min(16.0, 0.42 * len(names)))
    beside = 5.6 if plane is not None or len(curves) else 0.0
    room = 0.9 + 0.055 * max(len(short_label(name)) for name in names)
    with drawing(side + (room + beside if beside else 0), side) as figure:
        width = figure.get_figwidth()
        figure.suptitle(title, x=0.0, y=1 + 0.25 / side, ha="left", va="bottom", size=13.0)
        axes = figure.add_axes((0.0, 0.0, side / width, 1.0))
        _draw_confusion(axes, confusion, names)
        if beside:
            left, high = (side + room) / width, min(1.0, 4.4 / side)
            if plane is not None:
                _draw_plane(figure.add_axes((left, 1 - high, beside / width, high)), plane)
            else:
                _draw_curves(figure, (left, 1 - high, beside / width, high), curves)
    return figure


def plane_figure(plane: Plane, title: str) -> Figure:
    """Works, and the clusters they are in, in the plane of two features."""
    with drawing(6.4, 5.0) as figure:
        axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
        _draw_plane(axes, plane)
        axes.set_title(title, pad=12)
    return figure


def _draw_plane(axes: Axes, plane: Plane) -> None:
    """Draw the works of a plane, the regions below them and their key beside them.

    Raises:
        EvalError: lengths that do not agree.
    """
    from matplotlib.colors import to_rgba_array

    points, codes = plane.points, plane.codes
    check_lengths(len(points), codes=codes, emphasised=plane.emphasised, wrong=plane.wrong)
    colours = np.array([*PALETTE, *[OTHER] * max(0, len(plane.names) - len(PALETTE))])
    low, high = points.min(axis=0), points.max(axis=0)
    margin = _MARGIN * np.where(high > low, high - low, 1.0)
    (left, bottom), (right, top) = low - margin, high + margin
    if plane.predict is not None:
        across, down = np.meshgrid(np.linspace(left, right, _GRID), np.linspace(bottom, top, _GRID))
        found = plane.predict(np.stack([across.ravel(), down.ravel()], axis=1))
        axes.imshow(
            to_rgba_array(colours)[found, :3].reshape(_GRID, _GRID, 3) * _PALE + (1 - _PALE),
            origin="lower", extent=(left, right, bottom, top), aspect="auto",
            interpolation="nearest",
        )  # fmt: skip
    strong = np.ones(len(points), dtype=np.bool_) if plane.emphasised is None else plane.emphasised
    size = min(34.0, max(8.0, 9_000 / len(points)))
    shades = colours[codes]
    _dots(axes, points[~strong], s=size / 3, c=shades[~strong], linewidths=0, alpha=0.7)
    _dots(axes, points[strong], s=size, c=shades[strong], linewidths=0.6, edgecolors="white")
    if plane.wrong is not None:
        _dots(axes, points[plane.wrong], s=2.6 * size, facecolors="none", edgecolors=INK)
    if plane.centres is not None:
        _dots(axes, plane.centres, s=70, c=INK, marker="x", linewidths=1.6)
    axes.set(xlim=(left, right), ylim=(bottom, top), xlabel=plane.axes[0], ylabel=plane.axes[1])
    _key(axes, plane, colours)


def _dots(axes: Axes, points: Floats, **style: Any) -> None:
    axes.scatter(points[:, 0], points[:, 1], **style)


def _key(axes: Axes, plane: Plane, colours: Any) -> None:
    """Say beside a plane what its colours and marks mean."""
    from matplotlib.lines import Line2D

    def dot(colour: str, size: float = 6.0, **more: Any) -> Line2D:
        return Line2D([], [], marker="o", linestyle="", color=colour, markersize=size, **more)

    marks = [
        (dot(colour), short_label(name))
        for colour, name in zip(colours, plane.names, strict=False)
        if colour != OTHER
    ]
    if plane.predict is not None:
        patch = Line2D([], [], marker="s", linestyle="", color=LINE, markersize=8)
        marks.append((patch, "ground: as the model tells"))
    if plane.emphasised is not None:
        marks += [(dot(SOFT), plane.emphasis), (dot(SOFT, 3.5), "learned from")]
    if plane.wrong is not None:
        marks.append((dot(INK, 8, fillstyle="none"), "told wrongly"))
    if plane.centres is not None:
        cross = Line2D([], [], marker="x", linestyle="", color=INK, markersize=7)
        marks.append((cross, "centre"))
    axes.legend(
        [mark for mark, _ in marks], [name for _, name in marks], loc="upper left",
        bbox_to_anchor=(1.01, 1.0), frameon=False, alignment="left", handletextpad=0.3,
    )  # fmt: skip


def _draw_confusion(axes: Axes, confusion: Ints, names: Sequence[str]) -> None:
    """Draw counts as written, the colour by the share of the row."""
    asked = confusion.sum(axis=1, keepdims=True)
    shares = confusion / np.maximum(asked, 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    if len(names) <= _FEW_CLASSES:
        for (row, column), count in np.ndenumerate(confusion):
            colour = "white" if shares[row, column] > 0.6 else INK
            axes.text(column, row, f"{count:,}", ha="center", va="center", color=colour)
    places = np.arange(len(names))
    shown = [short_label(name) for name in names]
    axes.set_yticks(places, shown, parse_math=False)
    longest = max(map(len, shown))
    level = longest * len(names) < 30
    axes.set_xticks(places, shown, parse_math=False, rotation=0 if level else 90)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set(xlabel="told as", ylabel="is")


def _draw_curves(
    figure: Figure,
    room: tuple[float, float, float, float],
    curves: Sequence[Mapping[str, Sequence[float]]],
) -> None:
    """Draw loss and accuracy by epoch: learned from and held out, a line a member."""
    left, bottom, width, height = room
    for place, what in enumerate(("accuracy", "loss")):
        axes = figure.add_axes((left, bottom + place * height * 0.54, width * 0.8, height * 0.42))
        for number, curve in enumerate(curves):
            epochs = np.arange(1, len(curve[what]) + 1)
            lines = ((what, SOFT, "learned from"), (f"held-out {what}", PALETTE[2], "held out"))
            for name, colour, said in lines:
                axes.plot(
                    epochs, curve[name], color=colour, linewidth=1.1, alpha=0.85,
                    label=said if number == 0 else None,
                )  # fmt: skip
        axes.set_ylabel(what)
        axes.spines[["right", "top"]].set_visible(False)
        if place == 0:
            axes.set_xlabel("epoch")
            axes.set_ylim(0, 1.02)
        else:
            axes.tick_params(labelbottom=False)
            axes.set_ylim(bottom=0)
            axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(1.01, 1.0))
