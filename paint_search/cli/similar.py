"""``similar``: the nearest paintings, as a table, a contact sheet, a page, JSON or CSV."""

import csv
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from paint_search.cli.output import (
    IndexOption,
    JsonOption,
    NotOption,
    Output,
    QuietOption,
    WhereOption,
    reports_errors,
)

if TYPE_CHECKING:
    from paint_search.painting import Hit
    from paint_search.search.background import Background


@reports_errors
def similar(
    queries: Annotated[
        list[str],
        typer.Argument(
            metavar="PAINTING...", help="Image files, indexed paths or ids; several are averaged."
        ),
    ],
    k: Annotated[int, typer.Option("-k", help="How many hits.")] = 10,
    unlike: Annotated[
        list[str] | None,
        typer.Option(help="A painting to move away from; may be repeated.", show_default=False),
    ] = None,
    where: WhereOption = None,
    exclude: NotOption = None,
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
    sheet: Annotated[
        Path | None, typer.Option(help="Write a contact sheet (JPEG or PNG).", show_default=False)
    ] = None,
    html: Annotated[
        Path | None, typer.Option(help="Write a page that opens anywhere.", show_default=False)
    ] = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV, for machines.")] = False,
    index: IndexOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Find the paintings most like one or more others.

    Example: `paint-search similar query.jpg -k 24 --not artist="Claude Monet" --sheet hits.jpg`
    """
    from paint_search.errors import UsageError
    from paint_search.index.index import Index
    from paint_search.search.filters import parse_filter

    if as_csv and as_json:
        raise UsageError("give either --json or --csv, not both")
    output = Output(as_json=as_json, quiet=quiet or as_csv)
    with Index.open(index) as collection:
        hits = collection.recommend(
            queries,
            unlike or (),
            k,
            where=parse_filter(where or (), exclude or ()),
            min_score=min_score,
            spread=spread,
            exact=exact,
            compact_only=compact_only,
        )
        background = collection.manifest.background
        files = [collection.locate(hit.painting) for hit in hits]
        examples = [collection.locate_query(query) for query in queries]
    if sheet or html:
        from paint_search.report import write_hits, write_sheet

        for file, write in ((sheet, write_sheet), (html, write_hits)):
            if file is not None:
                write(file, examples, hits, files)
                output.note(f"wrote {file}")
    if as_csv:
        _print_csv(hits)
    output.json({"hits": [hit.to_dict() for hit in hits]})
    print_hits(output, hits, background)


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


def _print_csv(hits: "Sequence[Hit]") -> None:
    rows = [hit.to_dict() | {"copies": len(hit.copies)} for hit in hits]
    columns = list(dict.fromkeys(name for row in rows for name in row))
    writer = csv.DictWriter(sys.stdout, columns or ["rank", "score", "path"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
