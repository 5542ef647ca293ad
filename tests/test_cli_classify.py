"""``paint-search eval classify``, features by name, and an index of ink on paper."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import numpy as np
import pytest
from conftest import Cli, copy_tree
from inked import box, disc, sheet
from pages import Elements, opened, running_browser
from PIL import Image
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score
from studied import read_csv

from paint_search import Index, studies
from paint_search.indexer.backbones import ink

if TYPE_CHECKING:
    from playwright.sync_api import Browser

EACH = 30
BY_FEATURES = ("--label", "kind", "--features", "blackness,eye-fill")


@pytest.fixture(scope="module")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixty discs and rings of ink, their sizes mixed, and their index. Read only."""
    home = tmp_path_factory.mktemp("inked")
    (home / "sheets").mkdir()
    rng = np.random.default_rng(0)
    rows = ["path,kind,artist"]
    for number in range(2 * EACH):
        radius = rng.uniform(90, 280)
        black = disc(450, 360, radius)
        if ring := number % 2:
            black &= ~disc(450, 360, radius * rng.uniform(0.2, 0.8))
        name = f"{number:02d}.png"
        sheet(black, int(rng.integers(150, 255))).save(home / "sheets" / name)
        rows.append(f"{name},{'ring' if ring else 'disc'},Hand {number // 2 % 3}")
    (home / "works.csv").write_text("\n".join(rows))
    with Index.create(home / "sheets", home / ".paint-search", backbone="ink") as index:
        index.add(table=home / "works.csv")
    return home


@pytest.fixture
def in_gallery(gallery: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(gallery)
    return gallery


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with running_browser() as running:
        yield running


def test_classes_figures_confusions_and_sentences_are_printed(in_gallery: Path, cli: Cli) -> None:
    told = cli.ok("eval", "classify", "--label", "kind", "--test", 0.3)
    expected = ["learned from", "precision", "always ", "expected calibration error"]
    expected += ["sets that hold the class, 90% asked", "told rightly", "rows are what they are"]
    assert [words for words in expected if words not in told.out] == []
    assert "60 paintings of 2 kinds" in told.err
    assert "18 of the 18 tested works are by artists whose other works" in told.err


def test_json_says_what_was_made_of_every_tested_work(in_gallery: Path, cli: Cli) -> None:
    options = ("--label", "kind", "--features", "eyes,aspect")
    told = cli.ok("eval", "classify", *options, "--json").json
    works = told["works"]
    assert len(works) == told["tested"] == 15
    right = [work["is"] == work["told_as"] for work in works]
    assert told["accuracy"] == np.mean(right) >= 0.9
    assert told["coverage"]["found"] == np.mean([work["is"] in work["set"] for work in works])
    surest = [work["probability"] for work in works]
    assert surest == sorted(surest, reverse=True)
    for work in works:
        assert work["is"] == ("ring" if int(work["path"][:2]) % 2 else "disc")
    assert np.array(told["confusion"]).sum() == 15


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (BY_FEATURES, {"blackness", "eye-fill", "told as", "tested", "told wrongly"}),
        (("--label", "kind", "--features", "eyes"), {"told as"}),
    ],
)
def test_the_figure_shows_confusions_and_two_features_as_a_plane(
    in_gallery: Path, cli: Cli, tmp_path: Path, options: tuple[str, ...], words: set[str]
) -> None:
    cli.ok("eval", "classify", *options, "--plot", tmp_path / "a.svg", "--quiet")
    shown = {text.strip() for text in ElementTree.parse(tmp_path / "a.svg").getroot().itertext()}
    assert words <= shown
    assert ("blackness" in shown) == ("blackness" in words)


