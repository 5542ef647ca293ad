"""A dense autoencoder that begins as a truncated SVD and is trained to keep who is near whom.

Encoder and decoder are a linear map beside one hidden layer that starts at zero: at the first step
it is the best linear map there is, and every later one is kept only if held-out vectors gain.
Encoding takes numpy alone; torch is imported by ``fit``.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, Final

import numpy as np

from paint_search.compress.base import Compressor, Floats, Report, Rows, silent
from paint_search.compress.pca import PCA
from paint_search.errors import CompressError

_HIDDEN: Final = 512
_STEPS: Final = 200
_RATE: Final = 1e-3

#: Longer vectors would make hidden layers of gigabytes.
_LONGEST: Final = 16_384


class Autoencoder(Compressor):
    """Dense autoencoder, d -> dims -> d, each way ``linear(x) + out(relu(hidden(x)))``.

    Attributes:
        weights_: the layers of both ways, by name.
    """

    method: ClassVar[str] = "autoencoder"
    weights_: dict[str, Floats]

    def _fit(self, vectors: Rows, report: Report = silent) -> None:
        from paint_search.compress.networks import DenseCoder
        from paint_search.compress.training import KEEP_SIMILARITY, Schedule, train

        if vectors.shape[1] > _LONGEST:
            raise CompressError(
                f"{vectors.shape[1]:,} dimensions are too many for a dense autoencoder, which "
                f"takes up to {_LONGEST:,}: choose --method convolutional or pca"
            )
        start = PCA(self.dims, seed=self.seed).fit(vectors)
        coder = DenseCoder(start.components_, _HIDDEN, self.seed)
        train(
            coder,
            vectors,
            objective=KEEP_SIMILARITY,
            schedule=Schedule(_STEPS, _RATE),
            seed=self.seed,
            report=report,
        )
        self.weights_ = {name: value.numpy() for name, value in coder.state_dict().items()}

    def _encode(self, rows: Floats) -> Floats:
        return self._run("encoder", rows)

    def _decode(self, codes: Floats) -> Floats:
        return self._run("decoder", codes)

    def _run(self, way: str, rows: Floats) -> Floats:
        """Do what ``networks.DenseWay`` does."""
        layer = {
            name.removeprefix(f"{way}."): value
            for name, value in self.weights_.items()
            if name.startswith(f"{way}.")
        }
        scaled: Floats = rows * np.float32(rows.shape[1] ** 0.5)
        hidden: Floats = np.maximum(scaled @ layer["hidden.weight"].T + layer["hidden.bias"], 0)
        out: Floats = rows @ layer["linear.weight"].T + hidden @ layer["out.weight"].T
        return out

    def _arrays(self) -> dict[str, Floats]:
        return self.weights_

    def _settings(self) -> dict[str, Any]:
        return {}

    def _restore(self, settings: Mapping[str, Any], arrays: Mapping[str, Floats]) -> None:
        self.weights_ = dict(arrays)
