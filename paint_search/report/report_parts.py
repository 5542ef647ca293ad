"""Text, tables, pictures and matplotlib figures -> pieces of HTML for the report.

All text comes in plain and is escaped here, whatever it looks like; all pictures are written into
the page. No piece has a script, or asks for anything from elsewhere.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING, NewType

from paint_search.report.plot_parts import print_style
from paint_search.report.plots import DPI

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from PIL import Image

    from paint_search.report.report_data import Collection

Html = NewType("Html", str)
"""Markup whose text has been escaped."""

_JPEG_QUALITY = 84


def join(*pieces: Html) -> Html:
    """Put pieces one below the other."""
    return Html("\n".join(filter(None, pieces)))


def paragraph(text: str) -> Html:
    """A paragraph."""
    return Html(f"<p>{escape(text)}</p>")


def heading(text: str) -> Html:
    """A heading within a section."""
    return Html(f"<h3>{escape(text)}</h3>")


def link(address: str, text: str) -> Html:
    """A paragraph that leads to a file beside the report."""
    return Html(f'<p class="link"><a href="{escape(address)}">{escape(text)}</a></p>')


def table(columns: Sequence[str], rows: Iterable[Sequence[str]], caption: str = "") -> Html:
    """A table; columns whose name starts with ``>`` are right-aligned."""
    right = [column.startswith(">") for column in columns]
    body = "\n".join(f"<tr>{_cells('td', row, right)}</tr>" for row in rows)
    names = [column.lstrip(">") for column in columns]
    head = f"<thead><tr>{_cells('th', names, right)}</tr></thead>" if any(names) else ""
    below = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
    return Html(f'<figure class="table"><table>{head}<tbody>{body}</tbody></table>{below}</figure>')


def plot(figure: Figure, alt: str, caption: str) -> Html:
    """A matplotlib figure, drawn as SVG, with its caption."""
    stream = io.BytesIO()
    with print_style():
        figure.savefig(stream, format="svg", dpi=DPI, bbox_inches="tight", metadata={"Date": None})
    address = _address("image/svg+xml", stream.getvalue())
    return Html(
        f'<figure class="plot"><img src="{address}" alt="{escape(alt)}">'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )


def work(collection: Collection, row: int, *lines: str) -> Html:
    """One work: its picture, its label, its title, and further lines."""
    label, title = collection.caption(row)
    below = "".join(f"<small>{escape(line)}</small>" for line in lines)
    shown = picture(collection.picture(row), title)
    return Html(
        f'<div class="work">{shown}<b>{escape(label)}</b><i>{escape(title)}</i>{below}</div>'
    )


def picture(image: Image.Image, alt: str) -> Html:
    """A picture, and what to read instead of it."""
    stream = io.BytesIO()
    image.convert("RGB").save(stream, "JPEG", quality=_JPEG_QUALITY, optimize=True)
    address = _address("image/jpeg", stream.getvalue())
    return Html(f'<img src="{address}" alt="{escape(alt)}">')


def beside(works: Iterable[Html], text: str = "") -> Html:
    """Works that belong together, side by side, and what there is to say of them."""
    line = f'<p class="what">{escape(text)}</p>' if text else ""
    return Html(f'<div class="group">{line}<div class="works">{"".join(works)}</div></div>')


def gallery(groups: Iterable[Html], caption: str) -> Html:
    """Groups of works with one caption."""
    return Html(
        f'<figure class="gallery"><div class="groups">{"".join(groups)}</div>'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )


def _cells(tag: str, values: Sequence[str], right: Sequence[bool]) -> str:
    return "".join(
        f'<{tag} class="number">{escape(value)}</{tag}>'
        if aligned
        else f"<{tag}>{escape(value)}</{tag}>"
        for value, aligned in zip(values, right, strict=True)
    )


def _address(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