def test_the_table_is_the_confusion_matrix(in_gallery: Path, cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "confusion.csv"
    told = cli.ok("eval", "classify", "--label", "artist", "--csv", file, "--json").json
    rows = read_csv(file)
    assert [row["artist"] for row in rows] == told["classes"] == ["Hand 0", "Hand 1", "Hand 2"]
    assert [[int(row[name]) for name in told["classes"]] for row in rows] == told["confusion"]


def test_the_page_shows_errors_with_what_misled_the_model(
    in_gallery: Path, cli: Cli, tmp_path: Path, browser: Browser
) -> None:
    # Who drew a disc cannot be seen: many errors.
    page = tmp_path / "errors.html"
    told = cli.ok("eval", "classify", "--label", "artist", "--html", page, "--json").json
    wrong = [work for work in told["works"] if work["is"] != work["told_as"]]
    assert wrong
    read = Elements(page)
    assert read.nested
    assert "script" not in read.names()
    with opened(browser, page) as tab:
        shown = tab.locator("figure.query")
        assert shown.count() == len(wrong)
        texts = [shown.nth(i).locator(".asked").inner_text() for i in range(len(wrong))]
        for text, work in zip(texts, wrong, strict=True):
            assert f"told as {work['told_as']}: {work['probability']:.0%}" in text
        for i, work in enumerate(wrong):
            labels = shown.nth(i).locator(".near small").all_inner_texts()
            framed = shown.nth(i).locator(".near.both small").all_inner_texts()
            assert len(labels) == 10
            assert framed == [label for label in labels if label == work["told_as"]]
        for width in (1280, 500):
            tab.set_viewport_size({"width": width, "height": 800})
            assert tab.evaluate("document.documentElement.scrollWidth") <= width


def test_a_label_that_is_code_is_shown_and_not_run(
    academy: Path, cli: Cli, tmp_path: Path, browser: Browser
) -> None:
    page = tmp_path / "errors.html"
    options = ["--index", academy / ".paint-search", "--label", "movement", "--html", page]
    cli.ok("eval", "classify", *options, "--model", "logistic", "--quiet")
    with opened(browser, page) as tab:
        assert "<script>window.broken" in tab.locator(".asked").first.inner_text()


def test_a_net_learns_from_the_files(gallery: Path, tmp_path: Path) -> None:
    from paint_search.train import SmallConvNet

    index, plot = gallery / ".paint-search", tmp_path / "net.svg"
    told = studies.classify(index, by="kind", model="cnn", net=SmallConvNet(epochs=2))
    curves = told.to_dict()["learning_curves"]
    assert [len(curve["loss"]) for curve in curves] == [2, 2, 2]
    told.plot(plot)
    shown = {text.strip() for text in ElementTree.parse(plot).getroot().itertext()}
    assert {"epoch", "loss", "accuracy", "held out"} <= shown


# Bad input.


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--label", "kind", "--where", "kind=ring"], 1, "two classes to tell apart; only 'ring'"),
        (["--label", "path", "--min-works", 1], 1, "has 1 work; a class needs 5"),
        (["--label", "kind", "--min-works", 31], 1, "two classes to tell apart; none is known"),
        (["--label", "school"], 2, "school"),
        (["--model", "forest"], 2, "--model forest: use knn, logistic, cnn"),
        (["--model", "cnn", "--features", "eyes"], 2, "leave out --features"),
        (["--test", 1.5], 2, "--test 1.5: give a share between 0 and 1"),
        (["--coverage", 0], 2, "--coverage 0.0: give a share"),
        (["--features", "eyes,ears"], 2, "there is no feature 'ears': choose from blackness,"),
        (["--features", "eyes,eyes"], 2, "named twice"),
        (["--features", ","], 2, "--features names none"),
        (["--plot", "a.bmp"], 2, "name a .png or .svg file"),
        (["--html", "a.txt"], 2, "name a .html file"),
    ],
)  # fmt: skip
def test_bad_input_is_said_in_a_sentence(
    in_gallery: Path, cli: Cli, options: list[object], code: int, message: str
) -> None:
    outcome = cli("eval", "classify", *options)
    assert (outcome.code, outcome.out) == (code, "")
    assert message in outcome.err


def test_too_few_works_of_each_class_are_said(in_museum: Path, cli: Cli) -> None:
    outcome = cli("eval", "classify", "--min-works", 1)
    assert outcome.code == 1
    assert "has 3 works; a class needs 5" in outcome.err


def test_features_of_another_backbone_are_refused(in_museum: Path, cli: Cli) -> None:
    for study in ("classify", "clusters"):
        outcome = cli("eval", study, "--features", "blackness")
        assert outcome.code == 2
        assert "'descriptors' hold no features that have names" in outcome.err


def test_a_net_says_which_file_is_gone(gallery: Path, cli: Cli, tmp_path: Path) -> None:
    home = copy_tree(gallery, tmp_path / "home")
    (home / "sheets" / "07.png").unlink()
    options = ["--label", "kind", "--model", "cnn", "--index", home / ".paint-search"]
    outcome = cli("eval", "classify", *options)
    assert outcome.code == 1
    assert "07.png" in outcome.err
    assert "paint-search index --prune" in outcome.err


