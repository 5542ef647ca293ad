"""Vectors, and perceptual hashes, in; works that are likely one picture, out.

Two photographs of one painting agree in their hash even where light and colour moved their vectors
apart. Every pair is compared by hash, in blocks; there is never a table of all works by all works.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from paint_search.errors import EvalError
from paint_search.eval.inputs import Ints, unit_rows
from paint_search.eval.neighbours import TIE, Neighbours, row_blocks

LIKELY_BITS = 10
"""So few are a copy where each work is also the other's nearest."""
COPY_COSINE = 0.98
"""So high a cosine is a copy whatever the hashes say."""
_LEAST_SET = 16  # half of the bits are set, but in the hash of a flat picture, which says nothing


@dataclass(frozen=True)
class Duplicate:
    """Two works that are likely one picture."""

    a: int  #: row of the first
    b: int  #: row of the second, above `a`
    cosine: float  #: of their vectors
    bits: int  #: how many of the 64 bits of their hashes differ


def kept_works(vectors: npt.ArrayLike, threshold: float = COPY_COSINE) -> Ints:
    """Return for each work the row of the one that stands for it, (n,): itself unless a copy.

    In the order of rows, a work is kept unless a kept one is close. A copy joins the closest kept
    work whose cosine is at least `threshold`, whatever its label.

    Raises:
        EvalError: a threshold outside (0, 1].
    """
    if not 0 < threshold <= 1:
        raise EvalError(f"The threshold for copies must lie in (0, 1], not {threshold}.")
    unit = unit_rows(vectors, np.float32)
    rows, kept_as = np.arange(len(unit)), np.arange(len(unit))
    # Half the tie resolution below it, so that a bit-for-bit copy passes a threshold of 1.
    close = threshold - 0.5 / TIE
    for block in row_blocks(len(unit), len(unit)):
        cosines = unit[block] @ unit[: block.stop].T
        for row, scores in enumerate(cosines, start=block.start):
            earlier = np.flatnonzero((scores[:row] >= close) & (kept_as[:row] == rows[:row]))
            if len(earlier):
                kept_as[row] = earlier[np.argmax(scores[earlier])]
    return kept_as


def likely_duplicates(
    vectors: npt.ArrayLike, hashes: npt.NDArray[np.uint64], nearest: Neighbours, *, copy_bits: int
) -> list[Duplicate]:
    """Find pairs of near-identical works, the highest cosine first.

    `hashes` are (n,) perceptual hashes of 64 bits, of which those of flat pictures are passed over;
    `nearest` holds the neighbours of all n works. So few differing bits as `copy_bits` are a copy
    by themselves.

    Raises:
        EvalError: lengths that do not agree.
    """
    unit = unit_rows(vectors, np.float32)
    if hashes.shape != (len(unit),) or len(nearest.queries) != len(unit):
        raise EvalError(
            f"{len(hashes)} hashes and neighbours of {len(nearest.queries)} works were given for "
            f"{len(unit)} vectors."
        )
    found = np.concatenate([_alike_hashes(hashes, copy_bits), _alike_vectors(hashes, nearest)])
    a, b = np.unique(np.sort(found, axis=1), axis=0).T
    cosines = np.einsum("ij,ij->i", unit[a], unit[b]).clip(-1, 1)
    bits = np.bitwise_count(hashes[a] ^ hashes[b])
    order = np.argsort(-cosines, kind="stable")
    columns = (column[order].tolist() for column in (a, b, cosines, bits))
    return [Duplicate(*pair) for pair in zip(*columns, strict=True)]


def _alike_hashes(hashes: npt.NDArray[np.uint64], copy_bits: int) -> Ints:
    """Return the (p, 2) pairs of rows whose hashes are alike enough by themselves."""
    telling = np.flatnonzero(np.bitwise_count(hashes) >= _LEAST_SET)
    told = hashes[telling]
    found = [np.empty((0, 2), dtype=np.int64)]
    for block in row_blocks(len(told), len(told)):
        differing = np.bitwise_count(told[block, None] ^ told[None, block.start :])
        pairs = np.argwhere(differing <= copy_bits) + block.start
        found.append(telling[pairs[pairs[:, 0] < pairs[:, 1]]])
    return np.concatenate(found)


def _alike_vectors(hashes: npt.NDArray[np.uint64], nearest: Neighbours) -> Ints:
    """Return the pairs that are alike by their vectors, or by vectors and hashes together."""
    rows, places = np.nonzero(nearest.indices >= 0)
    others = nearest.indices[rows, places]
    first = nearest.indices[:, 0]
    mutual = (first[rows] == others) & (first[others] == rows)
    telling = np.bitwise_count(hashes) >= _LEAST_SET
    alike = np.bitwise_count(hashes[rows] ^ hashes[others]) <= LIKELY_BITS
    likely = mutual & alike & telling[rows] & telling[others]
    identical = nearest.scores[rows, places] >= COPY_COSINE
    pairs: Ints = np.stack([rows, others], axis=1)[likely | identical]
    return pairs
