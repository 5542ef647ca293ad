"""The end that borrows: a store whose every question another process answers, which has it open."""

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from paint_search import errors
from paint_search.errors import StoreError, StoreMovedError
from paint_search.painting import Progress, Record
from paint_search.search.filters import Filter
from paint_search.search.stores.base import Match, Report, VectorQuery, never, silent
from paint_search.search.stores.lending import wire

#: Matches of one answer, at most, where several vectors are looked for.
_MOST_MATCHES: Final = 20_000


class BorrowedStore:
    """A store that another process lends; any number of threads may ask it, in turns.

    Attributes:
        name: of the store's folder in the index.
    """

    shared = None

    def __init__(self, line: wire.Line, name: str, folder: Path) -> None:
        self.name = name
        self._line, self._folder = line, folder
        self._turn = threading.RLock()
        self._closed = False
        self._dropped: list[int] = []  # scrolls that nobody goes on with

    @property
    def lost(self) -> bool:
        """Whether it can be asked no more: the process that lent it has ended, or closed it."""
        if self._closed or not self._turn.acquire(blocking=False):
            return self._closed
        try:
            return self._closed or self._line.broken
        finally:
            self._turn.release()

    def claim(self, patience: float) -> None:
        """Have the right to change the index, until ``release``.

        Raises:
            StoreBusyError: another process still has it after so many seconds.
        """
        self._ask("claim", patience=patience)

    def release(self) -> None:
        """Give the right to change the index back."""
        with suppress(StoreMovedError):  # and with it the right
            self._ask("release")

    def upsert(self, records: Sequence[Record]) -> None:
        """Write points with the vectors they have; a point of the same id is replaced."""
        self._send("upsert", records)

    def set_payloads(self, records: Sequence[Record]) -> None:
        """Replace the payloads of existing points and leave their vectors alone."""
        self._send("set_payloads", records)

    def delete(self, ids: Sequence[str]) -> None:
        """Delete points; unknown ids are passed over."""
        self._ask("delete", ids=list(ids))

    def get(self, ids: Sequence[str], *, vectors: bool = False) -> dict[str, Record]:
        """Return the points that exist among ``ids``, by id."""
        found: dict[str, Record] = {}
        for start in range(0, len(ids), wire.PAGE):
            page = list(ids[start : start + wire.PAGE])
            rows, numbers = self._ask("get", ids=page, vectors=vectors)
            found |= {record.id: record for record in wire.unpacked(rows, numbers)}
        return found

    def scroll(
        self, where: Filter = (), *, vectors: bool = False, limit: int | None = None
    ) -> Iterator[Record]:
        """Yield all points that match, in the order of their ids, a page in memory at a time."""
        said = wire.packed_filter(where)
        number, _ = self._ask("scroll", where=said, vectors=vectors, limit=limit)
        try:
            while records := wire.unpacked(*self._ask("page", scroll=number)):
                yield from records
        finally:
            self._dropped.append(number)  # told with the next question: this may be any thread

    def search(self, query: VectorQuery) -> list[list[Match]]:
        """Return for each vector up to ``limit`` points by falling cosine, or spread."""
        found: list[list[Match]] = []
        step = max(1, _MOST_MATCHES // max(1, query.limit))
        for start in range(0, len(query.vectors), step):
            some = query.of(range(start, min(start + step, len(query.vectors))))
            said, arrays = wire.packed_query(some)
            value, numbers = self._ask("search", arrays, query=said)
            records = iter(wire.unpacked(value["records"], numbers))
            found += [
                [Match(next(records), float(score)) for score in scores]
                for scores in value["scores"]
            ]
        return found

    def count(self, where: Filter = ()) -> int:
        """Count the points that match."""
        return int(self._ask("count", where=wire.packed_filter(where))[0])

    def has_field(self, name: str) -> bool:
        """Tell whether filters may name this field: some point has it."""
        return bool(self._ask("has_field", name=name)[0])

    def fields(self) -> dict[str, int]:
        """Return the fields that filters may name, with the number of points having each."""
        return dict(self._ask("fields")[0])

    def texts(self, field: str) -> list[str]:
        """Return the distinct texts that points have in a field, in no order."""
        return list(self._ask("texts", field=field)[0])

    def flush(self) -> None:
        """Make everything written so far durable."""
        self._ask("flush")

    def optimize(self, report: Report = silent, cancelled: Callable[[], bool] = never) -> None:
        """Merge, and build an approximate index where the collection is large enough."""
        self._ask("optimize", report=report)

    def approximate(self) -> bool:
        """Tell whether searches go through an approximate index."""
        return bool(self._ask("approximate")[0])

    def describe(self) -> str:
        """Say in a few words how searches go."""
        return str(self._ask("describe")[0])

    def close(self) -> None:
        """Let go of it; whoever lent it goes on."""
        self._closed = True
        self._line.hang_up()

    def _send(self, do: str, records: Sequence[Record]) -> None:
        """Have records written, as many at once as a frame holds."""
        start = size = 0
        for end, record in enumerate(records, start=1):
            size += sum(vector.nbytes for vector in record.vectors.values())
            if size > wire.PAGE_BYTES or end - start >= wire.PAGE or end == len(records):
                rows, arrays = wire.packed(records[start:end])
                self._ask(do, arrays, records=rows)
                start, size = end, 0

    def _ask(
        self, do: str, arrays: Sequence[wire.Numbers] = (), report: Report = silent, **said: Any
    ) -> tuple[Any, wire.Numbers]:
        """Return what is answered, and the numbers that came with it."""
        with self._turn:
            dropped = [self._dropped.pop() for _ in range(len(self._dropped))]
            try:
                self._line.send(wire.framed({"do": do, "dropped": dropped, **said}, arrays))
                answer, numbers = self._line.receive()
                while "progress" in answer:
                    done, total, words = answer["progress"]
                    report(Progress(int(done), int(total), str(words)))
                    answer, numbers = self._line.receive()
            except BaseException as error:
                self.close()  # an answer that nobody waited for would be taken for the next
                if not isinstance(error, OSError):
                    raise
                raise StoreMovedError(
                    f"the process that held the index {self._folder} has ended; run it again"
                ) from error
        if "error" in answer:
            kind = getattr(errors, str(answer["error"]), StoreError)
            if not (isinstance(kind, type) and issubclass(kind, errors.PaintSearchError)):
                kind = StoreError
            raise kind(str(answer["words"]))
        return answer["value"], numbers


def borrow(folder: Path, command: str, patience: float) -> BorrowedStore | None:
    """Return the store of the process that has the index, None where it lends none.

    Args:
        folder: of the index.
        command: what this process is called in a sentence.
        patience: seconds to wait for an answer.
    """
    try:
        line = wire.connect(folder, patience)
    except OSError:
        return None
    try:
        hello = {"version": wire.VERSION, "process": os.getpid(), "command": command}
        line.send(wire.framed(hello))
        answer, _ = line.receive()
        line.wait(None)
    except OSError:
        line.hang_up()
        return None
    if answer.get("version") != wire.VERSION:
        line.hang_up()
        return None
    return BorrowedStore(line, str(answer["name"]), folder)
