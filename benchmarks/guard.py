"""Has anything become slower? Ratios against plain loops, beside those that are committed.

A ratio is ours against what a capable person writes first, both measured here in turn, so that it
says the same on a quick machine and on a slow one: 2 is twice as quick. Committed ratios are kept
for each kind of processor, in ``guard.json``.

    python benchmarks/guard.py [--write]

Ends with exit code 1 where a ratio fell by more than a fifth.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from indexing import LOOP, paint_large, save_weights
from measure import median, run
from PIL import Image

from paint_search import Index

COMMITTED = Path(__file__).with_name("guard.json")
FALLEN = 0.8
PAIRS = 3

#: Pictures of a gallery, as small files: what a plain loop makes of them with a colour histogram.
HISTOGRAMS = """
import sys, time
from pathlib import Path
import numpy as np
from PIL import Image
files = sorted(Path(sys.argv[1]).rglob("*.jpg"))
start = time.perf_counter()
for file in files:
    picture = np.asarray(Image.open(file).convert("HSV").resize((160, 160))).reshape(-1, 3)
    np.histogramdd(picture, bins=(8, 4, 4), range=[(0, 256)] * 3)
print(len(files) / (time.perf_counter() - start))
"""

#: The least that any command which embeds a picture has to load.
LOADED = "import numpy, PIL.Image, openvino, qdrant_edge"


def processor() -> str:
    """Return what decides the ratios: the widest instructions, and the cores."""
    from paint_search.indexer import cores

    flags = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    kind = next((name for name in ("amx_bf16", "avx512f", "avx2") if name in flags), "other")
    return f"{kind}, {cores()} cores"


def rate(summary: str) -> float:
    """Return images a second of an ``index --json``."""
    read = json.loads(summary)
    return float(read["embedded"] / read["seconds"])


def resnet(folder: Path) -> tuple[float, float]:
    """Index JPEGs of 1,600 px with ResNet-50, ours and the plain loop's images a second."""
    weights = folder / "resnet50.safetensors"
    if not weights.exists():
        save_weights(weights)
    with tempfile.TemporaryDirectory() as index:
        ours = run(
            "index", folder / "large", "--index", Path(index) / "i", "--backbone", "resnet50",
            "--weights", weights, "--json",
        )  # fmt: skip
    theirs = run(weights, folder / "large", command=(sys.executable, "-c", LOOP))
    return rate(ours.output), float(theirs.output)


def builtin(folder: Path) -> tuple[float, float]:
    """Index JPEGs of 400 px with the built-in, beside colour histograms of the same."""
    with tempfile.TemporaryDirectory() as index:
        ours = run(
            "index", folder / "gallery", "--index", Path(index) / "i", "--backbone", "builtin",
            "--json",
        )  # fmt: skip
    theirs = run(folder / "gallery", command=(sys.executable, "-c", HISTOGRAMS))
    return rate(ours.output), float(theirs.output)


def cold(folder: Path) -> tuple[float, float]:
    """Ask one question in a fresh process, beside the import of what that has to import."""
    query = next((folder / "gallery").rglob("*.jpg"))
    ours = run("similar", query, "--index", folder / "asked")
    theirs = run(command=(sys.executable, "-c", LOADED))
    return 1 / ours.seconds, 1 / theirs.seconds


def batch(folder: Path) -> tuple[float, float]:
    """Ask with 200 files at once, beside one by one."""
    queries = [file.read_bytes() for file in sorted((folder / "gallery").rglob("*.jpg"))[:200]]
    with Index.open(folder / "asked") as index:
        index.similar(queries[0])
        start = time.perf_counter()
        index.similar(queries)
        together = len(queries) / (time.perf_counter() - start)
        start = time.perf_counter()
        for query in queries[:50]:
            index.similar(query)
        return together, 50 / (time.perf_counter() - start)


MEASURES: dict[str, Callable[[Path], tuple[float, float]]] = {
    "ResNet-50, 96 JPEGs of 1,600 px / a plain loop": resnet,
    "built-in, 600 JPEGs of 400 px / colour histograms": builtin,
    "cold similar / its imports": cold,
    "200 questions at once / one by one": batch,
}


def prepare(folder: Path) -> None:
    """Paint what is measured on, and index what is asked."""
    paint_large(folder, 96, 1600)
    (folder / "gallery").mkdir()
    files = sorted((folder / "small").rglob("*.jpg"))
    for number in range(600):
        picture = Image.open(files[number % len(files)])
        picture.thumbnail((400, 400))
        shift = number // len(files) * 3  # no two alike
        picture.crop((shift, 0, picture.width, picture.height)).save(
            folder / "gallery" / f"{number}.jpg", quality=90
        )
    with Index.create(folder / "gallery", folder / "asked", backbone="builtin") as index:
        index.add()


def main() -> None:
    """Measure, print the table, and say what fell."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="commit what is measured now")
    options = parser.parse_args()
    committed = json.loads(COMMITTED.read_text()) if COMMITTED.exists() else {}
    before, now = committed.get(processor(), {}), {}
    fallen = []
    print(processor())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepare(folder)
        for what, measure in MEASURES.items():
            pairs = [measure(folder) for _ in range(PAIRS)]
            ratios = [ours / theirs for ours, theirs in pairs]
            now[what] = round(median(ratios), 3)
            was = before.get(what)
            fell = was is not None and now[what] < FALLEN * was
            fallen += [what] if fell else []
            print(
                f"{what}: {now[what]:.2f} (from {min(ratios):.2f} to {max(ratios):.2f}; ours "
                f"{median([ours for ours, _ in pairs]):.1f}, theirs "
                f"{median([theirs for _, theirs in pairs]):.1f} a second); committed "
                f"{was if was is not None else 'none for this processor'}"
                f"{'; IT FELL BY MORE THAN A FIFTH' if fell else ''}",
                flush=True,
            )
    if options.write:
        COMMITTED.write_text(json.dumps(committed | {processor(): now}, indent=2) + "\n")
    sys.exit(1 if fallen and not options.write else 0)


if __name__ == "__main__":
    main()
