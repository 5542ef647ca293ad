"""The map page: what is in the file, and how it behaves in a real browser."""

from __future__ import annotations

import base64
import colorsys
import hashlib
import html.parser
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from pages import running_browser
from PIL import Image

from paint_search.errors import EvalError
from paint_search.eval import Projection
from paint_search.report import MapPaintings, write_map_page

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

COUNT = 60
EVIL = (
    "</script><script>window.broken = 1</script><img src=x onerror='window.broken=2'><!-- {{data}}"
)
ARTISTS = ["Ada Bruin", "Élise Moreau", "Tomás Crăciun"]


def projection(count: int = COUNT, dims: int = 2, seed: int = 0) -> Projection:
    points = np.random.default_rng(seed).uniform(-3, 5, size=(count, dims)).astype(np.float32)
    ratios = (0.3, 0.2, 0.1) if dims == 3 else None
    parameters = {"trust_neighbours": 15}
    return Projection(points, "pca" if ratios else "umap", ratios, 0.9, count, parameters)


def colour(i: int) -> tuple[int, int, int]:
    red, green, blue = colorsys.hsv_to_rgb(i / COUNT, 0.9, 0.8)
    return round(255 * red), round(255 * green), round(255 * blue)


def picture(i: int) -> Image.Image:
    return Image.new("RGB", (300, 200) if i % 2 else (100, 400), colour(i))


def paintings(count: int = COUNT, **changes: object) -> MapPaintings:
    given: dict[str, Any] = {
        "titles": [EVIL, "", *[f"Study {i}" for i in range(2, count)]][:count],
        "artists": [ARTISTS[i % 3] for i in range(count)],
        "thumbnail": picture,
        "neighbours": (np.arange(count)[:, None] + [1, 2, 3]) % max(count, 1),
        "fields": {
            "movement": [None if i == 5 else ["Baroque", "Cubism"][i % 2] for i in range(count)],
            "year": [1500 + 5 * i for i in range(count)],
        },
    }
    return MapPaintings(**(given | changes))


