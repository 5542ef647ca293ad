"""Neutral pictures, made by formula -> where the descriptors of paintings are measured from.

Run, it writes what the package ships as ``builtin/descriptors-1.npz``: ``python training/neutral.py
FILE``. Nothing is learned and no painting is seen.
"""

import sys
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from paint_search.indexer.backbones.builtin import INPUT_SIZE, measure_blocks

Array = NDArray[np.float32]

_PICTURES: Final = 12
_STYLE_FLOOR: Final = 1e-3  # keeps a style entry that never varies from being blown up


def measure_neutral() -> tuple[dict[str, Array], Array]:
    """Mean of every block, and spread of the style block, over the neutral pictures.

    Measured from this origin, unrelated paintings score low. The legacy generator is used as its
    stream is frozen: every release of numpy draws the same pictures.
    """
    random = np.random.RandomState(0)
    blocks = measure_blocks(_neutral_picture(random) for _ in range(_PICTURES))
    origin = {name: block.mean(axis=0) for name, block in blocks.items()}
    spread = blocks["style"].std(axis=0) + np.float32(_STYLE_FLOOR)
    return origin, spread


def _neutral_picture(random: np.random.RandomState) -> Array:
    """Oklab planes of one draw: five flat regions under a texture, both of power-law spectrum.

    Power-law spectra and occluding regions are the two classical models of natural images
    (Field 1987; Ruderman 1997). The constants give it a typical painting's range and grain.
    """
    regions = _power_noise(random, 1.9, 5).argmax(0)
    palette = random.normal(size=(3, 5))
    slope = random.uniform(0.9, 1.8)
    texture = np.vstack([_power_noise(random, slope, 1), _power_noise(random, slope + 0.2, 2)])
    spread = np.array([0.18, 0.024, 0.024]) * np.exp(0.3 * random.normal(size=2))[[0, 1, 1]]
    mean = np.array([0.54, 0.01, 0.03]) + np.array([0.13, 0.02, 0.03]) * random.normal(size=3)
    mix = 0.75**0.5 * palette[:, regions] + 0.25**0.5 * texture
    lab = mean[:, None, None] + spread[:, None, None] * mix
    lab[0] = np.clip(lab[0], 0, 1)
    return np.asarray(lab, dtype=np.float32)


def _power_noise(random: np.random.RandomState, slope: float, count: int) -> Array:
    """Gaussian fields (count, INPUT_SIZE, INPUT_SIZE) of amplitude f^-slope and unit variance."""
    n = INPUT_SIZE
    frequency = np.hypot(np.fft.fftfreq(n)[:, None], np.fft.rfftfreq(n))
    frequency[0, 0] = np.inf
    real, imaginary = random.normal(size=(2, count, *frequency.shape))
    field = np.fft.irfft2((real + 1j * imaginary) * frequency**-slope, s=(n, n))
    return np.asarray(field / field.std((1, 2), keepdims=True), dtype=np.float32)


if __name__ == "__main__":
    neutral, deviation = measure_neutral()
    np.savez(Path(sys.argv[1]), spread=deviation, **neutral)
