"""Kill the indexer again and again at random moments, let it finish once, and count what is there.

python benchmarks/durability.py PAINTINGS [--rounds 50] [--limit 2000] [--seed 1]
"""

import argparse
import random
import subprocess
import tempfile
import time
from collections import Counter
from pathlib import Path

from measure import COMMAND, run

from paint_search import Index


def main() -> None:
    """Print the number of points, duplicates and missing paintings."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("paintings", type=Path)
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--limit", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    moments = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        corpus = folder / "corpus"
        wanted = set()
        for file in sorted(options.paintings.rglob("*.jpg"))[: options.limit]:
            path = file.relative_to(options.paintings)
            (corpus / path).parent.mkdir(parents=True, exist_ok=True)
            (corpus / path).symlink_to(file)
            wanted.add(path.as_posix())
        arguments = ("index", corpus, "--index", folder / "index", "--backbone", "descriptors")
        killed = 0
        for _ in range(options.rounds):
            process = subprocess.Popen(
                [*COMMAND, *map(str, arguments)],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            time.sleep(moments.uniform(0.1, 2.5))
            killed += process.poll() is None
            process.kill()
            process.wait()
        final = run(*arguments)
        with Index.open(folder / "index") as index:
            paths = Counter(painting.path for painting in index.paintings())
        doubled = sum(count - 1 for count in paths.values())
        print(
            f"{killed} of {options.rounds} rounds killed while running; then exit {final.code}, "
            f"{sum(paths.values())} points of {len(wanted)} files, {doubled} duplicates, "
            f"{len(wanted - paths.keys())} missing"
        )


if __name__ == "__main__":
    main()
