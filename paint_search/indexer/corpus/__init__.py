"""What there is to index: files found, labels read, tables joined, and what had to be left out.

In come folders, patterns and tables; out go paths with labels, one at a time and in bounded memory.
Opens no image. Called by the pipeline and by the index.
"""

import lazy_loader

# Each name is imported when it is first used, as `__init__.pyi` says from where.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
