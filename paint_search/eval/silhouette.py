"""Vectors and labels in; how well the works of each label, and of each two labels, separate, out.

The silhouette of a work is (b - a) / max(a, b): a its mean distance to the works of its label,
b to those of another (Rousseeuw 1987). Exact, over all works; distances are summed block by
block, so memory grows with works x labels and never with works x works.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from paint_search.errors import EvalError
from paint_search.eval.inputs import (
    Floats,
    Groups,
    Ints,
    Labels,
    Vectors,
    group_labels,
    plain,
    plain_fields,
    unit_rows,
)
from paint_search.eval.neighbours import row_blocks
from paint_search.eval.pairs import ranked_pairs
from paint_search.eval.resampling import (
    CELLS,
    pair_intervals,
    percentile_interval,
    resample_weights,
)

Metric = Literal["cosine", "euclidean"]

ZERO = 0.01
"""A silhouette closer to 0 than this has no sign worth the name."""


@dataclass(frozen=True)
class PairSilhouette:
    """How well two labels separate: the mean over the works of both, with only these two."""

    a: str
    b: str
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class LabelSilhouette:
    """The mean silhouette of the works of one label among all labels."""

    label: str
    works: int
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Silhouette:
    """Silhouettes of works, labels and pairs of labels.

    Intervals resample works within their labels; the silhouettes of single works stay as they
    are, so that the intervals leave out that clusters themselves would shift a little.
    """

    metric: Metric  #: distance between unit vectors, cosine or Euclidean
    names: tuple[str, ...]  #: the labels that take part, sorted
    counts: Ints  #: their works
    rows: Ints  #: (n,) the works that take part, as rows of what was handed in
    values: Floats = field(repr=False)  #: (n,) the silhouette of each among all labels
    overall: float  #: their mean
    overall_interval: tuple[float, float]  #: its bootstrap interval
    per_label: tuple[LabelSilhouette, ...] = field(repr=False)  #: the mean of each label
    #: (labels, labels) the mean over the works of two labels when only these two exist, as in the
    #: compression study; NaN on the diagonal.
    pairs: Floats = field(repr=False)
    low: Floats = field(repr=False)  #: lower end of the bootstrap interval of `pairs`
    high: Floats = field(repr=False)  #: upper end
    unlabelled: int  #: works left out for want of a label
    too_few: int  #: works left out because their label has fewer than the asked number

    @property
    def pair_values(self) -> Floats:
        """The silhouettes of all pairs of labels, each pair once."""
        return self.pairs[np.triu_indices(len(self.names), 1)]

    @property
    def negative_pairs(self) -> int:
        """How many pairs have a negative silhouette: their works mix rather than separate."""
        return int(np.count_nonzero(self.pair_values < 0))

    def pair(self, a: str, b: str) -> PairSilhouette:
        """Return the silhouette of two labels. EvalError: unknown, left out, or twice the same."""
        for name in (a, b):
            if name not in self.names:
                raise EvalError(f"{name!r} has no silhouette: unknown, or too few works.")
        if a == b:
            raise EvalError(f"A pair takes two different labels, not {a!r} twice.")
        return self._pairs([(self.names.index(a), self.names.index(b))])[0]

    def best(self, count: int = 10) -> list[PairSilhouette]:
        """Return the pairs of labels that separate best, best first."""
        return self._pairs(ranked_pairs(self.pairs)[:count])

    def worst(self, count: int = 10) -> list[PairSilhouette]:
        """Return the pairs of labels that separate worst, worst first."""
        return self._pairs(ranked_pairs(-self.pairs)[:count])

    def median(self) -> PairSilhouette:
        """Return the pair in the middle, the lower of two."""
        upwards = ranked_pairs(-self.pairs)
        return self._pairs(upwards[[(len(upwards) - 1) // 2]])[0]

    def to_dict(self) -> dict[str, Any]:
        """Return counts, means, intervals and matrices as JSON can carry them."""
        counts = ("unlabelled", "too_few", "overall", "overall_interval", "negative_pairs")
        tables = ("per_label", "names", "pairs", "low", "high")
        return {
            "metric": self.metric,
            "works": len(self.rows),
            **plain_fields(self, *counts, *tables),
        }

    def _pairs(self, places: Ints | Sequence[tuple[int, int]]) -> list[PairSilhouette]:
        tables = self.pairs, self.low, self.high
        return [
            PairSilhouette(self.names[i], self.names[j], *(float(table[i, j]) for table in tables))
            for i, j in places
        ]


@dataclass(frozen=True)
class PairChange:
    """The silhouette of one pair of labels before and after compression."""

    a: str
    b: str
    full: float
    compact: float


@dataclass(frozen=True)
class Comparison:
    """What compression does to the silhouettes of all pairs of labels."""

    pairs: int  #: how many pairs are compared
    names: tuple[str, ...] = field(repr=False)  #: the labels
    #: (labels, labels) silhouettes of the pairs before, NaN on the diagonal.
    full: Floats = field(repr=False)
    compact: Floats = field(repr=False)  #: the same after
    mean_difference: float  #: over all pairs; above 0 where compression separates better
    overall_difference: float  #: of the silhouettes over all labels at once
    correlation: float  #: Pearson, of the pairs' values; NaN where either has no variance

    @property
    def differences(self) -> Floats:
        """(labels, labels) compact minus full, NaN on the diagonal."""
        return self.compact - self.full

    @property
    def sign_flips(self) -> tuple[PairChange, ...]:
        """The pairs whose silhouette changes its sign, the largest change first."""
        pairs = ranked_pairs(np.abs(self.differences))
        signs = np.sign(self.full) * np.sign(self.compact)
        return tuple(self._changes(pairs[signs[tuple(pairs.T)] < 0]))

    @property
    def clear_flips(self) -> list[PairChange]:
        """The sign flips that lead from beyond `ZERO` on one side to beyond it on the other."""
        return [one for one in self.sign_flips if min(abs(one.full), abs(one.compact)) > ZERO]

    def largest_changes(self, count: int = 10) -> list[PairChange]:
        """Return the pairs whose silhouette changes most, in either direction."""
        return self._changes(ranked_pairs(np.abs(self.differences))[:count])

    def to_dict(self) -> dict[str, Any]:
        """Return the figures as JSON can carry them, without the matrices."""
        means = ("mean_difference", "overall_difference", "correlation")
        return {
            **plain_fields(self, "pairs", *means, "sign_flips"),
            "clear_sign_flips": len(self.clear_flips),
            "largest_changes": plain(self.largest_changes()),
        }

    def _changes(self, pairs: Ints) -> list[PairChange]:
        names, full, compact = self.names, self.full, self.compact
        return [
            PairChange(names[i], names[j], float(full[i, j]), float(compact[i, j]))
            for i, j in pairs
        ]


def silhouettes(
    vectors: npt.ArrayLike,
    labels: Labels,
    *,
    metric: Metric = "cosine",
    min_works: int = 2,
    samples: int = 200,
    level: float = 0.95,
    seed: int = 0,
    cells: int = CELLS,
) -> Silhouette:
    """Measure how well labels separate: overall, each one, and every two by themselves.

    Both distances are taken between unit vectors. Labels with fewer than `min_works` works take no
    part; a silhouette needs two. `cells` are the resampled figures held at once, which bounds
    memory.

    Raises:
        EvalError: fewer than two labels take part, `min_works` below 2, or an unknown metric.
    """
    if metric not in ("cosine", "euclidean") or min_works < 2:
        raise EvalError("Silhouettes take cosine or euclidean, and labels of at least 2 works.")
    unit = unit_rows(vectors, np.float64)
    given = group_labels(labels, len(unit))
    frequent = set(np.flatnonzero(given.counts >= min_works))
    taking_part = [given.names[c] if c in frequent else None for c in given.codes]
    groups = group_labels(taking_part, len(unit))
    if len(groups.names) < 2:
        raise EvalError(
            f"Silhouettes compare labels: {len(groups.names)} of {len(given.names)} have "
            f"at least {min_works} works, and two are needed."
        )
    rows, starts, counts = groups.by_label, groups.starts, groups.counts
    values, against = _work_silhouettes(unit[rows], groups, metric)
    sums = np.add.reduceat(against, starts, axis=0, dtype=np.float64)
    pairs = (sums + sums.T) / (counts[:, None] + counts)
    weights = resample_weights(counts, samples, seed)
    low, high = _pair_intervals(against, weights, groups, level, cells)
    for table in (pairs, low, high):
        np.fill_diagonal(table, np.nan)
    overall = percentile_interval((weights @ values) / len(values), level)
    draws = np.add.reduceat(weights * values, starts, axis=1) / counts
    means = np.add.reduceat(values, starts) / counts
    labels_found = np.stack([means, *percentile_interval(draws, level)], axis=1)
    return Silhouette(
        metric=metric,
        names=groups.names,
        counts=counts,
        rows=rows,
        values=values,
        overall=float(values.mean()),
        overall_interval=(float(overall[0]), float(overall[1])),
        per_label=tuple(
            LabelSilhouette(name, count, *figures)
            for name, count, figures in zip(
                groups.names, counts.tolist(), labels_found.tolist(), strict=True
            )
        ),
        pairs=pairs,
        low=low,
        high=high,
        unlabelled=given.unlabelled,
        too_few=groups.unlabelled - given.unlabelled,
    )


def compare_silhouettes(full: Silhouette, compact: Silhouette) -> Comparison:
    """Compare the silhouettes of the same works before and after compression.

    Raises:
        EvalError: other labels, other numbers of works, or another metric.
    """
    before, after = (
        (result.metric, result.names, result.counts.tolist(), result.rows.tolist())
        for result in (full, compact)
    )
    if before != after:
        raise EvalError("Only silhouettes of the same works, labels and metric can be compared.")
    a, b = full.pair_values, compact.pair_values
    varied = len(a) > 1 and np.ptp(a) > 0 and np.ptp(b) > 0
    return Comparison(
        pairs=len(a),
        names=full.names,
        full=full.pairs,
        compact=compact.pairs,
        mean_difference=float((b - a).mean()),
        overall_difference=compact.overall - full.overall,
        correlation=float(np.corrcoef(a, b)[0, 1]) if varied else float("nan"),
    )


def _work_silhouettes(
    unit: Vectors, groups: Groups, metric: Metric
) -> tuple[Floats, npt.NDArray[np.float32]]:
    """Return the silhouette of each work among all labels, and against each single one.

    `unit` is in the order of labels. The second table is (n, labels), 0 at a work's own label.
    """
    starts = groups.starts
    own = np.repeat(np.arange(len(groups.names)), groups.counts)
    values = np.empty(len(unit))
    against = np.empty((len(unit), len(groups.names)), dtype=np.float32)
    centres = np.add.reduceat(unit, starts, axis=0) / groups.counts[:, None]
    for block in row_blocks(len(unit), len(unit)):
        line, mine = np.arange(block.stop - block.start), own[block]
        if metric == "cosine":
            # The mean of 1 - x . y over the works y of a label is 1 - x . (their mean).
            means = 1 - unit[block] @ centres.T
        else:
            squares = np.maximum(2 - 2 * (unit[block] @ unit.T), 0)
            # The square root would make a rounding error of 1e-16 one of 1e-8.
            squares[line, block.start + line] = 0
            means = np.add.reduceat(np.sqrt(squares), starts, axis=1) / groups.counts
        size = groups.counts[mine]
        # Its own label's mean counts a work's distance to itself, which is 0.
        inside = means[line, mine] * size / (size - 1)
        means[line, mine] = np.inf
        values[block] = _ratio(inside, means.min(axis=1))
        means[line, mine] = inside
        against[block] = _ratio(inside[:, None], means)
    return values, against


def _ratio(a: Floats, b: Floats) -> Floats:
    """Return (b - a) / max(a, b), and 0 where both are 0 up to rounding."""
    larger = np.maximum(a, b)
    return np.asarray(np.divide(b - a, larger, out=np.zeros_like(b), where=larger > 1e-7))


def _pair_intervals(
    against: npt.NDArray[np.float32],
    weights: npt.NDArray[np.float32],
    groups: Groups,
    level: float,
    cells: int,
) -> Floats:
    """Return the lower and upper ends of the intervals of `Silhouette.pairs`."""
    counts = groups.counts

    def means(block: slice) -> npt.NDArray[np.float32]:
        later, runs = slice(block.start, None), groups.runs[block.start :]
        draws = np.zeros((len(weights), block.stop - block.start, len(runs)), dtype=np.float32)
        for label, run in enumerate(runs):
            drawn = weights[:, run]
            draws[:, :, label] += drawn @ against[run, block]
            if label < draws.shape[1]:
                draws[:, label] += drawn @ against[run, later]
        draws /= counts[block, None] + counts[later]
        return draws

    return pair_intervals(means, len(counts), len(weights), level, cells)
