"""What the evaluation found -> lines, tables and notes to be read on a terminal or a page.

In go results, and the words that they cannot know, such as what a label is called. Nothing here
measures or prints; columns whose name starts with ``>`` are right-aligned.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from paint_search.eval import shown_candidate, verdicts

if TYPE_CHECKING:
    from paint_search.eval import (
        Agreement,
        ArtistPair,
        ArtistSimilarity,
        Candidate,
        Classification,
        Hierarchy,
        LabelFidelity,
        Partition,
        Projection,
        Retrieval,
        Silhouette,
        Verification,
    )
    from paint_search.eval.inputs import Ints


class Note(str):
    """A line that helps to read a result and is no part of it."""

    __slots__ = ()


class Table(NamedTuple):
    """A table for people."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


Part = str | Table
"""A line, a note or a table."""


def plural(field: str, count: int = 2) -> str:
    """Return the name of a field as a noun for so many of its values."""
    noun = "painting" if field == "path" else field
    if count == 1 or noun[-1:] == "s":
        return noun
    return f"{noun[:-1]}ies" if noun[-1:] == "y" else f"{noun}s"


def interval(low: float, high: float) -> str:
    """Write an interval, or nothing where there is none."""
    return "" if math.isnan(low) else f"{low:.3f} to {high:.3f}"


def _figure(value: float | None) -> str:
    return "" if value is None or math.isnan(value) else f"{value:.3f}"


# Artists.

_ARTISTS = Note(
    "score: mean cosine over all pairs of works across the two. centroids: cosine between the two "
    "mean works. CSLS: the score less what both score with their ten nearest, so that nobody is "
    "close to everyone."
)


def artist_pair(similarity: ArtistSimilarity, pair: ArtistPair, name: Callable[[int], str]) -> str:
    """Say how two labels compare; ``name`` says what to call the work of a row."""

    def of(label: str) -> str:
        count = int(similarity.groups.counts[similarity.groups.code(label)])
        return f"{label} ({count:,} {plural('work', count)})"

    ends = interval(pair.low, pair.high)
    certainty = f"95 % interval {ends}" if ends else "no interval with a single work"
    return (
        f"{of(pair.a)} and {of(pair.b)} score {pair.score:.3f} ({certainty}), rank {pair.rank:,} "
        f"of {pair.pairs:,} pairs from the most alike down; their two closest works, at "
        f"{pair.closest:.3f}, are {name(pair.work_a)} and {name(pair.work_b)}."
    )


def likest_artists(
    pairs: Sequence[ArtistPair], by: str, name: Callable[[int], str]
) -> Iterator[Part]:
    """List those whose works are most like one label's."""
    rows = []
    for rank, pair in enumerate(pairs, start=1):
        figures = (f"{pair.score:.3f}", interval(pair.low, pair.high), f"{pair.csls:+.3f}")
        works = f"{name(pair.work_a)} and {name(pair.work_b)}"
        rows.append([str(rank), pair.b, *figures, works])
    columns = [">rank", by, ">score", "95 % interval", ">CSLS", "closest works"]
    yield Table(columns, rows)
    yield _ARTISTS


def artists(similarity: ArtistSimilarity, by: str, top: int) -> Iterator[Part]:
    """Say what works score within and across labels, and list the closest and farthest pairs."""
    within = similarity.mean.diagonal()
    across = similarity.mean[np.triu_indices(len(within), 1)]
    figures = [
        f"{name} {np.nanmean(scores):.3f} on average"
        for name, scores in ((f"of one {by}", within), (f"of two {plural(by)}", across))
        if np.isfinite(scores).any()
    ]
    yield f"two works {', '.join(figures)}" if figures else f"a single work of a single {by}"
    if not len(across):
        return
    for kind, pairs in (
        ("closest", similarity.closest(top)),
        ("farthest", similarity.farthest(top)),
    ):
        rows = []
        for pair in pairs:
            cells = (f"{pair.score:.3f}", interval(pair.low, pair.high), f"{pair.centroid:.3f}")
            rows.append([pair.a, pair.b, *cells, f"{pair.csls:+.3f}"])
        yield f"\nthe {kind} pairs of {plural(by)}"
        yield Table(["", "", ">score", "95 % interval", ">centroids", ">CSLS"], rows)
    yield _ARTISTS


