"""Principal components: the linear map that keeps most of the vectors' energy.

Not centred by default, which makes it a truncated SVD: cosines are taken from the origin, and
moving the origin to the mean loses a quarter of the neighbours (benchmarks/README.md). Fits any
number of vectors within half a gigabyte.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from paint_search.compress.base import Compressor, Floats, Report, Rows, blocks, unit_rows
from paint_search.errors import CompressError
from paint_search.painting import Progress

#: Up to this length the d x d matrix of second moments fits (128 MB) and is solved exactly.
_EXACT: Final = 4096

_OVERSAMPLING: Final = 16
_POWER_ITERATIONS: Final = 3


class PCA(Compressor):
    """Principal component analysis of unit vectors.

    Exact (eigenvectors of the second moments) up to 4,096 features; above, randomised subspace
    iteration (Halko, Martinsson & Tropp 2011, algorithm 4.4), which scikit-learn has too, but only
    for vectors that are all in memory. Both read the vectors in blocks.

    Attributes:
        centred: whether the mean is taken off first.
        whitening: each component is divided by its standard deviation to this power, 0 to 1.
        mean_: (d,) zeros where not centred.
        components_: (dims, d) orthonormal rows, the strongest first.
        scale_: (dims,) of each component.
        energy_: share of the vectors' (centred) squared norm that the components keep.
    """

    method: ClassVar[str] = "pca"
    mean_: Floats
    components_: Floats
    scale_: Floats
    energy_: float

    def __init__(
        self, dims: int = 128, *, seed: int = 0, centred: bool = False, whitening: float = 0.0
    ) -> None:
        super().__init__(dims, seed=seed)
        self.centred = centred
        self.whitening = whitening

    def _fit(self, vectors: Rows, labels: Sequence[Any] | None, report: Report) -> None:
        if not 0 <= self.whitening <= 1:
            raise CompressError(f"whitening must lie between 0 and 1, not {self.whitening}")
        length = vectors.shape[1]
        self.mean_ = np.zeros(length, dtype=np.float32)
        if self.centred:
            total = np.zeros(length)
            for b in blocks(vectors):
                total += unit_rows(vectors[b]).sum(axis=0, dtype=np.float64)
            self.mean_ = (total / len(vectors)).astype(np.float32)
        solve = self._solve_exactly if length <= _EXACT else self._solve_randomised
        values, components, energy = solve(vectors, report)
        # The sign of an eigenvector is arbitrary; its largest entry shall be positive.
        largest = components[np.arange(self.dims), np.abs(components).argmax(axis=1)]
        self.components_ = (components * np.sign(largest)[:, None]).astype(np.float32)
        deviations = np.sqrt(np.maximum(values, 1e-12))
        self.scale_ = (deviations**-self.whitening).astype(np.float32)
        self.energy_ = float(values.sum() / energy)

    def _solve_exactly(
        self, vectors: Rows, report: Report
    ) -> tuple[NDArray[Any], NDArray[Any], float]:
        """Return the largest eigenvalues of the second moments, their vectors, and the trace."""
        from scipy.linalg import eigh

        length = vectors.shape[1]
        moments = np.zeros((length, length))
        for block in blocks(vectors):
            rows = unit_rows(vectors[block]) - self.mean_
            moments += rows.T @ rows
            report(Progress(block.stop, len(vectors)))
        moments /= len(vectors)
        energy = float(np.trace(moments))
        values, columns = eigh(
            moments, subset_by_index=(length - self.dims, length - 1), overwrite_a=True
        )
        return values[::-1], columns.T[::-1], energy

    def _solve_randomised(
        self, vectors: Rows, report: Report
    ) -> tuple[NDArray[Any], NDArray[Any], float]:
        """The same by subspace iteration, in a few passes over the vectors."""
        length = vectors.shape[1]
        width = min(self.dims + _OVERSAMPLING, *vectors.shape)
        rng = np.random.default_rng(self.seed)
        basis: NDArray[Any] = rng.standard_normal((length, width), dtype=np.float32)
        passes = (_POWER_ITERATIONS + 1) * len(vectors)
        for number in range(_POWER_ITERATIONS + 1):
            basis = np.linalg.qr(basis).Q
            image: NDArray[Any] = np.zeros_like(basis)
            projected: NDArray[Any] = np.zeros((width, width))
            energy = 0.0
            for block in blocks(vectors):
                rows = unit_rows(vectors[block]) - self.mean_
                codes = rows @ basis
                image += rows.T @ codes
                projected += codes.T @ codes
                energy += float(np.einsum("nd,nd->", rows, rows))
                report(Progress(number * len(vectors) + block.stop, passes))
            if number < _POWER_ITERATIONS:
                basis = image
        values, rotation = np.linalg.eigh(projected / len(vectors))
        strongest = np.argsort(values)[::-1][: self.dims]
        return values[strongest], (basis @ rotation[:, strongest]).T, energy / len(vectors)

    def _encode(self, rows: Floats) -> Floats:
        return np.asarray(((rows - self.mean_) @ self.components_.T) * self.scale_, np.float32)

    def _decode(self, codes: Floats) -> Floats:
        if self.centred:
            raise CompressError("a centred PCA forgets how far from the mean a unit code was")
        return np.asarray((codes / self.scale_) @ self.components_, np.float32)

    def _arrays(self) -> dict[str, Floats]:
        return {"mean": self.mean_, "components": self.components_, "scale": self.scale_}

    def _settings(self) -> dict[str, Any]:
        return {"centred": self.centred, "whitening": self.whitening, "energy": self.energy_}

    def _restore(self, settings: Mapping[str, Any], arrays: Mapping[str, Floats]) -> None:
        self.centred = bool(settings["centred"])
        self.whitening = float(settings["whitening"])
        self.energy_ = float(settings["energy"])
        self.mean_, self.components_ = arrays["mean"], arrays["components"]
        self.scale_ = arrays["scale"]
