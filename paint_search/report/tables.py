"""What the evaluation found -> lines, tables and notes to be read on a terminal or a page.

In go results, and the words that they cannot know, such as what a label is called. Nothing here
measures or prints; columns whose name starts with ``>`` are right-aligned.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from numbers import Integral, Real
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
    """A table for people; `cell` says how a value is written."""

    columns: Sequence[str]
    rows: Sequence[Sequence[object]]


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


def cell(value: object) -> str:
    """Write what stands in a table: counts, figures, (low, high); nothing for None and NaN."""
    if isinstance(value, tuple):
        return interval(*value)
    if isinstance(value, Integral):
        return f"{value:,}"
    if isinstance(value, Real):
        return "" if math.isnan(value) else f"{value:.3f}"
    return "" if value is None else str(value)


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
        works = f"{name(pair.work_a)} and {name(pair.work_b)}"
        figures = (pair.score, (pair.low, pair.high), f"{pair.csls:+.3f}")
        rows.append([rank, pair.b, *figures, works])
    yield Table([">rank", by, ">score", "95 % interval", ">CSLS", "closest works"], rows)
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
    ends = {"closest": similarity.closest(top), "farthest": similarity.farthest(top)}
    for kind, pairs in ends.items():
        yield f"\nthe {kind} pairs of {plural(by)}"
        yield Table(
            ["", "", ">score", "95 % interval", ">centroids", ">CSLS"],
            [(p.a, p.b, p.score, (p.low, p.high), p.centroid, f"{p.csls:+.3f}") for p in pairs],
        )
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
            (way, name, figure.value, figure.chance, figure.p_value)
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
        rows.append([str(code), len(leaves), usual, named + more])
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
            (
                result.metric.replace("euclidean", "Euclidean"),
                *(result.overall, result.overall_interval),
                *(len(result.pair_values), result.negative_pairs, result.median().value),
            )
            for result in (cosine, euclidean)
        ],
    )
    for words, pairs in (
        (f"the pairs of {plural(by)} that stand apart best", cosine.best(top)),
        (f"the pairs of {plural(by)} that stand apart worst", cosine.worst(top)),
        ("the pair in the middle", [cosine.median()]),
    ):
        yield f"\n{words}"
        yield Table(
            ["", "", ">cosine", "95 % interval", ">Euclidean"],
            [(p.a, p.b, p.value, (p.low, p.high), euclidean.pair(p.a, p.b).value) for p in pairs],
        )
    both = sorted(
        zip(cosine.per_label, euclidean.per_label, strict=True), key=lambda two: -two[0].value
    )
    # The middle is left out where both ends do not cover all.
    ends = both if len(both) <= 2 * top else both[:top] + both[-top:]
    kind = "" if len(ends) == len(both) else f", the {top} best and the {top} worst"
    yield f"\neach {by} among all{kind}"
    yield Table(
        [by, ">works", ">cosine", "95 % interval", ">Euclidean"],
        [(a.label, a.works, a.value, (a.low, a.high), b.value) for a, b in ends],
    )
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
        [(name, value, intervals.get(name)) for name, value in figures.items()],
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
            (row.label, row.queries, row.p_at_1, row.ap, row.hit, row.r_precision)
            for row in found.hardest(top, least)
        ],
    )
    yield "\nwho is taken for whom, by the nearest work"
    yield Table(
        [by, "taken for", ">works", ">share"],
        [
            (row.label, row.taken_for, row.count, f"{row.share:.0%}")
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
    two, one = found.confusion.tolist()
    yield Table(
        ["", ">taken for two", ">taken for one"],
        [("by two artists", *two), ("by one artist", *one)],
    )
    hardest = sorted(
        (score for score in found.per_artist if score.same),
        key=lambda score: (score.recognised + score.told_apart, score.label),
    )[:top]
    yield "the hardest artists"
    yield Table(
        ["artist", ">pairs by one", ">recognised", ">pairs by two", ">told apart"],
        [(a.label, a.same, f"{a.recognised:.0%}", a.other, f"{a.told_apart:.0%}") for a in hardest],
    )
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
            (one.label, one.learned, one.tested, one.precision, one.recall, one.f1)
            for one in result.per_class()
        ],
    )


def class_figures(result: Classification) -> Table:
    """List the figures over all tested works."""
    common, share = result.baseline
    by_chance = f"{result.calibration_error_by_chance:.3f} if calibrated"
    promised = f"sets that hold the class, {result.coverage:.0%} asked"
    return Table(
        ["figure", ">value", "95 % interval"],
        [
            ("accuracy", result.accuracy, result.interval(result.right)),
            (f"always {common}", share, ""),
            ("accuracy on the works learned from", result.fitted, ""),
            ("expected calibration error", result.calibration_error, by_chance),
            (promised, result.covered.mean(), result.interval(result.covered)),
            ("classes in a set", f"{result.sets.sum(axis=1).mean():.2f}", ""),
            ("agreement of the models", result.agreement.mean(), ""),
        ],
    )


def _confusion(result: Classification, by: str) -> Table:
    """Return the whole matrix where it fits, else the most frequent confusions."""
    confusion, names = result.confusion(), result.classes
    if len(names) <= _FEW:
        return Table(
            [by, *(f">{name}" for name in names)],
            [(name, *row) for name, row in zip(names, confusion.tolist(), strict=True)],
        )
    pairs = sorted(
        ((a, b) for a, b in np.argwhere(confusion) if a != b), key=lambda pair: -confusion[pair]
    )
    return Table(
        [by, "told as", ">works", ">of"],
        [(names[a], names[b], confusion[a, b], confusion[a].sum()) for a, b in pairs[:_CONFUSIONS]],
    )


# Compression.

_CHANGES = 5
_KEPT = Note(
    "recall@k: share of the k nearest works that stay the same. Spearman, Kendall: correlation of "
    "the cosines of pairs of works. trust(worthiness) falls where strangers become neighbours, "
    "continuity where neighbours part, both among ten. 1 is everything kept. Vectors are stored "
    "with 2 bytes a number, and measured so."
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
_LABEL_FIGURES: Mapping[str, Callable[[LabelFidelity], float | None]] = {
    "p_at_1_full": lambda kept: kept.p_at_1[0],
    "p_at_1": lambda kept: kept.p_at_1[1],
    "map_at_10_full": lambda kept: kept.map_at_10[0],
    "map_at_10": lambda kept: kept.map_at_10[1],
    "silhouette_full": lambda kept: kept.overall[0],
    "silhouette": lambda kept: kept.overall[1],
    "silhouettes_r": lambda kept: kept.silhouettes.correlation,
    "sign_flips": lambda kept: len(kept.silhouettes.sign_flips),
    "clear_sign_flips": lambda kept: len(kept.silhouettes.clear_flips),
    "mantel_r": lambda kept: kept.mantel.r if kept.mantel else None,
    "mantel_p": lambda kept: kept.mantel.p_value if kept.mantel else None,
    "trees_r": lambda kept: kept.trees,
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
            [(one.a, one.b, one.full, one.compact) for one in changes],
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
    for name, labels in (("artists", kept.artists), ("movements", kept.movements)):
        row |= {
            f"{name}_{key}": labels and figure(labels) for key, figure in _LABEL_FIGURES.items()
        }
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
        for by in ("artists", "movements"):
            sides = figures[f"{by}_clear_sign_flips"], figures[f"{by}_sign_flips"]
            figures[f"{by}_flips"] = "/".join(map(str, sides))
        rows.append([one.name, str(one.dims), *(figures[key] for key in columns)])
    return Table(["", ">dims", *columns.values()], rows)


def _by_label(found: Sequence[Candidate], name: str) -> Table:
    """Return the figures by one label, above them those of the full vectors."""
    columns = {f"{name}_{key}": heading for key, heading in _BY_LABEL.items()}
    table = _kept(found, columns)
    full = candidate_figures(found[0])
    whole = ["full vectors", "", *(full.get(f"{key}_full") for key in columns)]
    return Table(table.columns, [whole, *table.rows])


def _costs(found: Sequence[Candidate], full: int) -> Table:
    whole = bytes_of(full)
    rows: list[Sequence[object]] = [["full vectors", str(full), whole, "", "", ""]]
    for one in found:
        seconds = "" if one.fit_seconds is None else f"{one.fit_seconds:,.1f}"
        costs = [one.bytes, f"{one.bytes / whole:.1%}", seconds, f"{one.transform_ms:,.1f}"]
        rows.append([one.name, str(one.dims), *costs])
    columns = [">bytes a painting", ">of full", ">fit, s", ">1,000 vectors, ms"]
    return Table(["", ">dims", *columns], rows)


# Maps.


def views(found: Sequence[Projection]) -> Iterator[Part]:
    """List how far each view of a map can be believed."""
    yield Table(
        ["view", ">variance shown", ">trustworthiness", ">measured on"],
        [
            (
                view.name,
                f"{sum(shares):.1%}" if (shares := view.explained_variance_ratio) else "",
                view.trustworthiness,
                f"{view.trust_sample:,} paintings",
            )
            for view in found
        ],
    )
    yield Note(
        "trustworthiness: how many neighbours on the map are neighbours to the model; 1 is all, "
        "about 0.5 is chance."
    )
