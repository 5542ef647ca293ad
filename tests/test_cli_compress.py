"""``compress``: what it writes, how searches change, what later runs do, what it refuses."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from conftest import WORKS, Cli

from paint_search import Index
from paint_search.compress import Loss
from paint_search.errors import UsageError
from paint_search.eval import neighbours_kept
from paint_search.index import Collection, Sample
from paint_search.painting import Record, painting_id
from paint_search.search import Filter
from paint_search.search.stores import Store

TOTAL = 10 * WORKS
PCA = ("--method", "pca", "--dims", 6)


def paths(cli: Cli, *arguments: object) -> list[str]:
    return [hit["path"] for hit in cli.ok("similar", *arguments, "--json").json["hits"]]


def indexed(cli: Cli) -> list[str]:
    return [painting["path"] for painting in cli.ok("list", "--json").json["paintings"]]


def test_it_writes_compact_vectors_beside_the_full_ones(studio: Path, cli: Cli) -> None:
    with Index.open() as index:
        ids, full = index.vectors()
    summary = cli.ok("compress", *PCA, "--json").json
    assert summary["paintings"] == TOTAL
    compression = summary["compression"]
    assert (compression["method"], compression["dims"]) == ("pca", 6)
    with Index.open() as index:
        again, kept = index.vectors()
        others, compact = index.vectors(which="compact")
        compressor = index.compressor
    assert ids == again == others
    np.testing.assert_array_equal(full, kept)
    assert compact.shape == (TOTAL, 6)
    assert compressor is not None
    np.testing.assert_allclose(compact, compressor.transform(full), atol=1e-3)


def test_held_out_figures_are_those_of_paintings_it_did_not_learn_from(
    studio: Path, cli: Cli
) -> None:
    compression = cli.ok("compress", *PCA, "--json").json["compression"]
    with Index.open() as index:
        ids, full = index.vectors()
        artists = index.field("artist")
        made = index.manifest.compression
        compressor = index.compressor
    assert made is not None
    assert compressor is not None
    held = made.split.held_out(ids, artists)
    assert compression["held_out"]["count"] == held.sum() > 0
    assert compression["fitted_to"] == TOTAL - held.sum()
    kept = neighbours_kept(full[held], compressor.transform(full[held]), [1])
    assert compression["recall"]["1"] == pytest.approx(kept.recall[1])
    from paint_search.compress import make_compressor

    again = make_compressor("pca", 6).fit(full[~held])
    np.testing.assert_allclose(again.transform(full), compressor.transform(full), atol=1e-3)


def test_two_steps_answer_like_exact_search(compressed: Path, cli: Cli) -> None:
    for query in indexed(cli)[::5]:
        found = paths(cli, query, "-k", 5)
        assert found == paths(cli, query, "-k", 5, "--exact")
        assert len(found) == 5
    assert cli.ok("info", "--json").json["recall"] >= 0.99


def test_filters_spread_and_examples_work_in_two_steps(compressed: Path, cli: Cli) -> None:
    one, two, three = indexed(cli)[:3]
    for arguments in (
        (one, "--not", "artist=Renn Hisakawa"),
        (one, two, "--unlike", three),
        (one, "--min-score", "0.2"),
        (one, "-k", "100"),
    ):
        assert paths(cli, *arguments) == paths(cli, *arguments, "--exact")
    assert len(set(paths(cli, one, "--spread", "0.7", "-k", 5))) == 5


def test_a_file_from_elsewhere_is_compressed_to_be_looked_for(
    compressed: Path, cli: Cli, tmp_path: Path
) -> None:
    inside = indexed(cli)[0]
    outside = tmp_path / "elsewhere.jpg"
    outside.write_bytes((compressed / "paintings" / inside).read_bytes())
    assert paths(cli, outside, "-k", 1) == [inside]
    assert paths(cli, outside, "-k", 1, "--compact-only") == [inside]


def test_compact_only_ranks_by_the_compact_vectors(compressed: Path, cli: Cli) -> None:
    with Index.open() as index:
        ids, compact = index.vectors(which="compact")
        names = {painting.id: painting.path for painting in index.paintings()}
    query = names[ids[0]]
    hits = cli.ok("similar", query, "-k", 5, "--compact-only", "--json").json["hits"]
    scores = compact @ compact[0]
    best = np.argsort(-scores)[1:6]
    np.testing.assert_allclose([hit["score"] for hit in hits], scores[best], atol=2e-3)


def test_compact_scores_are_set_against_those_of_compact_vectors(
    compressed: Path, cli: Cli
) -> None:
    with Index.open() as index:
        ids, compact = index.vectors(which="compact")
        artists = np.array(index.field("artist"))
        compacts = index.similar(ids[4], k=99, compact_only=True)
        fulls = index.similar(ids[4], k=99)
        usual = index.manifest.background
    pairs = np.triu_indices(len(ids), k=1)
    same = artists[pairs[0]] == artists[pairs[1]]
    cosines = (compact @ compact.T)[pairs]
    for hit in compacts:
        assert hit.above_same_artist == pytest.approx((cosines[same] < hit.score).mean(), abs=0.05)
        others = (cosines[~same] < hit.score).mean()
        assert hit.above_other_artists == pytest.approx(others, abs=0.02)
    assert usual is not None
    for hit in fulls:
        assert hit.above_same_artist == usual.above_same_artist(hit.score)
    told = [cli.ok("similar", ids[4], *more).err for more in ((), ("--compact-only",))]
    quarters = [np.quantile(cosines[same], share) for share in (0.25, 0.75)]
    words = "Half of the pairs by one artist score {:.2f} to {:.2f}".format(*quarters)
    assert words in told[1]
    assert usual.describe() in told[0]
    assert words not in told[0]


def test_info_shows_sizes_ways_and_what_is_kept(compressed: Path, cli: Cli) -> None:
    text = cli.ok("info").out
    for words in (
        "compact: 6 dimensions",
        "full: ",
        "pca, 6 dimensions, fitted to",
        "held out it keeps",
        "no painting was added since",
        "in two steps",
        "full vectors, exact",
        "compact vectors alone",
        " ms",
    ):
        assert words in text
    facts = cli.ok("info", "--json").json
    assert facts["vector_bytes"]["compact"] == TOTAL * 6 * 2
    names = [way["name"] for way in facts["ways"]]
    assert len(names) == 3
    assert [way["recall"] is None for way in facts["ways"]] == [True, False, False]
    assert all(way["milliseconds"] > 0 for way in facts["ways"])


def test_compressing_again_replaces_what_was_there(compressed: Path, cli: Cli) -> None:
    cli.ok("compress", "--method", "pca", "--dims", 4, "--seed", 3)
    facts = cli.ok("info", "--json").json
    assert facts["manifest"]["compression"]["dims"] == 4
    assert facts["manifest"]["compression"]["seed"] == 3
    folders = {
        folder.name for folder in (compressed / ".paint-search").iterdir() if folder.is_dir()
    }
    assert folders == {
        f"store-{facts['manifest']['store']['generation']}",
        facts["manifest"]["compression"]["folder"],
    }
    with Index.open() as index:
        assert index.vectors(which="compact")[1].shape == (TOTAL, 4)


def test_auto_keeps_the_best_and_says_what_the_others_kept(studio: Path, cli: Cli) -> None:
    summary = cli.ok("compress", "--dims", 6, "--json").json
    trials = {trial["method"]: trial for trial in summary["trials"]}
    assert list(trials) == ["pca", "autoencoder"]
    best = max(
        (trial for trial in trials.values() if trial["recall"]),
        key=lambda trial: trial["recall"].get("10", trial["recall"]["1"]),
    )
    assert summary["compression"]["method"] == best["method"]
    assert summary["compression"]["recall"] == best["recall"]


def test_dropping_full_vectors_says_its_price_first_and_searches_go_on(
    studio: Path, cli: Cli
) -> None:
    query = indexed(cli)[0]
    before = cli.ok("info", "--json").json["vector_bytes"]
    outcome = cli.ok("compress", *PCA, "--drop-full")
    assert "without the full vectors" in outcome.err
    assert "indexing the paintings anew" in outcome.err
    facts = cli.ok("info", "--json").json
    assert list(before) == ["full"]
    assert list(facts["vector_bytes"]) == ["compact"]
    assert paths(cli, query, "-k", 5) == paths(cli, query, "-k", 5, "--compact-only")
    assert cli.ok("eval", "silhouette", "--min-works", 2, "--json").json
    with Index.open() as index:
        assert index.vectors()[1].shape == (TOTAL, 6)
        with pytest.raises(UsageError, match="keeps no full vectors"):
            index.vectors(which="full")
    again = cli("compress", *PCA)
    assert again.code == 2
    assert "no full vectors to learn from" in again.err


def add_paintings(home: Path, count: int, seed: int = 0) -> None:
    """Put pictures of noise into the corpus."""
    from PIL import Image

    rng = np.random.default_rng(seed)
    folder = home / "paintings" / "Noise"
    folder.mkdir(exist_ok=True)
    for number in range(count):
        pixels = rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{seed}-{number}.png")


@pytest.mark.parametrize("drop", [(), ("--drop-full",)])
def test_paintings_indexed_later_are_compressed_too(
    studio: Path, cli: Cli, drop: tuple[str, ...]
) -> None:
    cli.ok("compress", *PCA, *drop)
    add_paintings(studio, 2)
    assert cli.ok("index", "paintings", "--json").json["new"] == 2
    assert cli.ok("info", "--json").json["manifest"]["compression"]["added"]["count"] == 2
    with Index.open() as index:
        ids, compact = index.vectors(which="compact")
        assert len(ids) == TOTAL + 2
        np.testing.assert_allclose(np.linalg.norm(compact, axis=1), 1, atol=1e-2)
    assert paths(cli, "paintings/Noise/0-0.png", "-k", 1) == ["Noise/0-1.png"]
    assert cli.ok("index", "paintings", "--json").json["unchanged"] == TOTAL + 2


def test_info_says_when_what_comes_is_of_another_kind(studio: Path, cli: Cli) -> None:
    painters = {artist for artist in indexed_artists() if artist}
    add_paintings(studio, 60)
    cli.ok("index", "paintings", "--labels", "folder")
    with Index.open() as index:
        index.remove(where={"artist": sorted(painters)})
    cli.ok("compress", *PCA)
    assert "no painting was added" in cli.ok("info").out
    add_paintings(studio, 5, seed=1)
    cli.ok("index", "paintings/Noise")
    assert "5 paintings added since" in cli.ok("info").out
    assert "it still fits" in cli.ok("info").out
    cli.ok("index", "paintings")
    text = cli.ok("info").out
    assert f"{TOTAL + 5} paintings added since" in text
    assert "of another kind; run paint-search compress again" in text
    cli.ok("compress", *PCA)
    assert "no painting was added" in cli.ok("info").out


def indexed_artists() -> set[str]:
    with Index.open() as index:
        return {str(artist) for artist in index.field("artist")}


class Counting:
    """A store that counts the vectors it gives, and loses works half-way through a scroll."""

    def __init__(self, store: Store, lost: Sequence[str]) -> None:
        self._store, self._lost, self.given = store, lost, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def scroll(self, where: Filter = (), *, vectors: bool = False) -> Iterator[Record]:
        for number, record in enumerate(self._store.scroll(where, vectors=vectors)):
            if number == TOTAL // 2:
                self._store.delete(self._lost)
            self.given += len(record.vectors)
            yield record

    def get(self, ids: Sequence[str], *, vectors: bool = False) -> dict[str, Record]:
        found = self._store.get(ids, vectors=vectors)
        self.given += sum(len(record.vectors) for record in found.values())
        return found


class With:
    """A collection, but for its store."""

    def __init__(self, collection: Collection, store: Counting) -> None:
        self._collection, self.store = collection, store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._collection, name)


def draw(seed: int, *limits: int, lost: Sequence[str] = ()) -> tuple[Sample, int]:
    """Return a sample labelled by paths, and how many vectors the store gave for it."""
    collection = Collection.open(Path(".paint-search"))
    try:
        store = Counting(collection.store, lost)
        watched = cast("Collection", With(collection, store))
        return Sample.read(watched, seed, "path", *limits), store.given
    finally:
        collection.close()


def test_a_sample_is_read_without_the_rest_and_is_the_same_by_the_same_seed(
    in_museum: Path,
) -> None:
    with Index.open() as index:
        ids, full = index.vectors()
        works = list(index)
    rows = {work.path: row for work, row in zip(works, full, strict=True)}
    samples = []
    for seed in (0, 1):
        sample, given = draw(seed, 8, 3)
        assert given == 8 + 3
        held = sample.split.held_out(ids, [work.artist for work in works])
        outside = {work.path for work, out in zip(works, held, strict=True) if out}
        assert len(outside & set(sample.held_labels)) == 3
        assert len(set(sample.labels) - outside) == 8
        np.testing.assert_array_equal(sample.learned, [rows[str(one)] for one in sample.labels])
        judged = [rows[str(one)] for one in sample.held_labels]
        np.testing.assert_array_equal(sample.held_out, judged)
        assert draw(seed, 8, 3)[0].labels == sample.labels
        everything = draw(seed)[0]
        assert set(sample.labels) < set(everything.labels)
        samples.append(sample.labels)
    assert samples[0] != samples[1]


def test_vectors_of_a_sample_stay_beside_their_labels_while_works_are_deleted(
    studio: Path,
) -> None:
    with Index.open() as index:
        ids, full = index.vectors()
        rows = dict(zip([work.path for work in index], full, strict=True))
    kept = {work for work in rows if painting_id(work) not in ids[::4]}
    sample, given = draw(0, lost=ids[::4])
    assert set(sample.labels) | set(sample.held_labels) <= kept
    assert given == len(sample.labels) + len(sample.held_labels) > 0
    for labels, vectors in (
        (sample.labels, sample.learned),
        (sample.held_labels, sample.held_out),
    ):
        np.testing.assert_array_equal(vectors, [rows[str(one)] for one in labels])


def test_losses_of_two_sets_add_up_to_that_of_both() -> None:
    rng = np.random.default_rng(0)
    one, other = rng.random(30), rng.random(12) + 1
    both = np.concatenate([one, other])
    made = [Loss(len(x), float(x.mean()), float(x.std())) for x in (one, other)]
    together = made[0].and_more(made[1])
    assert together.count == 42
    assert together.mean == pytest.approx(both.mean())
    assert together.deviation == pytest.approx(both.std())
    assert made[0].and_more(Loss(0, 0.0, 0.0)) == made[0]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("--method", "zip"), 2, "unknown method 'zip'"),
        (("--method", "pca", "--dims", 64), 1, "too few to learn 64 dimensions"),
        (("--method", "pca", "--dims", 5000), 1, "more than the"),
        (("--dims", 64), 1, "too few to learn 64 dimensions"),
    ],
)
def test_what_cannot_be_done_is_one_sentence_and_changes_nothing(
    studio: Path, cli: Cli, arguments: tuple[object, ...], code: int, words: str
) -> None:
    before = (studio / ".paint-search/manifest.json").read_text()
    outcome = cli("compress", *arguments)
    assert (outcome.code, outcome.err.count("\n")) == (code, 1)
    assert words in outcome.err
    assert (studio / ".paint-search/manifest.json").read_text() == before
    assert "error" in cli("compress", *arguments, "--json").json


def test_an_index_without_vectors_and_searches_without_compact_ones_are_refused(
    studio: Path, cli: Cli
) -> None:
    query = indexed(cli)[0]
    outcome = cli("similar", query, "--compact-only")
    assert outcome.code == 2
    assert "run paint-search compress first" in outcome.err
    cli.ok("remove", "--where", "path=" + query)
    with Index.open() as index:
        index.remove(*[painting.path for painting in index.paintings()])
    outcome = cli("compress", *PCA)
    assert (outcome.code, "the index is empty" in outcome.err) == (2, True)


def test_a_compressor_of_another_backbone_or_a_damaged_one_is_refused(
    compressed: Path, cli: Cli
) -> None:
    query = indexed(cli)[0]
    folder = cli.ok("info", "--json").json["manifest"]["compression"]["folder"]
    file = compressed / ".paint-search" / folder / "compressor.json"
    record = json.loads(file.read_text())
    file.write_text(json.dumps(record | {"features": "of another"}))
    outcome = cli("similar", query)
    assert outcome.code == 1
    assert "fitted to another backbone" in outcome.err
    file.unlink()
    outcome = cli("similar", query)
    assert "run paint-search compress again" in outcome.err
    assert len(paths(cli, query, "--exact")) == 10
    cli.ok("compress", *PCA)
    assert len(paths(cli, query)) == 10


def test_a_manifest_that_points_out_of_the_index_is_refused(compressed: Path, cli: Cli) -> None:
    file = compressed / ".paint-search/manifest.json"
    good = json.loads(file.read_text())
    evil: list[dict[str, Any]] = [
        {"store": "../store"},
        {"store": "/tmp"},
        {"store": good["store"] | {"base": "../store"}},
        {"store": good["store"] | {"kind": "pickle"}},
        {"store": good["store"] | {"kind": "qdrant"}},
        {"store": good["store"] | {"kind": "qdrant", "server": "http://evil:80", "base": "x"}},
        {"store": good["store"] | {"kind": "qdrant", "server": "qdrant://a:1", "base": "../x"}},
        {"store": good["store"] | {"settings": {"path": "/tmp"}}},
        {"vectors": ["full", "thin"]},
        {"vectors": []},
        {"compression": good["compression"] | {"folder": "../compressor"}},
    ]
    for change in evil:
        file.write_text(json.dumps(good | change))
        outcome = cli("info")
        assert (outcome.code, "is damaged" in outcome.err) == (1, True), change


def test_an_index_of_the_first_format_still_opens(studio: Path, cli: Cli) -> None:
    file = studio / ".paint-search/manifest.json"
    record = json.loads(file.read_text())
    for name in ("store", "vectors", "compression"):
        del record[name]
    file.write_text(json.dumps(record | {"format": 1}))
    assert cli.ok("info", "--json").json["paintings"] == TOTAL
    cli.ok("compress", *PCA)
    assert json.loads(file.read_text())["format"] == 5


def test_an_index_of_the_second_format_still_opens(compressed: Path, cli: Cli) -> None:
    file = compressed / ".paint-search/manifest.json"
    record = json.loads(file.read_text())
    name = f"store-{record['store']['generation']}"
    file.write_text(json.dumps(record | {"format": 2, "store": name}))
    assert cli.ok("info", "--json").json["paintings"] == TOTAL
    cli.ok("compress", *PCA)
    assert len(cli.ok("list", "--json").json["paintings"]) == TOTAL
