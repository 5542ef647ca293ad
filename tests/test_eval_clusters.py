"""Trees, cuts, k-means and agreement against scipy, scikit-learn and counting by hand."""

from __future__ import annotations

import json
from typing import Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.cluster.hierarchy import cophenet, linkage
from scipy.spatial.distance import pdist, squareform
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

from paint_search.errors import EvalError
from paint_search.eval import agreement, centroids, hierarchy, kmeans

D = 5
Method = Literal["average", "ward"]


def blobs(seed: int = 0, groups: int = 4, each: int = 10, noise: float = 0.05) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.repeat(np.eye(groups, D), each, axis=0) + noise * rng.normal(size=(groups * each, D))


def names(n: int) -> list[str]:
    return [f"painting {i}" for i in range(n)]


@pytest.mark.parametrize("each", [10, 275])  # one block, and two
def test_tree_matches_scipy(each: int) -> None:
    vectors = 3 * blobs(each=each, noise=0.4)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    oracles: dict[Method, np.ndarray] = {"average": pdist(unit, "cosine"), "ward": pdist(unit)}
    for method, distances in oracles.items():
        result = hierarchy(vectors, names(len(vectors)), method=method)
        expected = linkage(distances, method)
        np.testing.assert_allclose(result.linkage[:, 2:], expected[:, 2:], atol=1e-7)
        np.testing.assert_allclose(cophenet(result.linkage), cophenet(expected), atol=1e-7)
        assert result.cophenetic == pytest.approx(cophenet(expected, distances)[0], abs=1e-6)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), scale=st.floats(1e-3, 1e3))
def test_tree_does_not_depend_on_order_rotation_or_scale(seed: int, scale: float) -> None:
    vectors = blobs(seed, noise=0.3)
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(vectors))
    rotation, _ = np.linalg.qr(rng.normal(size=(D, D)))
    plain = hierarchy(vectors, names(40))
    moved = hierarchy((scale * vectors @ rotation)[order], names(40))
    np.testing.assert_allclose(
        squareform(cophenet(moved.linkage)),
        squareform(cophenet(plain.linkage))[np.ix_(order, order)],
        atol=1e-7,
    )
    assert adjusted_rand_score(moved.cut(k=5), plain.cut(k=5)[order]) == 1


def test_leaves_of_a_cluster_stand_together_like_beside_like() -> None:
    angles = np.deg2rad([0, 60, 2, 62, 30, 28])
    result = hierarchy(np.stack([np.cos(angles), np.sin(angles)], axis=1), names(6))
    assert result.order.tolist() in ([0, 2, 5, 4, 1, 3], [3, 1, 4, 5, 2, 0])


def test_many_leaves_are_ordered_by_the_merges() -> None:
    result = hierarchy(blobs(each=260), names(1040))
    clusters = result.cut(k=4)[result.order]
    assert np.count_nonzero(np.diff(clusters)) == 3
    assert sorted(result.order) == list(range(1040))


def test_cuts() -> None:
    result = hierarchy(blobs(), names(40))
    truth = np.repeat(np.arange(4), 10)
    assert adjusted_rand_score(truth, result.cut(k=4)) == 1
    assert adjusted_rand_score(truth, result.cut(height=0.5)) == 1
    assert sorted(set(result.cut(k=4))) == [0, 1, 2, 3]
    assert set(result.cut(height=2.1)) == {0}
    assert len(set(result.cut(k=40))) == 40
    for wrong in ({}, {"k": 2, "height": 0.5}, {"k": 0}, {"k": 41}):
        with pytest.raises(EvalError, match=r"either|no cut"):
            result.cut(**wrong)  # type: ignore[arg-type]


def test_equal_vectors_have_a_flat_tree() -> None:
    result = hierarchy(np.ones((4, 3)), names(4))
    assert result.linkage[:, 2].tolist() == [0, 0, 0]
    assert np.isnan(result.cophenetic)
    assert json.loads(json.dumps(result.to_dict(), allow_nan=False))["cophenetic"] is None
    assert set(result.cut(k=3)) == {0}


@pytest.mark.parametrize("n", [0, 1, 5001])
def test_too_few_or_too_many_leaves_are_refused(n: int) -> None:
    with pytest.raises(EvalError, match=f"from 2 to 5000 rows, not {n}"):
        hierarchy(np.ones((n, 3)), names(n))


def test_wrong_arguments_of_a_tree_are_refused() -> None:
    with pytest.raises(EvalError, match="choose average or ward"):
        hierarchy(np.ones((3, 3)), names(3), method="single")  # type: ignore[arg-type]
    with pytest.raises(EvalError, match="2 names were given for 3 rows"):
        hierarchy(np.ones((3, 3)), names(2))


def test_centroids_are_means_of_unit_vectors() -> None:
    labels, centres = centroids([[2, 0], [0, 5], [9, 9], [1, 0]], ["b", "b", None, "a"])
    assert labels == ("a", "b")
    np.testing.assert_allclose(centres, [[1, 0], [0.5, 0.5]])
    with pytest.raises(EvalError, match="None of 1 works"):
        centroids([[1, 0]], [None])


