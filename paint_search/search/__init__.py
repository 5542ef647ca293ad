"""Vectors -> hits: stores, filters, queries, and what a score means in this index.

In come a query vector, (d,), and conditions; out go ranked matches, copies folded. No picture and
no backbone is known here. Called by the index; filters by all that take ``--where``.
"""

import lazy_loader

# Each name is imported when it is first used, as `__init__.pyi` says from where.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
