"""What can be read back from the vectors of an index by name, such as how black an ink painting is.

Names of features come in; unit vectors of these alone, or their values, go out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from paint_search.errors import UsageError, argument

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from paint_search.index.index import Index


@dataclass(frozen=True)
class Features:
    """Some of the features that the vectors of an index hold."""

    names: tuple[str, ...]

    def only(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return unit vectors of these features alone, from those of the index."""
        from paint_search.indexer.backbones.ink.ink import only

        return only(vectors, self.names)

    def values(self, vectors: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return the features, (n, len(names)), from vectors of ``only``, or means of such."""
        from paint_search.indexer.backbones.ink.ink import read

        return read(vectors, self.names, self.names)

    def vectors(self, values: NDArray[np.float64]) -> NDArray[np.float32]:
        """Return the unit vectors of features (n, len(names)): the inverse of ``values``."""
        from paint_search.indexer.backbones.ink.ink import lift

        return lift(values, self.names)


def read_features(index: Index, wanted: Sequence[str] | None) -> Features | None:
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
    return Features(names)


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
