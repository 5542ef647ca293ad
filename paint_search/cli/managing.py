"""``info``, ``list``, ``remove`` and ``export``: what is in an index, and taking it out."""

import dataclasses
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
    from paint_search.index.info import IndexInfo


@reports_errors
def info(
    index: IndexOption = None, as_json: JsonOption = False, quiet: QuietOption = False
) -> None:
    """Say what an index holds, how it was made and how it is searched.

    Example: `paint-search info`
    """
    from paint_search.index.index import Index

    output = Output(as_json=as_json, quiet=quiet)
    with Index.open(index) as collection:
        facts = collection.info()
    manifest = facts.manifest
    output.json(dataclasses.asdict(facts))
    backbone, engine, background = manifest.backbone, manifest.engine, manifest.background
    rows = [
        ("index", str(facts.folder)),
        ("paintings", f"{facts.paintings:,} below {facts.root}"),
        ("skipped", f"{facts.skipped:,} files"),
        ("labels", manifest.table or manifest.labels),
        ("fields", ", ".join(f"{name} ({count:,})" for name, count in facts.fields.items())),
        ("backbone", f"{backbone.name}, {backbone.dimension} dimensions"),
        ("weights", f"{backbone.weights} ({backbone.fingerprint[:16]})"),
        ("preprocessing", backbone.preprocessing.describe()),
        ("engine", engine.describe() if engine else "built in"),
        ("vectors", _sizes(facts)),
        *_compression(facts),
        ("store", str(manifest.store)),
        ("search", _search(facts)),
        ("scores", background.describe() if background else "too few labels to say"),
        ("size", _size(facts)),
        ("made", f"{manifest.created} with paint-search {manifest.made_with}"),
    ]
    output.table(["", ""], [list(row) for row in rows])
    if facts.ways:
        output.line("")
        output.table(
            ["way to search", ">median", ">recall@10"],
            [
                [
                    way.name,
                    f"{way.milliseconds:.2f} ms",
                    "" if way.recall is None else f"{way.recall:.3f}",
                ]
                for way in facts.ways
            ],
        )


@reports_errors
def list_paintings(
    where: WhereOption = None,
    exclude: NotOption = None,
    index: IndexOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """List the paintings of an index.

    Example: `paint-search list --where movement=Cubism --where year=1907..1914`
    """
    from paint_search.index.index import Index
    from paint_search.search.filters import parse_filter

    output = Output(as_json=as_json, quiet=quiet)
    with Index.open(index) as collection:
        conditions = parse_filter(where or (), exclude or ())
        paintings = sorted(collection.paintings(conditions), key=lambda painting: painting.path)
    output.json({"paintings": [painting.to_dict() for painting in paintings]})
    names = ("artist", "title", "year", "movement", "path")
    rows = [[str(painting.to_dict().get(name, "")) for name in names] for painting in paintings]
    shown = [i for i, name in enumerate(names) if any(row[i] for row in rows)]
    output.table([names[i] for i in shown], [[row[i] for i in shown] for row in rows])
    output.note(f"{len(paintings):,} paintings")


@reports_errors
def remove(
    paintings: Annotated[
        list[str] | None,
        typer.Argument(metavar="[PAINTING]...", help="Indexed paths or ids.", show_default=False),
    ] = None,
    where: WhereOption = None,
    index: IndexOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Take paintings out of an index; no file is deleted, and indexing again brings them back.

    Example: `paint-search remove --where genre=sketch`
    """
    from paint_search.index.index import Index
    from paint_search.search.filters import parse_filter

    output = Output(as_json=as_json, quiet=quiet)
    with Index.open(index) as collection:
        count = collection.remove(*(paintings or ()), where=parse_filter(where or ()))
    output.json({"removed": count})
    output.line(f"{count:,} paintings removed from the index; their files were not touched")


@reports_errors
def export(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The file to write.")],
    to: Annotated[
        str,
        typer.Option(
            help="faiss or npy (and a CSV of labels beside it), parquet, or csv (labels only)."
        ),
    ] = "npy",
    where: WhereOption = None,
    exclude: NotOption = None,
    index: IndexOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Write vectors and labels in a form that other tools read.

    Example: `paint-search export paintings.parquet --to parquet`
    """
    from paint_search.index.index import Index
    from paint_search.search.filters import parse_filter

    output = Output(as_json=as_json, quiet=quiet)
    with Index.open(index) as collection:
        files, count = collection.export(out, to, parse_filter(where or (), exclude or ()))
    output.json({"files": [str(file) for file in files], "paintings": count})
    output.line(f"{count:,} paintings written to {' and '.join(map(str, files))}")


def _sizes(facts: "IndexInfo") -> str:
    dimensions = facts.manifest.dimensions | {"full": facts.manifest.backbone.dimension}
    return ", ".join(
        f"{name}: {dimensions[name]} dimensions, {size / 1e6:.1f} MB"
        for name, size in facts.vector_bytes.items()
    )


def _size(facts: "IndexInfo") -> str:
    here = f"{facts.bytes_on_disk / 1e6:.1f} MB"
    if facts.manifest.store.embedded:
        return f"{here} on disk"
    return f"{here} in this folder, all else on the server"


def _compression(facts: "IndexInfo") -> list[tuple[str, str]]:
    compression = facts.manifest.compression
    if compression is None:
        return []
    return [("compressor", compression.describe()), ("drift", compression.describe_drift())]


def _search(facts: "IndexInfo") -> str:
    if facts.ways:
        return (
            "in two steps: compact vectors find, full ones rank; recall@10 against exact search "
            f"{facts.recall:.3f}; --exact for all"
        )
    if not facts.manifest.vectors:
        return "not yet: vectors this long must be compressed; run paint-search compress"
    if facts.recall is None:
        return facts.searched
    return f"{facts.searched}, recall@10 against exact search {facts.recall:.3f}; --exact for all"
