"""What a user calls a painting (a file, an indexed path, an id, a picture, a vector) -> its vector.

An indexed painting answers with its stored vector and is never decoded again unless its file has
changed. Pictures are decoded and embedded as the index does it.
"""

import itertools
import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, cast
from uuid import UUID

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from paint_search.errors import EvalError, ImageError, UnknownError, UsageError
from paint_search.eval.inputs import unit_rows
from paint_search.index.collection import Collection
from paint_search.indexer.images.decode import Decoded, decode
from paint_search.indexer.images.preprocessing import Preprocessing
from paint_search.painting import Painting, Record, composed, painting_id
from paint_search.search.stores.base import VectorName

#: A picture: a file, the bytes of one, a Pillow image, or (h, w, 3) uint8 sRGB pixels.
Picture = str | Path | bytes | Image.Image | NDArray[np.uint8]

#: What can be looked for: a picture, an indexed path or id, or a vector, (d,), of any norm.
Query = Picture | NDArray[np.floating[Any]]

#: Pictures embedded at once.
_BATCH: Final = 16


@dataclass(frozen=True, slots=True)
class Example:
    """A painting to look for: its vector, (d,), and its id if it is indexed."""

    vector: NDArray[np.float32]
    id: str | None = None


def read_examples(
    collection: Collection, queries: Sequence[Query], kind: VectorName
) -> list[Example]:
    """Return the vectors, of one kind, that the queries name; pictures are embedded together."""
    examples: list[Example | None] = []
    pictures: list[tuple[int, Picture, str | None]] = []
    for row, query in enumerate(queries):
        if isinstance(query, np.ndarray) and query.ndim == 1:
            vectors = check_vectors(collection, query[np.newaxis])
            examples.append(Example(_of_kind(collection, vectors, kind)[0]))
            continue
        picture = cast("Picture", query)
        record = find_indexed(collection, picture) if isinstance(picture, str | Path) else None
        if record is not None and not _changed(record, picture):
            vector = record.vector if kind == "full" else record.compact
            if vector is not None:
                examples.append(Example(vector, record.id))
                continue
        if isinstance(picture, str | Path) and not Path(picture).is_file():
            raise _nothing(picture)
        examples.append(None)
        pictures.append((row, picture, None if record is None else record.id))
    if pictures:
        if not collection.store.count():
            raise UsageError("the index is empty; run paint-search index first")
        made = decode_and_embed(collection, [picture for _, picture, _ in pictures], "looked for")
        vectors = _of_kind(collection, np.stack([vector for _, vector in made]), kind)
        for (row, _, own), vector in zip(pictures, vectors, strict=True):
            examples[row] = Example(vector, own)
    return [example for example in examples if example is not None]


def decode_and_embed(
    collection: Collection, pictures: Iterable[Picture], purpose: str = "embedded"
) -> Iterator[tuple[Decoded, NDArray[np.float32]]]:
    """Yield each picture as the backbone sees it, and its embedding, (d,) with unit norm.

    In order; of many pictures, a few batches are in memory at a time.
    """
    wanted, backbone = collection.manifest.backbone.preprocessing, collection.backbone
    read = partial(decode_query, wanted=wanted, purpose=purpose)
    batches = iter(partial(_take, iter(pictures)), [])
    first = [read(picture) for picture in next(batches, [])]
    if not first:
        return
    pixels = np.stack([one.pixels for one in first])
    if len(first) < _BATCH:
        yield from zip(first, backbone.query_embedder().embed(pixels), strict=True)
        return
    embedder, _ = backbone.batch_embedder(pixels)
    yield from zip(first, embedder.embed(pixels), strict=True)

    def work(batch: list[Picture]) -> tuple[list[Decoded], NDArray[np.float32]]:
        decoded = [read(picture) for picture in batch]
        return decoded, embedder.embed(np.stack([one.pixels for one in decoded]))

    with ThreadPoolExecutor(embedder.lanes, thread_name_prefix="embed") as pool:
        under_way: deque[Future[tuple[list[Decoded], NDArray[np.float32]]]] = deque()
        for batch in batches:
            under_way.append(pool.submit(work, batch))
            if len(under_way) > embedder.lanes:
                yield from zip(*under_way.popleft().result(), strict=True)
        while under_way:
            yield from zip(*under_way.popleft().result(), strict=True)


