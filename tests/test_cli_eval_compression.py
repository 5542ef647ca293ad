"""``paint-search eval compression``: its figures, on works held out, its page and its figure."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self
from xml.etree import ElementTree

import numpy as np
import pytest
from academy import EVIL, Held, read_academy
from conftest import Cli, Outcome, copy_tree
from pages import Elements, opened, running_browser
from PIL import Image
from studied import read_csv

from paint_search import Index, studies
from paint_search.compress import PCA
from paint_search.eval import fidelity

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@pytest.fixture
def in_academy(academy: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(academy)
    return academy


QUICK = ("eval", "compression", "--method", "pca", "--min-works", 2)


@dataclass(frozen=True)
class Study:
    """One run with all that it can write, and the same for machines."""

    outcome: Outcome
    told: dict[str, Any]
    table: Path
    figure: Path
    page: Path


@pytest.fixture(scope="module")
def study(academy: Path, tmp_path_factory: pytest.TempPathFactory) -> Study:
    home = tmp_path_factory.mktemp("study")
    table, figure, page = (home / name for name in ("t.csv", "f.svg", "p.html"))
    options = [*QUICK, "--dims", 8, "--dims", 4, "--index", academy / ".paint-search"]
    outcome = Cli().ok(*options, "--csv", table, "--plot", figure, "--html", page)
    told = Cli().ok(*options, "--json").json
    return Study(outcome, told, table, figure, page)


@pytest.fixture(scope="module")
def held(academy: Path) -> Held:
    """The index's works, and which of them seed 0 holds out."""
    return read_academy(academy, seed=0)


# What is measured.


def test_figures_are_those_of_works_that_were_held_out(study: Study, held: Held) -> None:
    told = study.told
    assert (told["training"], told["held_out"]) == ((~held.mask).sum(), held.mask.sum())
    length = held.vectors.shape[1]
    assert told["full"] == {"dims": length, "bytes": 2 * length}
    assert [(trial["method"], trial["dims"]) for trial in told["trials"]] == [
        ("pca", 4),
        ("pca", 8),
    ]
    for trial in told["trials"]:
        full, codes = held.codes(trial["dims"])
        labels = held.of(held.artists), held.of(held.movements)
        expected = fidelity(full, codes, *labels, min_works=2, seed=0).to_dict()
        assert {name: trial[name] for name in expected} == expected
        assert trial["bytes"] == 2 * trial["dims"]
        assert trial["fit_seconds"] > 0
        assert trial["transform_ms_per_1000"] > 0
    small, large = told["trials"]
    assert small["recall"]["10"] < large["recall"]["10"] <= 1
    inside = {name for name, out in zip(held.artists, held.mask, strict=True) if not out}
    assert not inside & set(held.of(held.artists))


def test_a_filter_does_not_change_who_is_held_out(in_academy: Path, cli: Cli, held: Held) -> None:
    only = [f"--where=movement=Movement {number}" for number in range(4)]
    told = cli.ok(*QUICK, "--dims", 4, *only, "--json").json
    chosen = np.array([movement != "Movement 4" for movement in held.movements])
    assert told["held_out"] == (held.mask & chosen).sum()
    assert told["training"] == (~held.mask & chosen).sum()


def test_another_seed_holds_out_others(in_academy: Path, cli: Cli, study: Study) -> None:
    told = cli.ok(*QUICK, "--dims", 4, "--seed", 3, "--json").json
    assert told["seed"] == 3
    assert told["trials"][0]["recall"] != study.told["trials"][0]["recall"]


def test_tables_are_for_people(study: Study) -> None:
    out, err = study.outcome.out, study.outcome.err
    assert re.match(r"\d+ paintings to fit on, \d+ held out to measure on \(seed 0\)", err)
    sections = out.split("\n\n")
    headings = [section.splitlines()[0] for section in sections]
    assert headings[1:4] == ["by artist", "by movement", "what it costs"]
    assert headings[4].endswith("whose silhouette changes most (pca at 4)")
    trial = study.told["trials"][0]
    row = next(line for line in sections[0].splitlines() if line.startswith("pca"))
    recall = [trial["recall"][k] for k in ("1", "10")]
    assert row.split()[:4] == ["pca", "4", *(f"{value:.3f}" for value in recall)]
    full = next(line for line in sections[1].splitlines() if line.startswith("full"))
    assert f"{trial['artists']['p_at_1']['full']:.3f}" in full
    assert f"{trial['artists']['map_at_10']['full']:.3f}" in full
    flips = len(trial["artists"]["silhouettes"]["sign_flips"])
    assert f"{trial['artists']['silhouettes']['clear_sign_flips']}/{flips}" in sections[1]
    change = trial["artists"]["silhouettes"]["largest_changes"][0]
    assert change["a"] in sections[4].splitlines()[2]


