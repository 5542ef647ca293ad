"""Whether a painting in a frame, a mat or before a wall is found, and what else loses its edges.

    python benchmarks/trim.py PAINTINGS WORK [--works 400] [--seed 5] [--choice] [--json FILE]

All paintings are indexed as they are with the built-in backbone, with ``--trim off`` and ``auto``,
in WORK, where a second run finds them. A sample is asked for with borders added, as JPEGs: not
those by which the thresholds were chosen, which ``--choice`` takes. "First": the first hit is the
painting itself. "Cut right": within two pixels of a copy of 256, or as the painting alone is cut.
Every untouched painting that is cut is drawn in WORK, with the lines, for somebody to judge.
"""

import argparse
import io
import json
import random
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from rich.console import Console
from rich.table import Table
from scipy.ndimage import gaussian_filter

from paint_search import Index
from paint_search.indexer.images.trim import TRIMS, Box, plain_border

KINDS = ("none", "plain", "wall", "moulding", "uneven plain", "uneven wall", "mat in moulding")
COLUMNS = ("kind", "first, off", "first, auto", "cut right", "too much", "too little", "not at all")
WHOLE: Box = (0.0, 0.0, 1.0, 1.0)
PLAIN = (0, 20, 128, 230, 245, 255)
TOGETHER = 200  # queries
GRID = (15, 8)  # of a sheet
CELL = 150

Floats = NDArray[np.float64]
Widths = tuple[int, int, int, int]


def bordered(picture: Image.Image, kind: str, rng: np.random.Generator) -> tuple[bytes, Box]:
    """Return the picture with a border of a kind, as a JPEG, and where the picture is in it."""
    pixels = np.asarray(picture.convert("RGB"), dtype=np.float64)
    height, width, _ = pixels.shape
    left, top, right, bottom = widths = (
        (0, 0, 0, 0) if kind == "none" else _widths(kind, rng, pixels)
    )
    shape = (height + top + bottom, width + left + right)
    if kind.endswith("plain"):
        colour = rng.uniform(0, 255, 3) if rng.random() < 0.6 else np.full(3, rng.choice(PLAIN))
        whole = np.broadcast_to(colour, (*shape, 3)).copy()
    elif kind.endswith("wall"):
        whole = _wall(rng, *shape)
    else:
        whole = _moulding(rng, *shape, widths)
    if kind.startswith("mat"):
        near = [round(side * rng.uniform(0.3, 0.7)) for side in widths]
        mat = whole[near[1] : shape[0] - near[3], near[0] : shape[1] - near[2]]
        mat[:] = rng.uniform(190, 250) + rng.normal(0, 6, 3)
        mat += rng.normal(0, rng.uniform(0, 3), (*mat.shape[:2], 1))
    whole[top : top + height, left : left + width] = pixels
    file = io.BytesIO()
    Image.fromarray(whole.clip(0, 255).astype(np.uint8)).save(file, "JPEG", quality=90)
    box = (left / shape[1], top / shape[0], (left + width) / shape[1], (top + height) / shape[0])
    return file.getvalue(), box


def _widths(kind: str, rng: np.random.Generator, pixels: Floats) -> Widths:
    """Left, top, right, bottom: 5 to 30 % of the short side, or each side its own, some none."""
    height, width, _ = pixels.shape
    if not kind.startswith("uneven"):
        side = max(2, round(rng.uniform(0.05, 0.3) * min(height, width)))
        return side, side, side, side
    shares = rng.uniform(0.03, 0.3, 4)
    if (missing := rng.random()) < 0.3:
        shares[rng.integers(2) :: 2] = 0
    elif missing < 0.5:
        shares[rng.integers(4)] = 0
    x, y, right, bottom = shares * (width, height, width, height)
    return round(x), round(y), round(right), round(bottom)


def _wall(rng: np.random.Generator, height: int, width: int) -> Floats:
    """A colour with light from one side, and plaster of any grain."""
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    angle = rng.uniform(0, 2 * np.pi)
    light = (np.cos(angle) * x + np.sin(angle) * y) * rng.uniform(0, 40)
    grain = gaussian_filter(rng.normal(size=(height, width)), rng.uniform(0, 2))
    grain *= rng.uniform(2, 9) / grain.std()
    return rng.uniform(60, 240) + rng.normal(0, 20, 3) + (light + grain)[..., None]


def _moulding(rng: np.random.Generator, height: int, width: int, widths: Widths) -> Floats:
    """Wood with a profile, streaks along each side, mitred corners, and light from above."""
    left, top, right, bottom = (max(side, 1e-6) for side in widths)
    y, x = np.mgrid[0:height, 0:width].astype(float)
    depths = np.stack([x / left, y / top, (width - 1 - x) / right, (height - 1 - y) / bottom])
    side, depth = depths.argmin(axis=0), depths.min(axis=0).clip(0, 1)
    profile = gaussian_filter(rng.normal(size=256), rng.uniform(3, 20))
    profile *= rng.uniform(5, 25) / profile.std()
    across, along = (
        gaussian_filter(rng.normal(size=(height, width)), spread) for spread in ((25, 1), (1, 25))
    )
    streaks = np.where(side % 2 == 0, across / across.std(), along / along.std())
    light = np.array([6, 10, -6, -10])[side] * rng.uniform(0, 1)
    tone = np.interp(depth, np.linspace(0, 1, 256), profile) + streaks * rng.uniform(2, 8) + light
    wood = rng.uniform(40, 200) * np.array([1, 0.75, 0.5]) ** rng.uniform(0, 1)
    return wood + tone[..., None] + rng.normal(0, 2, (height, width, 1))


