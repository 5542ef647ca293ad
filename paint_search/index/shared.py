"""An index that a team shares: what its collection says of it -> a folder, and back.

The collection on the server is the truth; the folder of whoever opens it is a cache of that, which
may be missing. What comes from a server is checked as any file of a stranger's is.
"""

import hashlib
import json
import secrets
from collections.abc import Iterator
from contextlib import nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from platformdirs import user_cache_path

from paint_search.errors import IndexMissingError, StoreError
from paint_search.files import read_bytes, read_json, replacing
from paint_search.index.manifest import Manifest, is_index
from paint_search.index.paths import NOWHERE, write_path
from paint_search.search.stores.description import MOST_BYTES, Part, Shared
from paint_search.search.stores.uri import Place

#: What this folder has of the collection's files, and how it signs what it writes there.
_RECORD: Final = "shared.json"

#: Files of an index that travel: by what their path begins with.
BACKBONE: Final = "backbone"
CALIBRATION: Final = "verification"


def cache_folder(place: Place) -> Path:
    """Return the folder that caches what a collection says of itself."""
    digest = hashlib.sha256(f"{place.server}/{place.base}".encode()).hexdigest()[:16]
    return user_cache_path("paint-search") / "collections" / f"{place.base}-{digest}"


def is_cache(folder: Path) -> bool:
    """Tell whether a folder is a cache of a collection, and nobody's index."""
    return folder.parent == user_cache_path("paint-search") / "collections"


def receive(folder: Path, shared: Shared, images: Path | None = None) -> Manifest:
    """Bring a folder up to date with what its collection says of itself, and return the manifest.

    Args:
        folder: of the index, or the cache; made if need be.
        shared: the collection, just asked.
        images: where the paintings are on this machine; None for where they were.

    Raises:
        IndexMissingError: there is no such collection.
        ManifestError: what it says is damaged, or newer than this program.
        StoreError: it does not say what it is, or the folder cannot be written.
    """
    here = Manifest.read(folder) if is_index(folder) else None
    described, place = shared.description, shared.place
    if described is None and here is not None and not is_cache(folder):
        raise StoreError(
            f"{place.server} has no collection {place.base!r} (any more); restore it from a "
            f"snapshot, or delete {folder} and index again"
        )
    if described is None:
        raise IndexMissingError(
            f"there is no collection {place.base!r} on {place.server} that paint-search has made; "
            f"make one with paint-search index FOLDER --store {place}"
        )
    if not described.manifest:
        if here is None:
            raise StoreError(
                f"{place} was made before collections said what they are; run paint-search index "
                "with the index folder that made it, and any machine can open it"
            )
        manifest = replace(here, store=place)
    else:
        root = here.root if here is not None else NOWHERE.as_posix()
        if images is not None:
            root = write_path(images, folder)
        manifest = Manifest.of_shared(dict(described.manifest), place, root, here)
    if manifest != here:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"{folder} cannot be made: {error.strerror}") from error
        # A folder that may only be read is as good a cache: it is brought up to date each time.
        with suppress(StoreError) if here is not None else nullcontext():
            manifest.write(folder)
    return manifest


def share(folder: Path, shared: Shared, manifest: Manifest, *fresh: str) -> bool:
    """Tell all who open the collection what the manifest says; False where the key may not.

    Args:
        folder: of the index.
        shared: its collection.
        manifest: of the index.
        fresh: what the paths of files begin with that are sent, such as ``backbone``.
    """
    described = shared.description
    if described is None:
        return False
    made = manifest.compression
    kept = (BACKBONE, CALIBRATION, *([made.folder] if made else []))
    parts = {name: part for name, part in described.parts.items() if name.startswith(kept)}
    sent = _record(folder)
    for prefix in fresh:
        for name, file in _files(folder, prefix):
            content = read_bytes(file, MOST_BYTES)
            parts[name] = Part.of(content)
            if not shared.send(parts[name], content):
                return False
            sent["files"][name] = parts[name].sha256
    if fresh:
        _keep(folder, sent)
    return shared.describe(manifest.shared(), parts)


def fetch(folder: Path, shared: Shared, prefix: str) -> None:
    """Bring the files whose paths begin so, unless the folder has them as they are.

    Raises:
        StoreError: the collection lacks one, or the folder cannot be written.
    """
    described = shared.description
    wanted = described.parts if described is not None else {}
    record = None
    for name, part in wanted.items():
        if not name.startswith(prefix):
            continue
        record = record or _record(folder)
        if record["files"].get(name) == part.sha256 and (folder / name).is_file():
            continue
        content = shared.fetch(part)
        try:
            (folder / name).parent.mkdir(exist_ok=True)
            with replacing(folder / name) as fresh:
                fresh.write_bytes(content)
        except OSError as error:
            raise StoreError(f"{folder / name} cannot be written: {error.strerror}") from error
        record["files"][name] = part.sha256
        _keep(folder, record)


def claim_of(folder: Path) -> str:
    """Return what this folder signs with where it replaces the points of a collection."""
    record = _record(folder)
    if not record["claim"]:
        record["claim"] = secrets.token_hex(16)
        _keep(folder, record)
    return str(record["claim"])


def _files(folder: Path, prefix: str) -> Iterator[tuple[str, Path]]:
    """Yield the files that travel, by their path below the folder."""
    places = [folder / prefix] if (folder / prefix).is_dir() else [folder]
    for place in places:
        for file in sorted(place.iterdir()):
            name = file.relative_to(folder).as_posix()
            if name.startswith(prefix) and file.is_file() and not file.is_symlink():
                yield name, file


def _record(folder: Path) -> dict[str, Any]:
    try:
        found = read_json(folder / _RECORD)
        return {"claim": str(found["claim"]), "files": dict(found["files"])}
    except (OSError, ValueError, LookupError, TypeError):
        return {"claim": "", "files": {}}  # then files are sent or fetched once more


def _keep(folder: Path, record: dict[str, Any]) -> None:
    try:
        with replacing(folder / _RECORD) as fresh:
            fresh.write_text(json.dumps(record), encoding="utf-8")
    except OSError as error:
        raise StoreError(f"{folder / _RECORD} cannot be written: {error.strerror}") from error
