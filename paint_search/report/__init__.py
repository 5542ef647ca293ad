"""Results -> something to look at: plots, contact sheets, pages.

In come results, arrays, names and a way to have a picture, never an index; out go figures and
files, each complete or not there. The report page asks `eval` of its arrays, nothing else here
measures. Called by the studies and the command line.
"""

from paint_search.report.groups import NOT_GIVEN, OTHER, PALETTE, Groups, group_values
from paint_search.report.pages.classify import ErrorPage, shown_rows, write_error_page
from paint_search.report.pages.fidelity import FidelityPage, choose_works, write_fidelity_page
from paint_search.report.pages.hits import write_hits
from paint_search.report.pages.map import MapPaintings, thumbnail_side, write_map_page
from paint_search.report.pages.report import SECTIONS, ReportPage, write_report
from paint_search.report.plots.classify import Plane, confusion_figure, plane_figure
from paint_search.report.plots.fidelity import Curve, fidelity_figure
from paint_search.report.plots.labels import dendrogram_figure, heat_map_figure, interval_figure
from paint_search.report.plots.scatter import scatter_figure
from paint_search.report.plots.style import save_figure
from paint_search.report.plots.verify import curve_figure, reliability_figure
from paint_search.report.sheets import write_pairs, write_sheet

__all__ = [
    "NOT_GIVEN", "OTHER", "PALETTE", "SECTIONS", "Curve", "ErrorPage", "FidelityPage", "Groups",
    "MapPaintings", "Plane", "ReportPage", "choose_works", "confusion_figure", "curve_figure",
    "dendrogram_figure", "fidelity_figure", "group_values", "heat_map_figure", "interval_figure",
    "plane_figure", "reliability_figure", "save_figure", "scatter_figure", "shown_rows",
    "thumbnail_side", "write_error_page", "write_fidelity_page", "write_hits", "write_map_page",
    "write_pairs", "write_report", "write_sheet",
]  # fmt: skip
