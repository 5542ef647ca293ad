"""Compressors fitted on some paintings of an index and measured on others.

Which paintings are held out is decided for the whole index and never by a filter, so that a
compressor that the index already has is not measured on paintings it learned from.
"""

from __future__ import annotations

import time
import timeit
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np

from paint_search.errors import CompressError, UsageError, argument
from paint_search.eval import BASELINE, LEAST_WORKS, Candidate, fidelity, shown_candidate, verdicts
from paint_search.painting import Progress
from paint_search.report import tables
from paint_search.studies.result import PAGES, Data, Note, Report, Result, check_file, counting
from paint_search.studies.works import AnIndex, Exclude, Where, Works, read_works, reading

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from paint_search.compress import Compressor
    from paint_search.index.index import Index

METHODS = ("pca", "autoencoder")
DIMS = (64, 128, 256, 320)
_TIMES = 3  # the best of so many transforms is the time of one
_PICTURE = 150  # pixels of a picture on the page, some more than it takes on the screen


@dataclass(frozen=True, eq=False)
class Compression(Result):
    """What compressors keep of the full vectors, on works that none of them learned from.

    Attributes:
        held: the works measured on.
        training: how many others they were fitted on.
        seed: that dealt the works out.
        candidates: the compressors that could be measured, by size.
        failed: method, dims and error of the others.
    """

    held: Works
    training: int
    seed: int
    candidates: Sequence[Candidate]
    failed: Sequence[dict[str, Any]]

    @property
    def dims(self) -> int:
        """Numbers of a full vector."""
        return int(self.held.vectors.shape[1])

    @property
    def failures(self) -> str:
        """Say which could not be measured, and why."""
        return "; ".join(f"{one['method']} at {one['dims']}: {one['error']}" for one in self.failed)

    def to_dict(self) -> dict[str, Any]:
        """Return all that was measured."""
        return {
            "by": self.held.by,
            "seed": self.seed,
            "training": self.training,
            "held_out": len(self.held.files),
            "full": {"dims": self.dims, "bytes": tables.bytes_of(self.dims)},
            "trials": [candidate.to_dict() for candidate in self.candidates],
            "verdicts": verdicts(self.candidates),
            "failed": list(self.failed),
        }

    def table(self) -> Data:
        """Return one row a compressor; None where there is no such figure."""
        rows = [tables.candidate_figures(candidate) for candidate in self.candidates]
        return Data(list(rows[0]), [list(row.values()) for row in rows])

    def figure(self) -> Figure:
        """Draw recall@10 and Spearman by dimensions, and the silhouettes of the one shown."""
        from paint_search.report import Curve, fidelity_figure

        curves = []
        for name in dict.fromkeys(candidate.name for candidate in self.candidates):
            mine = [candidate for candidate in self.candidates if candidate.name == name]
            values = {
                "recall@10: neighbours kept": [one.fidelity.neighbours.recall[10] for one in mine],
                "Spearman: order of cosines kept": [one.fidelity.pairs.spearman for one in mine],
            }
            curves.append(Curve(name, [one.dims for one in mine], values))
        shown = shown_candidate(self.candidates)
        artists = shown.fidelity.artists
        return fidelity_figure(
            curves,
            artists.silhouettes if artists else None,
            f"What compression keeps, on {len(self.held.files):,} paintings held out",
            f"{shown.name} at {shown.dims}",
            self.held.many,
        )

    def describe(self) -> Iterator[tables.Part]:
        """Yield what is kept, by neighbours and by labels, what it costs, and the verdicts."""
        yield from tables.compression(self.candidates, self.held.by, self.dims)

    def write_page(self, file: str | Path, report: Report = lambda words, progress: None) -> None:
        """Write a page of the paintings whose neighbours changed most in the one shown.

        Raises:
            UsageError: no name of a page, or no folder to write it into.
        """
        from paint_search.indexer.images.thumbnails import thumbnail
        from paint_search.report import FidelityPage, choose_works, write_fidelity_page

        check_file(file, PAGES)
        shown, held = shown_candidate(self.candidates), self.held
        kept = shown.fidelity.neighbours
        page = FidelityPage(
            name=held.root.name,
            compressed=f"{shown.name}, {self.dims:,} to {shown.dims} dimensions",
            full=held.vectors,
            compact=shown.codes,
            kept=kept,
            captions=[
                (work.artist or "", work.title or PurePosixPath(work.path).stem)
                for work in held.paintings
            ],
            picture=lambda row: thumbnail(held.files[row], _PICTURE),
            table=tables.candidates(self.candidates, self.dims),
            said=verdicts(self.candidates),
            figure=self.figure(),
            made=self._making(),
        )
        done = counting(report, "pictures", sum(map(len, choose_works(kept))))
        write_fidelity_page(Path(file), page, done)

    def _making(self) -> list[tuple[str, str]]:
        kept = self.candidates[0].fidelity
        return [
            ("fitted on", f"{self.training:,} paintings"),
            ("measured on", f"{kept.works:,} others, dealt out with seed {self.seed}"),
            ("pairs of works", f"{kept.pairs.pairs:,}"),
            ("trustworthiness", f"{kept.trust.works:,} works, {kept.trust.neighbours} neighbours"),
            ("version", f"paint-search {version('paint-search')}"),
        ]


