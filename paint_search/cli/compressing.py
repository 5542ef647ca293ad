"""``compress``: short vectors beside the full ones, or instead of them."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from paint_search.cli.output import (
    IndexOption,
    JsonOption,
    Output,
    QuietOption,
    reports_errors,
    shows_steps,
)

if TYPE_CHECKING:
    from paint_search.compress.record import Told
    from paint_search.index.compression import CompressSummary


@reports_errors
def compress(
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
            show_default=False,
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
    index: IndexOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Shorten the vectors of an index, and search it in two steps from then on.

    Learns from four fifths of the artists and measures on the others what is kept. Paintings that
    are indexed later are shortened too. Run it again for another method or size.

    Example: `paint-search compress --method pca --dims 128`
    """
    from paint_search.index.index import Index

    output = Output(as_json=as_json, quiet=quiet)
    with Index.open(index) as collection, shows_steps(output) as report:
        summary = collection.compress(
            method,
            dims,
            seed=seed,
            drop_full=drop_full,
            label=label,
            report=report,
            note=output.note,
        )
    output.json(asdict(summary))
    _print(output, summary)


def _print(output: Output, summary: "CompressSummary") -> None:
    compression = summary.compression
    chosen = compression.method
    output.table(
        ["method", *(f">recall@{k}" for k in compression.recall), ">fit", ""],
        [
            [
                trial.method,
                *(f"{trial.recall[k]:.3f}" if trial.recall else "" for k in compression.recall),
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
    if compression.told is not None:
        _print_told(output, compression.told)
    if compression.two_step_recall is not None:
        output.line(
            f"searches take {compression.oversampling} times as many candidates from them as hits "
            "are wanted and rank those by full vectors: recall@10 "
            f"{compression.two_step_recall:.3f}"
        )


def _print_told(output: Output, told: "Told") -> None:
    """Say what a method that learned from labels is for, and what that means for searches."""
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
