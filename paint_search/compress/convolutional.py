"""Convolutional autoencoders for very long vectors: cut into chunks, each to a code of its own.

The compression study's architecture: 125,440 numbers of VGG16 in five chunks of 25,088, each by
1-D convolutions and then dense layers to 64, together 320. Once as published, trained to
reconstruct; once so that the cosines are kept. Encoding takes numpy alone.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from paint_search.compress.base import Compressor, Floats, Report, Rows, blocks, unit_rows
from paint_search.compress.networks import PatchCoder, named, patch_layers, unit
from paint_search.errors import CompressError
from paint_search.painting import Progress

if TYPE_CHECKING:
    from paint_search.compress.autoencoding import Objective

#: Positions that are left after the convolutions, the channels of these (fewer where a patch has
#: fewer numbers), and the dense layer between them and the code. The study does not say its own.
_POSITIONS: Final = 64
_CHANNELS: Final = (8, 32, 64)
_DENSE: Final = 256

_START_CELLS: Final = 2**25  # numbers that the start is computed from: 128 MB
_TINY: Final = np.float32(1e-12)


class Convolutional(Compressor):
    """The study's architecture, so trained that cosines survive.

    A vector of up to ``chunk`` numbers is one chunk; a longer one is cut into as few equal chunks
    of at most that length as it takes. Each has a model of its own: three 1-D convolutions whose
    stride is their kernel (7, 7 and 8 for 25,088; 7, 32 and 64 channels) leave 64 positions, then
    dense layers lead to 256 and to ``dims`` / chunks; the decoder is the mirror. The published
    study gives the chunks, the kinds of layers and the size of the code, and no other size: these
    are ours.

    A model learns the direction of its chunk. It begins as the layers' principal components, one
    after the other, and is trained to keep the ranking of cosines, as the dense autoencoder is.
    A chunk's code has unit length times the chunk's share of the vector's norm, since

        cos(x, y) = sum over chunks i of |x_i| |y_i| / (|x| |y|) cos(x_i, y_i).

    Attributes:
        chunk: longest chunk; the published one is the output of VGG16's fifth pooling layer, and a
            quarter of the fourth's.
        steps: of training, at most.
        directions: whether a model learns the direction of its chunk, or the chunk as it is.
        chunks_: how many there are.
        padded_: length of a chunk with the zeros that make it divisible by the kernels.
        arrays_: the layers of all models, by name.
    """

    method: ClassVar[str] = "convolutional"
    directions: ClassVar[bool] = True
    fitted_with: ClassVar[tuple[str, ...]] = ("torch",)
    chunks_: int
    padded_: int
    arrays_: dict[str, Floats]

    def __init__(
        self, dims: int = 128, *, seed: int = 0, chunk: int = 25_088, steps: int = 100
    ) -> None:
        super().__init__(dims, seed=seed)
        self.chunk = chunk
        self.steps = steps

    def _fit(self, vectors: Rows, labels: Sequence[Any] | None, report: Report) -> None:
        from paint_search.compress.autoencoding import train_coder

        length = vectors.shape[1]
        self.chunks_ = -(-length // self.chunk)
        if self.dims % self.chunks_:
            raise CompressError(
                f"{self.dims} dimensions cannot be shared out among the {self.chunks_} chunks of "
                f"{length} dimensions: choose a multiple of {self.chunks_}, such as "
                f"{max(1, self.dims // self.chunks_) * self.chunks_}"
            )
        self.padded_ = int(np.prod(_kernels(self._size))) * _POSITIONS
        norms = np.empty((len(vectors), self.chunks_), dtype=np.float32)
        for block in blocks(vectors):
            rows = np.asarray(vectors[block], dtype=np.float32)
            norms[block] = np.linalg.norm(self._chunked(rows), axis=2)
        self.arrays_ = {}
        for number in range(self.chunks_):
            start = number * self._size
            columns = slice(start, min(start + self._size, length))
            own = norms[:, number] if self.directions else np.linalg.norm(norms, axis=1)
            chunk = _Chunk(vectors, columns, self.padded_, np.flatnonzero(own > _TINY), own)
            if len(chunk.rows) < 2:
                raise CompressError(
                    f"features {start} to {columns.stop} are all zeros: there is nothing to learn; "
                    "are the backbone's weights damaged?"
                )
            weights, objective = self._begin(chunk, np.random.default_rng((self.seed, number)))
            trained = train_coder(
                self._coder,
                weights,
                chunk,
                objective=objective,
                steps=self.steps,
                seed=self.seed,
                report=_part_of(report, number, self.chunks_),
            )
            self.arrays_ |= {f"{number}.{name}": value for name, value in trained.items()}

    def _begin(
        self, chunk: "_Chunk", rng: np.random.Generator
    ) -> "tuple[dict[str, Floats], Objective]":
        """Return the weights that a model begins with, and what its training minimises."""
        from paint_search.compress.autoencoding import KEEP_SIMILARITY

        layers = _principal_layers(chunk, self.dims // self.chunks_, rng)
        decoder = [weight.T for weight in reversed(layers)]
        return _both_ways(layers, decoder, slope=1.0), KEEP_SIMILARITY

    @property
    def _size(self) -> int:
        """Length of a chunk without padding; the last may be shorter."""
        return -(-self.n_features_in_ // self.chunks_)

    @property
    def _coder(self) -> PatchCoder:
        """The network of every chunk: it takes unit rows, or parts of them."""
        length = self.padded_ if self.directions else self.n_features_in_
        return PatchCoder(length**0.5, self.directions)

    def _chunked(self, rows: Floats) -> Floats:
        """Cut rows, (n, d), into (n, chunks, size)."""
        spare = self._size * self.chunks_ - rows.shape[1]
        whole = np.pad(rows, ((0, 0), (0, spare))) if spare else rows
        return whole.reshape(len(rows), self.chunks_, self._size)

    def _encode(self, rows: Floats) -> Floats:
        chunked, parts = self._chunked(rows), []
        for number in range(self.chunks_):
            spare = self.padded_ - self._size
            chunk = np.pad(chunked[:, number], ((0, 0), (0, spare)))
            seen = unit(chunk) if self.directions else chunk
            made = self._coder.encode(named(self.arrays_, str(number)), seen)
            parts.append(self._as_long_as(chunk, made))
        return np.concatenate(parts, axis=1)

    def _decode(self, codes: Floats) -> Floats:
        parts = []
        for number, code in enumerate(np.split(codes, self.chunks_, axis=1)):
            made = self._coder.decode(named(self.arrays_, str(number)), code)[:, : self._size]
            parts.append(self._as_long_as(code, made))
        return np.concatenate(parts, axis=1)[:, : self.n_features_in_]

    def _as_long_as(self, given: Floats, made: Floats) -> Floats:
        """Give what a model has made the norms of what it was given, if it learned directions."""
        lengths: Floats = np.linalg.norm(given, axis=1, keepdims=True)
        return unit(made) * lengths if self.directions else made

    def _arrays(self) -> dict[str, Floats]:
        return self.arrays_

    def _settings(self) -> dict[str, Any]:
        return {"chunks": self.chunks_, "padded": self.padded_}

    def _restore(self, settings: Mapping[str, Any], arrays: Mapping[str, Floats]) -> None:
        self.chunks_, self.padded_ = int(settings["chunks"]), int(settings["padded"])
        self.arrays_ = dict(arrays)


class PlainConvolutional(Convolutional):
    """The same architecture as the study trained it: to reconstruct, from a random start.

    A model sees its chunk as it is, in units of the vector's root mean square, and minimises the
    squared error; the codes stand side by side as they come, whatever their lengths.

    Attributes:
        length_: mean norm of the codes, which unit codes are brought back to for decoding.
    """

    method: ClassVar[str] = "convolutional-plain"
    directions: ClassVar[bool] = False
    length_: float

    def _fit(self, vectors: Rows, labels: Sequence[Any] | None, report: Report) -> None:
        super()._fit(vectors, labels, report)
        some = unit_rows(vectors[: next(blocks(vectors)).stop])
        self.length_ = float(np.linalg.norm(self._encode(some), axis=1).mean())

    def _begin(
        self, chunk: "_Chunk", rng: np.random.Generator
    ) -> "tuple[dict[str, Floats], Objective]":
        """Return random weights of variance 2 / inputs (He et al. 2015), and the squared error."""
        from paint_search.compress.autoencoding import RECONSTRUCT

        def draw(outputs: int, inputs: int) -> Floats:
            made = rng.standard_normal((outputs, inputs), dtype=np.float32)
            return made * np.float32((2 / inputs) ** 0.5)

        shapes = list(_shapes(chunk, self.dims // self.chunks_))
        encoder = [draw(*shape) for shape in shapes]
        decoder = [draw(*shape[::-1]) for shape in reversed(shapes)]
        return _both_ways(encoder, decoder, slope=0.0), RECONSTRUCT

    def _decode(self, codes: Floats) -> Floats:
        return super()._decode(codes * self.length_)

    def _settings(self) -> dict[str, Any]:
        return super()._settings() | {"length": self.length_}

    def _restore(self, settings: Mapping[str, Any], arrays: Mapping[str, Floats]) -> None:
        super()._restore(settings, arrays)
        self.length_ = float(settings["length"])


@dataclass(frozen=True)
class _Chunk:
    """Columns of the rows that have anything there, over a norm each and padded with zeros.

    Only what is drawn is read.
    """

    vectors: Rows
    columns: slice
    padded: int
    rows: NDArray[np.int64]
    norms: Floats

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, padded)."""
        return len(self.rows), self.padded

    def __getitem__(self, drawn: NDArray[np.int64]) -> Floats:
        rows, length = self.rows[drawn], self.columns.stop - self.columns.start
        made = np.zeros((len(rows), self.padded), dtype=np.float32)
        for place, row in enumerate(rows):  # one by one: a mapped file is not copied first
            made[place, :length] = self.vectors[row, self.columns]
        return made / self.norms[rows, None]


