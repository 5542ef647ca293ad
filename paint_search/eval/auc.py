"""Vectors and labels in; the chance that a same-label pair outscores a mixed pair, out.

A figure that needs no cut-off and does not depend on how many works each label has. Drawn from
random pairs, so that it costs the same for a hundred works and for a hundred thousand.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from paint_search.errors import EvalError
from paint_search.eval.inputs import Bools, Groups, Ints, Labels, group_labels, unit_rows
from paint_search.eval.pairs import pair_cosines


def same_label_auc(
    vectors: npt.ArrayLike, labels: Labels, *, pairs: int = 100_000, seed: int = 0
) -> float:
    """Estimate how likely two works of one label score above two works of different labels.

    `pairs` random pairs of each kind, every such pair equally likely, are drawn with the seed
    and compared (area under the ROC curve; 0.5 is chance).

    Raises:
        EvalError: no label has two works, or fewer than two labels; a vector without direction.
    """
    from sklearn.metrics import roc_auc_score

    unit = unit_rows(vectors)
    groups = group_labels(labels, len(unit))
    if len(groups.names) < 2 or groups.counts.max() < 2:
        raise EvalError("The AUC needs two labels, and one of them with two works.")
    left, right, truth = random_pairs(groups, pairs, seed)
    return float(roc_auc_score(truth, pair_cosines(unit, left, right)))


def random_pairs(groups: Groups, pairs: int, seed: int) -> tuple[Ints, Ints, Bools]:
    """Draw `pairs` pairs of rows of one label, then as many of two, every such pair equally likely.

    The labels must be two, and one of them have two works.
    """
    rng = np.random.default_rng(seed)
    by_label = groups.by_label
    size = groups.counts[groups.codes[by_label]]
    start = (np.cumsum(groups.counts) - groups.counts)[groups.codes[by_label]]
    total, place = len(by_label), np.arange(len(by_label))
    # In label order the works of one label are a run; stepping from a work by 1..size-1 within
    # the run, or past its end, reaches each other work of the same, or of another label, once.
    a = rng.choice(total, pairs, p=(size - 1) / (size - 1).sum())
    b = start[a] + (place[a] - start[a] + rng.integers(1, size[a])) % size[a]
    c = rng.choice(total, pairs, p=(total - size) / (total - size).sum())
    d = (start[c] + size[c] + rng.integers(0, total - size[c])) % total
    left, right = by_label[np.concatenate([a, c])], by_label[np.concatenate([b, d])]
    return left, right, np.repeat([True, False], pairs)
