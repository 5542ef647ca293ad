"""Search by a detail: what was pasted is found where it lies, and what cannot be asked is said."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import Cli
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageFilter
from scipy.signal import correlate2d
from serving import serving

from paint_search import Client, Index, UsageError, studies
from paint_search.eval import localisation_precision, overlap
from paint_search.search import GRID, LENGTH, Template, agreement, lay, pack

SIZE = 320
DETAIL = (90, 70, 150, 140)  # of the picture that it is cut from
PASTED = (40, 150, 150, 140)  # in the work "host"

#: The command line, killed where it is about to do something for the n-th time: Python tells an
#: audit hook of each file that is opened, and of each that is renamed.
KILLED = """
import os, signal, sys

what, ending, left, *arguments = sys.argv[1:]
times = [int(left)]

def watch(event, args):
    if event == what and str(args[0]).endswith(ending) and (what != "open" or args[1] == "a"):
        times[0] -= 1
        if not times[0]:
            os.kill(os.getpid(), signal.SIGKILL)

from paint_search.cli.app import main
sys.argv = ["paint-search", *arguments]
sys.addaudithook(watch)
main()
"""


def blots(seed: int) -> Image.Image:
    """A picture that has no like: coloured blots, coarse and fine."""
    rng = np.random.default_rng(seed)
    made = np.zeros((SIZE, SIZE, 3))
    for side, weight in ((5, 0.5), (20, 0.5)):
        coarse = Image.fromarray(rng.integers(0, 256, (side, side, 3), dtype=np.uint8))
        made += weight * np.asarray(coarse.resize((SIZE, SIZE), Image.Resampling.BICUBIC))
    return Image.fromarray(made.astype(np.uint8)).filter(ImageFilter.GaussianBlur(1))


def killed(what: str, ending: str, time: int, *arguments: object) -> None:
    """Run the command line, and kill it at that moment."""
    asked = map(str, (what, ending, time, *arguments))
    done = subprocess.run([sys.executable, "-c", KILLED, *asked], capture_output=True)
    assert done.returncode == -signal.SIGKILL, done.stderr


@pytest.fixture(scope="module")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten pictures and their index, with details; a part of "source" is in "host". Read only."""
    home = tmp_path_factory.mktemp("gallery")
    for number in range(8):
        (home / "works" / f"painter {number % 3}").mkdir(parents=True, exist_ok=True)
        blots(number).save(home / "works" / f"painter {number % 3}" / f"work {number}.png")
    source, host = blots(100), blots(101)
    x, y, width, height = DETAIL
    host.paste(source.crop((x, y, x + width, y + height)), PASTED[:2])
    source.save(home / "works" / "painter 0" / "source.png")
    host.save(home / "works" / "painter 1" / "host.png")
    with Index.create(home / "works", home / ".paint-search", backbone="builtin") as index:
        index.add()
        built = index.build_details()
        assert (built.added, built.removed, built.lacking, built.paintings) == (10, 0, 0, 10)
    return home


def test_a_detail_is_found_where_it_was_pasted(gallery: Path) -> None:
    with Index.open(gallery / ".paint-search") as index:
        first, *rest = index.similar("painter 0/source.png", 3, box=DETAIL)
        again = index.recommend([gallery / "works" / "painter 0" / "source.png"], k=3, box=DETAIL)
        cut = index.similar(gallery / "works" / "painter 0" / "source.png", 3)
    assert first.path == "painter 1/host.png"
    assert first.box is not None
    assert overlap(first.box, PASTED) > 0.4
    assert len(rest) == 2
    assert [hit.path for hit in again] == [hit.path for hit in (first, *rest)]
    assert first.to_dict()["box"] == list(first.box)
    assert all(hit.box is None for hit in cut)
    for hit in (first, *rest):
        x, y, width, height = hit.box or (0, 0, 0, 0)
        assert 0 <= x < x + width <= SIZE
        assert 0 <= y < y + height <= SIZE


def test_a_server_finds_the_same(gallery: Path) -> None:
    with Index.open(gallery / ".paint-search") as index:
        there = index.similar("painter 0/source.png", 3, box=DETAIL)
    with serving(gallery / ".paint-search") as server, Client(server.url) as client:
        hits = client.similar("painter 0/source.png", 3, box=DETAIL)
        with pytest.raises(UsageError, match="leaves the picture"):
            client.similar("painter 0/source.png", box=(300, 0, 90, 90))
    assert [(hit.path, hit.box) for hit in hits] == [(hit.path, hit.box) for hit in there]


