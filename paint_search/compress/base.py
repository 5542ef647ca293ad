"""What every compressor does: learn from vectors, shorten others, be saved and loaded.

Vectors of any norm come in, unit rows of ``dims`` numbers go out; only directions matter, since
all similarity here is cosine. Saved as JSON and safetensors, so that loading one never runs code.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self

import numpy as np
from numpy.typing import NDArray

from paint_search.errors import CompressError, EvalError, UsageError, counted, missing_libraries
from paint_search.eval import inputs
from paint_search.files import read_arrays, read_json, replacing
from paint_search.painting import Progress

if TYPE_CHECKING:
    from sklearn.utils import Tags

FORMAT: Final = 1
_SETTINGS: Final = "compressor.json"
_ARRAYS: Final = "compressor.safetensors"

#: Numbers handled at once, so that memory does not grow with the number of vectors: 64 MB.
_CELLS: Final = 2**24

Floats = NDArray[np.float32]
Rows = NDArray[np.floating[Any]]


Report = Callable[[Progress], None]


def silent(progress: Progress) -> None:
    """Report to nobody."""


class Compressor(ABC):
    """Base of all compressors, which are estimators of scikit-learn: it clones and chains them.

    The protocol is kept without importing scikit-learn, which a query has no need of: as there,
    the constructor takes what it is given, and ``fit`` is what refuses it.

    Attributes:
        method: the name by which users know it.
        learns_from_labels: whether ``fit`` needs them.
        fitted_with: the libraries of the extra ``torch`` that ``fit`` needs.
        dims: length of the vectors it makes.
        seed: of everything random in ``fit``.
        n_features_in_: length of the vectors it takes; there is none before ``fit``.
    """

    method: ClassVar[str]
    learns_from_labels: ClassVar[bool] = False
    fitted_with: ClassVar[tuple[str, ...]] = ()
    n_features_in_: int

    def __init__(self, dims: int = 128, *, seed: int = 0) -> None:
        self.dims = dims
        self.seed = seed

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return what the constructor was given, by name; ``deep`` changes nothing here."""
        return {name: getattr(self, name) for name in signature(type(self)).parameters}

    def set_params(self, **params: Any) -> Self:
        """Change what the constructor was given; the next ``fit`` goes by it.

        Raises:
            UsageError: it takes no argument of that name.
        """
        known = self.get_params()
        for name, value in params.items():
            if name not in known:
                raise UsageError(
                    f"{type(self).__name__} takes no {name!r}; it takes {', '.join(known)}"
                )
            setattr(self, name, value)
        return self

    def __repr__(self) -> str:
        given = ", ".join(f"{name}={value!r}" for name, value in self.get_params().items())
        return f"{type(self).__name__}({given})"

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "n_features_in_")

    def __sklearn_tags__(self) -> "Tags":
        from sklearn.utils import InputTags, Tags, TargetTags, TransformerTags

        return Tags(
            estimator_type=None,
            target_tags=TargetTags(required=self.learns_from_labels),
            transformer_tags=TransformerTags(preserves_dtype=["float32"]),
            input_tags=InputTags(),
        )

    def fit(
        self, vectors: Rows, y: Sequence[Any] | None = None, *, report: Report = silent
    ) -> Self:
        """Learn from vectors, (n, d), in memory or mapped from a file.

        Args:
            vectors: n of at least ``dims``, d of at least ``dims``; read in blocks.
            y: their n labels, None where unknown; only looked at where ``learns_from_labels``.
            report: called with the progress.

        Raises:
            CompressError: too few, too short, not finite, or all alike; or labels that do not do;
                or a library is missing.
        """
        self.check_libraries()
        self._check_size(vectors)
        _check_values(vectors)
        self.n_features_in_ = int(vectors.shape[1])
        self._fit(vectors, y, report)
        return self

    @classmethod
    def check_libraries(cls) -> None:
        """Raise CompressError if ``fit`` lacks a library, naming what installs it."""
        if missing := missing_libraries("torch", *cls.fitted_with):
            raise CompressError(f"fitting {cls.method} needs {missing}")

    def fit_transform(self, vectors: Rows, y: Sequence[Any] | None = None) -> Floats:
        """Learn from vectors, (n, d), and return them compressed, (n, dims); see ``fit``."""
        return self.fit(vectors, y).transform(vectors)

    def transform(self, vectors: Rows) -> Floats:
        """Return the compressed vectors, (n, dims) float32 with unit rows.

        Raises:
            CompressError: not fitted, or vectors of another length or without direction.
        """
        self._require_fit()
        if vectors.ndim != 2 or vectors.shape[1] != self.n_features_in_:
            raise CompressError(
                f"this compressor takes vectors of {self.n_features_in_} dimensions, not of shape "
                f"{vectors.shape}: it was fitted to another backbone"
            )
        made = np.empty((len(vectors), self.dims), dtype=np.float32)
        for block in blocks(vectors):
            made[block] = unit_rows(self._encode(unit_rows(vectors[block])))
        return made

    def inverse_transform(self, codes: Rows) -> Floats:
        """Return what the compressed vectors stand for, (n, d) float32 with unit rows.

        Raises:
            CompressError: not fitted, or codes of another length.
        """
        self._require_fit()
        if codes.ndim != 2 or codes.shape[1] != self.dims:
            raise CompressError(f"codes have {self.dims} dimensions here, not {codes.shape}")
        return unit_rows(self._decode(np.asarray(codes, dtype=np.float32)))

    def lost(self, vectors: Rows) -> Floats:
        """Return 1 - cosine between each vector and what its code stands for, (n,): 0 to 2."""
        lost = np.empty(len(vectors), dtype=np.float32)
        for block in blocks(vectors):
            rows = unit_rows(vectors[block])
            again = self.inverse_transform(self.transform(rows))
            lost[block] = 1 - np.einsum("nd,nd->n", rows, again)
        return lost

    def save(self, folder: Path, features: str) -> None:
        """Write the fitted compressor into ``folder``, which is made if need be.

        Args:
            folder: where to.
            features: fingerprint of the backbone whose vectors it takes.

        Raises:
            CompressError: not fitted.
            OSError: the folder cannot be written.
        """
        from safetensors.numpy import save

        self._require_fit()
        folder.mkdir(parents=True, exist_ok=True)
        settings = {
            "format": FORMAT,
            "method": self.method,
            "dims": self.dims,
            "seed": self.seed,
            "features": features,
            "n_features_in": self.n_features_in_,
            **self._settings(),
        }
        with replacing(folder / _ARRAYS) as fresh:
            fresh.write_bytes(save(self._arrays()))
        with replacing(folder / _SETTINGS) as fresh:
            fresh.write_text(json.dumps(settings, indent=1) + "\n", encoding="utf-8")

    def restore(self, settings: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> None:
        """Take over what ``save`` wrote.

        Raises:
            KeyError, TypeError, ValueError: it is not of that form.
        """
        self.n_features_in_ = int(settings["n_features_in"])
        self._restore(settings, {name: np.asarray(a, np.float32) for name, a in arrays.items()})
        sample = self._encode(np.eye(1, self.n_features_in_, dtype=np.float32))
        if sample.shape != (1, self.dims):
            raise ValueError(f"its arrays make {sample.shape[1]} dimensions, not {self.dims}")

    @abstractmethod
    def _fit(self, vectors: Rows, labels: Sequence[Any] | None, report: Report) -> None:
        """Learn from checked vectors of any norm; ``labels`` are as ``fit`` was given them."""

    @abstractmethod
    def _encode(self, rows: Floats) -> Floats:
        """Turn unit rows, (n, d), into codes of any norm, (n, dims), with numpy alone."""

    @abstractmethod
    def _decode(self, codes: Floats) -> Floats:
        """Turn codes of unit norm into vectors of any norm, (n, d)."""

    @abstractmethod
    def _arrays(self) -> dict[str, Floats]:
        """Return what was fitted."""

    @abstractmethod
    def _settings(self) -> dict[str, Any]:
        """Return what else ``_restore`` needs, as JSON can carry it."""

    @abstractmethod
    def _restore(self, settings: Mapping[str, Any], arrays: Mapping[str, Floats]) -> None:
        """Take over what ``_settings`` and ``_arrays`` gave."""

    def _require_fit(self) -> None:
        if not self.__sklearn_is_fitted__():
            raise CompressError("this compressor is not fitted; call fit first")

    def _check_size(self, vectors: Rows) -> None:
        if self.dims < 1:
            raise CompressError(f"dims={self.dims}: ask for at least one dimension")
        if vectors.ndim != 2 or not vectors.size:
            raise CompressError("there are no vectors to learn from; run paint-search index first")
        count, length = vectors.shape
        if self.dims > length:
            raise CompressError(
                f"{self.dims} dimensions are more than the {length} dimensions of the vectors: "
                "choose fewer"
            )
        if self.dims > count:
            raise CompressError(
                f"{counted(count, 'painting is', 'paintings are')} too few to learn {self.dims} "
                f"dimensions from: index more, or choose {count} or fewer"
            )


def load_files(folder: Path, features: str) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Read what ``Compressor.save`` wrote into ``folder``.

    Raises:
        CompressError: damaged, of a newer format, or of another backbone than ``features``.
    """
    try:
        settings = read_json(folder / _SETTINGS)
        if settings["format"] > FORMAT:
            raise CompressError(
                f"{folder} has format {settings['format']}, this version of paint-search reads up "
                f"to {FORMAT}; upgrade with pip install --upgrade paint-search"
            )
        arrays = read_arrays(folder / _ARRAYS)
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise damaged(folder, error) from error
    if settings.get("features") != features:
        raise CompressError(
            f"{folder} was fitted to another backbone than this index's; run paint-search compress "
            "again"
        )
    return settings, arrays


def damaged(folder: Path, error: Exception) -> CompressError:
    """Return the error of a compressor that cannot be read."""
    return CompressError(
        f"the compressor {folder} is damaged ({type(error).__name__}: {error}); run paint-search "
        "compress again"
    )


def blocks(vectors: Rows) -> Iterator[slice]:
    """Split the rows so that a block stays within the memory set above."""
    step = max(1, _CELLS // vectors.shape[1])
    for start in range(0, len(vectors), step):
        yield slice(start, min(start + step, len(vectors)))


def unit_rows(rows: Rows) -> Floats:
    """Return the rows scaled to Euclidean length 1, as float32.

    Raises:
        CompressError: a row has no direction: all zeros, NaN or infinite.
    """
    try:
        unit: Floats = inputs.unit_rows(rows, np.float32)
    except EvalError as error:
        raise CompressError(str(error)) from error
    return unit


def _check_values(vectors: Rows) -> None:
    """Refuse vectors that teach nothing: without direction, or all the same."""
    first = unit_rows(vectors[:1])
    alike = True
    for block in blocks(vectors):
        alike = bool(np.allclose(unit_rows(vectors[block]), first, atol=1e-6)) and alike
    if alike and len(vectors) > 1:
        raise CompressError(
            f"all {len(vectors)} vectors are the same: nothing tells these paintings apart, so "
            "there is nothing to compress; are the backbone's weights damaged?"
        )
