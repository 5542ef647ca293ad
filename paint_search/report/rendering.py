"""Templates of ``assets/`` and what fills them -> single HTML files that open anywhere, offline.

All text is escaped, whatever it looks like; pictures and figures are written into the page, and
nothing is asked from elsewhere. Only the files of ``assets/`` are markup.
"""

from __future__ import annotations

import base64
import hashlib
import io
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from paint_search.errors import counted
from paint_search.files import replacing
from paint_search.report.plots.style import svg
from paint_search.report.tables import cell

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from PIL import Image


def write_page(out: Path, template: str, **values: object) -> None:
    """Write a page; the file is replaced only once the new one is complete.

    Args:
        out: the file.
        template: its name in ``assets/``.
        values: what fills it; anything lazy is asked for where it stands on the page.
    """
    page = _environment().get_template(template).stream(**values)
    with replacing(out) as fresh:
        page.dump(str(fresh), encoding="utf-8", errors="backslashreplace")


def jpeg(image: Image.Image, quality: int = 84) -> str:
    """Return a picture as the address of itself, to stand in a page."""
    stream = io.BytesIO()
    image.convert("RGB").save(stream, "JPEG", quality=quality, optimize=True, progressive=True)
    return _address("image/jpeg", stream.getvalue())


def _svg(figure: Figure) -> str:
    return _address("image/svg+xml", svg(figure))


def _address(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def _asset(*names: str) -> Markup:
    """Return files of ``assets/``, one after another, as they are."""
    assets = files("paint_search.report") / "assets"
    text = "".join((assets / name).read_text(encoding="utf-8") for name in names)
    return Markup(text)  # noqa: S704 - the package's own styles and scripts


def _sha256(source: str) -> str:
    """Return what a content security policy calls an inline script or style."""
    return base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()


@cache
def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader("paint_search.report", "assets"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.policies["json.dumps_kwargs"] = {"separators": (",", ":"), "allow_nan": False}
    made.filters |= {"cell": cell, "counted": counted, "format_as": format, "jpeg": jpeg}
    made.filters |= {"sha256": _sha256, "svg": _svg}
    made.globals["asset"] = _asset
    return made
