"""Walking a corpus: depth, links, hidden and system files, what cannot be read, names."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from images import write

from paint_search.indexer.corpus import find_file, scan

COMPOSED, DECOMPOSED = "Albrecht D\u00fcrer", "Albrecht Du\u0308rer"

Walk = tuple[list[str], list[tuple[str, str]]]


def walk(folder: Path, root: Path | None = None) -> Walk:
    """Return the paths found and the (path, reason) of what could not be looked at."""
    unreadable: list[tuple[str, str]] = []
    found = scan(folder, root or folder, lambda path, reason: unreadable.append((path, reason)))
    return [file.path for file in found], unreadable


def corpus(root: Path, *files: str) -> Path:
    for file in files:
        write(root / file, file)
    return root


def test_finds_every_file_below_sorted_within_each_folder(tmp_path: Path) -> None:
    corpus(tmp_path, "b/2.jpg", "b/10.jpg", "a/x/y/z/deep.png", "c.txt", "a/a.jpg", "Z.jpg")
    expected = ["Z.jpg", "a/a.jpg", "a/x/y/z/deep.png", "b/10.jpg", "b/2.jpg", "c.txt"]
    assert walk(tmp_path) == (expected, [])


def test_says_where_the_file_is_how_large_and_how_old(tmp_path: Path) -> None:
    file = write(tmp_path / "Monet" / "lilies.jpg", b"x" * 123)
    os.utime(file, ns=(0, 1_234_567_890_123_456_789))
    (scanned,) = scan(tmp_path, tmp_path, lambda path, reason: None)
    assert (scanned.path, scanned.location) == ("Monet/lilies.jpg", file)
    assert (scanned.size, scanned.mtime_ns) == (123, 1_234_567_890_123_456_789)


def test_paths_of_a_folder_inside_the_corpus_are_relative_to_the_corpus(tmp_path: Path) -> None:
    corpus(tmp_path, "a/b/1.jpg", "c/2.jpg")
    assert walk(tmp_path / "a", tmp_path) == (["a/b/1.jpg"], [])


def test_goes_deeper_than_pythons_recursion(tmp_path: Path) -> None:
    depth = sys.getrecursionlimit() + 100
    folders = [tmp_path]
    try:
        for _ in range(depth):
            folders.append(folders[-1] / "d")
            folders[-1].mkdir()
        write(folders[-1] / "x.jpg")
        assert walk(tmp_path) == (["d/" * depth + "x.jpg"], [])
    finally:  # pytest's own cleaning recurses
        (folders[-1] / "x.jpg").unlink(missing_ok=True)
        for folder in reversed(folders[1:]):
            folder.rmdir()


def test_paths_are_composed_and_lead_to_the_file_whatever_it_is_called(tmp_path: Path) -> None:
    corpus(tmp_path, f"{DECOMPOSED}/{DECOMPOSED}.jpg")
    assert walk(tmp_path) == ([f"{COMPOSED}/{COMPOSED}.jpg"], [])
    assert walk(tmp_path / DECOMPOSED, tmp_path) == ([f"{COMPOSED}/{COMPOSED}.jpg"], [])
    (file,) = scan(tmp_path, tmp_path, lambda path, reason: None)
    assert file.location.read_text() == f"{DECOMPOSED}/{DECOMPOSED}.jpg"
    assert find_file(tmp_path, file.path).read_text() == f"{DECOMPOSED}/{DECOMPOSED}.jpg"
    assert find_file(tmp_path, f"{COMPOSED}/gone.jpg") == tmp_path / COMPOSED / "gone.jpg"


@pytest.mark.skipif(sys.platform == "darwin", reason="one name there")
def test_folders_whose_names_look_alike_are_one(tmp_path: Path) -> None:
    corpus(tmp_path, f"{DECOMPOSED}/1.jpg", f"{COMPOSED}/2.jpg", f"{DECOMPOSED}/x/3.jpg")
    corpus(tmp_path, f"{COMPOSED}/x/4.jpg", f"{COMPOSED}/5.jpg", f"{DECOMPOSED}/5.jpg", "a.jpg")
    paths = [f"{COMPOSED}/{name}.jpg" for name in ("1", "2", "5", "x/3", "x/4")]
    found, unreadable = walk(tmp_path)
    assert found == [*paths, "a.jpg"]
    assert unreadable == [
        (f"{COMPOSED}/5.jpg", "another file here has the same name, written otherwise; rename one")
    ]
    for path in paths:
        assert find_file(tmp_path, path).is_file()


def test_the_same_name_in_two_folders_is_two_files(tmp_path: Path) -> None:
    corpus(tmp_path, "Manet/1.jpg", "Monet/1.jpg")
    assert walk(tmp_path) == (["Manet/1.jpg", "Monet/1.jpg"], [])


@pytest.mark.parametrize(
    "hidden",
    [
        ".DS_Store",
        "._lilies.jpg",
        ".git/x.jpg",
        "a/.cache/b/x.jpg",
        ".paint-search/contact.jpg",
        "Thumbs.db",
        "desktop.ini",
        "DESKTOP.INI",
        "__MACOSX/a/x.jpg",
        "@eaDir/x.jpg",
        "$RECYCLE.BIN/x.jpg",
        "System Volume Information/x",
        "lost+found/x.jpg",
    ],
)
def test_hidden_and_system_files_are_passed_over_in_silence(tmp_path: Path, hidden: str) -> None:
    corpus(tmp_path, hidden, "a/seen.jpg")
    assert walk(tmp_path) == (["a/seen.jpg"], [])


def test_a_hidden_corpus_may_be_indexed_when_it_is_named(tmp_path: Path) -> None:
    corpus(tmp_path / ".private", "a.jpg")
    assert walk(tmp_path / ".private") == (["a.jpg"], [])


@pytest.mark.parametrize(
    "name",
    [
        "Ōkubo – 雪.jpg",
        "Лето.jpg",
        "لوحة.jpg",
        "ภาพวาด.jpg",
        "🎨.jpg",
        "\u00e9t\u00e9.jpg",
        "two\nlines.jpg",
        "tab\t.jpg",
        " space .jpg",
        "back\\slash.jpg",
        'quote".jpg',
        "#?%.jpg",
    ],
)
def test_names_in_any_script_come_as_they_are(tmp_path: Path, name: str) -> None:
    corpus(tmp_path, f"{name}.d/{name}")
    assert walk(tmp_path) == ([f"{name}.d/{name}"], [])


@pytest.mark.parametrize("place", [b"caf\xe9.jpg", b"caf\xe9/x.jpg"])
def test_undecodable_names_are_reported_readably(tmp_path: Path, place: bytes) -> None:
    corpus(tmp_path, "good.jpg")
    write(Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + place)))
    shown = place.split(b"/")[0].decode(errors="backslashreplace")
    expected = [(shown, "file name is not valid text; rename it")]
    assert walk(tmp_path) == (["good.jpg"], expected)
    shown.encode()


def link_to_itself(root: Path) -> None:
    (root / "a" / "loop").symlink_to("loop")


def link_to_the_top(root: Path) -> None:
    (root / "a" / "up").symlink_to(root)


def link_to_the_parent(root: Path) -> None:
    (root / "a" / "up").symlink_to("..")


def link_to_a_sibling(root: Path) -> None:
    (root / "a" / "twin").symlink_to("../b", target_is_directory=True)


def two_folders_linking_to_each_other(root: Path) -> None:
    (root / "a" / "to_b").symlink_to("../b")
    (root / "b" / "to_a").symlink_to("../a")


@pytest.mark.parametrize(
    ("make", "reported"),
    [
        (link_to_itself, 1),
        (link_to_the_top, 0),
        (link_to_the_parent, 0),
        (link_to_a_sibling, 0),
        (two_folders_linking_to_each_other, 0),
    ],
)
def test_links_inside_the_corpus_neither_loop_nor_double(
    tmp_path: Path, make: Callable[[Path], None], reported: int
) -> None:
    corpus(tmp_path, "a/1.jpg", "b/2.jpg")
    make(tmp_path)
    found, unreadable = walk(tmp_path)
    assert found == ["a/1.jpg", "b/2.jpg"]
    assert len(unreadable) == reported


def test_links_out_of_the_corpus_are_followed_once(tmp_path: Path) -> None:
    root = corpus(tmp_path / "corpus", "a/1.jpg")
    outside = corpus(tmp_path / "outside", "in/2.jpg")
    (root / "more").symlink_to(outside)
    (outside / "in" / "back").symlink_to(root)
    (outside / "in" / "up").symlink_to(outside)
    assert walk(root) == (["a/1.jpg", "more/in/2.jpg"], [])


@pytest.mark.parametrize("passed_over", [".hidden", "@eaDir"])
def test_a_link_into_a_folder_that_is_passed_over_is_the_only_way_to_it(
    tmp_path: Path, passed_over: str
) -> None:
    corpus(tmp_path, f"{passed_over}/1.jpg")
    (tmp_path / "shown").symlink_to(passed_over)
    assert walk(tmp_path) == (["shown/1.jpg"], [])


def test_the_corpus_itself_may_be_a_link(tmp_path: Path) -> None:
    corpus(tmp_path / "real", "a/1.jpg")
    (tmp_path / "real" / "a" / "up").symlink_to(tmp_path / "real")
    (tmp_path / "link").symlink_to("real")
    assert walk(tmp_path / "link") == (["a/1.jpg"], [])


def test_links_to_files_are_files_and_broken_ones_are_reported(tmp_path: Path) -> None:
    corpus(tmp_path / "corpus", "1.jpg")
    (tmp_path / "corpus" / "2.jpg").symlink_to(write(tmp_path / "outside.jpg"))
    (tmp_path / "corpus" / "3.jpg").symlink_to("nothing.jpg")
    reason = "link to a file that does not exist"
    assert walk(tmp_path / "corpus") == (["1.jpg", "2.jpg"], [("3.jpg", reason)])


def test_pipes_are_neither_opened_nor_reported(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "link.jpg").symlink_to("pipe.jpg")
    assert walk(tmp_path) == ([], [])


_AS_NOBODY = """
import os, sys
from pathlib import Path
from paint_search.indexer.corpus import find_file, scan

