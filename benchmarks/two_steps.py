"""Search in two steps against exact search, through the client: recall@10 and milliseconds.

The oversampling is chosen by `compress` on 100 paintings; this asks 500 others.

    python benchmarks/two_steps.py INDEX [--method pca] [--dims 64 128 256 320] [--queries 500]
"""

import argparse
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

from measure import median

from paint_search import Index


def ask(index: Index, queries: list[str], **how: Any) -> tuple[list[set[str]], float]:
    """Return the ids of the ten nearest to each query, and the median milliseconds."""
    found, times = [], []
    for query in queries:
        start = time.perf_counter()
        hits = index.similar(query, k=10, **how)
        times.append(1000 * (time.perf_counter() - start))
        found.append({hit.painting.id for hit in hits})
    return found, median(times)


def main() -> None:
    """Print one line for each size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("index", type=Path)
    parser.add_argument("--method", default="pca")
    parser.add_argument("--dims", type=int, nargs="+", default=[64, 128, 256, 320])
    parser.add_argument("--queries", type=int, default=500)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        copy = Path(name) / "index"
        shutil.copytree(options.index, copy)
        for dims in options.dims:
            with Index.open(copy) as index:
                made = index.compress(options.method, dims).compression
                ids, _ = index.vectors(which="compact")
                queries = ids[100 : 100 + options.queries]
                truth, exact = ask(index, queries, exact=True)
                ways = {"two steps": {}, "compact alone": {"compact_only": True}}
                words = []
                for way, how in ways.items():
                    found, milliseconds = ask(index, queries, **how)
                    kept = sum(len(a & b) for a, b in zip(found, truth, strict=True))
                    recall = kept / sum(map(len, truth))
                    words.append(f"{way} {milliseconds:.2f} ms at recall@10 {recall:.4f}")
            print(
                f"{options.method} {dims}: exact {exact:.2f} ms, {', '.join(words)} "
                f"(oversampling {made.oversampling})",
                flush=True,
            )


if __name__ == "__main__":
    main()