# Clusters.

_LISTED = 8  # members of a cluster named on the screen; the CSV names all


def clusters(tree: Hierarchy, cut: Ints, means: Partition) -> Iterator[Part]:
    """Say how many clusters there are, of either kind."""
    chosen = f", of highest silhouette ({means.silhouettes[means.k]:.3f})" if means.sample else ""
    yield f"k-means: {means.k} clusters{chosen}"
    yield (
        f"tree ({tree.method} linkage): {cut.max() + 1} clusters; cophenetic correlation "
        f"{tree.cophenetic:.3f} (1: the tree keeps every distance)"
    )


def agreements(found: Mapping[str, Agreement], against: str) -> Table:
    """List how far each clustering follows the labels."""
    return Table(
        ["", f"clusters and {against}", ">value", ">by chance", ">p"],
        [
            [way, name, f"{figure.value:.3f}", f"{figure.chance:.3f}", f"{figure.p_value:.3f}"]
            for way, agreed in found.items()
            for name in ("ARI", "NMI", "purity")
            for figure in [getattr(agreed, name.lower())]
        ],
    )


def members(
    order: Ints,
    cut: Ints,
    captions: Sequence[str],
    labels: Sequence[str | None],
    many: str,
    against: str | None,
) -> Iterator[Part]:
    """List the clusters of a tree, the largest first, with some of their members."""
    clusters: dict[int, list[int]] = defaultdict(list)
    for leaf in order.tolist():
        clusters[int(cut[leaf])].append(leaf)
    rows = []
    for code, leaves in sorted(clusters.items(), key=lambda item: -len(item[1])):
        tally = Counter(label for leaf in leaves if (label := labels[leaf]))
        usual = ", ".join(f"{label} {count}" for label, count in tally.most_common(3))
        named = ", ".join(captions[leaf] for leaf in leaves[:_LISTED])
        more = f" and {len(leaves) - _LISTED:,} more" if len(leaves) > _LISTED else ""
        rows.append([str(code), f"{len(leaves):,}", usual, named + more])
    yield "\nclusters of the tree, the largest first"
    yield Table([">cluster", f">{many}", against or "", "of them"], rows)


# Silhouettes.

_SILHOUETTES = Note(
    "silhouette: 1 where the works of the two keep to themselves, 0 where they touch, below 0 "
    "where they mix. Pairs: over the works of these two alone, as in the compression study; "
    "overall: among all. The vectors are normalised for both distances."
)


def silhouette_pair(
    cosine: Silhouette, euclidean: Silhouette, pair: tuple[str, str]
) -> Iterator[Part]:
    """Say how well two labels stand apart."""
    found = cosine.pair(*pair)
    figures = " and ".join(
        f"{one.value:.3f} with {metric} distance (95 % interval {interval(one.low, one.high)})"
        for metric, one in (("cosine", found), ("Euclidean", euclidean.pair(*pair)))
    )
    below = int((cosine.pair_values < found.value).sum())
    yield (
        f"{pair[0]} and {pair[1]} have a silhouette of {figures}; {below:,} of "
        f"{len(cosine.pair_values):,} pairs stand less apart (cosine)."
    )
    yield _SILHOUETTES


