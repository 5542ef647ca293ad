"""Which positions of a FAISS index take part in a search, in the two forms that searches want."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from paint_search.search.stores import faiss_plans
from paint_search.search.stores.faiss_scan import Labels, Mask

#: Positions are few where they are no more than these, or no larger a share of all. Through the
#: graph a fifth of a million took a quarter of the time, and lacked three neighbours of a hundred.
FEW: Final = 2000
_SPARSE: Final = 0.25


@dataclass(frozen=True, slots=True, eq=False)
class Kept:
    """The positions that meet a filter, some of all.

    Attributes:
        count: how many.
        share: of all positions.
        bits: a bit for each position, in the order of FAISS's selector.
        few: the positions, rising, where they are few; None where not.
    """

    count: int
    share: float
    bits: NDArray[np.uint8]
    few: Labels | None

    @classmethod
    def of(cls, mask: Mask) -> "Kept | None":
        """Return what a mask keeps; None where that is everything."""
        count = int(np.count_nonzero(mask))
        if count == len(mask):
            return None
        few = np.flatnonzero(mask) if count <= max(FEW, _SPARSE * len(mask)) else None
        return cls(count, count / len(mask), np.packbits(mask, bitorder="little"), few)

    @property
    def nbytes(self) -> int:
        """Bytes that it holds."""
        return self.bits.nbytes + (0 if self.few is None else self.few.nbytes)

    def selector(self) -> Any:
        """Return it as FAISS takes it; valid while this object lives."""
        return faiss_plans.library().IDSelectorBitmap(self.bits)
