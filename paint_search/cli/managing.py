"""``info``, ``list``, ``remove``, ``export``, ``compress``, ``copy``: an index seen or changed."""

import dataclasses
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from paint_search.cli.output import (
    CsvOption,
    Exit,
    Opening,
    Output,
    WhereOption,
    Works,
    command,
    shows_steps,
)
from paint_search.errors import counted

SelectionOption = Annotated[
    str | None, typer.Option(metavar="NAME", help="Only works of a selection that was saved.")
]

if TYPE_CHECKING:
    from paint_search.index.compression import CompressSummary
    from paint_search.index.info import IndexInfo


@command
def info(*, table: CsvOption = None, index: Opening, output: Output) -> Exit:
    """Say what an index holds, how it was made and how it is searched.

    Of a server, also which nodes answer and which copies of its shards are active; where one is
    dead, or a node cannot be reached, the exit code is 3.

    Example: `paint-search info`
    """
    from paint_search.index.paths import NOWHERE

    with index.open() as collection:
        facts = collection.info()
    manifest = facts.manifest
    output.json(dataclasses.asdict(facts) | {"faults": facts.faults})
    backbone, engine, background = manifest.backbone, manifest.engine, manifest.background
    compression = manifest.compression
    dimensions = manifest.dimensions | {"full": backbone.dimension}
    vectors = ", ".join(
        f"{name}: {dimensions[name]} dimensions, {size / 1e6:.1f} MB"
        for name, size in facts.vector_bytes.items()
    )
    where = "on disk" if manifest.store.embedded else "in this folder, all else on the server"
    selections = ", ".join(f"{name} ({works})" for name, works in facts.selections.items())
    pictures = f"below {facts.root}"
    if facts.root == NOWHERE:
        pictures = "whose pictures are not on this machine (--images)"
    rows = [
        ("index", str(facts.folder)),
        ("paintings", f"{facts.paintings:,} {pictures}"),
        ("skipped", counted(facts.skipped, "file")),
        *([("selections", selections)] if facts.selections else []),
        *([("borders", f"cut off {counted(facts.trimmed, 'painting')}")] if facts.trimmed else []),
        ("labels", manifest.table or manifest.labels),
        ("fields", ", ".join(f"{name} ({count:,})" for name, count in facts.fields.items())),
        ("backbone", f"{backbone.name}, {backbone.dimension} dimensions"),
        ("weights", f"{backbone.weights} ({backbone.fingerprint[:16]})"),
        ("preprocessing", backbone.preprocessing.describe()),
        ("engine", engine.describe() if engine else "a formula"),
        ("vectors", vectors),
        *([("details", _details(facts))] if facts.details[0] else []),
        *([("compressor", compression.describe())] if compression else []),
        *([("drift", compression.describe_drift())] if compression else []),
        ("store", str(manifest.store)),
        *_nodes(facts),
        ("search", _search(facts)),
        ("scores", background.describe() if background else "too few labels to say"),
        ("size", f"{facts.bytes_on_disk / 1e6:.1f} MB {where}"),
        ("made", f"{manifest.created} with paint-search {manifest.made_with}"),
    ]
    output.csv(table, [{"what": name, "is": value} for name, value in rows])
    output.table(["", ""], rows)
    if facts.ways:
        output.line("")
        output.table(
            ["way to search", ">median", ">recall@10"],
            [[way.name, f"{way.milliseconds:.2f} ms", _recall(way.recall)] for way in facts.ways],
        )
    for fault in facts.faults:
        output.line(fault)
    return Exit.SOME_SKIPPED if facts.faults else Exit.DONE


def _details(facts: "IndexInfo") -> str:
    count, size = facts.details
    return f"of {counted(count, 'painting')}, {size / 1e6:.1f} MB"


