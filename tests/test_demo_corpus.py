"""The painted corpus: its files, its table, its determinism, painters that can be told apart."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from paint_search import demo

WORKS = 6


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("painted") / "new" / "corpus"
    assert demo.paint_corpus(folder, works=WORKS) == folder / "works.csv"
    return folder


def table(folder: Path) -> list[dict[str, str]]:
    with (folder / "works.csv").open(newline="", encoding="utf-8") as handle:
        return list(csv.DictReader(handle))


def pictures(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*.jpg")}


def test_ten_painters_of_distinct_names_and_hands() -> None:
    assert len(demo.PAINTERS) == 10
    assert len({painter.name for painter in demo.PAINTERS}) == 10
    assert len({painter.movement for painter in demo.PAINTERS}) == 10
    assert len({painter.paint for painter in demo.PAINTERS}) == 10


def test_one_folder_a_painter_and_one_file_a_work(corpus: Path) -> None:
    folders = {p.name: sorted(p.iterdir()) for p in corpus.iterdir() if p.is_dir()}
    assert set(folders) == {painter.name for painter in demo.PAINTERS}
    assert all(len(files) == WORKS for files in folders.values())
    names = [file.name for files in folders.values() for file in files]
    assert all(re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*-\d{4}\.jpg", name) for name in names)


def test_the_table_names_exactly_the_files_and_says_what_their_names_say(corpus: Path) -> None:
    rows = table(corpus)
    painters = {painter.name: painter for painter in demo.PAINTERS}
    assert list(rows[0]) == ["path", "artist", "title", "year", "movement", "support"]
    assert len({row["title"] for row in rows}) == len(rows) == 10 * WORKS
    assert {row["path"] for row in rows} == set(pictures(corpus))
    for row in rows:
        painter = painters[row["artist"]]
        assert row["path"] == f"{row['artist']}/{row['title']}-{row['year']}.jpg"
        assert painter.years[0] <= int(row["year"]) <= painter.years[1]
        assert row["movement"] == painter.movement
        assert row["support"] in {"canvas", "paper", "panel"}


def test_every_picture_is_rgb_in_several_formats_within_the_limits(corpus: Path) -> None:
    shapes = set()
    for path in pictures(corpus):
        with Image.open(corpus / path) as picture:
            picture.load()
            assert (picture.mode, picture.format) == ("RGB", "JPEG")
            assert 300 <= max(picture.size) <= 640
            shapes.add(np.sign(picture.width - picture.height))
    assert shapes == {-1, 0, 1}


def test_no_two_pictures_are_the_same(corpus: Path) -> None:
    assert len(set(pictures(corpus).values())) == 10 * WORKS


def test_fewer_works_are_the_first_ones_to_the_byte(corpus: Path, tmp_path: Path) -> None:
    demo.paint_corpus(tmp_path, works=2)
    first = [row for k, row in enumerate(table(corpus)) if k % WORKS < 2]
    assert table(tmp_path) == first
    everything = pictures(corpus)
    assert pictures(tmp_path) == {row["path"]: everything[row["path"]] for row in first}


def test_fewer_painters_are_the_first_ones_to_the_byte(corpus: Path, tmp_path: Path) -> None:
    demo.paint_corpus(tmp_path, works=1, painters=demo.PAINTERS[:3])
    assert [row["artist"] for row in table(tmp_path)] == [p.name for p in demo.PAINTERS[:3]]
    assert pictures(tmp_path).items() <= pictures(corpus).items()


def test_another_seed_paints_other_pictures(corpus: Path, tmp_path: Path) -> None:
    demo.paint_corpus(tmp_path, works=1, seed=8, painters=demo.PAINTERS[:4])
    assert not set(pictures(tmp_path).values()) & set(pictures(corpus).values())


def test_titles_stay_distinct_when_they_run_out(tmp_path: Path) -> None:
    plain = demo.Painter("Nemo", "None", (1900, 1900), "canvas", "study", "777", layers=())
    demo.paint_corpus(tmp_path, works=40, painters=[plain])
    assert len(pictures(tmp_path)) == len({row["title"] for row in table(tmp_path)}) == 40


def test_works_of_one_painter_differ_in_composition(corpus: Path) -> None:
    """Their thumbnails differ by more than the light: none is nearly another's."""
    for painter in demo.PAINTERS:
        grey = []
        for file in sorted((corpus / painter.name).iterdir()):
            with Image.open(file) as picture:
                small = np.asarray(picture.convert("L").resize((16, 16)), dtype=float).ravel()
            grey.append((small - small.mean()) / small.std())
        alike = np.corrcoef(grey)[np.triu_indices(WORKS, k=1)]
        assert alike.max() < 0.98, painter.name


def test_an_unwritable_folder_is_an_os_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        demo.paint_corpus(tmp_path / "file" / "corpus", works=1)


def layout_and_colour(path: Path) -> np.ndarray:
    """Return an 8 x 8 thumbnail and a 4 x 4 x 4 colour histogram, each of unit length."""
    with Image.open(path) as picture:
        thumbnail = np.asarray(picture.resize((8, 8), Image.Resampling.BOX), dtype=float).ravel()
        levels = np.asarray(picture).reshape(-1, 3) // 64
    histogram = np.bincount(levels @ (16, 4, 1), minlength=64).astype(float)
    return np.concatenate([part / np.linalg.norm(part) for part in (thumbnail, histogram)])


def test_the_nearest_picture_by_layout_and_colour_is_mostly_by_the_same_painter(
    corpus: Path,
) -> None:
    rows = table(corpus)
    vectors = np.stack([layout_and_colour(corpus / row["path"]) for row in rows])
    closeness = vectors @ vectors.T
    np.fill_diagonal(closeness, -np.inf)
    artists = np.array([row["artist"] for row in rows])
    assert (artists[closeness.argmax(axis=1)] == artists).mean() >= 0.8
