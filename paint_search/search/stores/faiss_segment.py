"""One FAISS index with its labels: asked by position, answered by label.

FAISS counts positions inside an index; labels, which always rise, are what SQLite knows.
"""

import math
from typing import Any, Final

import numpy as np

from paint_search.search.stores import faiss_plans
from paint_search.search.stores.faiss_kept import Kept
from paint_search.search.stores.faiss_scan import Floats, Found, Labels

#: Most that a GPU index returns.
_GPU_MOST: Final = 2048

#: Searches after which a copy on the GPUs pays: waking them takes seconds.
_GPU_AFTER: Final = 64


class Segment:
    """A FAISS index below an ``IndexIDMap`` whose labels rise.

    Attributes:
        index: the index, labels and all.
        labels: (n,), in the order of positions.
        lossless: whether it holds the very numbers that are stored.
        selects: whether it can leave out positions while it searches.

    Args:
        index: the index.
        gpu_effort: nprobe of a copy on the GPUs.
        gpu: whether such a copy may answer searches without a mask, where there are GPUs.
    """

    def __init__(self, index: Any, gpu_effort: int | None = None, *, gpu: bool = False) -> None:
        self.index = index
        self._core = faiss_plans.core(index)
        self._storage = faiss_plans.storage(self._core)
        self._lists = faiss_plans.lists_of(self._core)
        self._gpu: Any | None = None
        self._gpu_effort = gpu_effort
        self._searches_to_gpu = _GPU_AFTER if gpu else -1
        self.lossless = faiss_plans.is_lossless(self._core)
        self.labels = _labels_of(index)
        self.selects = self._selects()

    @classmethod
    def empty(cls, factory: str, dimension: int) -> "Segment":
        """Return one without vectors."""
        return cls(faiss_plans.make(factory, dimension))

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def last(self) -> int:
        """The highest label, 0 where there is none."""
        return int(self.labels[-1]) if len(self.labels) else 0

    @property
    def flat(self) -> bool:
        """Whether it is nothing but the stored numbers, one after the other."""
        return self._storage is self._core

    def settings(self) -> list[tuple[int | None, int]]:
        """Return (effort, factor), from the quickest to the most thorough."""
        return list(faiss_plans.settings(self._core))

    def needs_scan(self, *, exact: bool, masked: bool) -> bool:
        """Tell whether SQLite has to be read, since the index cannot answer this."""
        return not self.lossless and (exact or (masked and not self.selects))

    def add(self, vectors: Floats, labels: Labels) -> None:
        """Add vectors, (n, d), whose labels are above all others."""
        self.index.add_with_ids(vectors, labels)
        self.labels = np.concatenate([self.labels, labels])

    def exact(self, queries: Floats, k: int, kept: Kept | None) -> list[Found]:
        """Return the ``k`` nearest to each query, (n, d), of what is kept; needs ``lossless``."""
        if self._storage is None:
            return self._search(self._core, queries, k, kept, self._lists)
        if kept is not None and kept.few is not None:
            return self._search_few(queries, k, kept.few)
        return self._search(self._storage, queries, k, kept, None)

    def near(
        self, queries: Floats, k: int, kept: Kept | None, effort: int | None, least: int
    ) -> list[Found]:
        """Return about the ``k`` nearest to each; never fewer than ``least``, if there are as many.

        Where a filter keeps little, all that it keeps is compared, and where it keeps more, the
        search is as much more thorough as the kept ones are rarer.
        """
        if self.lossless and kept is not None and (kept.few is not None or not self.selects):
            return self.exact(queries, k, kept)
        share, count = (1.0, len(self)) if kept is None else (kept.share, kept.count)
        more = None if effort is None else math.ceil(effort / max(share, 1 / len(self)))
        found = self._search(self._core, queries, k, kept, more)
        short = [i for i, each in enumerate(found) if len(each.labels) < min(least, count)]
        if short:  # a graph may come apart
            again = queries[short]
            whole = (
                self.exact(again, k, kept)
                if self.lossless
                else self._search(self._core, again, k, kept, len(self))
            )
            for i, each in zip(short, whole, strict=True):
                found[i] = each
        return found

    def _search(
        self, index: Any, queries: Floats, k: int, kept: Kept | None, effort: int | None
    ) -> list[Found]:
        k = min(k, len(self) if kept is None else kept.count)
        if k == 0:
            return [Found.none() for _ in queries]
        same = self._storage is not None or effort == self._gpu_effort
        gpu = self._woken_gpu() if kept is None and same and k <= _GPU_MOST else None
        if gpu is not None:
            scores, at = gpu.search(queries, k)
        else:
            selector = None if kept is None else kept.selector()
            params = faiss_plans.parameters(index, effort, selector)
            scores, at = index.search(queries, k, params=params)
        return self._labelled(scores, at)

    def _search_few(self, queries: Floats, k: int, few: Labels) -> list[Found]:
        if not len(few):
            return [Found.none() for _ in queries]
        return self._labelled(*faiss_plans.search_some(self._storage, few, queries, k))

    def _labelled(self, scores: Floats, at: Labels) -> list[Found]:
        """Return what was found at these positions, (n, k) each; FAISS fills up with -1."""
        real = at >= 0
        return [
            Found(self.labels[row[has]], score[has])
            for row, score, has in zip(at, scores, real, strict=True)
        ]

    def _woken_gpu(self) -> Any | None:
        """Return the copy on the GPUs once there have been searches enough to make it."""
        self._searches_to_gpu -= 1
        if self._searches_to_gpu == 0:
            self._gpu = faiss_plans.on_gpus(self._core, self._gpu_effort)
        return self._gpu

    def _selects(self) -> bool:
        if self.flat or not len(self):
            return True
        nobody = Kept.of(np.zeros(len(self), dtype=bool))
        selector = None if nobody is None else nobody.selector()
        params = faiss_plans.parameters(self._core, 1, selector)
        try:
            _, at = self._core.search(np.zeros((1, self._core.d), np.float32), 1, params=params)
        except RuntimeError:
            return False
        return bool(at[0, 0] == -1)


def _labels_of(index: Any) -> Labels:
    return np.array(faiss_plans.library().vector_to_array(index.id_map), dtype=np.int64)
