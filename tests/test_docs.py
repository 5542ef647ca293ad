"""README and docs: every block runs, outputs are the real ones, links and names lead somewhere."""

from __future__ import annotations

import re
import shutil
from itertools import pairwise
from pathlib import Path

import pytest
from conftest import copy_tree
from docs_output import PAGES, ROOT, Reader, alike, furnish, read
from markdown_it import MarkdownIt

CODE = re.compile(r"`([^`\n]+)`")


@pytest.fixture(scope="module")
def furnished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return furnish(tmp_path_factory.mktemp("docs") / "home")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_does_what_it_says(
    page: Path, furnished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = [step for step in read(page) if not step.marker]
    if not steps:
        return
    if any(step.code.startswith("curl ") for step in steps) and shutil.which("curl") is None:
        pytest.skip("needs curl")
    home = copy_tree(furnished, tmp_path / "ann")
    monkeypatch.chdir(home)
    with Reader(home) as reader:
        for step in steps:
            real = reader.run(step)
            if step.shown is not None:
                assert alike(step.shown, real), "\n".join(
                    [f"{page.name}:{step.line + 1} prints", *real, "and not", *step.shown]
                )


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        file, _, anchor = target.partition("#")
        if "://" in target:
            continue
        linked = (page.parent / file).resolve() if file else page
        assert linked.exists(), target
        assert not anchor or anchor in headings(linked), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_that_are_named_exist(page: Path) -> None:
    for name in CODE.findall(page.read_text(encoding="utf-8")):
        if re.fullmatch(r"(paint_search|tests|benchmarks|training|docs)/[\w./-]*", name):
            assert (ROOT / name).exists(), name


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 200


def headings(page: Path) -> set[str]:
    """The anchors that a page's headings get on GitHub."""
    tokens = MarkdownIt().parse(page.read_text(encoding="utf-8"))
    titles = [
        "".join(part.content for part in after.children or [])
        for before, after in pairwise(tokens)
        if before.type == "heading_open"
    ]
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}
