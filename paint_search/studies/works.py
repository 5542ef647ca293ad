"""The paintings that a study looks at: an index and a filter in, vectors with one label each out.

Everything is read at once, so that an index that was opened for a study is closed before it begins
to measure. Nothing here measures anything.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from paint_search.errors import UsageError, argument, counted
from paint_search.report.tables import plural

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from paint_search.index.index import Index
    from paint_search.index.manifest import Manifest
    from paint_search.painting import Painting
    from paint_search.search.filters import Filter, FilterValue
    from paint_search.search.stores.base import VectorName

AnIndex: TypeAlias = "Index | str | Path | None"
"""An open index, or the folder of one; None for the nearest one above here."""
Where: TypeAlias = "Mapping[str, FilterValue] | Filter | None"
Exclude: TypeAlias = "Mapping[str, FilterValue] | None"


@dataclass(frozen=True, eq=False)
class Works:
    """The paintings of a study, row by row."""

    root: Path  #: folder of the collection
    manifest: Manifest  #: of the index, which says how the vectors were made
    by: str  #: the field that the labels come from
    features: tuple[str, ...] | None  #: that the vectors hold, where some were asked for
    paintings: list[Painting]  #: n paintings
    files: list[Path]  #: where each lies
    #: (n, d) unit vectors, of the features alone where some were asked for.
    vectors: NDArray[np.float32]
    labels: list[str | None]  #: n labels; None for works that take no part
    unlabelled: int  #: how many works have no label
    too_few: int  #: how many were left out because their label has too few works

    @property
    def names(self) -> list[str]:
        """The distinct labels, sorted."""
        return sorted({label for label in self.labels if label is not None})

    @property
    def many(self) -> str:
        """What the labels are: artists, movements, ..."""
        return plural(self.by)

    def describe(self) -> str:
        """Say in a sentence how many works take part and why others do not."""
        taking_part = len(self.labels) - self.labels.count(None)
        left_out = [
            f"{counted(self.unlabelled, 'has', 'have')} no {self.by}" if self.unlabelled else "",
            f"{counted(self.too_few, 'is', 'are')} of {self.many} with fewer works"
            if self.too_few
            else "",
        ]
        reasons = ", ".join(filter(None, left_out))
        count = len(self.names)
        groups = "" if self.by == "path" else f" of {count:,} {plural(self.by, count)}"
        return f"{counted(taking_part, 'painting')}{groups}" + (
            f"; left out: {reasons}" if reasons else ""
        )

    def name(self, row: int) -> str:
        """Return what to call a work in a sentence: its title if known, and its path."""
        painting = self.paintings[row]
        return f"{painting.title} ({painting.path})" if painting.title else painting.path

    def caption(self, row: int) -> str:
        """Return artist and title of a work where both are known, else its path."""
        work = self.paintings[row]
        return f"{work.artist}: {work.title}" if work.artist and work.title else work.path

    def field(self, name: str) -> list[str | None]:
        """Return another field of the n works as text, None where it is missing.

        Raises:
            UsageError: no work has such a field.
        """
        values = [_text(painting, name) for painting in self.paintings]
        if not any(values):
            raise UsageError(f"no painting here has a field {name!r}; see paint-search info")
        return values

    def only(self, keep: NDArray[np.bool_]) -> Works:
        """Return some of the works."""
        rows = np.flatnonzero(keep).tolist()
        labels = [self.labels[row] for row in rows]
        return replace(
            self,
            paintings=[self.paintings[row] for row in rows],
            files=[self.files[row] for row in rows],
            vectors=self.vectors[keep],
            labels=labels,
            unlabelled=labels.count(None),
        )

    def named(self, *names: str) -> list[str]:
        """Return the labels that are meant, taken for those that differ in case and accents alone.

        Raises:
            UsageError: a label that no work carries.
        """
        from paint_search.search.names import did_you_mean, fold

        known, found = self.names, []
        for name in names:
            alike = [name] if name in known else [one for one in known if fold(one) == fold(name)]
            if len(alike) != 1:
                hint = did_you_mean(name, alike or known)
                raise UsageError(f"no painting here has the {self.by} {name!r}{hint}")
            found += alike
        return found

    def named_pair(self, pair: tuple[str, str]) -> tuple[str, str]:
        """Return a pair of labels as ``named`` does.

        Raises:
            UsageError: they are not two, or no work carries one.
        """
        one, other = self.named(*pair)
        if one == other:
            raise UsageError(f"{argument('pair')} takes two different {self.many}, not {one} twice")
        return one, other


@contextmanager
def reading(index: AnIndex) -> Iterator[Index]:
    """Give the open index that was handed in, or open one for as long as it is read."""
    from paint_search.index.index import Index

    if isinstance(index, Index):
        yield index
    else:
        with Index.open(index) as opened:
            yield opened


def read_works(
    index: AnIndex,
    by: str,
    where: Where = None,
    exclude: Exclude = None,
    min_works: int = 1,
    *,
    features: Sequence[str] | None = None,
    need_artists: bool = True,
    may_be_empty: bool = False,
    which: VectorName | None = None,
) -> Works:
    """Read the works that match, labelled by one field.

    Args:
        index: an open index, or its folder; None for the nearest one above here.
        by: the field of the labels.
        where: field -> value, list of values, or (low, high); or a filter.
        exclude: the same, none may hold.
        min_works: labels with fewer works take no part.
        features: only these features of an index of ink.
        need_artists: whether to refuse an index that names no artist at all.
        may_be_empty: whether no work at all will do.
        which: the kind of vectors; full ones where the index keeps them.

    Raises:
        UsageError: no such field or feature, a condition that cannot be read, or no work that
            matches.
    """
    from paint_search.index.select import all_conditions
    from paint_search.indexer.backbones.ink.ink import only

    with reading(index) as source:
        chosen = _read_features(source, features)
        if not may_be_empty and not len(source):
            raise UsageError(f"the index {source.folder} is empty; run paint-search index first")
        conditions = all_conditions(where, exclude)
        known = {painting.id: painting for painting in source.paintings(conditions)}
        named = any(_text(painting, by) for painting in known.values())
        if not named and (need_artists or by != "artist"):
            source.field(by, conditions)  # refuses a name that no painting has, and says which are
        # Paired by id: between the two passes another process may have written.
        ids, vectors = source.vectors(conditions, which)
        rows = [row for row, one in enumerate(ids) if one in known]
        if len(rows) < len(ids):
            vectors = vectors[rows]
        paintings = [known[ids[row]] for row in rows]
        if not (paintings or may_be_empty):
            raise UsageError("no painting meets these conditions; see paint-search list")
        values = [_text(painting, by) for painting in paintings]
        counts = Counter(values)
        labels = [None if value is None or counts[value] < min_works else value for value in values]
        return Works(
            root=source.root,
            manifest=source.manifest,
            by=by,
            features=chosen,
            paintings=paintings,
            files=[source.locate(painting) for painting in paintings],
            vectors=only(vectors, chosen) if chosen else vectors,
            labels=labels,
            unlabelled=counts[None],
            too_few=labels.count(None) - counts[None],
        )


def _text(painting: Painting, field: str) -> str | None:
    value = painting.to_dict().get(field)
    return None if value is None else str(value)


def _read_features(index: Index, wanted: Sequence[str] | None) -> tuple[str, ...] | None:
    """Return the features that were asked for; None where none were.

    Raises:
        UsageError: a feature that this index has not, or one named twice.
    """
    from paint_search.indexer.backbones.ink.ink import check

    if wanted is None:
        return None
    known = _known(index)
    if not known:
        index.manifest.kept("full")  # says so where they were dropped
        raise UsageError(
            f"{argument('features')}: vectors of {index.manifest.backbone.name!r} hold no features "
            f"that have names; make an index with {argument('backbone', 'ink')}"
        )
    names = tuple(name.strip() for name in wanted if name.strip())
    check(names)
    if not names:
        raise UsageError(f"{argument('features')} names none: choose from {', '.join(known)}")
    return names


def grey_warning(index: Index) -> str | None:
    """Say how many paintings of an ink index are not black and white; None where all are."""
    from paint_search.indexer.backbones.ink.ink import GREY, read

    if not len(index) or "grey" not in _known(index):
        return None
    shares = read(index.vectors(which="full")[1], ["grey"])[:, 0]
    grey = shares[shares >= GREY]
    if not len(grey):
        return None
    return (
        f"{len(grey):,} of {len(shares):,} paintings are not black and white: {grey.mean():.0%} of "
        "their pixels, on average, are neither ink nor paper; what is measured of them means little"
    )


def _known(index: Index) -> Sequence[str]:
    """Return the names of the features that the vectors of an index hold."""
    from paint_search.indexer.backbones.registry import REGISTRY

    manifest = index.manifest
    made_by = REGISTRY.get(manifest.backbone.name)
    return made_by.features if made_by and "full" in manifest.vectors else ()
