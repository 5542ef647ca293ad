"""How well a model tells movements, shapes, ... apart, and how sure it is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from paint_search.errors import EvalError, ImageError, UsageError, argument
from paint_search.eval import KINDS, Classification, Kind, unit_rows
from paint_search.eval import classify as learn
from paint_search.eval.classify import MEMBERS
from paint_search.eval.inputs import Ints
from paint_search.files import PAGES
from paint_search.painting import Progress
from paint_search.report.tables import Part, Remark, Table
from paint_search.studies.result import (
    Drawn,
    Note,
    Report,
    Result,
    check_file,
    counting,
    mistakes,
    most_telling,
)
from paint_search.studies.works import AnIndex, Exclude, Where, Works, read_works

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from paint_search.report import Plane

_MOST_PICTURES = 50_000  # that a net learns from at once: 600 MB
_SHOWN = 220  # pixels of a picture on the page
_ERRORS = 60  # shown on the page at most
_BESIDE = 10  # works learned from that are shown beside each error
_FEW = 12  # classes of which the whole confusion matrix fits a screen
_CONFUSIONS = 12  # listed where it does not


@dataclass(frozen=True, eq=False)
class Classified(Result):
    """A model, and what it made of works that it had not seen."""

    works: Works  #: that took part
    found: Classification  #: the model, and its answers

    def to_dict(self) -> dict[str, Any]:
        """Return the figures, and what was made of each tested work, the surest first."""
        return self.found.to_dict() | {"label": self.works.by, "works": self._told()}

    def table(self) -> Table:
        """Return the confusion matrix: rows are what works are, columns what they are told as."""
        found = self.found
        counts = zip(found.classes, found.confusion().tolist(), strict=True)
        return Table([self.works.by, *found.classes], [[name, *row] for name, row in counts])

    def figure(self) -> Figure:
        """Draw the confusion matrix; beside it two features as a plane, or how a net learned."""
        from paint_search.report import confusion_figure

        found, drawn = self.found, self.drawn
        title = f"Telling {self.works.by} with {found.ensemble.kind}: {found.accuracy:.0%} right"
        return confusion_figure(
            found.confusion()[np.ix_(drawn.rows, drawn.rows)],
            [found.classes[row] for row in drawn.rows],
            f"{title}\n{drawn.line}".strip(),
            self._plane(),
            found.ensemble.histories,
        )

    @property
    def drawn(self) -> Drawn:
        """Return the classes that are mistaken most often, or others for them."""
        wrong = mistakes(self.found.confusion())
        return most_telling(wrong, self.works.many, "that are mistaken most often")

    def describe(self) -> Iterator[Part]:
        """Yield the classes, the figures, what they mean, and who is told as whom."""
        found, by = self.found, self.works.by
        yield self._classes()
        yield ""
        yield self._figures()
        yield ""
        yield from found.remarks()
        tested = f"{len(found.truth):,}"
        if known := self._known_artists():
            yield Remark(
                f"{known:,} of the {tested} tested works are by artists whose other works it "
                f"learned from: part of what it knows of {self.works.many} may be the artists."
            )
        yield f"\nwho is told as whom: rows are what they are, {tested} works"
        confusion, names = found.confusion(), found.classes
        if len(names) <= _FEW:
            counts = zip(names, confusion.tolist(), strict=True)
            yield Table([by, *(f">{name}" for name in names)], [(n, *row) for n, row in counts])
            return
        pairs = [(a, b) for a, b in np.argwhere(confusion) if a != b]
        pairs = sorted(pairs, key=lambda pair: -confusion[pair])[:_CONFUSIONS]
        yield Table(
            [by, "told as", ">works", ">of"],
            [(names[a], names[b], confusion[a, b], confusion[a].sum()) for a, b in pairs],
        )

    def _classes(self) -> Table:
        return Table(
            [self.works.by, ">learned from", ">tested", ">precision", ">recall", ">F1"],
            [tuple(vars(one).values()) for one in self.found.per_class()],
        )

    def _figures(self) -> Table:
        """Return the figures over all tested works."""
        found, (common, share) = self.found, self.found.baseline
        by_chance = f"{found.calibration_error_by_chance:.3f} if calibrated"
        promised = f"sets that hold the class, {found.coverage:.0%} asked"
        return Table(
            ["figure", ">value", "95 % interval"],
            [
                ("accuracy", found.accuracy, found.interval(found.right)),
                (f"always {common}", share, ""),
                ("accuracy on the works learned from", found.fitted, ""),
                ("expected calibration error", found.calibration_error, by_chance),
                (promised, found.covered.mean(), found.interval(found.covered)),
                ("classes in a set", f"{found.sets.sum(axis=1).mean():.2f}", ""),
                ("agreement of the models", found.agreement.mean(), ""),
            ],
        )

    def write_page(self, file: str | Path, report: Report = lambda words, progress: None) -> None:
        """Write a page of what was told wrongly, the most confident error first.

        Beside each work stand the works learned from that are nearest to it, framed where they bear
        the label it was taken for: those misled the model.

        Raises:
            UsageError: no name of a page, or no folder to write it into.
        """
        from paint_search.indexer.images.thumbnails import decoding
        from paint_search.report import write_page

        check_file(file, PAGES)
        works, found = self.works, self.found
        rows = found.split.tested[found.errors[:_ERRORS]]
        unit, learned = unit_rows(works.vectors, np.float32), found.split.learned
        order = np.argsort(-(unit[rows] @ unit[learned].T), axis=1, kind="stable")
        near = learned[order[:, :_BESIDE]]
        wanted = sorted({*rows.tolist(), *near.ravel().tolist()})
        place = {row: number for number, row in enumerate(wanted)}
        files = [works.files[row] for row in wanted]
        with decoding(files, _SHOWN, counting(report, "pictures", len(files))) as picture:
            write_page(
                Path(file),
                "classify.html",
                name=works.root.name,
                by=works.by,
                model=found.ensemble.kind,
                remarks=found.remarks(),
                tables=[self._figures(), self._classes()],
                figure=self.figure(),
                tested=len(found.truth),
                wrong=len(found.errors),
                most=_ERRORS,
                errors=self._errors(near),
                captions=[works.caption(row) for row in range(len(works.files))],
                picture=lambda row: picture(place[row]),
                made=self._making(),
            )

    def _errors(self, near: Ints) -> Iterator[dict[str, object]]:
        """Yield what is shown of each error, so that pictures are made one error at a time.

        ``near`` are the works learned from that are nearest to each error, those shown, (e, k).
        """
        found, classes = self.found, self.found.classes
        members = len(found.ensemble.model.calibrated_classifiers_)
        for place, neighbours in zip(found.errors, near, strict=False):
            told, true = classes[found.predicted[place]], classes[found.truth[place]]
            chance = found.probabilities[place]
            labels = [found.groups.names[found.groups.codes[other]] for other in neighbours]
            yield {
                "row": found.split.tested[place],
                "lines": (
                    f"told as {told}: {chance[found.predicted[place]]:.0%}",
                    f"is {true}: {chance[found.truth[place]]:.0%}",
                    f"set: [{', '.join(self._set(place))}]",
                    f"{round(members * found.agreement[place])} of {members} models agree",
                ),
                "near": [
                    (other, label, label == told)
                    for other, label in zip(neighbours, labels, strict=True)
                ],
            }

    def _set(self, place: int) -> list[str]:
        """Return the classes in the set of a tested work."""
        return [self.found.classes[code] for code in np.flatnonzero(self.found.sets[place])]

    def _told(self) -> list[dict[str, Any]]:
        found, classes = self.found, self.found.classes
        return [
            {
                "path": self.works.paintings[found.split.tested[place]].path,
                "is": classes[found.truth[place]],
                "told_as": classes[found.predicted[place]],
                "probability": float(found.confidence[place]),
                "set": self._set(place),
                "agreement": float(found.agreement[place]),
            }
            for place in np.argsort(-found.confidence, kind="stable")
        ]

    def _plane(self) -> Plane | None:
        """Return the works in the plane of two features, with the regions of the model."""
        from paint_search.indexer.backbones.ink.ink import lift, read
        from paint_search.report import Plane

        features, found = self.works.features, self.found
        if features is None or len(features) != 2:
            return None
        split = found.split
        rows = np.r_[split.learned, split.tested]
        tested = np.arange(len(rows)) >= len(split.learned)
        wrong = tested.copy()
        wrong[tested] = ~found.right

        def predict(points: NDArray[np.float64]) -> NDArray[np.int64]:
            likely = found.ensemble.probabilities(lift(points, features))
            return np.asarray(likely.argmax(axis=1))

        return Plane(
            points=read(self.works.vectors[rows], features, features),
            codes=found.groups.codes[rows],
            names=found.classes,
            axes=(features[0], features[1]),
            emphasised=tested,
            emphasis="tested",
            wrong=wrong,
            predict=predict,
        )

    def _known_artists(self) -> int:
        """Return how many tested works are by artists whose other works were learned from."""
        if self.works.by == "artist":
            return 0
        artists, split = [work.artist for work in self.works.paintings], self.found.split
        learned = {artists[row] for row in split.learned} - {None}
        return sum(artists[row] in learned for row in split.tested)

    def _making(self) -> list[tuple[str, str]]:
        ensemble, split = self.found.ensemble, self.found.split
        backbone = self.works.manifest.backbone
        settings = ", ".join(f"{name} {value:g}" for name, value in ensemble.settings.items())
        members = len(ensemble.model.calibrated_classifiers_)
        return [
            ("model", f"{members} of the kind {ensemble.kind}, each from all but one part of them"),
            ("settings, chosen on works held out", settings or "none"),
            ("works learned from", f"{len(split.learned):,}"),
            ("works that the sets of classes are set by", f"{len(split.set_by):,}"),
            ("works tested", f"{len(split.tested):,}"),
            ("probabilities", "calibrated, model by model, on works it had not seen"),
            ("vectors of the index", f"{backbone.name}, {backbone.dimension:,} numbers"),
        ]


def classify(
    index: AnIndex,
    by: str = "artist",
    *,
    where: Where = None,
    exclude: Exclude = None,
    min_works: int = 10,
    model: Kind = "knn",
    features: Sequence[str] | None = None,
    test: float = 0.25,
    coverage: float = 0.9,
    seed: int = 0,
    net: Any = None,
    note: Note = lambda line: None,
    report: Report = lambda words, progress: None,
) -> Classified:
    """Learn to tell a label on most works, test it on the others, and say how sure it is.

    ``model`` is ``knn`` or ``logistic``, by the vectors of the index, or ``cnn``, a small net that
    learns from the image files: an ensemble of ``net``, by default a ``train.SmallConvNet``.
    ``test`` is the share of the works to test with, ``coverage`` how often a set of classes is to
    hold the true one. Classes of fewer than ``min_works`` works take no part; 5 are needed.

    Raises:
        UsageError: an unknown field, model or feature, a share outside (0, 1), or a missing
            library.
        EvalError: fewer than two classes, a class of too few works, or a file that has gone.
    """
    if model not in KINDS:
        raise UsageError(f"{argument('model', model)}: use {', '.join(KINDS)}")
    if model == "cnn" and features is not None:
        raise UsageError(
            f"{argument('model', 'cnn')} learns from the image files: leave out "
            f"{argument('features')}"
        )
    for name, share in (("test", test), ("coverage", coverage)):
        if not 0 < share < 1:
            raise UsageError(f"{argument(name, share)}: give a share between 0 and 1")
    if model == "cnn" and net is None:
        from paint_search.train import SmallConvNet

        net = SmallConvNet(seed=seed)
        net.set_params(done=counting(report, "epochs", MEMBERS["cnn"] * net.epochs))
    works = read_works(index, by, where, exclude, min_works, features=features)
    note(works.describe())
    inputs: NDArray[Any] = works.vectors
    if model == "cnn":
        inputs = _pixels(works, report)
    report("learning", Progress(0, 0))
    found = learn(
        inputs, works.labels, kind=model, test=test, coverage=coverage, seed=seed, net=net
    )
    report("learning", Progress(1, 1))
    return Classified(works, found)


def _pixels(works: Works, report: Report) -> NDArray[np.uint8]:
    """Decode the files of the works that take part, small, in threads; others stay grey."""
    from concurrent.futures import ThreadPoolExecutor

    from paint_search.indexer.images.decode import decode
    from paint_search.indexer.images.preprocessing import Preprocessing
    from paint_search.train import SIDE

    rows = [row for row, label in enumerate(works.labels) if label is not None]
    if len(rows) > _MOST_PICTURES:
        raise UsageError(
            f"{len(rows):,} pictures are more than a net takes at once ({_MOST_PICTURES:,}); "
            f"choose some with {argument('where')}"
        )
    made = works.manifest.backbone.preprocessing
    small = Preprocessing(size=SIDE, fit=made.fit, trim=made.trim, mean=(0.5, 0.5, 0.5))
    pixels = np.full((len(works.labels), SIDE, SIDE, 3), 128, dtype=np.uint8)
    done = counting(report, "pictures", len(rows))

    def read(row: int) -> None:
        try:
            pixels[row] = decode(works.files[row], small).pixels
        except ImageError as error:
            raise EvalError(
                f"{works.files[row]}: {error}; a net learns from the files, so bring the "
                "index up to date with paint-search index --prune"
            ) from error
        done()

    with ThreadPoolExecutor() as pool:
        list(pool.map(read, rows))
    return pixels
