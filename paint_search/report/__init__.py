"""Results -> something to look at: plots, tables, contact sheets, pages.

In come results and arrays, never an index; out go files and figures. No measurement is made here.
Called by the studies and the command line.
"""
