"""Questions about an index -> hits: read the examples, search the way this index does, judge.

Where an index has full and compact vectors, the compact ones find candidates and the full ones
rank them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypedDict

import numpy as np

from paint_search.errors import UnknownError, UsageError, argument
from paint_search.index.collection import Collection
from paint_search.index.examples import Example, Query, read_examples
from paint_search.index.select import Where, select
from paint_search.painting import Hit, Painting
from paint_search.search.background import Background
from paint_search.search.filters import FilterValue
from paint_search.search.query import Group, combine, find
from paint_search.search.stores.base import VectorName, VectorQuery


class SearchOptions(TypedDict, total=False):
    """How to search, as keyword arguments.

    Attributes:
        where: field -> value, list of values, or (low, high); all must hold.
        exclude: the same, none may hold.
        min_score: least cosine of a hit, and of what the spread chooses from; -1 by default.
        spread: 0, the default, for the nearest, up to 1 for variety among the hits (maximal
            marginal relevance).
        exact: compare with every painting even where the index is approximate.
        compact_only: compare compact vectors and nothing else, where the index has them.
        box: left, top, width and height of a detail, in pixels of the one picture as it is shown,
            which is then looked for within the paintings; see ``Index.build_details``.
    """

    where: Where | None
    exclude: Mapping[str, FilterValue] | None
    min_score: float
    spread: float
    exact: bool
    compact_only: bool
    box: tuple[int, int, int, int] | None


@dataclass(frozen=True)
class Search:
    """A search as it was asked for, checked; see ``SearchOptions``."""

    k: int
    where: Where | None = None
    exclude: Mapping[str, FilterValue] | None = None
    min_score: float = -1.0
    spread: float = 0.0
    exact: bool = False
    compact_only: bool = False
    box: tuple[int, int, int, int] | None = None

    def __post_init__(self) -> None:
        if self.k < 1:
            raise UsageError(f"{argument('k', self.k, '-k')}: ask for at least one hit")
        if not 0 <= self.spread <= 1:
            raise UsageError(f"{argument('spread', self.spread)}: give a number from 0 to 1")
        if not -1 <= self.min_score <= 1:
            raise UsageError(f"{argument('min_score', self.min_score)}: give a number from -1 to 1")


def similar(collection: Collection, queries: Sequence[Query], wanted: Search) -> list[list[Hit]]:
    """Return for each query the paintings most like it, best first; all are asked at once."""
    if wanted.box is not None:
        from paint_search.index.details import search

        return [search(collection, query, wanted) for query in queries]
    using = _compared(collection, wanted)
    examples = read_examples(collection, queries, using)
    return _answer(collection, [([example], []) for example in examples], wanted, using)


def recommend(
    collection: Collection, positive: Sequence[Query], negative: Sequence[Query], wanted: Search
) -> list[Hit]:
    """Return the paintings most like the mean of some examples and least like that of others."""
    if not positive:
        raise UsageError("give at least one painting to look for")
    if wanted.box is not None:
        if len(positive) > 1 or negative:
            raise UsageError(
                f"{argument('box')} is a part of one painting; give no other beside it"
            )
        return similar(collection, positive, wanted)[0]
    using = _compared(collection, wanted)
    examples = read_examples(collection, [*positive, *negative], using)
    pair = examples[: len(positive)], examples[len(positive) :]
    return _answer(collection, [pair], wanted, using)[0]


def _compared(collection: Collection, wanted: Search) -> VectorName:
    """Return the kind of vectors that scores are taken from."""
    if not wanted.compact_only:
        return collection.manifest.searched
    if collection.manifest.compression is None:
        raise UnknownError("there are no compact vectors here; run paint-search compress first")
    return "compact"


def _answer(
    collection: Collection,
    questions: Sequence[tuple[list[Example], list[Example]]],
    wanted: Search,
    using: VectorName,
) -> list[list[Hit]]:
    manifest = collection.manifest
    background = manifest.background_of(using)
    where = select(collection, wanted.where, wanted.exclude)
    given = [([e.vector for e in like], [e.vector for e in unlike]) for like, unlike in questions]
    vectors = np.array([combine(*sides) for sides in given])
    codes = None
    if using == "full" and not wanted.exact and questions and collection.compressor is not None:
        codes = collection.compressor.transform(vectors)
    query = VectorQuery(
        vectors,
        limit=wanted.k,
        where=where,
        using=using,
        codes=codes,
        oversampling=manifest.oversampling,
        spread=wanted.spread,
        exact=wanted.exact,
        min_score=wanted.min_score,
    )
    known = [{e.id for e in like + unlike if e.id} for like, unlike in questions]
    return [
        [_hit(rank, group, background) for rank, group in enumerate(groups, start=1)]
        for groups in find(collection.store, query, known)
    ]


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
