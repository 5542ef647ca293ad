"""A file's path -> what is known of the painting: artist, title, year, any further field.

Labels come from the parent folder, from a pattern over the path, or from a CSV or Parquet table.
Every source answers with a flat mapping; a file it knows nothing of gets an empty one.
Paths are relative to the corpus, with ``/``.
"""

import math
import re
from collections.abc import Callable, Mapping
from pathlib import PurePosixPath

from paint_search.errors import UsageError, argument
from paint_search.indexer.corpus.dates import read_years
from paint_search.indexer.corpus.table import LabelTable
from paint_search.painting import Value, composed

FOLDER = "folder"

#: Says what is known of the file at a path.
LabelSource = Callable[[str], dict[str, Value]]

_NAME = re.compile(r"[a-z][a-z0-9_]*")

#: Fields of a pattern that are digits and nothing else.
_DIGITS = {"year": r"\d{4}|\d{3}(?!\d)", **dict.fromkeys(("number", "no", "nr"), r"\d+?")}

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

    It is laid over the end of the path; a path that it does not fit has no labels. The last
    place where what stands between two fields occurs divides them, and no field crosses a ``/``:
    with ``{artist}_{title}``, ``Paul_Klee_Senecio`` is by Paul Klee. ``{year}`` takes four digits,
    or three, ``{number}``, ``{no}`` and ``{nr}`` any number of them. The extension in the pattern
    stands for any extension.

    Raises:
        UsageError: the pattern has no field, an unknown form of field, one field twice, or two
            fields with nothing between them.
    """
    stem = composed(re.sub(r"\.\w+$", "", pattern))
    names = re.findall(r"\{([^{}]*)\}", stem)
    stray = re.search(r"[{}]", re.sub(r"\{[^{}]*\}", "", stem))
    adjacent = "}{" in re.sub(rf"\{{({'|'.join(_DIGITS)})\}}", "0", stem)
    distinct = len(set(names)) == len(names)
    if not names or stray or adjacent or not distinct or not all(map(_NAME.fullmatch, names)):
        raise UsageError(
            f"{argument('labels', pattern)} is not a pattern: write each field once, in lower "
            'case, with text between fields, as in "{movement}/{artist}_{title}-{year}.jpg"'
        )
    # Read from its end a path shows the last place where a text occurs first.
    folders = "/".join(_segment_pattern(segment) for segment in reversed(stem.split("/")))
    regex = re.compile(rf"{folders}(?:/.*)?", re.DOTALL)

    def labels(path: str) -> dict[str, Value]:
        match = regex.fullmatch(composed(str(PurePosixPath(path).with_suffix("")))[::-1])
        found = match.groupdict() if match else {}
        return clean({name: _words(found[name][::-1]) for name in names if match})

    return labels


def table_labels(table: LabelTable) -> LabelSource:
    """Return the source of a table's rows, without empty cells; see ``LabelTable.meet``."""
    return lambda path: clean(table.row(path))


def label_source(labels: str, table: LabelTable | None) -> LabelSource:
    """Return the source that ``--labels`` and ``--table`` ask for."""
    if table is not None:
        return table_labels(table)
    return folder_labels if labels == FOLDER else pattern_labels(labels)


def clean(row: Mapping[str, Value | None]) -> dict[str, Value]:
    """Drop empty cells, compose accents, and say beside a ``year`` from when to when it is.

    A ``year`` that is a number is kept as one, any other as it stands ("c. 1503-19"); where it
    names years, ``year_from`` and ``year_to`` have the earliest and the latest unless given.
    """
    kept: dict[str, Value] = {}
    for name, cell in row.items():
        value = composed(cell.strip()) if isinstance(cell, str) else cell
        if value in ("", None) or (isinstance(value, float) and not math.isfinite(value)):
            continue
        kept[f"{name}_" if name in _TAKEN else name] = value
    for name in ("artist", "title", "movement"):
        if name in kept:
            kept[name] = str(kept[name])
    if "year" in kept and (years := read_years(kept["year"])):
        if not isinstance(kept["year"], str) or re.fullmatch(r"\d+(\.0+)?", kept["year"]):
            kept["year"] = years[0]
        kept.setdefault("year_from", years[0])
        kept.setdefault("year_to", years[1])
    return kept


def _segment_pattern(segment: str) -> str:
    """Return the regular expression of a pattern's part between two ``/``, read from its end.

    Each field but the last takes the first place where what follows it fits, and is never tried
    again (``(?>``): if any place leads to a match, the first does, so no name takes long.
    """
    parts = re.split(rf"\{{((?!(?:{'|'.join(_DIGITS)})\}})[^{{}}]*)\}}", segment)[::-1]
    fields = parts[1::2]
    texts = [_reversed_text(text) for text in parts[0::2]]
    pattern = texts[0]
    for field, text in zip(fields, texts[1:], strict=True):
        found = rf"(?P<{field}>[^/]+?){text}"
        pattern += found if field == fields[-1] else f"(?>{found})"
    return pattern


def _reversed_text(text: str) -> str:
    """Return the regular expression of a text with fields of digits, read from its end."""
    pieces = re.split(r"\{(\w+)\}", text)[::-1]
    for row, piece in enumerate(pieces):
        pieces[row] = rf"(?P<{piece}>{_DIGITS[piece]})" if row % 2 else re.escape(piece[::-1])
    return "".join(pieces)


def _words(name: str) -> str:
    return " ".join(composed(name).replace("_", " ").split())