def judge(found: Box | None, true: Box, own: Box | None, size: tuple[int, int]) -> str:
    """Say how a border was cut; ``own`` is what the painting alone is cut to."""
    if found is None and true == WHOLE and own is None:
        return "cut right"
    if found is None:
        return "not at all"
    x, y = true[2] - true[0], true[3] - true[1]
    inner = own or WHOLE
    least = (
        true[0] + inner[0] * x,
        true[1] + inner[1] * y,
        true[0] + inner[2] * x,
        true[1] + inner[3] * y,
    )
    room = np.array([*size, *size]) / max(*size, 256) * 256 / 2  # halves of two pixels
    signs = np.array([1, 1, -1, -1])
    beyond_true = (np.array(found) - true) * signs * room
    beyond_own = (np.array(found) - least) * signs * room
    if (beyond_true < -1.25).any():
        return "too little"
    return "too much" if (beyond_own > 1.25).any() else "cut right"


def ask(index: Index, queries: Sequence[bytes], paths: Sequence[str]) -> int:
    """Return of how many queries the first hit is their painting, or a copy of it."""
    first = 0
    for start in range(0, len(queries), TOGETHER):
        hits = index.similar(list(queries[start : start + TOGETHER]), k=1)
        for (hit,), path in zip(hits, paths[start : start + TOGETHER], strict=True):
            first += path in {hit.path, *(copy.path for copy in hit.copies)}
    return first


def measure(
    indexes: dict[str, Index], paths: Sequence[str], root: Path, seed: int
) -> Iterator[dict[str, str | float]]:
    """Yield a row for each kind of border."""
    for number, kind in enumerate(KINDS):
        rng, queries, verdicts = np.random.default_rng([seed, number]), [], []
        for path in paths:
            with Image.open(root / path) as opened:
                picture = opened.convert("RGB")
            query, true = bordered(picture, kind, rng)
            queries.append(query)
            with Image.open(io.BytesIO(query)) as shown:
                found = plain_border(shown.convert("RGB"))
                verdicts.append(judge(found, true, plain_border(picture), shown.size))
        row: dict[str, str | float] = {"kind": kind}
        for trim, index in indexes.items():
            row[f"first, {trim}"] = ask(index, queries, paths) / len(paths)
        yield row | {name: verdicts.count(name) / len(paths) for name in COLUMNS[3:]}


def draw(cut: Sequence[tuple[Path, Box]], folder: Path) -> None:
    """Draw what is cut, with a line along what is kept, on numbered sheets."""
    columns, rows = GRID
    for start in range(0, len(cut), columns * rows):
        sheet = Image.new("RGB", (columns * CELL, rows * (CELL + 10)), "grey")
        pen = ImageDraw.Draw(sheet)
        for place, (file, box) in enumerate(cut[start : start + columns * rows]):
            x, y = place % columns * CELL, place // columns * (CELL + 10) + 10
            with Image.open(file) as opened:
                picture = opened.convert("RGB")
            picture.thumbnail((CELL - 4, CELL - 4))
            sheet.paste(picture, (x, y))
            corners = np.array(box) * (*picture.size, *picture.size) + (x, y, x - 1, y - 1)
            pen.rectangle(tuple(corners), outline="magenta")
            pen.text((x, y - 11), str(start + place), fill="white")
        sheet.save(folder / f"cut-{start // (columns * rows)}.png")


def main() -> None:
    """Print a row for each kind of border, and how many untouched paintings are cut."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("paintings", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--works", type=int, default=400)
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--choice", action="store_true")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    indexes = {}
    for trim in TRIMS:
        folder = options.work / trim
        if folder.exists():
            indexes[trim] = Index.open(folder)
            continue
        indexes[trim] = Index.create(options.paintings, folder, backbone="builtin", trim=trim)
        summary = indexes[trim].add()
        print(f"--trim {trim}: {summary.new} paintings in {summary.seconds:.0f} s", flush=True)
    paths = sorted((p.path for p in indexes["off"].paintings()), key=PurePosixPath)
    random.Random(options.seed).shuffle(paths)
    sample = paths[: options.works] if options.choice else paths[options.works :][: options.works]
    table = Table(*COLUMNS, title=f"{len(sample)} paintings", box=None)
    rows = list(measure(indexes, sample, options.paintings, options.seed))
    for row in rows:
        table.add_row(*(v if isinstance(v, str) else f"{v:.3f}" for v in row.values()))
    Console(width=120).print(table)
    for index in indexes.values():
        index.close()
    cut = []
    for path in paths:
        with Image.open(options.paintings / path) as opened:
            if box := plain_border(opened.convert("RGB")):
                cut.append((options.paintings / path, box))
    print(f"of {len(paths)} untouched paintings {len(cut)} are cut: {len(cut) / len(paths):.2%}")
    draw(cut, options.work)
    if options.json:
        untouched = {"paintings": len(paths), "cut": [str(file) for file, _ in cut]}
        options.json.write_text(json.dumps({"kinds": rows, "untouched": untouched}, indent=1))


if __name__ == "__main__":
    main()
