"""Vectors and labels in; the most typical work of each label, and works unlike their label's, out.

Scores are cosines. A work is judged by its nearest work of the same label alone: one that has a
single relative among many strangers is no outlier. Nothing here says that a label is wrong.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from paint_search.errors import EvalError
from paint_search.eval.inputs import Labels, group_labels, label_means, unit_rows


@dataclass(frozen=True)
class Outlier:
    """A work that no other work of its label is much like."""

    label: str  #: its label
    row: int  #: the work
    own: float  #: cosine to the nearest work of its label
    usual: float  #: median of that cosine over the works of the label
    typical: int  #: row of the label's most typical work

    @property
    def gap(self) -> float:
        """How far the work falls short of what is usual for its label."""
        return self.usual - self.own


def typical_works(vectors: npt.ArrayLike, labels: Labels) -> dict[str, int]:
    """Return for each label the row that is closest, by cosine, to the mean of its works.

    Raises:
        EvalError: no labelled work.
    """
    unit = unit_rows(vectors)
    groups = group_labels(labels, len(unit))
    means = label_means(unit, groups)
    rows = (groups.by_label[run] for run in groups.runs)
    return {
        name: int(members[np.argmax(unit[members] @ mean)])
        for name, members, mean in zip(groups.names, rows, means, strict=True)
    }


def outliers(vectors: npt.ArrayLike, labels: Labels, *, min_works: int = 5) -> list[Outlier]:
    """Find each label's work that is least like any other of the label, the largest gap first.

    One work a label, so that one uneven hand does not fill the list.

    Labels of fewer than `min_works` works, or than 3, are passed over.

    Raises:
        EvalError: no label has that many works.
    """
    unit = unit_rows(vectors, np.float32)
    groups = group_labels(labels, len(unit))
    least = max(3, min_works)
    if not (groups.counts >= least).any():
        raise EvalError(f"No label has the {least} works that it takes to know what is usual.")
    typical = typical_works(unit, labels)
    found = []
    for name, run in zip(groups.names, groups.runs, strict=True):
        members = groups.by_label[run]
        if len(members) < least:
            continue
        scores = (unit[members] @ unit[members].T).clip(-1, 1)
        np.fill_diagonal(scores, -1)
        nearest = scores.max(axis=1)
        # Two works that have only each other tie: the one less like all the others is odder.
        odd = int(np.lexsort((scores.sum(axis=1), np.round(nearest, 6)))[0])
        usual = float(np.median(nearest))
        found.append(Outlier(name, int(members[odd]), float(nearest[odd]), usual, typical[name]))
    return sorted(found, key=lambda outlier: (-outlier.gap, outlier.label))
