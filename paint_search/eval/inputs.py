"""What every study is handed, checked once: vectors -> unit rows, labels -> codes and counts.

Vectors of any norm and labels (str or None) come in; unit rows, integer codes and plain answers
to bad data (`EvalError`) go out. Nothing here measures anything or changes its arguments.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, is_dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from paint_search.errors import EvalError

Vectors = npt.NDArray[np.floating[Any]]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Selection = npt.NDArray[Any] | Sequence[int] | Sequence[bool]
Labels = Sequence[str | None] | npt.NDArray[Any]


@dataclass(frozen=True)
class Groups:
    """Labels as integers: `names[codes[i]]` is the label of row i."""

    names: tuple[str, ...]  #: the distinct labels, sorted
    codes: Ints  #: (n,) index into `names`, -1 where the row is unlabelled
    counts: Ints  #: (len(names),) number of rows of each label

    @property
    def labelled(self) -> Ints:
        """Indices of the rows that carry a label, ascending."""
        return np.flatnonzero(self.codes >= 0)

    @property
    def by_label(self) -> Ints:
        """Indices of the labelled rows in the order of `names`, each label a run of rows."""
        labelled = self.labelled
        return labelled[np.argsort(self.codes[labelled], kind="stable")]

    @property
    def starts(self) -> Ints:
        """Where in `by_label` the rows of each label begin."""
        return np.asarray(np.cumsum(self.counts) - self.counts)

    @property
    def runs(self) -> list[slice]:
        """Where in `by_label` the rows of each label stand."""
        pairs = zip(self.starts.tolist(), self.counts.tolist(), strict=True)
        return [slice(start, start + size) for start, size in pairs]

    @property
    def unlabelled(self) -> int:
        """How many rows carry no label."""
        return int(np.count_nonzero(self.codes < 0))

    def code(self, name: str) -> int:
        """Return the code of a label; `EvalError` names it when no work carries it."""
        try:
            return self.names.index(name)
        except ValueError:
            raise EvalError(
                f"No work is labelled {name!r}; {len(self.names)} labels are known."
            ) from None


def unit_rows(vectors: npt.ArrayLike, dtype: npt.DTypeLike | None = None) -> Vectors:
    """Return the rows scaled to Euclidean length 1, as a new (n, d) array.

    Args:
        vectors: (n, d) real numbers of any norm; n may be 0.
        dtype: floating type of the result; by default that of `vectors`, at least float32.

    Raises:
        EvalError: not two-dimensional, or a row that is all zeros, NaN or infinite.
    """
    rows = np.asarray(vectors)
    if rows.ndim != 2:
        raise EvalError(f"Vectors must be a table of n rows and d columns, not {rows.ndim}-d.")
    rows = rows.astype(np.result_type(rows.dtype, np.float32))
    # Dividing by the largest entry first keeps the squares of very small or large rows finite.
    largest = np.abs(rows).max(axis=1, initial=0.0, keepdims=True)
    bad = ~np.isfinite(largest[:, 0]) | (largest[:, 0] == 0)
    if bad.any():
        raise EvalError(
            f"{np.count_nonzero(bad)} of {len(rows)} vectors are all zeros or not finite "
            f"(the first is row {np.flatnonzero(bad)[0]}); they have no direction to compare."
        )
    rows /= largest
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows.astype(dtype or rows.dtype, copy=False)


def group_labels(labels: Labels, size: int) -> Groups:
    """Encode `size` labels; None is unlabelled and gets code -1.

    Raises:
        EvalError: as many labels as vectors are not given, or a label is neither str nor None.
    """
    values = list(labels)
    if len(values) != size:
        raise EvalError(f"{len(values)} labels were given for {size} vectors.")
    if not all(value is None or isinstance(value, str) for value in values):
        raise EvalError("Labels must be text, or None where a work is unlabelled.")
    names = tuple(sorted({value for value in values if value is not None}))
    position: dict[str | None, int] = {name: code for code, name in enumerate(names)}
    codes = np.array([position.get(value, -1) for value in values], dtype=np.int64)
    return Groups(names, codes, np.bincount(codes[codes >= 0], minlength=len(names)))


def label_means(unit: Vectors, groups: Groups) -> Floats:
    """Return the mean unit vector of each label, (m, d); EvalError if no row is labelled."""
    if not groups.names:
        raise EvalError(f"None of {len(unit)} works is labelled: there is nothing to compare.")
    sums = np.add.reduceat(unit[groups.by_label], groups.starts, axis=0, dtype=np.float64)
    return np.asarray(sums / groups.counts[:, None])


def plain(value: Any) -> Any:
    """Return figures as JSON can carry them, None where one is NaN or infinite.

    Arrays and tuples become lists; a result of a study what its `to_dict` says, or its fields.
    """
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    if is_dataclass(value):
        value = value.to_dict() if hasattr(value, "to_dict") else vars(value)
    if isinstance(value, Mapping):
        return {name: plain(one) for name, one in value.items()}
    return value


def plain_fields(result: object, *names: str) -> dict[str, Any]:
    """Return fields, or properties, of a result as JSON can carry them: those named, or all."""
    return {name: plain(getattr(result, name)) for name in names or vars(result)}


def row_selection(selection: Selection | None, size: int) -> Ints:
    """Turn a mask or indices into ascending distinct rows; all rows where None."""
    if selection is None:
        return np.arange(size)
    chosen = np.asarray(selection)
    if chosen.dtype == np.bool_ and chosen.shape == (size,):
        return np.flatnonzero(chosen)
    whole = chosen.ndim == 1 and (chosen.size == 0 or np.issubdtype(chosen.dtype, np.integer))
    if not whole or ((chosen < 0) | (chosen >= size)).any():
        raise EvalError(f"A split must be a mask of {size} works or their rows, from 0 up.")
    return np.unique(chosen.astype(np.int64))
