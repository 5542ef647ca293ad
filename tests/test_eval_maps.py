"""Projections: oracles from scikit-learn, laws, small collections, data that cannot be mapped."""

from __future__ import annotations

import subprocess
import sys
import warnings
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.spatial.distance import pdist
from scipy.stats import ortho_group
from sklearn.decomposition import PCA
from sklearn.manifold import trustworthiness
from sklearn.neighbors import NearestNeighbors

from paint_search.errors import EvalError, PaintSearchError
from paint_search.eval import maps
from paint_search.eval.maps import Method, project

METHODS: tuple[Method, ...] = ("pca", "umap", "tsne")


def blobs(count: int = 90, width: int = 20, groups: int = 3, seed: int = 0) -> NDArray[Any]:
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(groups, width)) * 4
    return (centres[np.arange(count) % groups] + rng.normal(size=(count, width))).astype(np.float32)


def unit(vectors: NDArray[Any]) -> NDArray[Any]:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / lengths  # type: ignore[no-any-return]


def test_pca_is_that_of_scikit_learn_on_unit_vectors() -> None:
    vectors = blobs()
    oracle = PCA(3).fit(unit(vectors))
    made = project(vectors, "pca", 3)
    assert made.explained_variance_ratio == pytest.approx(
        oracle.explained_variance_ratio_, abs=1e-5
    )
    np.testing.assert_allclose(
        np.abs(made.coordinates), np.abs(oracle.transform(unit(vectors))), atol=1e-4
    )


@given(seed=st.integers(0, 10_000), dims=st.sampled_from([2, 3]), count=st.integers(8, 40))
@settings(max_examples=25, deadline=None)
def test_pca_does_not_depend_on_rotation_scale_or_order(
    seed: int, dims: Literal[2, 3], count: int
) -> None:
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(count, 6)) * [9, 6, 4, 2, 1, 1]
    order = rng.permutation(count)
    turned = vectors[order] @ ortho_group.rvs(6, random_state=seed)
    scaled = turned * rng.uniform(0.1, 50, size=(count, 1))
    before, after = project(vectors, "pca", dims), project(scaled, "pca", dims)
    np.testing.assert_allclose(
        pdist(after.coordinates), pdist(before.coordinates[order]), atol=1e-4
    )
    assert after.explained_variance_ratio == pytest.approx(
        before.explained_variance_ratio, abs=1e-4
    )


@pytest.mark.parametrize("method", METHODS)
def test_the_map_is_faithful_and_says_how_much(method: Method) -> None:
    made = project(blobs(), method)
    neighbours = NearestNeighbors(n_neighbors=2).fit(made.coordinates).kneighbors()[1]
    assert np.mean(neighbours % 3 == (np.arange(90) % 3)[:, None]) > 0.97

    oracle = trustworthiness(unit(blobs()), made.coordinates, n_neighbors=15)
    assert made.trustworthiness == pytest.approx(oracle, abs=1e-3)
    assert made.trust_sample == 90


