"""What can be read back from the vectors of an index by name, such as how black an ink painting is.

``--features blackness,eye-fill`` comes in; unit vectors of these alone, or their values, go out.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from paint_search.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from paint_search.index.index import Index

FeaturesOption = Annotated[
    str | None,
    typer.Option(
        metavar="A,B,...",
        help="Only these features, of an index made with --backbone ink; two are drawn as a plane.",
        show_default=False,
    ),
]


@dataclass(frozen=True)
class Features:
    """Some of the features that the vectors of an index hold."""

    names: tuple[str, ...]

    def only(self, vectors: "NDArray[np.float32]") -> "NDArray[np.float32]":
        """Return unit vectors of these features alone, from those of the index."""
        from paint_search.indexer.backbones.ink.ink import only

        return only(vectors, self.names)

    def values(self, vectors: "NDArray[np.floating]") -> "NDArray[np.float64]":
        """Return the features, (n, len(names)), from vectors of ``only``, or means of such."""
        from paint_search.indexer.backbones.ink.ink import read

        return read(vectors, self.names, self.names)

    def vectors(self, values: "NDArray[np.float64]") -> "NDArray[np.float32]":
        """Return the unit vectors of features (n, len(names)): the inverse of ``values``."""
        from paint_search.indexer.backbones.ink.ink import lift

        return lift(values, self.names)


def read_features(collection: "Index", wanted: str | None) -> Features | None:
    """Return the features that were asked for; None where none were.

    Raises:
        UsageError: a feature that this index has not, or one named twice.
    """
    from paint_search.indexer.backbones.ink.ink import check

    if wanted is None:
        return None
    known = _known(collection)
    if not known:
        collection.manifest.kept("full")  # says so where they were dropped
        raise UsageError(
            f"--features: vectors of {collection.manifest.backbone.name!r} hold no features that "
            "have names; make an index with --backbone ink"
        )
    names = tuple(name.strip() for name in wanted.split(",") if name.strip())
    check(names)
    if not names:
        raise UsageError(f"--features names none: choose from {', '.join(known)}")
    return Features(names)


def grey_warning(collection: "Index") -> str | None:
    """Say how many paintings of an ink index are not black and white; None where all are."""
    from paint_search.indexer.backbones.ink.ink import GREY, read

    if not len(collection) or "grey" not in _known(collection):
        return None
    shares = read(collection.vectors(which="full")[1], ["grey"])[:, 0]
    grey = shares[shares >= GREY]
    if not len(grey):
        return None
    return (
        f"{len(grey):,} of {len(shares):,} paintings are not black and white: {grey.mean():.0%} of "
        "their pixels, on average, are neither ink nor paper; what is measured of them means little"
    )


def _known(collection: "Index") -> Sequence[str]:
    """Return the names of the features that the vectors of an index hold."""
    from paint_search.indexer.backbones.registry import REGISTRY

    manifest = collection.manifest
    made_by = REGISTRY.get(manifest.backbone.name)
    return made_by.features if made_by and "full" in manifest.vectors else ()
