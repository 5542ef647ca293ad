"""Probabilities of held-out works -> sets of classes that hold the true one as often as stated.

Split conformal prediction: works that the model has not learned from say how low the probability of
the true class may fall. What holds is the coverage over all works to come from the same source, not
over each class, nor for works of another kind.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from paint_search.errors import EvalError
from paint_search.eval.inputs import Bools, Floats, Ints


def conformal_threshold(probabilities: Floats, truth: Ints, coverage: float) -> float:
    """Return the least probability with which a class belongs into a set.

    Sadinle, Lei and Wasserman 2019, "Least ambiguous set-valued classifiers with bounded error
    levels": the ceil((n + 1) coverage)-th highest probability of the true class.

    Args:
        probabilities: (n, c) of works that the model has not learned from.
        truth: (n,) their classes, columns of `probabilities`.
        coverage: share of works to come whose set is to hold the true class, between 0 and 1.

    Returns:
        0 where n is too small to promise so much without all classes in every set.

    Raises:
        EvalError: no work, or a coverage outside (0, 1).
    """
    if not 0 < coverage < 1 or not len(truth):
        raise EvalError(
            f"Sets need at least one work to be set by, and a coverage between 0 and 1, not "
            f"{coverage} by {len(truth)} works."
        )
    of_truth = np.sort(probabilities[np.arange(len(truth)), truth])[::-1]
    place = math.ceil((len(truth) + 1) * coverage)
    return float(of_truth[place - 1]) if place <= len(truth) else 0.0


def prediction_sets(probabilities: npt.ArrayLike, threshold: float) -> Bools:
    """Return which classes (n, c) belong into the set of each work; the likeliest always does."""
    likely = np.asarray(probabilities, dtype=np.float64)
    sets = likely >= threshold
    sets[np.arange(len(likely)), likely.argmax(axis=1)] = True
    return sets
