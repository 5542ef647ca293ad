"""Everything there is to say of a collection, as a page to be sent, and the map beside it.

Each section says what it shows and what it does not, or in one sentence why there is nothing to
show. What a section finds is gathered here, how it says so stands in ``report/assets/report/``, in
the template of the section's name. All sections ask of the same works in the same order.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from paint_search.errors import EvalError
from paint_search.eval import (
    Neighbours,
    Projection,
    Retrieval,
    Silhouette,
    artist_similarity,
    centroids,
    hierarchy,
    likely_duplicates,
    outliers,
    project,
    retrieval,
    silhouettes,
    typical_works,
)
from paint_search.files import PAGES
from paint_search.search.filters import SPANS
from paint_search.studies.exhibit import Exhibit
from paint_search.studies.result import Report, check_file, counting
from paint_search.studies.works import AnIndex, Exclude, Where, Works, read_works, reading

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL import Image

    from paint_search.eval.artists import ArtistPair, ArtistSimilarity
    from paint_search.eval.inputs import Floats
    from paint_search.eval.silhouette import PairSilhouette
    from paint_search.index.manifest import Manifest

_SHOWN = 280  # pixels of a picture in the report, twice what it takes on the screen
_HASH_DIGITS = 16  # of a look; the others are its mean colour
_MEASURED_WITH = ("numpy", "scipy", "scikit-learn", "umap-learn", "matplotlib")
_SHOWN_LABELS = 40  # so many artists fit a figure on a page and can still be read
_LEAST_WORKS = 5  # from so many works on, an artist's figures mean something
_MANY_WORKS = 20
_TOP = 10  # values of a field
_TYPICAL = 12  # labels whose most typical work is shown
_PICTURED_LEAVES = 20  # a taller tree would not fit a printed page
_PAIRS = 6  # of labels, closest and farthest
_LISTED = 12  # rows of a table
_PLACES = 5  # of pairs, from either end
_DUPLICATES = 20
_OUTLIERS = 10


@dataclass(frozen=True)
class Written:
    """What was written: the report, then the map if there is one, and of how many works."""

    files: list[Path]
    paintings: int
    labels: int

    def to_dict(self) -> dict[str, Any]:
        """Return the same as JSON can carry it."""
        return vars(self) | {"files": [str(file) for file in self.files]}


def report(
    index: AnIndex,
    out: str | Path,
    by: str = "artist",
    *,
    where: Where = None,
    exclude: Exclude = None,
    progress: Report = lambda words, progress: None,
    served: bool = False,
) -> Written:
    """Write a report on the collection into ``out``, and beside it OUT-map.html, to explore.

    One that is ``served`` leads to the works and the map of its server; none is written beside it.

    Raises:
        UsageError: an unknown field, or a page that cannot be written.
    """
    from paint_search.report import write_page

    out = Path(out)
    check_file(out, PAGES)
    with reading(index) as source:
        # Unlike the studies, a report has words for none at all.
        works = read_works(source, by, where, exclude, need_artists=False, may_be_empty=True)
        skipped = source.skipped()
    exhibit = Exhibit(works)
    page = None if served else out.with_name(f"{out.stem}-map.html")
    views, hashes = _show(exhibit, page, progress)
    address = "" if not views else "/map" if page is None else page.name
    described = Collected(exhibit, hashes, views[0] if views else None, address, skipped)
    write_page(
        out,
        "report.html",
        page=described,
        served=served,
        name=works.root.name,
        date=f"{date.today():%d %B %Y}",
        contents={anchor: title for anchor, (title, _) in SECTIONS.items()},
        sections=_sections(described, counting(progress, "sections", len(SECTIONS))),
        made=_making(works.manifest),
    )
    return Written([out, page] if views and page else [out], len(works.files), len(works.names))


def _show(
    exhibit: Exhibit, page: Path | None, progress: Report
) -> tuple[list[Projection], NDArray[np.uint64]]:
    """Write the page to explore; return its views, none where no map can be made, and the hashes.

    Hashes are of the thumbnails, which are decoded anyway; 0 where there is no picture.
    """
    from paint_search.indexer.images.perceptual_hash import look
    from paint_search.indexer.images.thumbnails import is_missing

    works = exhibit.works
    views: list[Projection] = []
    with exhibit.thumbnails(progress) as picture:
        with suppress(EvalError):  # the report says in its place that there is no map
            views = [project(works.vectors, "umap"), project(works.vectors, "pca")]
            if page is not None:
                exhibit.write_page(page, views, picture, exhibit.telling_field)
        shown = [picture(row) for row in range(len(works.files))]
        hashes = [
            0 if is_missing(seen) else int(look(np.asarray(seen))[:_HASH_DIGITS], 16)
            for seen in shown
        ]
    return views, np.array(hashes, dtype=np.uint64)


def _making(manifest: Manifest) -> list[tuple[str, str]]:
    """Return how the index and the figures came about, line by line."""
    from importlib.metadata import version

    backbone, background = manifest.backbone, manifest.background
    return [
        ("model", f"{backbone.name}, {backbone.dimension:,} numbers a painting"),
        ("weights", f"{backbone.weights} (SHA-256 {backbone.fingerprint[:16]}...)"),
        ("pictures as the model sees them", backbone.preprocessing.describe()),
        ("engine", manifest.engine.describe() if manifest.engine else "a formula"),
        ("indexed", f"{manifest.created}, with paint-search {manifest.made_with}"),
        ("reported", f"{date.today().isoformat()}, with paint-search {version('paint-search')}"),
        ("measured with", ", ".join(f"{name} {version(name)}" for name in _MEASURED_WITH)),
        ("usual likeness", background.describe() if background else "too few labels to say"),
    ]


@dataclass(frozen=True, eq=False)
class Collected:
    """The n works a report is about, row by row, and what is known of the whole."""

    exhibit: Exhibit  #: the works, with their titles and fields
    hashes: NDArray[np.uint64]  #: (n,) perceptual hashes of 64 bits
    projection: Projection | None  #: the map; None where there is none
    map_address: str  #: of the interactive map, relative to the report; "" where there is none
    skipped: Sequence[tuple[str, str]]  #: (path, reason) of files that are not in the collection

    @property
    def works(self) -> Works:
        """The works, and what their labels are."""
        return self.exhibit.works

    @cached_property
    def titles(self) -> list[str]:
        """What stands below each picture, beside the label."""
        titles = self.exhibit.titles
        if self.works.by == "artist":
            return titles
        artists = [work.artist for work in self.works.paintings]
        both = zip(artists, titles, strict=True)
        return [f"{artist}: {title}" if artist else title for artist, title in both]

    @property
    def fields(self) -> dict[str, list[Any]]:
        """What else is known of the works, name -> n values, None where missing."""
        columns = self.exhibit.columns.items()
        return {name: column for name, column in columns if name != self.works.by}

    @property
    def nearest(self) -> Neighbours | None:
        """The neighbours of all works; None where there are fewer than two."""
        return self.exhibit.nearest if len(self.works.files) > 1 else None

    def picture(self, row: int) -> Image.Image:
        """Return the picture of a work, about as large as it is shown."""
        from paint_search.indexer.images.thumbnails import thumbnail

        return thumbnail(self.works.files[row], _SHOWN)

    @cached_property
    def ranked(self) -> list[tuple[str, int]]:
        """The labels with their numbers of works, most works first."""
        counts = Counter(label for label in self.works.labels if label is not None)
        return sorted(counts.items(), key=lambda item: (-item[1], item[0]))

    def only(self, names: Sequence[str]) -> list[str | None]:
        """Return the labels, None where they are not among `names`."""
        chosen = set(names)
        return [label if label in chosen else None for label in self.works.labels]

    def having(self, works: int) -> list[str]:
        """Return the labels of at least so many works, most works first."""
        return [name for name, count in self.ranked if count >= works]

    def several(self, number: int, purpose: str) -> list[str]:
        """Return the labels to compare: those of enough works, all where those are too few.

        Raises:
            EvalError: fewer than `number` labels in all.
        """
        enough = self.having(_LEAST_WORKS)
        names = enough if len(enough) >= number else self.having(1)
        if len(names) < number:
            raise EvalError(
                f"It takes {number} {self.works.many} to {purpose}; {self.count_labels()} known "
                "here."
            )
        return names

    def count_labels(self) -> str:
        """Say how many labels there are: "no artist is", "1 artist is", "12 artists are"."""
        count = len(self.ranked)
        if count < 2:
            return f"{count or 'no'} {self.works.by} is"
        return f"{count:,} {self.works.many} are"

    def extent(self, shown: int) -> str:
        """Say of how many labels a figure is: all, or those of most works."""
        most = " of most works" if shown < len(self.ranked) else ""
        return f"{'the ' if most else ''}{shown} {self.works.many}{most}"


def _sections(page: Collected, done: Callable[[], None]) -> Iterator[dict[str, object]]:
    """Yield what each section found, or the reason why it found nothing."""
    for anchor, (_, gather) in SECTIONS.items():
        try:
            yield {"anchor": anchor, "found": gather(page)}
        except EvalError as error:
            yield {"anchor": anchor, "reason": str(error)}
        done()


# ---- the collection as a whole


def _numbers(page: Collected) -> dict[str, object]:
    """How many works, artists, years; the most frequent values of each field; typical works."""
    if not page.titles:
        raise EvalError("The collection is empty: no painting is indexed.")
    ranked = page.ranked
    rows: list[tuple[str, object]] = [("paintings", len(page.titles))]
    if ranked:
        most, middle = ranked[0], ranked[len(ranked) // 2]
        single = sum(count == 1 for _, count in ranked)
        rows += [(page.works.many, len(ranked)), (f"{page.works.many} of a single work", single)]
        if single < len(ranked):
            rows += [
                (f"most works of one {page.works.by}", f"{most[1]:,} ({most[0]})"),
                (f"works of the {page.works.by} in the middle", middle[1]),
            ]
    rows.append((f"works without {page.works.by}", list(page.works.labels).count(None)))
    fields = page.fields
    for name, ends in SPANS.items():
        if all(fields.get(end) == fields.get(name) for end in ends):
            fields = {field: values for field, values in fields.items() if field not in ends}
    rows += [(name, _describe(values)) for name, values in fields.items()]
    columns = {page.works.by: page.works.labels, **fields}
    frequent = {name: top for name, values in columns.items() if (top := _top(name, values))}
    names = page.having(2)[:_TYPICAL]
    typical = typical_works(page.works.vectors, page.only(names)) if names else {}
    return {"rows": rows, "frequent": frequent, "typical": [typical[name] for name in names]}


def _describe(values: Sequence[object]) -> str:
    given = [value for value in values if value is not None]
    missing = len(values) - len(given)
    lacking = f", missing for {missing:,}" if missing else ""
    figures = [value for value in given if isinstance(value, Real) and math.isfinite(value)]
    if given and len(figures) == len(given) and len(set(figures)) > 2:
        return f"{float(min(figures)):g} to {float(max(figures)):g}{lacking}"
    return f"{len(set(given)):,} different{lacking}"


def _top(name: str, values: Sequence[object]) -> list[tuple[str, int]]:
    """Return the most frequent values of a text field that is shared by works."""
    from paint_search.report import group_values

    groups = group_values(name, values)
    if groups.numbers is not None or len(groups.names) < 2 or groups.counts.max() < 2:
        return []
    return list(zip(groups.names, groups.counts.tolist(), strict=True))[:_TOP]


def _map(page: Collected) -> dict[str, object]:
    """The map for print; the template leads to the one that can be explored."""
    from paint_search.report import group_values, scatter_figure

    if page.projection is None:
        raise EvalError(
            f"A map needs at least 3 paintings that differ; there are {len(page.titles):,}."
        )
    columns = {page.works.by: page.works.labels, **page.fields}
    groups = group_values(page.exhibit.telling_field, columns[page.exhibit.telling_field])
    title = f"The collection by {page.exhibit.telling_field}"
    return {"figure": scatter_figure(page.projection, groups, title, page.exhibit.names)}


def _as_given(page: Collected) -> dict[str, object]:
    return {}


# ---- artists, or what else a label is


def _likeness(page: Collected) -> dict[str, object]:
    """The heat map and the tree of those of most works."""
    from paint_search.report import dendrogram_figure, heat_map_figure

    page.several(2, "draw a tree of likeness")
    labels = page.only([name for name, _ in page.ranked[:_SHOWN_LABELS]])
    names, centres = centroids(page.works.vectors, labels)
    tree = hierarchy(centres, names)
    shown = page.extent(len(names))
    typical = typical_works(page.works.vectors, labels)
    pictured = len(names) <= _PICTURED_LEAVES
    return {
        "heat_map": heat_map_figure(
            artist_similarity(page.works.vectors, labels).mean,
            names,
            tree.linkage,
            f"How alike {shown} paint",
            "mean cosine",
        ),
        "tree": dendrogram_figure(
            tree.linkage,
            names,
            f"Which of {shown} belong together",
            thumbnail=(lambda leaf: page.picture(typical[names[leaf]])) if pictured else None,
        ),
        "cophenetic": tree.cophenetic if math.isfinite(tree.cophenetic) else None,
        "pictured": pictured,
        "shown": len(names),
    }


def _pairs(page: Collected) -> dict[str, object]:
    """The closest and the farthest pairs, each with the two works that are closest across it."""
    names = page.several(3, "say which two are closest")
    similarity = artist_similarity(page.works.vectors, page.only(names))
    return {
        "compared": len(names),
        "least": min(count for name, count in page.ranked if name in set(names)),
        "closest": list(_disjoint(similarity, -similarity.mean)),
        "farthest": list(_disjoint(similarity, similarity.mean)),
    }


def _disjoint(similarity: ArtistSimilarity, keys: Floats) -> Iterator[ArtistPair]:
    """Yield the pairs of lowest keys, none sharing a label with one before."""
    rows, columns = np.triu_indices(len(keys), 1)
    names, taken = similarity.groups.names, set[int]()
    for place in np.argsort(keys[rows, columns], kind="stable"):
        pair = {int(rows[place]), int(columns[place])}
        if len(taken) == 2 * _PAIRS:
            return
        if not pair & taken:
            taken |= pair
            yield similarity.pair(names[rows[place]], names[columns[place]])


def _silhouettes(page: Collected) -> dict[str, object]:
    """How well artists stand apart, all together and two by two."""
    from paint_search.report import interval_figure

    least = _LEAST_WORKS if len(page.having(_LEAST_WORKS)) > 1 else 2
    several = page.having(2)
    if len(several) < 2:
        raise EvalError(
            f"It takes two {page.works.many} of two or more works each to say how well they stand "
            f"apart; here {'is' if several else 'are'} {len(several) or 'none'}."
        )
    result = silhouettes(page.works.vectors, page.works.labels, min_works=least)
    shown = sorted(result.per_label, key=lambda label: (-label.works, label.label))
    shown = shown[:_SHOWN_LABELS]
    return {
        "figure": interval_figure(
            [label.label for label in shown],
            np.array([label.value for label in shown]),
            np.array([(label.low, label.high) for label in shown]),
            [label.works for label in shown],
            f"How well {page.extent(len(shown))} stand apart",
            "mean silhouette, cosine distance, with its 95 % interval",
        ),
        "shown": len(shown),
        "least": least,
        "result": result,
        "rows": [
            (place, pair.a, pair.b, pair.value, (pair.low, pair.high))
            for place, pair in _best_and_worst(result)
        ],
    }


def _best_and_worst(result: Silhouette) -> list[tuple[str, PairSilhouette]]:
    """Return the best, the middle and the worst pairs with their place, or all of a few."""
    if len(result.pair_values) <= 2 * _PLACES:
        return [("", pair) for pair in result.best(len(result.pair_values))]
    return [
        *(("best", pair) for pair in result.best(_PLACES)),
        ("in the middle", result.median()),
        *(("worst", pair) for pair in reversed(result.worst(_PLACES))),
    ]


# ---- single works


def _retrieval(page: Collected) -> dict[str, object]:
    """How often the nearest works are by the same artist, and who is taken for whom."""
    if not page.having(2):
        raise EvalError(
            f"Every {page.works.by} here has a single work at most, so that no work has another "
            f"of the same {page.works.by} to be found."
        )
    result = retrieval(page.works.vectors, page.works.labels, ks=(1, 10))
    # A list of those of few works would be a list of zeros.
    many = len(page.having(_MANY_WORKS)) >= _LISTED
    least = _MANY_WORKS if many else _LEAST_WORKS
    chance = float((result.relevant / (len(result.groups.labelled) - 1)).mean())
    blindly = f"the nearest work, if picked blindly, is of the same {page.works.by}"
    confused = [row for row in result.confusions() if row.count > 1]
    return {
        "queries": len(result.queries),
        "lonely": result.lonely,
        "rows": [*_precision(page.works.by, result), (blindly, "", f"{chance:.1%}", "")],
        "least": least,
        "hardest": [
            (row.label, row.queries, f"{row.p_at_1:.1%}", f"{row.hit:.1%}", f"{row.ap:.1%}")
            for row in result.hardest(_LISTED, least)
        ],
        "confusions": [
            (row.label, row.taken_for, row.count, f"{row.share:.0%}") for row in confused[:_LISTED]
        ],
    }


def _precision(one: str, result: Retrieval) -> Iterator[tuple[str, str, str, str]]:
    """Yield each figure of retrieval in words, with its name, mean and interval."""
    means = result.summary()
    for figure, words in (
        ("P@1", f"the nearest work is of the same {one}"),
        ("R@10", f"at least one of the ten nearest is of the same {one}"),
        ("P@10", f"share of the ten nearest that are of the same {one}"),
        ("mAP@10", "the same, with more weight on the first places"),
        ("R-precision", "share among as many nearest as there are to find"),
    ):
        low, high = result.interval(figure)
        ends = "" if math.isnan(low) else f"{low:.1%} to {high:.1%}"
        yield words, figure, f"{means[figure]:.1%}", ends


def _duplicates(page: Collected) -> dict[str, object]:
    """Pairs of files that are likely one picture."""
    from paint_search.search.query import COPY_BITS

    if page.nearest is None:
        raise EvalError("It takes two paintings to look for duplicates.")
    found = likely_duplicates(page.works.vectors, page.hashes, page.nearest, copy_bits=COPY_BITS)
    return {"count": len(found), "pairs": found[:_DUPLICATES]}


def _outliers(page: Collected) -> dict[str, object]:
    """Works unlike any other by their artist, with the artist's most typical work."""
    if not page.having(_LEAST_WORKS):
        raise EvalError(
            f"It takes {_LEAST_WORKS} works by one {page.works.by} to say that one of them is "
            "unusual, and none here has so many."
        )
    found = outliers(page.works.vectors, page.works.labels, min_works=_LEAST_WORKS)
    return {"least": _LEAST_WORKS, "outliers": found[:_OUTLIERS]}


SECTIONS: Mapping[str, tuple[str, Callable[[Collected], dict[str, object]]]] = {
    "numbers": ("The collection in numbers", _numbers),
    "map": ("The map", _map),
    "likeness": ("Who paints like whom", _likeness),
    "pairs": ("Closest and farthest", _pairs),
    "silhouettes": ("Who stands apart", _silhouettes),
    "retrieval": ("Can a hand be recognised?", _retrieval),
    "duplicates": ("Likely duplicates", _duplicates),
    "outliers": ("Works unlike their companions", _outliers),
    "skipped": ("What was left out", _as_given),
    "making": ("How this report was made", _as_given),
}
"""The sections in their order: anchor -> title, and what gathers their content."""
