"""Results -> something to look at: plots, contact sheets, pages.

In come results, arrays, names and a way to have a picture, never an index; out go figures and
files, each complete or not there. Nothing here measures. Called by the studies and the command
line.
"""

from paint_search.report.explanation import write_explanation
from paint_search.report.groups import NOT_GIVEN, OTHER, PALETTE, Groups, group_values
from paint_search.report.map_page import MapPaintings, thumbnail_side, write_map_page
from paint_search.report.plots.classify import Plane, confusion_figure, plane_figure
from paint_search.report.plots.fidelity import Curve, fidelity_figure
from paint_search.report.plots.labels import (
    dendrogram_figure,
    heat_map_figure,
    interval_figure,
    silhouette_figure,
)
from paint_search.report.plots.scatter import scatter_figure
from paint_search.report.plots.style import save_figure
from paint_search.report.plots.verify import curve_figure, reliability_figure
from paint_search.report.rendering import write_page
from paint_search.report.sheets import Asked, write_hits, write_pairs, write_sheet, write_works

__all__ = [
    "NOT_GIVEN", "OTHER", "PALETTE", "Asked", "Curve", "Groups", "MapPaintings", "Plane",
    "confusion_figure", "curve_figure", "dendrogram_figure", "fidelity_figure", "group_values",
    "heat_map_figure", "interval_figure", "plane_figure", "reliability_figure", "save_figure",
    "scatter_figure", "silhouette_figure", "thumbnail_side", "write_explanation", "write_hits",
    "write_map_page", "write_page", "write_pairs", "write_sheet", "write_works",
]  # fmt: skip
