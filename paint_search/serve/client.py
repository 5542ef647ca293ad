"""An index on a server, asked as one on this machine: the same methods, the same results.

Speaks the API of ``paint-search serve``. Needs none of what the server is built with.
"""

import io
import random
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self, Unpack, overload
from urllib.parse import quote, urlsplit
from uuid import UUID

import httpx
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from paint_search import errors
from paint_search.errors import PaintSearchError, StoreError, UnknownError, UsageError, argument
from paint_search.index.examples import Picture, Query
from paint_search.index.explain import Explanation, Region, Side
from paint_search.index.info import IndexInfo
from paint_search.index.manifest import Manifest
from paint_search.index.search import Search, SearchOptions
from paint_search.index.select import Where, all_conditions
from paint_search.index.selections import Selection
from paint_search.index.verification import Reference, Verdict
from paint_search.painting import Hit, Painting, Value, composed, painting_id
from paint_search.search.filters import write_filter
from paint_search.search.recall import Way
from paint_search.search.stores.base import Copy, Node, VectorName
from paint_search.search.stores.uri import Place

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

_TRIES: Final = 4
_PAUSE: Final = 0.3  # seconds before the second try, twice as long before each further one
_AGAIN: Final = frozenset({502, 503, 504})
_PAGE: Final = 500  # works
_SECONDS: Final = 70.0  # the server gives up after 60