def picture_of(
    collection: Collection, query: Query, purpose: str
) -> tuple[Picture, Painting | None]:
    """Return the picture that a query names, and what is known of it where it is indexed.

    Raises:
        UsageError: it is a vector, there is no such picture, or its file has gone.
    """
    if isinstance(query, np.ndarray) and query.ndim == 1:
        raise UsageError(f"a vector cannot be {purpose} without its picture; give that")
    picture = cast("Picture", query)
    if not isinstance(picture, str | Path):
        return picture, None
    record = find_indexed(collection, picture)
    painting = None if record is None else Painting.from_payload(record.payload)
    if Path(picture).is_file():
        return picture, painting
    if painting is None:
        raise _nothing(picture)
    file = collection.locate(painting)
    if not file.is_file():
        raise UsageError(f"{picture} cannot be {purpose}: its picture is not on this machine")
    return file, painting


def _nothing(query: object) -> UsageError:
    return UsageError(
        f"{query} is neither an image file nor an indexed painting; see paint-search list for those"
    )


def decode_query(picture: Picture, wanted: Preprocessing, purpose: str) -> Decoded:
    """Return a picture as ``wanted``; where it is none, the error names it and the purpose."""
    try:
        return decode(Path(picture) if isinstance(picture, str) else picture, wanted)
    except ImageError as error:
        raise type(error)(f"{name_query(picture)} cannot be {purpose}: {error}") from error


def _take(pictures: Iterator[Picture]) -> list[Picture]:
    return list(itertools.islice(pictures, _BATCH))


def find_indexed(collection: Collection, painting: str | Path) -> Record | None:
    """Return the record, with its vector, of an id, an indexed path, or a file of the corpus."""
    text, root = str(painting), collection.root
    paths = [
        composed(file.as_posix()).removeprefix(f"{above}/")
        for file, base in (
            (Path(os.path.abspath(text)), root),
            (Path(text).resolve(), root.resolve()),
        )
        if composed(file.as_posix()).startswith(f"{(above := composed(base.as_posix()))}/")
    ]
    if not Path(text).exists():  # a file outside the corpus is itself, whatever it is called
        paths += [composed(Path(text).as_posix()), text]  # old versions stored paths as they were
    ids: list[str] = []
    with suppress(ValueError):
        ids.append(str(UUID(text)))
    with suppress(UnicodeEncodeError):  # such a name is never indexed
        ids += map(painting_id, paths)
    found = collection.store.get(ids, vectors=True) if ids else {}
    return next((found[key] for key in ids if key in found), None)


def require_indexed(collection: Collection, painting: str | Path) -> Record:
    """Return the record of a painting, or raise an UnknownError where it is not indexed."""
    record = find_indexed(collection, painting)
    if record is None:
        raise UnknownError(f"{painting} is not in the index; see paint-search list")
    return record


def check_vectors(collection: Collection, vectors: NDArray[Any]) -> NDArray[np.float32]:
    """Return the backbone's vectors, (n, d), with unit norms.

    Raises:
        UsageError: they are not numbers, of another length, or a row has no direction.
    """
    length = collection.manifest.backbone.dimension
    if vectors.ndim != 2 or vectors.shape[1] != length or vectors.dtype.kind not in "fiu":
        raise UsageError(
            f"give vectors of {length} numbers, as {collection.manifest.backbone.name} makes them, "
            f"not an array of shape {vectors.shape} and type {vectors.dtype}"
        )
    try:
        return unit_rows(vectors.astype(np.float64), np.float32)
    except EvalError as error:
        raise UsageError(str(error).removesuffix(".")) from error


def name_query(query: Query) -> str:
    """Return what to call a query in a sentence."""
    if isinstance(query, str | Path):
        return str(query)
    return f"a picture of {len(query):,} bytes" if isinstance(query, bytes) else "a picture"


def _of_kind(
    collection: Collection, vectors: NDArray[np.float32], kind: VectorName
) -> NDArray[np.float32]:
    compressor = collection.compressor if kind == "compact" else None
    return vectors if compressor is None else compressor.transform(vectors)


def _changed(record: Record, query: Picture) -> bool:
    """Tell whether the query names a file that is not the one that was indexed."""
    try:
        stat = Path(cast("str | Path", query)).stat()
    except OSError:
        return False
    indexed = (record.payload.get("_size"), record.payload.get("_mtime_ns"))
    return indexed != (None, None) and (stat.st_size, stat.st_mtime_ns) != indexed
