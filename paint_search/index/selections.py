"""Named selections of works, kept in the index folder: what somebody collects, or leaves out.

A work is kept by its path, which its id follows from, so that one that was left out is known when
its file is met again. They belong to the folder, not to a collection on a server: another machine
has its own. A work that moves to another path is another.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from filelock import FileLock, Timeout

from paint_search.errors import (
    PaintSearchError,
    StoreBusyError,
    StoreError,
    UnknownError,
    UsageError,
    counted,
)
from paint_search.files import read_json, replacing
from paint_search.index.collection import PATIENCE, Collection
from paint_search.indexer.corpus.scan import ScannedFile, Unreadable, Walk
from paint_search.painting import Painting, composed, painting_id, path_in
from paint_search.search.filters import Condition

SELECTIONS: Final = "selections.json"

_FORMAT: Final = 1
_ID: Final = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_LONGEST: Final = 200  # characters of a name
_MOST_BYTES: Final = 15 * 2**20  # of all, somewhat below what is read of a file


@dataclass(frozen=True, slots=True)
class Selection:
    """Works under a name, in an order; ``excluded`` ones are passed over by ``index``."""

    name: str
    paths: tuple[str, ...]  #: of the works, below the corpus
    excluded: bool = False

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids of the works."""
        return tuple(map(painting_id, self.paths))

    @property
    def condition(self) -> Condition:
        """What those of its works meet that are indexed."""
        return Condition("path", values=self.paths or ("",))

    def describe(self) -> str:
        """Say in a few words how large it is, and whether it is left out."""
        return counted(len(self.paths), "work") + (", excluded" if self.excluded else "")


def read_selections(folder: Path) -> dict[str, Selection]:
    """Return the selections of the index in ``folder``, by their names.

    Raises:
        StoreError: they are damaged, or of a newer version.
    """
    file = folder / SELECTIONS
    try:
        record = read_json(file)
        if record["format"] > _FORMAT:
            raise ValueError(f"format {record['format']}, of a newer version")
        found = [
            Selection(
                _checked(one["name"]),
                tuple(path_in({"path": path}) for path in one["paths"]),
                bool(one["excluded"]),
            )
            for one in record["selections"]
        ]
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, LookupError, TypeError, PaintSearchError) as error:
        raise StoreError(
            f"{file} is damaged ({error}); restore it from a backup, or delete it"
        ) from error
    return {selection.name: selection for selection in found}


def require_selection(folder: Path, name: str) -> Selection:
    """Return the selection of this name, or raise an UnknownError where there is none."""
    known = read_selections(folder)
    if (found := known.get(composed(name).strip())) is None:
        has = f"has {', '.join(map(repr, known))}" if known else "has none"
        raise UnknownError(f"there is no selection {name!r}; this index {has}")
    return found


def save_selection(
    collection: Collection, name: str, ids: Sequence[str], excluded: bool
) -> Selection:
    """Keep works under a name, whatever was kept under it before; see ``Index.save_selection``."""
    if isinstance(ids, str):
        raise UsageError(f"give a list of ids, not the single {ids!r}")
    name, unique = _checked(name), list(dict.fromkeys(ids))
    possible = [key for key in unique if isinstance(key, str) and _ID.fullmatch(key)]
    found = collection.ask(lambda now: now.store.get(possible))
    with _changing(collection.folder) as known:
        paths = {painting_id(path): path for one in known.values() for path in one.paths}
        paths |= {key: record.path for key, record in found.items()}
        if unknown := [key for key in unique if key not in paths]:
            raise UnknownError(
                f"{unknown[0]!r} is no id of this index; see paint-search list --json"
            )
        made = Selection(name, tuple(paths[key] for key in unique), excluded)
        known[name] = made
    return made


def delete_selection(folder: Path, name: str) -> None:
    """Forget a selection; UnknownError where there is none of this name."""
    found = require_selection(folder, name)
    with _changing(folder) as known:
        known.pop(found.name, None)


def selected(collection: Collection, selection: Selection) -> list[Painting]:
    """Return its works in its order; of those that are not indexed nothing but id and path."""
    found = collection.ask(lambda now: now.store.get(selection.ids))
    return [
        Painting.from_payload(found[key].payload) if key in found else Painting(key, path)
        for key, path in zip(selection.ids, selection.paths, strict=True)
    ]