COMPOSED, DECOMPOSED = "Albrecht D\u00fcrer", "Albrecht Du\u0308rer"
root = Path(sys.argv[1])
if os.getuid() == 0:
    os.setuid(65534)
for file in scan(root, root, lambda path, reason: print(path, reason, sep=": ")):
    print(file.path)
"""


def test_an_unreadable_folder_costs_one_line_and_not_the_rest(tmp_path: Path) -> None:
    corpus(tmp_path, "a/1.jpg", "locked/2.jpg", "names_only/3.jpg", "z/4.jpg")
    shared = Path(tempfile.gettempdir())
    for folder in (*tmp_path.parents, tmp_path):
        if folder.is_relative_to(shared) and folder != shared:
            folder.chmod(0o755)
    (tmp_path / "locked").chmod(0o000)
    (tmp_path / "names_only").chmod(0o744 if os.getuid() == 0 else 0o400)
    try:
        done = subprocess.run(
            [sys.executable, "-c", _AS_NOBODY, str(tmp_path)],
            capture_output=True,
            text=True,
            check=True,
        )
    finally:
        (tmp_path / "locked").chmod(0o755)
        (tmp_path / "names_only").chmod(0o755)
    assert done.stdout.splitlines() == [
        "a/1.jpg",
        "locked: folder cannot be read: Permission denied",
        "names_only/3.jpg: cannot be looked at: Permission denied",
        "z/4.jpg",
    ]


def test_a_folder_that_vanishes_while_walking_is_reported(tmp_path: Path) -> None:
    corpus(tmp_path, "a/1.jpg", "b/2.jpg")
    unreadable: list[str] = []
    files = scan(tmp_path, tmp_path, lambda path, reason: unreadable.append(path))
    assert next(files).path == "a/1.jpg"
    (tmp_path / "b" / "2.jpg").unlink()
    (tmp_path / "b").rmdir()
    assert (list(files), unreadable) == ([], ["b"])


_NAMES = st.text(st.sampled_from("aé雪.,; '\\"), min_size=1, max_size=4).filter(
    lambda name: not name.startswith(".")
)


@given(paths=st.sets(st.tuples(_NAMES, _NAMES, _NAMES).map("/".join), max_size=6))
def test_what_was_written_is_what_is_found(
    tmp_path_factory: pytest.TempPathFactory, paths: set[str]
) -> None:
    root = corpus(tmp_path_factory.mktemp("any"), *paths)
    found, unreadable = walk(root)
    assert (sorted(found), unreadable) == (sorted(paths), [])
    assert found == walk(root)[0]
    assert [path.split("/") for path in found] == sorted(path.split("/") for path in found)
