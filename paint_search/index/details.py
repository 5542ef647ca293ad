"""Search by a detail: local vectors of every painting, and where in them a detail is found.

In come paintings and boxes, out go hits with boxes. The local vectors lie in the index folder, one
row a painting behind the other, and those of the tiles of large ones beside them, so that a killed
run loses the last rows at most; the next run embeds what is new or changed, and takes out what has
gone.
"""

import shutil
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from safetensors.numpy import save_file

from paint_search.errors import (
    ImageError,
    StoreError,
    UnknownError,
    UsageError,
    argument,
    counted,
)
from paint_search.files import read_arrays, replacing
from paint_search.index.collection import Collection
from paint_search.index.examples import Picture, Query, decode_query, picture_of
from paint_search.index.search import Search
from paint_search.index.select import all_conditions, select
from paint_search.indexer.backbones.parts import Decomposer
from paint_search.indexer.feature_cache import FeatureCache
from paint_search.indexer.images.decode import Decoded, decode
from paint_search.indexer.images.preprocessing import Preprocessing
from paint_search.indexer.shared import cores
from paint_search.painting import Hit, Painting, Progress, Record
from paint_search.search.details import GRID, LENGTH, Template, agreement, lay, pack

FOLDER: Final = "details"
_FIT: Final = "fit.safetensors"
_TILED: Final = "tiles"

#: Left, top, width and height in pixels of a picture as it is shown.
Box = tuple[int, int, int, int]

#: Bytes of a row: the hash of the file that it is of, its width and height, and its codes.
_DIGEST: Final = 16
_HEAD: Final = _DIGEST + 4 * 2
_ROW: Final = _HEAD + GRID * GRID * LENGTH

#: Rows and columns of tiles of a large painting, and bytes of a row of them: the hash, and codes.
TILES: Final = 4
_TILES_ROW: Final = _DIGEST + TILES**2 * GRID * GRID * LENGTH

#: The longer side of a large painting, in sides of the square that the backbone sees. A tile of one
#: has two pixels then for each that is seen, along each side; and as it costs as much as 16 others,
#: it should have much to show.
_LARGE: Final = 8

#: Paintings that the principal components are learned from.
_SAMPLE: Final = 500
_WHITENED: Final = 0.7

#: Share of the longer side of a painting that a detail is thought to take there.
_SHARES: Final = (0.14, 0.2, 0.28, 0.4, 0.57, 0.8)

#: Paintings compared at once, and those whose geometry is checked, for each hit.
_BLOCK: Final = 512
_CHECKED: Final = 4

#: Most pixels of the longer side of a picture that a detail is cut from.
_MOST: Final = 4096

_SMALLEST: Final = 8  # pixels of a side of a box


@dataclass(frozen=True, slots=True)
class DetailsSummary:
    """What a run over the details did, in paintings, and the bytes that they take on the disk."""

    added: int
    removed: int
    lacking: int  #: whose pictures are not here, or cannot be read
    paintings: int
    bytes_on_disk: int
    interrupted: bool = False

    def describe(self) -> str:
        """Say in a sentence what was done."""
        lacking = f"; {counted(self.lacking, 'picture')} could not be read" if self.lacking else ""
        return (
            f"details of {counted(self.paintings, 'painting')}, {self.bytes_on_disk / 1e6:.1f} MB: "
            f"{self.added:,} new or changed, {self.removed:,} removed{lacking}"
        )


