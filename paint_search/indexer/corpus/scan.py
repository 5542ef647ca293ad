"""A folder -> the files in it, as a stream in a stable order, and a path -> its file.

Paths are in Unicode's form NFC, whatever the file system writes. Follows symbolic links without
looping, passes over hidden and system files, and reports folders it may not read. Never opens a
file and never holds the list of files in memory.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from uuid import UUID

from paint_search.errors import UsageError, argument, readable
from paint_search.painting import composed, painting_id

_SYSTEM_NAMES = frozenset(
    {
        "$recycle.bin",
        "@eadir",
        "__macosx",
        "desktop.ini",
        "lost+found",
        "system volume information",
        "thumbs.db",
    }
)

#: Called with (relative path, reason) for what could not be looked at.
Unreadable = Callable[[str, str], None]

#: Device and inode of the folders above an entry.
_Ancestors = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class ScannedFile:
    """A file as the file system shows it; ``path`` is below the corpus root, in NFC, with ``/``."""

    path: str
    location: Path
    size: int
    mtime_ns: int


#: Walks a corpus; is handed what to call with what cannot be looked at.
Walk = Callable[[Unreadable], Iterator[ScannedFile]]


@dataclass(frozen=True, slots=True)
class Part:
    """Part ``number`` of ``count``, counted from 1: a corpus dealt out to several machines.

    By the ids of the files, which are hashes: all machines deal alike, and parts are of like size.
    """

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

        def own(unreadable: Unreadable) -> Iterator[ScannedFile]:
            return (file for file in walk(unreadable) if self.has(file.path))

        return own


def scan(folder: Path, root: Path, unreadable: Unreadable) -> Iterator[ScannedFile]:
    """Yield the regular files below ``folder``, sorted by name within each folder.

    Args:
        folder: where to look; ``root`` itself or a folder inside it.
        root: the corpus root that paths are made relative to.
        unreadable: called with (relative path, reason) for what could not be looked at.
    """
    corpus = root.resolve()
    prefix = composed(folder.relative_to(root).as_posix())
    pending = _listing([folder], prefix, (), unreadable)
    while pending:
        path, entries, above = pending.pop()
        folders: list[Path] = []
        files: list[ScannedFile] = []
        for entry in entries:
            try:
                path.encode()
                if entry.is_dir():
                    if not (entry.is_symlink() and _reached_anyway(Path(entry.path), corpus)):
                        folders.append(Path(entry.path))
                elif entry.is_file():
                    info = entry.stat()
                    found = ScannedFile(path, Path(entry.path), info.st_size, info.st_mtime_ns)
                    files.append(found)
                elif entry.is_symlink() and not Path(entry.path).exists():
                    unreadable(path, "link to a file that does not exist")
            except UnicodeEncodeError:
                unreadable(readable(path), "file name is not valid text; rename it")
            except OSError as error:
                unreadable(path, f"cannot be looked at: {error.strerror}")
        yield from files[:1]
        if len(files) + bool(folders) > 1:
            unreadable(path, "another file here has the same name, written otherwise; rename one")
        pending += _listing(folders, path, above, unreadable)


def find_file(root: Path, path: str) -> Path:
    """Return where the file of a corpus-relative path is, or would be.

    The file system may write its letters in another Unicode form than the path.
    """
    file = root / path
    if path.isascii() or os.path.lexists(file):
        return file
    found = [root]
    for name in composed(path).split("/"):
        found = [below for folder in found for below in _called(folder, name)]
    return found[0] if found else file


def _called(folder: Path, name: str) -> list[Path]:
    """Return what in a folder has this name, in any Unicode form."""
    if name.isascii():
        return [folder / name] if os.path.lexists(folder / name) else []
    try:
        return [folder / other for other in os.listdir(folder) if composed(other) == name]
    except OSError:
        return []


def _listing(
    folders: Sequence[Path], prefix: str, above: _Ancestors, unreadable: Unreadable
) -> list[tuple[str, list[os.DirEntry[str]], _Ancestors]]:
    """Return (path, entries, folders above) of what folders of one name show, the last name first.

    Of one path there are several entries where their names look alike and are written otherwise.
    """
    entries: dict[str, list[os.DirEntry[str]]] = {}
    inside = above
    for folder in folders:
        try:
            stat = folder.stat()
            identity = (stat.st_dev, stat.st_ino)
            if identity in above:  # a link back to a folder we are inside of
                continue
            inside = (*inside, identity)
            with os.scandir(folder) as listing:
                for entry in sorted(listing, key=lambda entry: entry.name):
                    if _shown(entry.name):
                        entries.setdefault(composed(entry.name), []).append(entry)
        except OSError as error:
            unreadable(prefix, f"folder cannot be read: {error.strerror}")
    return [
        (name if prefix == "." else f"{prefix}/{name}", entries[name], inside)
        for name in sorted(entries, reverse=True)
    ]


def _shown(name: str) -> bool:
    return not name.startswith(".") and name.lower() not in _SYSTEM_NAMES


def _reached_anyway(link: Path, root: Path) -> bool:
    """Tell whether a linked folder lies in the corpus, where the walk meets it by its own name."""
    target = link.resolve()
    return target.is_relative_to(root) and all(map(_shown, target.relative_to(root).parts))
