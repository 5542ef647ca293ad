"""How often a detail is found again where it was pasted, or where somebody has marked it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from paint_search.errors import UsageError, argument, counted
from paint_search.eval import localisation_precision, overlap
from paint_search.files import read_json
from paint_search.report.tables import Part, Remark, Table
from paint_search.studies.result import Note, Report, Result, counting
from paint_search.studies.works import AnIndex, Exclude, Where, reading

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from paint_search.index.index import Index
    from paint_search.painting import Painting

    Pixels = NDArray[np.uint8]

_CUT: Final = (0.25, 0.5)  # of the shorter side of a painting, each side of a detail
_HOST: Final = 0.9  # of each side of the other work, the most that a detail takes
_FEATHER: Final = 0.15  # of each side of a detail, over which it is blended
_BINS: Final = (0.5, 0.71, 1.0, 1.41, 2.0)
_PREDICTED: Final = 1000  # boxes that an annotated query may give


@dataclass(frozen=True, slots=True)
class Pasted:
    """One detail: where it was cut, where it was pasted, and whether it was found."""

    source: str
    box: tuple[int, int, int, int]
    host: str
    pasted: tuple[int, int, int, int]
    scale: float
    mirrored: bool
    rank: int | None  #: of the work that it was pasted into, by the detail; None beyond k
    overlap: float  #: of the box that was found there, with where it is
    whole_rank: int  #: of that work, by the detail asked as a whole picture

    def found(self, least: float) -> bool:
        """Tell whether it was found, with a box."""
        return self.rank is not None and self.overlap >= least


@dataclass(frozen=True, eq=False)
class DetailsFound(Result):
    """How often details were found among the first hits."""

    pasted: list[Pasted]
    k: int  #: hits that count
    least: float  #: overlap of a box that counts
    gallery: int  #: works that were searched, those with a detail pasted into them among them
    seconds: float  #: of a query, in the mean
    seed: int

    @property
    def rates(self) -> dict[str, tuple[int, tuple[float, float]]]:
        """How many were found in each way, and the 95 % interval (exact, binomial) of the share."""
        from scipy.stats import binomtest

        counts = {
            "by the detail, with its box": sum(one.found(self.least) for one in self.pasted),
            "by the detail": sum(one.rank is not None for one in self.pasted),
            "as a whole picture": sum(one.whole_rank <= self.k for one in self.pasted),
        }
        total = len(self.pasted)
        shares = {name: binomtest(n, total).proportion_ci() for name, n in counts.items()}
        return {name: (n, (shares[name].low, shares[name].high)) for name, n in counts.items()}

    def to_dict(self) -> dict[str, Any]:
        """Return the rates and each detail."""
        return {
            "details": len(self.pasted), "k": self.k, "overlap": self.least,
            "gallery": self.gallery, "seconds": self.seconds, "seed": self.seed,
            "found": {
                name: {"count": count, "share": count / len(self.pasted), "interval": list(ends)}
                for name, (count, ends) in self.rates.items()
            },
            "pasted": _rows(self.table()),
        }  # fmt: skip

    def table(self) -> Table:
        """Return one row a detail."""
        columns = ("source", "box", "host", "pasted", "scale", "mirrored", "rank", "overlap",
                   "whole_rank")  # fmt: skip
        return Table(
            columns,
            [
                (one.source, _text(one.box), one.host, _text(one.pasted), round(one.scale, 3),
                 one.mirrored, one.rank, round(one.overlap, 3), one.whole_rank)
                for one in self.pasted
            ],
        )  # fmt: skip

    def figure(self) -> Figure:
        """Draw the share found with a box, by how much larger or smaller details were pasted."""
        from scipy.stats import binomtest

        from paint_search.report import interval_figure

        groups = [(name, some) for name, some in self._by_scale() if some]
        counts = [sum(one.found(self.least) for one in some) for _, some in groups]
        sizes = [len(some) for _, some in groups]
        ends = [binomtest(n, m).proportion_ci() for n, m in zip(counts, sizes, strict=True)]
        return interval_figure(
            [name for name, _ in groups],
            np.array(counts) / sizes,
            np.array([[one.low, one.high] for one in ends]),
            sizes,
            "Details found again, by the size that they were pasted in",
            f"share with a box among {self.k} hits",
        )

    def _by_scale(self) -> list[tuple[str, list[Pasted]]]:
        names = [f"{low:g} to {high:g} times" for low, high in pairwise(_BINS)]
        groups: list[list[Pasted]] = [[] for _ in names]
        for one in self.pasted:
            groups[min(int(np.searchsorted(_BINS[1:-1], one.scale)), len(names) - 1)].append(one)
        return list(zip(names, groups, strict=True))

    def describe(self) -> Iterator[Part]:
        """Yield the rates, and those by size."""
        total = len(self.pasted)
        yield Table(
            [f"found among {self.k} hits", ">details", ">share", "95 % interval"],
            [
                (name, count, f"{count / total:.1%}", f"{low:.1%} to {high:.1%}")
                for name, (count, (low, high)) in self.rates.items()
            ],
        )
        yield Remark(
            f"{counted(total, 'detail')} cut from as many works and pasted into others: 0.5 to 2 "
            f"times as large, recoloured, half of them mirrored, blended; {self.gallery:,} works "
            f"were searched, {self.seconds:.2f} s a query; a box counts from an overlap "
            f"(intersection over union) of {self.least:g}; seed {self.seed}"
        )
        yield "\nby the size that they were pasted in"
        yield Table(
            ["size", ">details", ">with its box", ">as a whole picture"],
            [
                (
                    name,
                    len(some),
                    f"{sum(one.found(self.least) for one in some) / len(some):.0%}",
                    f"{sum(one.whole_rank <= self.k for one in some) / len(some):.0%}",
                )
                for name, some in self._by_scale()
                if some
            ],
        )  # fmt: skip


@dataclass(frozen=True, eq=False)
class Localised(Result):
    """How well marked details were found, by the average precision of each query."""

    queries: list[tuple[str, str, float]]  #: category, picture, average precision
    least: float  #: overlap above which a box is right
    missing: int  #: pictures that are named and not in this index

    @property
    def mean_precision(self) -> float:
        """The mean over the queries, mAP."""
        return float(np.mean([precision for *_, precision in self.queries]))

    def by_category(self) -> dict[str, list[float]]:
        """Return the average precision of each query, by its category."""
        found: dict[str, list[float]] = {}
        for category, _, precision in self.queries:
            found.setdefault(category, []).append(precision)
        return found

    def to_dict(self) -> dict[str, Any]:
        """Return mAP and the average precision of each query."""
        return {
            "mAP": self.mean_precision, "overlap": self.least, "missing": self.missing,
            "queries": _rows(self.table()),
        }  # fmt: skip

    def table(self) -> Table:
        """Return one row a query."""
        return Table(("category", "query", "precision"), self.queries)

    def figure(self) -> Figure:
        """Draw the mean of each category, with its least and greatest query."""
        from paint_search.report import interval_figure

        groups = self.by_category()
        return interval_figure(
            list(groups),
            np.array([np.mean(some) for some in groups.values()]),
            np.array([[min(some), max(some)] for some in groups.values()]),
            [len(some) for some in groups.values()],
            "Marked details found, by category",
            "average precision",
        )

    def describe(self) -> Iterator[Part]:
        """Yield mAP, and the mean of each category."""
        yield f"mAP {self.mean_precision:.3f} over {counted(len(self.queries), 'query', 'queries')}"
        yield Remark(
            f"a box is right from an overlap above {self.least:g}; "
            f"{counted(self.missing, 'picture')} named and not in this index"
        )
        yield Table(
            ["category", ">queries", ">mAP"],
            [(name, len(some), float(np.mean(some))) for name, some in self.by_category().items()],
        )


def details(
    index: AnIndex,
    *,
    where: Where = None,
    exclude: Exclude = None,
    count: int = 500,
    k: int = 10,
    overlap: float = 0.3,
    annotations: str | Path | None = None,
    seed: int = 0,
    note: Note = lambda line: None,
    report: Report = lambda words, progress: None,
) -> DetailsFound | Localised:
    """Measure how often a detail is found again; the details of the index must have been built.

    Details are cut from ``count`` works, pasted into as many others and looked for among ``k``
    hits, with a box that overlaps by ``overlap``, beside the same detail asked as a whole picture.
    The index stays as it is.

    ``annotations`` is a JSON file of marked details instead, as ArtMiner has them (Shen, Efros and
    Aubry, CVPR 2019): category -> list of {"query": [picture, [x1, y1, x2, y2]], "gt": [[picture,
    [x1, y1, x2, y2]], ...]}.

    Raises:
        UsageError: no details are built, fewer than two works, or an unreadable file.
    """
    if count < 1 or k < 1:
        name, value = ("count", count) if count < 1 else ("k", k)
        raise UsageError(f"{argument(name, value)}: give at least 1")
    if not 0 <= overlap <= 1:
        raise UsageError(f"{argument('overlap', overlap)}: give a number from 0 to 1")
    with reading(index) as opened:
        if annotations is not None:
            return _localised(opened, Path(annotations), overlap, note, report)
        return _pasted(opened, _Asked(where, exclude, count, k, overlap, seed), note, report)


@dataclass(frozen=True)
class _Asked:
    where: Where
    exclude: Exclude
    count: int
    k: int
    least: float
    seed: int


def _pasted(index: Index, asked: _Asked, note: Note, report: Report) -> DetailsFound:
    from paint_search.index.select import all_conditions

    built = index.details()
    conditions = all_conditions(asked.where, asked.exclude)
    rows = {one: row for row, one in enumerate(built.ids)}
    works = [one for one in index.paintings(conditions) if one.id in rows]
    works = [one for one in works if index.locate(one).is_file()]
    count = min(asked.count, len(works) // 2)
    if not count:
        raise UsageError("two works at least, with their pictures here, are cut from and pasted to")
    if count < asked.count:
        note(f"{counted(count, 'detail')}, as many as there are works to cut from and paste into")
    pasted = paste_details(index, works, count, asked.seed, counting(report, "pasting", count))
    composites = [one.made.picture for one in pasted]
    more = [built.eyes.grids(one, built.fit)[0] for one in composites]
    ids, vectors = index.vectors(None, "full")
    place = {one: row for row, one in enumerate(ids)}
    gallery = np.concatenate([vectors, index.embed(composites)])
    asked_whole = index.embed([_crop(one.pixels, one.made.box) for one in pasted])
    found: list[Pasted] = []
    seconds = 0.0
    step = counting(report, "looking for them", count)
    for number, (source, host, pixels, made) in enumerate(pasted):
        scores = gallery @ asked_whole[number]
        scores[place[source.id]] = -np.inf
        whole_rank = int((scores > scores[len(ids) + number]).sum()) + 1
        may = np.ones(len(rows) + count, dtype=bool)
        may[rows[source.id]] = False
        start = time.perf_counter()
        hits = built.find(built.templates(pixels, made.box), asked.k, may=may, more=more)
        seconds += time.perf_counter() - start
        rank, overlapping = None, 0.0
        for at, hit in enumerate(hits[: asked.k], start=1):
            if hit.row == len(rows) + number:
                high, wide, _ = made.picture.shape
                rank, overlapping = at, overlap(hit.box((wide, high)), made.pasted)
        found.append(
            Pasted(source.path, made.box, host.path, made.pasted, made.scale, made.mirrored,
                   rank, overlapping, whole_rank)
        )  # fmt: skip
        step()
    return DetailsFound(found, asked.k, asked.least, len(gallery), seconds / count, asked.seed)


class Made(NamedTuple):
    """A work with a detail of another in it; where it was cut and pasted, and how."""

    picture: Pixels
    box: tuple[int, int, int, int]
    pasted: tuple[int, int, int, int]
    scale: float
    mirrored: bool


class Composite(NamedTuple):
    """A detail of one work in another: both, the pixels that it was cut from, and what was made."""

    source: Painting
    host: Painting
    pixels: Pixels
    made: Made


def paste_details(
    index: Index, works: Sequence[Painting], count: int, seed: int, step: Callable[[], None]
) -> list[Composite]:
    """Cut details out of ``count`` works, and paste each into another; ``step`` follows each."""
    eyes = index.details().eyes
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(works))
    found = []
    for a, b in order[: 2 * count].reshape(-1, 2):
        source, host = works[a], works[b]
        pixels, under = (eyes.whole(index.locate(one))[0] for one in (source, host))
        found.append(Composite(source, host, pixels, paste(pixels, under, rng)))
        step()
    return found


def _crop(pixels: Pixels, box: tuple[int, int, int, int]) -> Pixels:
    x, y, width, height = box
    return np.ascontiguousarray(pixels[y : y + height, x : x + width])


def paste(
    source: Pixels, host: Pixels, rng: np.random.Generator, longer: float | None = None
) -> Made:
    """Cut a detail out of one picture, and paste it into another; ``longer`` is its longer side.

    Without it, a detail is 0.5 to 2 times as large as it was.
    """
    from PIL import Image

    shorter = min(source.shape[:2])
    width, height = (max(8, int(shorter * rng.uniform(*_CUT))) for _ in range(2))
    x, y = (
        int(rng.integers(0, max(1, most - side + 1)))
        for most, side in ((source.shape[1], width), (source.shape[0], height))
    )
    box = (x, y, width, height)
    scale = min(
        2 ** rng.uniform(-1, 1) if longer is None else longer / max(width, height),
        _HOST * host.shape[1] / width,
        _HOST * host.shape[0] / height,
    )
    wide, high = (max(8, int(side * scale)) for side in (width, height))
    detail = Image.fromarray(_crop(source, box)).resize((wide, high), Image.Resampling.LANCZOS)
    values = np.asarray(detail, dtype=np.float32) / 255
    mirrored = bool(rng.random() < 0.5)
    if mirrored:
        values = values[:, ::-1]
    values = values ** rng.uniform(0.75, 1.3) * rng.uniform(0.8, 1.2, 3)
    ramps = [
        np.clip((np.minimum(at, length - at) + 0.5) / (_FEATHER * length), 0, 1)
        for length in (high, wide)
        for at in [np.arange(length)]
    ]
    cover = (ramps[0][:, None] * ramps[1])[..., None]
    left = int(rng.integers(0, max(1, host.shape[1] - wide + 1)))
    top = int(rng.integers(0, max(1, host.shape[0] - high + 1)))
    made = host.astype(np.float32) / 255
    under = made[top : top + high, left : left + wide]
    made[top : top + high, left : left + wide] = cover * values.clip(0, 1) + (1 - cover) * under
    pasted = (left, top, wide, high)
    return Made((made * 255).astype(np.uint8), box, pasted, float(scale), mirrored)


def _localised(index: Index, file: Path, least: float, note: Note, report: Report) -> Localised:
    """Ask each marked detail of a file."""
    try:
        asked = [
            (str(category), *_marked(one["query"]), [_marked(truth) for truth in one["gt"]])
            for category, some in read_json(file).items()
            for one in some
        ]
    except OSError as error:
        raise UsageError(f"there is no file {file} ({error.strerror})") from error
    except (AttributeError, KeyError, TypeError, ValueError, json.JSONDecodeError) as error:
        raise UsageError(
            f"{file} has no marked details: it needs category, and a list of query and gt with a "
            f"picture and x1, y1, x2, y2 each ({type(error).__name__}: {error})"
        ) from error
    paths: dict[str, str] = {}
    for painting in index:
        paths[painting.path] = paths[PurePosixPath(painting.path).name] = painting.path
    named = {name for _, query, _, truths in asked for name in (query, *(one for one, _ in truths))}
    missing = sum(name not in paths for name in named)
    if missing:
        note(f"{counted(missing, 'picture')} of {len(named):,} named there not in this index")
    found: list[tuple[str, str, float]] = []
    step = counting(report, "looking for them", len(asked))
    for category, query, box, truths in asked:
        step()
        if query not in paths:
            continue
        hits = index.similar(paths[query], _PREDICTED, box=box)
        ranked = [(hit.path, hit.box) for hit in hits if hit.box is not None]
        true = [(paths.get(name, name), true_box) for name, true_box in truths]
        found.append((category, query, localisation_precision(ranked, true, least)))
    if not found:
        raise UsageError(f"no picture that {file} asks about is in this index")
    return Localised(found, least, missing)


def _marked(marked: Any) -> tuple[str, tuple[int, int, int, int]]:
    name, (left, top, right, bottom) = marked
    return str(name), (int(left), int(top), int(right - left), int(bottom - top))


def _rows(table: Table) -> list[dict[str, Any]]:
    return [dict(zip(table.columns, row, strict=True)) for row in table.rows]


def _text(box: tuple[int, int, int, int]) -> str:
    return ",".join(map(str, box))
