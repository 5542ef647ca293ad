"""``paint-search map``: what is written, said and refused, and the page in a browser."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from conftest import Cli, copy_tree
from pages import opened, running_browser
from PIL import Image

from paint_search import Index
from paint_search.indexer.images import decoding, thumbnail

if TYPE_CHECKING:
    from playwright.sync_api import Browser

PAINTINGS = 30


def data_of(page: Path) -> dict[str, Any]:
    """Return what the page knows."""
    found = re.search(r'id="data">(.*?)</script>', page.read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    return json.loads(found[1])  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def mapped(museum: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Everything that one run with every option writes and says."""
    out = tmp_path_factory.mktemp("map")
    views = ("--method", "pca", "--method", "tsne", "--dims", 2, "--dims", 3)
    outcome = Cli().ok(
        "map", out / "map.html", *views, "--by", "year", "--plot", out / "map.png",
        "--coordinates", out / "map.csv", "--index", museum / ".paint-search", "--json",
    )  # fmt: skip
    return {"folder": out, "said": outcome.json, "data": data_of(out / "map.html")}


def test_each_method_and_number_of_dimensions_makes_a_view(mapped: dict[str, Any]) -> None:
    names = ["PCA, 2-D", "PCA, 3-D", "t-SNE, 2-D", "t-SNE, 3-D"]
    assert [view["name"] for view in mapped["said"]["views"]] == names
    assert [view["name"] for view in mapped["data"]["views"]] == names
    shares = mapped["said"]["views"][0]["explained_variance_ratio"]
    assert len(shares) == 2
    assert 0 < shares[1] <= shares[0] < 1
    assert mapped["said"]["views"][2]["explained_variance_ratio"] is None
    assert all(0.5 < view["trustworthiness"] <= 1 for view in mapped["said"]["views"])


def test_the_page_has_every_field_and_starts_with_the_one_asked_for(
    mapped: dict[str, Any],
) -> None:
    names = [field["name"] for field in mapped["data"]["fields"]]
    assert names[:2] == ["artist", "year"]
    assert set(names) == {"artist", "year", "year_from", "year_to", "movement", "support"}
    assert mapped["data"]["start"] == "year"


def test_titles_artists_and_neighbours_are_those_of_the_index(
    mapped: dict[str, Any], museum: Path
) -> None:
    import base64

    with Index.open(museum / ".paint-search") as index:
        paintings = list(index.paintings())
        vectors = index.vectors()[1]
    data = mapped["data"]
    assert data["titles"] == [painting.title for painting in paintings]
    assert data["artists"] == [painting.artist for painting in paintings]
    cosines = vectors @ vectors.T
    np.fill_diagonal(cosines, -2)
    nearest = np.frombuffer(base64.b64decode(data["neighbours"]), "<i4").reshape(PAINTINGS, -1)
    assert nearest[:, 0].tolist() == cosines.argmax(axis=1).tolist()


