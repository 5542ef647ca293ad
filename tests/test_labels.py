"""Labels from folders and from patterns: what they find, what they refuse, that none hangs."""

from __future__ import annotations

import re
import time
import unicodedata

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from paint_search.errors import UsageError
from paint_search.indexer.corpus import clean, folder_labels, label_source, pattern_labels
from paint_search.painting import Hit, Painting, Value

WIKIART = "{movement}/{artist}_{title}-{year}.jpg"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("Claude_Monet/water_lilies.jpg", {"artist": "Claude Monet", "title": "water lilies"}),
        ("Impressionism/Monet/1.jpg", {"artist": "Monet", "title": "1"}),
        ("葛飾北斎/神奈川沖浪裏.png", {"artist": "葛飾北斎", "title": "神奈川沖浪裏"}),
        ("Monet/Mt. Fuji no. 5.jpg", {"artist": "Monet", "title": "Mt. Fuji no. 5"}),
        ("Monet/without_extension", {"artist": "Monet", "title": "without extension"}),
        ("Goya.jpg", {"title": "Goya"}),
        ("_/__.jpg", {}),
    ],
)
def test_the_parent_folder_is_the_artist(path: str, expected: dict[str, Value]) -> None:
    assert folder_labels(path) == expected


@pytest.mark.parametrize(
    ("pattern", "path", "expected"),
    [
        (
            WIKIART,
            "Art_Nouveau/gustav-klimt_the-kiss-1908.png",
            {
                "movement": "Art Nouveau",
                "artist": "gustav-klimt",
                "title": "the-kiss",
                "year": 1908,
                "year_from": 1908,
                "year_to": 1908,
            },
        ),
        (
            WIKIART,
            "archive/old/Cubism/juan-gris_self-portrait-no.-2-1912.jpg",
            {
                "movement": "Cubism",
                "artist": "juan-gris",
                "title": "self-portrait-no.-2",
                "year": 1912,
            },
        ),
        (WIKIART, "Cubism/juan-gris_undated.jpg", {}),
        (WIKIART, "juan-gris_guitar-1913.jpg", {}),
        ("{artist}_{title}.jpg", "a/Paul_Klee_Fish.tiff", {"artist": "Paul Klee", "title": "Fish"}),
        ("{artist}_{number}.jpg", "Paul_Klee_1.jpg", {"artist": "Paul Klee", "number": "1"}),
        ("{artist}_{no}_{title}", "Klee_12_The_Fish", {"artist": "Klee", "title": "The Fish"}),
        ("{artist}_{number}", "Paul_Klee_Fish.jpg", {}),
        ("{artist}-{nr}.jpg", "a/Jean-Arp-007.jpg", {"artist": "Jean-Arp", "nr": "007"}),
        ("{artist}_{title}.jpg", "Goya.jpg", {}),
        ("{artist}_{title}.jpg", "Goya_.jpg", {}),
        ("{artist} - {title}", "El Greco - A - B.jpg", {"artist": "El Greco - A", "title": "B"}),
        ("{artist}/{title}", "x/Monet/Lily.v2.jpg", {"artist": "Monet", "title": "Lily.v2"}),
        ("{year}{title}.jpg", "1906lilies.jpg", {"year": 1906, "title": "lilies"}),
        ("{title}{year}.jpg", "lilies1906.jpg", {"year": 1906, "title": "lilies"}),
        ("{artist} ({year}) [x+y].jpg", "Arp (1917) [x+y].png", {"artist": "Arp", "year": 1917}),
        ("{artist}-{year}_{title}", "a-b-1900_c-1901_d.jpg", {"year": 1901, "title": "d"}),
        ("{year}{no}", "1906012.jpg", {"year": 1906, "no": "012"}),
        ("{title}-{year}", "iconostasis-950.jpg", {"year": 950}),
        ("{title}-{year}", "IMG-18890.jpg", {}),
        ("{title}", "two\nlines/two\nlines.jpg", {"title": "two lines"}),
        ("{artist}_{inventory_no}.jpg", "雪舟_007.jpg", {"artist": "雪舟", "inventory_no": "007"}),
        ("{id}_{path}_{score}.jpg", "1_2_3.jpg", {"id_": "1", "path_": "2", "score_": "3"}),
    ],
)
def test_patterns(pattern: str, path: str, expected: dict[str, Value]) -> None:
    found = pattern_labels(pattern)(path)
    if expected:
        assert found.items() >= expected.items()
    else:
        assert found == {}


@pytest.mark.parametrize(
    "pattern",
    [
        "",
        "x.jpg",
        "{}",
        "{artist",
        "artist}",
        "{Artist}.jpg",
        "{the artist}",
        "{artist}_{artist}",
        "{artist}{title}.jpg",
        "{1st}",
        "{a-b}",
        "{a/b}",
        "{{artist}}",
        "{artist}_{title",
        "Folder",
    ],
)
def test_what_is_no_pattern_is_refused_with_an_example(pattern: str) -> None:
    with pytest.raises(UsageError, match=r"^labels=.* is not a pattern: .*as in \"\{movement\}"):
        label_source(pattern, None)


