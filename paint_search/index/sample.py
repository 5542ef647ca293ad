"""The vectors of an index, dealt out: to learn a compressor from, and to judge it by.

Reads a bounded number of each from the store, or maps them from a feature cache; writes nothing.
"""

from dataclasses import dataclass
from typing import Final, Self, cast

import numpy as np
from numpy.typing import NDArray

from paint_search.compress.base import Rows
from paint_search.compress.hold_out import HoldOut, choose_hold_out, works_held_out
from paint_search.errors import CompressError, UsageError
from paint_search.index.collection import Collection
from paint_search.index.long_vectors import open_features
from paint_search.indexer.feature_cache import FeatureCache

#: More vectors teach a compressor nothing, and these fit into 400 MB at 2,048 dimensions.
_MOST_FITTED: Final = 50_000
_MOST_HELD_OUT: Final = 5_000
_LEAST_HELD_OUT: Final = 3

#: Numbers held at once, 256 MB, where vectors are so long that the figures above are too many.
_CELLS: Final = 2**26


@dataclass(frozen=True)
class Sample:
    """The vectors of an index, dealt out: (n, d) to learn from, (m, d) to judge by.

    Where labels are learned from, some works of the learned artists are left out too, so that
    what is known of seen artists can be measured on other works than those.
    """

    split: HoldOut
    learned: Rows
    held_out: NDArray[np.float32]
    labels: list[str | None]
    held_labels: list[str | None]

    @classmethod
    def read(cls, collection: Collection, seed: int, label: str | None) -> Self:
        """Read a bounded number of each from the store, or map them from a feature cache."""
        store, features = collection.store, open_features(collection)
        records = [
            (record.id, record.payload.get("artist"), record.payload.get(label or ""))
            for record in store.scroll()
            if features is None or record.id in features
        ]
        if not records:
            raise UsageError("the index is empty; run paint-search index first")
        ids, artists, values = zip(*records, strict=True)
        if label is not None and not any(values):
            raise UsageError(f"no painting has a field {label!r}; see paint-search info")
        split = choose_hold_out(ids, artists, seed=seed)
        kept_out = split.held_out(ids, artists)
        named = [None if value is None else str(value) for value in values]
        passed = np.zeros(len(ids), bool) if label is None else works_held_out(split, ids)
        sides = ~kept_out & ~passed, kept_out
        if features is not None:
            return cls._mapped(split, np.array(ids), named, sides, features)
        # The order of the ids, which are hashes, is as good as any shuffling.
        vectors: tuple[list[NDArray[np.float32]], ...] = ([], [])
        labels: tuple[list[str | None], ...] = ([], [])
        for row, record in enumerate(store.scroll(vectors=True)):
            for part, most in enumerate((_MOST_FITTED, _MOST_HELD_OUT)):
                if sides[part][row] and record.vector is not None and len(vectors[part]) < most:
                    vectors[part].append(record.vector)
                    labels[part].append(named[row])
        _require_held_out(len(vectors[1]), len(ids))
        return cls(split, np.stack(vectors[0]), np.stack(vectors[1]), *labels)

    @classmethod
    def _mapped(
        cls,
        split: HoldOut,
        ids: NDArray[np.str_],
        named: list[str | None],
        sides: tuple[NDArray[np.bool_], NDArray[np.bool_]],
        features: FeatureCache,
    ) -> Self:
        most = _MOST_FITTED, min(_MOST_HELD_OUT, _CELLS // features.dimension)
        rows = [np.flatnonzero(side)[:count] for side, count in zip(sides, most, strict=True)]
        _require_held_out(len(rows[1]), len(ids))
        learned, judged = (ids[chosen].tolist() for chosen in rows)
        labels = [[named[row] for row in chosen] for chosen in rows]
        view = cast(Rows, features.view(learned))
        return cls(split, view, features.rows(judged), *labels)


def _require_held_out(count: int, paintings: int) -> None:
    if count < _LEAST_HELD_OUT:
        raise CompressError(
            f"of {paintings} paintings only {count} can be held out to judge by; index more first"
        )
