"""How well details are found: how far boxes overlap, and what a ranked list of them is worth."""

from collections.abc import Sequence

Box = Sequence[float]


def overlap(one: Box, other: Box) -> float:
    """Return the intersection over union of two boxes: left, top, width and height each."""
    width = min(one[0] + one[2], other[0] + other[2]) - max(one[0], other[0])
    height = min(one[1] + one[3], other[1] + other[3]) - max(one[1], other[1])
    both = max(0.0, width) * max(0.0, height)
    union = one[2] * one[3] + other[2] * other[3] - both
    return both / union if union > 0 else 0.0


def localisation_precision(
    ranked: Sequence[tuple[str, Box]], truths: Sequence[tuple[str, Box]], least: float = 0.3
) -> float:
    """Return the average precision of a ranked list of boxes, as Shen et al. (CVPR 2019) have it.

    A box is right if it overlaps one of the picture's true boxes, not found before, by more than
    ``least``; precision where each right one stands is summed, and divided by how many there are.

    Args:
        ranked: picture and box, best first.
        truths: picture and box of all that there is to find; none gives 0.
        least: intersection over union.
    """
    open_truths, right, total = list(truths), 0, 0.0
    for rank, (name, box) in enumerate(ranked, start=1):
        for truth in open_truths:
            if truth[0] == name and overlap(box, truth[1]) > least:
                open_truths.remove(truth)
                right += 1
                total += right / rank
                break
    return total / len(truths) if truths else 0.0
