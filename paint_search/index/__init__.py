"""The thing a user opens, and everything that can be done with it when it is open.

In come a folder of paintings or the folder of an index, and questions; out go hits, vectors and
facts. ``index.py`` is the door, and says of each question what it takes and raises; every other
file takes the open ``Collection`` whole.
Called by the studies, the command line and users of the Python client; imports no torch, no
scikit-learn and no FAISS until something needs them.
"""

from paint_search.index.collection import Collection
from paint_search.index.compression import CompressSummary
from paint_search.index.copy import CopySummary
from paint_search.index.examples import Picture, Query
from paint_search.index.index import Index
from paint_search.index.info import IndexInfo
from paint_search.index.manifest import Manifest
from paint_search.index.search import SearchOptions
from paint_search.index.verification import Reference, Verdict, Verifier

__all__ = [
    "Collection", "CompressSummary", "CopySummary", "Index", "IndexInfo", "Manifest", "Picture",
    "Query", "Reference", "SearchOptions", "Verdict", "Verifier",
]  # fmt: skip
