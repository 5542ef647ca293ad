"""``similar``, ``verify``, ``explain``: what is like a painting, did one hand make two, and why."""

import os
import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import unquote, urlsplit

import typer

import paint_search
from paint_search.cli.output import (
    CsvOption,
    Opening,
    Output,
    PageOption,
    SheetOption,
    Works,
    command,
)
from paint_search.errors import UsageError, counted, readable

if TYPE_CHECKING:
    from paint_search.index.verification import Verdict
    from paint_search.painting import Hit, Painting
    from paint_search.report import Asked
    from paint_search.search.background import Background

_IMAGE = "An image file, an indexed path or an id."
BoxOption = Annotated[
    Any,
    typer.Option(
        parser=lambda text: _box(text),
        metavar="X,Y,W,H",
        help="Look for this part of the one painting within the others: left, top, width and "
        "height in pixels of the picture as shown. Needs `paint-search index --details`.",
    ),
]
FetchOption = Annotated[
    bool, typer.Option("--fetch", help="Fetch paintings that are given as http(s) addresses.")
]


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
    box: BoxOption = None,
    fetch: FetchOption = False,
    sheet: SheetOption = None,
    html: PageOption = None,
    table: CsvOption = None,
    index: Opening,
    output: Output,
) -> None:
    """Find the paintings most like one or more others.

    Example: `paint-search similar query.jpg -k 24 --not artist="Claude Monet" --sheet hits.jpg`
    """
    like = [(query, _picture(query, fetch)) for query in queries]
    other = [(query, _picture(query, fetch)) for query in unlike or ()]
    with index.open() as collection:
        hits = collection.recommend(
            [picture for _, picture in like],
            [picture for _, picture in other],
            k,
            where=works.conditions,
            min_score=min_score,
            spread=spread,
            exact=exact,
            compact_only=compact_only,
            box=box,
        )
        manifest = collection.manifest
        background = None
        if box is None:
            background = manifest.background_of("compact" if compact_only else manifest.searched)
        else:
            from paint_search.index.details import size_of

            built, total = size_of(collection.folder)[0], len(collection)
            if built < total:
                output.note(f"details of {built:,} of {counted(total, 'painting')} were searched")
        files = [collection.locate(hit.painting) for hit in hits]
        asked = []
        if sheet or html:
            asked += [_asked(collection, *query)._replace(box=box) for query in like]
            asked += [_asked(collection, *query)._replace(kind="unlike") for query in other]
    if sheet or html:
        from paint_search.report import write_hits, write_sheet

        for file, write in ((sheet, write_sheet), (html, write_hits)):
            if file is not None:
                write(file, asked, hits, files)
                output.note(f"wrote {file}")
    write_hits_csv(output, table, hits)
    output.json({"hits": [hit.to_dict() for hit in hits]})
    print_hits(output, hits, background)


@command
def verify(
    *,
    one: Annotated[str, typer.Argument(metavar="PAINTING", help=_IMAGE)],
    other: Annotated[str, typer.Argument(metavar="PAINTING", help="Another.")],
    fetch: FetchOption = False,
    sheet: SheetOption = None,
    table: CsvOption = None,
    index: Opening,
    output: Output,
) -> None:
    """Say how likely one artist made both paintings.

    The probability is calibrated on pairs of indexed works by artists that nothing was learned
    from, half of them by one artist; the first run takes a while for that, later ones reuse it.
    Where the paintings are unlike all that was calibrated on, or the odds near even, it says so.

    Example: `paint-search verify a.jpg b.jpg`
    """
    both = [(query, _picture(query, fetch)) for query in (one, other)]
    with index.open() as collection:
        verdict = collection.verifier(output.note).verify(both[0][1], both[1][1])
        asked = [_asked(collection, *query) for query in both] if sheet else []
        pairs = [
            (collection.locate(pair.one), collection.locate(pair.other))
            for pair in verdict.references
        ]
    if sheet:
        from paint_search.report import write_pairs

        write_pairs(sheet, asked, verdict, pairs)
        output.note(f"wrote {sheet}")
    rows = [
        {
            "probability": pair.probability,
            "same": pair.same,
            **{f"one_{name}": value for name, value in pair.one.to_dict().items()},
            **{f"other_{name}": value for name, value in pair.other.to_dict().items()},
        }
        for pair in verdict.references
    ]
    output.csv(table, rows, "probability", "same")
    output.json(verdict.to_dict())
    _print_verdict(output, verdict)


