"""Where points are kept and found: Qdrant Edge, a Qdrant server, FAISS, behind one protocol.

In come a place, as text or parsed, and records; out come matches. Which store it is, ``open_store``
knows alone. Called by the index.
"""

from paint_search.search.stores.base import (
    Match,
    Store,
    VectorName,
    VectorQuery,
)
from paint_search.search.stores.description import Description, Maker, Part, Shared
from paint_search.search.stores.opening import (
    Loan,
    borrow,
    delete_store,
    faiss_of,
    lend,
    open_next,
    open_store,
    reach,
)
from paint_search.search.stores.uri import Place

__all__ = [
    "Description",
    "Loan",
    "Maker",
    "Match",
    "Part",
    "Place",
    "Shared",
    "Store",
    "VectorName",
    "VectorQuery",
    "borrow",
    "delete_store",
    "faiss_of",
    "lend",
    "open_next",
    "open_store",
    "reach",
]