def test_the_csv_has_a_row_a_trial(study: Study) -> None:
    rows = read_csv(study.table)
    assert [row["dims"] for row in rows] == ["4", "8"]
    for row, trial in zip(rows, study.told["trials"], strict=True):
        assert float(row["recall@10"]) == pytest.approx(trial["recall"]["10"], abs=1e-6)
        artists = trial["artists"]
        assert float(row["artists_mantel_r"]) == pytest.approx(artists["mantel"]["r"], abs=1e-6)
        assert int(row["artists_sign_flips"]) == len(artists["silhouettes"]["sign_flips"])
        assert int(row["bytes"]) == 2 * trial["dims"]


def test_sizes_that_do_not_fit_are_passed_over_unless_asked_for(
    in_academy: Path, cli: Cli, study: Study
) -> None:
    most = study.told["training"]
    told = cli.ok(*QUICK, "--json").json
    sizes = [trial["dims"] for trial in told["trials"]]
    assert sizes == [size for size in (64, 128, 256, 320) if size <= most]
    outcome = cli(*QUICK, "--dims", 8, "--dims", 400)
    assert outcome.code == 2
    assert f"--dims 400 is too many: {most} training paintings" in outcome.err
    assert f"choose {most} or fewer" in outcome.err


class Rival(PCA):
    """A method that keeps as many components as a test wants."""

    method: ClassVar[str] = "rival"

    def __init__(self, dims: int, *, components: int) -> None:
        super().__init__(dims)
        self.components = components

    def fit(self, vectors: Any, labels: object = None, **named: object) -> Self:
        self.inner = PCA(self.components).fit(vectors)
        return self

    def transform(self, vectors: Any) -> Any:
        return self.inner.transform(vectors)


@pytest.mark.parametrize(
    ("components", "verdict", "sign"), [(2, "loses to", -1), (8, "loses to", 0), (60, "beats", 1)]
)
def test_what_does_not_beat_pca_is_said_to_lose(
    academy: Path, components: int, verdict: str, sign: int
) -> None:
    result = studies.compression(
        academy / ".paint-search", method=[], dims=[8], min_works=2,
        others=[Rival(8, components=components)],
    )  # fmt: skip
    told = result.to_dict()
    assert [one["method"] for one in told["trials"]] == ["pca", "rival"]
    theirs, mine = (trial["recall"]["10"] for trial in told["trials"])
    (said,) = told["verdicts"]
    assert said.startswith(
        f"rival {verdict} pca at 8 dimensions: recall@10 {mine:.3f} against {theirs:.3f}, "
        f"{abs(mine - theirs):.3f} {'more' if sign > 0 else 'less'} (95 % interval"
    )
    low, high = map(float, re.findall(r"[+-]\d\.\d{3}", said))
    assert low <= mine - theirs <= high
    assert np.sign(mine - theirs) == sign
    assert ("so little may be chance" in said) == (sign == 0)
    assert said in list(result.describe())


def test_one_that_fails_does_not_stop_the_others(in_academy: Path, cli: Cli) -> None:
    # No two works have one title: there is nothing to be learned from labels.
    options = [*QUICK, "--method", "siamese", "--dims", 8, "--by", "title"]
    outcome = cli(*options)
    assert outcome.code == 1
    assert "error: siamese at 8: " in outcome.err
    assert re.search(r"^pca +8 ", outcome.out, re.MULTILINE)
    outcome = cli(*options, "--json")
    assert outcome.code == 1
    (failed,) = outcome.json["failed"]
    assert (failed["method"], failed["dims"]) == ("siamese", 8)
    assert len(outcome.json["trials"]) == 1


