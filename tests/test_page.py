"""The web page in a real browser, over a server of this process."""

from __future__ import annotations

import base64
import csv
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
from conftest import TOKEN, copy_tree
from pages import running_browser
from serving import Served, serving

from paint_search import Index

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

EVIL = "<img src=x onerror='window.broken=1'> & \"\u202e<script>window.broken=2</script>"
PHONE: dict[str, Any] = {
    "viewport": {"width": 390, "height": 844},
    "has_touch": True,
    "is_mobile": True,
}


@pytest.fixture(scope="module")
def served(painted: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Four artists of three works each; one title and its file are hostile, one work is a copy."""
    home = tmp_path_factory.mktemp("hung")
    with (painted / "works.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    artists = sorted({row["artist"] for row in rows})[:4]
    rows = [row for row in rows if row["artist"] in artists]
    for row in rows:
        target = home / "paintings" / row["path"]
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(painted / row["path"], target)
    shutil.copy(home / "paintings" / rows[3]["path"], home / "paintings" / rows[4]["path"])
    first = home / "paintings" / rows[0]["path"]
    rows[0] |= {"title": EVIL, "path": "<b onclick=alert(1)>&'\".jpg"}
    first.rename(home / "paintings" / rows[0]["path"])
    table = home / "works.csv"
    with table.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    with Index.create(home / "paintings", home / ".paint-search", backbone="builtin") as index:
        index.add(table=table)
        index.build_details()
    with serving(home / ".paint-search") as server:
        yield server


@pytest.fixture(scope="module")
def works(served: Served) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = served.http.get("/v1/works?sort=name").json()["works"]
    assert len(found) == 12
    return found


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with running_browser() as running:
        yield running


@contextmanager
def at(browser: Browser, served: Served, address: str, **context: Any) -> Iterator[Page]:
    """Open a page; its scripts may not fail, and nothing may be asked of another host."""
    given: dict[str, Any] = {"viewport": {"width": 1280, "height": 800}, "reduced_motion": "reduce"}
    tab = browser.new_page(**(given | context))
    trouble: list[str] = []
    tab.on("pageerror", lambda error: trouble.append(str(error)))
    tab.on("console", lambda said: trouble.append(said.text) if "Policy" in said.text else None)
    own = (served.url, "data:", "blob:")
    tab.on("request", lambda one: None if one.url.startswith(own) else trouble.append(one.url))
    tab.goto(served.url + address)
    tab.wait_for_load_state("networkidle")
    yield tab
    assert trouble == []
    assert tab.evaluate("window.broken") is None
    tab.close()


def status(tab: Page, words: str) -> None:
    """Wait until the page says so."""
    tab.locator("#status", has_text=words).wait_for(state="attached", timeout=10_000)


def answering(tab: Page, address: str, answers: Any) -> None:
    """Answer for the API what an index as small as this has no answer to."""
    tab.route(address, lambda route: route.fulfill(json=answers))


def titles(tab: Page) -> list[str]:
    return [str(one) for one in tab.locator(".card:visible .what").all_text_contents()]


def test_browse_narrow_and_back(browser: Browser, served: Served, works: list[Any]) -> None:
    with at(browser, served, "/?sort=name") as tab:
        status(tab, "12 works")
        assert titles(tab) == [f"{w['name']}, {w['year']}" for w in works]
        artist = works[4]["artist"]
        tab.get_by_role("checkbox", name=artist).check()
        status(tab, "3 works")
        assert tab.locator("label", has_text=works[0]["artist"]).is_visible()  # an alternative
        tab.get_by_label("From year").focus()
        tab.keyboard.press("End")
        tab.wait_for_url("**year%3D**")
        tab.fill("#words", "nowhere to be found")
        tab.get_by_text("No painting has the words").wait_for()
        tab.get_by_role("button", name="Take away all conditions").click()
        status(tab, "12 works")
        tab.go_back()
        tab.get_by_text("No painting has the words").wait_for()
        assert tab.input_value("#words") == "nowhere to be found"
        tab.go_back()
        status(tab, "3 works")
        tab.go_back()
        status(tab, "12 works")
        assert not tab.get_by_role("checkbox", name=artist).is_checked()


def test_back_leads_to_what_was_looked_at(
    browser: Browser, served: Served, works: list[Any]
) -> None:
    low = {**PHONE, "viewport": {"width": 390, "height": 420}}
    with at(browser, served, "/?sort=name", **low) as tab:
        last = tab.locator(".card", has_text=works[9]["name"])
        last.scroll_into_view_if_needed()
        tab.wait_for_function("() => history.state?.place?.item > 0")
        where = last.bounding_box()
        last.locator("img").tap()
        tab.wait_for_url("**/works/*")
        tab.locator(".stage").wait_for()
        tab.go_back()
        last.wait_for()
        tab.wait_for_load_state("networkidle")
        back = last.bounding_box()
        assert where
        assert back
        assert back["y"] == pytest.approx(where["y"], abs=3)


def test_rows_fill_the_wall_with_true_proportions(browser: Browser, served: Served) -> None:
    with at(browser, served, "/") as tab:
        boxes = tab.locator(".card .frame img").evaluate_all(
            "all => all.map(i => [i.clientWidth / i.clientHeight, i.naturalWidth / i.naturalHeight,"
            " Math.round(i.getBoundingClientRect().top), i.getBoundingClientRect().right])"
        )
        for shown, true, _, _ in boxes:
            assert shown == pytest.approx(true, rel=0.03)
        edge = tab.locator("#wall").bounding_box()
        assert edge is not None
        tops = sorted({top for _, _, top, _ in boxes})
        for top in tops[:-1]:  # the last row may be short
            right = max(r for _, _, t, r in boxes if t == top)
            assert right == pytest.approx(edge["x"] + edge["width"], abs=2)


def test_ask_by_upload_and_by_more_like_this(
    browser: Browser, served: Served, works: list[Any], painted: Path
) -> None:
    with at(browser, served, "/") as tab:
        file = next(painted.glob(f"{works[7]['artist']}/*.jpg"))
        tab.set_input_files("#pick", file)
        tab.wait_for_url("**like=picture-**")
        status(tab, "the most alike first")
        assert tab.get_by_alt_text("your picture").is_visible()
        tab.locator(".card").first.hover()
        tab.locator(".card a[title='More like this']").first.click()
        tab.wait_for_url("**/?like=*-*-*")
        status(tab, "the most alike first")
        card = tab.locator(".card").nth(3)
        card.hover()
        card.get_by_title("Not like this").click()
        tab.wait_for_url("**unlike=**")
        tab.get_by_role("heading", name="Not like").wait_for()
        tab.locator("#tray .unlike").get_by_title("Like this", exact=True).click()
        tab.get_by_role("heading", name="Like these").wait_for()
        tab.get_by_role("checkbox", name="Not by").first.check()
        tab.wait_for_url("**not=artist**")
        status(tab, "works, the most alike first")
        left_out = tab.locator("#tray label").first.inner_text().removeprefix("Not by ")
        assert left_out not in tab.locator(".card:visible .who").all_inner_texts()
        tab.go_back()
        tab.go_back()
        tab.get_by_role("heading", name="Not like").wait_for()


def test_ask_by_dropping_and_by_pasting(browser: Browser, served: Served, painted: Path) -> None:
    content = base64.b64encode(next(painted.rglob("*.jpg")).read_bytes()).decode()
    give = """([kind, content]) => {
        const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
        const given = new DataTransfer();
        given.items.add(new File([bytes], "given.jpg", { type: "image/jpeg" }));
        const name = kind === "drop" ? "dataTransfer" : "clipboardData";
        const happens = kind === "drop" ? DragEvent : ClipboardEvent;
        document.body.dispatchEvent(
            new happens(kind, { [name]: given, bubbles: true, cancelable: true }));
    }"""
    for kind in ("drop", "paste"):
        with at(browser, served, "/artists") as tab:
            tab.evaluate(give, [kind, content])
            tab.wait_for_url("**like=picture-**")
            status(tab, "the most alike first")


def test_two_fingers_bring_a_work_closer(
    browser: Browser, served: Served, works: list[Any]
) -> None:
    with at(browser, served, f"/works/{works[5]['id']}", **PHONE) as tab:
        sheet, stage = tab.locator(".sheet"), tab.locator(".stage").bounding_box()
        before = sheet.bounding_box()
        assert stage
        assert before
        x, y = stage["x"] + stage["width"] / 2, stage["y"] + stage["height"] / 2
        touches = tab.context.new_cdp_session(tab)
        for kind, apart in (("touchStart", 30), ("touchMove", 60), ("touchMove", 90)):
            points = [{"x": x - apart, "y": y, "id": 0}, {"x": x + apart, "y": y, "id": 1}]
            touches.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
        touches.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
        tab.wait_for_function(
            "w => document.querySelector('.sheet').clientWidth > 2 * w", arg=before["width"]
        )


def test_copies_are_folded_and_scores_have_words(
    browser: Browser, served: Served, works: list[Any]
) -> None:
    with at(browser, served, f"/?like={works[0]['id']}") as tab:
        tab.locator(".copies summary").first.click()
        assert tab.locator(".copies a").first.is_visible()
        words = tab.locator(".card:visible .score").all_inner_texts()
        assert all(word.startswith(("closer than", "score")) for word in words)


def test_failures_are_told_in_the_page(browser: Browser, served: Served, tmp_path: Path) -> None:
    with at(browser, served, "/works/nothing") as tab:
        assert "no id of a work" in tab.inner_text("#problem")
        (tmp_path / "no picture.jpg").write_text("no picture")
        tab.set_input_files("#pick", tmp_path / "no picture.jpg")
        tab.locator("#problem", has_text="A picture of 10 bytes").wait_for()
        tab.goto(f"{served.url}/?where=colour=red")
        tab.locator("#empty", has_text="a field 'colour'").wait_for()
        tab.goto(served.url)
        tab.context.set_offline(True)
        tab.fill("#words", "second")
        tab.locator("#problem", has_text="The server does not answer").wait_for()
        tab.context.set_offline(False)
        tab.get_by_role("button", name="Try again").click()
        tab.locator("#problem").wait_for(state="hidden")


def test_look_zoom_and_search_by_a_detail(
    browser: Browser, served: Served, works: list[Any]
) -> None:
    work = works[5]
    with at(browser, served, f"/works/{work['id']}") as tab:
        assert tab.inner_text("h1") == work["name"]
        assert tab.locator("#near .card").count() > 3
        sheet = tab.locator(".sheet")
        before = sheet.bounding_box()
        stage = tab.locator(".stage").bounding_box()
        assert before
        assert stage
        x, y = stage["x"] + stage["width"] / 2, stage["y"] + stage["height"] / 2
        tab.mouse.move(x, y)
        tab.mouse.wheel(0, -400)
        tab.wait_for_function(
            "w => document.querySelector('.sheet').clientWidth > 1.5 * w", arg=before["width"]
        )
        tab.locator(".stage").focus()
        tab.keyboard.press("0")
        assert sheet.bounding_box() == before
        tab.get_by_role("button", name="Draw a box").click()
        tab.mouse.move(before["x"] + before["width"] / 4, before["y"] + before["height"] / 4)
        tab.mouse.down()
        tab.mouse.move(x, y, steps=3)
        tab.mouse.up()
        drawn = [int(tab.input_value(f"#box-{edge}")) for edge in ("x", "y", "width", "height")]
        wanted = [work["width"] / 4, work["height"] / 4] * 2
        assert drawn == pytest.approx(wanted, abs=3)
        tab.fill("#box-width", "40")
        tab.get_by_role("button", name="Find this detail").click()
        tab.wait_for_url(f"**box={drawn[0]}%2C{drawn[1]}%2C40%2C{drawn[3]}*")
        tab.locator(".card .box").first.wait_for()
        tab.locator("#tray .box").wait_for()
        tab.go_back()
        tab.wait_for_load_state("networkidle")
        assert tab.input_value("#box-width") == "40"


def test_two_works_are_compared(browser: Browser, served: Served, works: list[Any]) -> None:
    one, other = works[0], works[4]
    pair = {"one": one["id"], "other": other["id"]}
    why = served.http.get("/v1/explain", params=pair).json()
    with at(browser, served, f"/works/{one['id']}") as tab:
        # Twelve works are too few to calibrate on.
        answering(tab, "**/v1/verify?*", {"text": "one artist: 91%, <b>"})
        near = tab.locator("#near .card").filter(has_text=other["name"])
        near.hover()
        near.get_by_title("Compare with this").click()
        tab.wait_for_url(f"**one={one['id']}&other={other['id']}")
        tab.locator("#verdict", has_text="91%").wait_for()
        assert why["text"][1][3:] in tab.inner_text("#why")
        regions = why["regions"]
        assert f"{regions[0]['score']:.3f} of the score" in tab.inner_text("#why li >> nth=0")
        assert tab.locator("rect.region").count() == 2 * len(regions) > 0
        tab.get_by_label("Show how much").check()
        assert tab.locator("image.heat").count() == 2
        wide = "all => all.map(one => one.clientWidth)"
        before = tab.locator(".sheet").evaluate_all(wide)
        tab.locator("#one").get_by_role("button", name="Closer").click()
        zoomed = tab.locator(".sheet").evaluate_all(wide)
        assert zoomed == pytest.approx([1.5 * one for one in before], abs=2)


def test_artists_alone_and_side_by_side(browser: Browser, served: Served, works: list[Any]) -> None:
    with at(browser, served, "/artists") as tab:
        status(tab, "4 artists")
        tab.fill("#seek", works[4]["artist"][:5].upper())
        status(tab, "1 artist")
        tab.get_by_role("link", name=works[4]["artist"]).click()
        status(tab, "3 works")
        side = tab.get_by_role("link", name="side by side").first
        side.wait_for()
        side.click()
        tab.locator("#second .card").first.wait_for()
        whose = {tab.inner_text("#first .who >> nth=0"), tab.inner_text("#second .who >> nth=0")}
        assert len(whose) == 2
        assert works[4]["artist"] in whose


def test_selections_are_collected_named_and_saved(
    browser: Browser, served: Served, works: list[Any]
) -> None:
    with at(browser, served, "/?sort=name") as tab:
        for place in (0, 2):
            tab.locator(".card").nth(place).hover()
            tab.locator(".card .heart").nth(place).click()
        assert tab.inner_text("#collected").strip() == "2"
        tab.get_by_role("link", name="Selections").click()
        status(tab, "2 works collected")
        name = "Blue & <b>"
        tab.fill("#name", name)
        tab.get_by_role("button", name="Save").click()
        tab.wait_for_url(f"**/selections/{quote(name, safe='')}")
        status(tab, "2 works")
        assert tab.inner_text("h1") == name
        with Index.open(served.folder) as index:
            assert [work.id for work in index.selected(name)] == [works[0]["id"], works[2]["id"]]
        exports = tab.locator("#exports a").evaluate_all("all => all.map(a => a.pathname)")
        assert f"/v1/selections/{quote(name, safe='')}/csv" in exports
        for address in exports:
            assert served.http.get(address).is_success
        tab.locator(".card").first.hover()
        tab.get_by_role("button", name="Take out").first.click()
        status(tab, "1 work")
        assert tab.inner_text("#collected") == ""
        with Index.open(served.folder) as index:
            assert [work.id for work in index.selected(name)] == [works[2]["id"]]


def test_text_from_outside_stays_text(browser: Browser, served: Served, works: list[Any]) -> None:
    hostile = next(work for work in works if work["title"] == EVIL)
    with at(browser, served, f"/works/{hostile['id']}") as tab:
        assert tab.text_content("h1") == EVIL
        assert "<b onclick" in tab.inner_text("#facts")
        tab.goto(f"{served.url}/?like={hostile['id']}&where=title~={quote(EVIL)}&not=artist=<b>x")
        tab.locator("#chips button").first.wait_for()
        assert tab.locator("main b, main script").count() == 0
        tab.goto(f"{served.url}/artists/{quote(EVIL, safe='')}")
        tab.locator("#problem", has_text="onerror").wait_for()


VIEWS = ["/", "/?like={id}", "/works/{id}", "/compare?one={id}&other={id}", "/artists",
         "/artists/{artist}", "/selections", "/studies", "/login", "/map", "/report"]  # fmt: skip


@pytest.mark.parametrize("address", VIEWS)
def test_a_view_is_accessible_and_fits_a_phone(
    browser: Browser, served: Served, works: list[Any], address: str
) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not there")
    there = address.format(id=works[5]["id"], artist=quote(works[5]["artist"]))
    with at(browser, served, there, **PHONE) as tab:
        if address in ("/map", "/report"):  # once they are drawn
            tab.get_by_role("link", name="All works").wait_for(timeout=60_000)
        assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth")
        for scheme in ("light", "dark"):
            tab.emulate_media(color_scheme=scheme)
            found = axe.Axe().run(tab).response["violations"]
            assert [one for one in found if one["impact"] in ("serious", "critical")] == []


def test_who_has_the_token_is_let_in(browser: Browser, served: Served, tmp_path: Path) -> None:
    home = copy_tree(served.folder.parent, tmp_path / "home")
    with (
        serving(home / ".paint-search", token=TOKEN) as closed,
        at(browser, closed, "/artists") as tab,
    ):
        assert tab.url == f"{closed.url}/login?next=/artists"
        tab.get_by_label("Token").fill("another one altogether")
        tab.keyboard.press("Enter")
        status(tab, "not the token")
        tab.get_by_label("Token").fill(TOKEN)
        tab.keyboard.press("Enter")
        tab.wait_for_url(f"{closed.url}/artists")
        status(tab, "4 artists")


def test_the_keyboard_alone_is_enough(browser: Browser, served: Served, works: list[Any]) -> None:
    with at(browser, served, "/?sort=name") as tab:
        tab.keyboard.press("Tab")
        assert tab.evaluate("document.activeElement.textContent") == "To the content"
        tab.keyboard.press("Enter")
        for _ in range(60):
            tab.keyboard.press("Tab")
            if tab.evaluate("document.activeElement.title") == "More like this":
                break
        assert tab.evaluate("getComputedStyle(document.activeElement).opacity") == "1"
        tab.keyboard.press("Enter")
        tab.wait_for_url("**like=**")
        tab.goto(f"{served.url}/works/{works[5]['id']}")
        tab.locator("#box-x").focus()
        for number in ("10", "20", "30", "40"):
            tab.keyboard.type(number)
            tab.keyboard.press("Tab")
        answering(tab, "**/v1/similar?*box=*", {"hits": [], "background": None})
        tab.locator("#box-height").focus()
        tab.keyboard.press("Enter")
        tab.wait_for_url("**box=10%2C20%2C30%2C40*")
        status(tab, "0 works")


def test_the_map_leads_to_the_works(browser: Browser, served: Served, works: list[Any]) -> None:
    with at(browser, served, "/map") as tab:
        tab.locator("#map").wait_for()
        word = works[5]["name"]
        tab.fill("#search", word)
        tab.locator("#matches button").first.click()
        assert tab.locator("#neighbours small").first.inner_text().startswith("score 0.")
        tab.locator("#card h2 a", has_text=word).click()
        tab.wait_for_url(f"**/works/{works[5]['id']}")


def test_assets_are_checked_and_not_sent_twice(served: Served) -> None:
    first = served.http.get("/assets/wall.js")
    assert first.headers["content-type"].startswith("text/javascript")
    again = served.http.get("/assets/wall.js", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    for name in ("page.html", "..%2Fpages.py", "none.js"):
        assert served.http.get(f"/assets/{name}").status_code == 404
