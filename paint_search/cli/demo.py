"""``demo``: paint a small corpus by code, index it, look for neighbours, leave a contact sheet."""

from pathlib import Path
from typing import Annotated

import typer

from paint_search.cli.output import JsonOption, Output, QuietOption, reports_errors


@reports_errors
def demo(
    folder: Annotated[
        Path, typer.Argument(help="Folder to make; nothing in it is overwritten.", metavar="FOLDER")
    ] = Path("demo"),
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Paint 120 pictures by ten invented painters, index them, and find the nearest of one.

    Example: `paint-search demo ./demo`
    """
    from paint_search.cli.similar import print_hits
    from paint_search.demo import paint_corpus
    from paint_search.errors import UsageError
    from paint_search.gallery import write_sheet
    from paint_search.index import Index

    if folder.exists() and any(folder.iterdir()):
        raise UsageError(f"{folder} is not empty; name another folder for the demo")
    output = Output(as_json=as_json, quiet=quiet)
    output.note("painting 120 pictures by ten invented painters ...")
    table = paint_corpus(folder / "paintings")
    with Index.create(folder / "paintings", folder / ".paint-search", backbone="builtin") as index:
        summary = index.add(table=table)
        output.line(f"indexed {len(index)} paintings in {summary.seconds:.1f} s")
        query = min(index.paintings(), key=lambda painting: painting.path)
        hits = index.similar(query.path, k=11)
        files = [index.locate(hit.painting) for hit in hits]
        background = index.manifest.background
        sheet = folder / "hits.jpg"
        write_sheet(sheet, [index.locate(query)], hits, files)
    output.json({"query": query.to_dict(), "hits": [hit.to_dict() for hit in hits]})
    output.line(f"the paintings most like {query.path}:")
    print_hits(output, hits, background)
    output.line(f"contact sheet: {sheet}")
    output.line(f"go on: cd {folder} && paint-search similar PAINTING, or paint-search info")