@dataclass(frozen=True, eq=False)
class Fit:
    """How local vectors become codes: less a mean, (c,), times axes, (c, LENGTH), made unit."""

    mean: NDArray[np.float32]
    axes: NDArray[np.float32]

    @classmethod
    def learn(cls, places: NDArray[np.float32]) -> "Fit":
        """Learn the principal components of unit local vectors, (n, c), whitened in part."""
        mean = places.mean(axis=0)
        values, axes = np.linalg.eigh(np.cov((places - mean).T.astype(np.float64)))
        values, axes = values[::-1][:LENGTH], axes[:, ::-1][:, :LENGTH]
        axes = axes / np.maximum(values, values[0] * 1e-6) ** (_WHITENED / 2)
        missing = LENGTH - axes.shape[1]
        return cls(mean, np.pad(axes, ((0, 0), (0, missing))).astype(np.float32))

    def code(self, places: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the codes, (..., LENGTH) of unit norm, of local vectors (..., c)."""
        return _unit((_unit(places) - self.mean) @ self.axes)

    def encode(self, places: NDArray[np.float32]) -> NDArray[np.int8]:
        """Return the packed codes of local vectors, (..., c); 0 stays 0."""
        inside = places.any(axis=-1, keepdims=True)
        return pack(np.where(inside, self.code(places), 0))


class Eyes:
    """Sees local vectors in pictures, as the backbone of an index does.

    Args:
        collection: whose backbone it is.
        many: for many pictures, from as many threads as there are cores.

    Raises:
        BackboneError: it has no feature map.
    """

    def __init__(self, collection: Collection, *, many: bool = False) -> None:
        self._decomposer: Decomposer = collection.backbone.decomposer(many=many)
        made = collection.manifest.backbone.preprocessing
        self.square = replace(made, fit="pad", trim="off")

    def look(self, picture: Picture) -> tuple[NDArray[np.float32], Decoded]:
        """Return the local vectors of a picture, (GRID, GRID, c), 0 outside of it.

        Raises:
            ImageError: it is none.
        """
        seen = decode(Path(picture) if isinstance(picture, str) else picture, self.square)
        places = self.see(_without_margin(seen)[np.newaxis])[0]
        return np.where(_inside(seen.size)[..., None], places, 0), seen

    def look_closely(self, picture: Picture) -> NDArray[np.float32]:
        """Return the local vectors of a picture's tiles, (TILES**2, GRID, GRID, c), row by row.

        Raises:
            ImageError: it is none.
        """
        side = self.square.size
        larger = replace(self.square, size=TILES * side)
        seen = decode(Path(picture) if isinstance(picture, str) else picture, larger)
        places = self.see(_tiles(_without_margin(seen)))
        return np.where(_tiles(_inside(seen.size, TILES * GRID))[..., None], places, 0)

    def grids(self, picture: Picture, fit: Fit) -> tuple[NDArray[np.int8], tuple[int, int]]:
        """Return the codes of a picture, (n, GRID, GRID, LENGTH), and its width and height.

        First those of the whole picture, then those of the tiles of a large one.

        Raises:
            ImageError: it is none.
        """
        places, seen = self.look(picture)
        codes = fit.encode(places)[np.newaxis]
        if self.is_large(seen.size):
            codes = np.concatenate([codes, fit.encode(self.look_closely(picture))])
        return codes, seen.size

    def is_large(self, size: tuple[int, int]) -> bool:
        """Tell whether a picture of this width and height is looked at in tiles too."""
        return max(size) >= _LARGE * self.square.size

    def size(self, picture: Picture) -> tuple[int, int]:
        """Return width and height of a picture in pixels as it is shown."""
        return decode_query(picture, replace(self.square, size=32), "looked for").size

    def whole(self, picture: Picture, scale: float = 1.0) -> tuple[NDArray[np.uint8], float]:
        """Return a picture as it is shown, (h, w, 3), no larger than it is, and its scale."""
        most = max(self.size(picture))
        size = min(_MOST, round(most * min(1.0, scale)))
        wanted = replace(self.square, size=max(1, size))
        pixels = _without_margin(decode_query(picture, wanted, "looked for"), only=True)
        return pixels, wanted.size / most

    def see(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the local vectors, (n, GRID, GRID, c), of squares of pixels."""
        return _pooled(self._decomposer.maps(pixels))


@dataclass(frozen=True, eq=False)
class Found:
    """A painting in which a detail may lie: its row, where, how well, and as which template.

    ``part`` is 0 where it lies in the whole picture, else the number of the tile, from 1.
    """

    row: int
    template: Template
    transform: Any | None
    at: list[int]
    score: float
    cosine: float
    part: int = 0

    def box(self, size: tuple[int, int]) -> Box:
        """Return where it lies in the painting, of so many pixels, as it is shown."""
        rows, columns, _ = self.template.codes.shape
        across, down, scale = self.at[1] + columns / 2, self.at[0] + rows / 2, 1.0
        if self.transform is not None:
            across, down = self.transform([[columns / 2, rows / 2]])[0]
            scale = float(self.transform.scale)
        left, top, side, _ = Preprocessing(GRID, "pad").seen(size)
        if self.part:
            side /= TILES
            row, column = divmod(self.part - 1, TILES)
            left, top = left + column * side, top + row * side
        ends = []
        for start, middle, length, most in (
            (left, across, self.template.width, size[0]),
            (top, down, self.template.height, size[1]),
        ):
            first, last = (
                start + side / GRID * (middle + sign * length * scale / 2) for sign in (-1, 1)
            )
            low = min(max(round(first), 0), most - 1)
            ends.append((low, min(max(round(last), low + 1), most) - low))
        return ends[0][0], ends[1][0], ends[0][1], ends[1][1]


class Details:
    """The local vectors of an index, as far as they are built.

    Attributes:
        ids: of the paintings, (n,).
        bytes_on_disk: of their rows.
        eyes: that have seen them.
        fit: how local vectors become codes.

    Raises:
        UnknownError: none are.
        StoreError: they cannot be read.
    """

    def __init__(self, collection: Collection) -> None:
        fit = _read_fit(collection)
        if fit is None:
            raise UnknownError(
                "there are no details here to search; paint-search index "
                f"{collection.root} --details builds them"
            )
        self.fit = fit
        folder = _lie_in(collection.folder)
        rows = _open_rows(folder)
        self.ids = rows.ids
        self.bytes_on_disk = rows.bytes_on_disk
        self._view = rows.view(self.ids)
        self._tiled = np.zeros(0, dtype=np.intp)  # the rows of large paintings
        if (folder / _TILED).is_dir():
            tiles, digests = _open_tiles(folder), dict(_digests(rows))
            places = {one: row for row, one in enumerate(self.ids)}
            tiled = [one for one, digest in _digests(tiles) if digests.get(one) == digest]
            self._tiled = np.array([places[one] for one in tiled], dtype=np.intp)
            self._tiles = tiles.view(tiled)
            self.bytes_on_disk += tiles.bytes_on_disk
        self.eyes = Eyes(collection)

    def templates(self, picture: Picture, box: Box) -> list[Template]:
        """Return a detail at several sizes, as it is and mirrored.

        Raises:
            UsageError: the box is none within the picture.
            ImageError: there is no picture.
        """
        side = self.eyes.square.size
        x, y, width, height = _checked(box, self.eyes.size(picture))
        longer = max(width, height)
        pixels, scale = self.eyes.whole(picture, side / longer)
        squares, templates = [], []
        for share in _SHARES:
            # The detail in the middle of a window of which it takes this share.
            window = max(2, round(longer * scale / share))
            left = round((x + width / 2) * scale - window / 2)
            top = round((y + height / 2) * scale - window / 2)
            rows = np.clip(np.arange(top, top + window), 0, pixels.shape[0] - 1)
            columns = np.clip(np.arange(left, left + window), 0, pixels.shape[1] - 1)
            shown = Image.fromarray(pixels[rows][:, columns])
            square = np.asarray(shown.resize((side, side), Image.Resampling.BICUBIC))
            squares += [square, square[:, ::-1]]
        for number, codes in enumerate(self.fit.code(self.eyes.see(np.stack(squares)))):
            share = _SHARES[number // 2] * GRID / longer
            high, wide = (max(1, round(share * length)) for length in (height, width))
            row, column = round((GRID - high) / 2), round((GRID - wide) / 2)
            own = codes[row : row + high, column : column + wide]
            templates.append(Template(own, share * width, share * height))
        return templates

    def size(self, row: int) -> tuple[int, int]:
        """Return width and height of the painting in a row, in pixels as it is shown."""
        width, height = np.frombuffer(self._view[row][_DIGEST:_HEAD].tobytes(), dtype=np.int32)
        return int(width), int(height)

    def codes(self, start: int, stop: int) -> NDArray[np.int8]:
        """Return the codes of the whole paintings in these rows, (n, GRID, GRID, LENGTH)."""
        return _codes(self._view[start:stop], _HEAD)

    def _blocks(self) -> Iterator[NDArray[np.int8]]:
        """Yield the codes of all paintings, then those of the tiles of all large ones."""
        for start in range(0, len(self.ids), _BLOCK):
            yield self.codes(start, start + _BLOCK)
        step = _BLOCK // TILES**2
        for start in range(0, len(self._tiled), step):
            yield _codes(self._tiles[start : start + step], _DIGEST)

    def find(
        self,
        templates: Sequence[Template],
        k: int,
        *,
        may: NDArray[np.bool_],
        least: float = -1.0,
        more: Sequence[NDArray[np.int8]] = (),
    ) -> list[Found]:
        """Return rows in which a detail lies best, checked geometrically, best first.

        Args:
            templates: of the detail.
            k: how many are wanted; four times as many are checked, and returned.
            may: which of the rows may be found.
            least: cosine.
            more: codes, as of ``Eyes.grids``, of pictures that are not in this index, whose rows
                come after its own.

        Where several tiles of a painting have it, the best counts.
        """
        own, tiles = len(self.ids), TILES**2
        lies = lay(templates, chain(self._blocks(), [np.concatenate(more)] if len(more) else []))
        counts = [len(one) for one in more]
        rows = np.concatenate(
            [
                np.arange(own),
                np.repeat(self._tiled, tiles),
                np.repeat(own + np.arange(len(more)), counts),
            ]
        )
        parts = np.concatenate(
            [np.zeros(own, dtype=np.intp), np.tile(np.arange(tiles) + 1, len(self._tiled)),
             *(np.arange(count) for count in counts)]
        )  # fmt: skip
        score = np.where(may[rows] & (lies.cosine >= least), lies.score, -np.inf)
        order = np.argsort(-score, kind="stable")
        _, first = np.unique(rows[order], return_index=True)
        found = []
        for place in order[np.sort(first)][: _CHECKED * k].tolist():
            if score[place] == -np.inf:
                break
            row, part = int(rows[place]), int(parts[place])
            if row >= own:
                codes = more[row - own][part]
            elif part:
                codes = _codes(self._tiles[(place - own) // tiles], _DIGEST)[part - 1]
            else:
                codes = self.codes(row, row + 1)[0]
            template, at = templates[int(lies.template[place])], lies.at[place].tolist()
            share, transform = agreement(template, codes)
            worth = float(score[place]) * (1 + share)
            cosine = float(lies.cosine[place])
            found.append(Found(row, template, transform, at, worth, cosine, part))
        return sorted(found, key=lambda one: -one.score)


def search(collection: Collection, query: Query, wanted: Search) -> list[Hit]:
    """Return the paintings that a detail of a picture lies in, best first, each with its box."""
    if wanted.box is None:
        raise ValueError("no box")
    details = Details(collection)
    if wanted.spread or wanted.compact_only:
        option = "spread" if wanted.spread else "compact_only"
        raise UsageError(f"{argument(option)} is of whole paintings; leave it out, or the box")
    picture, painting = picture_of(collection, query, "looked for")
    templates = details.templates(picture, wanted.box)
    ids = details.ids
    may = np.ones(len(ids), dtype=bool)
    if all_conditions(wanted.where, wanted.exclude):
        where = select(collection, wanted.where, wanted.exclude)
        chosen = {record.id for record in collection.store.scroll(where)}
        may = np.array([one in chosen for one in ids], dtype=bool)
    if painting is not None and painting.id in ids:
        may[ids.index(painting.id)] = False
    if not may.any():
        return []
    found = details.find(templates, wanted.k, may=may, least=wanted.min_score)
    records = collection.store.get([ids[one.row] for one in found])
    hits: list[Hit] = []
    for one in found:
        record = records.get(ids[one.row])
        if record is not None and len(hits) < wanted.k:
            box = one.box(details.size(one.row))
            known = Painting.from_payload(record.payload)
            hits.append(Hit(len(hits) + 1, one.cosine, known, box=box))
    return hits


def build(
    collection: Collection,
    report: Callable[[Progress], None],
    cancelled: Callable[[], bool],
) -> DetailsSummary:
    """See to it that each painting of the index has its local vectors; see ``Index``."""
    eyes, folder = Eyes(collection, many=True), collection.folder / FOLDER
    if (place := _lie_in(collection.folder)) != folder:
        place.rename(folder)
    for leftover in _beside(folder):
        shutil.rmtree(leftover, ignore_errors=True)
    fit = _read_fit(collection)
    if fit is None:
        shutil.rmtree(folder, ignore_errors=True)  # of another backbone
        folder.mkdir(parents=True, exist_ok=True)
        fit = _learn(collection, eyes, folder)
    rows, tiles = _open_rows(folder), _open_tiles(folder)
    wanted = {record.id: _digest(record) for record in collection.store.scroll()}
    current = _current(eyes, rows, tiles, wanted)
    pending = [one for one in wanted if one not in current]
    added = lacking = 0
    records = (
        record for start in range(0, len(pending), _BLOCK)
        for record in collection.store.get(pending[start : start + _BLOCK]).values()
    )  # fmt: skip
    interrupted = False
    for done, (record, made) in enumerate(_encoded(collection, eyes, fit, records), start=1):
        if made is None:
            lacking += 1
        else:
            row, close = made
            if close is not None:  # first, as the row of the whole says that all is there
                tiles.append([record.id], close[np.newaxis])
            rows.append([record.id], row[np.newaxis])
            added += 1
        report(Progress(done, len(pending)))
        if cancelled():
            interrupted = True
            break
    for cache in (tiles, rows):
        cache.flush()
    kept = [one for one in rows.ids if one in wanted]
    removed = len(rows) - len(kept)
    digests = dict(_digests(rows))
    tiled = [one for one, digest in _digests(tiles) if one in wanted and digests.get(one) == digest]
    # Some have gone, or are there anew.
    if rows.bytes_on_disk > len(kept) * (_ROW + _DIGEST) or (
        tiles.bytes_on_disk > len(tiled) * (_TILES_ROW + _DIGEST)
    ):
        _rewrite(((rows, kept), (tiles, tiled)), folder)
    count, size = size_of(collection.folder)
    return DetailsSummary(added, removed, lacking, count, size, interrupted)


def size_of(folder: Path) -> tuple[int, int]:
    """Return how many paintings of the index in a folder have details, and their bytes."""
    place = _lie_in(folder)
    if not (place / _FIT).is_file():
        return 0, 0
    rows = _open_rows(place)
    tiles = _open_tiles(place).bytes_on_disk if (place / _TILED).is_dir() else 0
    return len(rows), rows.bytes_on_disk + tiles


#: The row of a painting, and that of its tiles.
_Made = tuple[NDArray[np.uint8], NDArray[np.uint8] | None]


def _encoded(
    collection: Collection, eyes: Eyes, fit: Fit, records: Iterable[Record]
) -> Iterator[tuple[Record, _Made | None]]:
    """Yield each record with its row, and that of its tiles; None where there is no picture."""

    def row(record: Record, file: Path) -> _Made | None:
        try:
            (whole, *tiles), size = eyes.grids(file, fit)
        except ImageError:
            return None
        digest = _digest(record)
        head = digest + np.array(size, dtype=np.int32).tobytes()
        made = np.frombuffer(head + whole.tobytes(), dtype=np.uint8)
        close = np.frombuffer(digest + np.array(tiles).tobytes(), dtype=np.uint8)
        return made, close if tiles else None

    with ThreadPoolExecutor(cores(), thread_name_prefix="details") as pool:
        under_way: deque[tuple[Record, Future[_Made | None]]] = deque()
        for record in records:
            file = collection.locate(Painting.from_payload(record.payload))
            under_way.append((record, pool.submit(row, record, file)))
            if len(under_way) > 2 * cores():
                first, made = under_way.popleft()
                yield first, made.result()
        for first, made in under_way:
            yield first, made.result()


def _learn(collection: Collection, eyes: Eyes, folder: Path) -> Fit:
    """Learn the codes of local vectors from a sample, and keep what was learned."""
    places = []
    for record in collection.store.scroll(limit=_SAMPLE):  # ids are hashes: a random sample
        try:
            own, _ = eyes.look(collection.locate(Painting.from_payload(record.payload)))
        except ImageError:
            continue
        places.append(own[own.any(axis=2)])
    if not places:
        raise UsageError("no painting of this index has its picture here, which details need")
    fit = Fit.learn(_unit(np.concatenate(places)))
    made_by = np.frombuffer(collection.manifest.backbone.fingerprint.encode(), dtype=np.uint8)
    with replacing(folder / _FIT) as fresh:
        save_file({"mean": fit.mean, "axes": fit.axes, "backbone": made_by}, fresh)
    return fit


def _read_fit(collection: Collection) -> Fit | None:
    """Return what was learned for this index; None where nothing was, or of another backbone."""
    file = _lie_in(collection.folder) / _FIT
    if not file.is_file():
        return None
    try:
        arrays = read_arrays(file)
        made_by = arrays["backbone"].tobytes().decode("ascii")
        mean, axes = (arrays[name].astype(np.float32) for name in ("mean", "axes"))
        if axes.shape != (len(mean), LENGTH):
            raise ValueError(f"arrays of shapes {mean.shape} and {axes.shape}")
    except (KeyError, ValueError) as error:
        raise StoreError(
            f"{file} is damaged ({error}); delete its folder, and build the details again"
        ) from error
    return Fit(mean, axes) if made_by == collection.manifest.backbone.fingerprint else None


def _lie_in(home: Path) -> Path:
    """Return the folder of the details: of a run killed as they changed places, the fresh one."""
    folder = home / FOLDER
    fresh, _ = _beside(folder)
    return fresh if not folder.is_dir() and (fresh / _FIT).is_file() else folder


def _beside(folder: Path) -> tuple[Path, Path]:
    """Return the folder that is to take the place of this one, and that which it then has."""
    return folder.with_name(f"{FOLDER}.new"), folder.with_name(f"{FOLDER}.old")


def _open_rows(folder: Path) -> FeatureCache:
    return FeatureCache(folder, _ROW, sys.maxsize, np.uint8)


def _open_tiles(folder: Path) -> FeatureCache:
    return FeatureCache(folder / _TILED, _TILES_ROW, sys.maxsize, np.uint8)


def _rewrite(parts: Sequence[tuple[FeatureCache, Sequence[str]]], folder: Path) -> None:
    """Keep these rows alone; killed half-way, the old ones or the new ones are there."""
    fresh, old = _beside(folder)
    for rows, ids in parts:
        made = FeatureCache(
            fresh / rows.folder.relative_to(folder), rows.dimension, sys.maxsize, np.uint8
        )
        view, step = rows.view(ids), _BLOCK * _ROW // rows.dimension
        for start in range(0, len(ids), step):
            part = list(ids[start : start + step])
            made.append(part, view[start : start + len(part)])
        made.flush()
    shutil.copyfile(folder / _FIT, fresh / _FIT)
    folder.rename(old)
    fresh.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def _current(
    eyes: Eyes, rows: FeatureCache, tiles: FeatureCache, wanted: Mapping[str, bytes]
) -> set[str]:
    """Return which paintings have the rows that they should have, of the files they should be."""
    view, close = rows.view(rows.ids), dict(_digests(tiles))
    sizes = np.ascontiguousarray(view[:, _DIGEST:_HEAD]).view(np.int32)
    return {
        one
        for (one, digest), (width, height) in zip(_digests(rows), sizes.tolist(), strict=True)
        if wanted.get(one) == digest
        and (not eyes.is_large((width, height)) or close.get(one) == digest)
    }


def _digests(rows: FeatureCache) -> Iterator[tuple[str, bytes]]:
    """Yield the id of each row, and the hash of the file that it was made of."""
    ids = rows.ids
    for one, digest in zip(ids, rows.view(ids)[:, :_DIGEST], strict=True):
        yield one, digest.tobytes()


def _digest(record: Record) -> bytes:
    text = record.payload.get("_hash")
    try:
        return bytes.fromhex(str(text)).ljust(_DIGEST, b"\0")[:_DIGEST]
    except ValueError:  # of a painting that came without a file
        return bytes(_DIGEST)


def _codes(rows: NDArray[np.uint8], head: int) -> NDArray[np.int8]:
    """Return the codes, (n, GRID, GRID, LENGTH), of rows (m, d) or of one, (d,), after a head."""
    codes = np.ascontiguousarray(rows[..., head:]).view(np.int8)
    return codes.reshape(-1, GRID, GRID, LENGTH)


def _tiles(square: NDArray[Any]) -> NDArray[Any]:
    """Return the tiles, (TILES**2, s, s, ...), of a square, row by row."""
    side = len(square) // TILES
    cut = square.reshape(TILES, side, TILES, side, *square.shape[2:])
    return cut.swapaxes(1, 2).reshape(-1, side, side, *square.shape[2:])


def _checked(box: Sequence[int], size: tuple[int, int]) -> Box:
    """Return a box within a picture of this size, or raise UsageError."""
    given = argument("box", ",".join(map(str, box)))
    if len(box) != 4 or any(not float(side).is_integer() for side in box):
        raise UsageError(f"{given}: give left, top, width and height in whole pixels")
    x, y, width, height = (int(side) for side in box)
    if min(width, height) < _SMALLEST:
        raise UnknownError(f"{given}: a detail has at least {_SMALLEST} x {_SMALLEST} pixels")
    if min(x, y) < 0 or x + width > size[0] or y + height > size[1]:
        raise UnknownError(f"{given}: it leaves the picture, which is {size[0]} x {size[1]} pixels")
    return x, y, width, height


def _without_margin(seen: Decoded, only: bool = False) -> NDArray[np.uint8]:
    """Return a padded square with its margin filled by the picture's edges, or the picture only."""
    side = len(seen.pixels)
    scale = side / max(seen.size)
    wide, high = (max(1, round(length * scale)) for length in seen.size)
    left, top = (side - wide) // 2, (side - high) // 2
    own = seen.pixels[top : top + high, left : left + wide]
    if only:
        return own
    margins = ((top, side - high - top), (left, side - wide - left), (0, 0))
    return np.pad(own, margins, mode="edge")


def _inside(size: tuple[int, int], places: int = GRID) -> NDArray[np.bool_]:
    """Return which places, so many a side, of a padded picture have their middle in it."""
    middle = (np.arange(places) + 0.5) / places - 0.5
    axes = [np.abs(middle) * max(size) <= length / 2 for length in size[::-1]]
    return np.asarray(axes[0][:, None] & axes[1])


def _pooled(maps: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return maps (n, h, w, c) as means over GRID x GRID places."""
    weights = []
    for length in maps.shape[1:3]:
        edges = np.arange(GRID + 1) * length / GRID
        cells = np.arange(length)
        low, high = np.maximum(edges[:-1, None], cells), np.minimum(edges[1:, None], cells + 1)
        share = np.maximum(high - low, 0)
        weights.append((share / share.sum(axis=1, keepdims=True)).astype(np.float32))
    return np.asarray(np.einsum("ah,bw,nhwc->nabc", *weights, maps, optimize=True))


def _unit(vectors: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, 1e-9), dtype=np.float32)
