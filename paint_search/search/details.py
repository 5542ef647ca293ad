"""A detail among the places of many paintings -> where in each it is found best, and how well.

A detail is looked for at several sizes, and mirrored, as a template of local vectors that is laid
over the grid of each painting; how well the best lie is compared with how well the same template
lies on the others. What is found is then checked by the places that are each other's nearest.
Knows no file and no index.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

#: Rows and columns of places of a painting, and numbers of each.
GRID: Final = 10
LENGTH: Final = 64

#: Codes are whole numbers, so many times the numbers of unit vectors.
UNIT: Final = 127

#: Most rows and columns of a template that are compared with every painting.
_ACROSS: Final = 4

#: Places by which two agree are so near, in places, after one similarity transform.
_NEAR: Final = 1.0
_TRIALS: Final = 40
_LEAST: Final = 3
_LARGEST: Final = 1.6  # change of size, and of angle in radians, that is believed
_TURNED: Final = 0.35

Codes = NDArray[np.int8]
Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Template:
    """A detail as it would be seen in a painting that it takes a certain share of.

    Attributes:
        codes: (rows, columns, LENGTH), of unit norm.
        width, height: of the detail, in places.
    """

    codes: Floats
    width: float
    height: float


@dataclass(frozen=True, eq=False)
class Lies:
    """Where templates lie best on each of n paintings.

    Attributes:
        score: (n,) by how many median deviations the best one lies better there than it does on
            most paintings.
        cosine: (n,) the mean cosine of its places.
        template: (n,) which one it is.
        at: (n, 2) its first row and column.
    """

    score: Floats
    cosine: Floats
    template: NDArray[np.intp]
    at: NDArray[np.intp]


def pack(vectors: Floats) -> Codes:
    """Return unit vectors, (..., LENGTH), as codes."""
    return np.rint(vectors * UNIT).astype(np.int8)


def lay(templates: Sequence[Template], blocks: Iterable[Codes]) -> Lies:
    """Lay templates over the codes of paintings, (n, GRID, GRID, LENGTH) a block."""
    places = [_some(one.codes) for one in templates]
    flat = np.concatenate([codes for codes, _ in places]) / UNIT
    best: list[list[Floats]] = [[] for _ in templates]
    where: list[list[NDArray[np.intp]]] = [[] for _ in templates]
    for block in blocks:
        # Paintings last, so that sums run over long rows.
        seen = block.transpose(1, 2, 0, 3).reshape(-1, LENGTH).astype(np.float32)
        cosines = iter((flat @ seen.T).reshape(len(flat), GRID, GRID, len(block)))
        for number, (one, (_, at)) in enumerate(zip(templates, places, strict=True)):
            rows, columns, _ = one.codes.shape
            high, wide = GRID - rows + 1, GRID - columns + 1
            total = np.zeros((high, wide, len(block)), dtype=np.float32)
            for row, column in at:
                total += next(cosines)[row : row + high, column : column + wide]
            lies = total.reshape(-1, len(block))
            first = lies.argmax(axis=0)
            best[number].append(lies[first, np.arange(len(block))] / len(at))
            where[number].append(np.stack(np.divmod(first, wide), axis=1))
    cosine = np.array([np.concatenate(one) for one in best])
    above = cosine - np.median(cosine, axis=1, keepdims=True)
    # By medians, which the paintings that have the detail do not move, however few there are.
    score = above / np.maximum(np.median(np.abs(above), axis=1, keepdims=True), 1e-6)
    chosen = score.argmax(axis=0)
    every = np.arange(len(chosen))
    at = np.array([np.concatenate(one) for one in where])[chosen, every]
    return Lies(score[chosen, every], cosine[chosen, every], chosen, at)


def _some(codes: Floats) -> tuple[Floats, list[tuple[int, int]]]:
    """Return at most so many places of a template, evenly spread, and their rows and columns."""
    axes = [
        np.unique(np.linspace(0, length - 1, min(length, _ACROSS)).round().astype(int)).tolist()
        for length in codes.shape[:2]
    ]
    at = [(row, column) for row in axes[0] for column in axes[1]]
    return np.array([codes[place] for place in at]), at


def agreement(template: Template, codes: Codes) -> tuple[float, Any | None]:
    """Return the share of a template's places that agree on where it lies, and the transform.

    Those agree that are each other's nearest and keep to one similarity transform, from columns and
    rows of the template to those of the painting, found by RANSAC (Fischler and Bolles, 1981). None
    where too few do, or what they agree on is turned, or of another size than was looked for.

    Args:
        template: laid somewhere.
        codes: (GRID, GRID, LENGTH) of the painting.
    """
    from skimage.measure import ransac
    from skimage.transform import SimilarityTransform

    rows, columns, _ = template.codes.shape
    count = rows * columns
    if count < _LEAST:
        return 0.0, None
    cosines = template.codes.reshape(count, LENGTH) @ codes.reshape(-1, LENGTH).T
    there, back = cosines.argmax(axis=1), cosines.argmax(axis=0)
    mutual = np.flatnonzero(back[there] == np.arange(count))
    if len(mutual) < _LEAST:
        return 0.0, None
    source = np.stack([mutual % columns, mutual // columns], axis=1) + 0.5
    target = np.stack([there[mutual] % GRID, there[mutual] // GRID], axis=1) + 0.5
    found, agree = ransac(
        (source, target), SimilarityTransform, min_samples=2, residual_threshold=_NEAR,
        max_trials=_TRIALS, rng=0,
    )  # fmt: skip
    if not found or agree is None or agree.sum() < _LEAST:
        return 0.0, None
    if not 1 / _LARGEST <= found.scale <= _LARGEST or abs(found.rotation) > _TURNED:
        return 0.0, None
    return float(agree.sum() / count), found