def compression(
    index: AnIndex,
    by: str = "artist",
    *,
    where: Where = None,
    exclude: Exclude = None,
    min_works: int = 5,
    method: Sequence[str] | None = None,
    dims: Sequence[int] | None = None,
    others: Sequence[Compressor] = (),
    seed: int | None = None,
    note: Note = lambda line: None,
    report: Report = lambda words, progress: None,
    finished: Callable[[Compression], None] = lambda so_far: None,
) -> Compression:
    """Fit compressors on some works and measure on others what they keep of the full vectors.

    Labels of fewer than ``min_works`` works take no part in silhouettes, matrices and trees.
    ``method`` are names of compressors, by default ``METHODS`` as far as their libraries are
    installed; pca is always measured beside them. ``dims`` are the sizes
    of the compressed vectors, by default those of 64, 128, 256 and 320 that fit; ``others`` are
    compressors of your own, not yet fitted. ``seed`` deals out which works are held out, and fits;
    by default it is that of the index's compressor, which is then measured too, else 0.
    ``finished`` takes what there is so far, after each compressor.

    Raises:
        UsageError: an unknown field or method, a size that does not fit, or too few works.
        CompressError: no compressor could be fitted, or a library is missing.
    """
    methods = _fittable(method, note)
    with reading(index) as source:
        works = read_works(source, by, where, exclude, need_artists=False, which="full")
        made, own = source.manifest.compression, None
        if made and seed in (None, made.seed):
            own, seed = source.compressor, made.seed
        elif made:
            note(
                f"the compressor of this index learned from what seed {seed} holds out, and is "
                f"left out; it was fitted with seed {made.seed}"
            )
        seed = seed or 0
        out = _held_out(works, source, seed)
    held, training = works.only(out), works.vectors[~out]
    labels = [label for label, kept in zip(works.labels, out, strict=True) if not kept]
    del works  # its vectors are in the two parts
    if len(held.files) < LEAST_WORKS or not len(training):
        raise UsageError(
            f"of these {len(out):,} paintings {len(held.files):,} are held out to measure on, and "
            f"it takes {LEAST_WORKS} besides some to fit on: index more, or filter less"
        )
    plan = _plan(methods, dims, *training.shape)
    note(
        f"{len(training):,} paintings to fit on, {len(held.files):,} held out to measure on "
        f"(seed {seed})"
    )
    result = Compression(held, len(training), seed, (), ())
    for compressor in _compressors(plan, others, own, seed):
        words = f"{compressor.method} at {compressor.dims}"
        try:
            seconds = None
            if compressor is not own:
                start = time.perf_counter()
                compressor.fit(training, labels, report=partial(report, words))
                seconds = time.perf_counter() - start
            report(words, Progress(1, 1, "measuring"))
            measured = _measure(compressor, held, compressor is own, seconds, min_works, seed)
        except CompressError as error:  # one that fails does not stop the others
            failure = {"method": compressor.method, "dims": compressor.dims, "error": str(error)}
            result = replace(result, failed=(*result.failed, failure))
        else:
            candidates = sorted((*result.candidates, measured), key=lambda one: one.dims)
            result = replace(result, candidates=candidates)
            finished(result)
    if not result.candidates:
        raise CompressError(result.failures)
    return result


