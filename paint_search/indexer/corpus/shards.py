"""A part of a corpus, for one of several machines: which files are in it is decided by their ids.

Ids are hashes of paths, so that every machine deals out alike, and parts are of like size.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Self
from uuid import UUID

from paint_search.errors import UsageError, argument
from paint_search.indexer.corpus.scan import ScannedFile, Walk
from paint_search.painting import painting_id


@dataclass(frozen=True, slots=True)
class Part:
    """Part ``number`` of ``count``, counted from 1."""

    number: int = 1
    count: int = 1

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``3/16``.

        Raises:
            UsageError: it is of another form, or there is no such part.
        """
        number, _, count = text.partition("/")
        if not (number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count)):
            raise UsageError(
                f"{argument('part', text)}: write the part and their number, such as 3/16"
            )
        return cls(int(number), int(count))

    def has(self, path: str) -> bool:
        """Tell whether the file at this corpus-relative path is in the part."""
        return UUID(painting_id(path)).int * self.count >> 128 == self.number - 1

    def of(self, walk: Walk) -> Walk:
        """Return a walk over the files of this part alone."""

        def own(unreadable: Callable[[str, str], None]) -> Iterator[ScannedFile]:
            return (file for file in walk(unreadable) if self.has(file.path))

        return own
