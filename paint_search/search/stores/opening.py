"""A place -> the store there, made if need be; and what becomes of one that is no longer wanted.

The only module that knows every kind of store. Imports one when it is asked for.
"""

import shutil
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from paint_search.errors import StoreError, missing_libraries
from paint_search.painting import Record
from paint_search.search.stores.base import Node, Store, VectorName
from paint_search.search.stores.description import Maker, Shared
from paint_search.search.stores.uri import Place

if TYPE_CHECKING:
    import faiss

    from paint_search.search.stores.lending.lender import Right
    from paint_search.search.stores.qdrant.collection import ServedCollection


class Loan(Store, Protocol):
    """The store of an index that another process holds, and the right to change it."""

    @property
    def name(self) -> str:
        """Name of its folder in the index."""
        ...

    @property
    def lost(self) -> bool:
        """Whether it can be asked no more: the other process has ended, or closed it."""
        ...

    def claim(self, patience: float) -> None:
        """Have the right to change the index; StoreBusyError if not after so many seconds."""
        ...

    def release(self) -> None:
        """Give that right back."""
        ...


def lend(index: Path, place: Place, store: Store, right: "Right") -> Callable[[], None]:
    """Let other processes of this user ask the store in an index folder, until what is returned.

    Args:
        index: folder of the index, whose lock this process has.
        place: of the store.
        store: open.
        right: gives the right to change the index; see there.
    """
    from paint_search.search.stores.lending.lender import Lender

    return Lender(index, place.name, store, right).close


def borrow(index: Path, command: str, patience: float) -> Loan | None:
    """Return the store of the process that has the lock of an index, None where it lends none.

    Args:
        index: folder of the index.
        command: what this process is called in a sentence.
        patience: seconds to wait for an answer.
    """
    from paint_search.search.stores.lending.borrowed import borrow

    return borrow(index, command, patience)


def open_store(
    index: Path,
    place: Place,
    dimensions: Mapping[VectorName, int],
    maker: Maker,
    shared: Shared | None = None,
    **tuning: Any,
) -> Store:
    """Return the store at ``place``, empty where there was none.

    Args:
        index: folder of the index.
        place: where its points are.
        dimensions: of each kind of vector that it keeps.
        maker: of those vectors; a server's collection says whose it holds.
        shared: that collection, where it was asked for already.
        tuning: thresholds of that kind of store, as its class takes them by keyword; by them a
            small collection can be measured, or tested, as a large one.

    Raises:
        StoreError: it is damaged or out of reach, or a server's collection holds other vectors;
            or its library is missing.
    """
    if place.embedded:
        for file in (index / place.name).rglob("*"):
            if file.is_symlink():  # which engines would write through
                raise StoreError(f"{file} is a link; put the file that it leads to in its place")
    match place.kind:
        case "edge":
            from paint_search.search.stores.edge import EdgeStore

            return EdgeStore(index / place.name, dimensions, **tuning)
        case "faiss":
            require_faiss()
            from paint_search.search.stores.faiss import FaissStore

            factory = place.settings.get("factory")
            return FaissStore(index / place.name, dimensions, cast("str | None", factory), **tuning)
        case "qdrant":
            from paint_search.search.stores.qdrant.store import QdrantStore

            served = cast("ServedCollection", shared or reach(place))
            return QdrantStore(served, dimensions, maker, **tuning)


def open_next(
    index: Path,
    before: Store,
    place: Place,
    dimensions: Mapping[VectorName, int],
    maker: Maker,
    claim: str,
) -> tuple[Place, Store]:
    """Return an empty store for the points of another written anew, and where it is.

    Args:
        index: folder of the index.
        before: the store whose points they are.
        place: where that is.
        dimensions: of each kind of vector that the new one keeps.
        maker: of those vectors.
        claim: who makes it, where others may be about to.

    Raises:
        StoreError: the server is out of reach.
        StoreBusyError: another machine is making one.
    """
    if before.shared is None:
        made = place.successor(lambda made: (index / made.name).exists())
        return made, open_store(index, made, dimensions, maker)
    from paint_search.search.stores.qdrant.collection import ServedCollection

    if not isinstance(before.shared, ServedCollection):
        raise TypeError(type(before.shared))
    served = before.shared.next(place, dimensions, maker, claim)
    return served.place, open_store(index, served.place, dimensions, maker, served)


def delete_store(index: Path, place: Place) -> None:
    """Delete the points at ``place``, of a server all that was kept with them, if there are any.

    Raises:
        StoreError: the server is out of reach.
    """
    if place.embedded:
        shutil.rmtree(index / place.name, ignore_errors=True)
        return
    from paint_search.search.stores.qdrant.collection import ServedCollection

    ServedCollection(place).delete()


def reach(place: Place, *, named: bool = False) -> Shared | None:
    """Connect to the server of a place, and ask what is there; None for a place in an index folder.

    Args:
        place: where the points are, or are to be.
        named: the user has named it, so that its server is trusted from now on.

    Raises:
        StoreError: the server cannot be reached, or was never named; or a library is missing.
    """
    if place.kind == "faiss":
        require_faiss()
    if place.server is None:
        return None
    from paint_search.search.stores.qdrant.collection import ServedCollection
    from paint_search.search.stores.qdrant.servers import named as naming

    with ExitStack() as all_named:
        for server in place.servers if named else ():
            all_named.enter_context(naming(server, place.files))
        return ServedCollection(place)


def require_faiss() -> None:
    """Raise StoreError if FAISS is not installed, naming what installs it."""
    if missing := missing_libraries("faiss", "faiss"):
        raise StoreError(f"a FAISS index needs {missing}")


def faiss_of(store: Store) -> "tuple[faiss.Index, dict[int, str]] | None":
    """Return the FAISS index that a store searches, with label -> id; None of any other store."""
    raw = getattr(store, "raw", None)  # FAISS may not be installed
    return raw() if raw else None


def nodes_of(store: Store) -> list[Node]:
    """Return the nodes that keep the points, with the copies of each; of an embedded store none."""
    nodes = getattr(store, "nodes", None)  # of a server alone
    return nodes() if nodes else []


def uneven_of(store: Store) -> Iterable[Record]:
    """Return the points that some copies have, and others lack or have otherwise."""
    uneven = getattr(store, "uneven", None)
    return uneven() if uneven else ()
