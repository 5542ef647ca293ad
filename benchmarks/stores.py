"""Every store against bare FAISS, flat and HNSW, on the same clustered vectors in the same run.

Unit vectors around many centres; queries are other draws of the same mixture, k = 10, payloads
included (not by bare FAISS), recall against brute force. Each store is built in one process and
asked in another, one at a time; one on a server is asked twice, before it has built its graph and
after. Memory is what opening and asking add to that process, files mapped into it included.

    python benchmarks/stores.py [--sizes 10000 100000] [--dimensions 128 320] [--stores edge faiss]
        [--url qdrant://HOST:6334/COLLECTION] [--recall 0.98] [--json FILE] [--work FOLDER]
"""

import argparse
import functools
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from paint_search.painting import Progress, Record, painting_id
from paint_search.search.filters import Condition
from paint_search.search.stores.base import Store, VectorQuery
from paint_search.search.stores.description import Maker
from paint_search.search.stores.opening import delete_store, open_store
from paint_search.search.stores.uri import Place

QUERIES, K, BATCH = 500, 10, 1000
ARTISTS = 100  # so that a filter on one of them keeps 1 %
MAKER = Maker("benchmark", "none")
BARE = ("bare flat", "bare HNSW")
COLUMNS = {
    "insert_rate": ("inserted/s", "{:,.0f}"),
    "build_s": ("built, s", "{:.1f}"),
    "memory_mb": ("memory, MB", "{:.0f}"),
    "disk_mb": ("disk, MB", "{:.0f}"),
    "open_ms": ("opened, ms", "{:.0f}"),
    "first_p50_ms": ("first time p50, ms", "{:.2f}"),
    "p50_ms": ("p50, ms", "{:.2f}"),
    "p99_ms": ("p99, ms", "{:.2f}"),
    "batch_ms": ("in batches, ms", "{:.3f}"),
    "filter_p50_ms": ("1 %, p50, ms", "{:.2f}"),
    "filter_p99_ms": ("1 %, p99, ms", "{:.2f}"),
    "recall": ("recall@10", "{:.3f}"),
    "filter_recall": ("1 %, recall@10", "{:.3f}"),
    "to_flat": ("p50 / flat", "{:.2f}"),
    "to_hnsw": ("p50 / HNSW", "{:.2f}"),
    "batch_to_hnsw": ("batch / HNSW", "{:.2f}"),
}


@functools.cache
def middles(count: int, dimension: int) -> np.ndarray:
    """Return the centres of the clusters."""
    return np.random.default_rng(0).standard_normal((count, dimension), dtype=np.float32)


