"""The built-in backbone: what travels in the wheel, what its indexes keep and refuse."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib import resources
from pathlib import Path

import numpy as np
import onnx
import pytest
from conftest import COMMAND, Cli, copy_tree
from numpy.typing import NDArray
from PIL import Image, ImageEnhance
from threadpoolctl import threadpool_info

from paint_search import Index
from paint_search.errors import BackboneError, UsageError
from paint_search.indexer import one_blas_thread
from paint_search.indexer.backbones import REGISTRY, OpenVinoEmbedder
from paint_search.indexer.backbones.builtin import INPUT_SIZE
from paint_search.indexer.images import Preprocessing

HOME = resources.files("paint_search.indexer.backbones.builtin")
NETWORK = Path(str(HOME / "network.onnx"))
DIMENSION = REGISTRY["builtin"].dimension


@pytest.fixture(scope="module")
def embedder() -> OpenVinoEmbedder:
    return OpenVinoEmbedder(NETWORK)


@pytest.fixture(scope="module")
def pictures(painted: Path) -> list[Image.Image]:
    """The painted corpus, each picture at 400 px."""
    files = sorted(painted.glob("*/*.jpg"))
    return [Image.open(file).convert("RGB").resize((400, 400)) for file in files]


@pytest.fixture(scope="module")
def originals(embedder: OpenVinoEmbedder, pictures: list[Image.Image]) -> NDArray[np.float32]:
    return embedder.embed(squares(pictures))


def squares(images: list[Image.Image]) -> NDArray[np.uint8]:
    """Squash pictures as the index does."""
    preprocessing = Preprocessing(size=INPUT_SIZE, fit=REGISTRY["builtin"].fit)
    return np.stack([np.asarray(preprocessing.fit_image(image)) for image in images])


def test_the_network_is_small_and_stands_alone() -> None:
    assert NETWORK.stat().st_size <= 8_000_000
    model = onnx.load(NETWORK, load_external_data=False)
    onnx.checker.check_model(model, full_check=True)
    assert {node.domain for node in model.graph.node} <= {"", "ai.onnx"}
    assert not any(array.external_data for array in model.graph.initializer)
    text = NETWORK.read_bytes()
    assert b"site-packages" not in text
    assert b"/home" not in text


def test_the_card_tells_terms_and_licence() -> None:
    card = (HOME / "README.md").read_text(encoding="utf-8")
    for words in ("WikiArt", "non-commercial", "Apache-2.0", "Where it fails"):
        assert words in card


def test_vectors_are_of_unit_length_and_the_registered_dimension(
    originals: NDArray[np.float32],
) -> None:
    assert originals.dtype == np.float32
    assert originals.shape[1] == DIMENSION
    assert DIMENSION <= 512
    np.testing.assert_allclose(np.linalg.norm(originals, axis=1), 1, rtol=1e-5)


def test_a_painting_is_described_by_itself_in_any_batch_and_thread(
    pictures: list[Image.Image], originals: NDArray[np.float32]
) -> None:
    pixels = squares(pictures)
    engine = OpenVinoEmbedder(NETWORK, many=True)
    with ThreadPoolExecutor(4) as pool:
        parts = list(pool.map(engine.embed, np.array_split(pixels, 7)))
    np.testing.assert_allclose(np.concatenate(parts), originals, atol=1e-4)


def smaller(image: Image.Image) -> Image.Image:
    return image.resize((170, 170))


def recompressed(image: Image.Image) -> Image.Image:
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=40)
    return Image.open(stream)


def cropped(image: Image.Image) -> Image.Image:
    return image.crop((10, 10, 390, 390))


def darker(image: Image.Image) -> Image.Image:
    return ImageEnhance.Brightness(image).enhance(0.8)


@pytest.mark.parametrize("change", [smaller, recompressed, cropped, darker])
def test_the_nearest_painting_of_a_copy_is_its_original(
    change: Callable[[Image.Image], Image.Image],
    embedder: OpenVinoEmbedder,
    pictures: list[Image.Image],
    originals: NDArray[np.float32],
) -> None:
    copies = embedder.embed(squares([change(picture) for picture in pictures]))
    nearest = (copies @ originals.T).argmax(axis=1)
    np.testing.assert_array_equal(nearest, np.arange(len(pictures)))


def test_the_edges_of_a_painting_count(
    embedder: OpenVinoEmbedder, pictures: list[Image.Image], originals: NDArray[np.float32]
) -> None:
    framed = squares(pictures[:5])
    framed[:, :4] = framed[:, -4:] = (255, 0, 0)
    cosines = (embedder.embed(framed) * originals[:5]).sum(axis=1)
    assert cosines.max() < 0.99


def test_an_index_keeps_the_network_that_made_it_and_asks_no_other(
    painted: Path, tmp_path: Path
) -> None:
    folder, query = tmp_path / "index", tmp_path / "query.png"
    with Index.create(painted, folder, backbone="builtin") as index:
        index.add()
        original = next(index.paintings()).path
        Image.open(painted / original).resize((250, 250)).save(query)
        assert index.similar(query, k=1)[0].painting.path == original
    assert (folder / "backbone.onnx").read_bytes() == NETWORK.read_bytes()
    (folder / "backbone.onnx").write_bytes(b"not the network of this version")
    with (
        Index.open(folder) as index,
        pytest.raises(BackboneError, match=r"index/backbone\.onnx cannot be loaded"),
    ):
        index.similar(query, k=1)


def test_neither_indexing_nor_queries_import_torch(painted: Path, tmp_path: Path) -> None:
    program = (
        "import sys; from paint_search import Index\n"
        "with Index.create(sys.argv[1], sys.argv[2], backbone='builtin') as index:\n"
        "    index.add()\n"
        "    index.similar(next(index.paintings()).path)\n"
        "print(sorted({'torch', 'timm', 'sklearn', 'faiss'} & set(sys.modules)))"
    )
    command = [sys.executable, "-c", program, str(painted), str(tmp_path / "index")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_query_file_finds_itself_from_the_command_line(painted: Path, tmp_path: Path) -> None:
    where = ("--index", str(tmp_path / "index"))
    query = str(sorted(painted.glob("*/*.jpg"))[4])
    made = [*COMMAND, "index", str(painted), "--backbone", "builtin", "--quiet", *where]
    subprocess.run(made, check=True, env=os.environ)
    copy = tmp_path / "copy.png"
    Image.open(query).resize((250, 250)).save(copy)
    asked = [*COMMAND, "similar", str(copy), "-k", "1", "--json", *where]
    done = subprocess.run(asked, capture_output=True, text=True, check=True)
    (hit,) = json.loads(done.stdout)["hits"]
    assert query.endswith(hit["path"])


def test_weights_and_a_gpu_are_refused(painted: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="the backbone 'builtin' has no weights"):
        Index.create(painted, tmp_path / "a", backbone="builtin", weights=NETWORK)
    with (
        Index.create(painted, tmp_path / "b", backbone="builtin") as index,
        pytest.raises(UsageError, match="runs on the CPU only"),
    ):
        index.add(device="cuda")


def test_an_index_of_descriptors_still_opens_and_answers(in_museum: Path, cli: Cli) -> None:
    painting = cli.ok("list", "--json").json["paintings"][0]["path"]
    hits = cli.ok("similar", f"paintings/{painting}", "-k", 2, "--json").json["hits"]
    assert len(hits) == 2


@pytest.mark.parametrize("backbone", ["builtin", "descriptors"])
def test_vectors_of_other_descriptors_are_refused(
    backbone: str, painted: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "index"
    Index.create(painted, folder, backbone=backbone).close()
    manifest = folder / "manifest.json"
    text = manifest.read_text(encoding="utf-8")
    manifest.write_text(text.replace("descriptors-1", "descriptors-0"), encoding="utf-8")
    with Index.open(folder) as index, pytest.raises(BackboneError) as caught:
        index.add()
    for words in (str(folder), "descriptors-0", "descriptors-1", "make another index"):
        assert words in str(caught.value)


def test_a_missing_network_is_said(painted: Path, tmp_path: Path) -> None:
    with Index.create(painted, tmp_path / "index", backbone="builtin") as index:
        index.add()
    home = copy_tree(tmp_path / "index", tmp_path / "copy")
    (home / "backbone.onnx").unlink()
    query = tmp_path / "query.png"
    Image.new("RGB", (50, 50), "red").save(query)
    with Index.open(home) as index, pytest.raises(BackboneError, match=r"backbone.onnx is missing"):
        index.similar(query)


def test_blas_gets_its_threads_back_when_the_last_has_left() -> None:
    def threads() -> list[int]:
        return [p["num_threads"] for p in threadpool_info() if "numpy" in p["filepath"]]

    before = threads()
    with one_blas_thread():
        assert set(threads()) == {1}
        with ThreadPoolExecutor(1) as pool:
            pool.submit(_use_one_blas_thread).result()
        assert set(threads()) == {1}
    assert threads() == before


def _use_one_blas_thread() -> None:
    with one_blas_thread():
        pass
