"""Train the built-in network on a folder of paintings, from random initialisation.

python training/train.py PAINTINGS --table works.csv --out DIR [--teacher FILE]

Leaves DIR/network.onnx. Interrupted at any moment, the same command goes on where it was.
"""

import argparse
import sys
from pathlib import Path

from corpus import read_corpus
from export import export_network
from learning import Plan, learn
from progress import console
from teachers import ask_teacher, describe_corpus

from paint_search.errors import PaintSearchError

#: The teacher that the shipped network had.
TEACHER = "timm:mobilenetv2_100?pad_type=same&mean=0.5&std=0.5"


def main() -> int:
    """Train, and return the exit code."""
    options = _parser().parse_args()
    try:
        _train(options)
    except PaintSearchError as error:
        console.print(f"train.py: {error}", style="red", highlight=False)
        return error.exit_code
    except KeyboardInterrupt:
        console.print("interrupted; the same command goes on from the last checkpoint")
        return 130
    return 0


def _train(options: argparse.Namespace) -> None:
    out: Path = options.out
    out.mkdir(parents=True, exist_ok=True)
    cached: Path = options.cache or out
    cached.mkdir(parents=True, exist_ok=True)
    corpus = read_corpus(options.paintings, options.table, cached)
    described = describe_corpus(corpus, cached)
    maps = None
    if options.teacher is not None:
        maps = ask_teacher(corpus, options.teacher_backbone, options.teacher, cached)
    plan = Plan(
        corpus=corpus,
        described=described,
        maps=maps,
        fold=options.hold_out,
        epochs=options.epochs,
        seed=options.seed,
        threads=options.threads,
        out=out,
        cache=cached,
    )
    network = learn(plan)
    export_network(network, plan)


def _fold(text: str) -> tuple[int, int]:
    part, _, parts = text.partition("/")
    fold = (int(part), int(parts))
    if not 0 <= fold[0] < fold[1]:
        raise ValueError
    return fold


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("paintings", type=Path, help="folder of paintings; the artist is the parent folder")
    add("--table", type=Path, help="CSV or Parquet with path, artist, movement, genre")
    add("--out", type=Path, required=True, help="where checkpoints and the network go")
    add("--cache", type=Path, help="where pixels and teachers' answers are kept (default: --out)")
    add("--teacher", type=Path, metavar="FILE", help="weights of a network to learn from")
    add("--teacher-backbone", metavar="NAME", default=TEACHER, help="default: %(default)s")
    add("--hold-out", type=_fold, metavar="K/N", help="leave out the artists of fold K of N")
    add("--epochs", type=int, default=20, help="passes over the corpus (default: %(default)s)")
    add("--seed", type=int, default=0, help="of everything that is drawn (default: %(default)s)")
    add("--threads", type=int, default=0, help="CPU threads (default: all)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
