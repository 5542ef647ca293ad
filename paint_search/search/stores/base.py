"""What every store can do: keep ids, vectors and payloads, and find the nearest.

A store knows nothing of paintings, files or backbones: a payload is a flat mapping, and names that
start with ``_`` are bookkeeping that no filter of a user sees.
"""

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from paint_search.errors import StoreError
from paint_search.painting import Progress, Record
from paint_search.search.filters import Filter
from paint_search.search.stores.description import Shared

Report = Callable[[Progress], None]

#: The backbone's vectors, and what a compressor made of them.
VectorName = Literal["full", "compact"]

#: Longest vector that Qdrant takes; longer ones are searched compressed or not at all.
LONGEST: Final = 65_535

#: Times as many points as are wanted, of which those that are spread are chosen.
SPREAD_AMONG: Final = 10

#: Bookkeeping in payloads that nothing ever searches by.
NOT_INDEXED: Final = frozenset({"_size", "_mtime_ns", "_look", "_run", "_given", "_kept"})
_KEPT: Final = {"_size": int, "_mtime_ns": int, "_run": int, "_look": str, "_hash": str}
_LOOK: Final = re.compile("[0-9a-f]{22}")


def checked(payload: Any) -> dict[str, Any]:
    """Return a stored payload, if it is such as this program writes.

    Raises:
        ValueError: it is not flat, or its bookkeeping is of another kind.
    """
    if not isinstance(payload, dict):
        raise ValueError("a painting without labels")
    for name, value in payload.items():
        kind: Any = _KEPT.get(name, str | int | float)
        if not isinstance(value, kind):
            raise ValueError(f"{name[:50]!r} of a painting is a {type(value).__name__}")
    if "_look" in payload and not _LOOK.fullmatch(payload["_look"]):
        raise ValueError("the look of a painting is none")
    return payload


@dataclass(frozen=True, slots=True, eq=False)
class VectorQuery:
    """Which points a store is to find: the nearest to each of ``n`` vectors.

    Attributes:
        vectors: (n, d), any positive norms.
        limit: most points to return for each.
        where: conditions that every point must meet.
        using: the kind of vectors that they are compared with.
        codes: (n, c), the same compressed, for a search in two steps: ``oversampling * limit``
            points are found by compact vectors and then compared. None for a search in one.
        oversampling: see ``codes``.
        without: ids that take no part, neither as matches nor in the spread.
        spread: 0 orders by cosine alone, 1 by unlikeness to the points chosen before (maximal
            marginal relevance, among ten times as many points as are wanted).
        exact: compare with every point even where there is an approximate index.
        min_score: least cosine of a match, and of what is spread; -1 for any.
    """

    vectors: NDArray[np.float32]
    limit: int
    where: Filter = ()
    using: VectorName = "full"
    codes: NDArray[np.float32] | None = None
    oversampling: int = 1
    without: Collection[str] = ()
    spread: float = 0.0
    exact: bool = False
    min_score: float = -1.0

    def of(self, rows: Sequence[int]) -> Self:
        """Return the same for some of the vectors."""
        at = list(rows)
        codes = None if self.codes is None else self.codes[at]
        return replace(self, vectors=self.vectors[at], codes=codes)

    @property
    def ranked(self) -> int:
        """How many points to find before they are spread: more than are wanted, if they are."""
        return SPREAD_AMONG * self.limit if self.spread > 0 else self.limit

    @property
    def threshold(self) -> float:
        """What a score in float32, not clipped yet, is above where it is at least ``min_score``."""
        if self.min_score <= -1:
            return -2.0
        return float(np.nextafter(np.float32(self.min_score), np.float32(-2)))

    @property
    def candidates(self) -> int:
        """How many points the first of two steps finds for each vector."""
        return max(self.oversampling * self.limit, self.ranked)

    def diverse(self, vectors: NDArray[np.float32], scores: NDArray[np.float32]) -> list[int]:
        """Choose ``limit`` of the points ranked, (n, d), by maximal marginal relevance, as Qdrant.

        The next is always the one of the greatest (1 - spread) * score - spread * (greatest cosine
        to those chosen before). Reference: Carbonell and Goldstein, SIGIR 1998.
        """
        chosen: list[int] = []
        nearest, worth = np.full(len(scores), -np.inf, dtype=np.float32), scores.copy()
        while len(chosen) < min(self.limit, len(scores)):
            chosen.append(int(np.argmax(worth)))
            nearest = np.maximum(nearest, vectors @ vectors[chosen[-1]])
            worth = (1 - self.spread) * scores - self.spread * nearest
            worth[chosen] = -np.inf
        return chosen


