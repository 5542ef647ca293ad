"""Where an index is, and how it writes down where the paintings are.

Never creates or changes anything.
"""

import os
from pathlib import Path
from typing import Final

from paint_search.errors import UsageError
from paint_search.index.manifest import is_index
from paint_search.indexer.corpus.scan import find_file

FOLDER: Final = ".paint-search"
VARIABLE: Final = "PAINT_SEARCH_INDEX"


def named_index(folder: str | Path | None) -> Path | None:
    """Return the index folder that was named, by argument or environment, or None."""
    named = folder or os.path.expanduser(os.environ.get(VARIABLE, ""))  # noqa: PTH111
    return Path(named).absolute() if named else None


def find_index(folder: str | Path | None = None) -> Path | None:
    """Return the index that is named, else the nearest one here or above, or None."""
    named = named_index(folder)
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


def write_path(path: Path, index: Path) -> str:
    """Write a path for the manifest: relative if it lies beside the index and may move with it."""
    home = index.parent
    relative = path.is_relative_to(home)
    return (Path("..") / path.relative_to(home) if relative else path).as_posix()


def read_path(text: str, index: Path) -> Path:
    """Return the absolute path that ``write_path`` wrote."""
    return Path(os.path.normpath(index / text))
