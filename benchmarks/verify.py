"""Same artist or not, over many seeds: a head trained anew for each, and how well it tells.

Each seed holds out other artists, trains the siamese head on the rest, and judges pairs of the
artists held out (unseen) and of works held out (seen) by calibrations on others of them. AUC and
calibration error are those of `eval verify`, every artist alike often; "any pair" is the AUC where
every pair is alike likely, so that artists of many works count most.

    python benchmarks/verify.py INDEX [--seeds 0 1 2] [--dims 128] [--where core=1] [--json FILE]
"""

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.metrics import roc_auc_score

from paint_search import Index
from paint_search.compress import Siamese, choose_hold_out
from paint_search.errors import CompressError
from paint_search.eval import Pairs, group_labels, random_pairs, verification
from paint_search.verify import PAIRS, Material, Side, cross_judge

SCORES = ("raw", "centred", "code", "judge")
SIDES: tuple[Side, ...] = ("unseen", "seen")


def measure(
    ids: list[str],
    vectors: np.ndarray,
    artists: list[str | None],
    shown: np.ndarray,
    dims: int,
    seed: int,
) -> dict[str, Any]:
    """Train for one seed and return its figures."""
    split = choose_hold_out(ids, artists, seed=seed)
    learned = np.flatnonzero(Material.deal(ids, artists, vectors, None, split).learned)
    start = time.perf_counter()
    try:
        head = Siamese(dims, seed=seed).fit(vectors[learned], [artists[row] for row in learned])
    except CompressError as error:
        return {"seed": seed, "collapsed": str(error), "seconds": time.perf_counter() - start}
    row: dict[str, Any] = {"seed": seed, "collapsed": "", "seconds": time.perf_counter() - start}
    codes = head.transform(vectors)
    dealt = Material.deal(ids, artists, vectors, codes, split)
    material = replace(dealt, unseen=dealt.unseen & shown, seen=dealt.seen & shown)
    model, _ = material.learn()
    compared = {"raw": vectors, "centred": model.centred(vectors), "code": codes}
    groups = group_labels(artists, len(artists))

    def any_pairs(rows: np.ndarray, count: int, seed: int) -> Pairs:
        inside = np.flatnonzero(rows)
        few = group_labels([artists[place] for place in inside], len(inside))
        left, right, same = random_pairs(few, count // 2, seed)
        return Pairs(inside[left], inside[right], same)

    for side in SIDES:
        for name, draw in (("AUC", None), ("any pair", any_pairs)):
            judged = cross_judge(material, side, seed=seed, count=PAIRS, draw=draw)
            pairs = judged.pairs
            scores = {
                what: np.einsum("nd,nd->n", rows[pairs.left], rows[pairs.right])
                for what, rows in compared.items()
            }
            for what, values in (scores | {"judge": judged.probabilities}).items():
                row[f"{side} {name} {what}"] = roc_auc_score(pairs.same, values)
            if draw is None:
                found = verification(
                    judged.probabilities,
                    pairs.same,
                    groups.codes[pairs.left],
                    groups.codes[pairs.right],
                    groups.names,
                    samples=2,
                )
                row[f"{side} ECE"] = found.figures["calibration error"]
    return row


def main() -> None:
    """Print a line for each seed, then mean and range."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("index", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(10)))
    parser.add_argument("--dims", type=int, default=128)
    parser.add_argument("--where", help="measure on these works only, such as core=1")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with Index.open(options.index) as index:
        ids, vectors = index.vectors(which="full")
        artists = [None if a is None else str(a) for a in index.field("artist")]
        shown = np.ones(len(ids), dtype=bool)
        if options.where:
            field, _, value = options.where.partition("=")
            shown = np.array([str(found) == value for found in index.field(field)])
    names = [
        name
        for side in SIDES
        for name in (
            *(f"{side} {kind} {what}" for kind in ("AUC", "any pair") for what in SCORES),
            f"{side} ECE",
        )
    ]
    shown_names = [name for name in names if name.endswith(("judge", "ECE"))]
    print("seed", *(f"{name:>21}" for name in shown_names), "  seconds  collapsed")
    rows = []
    for seed in options.seeds:
        row = measure(ids, vectors, artists, shown, options.dims, seed)
        rows.append(row)
        figures = (f"{row[name]:21.3f}" if name in row else " " * 21 for name in shown_names)
        print(
            f"{seed:4}", *figures, f"{row['seconds']:9.0f}  {row['collapsed'] or 'no'}", flush=True
        )
        if options.json:
            options.json.write_text(json.dumps(rows, indent=1))
    sound = [row for row in rows if not row["collapsed"]]
    for name in names if sound else ():
        values = [row[name] for row in sound]
        print(f"{name}: {np.mean(values):.3f} ({min(values):.3f} to {max(values):.3f})")
    print(f"{len(rows) - len(sound)} of {len(rows)} trainings collapsed")


if __name__ == "__main__":
    main()