def _held_out(works: Works, index: Index, seed: int) -> NDArray[np.bool_]:
    """Return (n,) True for the works to measure on.

    With the seed of the index's own compressor, those that it did not learn from.
    """
    from paint_search.compress import choose_hold_out

    everyone = list(index.paintings())
    ids, artists = [work.id for work in everyone], [work.artist for work in everyone]
    made = index.manifest.compression
    same = made is not None and made.seed == seed
    split = made.split if made and same else choose_hold_out(ids, artists, seed=seed)
    mask = split.held_out(ids, artists)
    outside = {work.id for work, held in zip(everyone, mask, strict=True) if held}
    return np.array([work.id in outside for work in works.paintings], dtype=np.bool_)


def _fittable(asked: Sequence[str] | None, note: Note) -> list[str]:
    """Return the methods that were asked for; unasked, those that can be fitted here.

    Raises:
        UsageError: an unknown method.
        CompressError: one that was asked for lacks a library.
    """
    from paint_search.compress import METHODS as KNOWN
    from paint_search.compress import make_compressor

    methods = []
    for method in METHODS if asked is None else asked:
        if method not in KNOWN:
            raise UsageError(f"{argument('method', method)}: use {', '.join(KNOWN)}")
        try:
            make_compressor(method, 1).check_libraries()
        except CompressError as error:
            if asked is not None:
                raise
            note(f"{method} is left out: {error}")
        else:
            methods.append(method)
    return methods


def _plan(
    methods: Sequence[str], asked: Sequence[int] | None, count: int, length: int
) -> list[tuple[str, int]]:
    """Return which methods to fit at which sizes, the baseline first at each.

    Sizes that were not asked for are passed over where they do not fit.

    Raises:
        UsageError: a size that does not fit.
    """
    most, dims = min(count, length), asked or DIMS
    fitting = [size for size in sorted(set(dims)) if size <= most]
    too_large = [size for size in dims if size > most]
    if too_large and (asked or not fitting):
        reason = (
            f"the vectors of this index have {length:,} dimensions"
            if length <= count
            else f"{count:,} training paintings allow no more dimensions than that"
        )
        raise UsageError(
            f"{argument('dims', too_large[0])} is too many: {reason}; choose {most} or fewer"
        )
    ordered = dict.fromkeys([BASELINE, *methods])
    return [(method, size) for size in fitting for method in ordered]


def _compressors(
    plan: Sequence[tuple[str, int]], others: Sequence[Compressor], own: Compressor | None, seed: int
) -> list[Compressor]:
    """Return all that is to be measured, the baseline at every size."""
    from paint_search.compress import make_compressor

    rivals = [*others, *([own] if own else [])]
    plan = list(dict.fromkeys([*plan, *((BASELINE, rival.dims) for rival in rivals)]))
    return [make_compressor(name, size, seed=seed) for name, size in plan] + rivals


def _measure(
    compressor: Compressor, held: Works, own: bool, seconds: float | None, min_works: int, seed: int
) -> Candidate:
    full = held.vectors
    stored = compressor.transform(full).astype(np.float16)
    fastest = min(timeit.repeat(lambda: compressor.transform(full), number=1, repeat=_TIMES))
    movements = [work.movement for work in held.paintings]
    kept = fidelity(full, stored, held.labels, movements, min_works=min_works, seed=seed)
    return Candidate(
        method=compressor.method,
        dims=compressor.dims,
        own=own,
        codes=stored,
        fit_seconds=seconds,
        transform_ms=1e6 * fastest / len(full),
        fidelity=kept,
    )
