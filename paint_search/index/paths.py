"""Where an index is, how it writes down where the paintings are, and which files it may show.

Never creates or changes anything.
"""

import itertools
import os
import re
from pathlib import Path
from typing import Final

from paint_search.errors import UsageError, argument
from paint_search.index.manifest import is_index
from paint_search.indexer.corpus.scan import find_file
from paint_search.painting import Painting
from paint_search.search.stores.uri import Place

FOLDER: Final = ".paint-search"
VARIABLE: Final = "PAINT_SEARCH_INDEX"

#: How the address of a collection begins, also where a path was made of it.
_ADDRESS: Final = re.compile("(qdrants?):/{1,2}")

#: No file is below it.
NOWHERE: Final = Path(os.devnull)


def named_index(folder: str | Path | None) -> Path | Place | None:
    """Return the index folder that was named, or a collection by its address, or None.

    Raises:
        UsageError: an address that cannot be read.
    """
    named = str(folder or os.environ.get(VARIABLE, ""))
    if match := _ADDRESS.match(named):
        try:
            return Place.parse(f"{match[1]}://{named[match.end() :]}")
        except UsageError as error:
            raise UsageError(f"{argument('folder', named, '--index')}: {error.args[0]}") from error
    return Path(os.path.expanduser(named)).absolute() if named else None  # noqa: PTH111


def find_index(folder: str | Path | None = None) -> Path | Place | None:
    """Return the index that is named, else the nearest one here or above, or None."""
    named = named_index(folder)
    if isinstance(named, Place):
        return named
    if named:
        return named if is_index(named) else None
    here = Path.cwd()
    return next(
        (above / FOLDER for above in (here, *here.parents) if is_index(above / FOLDER)), None
    )


def corpus_folder(folder: str | Path) -> Path:
    """Return the absolute path of a folder of paintings, in any Unicode form; links in it are kept.

    Raises:
        UsageError: there is no such folder.
    """
    path = Path(os.path.abspath(folder))
    path = find_file(Path(path.anchor), path.relative_to(path.anchor).as_posix())
    if not path.is_dir():
        raise UsageError(f"there is no folder {folder}; name the folder that holds the paintings")
    return path


def find_picture(painting: Painting, root: Path, index: Path) -> Path | None:
    """Return where the file of a painting is, or would be; None where it may not be shown.

    An index may come from anybody, and name any folder as its corpus, or bring links along. A file
    in the corpus beside it is shown. One that lies elsewhere, or behind a link that leads out, is
    shown if it is the very one that was indexed, by its size and second, which nobody knows who
    has not seen it: ``index`` follows the user's own links.
    """
    # Texts are quicker than paths, and this is done for each painting.
    file, home = find_file(root, painting.path), os.path.normpath(index.parent)
    start, text = f"{home.rstrip(os.sep)}{os.sep}", str(file)
    if text.startswith(start):
        names = text[len(start) :].split(os.sep)  # noqa: PTH206
        below = itertools.accumulate(names, "{}/{}".format)
        if not any(os.path.islink(start + part) for part in below):  # noqa: PTH114
            return file
        corpus = root.resolve()
        if file.resolve().is_relative_to(corpus) and corpus.is_relative_to(Path(home).resolve()):
            return file
    try:
        stat = file.stat()
    except (OSError, ValueError):
        return file  # which is not there
    size, time = painting.stamp or (-1, 0)
    return file if (stat.st_size, stat.st_mtime_ns // 10**9) == (size, time // 10**9) else None


def write_path(path: Path, index: Path) -> str:
    """Write a path for the manifest: relative if it lies beside the index and may move with it."""
    home = index.parent
    relative = path.is_relative_to(home)
    return (Path("..") / path.relative_to(home) if relative else path).as_posix()


def read_path(text: str, index: Path) -> Path:
    """Return the absolute path that ``write_path`` wrote."""
    return Path(os.path.normpath(index / text))