def silhouettes(cosine: Silhouette, euclidean: Silhouette, by: str, top: int) -> Iterator[Part]:
    """List the silhouettes over all, of the best and worst pairs, and of each label."""
    yield Table(
        ["distance", ">overall", "95 % interval", ">pairs", ">below 0", ">median pair"],
        [
            [
                result.metric.replace("euclidean", "Euclidean"),
                f"{result.overall:.3f}",
                interval(*result.overall_interval),
                f"{len(result.pair_values):,}",
                f"{result.negative_pairs:,}",
                f"{result.median().value:.3f}",
            ]
            for result in (cosine, euclidean)
        ],
    )
    for words, pairs in (
        (f"the pairs of {plural(by)} that stand apart best", cosine.best(top)),
        (f"the pairs of {plural(by)} that stand apart worst", cosine.worst(top)),
        ("the pair in the middle", [cosine.median()]),
    ):
        rows = []
        for pair in pairs:
            other = euclidean.pair(pair.a, pair.b)
            certainty = interval(pair.low, pair.high)
            rows.append([pair.a, pair.b, f"{pair.value:.3f}", certainty, f"{other.value:.3f}"])
        yield f"\n{words}"
        yield Table(["", "", ">cosine", "95 % interval", ">Euclidean"], rows)
    both = sorted(
        zip(cosine.per_label, euclidean.per_label, strict=True), key=lambda two: -two[0].value
    )
    # The middle is left out where both ends do not cover all.
    ends = both if len(both) <= 2 * top else both[:top] + both[-top:]
    kind = "" if len(ends) == len(both) else f", the {top} best and the {top} worst"
    rows = []
    for one, also in ends:
        figures = (f"{one.value:.3f}", interval(one.low, one.high), f"{also.value:.3f}")
        rows.append([one.label, f"{one.works:,}", *figures])
    yield f"\neach {by} among all{kind}"
    yield Table([by, ">works", ">cosine", "95 % interval", ">Euclidean"], rows)
    yield _SILHOUETTES


# Retrieval.

_RETRIEVAL = (
    "P@k: share of the k nearest works with the same {by}. mAP@k: that share where each such work "
    "stands, summed and divided by min(k, works there are to find). R@k: share of the queries with "
    "such a work among the k nearest. R-precision: P@k for as many works as there are to find. "
    "AUC: how often two works of one {by} score above two of different {plural}."
)
_CSD = Note(
    "CSD mAP@k: the mean of P@1 to P@k, called mAP@k by the code of Somepalli et al. 2024; compare "
    "this one with the tables of style-retrieval papers."
)


def _figures(figures: Mapping[str, float], intervals: Mapping[str, tuple[float, float]]) -> Table:
    return Table(
        ["figure", ">value", "95 % interval"],
        [
            [name, f"{value:.3f}", interval(*intervals[name]) if name in intervals else ""]
            for name, value in figures.items()
        ],
    )


def retrieval(
    found: Retrieval,
    figures: Mapping[str, float],
    intervals: Mapping[str, tuple[float, float]],
    by: str,
) -> Iterator[Part]:
    """List the figures over all queries, and say what they mean."""
    yield _figures(figures, intervals)
    lonely = f"; {found.lonely:,} had no other work to find" if found.lonely else ""
    yield Note(f"over {len(found.queries):,} queries{lonely}")
    yield Note(_RETRIEVAL.format(by=by, plural=plural(by)))
    if any(name.startswith("CSD") for name in figures):
        yield _CSD


def hardest(found: Retrieval, columns: Sequence[str], top: int, least: int) -> Iterator[Part]:
    """List the labels of ``least`` or more queries that are hardest, and who is taken for whom."""
    by, *others = columns
    yield f"\nthe hardest {plural(by)} of {least} or more queries"
    yield Table(
        [by, *(f">{name}" for name in others)],
        [
            [row.label, f"{row.queries:,}"]
            + [f"{value:.3f}" for value in (row.p_at_1, row.ap, row.hit, row.r_precision)]
            for row in found.hardest(top, least)
        ],
    )
    yield "\nwho is taken for whom, by the nearest work"
    yield Table(
        [by, "taken for", ">works", ">share"],
        [
            [row.label, row.taken_for, f"{row.count:,}", f"{row.share:.0%}"]
            for row in found.confusions()[:top]
        ],
    )


# Verification.

VERIFICATION = Note(
    "AUC: how often a pair by one artist is given more than a pair by two. Accuracy: at a "
    "probability of 0.5. Equal error rate: where as many pairs by two artists pass as pairs by one "
    "are refused. Calibration error: mean gap between a probability and how often it came true. "
    "Intervals: 95 %, resampling artists."
)
_SIDES = {
    "unseen": "unseen: works of artists of whom nothing was learned, judged by a calibration on "
    "other such artists",
    "seen": "seen: works that nothing was learned from, of artists of whom others were, judged by "
    "a calibration on other such works",
}


