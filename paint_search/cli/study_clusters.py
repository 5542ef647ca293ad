"""``eval clusters``: which artists, or paintings, stand together, and whether labels agree."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

import typer

from paint_search.cli.features import Features, FeaturesOption, read_features
from paint_search.cli.output import (
    IndexOption,
    JsonOption,
    NotOption,
    Output,
    QuietOption,
    WhereOption,
    reports_errors,
)
from paint_search.cli.study import (
    CsvOption,
    MinWorksOption,
    PlotOption,
    Works,
    check_outputs,
    plural,
    read_works,
    write_csv,
    write_plot,
)
from paint_search.errors import UsageError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from paint_search.eval.clusters import Agreement, Hierarchy, Partition
    from paint_search.eval.inputs import Floats, Ints

_LEAF = 128  # pixels of a picture beside a leaf
_LISTED = 8  # members of a cluster named on the screen; the CSV names all


@dataclass(frozen=True)
class _Clustering:
    """The m leaves, their two clusterings, the labels to compare with, and the agreement."""

    centres: "Floats"
    tree: "Hierarchy"
    cut: "Ints"
    means: "Partition"
    against: str | None
    labels: list[str | None]
    agreements: "dict[str, Agreement]"

    def to_dict(self) -> dict[str, Any]:
        return {
            "tree": self.tree.to_dict() | {"codes": self.cut.tolist()},
            "kmeans": self.means.to_dict(),
            "against": self.against,
            "labels": self.labels,
            "agreement": {way: figures.to_dict() for way, figures in self.agreements.items()},
        }


@reports_errors
def clusters(
    by: Annotated[
        str,
        typer.Option(
            metavar="FIELD",
            help="What is clustered: each artist's, or movement's, mean work; path for single "
            "paintings, up to 5,000.",
        ),
    ] = "artist",
    linkage: Annotated[
        str, typer.Option(help="average (cosine distance) or ward (normalised vectors).")
    ] = "average",
    k: Annotated[
        int | None,
        typer.Option(
            "-k",
            min=1,
            help="How many clusters.  [default: from 2 to 20, as k-means separates best]",
            show_default=False,
        ),
    ] = None,
    height: Annotated[
        float | None,
        typer.Option(help="Cut the tree at this height instead.", show_default=False),
    ] = None,
    against: Annotated[
        str | None,
        typer.Option(
            metavar="FIELD",
            help="Label to compare the clusters with.  [default: movement, where known]",
            show_default=False,
        ),
    ] = None,
    features: FeaturesOption = None,
    min_works: MinWorksOption = 1,
    plot: PlotOption = None,
    table: CsvOption = None,
    where: WhereOption = None,
    exclude: NotOption = None,
    index: IndexOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Cluster artists, or paintings, by likeness; the plot is a dendrogram.

    Of two --features it is their plane, with the k-means clusters.
    Example: `paint-search eval clusters -k 10 --min-works 20 --plot tree.svg`
    """
    from paint_search.index.index import Index

    output = Output(as_json=as_json, quiet=quiet)
    check_outputs(plot, table)
    if k is not None and height is not None:
        raise UsageError("give either -k or --height, not both")
    if linkage not in ("average", "ward"):
        raise UsageError(f"unknown --linkage {linkage!r}: use average or ward")
    with Index.open(index) as collection:
        chosen = read_features(collection, features)
        works = read_works(collection, by, where, exclude, min_works)
    if chosen:
        works = replace(works, vectors=chosen.only(works.vectors))
    output.note(works.describe())
    if against is None and by != "movement" and any(work.movement for work in works.paintings):
        against = "movement"
    result = _cluster(works, linkage, k, height, against)
    output.json(result.to_dict())
    _print(output, result, works)
    if table:
        columns = ("name", "works", against or "label", "tree", "kmeans", "place")
        write_csv(table, columns, _rows(result, works))
        output.note(f"wrote {table}")
    if plot:
        if chosen is not None and len(chosen.names) == 2:
            write_plot(plot, _plane(result, works, chosen))
        else:
            write_plot(plot, _dendrogram(result, works, height))
        output.note(f"wrote {plot}")


def _cluster(
    works: Works, linkage: str, k: int | None, height: float | None, against: str | None
) -> _Clustering:
    from paint_search.eval.clusters import agreement, centroids, hierarchy, kmeans

    names, centres = centroids(works.vectors, works.labels)
    if len(names) < 3:
        raise UsageError(f"clusters take at least three {plural(works.by)}, not {len(names)}")
    tree = hierarchy(centres, names, method=cast(Literal["average", "ward"], linkage))
    means = kmeans(centres, k)
    cut = tree.cut(k=means.k) if height is None else tree.cut(height=height)
    labels: list[str | None] = [None] * len(names)
    agreements = {}
    if against:
        labels = _usual(works, against)
        ways = {"tree": cut, "k-means": means.codes}
        agreements = {way: agreement(labels, codes) for way, codes in ways.items()}
    return _Clustering(centres, tree, cut, means, against, labels, agreements)


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


