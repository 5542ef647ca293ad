"""Dates as catalogues write them -> the earliest and the latest year that they mean."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paint_search.indexer.corpus import read_years

YEARS = {
    # as they are
    -700: (-700, -700),
    "-700": (-700, -700),
    1889: (1889, 1889),
    "[1910]": (1910, 1910),
    "?1863": (1863, 1863),
    "1928 (?)": (1928, 1928),
    "c1890": (1890, 1890),
    "ca. 950": (950, 950),
    "um 1890": (1890, 1890),
    "signed and dated 1654": (1654, 1654),
    # days and months
    "12/05/1889": (1889, 1889),
    "1889-05-12": (1889, 1889),
    "1889-05": (1889, 1889),
    "5 May 1889": (1889, 1889),
    "May 5th, 1889": (1889, 1889),
    "1-2 May 1889": (1889, 1889),
    "3 to 5 June 1650": (1650, 1650),
    # from one year to another
    "1843-4": (1843, 1844),
    "c. 1503-19": (1503, 1519),
    "1801-05": (1801, 1805),
    "1650/1": (1650, 1651),
    "1643–1715": (1643, 1715),
    "1921–c.23": (1921, 1923),
    "1924–5–c.1937": (1924, 1937),
    "ca 1475 – ca 1480": (1475, 1480),
    "950-1050": (950, 1050),
    "between 1503 and 1519": (1503, 1519),
    "1786 or 1800": (1786, 1800),
    "1959,1999": (1959, 1999),
    "Ming dynasty (1368–1644)": (1368, 1644),
    # bounds reach no further than the year that they name
    "after 1830": (1830, 1830),
    "before 1866": (1866, 1866),
    # decades
    "1870s": (1870, 1879),
    "early 1840s": (1840, 1845),
    "late 1990s": (1995, 1999),
    "1860s–70s": (1860, 1879),
    # centuries
    "1800s": (1800, 1899),
    "16th century": (1500, 1599),
    "late 15th century": (1467, 1499),
    "mid-15th century": (1434, 1466),
    "early to mid-18th century": (1700, 1766),
    "late 15th–early 16th century": (1467, 1533),
    "17th or 18th century": (1600, 1799),
    "first half of the 16th century": (1500, 1549),
    "16th century, second half": (1550, 1599),
    "3rd quarter of the 15th century": (1450, 1474),
    "turn of the 20th century": (1890, 1909),
    "late 18th c.": (1767, 1799),
    "Edo period, 18th century": (1700, 1799),
    "XVe siècle": (1400, 1499),
    "15. Jahrhundert": (1400, 1499),
    # eras
    "ca. 1504-1450 B.C.": (-1504, -1450),
    "525-10 B.C.": (-525, -510),
    "100-50 B.C.": (-100, -50),
    "-700/-650": (-700, -650),
    "ca. 10,000 B.C.": (-10000, -10000),
    "3rd century B.C.E.": (-300, -201),
    "2nd millennium B.C.": (-2000, -1001),
    "500 B.C.–A.D. 100": (-500, 100),
    "1st century B.C.–1st century A.D.": (-100, 99),
    "ca. A.D. 65": (65, 65),
    "65-70 A.D.": (65, 70),
    "A.H. 1050/A.D. 1640–41": (1640, 1641),
    # what befell the work later
    "1914, cast 1965": (1914, 1914),
    "published 1822, reprinted 1978–9": (1822, 1822),
    "1964, printed 2011": (1964, 2011),
    # numbers that are no years
    "no. 1234, 1650": (1650, 1650),
    "inv. 1939.2.1; 1720": (1720, 1720),
    "30 x 40 cm, 1877": (1877, 1877),
    "Room 350, 1920": (1920, 1920),
}
NO_DATES = ("", "undated", "n.d.", "Edo period", "18890", "3000", "1889.5", "0", "12", 0, 1889.5)


@pytest.mark.parametrize("text", YEARS)
def test_dates_as_catalogues_write_them(text: str | float) -> None:
    assert read_years(text) == YEARS[text]


@pytest.mark.parametrize("text", [*NO_DATES, float("nan"), float("inf"), 10**400, "9" * 5000])
def test_what_names_no_year_is_no_date(text: str | float) -> None:
    assert read_years(text) is None


@given(st.one_of(st.text(max_size=30), st.text("0123456789-–/ .,csthbd?", max_size=20)))
def test_any_text_has_two_ends_in_order_or_none(text: str) -> None:
    years = read_years(text)
    assert years is None or (years[0] <= years[1] <= 2100 and 0 not in years)


@given(st.integers(1000, 2100), st.integers(0, 99))
def test_a_range_and_its_mirror_before_christ(first: int, more: int) -> None:
    last = min(first + more, 2100)
    assert read_years(f"{first}-{last}") == (first, last)
    assert read_years(f"{last}–{first} B.C.") == (-last, -first)
    for words in ("c. {}", "[{}]", "({})?", "probably {}", "{}, restored 2050"):
        assert read_years(words.format(f"{first}-{last}")) == (first, last)


@given(st.integers(1, 21))
def test_the_parts_of_a_century_are_the_century(number: int) -> None:
    ending = {1: "st", 2: "nd", 3: "rd"}.get(number if number != 11 else 0, "th")
    ending = "st" if number == 21 else ending
    century = f"{number}{ending} century"
    whole = read_years(century)
    assert whole == (max(1, 100 * number - 100), 100 * number - 1)
    for parts in (
        ("early", "mid", "late"),
        ("first half", "second half"),
        ("first quarter", "second quarter", "third quarter", "last quarter"),
    ):
        spans = [read_years(f"{part} {century}") for part in parts]
        assert [spans[0][0], spans[-1][1]] == list(whole)  # type: ignore[index]
        assert [one[1] + 1 for one in spans[:-1]] == [other[0] for other in spans[1:]]  # type: ignore[index]
