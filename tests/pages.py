"""What the tests of written pages share: their elements, and a real browser to open them in."""

from __future__ import annotations

import html.parser
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

VOID = {"meta", "img", "br", "input", "link"}


class Elements(html.parser.HTMLParser):
    """The names, attributes and text of a page, and whether every element is closed in turn."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str]]] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.nested = True
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        self.nested = self.nested and bool(self.open) and self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not {"style", "script"} & set(self.open):
            self.words.append(data.strip())

    def names(self) -> set[str]:
        return {name for name, _ in self.found}

    def having(self, attribute: str) -> list[str]:
        return [attributes[attribute] for _, attributes in self.found if attribute in attributes]

    @property
    def text(self) -> str:
        return " ".join(filter(None, self.words))


@contextmanager
def running_browser() -> Iterator[Browser]:
    """Start a headless Chromium, or skip the test and say what is missing."""
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("no Chromium here; apt-get install chromium")
    quiet = ["--disable-quic", "--no-first-run", "--disable-background-networking",
             "--disable-component-update", "--disable-sync"]  # fmt: skip
    with api.sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=program, args=quiet)
        yield running
        running.close()


@contextmanager
def opened(browser: Browser, page: Path) -> Iterator[Page]:
    """Open a page; it must complain of nothing and ask for nothing but itself and its pictures."""
    tab = browser.new_page(viewport={"width": 1280, "height": 800}, reduced_motion="reduce")
    trouble: list[str] = []
    tab.on("console", lambda message: trouble.append(message.text))
    tab.on("pageerror", lambda error: trouble.append(str(error)))
    tab.on("request", lambda request: trouble.append(request.url))
    tab.goto(page.as_uri())
    yield tab
    own = (page.as_uri(), "data:image/")
    assert [words for words in trouble if not words.startswith(own)] == []
    assert tab.evaluate("window.broken") is None
    tab.close()
