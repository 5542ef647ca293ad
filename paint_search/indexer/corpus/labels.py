"""A file's path -> what is known of the painting: artist, title, year, any further field.

Labels come from the parent folder, from a pattern over the path, or from a CSV or Parquet table.
Every source answers with a flat mapping; a file it knows nothing of gets an empty one.
Paths are relative to the corpus, with ``/``.
"""

import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath

from paint_search.errors import UsageError, argument
from paint_search.indexer.corpus.table import LabelTable
from paint_search.painting import Value

FOLDER = "folder"

#: Says what is known of the file at a path.
LabelSource = Callable[[str], dict[str, Value]]

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


def folder_labels(path: str) -> dict[str, Value]:
    """Return artist (the parent folder, with ``_`` read as a space; none at the top) and title."""
    file = PurePosixPath(path)
    return clean({"artist": _words(file.parent.name), "title": _words(file.stem)})


def pattern_labels(pattern: str) -> LabelSource:
    """Return the source that fits a pattern such as ``{movement}/{artist}_{title}-{year}.jpg``.

    It is laid over the end of the path; a path that it does not fit has no labels. Each
    ``{field}`` takes the shortest text up to what follows it and never crosses a ``/``;
    ``{year}`` takes four digits, or three; the extension in the pattern stands for any extension.

    Raises:
        UsageError: the pattern has no field, an unknown form of field, one field twice, or two
            fields with nothing between them.
    """
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
    regex = re.compile(rf"(?:.*/)?{folders}", re.DOTALL)

    def labels(path: str) -> dict[str, Value]:
        match = regex.fullmatch(str(PurePosixPath(path).with_suffix("")))
        found = match.groupdict() if match else {}
        return clean({name: _words(text) for name, text in found.items()})

    return labels


def table_labels(table: LabelTable, root: Path) -> LabelSource:
    """Return the source of a table's rows, without empty cells; see ``LabelTable.row``."""
    return lambda path: clean(table.row(root, path))


def label_source(labels: str, table: LabelTable | None, root: Path) -> LabelSource:
    """Return the source that ``--labels`` and ``--table`` ask for."""
    if table is not None:
        return table_labels(table, root)
    return folder_labels if labels == FOLDER else pattern_labels(labels)


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
