"""What can be asked of an index: nearest paintings, vectors, fields, facts. Changes nothing."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from paint_search.compress.base import Compressor
from paint_search.compress.kinds import load_compressor
from paint_search.index.collection import Parts
from paint_search.index.examples import find_indexed
from paint_search.index.info import IndexInfo, inspect
from paint_search.index.paths import read_path
from paint_search.index.raw_faiss import raw_faiss
from paint_search.index.search import Question, ask, ask_many
from paint_search.index.select import check_field, read_vectors, select
from paint_search.index.sync import SKIPPED
from paint_search.index.verification import Verdict, Verifier
from paint_search.indexer.corpus.skips import read_skips
from paint_search.painting import Hit, Painting, Value
from paint_search.search.filters import Filter, FilterValue
from paint_search.search.stores.base import VectorName

if TYPE_CHECKING:
    import faiss


class ReadIndex:
    """The reading half of ``Index``; made of the parts of one."""

    def __init__(self, parts: Parts) -> None:
        self.folder, self.manifest, self._store, self._model, self._holding = parts
        self._compressor: Compressor | None = None

    def __len__(self) -> int:
        return self._store.count()

    @property
    def root(self) -> Path:
        """The corpus folder."""
        return read_path(self.manifest.root, self.folder)

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

    def nearest(
        self,
        vectors: NDArray[np.float32],
        k: int = 10,
        *,
        where: Mapping[str, FilterValue] | Filter | None = None,
        exact: bool = False,
    ) -> list[list[Hit]]:
        """Return the ``k`` paintings nearest to each of many vectors, best first, in one go.

        For vectors that are there already; ``similar`` takes paintings. Copies are not folded.

        Args:
            vectors: of the backbone, (n, d), any positive norms.
            k: how many hits for each.
            where: as in ``similar``.
            exact: compare with every painting even where the index is approximate.

        Raises:
            UsageError: ``k`` below 1, an unknown field, or vectors of another length.
        """
        conditions = select(self._store, where)
        return ask_many(
            vectors, k, self.manifest, self._store, self.compressor(), conditions, exact=exact
        )

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
        return read_vectors(self._store, name, self.manifest.dimensions[name], conditions)

    def faiss(
        self, where: Mapping[str, FilterValue] | Filter | None = None
    ) -> "tuple[faiss.Index, dict[int, str]]":
        """Return a FAISS index (inner product, unit vectors) for other tools, and label -> id.

        With a FAISS store and no ``where`` it is the one that is searched here, over compact
        vectors where there are any; else a flat one of the vectors that scores are taken from.

        Raises:
            UsageError: unknown field, or no painting matches.
        """
        name = self.manifest.searched
        conditions = select(self._store, where)
        return raw_faiss(self._store, name, self.manifest.dimensions[name], conditions)

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
