"""What there is to know about an index: what it holds, how large it is, how it is searched.

Measures searches on the index's own paintings, and changes nothing.
"""

from dataclasses import dataclass
from pathlib import Path

from paint_search.index.collection import Collection
from paint_search.index.details import size_of
from paint_search.index.long_vectors import open_features
from paint_search.index.manifest import Manifest
from paint_search.index.selections import read_selections
from paint_search.index.sync import SKIPPED
from paint_search.indexer.corpus.skips import USED_ALL_THE_SAME, read_skips
from paint_search.search.filters import Condition
from paint_search.search.recall import Way, measure_recall, measure_ways
from paint_search.search.stores.base import Node, Store, VectorName
from paint_search.search.stores.opening import nodes_of

_BYTES: int = 2  # of a stored number, float16


@dataclass(frozen=True, slots=True)
class IndexInfo:
    """What ``Index.info`` tells."""

    folder: Path  #: the index
    root: Path  #: the corpus
    manifest: Manifest  #: what the index says of itself
    paintings: int  #: how many are indexed
    skipped: int  #: how many files could not be
    trimmed: int  #: of how many a border was cut off
    fields: dict[str, int]  #: the labels, with the number of paintings that have each
    searched: str  #: how searches go, in a few words
    recall: float | None  #: recall@10 of the default search; None where that is exact
    #: what each kind of vectors takes; full ones that are too long for the store are those in the
    #: feature cache.
    vector_bytes: dict[VectorName, int]
    #: the searches that full and compact vectors allow; empty without compact ones.
    ways: list[Way]
    details: tuple[int, int]  #: paintings that a detail can be found in, and the bytes for it
    bytes_on_disk: int  #: of the whole index
    selections: dict[str, str]  #: their names, and how large each is
    nodes: list[Node]  #: of the server, with the copies that each keeps; none of another store

    @property
    def faults(self) -> list[str]:
        """What is wrong with the nodes and their copies."""
        return [fault for node in self.nodes for fault in node.faults]


def inspect(collection: Collection) -> IndexInfo:
    """Measure and count what ``IndexInfo`` holds."""
    folder, manifest, store = collection.folder, collection.manifest, collection.store
    files = (file for file in folder.rglob("*") if file.is_file())
    count = store.count()
    vector_bytes = {name: count * _BYTES * length for name, length in manifest.dimensions.items()}
    features = open_features(collection)
    if features is not None:
        vector_bytes["full"] = features.bytes_on_disk
    return IndexInfo(
        folder=folder,
        root=collection.root,
        manifest=manifest,
        paintings=count,
        skipped=sum(
            not why.startswith(USED_ALL_THE_SAME) for _, why in read_skips(folder / SKIPPED)
        ),
        trimmed=store.count([Condition("_trimmed", low=0.0)]),
        fields=store.fields(),
        searched=store.describe(),
        recall=_recall(manifest, store),
        vector_bytes=vector_bytes,
        ways=measure_ways(store, manifest.oversampling) if manifest.two_steps else [],
        details=size_of(folder),
        bytes_on_disk=sum(file.stat().st_blocks * 512 for file in files),
        selections={one.name: one.describe() for one in read_selections(folder).values()},
        nodes=nodes_of(store),
    )


def _recall(manifest: Manifest, store: Store) -> float | None:
    """Return what the last run measured; measure where a server has built its graph since."""
    if manifest.recall is not None or not manifest.vectors or manifest.two_steps:
        return manifest.recall
    return measure_recall(store, manifest.searched)
