"""Query vectors and what to leave out -> ranked matches, copies folded, ties broken by path.

Examples are combined before the search, so that the store answers one query whatever was asked.
Never opens an image.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from paint_search.painting import Record
from paint_search.search.stores.base import Match, Store, VectorQuery

#: Most differing bits of two 64-bit perceptual hashes of copies of one picture.
COPY_BITS: Final = 6

#: Most that a channel of their mean colours may differ, 0 to 255: a darker photograph does.
COPY_COLOUR: Final = 48

#: Matches asked for beyond those wanted, as copies may fold away.
_SPARE: Final = 10

#: Vectors that a store is asked about at once.
_BATCH: Final = 256


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


def find(
    store: Store,
    query: VectorQuery,
    without: Sequence[Collection[str]],
) -> Iterator[list[Group]]:
    """Yield for each vector up to ``query.limit`` groups, best first, copies not counted.

    The store is asked about many at a time; again about the few of which too much folds away.

    Args:
        store: to be searched.
        query: what to look for, and how.
        without: for each vector the ids that are never returned, such as its own.
    """
    size = 1 if query.spread else _BATCH
    for start in range(0, len(query.vectors), size):
        rows: Sequence[int] = range(start, min(start + size, len(query.vectors)))
        left = rows
        found: dict[int, list[Group]] = {}
        more = _SPARE
        while left:
            asked = replace(query.of(left), limit=query.limit + more)
            if query.spread:  # what is left out has no part in the spread
                asked = replace(asked, without=without[start])
            else:
                own = max(len(without[row]) for row in left)
                asked = replace(asked, limit=asked.limit + own)
            for row, matches in zip(left, store.search(asked), strict=True):
                others = [match for match in matches if match.record.id not in without[row]]
                exhausted = len(matches) < asked.limit
                groups = _settled(query, others, exhausted=exhausted)
                if groups is not None:
                    found[row] = groups
            left = [row for row in left if row not in found]
            more = query.limit + 2 * more
        yield from (found[row] for row in rows)


def _settled(query: VectorQuery, matches: list[Match], *, exhausted: bool) -> list[Group] | None:
    """Return the answer that the matches hold; None where more of them have to be seen."""
    if not query.spread:
        matches.sort(key=lambda match: (-match.score, match.record.path))
    groups = _fold(matches)[: query.limit]
    # A tie with the last one found may go on among those not found yet.
    complete = len(groups) == query.limit and (
        query.spread > 0 or groups[-1].match.score > matches[-1].score
    )
    return groups if complete or exhausted else None


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
