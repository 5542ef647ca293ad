"""Compressors as laws: what a fit finds, what a code keeps, what is refused, what is saved."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from sklearn import decomposition

from paint_search.compress import pca as pca_module
from paint_search.compress.autoencoder import Autoencoder
from paint_search.compress.base import Compressor
from paint_search.compress.kinds import METHODS, load_compressor, make_compressor
from paint_search.compress.pca import PCA
from paint_search.compress.split import choose_split, held_out
from paint_search.errors import CompressError, UsageError
from paint_search.eval import neighbours_kept
from paint_search.painting import Progress

Vectors = NDArray[np.float32]


def clustered(count: int, dimension: int = 48, seed: int = 0) -> Vectors:
    """Non-negative unit vectors around centres, with a common mean: as networks make them."""
    rng = np.random.default_rng(seed)
    centres = rng.gamma(1.0, 1.0, (12, dimension))
    noise = rng.gamma(1.0, 0.6, (count, dimension)) * np.linspace(1.5, 0.1, dimension)
    rows = (centres[rng.integers(0, 12, count)] + noise).astype(np.float32)
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))


@pytest.fixture(scope="module")
def vectors() -> Vectors:
    return clustered(600)


def cosines(rows: Vectors) -> Vectors:
    return np.asarray(rows @ rows.T)


def test_pca_is_the_truncated_svd_of_scikit_learn(vectors: Vectors) -> None:
    ours = PCA(8).fit(vectors)
    theirs = decomposition.TruncatedSVD(8, algorithm="arpack").fit(vectors)
    overlap = np.abs(ours.components_ @ theirs.components_.T)
    np.testing.assert_allclose(overlap, np.eye(8), atol=1e-3)
    kept = (theirs.singular_values_**2).sum() / (vectors**2).sum()
    assert ours.energy_ == pytest.approx(kept, abs=1e-5)


def test_centred_pca_is_that_of_scikit_learn(vectors: Vectors) -> None:
    ours = PCA(6, centred=True).fit(vectors)
    theirs = decomposition.PCA(6, svd_solver="full").fit(vectors)
    np.testing.assert_allclose(
        np.abs(ours.components_ @ theirs.components_.T), np.eye(6), atol=1e-3
    )
    assert ours.energy_ == pytest.approx(theirs.explained_variance_ratio_.sum(), abs=1e-4)


def test_full_whitening_gives_all_components_the_same_spread(vectors: Vectors) -> None:
    plain, half, white = (PCA(6, whitening=w).fit(vectors) for w in (0.0, 0.5, 1.0))
    spreads = [
        ((vectors @ fitted.components_.T * fitted.scale_) ** 2).mean(axis=0)
        for fitted in (plain, half, white)
    ]
    np.testing.assert_allclose(spreads[2], 1, rtol=1e-3)
    np.testing.assert_allclose(spreads[1] ** 2, spreads[0], rtol=1e-3)


def test_long_vectors_are_solved_by_subspace_iteration_with_the_same_answer(
    vectors: Vectors, monkeypatch: pytest.MonkeyPatch
) -> None:
    exact = PCA(8).fit(vectors)
    monkeypatch.setattr(pca_module, "_EXACT", 16)
    randomised = PCA(8).fit(vectors)
    assert randomised.energy_ == pytest.approx(exact.energy_, rel=1e-3)
    overlap = np.linalg.svd(exact.components_ @ randomised.components_.T, compute_uv=False)
    assert overlap.min() > 0.99


def test_reading_in_blocks_from_a_file_changes_nothing(
    vectors: Vectors, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = PCA(8).fit(vectors)
    np.save(tmp_path / "v.npy", vectors)
    mapped = np.load(tmp_path / "v.npy", mmap_mode="r")
    monkeypatch.setattr("paint_search.compress.base._CELLS", 48 * 100)
    seen: list[Progress] = []
    blocked = PCA(8).fit(mapped, report=seen.append)
    np.testing.assert_allclose(blocked.components_, whole.components_, atol=1e-4)
    np.testing.assert_allclose(blocked.transform(mapped), whole.transform(vectors), atol=1e-4)
    assert [progress.done for progress in seen] == [100, 200, 300, 400, 500, 600]


def test_at_full_rank_every_cosine_is_kept(vectors: Vectors) -> None:
    fitted = PCA(48).fit(vectors)
    np.testing.assert_allclose(cosines(fitted.transform(vectors)), cosines(vectors), atol=1e-5)
    np.testing.assert_allclose(
        fitted.inverse_transform(fitted.transform(vectors)), vectors, atol=1e-5
    )
    assert fitted.lost(vectors).max() < 1e-5


def test_more_dimensions_never_lose_more(vectors: Vectors) -> None:
    lost = [float(PCA(dims).fit(vectors).lost(vectors).mean()) for dims in (2, 4, 8, 16, 32)]
    assert lost == sorted(lost, reverse=True)


@settings(max_examples=20, deadline=None)
@given(order=st.permutations(range(120)), scale=st.floats(0.01, 100))
def test_order_and_length_of_the_vectors_do_not_matter(order: list[int], scale: float) -> None:
    rows = clustered(120)
    one, other = PCA(5).fit(rows), PCA(5).fit(rows[order] * np.float32(scale))
    np.testing.assert_allclose(
        cosines(one.transform(rows)), cosines(other.transform(rows)), atol=2e-3
    )


@pytest.fixture(scope="module")
def autoencoder(vectors: Vectors) -> Compressor:
    return make_compressor("autoencoder", 8, seed=3).fit(vectors)


def test_the_autoencoder_keeps_more_neighbours_of_other_vectors_than_pca(
    vectors: Vectors, autoencoder: Compressor
) -> None:
    others = clustered(1500)[600:]
    linear = PCA(8).fit(vectors)
    ours, theirs = (
        neighbours_kept(others, fitted.transform(others)).recall[10]
        for fitted in (autoencoder, linear)
    )
    assert ours > theirs


def test_the_same_seed_gives_the_same_autoencoder_and_another_another(
    vectors: Vectors, autoencoder: Compressor
) -> None:
    again = Autoencoder(8, seed=3).fit(vectors)
    np.testing.assert_allclose(again.transform(vectors), autoencoder.transform(vectors), atol=1e-5)
    other = Autoencoder(8, seed=4).fit(vectors)
    assert np.abs(other.transform(vectors) - again.transform(vectors)).max() > 1e-3


def test_what_numpy_encodes_is_what_torch_trained(
    vectors: Vectors, autoencoder: Compressor
) -> None:
    import torch

    from paint_search.compress.networks import DenseCoder

    assert isinstance(autoencoder, Autoencoder)
    coder = DenseCoder(np.zeros((8, 48), dtype=np.float32), 512, 0).eval()
    coder.load_state_dict(
        {name: torch.from_numpy(value) for name, value in autoencoder.weights_.items()}
    )
    with torch.no_grad():
        codes = torch.nn.functional.normalize(coder.encode(torch.from_numpy(vectors)), dim=1)
        again = torch.nn.functional.normalize(coder.decode(codes), dim=1)
    np.testing.assert_allclose(autoencoder.transform(vectors), codes.numpy(), atol=1e-5)
    np.testing.assert_allclose(
        autoencoder.inverse_transform(codes.numpy()), again.numpy(), atol=1e-5
    )


def test_training_leaves_the_random_state_of_torch_alone(vectors: Vectors) -> None:
    import torch

    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    Autoencoder(4).fit(vectors[:50])
    assert torch.equal(before, torch.random.get_rng_state())


@pytest.mark.parametrize(
    "made",
    [PCA(8), PCA(8, centred=True, whitening=0.5), "autoencoder"],
    ids=["pca", "centred, whitened", "autoencoder"],
)
def test_saved_and_loaded_it_gives_the_same_codes(
    made: PCA | str, vectors: Vectors, autoencoder: Compressor, tmp_path: Path
) -> None:
    fitted = autoencoder if isinstance(made, str) else made.fit(vectors)
    fitted.save(tmp_path / "c", "abc")
    loaded = load_compressor(tmp_path / "c", "abc")
    assert (loaded.method, loaded.dims, loaded.seed) == (fitted.method, fitted.dims, fitted.seed)
    np.testing.assert_allclose(
        loaded.transform(vectors), fitted.transform(vectors), atol=1e-5, rtol=0
    )
    assert sorted(file.name for file in (tmp_path / "c").iterdir()) == [
        "compressor.json",
        "compressor.safetensors",
    ]


@settings(max_examples=30, deadline=None)
@given(
    rows=arrays(np.float32, (9, 48), elements=st.floats(-1e3, 1e3, width=32)).filter(
        lambda a: bool((np.abs(a).max(axis=1) > 1e-3).all())
    )
)
def test_codes_are_unit_rows_whatever_comes(rows: Vectors) -> None:
    codes = PCA(48).fit(clustered(100)).transform(rows)
    assert codes.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(codes, axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("rows", "dims", "words"),
    [
        (clustered(5), 8, "5 paintings are too few to learn 8 dimensions"),
        (clustered(100), 64, "more than the 48 dimensions"),
        (np.tile(clustered(1), (50, 1)), 8, "all 50 vectors are the same"),
        (np.where(np.eye(60, 48) > 0, np.nan, 1).astype(np.float32), 8, "not finite"),
        (np.zeros((50, 48), dtype=np.float32), 8, "all zeros"),
        (np.zeros((0, 48), dtype=np.float32), 8, "no vectors to learn from"),
    ],
    ids=["few paintings", "few dimensions", "constant", "nan", "zeros", "empty"],
)
def test_vectors_that_teach_nothing_are_refused(
    method: str, rows: Vectors, dims: int, words: str
) -> None:
    labels = [f"artist {row % 10}" for row in range(len(rows))]
    with pytest.raises(CompressError, match=words):
        make_compressor(method, dims).fit(rows, labels)


def test_other_refusals_are_sentences(vectors: Vectors) -> None:
    with pytest.raises(UsageError, match="unknown method 'zip': use pca, autoencoder"):
        make_compressor("zip", 8)
    with pytest.raises(CompressError, match="at least one dimension"):
        PCA(0)
    with pytest.raises(CompressError, match="whitening must lie between 0 and 1"):
        PCA(4, whitening=2)
    with pytest.raises(CompressError, match="not fitted"):
        PCA(4).transform(vectors)
    fitted = PCA(4).fit(vectors)
    with pytest.raises(CompressError, match="takes vectors of 48 dimensions"):
        fitted.transform(vectors[:, :20])
    with pytest.raises(CompressError, match="codes have 4 dimensions"):
        fitted.inverse_transform(vectors)
    with pytest.raises(CompressError, match="not finite"):
        fitted.transform(np.full((2, 48), np.inf, dtype=np.float32))


def test_a_saved_compressor_that_cannot_be_used_is_refused(
    vectors: Vectors, tmp_path: Path
) -> None:
    folder = tmp_path / "c"
    PCA(8).fit(vectors).save(folder, "abc")
    file = folder / "compressor.json"
    good = file.read_text()
    record = json.loads(good)
    with pytest.raises(CompressError, match="another backbone"):
        load_compressor(folder, "xyz")
    for change, words in (
        ({"format": 99}, "upgrade"),
        ({"method": "zip"}, "damaged"),
        ({"dims": 9}, "damaged"),
        ({"dims": "many"}, "damaged"),
        ({"n_features_in": 0}, "damaged"),
        ({"n_features_in": 20}, "damaged"),
    ):
        file.write_text(json.dumps(record | change))
        with pytest.raises(CompressError, match=words):
            load_compressor(folder, "abc")
    file.write_text("{")
    with pytest.raises(CompressError, match="damaged"):
        load_compressor(folder, "abc")
    file.write_text(good)
    weights = folder / "compressor.safetensors"
    weights.write_bytes(weights.read_bytes()[:-20])
    with pytest.raises(CompressError, match="damaged"):
        load_compressor(folder, "abc")
    weights.unlink()
    with pytest.raises(CompressError, match="damaged"):
        load_compressor(folder, "abc")


def test_whole_artists_are_held_out_where_there_are_enough() -> None:
    artists = [f"artist {i % 40}" for i in range(1000)]
    ids = [str(i) for i in range(1000)]
    rule = choose_split(ids, artists, seed=1)
    assert rule.by == "artist"
    held = rule.held_out(ids, artists)
    assert 0.1 <= held.mean() <= 0.4
    for artist in set(artists):
        assert len({bool(h) for h, a in zip(held, artists, strict=True) if a == artist}) == 1
    again = rule.held_out(ids[::-1], artists[::-1])
    np.testing.assert_array_equal(again[::-1], held)
    assert (choose_split(ids, artists, seed=2).held_out(ids, artists) != held).any()


@pytest.mark.parametrize("artists", [["one"] * 500, [None] * 500, ["a", "b"] * 250])
def test_single_works_are_held_out_where_artists_are_few(artists: list[str | None]) -> None:
    held = held_out([str(i) for i in range(500)], artists)
    assert 0.1 < held.mean() < 0.3