def _print(output: Output, result: _Clustering, works: Works) -> None:
    tree, means = result.tree, result.means
    chosen = f", of highest silhouette ({means.silhouettes[means.k]:.3f})" if means.sample else ""
    output.line(f"k-means: {means.k} clusters{chosen}")
    output.line(
        f"tree ({tree.method} linkage): {result.cut.max() + 1} clusters; cophenetic correlation "
        f"{tree.cophenetic:.3f} (1: the tree keeps every distance)"
    )
    if result.agreements:
        output.table(
            ["", f"clusters and {result.against}", ">value", ">by chance", ">p"],
            [
                [way, name, f"{figure.value:.3f}", f"{figure.chance:.3f}", f"{figure.p_value:.3f}"]
                for way, agreed in result.agreements.items()
                for name in ("ARI", "NMI", "purity")
                for figure in [getattr(agreed, name.lower())]
            ],
        )
    _print_members(output, result, works)


def _print_members(output: Output, result: _Clustering, works: Works) -> None:
    members: dict[int, list[int]] = defaultdict(list)
    for leaf in result.tree.order:
        members[int(result.cut[leaf])].append(leaf)
    captions, rows = _captions(works, result.tree.names), []
    for code, leaves in sorted(members.items(), key=lambda item: -len(item[1])):
        tally = Counter(label for leaf in leaves if (label := result.labels[leaf]))
        usual = ", ".join(f"{label} {count}" for label, count in tally.most_common(3))
        named = ", ".join(captions[leaf] for leaf in leaves[:_LISTED])
        more = f" and {len(leaves) - _LISTED:,} more" if len(leaves) > _LISTED else ""
        rows.append([str(code), f"{len(leaves):,}", usual, named + more])
    output.line("\nclusters of the tree, the largest first")
    output.table([">cluster", f">{plural(works.by)}", result.against or "", "of them"], rows)


def _dendrogram(result: _Clustering, works: Works, height: float | None) -> "Figure":
    from paint_search.indexer.images.thumbnails import thumbnail
    from paint_search.report import dendrogram_figure

    tree, found = result.tree, int(result.cut.max()) + 1
    if height is None and found > 1:
        # Halfway between the last merge that is made and the first that is not.
        steps = [0.0, *tree.linkage[:, 2]]
        made = len(tree.names) - found
        height = (steps[made] + steps[made + 1]) / 2
    names = _captions(works, tree.names)
    measure = {"average": "cosine", "ward": "Ward"}[tree.method]
    return dendrogram_figure(
        tree.linkage,
        names,
        f"Which of {len(names):,} {plural(works.by)} stand together",
        f"{measure} distance at which groups join",
        height,
        lambda leaf: thumbnail(
            works.files[_typical(works, tree.names[leaf], result.centres[leaf])], _LEAF
        ),
    )


def _plane(result: _Clustering, works: Works, features: Features) -> "Figure":
    """Draw what is clustered, by its k-means cluster, in the plane of two features."""
    from paint_search.report import Plane, plane_figure

    means = result.means
    counts = sorted(Counter(means.codes.tolist()).items())
    return plane_figure(
        Plane(
            points=features.values(result.centres),
            codes=means.codes,
            names=[f"cluster {code} ({count:,})" for code, count in counts],
            axes=(features.names[0], features.names[1]),
            centres=features.values(means.centres),
        ),
        f"{means.k} clusters of {len(means.codes):,} {plural(works.by)} by k-means",
    )


def _captions(works: Works, names: Sequence[str]) -> list[str]:
    """Return what to call the leaves: single paintings by artist and title."""
    if works.by != "path":
        return list(names)
    row = {label: row for row, label in enumerate(works.labels)}
    return [works.caption(row[name]) for name in names]


def _typical(works: Works, name: str, centre: "Floats") -> int:
    """Return the row of the work of a label that is nearest to its mean."""
    rows = [row for row, label in enumerate(works.labels) if label == name]
    return rows[int((works.vectors[rows] @ centre).argmax())]


def _rows(result: _Clustering, works: Works) -> list[list[object]]:
    """Return one row a leaf, in the order of the tree."""
    counts = Counter(works.labels)
    names = result.tree.names
    return [
        [names[i], counts[names[i]], result.labels[i], result.cut[i], result.means.codes[i], place]
        for place, i in enumerate(result.tree.order)
    ]