@command
def list_paintings(
    *,
    works: Works,
    selection: SelectionOption = None,
    table: CsvOption = None,
    index: Opening,
    output: Output,
) -> None:
    """List the paintings of an index, or of a selection, in its order.

    Example: `paint-search list --where movement=Cubism --where year=1907..1914`
    """
    with index.open() as collection:
        conditions = works.conditions
        paintings = sorted(collection.paintings(conditions), key=lambda painting: painting.path)
        if selection is not None:
            met = {painting.id for painting in paintings}
            ordered = collection.selected(selection)
            paintings = [one for one in ordered if not conditions or one.id in met]
    told = [painting.to_dict() for painting in paintings]
    output.csv(table, told, "id", "path")
    output.json({"paintings": told})
    names = ("artist", "title", "year", "movement", "path")
    rows = [[str(painting.get(name, "")) for name in names] for painting in told]
    shown = [i for i, name in enumerate(names) if any(row[i] for row in rows)]
    output.table([names[i] for i in shown], [[row[i] for i in shown] for row in rows])
    output.note(counted(len(paintings), "painting"))


@command
def remove(
    *,
    paintings: Annotated[
        list[str] | None, typer.Argument(metavar="[PAINTING]...", help="Indexed paths or ids.")
    ] = None,
    where: WhereOption = None,
    index: Opening,
    output: Output,
) -> None:
    """Take paintings out of an index; no file is deleted, and indexing again brings them back.

    Example: `paint-search remove --where genre=sketch`
    """
    with index.open() as collection:
        count = collection.remove(*(paintings or ()), where=Works(where).conditions)
    output.json({"removed": count})
    output.line(f"{counted(count, 'painting')} removed from the index; no file was touched")


@command
def export(
    *,
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The file to write.")],
    to: Annotated[
        str,
        typer.Option(
            help="faiss or npy (and a CSV of labels beside it), parquet, or csv (labels only)."
        ),
    ] = "npy",
    works: Works,
    selection: SelectionOption = None,
    index: Opening,
    output: Output,
) -> None:
    """Write vectors and labels in a form that other tools read.

    Example: `paint-search export paintings.parquet --to parquet`
    """
    with index.open() as collection:
        files, count = collection.export(out, to, works.conditions, selection)
    output.json({"files": [str(file) for file in files], "paintings": count})
    output.line(f"{counted(count, 'painting')} written to {' and '.join(map(str, files))}")


