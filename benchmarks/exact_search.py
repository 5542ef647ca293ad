"""When an approximate index pays: latency and recall of exact search and HNSW, by collection size.

Clustered unit vectors, as those of paintings are; k = 10, payload included, one query at a time.

    python benchmarks/exact_search.py [--dimension 2048] [--sizes 10000 25000 50000]
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
from measure import median

from paint_search.painting import Record, painting_id
from paint_search.search.recall import measure_recall
from paint_search.search.stores import VectorQuery, edge


def clustered(count: int, dimension: int, seed: int = 0) -> np.ndarray:
    """Return unit vectors around count / 50 centres."""
    random = np.random.default_rng(seed)
    centres = random.standard_normal((max(1, count // 50), dimension), dtype=np.float32)
    vectors = centres[random.integers(0, len(centres), count)]
    vectors += 0.8 * random.standard_normal((count, dimension), dtype=np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def latency(store: edge.EdgeStore, queries: np.ndarray, *, exact: bool) -> float:
    """Return the median milliseconds of one query."""
    times = []
    for query in queries:
        start = time.perf_counter()
        store.search(VectorQuery(query[None], 10, exact=exact))
        times.append(1000 * (time.perf_counter() - start))
    return median(times)


def main() -> None:
    """Print one line for each size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dimension", type=int, default=2048)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 25_000, 50_000])
    options = parser.parse_args()
    for size in options.sizes:
        vectors = clustered(size, options.dimension)
        with tempfile.TemporaryDirectory() as name:
            store = edge.EdgeStore(
                Path(name) / "store",
                {"full": options.dimension},
                exact_bytes=1024 * 1024,  # build HNSW at every size
            )
            for start in range(0, size, 500):
                store.upsert(
                    [
                        Record(painting_id(str(i)), {"path": str(i)}, vectors[i])
                        for i in range(start, min(size, start + 500))
                    ]
                )
            queries = vectors[:: size // 100]
            plain = latency(store, queries, exact=True)
            began = time.perf_counter()
            store.optimize()
            build = time.perf_counter() - began
            exact, near = (latency(store, queries, exact=exact) for exact in (True, False))
            print(
                f"{size} x {options.dimension} ({size * options.dimension * 2 / 1e6:.0f} MB): "
                f"exact {plain:.1f} ms, after optimizing {exact:.1f} ms; HNSW {near:.1f} ms at "
                f"recall@10 {measure_recall(store)}, built in {build:.0f} s",
                flush=True,
            )
            store.close()


if __name__ == "__main__":
    main()
