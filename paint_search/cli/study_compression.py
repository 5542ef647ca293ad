"""``eval compression``: what compressed vectors keep of the full ones, on paintings held out."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from paint_search.cli.output import (
    Exit,
    IndexOption,
    JsonOption,
    NotOption,
    Output,
    QuietOption,
    WhereOption,
    reports_errors,
)
from paint_search.cli.study import (
    ByOption,
    CsvOption,
    PlotOption,
    check_outputs,
    read_works,
    write_csv,
    write_plot,
)
from paint_search.cli.trial_views import (
    draw_trials,
    print_trials,
    trial_figures,
    write_trials,
)
from paint_search.cli.trials import (
    BASELINE,
    Parts,
    Trial,
    full_bytes,
    part_works,
    plan_trials,
    run_trial,
    trial_bar,
    verdicts,
)
from paint_search.errors import CompressError, UsageError

if TYPE_CHECKING:
    from paint_search.compress.base import Compressor
    from paint_search.index.index import Index

_METHODS = ("pca", "autoencoder")
_DIMS = (64, 128, 256, 320)


@reports_errors
def compression(
    method: Annotated[
        list[str] | None,
        typer.Option(
            help="pca, autoencoder, convolutional; may be repeated. pca is always measured.  "
            "[default: pca and autoencoder]",
            show_default=False,
        ),
    ] = None,
    dims: Annotated[
        list[int] | None,
        typer.Option(
            min=1,
            help="Numbers of a compressed vector; may be repeated.  [default: 64, 128, 256, 320]",
            show_default=False,
        ),
    ] = None,
    by: ByOption = "artist",
    min_works: Annotated[
        int, typer.Option(min=2, help="Leave out artists, movements, ... of fewer works.")
    ] = 5,
    seed: Annotated[
        int | None,
        typer.Option(
            help="Deals out which paintings are held out, and fits.  "
            "[default: that of the index's compressor, else 0]",
            show_default=False,
        ),
    ] = None,
    plot: PlotOption = None,
    table: CsvOption = None,
    page: Annotated[
        Path | None,
        typer.Option(
            "--html",
            metavar="FILE",
            help="Write a page of the paintings whose neighbours changed most.",
            show_default=False,
        ),
    ] = None,
    where: WhereOption = None,
    exclude: NotOption = None,
    index: IndexOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> Exit:
    """Measure what compressing the vectors keeps, on paintings that took no part in fitting.

    Example: `paint-search eval compression --dims 64 --dims 128 --html changed.html`
    """
    from paint_search.cli.exhibit import check_page
    from paint_search.index.index import Index

    output = Output(as_json=as_json, quiet=quiet)
    check_outputs(plot, table)
    if page:
        check_page(page)
    with Index.open(index) as collection:
        name = collection.root.name
        works = read_works(collection, by, where, exclude, need_artists=False, which="full")
        own = _own(collection, seed, output)
        parts = part_works(works, collection, _seed(collection, seed))
    del works  # its vectors are in the parts
    _check(parts)
    plan = plan_trials(method or _METHODS, dims or _DIMS, parts, given=bool(dims))
    output.note(
        f"{len(parts.training):,} paintings to fit on, {len(parts.held.files):,} held out to "
        f"measure on (seed {parts.seed})"
    )
    # Written after each trial, so that a kill loses none that is finished.
    save = partial(_save, table) if table else lambda trials: None
    trials, failed, stopped = _run(parts, plan, own, min_works, output, save)
    if trials:
        said = verdicts(trials)
        output.json(_result(parts, trials, said, failed))
        print_trials(output, parts, trials, said)
        if table:
            output.note(f"wrote {table}")
        if plot:
            write_plot(plot, draw_trials(parts, trials))
            output.note(f"wrote {plot}")
        if page:
            write_trials(page, name, parts, trials, said, output)
            output.note(f"wrote {page}")
    if stopped:
        return Exit.INTERRUPTED
    if failed and not (trials and as_json):
        raise CompressError(
            "; ".join(f"{one['method']} at {one['dims']}: {one['error']}" for one in failed)
        )
    return Exit.FAILED if failed else Exit.DONE


def _seed(collection: "Index", asked: int | None) -> int:
    made = collection.manifest.compression
    return asked if asked is not None else made.seed if made else 0


def _own(collection: "Index", asked: int | None, output: Output) -> "Compressor | None":
    """Return the compressor of the index, if it can be measured on what the seed holds out."""
    made = collection.manifest.compression
    if made is None:
        return None
    if asked not in (None, made.seed):
        output.note(
            f"the compressor of this index learned from what --seed {asked} holds out, and is left "
            f"out; it was fitted with --seed {made.seed}"
        )
        return None
    return collection.compressor


def _check(parts: Parts) -> None:
    """Refuse what cannot be measured, before the work.

    Raises:
        UsageError: too few works on one of the two sides.
    """
    from paint_search.eval.fidelity import LEAST_WORKS

    held, training = len(parts.held.files), len(parts.training)
    if held < LEAST_WORKS or not training:
        raise UsageError(
            f"of these {held + training:,} paintings {held:,} are held out to measure on, and it "
            f"takes {LEAST_WORKS} besides some to fit on: index more, or filter less"
        )


def _run(
    parts: Parts,
    plan: Sequence[tuple[str, int]],
    own: "Compressor | None",
    min_works: int,
    output: Output,
    save: Callable[[Sequence[Trial]], None],
) -> tuple[list[Trial], list[dict[str, Any]], bool]:
    """Run the trials; return them by size, those that failed, and whether a key stopped it.

    One that fails does not stop the others, and Ctrl-C keeps those that are finished.
    """
    from paint_search.compress.kinds import make_compressor

    if own and (BASELINE, own.dims) not in plan:
        plan = [*plan, (BASELINE, own.dims)]
    compressors = [make_compressor(name, size, seed=parts.seed) for name, size in plan]
    compressors += [own] if own else []
    movements = [work.movement for work in parts.held.paintings]
    trials, failed, stopped = list[Trial](), list[dict[str, Any]](), False
    with trial_bar(output, len(compressors)) as moved:
        for number, compressor in enumerate(compressors):
            method, dims = compressor.method, compressor.dims
            try:
                trial = run_trial(
                    parts,
                    compressor,
                    own=compressor is own,
                    movements=movements,
                    min_works=min_works,
                    moved=partial(moved, number, f"{method} at {dims}"),
                )
            except CompressError as error:
                failed.append({"method": method, "dims": dims, "error": str(error)})
            except KeyboardInterrupt:
                stopped = True
                break
            else:
                trials.append(trial)
                trials.sort(key=lambda trial: trial.dims)
                save(trials)
    return trials, failed, stopped


def _save(table: Path, trials: Sequence[Trial]) -> None:
    rows = [trial_figures(trial) for trial in trials]
    write_csv(table, list(rows[0]), [list(row.values()) for row in rows])


def _result(
    parts: Parts, trials: Sequence[Trial], said: Sequence[str], failed: list[dict[str, Any]]
) -> dict[str, Any]:
    return {
        "by": parts.held.by,
        "seed": parts.seed,
        "training": len(parts.training),
        "held_out": len(parts.held.files),
        "full": {"dims": parts.dimension, "bytes": full_bytes(parts)},
        "trials": [trial.to_dict() for trial in trials],
        "verdicts": said,
        "failed": failed,
    }
