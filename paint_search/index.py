"""The one door: make an index, open it, bring it up to date, ask it.

Ties the rooms together (backbone, pipeline, store, queries); no room knows it. Paths that it takes
are those of files or of indexed paintings; ids and vectors that it gives fit any other library.
"""

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from paint_search.asking import Question, ask
from paint_search.compress.base import Compressor, Progress
from paint_search.compress.kinds import load_compressor
from paint_search.compressing import AUTO as AUTO_METHOD
from paint_search.compressing import CompressRequest, CompressSummary, compress, sweep
from paint_search.errors import BackboneError, IndexMissingError, StoreError, UsageError
from paint_search.examples import find_ids, find_indexed
from paint_search.indexer.backbones import AUTO
from paint_search.indexer.decode import MAX_PIXELS
from paint_search.indexer.model import Model
from paint_search.indexer.pipeline import Progress as IndexingProgress
from paint_search.indexer.pipeline import Summary
from paint_search.indexer.preprocessing import Fit
from paint_search.indexer.skips import read_skips
from paint_search.inspection import IndexInfo, inspect
from paint_search.locating import FOLDER, corpus_folder, find_index, read_path, write_path
from paint_search.manifest import Manifest, is_index
from paint_search.painting import Hit, Painting, Value
from paint_search.search.filters import Filter, FilterValue
from paint_search.search.stores.base import Store, VectorName
from paint_search.search.stores.edge import EdgeStore
from paint_search.search.stores.lock import StoreLock
from paint_search.selecting import check_field, select
from paint_search.update import SKIPPED, Request, require_images, settle, update
from paint_search.verifying import Verdict, Verifier


