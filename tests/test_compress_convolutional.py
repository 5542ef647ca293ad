"""Convolutional autoencoders: the study's chunks, numpy as torch, saved and loaded, bad input."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from paint_search.compress import convolutional
from paint_search.compress.convolutional import (
    ConvolutionalAutoencoder,
    PlainConvolutionalAutoencoder,
)
from paint_search.compress.kinds import load_compressor, make_compressor
from paint_search.compress.networks import ConvolutionalCoder
from paint_search.errors import CompressError

METHODS = ("convolutional", "convolutional-plain")
LENGTH = 500
CHUNK = 128  # so that 500 numbers are four chunks of 125, padded


@pytest.fixture(autouse=True)
def short_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(convolutional, "_CHUNK", CHUNK)
    monkeypatch.setattr(convolutional, "_STEPS", 30)


@pytest.fixture(scope="module")
def vectors() -> np.ndarray[Any, np.dtype[np.float32]]:
    """Non-negative features of a few hidden causes, as after a rectifier; chunks differ in norm."""
    rng = np.random.default_rng(3)
    causes = rng.standard_normal((240, 12)) @ rng.standard_normal((12, LENGTH))
    rows = np.maximum(causes + 0.3 * rng.standard_normal(causes.shape), 0)
    return (rows * np.repeat([4.0, 1.0, 0.5, 2.0], CHUNK)[:LENGTH]).astype(np.float32)


@pytest.fixture(scope="module")
def fitted(vectors: Any) -> Callable[[str], Any]:
    made: dict[str, Any] = {}

    def fit(method: str) -> Any:
        if method not in made:
            made[method] = make_compressor(method, 32, seed=1).fit(vectors[:200])
        return made[method]

    return fit


def cosines(rows: Any) -> Any:
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return (unit @ unit.T)[np.triu_indices(len(rows), 1)]


def coder_of(compressor: Any, number: int, scale: float, directions: bool) -> ConvolutionalCoder:
    """The torch module with the compressor's weights."""
    weights, _, _ = compressor._way(number, "encoder")
    back, _, _ = compressor._way(number, "decoder")
    coder = ConvolutionalCoder(weights, back, slope=0.5, scale=scale, directions=directions)
    prefix = f"{number}."
    coder.load_state_dict(
        {
            name.removeprefix(prefix): torch.from_numpy(value)
            for name, value in compressor.arrays_.items()
            if name.startswith(prefix)
        }
    )
    return coder.eval()


def test_the_study_s_vector_is_cut_into_its_five_chunks() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(convolutional, "_CHUNK", 25_088)
        compressor = ConvolutionalAutoencoder(320)
        compressor.n_features_in_ = 125_440
        compressor._cut(125_440)
        assert (compressor.chunks_, compressor.padded_) == (5, 25_088)
        row = np.arange(125_440, dtype=np.float32)[None]
        chunks = list(compressor._padded(row))
    assert convolutional._kernels(25_088) == (7, 7, 8)
    assert [int(chunk[0, 0]) for chunk in chunks] == [0, 25_088, 50_176, 75_264, 100_352]
    np.testing.assert_array_equal(np.concatenate(chunks, axis=1), row)


@pytest.mark.parametrize("length", [1, 24, 64, 65, 512, 1280, 2048, 25_087])
def test_any_length_is_padded_to_sixty_four_positions(length: int) -> None:
    product = int(np.prod(convolutional._kernels(length)))
    assert length <= 64 * product < 2 * length + 192


@pytest.mark.parametrize("method", METHODS)
def test_numpy_encodes_and_decodes_as_torch_does(
    method: str, vectors: Any, fitted: Callable[[str], Any]
) -> None:
    compressor = fitted(method)
    unit = vectors[200:] / np.linalg.norm(vectors[200:], axis=1, keepdims=True)
    plain = method == "convolutional-plain"
    scale = LENGTH**0.5 if plain else compressor.padded_**0.5
    codes, again = [], []
    for number, chunk in enumerate(compressor._padded(unit)):
        coder = coder_of(compressor, number, scale, directions=not plain)
        share = np.linalg.norm(chunk, axis=1, keepdims=True)
        with torch.no_grad():
            code = coder.encode(torch.from_numpy(chunk if plain else chunk / share))
            made = coder.decode(code).numpy()[:, :125]
        code = code.numpy()
        if not plain:
            code = code / np.linalg.norm(code, axis=1, keepdims=True) * share
            made = made / np.linalg.norm(made, axis=1, keepdims=True) * share
        codes.append(code)
        again.append(made)
    whole = np.concatenate(codes, axis=1)
    whole /= np.linalg.norm(whole, axis=1, keepdims=True)
    np.testing.assert_allclose(compressor.transform(vectors[200:]), whole, atol=1e-5)
    if not plain:  # plain codes lose their length in transform, and their decoder minds it
        back = np.concatenate(again, axis=1)
        back /= np.linalg.norm(back, axis=1, keepdims=True)
        np.testing.assert_allclose(compressor.inverse_transform(whole), back, atol=1e-5)


