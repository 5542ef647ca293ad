"""Arrays and labels in; numbers and tables out: pure functions that draw, write and ask nothing.

Anybody may import this room; it imports nobody but the errors. scipy and scikit-learn are loaded
by what needs them, when it is called.

What several functions take means the same in each: `vectors` are (n, d) of any norm, `full` and
`compact` such of the same works, before and after compression; `labels` are n texts, None where a
work takes no part; `queries` and `gallery` are the rows that ask and that may be found (a mask of
n, or indices), all by default; `k` and `ks` are numbers of neighbours; `samples` are bootstrap
resamples of the works within their labels, `level` that of their percentile intervals, and `seed`
that of all that is random. Whatever cannot be judged is an `EvalError`, everywhere a vector without
direction, numbers of labels and vectors that differ, or a selection out of range.
"""

from paint_search.eval.agreement import Agreement, Mantel, agreement, mantel, tree_correlation
from paint_search.eval.artists import ArtistPair, ArtistSimilarity, artist_similarity, csls
from paint_search.eval.calibration import (
    Reliability,
    conformal_threshold,
    prediction_sets,
    reliability,
)
from paint_search.eval.classify import KINDS, Classification, Kind, classify, stratified_split
from paint_search.eval.clusters import Hierarchy, Partition, centroids, hierarchy, kmeans
from paint_search.eval.duplicates import kept_works, likely_duplicates
from paint_search.eval.fidelity import (
    BASELINE,
    LEAST_WORKS,
    Candidate,
    Fidelity,
    LabelFidelity,
    NeighboursKept,
    fidelity,
    neighbours_kept,
    pair_correlation,
    shown_candidate,
    trust,
    verdicts,
)
from paint_search.eval.inputs import Groups, group_labels, plain, unit_rows
from paint_search.eval.maps import METHOD_NAMES, Method, Projection, project
from paint_search.eval.neighbours import Neighbours, neighbours
from paint_search.eval.outliers import outliers, typical_works
from paint_search.eval.pairs import Pairs, PairSource, random_pairs, ranked_pairs, some_pairs
from paint_search.eval.retrieval import Retrieval, retrieval, same_label_auc
from paint_search.eval.silhouette import (
    Comparison,
    Metric,
    Silhouette,
    compare_silhouettes,
    silhouettes,
)
from paint_search.eval.verify import Verification, equal_error_rate, verification

__all__ = [
    "BASELINE", "KINDS", "LEAST_WORKS", "METHOD_NAMES", "Agreement", "ArtistPair",
    "ArtistSimilarity", "Candidate", "Classification", "Comparison", "Fidelity", "Groups",
    "Hierarchy", "Kind", "LabelFidelity", "Mantel", "Method", "Metric", "Neighbours",
    "NeighboursKept", "PairSource", "Pairs", "Partition", "Projection", "Reliability", "Retrieval",
    "Silhouette", "Verification", "agreement", "artist_similarity", "centroids", "classify",
    "compare_silhouettes", "conformal_threshold", "csls", "equal_error_rate", "fidelity",
    "group_labels", "hierarchy", "kept_works", "kmeans", "likely_duplicates", "mantel",
    "neighbours", "neighbours_kept", "outliers", "pair_correlation", "plain", "prediction_sets",
    "project", "random_pairs", "ranked_pairs", "reliability", "retrieval", "same_label_auc",
    "shown_candidate", "silhouettes", "some_pairs", "stratified_split", "tree_correlation", "trust",
    "typical_works", "unit_rows", "verdicts", "verification",
]  # fmt: skip
