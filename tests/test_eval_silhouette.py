"""Silhouettes against scikit-learn, their intervals, and what compression does to them."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import silhouette_samples, silhouette_score

from paint_search.errors import EvalError
from paint_search.eval import Metric, compare_silhouettes, silhouettes

D = 6
METRICS: tuple[Metric, ...] = ("cosine", "euclidean")


def works(
    seed: int = 0, counts: tuple[int, ...] = (5, 3, 8, 4), spread: float = 1.0
) -> tuple[np.ndarray, list[str | None]]:
    rng = np.random.default_rng(seed)
    codes = rng.permutation(np.repeat(np.arange(len(counts)), counts))
    vectors = spread * rng.normal(size=(len(codes), D)) + np.eye(len(counts), D)[codes]
    return vectors * rng.uniform(0.5, 2, size=(len(codes), 1)), [f"artist {c}" for c in codes]


def unit(vectors: np.ndarray) -> np.ndarray:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("counts", [(5, 3, 8, 4), (300, 500, 20, 300)])  # one block, and two
def test_all_labels_match_scikit_learn(metric: Metric, counts: tuple[int, ...]) -> None:
    vectors, labels = works(counts=counts)
    result = silhouettes(vectors, labels, metric=metric)
    samples = silhouette_samples(unit(vectors), labels, metric=metric)
    np.testing.assert_allclose(result.values, samples[result.rows], atol=1e-9)
    assert result.overall == pytest.approx(samples.mean())
    for label in result.per_label:
        members = np.array(labels) == label.label
        assert label.value == pytest.approx(samples[members].mean())
        assert label.works == members.sum()


@pytest.mark.parametrize("metric", METRICS)
def test_pairs_match_scikit_learn_on_the_two_alone(metric: Metric) -> None:
    vectors, labels = works(1)
    result = silhouettes(vectors, labels, metric=metric)
    for i, a in enumerate(result.names):
        assert np.isnan(result.pairs[i, i])
        for j in range(i):
            two = np.isin(labels, [a, result.names[j]])
            expected = silhouette_score(unit(vectors)[two], np.array(labels)[two], metric=metric)
            assert result.pairs[i, j] == pytest.approx(expected, abs=1e-6)
            assert result.pairs[j, i] == result.pairs[i, j]


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), scale=st.floats(1e-3, 1e3), metric=st.sampled_from(METRICS))
def test_order_rotation_and_scale_do_not_matter(seed: int, scale: float, metric: Metric) -> None:
    vectors, labels = works(seed)
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(vectors))
    rotation, _ = np.linalg.qr(rng.normal(size=(D, D)))
    plain = silhouettes(vectors, labels, metric=metric, samples=20)
    moved = silhouettes(
        (scale * vectors @ rotation)[order],
        [labels[i] for i in order],
        metric=metric,
        samples=20,
    )
    np.testing.assert_allclose(moved.pairs, plain.pairs, atol=1e-6)
    assert moved.overall == pytest.approx(plain.overall, abs=1e-9)


@pytest.mark.parametrize("metric", METRICS)
def test_separate_clusters_are_near_one_and_mixed_near_zero(metric: Metric) -> None:
    vectors, labels = works(2, spread=0.005)
    apart = silhouettes(vectors, labels, metric=metric)
    assert apart.overall > 0.98
    assert np.nanmin(apart.pairs) > 0.98
    assert apart.negative_pairs == 0
    mixed = silhouettes(np.random.default_rng(0).normal(size=(900, D)), list("abc") * 300)
    assert abs(mixed.overall) < 0.02
    assert np.nanmax(np.abs(mixed.pairs)) < 0.02


def test_labels_of_the_same_works_are_negative() -> None:
    vectors = np.random.default_rng(0).normal(size=(6, D))
    result = silhouettes(np.vstack([vectors, vectors]), ["a"] * 6 + ["b"] * 6)
    # Another label holds each work's twin at distance 0; its own does not.
    assert (result.values < 0).all()
    assert result.negative_pairs == 1


@pytest.mark.parametrize("metric", METRICS)
def test_equal_vectors_have_silhouette_zero(metric: Metric) -> None:
    result = silhouettes(np.tile([0.1, 0.7, 0.3], (6, 1)), list("aaabbb"), metric=metric)
    assert result.values.tolist() == [0] * 6
    assert result.pair("a", "b").value == 0
    assert result.negative_pairs == 0


def test_best_worst_median_and_negative() -> None:
    vectors, labels = works(3, counts=(6, 6, 6, 6, 6), spread=3)
    result = silhouettes(vectors, labels)
    ranked = sorted(result.pair_values)
    assert [p.value for p in result.best(3)] == ranked[:-4:-1]
    assert [p.value for p in result.worst(99)] == ranked
    assert result.median().value == ranked[4]
    assert result.negative_pairs == sum(value < 0 for value in ranked) > 0
    worst = result.worst(1)[0]
    assert result.pair(worst.b, worst.a).value == worst.value
    assert worst.low <= worst.value <= worst.high


def test_rare_and_unlabelled_works_are_left_out_and_counted() -> None:
    vectors, labels = works(4)
    plain = silhouettes(vectors, labels)
    extra = np.random.default_rng(0).normal(size=(4, D))
    more = silhouettes(np.vstack([extra, vectors]), [None, "rare", None, "single", *labels])
    assert (more.unlabelled, more.too_few) == (2, 2)
    assert (more.rows >= 4).all()
    np.testing.assert_allclose(more.pairs, plain.pairs)
    fewer = silhouettes(vectors, labels, min_works=5)
    assert fewer.names == ("artist 0", "artist 2")
    assert fewer.too_few == 7
    # A pair is measured by itself, so dropping others leaves it as it was.
    assert fewer.pairs[0, 1] == pytest.approx(plain.pairs[0, 2])
    with pytest.raises(EvalError, match="'artist 1' has no silhouette"):
        fewer.pair("artist 0", "artist 1")


@pytest.mark.parametrize("metric", METRICS)
def test_intervals_resample_works_within_labels(metric: Metric) -> None:
    vectors, labels = works(5, counts=(15, 10, 20))
    result = silhouettes(vectors, labels, metric=metric, samples=4000)
    two = np.isin(labels, ["artist 0", "artist 2"])
    names = np.array(labels)[two]
    single = silhouette_samples(unit(vectors)[two], names, metric=metric)
    rng = np.random.default_rng(7)
    draws = [
        np.concatenate(
            [rng.choice(single[names == n], (names == n).sum()) for n in sorted(set(names))]
        ).mean()
        for _ in range(4000)
    ]
    expected = np.quantile(draws, [0.025, 0.975])
    width = expected[1] - expected[0]
    pair = result.pair("artist 0", "artist 2")
    assert [pair.low, pair.high] == pytest.approx(expected, abs=0.06 * width)
    label = result.per_label[0]
    assert label.low < label.value < label.high
    assert result.overall_interval[0] < result.overall < result.overall_interval[1]
    assert result.overall_interval[1] - result.overall_interval[0] == pytest.approx(
        3.92
        * np.sqrt(
            sum(
                len(v) * v.var()
                for v in (result.values[np.array(labels)[result.rows] == n] for n in result.names)
            )
        )
        / len(labels),
        rel=0.1,
    )


def test_intervals_do_not_depend_on_blocks() -> None:
    vectors, labels = works(6)
    whole = silhouettes(vectors, labels)
    blocks = silhouettes(vectors, labels, cells=3 * 200 * 4)
    np.testing.assert_allclose(blocks.low, whole.low, atol=1e-6)
    np.testing.assert_allclose(blocks.high, whole.high, atol=1e-6)
    np.testing.assert_array_equal(whole.low, whole.low.T)
    assert (silhouettes(vectors, labels, seed=1).low != whole.low).any()


def test_comparison_with_itself_and_with_a_projection() -> None:
    vectors, labels = works(7, counts=(6, 6, 6, 6, 6))
    full = silhouettes(vectors, labels)
    same = compare_silhouettes(full, full)
    assert (same.mean_difference, same.overall_difference, same.sign_flips) == (0, 0, ())
    assert same.correlation == pytest.approx(1)
    compact = silhouettes(vectors[:, :2], labels)
    result = compare_silhouettes(full, compact)
    a, b = full.pair_values, compact.pair_values
    assert result.pairs == 10
    assert result.mean_difference == pytest.approx(b.mean() - a.mean())
    assert result.correlation == pytest.approx(np.corrcoef(a, b)[0, 1])
    assert len(result.sign_flips) == np.count_nonzero(a * b < 0) > 0
    first = result.sign_flips[0]
    assert (first.full, first.compact) == (
        full.pair(first.a, first.b).value,
        compact.pair(first.a, first.b).value,
    )
    sizes = [abs(change.full - change.compact) for change in result.sign_flips]
    assert sizes == sorted(sizes, reverse=True)
    assert json.loads(json.dumps(result.to_dict(), allow_nan=False))["pairs"] == 10


def test_two_labels_have_no_correlation() -> None:
    full = silhouettes(*works(8, counts=(5, 5)))
    assert np.isnan(compare_silhouettes(full, full).correlation)
    assert compare_silhouettes(full, full).to_dict()["correlation"] is None


def test_only_the_same_works_and_metric_are_compared() -> None:
    vectors, labels = works(9)
    full = silhouettes(vectors, labels)
    for other in (
        silhouettes(vectors, labels, metric="euclidean"),
        silhouettes(vectors, labels, min_works=4),
        silhouettes(vectors[1:], labels[1:]),
        silhouettes(vectors[::-1], labels[::-1]),
    ):
        with pytest.raises(EvalError, match="same works, labels and metric"):
            compare_silhouettes(full, other)


def test_result_is_json() -> None:
    table = json.loads(json.dumps(silhouettes(*works()).to_dict(), allow_nan=False))
    assert table["pairs"][0][0] is None
    assert [label["works"] for label in table["per_label"]] == [5, 3, 8, 4]


@pytest.mark.parametrize(
    ("vectors", "labels", "options", "message"),
    [
        (np.empty((0, 2)), [], {}, "0 of 0 have at least 2 works"),
        (np.ones((1, 2)), ["a"], {}, "0 of 1 have at least 2 works"),
        (np.ones((3, 2)), ["a", "a", "b"], {}, "1 of 2 have at least 2 works"),
        (np.ones((3, 2)), ["a"] * 3, {}, "1 of 1"),
        (np.zeros((4, 2)), list("aabb"), {}, "4 of 4 vectors"),
        (np.ones((4, 2)), list("aabb"), {"min_works": 1}, "at least 2 works"),
        (np.ones((4, 2)), list("aabb"), {"metric": "manhattan"}, "cosine or euclidean"),
    ],
)
def test_data_without_silhouettes_is_named(
    vectors: np.ndarray, labels: list[str | None], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(EvalError, match=message):
        silhouettes(vectors, labels, **options)
