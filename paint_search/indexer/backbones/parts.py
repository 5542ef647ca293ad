"""A backbone's vector as the exact sum of parts: of places in the picture, of named properties.

Where a vector is the mean over a feature map, the cosine of two is the sum over pairs of places, of
the products of their parts (Stylianou, Souvenir and Pless, "Visualizing deep similarity networks",
WACV 2019). Whether it is such a mean is seen from the network and then measured, never assumed.
Called by the model.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from paint_search.errors import BackboneError
from paint_search.indexer.backbones.builtin.descriptors import block_columns, describe
from paint_search.indexer.backbones.engines import (
    BATCH,
    OpenVinoEmbedder,
    load_openvino,
    read_network,
)

Array = NDArray[Any]  # float32

#: Most by which the sum of the parts may differ from the vector, which has length 1.
_TOLERANCE: Final = 2e-4

#: Most rows and columns of places; of larger maps neighbours are taken together.
_MOST_PLACES: Final = 32

#: Rows and columns of places of the built-in network, whose maps have 40, 20, 10 and 5.
_BUILT_IN_PLACES: Final = 10

#: What one channel is set to, to see what follows makes of it.
_LARGE: Final = 256.0

_SPREAD: Final = 1e-4  # added under the roots of the built-in network's statistics, by its training


@dataclass(frozen=True, eq=False)
class Parts:
    """A unit vector, (d,), and what it is the sum of.

    Attributes:
        vector: the embedding.
        places: (rows, columns, d), from the top left of the square that the backbone saw; of no
            rows where it is no sum over places.
        named: further parts by the property that they come from, (d,) each.
    """

    vector: Array
    places: Array
    named: dict[str, Array] = field(default_factory=dict)

    @property
    def error(self) -> float:
        """Length of what the vector has more than the sum of its parts."""
        total = sum(self.named.values(), self.places.sum(axis=(0, 1)))
        return float(np.linalg.norm(self.vector - total))


class Decomposer(Protocol):
    """Takes the vectors of one backbone apart; from ``lanes`` threads at the same time."""

    @property
    def lanes(self) -> int:
        """How many threads should call ``take_apart`` at the same time."""
        ...

    def take_apart(self, pixels: NDArray[np.uint8], /) -> list[Parts]:
        """Return the parts of each of (n, size, size, 3) sRGB pixels.

        Raises:
            BackboneError: they do not make up the vector.
        """
        ...

    def maps(self, pixels: NDArray[np.uint8], /) -> Array:
        """Return a local vector of each place, (n, rows, columns, c), of any norm.

        Raises:
            BackboneError: this backbone sees no places.
        """
        ...


@dataclass(frozen=True)
class FormulaParts:
    """The parts of vectors whose numbers each come from one property.

    Attributes:
        describe: makes vectors, (n, d), of pixels.
        blocks: which of the numbers are of which property.
    """

    describe: Callable[[NDArray[np.uint8]], Array]
    blocks: Mapping[str, slice]
    lanes: int = 1

    def take_apart(self, pixels: NDArray[np.uint8]) -> list[Parts]:
        """Return the parts of each of (n, size, size, 3) sRGB pixels."""
        return [self._parts(vector) for vector in self.describe(pixels)]

    def maps(self, pixels: NDArray[np.uint8]) -> Array:
        """Raise a BackboneError: a formula sees no places."""
        raise BackboneError(
            "this backbone has no feature map to find details in; builtin has one, and most "
            "networks have"
        )

    def _parts(self, vector: Array) -> Parts:
        named = {}
        for name, columns in self.blocks.items():
            named[name] = np.zeros_like(vector)
            named[name][columns] = vector[columns]
        return Parts(vector, np.zeros((0, 0, len(vector)), dtype=np.float32), named)


class NetworkParts:
    """The parts of vectors that a converted network makes as the mean over a feature map.

    What follows the mean may be linear, or a layer normalisation: linear but for a scale that each
    picture has of its own. It is then as good as applied to each place, before the mean.

    Args:
        file: an OpenVINO or ONNX network.
        many: for many pictures, as of `OpenVinoEmbedder`.

    Raises:
        BackboneError: the vector is no such mean.
    """

    def __init__(self, file: Path, *, many: bool = False) -> None:
        network = read_network(file)
        raw = _before_norm(network)
        pool = _last_pool(raw)
        axes = pool.input_value(1).get_node().data.ravel() % len(pool.input_value(0).partial_shape)
        self._axes = tuple(sorted(int(axis) for axis in axes))
        mapped = pool.input_value(0)
        self._linear, self._bias = _linear_tail(file, raw, pool)
        finer = _before_last_halving(network, mapped) if self._axes == (2, 3) else []
        network.add_outputs([mapped, raw, *finer])
        self._embedder = OpenVinoEmbedder(file, many=many, network=network)
        self.lanes = self._embedder.lanes

    def take_apart(self, pixels: NDArray[np.uint8]) -> list[Parts]:
        """Return the parts of each of (n, size, size, 3) sRGB pixels.

        Raises:
            BackboneError: they do not make up the vector.
        """
        vectors, maps, raw, *_ = self._embedder.run(pixels)
        return [
            _checked(self._parts(*one)) for one in zip(vectors, self._grids(maps), raw, strict=True)
        ]

    def maps(self, pixels: NDArray[np.uint8]) -> Array:
        """Return a local vector of each place, (n, rows, columns, c), of any norm.

        Those of the map before the last halving, where the network has one: what is finer than that
        tells places apart, and what is coarser only pictures.
        """
        _, maps, _, *finer = self._embedder.run(pixels)
        return finer[0].transpose(0, 2, 3, 1) if finer else self._grids(maps)

    def _grids(self, maps: Array) -> Array:
        """Return maps of any layout as (n, rows, columns, c)."""
        if maps.ndim == 4:
            return maps.transpose(0, 2, 3, 1) if self._axes == (2, 3) else maps
        side = round(maps.shape[1] ** 0.5)
        if side**2 != maps.shape[1]:
            raise inexplicable("its mean is over tokens that are not all places of the picture")
        return maps.reshape(len(maps), side, side, -1)

    def _parts(self, vector: Array, grid: Array, raw: Array) -> Parts:
        count = grid.shape[0] * grid.shape[1]
        shares = _grouped(np.full(grid.shape[:2], 1 / count, dtype=np.float32), _MOST_PLACES)
        grid = _grouped(grid / count, _MOST_PLACES)
        length = np.linalg.norm(raw)
        if self._linear is None:
            return Parts(vector, grid / length)
        seen = grid @ self._linear
        mean = seen.sum(axis=(0, 1))
        scale = (mean @ (raw - self._bias)) / max(float(mean @ mean), 1e-30)
        return Parts(vector, (seen * scale + shares[..., None] * self._bias) / length)


class BuiltInParts:
    """The parts of the built-in network's vectors: half of places, half of descriptors by block.

    The network's half is linear in means, spreads and covariances of channels over the canvas. A
    spread s of values x is the mean of ((x - mean)^2 + e) / s, a covariance likewise, so all are
    sums over places, given the picture's own means and spreads. The descriptors' half is linear in
    the blocks; what it adds to them is minus the mean painting, of which each block is given the
    share that the shortest such painting has of it.
    """

    def __init__(self, file: Path, *, many: bool = False) -> None:
        network = read_network(file)
        try:
            halves = _before_norm(network).get_node().input_values()
            # Each half is divided by its length, and linear in what it is made of.
            seen, felt = (half.get_node().input_value(0) for half in halves)
            statistics = _origin(seen, "MatMul").input_value(0)
            groups = statistics.get_node().input_values()
            kinds = {"Concat": "ReduceSum"}  # of a mean and a spread; else covariances
            maps = [
                _origin(group, kinds.get(group.get_node().get_type_name(), "MatMul")).input_value(0)
                for group in groups
            ]
            self._seen, self._seen_bias = _linear(file, seen, statistics)
            described = network.inputs[1].get_node().output(0)
            self._felt, self._felt_bias = _linear(file, felt, described)
        except (AttributeError, IndexError, RuntimeError, ValueError) as error:
            raise inexplicable("its network is of another version of this program") from error
        network.add_outputs([*maps, seen, felt])
        self._embedder = OpenVinoEmbedder(file, many=many, network=network)
        self.lanes = self._embedder.lanes
        self._mean = -np.linalg.lstsq(self._felt.T, self._felt_bias, rcond=None)[0]

    def take_apart(self, pixels: NDArray[np.uint8]) -> list[Parts]:
        """Return the parts of each of (n, size, size, 3) sRGB pixels."""
        described = describe(pixels)
        vectors, *maps, seen, felt = self._embedder.run(pixels, described)
        return [
            _checked(self._parts(vectors[row], [one[row] for one in maps], seen[row], felt[row],
                                 described[row]))
            for row in range(len(pixels))
        ]  # fmt: skip

    def maps(self, pixels: NDArray[np.uint8]) -> Array:
        """Return a local vector of each place, (n, rows, columns, c), of any norm."""
        blank = np.zeros((len(pixels), len(self._felt)), dtype=np.float32)
        _, *maps, _, _ = self._embedder.run(pixels, blank)
        return np.stack([self._places([one[row] for one in maps]) for row in range(len(pixels))])

    def _places(self, maps: list[Array]) -> Array:
        """Return what each place adds to the network's half, not yet of unit length."""
        statistics = [_moments(one) if one.ndim == 3 else _covariances(one) for one in maps]
        return np.concatenate(statistics, axis=2) @ self._seen + (
            self._seen_bias / _BUILT_IN_PLACES**2
        )

    def _parts(
        self, vector: Array, maps: list[Array], seen: Array, felt: Array, described: Array
    ) -> Parts:
        half = 2**-0.5
        scale, none = half / np.linalg.norm(seen), np.zeros_like(felt)
        places = self._places(maps) * scale
        named = {}
        for name, columns in block_columns().items():
            own = (described[columns] - self._mean[columns]) @ self._felt[columns]
            named[name] = np.concatenate([none, own * (half / np.linalg.norm(felt))])
        return Parts(
            vector,
            np.concatenate([places, np.zeros((*places.shape[:2], len(felt)), np.float32)], axis=2),
            named,
        )


