"""``paint-search report``: its sections, what they say of small and odd collections, escaping."""

from __future__ import annotations

import csv
import html
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from conftest import Cli, copy_tree
from pages import Elements, opened, running_browser
from PIL import Image

from paint_search import Index
from paint_search.demo import paint_corpus
from paint_search.studies import SECTIONS

if TYPE_CHECKING:
    from playwright.sync_api import Browser

WORKS = 4
EVIL = "</figcaption><script>window.broken = 1</script><img src=x onerror='window.broken=2'> $name"
EVIL_PAINTER = "A & <b>B</b> \"Ünwin\" 'x'"


@pytest.fixture(scope="module")
def salon(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty pictures by ten painters, one also as a smaller copy, one renamed, one file broken."""
    home = tmp_path_factory.mktemp("salon")
    corpus, table = home / "paintings", home / "paintings" / "works.csv"
    paint_corpus(corpus, works=WORKS)
    with table.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    renamed = rows[-1]["artist"]
    for row in rows:
        row["artist"] = EVIL_PAINTER if row["artist"] == renamed else row["artist"]
        row["title"] = f"{row['title']} {EVIL}"
    with Image.open(corpus / rows[0]["path"]) as picture:
        smaller = picture.resize((picture.width * 3 // 4, picture.height * 3 // 4))
        smaller.save(corpus / "copy.jpg", quality=70)
    rows.append(rows[0] | {"path": "copy.jpg", "title": "the copy"})
    (corpus / "broken.jpg").write_bytes((corpus / "copy.jpg").read_bytes()[:400])
    with table.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    with Index.create(corpus, home / ".paint-search", backbone="descriptors") as index:
        assert index.add(table=table).skipped == 1
    return home


@pytest.fixture(scope="module")
def report(salon: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("report") / "salon.html"
    outcome = Cli().ok("report", out, "--index", salon / ".paint-search", "--json")
    assert outcome.json["paintings"] == 10 * WORKS + 1
    assert outcome.json["files"] == [str(out), str(out.with_name("salon-map.html"))]
    return out


def section(page: Path, anchor: str) -> str:
    """Return the words of one section, without markup."""
    text = page.read_text(encoding="utf-8")
    found = re.search(rf'<section id="{anchor}">(.*?)</section>', text, re.DOTALL)
    assert found is not None
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", found[1])).split())


def pictures(page: Path, anchor: str) -> int:
    text = page.read_text(encoding="utf-8")
    found = re.search(rf'<section id="{anchor}">(.*?)</section>', text, re.DOTALL)
    assert found is not None
    return found[1].count('<div class="work"><img src="data:image/jpeg;base64,')


def test_all_sections_are_there_and_in_the_contents(report: Path) -> None:
    elements = Elements(report)
    anchors = list(SECTIONS)
    assert [a["id"] for name, a in elements.found if name == "section"] == anchors
    links = [address for address in elements.having("href") if address.startswith("#")]
    assert links == [f"#{anchor}" for anchor in anchors]
    assert elements.nested


def test_every_figure_has_a_caption_and_every_picture_a_text(report: Path) -> None:
    elements = Elements(report)
    plots = [a for name, a in elements.found if name == "figure" and a.get("class") == "plot"]
    assert len(plots) == 4  # map, heat map, tree, silhouettes
    text = report.read_text(encoding="utf-8")
    figures = re.findall(r'<figure class="(?:plot|gallery)">.*?</figure>', text, re.DOTALL)
    assert len(figures) > len(plots)
    for figure in figures:
        assert re.search(r"<figcaption>[^<]{80,}</figcaption></figure>$", figure), figure[-300:]
    assert all(a.get("alt") for name, a in elements.found if name == "img")


def test_nothing_is_asked_from_elsewhere_and_no_script_is_there(report: Path) -> None:
    elements = Elements(report)
    assert "script" not in elements.names()
    assert {source.partition(";")[0] for source in elements.having("src")} <= {
        "data:image/jpeg",
        "data:image/svg+xml",
    }
    assert [a for a in elements.having("href") if not a.startswith("#")] == ["salon-map.html"]
    (policy,) = elements.having("content")[:1]
    assert "default-src 'none'" in policy


def test_text_from_labels_stays_text(report: Path) -> None:
    text = report.read_text(encoding="utf-8")
    elements = Elements(report)
    assert "onerror" not in "".join(name for _, a in elements.found for name in a)
    assert "b" in elements.names()  # of captions; none that a label brought:
    assert "<b>B</b>" not in text
    assert EVIL in elements.text  # as it is, "$name" not filled in
    assert EVIL_PAINTER in elements.text


def test_numbers_are_those_of_the_collection(report: Path) -> None:
    words = section(report, "numbers")
    assert f"paintings {10 * WORKS + 1}" in words
    assert "artists 10" in words
    assert f"most works of one artist {WORKS + 1}" in words
    assert re.search(r"year \d{4} to \d{4}", words)
    assert pictures(report, "numbers") == 10


def test_the_map_says_what_it_means_and_leads_to_the_page_to_explore(report: Path) -> None:
    words = section(report, "map")
    assert "Trustworthiness 0." in words
    assert "Nearness is no proof" in words
    assert report.with_name("salon-map.html").stat().st_size > 50_000


def test_pairs_are_shown_with_their_closest_works(report: Path, salon: Path) -> None:
    from paint_search.eval import artist_similarity

    with Index.open(salon / ".paint-search") as index:
        labels = [str(artist) for artist in index.field("artist")]
        similarity = artist_similarity(index.vectors()[1], labels)
    words = section(report, "pairs")
    closest, farthest = similarity.closest(1)[0], similarity.farthest(1)[0]
    for pair, rank in ((closest, "1 of 45"), (farthest, "45 of 45")):
        assert f"{pair.a} and {pair.b}: {pair.score:.2f}" in words
        assert f"rank {rank}; these two works {pair.closest:.2f}" in words
    # Ten artists make five pairs in each list, each named once.
    assert pictures(report, "pairs") == 20


def test_silhouettes_and_retrieval_give_their_figures(report: Path, salon: Path) -> None:
    from paint_search.eval import retrieval, silhouettes

    with Index.open(salon / ".paint-search") as index:
        labels = [str(artist) for artist in index.field("artist")]
        vectors = index.vectors()[1]
    apart = silhouettes(vectors, labels)
    best = apart.best(1)[0]
    assert f"best {best.a} {best.b} {best.value:.3f}" in section(report, "silhouettes")
    found = retrieval(vectors, labels).summary()
    words = section(report, "retrieval")
    assert f"P@1 {found['P@1']:.1%}" in words
    assert f"mAP@10 {found['mAP@10']:.1%}" in words


def test_the_copy_is_found_and_nothing_else_is_named_a_duplicate(report: Path) -> None:
    words = section(report, "duplicates")
    assert "1 pair was found" in words
    assert "the copy" in words
    assert pictures(report, "duplicates") == 2


def test_outliers_stand_beside_the_typical_work(report: Path) -> None:
    words = section(report, "outliers")
    # The copy makes its painter the only one of five works.
    assert words.count("the unusual work") == words.count("most typical of this artist") == 1
    assert pictures(report, "outliers") == 3


def test_what_was_skipped_and_how_it_was_made_is_said(report: Path) -> None:
    assert re.search(r"broken\.jpg \S+", section(report, "skipped"))
    words = section(report, "making")
    assert "model descriptors" in words
    assert re.search(r"indexed \d{4}-\d\d-\d\dT\S+ with paint-search \d", words)
    assert "umap-learn" in words


def test_other_fields_can_be_what_a_label_is(salon: Path, tmp_path: Path, cli: Cli) -> None:
    out = tmp_path / "r.html"
    cli.ok("report", out, "--by", "movement", "--index", salon / ".paint-search", "-q")
    assert "The closest pairs of movements" in section(out, "pairs")
    outcome = cli("report", out, "--by", "movment", "--index", salon / ".paint-search")
    assert outcome.code == 2
    assert "did you mean movement?" in outcome.err


# ---- small and odd collections: each section has something sensible, or a sentence why not


def indexed(home: Path, files: list[Path], *, table: bool = False) -> Path:
    """Index copies of some files in one folder a file, or in one folder for all."""
    corpus = home / "paintings"
    for number, file in enumerate(files):
        target = corpus / ("all" if table else f"painter {number}") / f"{number}.jpg"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, target)
    corpus.mkdir(exist_ok=True)
    labels = "all/{title}" if table else None
    with Index.create(corpus, home / ".paint-search", backbone="descriptors") as index:
        index.add(labels=labels)
    return home / ".paint-search"


@pytest.mark.parametrize("count", [1, 2, 3, 14])
def test_one_work_an_artist(painted: Path, tmp_path: Path, cli: Cli, count: int) -> None:
    index = indexed(tmp_path, sorted(painted.rglob("*.jpg"))[::2][:count])
    out = tmp_path / "r.html"
    cli.ok("report", out, "--index", index, "-q")
    assert f"paintings {count} artists {count}" in section(out, "numbers")
    assert ("needs at least 3" in section(out, "map")) == (count < 3)
    assert out.with_name("r-map.html").exists() == (count >= 3)
    assert ("It takes 2 artists" in section(out, "likeness")) == (count < 2)
    assert ("It takes 3 artists" in section(out, "pairs")) == (count < 3)
    assert "two artists of two or more works" in section(out, "silhouettes")
    assert "Every artist here has a single work" in section(out, "retrieval")
    assert "It takes 5 works by one artist" in section(out, "outliers")
    assert "No file was left out" in section(out, "skipped")


def test_no_labels_at_all(painted: Path, tmp_path: Path, cli: Cli) -> None:
    index = indexed(tmp_path, sorted(painted.rglob("*.jpg"))[:6], table=True)
    out = tmp_path / "r.html"
    cli.ok("report", out, "--index", index, "-q")
    assert "works without artist 6" in section(out, "numbers")
    assert "Trustworthiness" in section(out, "map")
    for anchor in ("likeness", "pairs"):
        assert "no artist is known here" in section(out, anchor)
    assert Elements(out).nested


def test_an_empty_index(studio: Path, cli: Cli) -> None:
    with Index.open() as index:
        index.remove(*[painting.path for painting in index.paintings()])
    cli.ok("report", "r.html", "-q")
    page = studio / "r.html"
    assert "The collection is empty" in section(page, "numbers")
    assert "0 paintings" in Elements(page).text
    assert all(section(page, anchor) for anchor in SECTIONS)
    assert not (studio / "r-map.html").exists()


def test_pictures_that_have_gone_leave_empty_sheets_and_no_duplicates(
    museum: Path, tmp_path: Path, cli: Cli
) -> None:
    home = copy_tree(museum, tmp_path / "home")
    for file in (home / "paintings").rglob("*.jpg"):
        file.unlink()
    out = tmp_path / "r.html"
    cli.ok("report", out, "--index", home / ".paint-search", "-q")
    assert "No two files look like copies" in section(out, "duplicates")
    assert pictures(out, "pairs") > 0


def test_a_folder_that_is_not_there_is_refused_before_the_work(in_museum: Path, cli: Cli) -> None:
    outcome = cli("report", "nowhere/r.html")
    assert outcome.code == 2
    assert "there is no folder nowhere" in outcome.err


# ---- in a real browser


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with running_browser() as running:
        yield running


def test_the_report_opens_and_shows_every_picture(browser: Browser, report: Path) -> None:
    with opened(browser, report) as tab:
        broken = "Array.from(document.images).filter((i) => !i.complete || !i.naturalWidth).length"
        assert tab.evaluate("document.images.length") > 30
        assert tab.evaluate(broken) == 0
        wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert tab.evaluate(wide) <= 0
        tab.set_viewport_size({"width": 390, "height": 800})
        assert tab.evaluate(wide) <= 0


def test_the_map_beside_it_opens_from_its_link(browser: Browser, report: Path) -> None:
    with opened(browser, report.with_name("salon-map.html")) as tab:
        assert tab.text_content("#status") == f"{10 * WORKS + 1} paintings"
        assert tab.locator("#views button").all_inner_texts() == ["UMAP, 2-D", "PCA, 2-D"]
