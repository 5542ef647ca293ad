"""Vectors -> a map: PCA, UMAP or t-SNE coordinates in two or three dimensions.

In goes an array of vectors, out comes a `Projection` that also says how far it can be believed
(variance captured, trustworthiness) and how it was made. Nothing here draws or writes a file.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
from numpy.typing import NDArray

from paint_search.errors import EvalError
from paint_search.eval.inputs import Vectors, plain_fields, unit_rows

Method = Literal["pca", "umap", "tsne"]
METHOD_NAMES: Mapping[str, str] = {"pca": "PCA", "umap": "UMAP", "tsne": "t-SNE"}

NEIGHBOURS = 15
"""Neighbourhood of UMAP and of trustworthiness: the default of UMAP's authors."""
PERPLEXITY = 30.0
"""Neighbourhood of t-SNE: the default of its author's reference program."""
REDUCED_DIMS = 50
"""PCA dimensions that UMAP and t-SNE start from, as t-SNE's author advises."""
TRUST_SAMPLE = 2_000
"""Trustworthiness needs a sample x sample matrix of ranks: 32 MB at this size."""
SMALLEST_MAP = 3
_Options = dict[str, int | float | str]
_Laid = tuple[NDArray[np.float32], _Options]
_UMAP_TAKES_NEIGHBOURS_FROM = 4_096  # below, umap-learn computes exact neighbours by itself


