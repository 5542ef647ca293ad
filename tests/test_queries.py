"""What can be asked, and in what form: files, bytes, pictures, pixels, vectors, one or many."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from conftest import WORKS, Cli
from PIL import Image

from paint_search import Hit, Index, Painting
from paint_search.errors import ImageError, StoreError, UsageError

TOTAL = 10 * WORKS


@pytest.fixture
def index(in_museum: Path) -> Iterator[Index]:
    with Index.open() as opened:
        yield opened


@pytest.fixture
def query(index: Index, tmp_path: Path) -> Path:
    """A file outside the corpus that is the copy of an indexed one."""
    picture = index.locate(list(index)[8])
    return Path(shutil.copyfile(picture, tmp_path / "query.jpg"))


def opened(file: Path) -> Image.Image:
    with Image.open(file) as image:
        return image.convert("RGB")


FORMS: dict[str, Callable[[Path], Any]] = {
    "path": lambda file: file,
    "text": str,
    "bytes": Path.read_bytes,
    "pillow": opened,
    "pixels": lambda file: np.asarray(opened(file)),
}


def scores(hits: list[Hit]) -> dict[str, float]:
    return {hit.path: hit.score for hit in hits}


@pytest.mark.parametrize("form", FORMS)
def test_a_picture_is_the_same_in_every_form(index: Index, query: Path, form: str) -> None:
    given = FORMS[form](query)
    hits = index.similar(given, k=99)
    assert hits[0].painting == list(index)[8]
    assert scores(hits) == pytest.approx(scores(index.similar(query, k=99)), abs=0.02)
    made, usual = index.embed([given]), index.embed([query])
    assert made.shape == (1, index.manifest.backbone.dimension)
    assert made.dtype == np.float32
    assert float(made[0] @ usual[0]) > 0.99
    assert scores(index.similar(made[0], k=99)) == pytest.approx(scores(hits), abs=1e-3)


def test_an_open_picture_is_left_as_it_was(index: Index) -> None:
    image = Image.new("RGB", (30, 20), "red")
    image.getexif()[274] = 6  # to be turned by a quarter
    index.embed([image])
    assert image.size == (30, 20)


def test_many_questions_are_answered_as_one_by_one(index: Index, query: Path) -> None:
    paintings = list(index)
    asked: list[Any] = [query, paintings[3].path, paintings[20].id, index.vectors()[1][5]]
    for options in ({}, {"where": {"year": (1900, None)}}, {"spread": 0.4}, {"min_score": 0.3}):
        together = index.similar(asked, k=7, **options)
        assert len(together) == len(asked)
        for one, hits in zip(asked, together, strict=True):
            alone = index.similar(one, k=7, **options)
            assert [hit.path for hit in hits] == [hit.path for hit in alone]
            np.testing.assert_allclose(
                [hit.score for hit in hits], [hit.score for hit in alone], atol=1e-3
            )
    ids, vectors = index.vectors()
    for own, hits in zip(ids, index.similar(vectors * 7.5, k=1), strict=True):
        assert hits[0].id == own
    assert index.similar([]) == []


def test_copies_fold_and_make_room_in_a_batch_too(studio: Path) -> None:
    picture = sorted((studio / "paintings").rglob("*.jpg"))[4]
    (studio / "paintings/~copies").mkdir()
    for number in range(14):  # more than a first look goes beyond k
        shutil.copyfile(picture, studio / f"paintings/~copies/{number:02}.jpg")
    with Index.open() as index:
        index.add()
        path = picture.relative_to(studio / "paintings").as_posix()
        others = [p.path for p in index if p.path != path and "~copies" not in p.path]
        asked = others[:3]
        for hits in index.similar([*asked, picture.read_bytes()], k=TOTAL):
            assert sum(len(hit.copies) for hit in hits) == 14
        assert all(len(hits) == 3 for hits in index.similar([picture.read_bytes(), *asked], k=3))


def test_embedding_is_lazy_and_bounded(index: Index, query: Path) -> None:
    taken = 0

    def endless() -> Iterator[Path]:
        nonlocal taken
        while True:
            taken += 1
            yield query

    stream = index.embed_iter(endless())
    first = [next(stream) for _ in range(3)]
    assert taken <= 64
    np.testing.assert_array_equal(first[0], first[2])
    assert index.embed([]).shape == (0, index.manifest.backbone.dimension)


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        (b"no picture", ImageError, "a picture of 10 bytes"),
        (b"", ImageError, "a picture of 0 bytes"),
        (np.zeros((4, 4), np.float32), ImageError, r"give \(h, w, 3\) uint8"),
        (np.zeros((4, 4, 3), np.float32), ImageError, r"give \(h, w, 3\) uint8"),
        (np.zeros((4, 4, 4), np.uint8), ImageError, r"give \(h, w, 3\) uint8"),
        ("nothing.jpg", ImageError, "nothing.jpg"),
    ],
)
def test_what_is_no_picture_is_named(
    index: Index, given: Any, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        index.embed([given])


def test_vectors_that_cannot_be_compared_are_refused(index: Index) -> None:
    length = index.manifest.backbone.dimension
    for vector, words in (
        (np.ones(length + 1), f"give vectors of {length} numbers"),
        (np.zeros(length), "no direction"),
        (np.full(length, np.nan), "no direction"),
        (np.full(length, np.inf), "no direction"),
        (np.array(["a"] * length), "give vectors"),
    ):
        for asked in (vector, [vector], np.stack([vector, vector])):
            with pytest.raises(UsageError, match=words):
                index.similar(asked)
    huge = np.full(length, 1e30)
    assert len(index.similar(huge)) == 10, "any positive norm will do"


def test_paintings_are_found_counted_and_looped_over(index: Index) -> None:
    paintings = list(index)
    assert len(index) == len(paintings) == len(set(paintings)) == TOTAL
    one = paintings[3]
    assert isinstance(one, Painting)
    assert index.get(one.id) == index.get(one.path) == one
    assert one in index
    assert one.id in index
    assert one.path in index
    assert index.locate(one) in index
    assert "nothing.jpg" not in index
    assert 3 not in index
    with pytest.raises(UsageError, match=r"nothing\.jpg is not in the index"):
        index.get("nothing.jpg")
    hit = index.similar(one.path, k=1)[0]
    assert (hit.id, hit.path) == (hit.painting.id, hit.painting.path)
    assert hit["movement"] == hit.painting.movement
    assert hit["support"] == hit.painting["support"] == hit.painting.fields["support"]
    assert hit["nothing"] is None


def test_tables_for_other_tools(index: Index, cli: Cli, tmp_path: Path) -> None:
    ids, vectors = index.vectors()
    frame = index.to_pandas()
    assert frame["id"].tolist() == ids
    assert frame["artist"].tolist() == index.field("artist")
    table = index.to_arrow({"year": (1900, None)})
    assert table.column_names[-1] == "vector"
    recent = pd.DataFrame(table.drop_columns("vector").to_pylist())
    assert recent["year"].min() >= 1900
    assert recent["id"].tolist() == frame.loc[frame["year"] >= 1900, "id"].tolist()
    rows = dict(zip(ids, vectors, strict=True))
    for key, vector in zip(recent["id"], table["vector"].to_pylist(), strict=True):
        np.testing.assert_array_equal(np.float32(vector), rows[key])
    with pytest.raises(UsageError, match="no painting has a field 'artits'"):
        index.to_pandas({"artits": "Me"})


def test_filters_take_what_numpy_and_pandas_hold(index: Index) -> None:
    one = list(index)[5]
    years = np.array([painting.year for painting in index])
    plain = [p.id for p in index.paintings({"year": one.year})]
    assert plain
    for where in (
        {"year": np.int64(one.year or 0)},
        {"year": np.array([one.year])},
        {"year": [np.float32(one.year or 0)]},
        {"year": (np.int16(one.year or 0), np.float64(one.year or 0))},
    ):
        assert [p.id for p in index.paintings(where)] == plain
    assert len(list(index.paintings({"artist": np.str_(one.artist)}))) == WORKS
    later = index.to_pandas({"year": (np.median(years), None)})
    assert len(later) == int((years >= np.median(years)).sum())


def test_an_argument_is_named_as_its_reader_knows_it(index: Index, cli: Cli) -> None:
    path = next(iter(index)).path
    with pytest.raises(UsageError, match=r"^spread=2: give a number from 0 to 1$"):
        index.similar(path, spread=2)
    with pytest.raises(UsageError, match=r"^k=0: ask"):
        index.similar(path, k=0)
    index.close()
    assert "error: --spread 2.0: give a number" in cli("similar", path, "--spread", 2).err
    assert "error: -k 0: ask for" in cli("similar", path, "-k", 0).err


def test_a_list_is_wanted_where_many_are_meant(index: Index) -> None:
    path = next(iter(index)).path
    for call in (
        lambda: index.recommend(path),
        lambda: index.recommend([path], path),
        lambda: index.embed(path),
        lambda: index.upsert(path, images=[path]),
    ):
        with pytest.raises(UsageError, match="give a list"):
            call()


def test_a_closed_index_answers_nothing(studio: Path) -> None:
    index = Index.open()
    index.close()
    with pytest.raises(StoreError, match="is closed"):
        list(index)
