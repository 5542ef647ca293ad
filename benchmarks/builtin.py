"""The built-in backbone: quality on unseen artists, copies found again, images a second.

python benchmarks/builtin.py quality PAINTINGS TABLE RUN... [--mobilenet FILE]
python benchmarks/builtin.py copies PAINTINGS TABLE
python benchmarks/builtin.py rate FOLDER

A RUN is what training/train.py --hold-out K/N left: its network is measured on the artists that it
has not seen. The others are measured on the same paintings.
"""

import argparse
import io
import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from measure import run
from numpy.typing import NDArray
from PIL import Image

from paint_search.eval import retrieval, same_label_auc
from paint_search.indexer.backbones.builtin.descriptors import INPUT_SIZE, describe
from paint_search.indexer.backbones.engines import OpenVinoEmbedder
from paint_search.indexer.backbones.registry import find_backbone
from paint_search.indexer.corpus.labels import label_source
from paint_search.indexer.corpus.scan import scan
from paint_search.indexer.corpus.table import LabelTable
from paint_search.indexer.images.decode import decode
from paint_search.indexer.images.preprocessing import Preprocessing

sys.path.insert(0, str(Path(__file__).parents[1] / "training"))
from corpus import fold_of

MOBILENET = "timm:mobilenetv2_100?pad_type=same&mean=0.5&std=0.5"
SHIPPED = Path(__file__).parents[1] / "paint_search/indexer/backbones/builtin/network.onnx"
SQUARE = Preprocessing(size=INPUT_SIZE, fit="squash")
BLOCK = 64

Pixels = NDArray[np.uint8]
Vectors = NDArray[np.float32]
Embed = Callable[[Pixels], Vectors]


def core_paintings(folder: Path, table: Path) -> list[tuple[Path, str]]:
    """List (file, artist) of the paintings whose row has core=1."""
    with LabelTable(table) as rows:
        source = label_source("folder", rows)
        found = [(f.path, f.location) for f in scan(folder, folder, lambda path, reason: None)]
        rows.meet(folder, (path for path, _ in found))
        labels = [(file, source(path)) for path, file in found]
    return [(file, str(row["artist"])) for file, row in labels if row.get("core") == 1]


def blocks(files: list[Path], preprocessing: Preprocessing) -> Iterator[Pixels]:
    """Yield the decoded pixels of some files at a time."""
    with ThreadPoolExecutor() as pool:
        for start in range(0, len(files), BLOCK):
            chosen = files[start : start + BLOCK]
            yield np.stack(list(pool.map(lambda f: decode(f, preprocessing).pixels, chosen)))


def histogram(pixels: Pixels) -> Vectors:
    """HSV histograms, 8 x 4 x 4 bins."""
    rows = []
    for picture in pixels:
        hsv = np.asarray(Image.fromarray(picture).convert("HSV")).reshape(-1, 3)
        counts, _ = np.histogramdd(hsv, bins=(8, 4, 4), range=[(0, 256)] * 3)
        rows.append(counts.ravel())
    return np.array(rows, dtype=np.float32)


def mobilenet(file: Path) -> tuple[Embed, Preprocessing]:
    """Return MobileNetV2 with ImageNet weights, in OpenVINO."""
    from paint_search.indexer.backbones.timm_network import build_network, export_openvino

    network, record = build_network(find_backbone(MOBILENET), file, "squash")
    with tempfile.TemporaryDirectory() as folder:
        export_openvino(network, Path(folder) / "mobilenet.xml")
        return OpenVinoEmbedder(Path(folder) / "mobilenet.xml").embed, record.preprocessing


def quality(options: argparse.Namespace) -> None:
    """Print one row a backbone and fold, then the mean over the folds."""
    core = core_paintings(options.paintings, options.table)
    figures: dict[str, list[list[float]]] = {}
    for folder in options.runs:
        part, parts = json.loads((folder / "run.json").read_text())["fold"]
        unseen = [(file, artist) for file, artist in core if fold_of(artist, parts) == part]
        files, artists = [file for file, _ in unseen], [artist for _, artist in unseen]
        print(f"fold {part} of {parts}: {len(files)} paintings of {len(set(artists))} artists")
        backbones: dict[str, tuple[Embed, Preprocessing]] = {
            "histogram": (histogram, SQUARE),
            "descriptors": (describe, SQUARE),
            "builtin": (OpenVinoEmbedder(folder / "network.onnx").embed, SQUARE),
        }
        if options.mobilenet:
            backbones["MobileNetV2"] = mobilenet(options.mobilenet)
        for name, (embed, preprocessing) in backbones.items():
            vectors = np.concatenate([embed(pixels) for pixels in blocks(files, preprocessing)])
            row, interval = score(vectors, artists)
            print_row(name, row, interval)
            figures.setdefault(name, []).append(row)
            if name == "MobileNetV2":
                centred = vectors - vectors.mean(axis=0)
                row, interval = score(centred, artists)
                print_row("MobileNetV2, centred", row, interval)
                figures.setdefault("MobileNetV2, centred", []).append(row)
    print(f"mean of {len(options.runs)} folds (standard deviation between folds)")
    for name, rows in figures.items():
        mean, deviation = np.mean(rows, axis=0), np.std(rows, axis=0)
        cells = [f"{m:.3f} ({d:.3f})" for m, d in zip(mean, deviation, strict=True)]
        print(f"  {name:22s}", *cells)


