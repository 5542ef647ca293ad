"""A query vector and what to leave out -> ranked matches, copies folded, ties broken by path.

Examples are combined before the search, so that the store answers one query whatever was asked.
Never opens an image.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from paint_search.painting import Record
from paint_search.search.filters import Filter
from paint_search.search.stores.base import Candidates, Match, Store, VectorName

#: Most differing bits of two 64-bit perceptual hashes of copies of one picture.
COPY_BITS: Final = 6

#: Most that a channel of their mean colours may differ, 0 to 255: a darker photograph does.
COPY_COLOUR: Final = 48

#: Matches asked for beyond those wanted, as copies may fold away.
_SPARE: Final = 10

#: Queries that a store is asked at once.
_BATCH: Final = 256


@dataclass(frozen=True, slots=True)
class Query:
    """What to look for.

    Attributes:
        vector: (d,), any positive norm.
        using: the kind of vectors it is compared with.
        compact: the same query, compressed, for a search in two steps; None for one.
        oversampling: how many candidates the first step finds for each match wanted.
        k: how many hits, copies not counted.
        where: conditions on the payload.
        without: ids never returned, such as the query's own.
        min_score: least cosine.
        spread: 0 for the nearest, up to 1 for variety (maximal marginal relevance).
        exact: never use an approximate index.
    """

    vector: NDArray[np.float32]
    k: int
    using: VectorName = "full"
    compact: NDArray[np.float32] | None = None
    oversampling: int = 1
    where: Filter = ()
    without: Collection[str] = ()
    min_score: float = -1.0
    spread: float = 0.0
    exact: bool = False

    def candidates(self, limit: int) -> Candidates | None:
        """Return the first step of a search for ``limit`` matches, None where there is none."""
        if self.compact is None:
            return None
        return Candidates(self.compact, self.oversampling * limit)


@dataclass(frozen=True, slots=True)
class Group:
    """A match and the near-identical copies found with it."""

    match: Match
    copies: tuple[Record, ...]


def combine(
    examples: Sequence[NDArray[np.float32]], counterexamples: Sequence[NDArray[np.float32]]
) -> NDArray[np.float32]:
    """Return the direction of the mean example, moved away from the mean counter-example.

    Rocchio's formula with weights 1 and 0.5, as in Qdrant's average-vector recommendation.
    All vectors are (d,) with unit norm.
    """
    direction = np.mean(examples, axis=0)
    if counterexamples:
        direction = direction - 0.5 * np.mean(counterexamples, axis=0)
    return np.asarray(direction, dtype=np.float32)


def find_all(store: Store, queries: Sequence[Query]) -> Iterator[list[Group]]:
    """Yield for each query up to ``k`` groups, best first.

    The queries differ in nothing but their vectors and ``without``. The store is asked many at a
    time; the few of which too much folds away are asked again by themselves.
    """
    for start in range(0, len(queries), _BATCH):
        batch = queries[start : start + _BATCH]
        first = batch[0]
        if len(batch) == 1 or first.spread:
            yield from (find(store, query) for query in batch)
            continue
        limit = first.k + _SPARE + max(len(query.without) for query in batch)
        candidates = [one for query in batch if (one := query.candidates(limit))]
        found = store.search_many(
            np.stack([query.vector for query in batch]),
            limit,
            first.where,
            using=first.using,
            among=candidates or None,
            exact=first.exact,
        )
        for query, matches in zip(batch, found, strict=True):
            others = [match for match in matches if match.record.id not in query.without]
            groups = _settled(query, others, exhausted=len(matches) < limit)
            yield find(store, query) if groups is None else groups


def find(store: Store, query: Query) -> list[Group]:
    """Return up to ``query.k`` groups, best first; asks for more as long as copies fold away."""
    limit = query.k + _SPARE
    while True:
        matches = store.search(
            query.vector,
            limit,
            query.where,
            using=query.using,
            among=query.candidates(limit),
            without=query.without,
            spread=query.spread,
            exact=query.exact,
        )
        groups = _settled(query, matches, exhausted=len(matches) < limit)
        if groups is not None:
            return groups
        limit = 2 * limit


def _settled(query: Query, matches: Sequence[Match], *, exhausted: bool) -> list[Group] | None:
    """Return the answer that the matches hold; None where more of them have to be seen."""
    wanted = [match for match in matches if match.score >= query.min_score]
    if not query.spread:
        wanted.sort(key=lambda match: (-match.score, match.record.payload["path"]))
    groups = _fold(wanted)[: query.k]
    # A tie with the last one found may go on among those not found yet.
    complete = len(groups) == query.k and (
        query.spread > 0 or groups[-1].match.score > wanted[-1].score
    )
    return groups if complete or exhausted or len(wanted) < len(matches) else None


def _fold(matches: Sequence[Match]) -> list[Group]:
    heads: list[tuple[Match, list[Record]]] = []
    for match in matches:
        for head, copies in heads:
            if is_copy(match.record.payload.get("_look"), head.record.payload.get("_look")):
                copies.append(match.record)
                break
        else:
            heads.append((match, []))
    return [Group(match, tuple(copies)) for match, copies in heads]


def is_copy(one: str | None, other: str | None) -> bool:
    """Tell whether two looks (perceptual hash, then mean colour) are of one picture.

    Points without a look, whose pictures were never seen, are copies of nothing.
    """
    if one is None or other is None:
        return False
    differing = int(one[:16], 16) ^ int(other[:16], 16)
    if differing.bit_count() > COPY_BITS:
        return False
    colours = zip(bytes.fromhex(one[16:]), bytes.fromhex(other[16:]), strict=True)
    return max(abs(a - b) for a, b in colours) <= COPY_COLOUR
