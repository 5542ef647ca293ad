"""A head trained on labels, beside the features it was trained on: near means of one artist.

Half of a code is the head's answer, half are the features' own principal components, so that the
cosine of two codes weighs what was learned and what was there. Encoding takes numpy alone; torch is
imported by ``fit``.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final

import numpy as np

from paint_search.compress import networks
from paint_search.compress.autoencoder import LONGEST
from paint_search.compress.base import Compressor, Floats, Report, Rows, blocks, unit_rows
from paint_search.compress.pca import PCA
from paint_search.errors import CompressError

_RIDGE: Final = 1e-3

#: What the head's cosine weighs beside the features' own: more tells pairs apart better, less
#: keeps more of one artist's works among the nearest ten.
_WEIGHT: Final = 0.5

_HEAD: Final = ("linear.weight", "hidden.weight", "hidden.bias", "out.weight")


class Siamese(Compressor):
    """Twin network on frozen features; the only compressor that moves paintings on purpose.

    Features are square-rooted (sign kept), which makes the few large ones count less (Perronnin,
    Sánchez & Mensink 2010), centred, and scaled to unit length.

    Attributes:
        weights_: layers of the head, by name.
        plain_: the principal components beside it.
        decoder_: (dims, d) least-squares guess of a feature vector from its code.
        auc_: on pairs of the labels that were kept out of training, to know when to stop.
    """

    method: ClassVar[str] = "siamese"
    learns_from_labels: ClassVar[bool] = True
    fitted_with: ClassVar[tuple[str, ...]] = ("torch", "pytorch_metric_learning")
    weights_: dict[str, Floats]
    plain_: PCA
    decoder_: Floats
    auc_: float

    def _fit(self, vectors: Rows, labels: Sequence[Any] | None, report: Report) -> None:
        if labels is None or len(labels) != len(vectors):
            raise CompressError("a siamese compressor learns from one label for each painting")
        if self.dims < 2:
            raise CompressError("a siamese compressor has 2 dimensions or more")
        if vectors.shape[1] > LONGEST:
            raise CompressError(
                f"{vectors.shape[1]:,} dimensions are too many for a siamese compressor, which "
                f"takes up to {LONGEST:,}"
            )
        from paint_search.compress.siamese_training import train_head

        unit = np.concatenate([unit_rows(vectors[block]) for block in blocks(vectors)])
        rooted = _rooted(unit)
        self.plain_ = PCA(self.dims // 2, seed=self.seed, centred=True).fit(rooted)
        seen, plain = self._seen(rooted), self.plain_.transform(rooted)
        names = [None if label is None else str(label) for label in labels]
        self.weights_, self.auc_ = train_head(
            seen, plain, names, self.dims - self.plain_.dims, seed=self.seed, report=report
        )
        codes = unit_rows(self._joined(seen, plain))
        squares = codes.T @ codes + _RIDGE * len(codes) * np.eye(self.dims, dtype=np.float32)
        self.decoder_ = np.linalg.solve(squares, codes.T @ unit).astype(np.float32)

    def _encode(self, rows: Floats) -> Floats:
        rooted = _rooted(rows)
        return self._joined(self._seen(rooted), self.plain_.transform(rooted))

    def _decode(self, codes: Floats) -> Floats:
        return codes @ self.decoder_

    def _seen(self, rooted: Floats) -> Floats:
        """Return what the head sees: centred, every number about 1."""
        return unit_rows(rooted - self.plain_.mean_) * np.float32(rooted.shape[1] ** 0.5)

    def _joined(self, seen: Floats, plain: Floats) -> Floats:
        """Return the head's answer to what it sees, and the principal components beside it."""
        learned = networks.twin(self.weights_, seen)
        return np.concatenate([np.float32(_WEIGHT**0.5) * learned, plain], axis=1)

    def _arrays(self) -> dict[str, Floats]:
        plain = {f"plain.{name}": value for name, value in self.plain_._arrays().items()}
        return {**self.weights_, **plain, "decoder": self.decoder_}

    def _settings(self) -> dict[str, Any]:
        return {"auc": self.auc_, "plain": self.plain_._settings()}

    def _restore(self, settings: Mapping[str, Any], arrays: Mapping[str, Floats]) -> None:
        self.auc_ = float(settings["auc"])
        self.weights_ = {name: arrays[name] for name in _HEAD}
        self.decoder_ = arrays["decoder"]
        plain = networks.named(arrays, "plain")
        self.plain_ = PCA(len(plain["components"]), seed=self.seed)
        self.plain_.restore({**settings["plain"], "n_features_in": self.n_features_in_}, plain)


def _rooted(rows: Floats) -> Floats:
    """Return the rows with every number's square root in its place, of unit length again."""
    return unit_rows(np.sign(rows) * np.sqrt(np.abs(rows)))
