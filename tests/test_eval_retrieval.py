"""Neighbours, retrieval figures, splits and copies, against brute force and scikit-learn."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from paint_search.errors import EvalError
from paint_search.eval import kept_works, neighbours, retrieval, same_label_auc

N, D = 60, 8


def works(seed: int = 0, n: int = N, labels: int = 7) -> tuple[np.ndarray, list[str | None]]:
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, labels, n)
    vectors = rng.normal(size=(n, D)) + 1.2 * np.eye(labels, D)[codes]
    return vectors, [f"artist {code}" for code in codes]


def brute(
    vectors: np.ndarray,
    labels: list[str | None],
    k: int,
    queries: Iterable[int] | None = None,
    gallery: Iterable[int] | None = None,
) -> np.ndarray:
    """P@k, mAP@k, mean precision over ranks 1..k, R@k and R-precision, one query at a time."""
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    queries = range(len(unit)) if queries is None else queries
    gallery = range(len(unit)) if gallery is None else gallery
    rows = []
    for q in queries:
        ranking = sorted((g for g in gallery if g != q), key=lambda g: -(unit[q] @ unit[g]))
        hits = [labels[g] == labels[q] for g in ranking]
        relevant = sum(hits)
        if not relevant:
            continue
        padded = hits + [False] * k
        precision = [sum(padded[: i + 1]) / (i + 1) for i in range(k)]
        ap = sum(p for p, hit in zip(precision, padded, strict=False) if hit) / min(k, relevant)
        at_r = sum(hits[:relevant]) / relevant
        rows.append((precision[-1], ap, np.mean(precision), float(any(padded[:k])), at_r))
    return np.array(rows)


@pytest.mark.parametrize("k", [1, 3, 10, 200])
@pytest.mark.parametrize("split", [False, True])
def test_figures_match_brute_force(k: int, split: bool) -> None:
    vectors, labels = works()
    parts = {"queries": np.arange(0, 25), "gallery": np.arange(15, N)} if split else {}
    result = retrieval(vectors, labels, ks=[k], **parts)
    figures = (
        result.precision[:, 0],
        result.average_precision[:, 0],
        result.rank_precision[:, 0],
        result.hit[:, 0],
        result.r_precision,
    )
    np.testing.assert_allclose(np.stack(figures, axis=1), brute(vectors, labels, k, **parts))


def test_blocks_change_nothing() -> None:
    vectors, labels = works(n=1300)  # more than are compared at once
    whole = retrieval(vectors, labels)
    parts = [retrieval(vectors, labels, queries=rows) for rows in np.split(np.arange(1300), 2)]
    for name, values in whole.per_query().items():
        split = np.concatenate([part.per_query()[name] for part in parts])
        np.testing.assert_array_equal(values, split)
    np.testing.assert_array_equal(whole.nearest, np.r_[parts[0].nearest, parts[1].nearest])


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), scale=st.floats(1e-3, 1e3))
def test_order_rotation_and_scale_do_not_matter(seed: int, scale: float) -> None:
    vectors, labels = works(seed)
    rng = np.random.default_rng(seed)
    order = rng.permutation(N)
    rotation, _ = np.linalg.qr(rng.normal(size=(D, D)))
    norms = scale * rng.uniform(0.5, 2, size=(N, 1))
    moved = (vectors * norms @ rotation)[order]
    plain = retrieval(vectors, labels)
    other = retrieval(moved, [labels[i] for i in order])
    # Figures, not rankings: two scores a rounding error apart may change places.
    assert other.summary() == pytest.approx(plain.summary(), abs=0.02)
    assert len(other.queries) == len(plain.queries)


def test_neighbours_are_exact_and_exclude_the_query() -> None:
    vectors, _ = works()
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    cosines = unit @ unit.T
    np.fill_diagonal(cosines, -np.inf)
    expected = np.argsort(-cosines, axis=1)[:, :5]
    found = neighbours(vectors, 5)
    np.testing.assert_array_equal(found.indices, expected)
    np.testing.assert_allclose(
        found.scores, np.take_along_axis(cosines, expected, axis=1), atol=1e-6
    )


def test_ties_come_in_the_order_of_rows() -> None:
    found = neighbours(np.ones((6, 3)), 4)
    assert found.indices.tolist() == [
        [1, 2, 3, 4],
        [0, 2, 3, 4],
        [0, 1, 3, 4],
        [0, 1, 2, 4],
        [0, 1, 2, 3],
        [0, 1, 2, 3],
    ]


def test_more_neighbours_than_works_are_marked_missing() -> None:
    found = neighbours([[1, 0], [1, 1], [-1, 0.5]], 4, queries=[2, 0], gallery=[0, 1])
    assert found.queries.tolist() == [0, 2]
    assert found.indices.tolist() == [[1, -1, -1, -1], [1, 0, -1, -1]]
    assert np.isnan(found.scores).tolist() == [
        [False, True, True, True],
        [False, False, True, True],
    ]


@pytest.mark.parametrize("n", [0, 1])
def test_no_work_or_one_has_no_neighbour(n: int) -> None:
    found = neighbours(np.ones((n, 4)), 3)
    assert found.indices.tolist() == [[-1, -1, -1]] * n


def test_unlabelled_and_lonely_works_are_left_out_and_counted() -> None:
    vectors = np.array([[1, 0], [1, 0.1], [1, 0.01], [0, 1], [1, 0.02]])
    labels = ["Monet", "Monet", None, "Klee", "Klimt"]
    result = retrieval(vectors, labels, ks=[1, 2])
    assert (result.unlabelled, result.lonely) == (1, 2)
    assert result.queries.tolist() == [0, 1]
    # The unlabelled work is closest to both and is not in the gallery; Klimt still distracts.
    assert result.nearest.tolist() == [4, 4]
    assert result.summary() == pytest.approx(
        {"P@1": 0, "P@2": 0.5, "mAP@1": 0, "mAP@2": 0.5, "R@1": 0, "R@2": 1, "R-precision": 0}
    )


def test_perfect_and_single_label() -> None:
    vectors, labels = np.repeat(np.eye(3), 4, axis=0), list("aaaabbbbcccc")
    summary = retrieval(vectors, labels, ks=[1, 3]).summary()
    assert set(summary.values()) == {1.0}
    assert retrieval(vectors, ["a"] * 12).summary()["mAP@10"] == pytest.approx(1)


def test_table_hardest_and_confusions() -> None:
    angles = np.deg2rad([0, 1, 2, 90, 91, 180, 181.2, 182])
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    labels = ["Braque", "Picasso", "Braque", "Klee", "Klee", "Dix", "Dix", "Grosz"]
    result = retrieval(vectors, labels, ks=[1, 2])
    table = {score.label: score for score in result.per_label()}
    assert set(table) == {"Braque", "Klee", "Dix"}
    assert (table["Braque"].p_at_1, table["Braque"].queries) == (0, 2)
    assert table["Dix"].p_at_1 == 0.5
    assert table["Klee"].ap == 1
    assert [score.label for score in result.hardest(2)] == ["Braque", "Dix"]
    assert result.hardest(min_queries=3) == []
    confusions = [(c.label, c.taken_for, c.count, c.share) for c in result.confusions()]
    assert confusions == [("Braque", "Picasso", 2, 1.0), ("Dix", "Grosz", 1, 0.5)]
    assert json.loads(json.dumps(result.to_dict()))["without_relevant_work"] == 2


def test_means_of_labels_average_to_the_whole() -> None:
    vectors, labels = works(3)
    result = retrieval(vectors, labels)
    rows = result.per_label()
    weights = [row.queries for row in rows]
    whole = result.summary()
    assert np.average([r.p_at_1 for r in rows], weights=weights) == pytest.approx(whole["P@1"])
    assert np.average([r.ap for r in rows], weights=weights) == pytest.approx(whole["mAP@10"])
    assert np.average([r.r_precision for r in rows], weights=weights) == pytest.approx(
        whole["R-precision"]
    )


def test_interval_holds_the_mean_and_is_seeded() -> None:
    vectors, labels = works(1, n=200)
    result = retrieval(vectors, labels)
    low, high = result.interval("P@1")
    mean = result.summary()["P@1"]
    assert low < mean < high
    # For a share, the width is that of the normal approximation.
    assert high - low == pytest.approx(3.92 * np.sqrt(mean * (1 - mean) / 200), rel=0.15)
    assert result.interval("P@1") == (low, high)
    with pytest.raises(EvalError, match="mAP@10"):
        result.interval("P@7")


def test_interval_of_one_query_is_unknown() -> None:
    result = retrieval(np.eye(3), ["a", "a", "b"], queries=[0], gallery=[1, 2])
    assert np.isnan(result.interval("P@1")).all()


def test_style_protocol_matches_brute_force() -> None:
    vectors, labels = works(5)
    query = np.arange(N) % 5 == 0
    result = retrieval(vectors, labels, queries=query, gallery=~query, ks=(1, 10, 100))
    for column, k in enumerate((1, 10, 100)):
        expected = brute(
            vectors, labels, k, queries=np.flatnonzero(query), gallery=np.flatnonzero(~query)
        ).mean(axis=0)
        tables = (result.average_precision, result.rank_precision, result.hit)
        figures = tuple(float(table[:, column].mean()) for table in tables)
        assert figures == pytest.approx(tuple(expected[1:4]))
    assert len(result.queries) == 12


def test_auc_of_pairs_estimates_the_auc_of_all_pairs() -> None:
    vectors, labels = works(2, n=120)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    a, b = np.triu_indices(120, 1)
    same = np.array(labels)[a] == np.array(labels)[b]
    exact = roc_auc_score(same, np.sum(unit[a] * unit[b], axis=1))
    estimate = same_label_auc(vectors, [*labels], pairs=50_000)
    assert estimate == pytest.approx(exact, abs=0.01)
    assert same_label_auc(vectors, labels, pairs=500) == same_label_auc(vectors, labels, pairs=500)


def test_auc_extremes() -> None:
    assert same_label_auc(np.repeat(np.eye(2), 5, axis=0), list("aaaaabbbbb"), pairs=99) == 1
    assert same_label_auc(np.ones((6, 2)), [*list("aabbc"), None], pairs=99) == 0.5
    for labels in (["a", "b", None], ["a", "a", "a"]):
        with pytest.raises(EvalError, match="two"):
            same_label_auc(np.ones((3, 2)), labels)


def test_copies_join_the_closest_kept_work() -> None:
    angles = np.deg2rad([0, 5, 9, 90, 90, 4])
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    # 9 degrees is a copy only of the work at 5, itself a copy of the first, so it stays.
    assert kept_works(vectors, np.cos(np.deg2rad(6))).tolist() == [0, 0, 2, 3, 3, 0]


def test_a_copy_of_two_kept_works_joins_the_closer() -> None:
    angles = np.deg2rad([0, 9, 5])
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    assert kept_works(vectors, np.cos(np.deg2rad(6))).tolist() == [0, 1, 1]


@pytest.mark.parametrize("n", [150, 1300])  # one block, and two
def test_kept_works_are_never_copies_of_each_other(n: int) -> None:
    vectors, _ = works(4, n=n)
    kept_as = kept_works(vectors, 0.5)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    gone = kept_as != np.arange(n)
    kept = unit[~gone] @ unit[~gone].T
    assert np.max(kept - 2 * np.eye(len(kept))) < 0.5
    assert gone.any()
    assert (np.sum(unit[gone] * unit[kept_as[gone]], axis=1) >= 0.5 - 1e-6).all()


def test_exact_copies_are_found_at_threshold_one() -> None:
    vectors, _ = works(6)
    kept_as = kept_works(np.vstack([vectors, 3 * vectors]), 1.0)
    assert (kept_as == np.tile(np.arange(N), 2)).all()


@pytest.mark.parametrize(
    ("vectors", "labels", "message"),
    [
        (np.empty((0, 3)), [], "Nothing to measure"),
        (np.ones((1, 3)), ["a"], "Nothing to measure"),
        (np.ones((3, 3)), ["a", "b", None], "Nothing to measure"),
        (np.ones((3, 3)), [None] * 3, "Nothing to measure"),
        (np.ones((2, 3)), ["a"], "1 labels were given for 2 vectors"),
        (np.ones((2, 3)), ["a", 3], "Labels must be text"),
        (np.ones(3), ["a"], "n rows and d columns"),
        ([[1, 0], [0, 0], [np.nan, 1], [np.inf, 0]], list("aabb"), "3 of 4 vectors .* row 1"),
    ],
)
def test_data_that_cannot_be_scored_is_named(
    vectors: npt.ArrayLike, labels: list[Any], message: str
) -> None:
    with pytest.raises(EvalError, match=message):
        retrieval(vectors, labels)


@pytest.mark.parametrize("rows", [[0, 4], [-1], [0.5], [True, False], [[0]]])
def test_a_wrong_split_is_refused(rows: list[Any]) -> None:
    with pytest.raises(EvalError, match="mask of 4 works"):
        neighbours(np.ones((4, 2)), 1, queries=rows)


@pytest.mark.parametrize("call", [lambda v: neighbours(v, 0), lambda v: kept_works(v, 1.2)])
def test_wrong_arguments_are_refused(call: Callable[[np.ndarray], object]) -> None:
    with pytest.raises(EvalError, match=r"at least 1|\(0, 1\]"):
        call(np.ones((2, 2)))


def test_very_small_and_very_large_rows_keep_their_direction() -> None:
    found = neighbours(np.array([[1e-200, 0], [1e200, 1e199], [-1, 3]]), 1)
    assert found.indices.ravel().tolist() == [1, 0, 1]
