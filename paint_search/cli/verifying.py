"""``verify``: whether one artist made two paintings, how sure that is, and what says so."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from paint_search.cli.output import (
    IndexOption,
    JsonOption,
    Output,
    QuietOption,
    reports_errors,
)

if TYPE_CHECKING:
    from paint_search.index.verification import Verdict
    from paint_search.painting import Painting

_IMAGE = "An image file, an indexed path or an id."


@reports_errors
def verify(
    one: Annotated[str, typer.Argument(metavar="PAINTING", help=_IMAGE)],
    other: Annotated[str, typer.Argument(metavar="PAINTING", help="Another.")],
    sheet: Annotated[
        Path | None,
        typer.Option(
            help="Draw both, and the pairs they compare with (JPEG or PNG).", show_default=False
        ),
    ] = None,
    index: IndexOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Say how likely one artist made both paintings.

    The probability is calibrated on pairs of indexed works by artists that nothing was learned
    from, half of them by one artist; the first run takes a while for that, later ones reuse it.
    Where the paintings are unlike all that was calibrated on, or the odds near even, it says so.

    Example: `paint-search verify a.jpg b.jpg`
    """
    from paint_search.index.index import Index

    output = Output(as_json=as_json, quiet=quiet)
    with Index.open(index) as collection:
        verdict = collection.verifier(output.note).verify(one, other)
        files = [collection.locate_query(query) for query in (one, other)]
        pairs = [
            (collection.locate(pair.one), collection.locate(pair.other))
            for pair in verdict.references
        ]
    if sheet:
        from paint_search.report import write_pairs

        write_pairs(sheet, (files[0], files[1]), verdict, pairs)
        output.note(f"wrote {sheet}")
    output.json(verdict.to_dict())
    _print(output, verdict)


def _print(output: Output, verdict: "Verdict") -> None:
    from paint_search.index.verification import write_probability

    output.line(verdict.describe())
    if verdict.references:
        output.line("\npairs of this index that are given about the same probability")
        output.table(
            [">probability", "by", "one", "other"],
            [
                [
                    write_probability(pair.probability),
                    "one artist" if pair.same else "two artists",
                    _name(pair.one),
                    _name(pair.other),
                ]
                for pair in verdict.references
            ],
        )
    output.note(
        f"probability: that one artist made both, if half of all pairs asked about are by one; "
        f"calibrated on {verdict.pairs:,} pairs of works by {verdict.artists:,} artists that "
        "nothing was learned from. How good it is: paint-search eval verify"
    )


def _name(painting: "Painting") -> str:
    return f"{painting.artist}: {painting.title or painting.path}"
