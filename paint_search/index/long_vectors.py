"""Features too long for a store, between ``index`` and ``compress``: cached, and a fair sample.

Until a compressor is fitted, such an index keeps points without vectors, and the vectors in a
feature cache of bounded size. What does not fit is not indexed yet; which paintings do is decided
by their ids, which are hashes, and not by the alphabet.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Final
from uuid import UUID

import numpy as np

from paint_search.index.collection import Collection
from paint_search.indexer.corpus.scan import ScannedFile, Walk
from paint_search.indexer.feature_cache import FeatureCache
from paint_search.painting import Record, painting_id

FEATURES: Final = "features"


def open_features(collection: Collection) -> FeatureCache | None:
    """Return the feature cache of an index, None where it has none (any more).

    Raises:
        StoreError: it cannot be read.
    """
    folder, manifest = collection.folder / FEATURES, collection.manifest
    if not manifest.long or not folder.exists():
        return None
    return FeatureCache(folder, manifest.backbone.dimension, manifest.cache_bytes)


class CachingStore:
    """A store as the pipeline sees it: vectors go into the cache, points without them beyond.

    Attributes:
        postponed: how many files were passed over since the cache has no room for all.
    """

    def __init__(self, collection: Collection) -> None:
        self._store = store = collection.store
        manifest = collection.manifest
        folder = collection.folder / FEATURES
        self._cache = FeatureCache(folder, manifest.backbone.dimension, manifest.cache_bytes)
        self.postponed = 0
        self.get = store.get
        self.set_payloads = store.set_payloads

    def upsert(self, records: Sequence[Record]) -> None:
        """Write vectors, then points: one that is there has its vector.

        Raises:
            StoreError: the disk is full, or the cache.
        """
        vectors = np.stack([np.asarray(record.vector) for record in records])
        self._cache.append([record.id for record in records], vectors)
        self._store.upsert([replace(record, vector=None) for record in records])

    def flush(self) -> None:
        """Make everything written durable, vectors first."""
        self._cache.flush()
        self._store.flush()

    def sampled(self, walk: Walk) -> Walk:
        """Return a walk over the files that have room, by the hash of their ids."""
        new = sum(
            painting_id(file.path) not in self._cache for file in walk(lambda path, reason: None)
        )
        room = self._cache.room
        # Three standard deviations of the number drawn stay free.
        share = 1.0 if new <= room else max(0.0, room - 3 * room**0.5) / new

        def chosen(unreadable: Callable[[str, str], None]) -> Iterator[ScannedFile]:
            self.postponed = 0
            for file in walk(unreadable):
                name = painting_id(file.path)
                if name in self._cache or UUID(name).int < share * 2**128:
                    yield file
                else:
                    self.postponed += 1

        return chosen

    def remark(self) -> str:
        """Say in a line what is to be done next."""
        remedy = "run paint-search compress --method convolutional --dims 320"
        if not self.postponed:
            return (
                f"vectors of {self._cache.dimension:,} dimensions cannot be searched yet: {remedy}"
            )
        return (
            f"the feature cache has room for {self._cache.capacity:,} vectors of "
            f"{self._cache.dimension:,} dimensions: a fair sample was indexed, and "
            f"{self.postponed:,} files wait; {remedy}, then paint-search index again"
        )
