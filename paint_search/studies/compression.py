"""Compressors fitted on some paintings of an index and measured on others.

Which paintings are held out is decided for the whole index and never by a filter, so that a
compressor that the index already has is not measured on paintings it learned from.
"""

from __future__ import annotations

import time
import timeit
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np

from paint_search.errors import CompressError, UsageError, argument, counted
from paint_search.eval import (
    BASELINE,
    LEAST_WORKS,
    Candidate,
    LabelFidelity,
    NeighboursKept,
    fidelity,
    shown_candidate,
    unit_rows,
    verdicts,
)
from paint_search.eval.inputs import Vectors
from paint_search.eval.neighbours import ranking_keys
from paint_search.files import PAGES
from paint_search.painting import Progress
from paint_search.report.tables import Part, Remark, Table
from paint_search.studies.result import Note, Report, Result, check_file, counting
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
_BESIDE = 10  # neighbours shown on the page of each painting, by either vectors
_CHANGED, _MIDDLE, _BEST = 12, 4, 4  # paintings on it
_CHANGES = 5
_KEPT = Remark(
    "recall@k: share of the k nearest works that stay the same. Spearman, Kendall: correlation of "
    "the cosines of pairs of works. trust(worthiness) falls where strangers become neighbours, "
    "continuity where neighbours part, both among ten. 1 is everything kept. Vectors are stored "
    "with 2 bytes a number, and measured so."
)
_NEIGHBOURS = {
    **{"recall@1": ">recall@1", "recall@10": ">@10", "recall@50": ">@50"},
    **{"spearman": ">Spearman", "kendall": ">Kendall"},
    **{"trustworthiness": ">trust", "continuity": ">continuity"},
}
_ON_PAGES = {
    **{key: _NEIGHBOURS[key] for key in ("recall@1", "recall@10", "recall@50", "spearman")},
    **{"artists_map_at_10": ">mAP@10", "artists_silhouettes_r": ">silhouettes", "size": ">size"},
}
_BY_LABEL = {
    **{"p_at_1": ">P@1", "map_at_10": ">mAP@10", "silhouette": ">overall"},
    **{"silhouettes_r": ">pairs", "flips": ">flips"},
    **{"mantel_r": ">Mantel", "mantel_p": ">p", "trees_r": ">trees"},
}
_LABEL_FIGURES: Mapping[str, Callable[[LabelFidelity], float | None]] = {
    "p_at_1_full": lambda kept: kept.p_at_1[0],
    "p_at_1": lambda kept: kept.p_at_1[1],
    "map_at_10_full": lambda kept: kept.map_at_10[0],
    "map_at_10": lambda kept: kept.map_at_10[1],
    "silhouette_full": lambda kept: kept.overall[0],
    "silhouette": lambda kept: kept.overall[1],
    "silhouettes_r": lambda kept: kept.silhouettes.correlation,
    "sign_flips": lambda kept: len(kept.silhouettes.sign_flips),
    "clear_sign_flips": lambda kept: len(kept.silhouettes.clear_flips),
    "mantel_r": lambda kept: kept.mantel.r if kept.mantel else None,
    "mantel_p": lambda kept: kept.mantel.p_value if kept.mantel else None,
    "trees_r": lambda kept: kept.trees,
}
_LABELS = (
    "P@1, mAP@10: as in eval retrieval. Silhouettes: overall, among all {many}; pairs, the "
    "correlation over every two; flips, the pairs that change sides from beyond 0.01 to beyond "
    "-0.01 or back, of all that change sides. "
    "Mantel: correlation of the matrices of mean cosines, p by permutations. trees: correlation of "
    "the cophenetic distances of the two trees."
)


