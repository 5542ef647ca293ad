"""How long a person waits: cold commands, and a warm query by id.

python benchmarks/latency.py INDEX QUERY_IMAGE [--runs 7]
"""

import argparse
import time
from pathlib import Path

from measure import median, run

from paint_search import Index


def main() -> None:
    """Print median, least and most wall time of each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("index", type=Path)
    parser.add_argument("query", type=Path)
    parser.add_argument("--runs", type=int, default=7)
    options = parser.parse_args()
    commands: dict[str, tuple[str | Path, ...]] = {
        "--help": ("--help",),
        "similar FILE": ("similar", options.query, "--index", options.index),
    }
    for name, arguments in commands.items():
        run(*arguments)
        times = [run(*arguments).seconds for _ in range(options.runs)]
        print(f"cold {name}: {median(times):.3f} s ({min(times):.3f} to {max(times):.3f})")
    with Index.open(options.index) as index:
        ids, _ = index.vectors()
        chosen = ids[:: max(1, len(ids) // 200)]
        index.similar(chosen[0])
        times = []
        for key in chosen:
            start = time.perf_counter()
            index.similar(key)
            times.append(1000 * (time.perf_counter() - start))
        print(
            f"warm Index.similar(id), {len(ids)} paintings of {index.manifest.backbone.dimension} "
            f"dimensions: {median(times):.1f} ms ({min(times):.1f} to {max(times):.1f})"
        )


if __name__ == "__main__":
    main()
