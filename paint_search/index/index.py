"""The one door: make an index, open it, bring it up to date, ask it.

Each method is a few lines that call a neighbour in this room, imported by it where a question does
not need it. Paths that it takes are those of
files or of indexed paintings; ids and vectors that it gives fit any other library.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, Unpack, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from paint_search.compress.base import Compressor
from paint_search.errors import IndexMissingError, UsageError, argument
from paint_search.index import examples, search
from paint_search.index.collection import KEEP, PATIENCE, Collection
from paint_search.index.copy import BATCH, CopySummary, copy_index
from paint_search.index.examples import Picture, Query
from paint_search.index.manifest import Manifest
from paint_search.index.paths import FOLDER, corpus_folder, find_index, named_index
from paint_search.index.search import SearchOptions
from paint_search.index.select import Where, check_field, read_vectors, select
from paint_search.index.shared import cache_folder
from paint_search.index.verification import UNSURE, Verdict, Verifier
from paint_search.indexer.backbones.registry import AUTO
from paint_search.indexer.corpus.scan import Part
from paint_search.indexer.feature_cache import CACHE_BYTES
from paint_search.indexer.images.decode import MAX_PIXELS, Damaged
from paint_search.indexer.images.preprocessing import Fit
from paint_search.indexer.images.trim import TRIMS, Trim
from paint_search.painting import Hit, Painting, Progress, Value
from paint_search.search.stores.base import LONGEST, VectorName
from paint_search.search.stores.uri import Place

if TYPE_CHECKING:
    import faiss
    import pandas as pd
    import pyarrow as pa

    from paint_search.index.compression import CompressSummary
    from paint_search.index.details import Details, DetailsSummary
    from paint_search.index.explain import Explanation
    from paint_search.index.info import IndexInfo
    from paint_search.index.selections import Selection
    from paint_search.indexer.pipeline import Summary


class Index:
    """A searchable collection of paintings in a folder of its own; use as a context manager.

    Make one with ``create`` or open one with ``open``. Where its points are in its folder, the
    process that opens it first holds it, and answers those of the same user that open it meanwhile.
    Any number of threads may ask one. ``len``, ``in`` and iteration speak of its paintings.
    """

    def __init__(self, collection: Collection) -> None:
        self._collection = collection

    @classmethod
    def create(
        cls,
        root: str | Path,
        folder: str | Path | Place = FOLDER,
        *,
        store: str | None = None,
        backbone: str = AUTO,
        weights: str | Path | None = None,
        fit: Fit | None = None,
        trim: Trim = "auto",
        longest: int = LONGEST,
        cache_bytes: int = CACHE_BYTES,
        note: Callable[[str], None] = lambda line: None,
    ) -> Self:
        """Make an empty index for the paintings below ``root``.

        Args:
            root: the corpus; painting paths are relative to it.
            folder: where the index goes, made if need be; or the address of a collection of a
                server, which needs no folder.
            store: where its points go: ``edge``, the default, ``faiss``, or ``qdrant://host:port/collection``,
                with settings behind a ``?``.
            backbone: a name from ``paint-search backbones``, or ``auto``.
            weights: the backbone's weights, instead of the local cache and the model hub.
            fit: ``crop``, ``pad`` or ``squash``; None for the backbone's own way.
            trim: ``auto`` cuts off frames, mats and walls around a painting where they are certain,
                of queries too; ``off`` takes pictures whole.
            longest: vectors of more numbers are not searched as they are, but wait in a cache until
                ``compress`` has learned from them; stores take no more than by default.
            cache_bytes: most that the cache may take; of larger collections a fair sample waits.
            note: takes lines for the user, such as which backbone ``auto`` chose.

        Raises:
            UsageError: no such folder or store, or an index is there already.
            BackboneError: unknown backbone, or its weights cannot be had or used.
            StoreError: the folder cannot be written, or the server not be used.
        """
        from paint_search.index.sync import require_images

        if trim not in TRIMS:
            raise UsageError(f"unknown {argument('trim', trim)}: use {' or '.join(TRIMS)}")
        root = corpus_folder(root)
        require_images(root)
        at = folder if isinstance(folder, Place) else named_index(folder)
        place = Place.parse(store or "edge")
        if isinstance(at, Place):
            if store is not None:
                raise UsageError(f"{at} is a store itself; leave out {argument('store')}")
            place, at = at, cache_folder(at)
        made = Collection.create(
            root,
            at or Path(FOLDER).absolute(),
            place,
            backbone=backbone,
            weights=None if weights is None else Path(weights),
            fit=fit,
            trim=trim,
            note=note,
            longest=min(longest, LONGEST),
            cache_bytes=cache_bytes,
        )
        return cls(made)

    @classmethod
    def open(
        cls,
        folder: str | Path | None = None,
        *,
        patience: float = PATIENCE,
        store: str | None = None,
        images: str | Path | None = None,
    ) -> Self:
        """Open an index: ``folder``, else ``$PAINT_SEARCH_INDEX``, else the nearest one above here.

        One in a folder that cannot be written is read, from a private copy of its store.

        Args:
            folder: of the index; or, as ``qdrant://host:port/collection``, the address of its
                collection, which needs no folder: a server that is named so is one that you trust.
            patience: seconds to wait for another process that holds it and does not answer.
            store: where its points are, as for ``create``; a server that is named so is one that
                you trust, now and later. None for what the index says.
            images: folder of the paintings on this machine, where it is not the one that the index
                names; of an index opened by its address it is remembered.

        Raises:
            IndexMissingError: there is none.
            ManifestError: it is damaged or newer than this program.
            StoreBusyError: another process holds it, and cannot be asked.
            UsageError: its points are in another store.
            StoreError: the store cannot be opened, or is a server that was never named here.
        """
        path = find_index(folder)
        if path is None:
            raise IndexMissingError(
                f"there is no index {folder or FOLDER} here or in a folder above; make one with "
                f"paint-search index FOLDER, or name one: {argument('folder', option='--index')}"
            )
        folder_of_images = None if images is None else corpus_folder(images)
        return cls(Collection.open(path, patience, store, folder_of_images))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def close(self) -> None:
        """Make everything durable and let other processes in."""
        self._collection.close()

    @property
    def folder(self) -> Path:
        """The index folder."""
        return self._collection.folder

    @property
    def root(self) -> Path:
        """The corpus folder, which painting paths are relative to."""
        return self._collection.root

    @property
    def manifest(self) -> Manifest:
        """What the index says of itself."""
        return self._collection.manifest

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the backbone's weights: vectors of two fingerprints cannot be compared."""
        return self.manifest.backbone.fingerprint

    @property
    def compressor(self) -> Compressor | None:
        """The fitted compressor, None before ``compress``.

        Raises:
            CompressError: it is damaged, or of another backbone.
        """
        return self._collection.compressor

    def add(
        self,
        folder: str | Path | None = None,
        *,
        labels: str | None = None,
        table: str | Path | None = None,
        table_encoding: str | None = None,
        prune: bool = False,
        max_pixels: int = MAX_PIXELS,
        damaged: Damaged = "skip",
        weights: str | Path | None = None,
        device: str = "auto",
        part: Part | None = None,
        repair: bool = False,
        report: Callable[[Progress], None] = lambda progress: None,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> "Summary":
        """Index what is new or changed below ``folder``, the whole corpus if None.

        Args:
            folder: the corpus, or a folder inside it.
            labels: ``folder`` or a pattern; None for what the last run used.
            table: CSV or Parquet file of labels, instead of ``labels``.
            table_encoding: of a CSV; None where it is UTF-8, or certain.
            prune: delete paintings whose files are gone.
            max_pixels: most pixels decoded for one image.
            damaged: ``use`` takes JPEGs that are cut short as far as they go.
            weights: the backbone's weights, where torch is to embed and the cache lacks them.
            device: ``auto``, ``cpu`` or ``cuda``.
            part: index only this part of the files, where several machines share the work.
            repair: compare each painting on all nodes of a server, even where all count as many,
                and make the copies alike. Else they are compared where the counts differ.
            report: called with the progress after each batch.
            cancelled: asked between batches; once true, the run saves and ends.

        Raises:
            UsageError: the folder is not of this corpus, or labels cannot be read.
            StoreError: the store or the disk failed; what was finished stays.
        """
        from paint_search.index.sync import Request, sync

        request = Request(
            folder=corpus_folder(folder or self.root),
            labels=labels,
            table=None if table is None else Path(table),
            table_encoding=table_encoding,
            prune=prune,
            max_pixels=max_pixels,
            damaged=damaged,
            weights=None if weights is None else Path(weights),
            device=device,
            part=part,
            repair=repair,
            report=report,
            cancelled=cancelled,
        )
        return self._collection.change(lambda collection: sync(collection, request))

    def embed(self, images: Iterable[Picture]) -> NDArray[np.float32]:
        """Return the embedding of each picture by the index's backbone, (n, d), with unit norms.

        Args:
            images: files, bytes of files, Pillow images, or (h, w, 3) uint8 sRGB arrays.

        Raises:
            ImageError: one of them is no image.
        """
        rows = list(self.embed_iter(images))
        empty = np.empty((0, self.manifest.backbone.dimension), dtype=np.float32)
        return np.stack(rows) if rows else empty

    def embed_iter(self, images: Iterable[Picture]) -> Iterator[NDArray[np.float32]]:
        """Yield the embedding, (d,), of each picture, with a bounded number of them in memory.

        Args:
            images: as for ``embed``; may be endless.

        Raises:
            ImageError: one of them is no image.
        """
        if isinstance(images, str | Path | bytes):
            raise UsageError(f"give a list of pictures as {argument('images')}")
        with self._collection.reading() as collection:
            for _, vector in examples.decode_and_embed(collection, images):
                yield vector

    def upsert(
        self,
        paths_or_ids: Sequence[str | Path],
        vectors: ArrayLike | None = None,
        *,
        images: Sequence[Picture] | None = None,
        labels: Sequence[Mapping[str, Any]] | None = None,
        fingerprint: str | None = None,
    ) -> int:
        """Write paintings that no run over a folder has to find, and return how many.

        With ``vectors`` they are stored as they are; with ``images`` those are embedded; with
        neither the files at the paths are, or, of paintings that are indexed, only the labels
        change. Labels that are given stay when ``add`` runs again; without any, a painting that is
        indexed keeps its own. Nothing is written unless everything is sound.

        Args:
            paths_or_ids: n paintings: ids or paths that are indexed, files of the corpus, or new
                names that look like paths below it.
            vectors: (n, d) numbers of any positive norm, as the index's backbone makes them.
            images: n pictures, as ``embed`` takes them.
            labels: n mappings of field to text or number.
            fingerprint: with ``vectors``, that of the index they were embedded with.

        Raises:
            UsageError: numbers that do not match, vectors of another length or without direction, a
                file that is not there, or a label that is neither text nor number.
            BackboneError: the vectors are of another model.
            ImageError: an image cannot be used.
            StoreError: the store or the disk failed.
        """
        from paint_search.index.upsert import Handed, upsert

        handed = Handed(paths_or_ids, vectors, images, labels, fingerprint)
        return self._collection.change(lambda collection: upsert(collection, handed))

    def remove(self, *paintings: str | Path | Painting, where: Where | None = None) -> int:
        """Take paintings out of the index, by path, id or filter, and return how many; files stay.

        Raises:
            UsageError: nothing was named, or something named is not indexed.
        """
        if not paintings and not where:
            raise UsageError(f"name the paintings to remove, or give {argument('where')}")

        def take_out(collection: Collection) -> int:
            ids: dict[str, None] = {}
            for one in paintings:
                name = one.id if isinstance(one, Painting) else one
                ids[examples.require_indexed(collection, name).id] = None
            if where:
                chosen = collection.store.scroll(select(collection, where))
                ids |= {record.id: None for record in chosen}
            collection.store.delete(list(ids))
            collection.settle(collection.manifest, changed=bool(ids))
            return len(ids)

        return self._collection.change(take_out)

    def compress(
        self,
        method: str = AUTO,
        dims: int = 128,
        *,
        seed: int = 0,
        drop_full: bool = False,
        label: str | None = None,
        keep: float = KEEP,
        report: Callable[[str, Progress], None] = lambda words, progress: None,
        note: Callable[[str], None] = lambda line: None,
    ) -> "CompressSummary":
        """Fit a compressor to the paintings and give each a compact vector of ``dims`` numbers.

        A part of the paintings is held out to measure what is kept. Killed or failed, the index
        stays as it was.

        Args:
            method: a name of ``compress.METHODS``, or ``auto``: the best of them.
            dims: length of the compact vectors.
            seed: of the fit, and of which paintings are held out.
            drop_full: keep compact vectors alone, to save space; ``note`` is told what it costs.
            label: field that ``siamese`` learns from; None for the artist.
            keep: seconds for which a server keeps the points of before, for those who are reading
                them; 0 for none.
            report: called with what is being done and how far it is.
            note: takes lines for the user.

        Raises:
            UsageError: an unknown method, an empty index, or full vectors dropped before.
            CompressError: too few paintings or dimensions, vectors that teach nothing, or a library
                is missing.
            StoreBusyError: another process holds the index, whose store is replaced by this.
            StoreError: the store or the disk failed.
        """
        from paint_search.index.compression import CompressRequest, compress

        request = CompressRequest(method, dims, seed, drop_full, label, keep, report, note)
        with self._collection.writing(replacing=True) as collection:
            return compress(collection, request)

    def copy(
        self,
        to: str,
        folder: str | Path | None = None,
        *,
        batch: int = BATCH,
        report: Callable[[str, Progress], None] = lambda words, progress: None,
    ) -> CopySummary:
        """Copy this index into another store: vectors, labels and compressor.

        Interrupted, the same call goes on; at the end everything is read back and compared.

        Args:
            to: where the points go, as ``store`` of ``create``.
            folder: of the copy; by default beside this index, named after it and the store.
            batch: points read and written at once.
            report: called with what is being done and how far it is.

        Raises:
            UsageError: no such store, or the folder is taken.
            StoreError: a store failed, or what was read back differs.
        """
        place = Place.parse(to)
        beside = self.folder.with_name(f"{self.folder.name}-{place.kind}")
        target = beside if folder is None else Path(folder).absolute()
        return self._collection.ask(lambda now: copy_index(now, place, target, report, batch))

    def export(
        self,
        out: str | Path,
        form: str,
        where: Where | None = None,
        selection: str | None = None,
    ) -> tuple[list[Path], int]:
        """Write the paintings that match for other tools; return the files and how many.

        Args:
            out: the file to write; labels of ``faiss`` and ``npy`` go beside it as CSV.
            form: ``faiss`` (the CSV's column ``label`` is FAISS's), ``npy``, (n, d) float32,
                ``parquet``, a table with a column ``vector``, or ``csv``, labels alone.
            where: conditions, as in ``similar``.
            selection: name of the one that they must be of; None for any.

        Raises:
            UsageError: an unknown form, field or selection, or no painting to make a FAISS index
                of.
            StoreError: FAISS is wanted and not installed.
            OSError: the file cannot be written.
        """
        from paint_search.index.export import export

        file, own = Path(out), [] if selection is None else [self.selection(selection).condition]
        return self._collection.ask(lambda now: export(now, file, form, select(now, where) + own))

    def selections(self) -> "list[Selection]":
        """Return the named selections of works that are kept in the index folder, by name.

        Of a collection on a server they are those of this machine.

        Raises:
            StoreError: they are damaged.
        """
        from paint_search.index.selections import read_selections

        return sorted(read_selections(self.folder).values(), key=lambda one: one.name)

    def selection(self, name: str) -> "Selection":
        """Return the selection of this name; UsageError where there is none."""
        from paint_search.index.selections import require_selection

        return require_selection(self.folder, name)

    def selected(self, name: str) -> list[Painting]:
        """Return the works of a selection, in its order.

        Of those that are not in the index, such as excluded ones, only id and path are known.
        """
        from paint_search.index.selections import selected

        return selected(self._collection, self.selection(name))

    def save_selection(
        self, name: str, ids: Sequence[str], *, excluded: bool = False
    ) -> "Selection":
        """Keep works under a name, instead of those that were kept under it.

        Args:
            name: up to 200 printable characters.
            ids: of paintings in the index, or in a selection, in the order wanted.
            excluded: whether later runs of ``add`` take them out of the index, and pass over their
                files until they are in no such selection any more.

        Raises:
            UsageError: it cannot be called so, or an id is not known.
            StoreError: the folder cannot be written.
        """
        from paint_search.index.selections import save_selection

        return save_selection(self._collection, name, ids, excluded)

    def delete_selection(self, name: str) -> None:
        """Forget a selection, and none of its works; UsageError where there is none."""
        from paint_search.index.selections import delete_selection

        delete_selection(self.folder, name)

    def check_made(self, backbone: str | None, fit: str | None, trim: str | None = None) -> None:
        """Raise a BackboneError if the index was made with another backbone, fit or trim."""
        self._collection.check_made(backbone, fit, trim)

    @overload
    def similar(
        self, query: Picture, k: int = 10, **options: Unpack[SearchOptions]
    ) -> list[Hit]: ...

    @overload
    def similar(
        self, query: list[Query] | tuple[Query, ...], k: int = 10, **options: Unpack[SearchOptions]
    ) -> list[list[Hit]]: ...

    @overload
    def similar(
        self, query: NDArray[np.floating[Any]], k: int = 10, **options: Unpack[SearchOptions]
    ) -> list[Hit] | list[list[Hit]]: ...

    def similar(
        self,
        query: Query | list[Query] | tuple[Query, ...],
        k: int = 10,
        **options: Unpack[SearchOptions],
    ) -> list[Hit] | list[list[Hit]]:
        """Return the ``k`` paintings most like the query, best first; the query not among them.

        Args:
            query: an image file, an indexed path or id, the bytes of a file, a Pillow image,
                (h, w, 3) uint8 pixels, or a vector, (d,), of the backbone. A list or tuple of
                these, or an array (n, d), asks many at once and gives a list of hits for each.
            k: how many hits; near-identical copies are folded into one.
            options: ``where``, ``exclude``, ``min_score``, ``spread``, ``exact``,
                ``compact_only`` and ``box``, as ``SearchOptions`` explains them.

        Raises:
            UsageError: ``k`` below 1, an unknown field, a query that is not there, a vector of
                another length, or compact vectors that are not there.
            ImageError: a query is no image.
        """
        many = isinstance(query, list | tuple) or (
            isinstance(query, np.ndarray) and query.ndim == 2
        )
        queries: list[Query] = list(query) if many else [query]  # type: ignore[list-item, arg-type]
        wanted = search.Search(k, **options)
        hits = self._collection.ask(lambda now: search.similar(now, queries, wanted))
        return hits if many else hits[0]

    def recommend(
        self,
        positive: Sequence[Query],
        negative: Sequence[Query] = (),
        k: int = 10,
        **options: Unpack[SearchOptions],
    ) -> list[Hit]:
        """Return the ``k`` paintings most like some examples and unlike others, best first.

        The direction looked in is the mean of the positive examples less half that of the negative
        ones (Rocchio's formula); none of the examples is among the hits.

        Args:
            positive: examples, each as ``similar`` takes a query.
            negative: counter-examples, of the same kinds.
            k: how many hits.
            options: as for ``similar``.

        Raises:
            UsageError: no positive example, or as for ``similar``.
            ImageError: an example is no image.
        """
        for name, given in (("positive", positive), ("negative", negative)):
            if isinstance(given, str | bytes | Path):
                raise UsageError(f"give a list of examples as {argument(name)}")
        wanted = search.Search(k, **options)
        liked, disliked = list(positive), list(negative)
        return self._collection.ask(lambda now: search.recommend(now, liked, disliked, wanted))

    def get(self, painting: str | Path) -> Painting:
        """Return the painting with this id or path.

        Raises:
            UsageError: it is not indexed; ``painting in index`` asks without raising.
        """
        found = self._collection.ask(lambda now: examples.require_indexed(now, painting))
        return Painting.from_payload(found.payload)

    def __contains__(self, painting: object) -> bool:
        if isinstance(painting, Painting):
            painting = painting.id
        if not isinstance(painting, str | Path):
            return False
        named = painting
        return self._collection.ask(lambda now: examples.find_indexed(now, named)) is not None

    def __iter__(self) -> Iterator[Painting]:
        return self.paintings()

    def __len__(self) -> int:
        return self._collection.ask(lambda now: now.store.count())

    def paintings(self, where: Where | None = None) -> Iterator[Painting]:
        """Yield the paintings in the order of ``vectors``."""
        for record in self._collection.records(lambda now: select(now, where)):
            yield Painting.from_payload(record.payload)

    def vectors(
        self, where: Where | None = None, which: VectorName | None = None
    ) -> tuple[list[str], NDArray[np.float32]]:
        """Return ids and unit-norm vectors, (n, d) float32, in the order of the ids.

        Args:
            where: which paintings; all by default.
            which: ``full`` or ``compact``; by default full ones where they are kept.

        Raises:
            UsageError: unknown field, or vectors that this index does not keep.
        """

        def read(now: Collection) -> tuple[list[str], NDArray[np.float32]]:
            name = now.manifest.kept(which)
            return read_vectors(now, name, select(now, where), lambda record: record.id)

        return self._collection.ask(read)

    def field(self, name: str, where: Where | None = None) -> list[Value | None]:
        """Return one field of every painting, None where it lacks it, in the order of ``vectors``.

        Raises:
            UsageError: no painting has such a field.
        """

        def read(now: Collection) -> list[Value | None]:
            check_field(now, name)
            return [record.payload.get(name) for record in now.store.scroll(select(now, where))]

        return self._collection.ask(read)

    def to_pandas(self, where: Where | None = None) -> "pd.DataFrame":
        """Return id, path and fields of the paintings, a row each, in the order of ``vectors``.

        Raises:
            UsageError: unknown field.
        """
        import pandas as pd

        from paint_search.index.export import columns_of, list_paintings

        rows = self._collection.ask(lambda now: list_paintings(now, select(now, where)))
        return pd.DataFrame(columns_of(rows))

    def to_arrow(self, where: Where | None = None) -> "pa.Table":
        """Return the same as an Arrow table, with the vectors as a last column ``vector``.

        Raises:
            UsageError: unknown field, or an index that keeps no vectors yet.
        """
        from paint_search.index.export import to_arrow

        return self._collection.ask(lambda now: to_arrow(now, select(now, where)))

    def faiss(self, where: Where | None = None) -> "tuple[faiss.Index, dict[int, str]]":
        """Return a FAISS index (inner product, unit vectors) for other tools, and label -> id.

        With a FAISS store and no ``where`` it is the one that is searched here, over compact
        vectors where there are any; else a flat one of the vectors that scores are taken from.

        Raises:
            UsageError: unknown field, or no painting matches.
        """
        from paint_search.index.export import to_faiss

        return self._collection.ask(lambda now: to_faiss(now, select(now, where)))

    def verifier(
        self,
        note: Callable[[str], None] = lambda line: None,
        *,
        unsure: tuple[float, float] = UNSURE,
    ) -> Verifier:
        """Return what says whether one artist made two paintings.

        Args:
            note: takes lines for the user.
            unsure: probabilities between these are little better than a coin, and said to be.
        """
        with self._collection.reading() as collection:
            return Verifier(collection, note, unsure)

    def verify(self, one: Query, other: Query) -> Verdict:
        """Say how likely one artist made both paintings; see ``Verifier.verify``."""
        return self._collection.ask(lambda now: self.verifier().verify(one, other))

    def explain(self, one: Query, other: Query) -> "Explanation":
        """Say what the cosine of two pictures is made of: places of both, and properties.

        Its parts add up to the score. Beside it stands the same for two works by two artists.

        Args:
            one: a picture, an indexed path or an id, as ``similar`` takes a query.
            other: another.

        Raises:
            BackboneError: the backbone's vectors are not the sum of parts that mean something.
            UsageError: a vector, or a painting whose picture is not there.
            ImageError: one of them is no image.
        """
        from paint_search.index.explain import explain

        return self._collection.ask(lambda now: explain(now, one, other))

    def build_details(
        self,
        *,
        report: Callable[[Progress], None] = lambda progress: None,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> "DetailsSummary":
        """Build what a search with ``box`` needs: local vectors of all paintings, 6.4 KB each.

        Large scans, by ``Eyes.is_large``, take 109 KB, as their tiles have local vectors too.

        A painting that has them already is passed over, one that has gone is taken out; killed or
        cancelled, the next run goes on.

        Args:
            report: called with the progress after each painting.
            cancelled: asked between paintings; once true, the run ends.

        Raises:
            BackboneError: the backbone has no feature map.
            UsageError: no painting has its picture here.
            StoreError: the folder cannot be written.
        """
        from paint_search.index.details import build

        with self._collection.writing() as collection:
            return build(collection, report, cancelled)

    def details(self) -> "Details":
        """Return the local vectors that are searched with ``box``.

        Raises:
            UsageError: none are built.
        """
        from paint_search.index.details import Details

        return self._collection.ask(Details)

    def info(self) -> "IndexInfo":
        """Return what there is to know about this index."""
        from paint_search.index.info import inspect

        return self._collection.ask(inspect)

    def skipped(self) -> list[tuple[str, str]]:
        """Return (path, reason) of every file that the last runs could not index."""
        from paint_search.index.sync import SKIPPED
        from paint_search.indexer.corpus.skips import read_skips

        return read_skips(self.folder / SKIPPED)

    def locate(self, painting: Painting | Hit) -> Path:
        """Return where the painting's file lies; it may have gone since it was indexed.

        An index may come from anybody: of a file that it may not show, because it lies elsewhere
        and is not the one that was indexed, a place below the null device.
        """
        return self._collection.locate(painting.painting if isinstance(painting, Hit) else painting)

    def locate_query(self, query: str | Path) -> Path:
        """Return the file of a path or id that ``similar`` takes as a query."""
        record = self._collection.ask(lambda now: examples.find_indexed(now, query))
        if record is None or Path(query).is_file():
            return Path(query)
        return self.locate(Painting.from_payload(record.payload))
