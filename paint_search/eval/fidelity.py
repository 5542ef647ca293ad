"""Full and compact vectors of the same works in; all that compression kept and lost, out.

The works must not be among those that the compressor was fitted on: nothing here can know. Every
figure compares the compact vectors with the full ones, by cosine, on the same works.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from paint_search.errors import EvalError
from paint_search.eval.clusters import MAX_LEAVES, centroids, hierarchy
from paint_search.eval.inputs import Labels, plain, unit_rows
from paint_search.eval.mantel import Mantel, mantel, tree_correlation
from paint_search.eval.neighbourhoods import NeighboursKept, Trust, neighbours_kept, trust
from paint_search.eval.pairs import PairCorrelation, pair_correlation
from paint_search.eval.retrieval import retrieval
from paint_search.eval.silhouette import Comparison, compare, silhouettes

__all__ = ["Fidelity", "LabelFidelity", "NeighboursKept", "fidelity", "neighbours_kept"]

KS = (1, 10, 50)
"""Numbers of neighbours whose recall is measured, where there are more works than these."""
K = 10
"""The neighbourhood of trustworthiness and of mAP."""
LEAST_WORKS = 2 * K + 2
"""Fewer works have no ten neighbours that could be told from the others."""
MIN_LABEL_WORKS = 5
"""Artists and movements of fewer works take no part in silhouettes, matrices and trees."""


@dataclass(frozen=True)
class LabelFidelity:
    """What compression does to the figures by one label, such as the artist.

    Attributes:
        p_at_1: share of works whose nearest work has their label, (full, compact).
        map_at_10: mean average precision at 10, (full, compact).
        queries: works those two are averaged over.
        overall: mean silhouette over all labels at once, (full, compact).
        silhouettes: the silhouettes of every two labels, compared.
        mantel: of the label x label matrices of mean cosines; None with fewer than three labels.
        trees: correlation of the cophenetic distances of the two trees of labels, by average
            linkage of their centroids; NaN with fewer than three labels or
            more than a tree takes.
    """

    p_at_1: tuple[float, float]
    map_at_10: tuple[float, float]
    queries: int
    overall: tuple[float, float]
    silhouettes: Comparison
    mantel: Mantel | None
    trees: float

    def to_dict(self) -> dict[str, Any]:
        """Return the figures as JSON can carry them."""
        pairs = {name: getattr(self, name) for name in ("p_at_1", "map_at_10", "overall")}
        test = self.mantel
        return {
            "labels": len(self.silhouettes.names),
            "queries": self.queries,
            **{name: {"full": before, "compact": after} for name, (before, after) in pairs.items()},
            "silhouettes": self.silhouettes.to_dict(),
            "mantel": test and vars(test) | {"r": plain(test.r), "p_value": plain(test.p_value)},
            "trees": plain(self.trees),
        }


@dataclass(frozen=True)
class Fidelity:
    """All that one compression kept, measured on works it was not fitted on.

    Attributes:
        works: how many.
        neighbours: share of the nearest works kept.
        pairs: correlation of the cosines of pairs of works.
        trust: trustworthiness and continuity.
        artists: the figures by artist; None where labels do not allow any.
        movements: the same by movement.
        left_out: why, by the name of what is None.
    """

    works: int
    neighbours: NeighboursKept
    pairs: PairCorrelation
    trust: Trust
    artists: LabelFidelity | None
    movements: LabelFidelity | None
    left_out: dict[str, str]

    def to_dict(self) -> dict[str, Any]:
        """Return the figures as JSON can carry them."""
        return {
            "works": self.works,
            "recall": {str(k): value for k, value in self.neighbours.recall.items()},
            "spearman": plain(self.pairs.spearman),
            "kendall": plain(self.pairs.kendall),
            "pairs": self.pairs.pairs,
            **vars(self.trust) | {"works": self.works, "trust_works": self.trust.works},
            "artists": self.artists and self.artists.to_dict(),
            "movements": self.movements and self.movements.to_dict(),
            "left_out": self.left_out,
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

    Args:
        full: (n, d), any norm, n >= LEAST_WORKS.
        compact: (n, m), any norm, of the same works.
        artists: n labels, None where a work has none.
        movements: n labels.
        min_works: labels of fewer works take no part in silhouettes, matrices and trees.
        seed: of the sampled pairs, the sampled works and the permutations.

    Raises:
        EvalError: too few works, unlike numbers of works, or a vector without direction.
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
    centres = [centroids(side, _only(labels, before.names))[1] for side in sides]
    several = len(before.names) >= 3
    return LabelFidelity(
        p_at_1=(means[0]["P@1"], means[1]["P@1"]),
        map_at_10=(means[0][f"mAP@{K}"], means[1][f"mAP@{K}"]),
        queries=len(found[0].queries),
        overall=(before.overall, after.overall),
        silhouettes=compare(before, after),
        mantel=mantel(*(rows @ rows.T for rows in centres), seed=seed) if several else None,
        trees=_trees(centres, before.names) if several else float("nan"),
    )


def _only(labels: Labels, names: Sequence[str]) -> list[str | None]:
    chosen = set(names)
    return [label if label in chosen else None for label in labels]


def _trees(centres: Sequence[npt.NDArray[Any]], names: Sequence[str]) -> float:
    if len(names) > MAX_LEAVES:
        return float("nan")
    return tree_correlation(*(hierarchy(rows, names) for rows in centres))