class Client:
    """An index that ``paint-search serve`` shows; use as a context manager.

    Every method is that of ``Index`` of the same name. A query that names a file of this machine is
    sent; any other text is an id, or a path as the server's index has it.

    Args:
        url: of the server, such as ``http://museum.example:7700``.
        token: that it asks for; sent to this server alone.
        timeout: seconds to wait for an answer.

    Raises:
        UsageError: no such address.
    """

    def __init__(self, url: str, token: str | None = None, timeout: float = _SECONDS) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UsageError(f"{argument('url', url)}: give http://HOST:PORT or https://HOST")
        if parts.username or parts.password:
            raise UsageError(f"give a token as {argument('token')}, and not in the address")
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        self._url = f"{parts.scheme}://{parts.netloc}"
        base = f"{self._url}{parts.path.rstrip('/')}/v1/"
        self._http = httpx.Client(base_url=base, headers=headers, timeout=timeout)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the server."""
        self._http.close()

    # ---- questions

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
        """Return the ``k`` paintings most like the query, or each of many; see ``Index.similar``.

        Raises:
            UsageError, ImageError: as there.
            StoreError: the server cannot be reached, or failed.
        """
        if isinstance(query, list | tuple) or (isinstance(query, np.ndarray) and query.ndim == 2):
            return [self._search([one], [], Search(k, **options)) for one in query]
        return self._search([query], [], Search(k, **options))

    def recommend(
        self,
        positive: Sequence[Query],
        negative: Sequence[Query] = (),
        k: int = 10,
        **options: Unpack[SearchOptions],
    ) -> list[Hit]:
        """Return what is like some examples and unlike others; see ``Index.recommend``."""
        for name, given in (("positive", positive), ("negative", negative)):
            if isinstance(given, str | bytes | Path):
                raise UsageError(f"give a list of examples as {argument(name)}")
        if not positive:
            raise UsageError("give at least one painting to look for")
        return self._search(positive, negative, Search(k, **options))

    def _search(
        self, positive: Iterable[Query], negative: Iterable[Query], wanted: Search
    ) -> list[Hit]:
        where, exclude = write_filter(all_conditions(wanted.where, wanted.exclude))
        asked: dict[str, Any] = {"where": where, "not": exclude, "k": wanted.k}
        for name in ("min_score", "spread", "exact", "compact_only"):
            if getattr(wanted, name) != getattr(Search, name):
                asked[name] = getattr(wanted, name)
        if wanted.box is not None:
            asked["box"] = ",".join(str(int(edge)) for edge in wanted.box)
        given = {
            "like": [self._example(one) for one in positive],
            "unlike": [self._example(one) for one in negative],
        }
        found = self._ask("POST", "recommend", params=asked, json=given)
        return [_hit(hit) for hit in found["hits"]]

    def embed(self, images: Iterable[Picture]) -> NDArray[np.float32]:
        """Return the embedding of each picture by the index's backbone, (n, d)."""
        rows = list(self.embed_iter(images))
        if rows:
            return np.stack(rows)
        return np.empty((0, self.info().manifest.backbone.dimension), dtype=np.float32)

    def embed_iter(self, images: Iterable[Picture]) -> Iterator[NDArray[np.float32]]:
        """Yield the embedding, (d,), of each picture."""
        if isinstance(images, str | Path | bytes):
            raise UsageError(f"give a list of pictures as {argument('images')}")
        for image in images:
            vector = self._ask("POST", "embed", content=_bytes_of(image))["vector"]
            yield np.array(vector, dtype=np.float32)

    def verify(self, one: Query, other: Query) -> Verdict:
        """Say how likely one artist made both paintings; see ``Index.verify``."""
        asked = {"one": self._named(one), "other": self._named(other)}
        told = self._ask("GET", "verify", params=asked)
        references = (
            Reference(_flat(pair["one"]), _flat(pair["other"]), pair["same"], pair["probability"])
            for pair in told["references"]
        )
        rest = {name: told[name] for name in ("says", "probability", "reason", "pairs", "artists")}
        return Verdict(references=tuple(references), **rest)

    def explain(self, one: Query, other: Query) -> Explanation:
        """Say what the cosine of two pictures is made of; see ``Index.explain``."""
        asked = {"one": self._named(one), "other": self._named(other)}
        return _explanation(self._ask("GET", "explain", params=asked))

    # ---- what is there

    def get(self, painting: str | Path) -> Painting:
        """Return the painting with this id or path; see ``Index.get``."""
        try:
            return _painting(self._ask("GET", f"works/{_id_of(painting)}"))
        except UnknownError:
            raise UnknownError(f"{painting} is not in the index at {self._url}") from None

    def __contains__(self, painting: object) -> bool:
        if isinstance(painting, Painting):
            painting = painting.id
        if not isinstance(painting, str | Path):
            return False
        try:
            self.get(painting)
        except UnknownError:
            return False
        return True

    def __iter__(self) -> Iterator[Painting]:
        return self.paintings()

    def __len__(self) -> int:
        return int(self._ask("GET", "works", params={"limit": 1, "sizes": False})["total"])

    def paintings(self, where: Where | None = None) -> Iterator[Painting]:
        """Yield the paintings in the order of ``vectors``, a page at a time."""
        wanted, exclude = write_filter(all_conditions(where, None))
        offset, total = 0, 1
        while offset < total:
            asked = {"where": wanted, "not": exclude, "limit": _PAGE, "offset": offset}
            page = self._ask("GET", "works", params=asked | {"sizes": False})
            yield from map(_painting, page["works"])
            offset, total = offset + _PAGE, page["total"]

    def vectors(
        self, where: Where | None = None, which: VectorName | None = None
    ) -> tuple[list[str], NDArray[np.float32]]:
        """Return ids and unit-norm vectors, (n, d); see ``Index.vectors``."""
        import pyarrow as pa

        wanted, exclude = write_filter(all_conditions(where, None))
        asked = {"where": wanted, "not": exclude, **({} if which is None else {"which": which})}
        try:
            table = pa.ipc.open_stream(
                self._send("GET", "vectors", params=asked).content
            ).read_all()
            column = table.column("vector").combine_chunks()
            rows = column.flatten().to_numpy(zero_copy_only=False)
            return table.column("id").to_pylist(), rows.reshape(len(table), -1)
        except (pa.ArrowException, KeyError, ValueError) as error:
            raise self._garbled(error) from error

    def field(self, name: str, where: Where | None = None) -> list[Value | None]:
        """Return one field of every painting; see ``Index.field``."""
        self._ask("GET", "facets", params={"field": name, "limit": 1})  # refuses an unknown one
        return [painting[name] for painting in self.paintings(where)]

    def to_pandas(self, where: Where | None = None) -> "pd.DataFrame":
        """Return id, path and fields of the paintings, a row each; see ``Index.to_pandas``."""
        import pandas as pd

        from paint_search.index.export import columns_of

        return pd.DataFrame(columns_of(list(self.paintings(where))))

    def to_arrow(self, where: Where | None = None) -> "pa.Table":
        """Return the same as an Arrow table, with the vectors; see ``Index.to_arrow``."""
        from paint_search.index.export import arrow_table

        known = {painting.id: painting for painting in self.paintings(where)}
        ids, rows = self.vectors(where)
        both = [row for row, id_ in enumerate(ids) if id_ in known]  # another may write between
        return arrow_table([known[ids[row]] for row in both], rows[both])

    def info(self) -> IndexInfo:
        """Return what there is to know about the index; its folders are but names."""
        told = self._ask("GET", "info")
        place, name = Place.parse(told["store"]), Path(told["name"])
        rest = {
            n: told[n]
            for n in (
                "paintings", "skipped", "trimmed", "fields", "searched", "recall", "vector_bytes",
                "bytes_on_disk", "selections",
            )
        }  # fmt: skip
        nodes = [
            Node(**node | {"copies": [Copy(**copy) for copy in node["copies"]]})
            for node in told["nodes"]
        ]
        return IndexInfo(
            folder=Path(self._url),
            root=name,
            manifest=Manifest.of_shared(told["manifest"], place, name.as_posix(), None),
            ways=[Way(**way) for way in told["ways"]],
            nodes=nodes,
            details=tuple(told["details"]),
            **rest,
        )

    def selections(self) -> list[Selection]:
        """Return the named selections of works, by name; see ``Index.selections``."""
        names = [one["name"] for one in self._ask("GET", "selections")["selections"]]
        return [self.selection(name) for name in names]

    def selection(self, name: str) -> Selection:
        """Return the selection of this name; UnknownError where there is none."""
        told = self._ask("GET", f"selections/{quote(name, safe='')}")
        paths = tuple(work["path"] for work in told["works"])
        return Selection(told["name"], paths, told["excluded"])

    def selected(self, name: str) -> list[Painting]:
        """Return the works of a selection, in its order; see ``Index.selected``."""
        told = self._ask("GET", f"selections/{quote(name, safe='')}")
        return [_painting(work) for work in told["works"]]

    def skipped(self) -> list[tuple[str, str]]:
        """Return (path, reason) of every file that the last runs could not index."""
        files = self._ask("GET", "skipped")["files"]
        return [(file["path"], file["reason"]) for file in files]

    # ---- the line

    def _example(self, query: Query) -> str | list[float]:
        """Return an example as the server takes it: an id, of a picture that is sent, or a vector.

        Raises:
            UsageError: an array that is neither pixels nor a vector.
        """
        if isinstance(query, np.ndarray) and query.dtype != np.uint8:
            if query.ndim != 1:
                raise UsageError(f"an array of shape {query.shape} is no vector")
            return [float(number) for number in query]
        return self._named(query)

    def _named(self, query: Query) -> str:
        if isinstance(query, str | Path) and not Path(query).is_file():
            try:
                return self.get(query).id
            except UnknownError:
                raise UsageError(
                    f"{query} is neither an image file here nor a painting of the index at "
                    f"{self._url}"
                ) from None
        return str(self._ask("POST", "pictures", content=_bytes_of(query))["id"])

    def _ask(self, method: str, path: str, **request: Any) -> Any:
        """Return what the server says.

        Raises:
            PaintSearchError: that which the server met.
            StoreError: it cannot be reached, or says what cannot be read.
        """
        try:
            return self._send(method, path, **request).json()
        except ValueError as error:
            raise self._garbled(error) from error

    def _send(self, method: str, path: str, **request: Any) -> httpx.Response:
        for attempt in range(_TRIES):
            last = attempt == _TRIES - 1
            try:
                answer = self._http.request(method, path, **request)
                if answer.status_code < 300:
                    return answer
                if last or answer.status_code not in _AGAIN:
                    raise self._error(answer)
            except httpx.InvalidURL as error:
                raise UsageError(f"{self._url} is no address: {error}") from error
            except httpx.TransportError as error:
                if last:
                    raise StoreError(
                        f"{self._url} cannot be reached ({error or type(error).__name__}); is "
                        "paint-search serve running there?"
                    ) from error
            time.sleep(_PAUSE * 2**attempt * random.uniform(0.5, 1.5))  # noqa: S311 - only a pause
        raise AssertionError

    def _error(self, answer: httpx.Response) -> PaintSearchError:
        try:
            told = answer.json()
            detail, name = str(told["detail"]), told.get("error")
        except (ValueError, LookupError, TypeError, AttributeError):
            return StoreError(
                f"{self._url} answers with {answer.status_code}, and not as paint-search serve "
                "does; check the address"
            )
        kind = getattr(errors, name, None) if isinstance(name, str) else None
        if isinstance(kind, type) and issubclass(kind, PaintSearchError):
            return kind(detail)
        return (UsageError if answer.status_code < 500 else StoreError)(detail)

    def _garbled(self, error: Exception) -> StoreError:
        return StoreError(f"what {self._url} answers cannot be read ({error}); check the address")