@dataclass(frozen=True, slots=True, eq=False)
class Projection:
    """Where each painting lies on a map, and how far the map can be believed."""

    coordinates: NDArray[np.float32]  #: (n, dims) float32, in the order of the vectors
    method: Method  #: "pca", "umap" or "tsne"
    #: share (0..1) of the variance on each axis; None unless PCA.
    explained_variance_ratio: tuple[float, ...] | None
    #: 0..1, how many of a painting's neighbours on the map are also its neighbours in the full
    #: space (Venna & Kaski 2001).
    trustworthiness: float
    #: number of paintings, drawn at random, that `trustworthiness` was measured on.
    trust_sample: int
    #: what the method was run with, adapted to small collections where needed.
    parameters: Mapping[str, int | float | str] = field(default_factory=dict)

    @property
    def dims(self) -> int:
        """2 or 3."""
        return int(self.coordinates.shape[1])

    @property
    def name(self) -> str:
        """Short name of the view, such as ``UMAP, 3-D``."""
        return f"{METHOD_NAMES[self.method]}, {self.dims}-D"

    @property
    def axis_labels(self) -> tuple[str, ...]:
        """One label an axis: the variance captured for PCA, the bare number of it otherwise."""
        if self.explained_variance_ratio is None:
            return tuple(f"{METHOD_NAMES[self.method]} {i + 1} (no unit)" for i in range(self.dims))
        return tuple(
            f"Component {i + 1}: {ratio:.1%} of the variance"
            for i, ratio in enumerate(self.explained_variance_ratio)
        )

    @property
    def caption(self) -> str:
        """Plain words for a reader who knows no statistics: what the map means, and what not."""
        meaning = _NEIGHBOUR_MEANING.format(name=METHOD_NAMES[self.method])
        if self.explained_variance_ratio is not None:
            shown, number = sum(self.explained_variance_ratio), {2: "two", 3: "three"}[self.dims]
            meaning = _PCA_MEANING.format(number=number, shown=shown, hidden=1.0 - shown)
        return (
            f"{meaning} Trustworthiness {self.trustworthiness:.2f} (1 = every neighbour on the map "
            "is also a neighbour to the model; about 0.5 = chance), measured on "
            f"{self.trust_sample:,} paintings with {self.parameters['trust_neighbours']} "
            f"neighbours each. {_LIMITS}"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return what is to be known of the view, without its coordinates."""
        worth = ("explained_variance_ratio", "trustworthiness", "trust_sample")
        return plain_fields(self, "name", "method", "dims", *worth, "parameters")


_PCA_MEANING = (
    "Each dot is a painting, placed along the {number} directions in which the collection varies "
    "most. Together they hold {shown:.0%} of the variance; the other {hidden:.0%} is not on the "
    "map, so paintings that meet here may still differ. Distances can be read across the whole map."
)
_NEIGHBOUR_MEANING = (
    "Each dot is a painting; {name} tries to keep paintings that look alike to the model side by "
    "side. Read who lies next to whom. The distance between far groups, the size and density of a "
    "group and the direction of the axes mean nothing."
)
_LIMITS = (
    "The model compares reproductions: light, colour cast and framing of the photograph count too. "
    "Nearness is no proof of influence, date or authorship."
)


def project(
    vectors: npt.ArrayLike,
    method: Method = "umap",
    dims: Literal[2, 3] = 2,
    seed: int = 0,
    *,
    trust_sample: int = TRUST_SAMPLE,
) -> Projection:
    """Lay vectors out on a map.

    Vectors are scaled to length one first, so that Euclidean nearness is cosine nearness. UMAP and
    t-SNE run on their first 50 principal components and start from the PCA map, which keeps the
    large-scale order (Kobak & Linderman 2021). The same seed gives the same map.

    `trust_sample` works at most are those that trustworthiness is measured on.

    Returns:
        The coordinates, with the measures of their worth.

    Raises:
        EvalError: too few vectors or dimensions, NaN or infinite values, zero vectors, vectors
            that all point one way, or a method or number of dimensions that is not offered.
    """
    from sklearn.manifold import trustworthiness

    if method not in get_args(Method):
        raise EvalError(f"No map method {method!r}: choose one of {', '.join(get_args(Method))}.")
    if dims not in (2, 3):
        raise EvalError(f"A map has 2 or 3 dimensions, not {dims}.")
    unit = unit_rows(vectors, np.float32)
    count, width = unit.shape
    if count < SMALLEST_MAP:
        raise EvalError(f"A map needs at least {SMALLEST_MAP} paintings; there are {count}.")
    if width < dims:
        raise EvalError(f"A {dims}-D map needs vectors of at least {dims} numbers, not {width}.")
    if np.ptp(unit, axis=0).max() < 1e-6:
        raise EvalError(f"All {count} vectors point the same way; there is nothing to map.")
    ratios: tuple[float, ...] | None = None
    parameters: _Options
    if method == "pca":
        raw, ratios = _pca(unit, dims, seed)
        parameters = {"scaling": "unit length", "centred": "yes"}
    else:
        reduced, kept = _pca(unit, min(REDUCED_DIMS, *unit.shape), seed)
        raw, options = (_umap if method == "umap" else _tsne)(reduced, dims, seed)
        kept_variance = {"pca_dims": reduced.shape[1], "pca_variance_kept": round(sum(kept), 4)}
        parameters = {"metric": "cosine", **options, **kept_variance}
        # Their axes mean nothing: turn the longest side to lie across, as screens and pages do.
        raw, _ = _pca(raw, dims, seed)
    coordinates = np.ascontiguousarray(raw, dtype=np.float32)
    size = min(trust_sample, count)
    sample = np.random.default_rng(seed).choice(count, size=size, replace=False)
    neighbours = min(NEIGHBOURS, (size - 1) // 2)
    trust = trustworthiness(unit[sample], coordinates[sample], n_neighbors=neighbours)
    parameters |= {"trust_neighbours": neighbours, "seed": seed}
    return Projection(coordinates, method, ratios, float(trust), size, parameters)


def _pca(
    unit: Vectors, components: int, seed: int
) -> tuple[NDArray[np.float32], tuple[float, ...]]:
    from sklearn.decomposition import PCA

    pca = PCA(n_components=components, random_state=seed)
    coordinates = pca.fit_transform(unit)
    return coordinates, tuple(float(ratio) for ratio in pca.explained_variance_ratio_)


def _umap(reduced: NDArray[np.float32], dims: int, seed: int) -> _Laid:
    from sklearn.neighbors import NearestNeighbors
    from umap import UMAP

    neighbours = min(NEIGHBOURS, len(reduced) - 1)
    options: _Options = {"n_neighbors": neighbours, "min_dist": 0.1, "init": "pca"}
    knn: tuple[Any, Any] = (None, None)
    if len(reduced) >= _UMAP_TAKES_NEIGHBOURS_FROM:
        # Exact by blocked matrix products, faster here than UMAP's own search.
        search = NearestNeighbors(n_neighbors=neighbours, algorithm="brute").fit(reduced)
        distances, indices = search.kneighbors(reduced)
        knn = indices, distances.astype(np.float32)
    with warnings.catch_warnings():
        # It says that new points cannot be placed on the map afterwards; we never do.
        warnings.filterwarnings("ignore", message="precomputed_knn", category=UserWarning)
        model = UMAP(n_components=dims, random_state=seed, n_jobs=1, precomputed_knn=knn, **options)
        return model.fit_transform(reduced), options


def _tsne(reduced: NDArray[np.float32], dims: int, seed: int) -> _Laid:
    from sklearn.manifold import TSNE

    options: _Options = {"perplexity": min(PERPLEXITY, (len(reduced) - 1) / 3), "init": "pca"}
    return TSNE(n_components=dims, random_state=seed, **options).fit_transform(reduced), options