class Index:
    """A searchable collection of paintings in a folder of its own; use as a context manager.

    Make one with ``create`` or open one with ``open``; only one process at a time can hold it.
    """

    def __init__(
        self, folder: Path, manifest: Manifest, store: Store, model: Model, lock: StoreLock
    ) -> None:
        self.folder = folder
        self.manifest = manifest
        self._store = store
        self._model = model
        self._lock = lock
        self._compressor: Compressor | None = None

    @classmethod
    def create(
        cls,
        root: str | Path,
        folder: str | Path = FOLDER,
        *,
        backbone: str = AUTO,
        weights: str | Path | None = None,
        fit: Fit | None = None,
        note: Callable[[str], None] = lambda line: None,
    ) -> "Index":
        """Make an empty index for the paintings below ``root``.

        Args:
            root: the corpus; painting paths are relative to it.
            folder: where the index goes; made if need be.
            backbone: a name from ``paint-search backbones``, or ``auto``.
            weights: the backbone's weights, instead of the local cache and the model hub.
            fit: ``crop``, ``pad`` or ``squash``; None for the backbone's own way.
            note: takes lines for the user, such as which backbone ``auto`` chose.

        Raises:
            UsageError: no such folder, or an index is there already.
            BackboneError: unknown backbone, or its weights cannot be had or used.
            StoreError: the folder cannot be written.
        """
        root, folder = corpus_folder(root), Path(folder).absolute()
        if is_index(folder):
            raise UsageError(f"{folder} is an index already; open it, or give another --index")
        require_images(root)
        made = not folder.exists()
        undo = ExitStack()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            lock = StoreLock(folder)
            undo.callback(lock.release)
            model = Model.create(
                backbone,
                folder,
                weights_file=None if weights is None else Path(weights),
                fit=fit,
                note=note,
            )
            manifest = Manifest.new(model.record, write_path(root, folder))
            if (folder / "store").exists():
                raise StoreError(
                    f"{folder} holds a store without its manifest.json; restore that from a "
                    "backup, or delete the folder and index again"
                )
            manifest.write(folder)  # first, so that a store never lacks it
            store = EdgeStore(folder / manifest.store, manifest.dimensions)
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
        return cls(folder, manifest, store, model, lock)

    @classmethod
    def open(cls, folder: str | Path | None = None) -> "Index":
        """Open an index: ``folder``, else ``$PAINT_SEARCH_INDEX``, else the nearest one above here.

        Raises:
            IndexMissingError: there is none.
            ManifestError: it is damaged or newer than this program.
            StoreBusyError: another process holds it, after waiting for five seconds.
        """
        path = find_index(folder)
        if path is None:
            raise IndexMissingError(
                f"there is no index {folder or FOLDER} here or in a folder above; make one with "
                "paint-search index FOLDER, or name one with --index"
            )
        Manifest.read(path)  # a damaged one is said at once, and not after waiting
        lock = StoreLock(path)
        with ExitStack() as undo:
            undo.callback(lock.release)
            manifest = Manifest.read(path)
            sweep(path, manifest)
            store = EdgeStore(path / manifest.store, manifest.dimensions)
            undo.pop_all()
        return cls(path, manifest, store, Model(manifest.backbone, path), lock)

    def __enter__(self) -> "Index":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __len__(self) -> int:
        return self._store.count()

    @property
    def root(self) -> Path:
        """The corpus folder."""
        return read_path(self.manifest.root, self.folder)

    def close(self) -> None:
        """Make everything durable and let other processes in."""
        try:
            self._store.close()
        finally:
            self._lock.release()

    def add(
        self,
        folder: str | Path | None = None,
        *,
        labels: str | None = None,
        table: str | Path | None = None,
        prune: bool = False,
        max_pixels: int = MAX_PIXELS,
        weights: str | Path | None = None,
        device: str = "auto",
        report: Callable[[IndexingProgress], None] = lambda progress: None,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> Summary:
        """Index what is new or changed below ``folder``, the whole corpus if None.

        Args:
            folder: the corpus, or a folder inside it.
            labels: ``folder`` or a pattern; None for what the last run used.
            table: CSV or Parquet file of labels, instead of ``labels``.
            prune: delete paintings whose files are gone.
            max_pixels: most pixels decoded for one image.
            weights: the backbone's weights, where torch is to embed and the cache lacks them.
            device: ``auto``, ``cpu`` or ``cuda``.
            report: called with the progress after each batch.
            cancelled: asked between batches; once true, the run saves and ends.

        Raises:
            UsageError: the folder is not of this corpus, or labels cannot be read.
            StoreError: the store or the disk failed; what was finished stays.
        """
        request = Request(
            folder=corpus_folder(folder or self.root),
            labels=labels,
            table=None if table is None else Path(table),
            prune=prune,
            max_pixels=max_pixels,
            weights=None if weights is None else Path(weights),
            device=device,
            report=report,
            cancelled=cancelled,
        )
        self.manifest, summary = update(
            self.folder, self.manifest, self._store, self._model, self.compressor(), request
        )
        return summary

    def compress(
        self,
        method: str = AUTO_METHOD,
        dims: int = 128,
        *,
        seed: int = 0,
        drop_full: bool = False,
        label: str | None = None,
        report: Callable[[str, Progress], None] = lambda words, progress: None,
        note: Callable[[str], None] = lambda line: None,
    ) -> CompressSummary:
        """Fit a compressor to the paintings and give each a compact vector of ``dims`` numbers.

        A part of the paintings is held out to measure what is kept. Killed or failed, the index
        stays as it was.

        Args:
            method: a name of ``compress.kinds.METHODS``, or ``auto``: the best of them.
            dims: length of the compact vectors.
            seed: of the fit, and of which paintings are held out.
            drop_full: keep compact vectors alone, to save space; ``note`` is told what it costs.
            label: field that ``siamese`` learns from; None for the artist.
            report: called with what is being done and how far it is.
            note: takes lines for the user.

        Raises:
            UsageError: an unknown method, an empty index, or full vectors dropped before.
            CompressError: too few paintings or dimensions, or vectors that teach nothing.
            StoreError: the store or the disk failed.
        """
        request = CompressRequest(method, dims, seed, drop_full, label, report, note)
        self.manifest, self._store, summary = compress(
            self.folder, self.manifest, self._store, request
        )
        self._compressor = None
        return summary

    def compressor(self) -> Compressor | None:
        """Return the fitted compressor, None before ``compress``.

        Raises:
            CompressError: it is damaged, or of another backbone.
        """
        compression = self.manifest.compression
        if self._compressor is None and compression is not None:
            self._compressor = load_compressor(
                self.folder / compression.folder, self.manifest.backbone.fingerprint
            )
        return self._compressor

    def check_model(self, backbone: str | None, fit: str | None) -> None:
        """Raise BackboneError if the index was made with another backbone or fit than these."""
        made = self.manifest.backbone
        for what, wanted, has in (
            ("backbone", backbone, made.name),
            ("fit", fit, made.preprocessing.fit),
        ):
            if wanted not in (None, AUTO, has):
                raise BackboneError(
                    f"{self.folder} was made with {what} {has!r}, not {wanted!r}; vectors of two "
                    f"models cannot be compared: leave out --{what}, or make another --index"
                )

    def similar(
        self,
        *queries: str | Path,
        k: int = 10,
        unlike: Sequence[str | Path] = (),
        where: Mapping[str, FilterValue] | Filter | None = None,
        exclude: Mapping[str, FilterValue] | None = None,
        min_score: float = -1.0,
        spread: float = 0.0,
        exact: bool = False,
        compact_only: bool = False,
    ) -> list[Hit]:
        """Return the ``k`` paintings most like the queries, best first; the queries not among them.

        Args:
            queries: image files, indexed paths or ids; several are averaged.
            k: how many hits; near-identical copies are folded into one.
            unlike: counter-examples, of the same kinds.
            where: field -> value, list of values, or (low, high); all must hold.
            exclude: the same, none may hold.
            min_score: least cosine.
            spread: 0 for the nearest, up to 1 for variety among the hits.
            exact: compare with every painting even where the index is approximate.
            compact_only: compare compact vectors and nothing else, where the index has them.

        Raises:
            UsageError: no query, ``k`` below 1, unknown field, a query that is not there, or
                compact vectors that are not.
            ImageError: a query file is no image.
        """
        question = Question(
            queries=queries,
            k=k,
            unlike=unlike,
            where=select(self._store, where, exclude),
            min_score=min_score,
            spread=spread,
            exact=exact,
            compact_only=compact_only,
        )
        return ask(question, self.root, self.manifest, self._store, self._model, self.compressor)

    def verifier(self, note: Callable[[str], None] = lambda line: None) -> Verifier:
        """Return what says whether one artist made two paintings; ``note`` takes lines to say."""
        return Verifier(
            self.folder,
            self.root,
            self.manifest,
            self._store,
            self._model,
            self.compressor,
            note,
        )

    def verify(self, one: str | Path, other: str | Path) -> Verdict:
        """Say how likely one artist made both paintings; see ``Verifier.verify``."""
        return self.verifier().verify(one, other)

    def vectors(
        self,
        where: Mapping[str, FilterValue] | Filter | None = None,
        which: VectorName | None = None,
    ) -> tuple[list[str], NDArray[np.float32]]:
        """Return ids and unit-norm vectors, (n, d) float32, in the order of the ids.

        Args:
            where: which paintings; all by default.
            which: ``full`` or ``compact``; by default full ones where they are kept.

        Raises:
            UsageError: unknown field, or vectors that this index does not keep.
        """
        conditions = select(self._store, where)
        name = self.manifest.kept(which)
        length = self.manifest.dimensions[name]
        vectors = np.empty((self._store.count(conditions), length), dtype=np.float32)
        ids: list[str] = []
        for record in self._store.scroll(conditions, vectors=True):
            vectors[len(ids)] = record.vector if name == "full" else record.compact
            ids.append(record.id)
        return ids, vectors

    def field(
        self, name: str, where: Mapping[str, FilterValue] | Filter | None = None
    ) -> list[Value | None]:
        """Return one field of every painting, None where it lacks it, in the order of ``vectors``.

        Raises:
            UsageError: no painting has such a field.
        """
        check_field(self._store, name)
        return [
            record.payload.get(name) for record in self._store.scroll(select(self._store, where))
        ]

    def paintings(
        self, where: Mapping[str, FilterValue] | Filter | None = None
    ) -> Iterator[Painting]:
        """Yield the paintings in the order of ``vectors``."""
        for record in self._store.scroll(select(self._store, where)):
            yield Painting.from_payload(record.payload)

    def remove(
        self,
        *paintings: str | Path,
        where: Mapping[str, FilterValue] | Filter | None = None,
    ) -> int:
        """Take paintings out of the index, by path, id or filter, and return how many; files stay.

        Raises:
            UsageError: nothing was named, or something named is not indexed.
        """
        if not paintings and not where:
            raise UsageError("name the paintings to remove, or give --where")
        ids = find_ids(self._store, self.root, paintings)
        if where:
            ids += [record.id for record in self._store.scroll(select(self._store, where))]
        ids = list(dict.fromkeys(ids))
        self._store.delete(ids)
        self.manifest = settle(self.folder, self.manifest, self._store, changed=bool(ids))
        return len(ids)

    def info(self) -> IndexInfo:
        """Return what there is to know about this index."""
        return inspect(self.folder, self.root, self.manifest, self._store, len(self.skipped()))

    def skipped(self) -> list[tuple[str, str]]:
        """Return (path, reason) of every file that the last runs could not index."""
        return read_skips(self.folder / SKIPPED)

    def locate_query(self, query: str | Path) -> Path:
        """Return the file of anything that ``similar`` takes as a query."""
        record = find_indexed(self._store, self.root, query)
        return Path(query) if record is None else self.root / record.payload["path"]

    def locate(self, painting: Painting) -> Path:
        """Return where the painting's file lies; it may have gone since it was indexed."""
        return self.root / painting.path
