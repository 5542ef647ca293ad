"""What an index says about its compressor: how it was fitted, what it keeps, whether it still fits.

Travels in the manifest; the fitted numbers themselves lie in a folder of their own.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Final, Self

import numpy as np

from paint_search.compress.base import Compressor, Floats
from paint_search.compress.hold_out import HoldOut

#: So many paintings must have come before a difference is called one.
_LEAST_ADDED: Final = 20

#: Paintings added since that lose more than the held-out ones by this many of their standard
#: deviations, on average, are of another kind.
_DRIFT: Final = 0.5

_MOST_OVERSAMPLING: Final = 10_000  # of which a hundredth is what is ever chosen


@dataclass(frozen=True, slots=True)
class Loss:
    """Mean and standard deviation of 1 - cosine between vectors and what their codes stand for."""

    count: int
    mean: float
    deviation: float

    @classmethod
    def measure(cls, compressor: Compressor, vectors: Floats) -> "Loss":
        """Measure the loss of (n, d) vectors."""
        lost = compressor.lost(vectors).astype(np.float64)
        return cls(len(lost), float(lost.mean()), float(lost.std()))

    def and_more(self, other: "Loss") -> "Loss":
        """Return the loss of both sets of vectors together."""
        count = self.count + other.count
        if not count:
            return self
        mean = (self.count * self.mean + other.count * other.mean) / count
        square = sum(
            part.count * (part.deviation**2 + (part.mean - mean) ** 2) for part in (self, other)
        )
        return Loss(count, mean, math.sqrt(square / count))

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> "Loss":
        """Read it back from a manifest."""
        return cls(int(record["count"]), float(record["mean"]), float(record["deviation"]))


@dataclass(frozen=True, slots=True)
class Told:
    """How well works of one label are told from others, among the held-out: a method's purpose."""

    label: str  #: the field that it learned from
    auc: float  #: how often two works of one label are more alike than two of two labels
    auc_full: float  #: the same by full vectors
    map_at_10: float  #: mean average precision among the ten nearest
    map_at_10_full: float  #: the same by full vectors

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> "Told":
        """Read the figures back from a manifest.

        Raises:
            KeyError, TypeError, ValueError: the record is not of that form.
        """
        label, *figures = (record[name.name] for name in fields(cls))
        return cls(str(label), *map(float, figures))


@dataclass(frozen=True, slots=True)
class Compression:
    """The compressor of one index."""

    folder: str  #: where in the index it lies
    method: str  #: its kind
    dims: int  #: length of the compact vectors
    seed: int  #: of the fit
    split: HoldOut  #: which paintings were held out
    fitted_to: int  #: how many paintings it learned from
    #: k -> share of the k nearest by full vectors that the compact ones keep, among held-out
    #: paintings.
    recall: Mapping[str, float]
    held_out: Loss  #: what those lose, and how many they are
    added: Loss = Loss(0, 0.0, 0.0)  #: the same of paintings that were indexed since
    #: of the search in two steps; None where full vectors are not kept.
    oversampling: int | None = None
    two_step_recall: float | None = None  #: recall@10 of that search when it was last measured
    #: what a compressor that learned from labels is for; None of the others.
    told: Told | None = None

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> "Compression":
        """Read the record back from a manifest.

        Raises:
            KeyError, TypeError, ValueError: the record is not of that form.
        """
        folder = str(record["folder"])
        if not folder.startswith("compressor") or Path(folder).name != folder:
            raise ValueError("a compressor lies in the index itself")
        dims, oversampling = int(record["dims"]), record["oversampling"]
        if dims < 1 or not 1 <= int(oversampling or 1) <= _MOST_OVERSAMPLING:
            raise ValueError("a compressor of no dimensions, or that finds too many")
        return cls(
            folder=folder,
            method=str(record["method"]),
            dims=dims,
            seed=int(record["seed"]),
            split=HoldOut.from_dict(record["split"]),
            fitted_to=int(record["fitted_to"]),
            recall={str(k): float(share) for k, share in record["recall"].items()},
            held_out=Loss.from_dict(record["held_out"]),
            added=Loss.from_dict(record["added"]),
            oversampling=None if oversampling is None else int(oversampling),
            two_step_recall=None
            if record["two_step_recall"] is None
            else float(record["two_step_recall"]),
            told=Told.from_dict(record["told"]) if record.get("told") else None,
        )

    @property
    def drifted(self) -> bool:
        """Tell whether the paintings added since are unlike those that it was fitted to."""
        worse = self.added.mean - self.held_out.mean
        return self.added.count >= _LEAST_ADDED and worse > _DRIFT * self.held_out.deviation

    def with_added(self, lost: Loss) -> Self:
        """Return the record after more paintings have come."""
        return replace(self, added=self.added.and_more(lost))

    def describe(self) -> str:
        """Say in a sentence what it is and what it keeps."""
        kept = ", ".join(f"{share:.3f} of the nearest {k}" for k, share in self.recall.items())
        made = f"{self.method}, {self.dims} dimensions, fitted to {self.fitted_to:,} paintings"
        if self.told is not None:
            return (
                f"{made} by {self.told.label}; of {self.held_out.count:,} held out it tells the "
                f"same {self.told.label} from another with an AUC of {self.told.auc:.3f} "
                f"(full vectors {self.told.auc_full:.3f})"
            )
        return f"{made}; of {self.held_out.count:,} held out it keeps {kept}"

    def describe_drift(self) -> str:
        """Say in a sentence whether it still fits."""
        if not self.added.count:
            return "no painting was added since it was fitted"
        figures = (
            f"{self.added.count:,} paintings added since lose {self.added.mean:.3f} "
            f"(1 - cosine), the held-out ones {self.held_out.mean:.3f}"
        )
        if self.drifted:
            return f"{figures}: they are of another kind; run paint-search compress again"
        return f"{figures}: it still fits"
