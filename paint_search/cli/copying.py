"""``copy``: the same index with its points in another store."""

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from paint_search.cli.output import (
    IndexOption,
    JsonOption,
    Output,
    QuietOption,
    reports_errors,
    shows_steps,
)


@reports_errors
def copy(
    to: Annotated[
        str,
        typer.Option(
            help="Where the vectors of the copy go: edge, faiss, qdrant://HOST:6334/COLLECTION, "
            "or qdrants:// for TLS."
        ),
    ],
    folder: Annotated[
        Path | None,
        typer.Option(
            "--into",
            help="Index folder of the copy.  [default: the index folder's name and the store's]",
            show_default=False,
        ),
    ] = None,
    index: IndexOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Copy an index into another store: vectors, labels and compressor; nothing is embedded again.

    The copy is an index of its own and the old one stays as it is. Interrupted, the same command
    goes on; at the end everything is read back and compared.

    Example: `paint-search copy --to qdrant://localhost:6334/paintings`
    """
    from paint_search.index.index import Index

    output = Output(as_json=as_json, quiet=quiet)
    with Index.open(index) as collection, shows_steps(output) as report:
        summary = collection.copy(to, folder, report=report)
    output.json(dataclasses.asdict(summary))
    output.line(
        f"{summary.paintings:,} paintings copied to {summary.store} ({summary.written:,} written), "
        f"read back and compared: labels are the same (SHA-256 {summary.checksum[:16]}), numbers "
        f"of vectors differ by at most {summary.difference:.5f}"
    )
    output.note(f"the copy is {summary.folder}: use it with --index, or move it in place")