@command
def explain(
    *,
    one: Annotated[str, typer.Argument(metavar="PAINTING", help=_IMAGE)],
    other: Annotated[str, typer.Argument(metavar="PAINTING", help="Another.")],
    fetch: FetchOption = False,
    html: PageOption = None,
    index: Opening,
    output: Output,
) -> None:
    """Say why two paintings match: which places of both, and which properties, make up their score.

    Each part is exact, and they add up to the cosine. Two works by two artists, picked at random,
    stand beside them: any two have places that match best. The page shows where they are.

    Example: `paint-search explain a.jpg b.jpg --html why.html`
    """
    both = [_picture(query, fetch) for query in (one, other)]
    with index.open() as collection:
        found = collection.explain(both[0], both[1])
        files = [one if isinstance(one, bytes) else collection.locate_query(one) for one in both]
        if found.random is not None:
            sides = (found.random.one, found.random.other)
            files += [collection.locate(side.painting) for side in sides if side.painting]
    if html:
        from paint_search.report import write_explanation

        write_explanation(html, found, files)
        output.note(f"wrote {html}")
    output.json(found.to_dict())
    for sentence in found.text:
        output.line(sentence)


def _box(text: str) -> tuple[int, ...]:
    """Read a box; what is none is refused where it is known how large the picture is."""
    try:
        x, y, width, height = (int(side) for side in text.split(","))
    except ValueError:
        raise typer.BadParameter(
            f"{text!r}: give left, top, width and height in whole pixels, such as 120,80,200,160"
        ) from None
    return x, y, width, height


def _picture(query: str, fetch: bool) -> str | bytes:
    """Return a query as ``Index.similar`` takes it: of an address the picture there.

    Raises:
        UsageError: an address, and nothing is to be fetched.
        PaintSearchError: it cannot be had.
    """
    if not re.match(r"[a-z][a-z0-9+.-]*://", query, re.IGNORECASE):
        return os.path.expanduser(query)  # noqa: PTH111 - as in all paths, see output.py
    if not fetch:
        raise UsageError(f"{query} is an address; --fetch fetches the picture there")
    from paint_search.indexer.images.fetch import fetch as read

    return read(query)


def _asked(collection: "paint_search.Index", query: str, picture: str | bytes) -> "Asked":
    """Return what is shown of a query."""
    from paint_search.report import Asked

    if isinstance(picture, bytes):
        return Asked(picture, readable(unquote(PurePosixPath(urlsplit(query).path).stem)) or query)
    file = collection.locate_query(picture)
    known = collection.get(picture) if picture in collection else None
    return Asked(file, readable(file.stem), known)


def write_hits_csv(output: Output, file: Path | None, hits: "Sequence[Hit]") -> None:
    """Write hits as CSV, if that was asked for."""
    rows = [hit.to_dict() | {"copies": len(hit.copies), "box": _written(hit.box)} for hit in hits]
    output.csv(file, rows, "rank", "score", "path")


def print_hits(output: Output, hits: "Sequence[Hit]", background: "Background | None") -> None:
    """Print hits as a table, with what scores usually are below it."""
    if not hits:
        output.line("no painting meets these conditions")
        return
    boxed = any(hit.box for hit in hits)
    columns = [">box"] if boxed else [">one artist", ">two artists"]
    output.table(
        [">rank", ">score", *columns, "artist", "title", "path"],
        [
            [
                str(hit.rank),
                f"{hit.score:.3f}",
                *(
                    [_written(hit.box)]
                    if boxed
                    else [_percent(hit.above_same_artist), _percent(hit.above_other_artists)]
                ),
                hit.painting.artist or "",
                hit.painting.title or "",
                hit.painting.path + hit.and_copies,
            ]
            for hit in hits
        ],
    )
    if boxed:
        output.note(
            "score: mean cosine of the places of the detail, where it lies best; box: left, top, "
            "width and height in pixels."
        )
    if background is not None:
        output.note(
            "score: cosine. one artist, two artists: share of such pairs in this index that are "
            "less alike."
        )
        output.note(background.describe())


def _written(box: tuple[int, int, int, int] | None) -> str:
    return "" if box is None else ",".join(map(str, box))


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
