"""Results and pictures -> single HTML files that open anywhere, offline.

One file a page, which gathers what is shown; the markup is the template of the same name in
``assets/``. Nothing here knows an index or writes HTML itself. Called by the studies and the
command line.
"""