def verification(found: Verification, side: str, top: int) -> Iterator[Part]:
    """List the figures of one side, its confusion matrix and its hardest artists."""
    yield f"\n{side} artists: {found.pairs:,} pairs of works by {found.artists:,} artists"
    yield _figures(found.figures, found.intervals)
    (true_negative, false_positive), (false_negative, true_positive) = found.confusion.tolist()
    yield Table(
        ["", ">taken for two", ">taken for one"],
        [
            ["by two artists", f"{true_negative:,}", f"{false_positive:,}"],
            ["by one artist", f"{false_negative:,}", f"{true_positive:,}"],
        ],
    )
    hardest = sorted(
        (score for score in found.per_artist if score.same),
        key=lambda score: (score.recognised + score.told_apart, score.label),
    )[:top]
    rows = []
    for score in hardest:
        one = (f"{score.same:,}", f"{score.recognised:.0%}")
        rows.append([score.label, *one, f"{score.other:,}", f"{score.told_apart:.0%}"])
    yield "the hardest artists"
    columns = ["artist", ">pairs by one", ">recognised", ">pairs by two", ">told apart"]
    yield Table(columns, rows)
    yield Note(_SIDES[side])


def look_alikes(figures: Mapping[str, float]) -> str:
    """Say how pairs fare whose works by two artists look alike."""
    return (
        "against look-alikes (of 16 works by other artists the one most like the first): AUC "
        f"{figures['AUC']:.3f}, accuracy {figures['accuracy']:.3f}"
    )


# Classification.

_FEW = 12  # classes of which the whole confusion matrix fits a screen
_CONFUSIONS = 12  # listed where it does not


def classification(result: Classification, by: str, known: int) -> Iterator[Part]:
    """List classes and figures, say what they mean, and show who is told as whom.

    ``known`` of the tested works are by artists whose other works were learned from.
    """
    yield classes(result, by)
    yield ""
    yield class_figures(result)
    yield ""
    yield from result.remarks()
    tested = f"{len(result.truth):,}"
    if known:
        yield Note(
            f"{known:,} of the {tested} tested works are by artists whose other works it learned "
            f"from: part of what it knows of {plural(by)} may be the artists."
        )
    yield f"\nwho is told as whom: rows are what they are, {tested} works"
    yield _confusion(result, by)


def classes(result: Classification, by: str) -> Table:
    """List the figures of each class."""
    return Table(
        [by, ">learned from", ">tested", ">precision", ">recall", ">F1"],
        [
            [score.label, f"{score.learned:,}", f"{score.tested:,}"]
            + [f"{value:.3f}" for value in (score.precision, score.recall, score.f1)]
            for score in result.per_class()
        ],
    )


def class_figures(result: Classification) -> Table:
    """List the figures over all tested works."""
    common, share = result.baseline
    right, covered = (interval(*result.interval(hits)) for hits in (result.right, result.covered))
    by_chance = f"{result.calibration_error_by_chance:.3f} if calibrated"
    promised = f"sets that hold the class, {result.coverage:.0%} asked"
    return Table(
        ["figure", ">value", "95 % interval"],
        [
            ["accuracy", f"{result.accuracy:.3f}", right],
            [f"always {common}", f"{share:.3f}", ""],
            ["accuracy on the works learned from", f"{result.fitted:.3f}", ""],
            ["expected calibration error", f"{result.calibration_error:.3f}", by_chance],
            [promised, f"{result.covered.mean():.3f}", covered],
            ["classes in a set", f"{result.sets.sum(axis=1).mean():.2f}", ""],
            ["agreement of the models", f"{result.agreement.mean():.3f}", ""],
        ],
    )


