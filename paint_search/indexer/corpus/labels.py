"""A file's path -> what is known of the painting: artist, title, year, any further field.

Labels come from the parent folder, from a pattern over the path, or from a CSV or Parquet table.
Every source answers with a flat mapping; a file it knows nothing of gets an empty one.
"""

import math
import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Protocol

from paint_search.errors import UsageError, argument
from paint_search.indexer.corpus.table import LabelTable
from paint_search.painting import Value

FOLDER = "folder"

_YEAR = re.compile(r"(?<!\d)(1\d{3}|20\d{2}|[5-9]\d{2})(?!\d)")
_NAME = re.compile(r"[a-z][a-z0-9_]*")

#: What paintings and hits have of their own; a label of that name is kept with ``_`` behind it.
_TAKEN = frozenset(
    {
        "above_other_artists",
        "above_same_artist",
        "copies",
        "id",
        "path",
        "rank",
        "score",
        "vector",
    }
)


class LabelSource(Protocol):
    """Anything that can say what is known of a file."""

    def labels(self, path: str, location: Path) -> Mapping[str, Value]:
        """Return the labels of the file with this corpus-relative path and location."""
        ...


class FolderLabels:
    """The parent folder is the artist; of a file at the top of the corpus none is known."""

    def labels(self, path: str, location: Path) -> Mapping[str, Value]:
        """Return artist (with ``_`` read as a space) and title."""
        file = PurePosixPath(path)
        return clean({"artist": _words(file.parent.name), "title": _words(file.stem)})


class PatternLabels:
    """A pattern such as ``{movement}/{artist}_{title}-{year}.jpg`` over the end of the path.

    Each ``{field}`` takes the shortest text up to what follows it and never crosses a ``/``;
    ``{year}`` takes four digits, or three; the extension in the pattern stands for any extension.

    Raises:
        UsageError: the pattern has no field, an unknown form of field, one field twice, or two
            fields with nothing between them.
    """

    def __init__(self, pattern: str) -> None:
        stem = re.sub(r"\.\w+$", "", pattern)
        names = re.findall(r"\{([^{}]*)\}", stem)
        stray = re.search(r"[{}]", re.sub(r"\{[^{}]*\}", "", stem))
        adjacent = "}{" in stem.replace("{year}", "0")
        distinct = len(set(names)) == len(names)
        if not names or stray or adjacent or not distinct or not all(map(_NAME.fullmatch, names)):
            raise UsageError(
                f"{argument('labels', pattern)} is not a pattern: write each field once, in lower "
                'case, with text between fields, as in "{movement}/{artist}_{title}-{year}.jpg"'
            )
        folders = "/".join(_segment_pattern(segment) for segment in stem.split("/"))
        self._regex = re.compile(rf"(?:.*/)?{folders}", re.DOTALL)

    def labels(self, path: str, location: Path) -> Mapping[str, Value]:
        """Return the fields that the pattern finds; none if it does not match the path."""
        match = self._regex.fullmatch(str(PurePosixPath(path).with_suffix("")))
        if match is None:
            return {}
        return clean({name: _words(text) for name, text in match.groupdict().items()})


class TableLabels:
    """Rows of a CSV or Parquet table, joined on path or file name; see ``LabelTable.row``."""

    def __init__(self, table: LabelTable, root: Path) -> None:
        self._table = table
        self._root = root

    def labels(self, path: str, location: Path) -> Mapping[str, Value]:
        """Return the row of this file, without empty cells; none if the table has no such row."""
        return clean(self._table.row(self._root, path))


def label_source(labels: str, table: LabelTable | None, root: Path) -> LabelSource:
    """Return the source that ``--labels`` and ``--table`` ask for."""
    if table is not None:
        return TableLabels(table, root)
    return FolderLabels() if labels == FOLDER else PatternLabels(labels)


def clean(row: Mapping[str, Value | None]) -> dict[str, Value]:
    """Drop empty cells and read ``year`` as a number where its text holds one ("c. 1889")."""
    kept: dict[str, Value] = {}
    for name, cell in row.items():
        value = cell.strip() if isinstance(cell, str) else cell
        if value in ("", None) or (isinstance(value, float) and not math.isfinite(value)):
            continue
        kept[f"{name}_" if name in _TAKEN else name] = value
    if "year" in kept:
        found = _YEAR.search(str(kept.pop("year")))
        if found:
            kept["year"] = int(found.group())
    for name in ("artist", "title", "movement"):
        if name in kept:
            kept[name] = str(kept[name])
    return kept


def _segment_pattern(segment: str) -> str:
    """Return the regular expression of a pattern's part between two ``/``.

    Each field but the last takes the first place where what follows it fits, and is never tried
    again (``(?>``): if any place leads to a match, the first does, so no name takes long.
    """
    parts = re.split(r"\{((?!year\})[^{}]*)\}", segment)
    fields = parts[1::2]
    texts = [
        r"(?P<year>\d{4}|\d{3}(?!\d))".join(re.escape(piece) for piece in text.split("{year}"))
        for text in parts[0::2]
    ]
    pattern = texts[0]
    for field, text in zip(fields, texts[1:], strict=True):
        found = rf"(?P<{field}>[^/]+?){text}"
        pattern += found if field == fields[-1] else f"(?>{found})"
    return pattern


def _words(name: str) -> str:
    return " ".join(name.replace("_", " ").split())
