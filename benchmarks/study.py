"""The compression study again: VGG16's last two pooling layers, five chunks, 320 dimensions.

python benchmarks/study.py DATA --work FOLDER [--weights FILE] [--paintings 2000] [--seed 0]

DATA holds paintings.csv (path, artist, core). Without --weights VGG16 is random, which is said.
Features are kept in FOLDER and taken over by the next run.
"""

import argparse
import csv
import itertools
import json
import resource
import time
from collections import defaultdict
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from rich.table import Table
from sklearn.random_projection import SparseRandomProjection

from paint_search.compress import choose_hold_out, make_compressor
from paint_search.eval import Fidelity, fidelity
from paint_search.indexer.backbones.engines import openvino_on_cpu
from paint_search.indexer.backbones.registry import REGISTRY
from paint_search.indexer.backbones.timm_network import build_network, export_openvino
from paint_search.indexer.feature_cache import FeatureCache
from paint_search.indexer.images.decode import decode
from paint_search.painting import painting_id

BACKBONE = REGISTRY["vgg16-pools"]
WORKS = 40  # of each artist, at most
BATCH = 16
DIMS = 320
SHARE = 0.3  # of the paintings, measured on
RANDOM = "random projection"
METHODS = ("convolutional-plain", "convolutional", "pca", RANDOM)
COLUMNS = (
    "recall@10",
    "Spearman",
    "silhouettes of pairs, least / median / most",
    "Pearson",
    "sign flips (beyond 0.01)",
    "mAP@10",
    "fit",
    "memory",
    "model",
)


@dataclass(frozen=True)
class Work:
    """A painting of the study."""

    id: str
    file: Path
    artist: str


@dataclass(frozen=True)
class Fitted:
    """What one method made of the works held out, and what it took."""

    method: str
    codes: NDArray[np.float32]
    seconds: float
    peak_mb: float
    bytes: int


def main() -> None:
    """Extract, compress in every way, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--paintings", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--methods", nargs="+", default=METHODS, choices=METHODS)
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    works = choose(options.data, options.paintings)
    weights = options.weights or random_weights(options.work, options.seed)
    extract(works, weights, options.work / "features")
    cache = FeatureCache(options.work / "features", BACKBONE.dimension or 0)
    dealt = [w.id for w in works], [w.artist for w in works]
    held = choose_hold_out(*dealt, seed=options.seed, share=SHARE).held_out(*dealt)
    judged = [work for work, out in zip(works, held, strict=True) if out]
    names = {work.artist for work in judged}
    print(
        f"VGG16 with {'random weights' if options.weights is None else options.weights.name}; "
        f"fitted to {len(works) - len(judged)} works, measured on {len(judged)} by {len(names)} "
        f"other artists; seed {options.seed}; {cache.bytes_on_disk / 1e9:.2f} GB of features"
    )
    full = few_coordinates(cache.rows([work.id for work in judged]))
    labels = [work.artist for work in judged]
    table = Table("320 dimensions", *COLUMNS)
    for method in options.methods:
        # A process each, so that the memory of one is not counted for the next.
        with ProcessPoolExecutor(1, get_context("spawn")) as process:
            fitted = process.submit(fit, method, options.work / "features", works, held).result()
        kept = fidelity(full, fitted.codes, labels, [None] * len(labels), seed=options.seed)
        row = _row(fitted, kept)
        table.add_row(*row)
        record = {"row": row, "seconds": fitted.seconds, **kept.to_dict()}
        file = options.work / f"{method}-seed{options.seed}.json"
        file.write_text(json.dumps(record, indent=1))
    Console(width=160).print(table)
    silhouettes = kept.artists.silhouettes if kept.artists else None
    if silhouettes is not None:
        print(f"full vectors: {silhouettes.pairs} pairs of artists, {_range(silhouettes.full)}")


def fit(method: str, features: Path, works: list["Work"], held: NDArray[np.bool_]) -> Fitted:
    """Fit one method to the works that are not held out, and compress the others."""
    cache = FeatureCache(features, BACKBONE.dimension or 0)
    learned, judged = (
        [work.id for work, out in zip(works, held, strict=True) if bool(out) is side]
        for side in (False, True)
    )
    start = time.monotonic()
    if method == RANDOM:
        draw = SparseRandomProjection(DIMS, dense_output=True, random_state=0)
        draw.fit(np.zeros((1, cache.dimension), dtype=np.float32))
        seconds, size = time.monotonic() - start, 0
        codes = draw.transform(cache.rows(judged))
    else:
        compressor = make_compressor(method, DIMS)
        compressor.fit(cast("NDArray[np.float16]", cache.view(learned)))
        seconds = time.monotonic() - start
        size = sum(array.nbytes for array in compressor._arrays().values())
        codes = compressor.transform(cache.rows(judged))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return Fitted(method, codes, seconds, peak, size)


def few_coordinates(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return n coordinates for each of n vectors that leave every cosine as it is.

    Each figure is then a matter of seconds, and not of minutes.
    """
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    values, axes = np.linalg.eigh((unit @ unit.T).astype(np.float64))
    return np.asarray(axes * np.sqrt(np.maximum(values, 0)), np.float32)