def test_coordinates_are_one_row_a_painting_with_its_labels(
    mapped: dict[str, Any], museum: Path
) -> None:
    with (mapped["folder"] / "map.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == PAINTINGS
    assert list(rows[0])[:3] == ["path", "title", "artist"]
    assert list(rows[0])[-3:] == ["tsne_3d_1", "tsne_3d_2", "tsne_3d_3"]
    with Index.open(museum / ".paint-search") as index:
        vectors = index.vectors()[1].astype(float)
    first = np.array([[float(row[f"pca_2d_{axis}"]) for axis in (1, 2)] for row in rows])
    centred = vectors - vectors.mean(axis=0)
    spread = np.linalg.svd(centred, compute_uv=False)[:2]
    np.testing.assert_allclose(np.linalg.norm(first, axis=0), spread, rtol=1e-3)


def test_parquet_keeps_the_types(in_museum: Path, tmp_path: Path, cli: Cli) -> None:
    import pyarrow.parquet as pq

    out = tmp_path / "map.parquet"
    cli.ok("map", tmp_path / "m.html", "--method", "pca", "--coordinates", out, "-q")
    table = pq.read_table(out)
    assert table.num_rows == PAINTINGS
    kinds = {name: str(table.schema.field(name).type) for name in ("artist", "year", "pca_2d_1")}
    assert kinds == {"artist": "string", "year": "int64", "pca_2d_1": "double"}


def test_the_plot_is_a_picture(mapped: dict[str, Any]) -> None:
    with Image.open(mapped["folder"] / "map.png") as picture:
        assert min(picture.size) > 600
        assert len(picture.convert("RGB").getcolors(1 << 24) or ()) > 100


def test_people_are_told_how_far_the_map_can_be_believed(
    in_museum: Path, tmp_path: Path, cli: Cli
) -> None:
    outcome = cli.ok("map", tmp_path / "m.html", "--method", "pca")
    assert re.search(r"PCA, 2-D\s+\d+\.\d%\s+0\.\d{3}\s+30 paintings", outcome.out)
    assert f"wrote {tmp_path / 'm.html'}" in outcome.err
    assert cli.ok("map", tmp_path / "m.html", "--method", "pca", "-q").out == ""


def test_filters_leave_their_paintings_only(in_museum: Path, tmp_path: Path, cli: Cli) -> None:
    with Index.open() as index:
        artists = sorted({str(artist) for artist in index.field("artist")})
    out = tmp_path / "map.html"
    cli.ok("map", out, "--method", "pca", "--not", f"artist={artists[0]}", "-q")
    data = data_of(out)
    assert set(data["artists"]) == set(artists[1:])
    # Nine artists can each have a colour, so the page begins with them.
    assert data["start"] == "artist"


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("map.html", "--method", "som"), 2, "--method som: use pca or umap or tsne"),
        (("map.html", "--by", "colour"), 2, "no painting here has a field 'colour'"),
        (("map.html", "--plot", "map.bmp"), 2, "name a .png or .svg file"),
        (("map.html", "--coordinates", "map.xlsx"), 2, "name a .csv or .parquet file"),
        (("map.png",), 2, "cannot write map.png: name a .html file"),
        (("nowhere/map.html",), 2, "there is no folder nowhere"),
        (("map.html", "--where", "artist=Nobody"), 2, "no painting has the artist 'Nobody'"),
        (("map.html", "--where", "title=first study"), 1, "needs at least 3 paintings"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_sentence(
    studio: Path, cli: Cli, arguments: tuple[str, ...], code: int, words: str
) -> None:
    if "title=first study" in arguments:
        with Index.open() as index:
            arguments = (*arguments[:-1], f"title={index.field('title')[0]}")
    outcome = cli("map", *arguments)
    assert outcome.code == code
    assert words in outcome.err
    assert outcome.err.count("\n") == 1
    assert not (studio / "map.html").exists()


def test_a_thumbnail_keeps_the_shape_and_the_colours(tmp_path: Path) -> None:
    Image.new("RGB", (400, 100), (40, 90, 200)).save(tmp_path / "wide.png")
    picture = thumbnail(tmp_path / "wide.png", 64)
    assert picture.size == (64, 16)
    assert picture.getcolors() == [(64 * 16, (40, 90, 200))]


def test_a_file_that_has_gone_is_an_empty_sheet(tmp_path: Path) -> None:
    counted = []
    with decoding([tmp_path / "gone.jpg"] * 3, 32, lambda: counted.append(1)) as picture:
        assert [picture(row).size for row in range(3)] == [(32, 32)] * 3
    assert len(counted) == 3


def test_the_map_is_made_though_pictures_have_gone(museum: Path, tmp_path: Path, cli: Cli) -> None:
    home = copy_tree(museum, tmp_path / "home")
    gone = sorted((home / "paintings").rglob("*.jpg"))[:5]
    for file in gone:
        file.unlink()
    out = tmp_path / "map.html"
    cli.ok("map", out, "--method", "pca", "--index", home / ".paint-search", "-q")
    assert len(data_of(out)["titles"]) == PAINTINGS


# ---- in a real browser


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with running_browser() as running:
        yield running


def test_hover_shows_a_thumbnail_and_the_legend_filters(
    browser: Browser, mapped: dict[str, Any]
) -> None:
    with opened(browser, mapped["folder"] / "map.html") as tab:
        assert tab.eval_on_selector("#field", "list => list.selectedOptions[0].text") == "year"
        box = tab.locator("#map").bounding_box()
        assert box is not None
        x, y = tab.evaluate("[spot.x[3], spot.y[3]]")
        tab.mouse.move(box["x"] + x, box["y"] + y)
        assert tab.locator("#tip canvas").is_visible()
        shown = tab.evaluate("state.hover")
        assert tab.text_content("#tip strong") == mapped["data"]["titles"][shown]
        tab.select_option("#field", label="artist")
        first = tab.locator("#legend button").first
        works = int(first.locator(".count").inner_text())
        first.click()
        left = PAINTINGS - works
        assert tab.text_content("#status") == f"{left} of {PAINTINGS} paintings shown"
