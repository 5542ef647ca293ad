"""An open index from within: the one object that every operation on an index takes, whole.

``reading`` and ``writing`` give it as it is now, whatever another process has done to it since it
was opened. Makes an index and opens one; what fails half-way leaves nothing behind.
"""

import logging
import os
import shutil
import tempfile
import weakref
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final, Self

from paint_search import compress
from paint_search.errors import BackboneError, StoreError, UsageError, argument, counted
from paint_search.files import copy_files
from paint_search.index.lock import IndexLock
from paint_search.index.manifest import MANIFEST, Manifest, is_index
from paint_search.index.paths import NOWHERE, find_picture, read_path, write_path
from paint_search.indexer.backbones.model import Model
from paint_search.indexer.backbones.registry import AUTO
from paint_search.indexer.images.preprocessing import Fit
from paint_search.indexer.images.trim import Trim
from paint_search.painting import Painting
from paint_search.search.background import measure_backgrounds
from paint_search.search.recall import choose_oversampling, measure_recall
from paint_search.search.stores.base import Store
from paint_search.search.stores.opening import check_reach, open_store
from paint_search.search.stores.uri import Place

#: Seconds to wait for another process that has the index.
PATIENCE: Final = 5.0

_LOG: Final = logging.getLogger(__name__)


class Collection:
    """The parts of an open index.

    Attributes:
        folder: the index.
        manifest: what it says of itself.
        backbone: what turns pixels into its vectors.
    """

    def __init__(
        self,
        folder: Path,
        manifest: Manifest,
        store: Store | None,
        backbone: Model,
        lock: IndexLock,
    ) -> None:
        self.folder = folder
        self.manifest = manifest
        self.backbone = backbone
        self._store = store  # None for a private copy, made when it is asked for
        self._lock = lock
        self._forget: Callable[[], object] | None = None  # deletes the private copy
        self._compressor: compress.Compressor | None = None
        self._withheld = False  # whether a picture was, which is said once
        self._read_as = _stamp(folder)
        self._closed, self._process = False, os.getpid()

    @classmethod
    def create(
        cls,
        root: Path,
        folder: Path,
        place: Place,
        *,
        backbone: str,
        weights: Path | None,
        fit: Fit | None,
        trim: Trim,
        note: Callable[[str], None],
        longest: int,
        cache_bytes: int,
    ) -> Self:
        """Make an empty index in ``folder``; see ``Index.create``."""
        another = argument("folder", option="--index")
        if is_index(folder):
            raise UsageError(f"{folder} is an index already; open it, or give another {another}")
        check_reach(place)
        made = not folder.exists()
        undo = ExitStack()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            lock = IndexLock(folder, alone=place.embedded, patience=PATIENCE)
            undo.callback(lock.release)
            with lock.writing():
                model = Model.create(backbone, folder, weights_file=weights, fit=fit, note=note)
                seen = replace(model.record.preprocessing, trim=trim)
                model.record = replace(model.record, preprocessing=seen)
                manifest = Manifest.new(
                    model.record, write_path(root, folder), place, longest, cache_bytes
                )
                if place.embedded and (folder / place.name).exists():
                    raise StoreError(
                        f"{folder} holds a store without its {MANIFEST}; restore that from a "
                        "backup, or delete the folder and index again"
                    )
                if place.embedded:
                    manifest.write(folder)  # first, so that a store never lacks it
                store = open_store(folder, place, manifest.dimensions, manifest.maker)
                if not place.embedded:
                    manifest.write(folder)  # last: what a server refuses was never an index
                    if count := store.count():
                        shared = counted(count, "painting")
                        note(f"{place} holds {shared} already; this index shares them")
        except OSError as error:
            undo.close()
            raise StoreError(
                f"the index {folder} cannot be made ({error.strerror}); choose a folder you may "
                f"write to with {another}"
            ) from error
        except BaseException:
            undo.close()
            if made:
                shutil.rmtree(folder, ignore_errors=True)
            raise
        return cls(folder, manifest, store, model, lock)

    @classmethod
    def open(cls, folder: Path, patience: float = PATIENCE, store: str | None = None) -> Self:
        """Open the index in ``folder``; see ``Index.open``."""
        place = Manifest.read(folder).store  # a damaged one is said at once, and not after waiting
        named = None if store is None else Place.parse(store)
        if named is not None:
            if not named.same_as(place):
                raise UsageError(
                    f"{folder} keeps its points in {place}, not in {store}; leave out "
                    f"{argument('store')}, or move them with paint-search copy"
                )
            check_reach(place.as_named(named))
        lock = IndexLock(folder, alone=place.embedded, patience=patience, reading=True)
        points = None
        with ExitStack() as undo:
            undo.callback(lock.release)
            manifest = Manifest.read(folder)
            if named is not None and (known := place.as_named(named)) != place:
                with lock.writing():  # so that the files of before are named no more
                    manifest = replace(Manifest.read(folder), store=known)
                    manifest.write(folder)
            if lock.refusal is None:
                if place.embedded:
                    sweep(folder, manifest)
                points = open_store(folder, manifest.store, manifest.dimensions, manifest.maker)
            undo.pop_all()
        return cls(folder, manifest, points, Model(manifest.backbone, folder), lock)

    @property
    def store(self) -> Store:
        """Where its points are; of a folder that cannot be written, a private copy of them.

        Raises:
            StoreError: it cannot be opened, or not be copied.
        """
        if self._store is None:
            home = self._copied() if self._lock.refusal is not None else self.folder
            manifest = self.manifest
            self._store = open_store(home, manifest.store, manifest.dimensions, manifest.maker)
        return self._store

    @property
    def root(self) -> Path:
        """The corpus folder."""
        return read_path(self.manifest.root, self.folder)

    def locate(self, painting: Painting) -> Path:
        """Return where the file of a painting is, or would be; see ``find_picture``."""
        file = find_picture(painting, self.root, self.folder)
        if file is None:
            if not self._withheld:
                _LOG.warning(
                    "%s is not shown, like others perhaps: it lies outside %s, or behind a link "
                    "that leads out, and is not the file that was indexed; run paint-search index "
                    "to take it as it is now",
                    painting.path,
                    self.folder.parent,
                )
            self._withheld = True
            return NOWHERE / Path(painting.path).name
        return file

    @property
    def compressor(self) -> "compress.Compressor | None":
        """The fitted compressor, loaded once; None before ``compress``.

        Raises:
            CompressError: it is damaged, or of another backbone.
        """
        made = self.manifest.compression
        if self._compressor is None and made is not None:
            self._compressor = compress.load_compressor(
                self.folder / made.folder, self.manifest.backbone.fingerprint
            )
        return self._compressor

    @contextmanager
    def reading(self) -> Iterator[Self]:
        """Give the collection as it is now: a shared one may have been compressed elsewhere.

        Raises:
            StoreError: it is closed, or its store is out of reach.
        """
        self._check_open()
        if _stamp(self.folder) != self._read_as:
            self._refresh()
        yield self

    @contextmanager
    def writing(self) -> Iterator[Self]:
        """Hold the right to change the index, and give it as it is now.

        Raises:
            StoreBusyError: another process is changing it.
            StoreError: it is closed, or the folder cannot be written.
        """
        self._check_open()
        with self._lock.writing(), self.reading():
            self._refresh()  # a stamp can miss two writes within one tick of the clock
            yield self

    def save(self, manifest: Manifest) -> None:
        """Make this the manifest of the index; only while ``writing``.

        Raises:
            StoreError: the folder cannot be written.
        """
        manifest.write(self.folder)
        self.manifest = manifest
        self._read_as = _stamp(self.folder)

    def settle(self, manifest: Manifest, *, changed: bool) -> None:
        """Make what was written durable, and measure anew what depends on the paintings."""
        manifest = measured(manifest, self.store) if changed else manifest
        self.store.flush()
        self.save(replace(manifest, paintings=self.store.count()))

    def adopt(self, manifest: Manifest, store: Store | None) -> None:
        """Go on with another store and the manifest, written already, that names it."""
        if self._store is not None:
            self._store.close()
        self.manifest, self._store, self._compressor = manifest, store, None
        self._read_as = _stamp(self.folder)

    def check_made(self, backbone: str | None, fit: str | None, trim: str | None) -> None:
        """Refuse settings that the index was not made with."""
        made = self.manifest.backbone
        for what, wanted, has in (
            ("backbone", None if backbone == AUTO else backbone, made.name),
            ("fit", fit, made.preprocessing.fit),
            ("trim", trim, made.preprocessing.trim),
        ):
            if wanted not in (None, has):
                raise BackboneError(
                    f"{self.folder} was made with {what} {has!r}, not {wanted!r}; vectors of two "
                    f"kinds cannot be compared: leave out {argument(what)}, or make another "
                    f"{argument('folder', option='--index')}"
                )

    def close(self) -> None:
        """Make everything durable and let other processes in; nothing works afterwards."""
        if self._closed or os.getpid() != self._process:  # which is for the other to close
            return
        self._closed = True
        try:
            if self._store is not None:
                self._store.close()
        finally:
            self._lock.release()
            if self._forget is not None:
                self._forget()

    def _copied(self) -> Path:
        """Return a folder with a copy of the store, since engines write where they only read."""
        name = self.manifest.store.name
        if self._forget is None:
            _LOG.warning(
                "the index %s cannot be written: its store is read from a private copy, which is "
                "deleted in the end",
                self.folder,
            )
        else:
            self._forget()
        home = Path(tempfile.mkdtemp(prefix="paint-search-"))
        self._forget = weakref.finalize(self, _delete, home, os.getpid())
        try:
            with self._lock.standstill():
                copy_files(self.folder / name, home / name)
        except OSError as error:
            raise StoreError(
                f"the index {self.folder} cannot be written, and its store not be copied to "
                f"{home.parent} ({error.strerror}); copy it to a folder you may write to"
            ) from error
        return home

    def _check_open(self) -> None:
        if self._closed:
            raise StoreError(f"the index {self.folder} is closed; open it again")
        if os.getpid() != self._process:  # the store's threads and locks stayed behind
            raise StoreError(
                f"the index {self.folder} was opened before this process was forked; open it again "
                "here, once the other has closed it"
            )

    def _refresh(self) -> None:
        """Read the manifest anew, and with it whatever it names otherwise than before."""
        stamp, manifest, before = _stamp(self.folder), Manifest.read(self.folder), self.manifest
        if self._lock.refusal is not None:
            self.adopt(manifest, None)  # somebody else has written since it was copied
        elif manifest.maker != before.maker or manifest.store != before.store:
            fresh = open_store(self.folder, manifest.store, manifest.dimensions, manifest.maker)
            self.adopt(manifest, fresh)
        if manifest.backbone != before.backbone:
            self.backbone = Model(manifest.backbone, self.folder)
        self.manifest, self._read_as = manifest, stamp


