"""What compression keeps: laws of all the figures, and scikit-learn, scipy and brute force."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.cluster.hierarchy import cophenet, linkage
from scipy.stats import kendalltau, pearsonr, spearmanr
from sklearn.manifold import trustworthiness
from sklearn.metrics import pairwise_distances

from paint_search.errors import EvalError
from paint_search.eval import (
    Fidelity,
    compare_silhouettes,
    fidelity,
    hierarchy,
    mantel,
    neighbours_kept,
    pair_correlation,
    retrieval,
    silhouettes,
    some_pairs,
    tree_correlation,
    trust,
)

N, D, ARTISTS = 120, 12, 10
LABELS = [f"artist {row % ARTISTS}" for row in range(N)]
MOVEMENTS = [f"movement {row % ARTISTS % 3}" for row in range(N)]


def works(seed: int = 0, count: int = N) -> np.ndarray:
    """Vectors of any norm, gathered around their artists."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(ARTISTS, D))
    vectors = centres[np.arange(count) % ARTISTS] + rng.normal(size=(count, D))
    return np.asarray(vectors * rng.uniform(0.5, 2, size=(count, 1)))


def unit(vectors: np.ndarray) -> np.ndarray:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


def measured(full: np.ndarray, compact: np.ndarray) -> Fidelity:
    return fidelity(full, compact, LABELS, MOVEMENTS)


def figures(result: Fidelity) -> dict[str, float]:
    """All figures of which 1 is the best."""
    assert result.artists is not None
    assert result.movements is not None
    assert result.artists.mantel is not None
    return {
        **{f"recall@{k}": value for k, value in result.neighbours.recall.items()},
        "spearman": result.pairs.spearman,
        "kendall": result.pairs.kendall,
        "trustworthiness": result.trust.trustworthiness,
        "continuity": result.trust.continuity,
        "silhouettes": result.artists.silhouettes.correlation,
        "silhouettes of movements": result.movements.silhouettes.correlation,
        "mantel": result.artists.mantel.r,
        "trees": result.artists.trees,
    }


# The laws that all figures share.


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10_000), scale=st.floats(1e-3, 1e3))
def test_a_rotation_to_another_scale_keeps_everything(seed: int, scale: float) -> None:
    vectors = works(seed)
    rotation, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(D, D)))
    result = measured(vectors, scale * vectors @ rotation)
    # Scores that float32 cannot tell apart may change places.
    assert figures(result) == pytest.approx(dict.fromkeys(figures(result), 1), abs=2e-3)
    assert result.artists is not None
    assert result.artists.p_at_1[0] == pytest.approx(result.artists.p_at_1[1], abs=0.02)
    assert not result.artists.silhouettes.clear_flips


