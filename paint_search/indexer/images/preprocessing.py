"""What a backbone wants its pixels to look like, and how a painting is made to fit.

The record is taken from the configuration that came with the weights and travels in the manifest,
so that a query is prepared exactly as the index was. Never touches files.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from paint_search.indexer.images.trim import TRIMS, Box, Trim

Fit = Literal["crop", "pad", "squash"]
FITS: Final[tuple[Fit, ...]] = get_args(Fit)
_MOST_SIZE: Final = 2**13  # pixels of a side

_RESAMPLING = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """A square input of ``size`` pixels a side, its resampling, and the channel statistics.

    ``mean`` and ``std`` are on the 0-1 scale; ``crop_pct`` is the share of the short side that
    ``fit="crop"`` keeps, as in timm's evaluation transform; ``trim="auto"`` cuts borders off first.
    """

    size: int
    fit: Fit
    interpolation: str = "bicubic"
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    crop_pct: float = 1.0
    trim: Trim = "off"

    def describe(self) -> str:
        """Say in a phrase how a painting is prepared."""
        share = f" of {self.crop_pct:.1%}" if self.fit == "crop" else ""
        what = "borders cut, " if self.trim == "auto" else ""
        return f"{what}{self.fit}{share} to {self.size} x {self.size} px, {self.interpolation}"

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> "Preprocessing":
        """Read the record back from a manifest.

        Raises:
            KeyError, TypeError, ValueError: the record is not of that form.
        """
        mean, std = (tuple(float(x) for x in record[name]) for name in ("mean", "std"))
        if record["fit"] not in FITS or record["interpolation"] not in _RESAMPLING:
            raise ValueError("unknown fit or interpolation")
        if (trim := record.get("trim", "off")) not in TRIMS:
            raise ValueError("unknown trim")
        if len(mean) != 3 or len(std) != 3 or not 1 <= int(record["size"]) <= _MOST_SIZE:
            raise ValueError(f"mean and std need three channels, size a number up to {_MOST_SIZE}")
        return cls(
            size=int(record["size"]),
            fit=record["fit"],
            interpolation=record["interpolation"],
            mean=mean,
            std=std,
            crop_pct=float(record["crop_pct"]),
            trim=trim,
        )

    def short_side(self, short: int, long: int) -> float:
        """Return the length that the short side of a ``short`` x ``long`` picture is scaled to."""
        if self.fit == "crop":
            return self.size / self.crop_pct
        if self.fit == "pad":
            return self.size * short / long
        return self.size

    def seen(
        self, size: tuple[int, int], kept: Box | None = None
    ) -> tuple[float, float, float, float]:
        """Return left, top, width and height of what the square shows, in pixels of the picture.

        Args:
            size: width and height of the picture.
            kept: what was left of it within its border.

        What ``pad`` adds lies outside of the picture.
        """
        left, top, right, bottom = kept or (0.0, 0.0, 1.0, 1.0)
        x, y = left * size[0], top * size[1]
        width, height = (right - left) * size[0], (bottom - top) * size[1]
        if self.fit == "squash":
            return x, y, width, height
        side = min(width, height) * self.crop_pct if self.fit == "crop" else max(width, height)
        return x + (width - side) / 2, y + (height - side) / 2, side, side

    def fit_image(
        self, image: Image.Image, extent: tuple[float, float] | None = None
    ) -> Image.Image:
        """Return the RGB image as ``size`` x ``size``: centre crop, letterbox, or squashed.

        ``extent`` is the (width, height) that the picture fills where its last column and row are
        filled in part, as in an image that was made smaller by averaging blocks.
        """
        square = (self.size, self.size)
        resample = _RESAMPLING[self.interpolation]
        width, height = extent or image.size
        if self.fit == "crop":
            edge = min(width, height) * self.crop_pct
            left, top = (width - edge) / 2, (height - edge) / 2
            return image.resize(square, resample, box=(left, top, left + edge, top + edge))
        whole = (0.0, 0.0, width, height)
        if self.fit == "squash":
            return image.resize(square, resample, box=whole)
        scale = self.size / max(width, height)
        fitted = (max(1, round(width * scale)), max(1, round(height * scale)))
        inner = image.resize(fitted, resample, box=whole)
        canvas = Image.new("RGB", square, tuple(round(255 * channel) for channel in self.mean))
        canvas.paste(inner, ((self.size - inner.width) // 2, (self.size - inner.height) // 2))
        return canvas


def check_squares(pixels: NDArray[np.uint8], size: int) -> None:
    """Raise ValueError unless these are pictures of ``size`` pixels a side, (n, size, size, 3)."""
    if pixels.dtype != np.uint8 or pixels.ndim != 4 or pixels.shape[1:] != (size, size, 3):
        raise ValueError(
            f"expected uint8 pixels of shape (n, {size}, {size}, 3), got {pixels.dtype} "
            f"{pixels.shape}"
        )
