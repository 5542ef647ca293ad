"""Vectors and artists of an index in; a calibrated judge, or pairs judged by others like it, out.

The works are dealt out once: most teach the model, those of artists it never sees calibrate it.
What is measured is always judged by a calibration on other artists (unseen) or works (seen).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal, Self

import numpy as np
from numpy.typing import NDArray

from paint_search.compress.hold_out import HoldOut, choose_hold_out, works_held_out
from paint_search.errors import EvalError, argument
from paint_search.eval import Pairs, PairSource, group_labels
from paint_search.eval.inputs import Bools, Ints
from paint_search.verify.judge import Embeddings, Judge, Rows, probability
from paint_search.verify.two_covariance import Floats, TwoCovariance

PAIRS: Final = 20_000

#: Artists that calibration needs: of fewer, one artist's habits would pass for a rule.
LEAST_ARTISTS: Final = 6

_FOLDS: Final = {"unseen": 5, "seen": 2}

Side = Literal["unseen", "seen"]


@dataclass(frozen=True, eq=False)
class Material:
    """What an index has for telling artists apart."""

    vectors: Rows  #: (n, d) that the model is fitted to
    #: (n, k) unit rows that the index is searched by; None where those are the vectors.
    codes: Rows | None
    artists: list[str | None]  #: n names, None where unknown
    #: (n,) works to fit to; all that a siamese compressor learned from are among them.
    learned: Bools
    unseen: Bools  #: (n,) works of artists of whom nothing was learned
    seen: Bools  #: (n,) works, not learned from, of artists of whom others were

    @classmethod
    def deal(
        cls,
        ids: Sequence[str],
        artists: Sequence[str | None],
        vectors: Rows,
        codes: Rows | None,
        split: HoldOut | None,
    ) -> Self:
        """Deal the works out as a compressor that learned from labels did, else anew.

        Raises:
            EvalError: too few artists have works enough.
        """
        rule = split or choose_hold_out(ids, artists)
        named = np.array([artist is not None for artist in artists], dtype=np.bool_)
        unseen, passed = rule.held_out(ids, artists), works_held_out(rule, ids)
        made = cls(
            vectors=vectors,
            codes=codes,
            artists=list(artists),
            learned=named & ~unseen & ~passed,
            unseen=named & unseen,
            seen=named & ~unseen & passed,
        )
        several = made._several(made.unseen)
        if rule.by != "artist" or several < LEAST_ARTISTS:
            everyone = made._several(named)
            raise EvalError(
                "telling one artist from two is calibrated on artists that nothing was learned "
                f"from, and needs {LEAST_ARTISTS} such with two works or more: a fifth of some "
                f"{5 * LEAST_ARTISTS}. This index has {everyone} artists with two works or more; "
                f"index more paintings, or give their artists with {argument('labels')} or "
                f"{argument('table')}"
            )
        return made

    def learn(self) -> tuple[TwoCovariance, Embeddings]:
        """Fit the model, and look at all works with it.

        Raises:
            EvalError: no artist that may be learned from has two works.
        """
        codes = group_labels(self.artists, len(self.artists)).codes[self.learned]
        model = TwoCovariance.fit(self.vectors[self.learned], codes)
        return model, Embeddings.of(model, self.vectors, self.codes)

    def pairs(self, rows: Bools, count: int, seed: int) -> Pairs:
        """Draw pairs of these works, half of them of one artist, every artist alike often."""
        return PairSource(self.artists, rows=rows).draw(count, seed)

    def look_alikes(self, rows: Bools, count: int, seed: int) -> Pairs:
        """Draw such pairs, but of two artists' only those whose vectors are alike."""
        source = PairSource(self.artists, rows=rows, vectors=self.vectors, hard=1.0)
        return source.draw(count, seed)

    def _several(self, rows: Bools) -> int:
        groups = group_labels(self.artists, len(self.artists))
        codes = groups.codes[rows & (groups.codes >= 0)]
        return int((np.bincount(codes, minlength=1) > 1).sum())


@dataclass(frozen=True, eq=False)
class Judged:
    """Pairs with the probability that one artist made both."""

    pairs: Pairs
    probabilities: Floats


def calibrate(material: Material, seed: int = 0) -> tuple[Judge, Pairs, Floats]:
    """Return the judge, and the pairs that it was calibrated on with the log odds it gives them.

    Raises:
        EvalError: too few works to learn from.
    """
    model, works = material.learn()
    pairs = material.pairs(material.unseen, PAIRS, seed)
    judge = Judge.fit(model, works, pairs)
    return judge, pairs, judge.score(works[pairs.left], works[pairs.right])


def cross_judge(
    material: Material,
    side: Side,
    *,
    count: int = PAIRS,
    seed: int = 0,
    draw: Callable[[Bools, int, int], Pairs] | None = None,
) -> Judged:
    """Judge pairs of one side by judges that were calibrated on the rest of that side.

    Unseen artists are dealt into five folds (fewer where they are few), unseen works of seen
    artists into two; each fold is judged by a calibration on the others, and no pair crosses folds.

    Args:
        material: of an index.
        side: which works.
        count: how many pairs, about.
        seed: of the folds and pairs.
        draw: makes the pairs to be judged from rows, count and seed; `Material.pairs` by default.

    Raises:
        EvalError: too few works.
    """
    model, works = material.learn()
    rows = material.unseen if side == "unseen" else material.seen
    folds = _FOLDS[side]
    if side == "unseen":
        folds = max(2, min(folds, material._several(rows) // 2))
    place = _deal(material.artists, rows, side, folds, seed)
    parts, judged = [], []
    for fold in range(folds):
        inside, outside = place == fold, (place >= 0) & (place != fold)
        judge = Judge.fit(model, works, material.pairs(outside, count, seed))
        pairs = (draw or material.pairs)(inside, count // folds, seed + 1)
        parts.append(pairs)
        judged.append(probability(judge.score(works[pairs.left], works[pairs.right])))
    columns = ((pairs.left, pairs.right, pairs.same) for pairs in parts)
    return Judged(Pairs(*map(np.concatenate, zip(*columns, strict=True))), np.concatenate(judged))


def _deal(
    artists: Sequence[str | None], rows: Bools, side: Side, folds: int, seed: int
) -> NDArray[np.int64]:
    """Return the fold of each row, -1 where it has none: whole artists, or each artist's works."""
    rng = np.random.default_rng(seed)
    codes = group_labels(artists, len(artists)).codes
    place = np.full(len(artists), -1)
    names = rng.permutation(np.unique(codes[rows]))
    # Largest last in a shuffle would be luck: artists with several works are dealt out first.
    counts = np.bincount(codes[rows], minlength=codes.max() + 1)
    names = names[np.argsort(counts[names] < 2, kind="stable")]
    for number, name in enumerate(names):
        of_artist: Ints = rng.permutation(np.flatnonzero(rows & (codes == name)))
        place[of_artist] = number % folds if side == "unseen" else np.arange(len(of_artist)) % folds
    return place
