"""An index over HTTP: the API of version 1, the web page, and the client that speaks to it.

In comes an open ``Index``; out go JSON, pictures and pages, to this machine alone unless a token is
asked for. Only the command line may call it; ``Client`` is for everybody, and needs nothing of what
the server is built with.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
