"""Full and compact vectors of the same works in; all that compression kept and lost, out.

The works must not be among those that the compressor was fitted on: nothing here can know. Every
figure compares the compact vectors with the full ones, by cosine, on the same works, in blocks of
them: no table of all works by all works is ever held.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from paint_search.errors import EvalError
from paint_search.eval.agreement import Mantel, mantel, tree_correlation
from paint_search.eval.clusters import MAX_LEAVES, centroids, hierarchy
from paint_search.eval.inputs import Floats, Ints, Labels, Vectors, plain_fields, unit_rows
from paint_search.eval.neighbours import neighbours, ranking_keys, row_blocks
from paint_search.eval.pairs import pair_cosines, some_pairs
from paint_search.eval.retrieval import retrieval
from paint_search.eval.silhouette import Comparison, compare_silhouettes, silhouettes

KS = (1, 10, 50)
"""Numbers of neighbours whose recall is measured, where there are more works than these."""
K = 10
"""The neighbourhood of trustworthiness and of mAP."""
LEAST_WORKS = 2 * K + 2
"""Fewer works have no ten neighbours that could be told from the others."""
MIN_LABEL_WORKS = 5
"""Artists and movements of fewer works take no part in silhouettes, matrices and trees."""
MOST_TRUSTED = 5000
"""Works that trustworthiness is measured on at most; ranks among all of them are counted."""
MOST_PAIRS = 200_000
"""Pairs compared at most: the standard error of a correlation of 0.96 is then 0.0002."""
BASELINE = "pca"
"""The method that every other one has to beat."""


@dataclass(frozen=True)
class NeighboursKept:
    """Which share of each work's nearest works is the same before and after compression."""

    ks: tuple[int, ...]  #: the numbers of neighbours, ascending
    recall: dict[int, float]  #: mean over the works, by number of neighbours
    per_work: Floats = field(repr=False)  #: (n, len(ks)) the share of each work

    def difference(self, other: NeighboursKept, k: int) -> tuple[float, float, float]:
        """Return the recall@k of this less that of the other on the same works, paired.

        Returns:
            The mean difference and the ends of its 95 % interval (normal approximation).

        Raises:
            EvalError: other works, or a k that one of them lacks.
        """
        if len(self.per_work) != len(other.per_work) or k not in self.ks or k not in other.ks:
            raise EvalError(f"Only recalls@{k} of the same works can be subtracted.")
        mine, theirs = (kept.per_work[:, kept.ks.index(k)] for kept in (self, other))
        each = mine - theirs
        mean, error = float(each.mean()), float(each.std(ddof=1) / np.sqrt(len(each)))
        return mean, mean - 1.96 * error, mean + 1.96 * error


@dataclass(frozen=True)
class Trust:
    """How far neighbourhoods can be believed, 1 where they are the same (Venna & Kaski 2001)."""

    trustworthiness: float  #: low where works that were far apart become neighbours
    continuity: float  #: low where neighbours come to lie far apart
    neighbours: int  #: how many make a neighbourhood
    works: int  #: on how many works it was measured, a random sample where there are more


@dataclass(frozen=True)
class PairCorrelation:
    """How far the order of pairs by cosine is kept."""

    spearman: float  #: correlation of the ranks; NaN where all cosines of one side are equal
    #: tau-b, the share of pairs of pairs in the same order less that in the opposite.
    kendall: float
    pairs: int  #: how many pairs of works were compared


