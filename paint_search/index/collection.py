"""An open index from within: the one object that every operation on an index takes, whole.

``reading`` and ``writing`` give it as it is now, whatever another process has done to it since it
was opened. Makes an index and opens one; what fails half-way leaves nothing behind.
"""

import logging
import os
import shutil
import tempfile
import threading
import time
import weakref
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final, Self, TypeVar

from paint_search import compress
from paint_search.errors import (
    BackboneError,
    StoreError,
    StoreMovedError,
    UnknownError,
    UsageError,
    argument,
    counted,
)
from paint_search.files import copy_files
from paint_search.index.lock import IndexLock
from paint_search.index.manifest import MANIFEST, Manifest, is_index
from paint_search.index.paths import NOWHERE, find_picture, read_path, write_path
from paint_search.index.shared import (
    BACKBONE,
    CALIBRATION,
    cache_folder,
    fetch,
    is_cache,
    receive,
    share,
)
from paint_search.indexer.backbones.model import Model
from paint_search.indexer.backbones.registry import AUTO
from paint_search.indexer.corpus.scan import find_file
from paint_search.indexer.images.preprocessing import Fit
from paint_search.indexer.images.trim import Trim
from paint_search.painting import Painting, Record
from paint_search.search.background import measure_backgrounds
from paint_search.search.filters import Filter
from paint_search.search.recall import choose_oversampling, measure_recall
from paint_search.search.stores.base import Store
from paint_search.search.stores.description import Shared
from paint_search.search.stores.opening import borrow, lend, open_store, reach
from paint_search.search.stores.uri import Place

#: Seconds to wait for another process that has the index.
PATIENCE: Final = 5.0

#: Seconds for which a server keeps points that were replaced, for those who are reading them.
KEEP: Final = 600.0

#: Seconds between two looks at whether a shared collection has been replaced.
_LOOKS: Final = 1.0

#: Times that something is begun anew because it was.
_TRIES: Final = 2

#: Seconds in which an owner goes on with the store that its manifest names already.
_SOON: Final = 0.1

_LOG: Final = logging.getLogger(__name__)

_T = TypeVar("_T")