def test_filters_hold_for_details(gallery: Path) -> None:
    with Index.open(gallery / ".paint-search") as index:
        hits = index.similar("painter 0/source.png", 9, box=DETAIL, where={"artist": "painter 2"})
        assert {hit.painting.artist for hit in hits} == {"painter 2"}
        hits = index.similar("painter 0/source.png", 9, box=DETAIL, exclude={"artist": "painter 1"})
        assert "painter 1/host.png" not in {hit.path for hit in hits}
        assert index.similar("painter 0/source.png", 9, box=DETAIL, min_score=1.0) == []


def test_the_command_shows_boxes(gallery: Path, tmp_path: Path, cli: Cli) -> None:
    index = ("--index", gallery / ".paint-search")
    ask = ("similar", "painter 0/source.png", "--box", ",".join(map(str, DETAIL)), "-k", 2, *index)
    files = (tmp_path / "hits.png", tmp_path / "hits.html", tmp_path / "hits.csv")
    said = cli.ok(*ask, "--sheet", files[0], "--html", files[1], "--csv", files[2])
    assert "painter 1/host.png" in said.out
    hit = cli.ok(*ask, "--json").json["hits"][0]
    assert ",".join(map(str, hit["box"])) in said.out
    assert ",".join(map(str, hit["box"])) in files[2].read_text(encoding="utf-8")
    assert files[1].read_text(encoding="utf-8").count("<img ") == 3
    red = (np.asarray(Image.open(files[0]).convert("RGB")) == (178, 58, 42)).all(axis=2)
    assert red.sum() > 3 * 240  # the frame of what was asked, and boxes
    assert "details" in cli.ok("info", *index).out


@pytest.mark.parametrize(
    ("box", "why"),
    [
        ("1,2,3", "give left, top, width and height in whole pixels"),
        ("a,b,c,d", "give left, top, width and height in whole pixels"),
        ("0,0,4,90", "at least 8 x 8 pixels"),
        ("300,0,90,90", "it leaves the picture, which is 320 x 320 pixels"),
        ("-5,0,90,90", "it leaves the picture"),
    ],
)
def test_a_bad_box_is_one_sentence(gallery: Path, cli: Cli, box: str, why: str) -> None:
    outcome = cli(
        "similar", "painter 0/source.png", f"--box={box}", "--index", gallery / ".paint-search"
    )
    assert outcome.code == 2
    assert why in " ".join(outcome.err.replace("│", " ").split())


def test_what_does_not_go_with_a_box_is_said(gallery: Path) -> None:
    with Index.open(gallery / ".paint-search") as index:
        for options in ({"spread": 0.5}, {"compact_only": True}):
            with pytest.raises(UsageError, match="is of whole paintings"):
                index.similar("painter 0/source.png", box=DETAIL, **options)  # type: ignore[arg-type]
        with pytest.raises(UsageError, match="is a part of one painting"):
            index.recommend(["painter 0/source.png"], ["painter 1/host.png"], box=DETAIL)


def test_without_details_it_is_said_what_builds_them(in_museum: Path, cli: Cli) -> None:
    with Index.open() as index:
        painting = next(iter(index))
    outcome = cli("similar", painting.path, "--box", "0,0,50,50")
    assert outcome.code == 2
    assert "builds them" in outcome.err
    assert "--details" in outcome.err
    outcome = cli("index", "paintings", "--details")
    assert outcome.code == 1
    assert "this backbone has no feature map to find details in" in outcome.err


def test_later_runs_take_in_what_is_new_or_changed_and_what_has_gone(
    gallery: Path, tmp_path: Path, cli: Cli
) -> None:
    works = tmp_path / "works"
    works.mkdir()
    for number in range(4):
        blots(number).save(works / f"{number}.png")
    folder = tmp_path / ".paint-search"
    index = ("--index", folder)
    cli.ok("index", works, "--backbone", "builtin", "--details", *index)
    with Index.open(folder) as opened:
        before = opened.similar(works / "0.png", 9, box=(10, 10, 200, 200))
    assert len(before) == 3
    blots(77).save(works / "1.png")
    blots(78).save(works / "4.png")
    (works / "2.png").unlink()
    said = cli.ok("index", works, "--prune", *index)
    assert "details of 4 paintings" in said.err
    assert "2 new or changed, 1 removed" in said.err
    with Index.open(folder) as opened:
        assert sorted(opened.details().ids) == sorted(work.id for work in opened)
        assert {hit.path for hit in opened.similar(works / "0.png", 9, box=(10, 10, 200, 200))} == {
            "1.png", "3.png", "4.png",
        }  # fmt: skip
        assert opened.build_details().added == 0
        assert opened.info().details[0] == 4


