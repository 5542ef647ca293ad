"""Why two paintings match: the parts add up to the cosine, and lie where they are said to."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from conftest import Cli, copy_tree
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from paint_search import BackboneError, Index, UsageError
from paint_search.indexer.backbones import (
    BuiltInParts,
    NetworkParts,
    export_openvino,
    find_backbone,
    make_network,
)
from paint_search.indexer.backbones.builtin import describe
from paint_search.indexer.images import Preprocessing, decode

BUILT_IN = Path(str(__import__("paint_search").__file__)).parent.joinpath(
    "indexer", "backbones", "builtin", "network.onnx"
)


def noise(size: int, count: int = 3) -> np.ndarray:
    """Pictures that differ from place to place."""
    coarse = np.random.default_rng(1889).integers(0, 256, (count, 5, 5, 3), dtype=np.uint8)
    return np.stack([np.asarray(Image.fromarray(one).resize((size, size))) for one in coarse])


def converted(name: str, folder: Path) -> tuple[object, Path]:
    """A network with random weights and random norms, so that nothing cancels out."""
    import torch

    torch.manual_seed(1889)
    network = make_network(find_backbone(name)).eval()
    for layer in network.modules():
        for value, low, high in (("weight", 0.5, 1.5), ("bias", -0.2, 0.2)):
            if "Norm" in type(layer).__name__ and getattr(layer, value, None) is not None:
                getattr(layer, value).data.uniform_(low, high)
    export_openvino(network, folder / "network.xml")
    return network, folder / "network.xml"


@pytest.mark.parametrize(
    ("name", "places"),
    [
        ("timm:test_resnet", 5),
        ("timm:test_efficientnet", 5),
        ("timm:test_convnext", 5),  # a layer normalisation after the mean
        ("timm:test_vit?global_pool=avg", 10),  # the same, of patch tokens
        ("timm:twin_small", 16),  # a linear layer after the mean
    ],
)
def test_the_parts_of_a_network_add_up_to_its_vectors(
    name: str, places: int, tmp_path: Path
) -> None:
    import torch

    network, file = converted(name, tmp_path)
    pixels = noise(network.preprocessing.size)  # type: ignore[attr-defined]
    with torch.inference_mode():
        expected = network(torch.from_numpy(pixels)).numpy()  # type: ignore[operator]
    for parts, vector in zip(NetworkParts(file).take_apart(pixels), expected, strict=True):
        assert parts.places.shape == (places, places, len(vector))
        np.testing.assert_allclose(parts.places.sum(axis=(0, 1)), vector, atol=1e-4)


def test_the_parts_of_a_network_are_its_feature_map(tmp_path: Path) -> None:
    import torch

    network, file = converted("timm:test_resnet", tmp_path)
    pixels = noise(160)
    images = (torch.from_numpy(pixels).permute(0, 3, 1, 2) - network.mean) / network.std  # type: ignore[attr-defined]
    with torch.inference_mode():
        maps = network.model.forward_features(images).permute(0, 2, 3, 1).numpy()  # type: ignore[attr-defined]
    lengths = np.linalg.norm(maps.mean(axis=(1, 2)), axis=1)
    for parts, expected, length in zip(
        NetworkParts(file).take_apart(pixels), maps, lengths, strict=True
    ):
        np.testing.assert_allclose(parts.places, expected / (25 * length), atol=1e-5)


@pytest.mark.parametrize("name", ["timm:test_vit", "timm:test_mambaout"])
def test_what_is_no_sum_over_places_is_not_explained(name: str, tmp_path: Path) -> None:
    network, file = converted(name, tmp_path)
    with pytest.raises(BackboneError, match="this backbone cannot be explained: its vector"):
        NetworkParts(file).take_apart(noise(network.preprocessing.size))  # type: ignore[attr-defined]


def test_the_parts_of_the_built_in_add_up_to_its_vectors() -> None:
    pixels = noise(160)
    for parts in BuiltInParts(BUILT_IN).take_apart(pixels):
        assert parts.error < 1e-4
        assert set(parts.named) == {"colour", "layout", "contour", "touch", "contrast", "style"}
        assert parts.places.shape[:2] == (10, 10)
        assert not parts.places[..., 192:].any()
        assert np.linalg.norm(parts.places.sum(axis=(0, 1))) == pytest.approx(0.5**0.5, abs=1e-4)


def test_a_change_in_one_corner_changes_the_parts_of_that_corner_most() -> None:
    before = noise(160, 1)
    after = before.copy()
    after[:, 112:, 112:] = 255 - after[:, 112:, 112:]
    decomposer = BuiltInParts(BUILT_IN)
    # What a place holds is told by its share of the vector before lengths are made one.
    one, other = (decomposer.take_apart(pixels)[0].places for pixels in (before, after))
    change = np.linalg.norm(one - other, axis=2)
    assert change[7:, 7:].mean() > 3 * change[:5, :5].mean()


@settings(max_examples=25)
@given(
    st.sampled_from(["crop", "pad", "squash"]),
    st.integers(120, 300),
    st.integers(120, 300),
    st.floats(0.35, 0.65),
    st.floats(0.35, 0.65),
)
def test_what_the_backbone_saw_is_found_again_in_the_picture(
    fit: str, width: int, height: int, across: float, down: float
) -> None:
    picture = np.zeros((height, width, 3), dtype=np.uint8)
    x, y = int(across * width), int(down * height)
    picture[y - 3 : y + 4, x - 3 : x + 4] = 255
    wanted = Preprocessing(96, fit, crop_pct=0.9)  # type: ignore[arg-type]
    seen = decode(picture, wanted)
    light = seen.pixels[..., 0].astype(float)
    rows, columns = (light.sum(axis=axis) @ (np.arange(96) + 0.5) / light.sum() for axis in (1, 0))
    left, top, wide, high = wanted.seen(seen.size)
    assert left + columns * wide / 96 == pytest.approx(x + 0.5, abs=3)
    assert top + rows * high / 96 == pytest.approx(y + 0.5, abs=3)


def test_the_size_of_a_picture_is_that_of_the_whole_as_shown(tmp_path: Path) -> None:
    lying = Image.new("RGB", (900, 400), "grey")
    turned = Image.Exif()
    turned[0x0112] = 6
    lying.save(tmp_path / "turned.jpg", exif=turned)
    assert decode(tmp_path / "turned.jpg", Preprocessing(32, "squash")).size == (400, 900)


@pytest.fixture
def pair(painted: Path) -> tuple[str, str]:
    first, second = sorted(painted.glob("*/*"))[:2]
    return str(first), str(second)


def test_heat_parts_and_regions_of_an_index(tiny_museum: Path, pair: tuple[str, str]) -> None:
    with Index.open(tiny_museum / ".paint-search") as index:
        one, other = index.embed(list(pair))
        found = index.explain(*pair)
    assert found.score == pytest.approx(float(one @ other), abs=1e-4)
    assert sum(found.parts.values()) == pytest.approx(found.score, abs=1e-4)
    for side, file in zip((found.one, found.other), pair, strict=True):
        assert side.heat.sum() == pytest.approx(found.score, abs=1e-4)
        assert side.size == Image.open(file).size
    told = found.to_dict()
    assert (
        told["random"]["one"]["painting"]["artist"] != told["random"]["other"]["painting"]["artist"]
    )
    assert len(told["regions"]) == 5
    assert told["regions_score"] < told["score"]
    for side in ("one", "other"):
        for region in told["regions"]:
            x, y, width, height = region[side]
            assert 0 <= x < x + width <= told[side]["width"]
            assert 0 <= y < y + height <= told[side]["height"]
    scores = [region["score"] for region in told["regions"]]
    assert all(before >= after for before, after in pairwise(scores))


def test_the_built_in_is_explained_by_its_halves(painted: Path, tmp_path: Path) -> None:
    files = sorted(painted.glob("*/*"))[::8]
    for file in files:
        copy_tree(file, tmp_path)
    with Index.create(tmp_path, tmp_path / "index", backbone="builtin") as index:
        index.add()
        found = index.explain(files[0].name, files[1])
        one, other = index.embed(files[:2])
    assert found.score == pytest.approx(float(one @ other), abs=1e-4)
    assert sum(found.parts.values()) == pytest.approx(found.score, abs=1e-4)
    assert found.parts["network"] == pytest.approx(float(one[:192] @ other[:192]), abs=1e-4)
    assert found.one.heat.sum() == pytest.approx(found.parts["network"], abs=1e-4)
    assert found.random is None  # no artists are known


def test_descriptors_are_explained_by_their_blocks(museum: Path, pair: tuple[str, str]) -> None:
    with Index.open(museum / ".paint-search") as index:
        found = index.explain(*pair)
        one, other = index.embed(list(pair))
    assert sum(found.parts.values()) == pytest.approx(float(one @ other), abs=1e-5)
    assert list(found.parts) == ["colour", "layout", "contour", "touch", "contrast", "style"]
    assert found.parts["colour"] == pytest.approx(float(one[:180] @ other[:180]), abs=1e-5)
    assert (found.regions, found.one.heat.size) == ((), 0)
    assert describe(noise(160)).shape[1] == len(one)


def test_of_a_compressed_index_both_cosines_are_told(
    compressed: Path, pair: tuple[str, str]
) -> None:
    with Index.open() as index:
        index.compress("pca", 6, drop_full=True)
        found = index.explain(*pair)
        one, other = (index.compressor.transform(index.embed([file]))[0] for file in pair)  # type: ignore[union-attr]
    cosine = one @ other / np.linalg.norm(one) / np.linalg.norm(other)
    assert found.compact_score == pytest.approx(float(cosine), abs=1e-3)
    assert any("compare compact vectors" in line for line in found.text)


def test_a_page_shows_both_and_the_pair_picked_at_random(
    tiny_museum: Path, tmp_path: Path, cli: Cli
) -> None:
    hostile = tmp_path / "<img src=x onerror=alert(1)>.png"
    Image.fromarray(noise(160)[0]).save(hostile)
    page = tmp_path / "why.html"
    other = next((tiny_museum / "paintings").glob("*/*"))
    index = tiny_museum / ".paint-search"
    told = cli.ok("explain", hostile, other, "--html", page, "--json", "--index", index).json
    html = page.read_text(encoding="utf-8")
    assert html.count("<image ") == 4
    assert html.count("<line ") == len(told["regions"]) + len(told["random"]["regions"])
    assert "<img src=x" not in html
    assert "http" not in html.replace("http-equiv", "")
    assert told["one"]["name"] == hostile.stem
    said = cli.ok("explain", hostile, other, "--index", index).out
    assert said.splitlines() == told["text"]


def test_what_cannot_be_explained_is_one_sentence(
    studio: Path, cli: Cli, tmp_path: Path, pair: tuple[str, str]
) -> None:
    outcome = cli("explain", pair[0], "no-such-painting")
    assert outcome.code == 2
    assert "no-such-painting is neither an image file nor an indexed painting" in outcome.err
    (tmp_path / "words.txt").write_text("words")
    outcome = cli("explain", pair[0], tmp_path / "words.txt")
    assert outcome.code == 1
    assert "words.txt cannot be explained: " in outcome.err
    with Index.open() as index:
        painting = next(iter(index))
        index.locate(painting).unlink()
        with pytest.raises(UsageError, match="a vector cannot be explained"):
            index.explain(index.embed([pair[0]])[0], pair[1])
    outcome = cli("explain", painting.path, pair[0])
    assert outcome.code == 2
    assert "cannot be explained: its picture is not on this machine" in outcome.err
