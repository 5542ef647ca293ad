"""What goes between who lends a store and who borrows it: frames of JSON and float32 numbers.

A frame is two lengths in bytes (uint32 and uint64, little-endian), a JSON object, and the numbers
of all vectors that it speaks of, one after the other. Both ends belong to one user; what comes in
is checked all the same, and nothing in it is ever run.
"""

import json
import os
import socket
import stat
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final
from weakref import WeakSet

import numpy as np
from numpy.typing import NDArray

from paint_search.errors import StoreError
from paint_search.painting import Record
from paint_search.search.filters import Condition, Filter
from paint_search.search.stores.base import VectorQuery, checked

#: Of the messages; those of another are not understood.
VERSION: Final = 1

#: The socket, in the index folder.
SOCKET: Final = "lock.socket"

#: Points, and bytes of their numbers, after which a page ends.
PAGE: Final = 512
PAGE_BYTES: Final = 2**22

_LENGTHS: Final = struct.Struct("<IQ")
_MOST_JSON: Final = 2**28
_MOST_NUMBERS: Final = 2**30  # bytes

#: Both ends of every connection of this process, which a fork of it has no part in.
_OPEN: Final[WeakSet[socket.socket]] = WeakSet()

Numbers = NDArray[np.float32]


class Line:
    """One end of a connection. Every method raises OSError once it is broken."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        _OPEN.add(end)

    def send(self, frame: bytes) -> None:
        """Send a frame."""
        self._end.sendall(frame)

    def receive(self) -> tuple[dict[str, Any], Numbers]:
        """Wait for a frame, and return what it says and its numbers."""
        said, body = _LENGTHS.unpack(self._read(_LENGTHS.size))
        if said > _MOST_JSON or body > _MOST_NUMBERS or body % 4:
            raise ConnectionError("a frame of a wrong length")
        try:
            message = json.loads(self._read(said))
        except (ValueError, RecursionError) as error:
            raise ConnectionError(f"a frame that is no JSON: {error}") from error
        if not isinstance(message, dict):
            raise ConnectionError("a frame that is no object")
        return message, np.frombuffer(self._read(body), "<f4").astype(np.float32, copy=False)

    def _read(self, size: int) -> bytearray:
        data = bytearray(size)
        view, have = memoryview(data), 0
        while have < size:
            count = self._end.recv_into(view[have:])
            if not count:
                raise ConnectionResetError("the other process has ended")
            have += count
        return data

    def wait(self, seconds: float | None) -> None:
        """Wait no longer than this for what is received from now on; None for ever."""
        self._end.settimeout(seconds)

    @property
    def broken(self) -> bool:
        """Whether the other end has gone; only of a line on which no answer is due."""
        try:
            return self._end.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) is not None
        except BlockingIOError:
            return False
        except OSError:
            return True

    def hang_up(self) -> None:
        """End the connection, also for whoever waits on it in another thread."""
        with suppress(OSError):
            self._end.shutdown(socket.SHUT_RDWR)
        self._end.close()


def framed(message: Mapping[str, Any], numbers: Iterable[Numbers] = ()) -> bytes:
    """Return a frame; StoreError where it is too long."""
    said = json.dumps(message).encode()
    body = b"".join(np.ascontiguousarray(array, "<f4").tobytes() for array in numbers)
    if len(said) > _MOST_JSON or len(body) > _MOST_NUMBERS:
        raise StoreError("the answer is too long to be sent to another process; ask for less")
    return _LENGTHS.pack(len(said), len(body)) + said + body


def listen(folder: Path) -> socket.socket:
    """Return a socket in the folder that this user alone may connect to.

    Raises:
        OSError: none can be had there.
    """
    (folder / SOCKET).unlink(missing_ok=True)  # what a killed process left, or a link
    end = _socket()
    with suppress(OSError):
        os.fchmod(end.fileno(), 0o600)  # which Linux gives to the file
    with _address(folder) as address:
        before = os.umask(0o077)
        try:
            end.bind(address)
        finally:
            os.umask(before)
    end.listen(64)
    _OPEN.add(end)
    return end


def connect(folder: Path, patience: float) -> Line:
    """Return a connection to the process that listens in the folder.

    Raises:
        OSError: there is none, or it is another user's.
    """
    info = os.lstat(folder / SOCKET)
    if not stat.S_ISSOCK(info.st_mode) or info.st_uid != os.geteuid():
        raise ConnectionRefusedError
    end = _socket()
    try:
        end.settimeout(patience)
        with _address(folder) as address:
            end.connect(address)
        peer(end)
    except OSError:
        end.close()
        raise
    return Line(end)


def peer(end: socket.socket) -> int | None:
    """Return the number of the process at the other end, as far as the system can tell.

    Raises:
        ConnectionRefusedError: it is another user's.
    """
    if not hasattr(socket, "SO_PEERCRED"):
        return None
    found = end.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    process, user, _ = struct.unpack("3i", found)
    if user != os.geteuid():
        raise ConnectionRefusedError
    return int(process)


def _socket() -> socket.socket:
    if not hasattr(socket, "AF_UNIX"):
        raise OSError("this system has no sockets in folders")
    return socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)


@contextmanager
def _address(folder: Path) -> Iterator[str]:
    """Give the socket's address: 107 bytes at most, so that where it can be the folder is open."""
    if not Path("/proc/self/fd").is_dir():
        yield str(folder / SOCKET)
        return
    number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{number}/{SOCKET}"
    finally:
        os.close(number)


