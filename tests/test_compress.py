"""Compressors as laws: what a fit finds, what a code keeps, what is refused, what is saved."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file
from sklearn import decomposition
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.utils import estimator_checks
from torch.nn import functional

from paint_search.compress import (
    METHODS,
    PCA,
    Autoencoder,
    Compressor,
    choose_hold_out,
    load_compressor,
    make_compressor,
)
from paint_search.errors import CompressError, UsageError
from paint_search.eval import neighbours_kept
from paint_search.painting import Progress

Vectors = NDArray[np.float32]
WEIGHTS = "compressor.safetensors"


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


def test_long_vectors_are_read_in_blocks_and_solved_by_subspace_iteration(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    causes = rng.standard_normal((900, 8), dtype=np.float32) * 2 ** -np.arange(8, dtype=np.float32)
    rows = causes @ rng.standard_normal((8, 20_000), dtype=np.float32)
    np.save(tmp_path / "v.npy", rows)
    mapped = np.load(tmp_path / "v.npy", mmap_mode="r")
    seen: list[Progress] = []
    ours = PCA(4).fit(mapped, report=seen.append)
    assert len({progress.done for progress in seen}) == 8, "two blocks in each of four passes"
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    moments, vectors = np.linalg.eigh(unit @ unit.T)
    theirs = unit.T @ vectors[:, -4:] / np.sqrt(moments[-4:])
    overlap = np.linalg.svd(ours.components_ @ theirs, compute_uv=False)
    assert overlap.min() > 0.999
    assert ours.energy_ == pytest.approx(moments[-4:].sum() / len(rows), rel=1e-3)
    np.testing.assert_allclose(ours.transform(mapped), ours.transform(rows), atol=1e-5)


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


def residual(layers: dict[str, torch.Tensor], rows: torch.Tensor) -> torch.Tensor:
    """One way of a dense autoencoder, by torch's own functions."""
    scaled = rows * rows.shape[1] ** 0.5
    hidden = functional.linear(scaled, layers["hidden.weight"], layers["hidden.bias"])
    straight = functional.linear(rows, layers["linear.weight"])
    made = straight + functional.linear(functional.relu(hidden), layers["out.weight"])
    return functional.normalize(made, dim=1)


def test_it_encodes_and_decodes_as_torch_does(
    vectors: Vectors, autoencoder: Compressor, tmp_path: Path
) -> None:
    autoencoder.save(tmp_path, "abc")
    weights = {k: torch.tensor(v) for k, v in load_file(tmp_path / WEIGHTS).items()}
    encoder, decoder = (
        {k.removeprefix(f"{way}."): v for k, v in weights.items() if k.startswith(way)}
        for way in ("encoder", "decoder")
    )
    codes = residual(encoder, torch.from_numpy(vectors))
    again = residual(decoder, codes)
    np.testing.assert_allclose(autoencoder.transform(vectors), codes.numpy(), atol=1e-5)
    np.testing.assert_allclose(
        autoencoder.inverse_transform(codes.numpy()), again.numpy(), atol=1e-5
    )


def test_training_leaves_the_random_state_of_torch_alone(vectors: Vectors) -> None:
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
        PCA(0).fit(vectors)
    with pytest.raises(CompressError, match="whitening must lie between 0 and 1"):
        PCA(4, whitening=2).fit(vectors)
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
    rule = choose_hold_out(ids, artists, seed=1)
    assert rule.by == "artist"
    held = rule.held_out(ids, artists)
    assert 0.1 <= held.mean() <= 0.4
    for artist in set(artists):
        assert len({bool(h) for h, a in zip(held, artists, strict=True) if a == artist}) == 1
    again = rule.held_out(ids[::-1], artists[::-1])
    np.testing.assert_array_equal(again[::-1], held)
    assert (choose_hold_out(ids, artists, seed=2).held_out(ids, artists) != held).any()


@pytest.mark.parametrize("artists", [["one"] * 500, [None] * 500, ["a", "b"] * 250])
def test_single_works_are_held_out_where_artists_are_few(artists: list[str | None]) -> None:
    ids = [str(i) for i in range(500)]
    held = choose_hold_out(ids, artists).held_out(ids, artists)
    assert 0.1 < held.mean() < 0.3


# Estimators.


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "check",
    [
        estimator_checks.check_estimator_cloneable,
        estimator_checks.check_estimator_repr,
        estimator_checks.check_estimator_tags_renamed,
        estimator_checks.check_valid_tag_types,
        estimator_checks.check_get_params_invariance,
        estimator_checks.check_set_params,
        estimator_checks.check_no_attributes_set_in_init,
        estimator_checks.check_parameters_default_constructible,
        estimator_checks.check_mixin_order,
    ],
    ids=lambda check: check.__name__,
)
def test_every_compressor_passes_the_checks_of_scikit_learn(method: str, check: Any) -> None:
    compressor = make_compressor(method, 4)
    check(type(compressor).__name__, compressor)


@pytest.mark.parametrize(
    "check",
    [
        estimator_checks.check_dict_unchanged,
        estimator_checks.check_estimators_pickle,
        estimator_checks.check_fit_idempotent,
        estimator_checks.check_methods_sample_order_invariance,
        estimator_checks.check_methods_subset_invariance,
    ],
    ids=lambda check: check.__name__,
)
def test_a_fitted_one_passes_the_checks_of_scikit_learn(check: Any) -> None:
    check("PCA", PCA(1))


