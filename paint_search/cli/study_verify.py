"""``eval verify``: how well works of one artist are told from works of two, and how surely."""

from dataclasses import astuple
from typing import TYPE_CHECKING, Annotated

import typer

from paint_search.cli.output import (
    IndexOption,
    JsonOption,
    Output,
    QuietOption,
    reports_errors,
)
from paint_search.cli.study import (
    CsvOption,
    PlotOption,
    TopOption,
    check_outputs,
    interval,
    write_csv,
    write_plot,
)
from paint_search.errors import EvalError

if TYPE_CHECKING:
    from collections.abc import Callable

    from paint_search.eval.inputs import Bools
    from paint_search.eval.label_pairs import Pairs
    from paint_search.eval.verify import Verification
    from paint_search.verify.trial import Material, Side

_SIDES: "tuple[Side, ...]" = ("unseen", "seen")
_MEANING = {
    "unseen": "unseen: works of artists of whom nothing was learned, judged by a calibration on "
    "other such artists",
    "seen": "seen: works that nothing was learned from, of artists of whom others were, judged by "
    "a calibration on other such works",
}
_FIGURES = (
    "AUC: how often a pair by one artist is given more than a pair by two. Accuracy: at a "
    "probability of 0.5. Equal error rate: where as many pairs by two artists pass as pairs by one "
    "are refused. Calibration error: mean gap between a probability and how often it came true. "
    "Intervals: 95 %, resampling artists."
)
_SAMPLES = 200  # of the artists, behind the intervals
_LOOK_ALIKES = (
    "against look-alikes (of 16 works by other artists the one most like the first): AUC "
    "{AUC:.3f}, accuracy {accuracy:.3f}"
)
_COLUMNS = ("side", "artist", "pairs by one", "recognised", "pairs by two", "told apart")


@reports_errors
def verify(
    seed: Annotated[int, typer.Option(help="Of the pairs, the folds and the intervals.")] = 0,
    top: TopOption = 10,
    plot: PlotOption = None,
    table: CsvOption = None,
    index: IndexOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Measure how well `paint-search verify` tells; the plot is a reliability diagram.

    Half of the pairs are by one artist, and every artist is drawn alike often.

    Example: `paint-search eval verify --plot reliability.png --csv artists.csv`
    """
    from paint_search.index.index import Index

    output = Output(as_json=as_json, quiet=quiet)
    check_outputs(plot, table)
    with Index.open(index) as collection:
        _, material = collection.verifier().material()
    found: dict[Side, Verification] = {}
    refused: dict[Side, str] = {}
    for side in _SIDES:
        try:
            found[side] = _measure(material, side, seed)
        except EvalError as error:
            refused[side] = str(error)
    alike = None
    if "unseen" in found:
        alike = _measure(material, "unseen", seed, material.look_alikes).figures
    if not found:
        raise EvalError("; ".join(refused.values()))
    output.json(
        {str(side): result.to_dict() for side, result in found.items()}
        | {str(side): {"error": reason} for side, reason in refused.items()}
        | {"look_alikes": alike}
    )
    for side, result in found.items():
        _print(output, side, result, top)
        if side == "unseen" and alike:
            output.line(_LOOK_ALIKES.format(**alike))
    for side, reason in refused.items():
        output.note(f"\n{side} artists could not be measured: {reason}")
    output.note(_FIGURES)
    if table:
        write_csv(
            table,
            _COLUMNS,
            (
                (side, *astuple(score))
                for side, result in found.items()
                for score in result.per_artist
            ),
        )
        output.note(f"wrote {table}")
    if plot:
        from paint_search.report import reliability_figure

        diagrams = {f"{side} artists": result.diagram for side, result in found.items()}
        write_plot(plot, reliability_figure(diagrams, "Probability of one artist"))
        output.note(f"wrote {plot}")


def _measure(
    material: "Material",
    side: "Side",
    seed: int,
    draw: "Callable[[Bools, int, int], Pairs] | None" = None,
) -> "Verification":
    from paint_search.eval.inputs import group_labels
    from paint_search.eval.verify import verification
    from paint_search.verify.trial import cross_judge

    judged = cross_judge(material, side, seed=seed, draw=draw)
    groups = group_labels(material.artists, len(material.artists))
    return verification(
        judged.probabilities,
        judged.pairs.same,
        groups.codes[judged.pairs.left],
        groups.codes[judged.pairs.right],
        groups.names,
        samples=_SAMPLES if draw is None else 2,
        seed=seed,
    )


def _print(output: Output, side: str, result: "Verification", top: int) -> None:
    output.line(f"\n{side} artists: {result.pairs:,} pairs of works by {result.artists:,} artists")
    output.table(
        ["figure", ">value", "95 % interval"],
        [
            [name, f"{value:.3f}", interval(*result.intervals[name]) if result.intervals else ""]
            for name, value in result.figures.items()
        ],
    )
    (true_negative, false_positive), (false_negative, true_positive) = result.confusion.tolist()
    output.table(
        ["", ">taken for two", ">taken for one"],
        [
            ["by two artists", f"{true_negative:,}", f"{false_positive:,}"],
            ["by one artist", f"{false_negative:,}", f"{true_positive:,}"],
        ],
    )
    hardest = sorted(
        (score for score in result.per_artist if score.same),
        key=lambda score: (score.recognised + score.told_apart, score.label),
    )[:top]
    output.line("the hardest artists")
    output.table(
        ["artist", ">pairs by one", ">recognised", ">pairs by two", ">told apart"],
        [
            [
                score.label,
                f"{score.same:,}",
                f"{score.recognised:.0%}",
                f"{score.other:,}",
                f"{score.told_apart:.0%}",
            ]
            for score in hardest
        ],
    )
    output.note(_MEANING[side])
