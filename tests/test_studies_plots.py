"""What studies draw is what was asked, and of many artists the telling ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Cli
from matplotlib.figure import Figure
from matplotlib.text import Text
from numpy.typing import NDArray
from PIL import Image
from sklearn.metrics import silhouette_samples

from paint_search import Index, studies

ARTISTS = 70
WORKS = [4 + number % 9 for number in range(ARTISTS)]
NAMES = [f"Artist {number:02d}" for number in range(ARTISTS)]


@pytest.fixture(scope="module")
def gallery(painted: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index of 70 artists of four to twelve works each, vectors alone. Read only."""
    folder = tmp_path_factory.mktemp("gallery") / "index"
    rng = np.random.default_rng(0)
    with Index.create(painted, folder, backbone="descriptors") as index:
        size = index.manifest.backbone.dimension
        own = [number for number, works in enumerate(WORKS) for _ in range(works)]
        centres = rng.normal(size=(ARTISTS, size))
        vectors = centres[own] + 2 * rng.normal(size=(len(own), size))
        paths = [f"{number}/{row}.jpg" for row, number in enumerate(own)]
        labels = [
            {"artist": NAMES[number], "movement": f"M{number % 4}", "hand": NAMES[row % 65]}
            for row, number in enumerate(own)
        ]
        index.upsert(paths, vectors, labels=labels, fingerprint=index.fingerprint)
    return folder


def texts(figure: Figure) -> list[str]:
    return [found.get_text() for found in figure.findobj(Text)]


def drawn(figure: Figure) -> set[str]:
    return {text.partition(" (")[0] for text in texts(figure)} & set(NAMES)


@pytest.mark.parametrize(
    ("study", "options"),
    [
        (studies.artists, {}),
        (studies.silhouette, {"min_works": 2}),
        (studies.retrieval, {}),
        (studies.clusters, {"k": 5}),
        (studies.classify, {"by": "hand", "min_works": 5}),
    ],
)
def test_of_many_artists_the_telling_60_are_drawn_and_it_says_so(
    gallery: Path, study: object, options: dict[str, Any]
) -> None:
    result = study(gallery, **options)  # type: ignore[operator]
    assert result.drawn is not None
    shown = result.figure()
    assert len(drawn(shown)) == 60
    assert result.drawn.line.startswith("shown: the 60 of ")
    assert any(result.drawn.line in text for text in texts(shown))


def test_which_artists_are_telling(gallery: Path) -> None:
    tree = studies.clusters(gallery, k=5)
    shown = drawn(tree.figure())
    fewest = min(WORKS[NAMES.index(name)] for name in shown)
    assert all(WORKS[NAMES.index(name)] <= fewest for name in set(NAMES) - shown)
    apart = studies.silhouette(gallery, min_works=2)
    ranked = sorted(apart.cosine.per_label, key=lambda one: one.value)
    ends = {one.label for one in (*ranked[:30], *ranked[-30:])}
    assert apart.drawn is not None
    assert drawn(apart.figure()) == ends


def test_a_part_of_a_tree_meets_where_the_whole_does(gallery: Path) -> None:
    from scipy.cluster.hierarchy import cophenet, is_valid_linkage
    from scipy.spatial.distance import squareform

    tree = studies.clusters(gallery, k=5).tree
    rows = np.sort(np.random.default_rng(1).permutation(ARTISTS)[:23])
    part = tree.only(rows)
    assert is_valid_linkage(part)
    whole = squareform(cophenet(tree.linkage))
    np.testing.assert_allclose(squareform(cophenet(part)), whole[np.ix_(rows, rows)])


def test_the_likest_of_one_are_drawn_when_they_are_asked_for(
    gallery: Path, cli: Cli, tmp_path: Path
) -> None:
    result = studies.artists(gallery, nearest=NAMES[8], top=7)
    told = [pair["b"] for pair in result.to_dict()["nearest"]]
    assert drawn(result.figure()) == set(told)
    assert any(NAMES[8] in text for text in texts(result.figure()))
    file = tmp_path / "nearest.png"
    cli.ok("eval", "artists", "--index", gallery, "--nearest", NAMES[8], "--plot", file)
    with Image.open(file) as picture:
        assert picture.width > picture.height  # no heat map, which is square


def test_two_artists_are_drawn_when_they_are_asked_for(gallery: Path) -> None:
    one, other = NAMES[7], NAMES[8]
    result = studies.artists(gallery, pair=(one, other))
    assert not drawn(result.figure())
    lines = [line for axes in result.figure().axes for line in axes.lines]
    scores = np.concatenate([np.asarray(line.get_xdata(), dtype=float) for line in lines])
    assert result.to_dict()["score"] in scores
    assert {f"two of {one} (11)", f"two of {other} (12)"} <= set(texts(result.figure()))


def test_the_silhouettes_of_two_artists_are_those_of_their_works(gallery: Path) -> None:
    one, other = NAMES[7], NAMES[8]
    result = studies.silhouette(gallery, pair=(one, other))
    figure = result.figure()
    assert drawn(figure) == {one, other}
    with Index.open(gallery) as index:
        _, vectors = index.vectors(where={"artist": [one, other]})
        labels = index.field("artist", where={"artist": [one, other]})
    values: NDArray[np.float64] = silhouette_samples(vectors, labels, metric="cosine")
    edges = np.concatenate(
        [path.vertices[:, 0] for shape in figure.axes[0].collections for path in shape.get_paths()]
    )
    assert all(np.abs(edges - value).min() < 1e-3 for value in values)
    dashed = figure.axes[0].lines[-1].get_xdata()
    np.testing.assert_allclose(dashed, result.to_dict()["cosine"]["value"], atol=1e-3)


def test_the_closest_pairs_are_of_artists_of_five_works(gallery: Path, cli: Cli) -> None:
    told = studies.artists(gallery, top=20).to_dict()
    for pair in (*told["closest"], *told["farthest"]):
        assert min(WORKS[NAMES.index(pair[side])] for side in ("a", "b")) >= 5
    everybody = studies.artists(gallery, top=20, min_works=1).to_dict()
    assert any(
        WORKS[NAMES.index(pair[side])] < 5 for pair in everybody["closest"] for side in ("a", "b")
    )
    said = cli.ok("eval", "artists", "--index", gallery).out
    assert "the closest pairs of artists of 5 works or more" in said


def test_few_works_are_compared_where_there_are_no_more(museum: Path) -> None:
    assert studies.artists(museum / ".paint-search").to_dict()["closest"]
