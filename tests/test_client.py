"""The Python client: ``Index`` as other tools use it, held against brute force on its vectors."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from conftest import WORKS, Cli, copy_tree
from numpy.typing import NDArray
from PIL import Image

import paint_search
from paint_search import Hit, Index, Painting, PaintSearchError
from paint_search.errors import (
    ImageError,
    IndexMissingError,
    ManifestError,
    StoreError,
    UsageError,
)

TOTAL = 10 * WORKS


@pytest.fixture
def index(in_museum: Path) -> Iterator[Index]:
    """The museum's index, open."""
    with Index.open() as opened:
        yield opened


def by_path(index: Index) -> dict[str, NDArray[np.float32]]:
    ids, vectors = index.vectors()
    paths = {painting.id: painting.path for painting in index.paintings()}
    return {paths[key]: vector for key, vector in zip(ids, vectors, strict=True)}


def test_the_example_of_the_readme(in_museum: Path) -> None:
    query = sorted((in_museum / "paintings").rglob("*.jpg"))[0]
    with Index.open(".paint-search") as index:
        hits = index.similar(query, k=4, where={"support": "canvas"})
        assert [hit.rank for hit in hits] == [1, 2, 3, 4]
        for hit in hits:
            assert isinstance(hit, Hit)
            assert isinstance(hit.painting, Painting)
            assert hit.painting.artist
            assert (in_museum / "paintings" / hit.painting.path).is_file()
            assert index.locate(hit.painting) == in_museum / "paintings" / hit.painting.path
        ids, vectors = index.vectors()
    assert vectors.dtype == np.float32
    assert vectors.shape[0] == len(ids) == TOTAL


def test_vectors_are_unit_rows_in_the_order_of_fields_and_paintings(index: Index) -> None:
    ids, vectors = index.vectors()
    assert ids == sorted(ids)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-3)
    paintings = list(index.paintings())
    assert [painting.id for painting in paintings] == ids
    assert index.field("artist") == [painting.artist for painting in paintings]
    assert index.field("support") == [painting.fields["support"] for painting in paintings]
    where = {"year": (1900, 1950)}
    some, part = index.vectors(where)
    years = index.field("year", where)
    assert 0 < len(some) == len(part) == len(years) < TOTAL
    assert all(isinstance(year, int) and 1900 <= year <= 1950 for year in years)
    rows = dict(zip(ids, vectors, strict=True))
    np.testing.assert_array_equal(part, [rows[key] for key in some])


def test_where_and_exclude_of_every_kind(index: Index) -> None:
    paintings = list(index.paintings())
    query = paintings[0].path
    one, other = paintings[3].movement, paintings[9].movement
    assert one is not None
    assert other is not None
    cases = (
        ({"where": {"movement": one}}, lambda p: p.movement == one),
        ({"where": {"movement": [one, other]}}, lambda p: p.movement in (one, other)),
        ({"where": {"year": (1900, None)}}, lambda p: p.year >= 1900),
        ({"where": {"year": paintings[5].year}}, lambda p: p.year == paintings[5].year),
        ({"exclude": {"artist": paintings[0].artist}}, lambda p: p.artist != paintings[0].artist),
        (
            {"where": {"support": "panel"}, "exclude": {"year": (None, 1900)}},
            lambda p: p.fields["support"] == "panel" and p.year > 1900,
        ),
    )
    for filters, wanted in cases:
        hits = index.similar(query, k=99, **filters)
        expected = {p.path for p in paintings if wanted(p)} - {query}
        assert expected
        assert {hit.painting.path for hit in hits} == expected, filters


def test_recommend_and_min_score_follow_the_formula(index: Index) -> None:
    vectors = by_path(index)
    query, unlike = list(vectors)[1], list(vectors)[20]
    direction = vectors[query] - 0.5 * vectors[unlike]
    direction /= np.linalg.norm(direction)
    scores = {p: float(v @ direction) for p, v in vectors.items() if p not in (query, unlike)}
    hits = index.recommend([query], [unlike], k=99)
    assert {hit.painting.path for hit in hits} == set(scores)
    for hit in hits:
        assert hit.score == pytest.approx(scores[hit.painting.path], abs=2e-3)
    assert [h.score for h in hits] == sorted((h.score for h in hits), reverse=True)
    assert index.recommend([query], [unlike], k=99, min_score=hits[6].score) == hits[:7]


def greedy_variety(
    vectors: dict[str, NDArray[np.float32]], query: str, k: int, spread: float
) -> list[str]:
    """Maximal marginal relevance (Carbonell and Goldstein 1998) by brute force."""
    left, chosen = sorted(vectors.keys() - {query}), list[str]()
    while len(chosen) < k:
        chosen.append(
            max(
                left,
                key=lambda path: (
                    (1 - spread) * float(vectors[path] @ vectors[query])
                    - spread * max((float(vectors[path] @ vectors[c]) for c in chosen), default=0)
                ),
            )
        )
        left.remove(chosen[-1])
    return chosen


