"""Compressors fitted on some paintings of an index and measured on others, one trial each.

Which paintings are held out is decided for the whole index and never by a filter, so that a
compressor that the index already has is not measured on paintings it learned from.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from paint_search.cli.output import Output
from paint_search.cli.study import Works
from paint_search.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from paint_search.compress.base import Compressor
    from paint_search.eval.fidelity import Fidelity
    from paint_search.index.index import Index

BASELINE = "pca"
"""The method that every other one has to beat."""
_NUMBER = 2  # bytes of a number in the store
_TIMES = 3  # the best of so many transforms is the time of one


@dataclass(frozen=True)
class Parts:
    """The works of a study in two parts.

    Attributes:
        training: (n, d) vectors to fit on.
        training_labels: of those, None where a work has none.
        held: the works to measure on.
        seed: that dealt them out.
    """

    training: NDArray[np.float32]
    training_labels: list[str | None]
    held: Works
    seed: int

    @property
    def dimension(self) -> int:
        """Numbers of a full vector."""
        return int(self.training.shape[1])


@dataclass(frozen=True)
class Trial:
    """One compressor, measured.

    Attributes:
        method: its name.
        dims: numbers of a compressed vector.
        own: whether it is the one that the index has.
        codes: (n, dims) the held-out works, compressed, in the precision of the store.
        fit_seconds: how long fitting took; None where it was fitted before.
        transform_ms: milliseconds to compress 1,000 vectors.
        fidelity: what it keeps.
    """

    method: str
    dims: int
    own: bool
    codes: NDArray[np.float16]
    fit_seconds: float | None
    transform_ms: float
    fidelity: Fidelity

    @property
    def name(self) -> str:
        """What to call it in a table."""
        return f"this index ({self.method})" if self.own else self.method

    @property
    def bytes(self) -> int:
        """Bytes a painting takes in the store."""
        return _NUMBER * self.dims

    def to_dict(self) -> dict[str, Any]:
        """Return the figures for machines."""
        return {
            "method": self.method,
            "dims": self.dims,
            "of_this_index": self.own,
            "bytes": self.bytes,
            "fit_seconds": self.fit_seconds,
            "transform_ms_per_1000": self.transform_ms,
            **self.fidelity.to_dict(),
        }


def full_bytes(parts: Parts) -> int:
    """Return the bytes that the full vector of a painting takes in the store."""
    return _NUMBER * parts.dimension


def part_works(works: Works, collection: Index, seed: int) -> Parts:
    """Divide the works into those to fit on and those to measure on.

    With the seed of the index's own compressor, those are measured that it did not learn from.
    """
    import numpy as np

    from paint_search.compress.hold_out import choose_hold_out

    everyone = list(collection.paintings())
    ids, artists = [work.id for work in everyone], [work.artist for work in everyone]
    made = collection.manifest.compression
    same = made is not None and made.seed == seed
    split = made.split if made and same else choose_hold_out(ids, artists, seed=seed)
    mask = split.held_out(ids, artists)
    outside = {work.id for work, held in zip(everyone, mask, strict=True) if held}
    held = np.array([work.id in outside for work in works.paintings], dtype=np.bool_)
    learned = [label for label, out in zip(works.labels, held, strict=True) if not out]
    return Parts(works.vectors[~held], learned, _only(works, held), seed)


def plan_trials(
    methods: Sequence[str], dims: Sequence[int], parts: Parts, *, given: bool
) -> list[tuple[str, int]]:
    """Return which methods to fit at which sizes, the baseline first at each.

    Args:
        methods: names of compressors.
        dims: sizes.
        parts: of the works.
        given: whether the sizes were asked for; else those that do not fit are passed over.

    Raises:
        UsageError: an unknown method, or a size that does not fit.
    """
    from paint_search.compress.kinds import METHODS

    for method in methods:
        if method not in METHODS:
            raise UsageError(f"unknown --method {method!r}: use {', '.join(METHODS)}")
    count, length = parts.training.shape
    most = min(count, length)
    fitting = [size for size in sorted(set(dims)) if size <= most]
    too_large = [size for size in dims if size > most]
    if too_large and (given or not fitting):
        reason = (
            f"the vectors of this index have {length:,} dimensions"
            if length <= count
            else f"{count:,} training paintings allow no more dimensions than that"
        )
        raise UsageError(f"--dims {too_large[0]} is too many: {reason}; choose {most} or fewer")
    ordered = dict.fromkeys([BASELINE, *methods])
    return [(method, size) for size in fitting for method in ordered]


def run_trial(
    parts: Parts,
    compressor: Compressor,
    *,
    own: bool,
    movements: Sequence[str | None],
    min_works: int,
    moved: Callable[[float, str], None],
) -> Trial:
    """Fit a compressor, unless it is the index's own, and measure it on the held-out works.

    Args:
        parts: of the works.
        compressor: to be measured.
        own: whether it is the one that the index has.
        movements: of the held-out works.
        min_works: labels of fewer works take no part in silhouettes, matrices and trees.
        moved: takes the share of the trial that is done, 0 to 1, and a few words.

    Raises:
        CompressError: it cannot be fitted to these works.
    """
    import numpy as np

    from paint_search.eval.fidelity import fidelity

    seconds = None
    if not own:
        start = time.perf_counter()
        compressor.fit(
            parts.training,
            parts.training_labels,
            report=lambda step: moved(0.9 * step.done / max(1, step.total), step.words),
        )
        seconds = time.perf_counter() - start
    moved(0.9, "measuring")
    full = parts.held.vectors
    codes, fastest = compressor.transform(full), float("inf")
    for _ in range(_TIMES):
        start = time.perf_counter()
        compressor.transform(full)
        fastest = min(fastest, time.perf_counter() - start)
    stored = codes.astype(np.float16)
    return Trial(
        method=compressor.method,
        dims=compressor.dims,
        own=own,
        codes=stored,
        fit_seconds=seconds,
        transform_ms=1e6 * fastest / len(full),
        fidelity=fidelity(
            full,
            stored,
            parts.held.labels,
            movements,
            min_works=min_works,
            seed=parts.seed,
        ),
    )


@contextmanager
def trial_bar(output: Output, total: int) -> Iterator[Callable[[int, str, float, str], None]]:
    """Draw a bar over all trials; each call says which one, its name, its share, a few words."""
    if not output.shows_progress:
        yield lambda number, name, share, words: None
        return
    from rich import progress as bars

    columns = (
        bars.TextColumn("{task.description}"),
        bars.BarColumn(),
        bars.TextColumn("{task.fields[number]}/{task.total}"),
        bars.TimeElapsedColumn(),
        bars.TimeRemainingColumn(),
        bars.TextColumn("{task.fields[words]}"),
    )
    with bars.Progress(*columns, console=output.errors, transient=True) as bar:
        task = bar.add_task("", total=total, number=0, words="")
        yield lambda number, name, share, words: bar.update(
            task, description=name, completed=number + share, number=number + 1, words=words
        )


def baseline_of(trial: Trial, trials: Sequence[Trial]) -> Trial | None:
    """Return the baseline of the same size; None for a baseline, and where there is none."""
    if trial.method == BASELINE:
        return None
    same = (other for other in trials if other.method == BASELINE and other.dims == trial.dims)
    return next(same, None)


def shown_trial(trials: Sequence[Trial]) -> Trial:
    """Return the trial to look at: the index's own, else the best of the smallest size."""
    own = [trial for trial in trials if trial.own]
    if own:
        return own[0]
    least = min(trial.dims for trial in trials)
    return max(
        (trial for trial in trials if trial.dims == least),
        key=lambda trial: trial.fidelity.neighbours.recall[10],
    )


