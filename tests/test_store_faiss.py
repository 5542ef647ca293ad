"""The FAISS store does what the Edge store does: points, filters, searches, spread, reopening."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from clustered import faiss_store, nearest_to
from hypothesis import given, settings
from hypothesis import strategies as st
from test_filters import FIELDS, VALUES, conditions

from paint_search.errors import StoreError
from paint_search.painting import Record, Value, painting_id
from paint_search.search import Condition
from paint_search.search.stores import (
    Maker,
    Match,
    Place,
    Store,
    VectorName,
    VectorQuery,
    faiss_of,
    open_store,
)

FULL, COMPACT = 24, 8
BOTH: dict[VectorName, int] = {"full": FULL, "compact": COMPACT}
Floats = np.ndarray[tuple[int, ...], np.dtype[np.float32]]


def draw(count: int, length: int, seed: int = 0) -> Floats:
    return np.random.default_rng(seed).standard_normal((count, length), dtype=np.float32)


def records(count: int, seed: int = 0) -> list[Record]:
    full = draw(count, FULL, seed)
    return [
        Record(
            painting_id(str(i)),
            {"path": f"{i}.jpg", "third": i % 3, "_run": seed, "even": "yes" if i % 2 else "no"},
            vector,
            vector[:COMPACT] + vector[COMPACT : 2 * COMPACT],
        )
        for i, vector in enumerate(full)
    ]


def both_in(folder: Path) -> tuple[Store, Store]:
    """Open a FAISS store and an Edge store, each with two kinds of vectors."""
    for kind in ("faiss", "edge"):
        (folder / kind).mkdir()
    edge = open_store(folder / "edge", Place("edge"), BOTH, Maker("test", "fingerprint"))
    return faiss_store(folder / "faiss", BOTH), edge


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with TemporaryDirectory() as name:
        yield Path(name)


@pytest.fixture(scope="module")
def stores(folder: Path) -> Iterator[tuple[Store, Store]]:
    """Both stores with the same three hundred points of two kinds of vectors. Read only."""
    ours, edge = both_in(folder)
    for store in (ours, edge):
        store.upsert(records(300))
    yield ours, edge
    ours.close()
    edge.close()


def pairs(matches: list[Match]) -> list[tuple[str, float]]:
    return [(match.record.id, match.score) for match in matches]


def alike(one: list[Match], other: list[Match]) -> bool:
    """Same points, same scores but for float16, same payloads."""
    ids = [key for key, _ in pairs(one)] == [key for key, _ in pairs(other)]
    scores = np.allclose([s for _, s in pairs(one)], [s for _, s in pairs(other)], atol=1e-3)
    return ids and scores and [m.record.payload for m in one] == [m.record.payload for m in other]


def test_points_are_listed_and_fetched_as_by_the_edge_store(
    stores: tuple[Store, Store],
) -> None:
    ours, edge = stores
    for where in ((), [Condition("third", (1,))], [Condition("even", ("yes",), negated=True)]):
        mine, theirs = (list(store.scroll(where, vectors=True)) for store in stores)
        assert [r.id for r in mine] == [r.id for r in theirs] == sorted(r.id for r in mine)
        assert [r.payload for r in mine] == [r.payload for r in theirs]
        for kind in ("vector", "compact"):
            ours_stacked, theirs_stacked = (
                np.array([getattr(record, kind) for record in found]) for found in (mine, theirs)
            )
            np.testing.assert_allclose(ours_stacked, theirs_stacked, atol=1e-3)
        assert ours.count(where) == edge.count(where) == len(mine)
    assert ours.fields() == edge.fields()
    wanted = [painting_id("3"), painting_id("none")]
    assert ours.get(wanted).keys() == edge.get(wanted).keys() == {wanted[0]}
    assert ours.get(wanted)[wanted[0]].vector is None
    assert ours.get(wanted, vectors=True)[wanted[0]].compact is not None


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("spread", [0.0, 0.3, 0.7, 1.0])
def test_searches_find_what_the_edge_store_finds_in_the_same_order(
    stores: tuple[Store, Store], seed: int, spread: float
) -> None:
    """Spread is the same formula on the same candidates."""
    query, compact = draw(1, FULL, 7 + seed)[0], draw(1, COMPACT, 70 + seed)[0]
    where = [Condition("third", (0, 2)), Condition("even", ("no",), negated=True)]
    without = {painting_id(str(i)) for i in range(0, 300, 5)}
    codes = compact[None]
    for asked in (
        VectorQuery(query[None], 9),
        VectorQuery(query[None], 9, where, without=without),
        VectorQuery(codes, 9, where, using="compact"),
        VectorQuery(query[None], 9, codes=codes, oversampling=4),
        VectorQuery(query[None], 9, where, codes=codes, oversampling=2, without=without),
        VectorQuery(query[None], 9, exact=True),
    ):
        ours, theirs = (store.search(replace(asked, spread=spread))[0] for store in stores)
        assert alike(ours, theirs)


def test_scores_are_cosines_whatever_the_norm_of_the_query(
    stores: tuple[Store, Store],
) -> None:
    query = draw(1, FULL, 5)[0]
    vectors = {r.id: np.asarray(r.vector) for r in records(300)}
    for match in nearest_to(100 * query, stores[0], 300):
        vector = vectors[match.record.id]
        cosine = vector @ query / np.linalg.norm(vector) / np.linalg.norm(query)
        assert match.score == pytest.approx(cosine, abs=1e-3)


def test_more_than_there_are_and_a_query_of_zeros(stores: tuple[Store, Store]) -> None:
    ours, _ = stores
    assert len(nearest_to(draw(1, FULL)[0], ours, 10_000)) == 300
    assert {m.score for m in nearest_to(np.zeros(FULL, np.float32), ours, 5)} == {0.0}
    assert nearest_to(draw(1, FULL)[0], ours, 5, [Condition("third", (8,))]) == []


@settings(max_examples=40, deadline=None)
@given(
    payloads=st.lists(
        st.dictionaries(FIELDS | st.text(max_size=3), VALUES | st.text(max_size=4)),
        min_size=1,
        max_size=12,
    ),
    where=st.lists(conditions(), max_size=3),
    later=st.lists(st.dictionaries(FIELDS, VALUES), max_size=4),
)
def test_filters_mean_what_they_say(
    folder: Path,
    payloads: list[dict[str, Value]],
    where: list[Condition],
    later: list[dict[str, Value]],
) -> None:
    """Also after payloads were replaced; names and texts may be anything."""
    made = [
        Record(painting_id(str(i)), payload, np.eye(4, dtype=np.float32)[i % 4])
        for i, payload in enumerate(payloads)
    ]
    changed = [Record(record.id, new) for record, new in zip(made, later, strict=False)]
    truth = {record.id: record.payload for record in [*made, *changed]}
    expected = {key for key, p in truth.items() if all(c.matches(p) for c in where)}
    with TemporaryDirectory(dir=folder) as name:
        store = faiss_store(Path(name), {"full": 4})
        store.upsert(made)
        nearest_to(np.ones(4, dtype=np.float32), store, 1, where)
        store.set_payloads(changed)
        assert {record.id for record in store.scroll(where)} == expected
        found = nearest_to(np.ones(4, dtype=np.float32), store, len(made), where)
        assert {match.record.id for match in found} == expected
        assert store.count(where) == len(expected)
        held = {name for payload in truth.values() for name in payload}
        assert store.fields() == {
            name: sum(name in payload for payload in truth.values())
            for name in sorted(held)
            if not name.startswith("_")
        }
        store.close()


def test_a_filter_may_name_thousands_of_values(stores: tuple[Store, Store]) -> None:
    many = Condition("third", tuple(range(1, 50_000)))
    assert stores[0].count([many]) == 200


def test_text_that_is_no_unicode_is_kept(tmp_path: Path) -> None:
    """File names need not be."""
    store = faiss_store(tmp_path, {"full": FULL})
    record = records(1)[0]
    store.upsert([Record(record.id, {"path": "a\udcff\0b", "a": 1}, record.vector)])
    (found,) = store.scroll([Condition("path", ("a\udcff\0b",))])
    assert found.payload == {"path": "a\udcff\0b", "a": 1}
    store.close()


def test_deleted_replaced_and_relabelled_points(tmp_path: Path) -> None:
    store, edge = both_in(tmp_path)
    first, second = records(60), records(60, seed=1)
    query = draw(1, FULL, 9)[0]
    for one in (store, edge):
        one.upsert(first)
        nearest_to(query, one, 5)
        one.delete([record.id for record in first[:20]] + [painting_id("unknown")])
        one.upsert(second[10:30])
        one.set_payloads([Record(first[40].id, {"path": "new"})])
    store.set_payloads([Record(first[0].id, {"path": "deleted before"})])
    assert store.count() == edge.count() == 50
    assert store.fields() == edge.fields()
    mine, theirs = (dict(pairs(nearest_to(query, one, 60))) for one in (store, edge))
    assert mine == pytest.approx(theirs, abs=1e-3)
    small = draw(1, COMPACT, 9)[0]
    mine, theirs = (
        dict(pairs(nearest_to(small, one, 60, using="compact"))) for one in (store, edge)
    )
    assert mine == pytest.approx(theirs, abs=1e-3)
    assert len(mine) == 50
    assert [r.id for r in store.scroll([Condition("path", ("new",))])] == [first[40].id]
    store.close()
    edge.close()


def test_the_last_of_two_points_of_one_id_stays(tmp_path: Path) -> None:
    store = faiss_store(tmp_path, {"full": FULL})
    one, other = records(2)
    store.upsert([one, Record(one.id, {"path": "last"}, other.vector)])
    (found,) = nearest_to(np.asarray(other.vector), store, 5)
    assert (found.record.payload, round(found.score, 3)) == ({"path": "last"}, 1.0)
    store.close()


def test_points_without_vectors_are_listed_and_never_found(tmp_path: Path) -> None:
    store = faiss_store(tmp_path, {})
    store.upsert([Record(painting_id("a"), {"path": "a"})])
    store.optimize()
    assert [record.payload["path"] for record in store.scroll(vectors=True)] == ["a"]
    assert nearest_to(np.ones(3, dtype=np.float32), store, 5) == []
    assert not store.approximate()
    with pytest.raises(StoreError, match="no vectors"):
        faiss_of(store)
    store.close()
    (tmp_path / "some").mkdir()
    some = faiss_store(tmp_path / "some", {"full": 3})
    some.upsert(
        [Record(painting_id("a"), {}), Record(painting_id("b"), {}, np.ones(3, np.float32))]
    )
    found = nearest_to(np.ones(3, dtype=np.float32), some, 5)
    assert [match.record.id for match in found] == [painting_id("b")]
    some.close()


def test_scrolling_goes_on_undisturbed_while_points_are_written(tmp_path: Path) -> None:
    store = faiss_store(tmp_path, {"full": FULL})
    store.upsert(records(2000))
    seen = []
    for record in store.scroll():
        seen.append(record.id)
        if len(seen) % 500 == 1:
            store.upsert(records(len(seen) + 50, seed=3)[len(seen) :])
    assert seen == sorted(record.id for record in records(2000))
    store.close()


def test_everything_is_there_when_opened_again(tmp_path: Path) -> None:
    query = draw(1, FULL, 2)[0]
    store = faiss_store(tmp_path, BOTH)
    store.upsert(records(100))
    store.delete([painting_id("7")])
    found = nearest_to(query, store, 20)
    store.flush()
    store.close()
    store = faiss_store(tmp_path, BOTH)
    assert store.count() == 99
    assert alike(nearest_to(query, store, 20), found)
    store.close()


def test_vectors_of_another_length_are_refused_in_a_sentence(tmp_path: Path) -> None:
    store = faiss_store(tmp_path, {"full": FULL})
    with pytest.raises(StoreError, match=r"finite vectors of the lengths {'full': 24}"):
        store.upsert([Record(painting_id("a"), {}, np.ones(3, np.float32))])
    with pytest.raises(StoreError, match="a full one of shape"):
        nearest_to(np.full(FULL, np.nan, np.float32), store, 3)
    with pytest.raises(StoreError, match="a compact one of shape"):
        nearest_to(np.ones(3, np.float32), store, 3, using="compact")
    assert store.count() == 0
    store.close()
    with pytest.raises(StoreError, match=r"'full': 24.*'full': 3"):
        faiss_store(tmp_path, {"full": 3})


@pytest.mark.parametrize("left", [b"", b"no database" * 99])
def test_a_database_without_tables_is_damaged_and_not_made_anew(
    tmp_path: Path, left: bytes
) -> None:
    store = faiss_store(tmp_path, {"full": FULL})
    store.upsert(records(5))
    store.close()
    file = tmp_path / "store" / "points.sqlite"
    file.write_bytes(left)
    for _ in range(2):
        with pytest.raises(StoreError, match=r"points.sqlite is damaged \([^\n]*\); restore it"):
            faiss_store(tmp_path, {"full": FULL})


def test_a_creation_that_was_cut_short_is_begun_anew(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    sqlite3.connect(tmp_path / "store" / "points.new.sqlite").execute("CREATE TABLE meta (a)")
    store = faiss_store(tmp_path, {"full": FULL})
    store.upsert(records(5))
    assert store.count() == 5
    store.close()


def test_a_damaged_database_is_one_sentence(tmp_path: Path) -> None:
    store = faiss_store(tmp_path, {"full": FULL})
    store.upsert(records(500))
    store.close()
    file = tmp_path / "store" / "points.sqlite"
    whole = file.read_bytes()
    file.write_bytes(bytes(4096) + whole[4096:])
    with pytest.raises(StoreError, match=r"points.sqlite is damaged \(.*\); restore it"):
        faiss_store(tmp_path, {"full": FULL})
    file.write_bytes(whole[: 2 * 4096] + bytes(len(whole) - 2 * 4096))
    with pytest.raises(StoreError, match=r"^[^\n]*damaged[^\n]*$"):
        _read_all(tmp_path)


def _read_all(folder: Path) -> None:
    store = faiss_store(folder, {"full": FULL})
    try:
        list(store.scroll(vectors=True))
        nearest_to(draw(1, FULL)[0], store, 5)
    finally:
        store.close()


def test_faiss_is_not_imported_before_a_search_needs_it(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from paint_search.search.stores import *\n"
        "store = open_store(Path(sys.argv[1]), Place('faiss'), {'full': 4}, Maker('', ''))\n"
        "store.count(); list(store.scroll())\n"
        "print({'faiss.loader', 'torch', 'qdrant_edge'} & set(sys.modules))"
    )
    run = [sys.executable, "-c", program, str(tmp_path)]
    done = subprocess.run(run, capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
