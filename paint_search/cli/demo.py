"""``demo``: paint a small corpus by code, index it, look for neighbours, leave a contact sheet."""

from pathlib import Path
from typing import Annotated

import typer

import paint_search
from paint_search.cli.output import CsvOption, Output, command, shows_steps
from paint_search.errors import UsageError, counted

#: Each corpus, and how many works there are of each painter, or of ink in all.
_CORPORA = {"painters": 12, "ink": 600}


@command
def demo(
    *,
    folder: Annotated[
        Path, typer.Argument(help="Folder to make; nothing in it is overwritten.", metavar="FOLDER")
    ] = Path("demo"),
    corpus: Annotated[
        str,
        typer.Option(
            help="painters: 120 pictures by ten invented painters; ink: 600 works of brush strokes "
            "on paper, with a table of their shapes, eyes and strokes."
        ),
    ] = "painters",
    works: Annotated[
        int | None,
        typer.Option(
            min=1, help="How many: by each painter, or of ink in all.  [default: 12, or 600 of ink]"
        ),
    ] = None,
    table: CsvOption = None,
    output: Output,
) -> None:
    """Paint a corpus, index it, and find the nearest of one painting.

    Example: `paint-search demo ./demo`
    """
    from paint_search.cli.asking import print_hits, write_hits_csv
    from paint_search.report import Asked, write_sheet

    if corpus not in _CORPORA:
        raise UsageError(f"unknown --corpus {corpus!r}: use {' or '.join(_CORPORA)}")
    if folder.exists() and any(folder.iterdir()):
        raise UsageError(f"{folder} is not empty; name another folder for the demo")
    backbone = "ink" if corpus == "ink" else "builtin"
    labels = _paint(corpus, works or _CORPORA[corpus], folder / "paintings", output)
    with paint_search.Index.create(
        folder / "paintings", folder / ".paint-search", backbone=backbone
    ) as index:
        summary = index.add(table=labels)
        output.line(f"indexed {counted(len(index), 'painting')} in {summary.seconds:.1f} s")
        query = min(index.paintings(), key=lambda painting: painting.path)
        hits = index.similar(query.path, k=11)
        files = [index.locate(hit.painting) for hit in hits]
        background = index.manifest.background
        sheet = folder / "hits.jpg"
        write_sheet(sheet, [Asked(index.locate(query), query.path, query)], hits, files)
    write_hits_csv(output, table, hits)
    output.json({"query": query.to_dict(), "hits": [hit.to_dict() for hit in hits]})
    output.line(f"the paintings most like {query.path}:")
    print_hits(output, hits, background)
    output.line(f"contact sheet: {sheet}")
    further = "eval classify --label shape" if corpus == "ink" else "similar PAINTING"
    output.line(f"go on: cd {folder} && paint-search {further}, or paint-search info")


def _paint(corpus: str, works: int, folder: Path, output: Output) -> Path:
    """Paint the corpus and return its table."""
    if corpus == "ink":
        from paint_search.demo import paint_ink_corpus
        from paint_search.studies.result import counting

        output.note(f"painting {counted(works, 'work')} of ink on paper ...")
        with shows_steps(output, "works") as report:
            return paint_ink_corpus(folder, works, done=counting(report, "painting", works))
    from paint_search.demo import PAINTERS, paint_corpus

    output.note(f"painting {works * len(PAINTERS)} pictures by ten invented painters ...")
    return paint_corpus(folder, works)