@dataclass(frozen=True, eq=False)
class Compression(Result):
    """What compressors keep of the full vectors, on works that none of them learned from."""

    held: Works  #: the works measured on
    training: int  #: how many others they were fitted on
    seed: int  #: that dealt the works out
    candidates: Sequence[Candidate]  #: the compressors that could be measured, by size
    failed: Sequence[dict[str, Any]]  #: method, dims and error of the others

    @property
    def dims(self) -> int:
        """Numbers of a full vector."""
        return int(self.held.vectors.shape[1])

    @property
    def bytes(self) -> int:
        """Bytes that a full vector takes in the store."""
        return 2 * self.dims

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
            "full": {"dims": self.dims, "bytes": self.bytes},
            "trials": [candidate.to_dict() for candidate in self.candidates],
            "verdicts": verdicts(self.candidates),
            "failed": list(self.failed),
        }

    def table(self) -> Table:
        """Return one row a compressor; None where there is no such figure."""
        rows = [_figures(candidate) for candidate in self.candidates]
        return Table(list(rows[0]), [list(row.values()) for row in rows])

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

    def describe(self) -> Iterator[Part]:
        """Yield what is kept, by neighbours and by labels, what it costs, and the verdicts."""
        by, many = self.held.by, self.held.many
        yield self._kept(_NEIGHBOURS)
        yield _KEPT
        for name, heading in (("artists", f"by {by}"), ("movements", "by movement")):
            if name == "movements" and by == "movement":
                continue
            yield f"\n{heading}"
            if reason := self.candidates[0].fidelity.left_out.get(name):
                yield f"left out: {reason} (--min-works)"
                continue
            columns = {f"{name}_{key}": heading for key, heading in _BY_LABEL.items()}
            table, full = self._kept(columns), _figures(self.candidates[0])
            whole = ["full vectors", "", *(full.get(f"{key}_full") for key in columns)]
            yield Table(table.columns, [whole, *table.rows])
            if name == "artists":
                yield Remark(_LABELS.format(many=many))
        yield "\nwhat it costs"
        yield self._costs()
        shown = shown_candidate(self.candidates)
        if shown.fidelity.artists is not None:
            yield (
                f"\nthe pairs of {many} whose silhouette changes most "
                f"({shown.name} at {shown.dims})"
            )
            changes = shown.fidelity.artists.silhouettes.largest_changes(_CHANGES)
            rows = [tuple(vars(change).values()) for change in changes]
            yield Table(["", "", ">full", ">compressed"], rows)
        said = verdicts(self.candidates)
        yield from ["", *said] if said else []

    def _kept(self, columns: Mapping[str, str]) -> Table:
        """Return one row a compressor, of the figures under their headings."""
        rows = []
        for one in self.candidates:
            figures = _figures(one)
            for by in ("artists", "movements"):
                sides = figures[f"{by}_clear_sign_flips"], figures[f"{by}_sign_flips"]
                figures[f"{by}_flips"] = "/".join(map(str, sides))
            figures["size"] = f"{one.bytes / self.bytes:.0%}"
            rows.append([one.name, str(one.dims), *(figures[key] for key in columns)])
        return Table(["", ">dims", *columns.values()], rows)

    def _costs(self) -> Table:
        rows: list[Sequence[object]] = [["full vectors", str(self.dims), self.bytes, "", "", ""]]
        for one in self.candidates:
            seconds = "" if one.fit_seconds is None else f"{one.fit_seconds:,.1f}"
            costs = [one.bytes, f"{one.bytes / self.bytes:.1%}", seconds]
            rows.append([one.name, str(one.dims), *costs, f"{one.transform_ms:,.1f}"])
        columns = [">bytes a painting", ">of full", ">fit, s", ">1,000 vectors, ms"]
        return Table(["", ">dims", *columns], rows)

    def write_page(self, file: str | Path, report: Report = lambda words, progress: None) -> None:
        """Write a page of the paintings whose neighbours changed most in the one shown.

        Beside each stand its nearest works by the full and by the compressed vectors, those that
        both share framed, the others with the rank they have on the other side.

        Raises:
            UsageError: no name of a page, or no folder to write it into.
        """
        from paint_search.indexer.images.thumbnails import thumbnail
        from paint_search.report import write_page

        check_file(file, PAGES)
        shown, held = shown_candidate(self.candidates), self.held
        units = [unit_rows(vectors, np.float32) for vectors in (held.vectors, shown.codes)]
        choice = _choose(shown.fidelity.neighbours)
        done = counting(report, "pictures", sum(map(len, choice)))
        changed, middle, best = (_queries(units, rows, done) for rows in choice)
        write_page(
            Path(file),
            "fidelity.html",
            name=held.root.name,
            compressed=f"{shown.name}, {self.dims:,} to {shown.dims} dimensions",
            figures=self._kept(_ON_PAGES),
            said=verdicts(self.candidates),
            figure=self.figure(),
            mean=shown.fidelity.neighbours.recall[_BESIDE],
            changed=changed,
            middle=middle,
            best=best,
            captions=[
                (work.artist or "", work.title or PurePosixPath(work.path).stem)
                for work in held.paintings
            ],
            picture=lambda row: thumbnail(held.files[row], _PICTURE),
            made=self._making(),
        )

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
    from paint_search.compress import make_compressor

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
            f"of {counted(len(out), 'painting')} {counted(len(held.files), 'is', 'are')} held out "
            f"to measure on, and it takes {LEAST_WORKS} besides some to fit on: index more, or "
            "filter less"
        )
    plan, rivals = _plan(methods, dims, *training.shape), [*others, *([own] if own else [])]
    plan = list(dict.fromkeys([*plan, *((BASELINE, rival.dims) for rival in rivals)]))
    compressors = [make_compressor(name, size, seed=seed) for name, size in plan]
    note(
        f"{counted(len(training), 'painting')} to fit on, {len(held.files):,} held out to measure "
        f"on (seed {seed})"
    )
    result = Compression(held, len(training), seed, (), ())
    for compressor in [*compressors, *rivals]:
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


