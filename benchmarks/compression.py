"""What each compressor keeps, over several splits by artist: mean, and least to most.

Fitted on four fifths of the artists, measured on the works of the others, as
`paint-search eval compression` does for one seed.

    python benchmarks/compression.py INDEX [--methods pca autoencoder] [--dims 64 128 256 320]
        [--seeds 0 1 2] [--json FILE]
"""

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from paint_search import Index
from paint_search.compress import choose_hold_out, make_compressor
from paint_search.eval import fidelity

FIGURES = (
    "recall@10",
    "Spearman",
    "silhouettes r",
    "clear flips",
    "full mAP@10",
    "mAP@10",
    "fit s",
)


def measure(
    vectors: np.ndarray,
    artists: Sequence[str | None],
    held: np.ndarray,
    method: str,
    dims: int,
    seed: int,
) -> dict[str, float]:
    """Fit one compressor on what is not held out, and measure it on what is."""
    start = time.perf_counter()
    compressor = make_compressor(method, dims, seed=seed).fit(vectors[~held])
    seconds = time.perf_counter() - start
    full = vectors[held]
    codes = compressor.transform(full).astype(np.float16)
    labels = [artist for artist, out in zip(artists, held, strict=True) if out]
    found = fidelity(full, codes, labels, [None] * len(labels), seed=seed)
    assert found.artists is not None, "too few works by each artist are held out"
    before, after = found.artists.map_at_10
    return {
        "recall@10": found.neighbours.recall[10],
        "Spearman": found.pairs.spearman,
        "silhouettes r": found.artists.silhouettes.correlation,
        "clear flips": len(found.artists.silhouettes.clear_flips),
        "full mAP@10": before,
        "mAP@10": after,
        "fit s": seconds,
    }


def main() -> None:
    """Print one line for each method and size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("index", type=Path)
    parser.add_argument("--methods", nargs="+", default=["pca", "autoencoder"])
    parser.add_argument("--dims", type=int, nargs="+", default=[64, 128, 256, 320])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with Index.open(options.index) as index:
        ids, vectors = index.vectors(which="full")
        artists = [None if a is None else str(a) for a in index.field("artist")]
    rows = []
    for dims in options.dims:
        for method in options.methods:
            runs = []
            for seed in options.seeds:
                held = choose_hold_out(ids, artists, seed=seed).held_out(ids, artists)
                runs.append(measure(vectors, artists, held, method, dims, seed))
                rows.append({"method": method, "dims": dims, "seed": seed, **runs[-1]})
                if options.json:
                    options.json.write_text(json.dumps(rows, indent=1))
            values = {name: [run[name] for run in runs] for name in FIGURES}
            words = (
                f"{name} {np.mean(v):.3f} ({min(v):.3f}-{max(v):.3f})" for name, v in values.items()
            )
            print(f"{method} {dims}: {', '.join(words)}", flush=True)


if __name__ == "__main__":
    main()
