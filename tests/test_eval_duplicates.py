"""Likely duplicates: copies are found by hash and by vector, flat pictures are not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from paint_search.errors import EvalError
from paint_search.eval import likely_duplicates, neighbours

COPY_BITS, LIKELY_BITS, COPY_COSINE = 6, 10, 0.98
Hashes = NDArray[np.uint64]


def hashes(count: int, seed: int = 0) -> Hashes:
    """Draw hashes of which half of the bits are set, as real ones have."""
    rng = np.random.default_rng(seed)
    bits = np.array([rng.permutation([0, 1] * 32) for _ in range(count)], dtype=np.uint8)
    return np.packbits(bits, axis=1).view(">u8").ravel().astype(np.uint64)


def flipped(value: np.uint64, bits: int) -> np.uint64:
    return np.uint64(value ^ np.uint64((1 << bits) - 1))


def vectors(count: int, seed: int = 0) -> NDArray[np.float64]:
    return np.random.default_rng(seed).normal(size=(count, 20))


def found(points: NDArray[np.float64], seen: Hashes) -> set[tuple[int, int]]:
    pairs = likely_duplicates(points, seen, neighbours(points, 4), copy_bits=COPY_BITS)
    return {(pair.a, pair.b) for pair in pairs}


@given(st.integers(0, 1000))
def test_pairs_are_those_of_brute_force(seed: int) -> None:
    rng = np.random.default_rng(seed)
    points, seen = vectors(24, seed), hashes(24, seed)
    for copy in range(12, 24):  # of an earlier work, near or far in either sense
        of = int(rng.integers(12))
        points[copy] = points[of] + rng.normal(size=20) * rng.choice([0, 0.1, 0.3, 3])
        seen[copy] = flipped(seen[of], int(rng.integers(0, 14)))
    unit = points / np.linalg.norm(points, axis=1, keepdims=True)
    cosines = unit @ unit.T
    np.fill_diagonal(cosines, -2)
    nearest = cosines.argmax(axis=1)
    wanted = set()
    for a in range(24):
        for b in range(a + 1, 24):
            bits = int(seen[a] ^ seen[b]).bit_count()
            mutual = nearest[a] == b and nearest[b] == a
            known = b in np.argsort(-cosines[a])[:4] or a in np.argsort(-cosines[b])[:4]
            by_hash = bits <= COPY_BITS or (mutual and bits <= LIKELY_BITS)
            if by_hash or (known and cosines[a, b] >= COPY_COSINE):
                wanted.add((a, b))
    assert found(points, seen) == wanted


def test_each_pair_comes_once_with_its_figures_the_most_alike_first() -> None:
    points, seen = vectors(6), hashes(6)
    points[4], points[5] = points[0] * 3, points[1] + 0.3
    seen[4], seen[5] = seen[0], flipped(seen[1], 4)
    first, second = likely_duplicates(points, seen, neighbours(points, 3), copy_bits=COPY_BITS)
    assert (first.a, first.b, first.bits) == (0, 4, 0)
    assert first.cosine == pytest.approx(1)
    assert (second.a, second.b, second.bits) == (1, 5, 4)
    assert second.cosine < 1


def test_flat_pictures_are_no_copies_of_each_other() -> None:
    flat = np.full(8, 1 << 63, dtype=np.uint64)
    assert found(vectors(8), flat) == set()


def test_lengths_that_do_not_agree_are_refused() -> None:
    points = vectors(5)
    with pytest.raises(EvalError, match="4 hashes and neighbours of 5 works"):
        likely_duplicates(points, hashes(4), neighbours(points, 2), copy_bits=COPY_BITS)
    with pytest.raises(EvalError, match="5 hashes and neighbours of 3 works"):
        likely_duplicates(points, hashes(5), neighbours(points[:3], 2), copy_bits=COPY_BITS)
