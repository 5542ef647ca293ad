"""The one door: make an index, open it, bring it up to date, ask it.

Ties the rooms together (backbone, pipeline, store, queries); no room knows it. Paths that it takes
are those of files or of indexed paintings; ids and vectors that it gives fit any other library.
"""

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from paint_search.errors import BackboneError, IndexMissingError, StoreError, UsageError
from paint_search.examples import ExampleReader, find_indexed
from paint_search.indexer.backbones import AUTO
from paint_search.indexer.decode import MAX_PIXELS
from paint_search.indexer.model import Model
from paint_search.indexer.pipeline import Progress, Summary
from paint_search.indexer.preprocessing import Fit
from paint_search.indexer.skips import read_skips
from paint_search.locating import FOLDER, corpus_folder, find_index, read_path, write_path
from paint_search.manifest import Manifest, is_index
from paint_search.painting import Hit, Painting, Record, Value
from paint_search.search.background import Background
from paint_search.search.filters import Filter, FilterValue, build_filter
from paint_search.search.query import Query, combine, find, measure_recall
from paint_search.search.stores.base import Store
from paint_search.search.stores.edge import EdgeStore
from paint_search.update import SKIPPED, Request, require_images, settle, update


@dataclass(frozen=True, slots=True)
class IndexInfo:
    """What ``Index.info`` tells; ``recall`` is recall@10 of HNSW, None where search is exact."""

    folder: Path
    root: Path
    manifest: Manifest
    paintings: int
    skipped: int
    fields: dict[str, int]
    recall: float | None
    bytes_on_disk: int


class Index:
    """A searchable collection of paintings in a folder of its own; use as a context manager.

    Make one with ``create`` or open one with ``open``; only one process at a time can hold it.
    """

    def __init__(self, folder: Path, manifest: Manifest, store: Store, model: Model) -> None:
        self.folder = folder
        self.manifest = manifest
        self._store = store
        self._model = model

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
        try:
            folder.mkdir(parents=True, exist_ok=True)
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
            store = EdgeStore(folder, model.record.dimension)
        except OSError as error:
            raise StoreError(
                f"the index {folder} cannot be made ({error.strerror}); choose a folder you may "
                "write to with --index"
            ) from error
        except BaseException:
            if made:
                shutil.rmtree(folder, ignore_errors=True)
            raise
        return cls(folder, manifest, store, model)

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
        manifest = Manifest.read(path)
        store = EdgeStore(path, manifest.backbone.dimension)
        return cls(path, manifest, store, Model(manifest.backbone, path))

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
        self._store.close()

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
            self.folder, self.manifest, self._store, self._model, request
        )
        return summary

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

        Raises:
            UsageError: no query, ``k`` below 1, unknown field, or a query that is not there.
            ImageError: a query file is no image.
        """
        if not queries:
            raise UsageError("give at least one painting to look for")
        if k < 1:
            raise UsageError(f"-k {k}: ask for at least one hit")
        if not 0 <= spread <= 1:
            raise UsageError(f"--spread {spread}: give a number from 0 to 1")
        read = ExampleReader(self._store, self._model, self.root)
        examples = [read.example(query) for query in queries]
        counterexamples = [read.example(query) for query in unlike]
        groups = find(
            self._store,
            Query(
                vector=combine(
                    [example.vector for example in examples],
                    [example.vector for example in counterexamples],
                ),
                k=k,
                where=self._filter(where, exclude),
                without={own.id for own in examples + counterexamples if own.id},
                min_score=min_score,
                spread=spread,
                exact=exact,
            ),
        )
        background = self.manifest.background
        return [
            _hit(rank, group.match.score, group.match.record, group.copies, background)
            for rank, group in enumerate(groups, start=1)
        ]

    def vectors(
        self, where: Mapping[str, FilterValue] | Filter | None = None
    ) -> tuple[list[str], NDArray[np.float32]]:
        """Return ids and unit-norm vectors, (n, d) float32, in the order of the ids."""
        conditions = self._filter(where)
        vectors = np.empty(
            (self._store.count(conditions), self.manifest.backbone.dimension), dtype=np.float32
        )
        ids: list[str] = []
        for record in self._store.scroll(conditions, vectors=True):
            vectors[len(ids)] = record.vector
            ids.append(record.id)
        return ids, vectors

    def field(
        self, name: str, where: Mapping[str, FilterValue] | Filter | None = None
    ) -> list[Value | None]:
        """Return one field of every painting, None where it lacks it, in the order of ``vectors``.

        Raises:
            UsageError: no painting has such a field.
        """
        self._check_field(name)
        return [record.payload.get(name) for record in self._store.scroll(self._filter(where))]

    def paintings(
        self, where: Mapping[str, FilterValue] | Filter | None = None
    ) -> Iterator[Painting]:
        """Yield the paintings in the order of ``vectors``."""
        for record in self._store.scroll(self._filter(where)):
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
        ids: list[str] = []
        for painting in paintings:
            record = find_indexed(self._store, self.root, painting)
            if record is None:
                raise UsageError(f"{painting} is not in the index; see paint-search list")
            ids.append(record.id)
        if where:
            ids += [record.id for record in self._store.scroll(self._filter(where))]
        ids = list(dict.fromkeys(ids))
        self._store.delete(ids)
        self.manifest = settle(self.folder, self.manifest, self._store, changed=bool(ids))
        return len(ids)

    def info(self) -> IndexInfo:
        """Return what there is to know about this index."""
        files = (file for file in self.folder.rglob("*") if file.is_file())
        return IndexInfo(
            folder=self.folder,
            root=self.root,
            manifest=self.manifest,
            paintings=len(self),
            skipped=len(self.skipped()),
            fields=self._store.fields(),
            recall=measure_recall(self._store),
            bytes_on_disk=sum(file.stat().st_blocks * 512 for file in files),
        )

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

    def _filter(
        self,
        where: Mapping[str, FilterValue] | Filter | None,
        exclude: Mapping[str, FilterValue] | None = None,
    ) -> Filter:
        given = [] if where is None or isinstance(where, Mapping) else list(where)
        mapping = where if isinstance(where, Mapping) else None
        conditions = given + build_filter(mapping, exclude)
        for condition in conditions:
            self._check_field(condition.field)
        return conditions

    def _check_field(self, name: str) -> None:
        fields = self._store.fields()
        if name not in fields:
            near = get_close_matches(name, fields, n=1)
            hint = f"did you mean {near[0]}? " if near else ""
            raise UsageError(
                f"no painting has a field {name!r}; {hint}this index has: {', '.join(fields)}"
            )


def _hit(
    rank: int,
    score: float,
    record: Record,
    copies: Sequence[Record],
    background: Background | None,
) -> Hit:
    return Hit(
        rank=rank,
        score=score,
        painting=Painting.from_payload(record.payload),
        above_same_artist=background.above_same_artist(score) if background else None,
        above_other_artists=background.above_other_artists(score) if background else None,
        copies=tuple(Painting.from_payload(copy.payload) for copy in copies),
    )
