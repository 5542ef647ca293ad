"""Sections of a page -> one HTML file that opens offline and prints well, contents first.

The bodies come as `Html`, already escaped; names and titles are plain text and escaped here. No
script is on such a page, and nothing is asked from elsewhere.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import NamedTuple

from paint_search.report.report_parts import Html


class Section(NamedTuple):
    """A part of the page: its address on it, its title, what it holds."""

    anchor: str
    title: str
    body: Html


def write_page(out: Path, name: str, kind: str, summary: str, sections: Sequence[Section]) -> None:
    """Write the page.

    Args:
        out: the file; replaced only once the new one is complete.
        name: of what it is about, above all else.
        kind: of page, beside the name in the browser's title.
        summary: below the name.
        sections: in their order.
    """
    assets = files("paint_search.report") / "assets"
    page = Template((assets / "report.html").read_text(encoding="utf-8")).substitute(
        name=escape(name),
        kind=escape(kind),
        style=(assets / "report.css").read_text(encoding="utf-8"),
        summary=escape(summary),
        contents="".join(
            f'<li><a href="#{section.anchor}">{escape(section.title)}</a></li>'
            for section in sections
        ),
        sections="\n".join(
            f'<section id="{section.anchor}"><h2>{escape(section.title)}</h2>\n'
            f"{section.body}\n</section>"
            for section in sections
        ),
    )
    fresh = out.with_name(f"{out.name}.new")
    fresh.write_text(page, encoding="utf-8")
    os.replace(fresh, out)
