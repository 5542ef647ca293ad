"""The label x label matrices against brute force, their intervals, and the laws they obey."""

from __future__ import annotations

import json
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paint_search.errors import EvalError
from paint_search.eval import (
    ArtistSimilarity,
    artist_similarity,
    csls,
    likely_duplicates,
    neighbours,
    outliers,
)

D = 6
Works = tuple[np.ndarray, list[str | None]]


def works(seed: int = 0, counts: tuple[int, ...] = (5, 3, 8, 1, 2)) -> Works:
    rng = np.random.default_rng(seed)
    codes = rng.permutation(np.repeat(np.arange(len(counts)), counts))
    vectors = rng.normal(size=(len(codes), D)) + 1.5 * np.eye(len(counts), D)[codes]
    return vectors, [f"artist {code}" for code in codes]


def brute_mean(vectors: np.ndarray, labels: list[str | None], a: str, b: str) -> float:
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    cosines = [
        unit[i] @ unit[j]
        for i in range(len(unit))
        for j in range(len(unit))
        if i != j and labels[i] == a and labels[j] == b
    ]
    return float(np.mean(cosines)) if cosines else float("nan")


def test_means_match_every_pair_of_works() -> None:
    vectors, labels = works()
    result = artist_similarity(vectors, labels)
    names = result.groups.names
    expected = [[brute_mean(vectors, labels, a, b) for b in names] for a in names]
    np.testing.assert_allclose(result.mean, expected, atol=1e-12)
    assert np.isnan(result.mean).sum() == 1  # the artist of one work, with itself
    assert result.groups.counts.tolist() == [5, 3, 8, 1, 2]


def test_centroids_are_compared_by_direction() -> None:
    vectors, labels = works()
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    result = artist_similarity(vectors, labels)
    means = [unit[np.array(labels) == name].mean(axis=0) for name in result.groups.names]
    directions = np.array([m / np.linalg.norm(m) for m in means])
    np.testing.assert_allclose(result.centroid, directions @ directions.T, atol=1e-12)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), scale=st.floats(1e-3, 1e3))
def test_order_rotation_and_scale_do_not_matter(seed: int, scale: float) -> None:
    vectors, labels = works(seed)
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(vectors))
    rotation, _ = np.linalg.qr(rng.normal(size=(D, D)))
    norms = scale * rng.uniform(0.5, 2, size=(len(vectors), 1))
    plain = artist_similarity(vectors, labels, samples=20)
    moved = artist_similarity(
        (vectors * norms @ rotation)[order], [labels[i] for i in order], samples=20
    )
    for name in ("mean", "centroid", "csls"):
        np.testing.assert_allclose(getattr(moved, name), getattr(plain, name), atol=1e-9)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(2, 9))
def test_two_artists_of_the_same_works(seed: int, n: int) -> None:
    vectors = np.random.default_rng(seed).normal(size=(n, D))
    result = artist_similarity(np.vstack([vectors, vectors]), ["a"] * n + ["b"] * n, samples=20)
    within = result.mean[0, 0]
    assert result.mean[1, 1] == pytest.approx(within)
    assert result.centroid[0, 1] == pytest.approx(1)
    # Across the two, a work also meets its twin, one pair in n, with cosine 1.
    assert result.mean[0, 1] == pytest.approx(((n - 1) * within + 1) / n)


def test_artists_who_repeat_one_work_have_their_within_value_across() -> None:
    result = artist_similarity(np.tile([3.0, 4.0], (6, 1)), list("aaabbb"))
    np.testing.assert_allclose(result.mean, 1)
    np.testing.assert_allclose([result.low, result.high], 1, atol=1e-6)


def test_two_artists_of_one_distribution_score_as_each_within() -> None:
    vectors = np.random.default_rng(0).normal(size=(2000, D)) + 0.7
    result = artist_similarity(vectors, ["a", "b"] * 1000)
    assert result.mean[0, 1] == pytest.approx(result.mean[0, 0], abs=0.02)
    assert result.mean[0, 1] == pytest.approx(result.mean[1, 1], abs=0.02)


def test_one_work_per_artist() -> None:
    vectors = np.random.default_rng(1).normal(size=(14, D))
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    result = artist_similarity(vectors, [f"painter {i:02}" for i in range(14)])
    across = ~np.eye(14, dtype=bool)
    np.testing.assert_allclose(result.mean[across], (unit @ unit.T)[across], atol=1e-12)
    assert np.isnan(result.mean.diagonal()).all()
    assert np.isnan([result.low, result.high]).all()
    pair = result.pair("painter 03", "painter 07")
    assert (pair.work_a, pair.work_b) == (3, 7)
    assert pair.closest == pytest.approx(pair.score)
    assert pair.to_dict()["low"] is None