def _id_of(painting: str | Path) -> str:
    """Return the id that a text is, or that the painting at a path of the index has."""
    try:
        return str(UUID(str(painting)))
    except ValueError:
        return painting_id(composed(Path(painting).as_posix()))


def _bytes_of(picture: Query) -> bytes:
    if isinstance(picture, bytes):
        return picture
    if isinstance(picture, str | Path):
        try:
            return Path(picture).read_bytes()
        except OSError as error:
            raise UsageError(f"{picture} cannot be read: {error.strerror}") from error
    if isinstance(picture, np.ndarray):
        if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
            raise errors.ImageError(
                f"an array of shape {picture.shape} and type {picture.dtype} is no picture; give "
                "(h, w, 3) uint8"
            )
        picture = Image.fromarray(picture)
    stream = io.BytesIO()
    picture.save(stream, "PNG", compress_level=1)
    return stream.getvalue()


def _painting(work: Mapping[str, Any]) -> Painting:
    known = {name: work[name] for name in ("artist", "title", "year", "movement")}
    labels = {name: value for name, value in known.items() if value is not None}
    return Painting.from_labels(work["path"], labels | dict(work["fields"]))


def _flat(told: Mapping[str, Any]) -> Painting:
    """Return the painting that ``Painting.to_dict`` told of."""
    labels = {name: value for name, value in told.items() if name not in ("id", "path")}
    return Painting.from_labels(told["path"], labels)


def _explanation(told: Mapping[str, Any]) -> Explanation:
    sides = {
        name: Side(
            told[name]["name"],
            told[name]["painting"] and _flat(told[name]["painting"]),
            (told[name]["width"], told[name]["height"]),
            tuple(told[name]["seen"]),
            np.array(told[name]["heat"], dtype=np.float32),
        )
        for name in ("one", "other")
    }
    return Explanation(
        **sides,
        backbone=told["backbone"],
        score=told["score"],
        compact_score=told["compact_score"],
        parts={part["name"]: part["score"] for part in told["parts"]},
        regions=tuple(
            Region(tuple(one["one"]), tuple(one["other"]), one["score"]) for one in told["regions"]
        ),
        regions_pairs=told["regions_pairs"],
        random=told["random"] and _explanation(told["random"]),
    )


def _hit(told: Mapping[str, Any]) -> Hit:
    return Hit(
        told["rank"],
        told["score"],
        _painting(told["work"]),
        told["above_same_artist"],
        told["above_other_artists"],
        tuple(map(_painting, told["copies"])),
        None if told["box"] is None else tuple(told["box"]),
    )
