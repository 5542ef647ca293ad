"""The siamese compressor: what it learns, how it is saved, how an index is searched by it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import Cli, copy_tree
from numpy.typing import NDArray

from paint_search import Index
from paint_search.compress import Siamese, check_collapse, load_compressor, works_held_out
from paint_search.errors import CompressError
from paint_search.eval import PairSource, same_label_auc

SIAMESE = ("--method", "siamese", "--dims", 16)
Vectors = NDArray[np.float32]


def works(
    artists: int, each: int, seed: int = 0, strength: float = 1.5
) -> tuple[Vectors, list[str]]:
    """An artist is a point in 6 of 40 directions; the other 34 vary much more and say nothing."""
    rng = np.random.default_rng(seed)
    manner = np.repeat(strength * rng.standard_normal((artists, 6)), each, axis=0)
    noise = rng.standard_normal((artists * each, 40)) * ([0.5] * 6 + [1.5] * 34)
    noise[:, :6] += manner
    return np.exp(0.3 * noise).astype(np.float32), [
        f"artist {number // each}" for number in range(artists * each)
    ]


@pytest.fixture(scope="module")
def fitted() -> Siamese:
    vectors, labels = works(60, 8)
    return Siamese(16, seed=3).fit(vectors, labels)


@pytest.fixture(scope="module")
def school(academy: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The academy with compact vectors that learned its artists, and what that printed."""
    home = copy_tree(academy, tmp_path_factory.mktemp("schooled") / "academy")
    told = Cli().ok("compress", *SIAMESE, "--label", "artist", "--index", home / ".paint-search")
    return home, told.out


@pytest.fixture
def schooled(school: tuple[Path, str]) -> Path:
    """Its folder. Read only."""
    return school[0]


def test_artists_it_never_saw_are_told_apart_better(fitted: Siamese) -> None:
    vectors, labels = works(30, 8, seed=99)
    before, after = (same_label_auc(v, labels) for v in (vectors, fitted.transform(vectors)))
    assert before < 0.7
    assert after > before + 0.05
    assert fitted.auc_ > 0.7


def test_the_same_seed_gives_the_same_head_and_another_another() -> None:
    vectors, labels = works(16, 4, strength=6)  # so plain that it soon stops
    one, again, other = (
        Siamese(16, seed=seed).fit(vectors, labels).transform(vectors) for seed in (3, 3, 4)
    )
    np.testing.assert_allclose(again, one, atol=1e-4)
    assert np.abs(other - one).max() > 0.05


def test_half_of_a_code_is_the_head_that_torch_trained(fitted: Siamese, tmp_path: Path) -> None:
    import torch
    from safetensors.torch import load_file
    from torch.nn import functional

    fitted.save(tmp_path, "abc")
    saved = load_file(tmp_path / "compressor.safetensors")
    rows = torch.from_numpy(works(5, 4, seed=7)[0])
    rooted = functional.normalize(functional.normalize(rows, dim=1).sqrt(), dim=1)
    seen = functional.normalize(rooted - saved["plain.mean"], dim=1) * 40**0.5
    hidden = functional.linear(seen, saved["hidden.weight"], saved["hidden.bias"]).relu()
    head = functional.linear(seen, saved["linear.weight"])
    head = functional.normalize(head + functional.linear(hidden, saved["out.weight"]), dim=1)
    codes = torch.from_numpy(fitted.transform(rows.numpy()))
    np.testing.assert_allclose(functional.normalize(codes[:, :8], dim=1), head, atol=1e-5)