def score(vectors: Vectors, artists: list[str]) -> tuple[list[float], tuple[float, float]]:
    """Return P@1, mAP@10, hit in 10 and AUC, and the bootstrap interval of mAP@10."""
    found = retrieval(vectors, artists, ks=(1, 10))
    summary = found.summary()
    row = [summary[name] for name in ("P@1", "mAP@10", "R@10")]
    return [*row, same_label_auc(vectors, artists)], found.interval("mAP@10")


def print_row(name: str, row: list[float], interval: tuple[float, float]) -> None:
    """Print P@1, mAP@10 with its interval, hit in 10, AUC."""
    first, precision, hit, auc = row
    low, high = interval
    print(f"  {name:22s} {first:.3f} {precision:.3f} ({low:.3f} to {high:.3f}) {hit:.3f} {auc:.3f}")


def resized(image: Image.Image) -> Image.Image:
    """Half as wide and high."""
    return image.resize((max(1, image.width // 2), max(1, image.height // 2)))


def recompressed(image: Image.Image) -> Image.Image:
    """JPEG of quality 40."""
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=40)
    return Image.open(stream).convert("RGB")


def cropped(image: Image.Image) -> Image.Image:
    """Without 3 % at each side."""
    x, y = round(image.width * 0.03), round(image.height * 0.03)
    return image.crop((x, y, image.width - x, image.height - y))


def darker(image: Image.Image) -> Image.Image:
    """A fifth darker."""
    return image.point(lambda value: value * 0.8)


def copies(options: argparse.Namespace) -> None:
    """Print recall@1: of how many copies the nearest painting is the one they were made from."""
    files = [file for file, _ in core_paintings(options.paintings, options.table)]
    embed = OpenVinoEmbedder(SHIPPED).embed
    originals = np.concatenate([embed(pixels) for pixels in blocks(files, SQUARE)])
    for change in (cropped, darker, recompressed, resized):
        right = 0
        for start in range(0, len(files), BLOCK):
            pixels = np.stack([altered(file, change) for file in files[start : start + BLOCK]])
            nearest = (embed(pixels) @ originals.T).argmax(axis=1)
            right += int((nearest == np.arange(start, start + len(pixels))).sum())
        print(f"{change.__name__}: {right / len(files):.4f} of {len(files)}", flush=True)


def altered(file: Path, change: Callable[[Image.Image], Image.Image]) -> Pixels:
    """Decode a copy of a painting as the index would."""
    with Image.open(file) as image:
        copy = change(image.convert("RGB"))
    return np.asarray(SQUARE.fit_image(copy))


def rate(options: argparse.Namespace) -> None:
    """Print images a second of whole runs of ``paint-search index``, start and store included."""
    for name in ("builtin", "descriptors"):
        for _ in range(3):
            with tempfile.TemporaryDirectory() as folder:
                index = Path(folder) / "index"
                arguments = ("index", options.folder, "--index", index, "--backbone", name)
                done = run(*arguments, "--json")
                count = json.loads(done.output)["embedded"]
                print(f"{name}: {count} in {done.seconds:.1f} s, {count / done.seconds:.0f}/s")


def main() -> None:
    """Run one of the three measurements."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(required=True)
    for command in (quality, copies):
        sub = commands.add_parser(command.__name__, help=command.__doc__)
        sub.add_argument("paintings", type=Path)
        sub.add_argument("table", type=Path)
        sub.set_defaults(command=command)
        if command is quality:
            sub.add_argument("runs", type=Path, nargs="+")
            sub.add_argument("--mobilenet", type=Path)
    sub = commands.add_parser("rate", help=rate.__doc__)
    sub.add_argument("folder", type=Path)
    sub.set_defaults(command=rate)
    options = parser.parse_args()
    options.command(options)


if __name__ == "__main__":
    main()
