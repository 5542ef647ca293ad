"""A question about an index -> hits: read the examples, search the way this index does, judge.

Where an index has full and compact vectors, the compact ones find candidates and the full ones
rank them. Works on the parts of an index that it is handed.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from paint_search.compress.base import Compressor
from paint_search.errors import UsageError
from paint_search.index.examples import ExampleReader
from paint_search.index.manifest import Manifest
from paint_search.indexer.backbones.model import Model
from paint_search.painting import Hit, Painting
from paint_search.search.background import Background
from paint_search.search.filters import Filter
from paint_search.search.query import Group, Query, combine, find
from paint_search.search.stores.base import Candidates, Store

#: Queries that a store is asked at once.
_BATCH: Final = 256


@dataclass(frozen=True)
class Question:
    """What ``Index.similar`` was asked; see there.

    Raises:
        UsageError: no query, ``k`` below 1, or a ``spread`` outside 0 to 1.
    """

    queries: Sequence[str | Path]
    k: int
    unlike: Sequence[str | Path]
    where: Filter
    min_score: float
    spread: float
    exact: bool
    compact_only: bool

    def __post_init__(self) -> None:
        if not self.queries:
            raise UsageError("give at least one painting to look for")
        if self.k < 1:
            raise UsageError(f"-k {self.k}: ask for at least one hit")
        if not 0 <= self.spread <= 1:
            raise UsageError(f"--spread {self.spread}: give a number from 0 to 1")


def ask(
    question: Question,
    root: Path,
    manifest: Manifest,
    store: Store,
    model: Model,
    compressor: Callable[[], Compressor | None],
) -> list[Hit]:
    """Return the paintings that answer the question, best first.

    Args:
        question: what to look for.
        root: the corpus folder.
        manifest: of the index.
        store: its store.
        model: its backbone.
        compressor: loads its compressor, if it has one and a search needs it.

    Raises:
        UsageError: a query that is not there, or compact vectors that are not.
        ImageError: a query file is no image.
    """
    if question.compact_only and manifest.compression is None:
        raise UsageError("there are no compact vectors here; run paint-search compress first")
    using = "compact" if question.compact_only else manifest.searched
    read = ExampleReader(store, model, root, compressor() if using == "compact" else None)
    examples = [read.example(query) for query in question.queries]
    counterexamples = [read.example(query) for query in question.unlike]
    vector = combine(
        [example.vector for example in examples], [example.vector for example in counterexamples]
    )
    shortener = compressor() if using == "full" and not question.exact else None
    compact = None if shortener is None else shortener.transform(vector[np.newaxis])[0]
    groups = find(
        store,
        Query(
            vector=vector,
            k=question.k,
            using=using,
            compact=compact,
            oversampling=manifest.oversampling,
            where=question.where,
            without={own.id for own in examples + counterexamples if own.id},
            min_score=question.min_score,
            spread=question.spread,
            exact=question.exact,
        ),
    )
    return [_hit(rank, group, manifest.background) for rank, group in enumerate(groups, start=1)]


def ask_many(
    vectors: NDArray[np.float32],
    k: int,
    manifest: Manifest,
    store: Store,
    compressor: Compressor | None,
    where: Filter,
    *,
    exact: bool,
) -> list[list[Hit]]:
    """Return the ``k`` nearest of each vector, (n, d), best first; copies are not folded.

    Raises:
        UsageError: ``k`` below 1, or vectors that are not those of the backbone.
    """
    length = manifest.backbone.dimension
    if vectors.ndim != 2 or vectors.shape[1] != length:
        raise UsageError(f"give vectors of shape (n, {length}), not {vectors.shape}")
    if k < 1:
        raise UsageError(f"k={k}: ask for at least one hit")
    using = manifest.searched
    hits: list[list[Hit]] = []
    for start in range(0, len(vectors), _BATCH):
        batch = np.ascontiguousarray(vectors[start : start + _BATCH], dtype=np.float32)
        codes = None if compressor is None else compressor.transform(batch)
        among = None
        if using == "full" and codes is not None and not exact:
            among = [Candidates(code, manifest.oversampling * k) for code in codes]
        found = store.search_many(
            batch if using == "full" or codes is None else codes,
            k,
            where,
            using=using,
            among=among,
            exact=exact,
        )
        hits += [
            [_hit(rank, Group(match, ()), manifest.background) for rank, match in enumerate(row, 1)]
            for row in found
        ]
    return hits


def _hit(rank: int, group: Group, background: Background | None) -> Hit:
    score = group.match.score
    return Hit(
        rank=rank,
        score=score,
        painting=Painting.from_payload(group.match.record.payload),
        above_same_artist=background.above_same_artist(score) if background else None,
        above_other_artists=background.above_other_artists(score) if background else None,
        copies=tuple(Painting.from_payload(copy.payload) for copy in group.copies),
    )
