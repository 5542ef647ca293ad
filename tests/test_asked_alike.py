"""One suite over ``Index`` and ``Client``: the same methods, the same results."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import TOKEN, WORKS, copy_tree
from PIL import Image
from serving import Served, serving

from paint_search import Client, Hit, Index
from paint_search.errors import ImageError, StoreError, UnknownError, UsageError

TOTAL = 10 * WORKS


@pytest.fixture(scope="module")
def index(compressed_museum: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Index]:
    home = copy_tree(compressed_museum, tmp_path_factory.mktemp("alike") / "museum")
    with Index.open(home / ".paint-search") as opened:
        yield opened


@pytest.fixture(scope="module")
def served(compressed_museum: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    home = copy_tree(compressed_museum, tmp_path_factory.mktemp("served") / "museum")
    with serving(home / ".paint-search", token=TOKEN) as server:
        yield server


@pytest.fixture(scope="module")
def client(served: Served) -> Iterator[Client]:
    with Client(served.url, token=TOKEN) as opened:
        yield opened


@pytest.fixture(scope="module", params=["index", "client"])
def asked(request: pytest.FixtureRequest) -> Any:
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="module")
def picture(museum: Path) -> Path:
    return sorted((museum / "paintings").rglob("*.jpg"))[0]


def told(hits: list[Hit]) -> list[tuple[int, str, float]]:
    return [(hit.rank, hit.path, round(hit.score, 5)) for hit in hits]


QUERIES: dict[str, Callable[[Path, Index], Any]] = {
    "an id": lambda file, index: index.vectors()[0][0],
    "an indexed path": lambda file, index: next(index.paintings()).path,
    "bytes": lambda file, index: file.read_bytes(),
    "a Pillow image": lambda file, index: Image.open(file),
    "pixels": lambda file, index: np.asarray(Image.open(file).convert("RGB")),
    "a vector": lambda file, index: index.vectors(which="full")[1][3] * 5,
}


@pytest.mark.parametrize("kind", QUERIES)
def test_every_kind_of_query_finds_the_same(
    kind: str, index: Index, client: Client, picture: Path
) -> None:
    query = QUERIES[kind](picture, index)
    ours, theirs = index.similar(query, 7), client.similar(query, 7)
    assert told(theirs) == told(ours)
    for one, other in zip(ours, theirs, strict=True):
        assert other.painting == one.painting
        assert other.above_other_artists == pytest.approx(one.above_other_artists, abs=1e-6)


OPTIONS: list[dict[str, Any]] = [
    {"where": {"support": "canvas"}},
    {"where": {"year": (1850, None)}},
    {"where": {"artist": ["Tobin Ashvale", "Nobody"]}, "expect": UnknownError},
    {"exclude": {"support": "canvas"}},
    {"where": {"title~": "ember"}},
    {"spread": 0.7},
    {"min_score": 0.9},
    {"exact": True},
    {"compact_only": True},
    {"where": {"nonsense": 1}, "expect": UnknownError},
    {"spread": 2, "expect": UsageError},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_every_option_means_the_same(options: dict[str, Any], index: Index, client: Client) -> None:
    options = dict(options)
    expected = options.pop("expect", None)
    query = index.vectors()[0][5]
    if expected is not None:
        sentences = []
        for one in (index, client):
            with pytest.raises(expected) as caught:
                one.similar(query, 5, **options)
            sentences.append(str(caught.value))
        assert sentences[0] == sentences[1]
        return
    assert told(client.similar(query, 5, **options)) == told(index.similar(query, 5, **options))


def test_many_are_asked_at_once(asked: Any, index: Index) -> None:
    ids, vectors = index.vectors(which="full")
    singly = [told(index.similar(id_, 3)) for id_ in ids[:3]]
    assert [told(hits) for hits in asked.similar(list(ids[:3]), 3)] == singly
    rows = asked.similar(vectors[:2], 3)
    assert [hits[0].id for hits in rows] == list(ids[:2])


def test_examples_and_counter_examples(index: Index, client: Client, picture: Path) -> None:
    ids, vectors = index.vectors(which="full")
    given = [ids[0], vectors[1], picture.read_bytes()], [ids[9]]
    ours, theirs = index.recommend(*given, 6), client.recommend(*given, 6)
    assert told(theirs) == told(ours)
    with pytest.raises(UsageError, match="at least one painting"):
        client.recommend([])


def test_the_paintings_and_their_fields(index: Index, client: Client) -> None:
    assert list(client.paintings()) == list(index.paintings())
    assert list(client) == list(index)
    chosen = {"support": "canvas"}
    assert list(client.paintings(chosen)) == list(index.paintings(chosen))
    assert len(client) == len(index) == TOTAL
    assert client.field("artist") == index.field("artist")
    with pytest.raises(UnknownError, match="no painting has a field 'colour'"):
        client.field("colour")
    assert client.to_pandas().equals(index.to_pandas())
    assert client.to_arrow().equals(index.to_arrow())


def test_vectors(index: Index, client: Client) -> None:
    for options in ({}, {"which": "compact"}, {"where": {"support": "panel"}}):
        ids, rows = client.vectors(**options)
        ours, expected = index.vectors(**options)
        assert ids == ours
        assert np.array_equal(rows, expected)


def test_one_painting(asked: Any, index: Index) -> None:
    painting = next(index.paintings())
    assert asked.get(painting.id) == asked.get(painting.path) == painting
    assert painting in asked
    assert painting.path in asked
    assert "Nobody/nothing.jpg" not in asked
    with pytest.raises(UnknownError):
        asked.get("Nobody/nothing.jpg")


def test_embeddings(index: Index, client: Client, picture: Path) -> None:
    pictures = [picture, picture.read_bytes()]
    assert np.allclose(client.embed(pictures), index.embed(pictures), atol=1e-6)
    assert client.embed([]).shape == index.embed([]).shape
    with pytest.raises(ImageError, match="not an image"):
        client.embed([b"nothing"])


@pytest.fixture(scope="module")
def closely(painted: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The index of six paintings whose details are known, by the network built in."""
    home = tmp_path_factory.mktemp("closely")
    for file in sorted(painted.rglob("*.jpg"))[:6]:
        target = home / "paintings" / file.relative_to(painted)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, target)
    with Index.create(home / "paintings", home / ".paint-search", backbone="builtin") as index:
        index.add()
        index.build_details()
    return home / ".paint-search"