@dataclass(frozen=True)
class LabelFidelity:
    """What compression does to the figures by one label, such as the artist."""

    #: share of works whose nearest work has their label, (full, compact).
    p_at_1: tuple[float, float]
    map_at_10: tuple[float, float]  #: mean average precision at 10, (full, compact)
    queries: int  #: works those two are averaged over
    overall: tuple[float, float]  #: mean silhouette over all labels at once, (full, compact)
    silhouettes: Comparison  #: the silhouettes of every two labels, compared
    #: of the label x label matrices of mean cosines; None with fewer than three labels.
    mantel: Mantel | None
    #: correlation of the cophenetic distances of the two trees of labels, by average linkage of
    #: their centroids; NaN with fewer than three labels or more than a tree takes.
    trees: float

    def to_dict(self) -> dict[str, Any]:
        """Return the figures as JSON can carry them."""
        pairs = {name: getattr(self, name) for name in ("p_at_1", "map_at_10", "overall")}
        return {
            "labels": len(self.silhouettes.names),
            "queries": self.queries,
            **{name: {"full": before, "compact": after} for name, (before, after) in pairs.items()},
            **plain_fields(self, "silhouettes", "mantel", "trees"),
        }


@dataclass(frozen=True)
class Fidelity:
    """All that one compression kept, measured on works it was not fitted on."""

    works: int  #: how many
    neighbours: NeighboursKept  #: share of the nearest works kept
    pairs: PairCorrelation  #: correlation of the cosines of pairs of works
    trust: Trust  #: trustworthiness and continuity
    artists: LabelFidelity | None  #: the figures by artist; None where labels do not allow any
    movements: LabelFidelity | None  #: the same by movement
    left_out: dict[str, str]  #: why, by the name of what is None

    def to_dict(self) -> dict[str, Any]:
        """Return the figures as JSON can carry them."""
        return {
            "works": self.works,
            "recall": {str(k): value for k, value in self.neighbours.recall.items()},
            **plain_fields(self.pairs),
            **vars(self.trust) | {"works": self.works, "trust_works": self.trust.works},
            **plain_fields(self, "artists", "movements", "left_out"),
        }


@dataclass(frozen=True)
class Candidate:
    """One compressor, measured."""

    method: str  #: its name
    dims: int  #: numbers of a compressed vector
    own: bool  #: whether it is the one that the index has
    #: (n, dims) the works, compressed, in the precision of the store.
    codes: npt.NDArray[np.float16] = field(repr=False)
    fit_seconds: float | None  #: how long fitting took; None where it was fitted before
    transform_ms: float  #: milliseconds to compress 1,000 vectors
    fidelity: Fidelity  #: what it keeps

    @property
    def name(self) -> str:
        """What to call it in a table."""
        return f"this index ({self.method})" if self.own else self.method

    @property
    def bytes(self) -> int:
        """Bytes a painting takes in the store."""
        return self.codes.itemsize * self.dims

    def to_dict(self) -> dict[str, Any]:
        """Return the figures as JSON can carry them."""
        return {
            "method": self.method,
            "dims": self.dims,
            "of_this_index": self.own,
            "bytes": self.bytes,
            "fit_seconds": self.fit_seconds,
            "transform_ms_per_1000": self.transform_ms,
            **self.fidelity.to_dict(),
        }


def fidelity(
    full: npt.ArrayLike,
    compact: npt.ArrayLike,
    artists: Labels,
    movements: Labels,
    *,
    min_works: int = MIN_LABEL_WORKS,
    seed: int = 0,
) -> Fidelity:
    """Measure what compressed vectors keep of the full ones.

    `full` and `compact` are of LEAST_WORKS or more; labels of fewer than `min_works` works take no
    part in silhouettes, matrices and trees.

    Raises:
        EvalError: too few works, or unlike numbers of them.
    """
    before, after = unit_rows(full, np.float32), unit_rows(compact, np.float32)
    count = len(before)
    if count < LEAST_WORKS:
        raise EvalError(f"Fidelity takes at least {LEAST_WORKS} works, and here are {count}.")
    # With k others or fewer, all are neighbours on both sides, whatever the vectors.
    kept = neighbours_kept(before, after, [k for k in KS if k < count - 1])
    pairs = pair_correlation(before, after, seed=seed)
    trusted = trust(before, after, K, seed=seed)
    by_label: dict[str, LabelFidelity | None] = {}
    left_out: dict[str, str] = {}
    for name, labels in (("artists", artists), ("movements", movements)):
        try:
            by_label[name] = label_fidelity(before, after, labels, min_works=min_works, seed=seed)
        except EvalError as error:
            by_label[name], left_out[name] = None, str(error)
    return Fidelity(count, kept, pairs, trusted, **by_label, left_out=left_out)


