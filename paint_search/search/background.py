"""What scores usually are in one index: between works of one artist, and of two artists.

A raw cosine means little; set against these it says how unusual a likeness is. Measured on a fixed
sample, so that neither time nor memory grows with the collection.
"""

from bisect import bisect_left
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from paint_search.painting import Record
from paint_search.search.filters import Condition
from paint_search.search.stores.base import Store, VectorName

_SAMPLE: Final = 1000
_ARTISTS: Final = 200
_WORKS: Final = 10
_LEAST_PAIRS: Final = 30
_STEPS: Final = 1000


@dataclass(frozen=True, slots=True)
class Background:
    """Quantiles, in steps of 0.1 %, of the cosines between works of one and of two artists."""

    same_artist: tuple[float, ...]
    other_artists: tuple[float, ...]

    def above_same_artist(self, score: float) -> float:
        """Return the share (0 to 1) of pairs by one artist that score lower."""
        return _share_below(self.same_artist, score)

    def above_other_artists(self, score: float) -> float:
        """Return the share (0 to 1) of pairs by two artists that score lower."""
        return _share_below(self.other_artists, score)

    def describe(self) -> str:
        """Say in a sentence what scores usually are."""
        same, other = (
            [round(scores[quarter * _STEPS // 4], 2) + 0.0 for quarter in (1, 3)]  # no "-0.00"
            for scores in (self.same_artist, self.other_artists)
        )
        return (
            f"Half of the pairs by one artist score {same[0]:.2f} to {same[1]:.2f}, "
            f"by two artists {other[0]:.2f} to {other[1]:.2f}."
        )

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> "Background":
        """Read a background back from the manifest.

        Raises:
            KeyError, TypeError, ValueError: the record is not of that form.
        """
        same, other = (
            tuple(float(value) for value in record[name])
            for name in ("same_artist", "other_artists")
        )
        if len(same) != _STEPS + 1 or len(other) != _STEPS + 1:
            raise ValueError(f"a background has {_STEPS + 1} quantiles")
        return cls(same, other)


def measure_backgrounds(
    store: Store, kinds: Collection[VectorName]
) -> dict[VectorName, Background]:
    """Measure the scores of up to 1,000 works, and of up to 10 works of each of 200 artists.

    Ids are hashes, so the first ids are a random and repeatable sample. There is no background of
    any kind of vectors where fewer than 30 pairs of either kind can be made.
    """
    sample = [
        record
        for record in store.scroll(vectors=True, limit=_SAMPLE)
        if "artist" in record.payload and record.vectors.keys() >= set(kinds)
    ]
    names = [record.payload["artist"] for record in sample]
    # Begun all at once: a server is not waited for two hundred times.
    works = [_works_of(store, artist) for artist in list(dict.fromkeys(names))[:_ARTISTS]]
    by_one = [[work for work in some if work.vectors.keys() >= set(kinds)] for some in works]
    _, codes = np.unique(names, return_inverse=True)
    first, second = np.triu_indices(len(sample), k=1)
    apart = codes[first] != codes[second]
    pairs = sum(len(works) * (len(works) - 1) // 2 for works in by_one)
    if min(pairs, int(np.count_nonzero(apart))) < _LEAST_PAIRS:
        return {}
    return {
        kind: Background(
            _quantiles(np.concatenate([_pair_scores(works, kind) for works in by_one if works])),
            _quantiles(_pair_scores(sample, kind)[apart]),
        )
        for kind in kinds
    }


def _works_of(store: Store, artist: str) -> Iterator[Record]:
    return store.scroll([Condition("artist", values=(artist,))], vectors=True, limit=_WORKS)


def _pair_scores(works: Sequence[Record], using: VectorName) -> NDArray[np.float32]:
    """Return the cosine of each pair, (n (n - 1) / 2,), in the order of ``triu_indices``."""
    vectors = np.array([work.vectors[using] for work in works], dtype=np.float32)
    scores: NDArray[np.float32] = (vectors @ vectors.T)[np.triu_indices(len(works), k=1)]
    return scores.clip(-1, 1)


def _quantiles(scores: NDArray[np.float32]) -> tuple[float, ...]:
    return tuple(np.round(np.quantile(scores, np.linspace(0, 1, _STEPS + 1)), 4).tolist())


def _share_below(quantiles: Sequence[float], score: float) -> float:
    return bisect_left(quantiles, score) / len(quantiles)
