"""Figures for print: what is on them, in what order, and that labels stay as they are."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.text import Text
from numpy.typing import NDArray
from PIL import Image
from scipy.cluster.hierarchy import cophenet, fcluster, leaves_list, linkage
from scipy.spatial.distance import pdist

from paint_search.errors import EvalError
from paint_search.eval import Projection, compare_silhouettes, silhouettes
from paint_search.report import (
    OTHER,
    Curve,
    dendrogram_figure,
    fidelity_figure,
    group_values,
    heat_map_figure,
    interval_figure,
    save_figure,
    scatter_figure,
)

TEX = r"A $\frac{ of_ ^ & <b>"
GAP = "\N{NO-BREAK SPACE}" * 2  # between a dot and its name; SVG drops plain leading spaces


def vectors(count: int) -> NDArray[np.float64]:
    return np.random.default_rng(0).normal(size=(count, 12))


def names(count: int) -> list[str]:
    return [TEX, *[f"Painter {i}" for i in range(1, count)]]


def tree(count: int) -> NDArray[np.float64]:
    return linkage(vectors(count), "average", metric="cosine")  # type: ignore[no-any-return]


def similarity(count: int) -> NDArray[np.float64]:
    unit = vectors(count) / np.linalg.norm(vectors(count), axis=1, keepdims=True)
    return unit @ unit.T  # type: ignore[no-any-return]


def projection(count: int, dims: int = 2) -> Projection:
    points = vectors(count)[:, :dims].astype(np.float32)
    return Projection(points, "pca", (0.31, 0.22, 0.1)[:dims], 0.9, count, {"trust_neighbours": 2})


def texts(figure: Figure) -> list[str]:
    return [t.get_text() for t in figure.findobj(Text) if t.get_text() and t.get_visible()]


def marks(figure: Figure, axes: int = 0) -> Any:
    """The only collection of lines, dots or cells on an axes."""
    (only,) = figure.axes[axes].collections
    return only


def picture(i: int) -> Image.Image:
    return Image.new("RGB", (30, 20 + i), (i, 0, 0))


FIGURES: dict[str, Callable[[], Figure]] = {
    "scatter": lambda: scatter_figure(
        projection(9), group_values("artist", names(9)), TEX, names(9)
    ),
    "scatter 3-D": lambda: scatter_figure(projection(9, 3), group_values("artist", names(9)), TEX),
    "heat map": lambda: heat_map_figure(similarity(9), names(9), tree(9), TEX),
    "dendrogram": lambda: dendrogram_figure(tree(9), names(9), TEX, cut=0.8, thumbnail=picture),
    "intervals": lambda: interval_figure(
        names(9), vectors(9)[:, 0], vectors(9)[:, :2], [2] * 9, TEX, "silhouette"
    ),
}


@pytest.mark.parametrize("name", FIGURES)
def test_figures_are_written_as_png_and_svg_with_labels_as_they_are(
    name: str, tmp_path: Path
) -> None:
    png, svg = tmp_path / "figure.png", tmp_path / "figure.svg"
    save_figure(FIGURES[name](), png, svg)
    with Image.open(png) as image:
        pixels = np.asarray(image.convert("L"))
    assert min(pixels.shape) > 200
    assert pixels.std() > 5  # something is on it
    written = [
        "".join(node.itertext()) for node in ET.parse(svg).iter() if node.tag.endswith("text")
    ]
    assert TEX in [text.strip() for text in written]
    again = tmp_path / "again.svg"
    save_figure(FIGURES[name](), again)
    assert again.read_bytes() == svg.read_bytes()


def test_scatter_draws_every_painting_in_the_colour_of_its_group() -> None:
    values = [f"a{i % 12:02d}" for i in range(50)] + [None] * 2
    groups = group_values("artist", values)
    figure = scatter_figure(projection(52), groups, "Map", names(52))
    dots = marks(figure)
    places = [tuple(p.round(4).tolist()) for p in projection(52).coordinates.astype(float)]
    wanted = {place: groups.colours[code] for place, code in zip(places, groups.codes, strict=True)}
    drawn = {
        tuple(np.asarray(place, float).round(4).tolist()): to_hex(colour)
        for place, colour in zip(dots.get_offsets(), dots.get_facecolors(), strict=True)
    }
    assert drawn == wanted
    key = figure.axes[0].get_legend()
    assert key is not None
    legend = [text.get_text() for text in key.get_texts()]
    assert legend[:2] == ["a00 (5)", "a01 (5)"]
    assert legend[-1] == f"3 other groups ({8 + 2})"
    assert groups.colours.count(OTHER) == 3
    assert "Component 1: 31.0% of the variance" in texts(figure)
    assert GAP + "Painter 3" not in texts(figure)  # 52 names would be a scribble


def test_scatter_names_the_points_where_they_are_few() -> None:
    figure = scatter_figure(projection(5), group_values("artist", names(5)), "Map", names(5))
    assert {GAP + name for name in names(5)} <= set(texts(figure))


def test_heat_map_is_ordered_by_the_clustering() -> None:
    values = similarity(30)
    values[4, 4] = np.nan  # an artist of one work
    figure = heat_map_figure(values, names(30), tree(30), "Artists")
    axes = figure.axes[1]
    order = leaves_list(tree(30))
    mesh = marks(figure, 1)
    drawn = np.ma.filled(mesh.get_array(), np.nan)
    np.testing.assert_array_equal(drawn, values[np.ix_(order, order)])
    rows = [t.get_text() for t in axes.texts if t.get_rotation() == 0]
    columns = [t.get_text() for t in axes.texts if t.get_rotation() == 90]
    assert rows == columns == [names(30)[i] for i in order]


def test_heat_map_writes_values_only_where_cells_are_few() -> None:
    few = texts(heat_map_figure(similarity(6), names(6), tree(6), "Artists"))
    assert few.count("1.00") == 6
    assert f"{similarity(6)[0, 1]:.2f}" in few
    assert "1.00" not in texts(heat_map_figure(similarity(25), names(25), tree(25), "Artists"))


def test_heat_map_of_one_value_everywhere_is_drawn(tmp_path: Path) -> None:
    save_figure(heat_map_figure(np.ones((3, 3)), names(3), tree(3), "Same"), tmp_path / "a.png")


def test_dendrogram_joins_leaves_at_their_cophenetic_distances() -> None:
    figure = dendrogram_figure(tree(8), names(8), "Tree")
    lines = marks(figure)
    heights = {round(float(path.vertices[:, 0].max()), 6) for path in lines.get_paths()}
    distances = cophenet(tree(8), pdist(vectors(8), "cosine"))[1]
    assert heights == {round(float(d), 6) for d in distances}
    labels = [t.get_text() for t in figure.axes[0].texts]
    assert labels == [names(8)[i] for i in leaves_list(tree(8))]


def test_dendrogram_colours_the_clusters_below_the_cut() -> None:
    cut = float(np.median(tree(12)[:, 2]))
    figure = dendrogram_figure(tree(12), names(12), "Tree", cut=cut)
    lines = marks(figure)
    ink = lines.get_colors()[-1]  # the root lies above any cut
    below = [path.vertices[:, 0].max() < cut for path in lines.get_paths()]
    coloured = [not np.array_equal(colour, ink) for colour in lines.get_colors()]
    assert coloured == below
    sizes = np.bincount(fcluster(tree(12), cut, "distance"))
    assert len({tuple(c) for c in lines.get_colors()}) - 1 == min(10, (sizes > 1).sum())


def test_dendrogram_shows_each_leaf_its_own_thumbnail_where_they_are_few() -> None:
    from matplotlib.offsetbox import OffsetImage

    figure = dendrogram_figure(tree(9), names(9), "Tree", thumbnail=picture)
    shown = [np.asarray(image.get_data())[0, 0, 0] for image in figure.findobj(OffsetImage)]
    assert shown == leaves_list(tree(9)).tolist()
    many = 61
    figure = dendrogram_figure(tree(many), names(many), "Tree", thumbnail=picture)
    assert figure.findobj(OffsetImage) == []


def test_a_large_tree_is_drawn_from_its_last_merges() -> None:
    most, count = 600, 750
    figure = dendrogram_figure(tree(count), names(count), "Tree")
    labels = [t.get_text() for t in figure.axes[0].texts]
    assert len(labels) == most
    together = [int(t[1:].split()[0]) for t in labels if t.endswith("together)")]
    assert sum(together) + len(labels) - len(together) == count


def test_intervals_are_drawn_best_first_with_the_number_of_works() -> None:
    values = np.array([0.1, 0.4, -0.2])
    bounds = np.c_[values - 0.05, values + 0.1]
    figure = interval_figure(["a", "b", "c"], values, bounds, [3, 1200, 7], "T", "silhouette")
    axes = figure.axes[0]
    assert [t.get_text() for t in axes.get_yticklabels()] == ["b (1,200)", "a (3)", "c (7)"]
    spans = marks(figure)
    drawn = np.array([path.vertices[:, 0] for path in spans.get_paths()])
    np.testing.assert_allclose(drawn, bounds[[1, 0, 2]])


def test_a_label_as_long_as_a_sentence_is_cut() -> None:
    figure = dendrogram_figure(tree(3), ["x" * 200, "b", "c"], "Tree")
    assert max(len(t) for t in texts(figure)) <= 48


@pytest.mark.parametrize(
    ("draw", "words"),
    [
        (lambda: heat_map_figure(similarity(3), names(4), tree(4), "T"), "4 x 4 values"),
        (lambda: heat_map_figure(similarity(4), names(4), tree(3), "T"), "not 4 x 4 and 2"),
        (lambda: heat_map_figure(similarity(3) * np.nan, names(3), tree(3), "T"), "no finite"),
        (lambda: dendrogram_figure(tree(4), names(3), "T"), "4 entries, but 3 labels"),
        (lambda: dendrogram_figure(np.empty((0, 4)), names(1), "T"), "at least two leaves"),
        (lambda: scatter_figure(projection(4), group_values("a", ["b"]), "T"), "but 1 groups"),
        (lambda: interval_figure([], np.array([]), np.empty((0, 2)), [], "T", "m"), "no label"),
        (lambda: interval_figure(["a"], np.ones(2), np.ones((1, 2)), [1], "T", "m"), "2 values"),
    ],
)  # fmt: skip
def test_sizes_that_do_not_agree_are_refused(draw: Callable[[], Figure], words: str) -> None:
    with pytest.raises(EvalError, match=words):
        draw()


def test_figures_leave_no_trace_in_matplotlib(tmp_path: Path) -> None:
    import matplotlib as mpl
    from matplotlib import _pylab_helpers

    before = dict(mpl.rcParams)
    save_figure(FIGURES["dendrogram"](), tmp_path / "a.png")
    assert dict(mpl.rcParams) == before
    assert not _pylab_helpers.Gcf.figs


def curve(name: str, figures: Sequence[str] = ("recall", "order")) -> Curve:
    return Curve(name, [64, 320], {figure: [0.6, 0.9] for figure in figures})


def test_curves_stand_alone_where_there_are_no_silhouettes(tmp_path: Path) -> None:
    figure = fidelity_figure([curve("pca"), curve(TEX)], None, "Kept", "pca at 64", "artists")
    shown = texts(figure)
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["recall", "order"]
    assert {"Kept", "pca", TEX, "dimensions"} <= set(shown)
    assert figure.axes[0].get_xticks().tolist() == [64, 320]
    save_figure(figure, tmp_path / "kept.svg")
    assert TEX in " ".join(ET.parse(tmp_path / "kept.svg").getroot().itertext())


def test_the_pairs_that_change_most_are_named_where_nothing_is_drawn() -> None:
    rng = np.random.default_rng(0)
    labels = [f"Painter {row % 5}" for row in range(60)]
    full = rng.normal(size=(60, 9)) + np.eye(5, 9)[np.arange(60) % 5]
    comparison = compare_silhouettes(silhouettes(full, labels), silhouettes(full[:, :3], labels))
    figure = fidelity_figure([curve("pca")], comparison, "Kept", "pca at 64", "artists")
    change = comparison.largest_changes(1)[0]
    (named,) = (text for text in texts(figure) if text.startswith("largest changes"))
    assert named.splitlines()[1] == f"1  {change.a} and {change.b}"
    assert {"1", "6"} <= set(texts(figure))
    (dots,) = figure.axes[-1].collections
    above = np.triu_indices(5, 1)
    expected = np.c_[comparison.full[above], comparison.compact[above]]
    np.testing.assert_allclose(dots.get_offsets(), expected)


@pytest.mark.parametrize("curves", [[], [curve("pca"), curve("other", ["recall"])]])
def test_curves_of_unlike_figures_are_refused(curves: list[Curve]) -> None:
    with pytest.raises(EvalError, match="all of the same figures"):
        fidelity_figure(curves, None, "Kept", "", "artists")
