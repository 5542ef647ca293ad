"""An index and a question in; a result out, which knows to_dict(), to_pandas() and plot().

The command line asks the same functions; figures come from ``eval``, tables, drawings and pages
from ``report``. Light to import: what is heavy is loaded by the study that needs it.

What several studies take means the same in each:
    index: an open index, or its folder, which is then open only as long as it is read; None for
        the nearest one above here.
    by: field that groups the works: artist, movement, ...
    where, exclude: field -> value, list of values, or (low, high): only these works; not these.
    min_works: labels of fewer works take no part.
    features: only these features of an index of ink.
    seed: of every random choice.
    top: how many rows a list holds.
    note: takes lines on the works that take part.
    report (of the report, progress): takes what is being done and how far it is.
"""

from paint_search.studies.artists import Artists, artists
from paint_search.studies.classify import Classified, classify
from paint_search.studies.clusters import Clustering, clusters
from paint_search.studies.compression import Compression, compression
from paint_search.studies.details import DetailsFound, Localised, details
from paint_search.studies.maps import Maps, maps
from paint_search.studies.report import SECTIONS, Written, report
from paint_search.studies.result import Result
from paint_search.studies.retrieval import Recognition, retrieval
from paint_search.studies.silhouette import Silhouettes, silhouette
from paint_search.studies.verify import Verifications, verify
from paint_search.studies.works import grey_warning

__all__ = [
    "SECTIONS",
    "Artists",
    "Classified",
    "Clustering",
    "Compression",
    "DetailsFound",
    "Localised",
    "Maps",
    "Recognition",
    "Result",
    "Silhouettes",
    "Verifications",
    "Written",
    "artists",
    "classify",
    "clusters",
    "compression",
    "details",
    "grey_warning",
    "maps",
    "report",
    "retrieval",
    "silhouette",
    "verify",
]  # fmt: skip
