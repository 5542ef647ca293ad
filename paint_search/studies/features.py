"""What can be read back from the vectors of an index by name, such as how black an ink painting is.

Names of features come in, checked; `indexer.backbones.ink` takes vectors apart by them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from paint_search.errors import UsageError, argument

if TYPE_CHECKING:
    from paint_search.index.index import Index


def read_features(index: Index, wanted: Sequence[str] | None) -> tuple[str, ...] | None:
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
