"""``paint_search.studies``: each study from Python, which the command line only prints."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Cli
from studied import read_csv, read_museum

from paint_search import Index, studies
from paint_search.errors import EvalError, UsageError
from paint_search.eval import retrieval, silhouettes


@dataclass(frozen=True)
class Case:
    """A study asked in Python and on the command line, and the shape of its table."""

    study: Callable[..., studies.Result]
    asked: dict[str, Any]
    typed: str
    rows: int
    columns: list[str]
    home: str = "museum"
    varies: tuple[str, ...] = field(default=())


CASES = {
    "artists": Case(
        studies.artists,
        {"where": {"year": (1000, 2030)}, "top": 3},
        "eval artists --top 3 --where year=1000..2030",
        0,
        ["a", "b", "works_a", "works_b", "rank", "score", "low", "high", "centroid", "csls"],
    ),
    "movements": Case(
        studies.artists,
        {"by": "movement", "min_works": 2, "top": 1},
        "eval artists --by movement --min-works 2 --top 1",
        0,
        ["a", "b"],
    ),
    "clusters": Case(
        studies.clusters,
        {"linkage": "ward", "k": 3},
        "eval clusters --linkage ward -k 3",
        10,
        ["name", "works", "movement", "tree", "kmeans", "place"],
    ),
    "silhouette": Case(
        studies.silhouette,
        {"min_works": 3},
        "eval silhouette --min-works 3",
        55,
        ["a", "b", "works_a", "works_b", "cosine", "low", "high", "euclidean"],
    ),
    "retrieval": Case(
        studies.retrieval,
        {"k": [1, 5], "exclude_copies": True},
        "eval retrieval -k 1 -k 5 --exclude-copies",
        10,
        ["artist", "queries", "P@1", "mAP@5", "R@5", "R-precision"],
    ),
    "maps": Case(
        studies.maps,
        {"method": ["pca"], "dims": [2, 3]},
        "map OUT.html --method pca --dims 2 --dims 3",
        30,
        ["path", "title", "artist"],
        varies=("page",),
    ),
    "classify": Case(
        studies.classify,
        {"by": "movement", "model": "logistic", "exclude": {"path": "7.png"}},
        "eval classify --label movement --model logistic --not path=7.png",
        5,
        ["movement", "Movement 0"],
        home="academy",
    ),
    "compression": Case(
        studies.compression,
        {"method": ["pca"], "dims": [8], "min_works": 2},
        "eval compression --method pca --dims 8 --min-works 2",
        1,
        ["method", "dims", "of_this_index", "recall@1", "recall@10"],
        home="academy",
        varies=("fit_seconds", "transform_ms_per_1000"),
    ),
}


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> Case:
    return CASES[request.param]


def as_json(found: dict[str, Any], without: tuple[str, ...]) -> str:
    """Write as JSON, NaN and order of keys included, without what no two runs share."""
    text = json.dumps(found, default=str)
    for name in without:
        text = re.sub(rf'"{name}": ("[^"]*"|[\d.e-]+),? ?', "", text)
    return text


def test_the_command_line_prints_what_python_returns(
    case: Case, request: pytest.FixtureRequest, cli: Cli, tmp_path: Path
) -> None:
    index = request.getfixturevalue(case.home) / ".paint-search"
    with Index.open(index) as opened:
        result = case.study(opened, **case.asked)
    typed = [tmp_path / "map.html" if word == "OUT.html" else word for word in case.typed.split()]
    told = cli.ok(*typed, "--index", index, "--json").json
    assert as_json(result.to_dict(), case.varies) == as_json(told, case.varies)


def test_a_result_is_a_table_and_a_figure(
    case: Case, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    result = case.study(request.getfixturevalue(case.home) / ".paint-search", **case.asked)
    frame = result.to_pandas()
    columns, rows = result.table()
    assert list(frame.columns) == list(columns)
    assert list(columns)[: len(case.columns)] == case.columns
    assert len(frame) == len(list(rows)) > 0
    assert not case.rows or len(frame) == case.rows
    result.write_csv(tmp_path / "table.csv")
    written = read_csv(tmp_path / "table.csv")
    assert [row[columns[0]] for row in written] == [str(value) for value in frame[columns[0]]]
    for suffix in ("png", "svg"):
        result.plot(tmp_path / f"figure.{suffix}")
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")
    assert "<svg" in (tmp_path / "figure.svg").read_text(encoding="utf-8")
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        "figure.png", "figure.svg", "table.csv",
    ]  # fmt: skip
    assert any(str(part) for part in result.describe())


def test_figures_are_those_of_the_evaluation(museum: Path) -> None:
    held = read_museum(museum)
    labels = held.artists.tolist()
    with Index.open(museum / ".paint-search") as index:
        apart = studies.silhouette(index, min_works=3)
        found = studies.retrieval(index)
        other = studies.retrieval(index, by="support")
    expected = silhouettes(held.vectors, labels, min_works=3)
    np.testing.assert_allclose(apart.cosine.pairs, expected.pairs, atol=1e-4)
    means = retrieval(held.vectors, labels).summary()
    assert {name: found.figures[name] for name in means} == pytest.approx(means, abs=1e-6)
    assert found.figures["P@1 by chance"] == pytest.approx(2 / 29)
    low, high = found.intervals["P@1"]
    assert low <= found.figures["P@1"] <= high
    means = retrieval(held.vectors, held.supports.tolist()).summary()
    assert other.figures["P@1"] == pytest.approx(means["P@1"])


def test_an_index_that_was_handed_in_stays_open(museum: Path) -> None:
    with Index.open(museum / ".paint-search") as index:
        studies.artists(index)
        assert len(index) == 30


def test_conditions_are_mappings(museum: Path) -> None:
    with Index.open(museum / ".paint-search") as index:
        artist = str(index.field("artist")[0])
        left = studies.artists(index, exclude={"artist": artist})
        only = studies.maps(index, where={"artist": artist}, method=["pca"])
    assert artist not in left.works.names
    assert {painting.artist for painting in only.exhibit.works.paintings} == {artist}


def test_lines_for_the_user_are_handed_over(museum: Path) -> None:
    said: list[str] = []
    studies.retrieval(museum / ".paint-search", exclude_copies=True, note=said.append)
    assert said == ["30 paintings of 10 artists", "0 near-identical works left out"]


@pytest.mark.parametrize(
    ("study", "asked", "message"),
    [
        (studies.artists, {"by": "artst"}, "did you mean artist"),
        (studies.artists, {"pair": ("Nobody", "Else")}, "has the artist 'Nobody'"),
        (
            studies.artists,
            {"by": "movement", "where": {"artist": "Nobody"}},
            "no painting has the artist",
        ),
        (studies.clusters, {"k": 3, "height": 0.2}, "give either k or height, not both"),
        (studies.clusters, {"linkage": "single"}, "linkage='single': use average or ward"),
        (studies.clusters, {"features": ["blackness"]}, "features: vectors of 'descriptors'"),
        (studies.silhouette, {"min_works": 9}, r"of at least 9 works \(min_works\)"),
        (studies.silhouette, {"vectors": "both"}, "vectors='both': use full or compact"),
        (studies.retrieval, {"split": "nowhere.csv"}, "there is no split file nowhere.csv"),
        (studies.classify, {"model": "forest"}, "model='forest': use knn, logistic"),
        (studies.classify, {"test": 1.5}, "test=1.5: give a share between 0 and 1"),
        (studies.compression, {"method": ["zip"]}, "held out to measure on"),
        (studies.maps, {"method": ["som"]}, "method='som': use pca or umap or tsne"),
        (studies.maps, {"by": "colour"}, "no painting here has a field 'colour' to colour by"),
    ],
)
def test_errors_speak_of_arguments(
    museum: Path, study: Callable[..., object], asked: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        study(museum / ".paint-search", **asked)


def test_too_little_is_an_eval_error(museum: Path) -> None:
    with Index.open(museum / ".paint-search") as index:
        title = index.field("title")[0]
    with pytest.raises(EvalError, match="needs at least 3 paintings"):
        studies.maps(museum / ".paint-search", where={"title": title}, method=["pca"])


def test_files_that_cannot_be_written_are_refused(museum: Path, tmp_path: Path) -> None:
    result = studies.maps(museum / ".paint-search", method=["pca"])
    with pytest.raises(UsageError, match=r"name a \.png or \.svg file"):
        result.plot(tmp_path / "map.bmp")
    with pytest.raises(UsageError, match="there is no folder"):
        result.write_csv(tmp_path / "nowhere" / "map.csv")
    with pytest.raises(UsageError, match=r"name a \.html file"):
        result.write_page(tmp_path / "map.txt")
