"""``train``: a backbone of your own, trained on pairs of your paintings."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from paint_search.cli.output import (
    Exit,
    Opening,
    Output,
    TableEncodingOption,
    command,
    shows_steps,
)
from paint_search.errors import UsageError, counted

if TYPE_CHECKING:
    from paint_search.train import Pictures

WEIGHTS = "weights.safetensors"
_CURVE = "curve.png"


@command
def train(
    *,
    folder: Annotated[
        Path | None, typer.Argument(help="Folder of paintings.  [default: those of the index]")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for weights, checkpoint and curve.")] = Path(
        "twins"
    ),
    backbone: Annotated[
        str, typer.Option(help="timm:NAME of any timm model, or of ours: timm:twin_small.")
    ] = "timm:twin_small",
    weights: Annotated[
        Path | None, typer.Option(help="Weights to begin with.  [default: random]")
    ] = None,
    label: Annotated[
        str, typer.Option(metavar="FIELD", help="What is brought together.")
    ] = "artist",
    labels: Annotated[
        str | None, typer.Option(help="Labels of FOLDER, as `index` takes them.")
    ] = None,
    table: Annotated[Path | None, typer.Option(help="Table of labels of FOLDER, instead.")] = None,
    table_encoding: TableEncodingOption = None,
    steps: Annotated[
        int, typer.Option(min=1, help="Batches of 16 artists with 4 works each, at most.")
    ] = 2000,
    rate: Annotated[
        float, typer.Option(help="Highest learning rate; less for pretrained weights.")
    ] = 1e-3,
    seed: Annotated[int, typer.Option(help="Of everything that is drawn.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    index: Opening,
    output: Output,
) -> Exit:
    """Train a twin network end to end: works of one artist together, of two artists apart.

    Artists kept out of training say when to stop. Killed at any moment, the same command goes on
    from the last checkpoint; it leaves a weights file for `paint-search index`.

    Example: `paint-search train ./paintings --out twins --backbone timm:resnet18`
    """
    from paint_search.indexer.backbones import find_device
    from paint_search.train import CURVE, Recipe, begin, learn, save_weights

    if folder is not None:
        from paint_search.train import Pictures

        pictures = Pictures.in_folder(folder, labels, table, label, table_encoding)
    else:
        pictures = _indexed(index, label, given=labels or table or table_encoding)
    if pictures.refused:
        output.note(
            f"{counted(len(pictures.refused), 'row')} of the table used for nothing, such as: "
            f"{pictures.refused[0]}"
        )
    learned, judged = pictures.sides(seed)
    where = find_device(device)
    network = begin(backbone, weights, seed)
    out.mkdir(parents=True, exist_ok=True)
    recipe = Recipe(
        name=backbone,
        labels=pictures.labels,
        learned=learned,
        judged=judged,
        read=partial(pictures.read, preprocessing=network.preprocessing),
        out=out,
        steps=steps,
        every=max(1, min(50, steps // 2)),
        rate=rate,
        seed=seed,
        device=where,
    )
    output.note(
        f"{counted(int(learned.sum()), 'painting')} to learn from, {int(judged.sum()):,} by others "
        f"to stop by; on {where}"
    )
    try:
        with shows_steps(output) as report:
            done = learn(recipe, network, lambda progress: report("training", progress))
    except KeyboardInterrupt:
        output.note("interrupted; the same command goes on from the last checkpoint")
        return Exit.INTERRUPTED
    save_weights(network, out / WEIGHTS)
    _draw_curve(out / CURVE, out / _CURVE)
    output.json(
        {
            "weights": str(out / WEIGHTS),
            "auc": done.auc,
            "best_step": done.best_step,
            "steps": done.steps,
            "unreadable": {str(file): why for file, why in pictures.unreadable.items()},
            "refused": pictures.refused,
        }
    )
    output.line(
        f"AUC {done.auc:.3f} on pairs of {label}s kept out, at step {done.best_step:,} of "
        f"{done.steps:,}; the curve is {out / _CURVE}"
    )
    output.line(f'index with it: --backbone "{backbone}" --weights {out / WEIGHTS}')
    if pictures.unreadable:
        output.note(
            f"{counted(len(pictures.unreadable), 'file')} could not be read and were passed over"
        )
    return Exit.SOME_SKIPPED if pictures.unreadable or pictures.refused else Exit.DONE


def _indexed(index: Opening, label: str, *, given: object) -> "Pictures":
    from paint_search.train import Pictures

    if given:
        raise UsageError("--labels and --table are of a FOLDER; an index has its labels already")
    with index.open() as collection:
        works = [(collection.locate(work), work.to_dict()) for work in collection.paintings()]
    return Pictures.of(works, label)


def _draw_curve(table: Path, picture: Path) -> None:
    import numpy as np

    from paint_search.report import curve_figure, save_figure

    save_figure(curve_figure(*np.loadtxt(table, delimiter=",", skiprows=1, ndmin=2).T), picture)
