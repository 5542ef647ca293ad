"""What a report is made from: arrays, labels, text, and a way to have a picture.

Nothing here measures or writes; the sections of the report share it, so that each question is
asked of the same works in the same order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from paint_search.errors import EvalError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image

    from paint_search.eval.maps import Projection
    from paint_search.eval.neighbours import Neighbours

SHOWN_LABELS = 40
"""So many artists fit a figure on a page and can still be read."""
LEAST_WORKS = 5
"""From so many works on, an artist's figures mean something."""


@dataclass(frozen=True, eq=False)
class Collection:
    """The n works a report is about, row by row, and what is known of the whole.

    Attributes:
        name: heads the report.
        one: what a label is: artist, movement ...
        many: the same for several.
        vectors: (n, d), any norm.
        labels: n labels; None where a work has none.
        titles: what stands below each picture, beside the label.
        names: what to call each work where its label is not shown.
        fields: further columns, name -> n values, None where missing.
        hashes: (n,) perceptual hashes of 64 bits.
        nearest: the neighbours of all n works; None where there are fewer than two.
        projection: the map; None where there is none.
        coloured_by: the label or field whose values colour the map.
        map_address: of the interactive map, relative to the report; "" where there is none.
        picture: row -> its picture, about as large as it is shown.
        skipped: (path, reason) of files that are not in the collection.
        made: (what, how) lines about how the figures came about.
    """

    name: str
    one: str
    many: str
    vectors: NDArray[np.float32]
    labels: Sequence[str | None]
    titles: Sequence[str]
    names: Sequence[str]
    fields: Mapping[str, Sequence[object]]
    hashes: NDArray[np.uint64]
    nearest: Neighbours | None
    projection: Projection | None
    coloured_by: str
    map_address: str
    picture: Callable[[int], Image.Image]
    skipped: Sequence[tuple[str, str]]
    made: Sequence[tuple[str, str]]

    @cached_property
    def ranked(self) -> list[tuple[str, int]]:
        """The labels with their numbers of works, most works first."""
        counts = Counter(label for label in self.labels if label is not None)
        return sorted(counts.items(), key=lambda item: (-item[1], item[0]))

    def only(self, names: Sequence[str]) -> list[str | None]:
        """Return the labels, None where they are not among `names`."""
        chosen = set(names)
        return [label if label in chosen else None for label in self.labels]

    def having(self, works: int) -> list[str]:
        """Return the labels of at least so many works, most works first."""
        return [name for name, count in self.ranked if count >= works]

    def several(self, number: int, purpose: str) -> list[str]:
        """Return the labels to compare: those of enough works, all where those are too few.

        Raises:
            EvalError: fewer than `number` labels in all.
        """
        enough = self.having(LEAST_WORKS)
        names = enough if len(enough) >= number else self.having(1)
        if len(names) < number:
            raise EvalError(
                f"It takes {number} {self.many} to {purpose}; {self.count_labels()} known here."
            )
        return names

    def count_labels(self) -> str:
        """Say how many labels there are: "no artist is", "1 artist is", "12 artists are"."""
        count = len(self.ranked)
        if count < 2:
            return f"{count or 'no'} {self.one} is"
        return f"{count:,} {self.many} are"

    def caption(self, row: int) -> tuple[str, str]:
        """Return the label of a work, and its title."""
        return self.labels[row] or "", self.titles[row]
