"""Labels, such as artists -> heat map, tree, and values with their intervals, for print."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from paint_search.errors import EvalError
from paint_search.report.groups import PALETTE
from paint_search.report.plots.style import (
    DASHED,
    INK,
    LINE,
    SOFT,
    check_lengths,
    drawing,
    short_label,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray
    from PIL import Image

_FEW_CELLS = 20  # up to here a heat map has its values written in
_FEW_LEAVES = 60  # up to here a tree shows thumbnails
_MOST_LEAVES = 600  # a larger tree is drawn from its last merges down to so many branches
_LEAF = 128  # pixels of a thumbnail, four times what it takes on the screen
_ROW = 0.17  # inches a label needs to be readable
_LARGEST_HEAT_MAP = 36.0  # inches


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
    side = min(_LARGEST_HEAT_MAP, (0.36 if count <= _FEW_CELLS else _ROW) * count)
    branches = min(3.0, max(0.9, 0.2 * side))
    with drawing(side + branches, side) as figure:
        tree, axes, bar = _heat_map_rooms(figure, names, branches)
        figure.suptitle(title, x=0.0, y=1 + 0.12 / side, ha="left", va="bottom", size=13.0)
        _draw_tree(tree, linkage, cut=None)
        tree.set_ylim(10 * count, 0)
        low, high = _colour_range(ordered)
        edges = np.arange(count + 1) - 0.5
        # A mesh, not an image, which matplotlib would enlarge in floats: seconds and a gigabyte.
        mesh = axes.pcolormesh(
            edges, edges, np.ma.masked_invalid(ordered), cmap=colours, vmin=low, vmax=high,
            rasterized=True,
        )  # fmt: skip
        axes.set_ylim(count - 0.5, -0.5)
        if count <= _FEW_CELLS:
            for (row, column), value in np.ndenumerate(ordered):
                if np.isfinite(value):
                    axes.text(
                        column, row, f"{value:.2f}", ha="center", va="center", fontsize=6,
                        color="white" if value < (low + high) / 2 else INK,
                    )  # fmt: skip
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
    pictured = thumbnail is not None and len(labels) <= _FEW_LEAVES
    height = (0.5 if pictured else _ROW) * min(len(labels), _MOST_LEAVES)
    with drawing(8.6, max(2.4, height)) as figure:
        axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
        leaves = _draw_tree(axes, linkage, cut)
        for row, leaf in enumerate(leaves):
            y, x = 10 * row + 5, 6.0
            if thumbnail is not None and pictured:
                _place_thumbnail(axes, thumbnail(leaf), y)
                x = 42.0
            if leaf < len(labels):
                text = short_label(labels[leaf])
            else:  # a branch that stands for several leaves
                text = f"({int(linkage[leaf - len(labels), 3]):,} together)"
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
    with drawing(7.0, max(2.0, _ROW * 1.1 * len(labels))) as figure:
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


def silhouette_figure(
    values: NDArray[np.floating[Any]], labels: Sequence[str], title: str, measure: str
) -> Figure:
    """The silhouette of each work, sorted within its label (Rousseeuw 1987, figure 2).

    Args:
        values: (n,) from -1 to 1.
        labels: (n) of the works.
        title: above the figure.
        measure: what the axis shows.

    Raises:
        EvalError: no works, or lengths that do not agree.
    """
    if not len(labels):
        raise EvalError("There is no label to show.")
    check_lengths(len(labels), values=values)
    gap, start, middles, names = max(1, len(labels) // 40), 0, [], sorted(set(labels))
    with drawing(7.0, 4.2) as figure:
        axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
        axes.axvline(0, color=LINE, linewidth=1, zorder=0)
        for place, name in enumerate(names):
            own = -np.sort(-values[np.array([label == name for label in labels])])
            rows = np.arange(start, start + len(own) + 1) - 0.5
            shade = PALETTE[place % len(PALETTE)]
            axes.fill_betweenx(rows, np.append(own, own[-1]), step="post", color=shade, linewidth=0)
            middles.append((rows[0] + rows[-1]) / 2)
            start += len(own) + gap
        axes.axvline(float(values.mean()), color=SOFT, linewidth=0.9, linestyle=DASHED)
        said = [f"{short_label(name)} ({labels.count(name):,})" for name in names]
        axes.set_yticks(middles, said, parse_math=False)
        axes.set_ylim(start - gap, -1)
        axes.tick_params(length=0)
        axes.spines[["left", "right", "top"]].set_visible(False)
        axes.set_xlabel(measure)
        axes.set_title(title, pad=12)
    return figure


def _heat_map_rooms(
    figure: Figure, names: Sequence[str], branches: float
) -> tuple[Axes, Axes, Axes]:
    """Rooms for the tree, ``branches`` inches wide, the cells, whose names it writes, and the bar.

    Names are plain texts and not ticks, which take matplotlib seconds where there are hundreds.
    """
    count, side = len(names), figure.get_figheight()
    size = min(9.0, 72 * side / count * 0.75)
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
    return tree, axes, bar


def _colour_range(values: NDArray[np.floating[Any]]) -> tuple[float, float]:
    """From the 2nd to the 98th percentile: one odd pair must not wash out all the others."""
    finite = values[np.isfinite(values)]
    if not finite.size:
        raise EvalError("The heat map has no finite value to show.")
    low, high = np.percentile(finite, (2, 98))
    return (float(low), float(high)) if low < high else (float(low) - 0.01, float(high) + 0.01)


def _draw_tree(axes: Axes, linkage: NDArray[np.float64], cut: float | None) -> list[int]:
    """Draw the merges, leaves at the right at y = 5, 15, 25 ...; return the leaves from the top."""
    from matplotlib.collections import LineCollection
    from scipy.cluster.hierarchy import dendrogram

    tree = dendrogram(
        linkage, no_plot=True, p=_MOST_LEAVES,
        truncate_mode="lastp" if len(linkage) >= _MOST_LEAVES else None,
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
        axes.axvline(cut, color=SOFT, linewidth=0.9, linestyle=DASHED)
    return list(tree["leaves"])


def _place_thumbnail(axes: Axes, picture: Image.Image | NDArray[np.uint8], y: float) -> None:
    """Put a picture to the right of the leaf at height y."""
    from matplotlib.offsetbox import AnnotationBbox, OffsetImage

    from paint_search.indexer.images.thumbnails import shrunk

    small = shrunk(picture, _LEAF)
    image = OffsetImage(np.asarray(small), zoom=32 / max(small.size), resample=True)
    axes.add_artist(
        AnnotationBbox(
            image, (0, y), (22, 0), boxcoords="offset points", frameon=False, annotation_clip=False
        )
    )
