"""Peak memory of indexing a few and many paintings: it must not grow with the corpus.

python benchmarks/memory.py PAINTINGS [--few 1000] [--backbone NAME] [--weights FILE]
"""

import argparse
import json
import tempfile
from pathlib import Path

from measure import run


def main() -> None:
    """Index a part and the whole, and print rates and peaks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("paintings", type=Path)
    parser.add_argument("--few", type=int, default=1000)
    parser.add_argument("--backbone", default="descriptors")
    parser.add_argument("--weights")
    options = parser.parse_args()
    model = ["--backbone", options.backbone]
    model += ["--weights", options.weights] if options.weights else []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        few = folder / "few"
        for file in sorted(options.paintings.rglob("*.jpg"))[: options.few]:
            copy = few / file.relative_to(options.paintings)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.symlink_to(file)
        peaks = []
        for number, corpus in enumerate((few, options.paintings)):
            index = folder / f"index{number}"
            result = run("index", corpus, "--index", index, *model, "--json")
            summary = json.loads(result.output)
            peaks.append(result.peak_mb)
            print(
                f"{summary['paintings']} paintings: {result.peak_mb:.0f} MB peak, "
                f"{summary['embedded'] / summary['seconds']:.0f} images/s, "
                f"{result.seconds:.0f} s, {summary['skipped']} skipped; {summary['notes']}",
                flush=True,
            )
        print(f"ratio of the peaks: {peaks[1] / peaks[0]:.3f}")


if __name__ == "__main__":
    main()