def test_an_interrupted_study_shows_what_was_finished(
    in_academy: Path, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table, replace = tmp_path / "t.csv", os.replace

    def interrupted(fresh: Path, file: Path) -> None:
        if file == table and table.exists():  # the second compressor is finished
            raise KeyboardInterrupt
        replace(fresh, file)

    monkeypatch.setattr(os, "replace", interrupted)
    sizes = [option for size in (8, 7, 6) for option in ("--dims", size)]
    outcome = cli(*QUICK, *sizes, "--csv", table)
    assert outcome.code == 130
    (row,) = read_csv(table)
    assert (row["method"], row["dims"]) == ("pca", "6")
    assert re.search(r"^pca +6 ", outcome.out, re.MULTILINE)
    assert not re.search(r"^pca +8 ", outcome.out, re.MULTILINE)


def test_without_artists_their_figures_are_left_out_and_that_is_said(
    academy: Path, tmp_path: Path, cli: Cli
) -> None:
    corpus = copy_tree(academy / "paintings", tmp_path / "paintings")
    with Index.create(corpus, tmp_path / "index", backbone="descriptors") as index:
        index.add(labels="{title}")
    options = [*QUICK, "--dims", 8, "--index", tmp_path / "index"]
    options += ["--csv", tmp_path / "t.csv", "--html", tmp_path / "p.html"]
    out = cli.ok(*options, "--plot", tmp_path / "p.png").out
    assert "by artist\nleft out: Silhouettes compare labels: 0 of 0" in out
    (row,) = read_csv(tmp_path / "t.csv")
    assert (row["artists_p_at_1"], row["movements_trees_r"]) == ("", "")
    assert 0 < float(row["recall@10"]) < 1
    assert Elements(tmp_path / "p.html").nested
    with Image.open(tmp_path / "p.png") as figure:
        colours = figure.convert("RGB").getcolors(2**24)
    assert colours is not None
    assert len(colours) > 20


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--method", "zip"], "--method zip: use pca, autoencoder"),
        (["--dims", 5000], "--dims 5000 is too many"),
        (["--where", "movement=Movement 0"], "are held out to measure on, and it takes 22"),
        (["--by", "artst"], "did you mean artist?"),
        (["--html", "page.txt"], "name a .html file"),
        (["--html", "nowhere/page.html"], "there is no folder nowhere"),
        (["--plot", "figure.bmp"], "name a .png or .svg file"),
    ],
)
def test_wrong_usage_is_said_in_a_sentence(
    in_academy: Path, cli: Cli, arguments: list[object], message: str
) -> None:
    outcome = cli("eval", "compression", *arguments)
    assert (outcome.code, outcome.out) == (2, "")
    assert message in outcome.err


def test_help_shows_an_example_and_the_common_options(cli: Cli) -> None:
    text = cli.ok("eval", "compression", "--help").out
    assert "paint-search eval compression --dims 64" in text
    for option in ("--method", "--dims", "--seed", "--by", "--where", "--not", "--plot", "--csv"):
        assert option in text


# What is to be looked at.


def test_the_figure_shows_curves_and_silhouettes(study: Study) -> None:
    words = " ".join(ElementTree.parse(study.figure).getroot().itertext())
    assert "recall@10: neighbours kept" in words
    assert "Spearman: order of cosines kept" in words
    assert "pairs of artists: pca at 4, r = " in words
    artists = study.told["trials"][0]["artists"]
    for number, change in enumerate(artists["silhouettes"]["largest_changes"][:6], start=1):
        assert f"{number}  {change['a']} and {change['b']}" in words


