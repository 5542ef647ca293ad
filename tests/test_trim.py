"""Pictures in a frame, in a mat or before a wall: the border is found, and nothing else is cut."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from conftest import Cli
from hypothesis import given
from hypothesis import strategies as st
from images import difference, picture
from numpy.typing import NDArray
from PIL import Image

from paint_search import Index
from paint_search.errors import BackboneError, UsageError
from paint_search.indexer.images import FITS, Preprocessing, decode, plain_border

Sides = tuple[int, int, int, int]

FRAME: Sides = (40, 30, 50, 36)

sides = st.integers(3, 40)
levels = st.integers(0, 255)


def canvas(seed: int = 0, width: int = 140, height: int = 110) -> Image.Image:
    """Paint blots that differ from any one colour nearly everywhere."""
    rng = np.random.default_rng(seed)
    blots = rng.integers(0, 255, (height // 10, width // 10, 3), dtype=np.uint8)
    return Image.fromarray(blots).resize((width, height), Image.Resampling.BICUBIC)


def hung(inside: Image.Image, border: Sides, wall: object = "ivory") -> Image.Image:
    """Put a picture on a wall, a colour or (h, w, 3) levels, with so many pixels on each side."""
    left, top, right, bottom = border
    size = (inside.width + left + right, inside.height + top + bottom)
    if isinstance(wall, np.ndarray):
        whole = Image.fromarray(wall[: size[1], : size[0]].clip(0, 255).astype(np.uint8))
    else:
        whole = Image.new("RGB", size, wall)  # type: ignore[arg-type]
    whole.paste(inside, (left, top))
    return whole


def cut(whole: Image.Image) -> Sides:
    """Return how many pixels are cut off on each side."""
    left, top, right, bottom = plain_border(whole) or (0, 0, 1, 1)
    w, h = whole.size
    return round(left * w), round(top * h), round(w - right * w), round(h - bottom * h)


def plaster(light: float, grain: float) -> NDArray[np.float64]:
    """A wall with light from the left, and grain, both in levels."""
    shade = np.linspace(0, light, 400)[:, None]
    return 120 + shade + np.random.default_rng(5).normal(0, grain, (400, 400, 1)) + np.zeros(3)


@given(st.tuples(sides, sides, sides, sides), st.tuples(levels, levels, levels), st.integers(0, 99))
def test_a_plain_border_of_any_colour_is_cut_off(border: Sides, colour: Sides, seed: int) -> None:
    inside = canvas(seed)
    whole = hung(inside, border, colour)
    found = cut(whole)
    assert np.abs(np.subtract(found, border)).max() <= 2
    left, top, right, bottom = found
    rest = whole.crop((left, top, whole.width - right, whole.height - bottom))
    assert plain_border(rest) is None, "what was cut has no border"


@pytest.mark.parametrize(
    ("name", "whole", "border"),
    [
        ("light and grain", hung(canvas(), FRAME, plaster(40, 8)), FRAME),
        ("two sides", hung(canvas(), (30, 0, 20, 0)), (30, 0, 20, 0)),
        ("three sides", hung(canvas(), (30, 12, 20, 0)), (30, 12, 20, 0)),
        (
            "a mat in a frame",
            hung(hung(canvas(), (20, 25, 20, 30)), (12, 12, 12, 12), "sienna"),
            (32, 37, 32, 42),
        ),
        ("large", hung(canvas(0, 1400, 1100), (400, 300, 200, 100)), (400, 300, 200, 100)),
    ],
)
def test_walls_mats_and_some_sides(name: str, whole: Image.Image, border: Sides) -> None:
    pixel = max(1, max(whole.size) / 256)
    assert np.abs(np.subtract(cut(whole), border)).max() <= 2 * pixel, name


def plains() -> dict[str, Image.Image]:
    """Pictures with even parts at their edges that are no borders."""
    below = hung(canvas(), (0, 60, 0, 0), "skyblue")
    left = hung(canvas(), (50, 0, 0, 0), "black")
    night = Image.new("RGB", (200, 200))
    y, x = np.mgrid[-1:1:200j, -1:1:200j]
    night.paste(canvas(3, 200, 200), mask=Image.fromarray(np.hypot(x, y) < 0.6))
    horizon = hung(canvas(1, 200, 60), (0, 60, 0, 70), "skyblue")
    horizon.paste("darkgreen", (0, 120, 200, 190))
    drawing = Image.new("RGB", (200, 160), "white")
    drawing.paste(Image.new("RGB", (40, 60), "black"), (80, 50))
    spot = hung(canvas(2, 60, 50), (100, 100, 100, 100))
    return {
        "nothing even": canvas(),
        "waves": picture(200, 150),
        "a sky": below,
        "one dark side": left,
        "a head in the night": night,
        "sky, trees and grass": horizon,
        "one colour": Image.new("RGB", (200, 160), "teal"),
        "a small picture on a large sheet": spot,
        "small": canvas(0, 30, 30),
        "a strip": canvas(0, 600, 10),
    }


@pytest.mark.parametrize("name", plains())
def test_what_is_no_border_is_left(name: str) -> None:
    assert plain_border(plains()[name]) is None


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("form", ["JPEG", "PNG", "memory"])
def test_what_is_decoded_is_what_was_framed(fit: str, form: str) -> None:
    """Large pictures too, whose insides are decoded in as many pixels as without the border."""
    wanted = Preprocessing(size=128, fit=fit, trim="auto")  # type: ignore[arg-type]
    inside = canvas(4, 90, 70).resize((900, 700), Image.Resampling.BICUBIC)
    whole = hung(inside, (500, 300, 400, 200), "white")
    file = io.BytesIO()
    if form != "memory":
        whole.save(file, form)
    framed = decode(whole if form == "memory" else file.getvalue(), wanted)
    alone = decode(inside, wanted)
    assert alone.kept is None
    assert framed.kept == pytest.approx((5 / 18, 1 / 4, 14 / 18, 5 / 6), abs=0.01)
    assert difference(framed.pixels, alone.pixels) < 8
    untouched = decode(whole, Preprocessing(size=128, fit=fit))  # type: ignore[arg-type]
    assert untouched.kept is None
    assert untouched.pixels.max() == 255


@pytest.fixture
def gallery(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Five pictures, one in a frame; the current folder is above them."""
    folder = tmp_path / "gallery"
    folder.mkdir()
    for number in range(4):
        canvas(number).save(folder / f"{number}.png")
    hung(canvas(4), FRAME).save(folder / "4.png")
    hung(canvas(2), FRAME, plaster(30, 4)).save(tmp_path / "framed.png")
    monkeypatch.chdir(tmp_path)
    return folder