class Elements(html.parser.HTMLParser):
    """All scripts of a page as (attributes, content), and the names of all elements."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.names: list[str] = []
        self.inside = ""
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self.metas: list[dict[str, str | None]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.inside = tag
        if tag == "script":
            self.scripts.append((dict(attrs), ""))
        if tag == "meta":
            self.metas.append(dict(attrs))

    def handle_endtag(self, tag: str) -> None:
        self.inside = ""

    def handle_data(self, data: str) -> None:
        if self.inside == "script":
            self.scripts[-1] = (self.scripts[-1][0], self.scripts[-1][1] + data)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("map") / "map.html"
    write_map_page(path, [projection(), projection(dims=3)], paintings(), heading="A <b> & map")
    return path


def read_data(path: Path) -> dict[str, Any]:
    elements = Elements(path.read_text(encoding="utf-8"))
    (text,) = [text for attributes, text in elements.scripts if attributes.get("id") == "data"]
    return json.loads(text)  # type: ignore[no-any-return]


def unpacked(text: str, dtype: str) -> np.ndarray[Any, Any]:
    return np.frombuffer(base64.b64decode(text), dtype)


def test_the_data_arrive_as_given(page: Path) -> None:
    data = read_data(page)
    assert data["titles"][:3] == [EVIL, "", "Study 2"]
    assert data["artists"][1] == "Élise Moreau"
    neighbours = unpacked(data["neighbours"], "<i4").reshape(COUNT, 3)
    np.testing.assert_array_equal(neighbours, paintings().neighbours)
    artist, movement, year = data["fields"]
    assert artist["names"] == sorted(ARTISTS)
    assert movement["missing"]
    assert unpacked(movement["codes"], "<u4")[5] == len(movement["names"]) - 1
    assert year["exact"][:2] == ["1500", "1505"]


def test_positions_are_the_coordinates_moved_and_scaled_alike_on_all_axes(page: Path) -> None:
    for view, made in zip(
        read_data(page)["views"], [projection(), projection(dims=3)], strict=True
    ):
        positions = unpacked(view["positions"], "<f4").reshape(COUNT, 3)
        assert np.linalg.norm(positions, axis=1).max() <= 2**0.5 + 1e-6
        shown = positions[:, : made.dims]
        slopes = (shown[1:] - shown[:-1]) / (made.coordinates[1:] - made.coordinates[:-1])
        np.testing.assert_allclose(slopes, slopes[0, 0], rtol=1e-3)
        if view["origin"]:  # where the zero of the components lies
            zero = positions[0] - made.coordinates[0] * slopes[0, 0]
            np.testing.assert_allclose(view["origin"], zero, atol=1e-4)
    assert [bool(view["origin"]) for view in read_data(page)["views"]] == [False, True]


def test_each_thumbnail_is_where_the_page_looks_for_it(tmp_path: Path) -> None:
    count = 130  # two sheets
    path = tmp_path / "map.html"
    write_map_page(path, [projection(count)], paintings(count))
    data = read_data(path)["thumbnails"]
    scripts = Elements(path.read_text(encoding="utf-8")).scripts
    uris = [text for attributes, text in scripts if attributes.get("class") == "sheet"]
    assert len(uris) == 2
    sheets = [Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))) for uri in uris]
    sizes = unpacked(data["sizes"], "u1").reshape(count, 2).astype(int)
    for i in range(count):
        sheet, place = divmod(i, data["columns"] ** 2)
        down, across = divmod(place, data["columns"])
        width, height = sizes[i]
        assert width / height == pytest.approx(300 / 200 if i % 2 else 100 / 400, rel=0.05)
        middle = (across * data["cell"] + width // 2, down * data["cell"] + height // 2)
        np.testing.assert_allclose(sheets[sheet].getpixel(middle), colour(i), atol=12)


def test_arrays_grey_pictures_and_thin_strips_serve_as_thumbnails(tmp_path: Path) -> None:
    given = [
        np.zeros((40, 30, 3), np.uint8),
        np.full((20, 20), 128, np.uint8),
        Image.new("RGBA", (10, 10), (9, 9, 9, 9)),
        Image.new("L", (2000, 3)),
        Image.new("P", (1, 900)),
    ]
    path = tmp_path / "map.html"
    write_map_page(path, [projection(5)], paintings(5, thumbnail=given.__getitem__))
    sizes = unpacked(read_data(path)["thumbnails"]["sizes"], "u1")
    assert sizes.min() >= 1


def test_twelve_thousand_paintings_fit_in_thirty_megabytes(tmp_path: Path) -> None:
    count, path = 12_000, tmp_path / "map.html"
    # Noise whose amplitude falls with frequency, as that of natural pictures does (Field 1987).
    noise = np.fft.rfft2(np.random.default_rng(0).normal(size=(50, 3, 64, 64)))
    noise[..., 0, 0] = 0
    falling = np.hypot(np.fft.fftfreq(64)[:, None], np.fft.rfftfreq(64)) + 1e-9
    light = np.fft.irfft2(noise / falling)
    light = 128 + 50 * light / light.std(axis=(2, 3), keepdims=True)
    textures = np.clip(light, 0, 255).astype(np.uint8).transpose(0, 2, 3, 1)
    write_map_page(
        path, [projection(count)], paintings(count, thumbnail=lambda i: textures[i % 50])
    )
    assert path.stat().st_size < 30e6


def test_text_from_outside_stays_text(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    elements = Elements(text)
    assert len(elements.scripts) == 3  # data, one sheet, the program
    assert not set("<>&") & set(elements.scripts[0][1])
    assert "img" not in elements.names
    assert "b" not in elements.names
    assert "<title>A &lt;b&gt; &amp; map</title>" in text


def test_the_page_allows_itself_only_its_own_script_and_no_network(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    elements = Elements(text)
    (policy,) = [
        meta["content"]
        for meta in elements.metas
        if meta.get("http-equiv") == "Content-Security-Policy"
    ]
    program = elements.scripts[-1][1]
    digest = base64.b64encode(hashlib.sha256(program.encode()).digest()).decode()
    assert policy is not None
    assert "default-src 'none'; img-src data:;" in policy
    assert f"script-src 'sha256-{digest}'" in policy
    assert not re.search(r"https?://|\bfetch\(|XMLHttpRequest|innerHTML|@import", text)


@pytest.mark.parametrize(
    ("projections", "changes", "words"),
    [
        ([], {}, "at least one projection"),
        ([projection(), projection(9)], {}, "60 paintings, but 'UMAP, 2-D' has 9"),
        ([projection()], {"titles": ["one"]}, "60 paintings, but 'titles' has 1"),
        ([projection()], {"fields": {"year": [1]}}, "60 paintings, but 'year' has 1"),
        ([projection()], {"neighbours": np.full((COUNT, 2), COUNT)}, "rows from -1 to 59"),
        ([projection()], {"neighbours": np.zeros(COUNT, int)}, r"\(n, k\) array"),
    ],
)
def test_columns_that_do_not_agree_are_refused(
    tmp_path: Path, projections: list[Projection], changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(EvalError, match=words):
        write_map_page(tmp_path / "map.html", projections, paintings(**changes))
    assert not list(tmp_path.iterdir())


def test_a_page_that_fails_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "map.html"
    path.write_text("old")

    def broken(_: int) -> Image.Image:
        raise OSError("unreadable picture")

    with pytest.raises(OSError, match="unreadable"):
        write_map_page(path, [projection()], paintings(thumbnail=broken))
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


# ---- in a real browser


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with running_browser() as running:
        yield running


@pytest.fixture
def tab(browser: Browser, page: Path) -> Iterator[Page]:
    tab = browser.new_page(viewport={"width": 1280, "height": 800}, reduced_motion="reduce")
    trouble: list[str] = []
    tab.on("console", lambda message: trouble.append(message.text))
    tab.on("pageerror", lambda error: trouble.append(str(error)))
    tab.on("request", lambda request: trouble.append(request.url))
    tab.goto(page.as_uri())
    yield tab
    # Only the page itself and its own thumbnails were asked for, and nothing was complained of.
    # ("willReadFrequently" is advice to these tests, which read pixels back.)
    own = (page.as_uri(), "data:image/jpeg")
    assert [t for t in trouble if not t.startswith(own) and "willReadFrequently" not in t] == []
    assert tab.evaluate("window.broken") is None
    tab.close()


def place(tab: Page, i: int) -> tuple[float, float]:
    box = tab.locator("#map").bounding_box()
    assert box is not None
    x, y = tab.evaluate(f"[spot.x[{i}], spot.y[{i}]]")
    return box["x"] + x, box["y"] + y


def middle_pixel(tab: Page, selector: str) -> list[int]:
    tab.wait_for_function(
        "s => { const c = document.querySelector(s);"
        "return c.getContext('2d').getImageData(c.width / 2, c.height / 2, 1, 1).data[3] > 0 }",
        arg=selector,
    )
    return tab.eval_on_selector(  # type: ignore[no-any-return]
        selector,
        "c => Array.from(c.getContext('2d').getImageData(c.width / 2, c.height / 2, 1, 1).data)",
    )[:3]


@pytest.mark.parametrize("i", [0, 1, 7])
def test_hover_shows_the_thumbnail_the_title_and_the_artist(tab: Page, i: int) -> None:
    tab.uncheck("#pictures")
    tab.mouse.move(*place(tab, i))
    assert tab.locator("#tip").is_visible()
    assert tab.text_content("#tip strong") == (paintings().titles[i] or "Untitled")
    assert tab.text_content("#tip span") == paintings().artists[i]
    np.testing.assert_allclose(middle_pixel(tab, "#tip canvas"), colour(i), atol=14)
    tab.mouse.move(2, 2)
    assert tab.locator("#tip").is_hidden()


def test_click_pins_a_painting_with_its_neighbours_and_escape_lets_go(tab: Page) -> None:
    tab.uncheck("#pictures")
    tab.mouse.click(*place(tab, 7))
    assert tab.text_content("#card h2") == "Study 7"
    assert "1535" in tab.inner_text("#card dl")
    shown = [b.get_attribute("title") for b in tab.locator("#neighbours button").all()]
    assert shown == [f"Study {j}, {paintings().artists[j]}" for j in (8, 9, 10)]
    np.testing.assert_allclose(
        middle_pixel(tab, "#neighbours li:nth-child(2) canvas"), colour(9), atol=14
    )
    tab.locator("#neighbours button").nth(1).click()
    assert tab.text_content("#card h2") == "Study 9"
    assert tab.locator("a").count() == 0  # a file leads nowhere
    tab.keyboard.press("Escape")
    assert tab.locator("#card").is_hidden()


def shown_rows(tab: Page) -> list[int]:
    return tab.evaluate("Array.from(state.shown).flatMap((on, i) => on ? [i] : [])")  # type: ignore[no-any-return]


def test_legend_hides_and_isolates_with_the_mouse(tab: Page) -> None:
    tab.select_option("#field", label="artist")
    entry = tab.locator("#legend button").nth(2)  # Élise Moreau: rows 1, 4, 7 ...
    entry.click()
    assert [i % 3 for i in shown_rows(tab)] == [0, 2] * 20
    assert tab.text_content("#status") == "40 of 60 paintings shown"
    tab.mouse.move(*place(tab, 1))
    assert tab.evaluate("state.hover") != 1  # what is hidden cannot be pointed at
    entry.click()
    assert len(shown_rows(tab)) == COUNT
    entry.dblclick()
    assert shown_rows(tab) == list(range(1, COUNT, 3))
    entry.dblclick()
    assert len(shown_rows(tab)) == COUNT
    tab.click("#none")
    assert shown_rows(tab) == []


def test_legend_works_from_the_keyboard(tab: Page) -> None:
    tab.select_option("#field", label="artist")
    tab.locator("#legend button").nth(0).focus()
    tab.keyboard.press("Enter")
    assert tab.locator("#legend button").nth(0).get_attribute("aria-pressed") == "false"
    assert len(shown_rows(tab)) == 40
    tab.keyboard.press("Space")
    tab.keyboard.press("Shift+Enter")
    assert shown_rows(tab) == list(range(0, COUNT, 3))


def test_search_finds_artists_without_their_accents(tab: Page) -> None:
    tab.select_option("#field", label="artist")
    tab.fill("#search", "craciun")
    assert shown_rows(tab) == list(range(2, COUNT, 3))
    assert [b.text_content() for b in tab.locator("#legend button:visible").all()] == [
        "Tomás Crăciun20"
    ]
    found = tab.locator("#matches button")
    assert [b.inner_text() for b in found.all()[:2]] == [
        "Study 2\nTomás Crăciun", "Study 5\nTomás Crăciun",
    ]  # fmt: skip
    assert found.count() == 20
    tab.press("#search", "Enter")
    assert tab.text_content("#card h2") == "Study 2"


def test_colours_follow_the_field_and_reach_the_canvas(tab: Page) -> None:
    tab.uncheck("#pictures")
    for field in ("movement", "year"):
        tab.select_option("#field", label=field)
        # Dots may lie over one another, grey ones are paler: look at coloured dots that lie alone.
        seen = tab.evaluate(
            """() => {
              draw();
              const alone = (i) => spot.x.every((x, j) =>
                j === i || Math.hypot(x - spot.x[i], spot.y[j] - spot.y[i]) > 20);
              return Array.from(spot.x.keys()).filter(alone).map((i) => [
                state.field.paint[state.field.codes[i]],
                Array.from(context.getImageData(
                  spot.x[i] * size.ratio, spot.y[i] * size.ratio, 1, 1).data).slice(0, 3),
              ]).filter(([colour]) => colour !== page.other);
            }"""
        )
        assert len(seen) > 10
        for wanted, (red, green, blue) in seen:
            assert f"#{red:02x}{green:02x}{blue:02x}" == wanted


def test_the_3d_view_turns_and_names_its_axes(tab: Page) -> None:
    tab.get_by_role("button", name="PCA, 3-D").click()
    assert "60% of the variance" in tab.inner_text("#caption")
    x, y = place(tab, 3)
    before = tab.evaluate("[spot.x[3] - spot.x[4], camera.yaw]")
    tab.mouse.move(x, y)
    tab.mouse.down()
    tab.mouse.move(x + 90, y, steps=3)
    tab.mouse.up()
    tab.evaluate("draw()")
    after = tab.evaluate("[spot.x[3] - spot.x[4], camera.yaw]")
    assert after[1] > before[1]
    assert after[0] != pytest.approx(before[0], abs=1)
    assert tab.locator("#card").is_hidden()  # turning is no click


def test_wheel_zooms_at_the_pointer_and_drag_moves(tab: Page) -> None:
    x, y = place(tab, 3)
    tab.mouse.move(x, y)
    tab.mouse.wheel(0, -500)
    tab.wait_for_function("camera.zoom > 1.5")
    tab.evaluate("draw()")
    assert place(tab, 3) == pytest.approx((x, y), abs=1)
    tab.mouse.down()
    tab.mouse.move(x + 60, y + 40, steps=3)
    tab.mouse.up()
    tab.evaluate("draw()")
    assert place(tab, 3) == pytest.approx((x + 60, y + 40), abs=1)
    tab.focus("#map")
    tab.keyboard.press("0")
    assert tab.evaluate("camera.zoom") == 1


def test_dark_page_and_paper_have_their_own_ground(browser: Browser, page: Path) -> None:
    tab = browser.new_page(color_scheme="dark")
    tab.goto(page.as_uri())
    assert tab.evaluate("theme() === THEMES.dark")
    tab.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert tab.evaluate("theme() === THEMES.light && size.ratio === 3")
    tab.evaluate("dispatchEvent(new Event('afterprint'))")
    assert tab.evaluate("theme() === THEMES.dark")
    tab.close()