def verdicts(trials: Sequence[Trial], k: int = 10) -> list[str]:
    """Say of each method but the baseline whether it beats that at equal size, and by how much."""
    said = []
    for trial in trials:
        baseline = baseline_of(trial, trials)
        if baseline is None:
            continue
        mine, theirs = (one.fidelity.neighbours for one in (trial, baseline))
        mean, low, high = mine.difference(theirs, k)
        won = low > 0
        figures = (
            f"recall@{k} {mine.recall[k]:.3f} against {theirs.recall[k]:.3f}, "
            f"{abs(mean):.3f} {'more' if mean > 0 else 'less'} "
            f"(95 % interval of the difference {low:+.3f} to {high:+.3f})"
        )
        chance = "" if won or high < 0 else "; so little may be chance"
        said.append(
            f"{trial.name} {'beats' if won else 'loses to'} {BASELINE} at {trial.dims} "
            f"dimensions: {figures}{chance}."
        )
    return said


def _only(works: Works, keep: NDArray[np.bool_]) -> Works:
    labels = [label for label, kept in zip(works.labels, keep, strict=True) if kept]
    return replace(
        works,
        paintings=[work for work, kept in zip(works.paintings, keep, strict=True) if kept],
        files=[file for file, kept in zip(works.files, keep, strict=True) if kept],
        vectors=works.vectors[keep],
        labels=labels,
        unlabelled=labels.count(None),
    )
