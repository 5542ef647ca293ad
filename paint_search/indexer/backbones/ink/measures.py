"""One picture in black and white -> what can be measured of it: how black, how open, what shape.

The picture is divided by Otsu's threshold; dark edges of a scan are cut off first. All measures are
of areas and lengths, by scipy and scikit-image; each is defined in `MEASURES` and `measure`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]

#: Name -> what it means, in the order in which `measure` gives them.
MEASURES: Final[dict[str, str]] = {
    "blackness": "share of the picture that is black",
    "eye-fill": "share of the picture that lies in eyes: white areas fully enclosed by black",
    "eyes": "number of eyes",
    "blots": "number of black areas that do not touch each other",
    "circularity": "area^2 / (2 pi x moment of inertia) of the hull: circle 1, square 0.955",
    "rectangularity": "hull / smallest rectangle around it: 1 for a square, 0.785 for a circle",
    "solidity": "black with its eyes / hull: 1 without notches",
    "aspect": "short side / long side of the smallest rectangle around the hull",
    "thickness": "diameter of the largest disc that fits into the black / side of the picture",
    "ends": "number of free ends of the strokes",
    "grey": "share of the picture that is neither ink nor paper",
}

#: Those that are numbers of things; all others are shares from 0 to 1.
COUNTS: Final = frozenset({"eyes", "blots", "ends"})

_SMALLEST: Final = 0.001  # share of the picture below which an area is a speck, and no eye
_SLIT: Final = 0.02  # share of the side below which a white area is a dry streak, and no eye
_CONTRAST: Final = 40.0  # levels (of 255) between ink and paper below which there is no ink
_BORDER: Final = 0.08  # share of a side that the dark edge of a scan takes at most
_FULL: Final = 0.95  # share of a line that is black where it lies outside the sheet
_EITHER: Final = 0.25  # of the way from ink to paper, or back: further away it is grey
_TWIG: Final = 2.0  # half thicknesses of the ink at a fork: a shorter branch is a twig
_EIGHT: Final = np.ones((3, 3), dtype=np.bool_)  # black meets black at corners; white does not


@dataclass(frozen=True)
class _Sheet:
    """A picture without the edges of its scan.

    ``ink`` is the share of each pixel that ink covers: between 0 and 1 only along edges. ``grey``
    is the share of the picture that is neither ink nor paper.
    """

    ink: NDArray[np.float64]
    grey: float

    @property
    def black(self) -> Mask:
        return np.asarray(self.ink > 0.5)


def measure(image: NDArray[np.uint8]) -> dict[str, float]:
    """Measure a picture.

    Ink and paper are told apart by Otsu's threshold on gray levels, so the paper may be grey; what
    is darker than halfway between their medians is black. Along the edge between them a pixel
    counts in part, by its level. A picture of less than 40 levels'
    contrast is a sheet of one tone, white or black. Lines along an edge that are black in 95 % of
    their length, up to 8 % of the side, are taken for the edge of a scan and cut off.

    Black areas touch where pixels share a side or a corner, white ones where they share a side.
    White areas that do not reach the edge are eyes, if a disc of 2 % of the side fits into them:
    the streaks of a dry brush are none. Areas below 0.1 % of the picture are specks: they count as
    black or white and as nothing else. (The side of a picture is the square root of its area.)

    The hull is the convex hull of all black but specks, along the edge between black and white
    within pixels. Ends are those of its skeleton, without twigs shorter than the black is thick; a
    mere blot may have one or two.

    Args:
        image: (h, w, 3) sRGB values.

    Returns:
        A value for each of `MEASURES`; all of shapes are 0 where nothing is black.
    """
    from scipy.ndimage import binary_dilation, label

    sheet = _divide(image)
    black = sheet.black
    least = _SMALLEST * black.size
    ink, blots = _without_specks(black, least)
    white, _ = label(~black)
    sizes = np.bincount(white.ravel())
    sizes[[0, *np.unique(np.r_[white[0], white[-1], white[:, 0], white[:, -1]])]] = 0
    eyes = _wide_enough(white, np.flatnonzero(sizes >= least))
    open_eyes = np.isin(white, eyes)
    around = binary_dilation(open_eyes, _EIGHT)  # with the pixels that are white in part
    values = dict.fromkeys(MEASURES, 0.0) | {
        "blackness": float(sheet.ink.mean()),
        "eye-fill": float((1 - sheet.ink)[around].sum() / black.size),
        "eyes": float(len(eyes)),
        "blots": float(blots),
        "grey": sheet.grey,
    }
    if blots:
        figure = np.where(binary_dilation(ink, _EIGHT), sheet.ink, 0.0)
        pinholes = ((sizes > 0) & (sizes < least))[white]
        values |= _hull(figure, float(np.where((sizes > 0)[white], 1.0, figure).sum()))
        values |= _strokes(ink | pinholes)
    return values


def _wide_enough(white: NDArray[np.int32], areas: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return those of the numbered areas that hold a disc, so that no dry streak counts."""
    from scipy.ndimage import distance_transform_edt, maximum

    if not len(areas):
        return areas
    wanted = np.isin(white, areas)
    depths = np.asarray(maximum(distance_transform_edt(wanted), white, areas))
    return np.asarray(areas[2 * depths - 1 >= _SLIT * white.size**0.5])


