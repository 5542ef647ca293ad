"""Indexing rate against a plain loop, on the same JPEGs, in turn.

The plain loop is what a capable person writes first: Pillow decodes the whole file, timm's own
evaluation transform prepares it, the model runs eagerly in float32, batches of 32. ResNet-50 with
random weights, since only speed is asked.

    python benchmarks/indexing.py [--images 192] [--pairs 3]
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

from measure import median, run
from PIL import Image

LOOP = """
import sys, time
from pathlib import Path
import timm, torch
from PIL import Image
from safetensors.torch import load_file
weights, folder = sys.argv[1:]
model = timm.create_model("resnet50.tv_in1k", num_classes=0).eval()
model.load_state_dict(load_file(weights), strict=False)
transform = timm.data.create_transform(**timm.data.resolve_model_data_config(model))
files = sorted(Path(folder).rglob("*.jpg"))
start = time.perf_counter()
with torch.inference_mode():
    for i in range(0, len(files), 32):
        images = [transform(Image.open(f).convert("RGB")) for f in files[i:i + 32]]
        model(torch.stack(images))
print(len(files) / (time.perf_counter() - start))
"""


def paint_large(folder: Path, images: int, side: int) -> None:
    """Paint pictures by code and store them as JPEGs of ``side`` pixels on the long side."""
    from paint_search.demo import paint_corpus

    paint_corpus(folder / "small", works=-(-images // 10))
    large = folder / "large"
    large.mkdir()
    for number, file in enumerate(sorted((folder / "small").rglob("*.jpg"))[:images]):
        picture = Image.open(file)
        scale = side / max(picture.size)
        size = (round(picture.width * scale), round(picture.height * scale))
        picture.resize(size, Image.Resampling.LANCZOS).save(large / f"{number}.jpg", quality=90)


def save_weights(file: Path) -> None:
    """Save random ResNet-50 weights."""
    import timm
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(0)
    state = timm.create_model("resnet50.tv_in1k").state_dict()
    save_file({name: value.contiguous() for name, value in state.items()}, file)


def main() -> None:
    """Time both in turn and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=192)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--side", type=int, default=1600)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paint_large(folder, options.images, options.side)
        weights = folder / "resnet50.safetensors"
        save_weights(weights)
        ours: list[float] = []
        theirs: list[float] = []
        for pair in range(options.pairs):
            arguments = ("index", folder / "large", "--index", folder / f"index{pair}")
            result = run(*arguments, "--backbone", "resnet50", "--weights", weights, "--json")
            summary = json.loads(result.output)
            ours.append(summary["embedded"] / summary["seconds"])
            print("ours", f"{ours[-1]:.1f} images/s;", *summary["notes"], flush=True)
            loop = run(weights, folder / "large", command=(sys.executable, "-c", LOOP))
            theirs.append(float(loop.output))
            print("loop", f"{theirs[-1]:.1f} images/s", flush=True)
        ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
        print(f"median ratio {median(ratios):.2f} (from {min(ratios):.2f} to {max(ratios):.2f})")


if __name__ == "__main__":
    main()
