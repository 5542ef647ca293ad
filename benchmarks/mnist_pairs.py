"""MNIST pairs: same digit or not, by the twin network that `paint-search train` trains.

Digits held out by image: trained on the 60,000 images of the training set, measured on pairs of
the 10,000 others. Digits never seen: trained on 0 to 7, measured on pairs of the other set that
have an 8 or a 9 on one side at least, and any digit on the other.

    python benchmarks/mnist_pairs.py MNIST_FOLDER OUT [--steps 2000] [--seed 0]
"""

import argparse
import gzip
import json
import time
from functools import partial
from pathlib import Path

import numpy as np
import torch
from sklearn.metrics import roc_auc_score

from paint_search.eval import Pairs, PairSource
from paint_search.painting import Progress
from paint_search.train import Recipe, begin, embed, learn

BACKBONE = "timm:twin_small?width=20&input_size=28"
PAIRS = 40_000


def read_idx(folder: Path, part: str) -> tuple[np.ndarray, np.ndarray]:
    """Return (n, 28, 28, 3) images and n labels of ``train`` or ``t10k``."""
    images = gzip.decompress((folder / f"{part}-images-idx3-ubyte.gz").read_bytes())
    labels = gzip.decompress((folder / f"{part}-labels-idx1-ubyte.gz").read_bytes())
    grey = np.frombuffer(images, np.uint8, offset=16).reshape(-1, 28, 28)
    return np.repeat(grey[..., None], 3, axis=3), np.frombuffer(labels, np.uint8, offset=8)


def pick(images: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Read images as a recipe asks for them."""
    return images[rows], rows


def cosines(vectors: np.ndarray, pairs: Pairs) -> np.ndarray:
    """Return the cosine of each pair."""
    return np.einsum("nd,nd->n", vectors[pairs.left], vectors[pairs.right])


def best_threshold(scores: np.ndarray, same: np.ndarray) -> float:
    """Return the cut with the highest accuracy."""
    order = np.argsort(scores)
    # Cutting below the k-th: pairs of two among the k before it, and pairs of one after, are right.
    right = np.concatenate([[0], np.cumsum(~same[order])]) + np.concatenate(
        [np.cumsum(same[order][::-1])[::-1], [0]]
    )
    cut = int(right.argmax())
    return float(scores[order[min(cut, len(order) - 1)]])


def measure(
    folder: Path, out: Path, digits: range, steps: int, seed: int
) -> dict[str, float | str]:
    """Train on these digits and measure on pairs of the test images."""
    images, labels = read_idx(folder, "train")
    others, truth = read_idx(folder, "t10k")
    names = [str(label) for label in labels]
    kept = np.isin(labels, digits)
    judged = kept & (np.arange(len(labels)) % 20 == 0)
    network = begin(BACKBONE, seed=seed)
    out.mkdir(parents=True, exist_ok=True)
    recipe = Recipe(
        name=BACKBONE,
        labels=names,
        learned=kept & ~judged,
        judged=judged,
        read=partial(pick, images),
        out=out,
        steps=steps,
        every=200,
        patience=1000,
        in_batch=(10, 10),
        rate=3e-3,
        mirrored=False,
        seed=seed,
    )
    start = time.perf_counter()

    def say(progress: Progress) -> None:
        if progress.done % 200 == 0:
            print(f"  {progress.done}/{progress.total} {progress.words}", flush=True)

    trained = learn(recipe, network, say)
    seconds = time.perf_counter() - start
    rows = np.flatnonzero(judged)
    known = embed(network, recipe.read, rows)
    tuning = PairSource([names[row] for row in rows]).draw(PAIRS, seed)
    cut = best_threshold(cosines(known, tuning), tuning.same)
    vectors = embed(network, partial(pick, others), np.arange(len(others)))
    pairs = PairSource([str(label) for label in truth]).draw(PAIRS, seed + 1)
    if len(digits) < 10:
        new = ~np.isin(truth, digits)
        shown = new[pairs.left] | new[pairs.right]
        pairs = Pairs(pairs.left[shown], pairs.right[shown], pairs.same[shown])
    scores = cosines(vectors, pairs)
    right = (scores >= cut) == pairs.same
    return {
        "trained on": f"{digits[0]}-{digits[-1]}",
        "pairs": len(pairs),
        "accuracy": float(np.mean([right[pairs.same].mean(), right[~pairs.same].mean()])),
        "AUC": float(roc_auc_score(pairs.same, scores)),
        "best step": trained.best_step,
        "seconds": seconds,
    }


def main() -> None:
    """Print one line for each of the two questions."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("mnist", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    for name, digits in (("by-image", range(10)), ("by-digit", range(8))):
        out = options.out / name
        print(json.dumps(measure(options.mnist, out, digits, options.steps, options.seed)))


if __name__ == "__main__":
    main()