def label_fidelity(
    full: npt.ArrayLike, compact: npt.ArrayLike, labels: Labels, *, min_works: int, seed: int = 0
) -> LabelFidelity:
    """Compare the figures by label before and after compression.

    Raises:
        EvalError: fewer than two labels of `min_works` works, or as `silhouettes`.
    """
    sides = (full, compact)
    # Single pairs of labels are compared, not their intervals: the fewest resamples will do.
    before, after = (silhouettes(side, labels, min_works=min_works, samples=2) for side in sides)
    found = [retrieval(side, labels, ks=(1, K)) for side in sides]
    means = [result.summary() for result in found]
    names, chosen = before.names, set(before.names)
    frequent = [label if label in chosen else None for label in labels]
    centres = [centroids(side, frequent)[1] for side in sides]
    several, trees = len(names) >= 3, float("nan")
    if several and len(names) <= MAX_LEAVES:
        trees = tree_correlation(*(hierarchy(rows, names) for rows in centres))
    return LabelFidelity(
        p_at_1=(means[0]["P@1"], means[1]["P@1"]),
        map_at_10=(means[0][f"mAP@{K}"], means[1][f"mAP@{K}"]),
        queries=len(found[0].queries),
        overall=(before.overall, after.overall),
        silhouettes=compare_silhouettes(before, after),
        mantel=mantel(*(rows @ rows.T for rows in centres), seed=seed) if several else None,
        trees=trees,
    )


def neighbours_kept(
    full: npt.ArrayLike, compact: npt.ArrayLike, ks: Sequence[int] = (1, 10, 50)
) -> NeighboursKept:
    """Measure the recall@k of the compact vectors' neighbours against the full ones'.

    Neighbours are those of `neighbours`: exact, by cosine, never the work itself, ties in the
    order of rows. Where fewer than k other works exist, all of them are neighbours on both sides
    and the recall is 1, which says nothing.

    Raises:
        EvalError: fewer than two works, unlike numbers of works, a k below 1, or a vector
            without direction.
    """
    before, after = _of_the_same_works(full, compact)
    cuts = tuple(sorted(set(ks)))
    if not cuts or cuts[0] < 1:
        raise EvalError(f"Numbers of neighbours must be whole and from 1 up, not {list(ks)}.")
    others = len(before) - 1
    if others < 1:
        raise EvalError(f"Neighbours need at least two works, not {len(before)}.")
    widths = [min(k, others) for k in cuts]
    found, kept = (neighbours(unit, widths[-1]).indices for unit in (before, after))
    per_work = np.stack([_common(found[:, :k], kept[:, :k]) / k for k in widths], axis=1)
    means = per_work.mean(axis=0).tolist()
    return NeighboursKept(cuts, dict(zip(cuts, means, strict=True)), per_work)


def trust(
    full: npt.ArrayLike,
    compact: npt.ArrayLike,
    k: int = 10,
    *,
    most: int = MOST_TRUSTED,
    seed: int = 0,
) -> Trust:
    """Measure trustworthiness and continuity of the compact vectors at k neighbours.

    1 - 2 / (n k (2 n - 3 k - 1)) times the sum, over works and those of their k neighbours that
    are none on the other side, of the rank there less k. The neighbours are the compact vectors'
    and the ranks the full ones' for trustworthiness, the other way round for continuity.

    Of more works than `most` a random sample is measured.

    Raises:
        EvalError: k below 1 or not less than half of the works, or unlike numbers of them.
    """
    before, after = _of_the_same_works(full, compact)
    if len(before) > most:
        rng = np.random.default_rng(seed)
        rows = np.sort(rng.choice(len(before), most, replace=False))
        before, after = before[rows], after[rows]
    n = len(before)
    if not 1 <= k < n / 2:
        raise EvalError(
            f"Trustworthiness at {k} neighbours needs more than {max(2 * k, 2)} works, not {n}."
        )
    scale = 2 / (n * k * (2 * n - 3 * k - 1))
    came, went = (
        scale * _excess_ranks(there, neighbours(here, k).indices, k)
        for here, there in ((after, before), (before, after))
    )
    return Trust(1 - came, 1 - went, k, n)


