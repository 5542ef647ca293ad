"""How well works of one artist are told from works of two, and how surely."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING, Any

from paint_search.errors import EvalError, counted
from paint_search.eval import Verification, group_labels, verification
from paint_search.report.tables import Part, Remark, Table
from paint_search.studies.result import Result
from paint_search.studies.works import AnIndex, reading

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from paint_search.eval import Pairs
    from paint_search.eval.inputs import Bools
    from paint_search.verify.trial import Material, Side

SAMPLES = 200
"""Resamples of the artists, behind the intervals."""
_SIDES: tuple[Side, ...] = ("unseen", "seen")
_COLUMNS = ("side", "artist", "pairs by one", "recognised", "pairs by two", "told apart")
_REMARK = Remark(
    "AUC: how often a pair by one artist is given more than a pair by two. Accuracy: at a "
    "probability of 0.5. Equal error rate: where as many pairs by two artists pass as pairs by one "
    "are refused. Calibration error: mean gap between a probability and how often it came true. "
    "Intervals: 95 %, resampling artists."
)
_MEANING = {
    "unseen": "unseen: works of artists of whom nothing was learned, judged by a calibration on "
    "other such artists",
    "seen": "seen: works that nothing was learned from, of artists of whom others were, judged by "
    "a calibration on other such works",
}


@dataclass(frozen=True, eq=False)
class Verifications(Result):
    """How pairs of works were judged, of artists that nothing was learned of and of others."""

    #: by side: ``unseen`` artists, and unseen works of ``seen`` ones.
    found: Mapping[Side, Verification]
    refused: Mapping[Side, str]  #: why a side could not be measured
    #: figures of unseen artists' pairs where two are of works most alike.
    look_alikes: Mapping[str, float] | None
    top: int  #: how many artists a list holds

    def to_dict(self) -> dict[str, Any]:
        """Return the figures of each side, and of look-alikes."""
        return (
            {str(side): result.to_dict() for side, result in self.found.items()}
            | {str(side): {"error": reason} for side, reason in self.refused.items()}
            | {"look_alikes": self.look_alikes}
        )

    def table(self) -> Table:
        """Return one row an artist and side."""
        return Table(
            _COLUMNS,
            [
                (side, *astuple(score))
                for side, result in self.found.items()
                for score in result.per_artist
            ],
        )

    def figure(self) -> Figure:
        """Draw a reliability diagram."""
        from paint_search.report import reliability_figure

        diagrams = {f"{side} artists": result.diagram for side, result in self.found.items()}
        return reliability_figure(diagrams, "Probability of one artist")

    def describe(self) -> Iterator[Part]:
        """Yield the figures of each side, its confusion matrix and its hardest artists."""
        for side, found in self.found.items():
            pairs, artists = counted(found.pairs, "pair"), counted(found.artists, "artist")
            yield f"\n{side} artists: {pairs} of works by {artists}"
            yield Table(
                ["figure", ">value", "95 % interval"],
                [(name, value, found.intervals.get(name)) for name, value in found.figures.items()],
            )
            two, one = found.confusion.tolist()
            yield Table(
                ["", ">taken for two", ">taken for one"],
                [("by two artists", *two), ("by one artist", *one)],
            )
            hardest = sorted(
                (score for score in found.per_artist if score.same),
                key=lambda score: (score.recognised + score.told_apart, score.label),
            )[: self.top]
            yield "the hardest artists"
            yield Table(
                [_COLUMNS[1], *(f">{name}" for name in _COLUMNS[2:])],
                [
                    (a.label, a.same, f"{a.recognised:.0%}", a.other, f"{a.told_apart:.0%}")
                    for a in hardest
                ],
            )
            yield Remark(_MEANING[side])
            if side == "unseen" and self.look_alikes:
                yield (
                    "against look-alikes (of 16 works by other artists the one most like the "
                    f"first): AUC {self.look_alikes['AUC']:.3f}, accuracy "
                    f"{self.look_alikes['accuracy']:.3f}"
                )
        for side, reason in self.refused.items():
            yield Remark(f"\n{side} artists could not be measured: {reason}")
        yield _REMARK


def verify(
    index: AnIndex, *, seed: int = 0, top: int = 10, samples: int = SAMPLES
) -> Verifications:
    """Measure how well ``Index.verify`` tells works of one artist from works of two.

    Half of the pairs are by one artist, and every artist is drawn alike often. ``seed`` is that of
    the pairs, the folds and the intervals; ``samples`` of the artists are drawn for the intervals.

    Raises:
        UsageError: the index is empty.
        EvalError: too few artists of this index have works enough.
    """
    with reading(index) as source:
        _, material = source.verifier().material()
    found: dict[Side, Verification] = {}
    refused: dict[Side, str] = {}
    for side in _SIDES:
        try:
            found[side] = _measure(material, side, seed, samples)
        except EvalError as error:
            refused[side] = str(error)
    if not found:
        raise EvalError("; ".join(refused.values()))
    alike = None
    if "unseen" in found:  # whose intervals are not shown: the fewest resamples will do
        alike = _measure(material, "unseen", seed, 2, material.look_alikes).figures
    return Verifications(found, refused, alike, top)


def _measure(
    material: Material,
    side: Side,
    seed: int,
    samples: int,
    draw: Callable[[Bools, int, int], Pairs] | None = None,
) -> Verification:
    from paint_search.verify.trial import cross_judge

    judged = cross_judge(material, side, seed=seed, draw=draw)
    groups = group_labels(material.artists, len(material.artists))
    return verification(
        judged.probabilities,
        judged.pairs.same,
        groups.codes[judged.pairs.left],
        groups.codes[judged.pairs.right],
        groups.names,
        samples=samples,
        seed=seed,
    )
