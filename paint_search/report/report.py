"""A collection -> a report to be sent: one HTML file that opens offline and prints well.

Each section says what it shows and what it does not, or in one sentence why there is nothing to
show. Text from labels is escaped, pictures are written into the page, no script is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from paint_search.errors import EvalError
from paint_search.report import report_artists, report_overview, report_works
from paint_search.report.report_data import Collection
from paint_search.report.report_page import Section, write_page
from paint_search.report.report_parts import Html, paragraph


class _Section(NamedTuple):
    anchor: str
    title: str
    body: Callable[[Collection], Html]


SECTIONS: Sequence[_Section] = (
    _Section("numbers", "The collection in numbers", report_overview.numbers),
    _Section("map", "The map", report_overview.the_map),
    _Section("likeness", "Who paints like whom", report_artists.likeness),
    _Section("pairs", "Closest and farthest", report_artists.pairs),
    _Section("silhouettes", "Who stands apart", report_artists.separation),
    _Section("retrieval", "Can a hand be recognised?", report_works.recognition),
    _Section("duplicates", "Likely duplicates", report_works.duplicates),
    _Section("outliers", "Works unlike their companions", report_works.strangers),
    _Section("skipped", "What was left out", report_overview.skipped),
    _Section("making", "How this report was made", report_overview.making),
)
"""The sections in their order."""


def write_report(
    out: Path, collection: Collection, date: str, done: Callable[[], None] = lambda: None
) -> None:
    """Write the report as one HTML file.

    Args:
        out: the file; replaced only once the new one is complete.
        collection: what it is about.
        date: of the report, as it is to be read.
        done: called after each of the `SECTIONS`.
    """
    sections = []
    for section in SECTIONS:
        sections.append(Section(section.anchor, section.title, _body(section, collection)))
        done()
    count = len(collection.titles)
    works = f"{count:,} {'painting' if count == 1 else 'paintings'}"
    write_page(out, collection.name, "report", f"A report on likeness: {works}, {date}", sections)


def _body(section: _Section, collection: Collection) -> Html:
    try:
        return section.body(collection)
    except EvalError as error:
        return paragraph(str(error))