class Collection:
    """The parts of an open index. Any number of threads may ask it at once.

    Attributes:
        folder: the index.
        manifest: what it says of itself.
    """

    def __init__(
        self,
        folder: Path,
        manifest: Manifest,
        store: Store | None,
        backbone: Model,
        lock: IndexLock,
        images: Path | None = None,
    ) -> None:
        self.folder = folder
        self.manifest = manifest
        self._backbone = backbone
        self._images = images
        self._cached = is_cache(folder)  # of a collection that was opened by its address
        self._looked = time.monotonic()  # when its server was asked what it is
        self._fetched: set[str] = set()  # what of the server's files is in the folder
        self._told = True  # whether the server takes what is said to it
        self._store = store  # None for a private copy, made when it is asked for
        self._lock = lock
        self._forget: Callable[[], object] | None = None  # deletes the private copy
        self._compressor: compress.Compressor | None = None
        self._withheld = False  # whether a picture was, which is said once
        self._read_as = _stamp(folder)
        self._closed, self._process = False, os.getpid()
        self._gate = threading.RLock()  # of what is made once, or read anew, by one thread for all
        self._readers: Counter[int] = Counter()  # threads, by how often each is reading
        self._retired: list[Store] = []  # whom somebody may still be reading
        self._lending: Callable[[], object] = _nothing  # ends it
        self._lend()

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
        if is_index(folder) and not is_cache(folder):
            raise UsageError(f"{folder} is an index already; open it, or give another {another}")
        shared = reach(place, named=True)
        made = not folder.exists()
        undo = ExitStack()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            lock = IndexLock(folder, alone=place.embedded, patience=PATIENCE)
            undo.callback(lock.release)
            with lock.writing():
                if shared is not None and (said := shared.description) and said.manifest:
                    wanted = {
                        "backbone": None if backbone == AUTO else backbone,
                        "fit": fit,
                        "trim": None if trim == "auto" else trim,
                    }
                    return cls._join(root, folder, shared, lock, note, wanted)
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
                store = open_store(folder, place, manifest.dimensions, manifest.maker, shared)
                if store.shared is not None:
                    share(folder, store.shared, manifest, BACKBONE)
                    manifest.write(folder)  # last: what a server refuses was never an index
                    if count := store.count():
                        held = counted(count, "painting")
                        note(f"{place} holds {held} already; this index shares them")
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
    def _join(
        cls,
        root: Path,
        folder: Path,
        shared: Shared,
        lock: IndexLock,
        note: Callable[[str], None],
        wanted: Mapping[str, str | None],
    ) -> Self:
        """Make an index in ``folder`` of a collection that another machine has made, as wanted."""
        manifest = receive(folder, shared, root)
        made = manifest.backbone
        seen = made.preprocessing
        has = {"backbone": made.name, "fit": seen.fit, "trim": seen.trim}
        for what, value in wanted.items():
            if value not in (None, has[what]):
                raise StoreError(
                    f"{shared.place} holds vectors made with {what} {has[what]!r}, not {value!r}; "
                    f"leave out {argument(what)}, or name another collection in {argument('store')}"
                )
        store = open_store(folder, manifest.store, manifest.dimensions, manifest.maker, shared)
        held = counted(store.count(), "painting")
        note(f"{shared.place} holds {held} already; this index shares them")
        return cls(folder, manifest, store, Model(made, folder), lock)

    @classmethod
    def open(
        cls,
        at: Path | Place,
        patience: float = PATIENCE,
        store: str | None = None,
        images: Path | None = None,
    ) -> Self:
        """Open the index in a folder, or that of a collection; see ``Index.open``."""
        folder = cache_folder(at) if isinstance(at, Place) else at
        if isinstance(at, Place):
            place = at
            if store is not None:
                raise UsageError(f"{at} is a store itself; leave out {argument('store')}")
        else:
            # A damaged one is said at once, and not after waiting.
            place = Manifest.read(folder).store
        if store is not None:
            said = Place.parse(store)
            if not said.same_as(place):
                raise UsageError(
                    f"{folder} keeps its points in {place}, not in {store}; leave out "
                    f"{argument('store')}, or move them with paint-search copy"
                )
            place = place.as_named(said)  # by other files, perhaps
        shared = reach(place, named=store is not None or isinstance(at, Place))
        manifest: Manifest | None = None
        if shared is not None:
            manifest = receive(folder, shared, images if is_cache(folder) else None)
        lock = IndexLock(
            folder,
            alone=place.embedded,
            patience=patience,
            reading=True,
            borrow=partial(borrow, folder),
        )
        with ExitStack() as undo:
            undo.callback(lock.release)
            manifest, points = _points(folder, lock, manifest, shared)
            undo.pop_all()
        return cls(folder, manifest, points, Model(manifest.backbone, folder), lock, images)

    @property
    def store(self) -> Store:
        """Where its points are; of a folder that cannot be written, a private copy of them.

        Raises:
            StoreError: it cannot be opened, or not be copied.
        """
        with self._gate:
            if self._store is None:
                home = self._copied() if self._lock.refusal is not None else self.folder
                manifest = self.manifest
                self._store = open_store(home, manifest.store, manifest.dimensions, manifest.maker)
            return self._store

    @property
    def called(self) -> str:
        """What to call it in a sentence: its folder, or the address that it was opened by."""
        return str(self.manifest.store if self._cached else self.folder)

    @property
    def backbone(self) -> Model:
        """What turns pixels into its vectors.

        Raises:
            StoreError: it has to come from the server, and does not.
        """
        self.fetch(BACKBONE)
        return self._backbone

    @property
    def root(self) -> Path:
        """The corpus folder; of a collection opened by its address ``NOWHERE`` until it is told."""
        return self._images or read_path(self.manifest.root, self.folder)

    def fetch(self, prefix: str) -> None:
        """Have the index's files whose paths begin so in its folder, wherever they were made."""
        with self._gate:
            shared = self._store.shared if self._store is not None else None
            if shared is not None and prefix not in self._fetched:
                fetch(self.folder, shared, prefix)
                self._fetched.add(prefix)

    def locate(self, painting: Painting) -> Path:
        """Return where the file of a painting is, or would be; see ``find_picture``."""
        root = self.root
        if root == NOWHERE:
            if not self._withheld:
                _LOG.warning(
                    "%s has no pictures on this machine; name their folder with --images",
                    self.called,
                )
            self._withheld = True
            return NOWHERE / Path(painting.path).name
        if self._images is not None or self._cached:
            # The user has named it: what is there is shown, and nothing that lies elsewhere.
            named = find_file(root, painting.path)
            inside = named.resolve().is_relative_to(root.resolve())
            return named if inside else NOWHERE / Path(painting.path).name
        file = find_picture(painting, root, self.folder)
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
        with self._gate:
            made = self.manifest.compression
            if self._compressor is None and made is not None:
                self.fetch(made.folder)
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
        me = threading.get_ident()
        with self._gate:
            self._check_open()
            if _stamp(self.folder) != self._read_as or self._moved_on():
                self._refresh()
            self._readers[me] += 1
        try:
            yield self
        finally:
            with self._gate:
                self._readers[me] -= 1
                self._readers = +self._readers  # without those who have left
                self._part()

    def ask(self, question: Callable[[Self], _T]) -> _T:
        """Return what a question finds in the collection as it is now, whoever replaces it."""
        try:
            return self._again(self.reading, question)
        except UnknownError:
            if self._store is None or self._store.shared is None:
                raise
        self._looked = -_LOOKS  # it may have come within the last second
        return self._again(self.reading, question)

    def records(self, where: Callable[[Self], Filter]) -> Iterator[Record]:
        """Yield the points that match, by their ids; from where it was if they move meanwhile."""
        after = ""
        for tried in range(_TRIES + 1):
            try:
                with self.reading() as now:
                    for record in now.store.scroll(where(now)):
                        if record.id > after:
                            yield record
                            after = record.id
                return
            except StoreMovedError:
                if tried == _TRIES:
                    raise
                self._refresh()

    def change(self, action: Callable[[Self], _T]) -> _T:
        """Return what an action did while ``writing``, begun anew where the points moved."""
        return self._again(self.writing, action)

    def _again(
        self, entered: Callable[[], AbstractContextManager[Self]], action: Callable[[Self], _T]
    ) -> _T:
        for _ in range(_TRIES):
            with suppress(StoreMovedError), entered():
                return action(self)
            self._refresh()
        with entered():
            return action(self)

    def _moved_on(self) -> bool:
        """Tell whether the store is another now: a shared one is asked once a second."""
        if (loan := self._lock.loan) is not None:
            return loan.lost
        shared = self._store.shared if self._store is not None else None
        if shared is None or time.monotonic() - self._looked < _LOOKS:
            return False
        self._looked = time.monotonic()
        known = shared.description
        return shared.look() != known

    @contextmanager
    def writing(self, *, replacing: bool = False) -> Iterator[Self]:
        """Hold the right to change the index, and give it as it is now.

        Args:
            replacing: even its store, which only the process can that has it open.

        Raises:
            StoreBusyError: another process is changing it.
            StoreError: it is closed, or the folder cannot be written.
        """
        with self.reading():  # which borrows anew where the owner has ended
            loan = self._lock.loan
        with self._lock.writing(replacing=replacing), self.reading():
            self._refresh()  # a stamp can miss two writes within one tick of the clock
            if self._lock.loan is not loan:  # and the right went with it
                raise StoreMovedError(f"the process that held {self.called} has ended; try again")
            yield self

    def save(self, manifest: Manifest) -> None:
        """Make this the manifest of the index; only while ``writing``.

        Raises:
            StoreError: the folder cannot be written.
        """
        self._tell(manifest)
        manifest.write(self.folder)
        self.manifest = manifest
        self._read_as = _stamp(self.folder)

    def _tell(self, manifest: Manifest, *fresh: str) -> None:
        """Say what the manifest does, and send files, to all who share the collection."""
        shared = self._store.shared if self._store is not None else None
        if shared is None or share(self.folder, shared, manifest, *fresh) or not self._told:
            return
        self._told = False
        _LOG.warning(
            "this key may not say anew what %s is: others who open it know its background of "
            "scores and its labels' origin as they were",
            manifest.store,
        )

    def send(self, *prefixes: str) -> None:
        """Let all who share the collection have files of this index."""
        self._tell(self.manifest, *prefixes)

    def send_all(self) -> None:
        """Send what of those files some copy of the collection lacks."""
        made = self.manifest.compression
        self.fetch("")
        self.send(BACKBONE, CALIBRATION, *([made.folder] if made else []))

    def settle(self, manifest: Manifest, *, changed: bool) -> None:
        """Make what was written durable, and measure anew what depends on the paintings."""
        manifest = measured(manifest, self.store) if changed else manifest
        self.store.flush()
        self.save(replace(manifest, paintings=self.store.count()))
        if self.store.shared is not None:
            self.store.shared.sweep()

    def adopt(self, manifest: Manifest, store: Store | None) -> None:
        """Go on with another store and the manifest, written already, that names it."""
        with self._gate:
            self._lending()
            if self._store is not None:
                self._retired.append(self._store)
            self.manifest, self._store, self._compressor = manifest, store, None
            self._read_as = _stamp(self.folder)
            self._part()
            self._lend()

    def _part(self) -> None:
        """Close the stores of before, once no other thread is reading."""
        if not self._readers.keys() - {threading.get_ident()}:
            while self._retired:
                self._retired.pop().close()

    def _lend(self) -> None:
        """Let other processes ask the store, while this one has the index to itself."""
        if self._lock.held and self._store is not None:
            end = lend(self.folder, self.manifest.store, self._store, self._lock.turn.taken)
            self._lending = weakref.finalize(self, end)  # an index that nobody closes ends, too

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
                    f"{self.called} was made with {what} {has!r}, not {wanted!r}; vectors of two "
                    f"kinds cannot be compared: leave out {argument(what)}, or make another "
                    f"{argument('folder', option='--index')}"
                )

    def close(self) -> None:
        """Make everything durable and let other processes in; nothing works afterwards."""
        if self._closed or os.getpid() != self._process:  # which is for the other to close
            return
        self._closed = True
        try:
            self._lending()
            for store in (*self._retired, self._store):
                if store is not None:
                    store.close()
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
        with self._gate:
            self._read_anew()

    def _read_anew(self) -> None:
        before, shared = self.manifest, self._store.shared if self._store is not None else None
        stamp = _stamp(self.folder)
        if shared is None:
            manifest = Manifest.read(self.folder)
        else:
            shared.look()
            manifest, stamp = receive(self.folder, shared), _stamp(self.folder)
            self._looked, self._fetched = time.monotonic(), set()
        loan = self._lock.loan
        if loan is not None and (loan.lost or loan.name != manifest.store.name):
            self._lock.renew()
            stamp = _stamp(self.folder)
            self.adopt(*_points(self.folder, self._lock))
            manifest = self.manifest
        elif self._lock.refusal is not None:
            self.adopt(manifest, None)  # somebody else has written since it was copied
        elif not loan and (manifest.maker, manifest.store) != (before.maker, before.store):
            fresh = open_store(self.folder, manifest.store, manifest.dimensions, manifest.maker)
            self.adopt(manifest, fresh)
        if manifest.backbone != before.backbone:
            self._backbone = Model(manifest.backbone, self.folder)
        self.manifest, self._read_as = manifest, stamp


def _points(
    folder: Path, lock: IndexLock, manifest: Manifest | None = None, shared: Shared | None = None
) -> tuple[Manifest, Store | None]:
    """Return the manifest of an index, and its store; None for a private copy, made when asked."""
    manifest = manifest or Manifest.read(folder)
    for _ in range(_TRIES):
        if lock.loan is None or lock.loan.name == manifest.store.name:
            break
        time.sleep(_SOON)  # its owner is just replacing it
        lock.renew()
        manifest = Manifest.read(folder)
    if lock.loan is not None or lock.refusal is not None:
        return manifest, lock.loan
    if manifest.store.embedded:
        sweep(folder, manifest)
    made = manifest.dimensions, manifest.maker
    return manifest, open_store(folder, manifest.store, *made, shared)


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


def _nothing() -> None:
    """End nothing."""


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
