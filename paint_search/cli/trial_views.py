"""Trials of compressors -> tables for people, a row for CSV, a figure, a page to look at."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from paint_search.cli.output import Output
from paint_search.cli.study import plural
from paint_search.cli.trials import Parts, Trial, full_bytes, shown_trial

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from paint_search.eval.fidelity import LabelFidelity

_CHANGES = 5
_PICTURE = 150  # pixels of a picture on the page, some more than it takes on the screen
_MEANING = (
    "recall@k: share of the k nearest works that stay the same. Spearman, Kendall: correlation of "
    "the cosines of pairs of works. trust(worthiness) falls where strangers become neighbours, "
    "continuity where neighbours part, both among ten. 1 is everything kept. Vectors are stored "
    "with 2 bytes a number, and measured so."
)
_LABEL_COLUMNS = (
    *("p_at_1_full", "p_at_1", "map_at_10_full", "map_at_10", "silhouette_full", "silhouette"),
    *("silhouettes_r", "sign_flips", "clear_sign_flips", "mantel_r", "mantel_p", "trees_r"),
)
_MEANS = ("p_at_1", "map_at_10", "silhouette")
_LABEL_MEANING = (
    "P@1, mAP@10: as in eval retrieval. Silhouettes: overall, among all {many}; pairs, the "
    "correlation over every two; flips, the pairs that change sides from beyond 0.01 to beyond "
    "-0.01 or back, of all that change sides. "
    "Mantel: correlation of the matrices of mean cosines, p by permutations. trees: correlation of "
    "the cophenetic distances of the two trees."
)


Table = tuple[list[str], list[list[str]]]


def print_trials(
    output: Output, parts: Parts, trials: Sequence[Trial], said: Sequence[str]
) -> None:
    """Print all that was measured, for people."""
    output.table(*_neighbour_table(trials))
    output.note(_MEANING)
    by = parts.held.by
    words = {"artists": f"by {by}", "movements": "by movement"}
    for name, heading in words.items():
        if name == "movements" and by == "movement":
            continue
        output.line(f"\n{heading}")
        reason = trials[0].fidelity.left_out.get(name)
        if reason:
            output.line(f"left out: {reason} (--min-works)")
            continue
        output.table(*_label_table(trials, name))
        if name == "artists":
            output.note(_LABEL_MEANING.format(many=plural(by)))
    output.line("\nwhat it costs")
    output.table(*_cost_table(parts, trials))
    _print_changes(output, parts, shown_trial(trials))
    if said:
        output.line("")
    for line in said:
        output.line(line)


def trial_figures(trial: Trial) -> dict[str, object]:
    """Return all figures of a trial, column by column; None where there is none."""
    kept = trial.fidelity
    row: dict[str, object] = {
        "method": trial.method,
        "dims": trial.dims,
        "of_this_index": trial.own,
        **{f"recall@{k}": kept.neighbours.recall.get(k) for k in (1, 10, 50)},
        "spearman": kept.pairs.spearman,
        "kendall": kept.pairs.kendall,
        "trustworthiness": kept.trust.trustworthiness,
        "continuity": kept.trust.continuity,
    }
    for name in ("artists", "movements"):
        row |= {f"{name}_{key}": value for key, value in _label_row(_labels(trial, name)).items()}
    return row | {
        "bytes": trial.bytes,
        "fit_seconds": trial.fit_seconds,
        "transform_ms_per_1000": trial.transform_ms,
    }


def draw_trials(parts: Parts, trials: Sequence[Trial]) -> Figure:
    """Draw recall@10 and Spearman by dimensions, and the silhouettes of the trial shown."""
    from paint_search.report import Curve, fidelity_figure

    curves = []
    for name in dict.fromkeys(trial.name for trial in trials):
        mine = [trial for trial in trials if trial.name == name]
        values = {
            "recall@10: neighbours kept": [one.fidelity.neighbours.recall[10] for one in mine],
            "Spearman: order of cosines kept": [one.fidelity.pairs.spearman for one in mine],
        }
        curves.append(Curve(name, [one.dims for one in mine], values))
    shown = shown_trial(trials)
    artists = shown.fidelity.artists
    return fidelity_figure(
        curves,
        artists.silhouettes if artists else None,
        f"What compression keeps, on {len(parts.held.files):,} paintings held out",
        f"{shown.name} at {shown.dims}",
        plural(parts.held.by),
    )


def write_trials(
    out: Path,
    name: str,
    parts: Parts,
    trials: Sequence[Trial],
    said: Sequence[str],
    output: Output,
) -> None:
    """Write the page of the paintings whose neighbours changed most in the trial shown."""
    from paint_search.cli.exhibit import steps
    from paint_search.indexer.images.thumbnails import thumbnail
    from paint_search.report import FidelityPage, choose_works, write_fidelity_page

    shown, held = shown_trial(trials), parts.held
    kept = shown.fidelity.neighbours
    page = FidelityPage(
        name=name,
        compressed=f"{shown.name}, {parts.dimension:,} to {shown.dims} dimensions",
        full=held.vectors,
        compact=shown.codes,
        kept=kept,
        captions=[
            (work.artist or "", work.title or PurePosixPath(work.path).stem)
            for work in held.paintings
        ],
        picture=lambda row: thumbnail(held.files[row], _PICTURE),
        table=_page_table(parts, trials),
        said=said,
        figure=draw_trials(parts, trials),
        made=_making(parts, trials),
    )
    with steps(output, "pictures", sum(map(len, choose_works(kept)))) as done:
        write_fidelity_page(out, page, done)


def _neighbour_table(trials: Sequence[Trial]) -> Table:
    columns = [">recall@1", ">@10", ">@50", ">Spearman", ">Kendall", ">trust", ">continuity"]
    rows = []
    for trial in trials:
        kept = trial.fidelity
        figures = (
            *(kept.neighbours.recall.get(k) for k in (1, 10, 50)),
            kept.pairs.spearman,
            kept.pairs.kendall,
            kept.trust.trustworthiness,
            kept.trust.continuity,
        )
        rows.append([trial.name, str(trial.dims), *map(_figure, figures)])
    return ["", ">dims", *columns], rows


def _label_table(trials: Sequence[Trial], name: str) -> Table:
    columns = [">P@1", ">mAP@10", ">overall", ">pairs", ">flips", ">Mantel", ">p", ">trees"]
    labelled = [(trial, _label_row(_labels(trial, name))) for trial in trials]
    full = labelled[0][1]
    means = (full[f"{key}_full"] for key in _MEANS)
    rows = [["full vectors", "", *map(_figure, means), *[""] * 5]]
    for trial, row in labelled:
        rows.append(
            [
                trial.name,
                str(trial.dims),
                *(_figure(row[key]) for key in (*_MEANS, "silhouettes_r")),
                f"{row['clear_sign_flips']}/{row['sign_flips']}",
                *(_figure(row[key]) for key in ("mantel_r", "mantel_p", "trees_r")),
            ]
        )
    return ["", ">dims", *columns], rows


def _label_row(kept: LabelFidelity | None) -> dict[str, float | None]:
    """Return the figures by one label; all None where labels allow none."""
    if kept is None:
        return dict.fromkeys(_LABEL_COLUMNS)
    values: tuple[float | None, ...] = (
        *(*kept.p_at_1, *kept.map_at_10, *kept.overall),
        kept.silhouettes.correlation,
        len(kept.silhouettes.sign_flips),
        len(kept.silhouettes.clear_flips),
        kept.mantel.r if kept.mantel else None,
        kept.mantel.p_value if kept.mantel else None,
        kept.trees,
    )
    return dict(zip(_LABEL_COLUMNS, values, strict=True))


def _labels(trial: Trial, name: str) -> LabelFidelity | None:
    kept = trial.fidelity
    return kept.artists if name == "artists" else kept.movements


def _cost_table(parts: Parts, trials: Sequence[Trial]) -> Table:
    whole = full_bytes(parts)
    rows = [["full vectors", str(parts.dimension), f"{whole:,}", "", "", ""]]
    for trial in trials:
        seconds = "" if trial.fit_seconds is None else f"{trial.fit_seconds:,.1f}"
        share = f"{trial.bytes / whole:.1%}"
        rows.append(
            [
                *(trial.name, str(trial.dims), f"{trial.bytes:,}", share, seconds),
                f"{trial.transform_ms:,.1f}",
            ]
        )
    columns = [">bytes a painting", ">of full", ">fit, s", ">1,000 vectors, ms"]
    return ["", ">dims", *columns], rows


def _page_table(parts: Parts, trials: Sequence[Trial]) -> Table:
    """The figures of the page: one row a trial, few columns."""
    rows = []
    for trial in trials:
        kept, artists = trial.fidelity, _label_row(trial.fidelity.artists)
        rows.append(
            [
                trial.name,
                str(trial.dims),
                *(_figure(kept.neighbours.recall.get(k)) for k in (1, 10, 50)),
                _figure(kept.pairs.spearman),
                _figure(artists["map_at_10"]),
                _figure(artists["silhouettes_r"]),
                f"{trial.bytes / full_bytes(parts):.0%}",
            ]
        )
    columns = [">recall@1", ">@10", ">@50", ">Spearman", ">mAP@10", ">silhouettes", ">size"]
    return ["", ">dims", *columns], rows


def _print_changes(output: Output, parts: Parts, shown: Trial) -> None:
    if shown.fidelity.artists is None:
        return
    changes = shown.fidelity.artists.silhouettes.largest_changes(_CHANGES)
    output.line(
        f"\nthe pairs of {plural(parts.held.by)} whose silhouette changes most "
        f"({shown.name} at {shown.dims})"
    )
    output.table(
        ["", "", ">full", ">compressed"],
        [[one.a, one.b, f"{one.full:.3f}", f"{one.compact:.3f}"] for one in changes],
    )


def _making(parts: Parts, trials: Sequence[Trial]) -> list[tuple[str, str]]:
    kept = trials[0].fidelity
    return [
        ("fitted on", f"{len(parts.training):,} paintings"),
        ("measured on", f"{kept.works:,} others, dealt out with seed {parts.seed}"),
        ("pairs of works", f"{kept.pairs.pairs:,}"),
        ("trustworthiness", f"{kept.trust.works:,} works, {kept.trust.neighbours} neighbours"),
        ("version", f"paint-search {version('paint-search')}"),
    ]


def _figure(value: float | None) -> str:
    return "" if value is None or value != value else f"{value:.3f}"
