"""``verify`` and ``eval verify``: what they say, what they keep, what they refuse."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from academy import paint
from conftest import Cli, copy_tree
from PIL import Image
from sklearn.metrics import roc_auc_score

from paint_search import Index, studies
from paint_search.compress import works_held_out
from paint_search.errors import EvalError
from paint_search.verify import Material, TwoCovariance, cross_judge


@pytest.fixture(scope="module")
def salon_folder(academy: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The academy, and the first calibration of it. Read only."""
    home = copy_tree(academy, tmp_path_factory.mktemp("salon") / "academy")
    with Index.open(home / ".paint-search") as index:
        index.verifier().calibration()
    return home


@pytest.fixture
def salon(salon_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(salon_folder)
    return salon_folder


def manners(artists: int, each: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    means = np.repeat(rng.standard_normal((artists, 12)) * ([1.5] * 4 + [0.2] * 8), each, axis=0)
    rows = np.exp(0.3 * (means + rng.standard_normal((artists * each, 12))))
    return rows.astype(np.float32), np.repeat(np.arange(artists), each)


def test_two_covariances_tell_strangers_apart_better_than_the_cosine() -> None:
    model = TwoCovariance.fit(*manners(80, 6, 0))
    rows, codes = manners(40, 6, 1)
    left, right = np.triu_indices(len(rows), 1)
    same = codes[left] == codes[right]
    seen, centred = model.project(rows), model.centred(rows)
    ratio = roc_auc_score(same, model.ratio(seen[left], seen[right]))
    cosine = roc_auc_score(same, np.einsum("nd,nd->n", centred[left], centred[right]))
    assert ratio > cosine + 0.02
    np.testing.assert_allclose(
        model.ratio(seen[left], seen[right]), model.ratio(seen[right], seen[left])
    )
    agreement = model.agreement(seen[left], seen[right])
    assert roc_auc_score(same, agreement) > 0.7


def moments(rows: np.ndarray, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The two covariances without expectation maximisation: within artists, and what is left."""
    means = np.stack([rows[codes == code].mean(axis=0) for code in np.unique(codes)])
    apart = rows - means[codes]
    within = apart.T @ apart / (len(rows) - len(means))
    return within, np.cov(rows.T, bias=True) - within


def test_artists_of_few_and_of_many_works_are_weighed_better_than_by_moments() -> None:
    each, gains = [40] * 3 + [2] * 80, []
    for seed in (0, 2, 4):
        rng = np.random.default_rng(seed)
        spread = np.array([1.5] * 4 + [0.2] * 8)
        means = np.repeat(rng.standard_normal((83, 12)) * spread, each, axis=0)
        rows = np.exp(0.3 * (means + rng.standard_normal((sum(each), 12)))).astype(np.float32)
        codes = np.repeat(np.arange(83), each)
        model = TwoCovariance.fit(rows, codes)
        within, between = moments(model.project(rows), codes)
        total = np.linalg.inv(within + between)
        joint = np.linalg.inv(within + between - between @ total @ between)
        others, names = manners(60, 6, seed + 1)
        left, right = np.triu_indices(len(others), 1)
        same, seen = names[left] == names[right], model.project(others)
        plain = replace(model, quadratic=total - joint, product=total @ between @ joint)
        gains.append(
            roc_auc_score(same, model.ratio(seen[left], seen[right]))
            - roc_auc_score(same, plain.ratio(seen[left], seen[right]))
        )
    assert np.mean(gains) > 0.001


def test_a_pair_by_one_hand_and_a_pair_by_two(salon: Path, cli: Cli, tmp_path: Path) -> None:
    """Pictures that are not in the index, by artists who are."""
    for artist, work in ((3, 50), (3, 51), (17, 50)):
        paint(tmp_path / f"{artist}-{work}.png", artist, work)
    one, other, stranger = (tmp_path / f"{name}.png" for name in ("3-50", "3-51", "17-50"))
    same = cli.ok("verify", one, other)
    assert same.out.startswith("probably the same artist: ")
    assert "that one artist made both, if half of all pairs" in same.err
    different = cli.ok("verify", one, stranger)
    assert different.out.startswith("probably not the same artist: ")
    result = cli.ok("verify", one, other, "--json").json
    assert result["says"] == "same"
    assert result["probability"] > 0.6
    assert cli.ok("verify", other, one, "--json").json["probability"] == result["probability"]


def test_references_are_indexed_pairs_of_about_the_same_probability(salon: Path, cli: Cli) -> None:
    result = cli.ok("verify", "12.png", "13.png", "--json").json
    kinds = [pair["same"] for pair in result["references"]]
    assert kinds == [True, False] * 3
    for pair in result["references"]:
        assert (pair["one"]["artist"] == pair["other"]["artist"]) == pair["same"]
        assert not {pair["one"]["path"], pair["other"]["path"]} & {"12.png", "13.png"}
    unseen = json.loads((salon / ".paint-search" / "verification" / "calibration.json").read_text())
    assert unseen["artists"] == result["artists"] >= 6


def test_they_are_shown_as_paintings(salon: Path, cli: Cli, tmp_path: Path) -> None:
    told = ("--sheet", tmp_path / "pair.png", "--csv", tmp_path / "pairs.csv")
    verdict = cli.ok("verify", "12.png", "13.png", *told, "--json").json
    rows = list(csv.DictReader((tmp_path / "pairs.csv").open()))
    assert [(row["one_path"], float(row["probability"])) for row in rows] == [
        (pair["one"]["path"], pair["probability"]) for pair in verdict["references"]
    ]
    with Image.open(tmp_path / "pair.png") as sheet:
        assert sheet.size[0] == 4 * 260 + 20
        assert len(sheet.convert("RGB").getcolors(1 << 20) or []) > 100
    outcome = cli("verify", "12.png", "13.png", "--sheet", tmp_path / "pair.what")
    assert outcome.code == 2
    assert "name a .jpg or .png file" in outcome.err


def test_near_even_odds_and_strange_pictures_are_not_judged(
    salon: Path, cli: Cli, tmp_path: Path
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (48, 48, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png")
    strange = cli.ok("verify", "12.png", tmp_path / "noise.png", "--json").json
    assert strange["says"] == "cannot tell"
    assert "is unlike all that was calibrated on" in strange["reason"]
    with Index.open() as index:
        even = index.verifier(unsure=(0.0, 1.0)).verify("12.png", "13.png")
    assert even.describe().startswith("cannot tell: ")
    assert even.describe().endswith("(little better than a coin)")


def test_the_calibration_is_made_once_and_anew_for_another_compressor(
    academy: Path, cli: Cli, tmp_path: Path
) -> None:
    home = copy_tree(academy, tmp_path / "academy")
    index = ("--index", home / ".paint-search")
    pair = (home / "paintings" / "12.png", home / "paintings" / "13.png")
    assert "calibrating on pairs" in cli.ok("verify", *pair, *index).err
    file = home / ".paint-search" / "verification" / "calibration.json"
    before = file.stat().st_mtime_ns
    assert "calibrating" not in cli.ok("verify", *pair, *index).err
    assert file.stat().st_mtime_ns == before
    for damage in ("{", "[" * 100_000):
        file.write_text(damage)
        assert "calibrating" in cli.ok("verify", *pair, *index).err, "a damaged one is made again"
    cli.ok("compress", "--method", "pca", "--dims", 8, "--drop-full", *index)
    assert "calibrating" in cli.ok("verify", *pair, *index).err
    cli.ok("remove", "--where", "movement=Movement 1", *index)
    assert "calibrating" in cli("verify", *pair, *index).err, "a fifth of the works has gone"


def test_a_question_needs_neither_torch_nor_scikit_learn(salon: Path) -> None:
    program = (
        "import sys; from paint_search import Index\n"
        "with Index.open() as index: print(index.verify('12.png', '13.png').describe())\n"
        "heavy = {'torch', 'timm', 'sklearn', 'faiss', 'pytorch_metric_learning'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    said, loaded = run.stdout.splitlines()
    assert "artist" in said or "cannot tell" in said
    assert loaded == "[]"


def test_the_study_keeps_both_sides_apart(salon: Path, cli: Cli, tmp_path: Path) -> None:
    csv_file, plot = tmp_path / "artists.csv", tmp_path / "reliability.svg"
    with Index.open() as index:
        found = studies.verify(index, samples=20)
        _, material = index.verifier().material()
    found.write_csv(csv_file)
    found.plot(plot)
    out = cli.ok("eval", "verify").out
    assert "unseen artists: 19,998 pairs of works by 7 artists" in out
    for word in ("AUC", "average precision", "equal error rate", "calibration error"):
        assert word in out
    assert "taken for two  taken for one" in out
    assert "against look-alikes" in out
    assert "as promised" in plot.read_text()
    rows = list(csv.DictReader(csv_file.open()))
    unseen = {material.artists[row] for row in np.flatnonzero(material.unseen)}
    assert {row["artist"] for row in rows if row["side"] == "unseen"} == unseen
    result = found.to_dict()
    (tn, fp), (fn, tp) = result["unseen"]["confusion"]
    assert tn + fp == fn + tp == 9_999
    assert result["unseen"]["figures"]["accuracy"] == pytest.approx((tn + tp) / 19_998)
    assert result["unseen"]["figures"]["AUC"] > 0.8
    assert result["look_alikes"]["AUC"] < result["unseen"]["figures"]["AUC"], "they are harder"


def test_no_pair_crosses_folds_or_sides(salon: Path) -> None:
    with Index.open() as index:
        ids, _ = index.vectors()
        _, material = index.verifier().material()
    passed = works_held_out_of(material, ids)
    assert not (material.learned & (material.unseen | material.seen)).any()
    assert not (material.learned & passed).any()
    names = np.array([str(name) for name in material.artists])
    assert not set(names[material.unseen]) & set(names[material.learned])
    assert set(names[material.seen]) <= set(names[~material.unseen])
    judged = cross_judge(material, "unseen", count=4000)
    pairs = judged.pairs
    assert material.unseen[pairs.left].all()
    assert material.unseen[pairs.right].all()
    meets: dict[str, set[str]] = {}
    for a, b in zip(names[pairs.left], names[pairs.right], strict=True):
        meets.setdefault(a, set()).add(b)
    together = set.union(*(meets[name] | {name} for name in list(meets)[:1]))
    assert len(together) < len(set(names[material.unseen])), "folds keep artists apart"


def works_held_out_of(material: Material, ids: list[str]) -> np.ndarray:
    from paint_search.compress import choose_hold_out

    return works_held_out(choose_hold_out(ids, material.artists), ids)


def test_a_siamese_index_is_judged_on_artists_its_head_never_saw(
    academy: Path, cli: Cli, tmp_path: Path
) -> None:
    home = copy_tree(academy, tmp_path / "academy")
    with Index.open(home / ".paint-search") as index:
        index.compress("siamese", 16, seed=1)
        made = index.manifest.compression
        ids, material = index.verifier().material()
    assert made is not None
    held = made.split.held_out(ids, material.artists)
    np.testing.assert_array_equal(material.unseen, held)
    assert material.codes is not None
    assert material.codes.shape[1] == 16
    assert material.learned.sum() == made.fitted_to
    pair = (home / "paintings" / "12.png", home / "paintings" / "13.png")
    assert cli.ok("verify", *pair, "--index", home / ".paint-search").out


@pytest.mark.parametrize(
    ("one", "other", "says", "code"),
    [
        ("12.png", "12.png", "are the same painting; name two", 2),
        ("12.png", "nowhere.png", "neither an image file nor an indexed painting", 2),
        ("12.png", "works.csv", "cannot be looked for", 1),
    ],
)
def test_bad_queries_are_sentences(
    salon: Path, cli: Cli, one: str, other: str, says: str, code: int
) -> None:
    given = salon / "paintings" / other
    outcome = cli("verify", one, given if given.exists() else other)
    assert outcome.code == code
    assert says in outcome.err


def test_an_index_of_few_artists_cannot_be_calibrated(in_museum: Path, cli: Cli) -> None:
    for command in (("verify", "a", "b"), ("eval", "verify")):
        outcome = cli(*command)
        assert outcome.code == 1
        assert "This index has 10 artists with two works or more" in outcome.err


@pytest.mark.parametrize(
    "artists",
    [["one"] * 60, [f"artist {row}" for row in range(60)], [None] * 60],
    ids=["one artist", "one work each", "no labels"],
)
def test_artists_that_teach_nothing_are_refused(artists: list[str | None]) -> None:
    ids = [f"{row:032x}" for row in range(60)]
    vectors = np.random.default_rng(0).random((60, 8)).astype(np.float32)
    with pytest.raises(EvalError, match=r"This index has [01] artists with two works"):
        Material.deal(ids, artists, vectors, None, None)


def test_killed_while_calibrating_nothing_is_lost(academy: Path, tmp_path: Path, cli: Cli) -> None:
    home = copy_tree(academy, tmp_path / "academy")
    program = (
        "import os, signal, sys; from paint_search import Index\n"
        "index = Index.open(sys.argv[1])\n"
        "def watch(event, args):\n"
        "    if event == 'os.rename': os.kill(os.getpid(), signal.SIGKILL)\n"
        "sys.addaudithook(watch); index.verifier().calibration()"
    )
    index = home / ".paint-search"
    run = subprocess.run([sys.executable, "-c", program, str(index)], capture_output=True)
    assert run.returncode == -9
    pair = (home / "paintings" / "12.png", home / "paintings" / "13.png")
    assert "calibrating" in cli.ok("verify", *pair, "--index", index).err