def test_the_page_shows_neighbours_on_both_sides(study: Study, held: Held) -> None:
    sides, alike = [], []
    for rows in held.codes(4):
        unit = rows.astype(np.float64)
        unit /= np.linalg.norm(unit, axis=1, keepdims=True)
        cosines = unit @ unit.T
        np.fill_diagonal(cosines, -2)
        sides.append([np.argsort(-row, kind="stable")[:10].tolist() for row in cosines])
        alike.append(cosines)
    shared = [len(set(a) & set(b)) for a, b in zip(*sides, strict=True)]
    artists, titles = held.of(held.artists), held.of(held.titles)
    names = [f"{artist}: {title}" for artist, title in zip(artists, titles, strict=True)]
    elements = Elements(study.page)
    near = [a for _, a in elements.found if a.get("class", "").startswith("near")]
    counts = [int(found) for found in re.findall(r"(\d+) of 10 kept", elements.text)]
    asked = [a["alt"] for tag, a in elements.found if tag == "img" and a["alt"] in titles]
    assert len(asked) == len(counts) == 20
    # The worst twelve first, the worst of all at the top; the best at the end, best first.
    assert counts[:12] == sorted(shared)[:12]
    assert counts[-4:] == sorted(shared, reverse=True)[:4]
    for number, title in enumerate(asked):
        row = titles.index(title)
        shown = near[20 * number : 20 * (number + 1)]
        for side, cosines, ten in zip(sides, alike, (shown[:10], shown[10:]), strict=True):
            found = [names.index(one["title"]) for one in ten]
            assert len(set(found)) == 10
            # Cosines of single precision may order two that are as good as equal otherwise.
            assert np.allclose(cosines[row, found], cosines[row, side[row]], atol=1e-6)
        assert counts[number] == shared[row]
        assert sum(one["class"] == "near both" for one in shown) == 2 * shared[row]


def test_the_page_works_alone_and_trusts_no_label(study: Study) -> None:
    elements = Elements(study.page)
    assert elements.nested
    assert "script" not in elements.names()
    assert {source.partition(";")[0] for source in elements.having("src")} == {
        "data:image/jpeg",
        "data:image/svg+xml",
    }
    assert all(address.startswith("#") for address in elements.having("href"))
    assert EVIL in elements.text
    assert [a["id"] for tag, a in elements.found if tag == "section"] == [
        "numbers", "changed", "middle", "kept", "making",
    ]  # fmt: skip


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with running_browser() as running:
        yield running


def test_the_page_opens_and_shows_every_picture(browser: Browser, study: Study) -> None:
    with opened(browser, study.page) as tab:
        broken = "Array.from(document.images).filter((i) => !i.complete || !i.naturalWidth).length"
        assert tab.evaluate("document.images.length") > 200
        assert tab.evaluate(broken) == 0
        wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert tab.evaluate(wide) <= 0
        tab.set_viewport_size({"width": 390, "height": 800})
        assert tab.evaluate(wide) <= 0


# The compressor that the index has.


@pytest.fixture(scope="module")
def compressed(academy: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The academy, compressed by PCA to 6 dimensions with seed 2. Read only."""
    home = copy_tree(academy, tmp_path_factory.mktemp("compressed") / "academy")
    options = ["--method", "pca", "--dims", 6, "--seed", 2, "--index", home / ".paint-search"]
    Cli().ok("compress", *options)
    return home


def test_the_index_s_own_compressor_has_a_row(
    compressed: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(compressed)
    told = cli.ok(*QUICK, "--dims", 4, "--json").json
    assert told["seed"] == 2
    named = [(trial["of_this_index"], trial["method"], trial["dims"]) for trial in told["trials"]]
    # PCA is measured at its size too, and the same fit keeps the same.
    assert named == [(False, "pca", 4), (False, "pca", 6), (True, "pca", 6)]
    _, again, own = told["trials"]
    assert own["recall"] == pytest.approx(again["recall"], abs=0.01)
    assert own["fit_seconds"] is None
    out = cli.ok(*QUICK, "--dims", 4).out
    assert "this index (pca)" in out
    assert "whose silhouette changes most (this index (pca) at 6)" in out


def test_an_index_without_full_vectors_is_refused(
    academy: Path, tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(copy_tree(academy, tmp_path / "academy"))
    cli.ok("compress", "--method", "pca", "--dims", 6, "--drop-full")
    outcome = cli(*QUICK, "--dims", 4)
    assert (outcome.code, outcome.out) == (2, "")
    assert "keeps no full vectors: they were dropped" in outcome.err


def test_with_another_seed_the_index_s_own_is_left_out(
    compressed: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(compressed)
    outcome = cli.ok(*QUICK, "--dims", 4, "--seed", 3)
    assert "learned from what seed 3 holds out" in outcome.err
    assert "this index" not in outcome.out