def _confusion(result: Classification, by: str) -> Table:
    """Return the whole matrix where it fits, else the most frequent confusions."""
    confusion, names = result.confusion(), result.classes
    if len(names) <= _FEW:
        return Table(
            [by, *(f">{name}" for name in names)],
            [
                [name, *(f"{count:,}" for count in row)]
                for name, row in zip(names, confusion.tolist(), strict=True)
            ],
        )
    pairs = Counter(
        {
            (int(a), int(b)): int(confusion[a, b])
            for a, b in zip(*np.nonzero(confusion), strict=True)
            if a != b
        }
    )
    return Table(
        [by, "told as", ">works", ">of"],
        [
            [names[a], names[b], f"{count:,}", f"{confusion[a].sum():,}"]
            for (a, b), count in pairs.most_common(_CONFUSIONS)
        ],
    )


# Compression.

_CHANGES = 5
_KEPT = Note(
    "recall@k: share of the k nearest works that stay the same. Spearman, Kendall: correlation of "
    "the cosines of pairs of works. trust(worthiness) falls where strangers become neighbours, "
    "continuity where neighbours part, both among ten. 1 is everything kept. Vectors are stored "
    "with 2 bytes a number, and measured so."
)
_LABEL_COLUMNS = (
    *("p_at_1_full", "p_at_1", "map_at_10_full", "map_at_10", "silhouette_full", "silhouette"),
    *("silhouettes_r", "sign_flips", "clear_sign_flips", "mantel_r", "mantel_p", "trees_r"),
)
_NEIGHBOURS = {
    **{"recall@1": ">recall@1", "recall@10": ">@10", "recall@50": ">@50"},
    **{"spearman": ">Spearman", "kendall": ">Kendall"},
    **{"trustworthiness": ">trust", "continuity": ">continuity"},
}
_ON_PAGES = {
    **{key: _NEIGHBOURS[key] for key in ("recall@1", "recall@10", "recall@50", "spearman")},
    **{"artists_map_at_10": ">mAP@10", "artists_silhouettes_r": ">silhouettes"},
}
_BY_LABEL = {
    **{"p_at_1": ">P@1", "map_at_10": ">mAP@10", "silhouette": ">overall"},
    **{"silhouettes_r": ">pairs", "flips": ">flips"},
    **{"mantel_r": ">Mantel", "mantel_p": ">p", "trees_r": ">trees"},
}
_LABELS = (
    "P@1, mAP@10: as in eval retrieval. Silhouettes: overall, among all {many}; pairs, the "
    "correlation over every two; flips, the pairs that change sides from beyond 0.01 to beyond "
    "-0.01 or back, of all that change sides. "
    "Mantel: correlation of the matrices of mean cosines, p by permutations. trees: correlation of "
    "the cophenetic distances of the two trees."
)


def bytes_of(dims: int) -> int:
    """Return the bytes that a vector of so many numbers takes in the store."""
    return 2 * dims


def compression(found: Sequence[Candidate], by: str, full: int) -> Iterator[Part]:
    """List what compressors keep of vectors of ``full`` numbers, what that costs, and verdicts."""
    yield _kept(found, _NEIGHBOURS)
    yield _KEPT
    for name, heading in (("artists", f"by {by}"), ("movements", "by movement")):
        if name == "movements" and by == "movement":
            continue
        yield f"\n{heading}"
        reason = found[0].fidelity.left_out.get(name)
        if reason:
            yield f"left out: {reason} (--min-works)"
            continue
        yield _by_label(found, name)
        if name == "artists":
            yield Note(_LABELS.format(many=plural(by)))
    yield "\nwhat it costs"
    yield _costs(found, full)
    shown = shown_candidate(found)
    if shown.fidelity.artists is not None:
        yield (
            f"\nthe pairs of {plural(by)} whose silhouette changes most "
            f"({shown.name} at {shown.dims})"
        )
        changes = shown.fidelity.artists.silhouettes.largest_changes(_CHANGES)
        yield Table(
            ["", "", ">full", ">compressed"],
            [[one.a, one.b, f"{one.full:.3f}", f"{one.compact:.3f}"] for one in changes],
        )
    said = verdicts(found)
    yield from ["", *said] if said else []


def candidates(found: Sequence[Candidate], full: int) -> Table:
    """List the compressors for a page, with few columns."""
    table = _kept(found, _ON_PAGES)
    sizes = [f"{one.bytes / bytes_of(full):.0%}" for one in found]
    return Table(
        [*table.columns, ">size"],
        [[*row, size] for row, size in zip(table.rows, sizes, strict=True)],
    )


