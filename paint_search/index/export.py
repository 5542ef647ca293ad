"""An index -> files and objects that other tools read: FAISS, NumPy, Parquet, CSV, pandas, Arrow.

Rows are in the order of ``Index.vectors``.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from paint_search.errors import UsageError, argument
from paint_search.files import replacing, write_csv
from paint_search.index.collection import Collection
from paint_search.index.select import read_vectors
from paint_search.painting import Painting, Record
from paint_search.search.filters import Filter
from paint_search.search.stores.opening import faiss_of, require_faiss

if TYPE_CHECKING:
    import faiss
    import pyarrow as pa

FORMS: Final = ("faiss", "npy", "parquet", "csv")

#: Further suffixes of each.
_ALSO: Final = {"faiss": (".index",), "npy": (), "parquet": (".pq",), "csv": ()}


def export(
    collection: Collection, out: Path, form: str, where: Filter = ()
) -> tuple[list[Path], int]:
    """Write the paintings that match; return the files written and the number of paintings."""
    if form not in FORMS:
        raise UsageError(
            f"unknown {argument('form', form, '--to')}: use {', '.join(FORMS[:-1])} or {FORMS[-1]}"
        )
    if form == "faiss":
        require_faiss()
    if out.suffix.lower() not in ("", f".{form}", *_ALSO[form]):
        raise UsageError(
            f"cannot write {out}: name a .{form} file, or another {argument('form', option='--to')}"
        )
    beside = out.with_suffix(".csv")
    if form in ("faiss", "npy") and beside.exists() and not out.exists():
        raise UsageError(
            f"{beside}, where the labels go, is there already; move it, or name another file"
        )
    if form == "parquet":
        import pyarrow.parquet as pq

        table = to_arrow(collection, where)
        with replacing(out) as fresh, fresh.open("wb") as stream:
            pq.write_table(table, stream)
        return [out], table.num_rows
    if form == "csv":
        paintings = list_paintings(collection, where)
        _write_csv(out, columns_of(paintings))
        return [out], len(paintings)
    if form == "npy":
        paintings, vectors = _rows(collection, where)
        with replacing(out) as fresh, fresh.open("wb") as stream:
            np.save(stream, vectors, allow_pickle=False)
        _write_csv(beside, columns_of(paintings))
        return [out, beside], len(paintings)
    import faiss

    made, known = _labelled_index(collection, where)
    with replacing(out) as fresh, fresh.open("wb") as stream:
        faiss.write_index(made, faiss.PyCallbackIOWriter(stream.write))  # type: ignore[attr-defined]
    columns = columns_of(list(known.values()))
    if "label" in columns:  # a field of the paintings, and not FAISS' label
        columns["label_"] = columns.pop("label")
    _write_csv(beside, {"label": list(known), **columns})
    return [out, beside], len(known)


def list_paintings(collection: Collection, where: Filter = ()) -> list[Painting]:
    """Return the paintings that match, in the order of their ids."""
    return [_painting(record) for record in collection.store.scroll(where)]


def columns_of(paintings: Sequence[Painting]) -> dict[str, list[Any]]:
    """Return id, path and every field as columns, None where a painting lacks one."""
    rows = [painting.to_dict() for painting in paintings]
    names = dict.fromkeys(name for row in rows for name in row) or ["id", "path"]
    return {name: [row.get(name) for row in rows] for name in names}


def to_arrow(collection: Collection, where: Filter = ()) -> "pa.Table":
    """Return id, path, fields and vectors as an Arrow table; a field of several types is text."""
    return arrow_table(*_rows(collection, where))


def arrow_table(paintings: Sequence[Painting], vectors: NDArray[np.float32]) -> "pa.Table":
    """Return n paintings and their vectors, (n, d), as an Arrow table."""
    import pyarrow as pa

    columns = one_type_each(columns_of(paintings))
    flat = pa.array(vectors.reshape(-1), type=pa.float32())
    vector = pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1])
    return pa.table({**columns, "vector": vector})


def to_faiss(collection: Collection, where: Filter = ()) -> "tuple[faiss.Index, dict[int, str]]":
    """Return a FAISS index by inner product, and label -> painting id.

    A FAISS store hands out the index that it searches where there are no conditions; else a flat
    one is made of the vectors that scores are taken from.
    """
    require_faiss()
    ready = None if where else faiss_of(collection.store)
    if ready is not None:
        return ready
    index, paintings = _flat_index(collection, where)
    return index, {label: painting.id for label, painting in enumerate(paintings)}


def one_type_each(columns: Mapping[str, Sequence[Any]]) -> dict[str, Sequence[Any]]:
    """Return the columns for Arrow: one whose values are of several types becomes text."""
    return {
        name: values
        if len({type(value) for value in values if value is not None}) < 2
        else [None if value is None else str(value) for value in values]
        for name, values in columns.items()
    }


def _labelled_index(
    collection: Collection, where: Filter
) -> "tuple[faiss.Index, dict[int, Painting]]":
    """Return the index of ``to_faiss``, and label -> painting, by rising labels."""
    ready = None if where else faiss_of(collection.store)
    if ready is None:
        index, paintings = _flat_index(collection, where)
        return index, dict(enumerate(paintings))
    index, ids = ready  # of a store that has one user: nothing is written meanwhile
    known = {painting.id: painting for painting in list_paintings(collection)}
    return index, {label: known[ids[label]] for label in sorted(ids)}


def _flat_index(collection: Collection, where: Filter) -> "tuple[faiss.Index, list[Painting]]":
    import faiss

    paintings, vectors = _rows(collection, where)
    if not paintings:
        raise UsageError("there are no paintings to make a FAISS index of")
    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(vectors)
    return index, paintings


def _rows(collection: Collection, where: Filter) -> tuple[list[Painting], NDArray[np.float32]]:
    return read_vectors(collection, collection.manifest.kept(None), where, _painting)


def _painting(record: Record) -> Painting:
    return Painting.from_payload(record.payload)


def _write_csv(out: Path, columns: Mapping[str, Sequence[Any]]) -> None:
    write_csv(out, columns, zip(*columns.values(), strict=True))
