"""Every store means the same: filters, searches in one step and two, many at once, spread."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from qdrant_client import models
from qdrant_server import QdrantServer
from test_filters import FIELDS, VALUES, conditions

from paint_search.errors import StoreError
from paint_search.painting import Record, Value, painting_id
from paint_search.search import Condition
from paint_search.search.stores import (
    Maker,
    Place,
    Store,
    VectorName,
    VectorQuery,
    delete_store,
    open_store,
)

KINDS = ("edge", "faiss", "qdrant")
STRICT = models.StrictModeConfigOutput(
    enabled=True,
    max_query_limit=25,
    search_max_batchsize=4,
    upsert_max_batchsize=7,
    search_max_hnsw_ef=64,
    search_max_oversampling=2,
    unindexed_filtering_retrieve=False,
)
MAKER = Maker("test", "fingerprint")


class Shelf:
    """Opens empty stores of every kind, and of a server with limits."""

    def __init__(self, server: QdrantServer, strict: QdrantServer, folder: Path) -> None:
        self._servers = {"qdrant": server, "strict": strict}
        self._folder, self._count = folder, 0

    def open(self, kind: str, dimensions: dict[VectorName, int]) -> tuple[Store, Path, Place]:
        self._count += 1
        folder = self._folder / str(self._count)
        folder.mkdir()
        server = self._servers.get(kind)
        place = Place.parse(server.url(f"c{self._count}") if server else kind)
        return open_store(folder, place, dimensions, MAKER), folder, place


@pytest.fixture(scope="module")
def shelf() -> Iterator[Shelf]:
    server, strict = QdrantServer(), QdrantServer(strict=STRICT)
    with TemporaryDirectory() as name:
        yield Shelf(server, strict, Path(name))
    server.die()
    strict.die()


def _unit(rows: NDArray[np.floating]) -> NDArray[np.float32]:
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), dtype=np.float32)


def _records(count: int, payloads: list[dict[str, Value]] | None = None) -> list[Record]:
    rng = np.random.default_rng(count)
    full, compact = _unit(rng.normal(size=(count, 12))), _unit(rng.normal(size=(count, 4)))
    return [
        Record(
            painting_id(str(i)),
            {"path": str(i), **(payloads[i] if payloads else {"year": i % 5})},
            full[i],
            compact[i],
        )
        for i in range(count)
    ]


@settings(max_examples=25, deadline=None)
@given(
    payloads=st.lists(st.dictionaries(FIELDS, VALUES), min_size=1, max_size=12),
    where=st.lists(conditions(), max_size=3),
    seed=st.integers(0, 2**16),
)
@example([{"artist": "2.0"}, {"artist": 2.0}, {"artist": "2"}], [Condition("artist", (2,))], 0)
@example([{"artist": "2.0"}, {"artist": 2}], [Condition("artist", ("2.0",), negated=True)], 0)
def test_random_payloads_vectors_and_filters(
    shelf: Shelf, payloads: list[dict[str, Value]], where: list[Condition], seed: int
) -> None:
    records = _records(len(payloads), payloads)
    query = np.random.default_rng(seed).normal(size=12).astype(np.float32)
    kept = [r for r in records if all(c.matches(r.payload) for c in where)]
    norm = float(np.linalg.norm(query))
    scores = {r.id: float(np.asarray(r.vector) @ query) / norm for r in kept}
    for kind in KINDS:
        store, folder, place = shelf.open(kind, {"full": 12, "compact": 4})
        store.upsert(records)
        assert [r.id for r in store.scroll(where)] == sorted(scores), kind
        assert store.count(where) == len(kept), kind
        (found,) = store.search(VectorQuery(query[None], len(records), where))
        assert {m.record.id for m in found} == scores.keys(), kind
        assert all(abs(m.score - scores[m.record.id]) < 2e-3 for m in found), kind
        assert [m.score for m in found] == sorted((m.score for m in found), reverse=True), kind
        fields = {"path": len(records)}
        for record in records:
            for name in record.payload.keys() - {"path"}:
                fields[name] = fields.get(name, 0) + 1
        assert store.fields() == fields, kind
        store.close()
        delete_store(folder, place)


@settings(max_examples=10, deadline=None)
@given(
    payloads=st.lists(st.dictionaries(FIELDS, VALUES), min_size=1, max_size=12),
    where=st.lists(conditions(), max_size=3),
)
@example([{"year": 1889}], [Condition("year", low=1800)])
@example([{"artist": "2"}], [Condition("artist", (2,), negated=True)])
@example([{"year": "c. 1503"}, {"year": 1889}], [Condition("year", low=1800)])
def test_a_strict_server_answers_alike_or_says_why_not(
    shelf: Shelf, payloads: list[dict[str, Value]], where: list[Condition]
) -> None:
    records = _records(len(payloads), payloads)
    store, folder, place = shelf.open("strict", {"full": 12})
    store.upsert(records)
    kept = sorted(r.id for r in records if all(c.matches(r.payload) for c in where))
    mixed = {
        name
        for name in set().union(*payloads)
        if len({isinstance(labels[name], str) for labels in payloads if name in labels}) > 1
    }
    refused = ""
    try:
        assert [record.id for record in store.scroll(where)] == kept
        (found,) = store.search(VectorQuery(np.ones((1, 12), np.float32), 12, where))
        assert sorted(match.record.id for match in found) == kept
    except StoreError as error:
        refused = str(error)
    assert not refused or any(f"{name!r} has texts and numbers" in refused for name in mixed)
    store.close()
    delete_store(folder, place)


@pytest.mark.parametrize("kind", KINDS)
def test_two_steps_spread_many_and_without(shelf: Shelf, kind: str) -> None:
    records = _records(60)
    reference, _, _ = shelf.open("edge", {"full": 12, "compact": 4})
    store, _, _ = shelf.open(kind, {"full": 12, "compact": 4})
    for each in (reference, store):
        each.upsert(records)
    rng = np.random.default_rng(7)
    queries, codes = rng.normal(size=(9, 12)), rng.normal(size=(9, 4))
    queries, codes = queries.astype(np.float32), codes.astype(np.float32)
    where = [Condition("year", low=1, high=3)]

    def ids(found: list) -> list[str]:
        return [match.record.id for match in found]

    for options in (
        {},
        {"codes": codes, "oversampling": 3},
        {"spread": 0.5},
        {"spread": 1.0, "codes": codes, "oversampling": 3},
        {"without": {records[0].id, records[3].id}},
        {"using": "compact"},
        {"exact": True},
    ):
        vectors = queries[:, :4] if options.get("using") == "compact" else queries
        asked = VectorQuery(vectors, 5, where, **options)
        ours, theirs = store.search(asked), reference.search(asked)
        assert list(map(ids, ours)) == list(map(ids, theirs)), options
        single = [store.search(asked.of([row]))[0] for row in range(len(queries))]
        assert list(map(ids, single)) == list(map(ids, ours)), options


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_spread_is_chosen_from_what_is_alike_enough(shelf: Shelf, kind: str) -> None:
    records = _records(60)
    store, _, _ = shelf.open(kind, {"full": 12, "compact": 4})
    store.upsert(records)
    queries = _unit(np.random.default_rng(3).normal(size=(5, 12)))
    vectors = np.array([record.vector for record in records])
    for query, scores in zip(queries, queries @ vectors.T, strict=True):
        ranked = np.sort(scores)[::-1]
        count = 8 + int(np.argmax(ranked[7:19] - ranked[8:20]))  # where rounding moves none across
        least = float(ranked[count - 1] + ranked[count]) / 2
        alike = {record.id for record, score in zip(records, scores, strict=True) if score > least}
        for spread in (0.0, 0.5, 1.0):
            for k in (6, count, 40):
                asked = VectorQuery(query[None], k, spread=spread, min_score=least)
                (found,) = store.search(asked)
                ids = {match.record.id for match in found}
                assert len(found) == len(ids) == min(k, count), (spread, k)
                assert ids <= alike, (spread, k)


@pytest.mark.parametrize("kind", [*KINDS, "strict"])
def test_a_score_is_a_cosine_and_the_least_asked_for_is_found(shelf: Shelf, kind: str) -> None:
    records = _records(60)
    store, _, _ = shelf.open(kind, {"full": 12, "compact": 4})
    store.upsert(records)
    vectors = np.array([record.vector for record in records])
    for sign in (1, -1):
        found = store.search(VectorQuery(sign * vectors, 60))
        assert all(len(matches) == 60 for matches in found)
        scores = np.array([[match.score for match in matches] for matches in found])
        assert np.abs(scores).max() <= 1
        np.testing.assert_allclose((sign * scores).max(axis=1), 1, atol=1e-3)
        for vector, matches in zip(sign * vectors, found, strict=True):
            asked = VectorQuery(vector[None], 60, min_score=matches[9].score)
            assert store.search(asked) == [matches[:10]]


@pytest.mark.parametrize("kind", [*KINDS, "strict"])
def test_the_distinct_texts_of_a_field(shelf: Shelf, kind: str) -> None:
    store, _, _ = shelf.open(kind, {"full": 12})
    labels: list[dict[str, Value]] = [
        {"artist": "Dürer", "year": 1500},
        {"artist": "Dürer", "year": "c. 1503-19"},
        {"artist": "雪舟", "year": 1500},
        {"artist": 5},
    ]
    store.upsert(_records(4, labels))
    assert sorted(store.texts("artist")) == ["Dürer", "雪舟"]
    assert store.texts("year") == ["c. 1503-19"]
    assert sorted(store.texts("path")) == ["0", "1", "2", "3"]
    assert store.texts("unknown") == []
    store.close()


@pytest.mark.parametrize("kind", [*KINDS, "strict"])
def test_updates_deletes_and_payloads(shelf: Shelf, kind: str) -> None:
    store, _, _ = shelf.open(kind, {"full": 12})
    first, second, third = _records(3)
    store.upsert([first, second])
    store.upsert([Record(first.id, {"path": "0", "year": 1900}, third.vector)])
    store.set_payloads([Record(second.id, {"path": "1", "artist": "Monet"})])
    store.delete([painting_id("unknown")])
    found = store.get([first.id, second.id, third.id], vectors=True)
    assert found.keys() == {first.id, second.id}
    assert found[first.id].payload == {"path": "0", "year": 1900}
    assert found[second.id].payload == {"path": "1", "artist": "Monet"}
    assert np.allclose(found[first.id].vector, third.vector, atol=1e-3)
    assert np.allclose(found[second.id].vector, second.vector, atol=1e-3)
    assert store.count([Condition("year", (1900,))]) == 1
    asked = VectorQuery(np.array([third.vector]), 5)
    assert [match.record.id for match in store.search(asked)[0]] == [first.id, second.id]
    store.delete([first.id])
    assert [match.record.id for match in store.search(asked)[0]] == [second.id]
    assert store.get([]) == {}
    store.close()
