"""Convolutional autoencoders: the study's chunks, numpy as torch, saved and loaded, bad input."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch.nn import functional

from paint_search.compress import Convolutional, PlainConvolutional, load_compressor
from paint_search.errors import CompressError

METHODS = ("convolutional", "convolutional-plain")
LENGTH = 500
CHUNK = 128  # so that 500 numbers are four chunks of 125, padded


def make(method: str, dims: int, seed: int = 0) -> Convolutional:
    """One whose chunks are short, and whose training is."""
    kind = Convolutional if method == "convolutional" else PlainConvolutional
    return kind(dims, seed=seed, chunk=CHUNK, steps=30)


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
            made[method] = make(method, 32, seed=1).fit(vectors[:200])
        return made[method]

    return fit


def cosines(rows: Any) -> Any:
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return (unit @ unit.T)[np.triu_indices(len(rows), 1)]


def layers(saved: dict[str, Any], way: str, rows: Any) -> Any:
    """One way of one chunk's model, by torch's own convolutions."""
    maps = rows[:, None, :]
    for number in range(5):
        weight, bias = saved[f"{way}.weights.{number}"], saved[f"{way}.biases.{number}"]
        channels = maps.shape[1]
        patch = weight.shape[1] // channels
        kernel = weight.reshape(len(weight), patch, channels).permute(0, 2, 1)
        maps = functional.conv1d(maps, kernel, bias, stride=patch)
        if number < 4:
            maps = functional.prelu(maps, saved[f"{way}.slopes.{number}"])
    return maps.squeeze(2)


def test_the_study_s_vector_is_cut_into_its_five_chunks(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    causes = rng.standard_normal((40, 6), dtype=np.float32)
    rows = causes @ rng.standard_normal((6, 125_440), dtype=np.float32)
    fitted = Convolutional(10, steps=1).fit(rows)
    assert (fitted.chunks_, fitted.padded_) == (5, 25_088)
    first = {name: a.shape for name, a in fitted.arrays_.items() if name.startswith("0.encoder.w")}
    assert list(first.values()) == [(7, 7), (32, 49), (64, 256), (40, 4096), (2, 40)]
    changed = rows.copy()
    changed[:, 25_088:50_176] *= -1
    before, after = (fitted.transform(part).reshape(40, 5, 2) for part in (rows, changed))
    np.testing.assert_allclose(np.delete(after, 1, 1), np.delete(before, 1, 1), atol=1e-6)
    assert np.abs(after[:, 1] - before[:, 1]).max() > 0.1


@pytest.mark.parametrize("length", [1, 24, 65, 512])
def test_any_length_is_padded_to_sixty_four_positions(length: int) -> None:
    rows = np.random.default_rng(0).random((30, length), dtype=np.float32) + 0.1
    rows[:, 0] += np.arange(30) % 2 if length > 1 else 0
    if length == 1:
        rows[::2] *= -1
    padded = Convolutional(1, steps=1).fit(rows).padded_
    assert padded % 64 == 0
    assert length <= padded < 2 * length + 192


@pytest.mark.parametrize("method", METHODS)
def test_it_encodes_and_decodes_as_torch_does(
    method: str, vectors: Any, fitted: Callable[[str], Any], tmp_path: Path
) -> None:
    compressor = fitted(method)
    compressor.save(tmp_path, "print of a backbone")
    saved = load_file(tmp_path / "compressor.safetensors")
    plain = method == "convolutional-plain"
    scale = (LENGTH if plain else compressor.padded_) ** 0.5
    unit = functional.normalize(torch.from_numpy(vectors[200:]), dim=1)
    codes, again = [], []
    for number, chunk in enumerate(unit.split(125, dim=1)):
        model = {k.removeprefix(f"{number}."): a for k, a in saved.items()}
        share = chunk.norm(dim=1, keepdim=True)
        padded = functional.pad(chunk, (0, compressor.padded_ - 125))
        code = layers(model, "encoder", (padded if plain else padded / share) * scale)
        if not plain:
            code = functional.normalize(code, dim=1) * share
        codes.append(code)
    whole = functional.normalize(torch.cat(codes, dim=1), dim=1)
    np.testing.assert_allclose(compressor.transform(vectors[200:]), whole, atol=1e-5)
    for number, code in enumerate((whole * (compressor.length_ if plain else 1)).split(8, dim=1)):
        # The decoder's layers make one patch each, position by position: matrices, not maps.
        made = code if plain else functional.normalize(code, dim=1)
        for layer in range(5):
            weight = saved[f"{number}.decoder.weights.{layer}"]
            patches = made.reshape(-1, weight.shape[1])
            made = functional.linear(patches, weight, saved[f"{number}.decoder.biases.{layer}"])
            if layer < 4:
                made = functional.prelu(made, saved[f"{number}.decoder.slopes.{layer}"])
            made = made.reshape(len(code), -1)
        made = made[:, :125]
        share = code.norm(dim=1, keepdim=True)
        again.append(made if plain else functional.normalize(made, dim=1) * share)
    back = functional.normalize(torch.cat(again, dim=1), dim=1)
    np.testing.assert_allclose(compressor.inverse_transform(whole.numpy()), back, atol=1e-5)


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
    again = make(method, 32, seed=1).fit(mapped).transform(vectors[200:])
    np.testing.assert_allclose(again, codes, atol=1e-5)
    other = make(method, 32, seed=2).fit(mapped).transform(vectors[200:])
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
    fresh = make("convolutional", 32).fit(holed).transform(holed)
    np.testing.assert_allclose(np.linalg.norm(fresh, axis=1), 1, atol=1e-5)


def test_progress_runs_through_all_chunks(vectors: Any) -> None:
    seen: list[tuple[int, int]] = []
    make("convolutional-plain", 8).fit(
        vectors, report=lambda progress: seen.append((progress.done, progress.total))
    )
    assert seen == sorted(seen)
    assert seen[-1] == (120, 120)


def test_bad_input_is_one_sentence(vectors: Any) -> None:
    for method in METHODS:
        with pytest.raises(CompressError, match=r"multiple of 4, such as 28"):
            make(method, 30).fit(vectors)
        with pytest.raises(CompressError, match="too few"):
            make(method, 32).fit(vectors[:31])
        with pytest.raises(CompressError, match="not finite"):
            make(method, 32).fit(np.where(vectors == vectors.max(), np.nan, vectors))
    dead = vectors.copy()
    dead[:, 125:250] = 0
    with pytest.raises(CompressError, match="features 125 to 250 are all zeros"):
        make("convolutional", 32).fit(dead)