def _figures(one: Candidate) -> dict[str, Any]:
    """Return all figures of a compressor, column by column; None where there is none."""
    kept = one.fidelity
    row: dict[str, Any] = {
        "method": one.method,
        "dims": one.dims,
        "of_this_index": one.own,
        **{f"recall@{k}": kept.neighbours.recall.get(k) for k in (1, 10, 50)},
        "spearman": kept.pairs.spearman,
        "kendall": kept.pairs.kendall,
        "trustworthiness": kept.trust.trustworthiness,
        "continuity": kept.trust.continuity,
    }
    for name, labels in (("artists", kept.artists), ("movements", kept.movements)):
        row |= {
            f"{name}_{key}": labels and figure(labels) for key, figure in _LABEL_FIGURES.items()
        }
    return row | {
        "bytes": one.bytes,
        "fit_seconds": one.fit_seconds,
        "transform_ms_per_1000": one.transform_ms,
    }


def _choose(kept: NeighboursKept) -> tuple[list[int], list[int], list[int]]:
    """Return the rows of works that changed most, worst first, that are in the middle, kept best.

    Equal shares are ordered by the share of the most neighbours measured, then by row.
    """
    order = np.lexsort((kept.per_work[:, -1], kept.per_work[:, kept.ks.index(_BESIDE)])).tolist()
    changed = order[:_CHANGED]
    start = max(len(changed), (len(order) - _MIDDLE) // 2)
    middle = order[start : start + _MIDDLE]
    return changed, middle, order[max(len(order) - _BEST, start + len(middle)) :][::-1]


def _queries(
    units: Sequence[Vectors], rows: Sequence[int], done: Callable[[], None]
) -> Iterator[dict[str, object]]:
    """Yield what is shown of each query, so that pictures are made one query at a time."""
    for row in rows:
        full, compact = (_others(unit, row) for unit in units)
        yield {
            "row": row,
            "kept": len({*full[:_BESIDE]} & {*compact[:_BESIDE]}),
            "of": len(full[:_BESIDE]),
            "sides": {"full": _side(full, compact), "compressed": _side(compact, full)},
        }
        done()


def _others(unit: Vectors, row: int) -> list[int]:
    """Return all other works, the nearest first."""
    keys = ranking_keys(unit[row : row + 1] @ unit.T)[0]
    keys[row] = np.iinfo(np.int64).min
    return [*map(int, np.argsort(keys)[:0:-1])]


def _side(here: list[int], there: list[int]) -> Iterator[tuple[int, str, bool]]:
    """Yield the nearest works, where they stand here and there, and whether both sides have them.

    Each side holds all works but one, the most like it first.
    """
    for place, row in enumerate(here[:_BESIDE], start=1):
        other = there.index(row) + 1
        yield row, f"{place}" if other == place else f"{place} → {other:,}", other <= _BESIDE


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