def test_trustworthiness_of_many_is_measured_on_a_stated_sample(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(maps, "TRUST_SAMPLE", 40)
    made = project(blobs(), "pca")
    assert made.trust_sample == 40
    assert "measured on 40 paintings" in made.caption
    assert made.trustworthiness != project(blobs(), "pca", seed=1).trustworthiness


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("count", [3, 4, 15])
def test_small_collections_are_mapped_without_a_warning(
    method: Method, dims: Literal[2, 3], count: int
) -> None:
    import umap  # noqa: F401  it warns at its import that TensorFlow is absent

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made = project(blobs(count), method, dims)
    assert made.coordinates.shape == (count, dims)
    assert made.coordinates.dtype == np.float32
    assert np.isfinite(made.coordinates).all()
    assert 0 <= made.trustworthiness <= 1


@pytest.mark.parametrize("method", ["umap", "tsne"])
def test_a_map_can_be_made_again_and_its_widest_side_lies_across(method: Method) -> None:
    made = project(blobs(30), method)
    np.testing.assert_array_equal(made.coordinates, project(blobs(30), method).coordinates)
    assert made.coordinates[:, 0].var() >= made.coordinates[:, 1].var()
    assert made.explained_variance_ratio is None


def test_another_seed_gives_another_umap() -> None:
    one, other = (project(blobs(30), "umap", seed=seed).coordinates for seed in (0, 1))
    assert not np.array_equal(one, other)


def test_neighbours_handed_to_umap_are_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(maps, "_UMAP_TAKES_NEIGHBOURS_FROM", 10)
    vectors = blobs().astype(np.float32)
    indices, distances = maps._exact_neighbours(vectors, 5)
    apart = np.linalg.norm(vectors[:, None] - vectors[None], axis=2)
    assert indices is not None
    assert distances is not None
    np.testing.assert_array_equal(indices, np.argsort(apart, axis=1)[:, :5])
    np.testing.assert_allclose(distances, np.sort(apart, axis=1)[:, :5], atol=2e-3)


def test_the_words_say_what_the_numbers_say() -> None:
    made = project(blobs(), "pca")
    assert made.explained_variance_ratio is not None
    shown = sum(made.explained_variance_ratio)
    assert f"{shown:.0%} of the variance" in made.caption
    assert f"{1 - shown:.0%} is not on the map" in made.caption
    assert (
        made.axis_labels[1]
        == f"Component 2: {made.explained_variance_ratio[1]:.1%} of the variance"
    )
    other = project(blobs(), "umap", 3)
    assert other.name == "UMAP, 3-D"
    assert "mean nothing" in other.caption
    assert other.axis_labels == tuple(f"UMAP {i} (no unit)" for i in (1, 2, 3))


def test_parameters_are_those_used_not_those_wished() -> None:
    assert project(blobs(8), "umap").parameters["n_neighbors"] == 7
    assert project(blobs(10), "tsne").parameters["perplexity"] == 3
    assert project(blobs(), "umap", seed=4).parameters["seed"] == 4


def spoiled(value: float, row: int) -> NDArray[Any]:
    vectors = blobs()
    vectors[row] = value
    return vectors


@pytest.mark.parametrize(
    ("vectors", "options", "words"),
    [
        (blobs()[:0], {}, "at least 3 paintings; there are 0"),
        (blobs()[:1], {}, "at least 3 paintings; there are 1"),
        (blobs()[0], {}, r"not one of shape \(20,\)"),
        (spoiled(np.nan, 7), {}, r"1 of 90 vectors .* not finite \(the first is row 7\)"),
        (spoiled(np.inf, 3), {}, "the first is row 3"),
        (spoiled(0, 5), {}, r"1 of 90 vectors are all zeros .*row 5\)"),
        (np.ones((9, 4)), {}, "All 9 vectors point the same way"),
        (np.outer(np.arange(1, 9), np.ones(4)), {}, "All 8 vectors point the same way"),
        (blobs(width=2), {"dims": 3}, "at least 3 numbers, not 2"),
        (blobs(), {"dims": 4}, "2 or 3 dimensions, not 4"),
        (blobs(), {"method": "mds"}, "choose one of pca, umap, tsne"),
    ],
)
def test_what_cannot_be_mapped_is_answered_in_a_sentence(
    vectors: NDArray[Any], options: dict[str, Any], words: str
) -> None:
    with pytest.raises(EvalError, match=words) as caught:
        project(vectors, **options)
    assert isinstance(caught.value, PaintSearchError)


def test_huge_and_tiny_vectors_are_mapped_like_any_other() -> None:
    for factor in (1e-30, 1e30):
        made = project(blobs().astype(np.float64) * factor, "pca")
        np.testing.assert_allclose(
            pdist(made.coordinates), pdist(project(blobs(), "pca").coordinates), atol=1e-4
        )


def test_importing_the_rooms_loads_nothing_heavy() -> None:
    heavy = "{'sklearn', 'scipy', 'umap', 'numba', 'matplotlib', 'PIL', 'torch'}"
    program = (
        "import sys, paint_search.eval.maps\n"
        "import paint_search.report.map_page, paint_search.report.plots\n"
        f"print(sorted({heavy} & set(sys.modules)))"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == "[]"
