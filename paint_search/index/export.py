"""An index -> files that other tools read: FAISS, NumPy, Parquet, CSV.

Rows are in the order of ``Index.vectors``. Writes beside the target and renames into place.
"""

import csv
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from paint_search.errors import UsageError
from paint_search.index.index import Index
from paint_search.painting import Painting
from paint_search.search.filters import Filter


def write(index: Index, out: Path, form: str, where: Filter = ()) -> tuple[list[Path], int]:
    """Write the paintings that match; return the files written and the number of paintings.

    Args:
        index: where they are.
        out: the file to write.
        form: ``faiss`` writes a FAISS index and the labels beside it as CSV, whose column
            ``label`` is that of FAISS; ``npy`` writes (n, d) float32 and the labels beside it
            as CSV; ``parquet`` writes one table with a column ``vector``; ``csv`` writes labels
            only.
        where: conditions on the paintings.

    Raises:
        UsageError: an unknown form.
    """
    if form not in ("faiss", "npy", "parquet", "csv"):
        raise UsageError(f"unknown --to {form!r}: use faiss, npy, parquet or csv")
    if form in ("faiss", "npy") and out.suffix == ".csv":
        raise UsageError(
            f"{out} is where the labels would go; name a .{form} file, or use --to csv"
        )
    paintings = list(index.paintings(where))
    if form == "csv":
        return [_replace(out, lambda file: _write_csv(file, paintings))], len(paintings)
    if form == "faiss":
        return _export_faiss(index, out, where, paintings)
    _, vectors = index.vectors(where)
    if form == "parquet":
        return [_replace(out, lambda file: _write_parquet(file, paintings, vectors))], len(vectors)
    return [
        _replace(out, lambda file: _write_npy(file, vectors)),
        _replace(out.with_suffix(".csv"), lambda file: _write_csv(file, paintings)),
    ], len(vectors)


def _export_faiss(
    index: Index, out: Path, where: Filter, paintings: Sequence[Painting]
) -> tuple[list[Path], int]:
    import faiss

    made, names = index.faiss(where)
    labels = {name: label for label, name in names.items()}
    known = sorted(
        (painting for painting in paintings if painting.id in labels),
        key=lambda painting: labels[painting.id],
    )
    column = {"label": [labels[painting.id] for painting in known]}
    return [
        _replace(out, lambda file: faiss.write_index(made, str(file))),
        _replace(
            out.with_suffix(".csv"), lambda file: _write_table(file, column | _columns(known))
        ),
    ], len(known)


def _replace(out: Path, write_to: Callable[[Path], None]) -> Path:
    fresh = out.with_name(f"{out.name}.new")
    write_to(fresh)
    os.replace(fresh, out)
    return out


def _columns(paintings: Sequence[Painting]) -> dict[str, list[Any]]:
    rows = [painting.to_dict() for painting in paintings]
    names = dict.fromkeys(name for row in rows for name in row) or ["id", "path"]
    return {name: [row.get(name) for row in rows] for name in names}


def _write_npy(file: Path, vectors: np.ndarray[Any, Any]) -> None:
    with file.open("wb") as stream:
        np.save(stream, vectors, allow_pickle=False)


def _write_csv(file: Path, paintings: Sequence[Painting]) -> None:
    _write_table(file, _columns(paintings))


def _write_table(file: Path, columns: dict[str, list[Any]]) -> None:
    with file.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))


def _write_parquet(
    file: Path, paintings: Sequence[Painting], vectors: np.ndarray[Any, Any]
) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {
        name: values if len({type(v) for v in values} - {type(None)}) < 2 else [*map(str, values)]
        for name, values in _columns(paintings).items()
    }
    flat = pa.array(vectors.reshape(-1), type=pa.float32())
    vector = pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1])
    pq.write_table(pa.table({**columns, "vector": vector}), file)
