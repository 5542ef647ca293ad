"""Same artist or not: what two paintings' vectors say about it, as a probability.

Vectors and artists of an index come in; a calibrated judge goes out, or pairs with the probability
that one artist made both. Called by the index, which keeps the judge, and by studies of how often
it is right; judging needs NumPy alone, fitting imports scikit-learn.
"""

import lazy_loader

# Each name is imported when it is first used, as `__init__.pyi` says from where.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
