"""What was found -> some of it, unlike each other: maximal marginal relevance.

Pure functions of arrays; for stores whose engine has none of its own.
"""

import numpy as np
from numpy.typing import NDArray


def spread_out(
    scores: NDArray[np.float32], vectors: NDArray[np.float32], k: int, spread: float
) -> list[int]:
    """Return the positions of ``k`` candidates by maximal marginal relevance, as they are chosen.

    The next is always the one of the greatest (1 - spread) * score - spread * (greatest cosine to
    those chosen before), the first the nearest, as in Qdrant.

    Reference: Carbonell and Goldstein, The use of MMR, diversity-based reranking, SIGIR 1998.

    Args:
        scores: (n,) cosines to the query.
        vectors: (n, d) with unit norms.
        k: how many; all where there are fewer.
        spread: 0 for relevance alone, 1 for variety alone.
    """
    chosen: list[int] = []
    nearest = np.full(len(scores), -np.inf, dtype=np.float32)
    worth = scores.copy()
    while len(chosen) < min(k, len(scores)):
        chosen.append(int(np.argmax(worth)))
        nearest = np.maximum(nearest, vectors @ vectors[chosen[-1]])
        worth = (1 - spread) * scores - spread * nearest
        worth[chosen] = -np.inf
    return chosen
