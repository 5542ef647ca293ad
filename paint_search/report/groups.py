"""One field of the collection -> named groups with counts and colours, for legends.

In goes a column of values as the index holds them, out comes `Groups`: text values by falling
count, numbers in round steps, and what is missing last. It never guesses that text is a number.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

PALETTE = (
    "#4269d0", "#e8a30c", "#e8553f", "#2f9e8f", "#3ca951",
    "#f27fb0", "#9a5cf0", "#5fb3f0", "#9c6b4e", "#a3b018",
)  # fmt: skip
"""Ten hues that stay apart on white and on black; more than ten are not told apart by anyone."""
OTHER = "#9a978f"
"""The grey of all groups after the first ten."""
NOT_GIVEN = "(not given)"
_HUGE = 1e300
_STEPS = 10  # of a number's range; also the least distinct values that make a range worthwhile


@dataclass(frozen=True, slots=True, eq=False)
class Groups:
    """A field cut into groups."""

    field: str  #: name of the field
    #: of the groups, in the order of the legend; `NOT_GIVEN` last, if needed.
    names: tuple[str, ...]
    codes: NDArray[np.intp]  #: (n,) group of each painting, an index into `names`
    counts: NDArray[np.intp]  #: (groups,) how many paintings each holds
    #: one ``#rrggbb`` a group; `OTHER` for text groups after the first ten.
    colours: tuple[str, ...]
    #: (n,) the values behind the groups, NaN where not given; None for text.
    numbers: NDArray[np.float64] | None


def group_values(field: str, values: Sequence[object]) -> Groups:
    """Cut a column into groups.

    A column of numbers with more than ten distinct values becomes ten round steps or fewer,
    coloured along viridis; any other becomes one group a value. None, NaN and blank text are
    "not given".
    """
    cleaned = [None if _is_missing(value) else value for value in values]
    given = [value for value in cleaned if value is not None]
    numbers = all(isinstance(v, Real) and not isinstance(v, bool | np.bool) for v in given)
    if numbers and len(set(given)) > _STEPS:
        return _steps(field, np.array([np.nan if v is None else v for v in cleaned], dtype=float))
    return _categories(field, [None if v is None else str(v).strip() for v in cleaned])


def _is_missing(value: object) -> bool:
    return (
        value is None
        or (isinstance(value, str) and not value.strip())
        or (isinstance(value, Real) and not math.isfinite(value))
    )


def _categories(field: str, values: Sequence[str | None]) -> Groups:
    tally = Counter(value for value in values if value is not None)
    # By count, then by name: the legend must not depend on the order of the paintings.
    names = sorted(tally, key=lambda name: (-tally[name], name))
    code = {name: i for i, name in enumerate(names)}
    codes = np.array([len(names) if v is None else code[v] for v in values], dtype=np.intp)
    colours = [*PALETTE[: len(names)], *[OTHER] * (len(names) - len(PALETTE))]
    return _with_missing(field, names, codes, colours, None)


def _steps(field: str, values: NDArray[np.float64]) -> Groups:
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    given = np.isfinite(values)
    low, high = float(values[given].min()), float(values[given].max())
    whole = bool((values[given] == np.round(values[given])).all())
    top = high + 1 if whole else high
    edges = _round_edges(low, top, whole=whole)
    count = len(edges) - 1
    codes = np.clip(np.searchsorted(edges, values, "right") - 1, 0, count - 1)
    codes[~given] = count
    # A step holds its lower edge and not its upper; whole numbers can say so: 1800 to 1899.
    ends = edges[1:] - 1 if whole else edges[1:]
    names = [
        f"{a:g}" if a == b else f"{a:g} to {b:g}" for a, b in zip(edges[:-1], ends, strict=True)
    ]
    # The ends of viridis vanish on a dark and on a white page.
    colours = [to_hex(c) for c in colormaps["viridis"](np.linspace(0.25, 0.94, count))]
    return _with_missing(field, names, codes, colours, values)


def _round_edges(low: float, top: float, *, whole: bool) -> NDArray[np.float64]:
    """Return the edges of round steps, the first at most ``low`` and the last at least ``top``."""
    from matplotlib.ticker import MaxNLocator

    # It counts in numbers a little beyond the range, which must not overflow.
    scale = 1e10 if max(-low, top) > _HUGE else 1.0
    locator = MaxNLocator(nbins=_STEPS, steps=[1, 2, 2.5, 5, 10], integer=whole)
    edges = np.asarray(locator.tick_values(low / scale, top / scale))
    # And it lets the range begin and end a ten-thousand-millionth of itself too late and too early.
    step = edges[1] - edges[0]
    edges = np.concatenate([[edges[0] - step], edges, [edges[-1] + step]])
    with np.errstate(over="ignore"):
        edges = scale * edges
    edges = np.clip(edges, np.finfo(float).min, np.finfo(float).max)
    return edges[np.searchsorted(edges, low, "right") - 1 : np.searchsorted(edges, top) + 1]


def _with_missing(
    field: str,
    names: list[str],
    codes: NDArray[np.intp],
    colours: list[str],
    numbers: NDArray[np.float64] | None,
) -> Groups:
    if (codes == len(names)).any():
        names, colours = [*names, NOT_GIVEN], [*colours, OTHER]
    counts = np.bincount(codes, minlength=len(names))
    return Groups(field, tuple(names), codes, counts, tuple(colours), numbers)