# The index of ink.


def test_pictures_that_are_not_black_and_white_are_said(cli: Cli, tmp_path: Path) -> None:
    folder = tmp_path / "mixed"
    folder.mkdir()
    sheet(disc(450, 360, 200)).save(folder / "ink.png")
    y, x = np.mgrid[0:90, 0:120]
    waves = np.stack([x * 2, y * 2, 255 - x * 2], axis=2).astype(np.uint8)
    Image.fromarray(waves).save(folder / "paint.png")
    told = cli.ok("index", folder, "--backbone", "ink", "--index", tmp_path / "idx")
    assert "1 of 2 paintings are not black and white" in told.err
    assert "of their pixels, on average, are neither ink nor paper" in told.err
    shutil.rmtree(tmp_path / "idx")
    (folder / "paint.png").unlink()
    told = cli.ok("index", folder, "--backbone", "ink", "--index", tmp_path / "idx")
    assert "black and white" not in told.err


def test_the_nearest_painting_is_the_one_of_like_measures(
    in_gallery: Path, cli: Cli, tmp_path: Path
) -> None:
    query = tmp_path / "query.png"
    sheet(disc(300, 300, 200) & ~disc(300, 300, 100)).save(query)
    told = cli.ok("similar", query, "-k", 1, "--json").json
    assert [int(hit["path"][:2]) % 2 for hit in told["hits"]] == [1]
    with Index.open() as index:
        values = ink.read(index.vectors()[1])
        numbers = [int(painting.path[:2]) for painting in index.paintings()]
    truth = np.array([number % 2 for number in numbers])
    np.testing.assert_array_equal(values[:, list(ink.MEASURES).index("eyes")], truth)


def test_clusters_are_those_of_the_plane_and_drawn_in_it(
    in_gallery: Path, cli: Cli, tmp_path: Path
) -> None:
    features = ["blackness", "eye-fill"]
    options = ["--by", "path", "--features", ",".join(features), "-k", 3, "--against", "kind"]
    told = cli.ok("eval", "clusters", *options, "--plot", tmp_path / "k.svg", "--json").json
    with Index.open() as index:
        points = ink.read(index.vectors()[1], features)
        paths = [painting.path for painting in index.paintings()]
    expected = KMeans(3, n_init=10, random_state=0).fit_predict(points)
    codes = dict(zip(told["tree"]["names"], told["kmeans"]["codes"], strict=True))
    assert adjusted_rand_score(expected, [codes[path] for path in paths]) > 0.9
    shown = {text.strip() for text in ElementTree.parse(tmp_path / "k.svg").getroot().itertext()}
    assert {*features, "centre", "3 clusters of 60 paintings by k-means"} <= shown
    listed = cli.ok("eval", "clusters", *options).out.partition("clusters of k-means, the largest")
    rows = [line.split()[:2] for line in listed[2].splitlines()[2:]]
    sizes = np.bincount(told["kmeans"]["codes"])
    assert rows == [[str(code), str(sizes[code])] for code in np.argsort(-sizes, kind="stable")]
    assert {f"cluster {code} ({count})" for code, count in rows} <= shown


def test_features_of_dropped_vectors_are_refused(gallery: Path, cli: Cli, tmp_path: Path) -> None:
    home = copy_tree(gallery, tmp_path / "home")
    with Index.open(home / ".paint-search") as index:
        index.compress("pca", 4, drop_full=True)
    outcome = cli("eval", "classify", *BY_FEATURES, "--index", home / ".paint-search")
    assert outcome.code == 2
    assert "dropped" in outcome.err


def test_a_rectangle_and_a_square_differ(cli: Cli, tmp_path: Path) -> None:
    for name, x, height in (("square", 250, 300), ("oblong", 650, 180), ("query", 450, 186)):
        sheet(box(x, 360, 300, height)).save(tmp_path / f"{name}.png")
    query = (tmp_path / "query.png").rename(tmp_path.parent / "query.png")
    cli.ok("index", tmp_path, "--backbone", "ink", "--index", tmp_path / "idx")
    told = cli.ok("similar", query, "--index", tmp_path / "idx", "--json").json
    assert [hit["path"] for hit in told["hits"]] == ["oblong.png", "square.png"]
