"""One FAISS index with its labels: asked by position, answered by label.

FAISS counts positions inside an index; labels, which always rise, are what SQLite knows.
"""

import math
from typing import Any, Final

import numpy as np

from paint_search.search.stores import faiss_plans
from paint_search.search.stores.faiss_scan import Floats, Found, Labels, Mask

#: A filter that keeps a smaller share than this is answered by comparing with all that it keeps.
_SPARSE: Final = 0.1

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

    def is_sparse(self, mask: Mask) -> bool:
        """Tell whether so little is kept that a ``subset`` of it is quicker to search."""
        return self._storage is not None and float(mask.mean()) < _SPARSE

    def subset(self, mask: Mask) -> "Segment":
        """Return a flat copy of what a mask keeps, of the very same numbers."""
        at = np.flatnonzero(mask)
        made = Segment.empty(faiss_plans.FLAT, int(self._core.d))
        if len(at) and self._storage is not None:
            made.add(self._storage.reconstruct_batch(at), self.labels[at])
        return made

    def exact(self, query: Floats, k: int, mask: Mask | None) -> Found:
        """Return the ``k`` nearest to a query, (d,), where the mask is true; needs ``lossless``."""
        if self._storage is None:
            return self._search(self._core, query, k, mask, self._lists)
        return self._search(self._storage, query, k, mask, None)

    def near(
        self, query: Floats, k: int, mask: Mask | None, effort: int | None, least: int
    ) -> Found:
        """Return about the ``k`` nearest; never fewer than ``least``, if there are as many.

        Where a filter keeps little, all that it keeps is compared, and where it keeps more, the
        search is as much more thorough as the kept ones are rarer.
        """
        share = 1.0 if mask is None else float(mask.mean())
        if self.lossless and (share < _SPARSE or not self.selects):
            return self.exact(query, k, mask)
        more = None if effort is None else math.ceil(effort / max(share, 1 / len(self)))
        found = self._search(self._core, query, k, mask, more)
        if len(found.labels) >= min(least, round(share * len(self))):
            return found
        if self.lossless:  # a graph may come apart
            return self.exact(query, k, mask)
        return self._search(self._core, query, k, mask, len(self))

    def _search(
        self, index: Any, query: Floats, k: int, mask: Mask | None, effort: int | None
    ) -> Found:
        k = min(k, len(self) if mask is None else int(mask.sum()))
        if k == 0:
            return Found.none()
        same = self._storage is not None or effort == self._gpu_effort
        gpu = self._woken_gpu() if mask is None and same and k <= _GPU_MOST else None
        if gpu is not None:
            scores, at = gpu.search(query[np.newaxis], k)
        else:
            selector = _selector(mask)
            params = faiss_plans.parameters(index, effort, selector)
            scores, at = index.search(query[np.newaxis], k, params=params)
        real = at[0] >= 0  # FAISS fills up with -1
        return Found(self.labels[at[0][real]], scores[0][real])

    def _woken_gpu(self) -> Any | None:
        """Return the copy on the GPUs once there have been searches enough to make it."""
        self._searches_to_gpu -= 1
        if self._searches_to_gpu == 0:
            self._gpu = faiss_plans.on_gpus(self._core, self._gpu_effort)
        return self._gpu

    def _selects(self) -> bool:
        if self.flat or not len(self):
            return True
        nobody = np.zeros(len(self), dtype=bool)
        params = faiss_plans.parameters(self._core, 1, _selector(nobody))
        try:
            _, at = self._core.search(np.zeros((1, self._core.d), np.float32), 1, params=params)
        except RuntimeError:
            return False
        return bool(at[0, 0] == -1)


def _selector(mask: Mask | None) -> Any | None:
    if mask is None:
        return None
    return faiss_plans.library().IDSelectorBitmap(np.packbits(mask, bitorder="little"))


def _labels_of(index: Any) -> Labels:
    return np.array(faiss_plans.library().vector_to_array(index.id_map), dtype=np.int64)
