"""The thing a user opens, and everything that can be done with it when it is open.

In come a folder of paintings or the folder of an index, and questions; out go hits, vectors and
facts. ``index.py`` is the door, and says of each question what it takes and raises; every other
file takes the open ``Collection`` whole.
Called by the studies, the command line and users of the Python client; imports no torch, no
scikit-learn and no FAISS until something needs them.
"""

import lazy_loader

# Each name is imported when it is first used, as `__init__.pyi` says from where.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