def _forget() -> None:
    """Close what a fork of this process has inherited: else the end of the other goes unseen."""
    for end in list(_OPEN):
        end.close()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


def packed(records: Iterable[Record]) -> tuple[list[Any], list[Numbers]]:
    """Return records as a frame has them: id, payload and lengths of the vectors; and these."""
    rows: list[Any] = []
    numbers: list[Numbers] = []
    for record in records:
        lengths = [0 if v is None else len(v) for v in (record.vector, record.compact)]
        rows.append([record.id, dict(record.payload), *lengths])
        numbers += record.vectors.values()
    return rows, numbers


def unpacked(rows: Iterable[Any], numbers: Numbers) -> list[Record]:
    """Return the records that were packed.

    Raises:
        ValueError, TypeError: they are no records.
    """
    records, start = [], 0
    for key, payload, *lengths in rows:
        vectors: list[Numbers | None] = []
        for length in lengths:
            part = numbers[start : start + length]
            if length < 0 or len(part) != length or not np.isfinite(part).all():
                raise ValueError("a vector that is not whole")
            vectors.append(part.copy() if length else None)
            start += length
        full, compact = vectors
        records.append(Record(str(key), checked(payload), full, compact))
    return records


def packed_filter(where: Filter) -> list[dict[str, Any]]:
    """Return a filter as a frame has it."""
    return [asdict(condition) for condition in where]


def unpacked_filter(said: Iterable[Mapping[str, Any]]) -> list[Condition]:
    """Return the filter that was packed; TypeError where it is none."""
    return [Condition(**{**each, "values": tuple(each["values"])}) for each in said]


def packed_query(query: VectorQuery) -> tuple[dict[str, Any], list[Numbers]]:
    """Return a query as a frame has it: what it says beside its vectors, and these."""
    arrays = [query.vectors] if query.codes is None else [query.vectors, query.codes]
    said = {
        "shapes": [array.shape for array in arrays],
        "limit": query.limit,
        "where": packed_filter(query.where),
        "using": query.using,
        "oversampling": query.oversampling,
        "without": list(query.without),
        "spread": query.spread,
        "exact": query.exact,
        "min_score": query.min_score,
    }
    return said, arrays


def unpacked_query(said: Mapping[str, Any], numbers: Numbers) -> VectorQuery:
    """Return the query that was packed.

    Raises:
        ValueError, TypeError, LookupError: it is none.
    """
    shapes: Sequence[tuple[int, int]] = said["shapes"]
    vectors, *codes = (
        part.reshape(shape)
        for part, shape in zip(
            np.split(numbers, np.cumsum([rows * length for rows, length in shapes])[:-1]),
            shapes,
            strict=True,
        )
    )
    rest = {name: value for name, value in said.items() if name not in ("shapes", "where")}
    where = unpacked_filter(said["where"])
    return VectorQuery(vectors, where=where, codes=codes[0] if codes else None, **rest)