def measured(manifest: Manifest, store: Store) -> Manifest:
    """Return the manifest with what depends on the paintings in the store measured anew."""
    found = measure_backgrounds(store, manifest.vectors) if manifest.vectors else {}
    manifest = replace(
        manifest,
        background=found.get(manifest.searched) if found else None,
        compact_background=found.get("compact") if manifest.two_steps else None,
        paintings=store.count(),
    )
    if manifest.compression is None or not manifest.two_steps or not manifest.paintings:
        recall = measure_recall(store, manifest.searched) if manifest.vectors else None
        return replace(manifest, recall=recall)
    oversampling, recall = choose_oversampling(store)
    compression = replace(manifest.compression, oversampling=oversampling, two_step_recall=recall)
    return replace(manifest, compression=compression, recall=recall)


def sweep(folder: Path, *manifests: Manifest) -> None:
    """Delete the stores and compressors in an index that none of these manifests names."""
    used = {manifest.store.name for manifest in manifests if manifest.store.embedded}
    used |= {made.folder for manifest in manifests if (made := manifest.compression)}
    for kind in ("store", "compressor"):
        for found in folder.glob(f"{kind}*"):
            if found.is_dir() and found.name not in used:
                shutil.rmtree(found, ignore_errors=True)


def _delete(folder: Path, process: int) -> None:
    """Delete a private copy, unless this is a fork of the process that made it."""
    if os.getpid() == process:
        shutil.rmtree(folder, ignore_errors=True)


def _stamp(folder: Path) -> tuple[int, int, int] | None:
    """Return what changes when the manifest is written; None where it has gone."""
    try:
        stat = os.stat(folder / MANIFEST)
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_ino, stat.st_size