def _row(fitted: Fitted, kept: Fidelity) -> list[str]:
    assert kept.artists is not None
    silhouettes = kept.artists.silhouettes
    return [
        fitted.method,
        f"{kept.neighbours.recall[10]:.3f}",
        f"{kept.pairs.spearman:.4f}",
        _range(silhouettes.compact),
        f"{silhouettes.correlation:.4f}",
        f"{len(silhouettes.sign_flips)} ({len(silhouettes.clear_flips)})",
        f"{kept.artists.map_at_10[0]:.3f} -> {kept.artists.map_at_10[1]:.3f}",
        f"{fitted.seconds:.0f} s",
        f"{fitted.peak_mb:,.0f} MB",
        f"{fitted.bytes / 1e6:.1f} MB",
    ]


def _range(pairs: NDArray[np.float64]) -> str:
    values = pairs[np.triu_indices(len(pairs), 1)]
    return f"{values.min():.3f} / {np.median(values):.3f} / {values.max():.3f}"


def choose(data: Path, count: int) -> list[Work]:
    """Take up to 40 core paintings each of the artists who have most, until there are enough."""
    by_artist: Mapping[str, list[Work]] = defaultdict(list)
    with (data / "paintings.csv").open(newline="", encoding="utf-8") as stream:
        for row in csv.DictReader(stream):
            if row["core"] == "1":
                work = Work(painting_id(row["path"]), data / row["path"], row["artist"])
                by_artist[row["artist"]].append(work)
    artists = sorted(by_artist, key=lambda artist: (-len(by_artist[artist]), artist))
    chosen = (work for artist in artists for work in by_artist[artist][:WORKS])
    return list(itertools.islice(chosen, count))


def random_weights(folder: Path, seed: int) -> Path:
    """Write a VGG16 that has learned nothing, as timm initialises it (He's normal)."""
    import timm
    import torch
    from safetensors.torch import save_file

    file = folder / f"vgg16-random-{seed}.safetensors"
    if not file.exists():
        torch.manual_seed(seed)
        model = timm.create_model("vgg16", num_classes=0)
        features = {k: v for k, v in model.state_dict().items() if k.startswith("features.")}
        save_file(features, file)
    return file


def extract(works: list[Work], weights: Path, folder: Path) -> None:
    """Bring the cache up to date with the works."""
    cache = FeatureCache(folder, BACKBONE.dimension or 0)
    missing = [work for work in works if work.id not in cache]
    if not missing:
        return
    network, record = build_network(BACKBONE, weights)
    embedder = None
    start = time.monotonic()
    batches = [missing[i : i + BATCH] for i in range(0, len(missing), BATCH)]
    for batch in track(batches, "VGG16"):
        with ThreadPoolExecutor(2) as pool:
            files = [work.file for work in batch]
            decoded = pool.map(lambda file: decode(file, record.preprocessing).pixels, files)
            pixels = np.stack(list(decoded))
        if embedder is None:
            export_openvino(network, folder / "vgg16.xml")
            embedder, choice = openvino_on_cpu(folder / "vgg16.xml", pixels)
            print(choice.describe())
        cache.append([work.id for work in batch], embedder.embed(pixels))
    print(f"{len(missing) / (time.monotonic() - start):.1f} images/s")


if __name__ == "__main__":
    main()
