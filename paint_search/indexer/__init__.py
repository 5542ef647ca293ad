"""Pictures -> vectors: scan folders, read labels, decode images, embed them in batches.

In come a walk over files, labels and an engine; out go records, to whatever keeps them, and a
summary. What was done before is asked of the store, so that a killed run goes on. Called by the
index.
"""

import lazy_loader

# Each name is imported when it is first used, as `__init__.pyi` says from where.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