def mixture(count: int, dimension: int, seed: int, centres: int) -> np.ndarray:
    """Draw unit vectors around centres that are the same for every seed."""
    random = np.random.default_rng(seed)
    vectors = middles(centres, dimension)[random.integers(0, centres, count)]
    vectors += 0.8 * random.standard_normal((count, dimension), dtype=np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors


def blocks(count: int, dimension: int) -> Iterator[tuple[int, np.ndarray]]:
    """Yield the start and the vectors of each batch of the collection."""
    for start in range(0, count, BATCH):
        size = min(BATCH, count - start)
        yield start, mixture(size, dimension, 1000 + start, max(1, count // 50))


def ask_for(count: int, dimension: int) -> np.ndarray:
    """Return the queries."""
    return mixture(QUERIES, dimension, 7, max(1, count // 50))


def artist(number: int) -> int:
    """Return whose a painting is: artists are spread evenly over the clusters."""
    return (number * 7919) % 1_000_003 % ARTISTS


def rss_mb() -> float:
    """Return the resident megabytes of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def timed(ask: Callable[[int], Any], prefix: str = "") -> dict[str, float]:
    """Ask every query, one at a time, twice: what is mapped from disk comes in at first."""
    passes = []
    for _ in range(2):
        times = []
        for number in range(QUERIES):
            start = time.perf_counter()
            ask(number)
            times.append(1000 * (time.perf_counter() - start))
        passes.append(np.percentile(times, [50, 99]))
    (first, _), (p50, p99) = passes
    return {
        f"{prefix}first_p50_ms": float(first),
        f"{prefix}p50_ms": float(p50),
        f"{prefix}p99_ms": float(p99),
    }


def share(found: list[set[int]], truth: np.ndarray) -> float:
    """Return recall@10."""
    return sum(len(a & set(b)) for a, b in zip(found, truth.tolist(), strict=True)) / truth.size


def find_truth(count: int, dimension: int) -> dict[str, np.ndarray]:
    """Return the numbers of the ten nearest to each query, of all and of one artist's."""
    import faiss

    queries = ask_for(count, dimension)
    every, own = faiss.ResultHeap(QUERIES, K, keep_max=True), []
    kept: dict[int, list[tuple[float, int]]] = {number: [] for number in range(QUERIES)}
    for start, vectors in blocks(count, dimension):
        scores = queries @ vectors.T
        best = np.argsort(-scores, axis=1)[:, :K]
        every.add_result(np.take_along_axis(scores, best, 1), best + start)
        whose = np.array([artist(start + i) for i in range(len(vectors))])
        for number in range(QUERIES):
            mine = np.flatnonzero(whose == number % ARTISTS)
            kept[number] += [(float(scores[number, i]), start + int(i)) for i in mine]
            kept[number] = sorted(kept[number], reverse=True)[:K]
    every.finalize()
    own = [[number for _, number in kept[query]] for query in range(QUERIES)]
    return {"all": every.I, "own": np.array(own)}


def build_bare(
    name: str, folder: Path, count: int, dimension: int, recall: float
) -> dict[str, Any]:
    """Build a FAISS index alone; HNSW with the least efSearch that reaches the recall."""
    import faiss

    factory = "Flat" if name == "bare flat" else "HNSW32,Flat"
    index = faiss.index_factory(dimension, factory, faiss.METRIC_INNER_PRODUCT)
    if name == "bare HNSW":
        index.hnsw.efConstruction = 80
    build = 0.0
    for _, vectors in blocks(count, dimension):
        start = time.perf_counter()
        index.add(vectors)
        build += time.perf_counter() - start
    if name == "bare HNSW":
        truth = np.load(folder / "truth.npz")["all"]
        for ef in (16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024):
            index.hnsw.efSearch = ef
            _, found = index.search(ask_for(count, dimension), K)
            if share([set(row) for row in found.tolist()], truth) >= recall:
                break
    faiss.write_index(index, str(folder / "bare"))
    searched = factory if name == "bare flat" else f"{factory}, efSearch {index.hnsw.efSearch}"
    return {"insert_rate": count / build, "build_s": 0.0, "searched": searched}


def ask_bare(name: str, folder: Path, count: int, dimension: int) -> dict[str, Any]:
    """Ask a FAISS index; with a filter by a bitmap that is there already."""
    import faiss

    queries, truth = ask_for(count, dimension), np.load(folder / "truth.npz")
    before, start = rss_mb(), time.perf_counter()
    index = faiss.read_index(str(folder / "bare"))
    index.search(queries[:1], K)
    opened = 1000 * (time.perf_counter() - start)
    whose = np.array([artist(i) for i in range(count)])
    masks = [np.packbits(whose == number, bitorder="little") for number in range(ARTISTS)]
    selectors = [faiss.IDSelectorBitmap(mask) for mask in masks]
    kind = faiss.SearchParameters if name == "bare flat" else faiss.SearchParametersHNSW
    options = {} if name == "bare flat" else {"efSearch": index.hnsw.efSearch}

    def ask(number: int) -> set[int]:
        return set(index.search(queries[number : number + 1], K)[1][0].tolist())

    def ask_filtered(number: int) -> set[int]:
        params = kind(sel=selectors[number % ARTISTS], **options)
        _, found = index.search(queries[number : number + 1], K, params=params)
        return set(found[0].tolist())

    result: dict[str, Any] = {"open_ms": opened, **timed(ask), "memory_mb": rss_mb() - before}
    start = time.perf_counter()
    index.search(queries, K)
    result["batch_ms"] = 1000 * (time.perf_counter() - start) / QUERIES
    result |= timed(ask_filtered, "filter_")
    result["recall"] = share([ask(i) for i in range(QUERIES)], truth["all"])
    result["filter_recall"] = share([ask_filtered(i) for i in range(QUERIES)], truth["own"])
    return result


def fill_store(store: Store, count: int, dimension: int) -> dict[str, Any]:
    """Fill a store."""
    inserting = 0.0
    for start, vectors in blocks(count, dimension):
        records = [
            Record(
                painting_id(str(i)),
                {"path": f"{i}.jpg", "number": i, "artist": f"Artist {artist(i)}", "_size": i},
                vector,
            )
            for i, vector in enumerate(vectors, start=start)
        ]
        began = time.perf_counter()
        store.upsert(records)
        inserting += time.perf_counter() - began
    began = time.perf_counter()
    store.flush()
    inserting += time.perf_counter() - began
    return {"insert_rate": count / inserting, "searched": store.describe()}


def build_store(store: Store) -> dict[str, Any]:
    """Let a store build its index, and wait for it."""

    def say(progress: Progress) -> None:
        print(f"{progress.done:,} of {progress.total:,} in the graph", end="\r", file=sys.stderr)

    began = time.perf_counter()
    store.optimize(say)
    return {"build_s": time.perf_counter() - began, "searched": store.describe()}


def ask_store(
    opens: Callable[[], Store], folder: Path, count: int, dimension: int
) -> dict[str, Any]:
    """Open a store and ask it; the first query is part of opening it, loading libraries is not."""
    import faiss  # noqa: F401
    import qdrant_edge  # noqa: F401

    queries, truth = ask_for(count, dimension), np.load(folder / "truth.npz")
    before, start = rss_mb(), time.perf_counter()
    store = opens()
    store.search(VectorQuery(queries[:1], K))
    opened = 1000 * (time.perf_counter() - start)

    def ask(number: int) -> set[int]:
        (found,) = store.search(VectorQuery(queries[number : number + 1], K))
        return {int(match.record.payload["number"]) for match in found}

    def ask_filtered(number: int) -> set[int]:
        where = [Condition("artist", (f"Artist {number % ARTISTS}",))]
        (found,) = store.search(VectorQuery(queries[number : number + 1], K, where))
        return {int(match.record.payload["number"]) for match in found}

    result: dict[str, Any] = {"open_ms": opened, **timed(ask), "memory_mb": rss_mb() - before}
    start = time.perf_counter()
    store.search(VectorQuery(queries, K))
    result["batch_ms"] = 1000 * (time.perf_counter() - start) / QUERIES
    result |= timed(ask_filtered, "filter_")
    result["recall"] = share([ask(i) for i in range(QUERIES)], truth["all"])
    result["filter_recall"] = share([ask_filtered(i) for i in range(QUERIES)], truth["own"])
    store.close()
    return result


def step(work: str, name: str, folder: Path, count: int, dimension: int, recall: float) -> Any:
    """Do one step of one cell, in a process of its own."""
    if work == "truth":
        np.savez(folder / "truth.npz", **find_truth(count, dimension))
        return {}
    if name in BARE:
        if work == "fill":
            return build_bare(name, folder, count, dimension, recall)
        return ask_bare(name, folder, count, dimension)
    place = Place.parse(name)
    if work == "delete":
        return delete_store(folder, place)

    def opens() -> Store:
        return open_store(folder, place, {"full": dimension}, MAKER)

    if work == "ask":
        return ask_store(opens, folder, count, dimension)
    store = opens()
    try:
        return fill_store(store, count, dimension) if work == "fill" else build_store(store)
    finally:
        store.close()


def run(work: str, name: str, folder: Path, *numbers: float) -> dict[str, Any]:
    """Do one step in a process of its own, and add its peak memory."""
    command = [sys.executable, __file__, "--step", work, name, str(folder), *map(str, numbers)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1]) or {}
    return result


def on_disk_mb(folder: Path) -> float:
    """Return the megabytes of all files but the truth, holes not counted."""
    files = (file for file in folder.rglob("*") if file.is_file() and file.name != "truth.npz")
    return sum(file.stat().st_blocks * 512 for file in files) / 1e6


def measure(name: str, folder: Path, *numbers: float) -> list[dict[str, Any]]:
    """Build and ask one store, and take it away again; a server's also before it is built."""
    cell = dict(zip(("count", "dimension"), numbers, strict=False)) | {"store": name}
    cell |= run("fill", name, folder, *numbers)
    cells = []
    if name.startswith("qdrant"):
        cells.append(cell | run("ask", name, folder, *numbers))
    if name not in BARE:
        cell |= run("build", name, folder, *numbers)
    cell["build_peak_mb"] = cell["peak_mb"]
    if not name.startswith("qdrant"):
        cell["disk_mb"] = on_disk_mb(folder)
    cells.append(cell | run("ask", name, folder, *numbers))
    if name in BARE:
        (folder / "bare").unlink()
    else:
        run("delete", name, folder, *numbers)
    return [one | {"load": os.getloadavg()[0]} for one in cells]


def with_ratios(cells: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Add what each takes against bare FAISS."""
    flat, hnsw = (cell for cell in cells if cell["store"] in BARE)
    for cell in cells:
        cell["to_flat"] = cell["p50_ms"] / flat["p50_ms"]
        cell["to_hnsw"] = cell["p50_ms"] / hnsw["p50_ms"]
        cell["batch_to_hnsw"] = cell["batch_ms"] / hnsw["batch_ms"]
    return cells


def table(cells: list[dict[str, Any]]) -> str:
    """Return the cells as a table in Markdown."""
    lines = [
        "| vectors | store | searched | " + " | ".join(head for head, _ in COLUMNS.values()) + " |",
        "|---" * (3 + len(COLUMNS)) + "|",
    ]
    for cell in cells:
        shown = [form.format(cell[k]) if k in cell else "" for k, (_, form) in COLUMNS.items()]
        size = f"{cell['count']:,} x {cell['dimension']}"
        lines.append(
            f"| {size} | {cell['store']} | {cell['searched']} | " + " | ".join(shown) + " |"
        )
    return "\n".join(lines)


def main() -> None:
    """Measure every cell and print the table."""
    if "--step" in sys.argv:
        work, name, folder, *numbers = sys.argv[2:]
        result = step(work, name, Path(folder), *map(int, numbers[:2]), float(numbers[2]))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps({**(result or {}), "peak_mb": peak}))
        return
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--dimensions", type=int, nargs="+", default=[128, 320])
    parser.add_argument("--stores", nargs="+", default=["edge", "faiss"])
    parser.add_argument("--url", help="a Qdrant collection to make and delete, too")
    parser.add_argument("--recall", type=float, default=0.98, help="that bare HNSW is tuned to")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--work", type=Path, help="where stores are made; a temporary folder")
    options = parser.parse_args()
    cells = []
    for count in options.sizes:
        for dimension in options.dimensions:
            folder = Path(tempfile.mkdtemp(dir=options.work))
            try:
                run("truth", "", folder, count, dimension, options.recall)
                names = [*BARE, *options.stores, *([options.url] if options.url else [])]
                row: list[dict[str, Any]] = []
                for name in names:
                    row += (made := measure(name, folder, count, dimension, options.recall))
                    print(*map(json.dumps, made), sep="\n", file=sys.stderr, flush=True)
                cells += with_ratios(row)
            finally:
                shutil.rmtree(folder, ignore_errors=True)
    print(table(cells))
    if options.json:
        options.json.write_text(json.dumps(cells, indent=1))


if __name__ == "__main__":
    main()