@pytest.mark.parametrize(
    "pattern",
    [
        "_".join(f"{{f{i}}}" for i in range(12)) + "!",
        "-".join(f"{{{c}}}" for c in "abcdefghij"),
        "{a}_{b}-{c}_{d}-{e}_{f}-{year}",
        "/".join(f"{{x{i}}}_{{y{i}}}" for i in range(9)) + "!",
    ],
)
@pytest.mark.parametrize("name", ["_" * 250, "-" * 250, "a_-" * 80, "_-" * 120 + "18890"])
def test_no_pattern_takes_long_on_any_name(pattern: str, name: str) -> None:
    labels = pattern_labels(pattern)
    start = time.perf_counter()
    labels(f"{name}/" * 14 + f"{name}.jpg")
    assert time.perf_counter() - start < 0.5


_WORDS = st.text("abß雪 .'", min_size=1, max_size=8).filter(
    lambda text: text == " ".join(text.split()) and not text.startswith(".")
)


@given(artist=_WORDS, title=_WORDS, movement=_WORDS, year=st.integers(1000, 2099))
def test_what_a_pattern_writes_it_reads_back(
    artist: str, title: str, movement: str, year: int
) -> None:
    labels = {"movement": movement, "artist": artist, "title": title, "year": year}
    path = WIKIART.format(**labels)
    ends = {"year_from": year, "year_to": year}
    assert pattern_labels(WIKIART)(f"any/where/{path}") == labels | ends


@given(
    pattern=st.lists(st.sampled_from(["_", "-", "a", "{year}"]), min_size=2, max_size=4),
    name=st.text("_-a1", min_size=1, max_size=14),
)
def test_patterns_match_as_if_every_way_had_been_tried(pattern: list[str], name: str) -> None:
    assume(pattern.count("{year}") <= 1)
    text = "".join(f"{{f{i}}}{piece}" for i, piece in enumerate(pattern)) + "{last}"
    # From the end, so that the last place of a text between two fields comes first.
    backwards = re.split(r"(\{\w+\})", text)[::-1]
    naive = "".join(
        re.sub(r"\{(\w+)\}", r"(?P<\1>.+?)", piece) if piece.startswith("{") else piece[::-1]
        for piece in backwards
    ).replace("(?P<year>.+?)", r"(?P<year>\d{4}|\d{3}(?!\d))")
    expected = re.fullmatch(naive, name[::-1])
    fields = {} if expected is None else expected.groupdict()
    words = {f: " ".join(found[::-1].replace("_", " ").split()) for f, found in fields.items()}
    assert pattern_labels(text)(name) == clean(words)


@pytest.mark.parametrize(
    ("cell", "kept", "ends"),
    [
        (1889, 1889, (1889, 1889)),
        (1889.0, 1889, (1889, 1889)),
        ("1889", 1889, (1889, 1889)),
        (-700, -700, (-700, -700)),
        ("c. 1503-19", "c. 1503-19", (1503, 1519)),
        ("ca. 1504-1450 B.C.", "ca. 1504-1450 B.C.", (-1504, -1450)),
        ("undated", "undated", None),
        ("18890", "18890", None),
        (18890, 18890, None),
        ("", None, None),
        (None, None, None),
        (float("nan"), None, None),
    ],
)
def test_a_year_stays_as_it_stands_and_gets_its_ends_beside_it(
    cell: Value | None, kept: Value | None, ends: tuple[int, int] | None
) -> None:
    expected = {} if kept is None else {"year": kept}
    expected |= {"year_from": ends[0], "year_to": ends[1]} if ends else {}
    found = clean({"year": cell})
    assert found == expected
    assert type(found.get("year")) is type(kept)


def test_ends_that_are_given_are_not_read_from_the_text() -> None:
    row = {"year": "c. 1830", "year_from": 1828, "year_to": 1832}
    assert clean(row) == row


def test_labels_of_two_unicode_forms_are_one() -> None:
    decomposed = unicodedata.normalize("NFD", "Albrecht_Dürer/Hände.jpg")
    expected = {"artist": "Albrecht Dürer", "title": "Hände"}
    assert folder_labels(decomposed) == expected
    assert pattern_labels("{artist}/{title}.jpg")(decomposed) == expected
    assert clean({"artist": unicodedata.normalize("NFD", "Dürer")}) == {"artist": "Dürer"}


def test_cleaning_drops_what_says_nothing_and_keeps_the_rest() -> None:
    row = {"a": " x ", "b": "", "c": "  ", "d": None, "e": 0, "f": 0.5, "g": float("inf")}
    assert clean(row) == {"a": "x", "e": 0, "f": 0.5}
    assert clean({"artist": 5, "title": 1984, "movement": 1.5}) == {
        "artist": "5",
        "title": "1984",
        "movement": "1.5",
    }


@pytest.mark.parametrize(
    "name",
    sorted({*Hit(1, 0.5, Painting("i", "p")).to_dict(), *Painting("i", "p").to_dict(), "vector"}),
)
def test_no_label_takes_the_name_of_what_a_hit_or_a_painting_has(name: str) -> None:
    painting = Painting.from_labels("a.jpg", clean({name: "mine"}))
    hit = Hit(3, 0.25, painting).to_dict()
    assert (hit["path"], hit["id"], hit["rank"], hit["score"]) == ("a.jpg", painting.id, 3, 0.25)
    assert "mine" in painting.labels().values()
