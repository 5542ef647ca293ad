"""Vectors -> a map: PCA, UMAP or t-SNE coordinates in two or three dimensions.

In goes an array of vectors, out comes a `Projection` that also says how far it can be believed
(variance captured, trustworthiness) and how it was made. Nothing here draws or writes a file.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from paint_search.errors import EvalError
from paint_search.eval.inputs import unit_rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

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
_UMAP_TAKES_NEIGHBOURS_FROM = 4_096  # below, umap-learn computes exact neighbours by itself


@dataclass(frozen=True, slots=True, eq=False)
class Projection:
    """Where each painting lies on a map, and how far the map can be believed.

    Attributes:
        coordinates: (n, dims) float32, in the order of the vectors.
        method: "pca", "umap" or "tsne".
        explained_variance_ratio: share (0..1) of the variance on each axis; None unless PCA.
        trustworthiness: 0..1, how many of a painting's neighbours on the map are also its
            neighbours in the full space (Venna & Kaski 2001).
        trust_sample: number of paintings, drawn at random, that `trustworthiness` was measured on.
        parameters: what the method was run with, adapted to small collections where needed.
    """

    coordinates: NDArray[np.float32]
    method: Method
    explained_variance_ratio: tuple[float, ...] | None
    trustworthiness: float
    trust_sample: int
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
        return f"{self._meaning()} {self._trust()} {_LIMITS}"

    def _meaning(self) -> str:
        if self.explained_variance_ratio is None:
            return _NEIGHBOUR_MEANING.format(name=METHOD_NAMES[self.method])
        shown = sum(self.explained_variance_ratio)
        return _PCA_MEANING.format(
            number="two" if self.dims == 2 else "three", shown=shown, hidden=1.0 - shown
        )

    def _trust(self) -> str:
        return (
            f"Trustworthiness {self.trustworthiness:.2f} (1 = every neighbour on the map is also a "
            f"neighbour to the model; about 0.5 = chance), measured on {self.trust_sample:,} "
            f"paintings with {self.parameters['trust_neighbours']} neighbours each."
        )


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
    vectors: NDArray[np.floating[Any]],
    method: Method = "umap",
    dims: Literal[2, 3] = 2,
    seed: int = 0,
) -> Projection:
    """Lay vectors out on a map.

    Vectors are scaled to length one first, so that Euclidean nearness is cosine nearness. UMAP and
    t-SNE run on their first 50 principal components and start from the PCA map, which keeps the
    large-scale order (Kobak & Linderman 2021). The same seed gives the same map.

    Args:
        vectors: (n, d), n >= 3 and d >= dims, finite and not all alike.
        method: "pca", "umap" (McInnes et al. 2018) or "tsne" (van der Maaten & Hinton 2008).
        dims: 2 or 3.
        seed: of every random choice.

    Returns:
        The coordinates, with the measures of their worth.

    Raises:
        EvalError: too few vectors or dimensions, NaN or infinite values, zero vectors, vectors
            that all point one way, or a method or number of dimensions that is not offered.
    """
    if method not in get_args(Method):
        raise EvalError(f"No map method {method!r}: choose one of {', '.join(get_args(Method))}.")
    if dims not in (2, 3):
        raise EvalError(f"A map has 2 or 3 dimensions, not {dims}.")
    unit = _checked(np.asarray(vectors), dims)
    ratios: tuple[float, ...] | None = None
    parameters: dict[str, int | float | str]
    if method == "pca":
        raw, ratios = _pca(unit, dims, seed)
        parameters = {"scaling": "unit length", "centred": "yes"}
    else:
        reduced, kept = _pca(unit, min(REDUCED_DIMS, *unit.shape), seed)
        raw, parameters = (_umap if method == "umap" else _tsne)(reduced, dims, seed)
        parameters |= {"pca_dims": reduced.shape[1], "pca_variance_kept": round(sum(kept), 4)}
        # Their axes mean nothing: turn the longest side to lie across, as screens and pages do.
        raw, _ = _pca(raw, dims, seed)
    coordinates = np.ascontiguousarray(raw, dtype=np.float32)
    trust, sample, neighbours = _trustworthiness(unit, coordinates, seed)
    parameters |= {"trust_neighbours": neighbours, "seed": seed}
    return Projection(coordinates, method, ratios, trust, sample, parameters)


def _checked(vectors: NDArray[Any], dims: int) -> NDArray[np.float32]:
    """Return the vectors as unit rows; refuse those that no map can be made of."""
    if vectors.ndim != 2:
        raise EvalError(
            f"A map needs an (n, d) array of vectors, not one of shape {vectors.shape}."
        )
    count, width = vectors.shape
    if count < SMALLEST_MAP:
        raise EvalError(f"A map needs at least {SMALLEST_MAP} paintings; there are {count}.")
    if width < dims:
        raise EvalError(f"A {dims}-D map needs vectors of at least {dims} numbers, not {width}.")
    unit = np.asarray(unit_rows(vectors, np.float32), dtype=np.float32)
    if np.ptp(unit, axis=0).max() < 1e-6:
        raise EvalError(f"All {count} vectors point the same way; there is nothing to map.")
    return unit


def _pca(
    unit: NDArray[np.float32], components: int, seed: int
) -> tuple[NDArray[np.float32], tuple[float, ...]]:
    from sklearn.decomposition import PCA

    pca = PCA(n_components=components, random_state=seed)
    coordinates = pca.fit_transform(unit)
    return coordinates, tuple(float(ratio) for ratio in pca.explained_variance_ratio_)


def _umap(
    reduced: NDArray[np.float32], dims: int, seed: int
) -> tuple[NDArray[np.float32], dict[str, int | float | str]]:
    from umap import UMAP

    neighbours = min(NEIGHBOURS, len(reduced) - 1)
    options: dict[str, Any] = {"n_neighbors": neighbours, "min_dist": 0.1, "init": "pca"}
    knn = _exact_neighbours(reduced, neighbours)
    with warnings.catch_warnings():
        # It says that new points cannot be placed on the map afterwards; we never do.
        warnings.filterwarnings("ignore", message="precomputed_knn", category=UserWarning)
        model = UMAP(n_components=dims, random_state=seed, n_jobs=1, precomputed_knn=knn, **options)
        coordinates = model.fit_transform(reduced)
    return coordinates, {"metric": "cosine", **options}


def _exact_neighbours(
    reduced: NDArray[np.float32], neighbours: int
) -> tuple[NDArray[np.intp] | None, NDArray[np.float32] | None]:
    """Neighbours for UMAP: exact by blocked matrix products, faster here than its own search."""
    if len(reduced) < _UMAP_TAKES_NEIGHBOURS_FROM:
        return None, None
    from sklearn.neighbors import NearestNeighbors

    search = NearestNeighbors(n_neighbors=neighbours, algorithm="brute").fit(reduced)
    distances, indices = search.kneighbors(reduced)
    return indices, distances.astype(np.float32)


def _tsne(
    reduced: NDArray[np.float32], dims: int, seed: int
) -> tuple[NDArray[np.float32], dict[str, int | float | str]]:
    from sklearn.manifold import TSNE

    perplexity = min(PERPLEXITY, (len(reduced) - 1) / 3)
    options: dict[str, Any] = {"perplexity": perplexity, "init": "pca"}
    coordinates = TSNE(n_components=dims, random_state=seed, **options).fit_transform(reduced)
    return coordinates, {"metric": "cosine", **options}


def _trustworthiness(
    unit: NDArray[np.float32], coordinates: NDArray[np.float32], seed: int
) -> tuple[float, int, int]:
    """Trustworthiness of a random sample: (value, size of the sample, neighbours)."""
    from sklearn.manifold import trustworthiness

    size = min(TRUST_SAMPLE, len(unit))
    sample = np.random.default_rng(seed).choice(len(unit), size=size, replace=False)
    neighbours = min(NEIGHBOURS, (size - 1) // 2)
    value = trustworthiness(unit[sample], coordinates[sample], n_neighbors=neighbours)
    return float(value), size, neighbours
