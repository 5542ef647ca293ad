"""The end that lends: a thread that waits for askers, and one for each that came.

It answers from the store that this process has open, and never outlives it. What is imported for it
is imported by its own thread, and not at once: a short command has ended before.
"""

import itertools
import os
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from paint_search.errors import PaintSearchError, StoreError, UsageError, readable
from paint_search.painting import Progress, Record
from paint_search.search.stores.base import Store

if TYPE_CHECKING:
    import socket

    from paint_search.search.stores.lending.wire import Line, Numbers

#: Seconds before what is needed for askers is imported.
_SOON: Final = 0.2

_MOST_ASKERS: Final = 64
_MOST_SCROLLS: Final = 256  # of one asker, begun and not read to their end
_MOST_NAME: Final = 500  # characters of a command

#: Called with who is to have the right to change the index, and how many seconds to wait for it.
Right = Callable[[str, float], AbstractContextManager[None]]

_Answer = tuple[Any, "list[Numbers]"]


class Lender:
    """Lends a store until ``close``.

    Args:
        folder: of the index.
        name: of the store's folder in it.
        store: open in this process.
        right: gives the right to change the index.
    """

    def __init__(self, folder: Path, name: str, store: Store, right: Right) -> None:
        self.name, self.store, self.right = name, store, right
        self._folder = folder
        self._process = os.getpid()
        self._door = threading.Lock()
        self._over = threading.Event()
        self._listener: socket.socket | None = None
        self._askers: set[_Asker] = set()
        threading.Thread(target=self._serve, daemon=True, name="lend").start()

    def _serve(self) -> None:
        if f"{__package__}.wire" not in sys.modules and self._over.wait(_SOON):
            return
        from paint_search.search.stores.lending import wire

        with self._door:
            if self._over.is_set():
                return
            try:
                self._listener = listener = wire.listen(self._folder)
            except OSError:  # such as on a file system that has no sockets
                return
        while not self._over.is_set():
            try:
                end, _ = listener.accept()
            except OSError:  # it was closed, or this process has too many files open
                self._over.wait(0.1)
                continue
            line = wire.Line(end)
            try:
                asker = _Asker(self, line, wire.peer(end))
                with self._door:
                    if self._over.is_set() or len(self._askers) >= _MOST_ASKERS:
                        raise ConnectionRefusedError
                    self._askers.add(asker)
                threading.Thread(target=asker.serve, daemon=True, name="lend").start()
            except (OSError, RuntimeError):  # no thread can be had
                line.hang_up()

    def forget(self, asker: "_Asker") -> None:
        """Count an asker no more."""
        with self._door:
            self._askers.discard(asker)

    def close(self) -> None:
        """Let nobody in any more, and no asker go on once it has the answer that is under way."""
        if os.getpid() != self._process:  # a fork has neither threads nor sockets of ours
            return
        self._over.set()
        with self._door:
            listener, askers = self._listener, list(self._askers)
        if listener is not None:
            from paint_search.search.stores.lending import wire

            with suppress(OSError):
                (self._folder / wire.SOCKET).unlink(missing_ok=True)
            wire.Line(listener).hang_up()
        for asker in askers:
            asker.end()