def candidate_figures(one: Candidate) -> dict[str, Any]:
    """Return all figures of a compressor, column by column; None where there is none."""
    kept = one.fidelity
    row: dict[str, Any] = {
        "method": one.method,
        "dims": one.dims,
        "of_this_index": one.own,
        **{f"recall@{k}": kept.neighbours.recall.get(k) for k in (1, 10, 50)},
        "spearman": kept.pairs.spearman,
        "kendall": kept.pairs.kendall,
        "trustworthiness": kept.trust.trustworthiness,
        "continuity": kept.trust.continuity,
    }
    for name in ("artists", "movements"):
        row |= {f"{name}_{key}": value for key, value in _label_row(getattr(kept, name)).items()}
    return row | {
        "bytes": one.bytes,
        "fit_seconds": one.fit_seconds,
        "transform_ms_per_1000": one.transform_ms,
    }


def _kept(found: Sequence[Candidate], columns: Mapping[str, str]) -> Table:
    """Return one row a compressor, of the figures under their headings."""
    rows = []
    for one in found:
        figures = candidate_figures(one)
        rows.append([one.name, str(one.dims), *(_shown(figures, key) for key in columns)])
    return Table(["", ">dims", *columns.values()], rows)


def _shown(figures: Mapping[str, Any], key: str) -> str:
    if key.endswith("_flips"):
        by = key.removesuffix("_flips")
        return f"{figures[f'{by}_clear_sign_flips']}/{figures[f'{by}_sign_flips']}"
    return _figure(figures[key])


def _by_label(found: Sequence[Candidate], name: str) -> Table:
    """Return the figures by one label, above them those of the full vectors."""
    columns = {f"{name}_{key}": heading for key, heading in _BY_LABEL.items()}
    table = _kept(found, columns)
    full = candidate_figures(found[0])
    whole = [_figure(full.get(f"{key}_full")) for key in columns]
    return Table(table.columns, [["full vectors", "", *whole], *table.rows])


def _costs(found: Sequence[Candidate], full: int) -> Table:
    whole = bytes_of(full)
    rows = [["full vectors", str(full), f"{whole:,}", "", "", ""]]
    for one in found:
        seconds = "" if one.fit_seconds is None else f"{one.fit_seconds:,.1f}"
        share = f"{one.bytes / whole:.1%}"
        costs = [f"{one.bytes:,}", share, seconds, f"{one.transform_ms:,.1f}"]
        rows.append([one.name, str(one.dims), *costs])
    columns = [">bytes a painting", ">of full", ">fit, s", ">1,000 vectors, ms"]
    return Table(["", ">dims", *columns], rows)


def _label_row(kept: LabelFidelity | None) -> dict[str, float | None]:
    """Return the figures by one label; all None where labels allow none."""
    if kept is None:
        return dict.fromkeys(_LABEL_COLUMNS)
    values: tuple[float | None, ...] = (
        *(*kept.p_at_1, *kept.map_at_10, *kept.overall),
        kept.silhouettes.correlation,
        len(kept.silhouettes.sign_flips),
        len(kept.silhouettes.clear_flips),
        kept.mantel.r if kept.mantel else None,
        kept.mantel.p_value if kept.mantel else None,
        kept.trees,
    )
    return dict(zip(_LABEL_COLUMNS, values, strict=True))


# Maps.


def views(found: Sequence[Projection]) -> Iterator[Part]:
    """List how far each view of a map can be believed."""
    yield Table(
        ["view", ">variance shown", ">trustworthiness", ">measured on"],
        [
            [
                view.name,
                f"{sum(view.explained_variance_ratio):.1%}"
                if view.explained_variance_ratio
                else "",
                f"{view.trustworthiness:.3f}",
                f"{view.trust_sample:,} paintings",
            ]
            for view in found
        ],
    )
    yield Note(
        "trustworthiness: how many neighbours on the map are neighbours to the model; 1 is all, "
        "about 0.5 is chance."
    )
