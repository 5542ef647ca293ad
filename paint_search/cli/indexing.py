"""``index`` and ``backbones``."""

import dataclasses
import itertools
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

import paint_search
from paint_search.cli.output import (
    CsvOption,
    Exit,
    Opening,
    Output,
    TableEncodingOption,
    command,
    shows_steps,
)
from paint_search.errors import IndexMissingError, UsageError, counted

_SHOWN = 3  # files of which a pattern's labels are shown


@command
def index(
    *,
    folder: Annotated[
        Path, typer.Argument(help="Folder of paintings, searched at any depth.", metavar="FOLDER")
    ],
    index: Opening,
    store: Annotated[
        str | None,
        typer.Option(
            help="Where vectors go: edge or faiss (in the index folder), "
            "qdrant://HOST:6334/COLLECTION, or qdrants:// for TLS; a server that you name is one "
            "that you trust, from then on.  "
            "[default: edge, or the index's]"
        ),
    ] = None,
    part: Annotated[
        str | None,
        typer.Option(
            metavar="N/OF",
            help="Index only this part of the files, such as 3/16, where machines share the work.",
        ),
    ] = None,
    backbone: Annotated[
        str | None,
        typer.Option(
            help="Model that turns pixels into vectors: auto, a name from `paint-search "
            "backbones`, or timm:NAME.  [default: auto, or the index's]"
        ),
    ] = None,
    weights: Annotated[
        Path | None, typer.Option(help="Weights file (.safetensors or .pth) of the backbone.")
    ] = None,
    fit: Annotated[
        str | None,
        typer.Option(help="How a painting is made square: crop, pad or squash.  [default: squash]"),
    ] = None,
    trim: Annotated[
        Literal["off", "auto"] | None,
        typer.Option(
            help="auto cuts off frames, mats and walls around a painting where they are certain, "
            "of queries too; off takes pictures whole.  [default: auto, or the index's]"
        ),
    ] = None,
    labels: Annotated[
        str | None,
        typer.Option(
            help='Where labels come from: "folder" (the parent folder is the artist) or a pattern '
            'such as "{movement}/{artist}_{title}-{year}.jpg"; what it makes of three files is '
            "shown first.  [default: folder]"
        ),
    ] = None,
    table: Annotated[
        Path | None,
        typer.Option(
            help="CSV or Parquet table of labels, with a column path or file; instead of --labels."
        ),
    ] = None,
    table_encoding: TableEncodingOption = None,
    prune: Annotated[
        bool, typer.Option("--prune", help="Drop paintings whose files are gone.")
    ] = False,
    repair: Annotated[
        bool,
        typer.Option(
            "--repair",
            help="Compare each painting on all nodes of a server, and make the copies alike; "
            "without it they are compared where their numbers differ.",
        ),
    ] = False,
    details: Annotated[
        bool,
        typer.Option(
            "--details",
            help="Also build what `similar --box` needs, 6.4 KB a painting, 109 KB a large scan; "
            "later runs then keep it up to date.",
        ),
    ] = False,
    max_pixels: Annotated[
        int, typer.Option(min=1, help="Skip images that need more pixels decoded than this.")
    ] = 200_000_000,
    damaged: Annotated[
        Literal["skip", "use"],
        typer.Option(help="skip or use JPEGs that are cut short, as far as they go."),
    ] = "skip",
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    output: Output,
) -> Exit:
    """Embed the paintings of a folder; run it again to take in what is new or changed.

    Example: `paint-search index ./paintings --table works.csv`
    """
    from paint_search.index.details import size_of
    from paint_search.index.paths import FOLDER, find_index, named_index
    from paint_search.index.sync import check_options
    from paint_search.indexer.corpus.scan import Part
    from paint_search.indexer.images.preprocessing import FITS

    if fit is not None and fit not in FITS:
        raise UsageError(f"unknown --fit {fit!r}: use {', '.join(FITS)}")
    share = None if part is None else Part.parse(part)
    collection = None
    if find_index(index.index) is not None:
        with suppress(IndexMissingError):  # such as a collection that is yet to be made
            collection = index.open(store)
    if collection is None:
        check_options(labels, table, device, table_encoding)
        collection = paint_search.Index.create(
            folder,
            named_index(index.index) or FOLDER,
            store=store,
            backbone=backbone or "auto",
            weights=weights,
            fit=fit,
            trim=trim or "auto",
            note=output.note,
        )
    with collection, _interruptible() as cancelled, shows_steps(output, "images") as report:
        collection.check_made(backbone, fit, trim)
        if labels is not None:
            _show_labels(output, folder, labels)
        summary = collection.add(
            folder,
            labels=labels,
            table=table,
            table_encoding=table_encoding,
            prune=prune,
            max_pixels=max_pixels,
            damaged=damaged,
            weights=weights,
            device=device,
            part=share,
            repair=repair,
            report=partial(report, "indexing"),
            cancelled=cancelled,
        )
        if (details or size_of(collection.folder)[0]) and not summary.interrupted:
            built = collection.build_details(report=partial(report, "details"), cancelled=cancelled)
            summary.interrupted = built.interrupted
            summary.notes.append(built.describe())
        facts = collection.info()
        _print_summary(output, facts, summary)
        from paint_search.studies import grey_warning

        if summary.embedded and (warning := grey_warning(collection)):
            output.note(f"note: {warning}")
    if summary.interrupted:
        return Exit.INTERRUPTED
    lacking = summary.skipped or summary.damaged or summary.refused_labels
    if repair and facts.faults:
        return Exit.SOME_SKIPPED
    return Exit.SOME_SKIPPED if lacking else Exit.DONE


