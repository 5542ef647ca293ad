"""Two paintings and an index in; how likely one artist made both, and pairs that compare, out.

The calibration is made on demand, kept in the index, and made anew when the index has another
compressor or has changed by more than a tenth;
answering from a calibration that is there loads neither torch nor scikit-learn.
"""

import itertools
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, Self

import numpy as np
from numpy.typing import NDArray

from paint_search import verify
from paint_search.errors import UsageError
from paint_search.eval.inputs import plain_fields
from paint_search.files import UNWRITABLE, read_arrays, read_json, replacing
from paint_search.index.collection import Collection
from paint_search.index.examples import Example, Query, name_query, read_examples
from paint_search.index.shared import CALIBRATION
from paint_search.painting import Painting, Value
from paint_search.search.stores.base import VectorName, VectorQuery

if TYPE_CHECKING:
    from paint_search.verify import Judge, Material

FORMAT: Final = 1
_SETTINGS: Final = "calibration.json"
_ARRAYS: Final = "calibration.safetensors"

#: Between these, a verdict would be little better than a coin's.
UNSURE: Final = (0.4, 0.6)

#: Works read at most, so that memory does not grow with the index.
_MOST: Final = 20_000
_CELLS: Final = 2**25

_REFERENCES: Final = 1_000  # pairs of the calibration that are kept to be shown
_SHOWN: Final = 3  # of one artist, and of two
_CHANGED: Final = 0.1  # share of the paintings
_ASKED: Final = 200  # works whose nearest neighbour says how near that usually is
_STRANGE: Final = 0.01  # share of them that are farther from their nearest

Says = Literal["same", "different", "cannot tell"]


@dataclass(frozen=True)
class Reference:
    """A pair of the calibration: two indexed paintings, and the probability they would be given."""

    one: Painting
    other: Painting
    same: bool
    probability: float