def _divide(image: NDArray[np.uint8]) -> _Sheet:
    from scipy.ndimage import binary_dilation, binary_erosion
    from skimage.filters import threshold_otsu

    levels = image @ np.array([0.299, 0.587, 0.114])
    low, high = float(levels.min()), float(levels.max())
    dark = levels <= (threshold_otsu(levels) if high > low else high)
    frame = _frame(dark)
    pixels, levels, dark = image[frame].astype(np.float64), levels[frame], dark[frame]
    tones = [np.median(levels[part]) if part.any() else np.nan for part in (dark, ~dark)]
    if not tones[1] - tones[0] >= _CONTRAST:  # or there is but one
        tone = np.median(pixels, axis=(0, 1))
        odd = np.linalg.norm(pixels - tone, axis=2) > _CONTRAST * 3**0.5
        return _Sheet(np.full(dark.shape, float(levels.mean() < 128)), float(odd.mean()))
    darkness = np.clip((tones[1] - levels) / (tones[1] - tones[0]), 0, 1)
    black = darkness > 0.5
    ink, paper = np.median(pixels[black], axis=0), np.median(pixels[~black], axis=0)
    near = _EITHER * np.linalg.norm(paper - ink)
    grey = (np.linalg.norm(pixels - ink, axis=2) > near) & (
        np.linalg.norm(pixels - paper, axis=2) > near
    )
    edges = binary_dilation(black, _EIGHT) & ~binary_erosion(black, _EIGHT, border_value=1)
    return _Sheet(np.where(edges, darkness, black), float((grey & ~edges).mean()))


def _frame(black: Mask) -> tuple[slice, slice]:
    """Return the rows and columns within the dark edges of a scan."""
    rows = _inside(black.mean(axis=1))
    return rows, _inside(black[rows].mean(axis=0))


def _inside(dark: NDArray[np.float64]) -> slice:
    """Return where the sheet begins and ends, of the share of black in each line."""
    most = int(_BORDER * len(dark))
    cuts = []
    for lines in (dark, dark[::-1]):
        run = int(np.argmin(np.r_[lines[: most + 1] >= _FULL, False]))
        # One line more, which belongs to both sides of the sheet's edge.
        cuts.append(run + 1 if 0 < run <= most else 0)
    return slice(cuts[0], len(dark) - cuts[1])


def _without_specks(black: Mask, least: float) -> tuple[Mask, int]:
    """Return the black areas that are at least so large, and their number."""
    from scipy.ndimage import label

    areas, _ = label(black, _EIGHT)
    large = np.bincount(areas.ravel()) >= least
    large[0] = False
    return large[areas], int(large.sum())


