"""A trained network -> ``network.onnx``, what the package ships: pixels and descriptors in.

The descriptors of a painting, mapped to where artists lie apart, join the network's own embedding;
the two err differently. Convolutions run in whole numbers; the other weights are stored in half
precision, and computed with in single.
"""

import contextlib
import io
import logging
import warnings
from itertools import pairwise
from pathlib import Path
from typing import Final

import numpy as np
import onnx
import torch
from corpus import write_json
from discriminant import Discriminant, Floats, fit_discriminant
from learning import Plan
from network import INPUT_SIZE, PaintingNet
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from progress import track
from quantise import quantise
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from paint_search.eval.inputs import unit_rows
from paint_search.files import replacing
from paint_search.indexer.backbones.builtin import descriptors

#: Length of either half of the embedding.
HALF: Final = 192

_SMALLEST: Final = 256  # entries; smaller arrays stay in single precision
_BLOCK: Final = 64


class Shipped(nn.Module):
    """Network and descriptors, each shortened to HALF, joined; both count alike in the cosine."""

    def __init__(self, network: PaintingNet, axes: Floats, described: Discriminant) -> None:
        super().__init__()
        self.network = network
        norm, project = network.normalise, network.project
        scale = norm.weight / (norm.get_buffer("running_var") + norm.eps).sqrt()
        # Three linear maps in a row are one, and smaller: normalise, project, shorten.
        shorten = torch.from_numpy(axes.T.copy())
        weight = shorten @ project.weight * scale
        bias = shorten @ (project.weight @ norm.bias + project.bias)
        self.seen = _linear(weight, bias - weight @ norm.get_buffer("running_mean"))
        weight = torch.from_numpy(described.axes.T.copy())
        self.described = _linear(weight, -weight @ torch.from_numpy(described.mean))

    def forward(self, pixels: Tensor, described: Tensor) -> Tensor:
        """Return unit embeddings (n, 2 HALF) of pixels (n, s, s, 3) and descriptors (n, d)."""
        statistics, _ = self.network.statistics(pixels)
        seen = functional.normalize(self.seen(statistics), dim=1)
        felt = functional.normalize(self.described(described), dim=1)
        return functional.normalize(torch.cat([seen, felt], dim=1), dim=1)


def _linear(weight: Tensor, bias: Tensor) -> nn.Linear:
    layer = nn.Linear(weight.shape[1], weight.shape[0])
    layer.weight, layer.bias = nn.Parameter(weight), nn.Parameter(bias)
    return layer


def export_network(network: PaintingNet, plan: Plan) -> Path:
    """Shorten both halves, as the paintings learned from suggest, and write ``network.onnx``.

    It goes into ``plan.out``; beside it, ``run.json`` says of which run it is. Returns the file.
    """
    artists, _ = plan.corpus.codes("artist", plan.learned)
    artists = np.where(plan.learned, artists, -1)
    axes = _principal_axes(_embed(network, plan.pixels, np.flatnonzero(plan.learned)))
    shipped = Shipped(
        fold_batch_norm(network.cpu().eval()),
        axes,
        fit_discriminant(plan.described, artists, HALF),
    )
    file = plan.out / "network.onnx"
    sample = (
        torch.zeros((2, INPUT_SIZE, INPUT_SIZE, 3), dtype=torch.uint8),
        torch.ones((2, descriptors.DIMENSION)),
    )
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    batch = {0: torch.export.Dim("images")}
    with replacing(file) as fresh:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            torch.onnx.export(
                shipped.eval(),
                sample,
                str(fresh),
                input_names=["pixels", "descriptors"],
                output_names=["embedding"],
                dynamic_shapes=(batch, batch),
                external_data=False,
                verbose=False,
                dynamo=True,
            )
        quantise(fresh, plan.pixels, plan.described, np.flatnonzero(plan.learned), plan.seed)
        halve_weights(fresh)
    write_json(plan.out / "run.json", plan.identity())
    return file


def _principal_axes(embedded: Floats) -> Floats:
    """Return the axes (d, HALF) on which unit embeddings keep most of their cosines.

    Not a discriminant: the network has met these paintings, and sees them further apart than
    those of artists it has not met.
    """
    unit = unit_rows(embedded)
    _, axes = np.linalg.eigh(unit.T.astype(np.float64) @ unit)
    return np.asarray(axes[:, ::-1][:, :HALF], dtype=np.float32)


@torch.inference_mode()
def _embed(network: PaintingNet, pixels: NDArray[np.uint8], chosen: NDArray[np.int64]) -> Floats:
    """Embed the chosen paintings whole, (n, EMBEDDING)."""
    device = next(network.parameters()).device
    network.eval()
    parts = []
    for start in track(range(0, len(chosen), _BLOCK), "embedding", scale=_BLOCK):
        block = torch.from_numpy(pixels[chosen[start : start + _BLOCK]]).to(device)
        parts.append(network(block)[0].cpu().numpy())
    return np.concatenate(parts)


def fold_batch_norm(network: PaintingNet) -> PaintingNet:
    """Merge every batch normalisation into the convolution before it: same function, less work."""
    for module in network.modules():
        if isinstance(module, nn.Sequential):
            children = list(module.named_children())
            for (name, first), (after, second) in pairwise(children):
                if isinstance(first, nn.Conv2d) and isinstance(second, nn.BatchNorm2d):
                    setattr(module, name, fuse_conv_bn_eval(first, second))
                    setattr(module, after, nn.Identity())
    return network


def halve_weights(file: Path) -> None:
    """Store the large arrays of an ONNX file in half precision; a cast makes them single again."""
    model = onnx.load(file)
    graph = model.graph
    casts = []
    for array in list(graph.initializer):
        values = numpy_helper.to_array(array)
        if values.dtype != np.float32 or values.size < _SMALLEST:
            continue
        half = f"{array.name}_half"
        graph.initializer.remove(array)
        graph.initializer.append(numpy_helper.from_array(values.astype(np.float16), half))
        casts.append(helper.make_node("Cast", [half], [array.name], to=onnx.TensorProto.FLOAT))
    for cast in reversed(casts):
        graph.node.insert(0, cast)
    for node in graph.node:  # where in the source a node came from is of no use to others
        del node.metadata_props[:]
        node.doc_string = ""
    onnx.checker.check_model(model)
    onnx.save(model, file)