@pytest.mark.parametrize("most", [5, 1100])  # works of one artist: one block, and two
def test_pair_rank_and_closest_works(most: int) -> None:
    vectors, labels = works(2, counts=(most, 3, 8, 1, 2))
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    result = artist_similarity(vectors, labels)
    names = result.groups.names
    pairs = [result.pair(a, b) for a, b in combinations(names, 2)]
    assert sorted(pair.rank for pair in pairs) == list(range(1, 11))
    assert [p.rank for p in sorted(pairs, key=lambda p: -p.score)] == list(range(1, 11))
    for pair in pairs:
        assert (labels[pair.work_a], labels[pair.work_b]) == (pair.a, pair.b)
        ours, theirs = (unit[np.array(labels) == name] for name in (pair.a, pair.b))
        best = (ours @ theirs.T).max()
        assert pair.closest == pytest.approx(best)
        assert unit[pair.work_a] @ unit[pair.work_b] == pytest.approx(best)
        swapped = result.pair(pair.b, pair.a)
        assert (swapped.work_a, swapped.work_b) == (pair.work_b, pair.work_a)
        assert (swapped.score, swapped.rank) == (pair.score, pair.rank)


def test_nearest_closest_and_farthest_are_sorted() -> None:
    vectors, labels = works(3)
    result = artist_similarity(vectors, labels)
    nearest = result.nearest("artist 2")
    assert [pair.a for pair in nearest] == ["artist 2"] * 4
    assert {pair.b for pair in nearest} == {f"artist {i}" for i in (0, 1, 3, 4)}
    assert [p.score for p in nearest] == sorted((p.score for p in nearest), reverse=True)
    assert [pair.rank for pair in result.closest(3)] == [1, 2, 3]
    assert [pair.rank for pair in result.farthest(2)] == [10, 9]
    assert result.nearest("artist 2", 1) == nearest[:1]


@pytest.mark.parametrize("names", [("artist 0", "artist 0"), ("artist 0", "Vermeer")])
def test_a_pair_of_unknown_or_equal_artists_is_refused(names: tuple[str, str]) -> None:
    result = artist_similarity(*works())
    with pytest.raises(EvalError, match=r"twice|'Vermeer'"):
        result.pair(*names)


def test_csls_lowers_a_hub() -> None:
    s = np.array([[9, 0.8, 0.8, 0.8], [0.8, 9, 0.5, 0.1], [0.8, 0.5, 9, 0.2], [0.8, 0.1, 0.2, 9]])
    corrected = csls(s, k=2)
    r = np.array([0.8, 0.65, 0.65, 0.5])
    expected = 2 * s - r[:, None] - r[None, :]
    np.fill_diagonal(expected, np.nan)
    np.testing.assert_allclose(corrected, expected)
    # Label 0 is close to all: its pair with 1 leads the pair (1, 2) by less than before.
    assert corrected[0, 1] - corrected[1, 2] < 2 * (s[0, 1] - s[1, 2])
    np.testing.assert_allclose(csls(s, k=3), csls(s, k=50))
    with pytest.raises(EvalError, match="at least 1"):
        csls(s, 0)


def direct_bootstrap(
    vectors: np.ndarray, labels: list[str | None], a: str, b: str, samples: int
) -> np.ndarray:
    """Redraw works with replacement and average the cosines of different works."""
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    rng = np.random.default_rng(99)
    ours, theirs = (np.flatnonzero(np.array(labels) == name) for name in (a, b))
    draws = []
    for _ in range(samples):
        i = rng.choice(ours, len(ours))
        j = i if a == b else rng.choice(theirs, len(theirs))
        cosines = unit[i] @ unit[j].T
        different = i[:, None] != j if a == b else np.ones_like(cosines, dtype=bool)
        draws.append(cosines[different].mean() if different.any() else np.nan)
    return np.nanquantile(draws, [0.025, 0.975])


@pytest.mark.parametrize(("a", "b"), [("artist 0", "artist 2"), ("artist 2", "artist 2")])
def test_intervals_are_those_of_a_direct_bootstrap(a: str, b: str) -> None:
    vectors, labels = works(4, counts=(12, 3, 20, 1, 2))
    result = artist_similarity(vectors, labels, samples=4000)
    i, j = result.groups.code(a), result.groups.code(b)
    expected = direct_bootstrap(vectors, labels, a, b, 4000)
    width = expected[1] - expected[0]
    assert [result.low[i, j], result.high[i, j]] == pytest.approx(expected, abs=0.06 * width)
    assert result.low[i, j] < result.mean[i, j] < result.high[i, j]


