"""Train, fill and tune a FAISS index on the stored vectors: its recall is measured, not assumed.

Reads vectors from SQLite a block at a time, so that only the index itself grows in memory.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from paint_search.search.outside import step_outside
from paint_search.search.stores import faiss_plans
from paint_search.search.stores.base import VectorName
from paint_search.search.stores.faiss_kept import FEW, Kept
from paint_search.search.stores.faiss_plans import Plan, Wanted
from paint_search.search.stores.faiss_points import Points
from paint_search.search.stores.faiss_scan import Floats, Found, rank, scan
from paint_search.search.stores.faiss_segment import Segment

#: Vectors that the knobs are tuned on, and as many others that the recall is measured on.
_QUERIES: Final = 200
_K: Final = 10

#: What a sample of queries leaves to chance, as in ways.py.
_MARGIN: Final = 0.005

#: Scores that differ by less are ties: sums of products depend on their order.
_TIE: Final = 2e-6

#: 256 vectors for each of 256 codes; FAISS asks for 39 a list.
_TRAIN_POINTS: Final = 65_536
_TRAIN_PER_LIST: Final = 40
_TRAIN_BYTES: Final = 512 * 1024 * 1024


def near(
    segment: Segment,
    plan: Plan,
    points: Points,
    name: VectorName,
    queries: Floats,
    k: int,
    kept: Kept | None = None,
    *,
    fill: bool = True,
) -> list[Found]:
    """Search a segment as planned, for each query, (n, d); stored vectors rank what is lossy.

    ``fill`` makes it find ``k`` even where what is planned finds fewer.
    """
    if segment.flat:
        return segment.exact(queries, k, kept)
    few = None if kept is None else kept.few
    if plan.factor > 1 and few is not None and len(few) <= FEW:  # each read from SQLite
        return [rank(points, name, query, segment.labels[few], k) for query in queries]
    found = segment.near(queries, k * plan.factor, kept, plan.effort, k if fill else 0)
    if plan.factor == 1:
        return found
    return [
        rank(points, name, query, each.labels, k)
        for query, each in zip(queries, found, strict=True)
    ]


@dataclass(frozen=True, slots=True)
class _Trial:
    """A vector, and the scores of its nearest by exact search."""

    vector: Floats
    scores: Floats


@dataclass(frozen=True, slots=True)
class Builder:
    """Builds indexes of one kind of vectors, to a user's wishes."""

    points: Points
    name: VectorName
    dimension: int
    wanted: Wanted

    def best(self, factories: Sequence[str], remark: str) -> tuple[Any, Plan]:
        """Build the first index that reaches the wanted recall, or the one that comes nearest."""
        first, *others = factories
        index, plan = self.build(first)
        best = index, self.tune(index, plan, remark)
        for factory in others:
            if _recall(best) >= self.wanted.recall:
                break
            index, plan = self.build(factory)
            plan = self.tune(index, replace(plan, asked=first), remark)
            best = max(best, (index, plan), key=_recall)
        return best

    def build(self, factory: str) -> tuple[Any, Plan]:
        """Build an index, flat where there are too few vectors to train another; not tuned yet."""
        index = faiss_plans.make(factory, self.dimension)
        count, remark = self.points.size(self.name), ""
        try:
            self._train(index)
        except RuntimeError:
            remark = f"{count:,} vectors are too few to train {factory}"
            index = faiss_plans.make(faiss_plans.FLAT, self.dimension)
        self.fill(index, 0)
        made = faiss_plans.FLAT if remark else factory
        return index, Plan(made, factory, count, remark=remark)

    def _train(self, index: Any) -> None:
        if index.is_trained:
            return
        wanted = max(_TRAIN_POINTS, _TRAIN_PER_LIST * faiss_plans.lists_of(faiss_plans.core(index)))
        count = min(wanted, _TRAIN_BYTES // (4 * self.dimension))
        labels = self.points.sample(self.name, count)
        index.train(self.points.vectors(self.name, labels)[1])

    def fill(self, index: Any, after: int) -> None:
        """Add the stored vectors of the labels above ``after``."""
        for labels, vectors in self.points.blocks(self.name, after):
            index.add_with_ids(vectors, labels)

    def tune(self, index: Any, plan: Plan, remark: str) -> Plan:
        """Return the plan with the quickest knobs that reach the wanted recall, and that recall.

        The knobs are tuned with vectors near some of the collection, the recall is measured with
        others; the best there is, with a remark, where none is enough.
        """
        segment = Segment(index)
        remarks = [text for text in (plan.remark, remark) if text]
        if segment.flat:
            return replace(plan, effort=None, factor=1, recall=None, remark="; ".join(remarks))
        trials = self._trials()
        aim = min(1.0, self.wanted.recall + _MARGIN)
        recall = 0.0
        for effort, factor in segment.settings():
            plan = replace(plan, effort=effort, factor=factor)
            if self._recall(segment, plan, trials[::2]) >= aim:
                recall = self._recall(segment, plan, trials[1::2])
                if recall >= self.wanted.recall:
                    break
        else:
            recall = self._recall(segment, plan, trials[1::2])
            remarks.append(f"{self.wanted.recall:g} was wanted")
        return replace(plan, recall=recall, remark="; ".join(remarks))

    def remark_on(self, plan: Plan, size: int) -> Plan:
        """Return the plan with a remark if its index, of ``size`` bytes, is larger than wanted."""
        if self.wanted.memory is None or size <= self.wanted.memory or "takes" in plan.remark:
            return plan
        said = faiss_plans.too_large(size, self.wanted)
        return replace(plan, remark="; ".join(filter(None, [plan.remark, said])))

    def _trials(self) -> list[_Trial]:
        """Draw vectors near stored ones, and find by exact search how near their nearest are."""
        stored = self.points.vectors(self.name, self.points.sample(self.name, 2 * _QUERIES))[1]
        nearest = [found.scores[-1] for found in scan(self.points, self.name, stored, 2)]
        vectors = step_outside(stored, np.array(nearest))
        truth = scan(self.points, self.name, vectors, _K)
        return [_Trial(vector, found.scores) for vector, found in zip(vectors, truth, strict=True)]

    def _recall(self, segment: Segment, plan: Plan, trials: Sequence[_Trial]) -> float:
        """Return the share of the nearest, or of others no less near, that a search finds."""
        kept = wanted = 0
        queries = np.array([trial.vector for trial in trials]).reshape(-1, self.dimension)
        found = near(segment, plan, self.points, self.name, queries, _K, fill=False)
        for trial, each in zip(trials, found, strict=True):
            wanted += len(trial.scores)
            if len(trial.scores):
                kept += int((each.scores >= trial.scores[-1] - _TIE).sum())
        return kept / wanted if wanted else 1.0


def _recall(made: tuple[Any, Plan]) -> float:
    return 1.0 if made[1].recall is None else made[1].recall
