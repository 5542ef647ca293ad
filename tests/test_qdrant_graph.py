"""A server's graph: planned as the embedded engine's, built after a load, waited for, told of."""

import logging
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from clustered import nearest_to
from conftest import copy_tree
from qdrant_client import models
from qdrant_server import Fault, QdrantServer

from paint_search import Index
from paint_search.painting import Progress, Record, painting_id
from paint_search.search import Condition, measure_backgrounds
from paint_search.search.stores import Maker, Place, Store, open_store

MAKER = Maker("test", "fingerprint")
DIMENSION = 16


def opened(server: QdrantServer, folder: Path, settings: str = "", **tuning: Any) -> Store:
    place = Place.parse(server.url("works", settings))
    return open_store(folder, place, {"full": DIMENSION}, MAKER, **tuning)


def records(count: int) -> list[Record]:
    vectors = np.random.default_rng(0).standard_normal((count, DIMENSION), dtype=np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return [
        Record(painting_id(str(i)), {"path": str(i), "number": i, "artist": f"a{i % 8}"}, vector)
        for i, vector in enumerate(vectors)
    ]


class Builder:
    """Builds the graph by a share each time that it is asked for."""

    def __init__(self, *shares: float) -> None:
        self.shares = list(shares)

    def __call__(self, info: models.CollectionInfo) -> None:
        yellow = len(self.shares) > 1
        share = self.shares.pop(0) if yellow else self.shares[0]
        info.indexed_vectors_count = int(share * (info.points_count or 0))
        info.status = models.CollectionStatus.YELLOW if yellow else models.CollectionStatus.GREEN


@pytest.fixture
def store(server: QdrantServer, tmp_path: Path) -> Iterator[Store]:
    """A hundred points on a server. To do anything with."""
    made = opened(server, tmp_path)
    made.upsert(records(100))
    made.flush()
    yield made
    made.close()


def test_a_collection_is_made_by_the_embedded_engines_plan(
    server: QdrantServer, store: Store
) -> None:
    request = server.created["works-1"]
    (vectors,) = request.vectors_config.params_map.map.values()
    links = vectors.hnsw_config
    assert (links.m, links.payload_m, links.ef_construct) == (16, 0, 128)
    assert links.full_scan_threshold == 25_000
    assert request.optimizers_config.indexing_threshold == 64 * 1024
    assert vectors.quantization_config.turboquant.bits == 3, "four bits"


def test_an_older_server_gets_other_codes_and_a_sentence(
    server: QdrantServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    refusal = "Unable to convert quantization config"
    server.faults.append(Fault("Create", grpc.StatusCode.INVALID_ARGUMENT, refusal))
    opened(server, tmp_path).close()
    request = server.created["works-1"]
    (vectors,) = request.vectors_config.params_map.map.values()
    assert vectors.quantization_config.HasField("scalar")
    assert "older than Qdrant 1.18" in caplog.text


def test_optimize_waits_for_the_graph_and_tells_how_much_there_is(
    server: QdrantServer, store: Store
) -> None:
    assert store.describe().startswith("exact")
    server.tell = Builder(0.0, 0.37, 0.37, 1.0)
    seen: list[Progress] = []
    store.optimize(seen.append)
    assert [(one.done, one.total) for one in seen] == [(0, 100), (37, 100), (37, 100)]
    assert store.approximate()
    assert store.describe().startswith("HNSW (m=16, ef=")
    assert "built" not in store.describe()


def test_a_part_of_a_graph_is_said_to_be_one(server: QdrantServer, store: Store) -> None:
    server.tell = Builder(0.375)
    store.optimize()
    assert store.describe().endswith(", 37 % built")


def test_below_the_threshold_there_is_nothing_to_wait_for(
    server: QdrantServer, store: Store
) -> None:
    server.calls.clear()
    store.optimize()
    assert server.calls == ["Get"]


@pytest.mark.parametrize("how", ["cancelled", "Ctrl-C"])
def test_whoever_stops_waiting_is_told_that_the_server_goes_on(
    server: QdrantServer, store: Store, caplog: pytest.LogCaptureFixture, how: str
) -> None:
    def interrupt(progress: Progress) -> None:
        if how == "Ctrl-C":
            raise KeyboardInterrupt

    server.tell = Builder(*[0.1] * 1000)
    store.optimize(interrupt, lambda: how == "cancelled")
    assert "goes on building the graph" in caplog.text
    assert store.count() == 100


def test_the_effort_is_chosen_once_and_kept_by_the_collection(
    server: QdrantServer, store: Store, tmp_path: Path
) -> None:
    server.tell = Builder(1.0)
    store.optimize()
    assert store.describe() == "HNSW (m=16, ef=32)", "the engine in memory finds all"
    server.calls.clear()
    other = opened(server, tmp_path)
    assert other.describe() == "HNSW (m=16, ef=32)"
    other.optimize()
    assert "QueryBatch" not in server.calls
    other.close()


def test_a_graph_waits_for_the_end_of_a_long_load(server: QdrantServer, tmp_path: Path) -> None:
    store, points = opened(server, tmp_path, bulk=50), records(120)
    for start in range(0, 120, 40):
        store.upsert(points[start : start + 40])
    store.flush()
    assert server.thresholds == [0]
    store.optimize()
    assert server.thresholds == [0, 64 * 1024]
    store.optimize()
    assert server.thresholds == [0, 64 * 1024], "it is back"
    store.close()


def test_the_run_after_a_killed_load_lets_the_graph_be_built(
    server: QdrantServer, tmp_path: Path
) -> None:
    killed = opened(server, tmp_path, bulk=5)
    killed.upsert(records(10))
    killed.flush()
    assert "run paint-search index again" in opened(server, tmp_path).describe()
    later = opened(server, tmp_path)
    later.optimize()
    assert server.thresholds == [0, 64 * 1024]
    assert "run paint-search index again" not in later.describe()
    later.close()


def test_a_key_that_may_not_change_a_collection_loads_all_the_same(
    server: QdrantServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    store = opened(server, tmp_path, bulk=5)
    denied = grpc.StatusCode.PERMISSION_DENIED
    server.faults.append(Fault("Update", denied, "Global manage access is required", times=100))
    server.tell = Builder(1.0)
    store.upsert(records(20))
    store.optimize()
    assert store.count() == 20
    assert not server.thresholds
    assert not caplog.text
    store.close()


@pytest.mark.parametrize("share", [0.05, 0.3, 0.9])
def test_a_filter_leaves_the_nearest_that_meet_it_whatever_its_share(
    server: QdrantServer, tmp_path: Path, share: float
) -> None:
    server.tell = Builder(1.0)
    points = records(100)
    store = opened(server, tmp_path, compared_kib=0)
    store.upsert(points)
    most = round(100 * share)
    where = [Condition("number", low=0, high=most - 1)]
    query = points[-1].vector
    assert query is not None
    found = [match.record.payload["number"] for match in nearest_to(query, store, 3, where)]
    scores = np.array([record.vector for record in points[:most]]) @ query
    assert found == np.argsort(-scores)[:3].tolist()
    store.close()


def test_the_next_page_comes_while_one_is_used(server: QdrantServer, tmp_path: Path) -> None:
    asked = threading.Semaphore(0)
    store = opened(server, tmp_path)
    store.upsert(points := records(600))
    store.flush()
    server.before = lambda method: asked.release() if method.endswith("/Scroll") else None
    scroll = store.scroll()
    first = next(scroll)
    assert asked.acquire(timeout=20)
    assert asked.acquire(timeout=20), "the second page is asked for"
    assert {first.id} | {record.id for record in scroll} == {point.id for point in points}
    assert len(list(store.scroll(limit=5))) == 5
    store.close()


def test_works_of_many_artists_are_asked_for_together(server: QdrantServer, store: Store) -> None:
    """Each question is held until another has come: one at a time, none would ever end."""
    two = threading.Barrier(2)
    first = threading.Event()

    def hold(method: str) -> None:
        if method == "Scroll" and first.is_set():
            two.wait(timeout=20)
        elif method == "Scroll":
            first.set()

    server.during = hold
    assert measure_backgrounds(store, ["full"])


def test_how_often_index_asks_the_server(
    server: QdrantServer, painted: Path, tmp_path: Path
) -> None:
    """A page of files, of points, of contents: no call for each painting, or each that is gone."""
    copy_tree(painted, tmp_path / "paintings")
    files = sorted((tmp_path / "paintings").rglob("*.jpg"))

    def calls(**how: Any) -> Counter[str]:
        server.calls.clear()
        with Index.open(tmp_path / "index") as index:
            index.add(**how)
        return Counter(server.calls)

    url = server.url("works")
    Index.create(
        tmp_path / "paintings", tmp_path / "index", store=url, backbone="descriptors"
    ).close()
    assert calls()["Upsert"] <= 2
    unchanged = calls()
    for file in files[:1]:
        file.unlink()
    one = calls()
    for file in files[1:9]:
        file.unlink()
    assert calls() == one
    assert unchanged["Scroll"] + 1 == one["Scroll"]
    assert calls(prune=True)["Delete"] == 1