def pair_correlation(
    full: Vectors, compact: Vectors, *, most: int = MOST_PAIRS, seed: int = 0
) -> PairCorrelation:
    """Correlate the cosines of pairs of works before and after compression.

    `full` and `compact` are unit rows; of more pairs than `most` a random sample is compared.

    Raises:
        EvalError: fewer than three works, which have no two pairs.
    """
    from scipy.stats import kendalltau, spearmanr

    if len(full) < 3:
        raise EvalError(f"A correlation of pairs needs at least 3 works, not {len(full)}.")
    left, right = some_pairs(len(full), most, seed)
    before, after = (pair_cosines(unit, left, right) for unit in (full, compact))
    if np.ptp(before) == 0 or np.ptp(after) == 0:
        return PairCorrelation(float("nan"), float("nan"), len(left))
    ranks, order = (test(before, after).statistic for test in (spearmanr, kendalltau))
    return PairCorrelation(float(ranks), float(order), len(left))


def shown_candidate(candidates: Sequence[Candidate]) -> Candidate:
    """Return the one to look at: the index's own, else the best of the smallest size."""
    return max(candidates, key=lambda one: (one.own, -one.dims, one.fidelity.neighbours.recall[K]))


def verdicts(candidates: Sequence[Candidate], k: int = K) -> list[str]:
    """Say of each method but the baseline whether it beats that at equal size, and by how much."""
    baselines = {one.dims: one for one in reversed(candidates) if one.method == BASELINE}
    said = []
    for candidate in candidates:
        baseline = baselines.get(candidate.dims)
        if baseline is None or candidate.method == BASELINE:
            continue
        mine, theirs = (one.fidelity.neighbours for one in (candidate, baseline))
        mean, low, high = mine.difference(theirs, k)
        won = low > 0
        figures = (
            f"recall@{k} {mine.recall[k]:.3f} against {theirs.recall[k]:.3f}, "
            f"{abs(mean):.3f} {'more' if mean > 0 else 'less'} "
            f"(95 % interval of the difference {low:+.3f} to {high:+.3f})"
        )
        chance = "" if won or high < 0 else "; so little may be chance"
        said.append(
            f"{candidate.name} {'beats' if won else 'loses to'} {BASELINE} at {candidate.dims} "
            f"dimensions: {figures}{chance}."
        )
    return said


def _of_the_same_works(full: npt.ArrayLike, compact: npt.ArrayLike) -> tuple[Vectors, Vectors]:
    before, after = unit_rows(full, np.float32), unit_rows(compact, np.float32)
    if len(before) != len(after):
        raise EvalError(
            f"{len(after)} compact vectors were given for {len(before)} full ones; they must be "
            "of the same works."
        )
    return before, after


def _common(a: Ints, b: Ints) -> Ints:
    """Return how many of each row of `a` are in the same row of `b`; within a row all differ."""
    both = np.sort(np.concatenate([a, b], axis=1), axis=1)
    return np.asarray(np.count_nonzero(both[:, 1:] == both[:, :-1], axis=1))


def _excess_ranks(unit: Vectors, found: Ints, k: int) -> int:
    """Return the sum of rank - k over the rows in `found` (n, k) that rank beyond k in `unit`."""
    total = 0
    for block in row_blocks(len(unit), len(unit)):
        keys = ranking_keys(unit[block] @ unit.T)
        line = np.arange(block.stop - block.start)
        keys[line, line + block.start] = np.iinfo(np.int64).min
        for column in range(k):
            key = keys[line, found[block, column]]
            ranks = 1 + np.count_nonzero(keys > key[:, None], axis=1)
            total += int(np.maximum(ranks - k, 0).sum())
    return total