def test_intervals_are_unknown_where_nothing_varies() -> None:
    result = artist_similarity(*works())
    assert np.isnan(result.low[3]).all()  # one work
    assert np.isnan(result.high[:, 3]).all()
    assert np.isnan(result.low[4, 4])  # two works are one pair
    assert np.isfinite(result.low[4, [0, 1, 2]]).all()
    np.testing.assert_array_equal(result.low, result.low.T)
    np.testing.assert_array_equal(result.high, result.high.T)


def test_blocks_and_seeds() -> None:
    def ends(seed: int, **memory: int) -> ArtistSimilarity:
        return artist_similarity(*works(), samples=50, seed=seed, **memory)

    whole, again, other = ends(0), ends(0), ends(1)
    np.testing.assert_array_equal(whole.low, again.low)
    assert (whole.low[0, :3] != other.low[0, :3]).all()
    blocks = ends(0, cells=2 * 50 * 5)
    np.testing.assert_allclose(blocks.low, whole.low, atol=1e-6)
    np.testing.assert_allclose(blocks.high, whole.high, atol=1e-6)


def test_unlabelled_works_change_nothing() -> None:
    vectors, labels = works()
    plain = artist_similarity(vectors, labels)
    more = artist_similarity(np.vstack([np.ones((2, D)), vectors]), [None, None, *labels])
    np.testing.assert_array_equal(more.mean, plain.mean)
    np.testing.assert_array_equal(more.low, plain.low)
    assert more.groups.unlabelled == 2
    pair, shifted = (r.pair("artist 0", "artist 1") for r in (plain, more))
    assert (shifted.work_a, shifted.work_b) == (pair.work_a + 2, pair.work_b + 2)


def test_works_that_cancel_out_have_no_centroid() -> None:
    vectors = np.array([[1.0, 0], [-1, 0], [0, 1], [0, 2]])
    result = artist_similarity(vectors, list("aabb"))
    assert result.mean[0, 0] == pytest.approx(-1)
    assert np.isnan(result.centroid[0]).all()
    assert result.centroid[1, 1] == 1


def test_one_artist_in_all() -> None:
    result = artist_similarity(np.eye(3), list("aaa"))
    assert result.mean.tolist() == [[0.0]]
    assert np.isnan(result.csls).all()
    assert result.nearest("a") == result.closest() == []


def test_result_is_json() -> None:
    table = json.loads(json.dumps(artist_similarity(*works()).to_dict(), allow_nan=False))
    assert table["works"] == [5, 3, 8, 1, 2]
    assert table["mean"][3][3] is None
    assert table["csls"][0][1] == pytest.approx(artist_similarity(*works()).csls[0, 1])


@pytest.mark.parametrize(
    ("vectors", "labels", "options", "message"),
    [
        (np.empty((0, 2)), [], {}, "None of 0 works is labelled"),
        (np.ones((2, 2)), [None, None], {}, "None of 2 works is labelled"),
        (np.full((2, 2), np.nan), ["a", "b"], {}, "2 of 2 vectors"),
        (np.ones((2, 2)), ["a", "b"], {"samples": 1}, "at least 2 resamples"),
        (np.ones((2, 2)), ["a", "b"], {"level": 95}, "between 0 and 1"),
    ],
)
def test_data_that_cannot_be_compared_is_named(
    vectors: np.ndarray, labels: list[str | None], options: dict[str, float], message: str
) -> None:
    with pytest.raises(EvalError, match=message):
        artist_similarity(vectors, labels, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("length", [128, 1290])
def test_a_cosine_of_equal_works_is_not_above_one(length: int) -> None:
    """Products of rows of float32 are, by a few units of the last place."""
    rows = np.random.default_rng(1).normal(size=(40, length)).astype(np.float32)
    vectors, labels = np.repeat(rows, 6, axis=0), [f"artist {row % 2}" for row in range(240)]
    found = artist_similarity(vectors[:6], labels[:6])
    near = neighbours(vectors, 5)
    copies = likely_duplicates(vectors, np.zeros(240, dtype=np.uint64), near, copy_bits=6)
    cosines = [
        *(found.mean, found.centroid, found.low, found.high, near.scores),
        *(found.pair("artist 0", "artist 1").closest, outliers(vectors, labels)[0].usual),
        *(copy.cosine for copy in copies),
    ]
    assert max(np.nanmax(each) for each in cosines) == 1