@dataclass(frozen=True, slots=True)
class Match:
    """A record found by a search, with its cosine to the query."""

    record: Record
    score: float

    def __post_init__(self) -> None:
        # Vectors of 16 bits are a little longer or shorter than 1: 1.000033 was seen.
        object.__setattr__(self, "score", min(1.0, max(-1.0, self.score)))


def silent(progress: Progress) -> None:
    """Report nothing."""


def never() -> bool:
    """Go on to the end."""
    return False


@dataclass(frozen=True, slots=True)
class Copy:
    """One of the copies of a shard, as the node says that keeps it, or another of it."""

    shard: int  #: its number
    state: str  #: such as Active, Partial or Dead, as Qdrant calls it
    points: int | None  #: about how many it has; None where its node was not asked


@dataclass(frozen=True, slots=True)
class Node:
    """A node of the server that keeps the points, as it says itself, or another says of it."""

    address: str | None  #: None where it is not known, and the node was not asked
    peer: int | None  #: its number in the cluster; None where it does not answer
    copies: list[Copy]
    points: int | None  #: how many it counts, by its own copies; None where it does not answer
    fault: str | None = None  #: why it does not answer

    @property
    def faults(self) -> list[str]:
        """What is wrong with it, in sentences."""
        name = self.address or f"node {self.peer}"
        dead = (copy.shard for copy in self.copies if copy.state == "Dead")
        found = [f"the copy of shard {shard} on {name} is dead" for shard in dead]
        return found if self.fault is None else [self.fault, *found]


class Store(Protocol):
    """A collection of points with unit-norm vectors, full, compact or both.

    Every method raises StoreError when the storage fails.
    """

    @property
    def shared(self) -> Shared | None:
        """The collection that others open by its address; None of points in an index folder."""
        ...

    def upsert(self, records: Sequence[Record]) -> None:
        """Write points with the vectors they have; a point of the same id is replaced."""
        ...

    def set_payloads(self, records: Sequence[Record]) -> None:
        """Replace the payloads of existing points and leave their vectors alone."""
        ...

    def delete(self, ids: Sequence[str]) -> None:
        """Delete points; unknown ids are passed over."""
        ...

    def get(self, ids: Sequence[str], *, vectors: bool = False) -> dict[str, Record]:
        """Return the points that exist among ``ids``, by id."""
        ...

    def scroll(
        self, where: Filter = (), *, vectors: bool = False, limit: int | None = None
    ) -> Iterator[Record]:
        """Yield all points that match, or the first so many by their ids, in bounded memory.

        A server is asked for the first page at once, and for the next while one is used.
        """
        ...

    def search(self, query: VectorQuery) -> list[list[Match]]:
        """Return for each vector up to ``limit`` points by falling cosine, or spread."""
        ...

    def count(self, where: Filter = ()) -> int:
        """Count the points that match."""
        ...

    def has_field(self, name: str) -> bool:
        """Tell whether filters may name this field: some point has it. Quick at any size."""
        ...

    def fields(self) -> dict[str, int]:
        """Return the fields that filters may name, with the number of points having each."""
        ...

    def texts(self, field: str) -> list[str]:
        """Return the distinct texts that points have in a field, in no order."""
        ...

    def flush(self) -> None:
        """Make everything written so far durable."""
        ...

    def optimize(self, report: Report = silent, cancelled: Callable[[], bool] = never) -> None:
        """Merge, and build an approximate index where the collection is large enough to need it.

        Args:
            report: called with how much is built while a server builds it.
            cancelled: asked meanwhile; once true, or after Ctrl-C, the server goes on alone.
        """
        ...

    def approximate(self) -> bool:
        """Tell whether searches go through an approximate index."""
        ...

    def describe(self) -> str:
        """Say in a few words how searches go: exactly, or by which approximate index."""
        ...

    def close(self) -> None:
        """Flush and let go of the storage; the store cannot be used afterwards."""
        ...


def as_store_error(place: Path, error: BaseException) -> StoreError:
    """Say in one sentence what befell the file or folder of a store."""
    said = str(error)
    if re.search("is full|No space left", said):
        return StoreError(f"the disk of {place.parent} is full; free some space and run it again")
    # Neither SQLite nor what reads its columns has a type for it.
    if isinstance(error, ValueError | TypeError | LookupError) or re.search(
        "no such|malformed|not a d", said
    ):
        return StoreError(f"{place} is damaged ({said}); restore it from a backup, or index again")
    return StoreError(f"the store {place} failed: {reason_of(error)}")


def reason_of(error: BaseException) -> str:
    """Return an error's words without where in FAISS's sources it was raised."""
    return str(error).rpartition("Error: ")[2].rpartition("failed: ")[2].strip() or "unknown"