@pytest.mark.parametrize("spread", [0.2, 0.5, 0.8])
def test_spread_is_maximal_marginal_relevance_among_the_others(index: Index, spread: float) -> None:
    """An indexed query is no candidate: it neither takes a place nor pushes its likes away."""
    vectors = by_path(index)
    for query in list(vectors)[::11]:
        hits = index.similar(query, k=6, spread=spread)
        assert [hit.painting.path for hit in hits] == greedy_variety(vectors, query, 6, spread)
        for hit in hits:
            cosine = vectors[query] @ vectors[hit.painting.path]
            assert hit.score == pytest.approx(cosine, abs=2e-3)


@pytest.mark.parametrize("spread", [0.2, 0.8])
def test_the_least_score_bounds_what_the_spread_chooses_from(index: Index, spread: float) -> None:
    vectors = by_path(index)
    for query in list(vectors)[::11]:
        nearest = index.similar(query, k=16)
        limits = {"spread": spread, "min_score": nearest[-1].score}
        everything = index.similar(query, k=TOTAL, **limits)
        assert {hit.id for hit in everything} == {hit.id for hit in nearest}
        near = {hit.path: vectors[hit.path] for hit in nearest} | {query: vectors[query]}
        some = index.similar(query, k=6, **limits)
        assert [hit.path for hit in some] == greedy_variety(near, query, 6, spread)


def test_answers_are_the_same_every_time(index: Index) -> None:
    query = next(iter(index.paintings())).path
    for options in ({}, {"spread": 0.5}, {"exact": True}):
        first = index.similar(query, k=20, **options)
        assert all(index.similar(query, k=20, **options) == first for _ in range(3))
    assert index.similar(query, k=20) == index.similar(query, k=20, exact=True)
    assert index.similar(query, k=5) == index.similar(query, k=20)[:5]


def test_scores_are_set_against_those_of_the_index(index: Index) -> None:
    ids, vectors = index.vectors()
    artists = np.array(index.field("artist"))
    cosines = vectors @ vectors.T
    first, second = np.triu_indices(len(ids), k=1)
    same = artists[first] == artists[second]
    pairs = cosines[first, second]
    for hit in index.similar(ids[4], k=99):
        assert hit.above_same_artist == pytest.approx((pairs[same] < hit.score).mean(), abs=0.05)
        assert hit.above_other_artists == pytest.approx((pairs[~same] < hit.score).mean(), abs=0.02)


def test_a_file_outside_the_corpus_finds_its_twin(index: Index, tmp_path: Path) -> None:
    painting = list(index.paintings())[8]
    shutil.copyfile(index.locate(painting), tmp_path / "query.jpg")
    hits = index.similar(tmp_path / "query.jpg", k=99)
    assert hits[0].painting == painting
    assert hits[0].score == pytest.approx(1, abs=1e-3)
    assert len(hits) == TOTAL
    assert index.similar(painting.path, k=4) == [
        Hit(hit.rank - 1, pytest.approx(hit.score, abs=1e-3), hit.painting, *rest(hit))
        for hit in hits[1:5]
    ]


def rest(hit: Hit) -> tuple[object, ...]:
    same, other = hit.above_same_artist, hit.above_other_artists
    return pytest.approx(same, abs=0.02), pytest.approx(other, abs=0.02), hit.copies


