"""Which paintings a compressor learns from, and which are held out to judge it by.

Decided by a hash of the artist's name (of the id where that is unknown), so that the same painting
stands on the same side in every run and nothing needs to be written down but a seed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from paint_search.painting import Value

By = Literal["artist", "id"]

#: With fewer artists, or where a few have most of the works, artists cannot be dealt out fairly.
_LEAST_ARTISTS: Final = 10

#: Share of the works of learned artists that labels are not learned from.
_WORKS_HELD_OUT: Final = 0.1


@dataclass(frozen=True, slots=True)
class HoldOut:
    """A rule that holds out about ``share`` of the paintings: whole artists, or single works."""

    by: By
    seed: int
    share: float

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> "HoldOut":
        """Read a rule back from a manifest.

        Raises:
            KeyError, TypeError, ValueError: the record is not of that form.
        """
        if record["by"] not in get_args(By):
            raise ValueError("unknown rule of a hold-out")
        return cls(record["by"], int(record["seed"]), float(record["share"]))

    def held_out(self, ids: Sequence[str], artists: Sequence[Value | None]) -> NDArray[np.bool_]:
        """Return (n,) True for the paintings that are held out."""
        keys = (
            key if artist is None or self.by == "id" else f"artist {artist}"
            for key, artist in zip(ids, artists, strict=True)
        )
        return np.array([_fraction(f"{self.seed} {key}") < self.share for key in keys], dtype=bool)


def choose_hold_out(
    ids: Sequence[str], artists: Sequence[Value | None], *, seed: int = 0, share: float = 0.2
) -> HoldOut:
    """Hold out whole artists where there are enough of them, else single works.

    Args:
        ids: of n paintings.
        artists: of the same, None where unknown.
        seed: another seed deals out others.
        share: of the paintings to hold out.
    """
    rule = HoldOut("artist", seed, share)
    if len({artist for artist in artists if artist is not None}) >= _LEAST_ARTISTS:
        held = rule.held_out(ids, artists).mean()
        if 0.5 * share <= held <= 2 * share:
            return rule
    return HoldOut("id", seed, share)


def works_held_out(rule: HoldOut, ids: Sequence[str]) -> NDArray[np.bool_]:
    """Return (n,) True for single works, a tenth, that learning from labels passes over.

    Those of artists that ``rule`` lets be learned from are unseen works of seen artists.
    """
    return HoldOut("id", rule.seed, _WORKS_HELD_OUT).held_out(ids, [None] * len(ids))


def hold_out_labels(
    codes: NDArray[np.int64], rng: np.random.Generator, share: float = 0.15
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return (n,) rows to learn from, and those of labels that say when to stop.

    Args:
        codes: (n,) of the labels, -1 where there is none.
        rng: draws the labels to hold out, from those with two rows or more.
        share: of those, two at least.
    """
    several = np.flatnonzero(np.bincount(codes[codes >= 0], minlength=1) > 1)
    chosen = rng.permutation(several)[: max(2, round(share * len(several)))]
    judged = np.isin(codes, chosen)
    return (codes >= 0) & ~judged, judged


def _fraction(text: str) -> float:
    return (
        int.from_bytes(blake2b(text.encode(errors="surrogatepass"), digest_size=8).digest()) / 2**64
    )