def test_details_explanations_and_selections(closely: Path, picture: Path) -> None:
    box = (40, 30, 90, 80)
    with Index.open(closely) as index:
        one, other, third = [work.id for work in index][:3]
        index.save_selection("to hang", [third, one])
        found = [index.similar(query, 4, box=box) for query in (one, picture)]
        why = [index.explain(one, query) for query in (other, picture)]
        kept, chosen = index.selections(), index.selected("to hang")
    with serving(closely) as server, Client(server.url) as client:
        for query, hits in zip((one, picture), found, strict=True):
            theirs = client.similar(query, 4, box=box)
            assert told(theirs) == told(hits)
            assert [hit.box for hit in theirs] == [hit.box for hit in hits]
        for query, ours in zip((other, picture), why, strict=True):
            answer = client.explain(one, query).to_dict()
            for said in (answer, expected := ours.to_dict()):
                said["other"].pop("name")  # of a file, which the server is not told
                said.pop("text")
                said["regions_score"] = pytest.approx(said["regions_score"], abs=2e-6)  # a sum
            assert answer == expected
        assert client.selections() == kept
        assert client.selected("to hang") == chosen
        with pytest.raises(UnknownError, match="no selection"):
            client.selection("nothing")
        with pytest.raises(UsageError, match="box"):
            client.similar(one, box=(0, 0, 90_000, 10))


def test_same_artist_or_not(academy: Path, tmp_path: Path) -> None:
    home = copy_tree(academy, tmp_path / "academy")
    with Index.open(home / ".paint-search") as index:
        one, other = list(index.vectors()[0][:2])
        ours = index.verify(one, other)
    with serving(home / ".paint-search") as server, Client(server.url) as client:
        theirs = client.verify(one, other)
    # A probability of 1e-12 differs in its last digits by how the vectors lie in memory.
    assert replace(theirs, probability=ours.probability) == ours
    assert theirs.probability == pytest.approx(ours.probability)
    pairs = [frozenset((pair.one.id, pair.other.id)) for pair in ours.references]
    assert len(set(pairs)) == len(pairs) == 6


def test_what_is_known_of_the_index(index: Index, client: Client) -> None:
    ours, theirs = index.info(), client.info()
    assert theirs.paintings == ours.paintings
    assert theirs.fields == ours.fields
    assert theirs.manifest.backbone == ours.manifest.backbone
    assert theirs.manifest.compression == ours.manifest.compression
    assert [way.name for way in theirs.ways] == [way.name for way in ours.ways]
    assert client.skipped() == index.skipped()


def test_nothing_of_the_machine_is_told(served: Served, client: Client) -> None:
    home = str(served.folder.parent)
    headers = {"Authorization": f"Bearer {TOKEN}"}
    for path in ("info", "works", "skipped", "facets", "studies", "similar?like=nonsense"):
        answer = served.http.get(f"/v1/{path}", headers=headers)
        assert home not in answer.text


def test_a_wrong_token_and_a_server_that_is_not_there(served: Served) -> None:
    for token in (None, "wrong" * 5):
        with Client(served.url, token=token) as client, pytest.raises(UsageError, match="token"):
            len(client)
    with Client("http://127.0.0.1:9") as client, pytest.raises(StoreError, match="cannot be reach"):
        len(client)
    for url in ("museum.example", "ftp://museum.example", "http://me:secret@museum.example"):
        with pytest.raises(UsageError):
            Client(url)


def test_a_picture_that_cannot_be_read(client: Client, tmp_path: Path) -> None:
    stream = io.BytesIO()
    Image.new("1", (20_000, 20_000)).save(stream, "PNG")
    with pytest.raises(ImageError, match="above this server's limit"):
        client.similar(stream.getvalue())
    with pytest.raises(UsageError, match=r"there/is-none\.jpg is neither"):
        client.similar("there/is-none.jpg")
