"""The filter language: what is typed, and what it means; ``test_stores_agree`` asks the stores."""

import pytest
from hypothesis import strategies as st

from paint_search.errors import UsageError
from paint_search.painting import Value
from paint_search.search import Condition, build_filter, parse_filter

VALUES = st.one_of(
    st.integers(-5, 5),
    st.sampled_from([0.5, 2.0, -1.25, 1889.0]),
    st.sampled_from(["1", "2.0", "0.5", "Monet", "monet", "a b", "é", "1..3", "nan"]),
)
FIELDS = st.sampled_from(["artist", "year", "mixed"])


@st.composite
def conditions(draw: st.DrawFn) -> Condition:
    """Draw a condition of either kind."""
    field, negated = draw(FIELDS), draw(st.booleans())
    if draw(st.booleans()):
        values = tuple(draw(st.lists(VALUES, min_size=1, max_size=3)))
        return Condition(field, values=values, negated=negated)
    low, high = draw(st.none() | st.integers(-3, 3)), draw(st.integers(-3, 3))
    return Condition(field, low=low, high=float(high), negated=negated)


@pytest.mark.parametrize(
    ("where", "exclude", "meaning"),
    [
        (["artist=Claude Monet"], [], [Condition("artist", ("Claude Monet",))]),
        (["Artist = Monet "], [], [Condition("artist", ("Monet",))]),
        (["a=x", "a=y"], [], [Condition("a", ("x", "y"))]),
        (["year=1880..1900"], [], [Condition("year", low=1880.0, high=1900.0)]),
        (["year=1880.."], [], [Condition("year", low=1880.0)]),
        (["year=..1900"], [], [Condition("year", high=1900.0)]),
        (["title=and then.."], [], [Condition("title", ("and then..",))]),
        (["title=a=b"], [], [Condition("title", ("a=b",))]),
        ([], ["artist=Monet"], [Condition("artist", ("Monet",), negated=True)]),
        ([], ["year=1880..1900"], [Condition("year", low=1880.0, high=1900.0, negated=True)]),
    ],
)
def test_what_is_typed(where: list[str], exclude: list[str], meaning: list[Condition]) -> None:
    assert parse_filter(where, exclude) == meaning


@pytest.mark.parametrize("text", ["artist", "=Monet", "artist=", "", " = "])
def test_what_cannot_be_read_names_the_form(text: str) -> None:
    with pytest.raises(UsageError, match="field=value"):
        parse_filter([text])


def test_the_client_takes_values_lists_and_ranges() -> None:
    assert build_filter({"a": "x", "b": ["x", 1], "c": (1880, None)}, {"d": 2}) == [
        Condition("a", ("x",)),
        Condition("b", ("x", 1)),
        Condition("c", low=1880.0),
        Condition("d", (2,), negated=True),
    ]
    with pytest.raises(UsageError, match="no value"):
        build_filter({"a": []})


@pytest.mark.parametrize(
    ("condition", "labels", "meets"),
    [
        (Condition("year", ("1889",)), {"year": 1889}, True),
        (Condition("year", (1889,)), {"year": "1889"}, True),
        (Condition("artist", ("monet",)), {"artist": "Monet"}, False),
        (Condition("year", low=1880, high=1889), {"year": 1889}, True),
        (Condition("year", low=1880), {"year": "1889"}, False),
        (Condition("year", low=1880, negated=True), {}, True),
        (Condition("artist", ("Monet",)), {}, False),
        (Condition("year", low=1880), {"year": 10**400}, False),
    ],
)
def test_meaning(condition: Condition, labels: dict[str, Value], meets: bool) -> None:
    assert condition.matches(labels) is meets
