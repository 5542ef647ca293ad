"""Labels in; pairs of works out, of one label or of two; and the cosines of pairs.

Pairs are drawn as they are needed and never listed, so that memory is that of the pairs in hand,
and a figure over pairs costs the same for a hundred works and for a hundred thousand.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from paint_search.errors import EvalError
from paint_search.eval.inputs import (
    Bools,
    Floats,
    Groups,
    Ints,
    Labels,
    Selection,
    Vectors,
    group_labels,
    row_selection,
)
from paint_search.eval.neighbours import row_blocks

_CANDIDATES = 16  # works of other labels of which the nearest is a hard negative
_CELLS = 2**23  # numbers of candidates' vectors held at once: 32 MB


@dataclass(frozen=True)
class Pairs:
    """Pairs of rows, (n,) each; `same` is True where both carry one label."""

    left: Ints
    right: Ints
    same: Bools

    def __len__(self) -> int:
        return len(self.left)


class PairSource:
    """Draws pairs, as many and as often as asked.

    A pair of one label: a label of two works or more, each equally likely, then two of its works.
    A pair of two labels: two labels, then a work of each. So a label of eighty works counts no
    more than one of four. Both works come from the rows that are handed in: a split is kept by
    handing in one side.

    Args:
        labels: n labels; works labelled None are never drawn.
        rows: which of the n may be drawn (mask or indices); all by default.
        vectors: (n, d) unit rows, where hard negatives are wanted.
        hard: share of the pairs of two labels whose second work is, of 16 drawn, the one most
            like the first.

    Raises:
        EvalError: fewer than two labels, none of them with two works, or hard pairs without
            vectors.
    """

    def __init__(
        self,
        labels: Labels,
        *,
        rows: Selection | None = None,
        vectors: Vectors | None = None,
        hard: float = 0.0,
    ) -> None:
        if not 0 <= hard <= 1 or (hard and vectors is None):
            raise EvalError("Hard pairs are a share from 0 to 1, and need vectors.")
        size = len(labels)
        allowed = row_selection(rows, size)
        found = group_labels(labels, size)
        codes = np.full(size, -1)
        codes[allowed] = found.codes[allowed]
        counts = np.bincount(codes[codes >= 0], minlength=len(found.names))
        self.groups = Groups(found.names, codes, counts)
        self._order = self.groups.by_label
        self._start = self.groups.starts
        self._present, self._several = np.flatnonzero(counts), np.flatnonzero(counts > 1)
        if len(self._present) < 2 or not len(self._several):
            raise EvalError(
                f"Pairs need works of two labels, and one label with two works; here are "
                f"{int(counts.sum())} works of {len(self._present)} labels, {len(self._several)} "
                "of them with two or more."
            )
        self._vectors, self._hard = vectors, hard

    def draw(self, count: int, seed: int | tuple[int, ...] = 0) -> Pairs:
        """Return `count` pairs in random order, half of them (rounded down) of one label."""
        rng = np.random.default_rng(seed)
        same = rng.permutation(np.arange(count) < count // 2)
        left, right = np.empty(count, np.int64), np.empty(count, np.int64)
        left[same], right[same] = self._of_one_label(rng, int(same.sum()))
        left[~same], right[~same] = self._of_two_labels(rng, int((~same).sum()))
        return Pairs(left, right, same)

    def _of_one_label(self, rng: np.random.Generator, count: int) -> tuple[Ints, Ints]:
        label = rng.choice(self._several, count)
        size = self.groups.counts[label]
        first = rng.integers(0, size)
        second = (first + rng.integers(1, size)) % size
        return self._order[self._start[label] + first], self._order[self._start[label] + second]

    def _of_two_labels(self, rng: np.random.Generator, count: int) -> tuple[Ints, Ints]:
        place = rng.integers(0, len(self._present), count)
        left = self._work_of(rng, self._present[place])
        right = self._work_of(rng, self._another(rng, place))
        hard = np.flatnonzero(rng.random(count) < self._hard)
        if self._vectors is not None and len(hard):
            step = max(1, _CELLS // (_CANDIDATES * self._vectors.shape[1]))
            for start in range(0, len(hard), step):
                block = hard[start : start + step]
                right[block] = self._nearest(rng, place[block], left[block], self._vectors)
        return left, right

    def _nearest(self, rng: np.random.Generator, place: Ints, left: Ints, vectors: Vectors) -> Ints:
        """Return, of some works of other labels for each, the one most like the first work."""
        others = self._work_of(rng, self._another(rng, np.repeat(place, _CANDIDATES)))
        others = others.reshape(-1, _CANDIDATES)
        cosines = np.einsum("ncd,nd->nc", vectors[others], vectors[left])
        return np.asarray(others[np.arange(len(others)), cosines.argmax(axis=1)])

    def _another(self, rng: np.random.Generator, place: Ints) -> Ints:
        """Return a label other than the one at that place, each equally likely."""
        step = rng.integers(1, len(self._present), len(place))
        return np.asarray(self._present[(place + step) % len(self._present)])

    def _work_of(self, rng: np.random.Generator, label: Ints) -> Ints:
        place = rng.integers(0, self.groups.counts[label])
        return np.asarray(self._order[self._start[label] + place])


def random_pairs(groups: Groups, pairs: int, seed: int) -> tuple[Ints, Ints, Bools]:
    """Draw `pairs` pairs of rows of one label, then as many of two, every such pair equally likely.

    The labels must be two, and one of them have two works.
    """
    rng = np.random.default_rng(seed)
    by_label = groups.by_label
    codes = groups.codes[by_label]
    size, start = groups.counts[codes], groups.starts[codes]
    total, place = len(by_label), np.arange(len(by_label))
    # In label order the works of one label are a run; stepping from a work by 1..size-1 within
    # the run, or past its end, reaches each other work of the same, or of another label, once.
    a = rng.choice(total, pairs, p=(size - 1) / (size - 1).sum())
    b = start[a] + (place[a] - start[a] + rng.integers(1, size[a])) % size[a]
    c = rng.choice(total, pairs, p=(total - size) / (total - size).sum())
    d = (start[c] + size[c] + rng.integers(0, total - size[c])) % total
    left, right = by_label[np.concatenate([a, c])], by_label[np.concatenate([b, d])]
    return left, right, np.repeat([True, False], pairs)


def some_pairs(size: int, most: int, seed: int) -> tuple[Ints, Ints]:
    """Return all pairs of `size` rows, each once, or `most` random ones where they are more."""
    if size * (size - 1) // 2 <= most:
        left, right = np.triu_indices(size, 1)
        return left, right
    rng = np.random.default_rng(seed)
    left = rng.integers(0, size, most)
    # A step of 1..size-1 from a row, past the end to the start, reaches each other row once.
    return left, (left + rng.integers(1, size, most)) % size


def ranked_pairs(scores: Floats) -> Ints:
    """Return the pairs (p, 2) of rows of a symmetric table, the highest score first.

    Each stands once, the lower row first; those that score alike in the order of their rows.
    """
    pairs = np.triu_indices(len(scores), 1)
    return np.stack(pairs, axis=1)[np.argsort(-scores[pairs], kind="stable")]


def pair_cosines(unit: Vectors, left: Ints, right: Ints) -> Floats:
    """Return the cosine of each pair of rows, a bounded number of pairs at a time."""
    if len(unit) ** 2 <= len(left):  # every pair there is costs less than these
        rows = unit.astype(np.float64)
        return np.asarray((rows @ rows.T)[left, right])
    return np.concatenate(
        [
            np.einsum("ij,ij->i", unit[left[block]], unit[right[block]], dtype=np.float64)
            for block in row_blocks(len(left), unit.shape[1])
        ]
    )
