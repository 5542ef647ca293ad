"""Same artist or not: what two paintings' vectors say about it, as a probability.

Vectors and artists of an index come in; a calibrated judge goes out, or pairs with the probability
that one artist made both. Called by the index, which keeps the judge, and by studies of how often
it is right; judging needs NumPy alone, fitting imports scikit-learn.
"""

from paint_search.verify.judge import Embeddings, Judge, probability
from paint_search.verify.trial import PAIRS, Judged, Material, Side, calibrate, cross_judge
from paint_search.verify.two_covariance import TwoCovariance

__all__ = [
    "PAIRS", "Embeddings", "Judge", "Judged", "Material", "Side", "TwoCovariance", "calibrate",
    "cross_judge", "probability",
]  # fmt: skip
