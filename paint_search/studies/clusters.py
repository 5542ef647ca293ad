"""Which artists, or paintings, stand together, and whether labels agree."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from paint_search.errors import UsageError, argument
from paint_search.eval import (
    Agreement,
    Hierarchy,
    Partition,
    agreement,
    centroids,
    hierarchy,
    kmeans,
)
from paint_search.eval.inputs import Floats, Ints
from paint_search.report.tables import Part, Table
from paint_search.studies.result import Drawn, Note, Result, most_telling
from paint_search.studies.works import AnIndex, Exclude, Where, Works, read_works

if TYPE_CHECKING:
    from matplotlib.figure import Figure


Linkage = Literal["average", "ward"]

_LEAF = 128  # pixels of a picture beside a leaf
_LISTED = 8  # members of a cluster named on the screen; the CSV names all


@dataclass(frozen=True, eq=False)
class Clustering(Result):
    """The m labels in two clusterings, and how far these follow other labels."""

    works: Works  #: that were clustered
    centres: Floats  #: (m, d) mean works of the labels
    tree: Hierarchy  #: of the labels
    cut: Ints  #: (m,) cluster of the tree that each is in
    height: float | None  #: at which the tree was cut, where it was asked for
    means: Partition  #: the k-means clusters
    against: str | None  #: the field that they are compared with, if any
    labels: list[str | None]  #: m usual values of that field
    agreements: dict[str, Agreement]  #: how far each clustering follows them

    @property
    def captions(self) -> list[str]:
        """What to call the leaves: single paintings by artist and title."""
        if self.works.by != "path":
            return list(self.tree.names)
        row = {label: row for row, label in enumerate(self.works.labels)}
        return [self.works.caption(row[name]) for name in self.tree.names]

    def to_dict(self) -> dict[str, Any]:
        """Return both clusterings, and how far they follow the labels."""
        return {
            "tree": self.tree.to_dict() | {"codes": self.cut.tolist()},
            "kmeans": self.means.to_dict(),
            "against": self.against,
            "labels": self.labels,
            "agreement": {way: figures.to_dict() for way, figures in self.agreements.items()},
        }

    def table(self) -> Table:
        """Return one row a leaf, in the order of the tree."""
        counts, names = Counter(self.works.labels), self.tree.names
        cut, means = self.cut.tolist(), self.means.codes.tolist()
        return Table(
            ("name", "works", self.against or "label", "tree", "kmeans", "place"),
            [
                [names[i], counts[names[i]], self.labels[i], cut[i], means[i], place]
                for place, i in enumerate(self.tree.order.tolist())
            ],
        )

    @property
    def plane(self) -> tuple[str, ...] | None:
        """The two features whose plane is drawn, with the k-means clusters, instead of the tree."""
        features = self.works.features
        return features if features and len(features) == 2 else None

    @property
    def drawn(self) -> Drawn | None:
        """Return the leaves of most works; of single paintings the whole tree is drawn."""
        if self.plane or self.works.by == "path":
            return None
        counts = Counter(self.works.labels)
        works = np.array([counts[name] for name in self.tree.names])
        return most_telling(works, self.works.many, "of most works")

    def figure(self) -> Figure:
        """Draw the tree; of two features their plane, with the k-means clusters."""
        return self._plane(self.plane) if self.plane else self._dendrogram()

    def describe(self) -> Iterator[Part]:
        """Yield the numbers of clusters, their agreement with labels, and their members."""
        tree, means = self.tree, self.means
        best = f", of highest silhouette ({means.silhouettes[means.k]:.3f})" if means.sample else ""
        yield f"k-means: {means.k} clusters{best}"
        yield (
            f"tree ({tree.method} linkage): {self.cut.max() + 1} clusters; cophenetic correlation "
            f"{tree.cophenetic:.3f} (1: the tree keeps every distance)"
        )
        if self.agreements:
            yield Table(
                ["", f"clusters and {self.against}", ">value", ">by chance", ">p"],
                [
                    (way, name, figure.value, figure.chance, figure.p_value)
                    for way, agreed in self.agreements.items()
                    for name in ("ARI", "NMI", "purity")
                    for figure in [getattr(agreed, name.lower())]
                ],
            )
        codes, way = (means.codes, "k-means") if self.plane else (self.cut, "the tree")
        clusters: dict[int, list[int]] = defaultdict(list)
        for leaf in tree.order.tolist():
            clusters[int(codes[leaf])].append(leaf)
        rows, captions = [], self.captions
        for code, leaves in sorted(clusters.items(), key=lambda item: -len(item[1])):
            tally = Counter(label for leaf in leaves if (label := self.labels[leaf]))
            usual = ", ".join(f"{label} {count}" for label, count in tally.most_common(3))
            named = ", ".join(captions[leaf] for leaf in leaves[:_LISTED])
            more = f" and {len(leaves) - _LISTED:,} more" if len(leaves) > _LISTED else ""
            rows.append([str(code), len(leaves), usual, named + more])
        yield f"\nclusters of {way}, the largest first"
        yield Table([">cluster", f">{self.works.many}", self.against or "", "of them"], rows)

    def _dendrogram(self) -> Figure:
        from paint_search.indexer.images.thumbnails import thumbnail
        from paint_search.report import dendrogram_figure

        tree, found, height = self.tree, int(self.cut.max()) + 1, self.height
        if height is None and found > 1:
            # Halfway between the last merge that is made and the first that is not.
            steps = [0.0, *tree.linkage[:, 2]]
            made = len(tree.names) - found
            height = (steps[made] + steps[made + 1]) / 2
        names, drawn = self.captions, self.drawn
        measure = {"average": "cosine", "ward": "Ward"}[tree.method]
        title = f"Which of {len(names):,} {self.works.many} stand together"
        rows = drawn.rows if drawn else np.arange(len(names))
        return dendrogram_figure(
            tree.only(rows) if drawn else tree.linkage,
            [names[row] for row in rows],
            f"{title}\n{drawn.line}".strip() if drawn else title,
            f"{measure} distance at which groups join",
            height,
            lambda leaf: thumbnail(self.works.files[self._typical(int(rows[leaf]))], _LEAF),
        )

    def _plane(self, features: tuple[str, ...]) -> Figure:
        """Draw what is clustered, by its k-means cluster, in the plane of two features."""
        from paint_search.indexer.backbones.ink.ink import read
        from paint_search.report import Plane, plane_figure

        means = self.means
        counts = sorted(Counter(means.codes.tolist()).items())
        return plane_figure(
            Plane(
                points=read(self.centres, features, features),
                codes=means.codes,
                names=[f"cluster {code} ({count:,})" for code, count in counts],
                axes=(features[0], features[1]),
                centres=read(means.centres, features, features),
            ),
            f"{means.k} clusters of {len(means.codes):,} {self.works.many} by k-means",
        )

    def _typical(self, leaf: int) -> int:
        """Return the row of the work of a label that is nearest to its mean."""
        name = self.tree.names[leaf]
        rows = [row for row, label in enumerate(self.works.labels) if label == name]
        return rows[int((self.works.vectors[rows] @ self.centres[leaf]).argmax())]


def clusters(
    index: AnIndex,
    by: str = "artist",
    *,
    where: Where = None,
    exclude: Exclude = None,
    min_works: int = 1,
    linkage: Linkage = "average",
    k: int | None = None,
    height: float | None = None,
    against: str | None = None,
    features: Sequence[str] | None = None,
    note: Note = lambda line: None,
) -> Clustering:
    """Cluster artists, movements, ... or single paintings by likeness, in two ways.

    What is clustered is the mean work of each value of the field ``by``; ``path`` stands for single
    paintings, up to 5,000. ``linkage`` of the tree is average (cosine distance) or ward (unit
    vectors); ``k`` is how many clusters, by default, from 2 to 20, as k-means separates best;
    ``height`` cuts the tree there instead. ``against`` is the field to compare the clusters with,
    movement where it is known.

    Raises:
        UsageError: an unknown field or feature, fewer than three labels, or arguments that
            contradict each other.
    """
    if k is not None and height is not None:
        k_option = argument("k", option="-k")
        raise UsageError(f"give either {k_option} or {argument('height')}, not both")
    if linkage not in ("average", "ward"):
        raise UsageError(f"{argument('linkage', linkage)}: use average or ward")
    works = read_works(index, by, where, exclude, min_works, features=features)
    note(works.describe())
    if against is None and by != "movement" and any(work.movement for work in works.paintings):
        against = "movement"
    names, centres = centroids(works.vectors, works.labels)
    if len(names) < 3:
        raise UsageError(f"clusters take at least three {works.many}, not {len(names)}")
    tree = hierarchy(centres, names, method=linkage)
    means = kmeans(centres, k)
    cut = tree.cut(k=means.k) if height is None else tree.cut(height=height)
    labels: list[str | None] = [None] * len(names)
    agreements = {}
    if against:
        labels = _usual(works, against)
        ways = {"tree": cut, "k-means": means.codes}
        agreements = {way: agreement(labels, codes) for way, codes in ways.items()}
    return Clustering(works, centres, tree, cut, height, means, against, labels, agreements)


def _usual(works: Works, field: str) -> list[str | None]:
    """Return the most frequent value of a field among the works of each label."""
    tallies = {name: Counter[str]() for name in works.names}
    for label, value in zip(works.labels, works.field(field), strict=True):
        if label is not None and value is not None:
            tallies[label][value] += 1
    # By count, then by name: the order of the works must not decide.
    ranked = (
        sorted(tally.items(), key=lambda item: (-item[1], item[0])) for tally in tallies.values()
    )
    return [values[0][0] if values else None for values in ranked]