def test_reencoded_copies_are_folded_into_their_picture(studio: Path) -> None:
    picture = sorted((studio / "paintings").rglob("*.jpg"))[4]
    path = picture.relative_to(studio / "paintings").as_posix()
    (studio / "paintings/~copies").mkdir()
    with Image.open(picture) as image:
        image.save(studio / "paintings/~copies/coarse.jpg", quality=60)
        half = image.resize((image.width // 2, image.height // 2))
        half.save(studio / "paintings/~copies/half.png")
    shutil.copyfile(picture, studio / "outside.jpg")
    with Index.open() as index:
        index.add()
        assert len(index) == TOTAL + 2
        hits = index.similar(studio / "outside.jpg", k=5)
        assert hits[0].painting.path == path
        assert {copy.path for copy in hits[0].copies} == {"~copies/coarse.jpg", "~copies/half.png"}
        assert len(hits) == 5, "copies take no places"
        assert all(not hit.copies for hit in hits[1:])
        everything = index.similar(studio / "outside.jpg", k=99)
        assert len(everything) + sum(len(hit.copies) for hit in everything) == TOTAL + 2
    assert "+2 copies" in Cli().ok("similar", "outside.jpg", "-k", 1).out


def test_ties_are_broken_by_path(studio: Path) -> None:
    with Index.open() as index:
        ids, vectors = index.vectors()
        index.upsert(ids, [vectors[0]] * len(ids), fingerprint=index.fingerprint)
        paths = sorted(painting.path for painting in index.paintings())
        for k in (3, TOTAL):
            hits = index.similar(paths[5], k=k)
            assert all(hit.score == pytest.approx(1, abs=1e-3) for hit in hits)
            heads = [hit.painting.path for hit in hits]
            assert heads == sorted(heads)
            assert heads[:3] == [path for path in paths if path != paths[5]][:3]


def test_a_query_through_onnx_agrees_with_the_stored_vectors(
    tiny_museum: Path, tmp_path: Path
) -> None:
    with Index.open(tiny_museum / ".paint-search") as index:
        for painting in list(index.paintings())[::5]:
            shutil.copyfile(index.locate(painting), tmp_path / "query.jpg")
            twin = next(
                hit
                for hit in index.similar(tmp_path / "query.jpg", k=99)
                if painting in (hit.painting, *hit.copies)
            )
            assert twin.score >= 0.999


def test_a_changed_file_is_asked_for_as_it_is_now(studio: Path) -> None:
    one, other, *_ = sorted((studio / "paintings").rglob("*.jpg"))
    shutil.copyfile(other, one)
    with Index.open() as index:
        hits = index.similar(one)
        assert hits[0].painting.path == other.relative_to(studio / "paintings").as_posix()
        assert hits[0].score == pytest.approx(1, abs=1e-3)


def test_errors_are_of_one_family(index: Index, tmp_path: Path) -> None:
    (tmp_path / "bad.jpg").write_text("no image")
    query = next(iter(index.paintings())).path
    calls = (
        (UsageError, lambda: index.recommend([])),
        (UsageError, lambda: index.recommend(query)),
        (UsageError, lambda: index.get("nothing.jpg")),
        (UsageError, lambda: index.similar(query, k=0)),
        (UsageError, lambda: index.similar(query, spread=1.5)),
        (UsageError, lambda: index.similar(query, min_score=1.5)),
        (UsageError, lambda: index.similar(query, min_score=float("nan"))),
        (UsageError, lambda: index.similar(query, where={"artits": "Me"})),
        (UsageError, lambda: index.similar(query, where={"artist": []})),
        (UsageError, lambda: index.field("artits")),
        (UsageError, lambda: index.similar("nothing.jpg")),
        (UsageError, lambda: index.add(tmp_path)),
        (ImageError, lambda: index.similar(tmp_path / "bad.jpg")),
        (IndexMissingError, lambda: Index.open(tmp_path)),
        (UsageError, lambda: Index.create(index.root, index.folder)),
    )
    for error, call in calls:
        with pytest.raises(error) as caught:
            call()
        assert isinstance(caught.value, PaintSearchError)
    assert issubclass(ManifestError, PaintSearchError)
    assert issubclass(StoreError, PaintSearchError)


def test_the_second_run_needs_no_weights(tiny_museum: Path, tmp_path: Path) -> None:
    """The export serves where neither the cache nor the user has the weights."""
    home = copy_tree(tiny_museum, tmp_path / "home")
    many = 130  # so many that torch would be worth its start
    for number in range(many):
        Image.new("RGB", (40, 40), (number, 255 - number, 90)).save(
            home / f"paintings/{number}.png"
        )
    with Index.open(home / ".paint-search") as index:
        assert index.add().new == many
        assert len(index) == TOTAL + many


@pytest.mark.parametrize(
    "program",
    [
        "import paint_search; paint_search.Index; paint_search.Hit; paint_search.Painting",
        "import sys; sys.argv[1:] = ['--help']; from paint_search.cli.app import main; main()",
        "import sys; sys.argv[1:] = ['similar', QUERY, '--quiet']\n"
        "from paint_search.cli.app import main; main()",
        "from paint_search import Index\nwith Index.open() as index: index.similar(QUERY)",
    ],
    ids=["import", "--help", "similar", "Index.similar"],
)
def test_queries_import_neither_torch_nor_timm_nor_sklearn_nor_faiss(
    program: str, tiny_museum: Path
) -> None:
    """Also with a backbone that was a torch network when the index was made."""
    query = tiny_museum / "query.png"
    Image.radial_gradient("L").save(query)
    heavy = "torch", "timm", "torchvision", "sklearn", "faiss", "matplotlib", "pyarrow"
    watched = (
        "import sys, atexit, json\n"
        f"QUERY = {str(query)!r}\n"
        f"heavy = {heavy!r}\n"
        "atexit.register(lambda: print(json.dumps([m for m in heavy if m in sys.modules]),"
        " file=sys.stderr))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", watched + program],
        cwd=tiny_museum,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stderr.splitlines()[-1]) == []


def test_the_package_names_its_door_and_its_errors() -> None:
    own = {"Client", "Hit", "Index", "Painting", "studies"}
    assert own < set(paint_search.__all__) == set(dir(paint_search))
    for name in set(paint_search.__all__) - own:
        assert issubclass(getattr(paint_search, name), PaintSearchError)
    with pytest.raises(AttributeError):
        paint_search.Nothing  # noqa: B018