@pytest.mark.parametrize("method", METHODS)
def test_saved_and_loaded_it_is_the_same(
    method: str, vectors: Any, fitted: Callable[[str], Any], tmp_path: Path
) -> None:
    compressor = fitted(method)
    compressor.save(tmp_path / "compressor", "print of a backbone")
    loaded = load_compressor(tmp_path / "compressor", "print of a backbone")
    assert type(loaded) is type(compressor)
    codes = compressor.transform(vectors[200:])
    np.testing.assert_allclose(loaded.transform(vectors[200:]), codes, atol=1e-5)
    np.testing.assert_allclose(
        loaded.inverse_transform(codes), compressor.inverse_transform(codes), atol=1e-5
    )


@pytest.mark.parametrize("method", METHODS)
def test_a_mapped_file_gives_what_the_array_gives_and_the_seed_decides(
    method: str, vectors: Any, fitted: Callable[[str], Any], tmp_path: Path
) -> None:
    vectors[:200].tofile(tmp_path / "vectors")
    mapped = np.memmap(tmp_path / "vectors", dtype=np.float32, mode="r", shape=(200, LENGTH))
    codes = fitted(method).transform(vectors[200:])
    again = make_compressor(method, 32, seed=1).fit(mapped).transform(vectors[200:])
    np.testing.assert_allclose(again, codes, atol=1e-5)
    other = make_compressor(method, 32, seed=2).fit(mapped).transform(vectors[200:])
    assert np.abs(other - codes).max() > 1e-3


def test_ours_gives_every_chunk_its_share_and_the_published_does_not(
    vectors: Any, fitted: Callable[[str], Any]
) -> None:
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    shares = np.stack([np.linalg.norm(part, axis=1) for part in np.split(unit, 4, axis=1)], 1)
    ours, plain = (
        np.linalg.norm(fitted(method).transform(vectors).reshape(-1, 4, 8), axis=2)
        for method in METHODS
    )
    np.testing.assert_allclose(ours, shares, atol=1e-5)
    assert np.abs(plain - shares).max() > 0.01


def test_ours_keeps_the_cosines_of_works_it_never_saw(
    vectors: Any, fitted: Callable[[str], Any]
) -> None:
    full = cosines(vectors[200:])
    ours, plain = (
        np.corrcoef(full, cosines(fitted(method).transform(vectors[200:])))[0, 1]
        for method in METHODS
    )
    assert ours > 0.8
    assert ours > plain


def test_a_chunk_of_zeros_in_one_work_has_no_code(
    vectors: Any, fitted: Callable[[str], Any]
) -> None:
    holed = vectors[:60].copy()
    holed[7, 125:250] = 0
    code = fitted("convolutional").transform(holed[7:8])
    assert np.isfinite(code).all()
    np.testing.assert_array_equal(code[0, 8:16], 0)
    fresh = make_compressor("convolutional", 32).fit(holed).transform(holed)
    np.testing.assert_allclose(np.linalg.norm(fresh, axis=1), 1, atol=1e-5)


def test_progress_runs_through_all_chunks(vectors: Any) -> None:
    seen: list[tuple[int, int]] = []
    PlainConvolutionalAutoencoder(8).fit(
        vectors, report=lambda progress: seen.append((progress.done, progress.total))
    )
    assert seen == sorted(seen)
    assert seen[-1] == (120, 120)


def test_bad_input_is_one_sentence(vectors: Any) -> None:
    for method in METHODS:
        with pytest.raises(CompressError, match=r"multiple of 4, such as 28"):
            make_compressor(method, 30).fit(vectors)
        with pytest.raises(CompressError, match="too few"):
            make_compressor(method, 32).fit(vectors[:31])
        with pytest.raises(CompressError, match="not finite"):
            make_compressor(method, 32).fit(np.where(vectors == vectors.max(), np.nan, vectors))
    dead = vectors.copy()
    dead[:, 125:250] = 0
    with pytest.raises(CompressError, match="features 125 to 250 are all zeros"):
        make_compressor("convolutional", 32).fit(dead)
