"""A dense autoencoder that begins as a truncated SVD and is trained to keep who is near whom.

Encoder and decoder are a linear map beside one hidden layer that starts at zero: at the first step
it is the best linear map there is, and every later one is kept only if held-out vectors gain.
Encoding takes numpy alone; torch is imported by ``fit``.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final

import numpy as np

from paint_search.compress.base import Compressor, Floats, Report, Rows
from paint_search.compress.networks import DenseCoder, residual_layers
from paint_search.compress.pca import PCA
from paint_search.errors import CompressError

_HIDDEN: Final = 512
_STEPS: Final = 200
_CODER: Final = DenseCoder()

#: Longer vectors would make hidden layers of gigabytes.
LONGEST: Final = 16_384


class Autoencoder(Compressor):
    """Dense autoencoder, d -> dims -> d, each way ``linear(x) + out(relu(hidden(x)))``.

    Attributes:
        weights_: the layers of both ways, by name.
    """

    method: ClassVar[str] = "autoencoder"
    fitted_with: ClassVar[tuple[str, ...]] = ("torch",)
    weights_: dict[str, Floats]

    def _fit(self, vectors: Rows, labels: Sequence[Any] | None, report: Report) -> None:
        from paint_search.compress.autoencoding import KEEP_SIMILARITY, train_coder

        length = vectors.shape[1]
        if length > LONGEST:
            raise CompressError(
                f"{length:,} dimensions are too many for a dense autoencoder, which takes up to "
                f"{LONGEST:,}: choose convolutional or pca"
            )
        start = PCA(self.dims, seed=self.seed).fit(vectors).components_
        rng = np.random.default_rng(self.seed)
        weights: dict[str, Floats] = {}
        for way, linear in (("encoder", start), ("decoder", np.ascontiguousarray(start.T))):
            outputs, inputs = linear.shape
            layers = residual_layers(inputs, outputs, _HIDDEN, rng)
            layers |= {"linear.weight": linear, "out.weight": 0 * layers["out.weight"]}
            weights |= {f"{way}.{name}": value for name, value in layers.items()}
        self.weights_ = train_coder(
            _CODER,
            weights,
            vectors,
            objective=KEEP_SIMILARITY,
            steps=_STEPS,
            seed=self.seed,
            report=report,
        )

    def _encode(self, rows: Floats) -> Floats:
        return _CODER.encode(self.weights_, rows)

    def _decode(self, codes: Floats) -> Floats:
        return _CODER.decode(self.weights_, codes)

    def _arrays(self) -> dict[str, Floats]:
        return self.weights_

    def _settings(self) -> dict[str, Any]:
        return {}

    def _restore(self, settings: Mapping[str, Any], arrays: Mapping[str, Floats]) -> None:
        self.weights_ = dict(arrays)
