"""``paint-search eval artists`` and ``clusters``, and what all studies share."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from conftest import WORKS, Cli
from PIL import Image
from scipy.cluster.hierarchy import fcluster, linkage
from sklearn.metrics import adjusted_rand_score
from studied import PAINTERS, Museum, ranking, read_csv, read_museum

from paint_search import Index

STUDIES = ("artists", "clusters", "silhouette", "retrieval")


@pytest.fixture(scope="module")
def held(museum: Path) -> Museum:
    return read_museum(museum)


# What all studies share.


@pytest.mark.parametrize("study", STUDIES)
def test_help_shows_an_example_and_the_common_options(cli: Cli, study: str) -> None:
    text = cli.ok("eval", study, "--help").out
    assert f"paint-search eval {study} " in text
    for option in ("--by", "--where", "--not", "--plot", "--csv", "--index", "--json", "--quiet"):
        assert option in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--by", "artst"], "did you mean artist?"),
        (["--where", "artist=Nobody"], "no painting has the artist 'Nobody'"),
        (["--where", "year=3000.."], "no painting meets these conditions"),
        (["--plot", "figure.bmp"], "name a .png or .svg file"),
        (["--plot", "nowhere/figure.png"], "there is no folder nowhere"),
        (["--csv", "nowhere/table.csv"], "there is no folder nowhere"),
    ],
)
@pytest.mark.parametrize("study", STUDIES)
def test_wrong_usage_is_said_in_a_sentence(
    in_museum: Path, cli: Cli, study: str, arguments: list[str], message: str
) -> None:
    outcome = cli("eval", study, *arguments)
    assert (outcome.code, outcome.out) == (2, "")
    assert message in outcome.err


@pytest.mark.parametrize("study", STUDIES)
def test_an_empty_index_says_so(painted: Path, tmp_path: Path, cli: Cli, study: str) -> None:
    Index.create(painted, tmp_path / "empty", backbone="descriptors").close()
    outcome = cli("eval", study, "--index", tmp_path / "empty")
    assert outcome.code == 2
    assert "empty; run paint-search index first" in outcome.err


@pytest.mark.parametrize("study", STUDIES)
def test_json_is_the_only_output_and_quiet_has_none(
    in_museum: Path, cli: Cli, tmp_path: Path, study: str
) -> None:
    options = ["eval", study, "--by", "movement", "--csv", tmp_path / "table.csv"]
    options += ["--min-works", 2]
    told = cli.ok(*options, "--json")
    assert told.json
    assert told.err == ""
    (tmp_path / "table.csv").unlink()
    silent = cli.ok(*options, "--quiet")
    assert silent.out + silent.err == ""
    assert read_csv(tmp_path / "table.csv")


@pytest.mark.parametrize("suffix", ["png", "svg"])
@pytest.mark.parametrize("study", STUDIES)
def test_a_figure_is_drawn(
    in_museum: Path, cli: Cli, tmp_path: Path, study: str, suffix: str
) -> None:
    file = tmp_path / f"figure.{suffix}"
    outcome = cli.ok("eval", study, "--min-works", 2, "--plot", file)
    assert f"wrote {file}" in outcome.err
    if suffix == "svg":
        assert ElementTree.parse(file).getroot().tag.endswith("svg")
    else:
        colours = Image.open(file).convert("RGB").getcolors(2**24)
        assert colours is not None
        assert len(colours) > 20
    assert [path.name for path in tmp_path.iterdir()] == [file.name]


# artists


def test_artists_are_compared_as_brute_force_does(in_museum: Path, cli: Cli, held: Museum) -> None:
    told = cli.ok("eval", "artists", "--json").json
    assert told["names"] == held.names
    assert told["works"] == [WORKS] * PAINTERS
    expected = [[held.mean_cosine(a, b) for b in held.names] for a in held.names]
    np.testing.assert_allclose(told["mean"], expected, atol=1e-5)
    order = ranking(held)
    assert [(pair["a"], pair["b"]) for pair in told["closest"]] == order[:10]
    assert [(pair["a"], pair["b"]) for pair in told["farthest"]] == order[:-11:-1]


def test_the_table_of_artists_has_a_row_a_pair_and_a_row_an_artist(
    in_museum: Path, cli: Cli, held: Museum, tmp_path: Path
) -> None:
    cli.ok("eval", "artists", "--csv", tmp_path / "pairs.csv")
    rows = read_csv(tmp_path / "pairs.csv")
    pairs = [row for row in rows if row["a"] != row["b"]]
    assert [(row["a"], row["b"]) for row in pairs] == ranking(held)
    assert [row["rank"] for row in pairs] == [str(i) for i in range(1, len(pairs) + 1)]
    assert [row["a"] for row in rows if row["a"] == row["b"]] == held.names
    for row in rows:
        assert float(row["score"]) == pytest.approx(held.mean_cosine(row["a"], row["b"]), abs=1e-5)
        assert float(row["low"]) <= float(row["high"])
        assert row["works_a"] == row["works_b"] == str(WORKS)
        assert (row["csls"] == "") == (row["rank"] == "") == (row["a"] == row["b"])


def test_a_pair_is_answered_in_one_sentence(in_museum: Path, cli: Cli, held: Museum) -> None:
    a, b = ranking(held)[6]
    said = cli.ok("eval", "artists", "--pair", a, b).out
    cosines = held.of(a) @ held.of(b).T
    i, j = np.unravel_index(cosines.argmax(), cosines.shape)
    works = [
        [path for path, artist in zip(held.paths, held.artists, strict=True) if artist == name][n]
        for name, n in ((a, i), (b, j))
    ]
    assert said.startswith(
        f"{a} ({WORKS} works) and {b} ({WORKS} works) score {cosines.mean():.3f} (95 % interval "
    )
    assert "rank 7 of 45 pairs" in said
    assert f"their two closest works, at {cosines.max():.3f}, are " in said
    assert all(f"({path})" in said for path in works)
    assert said.count("\n") == 1
    told = cli.ok("eval", "artists", "--pair", a, b, "--json").json
    assert [told["work_a"]["path"], told["work_b"]["path"]] == works


def test_the_nearest_artists_are_listed_best_first(in_museum: Path, cli: Cli, held: Museum) -> None:
    name = held.names[3]
    others = sorted(
        (other for other in held.names if other != name),
        key=lambda other: -held.mean_cosine(name, other),
    )
    told = cli.ok("eval", "artists", "--nearest", name, "--top", 4, "--json").json
    assert [pair["b"] for pair in told["nearest"]] == others[:4]
    rows = cli.ok("eval", "artists", "--nearest", name, "--top", 4).out.splitlines()[1:]
    assert [other in row for other, row in zip(others[:4], rows, strict=True)] == [True] * 4


def test_an_unknown_artist_is_refused_with_names_like_it(
    in_museum: Path, cli: Cli, held: Museum
) -> None:
    name = held.names[0]
    for option in (["--nearest", name.upper()[:1] + name[1:-1]], ["--pair", name, name[:-1]]):
        outcome = cli("eval", "artists", *option)
        assert outcome.code == 2
        assert f"did you mean {name}" in outcome.err
    assert "two different artists" in cli("eval", "artists", "--pair", name, name).err


def test_one_painting_an_artist_is_enough(
    in_museum: Path, cli: Cli, held: Museum, tmp_path: Path
) -> None:
    first = [held.paths[held.artists.tolist().index(name)] for name in held.names]
    only = [f"--where=path={path}" for path in first]
    told = cli.ok("eval", "artists", *only, "--json", "--plot", tmp_path / "map.png").json
    assert told["works"] == [1] * PAINTERS
    assert {told["low"][i][j] for i in range(PAINTERS) for j in range(PAINTERS)} == {None}
    a, b = held.names[:2]
    said = cli.ok("eval", "artists", *only, "--pair", a, b).out
    assert "no interval with a single work" in said
    alone = cli.ok("eval", "artists", only[0]).out
    assert "a single work of a single artist" in alone


def test_labels_with_few_works_can_be_left_out(
    in_museum: Path, cli: Cli, held: Museum, tmp_path: Path
) -> None:
    counts = Counter(held.supports.tolist())
    most = max(counts.values())
    file = tmp_path / "pairs.csv"
    options = ["--by", "support", "--min-works", most, "--csv", file]
    outcome = cli.ok("eval", "artists", *options)
    assert {row["a"] for row in read_csv(file)} == {
        name for name, count in counts.items() if count == most
    }
    left_out = sum(count for count in counts.values() if count < most)
    assert f"; left out: {left_out} are of supports with fewer works" in outcome.err


# clusters


def usual_supports(held: Museum) -> list[str]:
    """Return what each painter mostly paints on, the first by name of equally frequent ones."""
    return [
        Counter(sorted(held.supports[held.artists == name].tolist())).most_common(1)[0][0]
        for name in held.names
    ]


@pytest.mark.parametrize("method", ["average", "ward"])
def test_the_tree_is_cut_as_scipy_cuts_it(
    in_museum: Path, cli: Cli, held: Museum, method: str
) -> None:
    options = ["--linkage", method, "-k", 4, "--against", "support"]
    told = cli.ok("eval", "clusters", *options, "--json").json
    centres = held.centroids()
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    tree = linkage(centres, method, metric="cosine" if method == "average" else "euclidean")
    expected = fcluster(tree, 4, "maxclust")
    assert told["tree"]["names"] == held.names
    assert adjusted_rand_score(expected, told["tree"]["codes"]) == 1
    assert told["kmeans"]["k"] == 4
    supports = usual_supports(held)
    assert told["labels"] == supports
    for way, codes in (("tree", told["tree"]["codes"]), ("k-means", told["kmeans"]["codes"])):
        figure = told["agreement"][way]["ari"]
        assert figure["value"] == pytest.approx(adjusted_rand_score(supports, codes))
        assert 0 < figure["p_value"] <= 1


def test_k_is_chosen_by_silhouette_and_cuts_the_tree_too(
    in_museum: Path, cli: Cli, held: Museum
) -> None:
    told = cli.ok("eval", "clusters", "--json").json
    tried = {int(k): value for k, value in told["kmeans"]["silhouettes"].items()}
    assert set(tried) == set(range(2, PAINTERS))
    assert tried[told["kmeans"]["k"]] == max(tried.values())
    assert len(set(told["tree"]["codes"])) == told["kmeans"]["k"]


def test_the_tree_can_be_cut_at_a_height(in_museum: Path, cli: Cli) -> None:
    tree = cli.ok("eval", "clusters", "--json").json["tree"]
    heights = [merge[2] for merge in tree["linkage"]]
    between = (heights[-3] + heights[-2]) / 2
    told = cli.ok("eval", "clusters", "--height", between, "--json").json
    assert len(set(told["tree"]["codes"])) == 3


def test_every_leaf_has_a_row_in_the_order_of_the_tree(
    in_museum: Path, cli: Cli, held: Museum, tmp_path: Path
) -> None:
    file = tmp_path / "leaves.csv"
    options = ["-k", 3, "--against", "support", "--csv", file]
    told = cli.ok("eval", "clusters", *options, "--json").json
    rows = read_csv(file)
    order = told["tree"]["order"]
    assert [row["name"] for row in rows] == [held.names[leaf] for leaf in order]
    assert [int(row["tree"]) for row in rows] == [told["tree"]["codes"][leaf] for leaf in order]
    assert [row["support"] for row in rows] == [usual_supports(held)[leaf] for leaf in order]
    assert {row["works"] for row in rows} == {str(WORKS)}


def test_paintings_are_clustered_by_path(
    in_museum: Path, cli: Cli, held: Museum, tmp_path: Path
) -> None:
    options = ["--by", "path", "--against", "artist", "-k", PAINTERS]
    told = cli.ok("eval", "clusters", *options, "--json").json
    assert told["tree"]["names"] == sorted(held.paths)
    artist = dict(zip(held.paths, held.artists.tolist(), strict=True))
    assert told["labels"] == [artist[path] for path in sorted(held.paths)]
    outcome = cli.ok("eval", "clusters", *options)
    assert "30 paintings\n" in outcome.err
    assert f"{held.artists[0]}: " in outcome.out  # by artist and title, not by path


def test_clusters_are_compared_with_movements_unless_they_are_movements(
    in_museum: Path, cli: Cli
) -> None:
    artists, movements = (
        cli.ok("eval", "clusters", "--by", by, "-k", 3, "--json").json
        for by in ("artist", "movement")
    )
    assert artists["against"] == "movement"
    assert set(artists["agreement"]) == {"tree", "k-means"}
    assert (movements["against"], movements["agreement"]) == (None, {})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-k", "3", "--height", "0.2"], "either -k or --height"),
        (["--linkage", "single"], "use average or ward"),
        (["--against", "colour"], "no painting here has a field 'colour'"),
    ],
)
def test_clusters_refuse(in_museum: Path, cli: Cli, arguments: list[str], message: str) -> None:
    outcome = cli("eval", "clusters", *arguments)
    assert outcome.code == 2
    assert message in outcome.err


def test_two_artists_are_no_clustering(in_museum: Path, cli: Cli, held: Museum) -> None:
    only = [f"--where=artist={name}" for name in held.names[:2]]
    outcome = cli("eval", "clusters", *only)
    assert outcome.code == 2
    assert "at least three artists, not 2" in outcome.err
