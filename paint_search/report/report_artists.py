"""Sections of the report on artists: likeness, the closest and farthest pairs, silhouettes.

In goes the collection, out comes the body of one section. EvalError says why there is nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from paint_search.errors import EvalError
from paint_search.eval.artists import ArtistPair, ArtistSimilarity, artist_similarity
from paint_search.eval.outliers import typical_works
from paint_search.report.report_data import LEAST_WORKS, SHOWN_LABELS, Collection
from paint_search.report.report_parts import (
    Html,
    beside,
    gallery,
    heading,
    join,
    plot,
    table,
    work,
)

if TYPE_CHECKING:
    from paint_search.eval.clusters import Hierarchy
    from paint_search.eval.inputs import Floats
    from paint_search.eval.silhouette import Silhouette

_PAIRS = 6
_PICTURED_LEAVES = 20  # a taller tree would not fit a printed page
_LISTED = 5


def likeness(collection: Collection) -> Html:
    """The heat map and the tree of those of most works."""
    from paint_search.eval.clusters import centroids, hierarchy

    collection.several(2, "draw a tree of likeness")
    labels = collection.only([name for name, _ in collection.ranked[:SHOWN_LABELS]])
    names, centres = centroids(collection.vectors, labels)
    tree = hierarchy(centres, names)
    return join(_heat_map(collection, labels, tree), _tree(collection, labels, tree))


def pairs(collection: Collection) -> Html:
    """The closest and the farthest pairs, each with the two works that are closest across it."""
    names = collection.several(3, "say which two are closest")
    similarity = artist_similarity(collection.vectors, collection.only(names))
    many = collection.many
    least = min(count for name, count in collection.ranked if name in set(names))
    explained = (
        f"The score is the mean likeness (cosine) over all pairs of works across the two {many}; "
        "shown are the two works, one of each, that are closest. "
        f"{_compared(collection, len(names), least)}; each is named once in a list. "
    )
    return join(
        heading(f"The closest pairs of {many}"),
        gallery(
            [_pair(collection, pair) for pair in _disjoint(similarity, -similarity.mean)],
            explained + f"A high score says that subject, colour, light or manner agree, and "
            f"often just that both {many} kept to one kind of picture.",
        ),
        heading(f"The farthest pairs of {many}"),
        gallery(
            [_pair(collection, pair) for pair in _disjoint(similarity, similarity.mean)],
            explained + "Even the closest works of such a pair have little in common to the model. "
            "Few, very uniform or abstract works lead far from nearly everyone.",
        ),
    )


def separation(collection: Collection) -> Html:
    """Silhouettes: how well artists stand apart, all together and two by two."""
    from paint_search.eval.silhouette import silhouettes

    least = LEAST_WORKS if len(collection.having(LEAST_WORKS)) > 1 else 2
    several = collection.having(2)
    if len(several) < 2:
        raise EvalError(
            f"It takes two {collection.many} of two or more works each to say how well they stand "
            f"apart; here {'is' if several else 'are'} {len(several) or 'none'}."
        )
    result = silhouettes(collection.vectors, collection.labels, min_works=least)
    return join(
        _intervals(collection, result, least),
        heading("Two by two"),
        _two_by_two(collection, result),
    )


def _heat_map(collection: Collection, labels: Sequence[str | None], tree: Hierarchy) -> Html:
    from paint_search.report.plots import heat_map_figure

    one, many, names = collection.one, collection.many, tree.names
    similarity = artist_similarity(collection.vectors, labels)
    title = f"How alike {_extent(collection, len(names))} paint"
    return plot(
        heat_map_figure(similarity.mean, names, tree.linkage, title, "mean cosine"),
        f"Heat map of the likeness of {many}",
        f"Each square is the mean likeness of all pairs of works of the {one} of its row and the "
        f"{one} of its column; on the diagonal, of the works of one {one} among themselves (grey "
        "for a single work). Yellow is most alike. A square says how alike the pictures are to the "
        "model, not who influenced whom; a dark square on the diagonal is an uneven oeuvre, or "
        f"uneven photographs. {_reading(collection, len(names))}",
    )


def _tree(collection: Collection, labels: Sequence[str | None], tree: Hierarchy) -> Html:
    from paint_search.report.plots import dendrogram_figure

    names = tree.names
    typical = typical_works(collection.vectors, labels)
    pictured = len(names) <= _PICTURED_LEAVES
    figure = dendrogram_figure(
        tree.linkage,
        names,
        f"Which of {_extent(collection, len(names))} belong together",
        thumbnail=(lambda leaf: collection.picture(typical[names[leaf]])) if pictured else None,
    )
    truth = (
        f"How true the tree is to the distances: {tree.cophenetic:.2f} (1 is wholly). "
        if np.isfinite(tree.cophenetic)
        else ""
    )
    return plot(
        figure,
        f"Tree of the likeness of {collection.many}",
        f"{collection.many.capitalize()} that join far to the right are most alike; read the tree "
        "from there to the left (average linkage on the cosine distance of mean works). Only where "
        f"two branches join means something, not which of the two is above. {truth}"
        + ("Beside each name its most typical work. " if pictured else "")
        + _reading(collection, len(names)),
    )


def _intervals(collection: Collection, result: Silhouette, least: int) -> Html:
    from paint_search.report.plots import interval_figure

    one, many = collection.one, collection.many
    shown = sorted(result.per_label, key=lambda label: (-label.works, label.label))[:SHOWN_LABELS]
    figure = interval_figure(
        [label.label for label in shown],
        np.array([label.value for label in shown]),
        np.array([(label.low, label.high) for label in shown]),
        [label.works for label in shown],
        f"How well {_extent(collection, len(shown))} stand apart",
        "mean silhouette, cosine distance, with its 95 % interval",
    )
    return plot(
        figure,
        f"Silhouettes of {many}",
        f"Near 1: the works of this {one} keep to themselves. Near 0: they lie among those of "
        "others. Below 0: they lie closer to someone else's than to each other. The bar is the "
        f"range that chance in the choice of works allows. Measured against all {many} of {least} "
        f"or more works. {_reading(collection, len(shown))} A low value is no sign of a weak "
        "painter: many sides, shared subjects and a common school give the same.",
    )


def _two_by_two(collection: Collection, result: Silhouette) -> Html:
    ends = _LISTED if len(result.pair_values) > 2 * _LISTED else 0
    listed = [("best", pair) for pair in result.best(ends)]
    listed += [("in the middle", result.median())]
    listed += [("worst", pair) for pair in reversed(result.worst(ends))]
    if not ends:  # so few that all can be named
        listed = [("", pair) for pair in result.best(len(result.pair_values))]
    return table(
        ("", "", "", ">silhouette", ">95 % interval"),
        [
            (place, pair.a, pair.b, f"{pair.value:.3f}", f"{pair.low:.3f} to {pair.high:.3f}")
            for place, pair in listed
        ],
        f"The same, as if only these two {collection.many} existed. Two by two "
        f"{result.negative_pairs:,} of {len(result.pair_values):,} pairs lie below 0, which means "
        f"that their works mix; over all {collection.many} at once the mean is "
        f"{result.overall:.3f}.",
    )


def _disjoint(similarity: ArtistSimilarity, keys: Floats) -> Iterator[ArtistPair]:
    """Yield the pairs of lowest keys, none sharing a label with one before."""
    rows, columns = np.triu_indices(len(keys), 1)
    names, taken = similarity.groups.names, set[int]()
    for place in np.argsort(keys[rows, columns], kind="stable"):
        pair = {int(rows[place]), int(columns[place])}
        if len(taken) == 2 * _PAIRS:
            return
        if not pair & taken:
            taken |= pair
            yield similarity.pair(names[rows[place]], names[columns[place]])


def _pair(collection: Collection, pair: ArtistPair) -> Html:
    sure = f" ({pair.low:.2f} to {pair.high:.2f})" if np.isfinite(pair.low) else ""
    return beside(
        [work(collection, pair.work_a), work(collection, pair.work_b)],
        f"{pair.a} and {pair.b}: {pair.score:.2f}{sure}, rank {pair.rank:,} of {pair.pairs:,}; "
        f"these two works {pair.closest:.2f}",
    )


def _extent(collection: Collection, shown: int) -> str:
    if shown < len(collection.ranked):
        return f"the {shown} {collection.many} of most works"
    return f"{shown} {collection.many}"


def _reading(collection: Collection, shown: int) -> str:
    if shown == len(collection.ranked):
        return ""
    return (
        f"Shown are the {shown} {collection.many} of most works out of {len(collection.ranked):,}."
    )


def _compared(collection: Collection, compared: int, least: int) -> str:
    works = "1 work" if least == 1 else f"{least} works"
    return f"Compared are {compared:,} {collection.many} of {works} or more"
