"""``eval classify``: how well a model tells movements, shapes, ... apart, and how sure it is."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from paint_search.cli.classify_views import print_result, write_gallery
from paint_search.cli.exhibit import check_page, steps
from paint_search.cli.features import Features, FeaturesOption, read_features
from paint_search.cli.output import (
    IndexOption,
    JsonOption,
    NotOption,
    Output,
    QuietOption,
    WhereOption,
    reports_errors,
)
from paint_search.cli.study import (
    CsvOption,
    PlotOption,
    Works,
    check_outputs,
    read_works,
    write_csv,
    write_plot,
)
from paint_search.errors import EvalError, ImageError, UsageError

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from paint_search.eval.classifiers import Kind
    from paint_search.eval.classify import Classification
    from paint_search.indexer.images.preprocessing import Fit
    from paint_search.report import Plane

_MOST_PICTURES = 50_000  # that a net learns from at once: 600 MB


@reports_errors
def classify(
    label: Annotated[
        str, typer.Option(metavar="FIELD", help="What is to be told: artist, movement, ...")
    ] = "artist",
    model: Annotated[
        str,
        typer.Option(
            help="knn or logistic, by the vectors of the index; cnn, a small net that learns from "
            "the image files."
        ),
    ] = "knn",
    features: FeaturesOption = None,
    test: Annotated[
        float, typer.Option(metavar="SHARE", help="Share of the works to test with.")
    ] = 0.25,
    coverage: Annotated[
        float,
        typer.Option(metavar="SHARE", help="How often a set of classes is to hold the true one."),
    ] = 0.9,
    seed: Annotated[int, typer.Option(min=0, help="Of the division of the works.")] = 0,
    min_works: Annotated[
        int, typer.Option(min=1, help="Leave out classes of fewer works; 5 are needed.")
    ] = 10,
    plot: PlotOption = None,
    table: CsvOption = None,
    html: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Write a page of what was told wrongly.", show_default=False
        ),
    ] = None,
    where: WhereOption = None,
    exclude: NotOption = None,
    index: IndexOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Learn to tell a label on most works, test it on the others, and say how sure it is.

    The plot and the CSV are the confusion matrix; beside it the regions of two --features, or the
    learning curve of a net.
    Example: `paint-search eval classify --label movement --model logistic --html errors.html`
    """
    from paint_search.eval.classifiers import KINDS, epochs_of
    from paint_search.eval.classify import classify as learn
    from paint_search.index.index import Index

    output = Output(as_json=as_json, quiet=quiet)
    check_outputs(plot, table)
    if html:
        check_page(html)
    _check(model, KINDS, features, test, coverage)
    with Index.open(index) as collection:
        chosen = read_features(collection, features)
        works = read_works(collection, label, where, exclude, min_works)
        name, manifest = collection.root.name, collection.manifest
    output.note(works.describe())
    kind = cast("Kind", model)
    vectors = chosen.only(works.vectors) if chosen else works.vectors
    inputs: NDArray[Any] = vectors
    if kind == "cnn":
        inputs = _pixels(works, manifest.backbone.preprocessing.fit, output)
    epochs = epochs_of(kind)
    with steps(output, "epochs" if epochs else "learning", epochs) as done:
        result = learn(
            inputs, works.labels, kind=kind, test=test, coverage=coverage, seed=seed, done=done
        )
    output.json(result.to_dict() | {"label": label, "works": _told(result, works)})
    print_result(output, result, works)
    if table:
        write_csv(table, [label, *result.classes], _rows(result))
        output.note(f"wrote {table}")
    if plot or html:
        plane = _plane(result, works, chosen)
        if plot:
            write_plot(plot, _figure(result, label, plane))
            output.note(f"wrote {plot}")
        if html:
            figure = _figure(result, label, plane)
            write_gallery(html, name, manifest, works, vectors, result, figure, output)
            output.note(f"wrote {html}")