@command
def compress(
    *,
    method: Annotated[
        str,
        typer.Option(
            help="pca, autoencoder, siamese (learns from --label), convolutional, "
            "convolutional-plain (as published), or auto: fit pca and autoencoder (convolutional "
            "for very long vectors), keep the best."
        ),
    ] = "auto",
    dims: Annotated[
        int, typer.Option(min=1, help="Length of the compact vectors; 64 to 320 are usual.")
    ] = 128,
    label: Annotated[
        str | None,
        typer.Option(
            metavar="FIELD",
            help="What siamese brings together: works of one artist, movement, ...  "
            "[default: artist]",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the fit, and of which paintings are held out.")] = 0,
    drop_full: Annotated[
        bool,
        typer.Option(
            "--drop-full",
            help="Keep compact vectors alone, to save space; what it costs is said first.",
        ),
    ] = False,
    keep: Annotated[
        float,
        typer.Option(
            min=0,
            metavar="SECONDS",
            help="How long a server keeps the vectors of before, for those who are reading them.",
        ),
    ] = 600.0,
    table: CsvOption = None,
    index: Opening,
    output: Output,
) -> None:
    """Shorten the vectors of an index, and search it in two steps from then on.

    Learns from four fifths of the artists and measures on the others what is kept. Paintings that
    are indexed later are shortened too. Run it again for another method or size.

    Example: `paint-search compress --method pca --dims 128`
    """
    with index.open() as collection, shows_steps(output) as report:
        summary = collection.compress(
            method,
            dims,
            seed=seed,
            drop_full=drop_full,
            keep=keep,
            label=label,
            report=report,
            note=output.note,
        )
    rows = [
        {"method": trial.method, "kept": trial.method == summary.compression.method}
        | {f"recall@{k}": trial.recall.get(k) for k in summary.compression.recall}
        | {"fit_seconds": trial.seconds, "refused": trial.refused}
        for trial in summary.trials
    ]
    output.csv(table, rows)
    output.json(dataclasses.asdict(summary))
    _print_compression(output, summary)


@command
def copy(
    *,
    to: Annotated[
        str,
        typer.Option(
            help="Where the vectors of the copy go: edge, faiss, qdrant://HOST:6334/COLLECTION, "
            "or qdrants:// for TLS; a server that you name is one that you trust, from then on."
        ),
    ],
    folder: Annotated[
        Path | None,
        typer.Option(
            "--into",
            help="Index folder of the copy.  [default: the index folder's name and the store's]",
        ),
    ] = None,
    index: Opening,
    output: Output,
) -> None:
    """Copy an index into another store: vectors, labels and compressor; nothing is embedded again.

    The copy is an index of its own and the old one stays as it is. Interrupted, the same command
    goes on; at the end everything is read back and compared.

    Example: `paint-search copy --to qdrant://localhost:6334/paintings`
    """
    with index.open() as collection, shows_steps(output) as report:
        summary = collection.copy(to, folder, report=report)
    output.json(dataclasses.asdict(summary))
    output.line(
        f"{counted(summary.paintings, 'painting')} copied to {summary.store} "
        f"({summary.written:,} written), read back and compared: labels are the same (SHA-256 "
        f"{summary.checksum[:16]}), numbers "
        f"of vectors differ by at most {summary.difference:.5f}"
    )
    output.note(f"the copy is {summary.folder}: use it with --index, or move it in place")


def _nodes(facts: "IndexInfo") -> list[tuple[str, str]]:
    """Say of a server which nodes answer, and what has become of the copies."""
    if not facts.nodes:
        return []
    copies = [copy for node in facts.nodes for copy in node.copies]
    states = Counter(copy.state.lower() for copy in copies)
    told = ", ".join(f"{count} {state}" for state, count in states.most_common())
    shards = counted(len({copy.shard for copy in copies}), "shard")
    nodes = ", ".join(
        node.address
        if node.peer and node.address
        else f"{node.address} (no answer)"
        if node.address
        else f"{node.peer} (as others say)"
        for node in facts.nodes
    )
    return [
        ("nodes", nodes),
        ("copies", f"{counted(len(copies), 'copy', 'copies')} of {shards}: {told}"),
    ]


def _recall(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


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


def _print_compression(output: Output, summary: "CompressSummary") -> None:
    compression = summary.compression
    chosen = compression.method
    output.table(
        ["method", *(f">recall@{k}" for k in compression.recall), ">fit", ""],
        [
            [
                trial.method,
                *(_recall(trial.recall.get(k)) for k in compression.recall),
                f"{trial.seconds:.1f} s" if trial.recall else "",
                trial.refused or ("kept" if trial.method == chosen else ""),
            ]
            for trial in summary.trials
        ],
    )
    output.note(
        "recall@k: share of the k nearest by full vectors that compact ones keep, among "
        f"{compression.held_out.count:,} paintings held out from the fit"
    )
    sizes = f"{summary.bytes_after / 1e6:.1f} MB, {summary.bytes_before / 1e6:.1f} MB before"
    output.line(
        f"{summary.paintings:,} paintings have compact vectors of {compression.dims} dimensions "
        f"({chosen}), made in {summary.seconds:.1f} s; all vectors take {sizes}"
    )
    if (told := compression.told) is not None:
        # What a method that learned from labels is for, and what that means for searches.
        output.table(
            ["on the same paintings", f">AUC, same {told.label}", ">mAP@10"],
            [
                ["compact vectors", f"{told.auc:.3f}", f"{told.map_at_10:.3f}"],
                ["full vectors", f"{told.auc_full:.3f}", f"{told.map_at_10_full:.3f}"],
            ],
        )
        output.line(
            f"these vectors bring works of one {told.label} together on purpose, so searches and "
            "studies take scores from them alone; compress with another method to go back"
        )
    if compression.two_step_recall is not None:
        output.line(
            f"searches take {compression.oversampling} times as many candidates from them as hits "
            "are wanted and rank those by full vectors: recall@10 "
            f"{compression.two_step_recall:.3f}"
        )
