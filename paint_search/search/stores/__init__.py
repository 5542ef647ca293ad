"""Where points are kept and found: Qdrant Edge, a Qdrant server, FAISS, behind one protocol.

In come a place, as text or parsed, and records; out come matches. Which store it is, ``open_store``
knows alone. Called by the index.
"""

from paint_search.search.stores.base import (
    Maker,
    Match,
    Store,
    VectorName,
    VectorQuery,
)
from paint_search.search.stores.opening import (
    check_reach,
    delete_store,
    faiss_of,
    next_place,
    open_store,
)
from paint_search.search.stores.uri import Place

__all__ = [
    "Maker",
    "Match",
    "Place",
    "Store",
    "VectorName",
    "VectorQuery",
    "check_reach",
    "delete_store",
    "faiss_of",
    "next_place",
    "open_store",
]
