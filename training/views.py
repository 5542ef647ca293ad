"""A cached painting -> a view of it: cropped, mirrored, resized, recompressed, under other light.

Views teach the network what a copy may change and a painting may not. Each is drawn from its own
seed (run, epoch, painting), so that an interrupted run goes on with the very same views.
"""

import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image


@dataclass(frozen=True, slots=True)
class View:
    """Pixels (size, size, 3) uint8, the box (left, top, right, bottom) in 0..1, and if mirrored."""

    pixels: NDArray[np.uint8]
    box: tuple[float, float, float, float]
    mirrored: bool


def draw_view(painting: NDArray[np.uint8], size: int, seed: tuple[int, int, int]) -> View:
    """Draw a random view of a square painting, as a square of ``size`` pixels."""
    random = np.random.default_rng(seed)
    box = _box(random)
    mirrored = bool(random.random() < 0.5)
    image = Image.fromarray(painting)
    side = image.width
    region = (box[0] * side, box[1] * side, box[2] * side, box[3] * side)
    if random.random() < 0.3:  # a scan of fewer pixels
        small = max(32, round(size * random.uniform(0.4, 1.0)))
        image = image.resize((small, small), Image.Resampling.BICUBIC, box=region)
        region = (0.0, 0.0, float(small), float(small))
    image = image.resize((size, size), Image.Resampling.BICUBIC, box=region)
    if random.random() < 0.25:
        image = _recompressed(image, int(random.integers(25, 92)))
    pixels = _relit(np.asarray(image), random)
    if mirrored:
        pixels = pixels[:, ::-1]
    return View(pixels, box, mirrored)


def _box(random: np.random.Generator) -> tuple[float, float, float, float]:
    """Three times of four a part of the painting, else the whole."""
    if random.random() < 0.25:
        return (0.0, 0.0, 1.0, 1.0)
    width, height = random.uniform(0.7, 1.0, size=2)
    left, top = random.uniform(0, 1 - width), random.uniform(0, 1 - height)
    return (left, top, left + width, top + height)


def _recompressed(image: Image.Image, quality: int) -> Image.Image:
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=quality)
    return Image.open(stream).convert("RGB")


def _relit(pixels: NDArray[np.uint8], random: np.random.Generator) -> NDArray[np.uint8]:
    """Change exposure, gamma and the colour of the light a little."""
    gain = random.uniform(0.75, 1.15) * random.uniform(0.95, 1.05, size=3)
    gamma = random.uniform(0.85, 1.2)
    values = np.linspace(0, 1, 256)[:, None] ** gamma * gain * 255
    table = np.clip(values, 0, 255).astype(np.uint8)
    return np.stack([table[pixels[..., channel], channel] for channel in range(3)], axis=-1)