@dataclass(frozen=True)
class Verdict:
    """The answer to "same artist or not"."""

    says: Says  #: what the probability amounts to
    #: that one artist made both, where half of all pairs asked about are by one.
    probability: float
    reason: str | None  #: why it cannot tell; None where it can
    #: pairs of the calibration of about the same probability, by one artist and by two in turn.
    references: tuple[Reference, ...]
    pairs: int  #: how many pairs it was calibrated on
    artists: int  #: of how many artists

    def describe(self) -> str:
        """Say it in a few words."""
        words = {
            "same": "probably the same artist",
            "different": "probably not the same artist",
            "cannot tell": "cannot tell",
        }
        why = f" ({self.reason})" if self.reason else ""
        return f"{words[self.says]}: {write_probability(self.probability)}{why}"

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as JSON can carry it."""
        return plain_fields(self)


def write_probability(value: float) -> str:
    """Write a probability with two digits, and never as certainty."""
    return "<0.01" if value < 0.005 else ">0.99" if value > 0.995 else f"{value:.2f}"


@dataclass(frozen=True, eq=False)
class Calibration:
    """A judge, and what it needs to say how far it can be trusted."""

    judge: "Judge"  #: the calibrated judge
    made_of: str  #: which vectors: fingerprint of the backbone, folder of the compressor
    paintings: int  #: how many the index had
    pairs: int  #: how many it was calibrated on
    artists: int  #: of how many artists
    #: cosine to the nearest other painting that all but one in a hundred works reach; below it a
    #: painting is unlike all of them.
    nearest: float
    #: (id, id, same, log odds) of some of the pairs.
    references: tuple[tuple[str, str, bool, float], ...]

    def save(self, folder: Path) -> None:
        """Write it into ``folder``, the JSON last: without that there is no calibration."""
        from safetensors.numpy import save

        folder.mkdir(exist_ok=True)
        arrays = {name: np.ascontiguousarray(a) for name, a in self.judge.arrays().items()}
        settings = {name: value for name, value in vars(self).items() if name != "judge"}
        with replacing(folder / _ARRAYS) as fresh:
            fresh.write_bytes(save(arrays))
        with replacing(folder / _SETTINGS) as fresh:
            fresh.write_text(json.dumps({"format": FORMAT, **settings}), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self | None:
        """Return what ``save`` wrote; None where it cannot be used and has to be made again."""
        try:
            settings = read_json(folder / _SETTINGS)
            if settings["format"] != FORMAT:
                return None
            return cls(
                judge=verify.Judge.from_arrays(read_arrays(folder / _ARRAYS)),
                made_of=str(settings["made_of"]),
                paintings=int(settings["paintings"]),
                pairs=int(settings["pairs"]),
                artists=int(settings["artists"]),
                nearest=float(settings["nearest"]),
                references=tuple(
                    (str(one), str(other), bool(same), float(score))
                    for one, other, same, score in settings["references"]
                ),
            )
        except (OSError, ValueError, LookupError, TypeError, ArithmeticError):
            return None


@dataclass(frozen=True)
class Verifier:
    """Compares paintings for one open index."""

    collection: Collection  #: the index
    note: Callable[[str], None]  #: takes lines for the user
    #: probabilities between these are little better than a coin.
    unsure: tuple[float, float] = UNSURE

    def verify(self, one: Query, other: Query) -> Verdict:
        """Say whether one artist made both.

        Args:
            one: a picture, an indexed path or an id.
            other: another.

        Raises:
            UsageError: one of them is not there, or both are the same painting.
            ImageError: one of them is no image.
            EvalError: too few artists of this index have works enough to calibrate on.
        """
        calibration = self.calibration()
        base, searched = self._kinds()
        examples = read_examples(self.collection, [one, other], searched)
        if examples[0].id is not None and examples[0].id == examples[1].id:
            raise UsageError(
                f"{name_query(one)} and {name_query(other)} are the same painting; name two"
            )
        codes = None if base == searched else np.stack([found.vector for found in examples])
        full = examples if base == searched else read_examples(self.collection, [one, other], base)
        vectors = np.stack([found.vector for found in full])
        works = verify.Embeddings.of(calibration.judge.model, vectors, codes)
        first, second = works[np.array([0])], works[np.array([1])]
        score = float(calibration.judge.score(first, second)[0])
        chance = float(verify.probability(np.array([score]))[0])
        reason = self._doubt(calibration, score, chance, (one, other), examples)
        return Verdict(
            says="cannot tell" if reason else "same" if chance > self.unsure[1] else "different",
            probability=chance,
            reason=reason,
            references=self._references(calibration, score, {found.id for found in examples}),
            pairs=calibration.pairs,
            artists=calibration.artists,
        )

    def calibration(self) -> Calibration:
        """Return the calibration of the index, made where there is none that fits."""
        self.collection.fetch(CALIBRATION)
        found = Calibration.load(self.collection.folder / CALIBRATION)
        count = self.collection.store.count()
        length = self.collection.manifest.dimensions[self._kinds()[0]]
        fits = (
            found is not None
            and found.made_of == self._made_of()
            and found.judge.model.mean.shape == (length,)
        )
        if found and fits and abs(count - found.paintings) <= _CHANGED * found.paintings:
            return found
        self.note("calibrating on pairs of paintings by known artists; later runs reuse it")
        made = self._calibrate(count)
        try:
            made.save(self.collection.folder / CALIBRATION)
            self.collection.send(CALIBRATION)
        except OSError as error:
            if error.errno not in UNWRITABLE:
                raise
            self.note(f"{self.collection.folder} cannot be written: the calibration is not kept")
        return made

    def material(self) -> "tuple[list[str], Material]":
        """Read ids and what there is to learn from, a bounded number of works."""
        base, searched = self._kinds()
        most = min(_MOST, _CELLS // self.collection.manifest.dimensions[base])
        ids: list[str] = []
        artists: list[Value | None] = []
        vectors: dict[VectorName, list[NDArray[np.float32]]] = {"full": [], "compact": []}
        # The order of the ids, which are hashes, is as good as any shuffling.
        for record in itertools.islice(self.collection.store.scroll(vectors=True), most):
            ids.append(record.id)
            artists.append(record.payload.get("artist"))
            for kind in {base, searched}:
                vector = record.vector if kind == "full" else record.compact
                vectors[kind].append(np.asarray(vector, dtype=np.float32))
        if not ids:
            raise UsageError("the index is empty; run paint-search index first")
        made = self.collection.manifest.compression
        return ids, verify.Material.deal(
            ids,
            [None if artist is None else str(artist) for artist in artists],
            np.stack(vectors[base]),
            None if base == searched else np.stack(vectors[searched]),
            made.split if made is not None and made.told is not None else None,
        )

    def _calibrate(self, count: int) -> Calibration:
        ids, material = self.material()
        judge, drawn, scores = verify.calibrate(material)
        named = {material.artists[row] for row in drawn.left}
        rows = material.vectors if material.codes is None else material.codes
        asked = np.flatnonzero(material.unseen)[:_ASKED]
        cosines = [self._nearest(rows[row], ids[row]) for row in asked]
        kept = []  # every so many of the pairs in the order of their scores, of each kind
        for kind in (True, False):
            of_kind = np.flatnonzero(drawn.same == kind)
            ranked = of_kind[np.argsort(scores[of_kind], kind="stable")]
            kept += ranked[:: max(1, 2 * len(ranked) // _REFERENCES)].tolist()
        return Calibration(
            judge=judge,
            made_of=self._made_of(),
            paintings=count,
            pairs=len(drawn),
            artists=len(named),
            nearest=float(np.quantile(cosines, _STRANGE)),
            references=tuple(
                (ids[drawn.left[n]], ids[drawn.right[n]], bool(drawn.same[n]), float(scores[n]))
                for n in kept
            ),
        )

    def _nearest(self, vector: NDArray[np.float32], own: str | None) -> float:
        """Return the cosine to the nearest other painting."""
        using, without = self.collection.manifest.searched, set() if own is None else {own}
        query = VectorQuery(vector[None], 1, using=using, without=without)
        (found,) = self.collection.store.search(query)
        return found[0].score if found else -1.0

    def _doubt(
        self,
        calibration: Calibration,
        score: float,
        chance: float,
        queries: tuple[Query, Query],
        examples: list[Example],
    ) -> str | None:
        """Say why there is no verdict, None where there is one."""
        for query, example in zip(queries, examples, strict=True):
            if self._nearest(example.vector, example.id) < calibration.nearest:
                return f"{name_query(query)} is unlike all that was calibrated on"
        if score > calibration.judge.highest:
            return "more alike than any two works that were calibrated on: one picture twice?"
        if score < calibration.judge.lowest:
            return "less alike than any two works that were calibrated on"
        if self.unsure[0] <= chance <= self.unsure[1]:
            return "little better than a coin"
        return None

    def _references(
        self, calibration: Calibration, score: float, without: set[str | None]
    ) -> tuple[Reference, ...]:
        """Return the pairs nearest in score, of one artist and of two, that are still indexed."""
        drawn = {frozenset(pair[:2]): pair for pair in calibration.references}  # some twice
        near = sorted(drawn.values(), key=lambda pair: abs(pair[3] - score))
        fresh = [pair for pair in near if not without & {pair[0], pair[1]}]
        kinds = ([pair for pair in fresh if pair[2] is kind][:_SHOWN] for kind in (True, False))
        chosen = [pair for both in zip(*kinds, strict=False) for pair in both]
        records = self.collection.store.get(list({key for pair in chosen for key in pair[:2]}))
        return tuple(
            Reference(
                Painting.from_payload(records[one].payload),
                Painting.from_payload(records[other].payload),
                same,
                float(verify.probability(np.array([value]))[0]),
            )
            for one, other, same, value in chosen
            if one in records and other in records
        )

    def _kinds(self) -> tuple[VectorName, VectorName]:
        """Return the vectors that the model is fitted to, and those whose cosine counts."""
        searched = self.collection.manifest.searched
        return ("full" if "full" in self.collection.manifest.vectors else "compact"), searched

    def _made_of(self) -> str:
        made = self.collection.manifest.compression
        searched = self.collection.manifest.searched
        folder = made.folder if made is not None and searched == "compact" else "none"
        return f"{self.collection.manifest.backbone.fingerprint} {searched} {folder}"
