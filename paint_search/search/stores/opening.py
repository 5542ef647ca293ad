"""A place -> the store there, made if need be; and what becomes of one that is no longer wanted.

The only module that knows every kind of store. Imports one when it is asked for.
"""

import shutil
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from paint_search.errors import StoreError, missing_libraries
from paint_search.painting import Record
from paint_search.search.stores.base import Maker, Node, Store, VectorName
from paint_search.search.stores.uri import Place

if TYPE_CHECKING:
    import faiss


def open_store(
    index: Path,
    place: Place,
    dimensions: Mapping[VectorName, int],
    maker: Maker,
    **tuning: Any,
) -> Store:
    """Return the store at ``place``, empty where there was none.

    Args:
        index: folder of the index.
        place: where its points are.
        dimensions: of each kind of vector that it keeps.
        maker: of those vectors; a server's collection says whose it holds.
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

            return QdrantStore(place, dimensions, maker, **tuning)


def next_place(index: Path, place: Place) -> Place:
    """Return a free place beside this one, for the same points written anew.

    Raises:
        StoreError: the server is out of reach.
    """
    return place.successor(lambda made: _taken(index, made))


def _taken(index: Path, place: Place) -> bool:
    if place.embedded:
        return (index / place.name).exists()
    from paint_search.search.stores.qdrant.collection import exists

    return exists(place)


def delete_store(index: Path, place: Place) -> None:
    """Delete the points at ``place``; nothing happens where there are none.

    Raises:
        StoreError: the server is out of reach.
    """
    if place.embedded:
        shutil.rmtree(index / place.name, ignore_errors=True)
        return
    from paint_search.search.stores.qdrant.collection import delete_collection

    delete_collection(place)


def check_reach(place: Place) -> None:
    """Raise StoreError if a server cannot be reached or a library is missing; create nothing.

    Only for a place that the user has named: its server is trusted from now on.
    """
    if place.kind == "faiss":
        require_faiss()
    if place.server is not None:
        from paint_search.search.stores.qdrant.servers import named

        with ExitStack() as all_named:
            for server in place.servers:
                all_named.enter_context(named(server, place.files))
            _taken(Path(), place)


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