def _moments(values: Array) -> Array:
    """Return what each place adds to mean and spread of the channels, (g, g, 2 c), of (c, h, w)."""
    count = values.shape[1] * values.shape[2]
    offset = values - values.mean(axis=(1, 2), keepdims=True)
    square = np.square(offset) + _SPREAD
    spread = np.sqrt(square.mean(axis=(1, 2), keepdims=True))
    both = np.concatenate([values, square / spread]) / count
    return _spread_out(both.transpose(1, 2, 0))


def _covariances(offset: Array) -> Array:
    """Return what each place adds to the roots of covariances, (g, g, p), of offsets (c, h w)."""
    side = round(offset.shape[1] ** 0.5)
    rows, columns = np.triu_indices(len(offset))
    products = offset[rows] * offset[columns]
    covariance = products.mean(axis=1)
    root = np.sqrt(np.abs(covariance) + _SPREAD)
    added = (products + np.sign(covariance)[:, None] * _SPREAD) / (root * side**2)[:, None]
    added[covariance == 0] = 0
    return _spread_out(added.reshape(-1, side, side).transpose(1, 2, 0))


def _spread_out(added: Array) -> Array:
    """Return the same sum over the places that all maps of the built-in network share."""
    times = max(1, _BUILT_IN_PLACES // len(added))
    return _grouped(added.repeat(times, 0).repeat(times, 1) / times**2, _BUILT_IN_PLACES)


def _grouped(places: Array, most: int) -> Array:
    """Add up neighbours until there are at most so many rows and columns."""
    step = -(-max(places.shape[:2]) // most)
    if step == 1:
        return places
    for axis in (0, 1):
        places = np.add.reduceat(places, range(0, places.shape[axis], step), axis)
    return places


def _checked(parts: Parts) -> Parts:
    if parts.error > _TOLERANCE:
        raise inexplicable("its vector is not linear in the mean over a feature map")
    return parts


def inexplicable(why: str) -> BackboneError:
    """Return what says that a backbone's vectors are not the sum of parts that mean something."""
    return BackboneError(
        f"this backbone cannot be explained: {why}; resnet50, vgg16, builtin, and most networks "
        "that end in a global average can"
    )


def _before_norm(network: Any) -> Any:
    """Return the output that the last layer divides by its length."""
    lengths = [
        node
        for node in network.get_ordered_ops()
        if node.get_type_name() in ("ReduceL2", "NormalizeL2")
    ]
    if not lengths:
        raise inexplicable("its last layer is not the one that makes vectors unit")
    return lengths[-1].input_value(0)


def _origin(output: Any, kind: str) -> Any:
    """Return the nearest node of a kind that an output is made of."""
    waiting = [output.get_node()]
    while (node := waiting.pop(0)).get_type_name() != kind:
        waiting += [end.get_node() for end in node.input_values()]
    return node


def _last_pool(output: Any) -> Any:
    """Return the node that takes the mean over places, on the one way that leads to an output."""
    waiting, found, seen = [output.get_node()], [], set()
    while waiting:
        node = waiting.pop()
        if node.get_friendly_name() in seen:
            continue
        seen.add(node.get_friendly_name())
        kind, inputs = node.get_type_name(), node.input_values()
        if kind == "ReduceMean":
            rank = len(inputs[0].partial_shape)
            axes = {int(axis) % rank for axis in inputs[1].get_node().data.ravel()}
            if (rank, axes) in ((4, {2, 3}), (4, {1, 2}), (3, {1})):
                found.append(node)
                continue
        if kind == "Parameter" or kind in ("Softmax", "ScaledDotProductAttention"):
            raise inexplicable("its vector is no mean over places; that of a class token is none")
        waiting += [end.get_node() for end in inputs if kind != "ShapeOf"]
    if len(found) != 1:
        raise inexplicable("its vector is not the mean over one feature map")
    return found[0]


def _before_last_halving(network: Any, mapped: Any) -> list[Any]:
    """Return the last output, if any, of twice the height and width of a map (n, c, h, w)."""
    sides = [2 * mapped.partial_shape[axis].get_length() for axis in (2, 3)]
    found = [
        end
        for node in network.get_ordered_ops()
        if node.get_type_name() not in ("Constant", "Result", "Parameter")
        for end in node.outputs()
        if len(shape := end.partial_shape) == 4
        and all(shape[i].is_static for i in (1, 2, 3))
        and [shape[2].get_length(), shape[3].get_length()] == sides
    ]
    return found[-1:]


def _linear_tail(file: Path, raw: Any, pool: Any) -> tuple[Array | None, Array]:
    """Return what a mean is multiplied by, and what is added; None where it is taken as it is."""
    if raw == pool.output(0):
        return None, np.zeros(0, dtype=np.float32)
    linear, bias = _linear(file, raw, pool.output(0))
    as_it_is = not bias.any() and np.array_equal(linear, np.eye(len(linear)))
    return (None if as_it_is else linear), bias


def _linear(file: Path, end: Any, start: Any) -> tuple[Array, Array]:
    """Return weights (c, d), up to one factor, and bias (d,), of the layers between two outputs.

    Found by what they make of nothing, and of each channel alone, large, so that what is added for
    the sake of small numbers does not count; whether they are linear is seen from their results.
    """
    openvino, network = load_openvino(), read_network(file)
    nodes = {node.get_friendly_name(): node for node in network.get_ordered_ops()}
    fresh, goal = (
        nodes[one.get_node().get_friendly_name()].output(one.get_index()) for one in (start, end)
    )
    shape = fresh.partial_shape
    given = openvino.opset13.parameter(shape, openvino.Type.f32)
    for reader in list(fresh.get_target_inputs()):
        reader.replace_source_output(given.output(0))
    parameters = network.get_parameters()  # some layers ask them how many pictures there are
    cut = openvino.Model([goal], [given, *parameters], "tail")
    run = openvino.Core().compile_model(cut, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    lengths = [length.get_length() for length in list(shape)[1:]]
    channels = math.prod(lengths)
    one = np.concatenate([np.zeros((1, channels)), _LARGE * np.eye(channels)]).astype(np.float32)
    made = []
    for rows in np.split(one.reshape(-1, *lengths), range(BATCH, len(one), BATCH)):
        blank = [
            np.zeros((len(rows), *parameter.partial_shape.get_max_shape()[1:]),
                     parameter.get_element_type().to_dtype())
            for parameter in parameters
        ]  # fmt: skip
        made.append(run([rows, *blank])[0].copy())
    nothing, *each = np.concatenate(made)
    return (np.array(each) - nothing) / np.float32(_LARGE), nothing