def test_saved_and_loaded_it_answers_the_same_without_torch(
    fitted: Siamese, tmp_path: Path
) -> None:
    vectors, _ = works(5, 4, seed=7)
    fitted.save(tmp_path, "abc")
    np.save(tmp_path / "v.npy", vectors)
    program = (
        "import sys, numpy as np; from pathlib import Path\n"
        "from paint_search.compress import load_compressor\n"
        "f = Path(sys.argv[1]); c = load_compressor(f, 'abc')\n"
        "np.save(f / 'codes.npy', c.transform(np.load(f / 'v.npy')))\n"
        "assert not {'torch', 'sklearn', 'pytorch_metric_learning'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=True)
    np.testing.assert_allclose(
        np.load(tmp_path / "codes.npy"), fitted.transform(vectors), atol=1e-5
    )


@pytest.mark.parametrize("name", ["linear.weight", "plain.components", "decoder"])
def test_a_damaged_file_is_a_sentence(fitted: Siamese, tmp_path: Path, name: str) -> None:
    from safetensors.numpy import load_file, save_file

    fitted.save(tmp_path, "abc")
    arrays = load_file(tmp_path / "compressor.safetensors")
    del arrays[name]
    save_file(arrays, tmp_path / "compressor.safetensors")
    with pytest.raises(CompressError, match="is damaged"):
        load_compressor(tmp_path, "abc")


def test_labels_that_say_nothing_are_called_a_collapse() -> None:
    vectors, labels = works(60, 8)
    shuffled = np.random.default_rng(5).permutation(labels).tolist()
    with pytest.raises(CompressError, match=r"collapsed: .* AUC of 0\.\d\d, where 0\.5 is chance"):
        Siamese(16).fit(vectors, shuffled)


def test_vectors_that_are_all_alike_are_called_a_collapse() -> None:
    vectors, labels = works(10, 4)
    pairs = PairSource(labels).draw(200, 0)
    alike = np.float32([1.0, 0.01]) * np.stack([np.ones(40), vectors[:, 0]], 1)
    with pytest.raises(CompressError, match="collapsed: all works are alike"):
        check_collapse(lambda rows: alike[rows], pairs)
    with pytest.raises(CompressError, match="collapsed: all works are alike"):
        check_collapse(lambda rows: np.full((len(rows), 2), np.nan, np.float32), pairs)


@pytest.mark.parametrize(
    "labels",
    [["one"] * 40, [f"artist {row}" for row in range(40)], [None] * 40, ["one", "two"] * 20],
    ids=["one artist", "one work each", "none named", "two artists"],
)
def test_too_few_labels_are_a_sentence(labels: list[str | None]) -> None:
    with pytest.raises(CompressError, match=r"at least four of them; here are [0-2] among"):
        Siamese(4).fit(works(10, 4)[0], labels)


def test_without_labels_or_with_one_dimension_it_refuses() -> None:
    vectors, labels = works(10, 4)
    with pytest.raises(CompressError, match="one label for each painting"):
        Siamese(4).fit(vectors)
    with pytest.raises(CompressError, match="has 2 dimensions or more"):
        Siamese(1).fit(vectors, labels)


def test_the_index_is_searched_and_studied_by_what_it_learned(
    schooled: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(schooled)
    with Index.open() as index:
        ids, codes = index.vectors()
        artists = [str(artist) for artist in index.field("artist")]
        paintings = list(index.paintings())
        made = index.manifest.compression
    assert codes.shape == (160, 16)
    row = ids.index(paintings[5].id)
    hits = cli.ok("similar", paintings[5].path, "-k", 3, "--json").json["hits"]
    order = np.argsort(-(codes @ codes[row]))
    assert hits[0]["path"] == paintings[order[1]].path
    assert hits[0]["score"] == pytest.approx(float(codes[order[1]] @ codes[row]), abs=1e-3)
    exact = cli.ok("similar", paintings[5].path, "-k", 3, "--exact", "--json").json["hits"]
    assert exact == hits
    assert made is not None
    assert made.told is not None
    held = made.split.held_out(ids, artists)
    told = same_label_auc(codes[held], [artists[row] for row in np.flatnonzero(held)])
    assert made.told.auc == pytest.approx(told, abs=0.01)
    info = cli.ok("info").out
    assert "tells the same artist from another with an AUC of" in info
    assert "exact: compared with every painting" in info
    assert "way to search" not in info


def test_some_works_of_the_learned_artists_are_passed_over(schooled: Path) -> None:
    with Index.open(schooled / ".paint-search") as index:
        ids, _ = index.vectors()
        artists = index.field("artist")
        made = index.manifest.compression
    assert made is not None
    unseen, passed = made.split.held_out(ids, artists), works_held_out(made.split, ids)
    assert (passed & ~unseen).sum() > 0
    assert made.fitted_to == (~passed & ~unseen).sum()


def test_it_says_what_it_is_for(school: tuple[Path, str], cli: Cli, tmp_path: Path) -> None:
    home, out = copy_tree(school[0], tmp_path / "academy"), school[1]
    index = ("--index", home / ".paint-search")
    assert "AUC, same artist" in out
    assert "searches and studies take scores from them alone" in out
    told = json.loads((home / ".paint-search" / "manifest.json").read_text())["compression"]["told"]
    assert told["label"] == "artist"
    cli.ok("compress", "--method", "pca", "--dims", 6, *index)
    assert "in two steps" in cli.ok("info", *index).out, "another method goes back"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--method", "pca", "--label", "artist"), "does not learn from labels"),
        ((*SIAMESE, "--label", "genre"), "no painting has a field 'genre'"),
        ((*SIAMESE, "--label", "title"), "at least four of them; here are 0"),
    ],
)
def test_labels_that_cannot_be_learned_are_refused(
    academy: Path, cli: Cli, arguments: tuple[object, ...], says: str
) -> None:
    outcome = cli("compress", *arguments, "--index", academy / ".paint-search")
    assert outcome.code in (1, 2)
    assert says in outcome.err