def test_a_run_that_is_stopped_goes_on(tmp_path: Path) -> None:
    for number in range(6):
        blots(number).save(tmp_path / f"{number}.png")
    with Index.create(tmp_path, tmp_path / "index", backbone="builtin") as index:
        index.add()
        stopped = index.build_details(cancelled=lambda: True)
        assert stopped.interrupted
        assert 0 < stopped.added < 6
        rest = index.build_details()
        assert stopped.added + rest.added == rest.paintings == 6


def test_killed_at_any_moment_it_goes_on_and_finds_the_same(tmp_path: Path, cli: Cli) -> None:
    works, folder = tmp_path / "works", tmp_path / ".paint-search"
    works.mkdir()
    for number in range(6):
        blots(number).save(works / f"{number}.png")
    source, host = blots(100), blots(101)
    x, y, width, height = DETAIL
    host.paste(source.crop((x, y, x + width, y + height)), PASTED[:2])
    host.save(works / "host.png")
    ask = ("index", works, "--index", folder)
    boxed = ("similar", tmp_path / "source.png", "--box", ",".join(map(str, DETAIL)))
    boxed += ("--index", folder)

    def found() -> list[tuple[str, object, float]]:
        hits = cli.ok(*boxed, "--json").json["hits"]
        return [(hit["path"], hit["box"], hit["score"]) for hit in hits]

    def counts() -> tuple[int, set[str]]:
        left = {one.name for one in folder.glob("details*") if one.is_dir()}
        return cli.ok("info", "--index", folder, "--json").json["details"][0], left

    source.save(tmp_path / "source.png")
    # A row has been written, and not yet whose it is; of the next a part.
    killed("open", "ids.bin", 4, *ask, "--backbone", "builtin", "--details")
    with (folder / "details" / "rows.u8").open("ab") as stream:
        stream.write(bytes(1000))
    assert counts()[0] == 3
    assert "details of 3 of 7 paintings were searched" in cli.ok(*boxed).err
    said = cli.ok(*ask, "--details").err
    assert "details of 7 paintings" in said
    assert "4 new or changed" in said
    whole = found()
    assert len(whole) == 7
    assert whole[0][0] == "host.png"
    shutil.rmtree(folder / "details")
    with Index.open(folder) as again:
        assert again.build_details().added == 7
        hits = [hit.to_dict() for hit in again.similar(tmp_path / "source.png", box=DETAIL)]
    assert [(hit["path"], hit["box"], hit["score"]) for hit in hits] == whole
    # Rows of what has gone are left out of a second folder, which takes the place of the first; one
    # that had its place before is still there.
    (works / "0.png").unlink()
    shutil.copytree(folder / "details", folder / "details.old")
    killed("os.rename", "details.new", 1, *ask, "--prune")
    assert counts()[0] == 6
    left = found()
    assert left[0] == whole[0]
    assert {path for path, *_ in left} == {work.name for work in works.iterdir()}
    assert "details of 6 paintings" in cli.ok(*ask).err
    assert counts() == (6, {"details"})


