"""Vectors and labels in; how alike the labels' works are, label by label, out.

"Artist" is the usual label; movement, source or any other field does as well. Memory grows with
works x dimensions and with labels x labels, never with the number of pairs of works.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

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
    label_means,
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

_RESAMPLES_AT_ONCE = 40  # sums of every label held at once, labels x dimensions each


@dataclass(frozen=True)
class ArtistPair:
    """Two labels compared."""

    a: str  #: one label
    b: str  #: the other
    score: float  #: mean cosine over the pairs of works across the two
    rank: int  #: place of the score among all `pairs`, 1 the most alike; ties share a place
    pairs: int  #: how many pairs of labels there are
    low: float  #: lower end of the bootstrap interval of the score; NaN with a single work
    high: float  #: upper end
    centroid: float  #: cosine between the two centroids
    csls: float  #: the score corrected for labels that are close to all others
    work_a: int  #: row of the work of `a` that is closest to a work of `b`
    work_b: int  #: row of that work of `b`
    closest: float  #: their cosine

    def to_dict(self) -> dict[str, Any]:
        """Return the fields, None where unknown."""
        return plain_fields(self)


@dataclass(frozen=True)
class ArtistSimilarity:
    """Label x label matrices, rows and columns in the order of `groups.names`."""

    groups: Groups  #: the labels and their numbers of works
    #: mean cosine over all pairs of works across two labels; on the diagonal over the pairs of
    #: different works within one, NaN for a single work.
    mean: Floats
    #: cosine between the labels' mean unit vectors; 1 on the diagonal, NaN where the works of a
    #: label cancel out.
    centroid: Floats
    csls: Floats  #: `mean` corrected for hubness, NaN on the diagonal
    #: lower end of the bootstrap interval of `mean`; NaN where a label has a single work.
    low: Floats
    high: Floats  #: upper end
    unit: Vectors = field(repr=False)  #: the works' unit vectors

    def pair(self, a: str, b: str) -> ArtistPair:
        """Compare two labels, and find the two works that are closest across them.

        Raises:
            EvalError: an unknown label, or twice the same.
        """
        i, j = self.groups.code(a), self.groups.code(b)
        if i == j:
            raise EvalError(f"A pair takes two different labels, not {a!r} twice.")
        score = float(self.mean[i, j])
        all_scores = self.mean[np.triu_indices(len(self.mean), 1)]
        return ArtistPair(
            a,
            b,
            score,
            int(np.count_nonzero(all_scores > score)) + 1,
            len(all_scores),
            float(self.low[i, j]),
            float(self.high[i, j]),
            float(self.centroid[i, j]),
            float(self.csls[i, j]),
            *self._closest_works(i, j),
        )

    def nearest(self, a: str, count: int = 10) -> list[ArtistPair]:
        """Return the pairs of one label with those whose works are most like its own."""
        i, names = self.groups.code(a), self.groups.names
        order = [j for j in np.argsort(-self.mean[i], kind="stable") if j != i]
        return [self.pair(a, names[j]) for j in order[:count]]

    def closest(self, count: int = 10, least: int = 1) -> list[ArtistPair]:
        """Return the most alike pairs of labels of so many works or more, best first."""
        return self._first(ranked_pairs(self.mean), count, least)

    def farthest(self, count: int = 10, least: int = 1) -> list[ArtistPair]:
        """Return the least alike pairs of labels of so many works or more, worst first."""
        return self._first(ranked_pairs(-self.mean), count, least)

    def to_dict(self) -> dict[str, Any]:
        """Return names, counts and matrices as JSON can carry them."""
        return {
            "names": list(self.groups.names),
            "works": self.groups.counts.tolist(),
            "unlabelled": self.groups.unlabelled,
            **plain_fields(self, "mean", "centroid", "csls", "low", "high"),
        }

    def _first(self, pairs: Ints, count: int, least: int) -> list[ArtistPair]:
        names, enough = self.groups.names, self.groups.counts >= least
        pairs = pairs[enough[pairs].all(axis=1)][:count]
        return [self.pair(names[i], names[j]) for i, j in pairs]

    def _closest_works(self, i: int, j: int) -> tuple[int, int, float]:
        ours, theirs = (np.flatnonzero(self.groups.codes == code) for code in (i, j))
        best = (-1, -1, -np.inf)
        for block in row_blocks(len(ours), len(theirs)):
            cosines = (self.unit[ours[block]] @ self.unit[theirs].T).clip(-1, 1)
            row, column = np.unravel_index(np.argmax(cosines), cosines.shape)
            if cosines[row, column] > best[2]:
                top = float(cosines[row, column])
                best = (int(ours[block][row]), int(theirs[column]), top)
        return best


def artist_similarity(
    vectors: npt.ArrayLike,
    labels: Labels,
    *,
    hubs: int = 10,
    samples: int = 200,
    level: float = 0.95,
    seed: int = 0,
    cells: int = CELLS,
) -> ArtistSimilarity:
    """Compare every two labels by the cosines of their works.

    The mean over the pairs of works across two labels is the product of their mean unit vectors;
    within one, of n works and with s the sum of their unit vectors, (|s|^2 - n) / (n (n - 1)).

    `hubs` nearest labels tell how close a label is to all (CSLS); `cells` are the resampled figures
    held at once, which bounds memory.

    Raises:
        EvalError: no labelled work, or `hubs` below 1.
    """
    unit = unit_rows(vectors)
    groups = group_labels(labels, len(unit))
    means = label_means(unit, groups)
    mean = means @ means.T
    norms = np.sqrt(mean.diagonal())
    # Works that cancel out leave a rounding error of a mean, which has no direction.
    norms[norms < 1e-6] = np.nan
    centroid = mean / (norms[:, None] * norms)
    np.fill_diagonal(centroid, np.where(np.isnan(norms), np.nan, 1.0))
    squared_sums = mean.diagonal() * groups.counts**2
    np.fill_diagonal(mean, _within(squared_sums, groups.counts, groups.counts))
    weights = resample_weights(groups.counts, samples, seed)
    low, high = _bootstrap(unit[groups.by_label], groups, weights, level, cells).clip(-1, 1)
    mean, centroid = mean.clip(-1, 1), centroid.clip(-1, 1)
    return ArtistSimilarity(groups, mean, centroid, csls(mean, hubs), low, high, unit)


def csls(similarity: Floats, k: int = 10) -> Floats:
    """Correct similarities for hubs: 2 s(a, b) - r(a) - r(b), NaN on the diagonal.

    r(a) is the mean similarity of a to its k nearest others (all, where there are fewer), after
    Conneau et al. 2018, "Word Translation Without Parallel Data", equation 3.

    `similarity` is (m, m), symmetric; its diagonal is not looked at.

    Raises:
        EvalError: k below 1.
    """
    if k < 1:
        raise EvalError(f"CSLS needs at least 1 nearest label, not {k}.")
    others = similarity.copy()
    np.fill_diagonal(others, -np.inf)
    nearest = np.sort(others, axis=1)[:, 1:][:, -k:]
    r = nearest.mean(axis=1) if nearest.shape[1] else np.full(len(others), np.nan)
    corrected = 2 * similarity - r[:, None] - r
    np.fill_diagonal(corrected, np.nan)
    return np.asarray(corrected)


def _within(squared_norms: Floats, counts: Floats | Ints, squares: Floats | Ints) -> Floats:
    """Turn |sum of unit vectors|^2 into the mean over pairs of different works, NaN for none.

    `squares` is the sum of squared weights of the works, which is what pairing each of them
    with itself contributes.
    """
    pairs = counts**2 - squares
    # Dividing by NaN: one work, or a resample that is one work over and over, has no pairs.
    return np.asarray((squared_norms - squares) / np.where(pairs > 0, pairs, np.nan))


def _bootstrap(
    ordered: Vectors, groups: Groups, weights: npt.NDArray[np.float32], level: float, cells: int
) -> Floats:
    """Return the lower and upper ends of the intervals of `ArtistSimilarity.mean`."""
    works, counts, samples = ordered.astype(np.float32), groups.counts, len(weights)
    norms = np.empty((samples, len(counts)))

    def means(block: slice) -> npt.NDArray[np.float32]:
        runs = groups.runs[block.start :]
        products = np.empty((samples, block.stop - block.start, len(runs)), dtype=np.float32)
        for first in range(0, samples, _RESAMPLES_AT_ONCE):
            drawn = slice(first, first + _RESAMPLES_AT_ONCE)
            sums = np.stack([weights[drawn, run] @ works[run] for run in runs], axis=1)
            np.matmul(sums[:, : products.shape[1]], sums.transpose(0, 2, 1), out=products[drawn])
        norms[:, block] = products.diagonal(axis1=1, axis2=2)
        products /= counts[block, None] * counts[block.start :]
        return products

    ends = pair_intervals(means, len(counts), samples, level, cells)
    ends[:, counts < 2], ends[:, :, counts < 2] = np.nan, np.nan
    every, several = np.arange(len(counts)), np.flatnonzero(counts > 2)
    ends[:, every, every] = np.nan
    squares = np.add.reduceat(weights**2, groups.starts, axis=1)
    # Two works are one pair: resampling them cannot tell how it varies.
    within = _within(norms, counts, squares)[:, several]
    ends[:, several, several] = percentile_interval(within, level)
    return ends
