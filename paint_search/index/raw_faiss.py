"""The vectors of an index as a FAISS index, for other tools; and which label is which painting.

A FAISS store hands out the index that it searches; of any other store a flat one is made.
"""

from typing import TYPE_CHECKING

from paint_search.errors import UsageError
from paint_search.index.select import read_vectors
from paint_search.search.filters import Filter
from paint_search.search.stores.base import Store, VectorName

if TYPE_CHECKING:
    import faiss


def raw_faiss(
    store: Store, name: VectorName, length: int, where: Filter = ()
) -> "tuple[faiss.Index, dict[int, str]]":
    """Return a FAISS index by inner product, and label -> painting id.

    Args:
        store: where the vectors are.
        name: which vectors, where the store has no FAISS index of its own.
        length: theirs.
        where: conditions; with any, a flat index of what matches is made.

    Raises:
        UsageError: no painting matches.
    """
    from paint_search.search.stores.faiss import FaissStore

    if isinstance(store, FaissStore) and not where:
        return store.raw()
    import faiss

    ids, vectors = read_vectors(store, name, length, where)
    if not ids:
        raise UsageError("there are no paintings to make a FAISS index of")
    index = faiss.IndexFlatIP(length)
    index.add(vectors)
    return index, dict(enumerate(ids))