def test_the_same_vectors_keep_exactly_everything_even_where_works_are_equal() -> None:
    vectors = works()
    vectors[60:] = vectors[:60]
    result = measured(vectors, vectors)
    assert figures(result) == pytest.approx(dict.fromkeys(figures(result), 1), abs=1e-12)
    assert list(result.neighbours.recall.values()) == [1, 1, 1]
    assert (result.trust.trustworthiness, result.trust.continuity) == (1, 1)
    assert (result.neighbours.per_work == 1).all()


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_the_order_of_works_does_not_matter(seed: int) -> None:
    full = works(seed)
    compact = full[:, : D // 2]
    order = np.random.default_rng(seed).permutation(N)
    moved = fidelity(
        full[order],
        compact[order],
        [LABELS[row] for row in order],
        [MOVEMENTS[row] for row in order],
    )
    assert figures(moved) == pytest.approx(figures(measured(full, compact)), abs=2e-3)


@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_a_random_embedding_is_at_chance(seed: int) -> None:
    rng = np.random.default_rng(seed)
    result = measured(works(seed), rng.normal(size=(N, 64)))
    for k in (10, 50):
        assert result.neighbours.recall[k] == pytest.approx(k / (N - 1), abs=0.05)
    assert abs(result.pairs.spearman) < 0.1
    assert abs(result.pairs.kendall) < 0.1
    assert result.trust.trustworthiness == pytest.approx(0.5, abs=0.06)
    assert result.trust.continuity == pytest.approx(0.5, abs=0.06)
    assert result.artists is not None
    # Nine other works of an artist among 119.
    assert result.artists.p_at_1[1] == pytest.approx(11 / 119, abs=0.1)


def test_keeping_more_dimensions_keeps_more() -> None:
    full = works(1)
    kept = [figures(measured(full, full[:, :d])) for d in (2, 6, 11)]
    for name in kept[0]:
        assert kept[0][name] < kept[2][name], name
    assert kept[0]["recall@10"] < kept[1]["recall@10"] < kept[2]["recall@10"] < 1


# Neighbours.


def nearest(vectors: np.ndarray, k: int) -> list[set[int]]:
    cosines = unit(vectors) @ unit(vectors).T
    np.fill_diagonal(cosines, -2)
    return [set(np.argsort(-row, kind="stable")[:k].tolist()) for row in cosines]


@pytest.mark.parametrize("count", [N, 1300])  # one block, and two
def test_recall_is_that_of_brute_force(count: int) -> None:
    full = works(2, count)
    kept = neighbours_kept(full, full[:, :4], ks=(50, 1, 10))
    assert kept.ks == (1, 10, 50)
    for column, k in enumerate(kept.ks):
        pairs_of_sets = zip(nearest(full, k), nearest(full[:, :4], k), strict=True)
        expected = [len(a & b) / k for a, b in pairs_of_sets]
        # Of many works, some scores are a tie in single precision.
        assert np.isclose(kept.per_work[:, column], expected).mean() > 0.999
        assert kept.recall[k] == pytest.approx(np.mean(expected), abs=1e-4)


def test_with_fewer_works_than_neighbours_all_are_neighbours() -> None:
    full = works(3, count=8)
    kept = neighbours_kept(full, np.random.default_rng(0).normal(size=(8, 2)), ks=(1, 7, 50))
    assert kept.recall[1] < 1
    assert (kept.recall[7], kept.recall[50]) == (1, 1)
    assert kept.per_work.shape == (8, 3)


def test_a_difference_is_paired() -> None:
    full = works(4)
    more, less = (neighbours_kept(full, full[:, :d]) for d in (9, 6))
    mean, low, high = more.difference(less, 10)
    assert mean == pytest.approx(more.recall[10] - less.recall[10])
    assert low < mean < high
    rng = np.random.default_rng(0)
    each = more.per_work[:, 1] - less.per_work[:, 1]
    draws = rng.choice(each, size=(4000, N)).mean(axis=1)
    assert (low, high) == pytest.approx(np.quantile(draws, (0.025, 0.975)), abs=0.004)
    same = more.difference(more, 10)
    assert same == (0, 0, 0)
    with pytest.raises(EvalError, match="recalls@7 of the same works"):
        more.difference(less, 7)


@pytest.mark.parametrize(("k", "count"), [(1, N), (10, N), (59, N), (10, 1300)])
def test_trust_is_that_of_scikit_learn(k: int, count: int) -> None:
    full = works(5, count)
    compact = full[:, :3]
    result = trust(full, compact, k)
    # Between unit vectors the Euclidean distance orders as the cosine does, but for scores that
    # are a tie here: each moves a rank by one.
    there = trustworthiness(unit(full), unit(compact), n_neighbors=k)
    back = trustworthiness(unit(compact), unit(full), n_neighbors=k)
    assert (result.trustworthiness, result.continuity) == pytest.approx((there, back), abs=2e-5)
    assert (result.neighbours, result.works) == (k, count)


def test_trust_of_many_works_is_that_of_a_sample() -> None:
    full = works(6, count=600)
    whole = trust(full, full[:, :4])
    sampled = trust(full, full[:, :4], most=300)
    assert sampled.works == 300
    assert sampled.trustworthiness == pytest.approx(whole.trustworthiness, abs=0.02)
    assert trust(full, full[:, :4], most=300) == sampled
    assert trust(full, full[:, :4], most=300, seed=1) != sampled


# Pairs.


def test_correlations_are_those_of_all_pairs_where_they_are_few() -> None:
    full = unit(works(7))
    compact = unit(full[:, :4])
    result = pair_correlation(full, compact)
    above = np.triu_indices(N, 1)
    a, b = ((rows @ rows.T)[above] for rows in (full, compact))
    assert result.pairs == N * (N - 1) // 2
    assert result.spearman == pytest.approx(spearmanr(a, b).statistic)
    assert result.kendall == pytest.approx(kendalltau(a, b).statistic)
    sampled = pair_correlation(full, compact, most=3000, seed=1)
    assert sampled.pairs == 3000
    assert sampled.spearman == pytest.approx(result.spearman, abs=0.03)
    assert sampled.kendall == pytest.approx(result.kendall, abs=0.03)


def test_random_pairs_are_of_different_works_and_reach_all() -> None:
    left, right = some_pairs(5, 9, seed=0)
    assert len(left) == 9
    assert (left != right).all()
    assert min(left.min(), right.min()) == 0
    assert max(left.max(), right.max()) == 4


def test_equal_cosines_have_no_correlation() -> None:
    result = pair_correlation(np.eye(4), unit(works(0, count=4)))
    assert np.isnan(result.spearman)
    assert np.isnan(result.kendall)


# Matrices and trees.


def similarities(seed: int, size: int = 12) -> np.ndarray:
    rows = unit(np.random.default_rng(seed).normal(size=(size, 4)))
    return np.asarray(rows @ rows.T)


def test_mantel_is_the_correlation_and_its_permutations() -> None:
    a = similarities(0)
    b = a + 0.8 * similarities(1)
    above = np.triu_indices(len(a), 1)
    result = mantel(a, b, permutations=499, seed=3)
    assert result.r == pytest.approx(pearsonr(a[above], b[above]).statistic)
    rng = np.random.default_rng(8)
    orders = [rng.permutation(len(a)) for _ in range(2000)]
    reached = [
        pearsonr(a[np.ix_(order, order)][above], b[above]).statistic >= result.r for order in orders
    ]
    assert result.p_value == pytest.approx(np.mean(reached), abs=0.02)
    assert mantel(a, b, permutations=499, seed=3) == result


def test_mantel_finds_the_same_and_nothing_in_the_unrelated() -> None:
    a = similarities(2)
    same = mantel(a, 3 * a - 1, permutations=199)
    assert (same.r, same.p_value) == (pytest.approx(1), pytest.approx(1 / 200))
    p_values = [mantel(a, similarities(seed), permutations=99).p_value for seed in range(100, 160)]
    # By chance they are spread evenly over 0..1.
    assert np.mean(p_values) == pytest.approx(0.5, abs=0.12)
    assert min(p_values) < 0.15
    assert max(p_values) > 0.85


def test_mantel_ignores_the_diagonal_and_says_where_nothing_varies() -> None:
    a, b = similarities(3), similarities(4)
    other = a.copy()
    np.fill_diagonal(other, np.nan)
    assert mantel(other, b).r == pytest.approx(mantel(a, b).r)
    flat = mantel(np.full((4, 4), 0.3), similarities(5, 4))
    assert np.isnan(flat.r)
    assert np.isnan(flat.p_value)


def test_trees_are_compared_by_the_heights_at_which_leaves_meet() -> None:
    names = [f"artist {i}" for i in range(9)]
    full = np.random.default_rng(0).normal(size=(9, D))
    one, other = hierarchy(full, names), hierarchy(full[:, :4], names)
    heights = [
        cophenet(
            linkage(pairwise_distances(rows, metric="cosine")[np.triu_indices(9, 1)], "average")
        )
        for rows in (full, full[:, :4])
    ]
    expected = pearsonr(*heights).statistic
    assert tree_correlation(one, other) == pytest.approx(expected)
    assert tree_correlation(one, one) == pytest.approx(1)
    assert np.isnan(tree_correlation(hierarchy(np.eye(9), names), one))
    with pytest.raises(EvalError, match="same leaves"):
        tree_correlation(one, hierarchy(full, names[::-1]))


# Labels.


def test_the_figures_by_artist_are_those_of_the_studies() -> None:
    full = works(8)
    compact = full[:, :5]
    result = measured(full, compact)
    artists = result.artists
    assert artists is not None
    before, after = (retrieval(side, LABELS, ks=(1, 10)).summary() for side in (full, compact))
    assert artists.p_at_1 == pytest.approx((before["P@1"], after["P@1"]))
    assert artists.map_at_10 == pytest.approx((before["mAP@10"], after["mAP@10"]))
    pair = silhouettes(full, LABELS), silhouettes(compact, LABELS)
    assert artists.overall == pytest.approx((pair[0].overall, pair[1].overall))
    assert artists.silhouettes.correlation == pytest.approx(compare_silhouettes(*pair).correlation)
    means = [
        [
            [
                float(
                    (unit(side)[np.array(LABELS) == a] @ unit(side)[np.array(LABELS) == b].T).mean()
                )
                for b in sorted(set(LABELS))
            ]
            for a in sorted(set(LABELS))
        ]
        for side in (full, compact)
    ]
    above = np.triu_indices(ARTISTS, 1)
    expected = pearsonr(np.array(means[0])[above], np.array(means[1])[above]).statistic
    assert artists.mantel is not None
    assert artists.mantel.r == pytest.approx(expected, abs=1e-5)


def test_sign_flips_count_only_from_clear_to_clear() -> None:
    full = np.random.default_rng(9).normal(size=(N, D))  # mixed artists are all near 0
    comparison = compare_silhouettes(silhouettes(full, LABELS), silhouettes(full[:, :2], LABELS))
    clear = comparison.clear_flips
    assert 0 < len(clear) < len(comparison.sign_flips)
    for change in clear:
        assert change.full * change.compact < 0
        assert min(abs(change.full), abs(change.compact)) > 0.01
    above = np.triu_indices(ARTISTS, 1)
    sizes = np.abs(comparison.compact - comparison.full)[above]
    changes = comparison.largest_changes(5)
    assert [abs(one.compact - one.full) for one in changes] == pytest.approx(
        sorted(sizes, reverse=True)[:5]
    )
    assert comparison.to_dict()["clear_sign_flips"] == len(clear)


def test_without_labels_the_other_figures_remain() -> None:
    full = works(10)
    result = fidelity(full, full[:, :4], [None] * N, MOVEMENTS)
    assert result.artists is None
    assert "two are needed" in result.left_out["artists"]
    assert result.movements is not None
    assert "movements" not in result.left_out
    assert result.neighbours.recall == neighbours_kept(full, full[:, :4]).recall
    two = fidelity(full, full[:, :4], ["a", "b"] * (N // 2), [None] * N).artists
    assert two is not None
    assert two.mantel is None
    assert np.isnan(two.trees)


def test_result_is_json() -> None:
    full = works(11)
    told = json.loads(json.dumps(measured(full, full[:, :4]).to_dict(), allow_nan=False))
    assert set(told["recall"]) == {"1", "10", "50"}
    assert told["works"] == told["trust_works"] == N
    assert told["artists"]["labels"] == ARTISTS
    assert told["artists"]["mantel"]["permutations"] == 999


def test_few_works_have_no_recall_of_many_neighbours() -> None:
    full = works(12, count=30)
    result = fidelity(full, full[:, :4], LABELS[:30], MOVEMENTS[:30])
    assert set(result.neighbours.recall) == {1, 10}
    with pytest.raises(EvalError, match="at least 22 works, and here are 21"):
        fidelity(full[:21], full[:21], LABELS[:21], MOVEMENTS[:21])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda v: neighbours_kept(v, v[1:]), "119 compact vectors were given for 120 full ones"),
        (lambda v: trust(v, v[1:]), "119 compact vectors were given for 120 full ones"),
        (lambda v: neighbours_kept(v[:1], v[:1]), "at least two works, not 1"),
        (lambda v: neighbours_kept(v, v, ks=(0, 10)), "from 1 up"),
        (lambda v: neighbours_kept(v, v, ks=()), "from 1 up"),
        (lambda v: neighbours_kept(v, 0 * v), "120 of 120 vectors are all zeros"),
        (lambda v: trust(v, v, 60), "at 60 neighbours needs more than 120 works, not 120"),
        (lambda v: trust(v, v, 0), "needs more than"),
        (lambda v: pair_correlation(v[:2], v[:2]), "at least 3 works"),
        (lambda v: mantel(np.eye(3), np.eye(4)), "same three or more labels"),
        (lambda v: mantel(np.eye(2), np.eye(2)), "same three or more labels"),
    ],
)
def test_data_that_cannot_be_judged_is_named(
    call: Callable[[np.ndarray], object], message: str
) -> None:
    with pytest.raises(EvalError, match=message):
        call(works())
