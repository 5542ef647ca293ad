"""The open index behind the server, and what is kept of it between requests.

Knows nothing of HTTP. Every method may be called from many threads at once.
"""

import re
import threading
import time
from collections.abc import Callable, Hashable, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import numpy as np

from paint_search.errors import ImageError, StoreBusyError, UnknownError
from paint_search.eval.inputs import plain
from paint_search.index.index import Index
from paint_search.index.verification import Verifier
from paint_search.indexer.images.thumbnails import extent
from paint_search.painting import Painting
from paint_search.search.filters import parse_filter
from paint_search.serve.catalogue import MOST, Catalogue
from paint_search.serve.jobs import Job, Jobs, Report
from paint_search.serve.pictures import UPLOADED, Upload, Uploads

_LOOKS: Final = 1.0  # seconds between two looks at whether the index has changed
_SHARE: Final = 20  # a catalogue is made anew at most this share of the time, one in so many


@dataclass(frozen=True)
class Limits:
    """What one request may ask for."""

    upload_bytes: int = 64 * 2**20
    held_bytes: int = 2**30  #: sent by all requests that are not answered yet
    pixels: int = 200_000_000  #: of an upload
    seconds: float = 60.0  #: for an answer
    at_once: int = 256  #: requests; more are told to come again


class Gallery:
    """An open index as the server shows it; closes it in the end."""

    def __init__(self, index: Index, limits: Limits) -> None:
        self.index, self.limits = index, limits
        self.uploads, self.jobs = Uploads(), Jobs()
        self._turn = threading.Lock()
        self._catalogue: Catalogue | None = None
        self._stamp: object = None
        self._looked = self._took = 0.0
        self._chosen = lru_cache(64)(self._choose)
        self._extent = lru_cache(MOST)(lambda file, stamp: extent(file))
        self._verifying = threading.Lock()
        self._verifier: Verifier | None = None

    @property
    def name(self) -> str:
        """What to call the collection: the name of its folder."""
        return self.index.root.name or "paintings"

    @property
    def catalogue(self) -> Catalogue:
        """The works as they are now, or were a moment ago while an index is being written."""
        return self._look()

    def _look(self) -> Catalogue:
        """Forget what is known of the index as it was; return its works."""
        with self._turn:
            now, known = time.monotonic(), self._catalogue
            if known is not None and now - self._looked < max(_LOOKS, _SHARE * self._took):
                return known
            count, manifest = len(self.index), self.index.manifest
            if known is None or self._stamp != (count, id(manifest)):
                known = Catalogue(list(islice(self.index.paintings(), MOST)), count)
                self._catalogue, self._stamp = known, (count, id(manifest))
                self._manifest = manifest  # kept, so that no other takes its place in memory
                self._chosen.cache_clear()
                self._verifier = None
                self.jobs.forget()
                self._took = time.monotonic() - now
            self._looked = time.monotonic()
            return known

    def work(self, id_: str) -> Painting:
        """Return a work.

        Raises:
            UnknownError: there is none with this id.
        """
        try:
            plain = str(UUID(id_))
        except ValueError:
            raise UnknownError(f"{id_!r} is no id of a work: ids look like {UUID(int=0)}") from None
        if (found := self.catalogue.find(plain)) is not None:
            return found
        if self.catalogue.total > MOST and plain in self.index:
            return self.index.get(plain)
        raise UnknownError(f"no work here has the id {id_}; it may have been removed")

    def upload(self, content: bytes) -> Upload:
        """Keep a picture to look for.

        Raises:
            ImageError: it is none, or too large.
        """
        try:
            width, height = extent(content)
        except ImageError as error:
            raise type(error)(f"a picture of {len(content):,} bytes: {error}") from error
        if width * height > self.limits.pixels:
            raise ImageError(
                f"{width} x {height} pixels are above this server's limit of "
                f"{self.limits.pixels / 1e6:.0f} million; send a smaller picture"
            )
        return self.uploads.add(content, self.index.embed([content])[0])

    def find_upload(self, name: str) -> Upload:
        """Return an uploaded picture.

        Raises:
            UnknownError: it is gone.
        """
        found = self.uploads.find(name)
        if found is None:
            raise UnknownError(
                f"the picture {name[:60]} is not here any more: uploads are kept for a while; "
                "send it again"
            )
        return found

    def example(self, name: str) -> Any:
        """Return what is looked for, as ``Index.similar`` takes it: a vector, or a work's id."""
        return self.find_upload(name).vector if name.startswith(UPLOADED) else self.work(name).id

    def picture(self, name: str) -> Any:
        """Return a picture as ``Index.verify`` takes it: an upload's bytes, or a work's id."""
        if name.startswith(UPLOADED):
            return self.find_upload(name).file.read_bytes()
        return self.work(name).id

    def file(self, name: str) -> Path:
        """Return the file of a work or an upload."""
        if name.startswith(UPLOADED):
            return self.find_upload(name).file
        return self.index.locate(self.work(name))

    def size(self, work: Painting) -> tuple[int, int] | None:
        """Return width and height of a work in pixels; None where its file cannot be had."""
        try:
            return self._extent(self.index.locate(work), work.stamp)
        except (ImageError, OSError):
            return None

    def chosen(self, where: Sequence[str], exclude: Sequence[str]) -> np.ndarray:
        """Return whether each work of the catalogue meets the conditions.

        Raises:
            UsageError: a condition that cannot be read, or names no field or value.
        """
        if not where and not exclude:
            return np.ones(len(self.catalogue.works), bool)
        return self._chosen(self.catalogue, tuple(where), tuple(exclude))

    def _choose(
        self, catalogue: Catalogue, where: tuple[str, ...], exclude: tuple[str, ...]
    ) -> np.ndarray:
        conditions = parse_filter(where, exclude)
        return catalogue.among(work.id for work in self.index.paintings(conditions))

    def info(self) -> Any:
        """Return what ``Index.info`` tells, but where anything lies on this machine."""
        facts = self.index.info()
        told = {n: v for n, v in asdict(facts).items() if n not in ("folder", "root")}
        return plain(told) | {
            "name": self.name,
            "manifest": facts.manifest.shared(),
            "store": str(facts.manifest.store),
            "faults": [self.without_paths(fault) for fault in facts.faults],
        }

    def job(self, key: Hashable, work: Callable[[Report], Any]) -> Job:
        """Return the work on an answer about the index as it is now, begun if need be.

        Raises:
            StoreBusyError: too much waits to be worked on.
        """
        self._look()
        job = self.jobs.ask(key, work)
        if job is None:
            raise StoreBusyError("too many studies wait to be worked on; come again in a minute")
        return job

    @property
    def verifier(self) -> Verifier:
        """What says whether one artist made two paintings; calibrated once, by whoever is first."""
        with self._verifying:
            if self._verifier is None:
                self._verifier = self.index.verifier()
            return self._verifier

    def without_paths(self, words: str) -> str:
        """Return a sentence without the folders of this machine in it."""
        for folder in (self.index.folder, self.index.root):
            for one in (folder, folder.resolve()):
                words = words.replace(f"{one}/", "").replace(str(one), one.name)
        return re.sub(r"(?<![\w:/.])/(?:[^\s/:;,'\"]+/)+", "", words)

    def close(self) -> None:
        """Stop what is being worked on, delete what was uploaded, and close the index."""
        self.jobs.close()
        self.uploads.close()
        self.index.close()