class Exclusions:
    """What ``index`` leaves out: files that an excluded selection names.

    Attributes:
        paths: of the files, each with the name of the selection.
    """

    def __init__(self, folder: Path) -> None:
        excluded = [one for one in read_selections(folder).values() if one.excluded]
        self.paths = {path: one.name for one in excluded for path in one.paths}
        self._passed: Counter[str] = Counter()

    def without(self, walk: Walk) -> Walk:
        """Return a walk that passes over them."""

        def kept(unreadable: Unreadable) -> Iterator[ScannedFile]:
            self._passed.clear()
            for file in walk(unreadable):
                if (name := self.paths.get(file.path)) is None:
                    yield file
                else:
                    self._passed[name] += 1

        return kept if self.paths else walk

    def remarks(self) -> list[str]:
        """Say in lines how many files the last walk passed over."""
        return [
            f"{counted(count, 'file')} excluded by the selection {name!r}"
            for name, count in self._passed.items()
        ]


def iiif_manifest(
    selection: Selection,
    works: Iterable[Painting],
    base: str,
    sizes: Mapping[str, tuple[int, int]],
) -> dict[str, Any]:
    """Return a selection as a manifest of IIIF's Presentation API 3.0, a canvas for each work.

    Reference: https://iiif.io/api/presentation/3.0/

    Args:
        selection: whose works they are.
        works: in order.
        base: address of the server that shows the pictures, as ``paint-search serve`` does.
        sizes: width and height in pixels of each picture as shown, by id; those without are left
            out.
    """
    base = base.rstrip("/")
    own = f"{base}/v1/selections/{quote(selection.name, safe='')}/iiif"
    canvases = []
    for work in works:
        if work.id not in sizes:
            continue
        canvas, picture = f"{own}/canvas/{work.id}", f"{base}/v1/works/{work.id}"
        size = dict(zip(("width", "height"), sizes[work.id], strict=True))
        image = {
            "id": f"{picture}/iiif/full/max/0/default.jpg",
            "type": "Image",
            "format": "image/jpeg",
            **size,
            "service": [{"id": f"{picture}/iiif", "type": "ImageService3", "profile": "level0"}],
        }
        painted = {
            "id": f"{canvas}/image",
            "type": "Annotation",
            "motivation": "painting",
            "body": image,
            "target": canvas,
        }
        canvases.append(
            {
                "id": canvas,
                "type": "Canvas",
                "label": _said(work.title or Path(work.path).stem),
                **size,
                "metadata": [
                    {"label": _said(name), "value": _said(value)}
                    for name, value in work.labels().items()
                ],
                "items": [{"id": f"{canvas}/page", "type": "AnnotationPage", "items": [painted]}],
            }
        )
    return {
        "@context": "http://iiif.io/api/presentation/3/context.json",
        "id": own,
        "type": "Manifest",
        "label": _said(selection.name),
        "items": canvases,
    }


def _said(value: object) -> dict[str, list[str]]:
    return {"none": [str(value)]}


def _checked(name: Any) -> str:
    """Return a name as it is kept; UnknownError where it is none."""
    known = composed(name).strip() if isinstance(name, str) else ""
    if not (0 < len(known) <= _LONGEST and known.isprintable()) or "/" in known:
        raise UnknownError(
            f"{str(name)[:_LONGEST]!r} names no selection: use up to {_LONGEST} letters, digits "
            "and signs, without /"
        )
    return known


@contextmanager
def _changing(folder: Path) -> Iterator[dict[str, Selection]]:
    """Give the selections to be changed, and write them; one process at a time, briefly."""
    file = folder / SELECTIONS
    try:
        lock = folder / "lock.selections"
        if lock.is_symlink():  # what it leads to would be emptied
            lock.unlink()
        with FileLock(lock, timeout=PATIENCE):
            known = read_selections(folder)
            yield known
            record = [
                {"name": one.name, "excluded": one.excluded, "paths": one.paths}
                for one in known.values()
            ]
            text = json.dumps({"format": _FORMAT, "selections": record}, indent=1)
            if len(text) > _MOST_BYTES:
                raise UsageError("these are more works than selections are kept of; leave some out")
            with replacing(file) as fresh:
                fresh.write_text(text, encoding="utf-8")
    except Timeout as error:
        raise StoreBusyError(f"{file} is being written by another process; try again") from error
    except OSError as error:
        raise StoreError(f"{file} cannot be written: {error.strerror}") from error