class _Asker:
    """One process that borrows the store, and what it has of it."""

    def __init__(self, lender: Lender, line: "Line", process: int | None) -> None:
        self._lender, self._line, self._process = lender, line, process
        self._busy = threading.RLock()  # held while the store is asked
        self._ended = False
        self._scrolls: dict[int, Iterator[Record]] = {}
        self._numbers = itertools.count()
        self._rights: list[AbstractContextManager[None]] = []

    def serve(self) -> None:
        """Answer until the other has gone, however it went."""
        from paint_search.search.stores.lending import wire

        try:
            self._line.wait(10)
            hello, _ = self._line.receive()
            self._line.send(wire.framed({"version": wire.VERSION, "name": self._lender.name}))
            if hello.get("version") != wire.VERSION:
                return
            command = readable(str(hello.get("command")))[:_MOST_NAME]
            who = f"process {self._process or hello.get('process')} ({command})"
            self._line.wait(None)
            while True:
                message, numbers = self._line.receive()
                try:
                    value, arrays = self._answer(message, numbers, who)
                    frame = wire.framed({"value": value}, arrays)
                except PaintSearchError as error:
                    said = {"error": type(error).__name__, "words": str(error.args[0])}
                    frame = wire.framed(said)
                except Exception as error:  # of the asker, whatever it is
                    words = f"the process that holds the index failed: {error!r}"
                    frame = wire.framed({"error": "", "words": words})
                self._line.send(frame)
        except OSError:
            pass
        finally:
            self._line.hang_up()
            self._scrolls.clear()
            while self._rights:
                self._rights.pop().__exit__(None, None, None)
            self._lender.forget(self)

    def end(self) -> None:
        """Hang up, once the store is not asked any more."""
        with self._busy:
            self._ended = True
            self._line.hang_up()

    def _answer(self, message: Mapping[str, Any], numbers: "Numbers", who: str) -> _Answer:
        """Return the value and the vectors of an answer."""
        for number in message.get("dropped", ()):
            self._scrolls.pop(number, None)
        match message["do"]:
            case "claim":  # which may have to wait: the store is not asked
                right = self._lender.right(who, float(message["patience"]))
                right.__enter__()
                self._rights.append(right)
                return None, []
            case "release":
                self._rights.pop().__exit__(None, None, None)
                return None, []
        with self._busy:
            if self._ended:
                raise StoreError("it is lent no more")
            if message["do"] in _CHANGES:
                if not self._rights:
                    raise StoreError("the right to change the index was not asked for")
                self._change(message, numbers)
                return None, []
            return self._read(message, numbers)

    def _change(self, message: Mapping[str, Any], numbers: "Numbers") -> None:
        from paint_search.search.stores.lending.wire import unpacked

        store = self._lender.store
        match message["do"]:
            case "upsert":
                store.upsert(unpacked(message["records"], numbers))
            case "set_payloads":
                store.set_payloads(unpacked(message["records"], numbers))
            case "delete":
                store.delete([str(key) for key in message["ids"]])
            case "optimize":
                store.optimize(self._report)

    def _read(self, message: Mapping[str, Any], numbers: "Numbers") -> _Answer:
        from paint_search.search.stores.lending import wire

        store = self._lender.store
        match message["do"]:
            case "search":
                found = store.search(wire.unpacked_query(message["query"], numbers))
                rows, arrays = wire.packed(match.record for row in found for match in row)
                scores = [[match.score for match in row] for row in found]
                return {"scores": scores, "records": rows}, arrays
            case "get":
                return wire.packed(store.get(message["ids"], vectors=message["vectors"]).values())
            case "scroll":
                if len(self._scrolls) >= _MOST_SCROLLS:
                    raise StoreError(f"more than {_MOST_SCROLLS} lists were begun and not ended")
                number = next(self._numbers)
                self._scrolls[number] = store.scroll(
                    wire.unpacked_filter(message["where"]),
                    vectors=message["vectors"],
                    limit=message["limit"],
                )
                return number, []
            case "page":
                return wire.packed(_page(self._scrolls[message["scroll"]]))
            case "count":
                return store.count(wire.unpacked_filter(message["where"])), []
            case "has_field":
                return store.has_field(str(message["name"])), []
            case "texts":
                return store.texts(str(message["field"])), []
            case "fields" | "approximate" | "describe" | "flush" as plain:
                return getattr(store, plain)(), []
        raise UsageError(f"a store has no {message['do']!r}")

    def _report(self, progress: Progress) -> None:
        from paint_search.search.stores.lending.wire import framed

        self._line.send(framed({"progress": [progress.done, progress.total, progress.words]}))


_CHANGES: Final = ("upsert", "set_payloads", "delete", "optimize")


def _page(records: Iterator[Record]) -> Iterator[Record]:
    """Yield the next records, until they are enough for a frame; none at the end."""
    from paint_search.search.stores.lending.wire import PAGE, PAGE_BYTES

    size = 0
    for record in itertools.islice(records, PAGE):
        yield record
        size += sum(vector.nbytes for vector in record.vectors.values())
        if size > PAGE_BYTES:
            return
