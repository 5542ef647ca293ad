"""Fit PCA to 100,000 x 2,048 vectors, ours beside scikit-learn's randomised one, in turn.

Each fit runs in a process of its own, reads the same mapped file, and reports seconds, peak memory
and how well 128 components keep the vectors' squared norm.

    python benchmarks/pca_fit.py [--count 100000] [--length 2048] [--dims 128] [--pairs 3]
"""

import argparse
import sys
import tempfile
from pathlib import Path

from measure import median, run

MAKE = f"""
import sys, numpy as np
sys.path.insert(0, {str(Path(__file__).parent)!r})
from exact_search import clustered
np.save(sys.argv[1], clustered(int(sys.argv[2]), int(sys.argv[3])))
"""
PROGRAMS = {
    "ours": """
import sys, time, numpy as np
from paint_search.compress import PCA
vectors = np.load(sys.argv[1], mmap_mode="r")
start = time.perf_counter()
fitted = PCA(int(sys.argv[2])).fit(vectors)
print(time.perf_counter() - start, fitted.energy_)
""",
    "scikit-learn": """
import sys, time, numpy as np
from sklearn.decomposition import TruncatedSVD
vectors = np.load(sys.argv[1])
start = time.perf_counter()
fitted = TruncatedSVD(int(sys.argv[2]), algorithm="randomized", random_state=0).fit(vectors)
print(time.perf_counter() - start, (fitted.singular_values_**2).sum() / len(vectors))
""",
    "scikit-learn, centred": """
import sys, time, numpy as np
from sklearn.decomposition import PCA
vectors = np.load(sys.argv[1])
start = time.perf_counter()
fitted = PCA(int(sys.argv[2]), svd_solver="randomized", random_state=0).fit(vectors)
print(time.perf_counter() - start, fitted.explained_variance_ratio_.sum())
""",
}


def main() -> None:
    """Print the median of each program, and its extremes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--length", type=int, default=2048)
    parser.add_argument("--dims", type=int, default=128)
    parser.add_argument("--pairs", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        file = Path(name) / "vectors.npy"
        # In a process of its own: a child's peak memory begins at what its parent holds.
        run(file, options.count, options.length, command=(sys.executable, "-c", MAKE))
        found: dict[str, list[tuple[float, float, float]]] = {name: [] for name in PROGRAMS}
        for _ in range(options.pairs):
            for name, program in PROGRAMS.items():
                done = run(file, options.dims, command=(sys.executable, "-c", program))
                seconds, energy = map(float, done.output.split())
                found[name].append((seconds, energy, done.peak_mb))
    for name, runs in found.items():
        times = [seconds for seconds, _, _ in runs]
        print(
            f"{name}: {median(times):.1f} s ({min(times):.1f}-{max(times):.1f}), peak "
            f"{max(peak for _, _, peak in runs):.0f} MB, energy kept {runs[0][1]:.4f}"
        )


if __name__ == "__main__":
    main()