def _check(
    model: str, kinds: tuple[str, ...], features: str | None, test: float, coverage: float
) -> None:
    if model not in kinds:
        raise UsageError(f"unknown --model {model!r}: use {', '.join(kinds)}")
    if model == "cnn" and features is not None:
        raise UsageError("--model cnn learns from the image files: leave out --features")
    for name, share in (("test", test), ("coverage", coverage)):
        if not 0 < share < 1:
            raise UsageError(f"--{name} {share}: give a share between 0 and 1")


def _pixels(works: Works, fit: "Fit", output: Output) -> "NDArray[np.uint8]":
    """Decode the files of the works that take part, small, in threads; others stay grey."""
    from concurrent.futures import ThreadPoolExecutor

    import numpy as np

    from paint_search.eval.convnet import SIDE
    from paint_search.indexer.images.decode import decode
    from paint_search.indexer.images.preprocessing import Preprocessing

    rows = [row for row, label in enumerate(works.labels) if label is not None]
    if len(rows) > _MOST_PICTURES:
        raise UsageError(
            f"{len(rows):,} pictures are more than a net takes at once ({_MOST_PICTURES:,}); "
            "choose some with --where"
        )
    small = Preprocessing(size=SIDE, fit=fit, mean=(0.5, 0.5, 0.5))
    pixels = np.full((len(works.labels), SIDE, SIDE, 3), 128, dtype=np.uint8)
    with steps(output, "pictures", len(rows)) as done, ThreadPoolExecutor() as pool:

        def read(row: int) -> None:
            try:
                pixels[row] = decode(works.files[row], small).pixels
            except ImageError as error:
                raise EvalError(
                    f"{works.files[row]}: {error}; a net learns from the files, so bring the "
                    "index up to date with paint-search index --prune"
                ) from error
            done()

        list(pool.map(read, rows))
    return pixels


def _told(result: "Classification", works: Works) -> list[dict[str, Any]]:
    """Return what was made of each tested work, the surest first."""
    classes = result.classes
    return [
        {
            "path": works.paintings[row].path,
            "is": classes[result.truth[place]],
            "told_as": classes[result.predicted[place]],
            "probability": float(result.confidence[place]),
            "set": [name for name, held in zip(classes, result.sets[place], strict=True) if held],
            "agreement": float(result.agreement[place]),
        }
        for place, row in sorted(
            enumerate(result.split.tested), key=lambda item: -result.confidence[item[0]]
        )
    ]


def _rows(result: "Classification") -> list[list[object]]:
    counts = result.confusion().tolist()
    return [[name, *row] for name, row in zip(result.classes, counts, strict=True)]


def _plane(result: "Classification", works: Works, features: Features | None) -> "Plane | None":
    """Return the works in the plane of two features, with the regions of the model."""
    import numpy as np

    from paint_search.report import Plane

    if features is None or len(features.names) != 2:
        return None
    split = result.split
    rows = np.r_[split.learned, split.tested]
    tested = np.arange(len(rows)) >= len(split.learned)
    wrong = tested.copy()
    wrong[tested] = ~result.right

    def predict(points: "NDArray[np.float64]") -> "NDArray[np.int64]":
        return np.asarray(result.ensemble.probabilities(features.vectors(points)).argmax(axis=1))

    return Plane(
        points=features.values(features.only(works.vectors[rows])),
        codes=result.groups.codes[rows],
        names=result.classes,
        axes=(features.names[0], features.names[1]),
        emphasised=tested,
        emphasis="tested",
        wrong=wrong,
        predict=predict,
    )


def _figure(result: "Classification", label: str, plane: "Plane | None") -> "Figure":
    from paint_search.report import confusion_figure

    title = f"Telling {label} with {result.ensemble.kind}: {result.accuracy:.0%} right"
    return confusion_figure(
        result.confusion(), result.classes, title, plane, result.ensemble.histories
    )
