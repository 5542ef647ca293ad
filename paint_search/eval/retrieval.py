"""Vectors and labels in; how well neighbours, and all pairs, share a label, out.

Every labelled work asks for its nearest others (leave-one-out), or one split asks another.
Works without a label take no part; the figures are averaged over the queries that have
something to find, and the number of those that have not is reported.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from paint_search.errors import EvalError
from paint_search.eval.inputs import (
    Floats,
    Groups,
    Ints,
    Labels,
    Selection,
    group_labels,
    plain,
    row_selection,
    unit_rows,
)
from paint_search.eval.neighbours import ranked_blocks
from paint_search.eval.pairs import pair_cosines, random_pairs


@dataclass(frozen=True)
class LabelScore:
    """The mean figures over the queries of one label; `ap` and `hit` at the largest k."""

    label: str
    queries: int
    p_at_1: float
    ap: float
    hit: float
    r_precision: float


@dataclass(frozen=True)
class Confusion:
    """`count` queries of `label`, a `share` of them, have a nearest work by `taken_for`."""

    label: str
    taken_for: str
    count: int
    share: float


@dataclass(frozen=True)
class Retrieval:
    """Figures per query, for the queries that have at least one relevant work to find."""

    ks: tuple[int, ...]  #: the cut-offs, ascending; columns of the (q, len(ks)) arrays
    groups: Groups  #: the labels of all rows handed in
    queries: Ints  #: (q,) row of each scored query
    nearest: Ints  #: (q,) row of its nearest work
    relevant: Ints  #: (q,) how many works of its label there were to find
    precision: Floats  #: share of the first k that are relevant
    #: sum over the first k of the precision at each relevant work, divided by min(k, relevant).
    average_precision: Floats
    #: mean over ranks 1..k of the precision at that rank, the mAP@k of the code of Somepalli et al.
    #: 2024 (CSD).
    rank_precision: Floats
    #: 1.0 where the first k hold a relevant work: R@k of the style-retrieval literature.
    hit: Floats
    r_precision: Floats  #: (q,) precision at rank `relevant`
    unlabelled: int  #: works left out for want of a label
    lonely: int  #: queries left out because the gallery holds no other work of their label

    def per_query(self) -> dict[str, Floats]:
        """Return each figure's values by name (`P@k`, `mAP@k`, `R@k`, `R-precision`)."""
        tables = {"P": self.precision, "mAP": self.average_precision, "R": self.hit}
        named = {
            f"{name}@{k}": table[:, column]
            for name, table in tables.items()
            for column, k in enumerate(self.ks)
        }
        return named | {"R-precision": self.r_precision}

    def summary(self) -> dict[str, float]:
        """Return the mean of each figure over the scored queries."""
        return {name: float(values.mean()) for name, values in self.per_query().items()}

    def interval(
        self, figure: str, *, level: float = 0.95, samples: int = 1000, seed: int = 0
    ) -> tuple[float, float]:
        """Return the bootstrap percentile interval of a mean, by resampling queries.

        Queries of one label are not independent of each other, so the interval is on the
        narrow side. (NaN, NaN) for a single query.

        Raises:
            EvalError: no such figure in `per_query()`.
        """
        from scipy.stats import bootstrap

        figures = self.per_query()
        if figure not in figures:
            raise EvalError(f"No figure {figure!r}; choose one of {', '.join(figures)}.")
        if len(self.queries) < 2:
            return float("nan"), float("nan")
        result = bootstrap(
            (figures[figure],),
            np.mean,
            n_resamples=samples,
            batch=16,
            confidence_level=level,
            method="percentile",
            rng=seed,
        )
        low, high = result.confidence_interval
        return float(low), float(high)

    def per_label(self) -> list[LabelScore]:
        """Return the mean figures of each label that has scored queries, by name."""
        codes = self.groups.codes[self.queries]
        size = np.bincount(codes)
        shown = np.flatnonzero(size)
        last = self.average_precision[:, -1], self.hit[:, -1]
        means = [
            np.bincount(codes, weights=values)[shown] / size[shown]
            for values in (self.hit_at_1, *last, self.r_precision)
        ]
        return [
            LabelScore(self.groups.names[code], int(size[code]), *row)
            for code, row in zip(shown, np.stack(means, axis=1).tolist(), strict=True)
        ]

    @property
    def hit_at_1(self) -> Floats:
        """(q,) 1.0 where the nearest work carries the query's label: P@1, whatever `ks`."""
        codes = self.groups.codes
        return np.asarray(codes[self.nearest] == codes[self.queries], dtype=np.float64)

    def hardest(self, count: int = 10, min_queries: int = 1) -> list[LabelScore]:
        """Return the labels of lowest average precision, hardest first, ties by name."""
        scores = [score for score in self.per_label() if score.queries >= min_queries]
        return sorted(scores, key=lambda score: (score.ap, score.label))[:count]

    def confusions(self) -> list[Confusion]:
        """Return who is taken for whom: wrong labels of nearest works, most frequent first."""
        codes = self.groups.codes
        true, taken = codes[self.queries], codes[self.nearest]
        total = np.bincount(true, minlength=len(self.groups.names))
        wrong = np.stack([true, taken], axis=1)[true != taken]
        pairs, counts = np.unique(wrong, axis=0, return_counts=True)
        order = np.argsort(-counts, kind="stable")
        names = self.groups.names
        return [
            Confusion(names[a], names[b], int(count), float(count / total[a]))
            for (a, b), count in zip(pairs[order], counts[order], strict=True)
        ]

    def to_dict(self) -> dict[str, Any]:
        """Return what a JSON report shows: counts, means, the table per label."""
        return {
            "queries": len(self.queries),
            "unlabelled": self.unlabelled,
            "without_relevant_work": self.lonely,
            "summary": self.summary(),
            "per_label": plain(self.per_label()),
            "confusions": plain(self.confusions()),
        }


