"""Arrays and labels -> figures for print: map, heat map, dendrogram, values with their intervals.

Each function returns a matplotlib figure that belongs to nobody (no pyplot, no window, no global
state); `save_figure` writes it. Labels are shown as they are, never read as TeX. No metric here.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from paint_search.errors import EvalError
from paint_search.report.groups import NOT_GIVEN, OTHER, PALETTE
from paint_search.report.plot_parts import (
    INK,
    LINE,
    MOST_LEAVES,
    SOFT,
    branch_label,
    check_lengths,
    draw_tree,
    new_figure,
    place_thumbnail,
    print_style,
    short_label,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray
    from PIL import Image

    from paint_search.eval.maps import Projection
    from paint_search.report.groups import Groups

DPI = 150
FEW_POINTS = 40
"""Up to here every point of a printed map bears its name."""
FEW_LEAVES = 60
"""Up to here a dendrogram shows thumbnails."""
FEW_CELLS = 20
"""Up to here a heat map has its values written in."""
_ROW = 0.17  # inches a label needs to be readable
_LARGEST_HEAT_MAP = 36.0  # inches


def save_figure(figure: Figure, *paths: str | os.PathLike[str]) -> None:
    """Write a figure to each path, in the format of its ending (png, svg, pdf).

    The same figure gives the same bytes: no date is written into it.
    """
    no_date = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}
    with print_style():
        for path in paths:
            metadata = no_date.get(Path(path).suffix.lower())
            figure.savefig(path, dpi=DPI, bbox_inches="tight", metadata=metadata)


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
    with print_style():
        figure = new_figure(8.6, 6.4)
        axes: Any = figure.add_subplot(projection="3d" if projection.dims == 3 else None)
        colours = np.array(groups.colours)[groups.codes]
        # Grey below colour, otherwise in a fixed shuffle: no group always covers another.
        order = np.random.default_rng(0).permutation(len(points))
        order = order[np.argsort(colours[order] != OTHER, kind="stable")]
        axes.scatter(
            *points[order].T, c=colours[order], s=min(60.0, max(5.0, 18_000 / len(points))),
            linewidths=0, rasterized=len(points) > 5_000,
        )  # fmt: skip
        if labels is not None and len(points) <= FEW_POINTS:
            axes.margins(x=0.2)
            for point, label in zip(points, labels, strict=True):
                axes.text(
                    *point,
                    "\N{NO-BREAK SPACE}" * 2 + short_label(label),
                    fontsize=7.5,
                    va="center",
                    color=SOFT,
                )
        _name_axes(axes, projection)
        axes.set_title(title, pad=12)
        _legend(axes, groups, left=1.02 if projection.dims == 2 else 1.2)
    return figure


def heat_map_figure(
    similarity: NDArray[np.floating[Any]],
    labels: Sequence[str],
    linkage: NDArray[np.float64],
    title: str,
    measure: str = "cosine similarity",
) -> Figure:
    """Similarity of labels as a coloured table, ordered by a hierarchical clustering.

    Args:
        similarity: (m, m); NaN, such as the diagonal of an artist of one work, stays grey.
        labels: (m) names of rows and columns.
        linkage: (m - 1, 4), of ``scipy.cluster.hierarchy.linkage``; also drawn, at the left.
        title: above the figure.
        measure: what the colours stand for.

    Raises:
        EvalError: sizes that do not agree, or no finite similarity at all.
    """
    from matplotlib import colormaps
    from scipy.cluster.hierarchy import leaves_list

    count = len(labels)
    if similarity.shape != (count, count) or len(linkage) != count - 1:
        raise EvalError(
            f"A heat map of {count} labels needs {count} x {count} values and {count - 1} merges, "
            f"not {' x '.join(map(str, similarity.shape))} and {len(linkage)}."
        )
    order = leaves_list(linkage)
    ordered = similarity[np.ix_(order, order)]
    names = [short_label(labels[i]) for i in order]
    colours = colormaps["viridis"].with_extremes(bad=LINE)
    with print_style():
        figure, tree, axes, bar = _heat_map_rooms(names)
        above = 1 + 0.12 / figure.get_figheight()
        figure.suptitle(title, x=0.0, y=above, ha="left", va="bottom", size=13.0)
        draw_tree(tree, linkage, cut=None)
        tree.set_ylim(10 * count, 0)
        low, high = _colour_range(ordered)
        edges = np.arange(count + 1) - 0.5
        # A mesh, not an image, which matplotlib would enlarge in floats: seconds and a gigabyte.
        mesh = axes.pcolormesh(
            edges, edges, np.ma.masked_invalid(ordered), cmap=colours, vmin=low, vmax=high,
            rasterized=True,
        )  # fmt: skip
        axes.set_ylim(count - 0.5, -0.5)
        if count <= FEW_CELLS:
            _write_values(axes, ordered, (low + high) / 2)
        figure.colorbar(mesh, cax=bar, extend="both", ticklocation="left").set_label(measure)
    return figure


def dendrogram_figure(
    linkage: NDArray[np.float64],
    labels: Sequence[str],
    title: str,
    distance: str = "cosine distance at which groups join",
    cut: float | None = None,
    thumbnail: Callable[[int], Image.Image | NDArray[np.uint8]] | None = None,
) -> Figure:
    """The tree of a hierarchical clustering, root at the left, a label a leaf.

    A tree of more than 600 leaves is drawn from its last merges; a branch that stands for several
    leaves is labelled with their number.

    Args:
        linkage: (m - 1, 4), of ``scipy.cluster.hierarchy.linkage``.
        labels: (m) names of the leaves.
        title: above the figure.
        distance: what the axis measures.
        cut: a height; a line marks it, and each cluster below it has a colour.
        thumbnail: leaf -> picture, shown where there are 60 leaves or fewer.

    Raises:
        EvalError: fewer than two leaves, or as many labels as leaves are not there.
    """
    if not len(linkage):
        raise EvalError("A dendrogram needs at least two leaves.")
    check_lengths(len(linkage) + 1, labels=labels)
    pictured = thumbnail is not None and len(labels) <= FEW_LEAVES
    with print_style():
        figure = new_figure(
            8.6, max(2.4, (0.5 if pictured else _ROW) * min(len(labels), MOST_LEAVES))
        )
        axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
        leaves = draw_tree(axes, linkage, cut)
        for row, leaf in enumerate(leaves):
            y, x = 10 * row + 5, 6.0
            if thumbnail is not None and pictured:
                place_thumbnail(axes, thumbnail(leaf), y)
                x = 42.0
            text = short_label(labels[leaf]) if leaf < len(labels) else branch_label(linkage, leaf)
            axes.annotate(
                text, (0, y), (x, 0), textcoords="offset points", va="center", annotation_clip=False
            )
        axes.set_ylim(10 * len(leaves), 0)
        axes.set_yticks([])
        axes.spines[["left", "right", "top"]].set_visible(False)
        axes.set_xlabel(distance)
        axes.set_title(title, pad=12)
    return figure


def interval_figure(
    labels: Sequence[str],
    values: NDArray[np.floating[Any]],
    intervals: NDArray[np.floating[Any]],
    counts: Sequence[int],
    title: str,
    measure: str,
) -> Figure:
    """One value a label with its interval, best first: how far a label's figure can be relied on.

    Args:
        labels: (m) names.
        values: (m) such as the mean silhouette of each artist.
        intervals: (m, 2) lower and upper bound, as of a bootstrap.
        counts: (m) works behind each value.
        title: above the figure.
        measure: what the axis shows.

    Raises:
        EvalError: no labels, or lengths that do not agree.
    """
    if not len(labels):
        raise EvalError("There is no label to show.")
    check_lengths(len(labels), values=values, intervals=intervals, counts=counts)
    order = np.argsort(-values, kind="stable")
    rows = np.arange(len(labels))
    with print_style():
        figure = new_figure(7.0, max(2.0, _ROW * 1.1 * len(labels)))
        axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
        axes.axvline(0, color=LINE, linewidth=1, zorder=0)
        axes.hlines(rows, *intervals[order].T, color=PALETTE[0], alpha=0.45, linewidth=3)
        axes.plot(values[order], rows, "o", color=PALETTE[0], markersize=4)
        names = [f"{short_label(labels[i])} ({counts[i]:,})" for i in order]
        axes.set_yticks(rows, names, parse_math=False)
        axes.set_ylim(len(labels) - 0.4, -0.6)
        axes.tick_params(length=0)
        axes.spines[["left", "right", "top"]].set_visible(False)
        axes.set_xlabel(measure)
        axes.set_title(title, pad=12)
    return figure


def _name_axes(axes: Axes, projection: Projection) -> None:
    for axis, name in zip("xyz", projection.axis_labels, strict=False):
        axes.set(**{f"{axis}label": name, f"{axis}ticks": []})
    axes.set_aspect("equal", adjustable="datalim" if projection.dims == 2 else "box")


def _legend(axes: Axes, groups: Groups, left: float) -> None:
    from matplotlib.lines import Line2D

    shown = [
        (f"{short_label(name)} ({count:,})", colour)
        for name, count, colour in zip(groups.names, groups.counts, groups.colours, strict=True)
        if colour != OTHER
    ]
    grey = [
        (name, count)
        for name, count, colour in zip(groups.names, groups.counts, groups.colours, strict=True)
        if colour == OTHER
    ]
    if grey:
        paintings = sum(count for _, count in grey)
        only_missing = [name for name, _ in grey] == [NOT_GIVEN]
        what = NOT_GIVEN if only_missing else f"{len(grey):,} other groups"
        shown.append((f"{what} ({paintings:,})", OTHER))
    dots = [Line2D([], [], marker="o", linestyle="", color=colour) for _, colour in shown]
    axes.legend(
        dots, [text for text, _ in shown], title=groups.field, loc="upper left",
        bbox_to_anchor=(left, 1.0), frameon=False, alignment="left", handletextpad=0.2,
    )  # fmt: skip


def _heat_map_rooms(names: Sequence[str]) -> tuple[Figure, Axes, Axes, Axes]:
    """A figure with rooms for tree, cells and colour bar, in inches; the names already written.

    Names are plain texts and not ticks, which take matplotlib seconds where there are hundreds.
    """
    count = len(names)
    side = min(_LARGEST_HEAT_MAP, (0.36 if count <= FEW_CELLS else _ROW) * count)
    size = min(9.0, 72 * side / count * 0.75)
    branches = min(3.0, max(0.9, 0.2 * side))
    figure = new_figure(side + branches, side)
    left = branches / (side + branches)
    tree = figure.add_axes((0.0, 0.0, left * 0.98, 1.0))
    axes = figure.add_axes((left, 0.0, 1.0 - left, 1.0))
    bar = figure.add_axes((-0.25 / (side + branches), 0.0, 0.14 / (side + branches), 1.0))
    bar.set_anchor("N")
    bar.set_box_aspect(min(side, 3.0) / 0.14)
    tree.axis("off")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
    edge = count - 0.5 + count * 0.05 / side
    for row, name in enumerate(names):
        axes.text(edge, row, name, size=size, va="center")
        axes.text(row, edge, name, size=size, ha="center", va="top", rotation=90)
    return figure, tree, axes, bar


def _colour_range(values: NDArray[np.floating[Any]]) -> tuple[float, float]:
    """From the 2nd to the 98th percentile: one odd pair must not wash out all the others."""
    finite = values[np.isfinite(values)]
    if not finite.size:
        raise EvalError("The heat map has no finite value to show.")
    low, high = np.percentile(finite, (2, 98))
    return (float(low), float(high)) if low < high else (float(low) - 0.01, float(high) + 0.01)


def _write_values(axes: Axes, values: NDArray[np.floating[Any]], middle: float) -> None:
    for (row, column), value in np.ndenumerate(values):
        if np.isfinite(value):
            colour = "white" if value < middle else INK
            axes.text(
                column, row, f"{value:.2f}", ha="center", va="center", color=colour, fontsize=6
            )
