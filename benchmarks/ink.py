"""The three tasks of the study of black-and-white abstract paintings, on the generated ink corpus.

python benchmarks/ink.py FOLDER [--seeds 10] [--net-seeds 3]

FOLDER is what `paint-search demo FOLDER --corpus ink` made. The sizes of the splits are the
study's; which works are in them, and which part, differs from seed to seed. A fifth of the works
to learn from sets the sets of classes instead. The study's paintings are not to be had: its figures
are of real ones, ours of painted ones, and the two only show what each way is good for.
"""

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from rich.table import Table
from sklearn.neighbors import KNeighborsClassifier

from paint_search import Index
from paint_search.eval import Kind, classify, group_labels, stratified_split
from paint_search.indexer.backbones.ink import ink
from paint_search.indexer.images.decode import decode
from paint_search.indexer.images.preprocessing import Preprocessing
from paint_search.train import SIDE, SmallConvNet

TWO = ("blackness", "eye-fill")
TASKS = {"shape": (200, 59), "eyes": (370, 111), "strokes": (440, 87)}
STUDY = {
    ("shape", "one neighbour, two features"): "99 % of what it was fitted to",
    ("shape", "cnn, the files"): "a little above 50 %",
    ("eyes", "cnn, the files"): "not above 50 %",
    ("strokes", "cnn, the files"): "not above 50 %",
}
COLUMNS = (
    "task",
    "model",
    "unseen",
    "baseline",
    "fitted",
    "sets 90 %",
    "classes",
    "ECE",
    "s",
    "study",
)


def main() -> None:
    """Print the table: mean and standard deviation over the seeds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--net-seeds", type=int, default=3)
    options = parser.parse_args()
    with Index.open(options.folder / ".paint-search") as index:
        vectors = index.vectors()[1]
        labels = {task: [_text(value) for value in index.field(task)] for task in TASKS}
        files = [index.locate(painting) for painting in index.paintings()]
    small = Preprocessing(size=SIDE, fit="pad", mean=(0.5, 0.5, 0.5))
    pixels = np.stack([decode(file, small).pixels for file in files])
    two = ink.only(vectors, TWO)
    table = Table(*COLUMNS, box=None)
    for task in track(TASKS, console=Console(stderr=True)):
        ways: list[tuple[str, Kind, NDArray, int]] = [
            ("knn, two features", "knn", two, options.seeds),
            ("logistic, two features", "logistic", two, options.seeds),
            ("knn, all ink features", "knn", vectors, options.seeds),
            ("logistic, all ink features", "logistic", vectors, options.seeds),
            ("cnn, the files", "cnn", pixels, options.net_seeds),
        ]
        rows = [_one_neighbour(two, labels[task], TASKS[task], options.seeds)]
        rows += [_measure(*way, labels[task], TASKS[task]) for way in ways if way[-1]]
        for row in rows:
            table.add_row(task, *row, STUDY.get((task, row[0]), ""))
    Console(width=200).print(table)


def _measure(
    name: str,
    kind: Kind,
    inputs: NDArray,
    seeds: int,
    labels: list[str | None],
    sizes: tuple[int, int],
) -> list[str]:
    groups = group_labels(labels, len(inputs))
    figures, start = [], time.perf_counter()
    for seed in range(seeds):
        split = stratified_split(groups, learn=sizes[0], test=sizes[1], seed=seed)
        net = SmallConvNet(seed=seed) if kind == "cnn" else None
        found = classify(inputs, labels, kind=kind, seed=seed, split=split, net=net)
        figures.append(
            (
                found.accuracy,
                found.baseline[1],
                found.fitted,
                found.covered.mean(),
                found.sets.sum(axis=1).mean(),
                found.calibration_error,
            )
        )
    seconds = (time.perf_counter() - start) / seeds
    return [name, *_spread(np.array(figures)), f"{seconds:.1f}"]


def _one_neighbour(
    inputs: NDArray, labels: list[str | None], sizes: tuple[int, int], seeds: int
) -> list[str]:
    """One neighbour and all works to learn from: what is fitted to the last, and no more."""
    groups = group_labels(labels, len(inputs))
    figures = []
    for seed in range(seeds):
        split = stratified_split(groups, learn=sizes[0], test=sizes[1], seed=seed)
        learned = np.r_[split.learned, split.set_by]
        model = KNeighborsClassifier(1).fit(inputs[learned], groups.codes[learned])
        scores = [model.score(inputs[rows], groups.codes[rows]) for rows in (split.tested, learned)]
        figures.append((scores[0], np.nan, scores[1], np.nan, np.nan, np.nan))
    return ["one neighbour, two features", *_spread(np.array(figures)), ""]


def _spread(figures: NDArray) -> Iterator[str]:
    for mean, spread in zip(figures.mean(axis=0), figures.std(axis=0), strict=True):
        yield "" if np.isnan(mean) else f"{mean:.3f} ± {spread:.3f}"


def _text(value: object) -> str | None:
    return None if value is None else str(value)


if __name__ == "__main__":
    main()
