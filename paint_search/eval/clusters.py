"""Vectors in; a tree of them, a cut of the tree, and k-means clusters out.

The rows may be the centroids of artists or paintings themselves. A tree needs the distance of
every two rows, so its size is limited and the limit is said; that of k-means is not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from paint_search.errors import EvalError
from paint_search.eval.inputs import (
    Floats,
    Ints,
    Labels,
    Vectors,
    group_labels,
    label_means,
    plain_fields,
    unit_rows,
)
from paint_search.eval.neighbours import row_blocks

MAX_LEAVES = 5000
"""Largest number of rows of a tree: 100 MB of distances, some seconds."""

_ORDERED_LEAVES = 1000  # beyond, the best order of leaves takes longer than the tree


@dataclass(frozen=True)
class Hierarchy:
    """A binary tree over n named rows."""

    names: tuple[str, ...]  #: (n,) what the leaves are called
    method: str  #: how clusters were merged
    linkage: Floats  #: (n - 1, 4) merges as scipy.cluster.hierarchy.linkage gives them
    #: correlation of the heights at which two leaves meet with their distances; NaN where all
    #: distances are equal.
    cophenetic: float
    order: Ints  #: (n,) leaves from one end of the tree to the other; neighbours are alike

    def cut(self, *, k: int | None = None, height: float | None = None) -> Ints:
        """Cut the tree into at most k clusters (fewer where merges tie), or at a height.

        Returns:
            (n,) cluster of each leaf, from 0 up.

        Raises:
            EvalError: neither or both given, or k outside 1..n.
        """
        from scipy.cluster.hierarchy import fcluster

        if (k is None) == (height is None):
            raise EvalError("A tree is cut either into k clusters or at a height: give one.")
        if k is not None and not 1 <= k <= len(self.names):
            raise EvalError(f"A tree of {len(self.names)} leaves has no cut into {k} clusters.")
        criterion = "maxclust" if height is None else "distance"
        return np.asarray(
            fcluster(self.linkage, k if height is None else height, criterion) - 1, dtype=np.int64
        )

    def only(self, leaves: Ints) -> Floats:
        """Return the linkage of some of the leaves, which meet where they met in the whole tree.

        ``leaves`` are (m,) rows; the linkage is (m - 1, 4), its leaves are numbered as they stand.
        """
        nodes = {leaf: place for place, leaf in enumerate(leaves.tolist())}
        sizes, merges = [1] * len(nodes), []
        for made, (one, other, height, _) in enumerate(self.linkage, start=len(self.names)):
            met = [nodes[int(side)] for side in (one, other) if int(side) in nodes]
            if len(met) == 2:
                sizes.append(sizes[met[0]] + sizes[met[1]])
                merges.append([*met, height, sizes[-1]])
                nodes[made] = len(sizes) - 1
            elif met:
                nodes[made] = met[0]
        return np.array(merges, dtype=np.float64).reshape(-1, 4)

    def to_dict(self) -> dict[str, Any]:
        """Return the tree as JSON can carry it."""
        return plain_fields(self)


@dataclass(frozen=True)
class Partition:
    """A k-means clustering."""

    k: int  #: number of clusters
    codes: Ints  #: (n,) cluster of each row, from 0 up
    centres: Vectors  #: (k, d) means of unit vectors
    #: mean cosine silhouette by number of clusters tried; empty if k was given.
    silhouettes: dict[int, float]
    sample: int  #: how many rows those were computed on; 0 if k was given

    def to_dict(self) -> dict[str, Any]:
        """Return the clustering as JSON can carry it, without the centres."""
        return plain_fields(self, "k", "codes", "silhouettes", "sample")


def centroids(vectors: npt.ArrayLike, labels: Labels) -> tuple[tuple[str, ...], Floats]:
    """Return the labels, sorted, and the mean unit vector of each: (m, d).

    Raises:
        EvalError: no labelled work.
    """
    unit = unit_rows(vectors)
    groups = group_labels(labels, len(unit))
    return groups.names, label_means(unit, groups)


def hierarchy(
    vectors: npt.ArrayLike, names: Sequence[str], *, method: Literal["average", "ward"] = "average"
) -> Hierarchy:
    """Build a tree: average linkage on cosine distance, or Ward on normalised vectors.

    Leaves are put in the order that brings like beside like (Bar-Joseph et al. 2001) up to 1000
    of them, in the order of the merges beyond.

    `vectors` are 2 to MAX_LEAVES, `names` those of the rows.

    Raises:
        EvalError: too few or too many rows, another number of names, or an unknown
            method.
    """
    from scipy.cluster.hierarchy import cophenet, leaves_list, linkage, optimal_leaf_ordering

    unit = unit_rows(vectors)
    if method not in ("average", "ward"):
        raise EvalError(f"Unknown method {method!r}; choose average or ward.")
    if not 2 <= len(unit) <= MAX_LEAVES:
        raise EvalError(
            f"A tree takes from 2 to {MAX_LEAVES} rows, not {len(unit)}; cluster artists "
            "instead of paintings, or fewer paintings."
        )
    if len(names) != len(unit):
        raise EvalError(f"{len(names)} names were given for {len(unit)} rows.")
    distances = _condensed_cosine(unit)
    if method == "ward":
        # The Euclidean distance of unit vectors, which Ward's criterion is about.
        distances = np.sqrt(2 * distances)
    tree = linkage(distances, method)
    flat = distances.max() - distances.min() < 1e-12
    correlation = float("nan") if flat else float(cophenet(tree, distances)[0])
    ordered = optimal_leaf_ordering(tree, distances) if len(unit) <= _ORDERED_LEAVES else tree
    order = np.asarray(leaves_list(ordered), dtype=np.int64)
    return Hierarchy(tuple(names), method, ordered, correlation, order)


def kmeans(
    vectors: npt.ArrayLike,
    k: int | None = None,
    *,
    candidates: Sequence[int] = tuple(range(2, 21)),
    sample: int = 2000,
    seed: int = 0,
) -> Partition:
    """Cluster normalised vectors by k-means; the number of clusters is chosen when not given.

    It is the candidate of highest mean cosine silhouette, tried on a random sample of the rows;
    the clusters returned are then fitted to all rows.

    `candidates` are the numbers of clusters to try when `k` is not given, on `sample` rows at most.

    Raises:
        EvalError: k below 1 or above the number of distinct rows, or no candidate below the number
            of distinct rows.
    """
    from sklearn.metrics import silhouette_score

    unit = unit_rows(vectors)
    if k is not None:
        distinct = len(np.unique(unit, axis=0))
        if not 1 <= k <= distinct:
            raise EvalError(f"{distinct} distinct vectors cannot be put into {k} clusters.")
        return Partition(k, *_fit(unit, k, seed), {}, 0)
    rng = np.random.default_rng(seed)
    chosen = np.sort(rng.permutation(len(unit))[:sample])
    tried_on = unit[chosen]
    distinct = len(np.unique(tried_on, axis=0))
    # A silhouette needs at least two clusters and fewer clusters than rows.
    feasible = [n for n in sorted(set(candidates)) if 2 <= n <= min(distinct, len(chosen) - 1)]
    if not feasible:
        raise EvalError(
            f"No number of clusters to try: {distinct} of {len(chosen)} vectors are distinct."
        )
    silhouettes = {
        n: float(silhouette_score(tried_on, _fit(tried_on, n, seed)[0], metric="cosine"))
        for n in feasible
    }
    best = max(silhouettes, key=lambda tried: (silhouettes[tried], -tried))
    return Partition(best, *_fit(unit, best, seed), silhouettes, len(chosen))


def _fit(unit: Vectors, k: int, seed: int) -> tuple[Ints, Vectors]:
    from sklearn.cluster import KMeans

    model = KMeans(k, n_init=3, random_state=seed).fit(unit)
    return model.labels_.astype(np.int64), model.cluster_centers_


def _condensed_cosine(unit: Vectors) -> Floats:
    """Return the cosine distances of all pairs of rows as scipy's condensed vector."""
    distances = np.concatenate(
        [
            row[place + 1 :]
            for block in row_blocks(len(unit), len(unit))
            for place, row in enumerate(1 - unit[block] @ unit[block.start :].T)
        ],
        dtype=np.float64,
    )
    # Rounding may leave the distance of two equal rows just below zero.
    return np.maximum(distances, 0, out=distances)