def _hull(ink: NDArray[np.float64], area: float) -> dict[str, float]:
    """Measure the convex hull of the ink; ``area`` is that of the ink and what it encloses."""
    from scipy.spatial import ConvexHull
    from skimage.measure import find_contours

    points = np.concatenate(find_contours(np.pad(ink, 1), 0.5))
    hull = ConvexHull(points)  # in the plane, its volume is an area
    corners = points[hull.vertices]
    sides = np.diff(corners, axis=0, append=corners[:1])
    # The smallest rectangle around a convex polygon has a side in common with it.
    along = sides / np.linalg.norm(sides, axis=1, keepdims=True)
    spans = np.ptp(corners @ np.stack([along, along[:, ::-1] * (1, -1)], axis=2), axis=1)
    rectangle = spans[spans.prod(axis=1).argmin()]
    return {
        "circularity": min(1.0, _circularity(corners)),
        "rectangularity": float(min(1.0, hull.volume / rectangle.prod())),
        "solidity": float(min(1.0, area / hull.volume)),
        "aspect": float(rectangle.min() / rectangle.max()),
    }


def _circularity(corners: NDArray[np.float64]) -> float:
    """Return m00^2 / (2 pi (mu20 + mu02)) of a polygon (n, 2), from Green's theorem."""
    following = np.roll(corners, -1, axis=0)
    cross = corners[:, 0] * following[:, 1] - following[:, 0] * corners[:, 1]
    area = cross.sum() / 2
    centre = ((corners + following) * cross[:, None]).sum(axis=0) / (6 * area)
    squares = corners**2 + corners * following + following**2
    spread = (squares.sum(axis=1) * cross).sum() / 12 - area * (centre**2).sum()
    return float(area**2 / (2 * np.pi * abs(spread)))


def _strokes(ink: Mask) -> dict[str, float]:
    """Measure the thickness of the ink and count the free ends of its strokes."""
    from scipy.ndimage import distance_transform_edt
    from skimage.morphology import skeletonize

    if ink.all():
        return {"thickness": 1.0, "ends": 0.0}
    # A quarter of a pixel less, for the middle of the nearest white pixel lies half a pixel beyond
    # the edge, and the middle of the disc up to half a pixel beside that of any pixel.
    depth = distance_transform_edt(ink) - 0.25
    side = (ink.shape[0] * ink.shape[1]) ** 0.5
    return {
        "thickness": float(min(1.0, 2 * depth.max() / side)),
        "ends": float(_ends(np.asarray(skeletonize(ink)), depth)),
    }


def _ends(skeleton: Mask, depth: NDArray[np.float64]) -> int:
    """Count the ends of a skeleton without twigs, which the corners of a stroke's end leave.

    A twig is a branch with a free end that is shorter than the ink is thick where it forks off.
    """
    from scipy.ndimage import binary_dilation, label, maximum, maximum_filter
    from skimage.morphology import skeletonize

    while True:
        arms = _arms(skeleton)
        forks = skeleton & binary_dilation(skeleton & (arms > 2), _EIGHT)
        tips = skeleton & (arms < 2)
        branches, count = label(skeleton & ~forks, _EIGHT)
        numbers = np.arange(1, count + 1)
        free = np.bincount(branches[tips], minlength=count + 1)[1:] > 0
        lengths = np.bincount(branches.ravel(), minlength=count + 1)[1:]
        fork_depth = maximum_filter(np.where(forks, depth, 0.0), 3)
        thick = np.asarray(maximum(fork_depth, branches, numbers))
        twigs = np.isin(branches, numbers[free & (lengths < _TWIG * thick)]) | (tips & forks)
        if not twigs.any():
            return int(tips.sum())
        skeleton = np.asarray(skeletonize(skeleton & ~twigs))


def _arms(skeleton: Mask) -> NDArray[np.int64]:
    """Count how often each pixel's eight neighbours, in turn, go from white to black.

    Rutovitz's crossing number: 1 at an end, 2 on a line, even one of stairs, more where it forks.
    """
    padded = np.pad(skeleton, 1).astype(np.int8)
    height, width = skeleton.shape
    around = ((0, 0), (0, 1), (0, 2), (1, 2), (2, 2), (2, 1), (2, 0), (1, 0), (0, 0))
    ring = [padded[y : y + height, x : x + width] for y, x in around]
    return np.asarray((np.diff(ring, axis=0) > 0).sum(axis=0))