def first(cli: Cli, query: str = "framed.png") -> tuple[str, float]:
    hit = cli.ok("similar", query, "-k", "1", "--json").json["hits"][0]
    return hit["path"], hit["score"]


@pytest.mark.parametrize("store", ["edge", "faiss"])
def test_borders_are_cut_from_paintings_and_queries(gallery: Path, cli: Cli, store: str) -> None:
    made = cli.ok("index", "gallery", "--backbone", "descriptors", "--store", store)
    assert "1 picture had a border, which was cut off" in made.output
    assert "cut off 1 painting" in cli.ok("info").output
    assert first(cli) == ("2.png", pytest.approx(1, abs=0.05))
    canvas(4).save("alone.png")
    assert first(cli, "alone.png") == ("4.png", pytest.approx(1, abs=0.05))
    Path("works.csv").write_text("path,artist\n4.png,Ann Other\n")
    assert cli.ok("index", "gallery", "--table", "works.csv", "--json").json["relabelled"]
    assert cli.ok("info", "--json").json["trimmed"] == 1, "new labels do not undo it"
    assert cli.ok("list", "--json").json["paintings"][4].keys() == {"id", "path", "artist"}
    with Index.open() as index:
        index.upsert(["5.png", "6.png"], images=[hung(canvas(5), FRAME), canvas(6)])
        assert index.info().trimmed == 2
        np.testing.assert_allclose(*index.embed([canvas(5), hung(canvas(5), FRAME)]), atol=0.02)


def test_off_takes_pictures_whole(gallery: Path, cli: Cli) -> None:
    made = cli.ok("index", "gallery", "--backbone", "descriptors", "--trim", "off", "--json").json
    assert made["trimmed"] == 0
    assert cli.ok("info", "--json").json["trimmed"] == 0
    assert first(cli)[1] < 0.9
    assert first(cli, "gallery/4.png")[1] < 0.9
    refused = cli("index", "gallery", "--trim", "auto")
    assert refused.code == 1
    assert "was made with trim 'off', not 'auto'" in refused.err
    assert cli.ok("index", "gallery", "--trim", "off", "--json").json["unchanged"] == 5
    with Index.open() as index, pytest.raises(BackboneError, match="leave out trim"):
        index.check_made(None, None, "auto")
    with pytest.raises(UsageError, match="unknown trim='some': use off or auto"):
        Index.create("gallery", "other", trim="some")  # type: ignore[arg-type]


def test_an_index_made_before_stays_as_it_is(gallery: Path, cli: Cli) -> None:
    cli.ok("index", "gallery", "--backbone", "descriptors", "--trim", "off")
    file = Path(".paint-search/manifest.json")
    record = json.loads(file.read_text())
    del record["backbone"]["preprocessing"]["trim"]
    file.write_text(json.dumps(record | {"format": 3}))
    before = first(cli)
    hung(canvas(7), FRAME).save(gallery / "7.png")
    assert cli.ok("index", "gallery", "--json").json["trimmed"] == 0
    assert first(cli) == before
    assert "borders" not in cli.ok("info").output
    with Index.open() as index:
        assert index.manifest.backbone.preprocessing.trim == "off"
    del record["backbone"]["preprocessing"]["fit"]
    file.write_text(json.dumps(record))
    assert "is damaged" in cli("info").err


def test_a_manifest_with_another_trim_is_damaged(gallery: Path, cli: Cli) -> None:
    cli.ok("index", "gallery", "--backbone", "descriptors")
    file = Path(".paint-search/manifest.json")
    text = file.read_text()
    assert text.count('"trim": "auto"') == 1
    file.write_text(text.replace('"trim": "auto"', '"trim": "all"'))
    refused = cli("info")
    assert (refused.code, "unknown trim" in refused.err) == (1, True)