@command
def backbones(*, table: CsvOption = None, output: Output) -> None:
    """List the backbones, their dimensions, and whether their weights are on this machine.

    Example: `paint-search backbones`
    """
    from paint_search.indexer.backbones.model import weights_state
    from paint_search.indexer.backbones.registry import REGISTRY

    rows = [
        {
            "name": backbone.name,
            "dimension": backbone.dimension,
            "weights": weights_state(backbone),
            "summary": backbone.summary,
        }
        for backbone in REGISTRY.values()
    ]
    output.csv(table, rows)
    output.json({"backbones": rows})
    output.table(
        ["name", ">dimension", "weights", "what it is"],
        [[str(value) for value in row.values()] for row in rows]
        + [["timm:NAME", "model's", "--weights or hub", "any timm model, as timm:NAME?key=value"]],
    )


@contextmanager
def _interruptible() -> Iterator[Callable[[], bool]]:
    """Turn the first Ctrl-C into a request to stop after the batch in flight."""
    asked = threading.Event()

    def ask(number: int, frame: Any) -> None:
        asked.set()
        signal.signal(signal.SIGINT, before)

    before = signal.signal(signal.SIGINT, ask)
    try:
        yield asked.is_set
    finally:
        signal.signal(signal.SIGINT, before)


def _show_labels(output: Output, folder: Path, labels: str) -> None:
    """Show what the labels of three files will be, for a pattern that reads them wrongly."""
    from paint_search.indexer.corpus import FOLDER, label_source, scan
    from paint_search.indexer.images.formats import is_picture

    if labels == FOLDER:
        return
    read = label_source(labels, None)
    files = scan(folder, folder, lambda path, reason: None)
    pictures = (file for file in files if is_picture(file.location))
    for file in itertools.islice(pictures, _SHOWN):
        found = ", ".join(f"{name} {value!r}" for name, value in read(file.path).items())
        output.note(f"{file.path}: {found or 'does not fit the pattern'}")


def _print_summary(output: Output, info: Any, summary: Any) -> None:
    from paint_search.index.sync import SKIPPED, UNMATCHED

    result = dataclasses.asdict(summary) | {"paintings": info.paintings, "index": str(info.folder)}
    output.json(result)
    for note in summary.notes:
        output.note(note)
    done = [
        f"{getattr(summary, name):,} {name}"
        for name in ("new", "changed", "moved", "relabelled", "pruned", "excluded", "unchanged")
        if getattr(summary, name)
    ]
    speed = f", {summary.embedded / summary.seconds:.0f} images/s" if summary.embedded else ""
    output.line(f"{', '.join(done) or 'nothing to do'} in {summary.seconds:.1f} s{speed}")
    output.line(
        f"{counted(info.paintings, 'painting')} in {info.folder} ({info.manifest.backbone.name})"
    )
    remarks = (
        (
            summary.gone,
            "file is gone; --prune drops it from the index",
            "files are gone; --prune drops them from the index",
        ),
        (
            summary.ignored,
            "other file is no image and was passed over",
            "other files are no images and were passed over",
        ),
        (
            summary.own,
            "picture was written by this program, and passed over",
            "pictures were written by this program, and passed over",
        ),
        (
            summary.trimmed,
            "picture had a border, which was cut off",
            "pictures had a border, which was cut off",
        ),
        (
            summary.damaged,
            f"damaged file was used as it is; see {info.folder / SKIPPED}",
            f"damaged files were used as they are; see {info.folder / SKIPPED}",
        ),
        (
            summary.skipped,
            f"file was skipped; why: {info.folder / SKIPPED}",
            f"files were skipped; why: {info.folder / SKIPPED}",
        ),
        (
            summary.unmatched_files,
            f"file has no labels; see {info.folder / UNMATCHED}",
            f"files have no labels; see {info.folder / UNMATCHED}",
        ),
        (
            summary.unmatched_rows,
            f"row of the table has no file; see {info.folder / UNMATCHED}",
            f"rows of the table have no file; see {info.folder / UNMATCHED}",
        ),
        (
            summary.refused_labels,
            "line of the table is ambiguous, contradictory or unreadable, and used for nothing; "
            f"see {info.folder / UNMATCHED}",
            "lines of the table are ambiguous, contradictory or unreadable, and used for nothing; "
            f"see {info.folder / UNMATCHED}",
        ),
    )
    for count, one, many in remarks:
        if count:
            output.line(counted(count, one, many))
    if summary.interrupted:
        output.note("interrupted; everything finished is saved, run the same command to go on")