def test_agreement_matches_scikit_learn_and_counting() -> None:
    rng = np.random.default_rng(0)
    truth, found = rng.integers(0, 5, 200), rng.integers(0, 7, 200)
    found[:90] = truth[:90]
    labels: list[str | None] = [f"label {t}" for t in truth]
    result = agreement(labels, 10 * found + 3, permutations=60)
    assert result.ari.value == pytest.approx(adjusted_rand_score(truth, found))
    assert result.nmi.value == pytest.approx(normalized_mutual_info_score(truth, found))
    majority = sum(np.bincount(truth[found == c]).max() for c in set(found))
    assert result.purity.value == pytest.approx(majority / 200)
    assert (result.rows, result.labels, result.clusters) == (200, 5, len(set(found)))
    for measure in (result.ari, result.nmi, result.purity):
        assert measure.chance < measure.high < measure.value
        assert measure.p_value == pytest.approx(1 / 61)


def test_chance_is_that_of_shuffled_labels() -> None:
    rng = np.random.default_rng(2)
    truth, found = rng.integers(0, 3, 60), rng.integers(0, 4, 60)
    result = agreement([f"label {t}" for t in truth], found, permutations=400)
    shuffled = [adjusted_rand_score(rng.permutation(truth), found) for _ in range(400)]
    assert result.ari.chance == pytest.approx(np.mean(shuffled), abs=0.006)
    assert result.ari.high == pytest.approx(np.quantile(shuffled, 0.95), rel=0.25)
    share = np.mean(np.array(shuffled) >= result.ari.value)
    assert result.ari.p_value == pytest.approx(share, abs=0.07)


def test_one_label_agrees_only_by_chance() -> None:
    result = agreement(["a", "a", "a"], [0, 1, 1], permutations=9)
    assert [m.p_value for m in (result.ari, result.nmi, result.purity)] == [1, 1, 1]


def test_agreement_by_chance_is_not_significant() -> None:
    rng = np.random.default_rng(1)
    labels = [f"label {t}" for t in rng.integers(0, 20, 100)]
    found = rng.integers(0, 20, 100)
    result = agreement(labels, found, permutations=60)
    assert result.ari.chance == pytest.approx(0, abs=0.01)
    # Mutual information and purity are high by chance alone, which is why chance is shown.
    assert result.nmi.chance > 0.4
    assert result.purity.chance > 0.25
    assert min(m.p_value for m in (result.ari, result.nmi, result.purity)) > 0.01
    assert agreement(labels, found, permutations=60) == result
    assert agreement(labels, found, permutations=60, seed=1).ari.chance != result.ari.chance


def test_perfect_agreement_ignores_unlabelled_rows() -> None:
    result = agreement(["a", None, "b", "b", "a"], [5, 9, 2, 2, 5], permutations=9)
    assert [m.value for m in (result.ari, result.nmi, result.purity)] == [1, 1, 1]
    assert (result.rows, result.unlabelled, result.clusters) == (4, 1, 2)
    assert json.loads(json.dumps(result.to_dict()))["ari"]["value"] == 1


@pytest.mark.parametrize("labels", [[], [None, None]])
def test_agreement_of_nothing_is_refused(labels: list[str | None]) -> None:
    with pytest.raises(EvalError, match="at least one labelled row"):
        agreement(labels, [0] * len(labels))


def test_kmeans_finds_separate_clusters_and_their_number() -> None:
    truth = np.repeat(np.arange(4), 10)
    norms = np.random.default_rng(0).uniform(0.1, 10, size=(40, 1))
    result = kmeans(norms * blobs())
    assert result.k == 4
    assert adjusted_rand_score(truth, result.codes) == 1
    assert max(result.silhouettes, key=lambda k: result.silhouettes[k]) == 4
    assert sorted(result.silhouettes) == list(range(2, 21))
    assert result.silhouettes[4] > 0.9
    assert result.centres.shape == (4, D)
    assert json.loads(json.dumps(result.to_dict()))["k"] == 4


def test_kmeans_with_k_given() -> None:
    result = kmeans(blobs(), 2, seed=3)
    assert (result.k, result.silhouettes) == (2, {})
    assert len(set(result.codes)) == 2
    np.testing.assert_array_equal(result.codes, kmeans(blobs(), 2, seed=3).codes)
    assert set(kmeans([[1.0, 2.0]], 1).codes) == {0}


def test_kmeans_is_chosen_on_a_sample_and_fitted_on_all() -> None:
    result = kmeans(blobs(), sample=20)
    assert (result.sample, result.k, len(result.codes)) == (20, 4, 40)
    assert max(result.silhouettes) == 19


@pytest.mark.parametrize(
    ("vectors", "k", "message"),
    [
        (np.ones((5, 2)), None, "1 of 5 vectors are distinct"),
        (np.ones((5, 2)), 2, "1 distinct vectors cannot be put into 2"),
        (np.eye(2), None, "2 of 2 vectors are distinct"),
        (np.empty((0, 2)), None, "0 of 0 vectors are distinct"),
        (np.eye(2), 0, "into 0 clusters"),
    ],
)
def test_kmeans_of_too_little_is_refused(vectors: np.ndarray, k: int | None, message: str) -> None:
    with pytest.raises(EvalError, match=message):
        kmeans(vectors, k)
