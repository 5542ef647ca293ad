"""How ``eval classify`` shows what a model made of its works: on the screen, and as a page."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from paint_search.cli.exhibit import steps
from paint_search.cli.output import Output
from paint_search.cli.study import Works, plural

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from paint_search.eval.classify import Classification
    from paint_search.index.manifest import Manifest

_FEW = 12  # classes of which the whole confusion matrix fits a screen
_LISTED = 12  # confusions listed where it does not
_SHOWN = 220  # pixels of a picture on the page

_Table = tuple[list[str], list[list[str]]]


def print_result(output: Output, result: "Classification", works: Works) -> None:
    """Print the classes, the figures, what they mean, and who is told as whom."""
    output.table(*_class_table(result, works.by))
    output.line("")
    output.table(*_figure_table(result))
    output.line("")
    for line in result.remarks():
        output.line(line)
    known = _known_artists(result, works)
    if known:
        output.note(known)
    output.line(f"\nwho is told as whom: rows are what they are, {len(result.truth):,} works")
    output.table(*_confusion_table(result, works.by))


def write_gallery(
    out: Path,
    name: str,
    manifest: "Manifest",
    works: Works,
    vectors: "NDArray[np.float32]",
    result: "Classification",
    figure: "Figure",
    output: Output,
) -> None:
    """Write the page of errors; ``vectors``, (n, d), say which works are near."""
    from paint_search.indexer.images.thumbnails import decoding
    from paint_search.report import ErrorPage, shown_rows, write_error_page

    rows, near = shown_rows(result, vectors)
    wanted = sorted({*rows.tolist(), *near.ravel().tolist()})
    place = {row: number for number, row in enumerate(wanted)}
    files = [works.files[row] for row in wanted]
    with (
        steps(output, "pictures", len(files)) as done,
        decoding(files, _SHOWN, done) as picture,
    ):
        page = ErrorPage(
            name=name,
            by=works.by,
            result=result,
            vectors=vectors,
            captions=[works.caption(row) for row in range(len(works.files))],
            picture=lambda row: picture(place[row]),
            tables=[_figure_table(result), _class_table(result, works.by)],
            figure=figure,
            made=_making(result, manifest),
        )
        write_error_page(out, page)


def _class_table(result: "Classification", by: str) -> _Table:
    columns = [by, ">learned from", ">tested", ">precision", ">recall", ">F1"]
    return columns, [
        [score.label, f"{score.learned:,}", f"{score.tested:,}"]
        + [f"{value:.3f}" for value in (score.precision, score.recall, score.f1)]
        for score in result.per_class()
    ]


def _figure_table(result: "Classification") -> _Table:
    common, share = result.baseline
    ends = (result.interval(result.right), result.interval(result.covered))
    right, covered = (f"{low:.3f} to {high:.3f}" for low, high in ends)
    by_chance = f"{result.calibration_error_by_chance:.3f} if calibrated"
    promised = f"sets that hold the class, {result.coverage:.0%} asked"
    return ["figure", ">value", "95 % interval"], [
        ["accuracy", f"{result.accuracy:.3f}", right],
        [f"always {common}", f"{share:.3f}", ""],
        ["accuracy on the works learned from", f"{result.fitted:.3f}", ""],
        ["expected calibration error", f"{result.calibration_error:.3f}", by_chance],
        [promised, f"{result.covered.mean():.3f}", covered],
        ["classes in a set", f"{result.sets.sum(axis=1).mean():.2f}", ""],
        ["agreement of the models", f"{result.agreement.mean():.3f}", ""],
    ]


def _confusion_table(result: "Classification", by: str) -> _Table:
    """Return the whole matrix where it fits, else the most frequent confusions."""
    confusion, classes = result.confusion(), result.classes
    if len(classes) <= _FEW:
        return [by, *(f">{name}" for name in classes)], [
            [name, *(f"{count:,}" for count in row)]
            for name, row in zip(classes, confusion.tolist(), strict=True)
        ]
    pairs = Counter(
        {
            (a, b): int(confusion[a, b])
            for a in range(len(classes))
            for b in range(len(classes))
            if a != b and confusion[a, b]
        }
    )
    return [by, "told as", ">works", ">of"], [
        [classes[a], classes[b], f"{count:,}", f"{confusion[a].sum():,}"]
        for (a, b), count in pairs.most_common(_LISTED)
    ]


def _known_artists(result: "Classification", works: Works) -> str:
    """Say how many tested works are by artists whose other works were learned from."""
    if works.by == "artist":
        return ""
    artists = [painting.artist for painting in works.paintings]
    learned = {artists[row] for row in result.split.learned} - {None}
    known = sum(artists[row] in learned for row in result.split.tested)
    if not known:
        return ""
    return (
        f"{known:,} of the {len(result.truth):,} tested works are by artists whose other works it "
        f"learned from: part of what it knows of {plural(works.by)} may be the artists."
    )


def _making(result: "Classification", manifest: "Manifest") -> list[tuple[str, str]]:
    ensemble, split = result.ensemble, result.split
    settings = ", ".join(f"{name} {value:g}" for name, value in ensemble.settings.items())
    members, backbone = len(ensemble.model.calibrated_classifiers_), manifest.backbone
    return [
        (
            "model",
            f"{members} of the kind {ensemble.kind}, each from all but one part of them",
        ),
        ("settings, chosen on works held out", settings or "none"),
        ("works learned from", f"{len(split.learned):,}"),
        ("works that the sets of classes are set by", f"{len(split.set_by):,}"),
        ("works tested", f"{len(split.tested):,}"),
        ("probabilities", "calibrated, model by model, on works it had not seen"),
        (
            "vectors of the index",
            f"{backbone.name}, {backbone.dimension:,} numbers",
        ),
    ]