def retrieval(
    vectors: npt.ArrayLike,
    labels: Labels,
    *,
    ks: Sequence[int] = (1, 10),
    queries: Selection | None = None,
    gallery: Selection | None = None,
) -> Retrieval:
    """Score how well nearest works share a label: P@k, mAP@k, R@k and R-precision.

    By default every labelled work asks all the others (leave-one-out); with `queries` and
    `gallery` one split asks another. Precision at k divides by k even when fewer works exist.

    Raises:
        EvalError: no query has a work of its label to find, or as `neighbours`.
    """
    cuts = tuple(sorted(set(ks)))
    if not cuts or cuts[0] < 1:
        raise EvalError(f"Cut-offs must be whole numbers from 1 up, not {list(ks)}.")
    unit = unit_rows(vectors, np.float32)
    groups = group_labels(labels, len(unit))
    asking, searched = row_selection(queries, len(unit)), row_selection(gallery, len(unit))
    unlabelled = int(np.count_nonzero(groups.codes[np.union1d(asking, searched)] < 0))
    asking, searched = asking[groups.codes[asking] >= 0], searched[groups.codes[searched] >= 0]
    in_gallery = np.bincount(groups.codes[searched], minlength=len(groups.names))
    relevant = in_gallery[groups.codes[asking]] - np.isin(asking, searched)
    scored, relevant = asking[relevant > 0], relevant[relevant > 0]
    if not len(scored):
        raise EvalError(
            f"Nothing to measure: none of {len(asking)} labelled queries has another work of "
            f"its label among {len(searched)} labelled works."
        )
    width = max(cuts[-1], int(relevant.max()))
    parts = [
        _score(groups.codes, scored[block], found, relevant[block], cuts)
        for block, found, _ in ranked_blocks(unit, scored, searched, width)
    ]
    return Retrieval(
        ks=cuts,
        groups=groups,
        queries=scored,
        relevant=relevant,
        unlabelled=unlabelled,
        lonely=len(asking) - len(scored),
        **{name: np.concatenate([part[name] for part in parts]) for name in parts[0]},
    )


def same_label_auc(
    vectors: npt.ArrayLike, labels: Labels, *, pairs: int = 100_000, seed: int = 0
) -> float:
    """Estimate how likely two works of one label score above two works of different labels.

    `pairs` random pairs of each kind, every such pair equally likely, are drawn with the seed
    and compared (area under the ROC curve; 0.5 is chance).

    Raises:
        EvalError: no label has two works, or fewer than two labels.
    """
    from sklearn.metrics import roc_auc_score

    unit = unit_rows(vectors)
    groups = group_labels(labels, len(unit))
    if len(groups.names) < 2 or groups.counts.max() < 2:
        raise EvalError("The AUC needs two labels, and one of them with two works.")
    left, right, truth = random_pairs(groups, pairs, seed)
    return float(roc_auc_score(truth, pair_cosines(unit, left, right)))


def _score(
    codes: Ints, asking: Ints, found: Ints, relevant: Ints, cuts: tuple[int, ...]
) -> dict[str, Any]:
    """Turn one block of rankings into the figures of `Retrieval` that are known by query."""
    hits = (codes[found] == codes[asking, None]) & (found >= 0)
    so_far = np.cumsum(hits, axis=1, dtype=np.float64)
    precision = so_far / np.arange(1, found.shape[1] + 1)
    last = [min(k, found.shape[1]) - 1 for k in cuts]
    k = np.array(cuts)
    # Past the end of a short ranking the count of hits stays: the mean runs over all k ranks.
    beyond = [(1 / np.arange(found.shape[1] + 1, cut + 1)).sum() for cut in cuts]
    rank_precision = (np.cumsum(precision, axis=1)[:, last] + so_far[:, -1:] * beyond) / k
    ap = np.cumsum(precision * hits, axis=1)[:, last] / np.minimum(k, relevant[:, None])
    return {
        "nearest": found[:, 0],
        "precision": so_far[:, last] / k,
        "average_precision": ap,
        "rank_precision": rank_precision,
        "hit": (so_far[:, last] > 0).astype(np.float64),
        "r_precision": precision[np.arange(len(found)), relevant - 1],
    }
