"""The thing a user opens, and everything that can be done with it when it is open.

In come a folder of paintings or the folder of an index, and questions; out go hits, vectors and
facts. ``index.py`` is the door; every other file takes the open ``Collection`` whole.
Called by the studies, the report, the command line and by users of the Python client.
"""
