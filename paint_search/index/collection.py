"""A folder -> the parts of an index there: made new, or found again.

What fails half-way leaves nothing behind that was not there before.
"""

import shutil
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from paint_search.errors import BackboneError, StoreError, UsageError
from paint_search.index.compression import sweep
from paint_search.index.lock import Holding
from paint_search.index.manifest import Manifest, is_index
from paint_search.index.paths import write_path
from paint_search.indexer.backbones.model import Model
from paint_search.indexer.backbones.registry import AUTO
from paint_search.indexer.images.preprocessing import Fit
from paint_search.search.stores.base import Store
from paint_search.search.stores.opening import check_reach, open_store
from paint_search.search.stores.uri import Place


class Parts(NamedTuple):
    """What an index is made of."""

    folder: Path
    manifest: Manifest
    store: Store
    model: Model
    holding: Holding


def found(
    root: Path,
    folder: Path,
    place: Place,
    *,
    backbone: str,
    weights: Path | None,
    fit: Fit | None,
    note: Callable[[str], None],
) -> Parts:
    """Make an empty index in ``folder`` for the paintings below ``root``; see ``Index.create``.

    Raises:
        UsageError: an index is there already.
        BackboneError: unknown backbone, or its weights cannot be had or used.
        StoreError: the folder cannot be written, or the store cannot be used.
    """
    if is_index(folder):
        raise UsageError(f"{folder} is an index already; open it, or give another --index")
    check_reach(place)
    made = not folder.exists()
    undo = ExitStack()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        holding = Holding(folder, place)
        undo.callback(holding.release)
        with holding.writing():
            model = Model.create(backbone, folder, weights_file=weights, fit=fit, note=note)
            manifest = Manifest.new(model.record, write_path(root, folder), place)
            if place.embedded and (folder / place.name).exists():
                raise StoreError(
                    f"{folder} holds a store without its manifest.json; restore that from a "
                    "backup, or delete the folder and index again"
                )
            if place.embedded:
                manifest.write(folder)  # first, so that a store never lacks it
            store = open_store(folder, place, manifest.dimensions, manifest.maker)
            if not place.embedded:
                manifest.write(folder)  # last: what a server refuses was never an index
                if count := store.count():
                    note(f"{place} holds {count:,} paintings already; this index shares them")
    except OSError as error:
        undo.close()
        raise StoreError(
            f"the index {folder} cannot be made ({error.strerror}); choose a folder you may "
            "write to with --index"
        ) from error
    except BaseException:
        undo.close()
        if made:
            shutil.rmtree(folder, ignore_errors=True)
        raise
    return Parts(folder, manifest, store, model, holding)


def reopen(folder: Path) -> Parts:
    """Open the index in ``folder``.

    Raises:
        ManifestError: it is damaged or newer than this program.
        StoreBusyError: another process holds it, after waiting for five seconds.
        StoreError: its store is damaged or out of reach.
    """
    place = Manifest.read(folder).store  # a damaged one is said at once, and not after waiting
    holding = Holding(folder, place)
    with ExitStack() as undo:
        undo.callback(holding.release)
        manifest = Manifest.read(folder)
        if place.embedded:
            sweep(folder, manifest)
        store = open_store(folder, manifest.store, manifest.dimensions, manifest.maker)
        undo.pop_all()
    return Parts(folder, manifest, store, Model(manifest.backbone, folder), holding)


def check_made(
    folder: Path, manifest: Manifest, *, backbone: str | None, fit: str | None, store: str | None
) -> None:
    """Raise an error if the index was made with another backbone, fit or store than these.

    Raises:
        BackboneError: another backbone or fit.
        UsageError: another store.
    """
    made = manifest.backbone
    for what, wanted, has in (
        ("backbone", backbone, made.name),
        ("fit", fit, made.preprocessing.fit),
    ):
        if wanted not in (None, AUTO, has):
            raise BackboneError(
                f"{folder} was made with {what} {has!r}, not {wanted!r}; vectors of two "
                f"models cannot be compared: leave out --{what}, or make another --index"
            )
    if store is not None and not Place.parse(store).same_as(manifest.store):
        raise UsageError(
            f"{folder} keeps its points in {manifest.store}, not in {store}; leave out --store, "
            "or move them with paint-search copy"
        )
