"""``similar`` and ``verify``: what is like a painting, and whether one artist made two."""

import csv
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import paint_search
from paint_search.cli.output import IndexOption, Output, Works, command
from paint_search.errors import UsageError

if TYPE_CHECKING:
    from paint_search.index.verification import Verdict
    from paint_search.painting import Hit, Painting
    from paint_search.search.background import Background

_IMAGE = "An image file, an indexed path or an id."


@command
def similar(
    *,
    queries: Annotated[
        list[str],
        typer.Argument(
            metavar="PAINTING...", help="Image files, indexed paths or ids; several are averaged."
        ),
    ],
    k: Annotated[int, typer.Option("-k", help="How many hits.")] = 10,
    unlike: Annotated[
        list[str] | None, typer.Option(help="A painting to move away from; may be repeated.")
    ] = None,
    works: Works,
    min_score: Annotated[float, typer.Option(help="Least cosine, -1 to 1.")] = -1.0,
    spread: Annotated[
        float, typer.Option(help="0 for the nearest, up to 1 for variety among the hits.")
    ] = 0.0,
    exact: Annotated[
        bool, typer.Option("--exact", help="Compare with every painting, however many.")
    ] = False,
    compact_only: Annotated[
        bool,
        typer.Option("--compact-only", help="Compare compact vectors alone, after `compress`."),
    ] = False,
    sheet: Annotated[Path | None, typer.Option(help="Write a contact sheet (JPEG or PNG).")] = None,
    html: Annotated[Path | None, typer.Option(help="Write a page that opens anywhere.")] = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV, for machines.")] = False,
    index: IndexOption = None,
    output: Output,
) -> None:
    """Find the paintings most like one or more others.

    Example: `paint-search similar query.jpg -k 24 --not artist="Claude Monet" --sheet hits.jpg`
    """
    if as_csv and output.as_json:
        raise UsageError("give either --json or --csv, not both")
    output = replace(output, quiet=output.quiet or as_csv)
    with paint_search.Index.open(index) as collection:
        hits = collection.recommend(
            queries,
            unlike or (),
            k,
            where=works.conditions,
            min_score=min_score,
            spread=spread,
            exact=exact,
            compact_only=compact_only,
        )
        manifest = collection.manifest
        background = manifest.background_of("compact" if compact_only else manifest.searched)
        files = [collection.locate(hit.painting) for hit in hits]
        examples = [collection.locate_query(query) for query in queries]
    if sheet or html:
        from paint_search.report import write_hits, write_sheet

        for file, write in ((sheet, write_sheet), (html, write_hits)):
            if file is not None:
                write(file, examples, hits, files)
                output.note(f"wrote {file}")
    if as_csv:
        rows = [hit.to_dict() | {"copies": len(hit.copies)} for hit in hits]
        columns = list(dict.fromkeys(name for row in rows for name in row))
        names = columns or ["rank", "score", "path"]
        writer = csv.DictWriter(sys.stdout, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    output.json({"hits": [hit.to_dict() for hit in hits]})
    print_hits(output, hits, background)


@command
def verify(
    *,
    one: Annotated[str, typer.Argument(metavar="PAINTING", help=_IMAGE)],
    other: Annotated[str, typer.Argument(metavar="PAINTING", help="Another.")],
    sheet: Annotated[
        Path | None, typer.Option(help="Draw both, and the pairs they compare with (JPEG or PNG).")
    ] = None,
    index: IndexOption = None,
    output: Output,
) -> None:
    """Say how likely one artist made both paintings.

    The probability is calibrated on pairs of indexed works by artists that nothing was learned
    from, half of them by one artist; the first run takes a while for that, later ones reuse it.
    Where the paintings are unlike all that was calibrated on, or the odds near even, it says so.

    Example: `paint-search verify a.jpg b.jpg`
    """
    with paint_search.Index.open(index) as collection:
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
    _print_verdict(output, verdict)


def print_hits(output: Output, hits: "Sequence[Hit]", background: "Background | None") -> None:
    """Print hits as a table, with what scores usually are below it."""
    if not hits:
        output.line("no painting meets these conditions")
        return
    output.table(
        [">rank", ">score", ">one artist", ">two artists", "artist", "title", "path"],
        [
            [
                str(hit.rank),
                f"{hit.score:.3f}",
                _percent(hit.above_same_artist),
                _percent(hit.above_other_artists),
                hit.painting.artist or "",
                hit.painting.title or "",
                hit.painting.path + (f"  +{len(hit.copies)} copies" if hit.copies else ""),
            ]
            for hit in hits
        ],
    )
    if background is not None:
        output.note(
            "score: cosine. one artist, two artists: share of such pairs in this index that are "
            f"less alike.\n{background.describe()}"
        )


def _percent(share: float | None) -> str:
    return "" if share is None else f"{share:.1%}"


def _print_verdict(output: Output, verdict: "Verdict") -> None:
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