def test_it_is_cloned_set_and_chained(vectors: Vectors) -> None:
    fitted = PCA(8, whitening=0.5).fit(vectors)
    again = clone(fitted)
    assert again.get_params() == {"dims": 8, "seed": 0, "centred": False, "whitening": 0.5}
    with pytest.raises(CompressError, match="not fitted"):
        again.transform(vectors)
    with pytest.raises(UsageError, match="PCA takes no 'size'; it takes dims, seed"):
        again.set_params(size=3)
    classes = (vectors[:, 0] > np.median(vectors[:, 0])).astype(int)
    chain = make_pipeline(PCA(8), LogisticRegression()).set_params(pca__dims=3)
    assert chain.fit(vectors, classes).score(vectors, classes) > 0.6
    assert chain[0].components_.shape == (3, 48)
    np.testing.assert_array_equal(
        PCA(8).fit_transform(vectors), PCA(8).fit(vectors).transform(vectors)
    )


# What earlier versions saved.


def waves(*shape: int, phase: float) -> Vectors:
    """Numbers that no version of a library draws otherwise."""
    return np.sin(np.arange(np.prod(shape)) * 0.7 + phase).reshape(shape).astype(np.float32)


DENSE = {
    f"{way}.{name}": shape
    for way, inputs, outputs in (("encoder", 6, 2), ("decoder", 2, 6))
    for name, shape in {
        "linear.weight": (outputs, inputs),
        "hidden.weight": (3, inputs),
        "hidden.bias": (3,),
        "out.weight": (outputs, 3),
    }.items()
}
CHUNKS = {
    f"{chunk}.{way}.{name}": shape
    for chunk in (0, 1)
    for way, (first, second) in {
        "encoder": ((2, 2), (1, 4)),
        "decoder": ((4, 1), (2, 2)),
    }.items()
    for name, shape in {
        "weights.0": first,
        "biases.0": first[:1],
        "slopes.0": first[:1],
        "weights.1": second,
        "biases.1": second[:1],
    }.items()
}
PLAIN = {"mean": (6,), "components": (2, 6), "scale": (2,)}
HEAD = {"linear.weight": (2, 6), "hidden.weight": (3, 6), "hidden.bias": (3,), "out.weight": (2, 3)}


OLD = {
    "pca": (
        {"centred": False, "whitening": 0.5, "energy": 0.9},
        PLAIN,
        "-0.049403 -0.998779",
        "0.49368 0.200481 -0.187007 -0.486543 -0.55725 -0.365874",
    ),
    "autoencoder": (
        {},
        DENSE,
        "0.314646 -0.949209",
        "0.69109 -0.213673 -0.543268 0.05154 0.317571 0.279446",
    ),
    "siamese": (
        {"auc": 0.7, "plain": {"centred": True, "whitening": 0.0, "energy": 0.5}},
        HEAD | {f"plain.{name}": shape for name, shape in PLAIN.items()} | {"decoder": (4, 6)},
        "0.208983 -0.5382 0.522814 -0.627162",
        "0.257684 -0.18471 -0.540232 -0.641674 -0.441327 -0.033417",
    ),
    "convolutional": (
        {"chunks": 2, "padded": 4},
        CHUNKS,
        "-0.825368 0.564595",
        "0.605238 -0.300244 0.474103 -0.077763 0.549045 -0.106158",
    ),
    "convolutional-plain": (
        {"chunks": 2, "padded": 4, "length": 1.5},
        CHUNKS,
        "-0.959505 0.281691",
        "0.73516 -0.31808 0.358302 0.008657 0.474207 -0.070973",
    ),
}
"""How version 0.1.0 saved each method: settings, arrays, and what came of one vector."""


@pytest.mark.parametrize("method", METHODS)
def test_what_version_0_1_saved_gives_the_same_codes(method: str, tmp_path: Path) -> None:
    settings, shapes, *numbers = OLD[method]
    code, decoded = ([float(number) for number in text.split()] for text in numbers)
    arrays = {name: waves(*s, phase=place) for place, (name, s) in enumerate(shapes.items())}
    save_file(arrays, tmp_path / WEIGHTS)
    known = {"format": 1, "seed": 3, "features": "abc", "n_features_in": 6, "dims": len(code)}
    (tmp_path / "compressor.json").write_text(json.dumps({**known, "method": method, **settings}))
    loaded = load_compressor(tmp_path, "abc")
    codes = loaded.transform(waves(3, 6, phase=0.3))
    np.testing.assert_allclose(codes[0], code, atol=1e-5)
    np.testing.assert_allclose(loaded.inverse_transform(codes)[0], decoded, atol=1e-5)


def test_loading_and_applying_one_imports_neither_torch_nor_scikit_learn(
    autoencoder: Compressor, tmp_path: Path
) -> None:
    autoencoder.save(tmp_path, "abc")
    program = (
        "import sys, numpy as np; from pathlib import Path\n"
        "from paint_search.compress import load_compressor\n"
        "load_compressor(Path(sys.argv[1]), 'abc').transform(np.ones((2, 48)))\n"
        "assert not {'torch', 'sklearn', 'scipy'} & set(sys.modules), sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=True)
