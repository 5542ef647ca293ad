"""Retrieval by artist, leave-one-out, for one index: P@1, mAP@10, share with a hit in 10, AUC.

python benchmarks/quality.py INDEX [--where core=1]
"""

import argparse
from pathlib import Path

from paint_search import Index
from paint_search.eval import retrieval, same_label_auc
from paint_search.search.filters import parse_filter


def main() -> None:
    """Print the figures of the paintings that match."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("index", type=Path)
    parser.add_argument("--where", action="append", default=[])
    options = parser.parse_args()
    where = parse_filter(options.where)
    with Index.open(options.index) as index:
        _, vectors = index.vectors(where)
        artists = index.field("artist", where)
        name = index.manifest.backbone.name
        fit = index.manifest.backbone.preprocessing.fit
    labels = [None if artist is None else str(artist) for artist in artists]
    found = retrieval(vectors, labels, ks=(1, 10))
    figures = found.summary()
    low, high = found.interval("mAP@10")
    print(
        f"{name}, {fit}: {len(vectors)} paintings, P@1 {figures['P@1']:.3f}, "
        f"mAP@10 {figures['mAP@10']:.3f} ({low:.3f} to {high:.3f}), "
        f"hit in 10 {figures['R@10']:.3f}, AUC {same_label_auc(vectors, labels):.3f}"
    )


if __name__ == "__main__":
    main()