def test_a_small_detail_of_a_large_scan_is_found_in_a_tile(tmp_path: Path, cli: Cli) -> None:
    works, folder = tmp_path / "works", tmp_path / ".paint-search"
    works.mkdir()
    for number in range(6):
        blots(number).save(works / f"{number}.png")
    source, scan = blots(100), Image.new("RGB", (4 * SIZE + 200, 3 * SIZE))
    for number in range(15):
        scan.paste(blots(number + 10), (number % 5 * SIZE, number // 5 * SIZE))
    x, y, width, height = DETAIL
    pasted = (1180, 230, *DETAIL[2:])  # a tenth of the longer side, and within one tile
    scan.paste(source.crop((x, y, x + width, y + height)), pasted[:2])
    source.save(works / "source.png")
    index = ("--index", folder)
    cli.ok("index", works, "--backbone", "builtin", "--details", *index)
    scan.save(works / "scan.png")
    killed("open", "details/rows.u8", 1, "index", works, *index)  # the tiles have been written
    assert "1 new or changed" in cli.ok("index", works, *index).err
    ask = ("similar", "source.png", "--box", ",".join(map(str, DETAIL)), "--json", *index)

    def first() -> tuple[str, float]:
        hits = cli.ok(*ask).json["hits"]
        assert len({hit["path"] for hit in hits}) == len(hits) == 7
        return hits[0]["path"], overlap(hits[0]["box"], pasted)

    path, overlapping = first()
    assert path == "scan.png"
    assert overlapping > 0.4
    codes = GRID * GRID * LENGTH
    whole, tiles = 8 * (codes + 16 + 24), 16 * codes + 16 + 16
    assert cli.ok("info", *index, "--json").json["details"] == [8, whole + tiles]
    # A folder of an earlier version has no tiles: it is searched as it is, and the next run adds
    # them; a scan that is no longer large has them no more.
    shutil.rmtree(folder / "details" / "tiles")
    assert first()[1] < 0.1
    assert "details of 8 paintings" in (said := cli.ok("index", works, *index).err)
    assert "1 new or changed" in said
    assert first() == (path, overlapping)
    scan.resize((700, 480)).save(works / "scan.png")
    assert "1 new or changed" in cli.ok("index", works, *index).err
    assert not (folder / "details" / "tiles" / "rows.u8").stat().st_size
    assert cli.ok("info", *index, "--json").json["details"][0] == 8


def test_details_pasted_into_others_are_looked_for(gallery: Path, tmp_path: Path, cli: Cli) -> None:
    asked = ("eval", "details", "--count", 4, "--index", gallery / ".paint-search")
    found = cli.ok(*asked, "--csv", tmp_path / "found.csv", "--json").json
    assert found["details"] == 4
    assert found["gallery"] == 14
    assert found["found"]["by the detail, with its box"]["count"] >= 1
    rows = (tmp_path / "found.csv").read_text(encoding="utf-8").splitlines()
    assert len(rows) == 5
    said = cli.ok(*asked).out
    assert "as a whole picture" in said
    with Index.open(gallery / ".paint-search") as index:
        again = studies.details(index, count=4)
    assert [dict(row) for row in again.to_dict()["pasted"]] == found["pasted"]


def test_marked_details_are_read_as_artminer_has_them(
    gallery: Path, tmp_path: Path, cli: Cli
) -> None:
    x, y, width, height = DETAIL
    left, top, wide, high = PASTED
    marked = {
        "hands": [
            {
                "query": ["source.png", [x, y, x + width, y + height]],
                "gt": [["host.png", [left, top, left + wide, top + high]]],
            }
        ]
    }
    file = tmp_path / "marked.json"
    file.write_text(json.dumps(marked), encoding="utf-8")
    asked = ("eval", "details", "--index", gallery / ".paint-search", "--annotations", file)
    assert cli.ok(*asked, "--json").json["mAP"] == 1.0
    file.write_text('{"hands": [{"query": "source.png"}]}', encoding="utf-8")
    outcome = cli(*asked)
    assert outcome.code == 2
    assert "has no marked details" in outcome.err


boxes = st.tuples(*[st.integers(0, 50)] * 2, *[st.integers(1, 50)] * 2)


@given(boxes, boxes)
def test_overlap_is_that_of_masks(one: tuple[int, ...], other: tuple[int, ...]) -> None:
    masks = np.zeros((2, 100, 100), dtype=bool)
    for mask, (x, y, width, height) in zip(masks, (one, other), strict=True):
        mask[y : y + height, x : x + width] = True
    expected = (masks[0] & masks[1]).sum() / (masks[0] | masks[1]).sum()
    assert overlap(one, other) == pytest.approx(expected)
    assert overlap(one, other) == overlap(other, one)


def test_average_precision_of_boxes() -> None:
    truths = [("a", (0, 0, 10, 10)), ("b", (0, 0, 10, 10))]
    right, wrong = ("a", (1, 0, 10, 10)), ("a", (50, 50, 10, 10))
    assert localisation_precision([right, ("b", (0, 0, 10, 10))], truths) == 1.0
    assert localisation_precision([wrong, right, right], truths) == pytest.approx(1 / 2 / 2)
    assert localisation_precision([], truths) == localisation_precision([right], []) == 0.0


def test_templates_lie_where_correlation_is_greatest() -> None:
    rng = np.random.default_rng(0)
    codes = rng.normal(size=(20, GRID, GRID, LENGTH)).astype(np.float32)
    codes /= np.linalg.norm(codes, axis=3, keepdims=True)
    own = codes[7, 3:6, 2:6]
    packed = pack(codes)
    lies = lay([Template(own, 4.0, 3.0)], [packed[:9], packed[9:]])
    assert int(lies.score.argmax()) == 7
    assert lies.at[7].tolist() == [3, 2]
    assert lies.cosine[7] == pytest.approx(1, abs=0.01)
    for painting in (0, 12):
        total = sum(
            correlate2d(codes[painting, :, :, i], own[:, :, i], mode="valid")
            for i in range(LENGTH)
        ) / 12  # fmt: skip
        assert lies.cosine[painting] == pytest.approx(total.max(), abs=0.01)
    share, transform = agreement(Template(own, 4.0, 3.0), packed[7])
    assert share > 0.9
    assert transform is not None
    assert transform.scale == pytest.approx(1, abs=0.05)
    share, transform = agreement(Template(own, 4.0, 3.0), packed[0])
    assert share < 0.5