def _kernels(length: int) -> tuple[int, int, int]:
    """Return three kernels, about alike, whose product leaves 64 positions of ``length``."""
    wanted = -(-length // _POSITIONS)
    first = max(1, round(wanted ** (1 / 3)))
    second = max(1, round((wanted / first) ** 0.5))
    return first, second, -(-wanted // (first * second))


def _shapes(chunk: _Chunk, code: int) -> Iterator[tuple[int, int]]:
    """Yield (outputs, patch) of the encoder's layers."""
    channels = 1
    length = chunk.columns.stop - chunk.columns.start
    for kernel, most in zip(_kernels(length), _CHANNELS, strict=True):
        patch = kernel * channels
        channels = min(most, patch)
        yield channels, patch
    dense = max(code, min(_DENSE, len(chunk.rows)))
    yield dense, _POSITIONS * channels
    yield code, dense


def _principal_layers(chunk: _Chunk, code: int, rng: np.random.Generator) -> list[Floats]:
    """Return the principal components of each layer's patches, after the layers before it."""
    from sklearn.utils.extmath import randomized_svd

    count = min(len(chunk.rows), max(4 * code, _START_CELLS // chunk.padded))
    rows = chunk[rng.choice(len(chunk.rows), count, replace=False)]
    *convolutions, (dense, flat), _ = _shapes(chunk, code)
    layers: list[Floats] = []
    for outputs, patch in convolutions:
        patches = rows.reshape(-1, patch)
        _, vectors = np.linalg.eigh(patches.T @ patches)
        layers.append(vectors[:, : -outputs - 1 : -1].T.copy())
        rows = patches @ layers[-1].T
    _, _, components = randomized_svd(
        rows.reshape(count, flat), min(dense, count), random_state=int(rng.integers(2**31))
    )
    layers.append(np.zeros((dense, flat), dtype=np.float32))
    layers[-1][: len(components)] = components
    layers.append(np.eye(code, dense, dtype=np.float32))
    return layers


def _both_ways(encoder: list[Floats], decoder: list[Floats], slope: float) -> dict[str, Floats]:
    """Return the weights of a model by name, from those of its layers."""
    return {
        f"{way}.{name}": value
        for way, layers in (("encoder", encoder), ("decoder", decoder))
        for name, value in patch_layers(layers, slope).items()
    }


def _part_of(report: Report, number: int, parts: int) -> Callable[[Progress], None]:
    """Report the progress of one chunk as that of all."""

    def steps(progress: Progress) -> None:
        words = f"chunk {number + 1} of {parts}, {progress.words}".rstrip(", ")
        total = progress.total * parts
        report(Progress(progress.done + number * progress.total, total, words))

    return steps
