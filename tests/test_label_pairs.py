"""Pairs of works: half of one label, each label alike often, never out of the rows handed in."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paint_search.errors import EvalError
from paint_search.eval import PairSource

collections = st.lists(
    st.tuples(st.sampled_from([None, *"ABCDEFG"]), st.booleans()), min_size=6, max_size=60
)


@settings(max_examples=60, deadline=None)
@given(works=collections, seed=st.integers(0, 2**32))
def test_pairs_are_what_they_say_and_never_cross_the_split(
    works: list[tuple[str | None, bool]], seed: int
) -> None:
    labels = [label for label, _ in works]
    learned = np.array([side for _, side in works])
    given_ = [label for label, side in works if side and label is not None]
    possible = len(set(given_)) > 1 and len(set(given_)) < len(given_)
    if not possible:
        with pytest.raises(EvalError, match="Pairs need works of two labels"):
            PairSource(labels, rows=learned)
        return
    pairs = PairSource(labels, rows=learned).draw(101, seed)
    assert learned[pairs.left].all()
    assert learned[pairs.right].all()
    assert (pairs.left != pairs.right).all()
    assert pairs.same.sum() == 50
    for left, right, same in zip(pairs.left, pairs.right, pairs.same, strict=True):
        assert None not in (labels[left], labels[right])
        assert (labels[left] == labels[right]) == same


def test_labels_are_drawn_alike_often_whatever_their_size() -> None:
    labels = ["large"] * 300 + ["small"] * 2 + ["middle"] * 10 + ["lonely"]
    pairs = PairSource(labels).draw(12_000)
    names = np.array(labels)
    ones, counts = np.unique(names[pairs.left[pairs.same]], return_counts=True)
    assert ones.tolist() == ["large", "middle", "small"]
    np.testing.assert_allclose(counts / counts.sum(), 1 / 3, atol=0.02)
    twos = np.concatenate([names[pairs.left[~pairs.same]], names[pairs.right[~pairs.same]]])
    np.testing.assert_allclose(np.unique(twos, return_counts=True)[1] / len(twos), 0.25, atol=0.02)
    works = np.bincount(pairs.left[pairs.same], minlength=300)[:300]
    assert works.max() < 30, "and the works of a label alike often too"


def test_the_same_seed_draws_the_same_pairs_and_another_others() -> None:
    source = PairSource(list("AABBCCDD"))
    one, again = ([source.draw(16, (3, number)) for number in range(4)] for _ in range(2))
    for a, b in zip(one, again, strict=True):
        np.testing.assert_array_equal([a.left, a.right], [b.left, b.right])
    assert not np.array_equal(one[0].left, one[1].left), "a batch is not the one before"
    assert not np.array_equal(one[0].left, source.draw(16, seed=4).left)


def test_hard_pairs_are_nearer_than_random_ones_and_still_of_two_labels() -> None:
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((400, 8))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    labels = [f"artist {row % 40}" for row in range(400)]

    def mean(hard: float) -> float:
        pairs = PairSource(labels, vectors=vectors, hard=hard).draw(2000)
        left, right = pairs.left[~pairs.same], pairs.right[~pairs.same]
        assert all(labels[a] != labels[b] for a, b in zip(left, right, strict=True))
        return float((vectors[left] * vectors[right]).sum(axis=1).mean())

    random, half, all_hard = mean(0.0), mean(0.5), mean(1.0)
    assert random + 0.2 < half < all_hard - 0.2


@pytest.mark.parametrize("hard", [0.5, -0.1, 1.5])
def test_hard_pairs_need_vectors_and_a_share(hard: float) -> None:
    with pytest.raises(EvalError, match="Hard pairs"):
        PairSource(list("AABB"), hard=hard)
