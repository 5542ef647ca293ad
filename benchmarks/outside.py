"""How much harder queries from outside a collection are, and what stands for them while tuning.

Recall@10 of the embedded store's graph by ef, for its own vectors (not counted themselves), for
vectors half a random step away (what the effort is tuned with) and for vectors that were kept out
of the collection: of the paintings of an index, of the same shortened by PCA, of a mixture of
clusters and of Gaussian noise, where everything is as far from everything else.

    python benchmarks/outside.py [--index .paint-search] [--kept-out 500] [--seed 0] [--json FILE]
"""

import argparse
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.decomposition import PCA
from stores import ask_for, blocks

from paint_search import Index
from paint_search.painting import Record, painting_id
from paint_search.search import step_outside
from paint_search.search.stores import VectorQuery, edge

K, QUERIES = 10, 500
EFS = (16, 24, 32, 48, 64, 96, 128)


def unit(vectors: np.ndarray) -> np.ndarray:
    """Return vectors of unit norm."""
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), dtype=np.float32)


def collections(folder: Path, kept_out: int, seed: int) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return name -> vectors of the collection, and those that were kept out."""
    random = np.random.default_rng(seed)
    with Index.open(folder) as index:
        paintings = unit(index.vectors()[1])
    paintings = paintings[random.permutation(len(paintings))]
    queries, stored = np.split(paintings, [kept_out])
    pca = PCA(320, random_state=seed).fit(stored)
    mixed = np.concatenate([vectors for _, vectors in blocks(50_000, 128)])
    noise = unit(random.standard_normal((3000 + kept_out, 64)))
    return {
        "paintings": (stored, queries),
        "paintings, PCA": (unit(pca.transform(stored)), unit(pca.transform(queries))),
        "clusters": (mixed, ask_for(50_000, 128)),
        "noise": (noise[kept_out:], noise[:kept_out]),
    }


def found(
    store: edge.EdgeStore, queries: np.ndarray, own: Sequence[str], *, exact: bool
) -> list[set[str]]:
    """Return the ids of the ten nearest to each, without its own."""
    rows = store.search(VectorQuery(queries, K + 1, exact=exact))
    kept = [[match.record.id for match in row] for row in rows]
    return [
        set([found for found in row if found != mine][:K])
        for row, mine in zip(kept, own, strict=True)
    ]


def measure(name: str, stored: np.ndarray, kept_out: np.ndarray, folder: Path) -> dict[str, Any]:
    """Return what ef was chosen, and recall@10 by kind of query and ef."""
    store = edge.EdgeStore(  # which walks a graph at every size
        folder, {"full": stored.shape[1]}, exact_bytes=64 * 1024, compared_kib=40
    )
    ids = [painting_id(str(i)) for i in range(len(stored))]
    for start in range(0, len(stored), 1000):
        store.upsert(
            [
                Record(ids[i], {"path": str(i)}, stored[i])
                for i in range(start, min(start + 1000, len(stored)))
            ]
        )
    store.optimize()
    chosen = store._ef
    few = np.random.default_rng(1).choice(len(stored), QUERIES, replace=False)
    own = stored[few]
    scores = np.sort(own @ stored.T, axis=1)
    nobody = [""] * max(QUERIES, len(kept_out))
    kinds = {
        "own": (own, [ids[i] for i in few]),
        "half a step": (step_outside(own, scores[:, -2]), nobody[:QUERIES]),
        "kept out": (kept_out, nobody[: len(kept_out)]),
    }
    recall: dict[str, list[float]] = {}
    for kind, (queries, mine) in kinds.items():
        truth = found(store, queries, mine, exact=True)
        recall[kind] = []
        for ef in EFS:
            store._ef = ef
            near = found(store, queries, mine, exact=False)
            hits = sum(len(a & b) for a, b in zip(near, truth, strict=True))
            recall[kind].append(hits / (K * len(queries)))
    store.close()
    return {"collection": name, "vectors": stored.shape, "chosen": chosen, "recall": recall}


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--index", type=Path, default=Path(".paint-search"))
    parser.add_argument("--kept-out", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    cells = []
    print("| collection | ef chosen | queries | " + " | ".join(map(str, EFS)) + " |")
    print("|---" * (3 + len(EFS)) + "|")
    with tempfile.TemporaryDirectory() as folder:
        sets = collections(options.index, options.kept_out, options.seed)
        for number, (name, vectors) in enumerate(sets.items()):
            cell = measure(name, *vectors, Path(folder) / str(number))
            cells.append(cell)
            count, dimension = cell["vectors"]
            head = f"{name}, {count:,} x {dimension} | {cell['chosen']}"
            for kind, recall in cell["recall"].items():
                figures = " | ".join(f"{value:.3f}" for value in recall)
                print(f"| {head} | {kind} | {figures} |", flush=True)
                head = " |"
    if options.json:
        options.json.write_text(json.dumps(cells, indent=1))


if __name__ == "__main__":
    main()
