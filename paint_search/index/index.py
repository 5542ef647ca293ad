"""The one door: make an index, open it, bring it up to date, ask it.

Ties the rooms together (backbone, pipeline, store, queries); no room knows it. Paths that it takes
are those of files or of indexed paintings; ids and vectors that it gives fit any other library.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType

from paint_search.errors import IndexMissingError, UsageError
from paint_search.index.collection import check_made, found, reopen
from paint_search.index.compression import AUTO as AUTO_METHOD
from paint_search.index.compression import CompressRequest, CompressSummary, compress
from paint_search.index.copy import CopySummary, copy_index
from paint_search.index.examples import find_ids
from paint_search.index.paths import FOLDER, corpus_folder, find_index
from paint_search.index.reading import ReadIndex
from paint_search.index.select import select
from paint_search.index.sync import Request, require_images, settle, update
from paint_search.indexer.backbones.registry import AUTO
from paint_search.indexer.corpus.shards import Part
from paint_search.indexer.images.decode import MAX_PIXELS
from paint_search.indexer.images.preprocessing import Fit
from paint_search.indexer.pipeline import Summary
from paint_search.painting import Progress
from paint_search.search.filters import Filter, FilterValue
from paint_search.search.stores.uri import Place


class Index(ReadIndex):
    """A searchable collection of paintings in a folder of its own; use as a context manager.

    Make one with ``create`` or open one with ``open``. Where its points are in its folder, only one
    process at a time can hold it. What can be asked of it is in ``ReadIndex``.
    """

    @classmethod
    def create(
        cls,
        root: str | Path,
        folder: str | Path = FOLDER,
        *,
        store: str = "edge",
        backbone: str = AUTO,
        weights: str | Path | None = None,
        fit: Fit | None = None,
        note: Callable[[str], None] = lambda line: None,
    ) -> "Index":
        """Make an empty index for the paintings below ``root``.

        Args:
            root: the corpus; painting paths are relative to it.
            folder: where the index goes; made if need be.
            store: where its points go: ``edge``, ``faiss``, or ``qdrant://host:port/collection``,
                with settings behind a ``?``.
            backbone: a name from ``paint-search backbones``, or ``auto``.
            weights: the backbone's weights, instead of the local cache and the model hub.
            fit: ``crop``, ``pad`` or ``squash``; None for the backbone's own way.
            note: takes lines for the user, such as which backbone ``auto`` chose.

        Raises:
            UsageError: no such folder or store, or an index is there already.
            BackboneError: unknown backbone, or its weights cannot be had or used.
            StoreError: the folder cannot be written, or the server not be used.
        """
        root = corpus_folder(root)
        require_images(root)
        return cls(
            found(
                root,
                Path(folder).absolute(),
                Place.parse(store),
                backbone=backbone,
                weights=None if weights is None else Path(weights),
                fit=fit,
                note=note,
            )
        )

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
        return cls(reopen(path))

    def __enter__(self) -> "Index":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Make everything durable and let other processes in."""
        try:
            self._store.close()
        finally:
            self._holding.release()

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
        part: Part | None = None,
        report: Callable[[Progress], None] = lambda progress: None,
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
            part: index only this part of the files, where several machines share the work.
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
            part=part,
            report=report,
            cancelled=cancelled,
        )
        with self._holding.writing():
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
        with self._holding.writing():
            self.manifest, self._store, summary = compress(
                self.folder, self.manifest, self._store, request
            )
        self._compressor = None
        return summary

    def copy(
        self,
        to: str,
        folder: str | Path | None = None,
        *,
        report: Callable[[str, Progress], None] = lambda words, progress: None,
    ) -> CopySummary:
        """Copy this index into another store: vectors, labels and compressor.

        Interrupted, the same call goes on; at the end everything is read back and compared.

        Args:
            to: where the points go, as ``store`` of ``create``.
            folder: of the copy; by default beside this index, named after it and the store.
            report: called with what is being done and how far it is.

        Raises:
            UsageError: no such store, or the folder is taken.
            StoreError: a store failed, or what was read back differs.
        """
        place = Place.parse(to)
        beside = self.folder.with_name(f"{self.folder.name}-{place.kind}")
        return copy_index(
            self.folder,
            self.manifest,
            self._store,
            place,
            beside if folder is None else Path(folder).absolute(),
            report,
        )

    def check_made(self, backbone: str | None, fit: str | None, store: str | None) -> None:
        """Raise an error if the index was made with another backbone, fit or store than these."""
        check_made(self.folder, self.manifest, backbone=backbone, fit=fit, store=store)

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
        ids = dict.fromkeys(find_ids(self._store, self.root, paintings))
        if where:
            ids |= {r.id: None for r in self._store.scroll(select(self._store, where))}
        with self._holding.writing():
            self._store.delete(list(ids))
            self.manifest = settle(self.folder, self.manifest, self._store, changed=bool(ids))
        return len(ids)
