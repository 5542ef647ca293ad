"""Arrays, names and results -> matplotlib figures for print, one file a kind of study.

No figure is kept in a global list, no metric is computed, and matplotlib is loaded only once
something is drawn. Called by the studies and the pages; `style.save_figure` writes what they give.
"""
