from .agreement import (
    Agreement as Agreement,
)
from .agreement import (
    Mantel as Mantel,
)
from .agreement import (
    agreement as agreement,
)
from .agreement import (
    mantel as mantel,
)
from .agreement import (
    tree_correlation as tree_correlation,
)
from .artists import (
    ArtistPair as ArtistPair,
)
from .artists import (
    ArtistSimilarity as ArtistSimilarity,
)
from .artists import (
    artist_similarity as artist_similarity,
)
from .artists import (
    csls as csls,
)
from .calibration import (
    Reliability as Reliability,
)
from .calibration import (
    conformal_threshold as conformal_threshold,
)
from .calibration import (
    prediction_sets as prediction_sets,
)
from .calibration import (
    reliability as reliability,
)
from .classify import (
    KINDS as KINDS,
)
from .classify import (
    Classification as Classification,
)
from .classify import (
    Kind as Kind,
)
from .classify import (
    classify as classify,
)
from .classify import (
    stratified_split as stratified_split,
)
from .clusters import (
    Hierarchy as Hierarchy,
)
from .clusters import (
    Partition as Partition,
)
from .clusters import (
    centroids as centroids,
)
from .clusters import (
    hierarchy as hierarchy,
)
from .clusters import (
    kmeans as kmeans,
)
from .details import (
    localisation_precision as localisation_precision,
)
from .details import (
    overlap as overlap,
)
from .duplicates import (
    kept_works as kept_works,
)
from .duplicates import (
    likely_duplicates as likely_duplicates,
)
from .fidelity import (
    BASELINE as BASELINE,
)
from .fidelity import (
    LEAST_WORKS as LEAST_WORKS,
)
from .fidelity import (
    Candidate as Candidate,
)
from .fidelity import (
    Fidelity as Fidelity,
)
from .fidelity import (
    LabelFidelity as LabelFidelity,
)
from .fidelity import (
    NeighboursKept as NeighboursKept,
)
from .fidelity import (
    fidelity as fidelity,
)
from .fidelity import (
    neighbours_kept as neighbours_kept,
)
from .fidelity import (
    pair_correlation as pair_correlation,
)
from .fidelity import (
    shown_candidate as shown_candidate,
)
from .fidelity import (
    trust as trust,
)
from .fidelity import (
    verdicts as verdicts,
)
from .inputs import (
    Groups as Groups,
)
from .inputs import (
    group_labels as group_labels,
)
from .inputs import (
    plain as plain,
)
from .inputs import (
    unit_rows as unit_rows,
)
from .maps import (
    METHOD_NAMES as METHOD_NAMES,
)
from .maps import (
    Method as Method,
)
from .maps import (
    Projection as Projection,
)
from .maps import (
    project as project,
)
from .neighbours import (
    Neighbours as Neighbours,
)
from .neighbours import (
    neighbours as neighbours,
)
from .outliers import (
    outliers as outliers,
)
from .outliers import (
    typical_works as typical_works,
)
from .pairs import (
    Pairs as Pairs,
)
from .pairs import (
    PairSource as PairSource,
)
from .pairs import (
    random_pairs as random_pairs,
)
from .pairs import (
    ranked_pairs as ranked_pairs,
)
from .pairs import (
    some_pairs as some_pairs,
)
from .retrieval import (
    Retrieval as Retrieval,
)
from .retrieval import (
    retrieval as retrieval,
)
from .retrieval import (
    same_label_auc as same_label_auc,
)
from .silhouette import (
    Comparison as Comparison,
)
from .silhouette import (
    Metric as Metric,
)
from .silhouette import (
    Silhouette as Silhouette,
)
from .silhouette import (
    compare_silhouettes as compare_silhouettes,
)
from .silhouette import (
    silhouettes as silhouettes,
)
from .verify import (
    Verification as Verification,
)
from .verify import (
    equal_error_rate as equal_error_rate,
)
from .verify import (
    verification as verification,
)
