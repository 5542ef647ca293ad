"""Sections of the report on single works: retrieval, likely duplicates, outliers.

In goes the collection, out comes the body of one section. EvalError says why there is nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from paint_search.errors import EvalError
from paint_search.report.report_data import LEAST_WORKS, Collection
from paint_search.report.report_parts import (
    Html,
    beside,
    gallery,
    heading,
    join,
    paragraph,
    table,
    work,
)

if TYPE_CHECKING:
    from paint_search.eval.outliers import Outlier
    from paint_search.eval.retrieval import Retrieval

_LISTED = 12
_DUPLICATES = 20
_OUTLIERS = 10
_MANY_WORKS = 20


def recognition(collection: Collection) -> Html:
    """How often the nearest works are by the same artist, and who is taken for whom."""
    from paint_search.eval.retrieval import retrieval

    if not collection.having(2):
        raise EvalError(
            f"Every {collection.one} here has a single work at most, so that no work has another "
            f"of the same {collection.one} to be found."
        )
    result = retrieval(collection.vectors, collection.labels, ks=(1, 10))
    return join(
        _summary(collection, result),
        _hardest(collection, result),
        _confusions(collection, result),
    )


def duplicates(collection: Collection) -> Html:
    """Pairs of files that are likely one picture, side by side."""
    from paint_search.eval import likely_duplicates
    from paint_search.search.query import COPY_BITS

    if collection.nearest is None:
        raise EvalError("It takes two paintings to look for duplicates.")
    found = likely_duplicates(
        collection.vectors, collection.hashes, collection.nearest, copy_bits=COPY_BITS
    )
    if not found:
        return paragraph("No two files look like copies of one picture.")
    shown = found[:_DUPLICATES]
    count = f"{len(found):,} pairs were found" if len(found) > 1 else "1 pair was found"
    limit = f"; the {len(shown)} of highest likeness are shown" if len(shown) < len(found) else ""
    return gallery(
        [
            beside(
                [work(collection, row) for row in (pair.a, pair.b)],
                f"likeness {pair.cosine:.2f}, {pair.bits} of 64 bits of the hash differ",
            )
            for pair in shown
        ],
        f"{count}{limit}. Two files whose fingerprint (a perceptual hash) or description by the "
        "model nearly agree: most often two photographs of one painting, sometimes a replica, a "
        "version, or a series. Only looking can tell which. Heavily cropped copies are missed.",
    )


def strangers(collection: Collection) -> Html:
    """Works unlike any other by their artist, beside the artist's most typical work."""
    from paint_search.eval.outliers import outliers

    if not collection.having(LEAST_WORKS):
        raise EvalError(
            f"It takes {LEAST_WORKS} works by one {collection.one} to say that one of them is "
            "unusual, and none here has so many."
        )
    found = outliers(collection.vectors, collection.labels, min_works=LEAST_WORKS)[:_OUTLIERS]
    one = collection.one
    return gallery(
        [_outlier(collection, outlier) for outlier in found],
        f"For each {one} of {LEAST_WORKS} or more works, the work whose nearest companion of the "
        f"same {one} is least like it, set against what is usual for that {one}; the widest gaps "
        "come first. A rare subject, a drawing among paintings, a frame in the photograph, an "
        "early or late manner all lead here, as does a wrong label: this list is for looking, it "
        "proves nothing about authorship.",
    )


def _outlier(collection: Collection, outlier: Outlier) -> Html:
    works = [
        work(collection, outlier.row, "the unusual work"),
        work(collection, outlier.typical, f"most typical of this {collection.one}"),
    ]
    if collection.nearest is not None:
        nearest = int(collection.nearest.indices[outlier.row, 0])
        works.append(work(collection, nearest, "nearest of all"))
    return beside(
        works,
        f"{outlier.label}: likeness to the nearest other work {outlier.own:.2f}, usually "
        f"{outlier.usual:.2f}",
    )


def _summary(collection: Collection, result: Retrieval) -> Html:
    one = collection.one
    named = {
        "P@1": f"the nearest work is of the same {one}",
        "R@10": f"at least one of the ten nearest is of the same {one}",
        "P@10": f"share of the ten nearest that are of the same {one}",
        "mAP@10": "the same, with more weight on the first places",
        "R-precision": "share among as many nearest as there are to find",
    }
    means = result.summary()
    rows = []
    for figure, words in named.items():
        low, high = result.interval(figure)
        ends = f"{low:.1%} to {high:.1%}" if low == low else ""
        rows.append((words, figure, f"{means[figure]:.1%}", ends))
    labelled = len(result.groups.labelled)
    chance = float((result.relevant / (labelled - 1)).mean())
    blindly = f"the nearest work, if picked blindly, is of the same {one}"
    rows.append((blindly, "", f"{chance:.1%}", ""))
    lonely = f" {result.lonely:,} have none to be found and do not ask." if result.lonely else ""
    return table(
        ("", "figure", ">value", ">95 % interval"),
        rows,
        f"Each of {len(result.queries):,} works asks for the works most like it, itself left out."
        f"{lonely} It measures how far likeness to the model follows the {one}, not whether the "
        "model knows painting: copies and series of one motif raise it, and so do photographs "
        "from one source.",
    )


def _hardest(collection: Collection, result: Retrieval) -> Html:
    # A list of those of few works would be a list of zeros.
    least = _MANY_WORKS if len(collection.having(_MANY_WORKS)) >= _LISTED else LEAST_WORKS
    hardest = result.hardest(_LISTED, least)
    if not hardest:
        return Html("")
    return join(
        heading(f"The {collection.many} hardest to recognise"),
        table(
            (collection.one, ">works", ">nearest", ">one of ten", ">mAP@10"),
            [
                (
                    row.label,
                    f"{row.queries:,}",
                    *(f"{x:.1%}" for x in (row.p_at_1, row.hit, row.ap)),
                )
                for row in hardest
            ],
            f"Among {collection.many} of {least} or more works, those whose works lead least "
            "often to each other. With few works there is little to find, so that chance weighs "
            "heavily.",
        ),
    )


def _confusions(collection: Collection, result: Retrieval) -> Html:
    confusions = [row for row in result.confusions() if row.count > 1][:_LISTED]
    if not confusions:
        return Html("")
    return join(
        heading("Who is taken for whom"),
        table(
            (collection.one, "taken for", ">works", ">share"),
            [
                (row.label, row.taken_for, f"{row.count:,}", f"{row.share:.0%}")
                for row in confusions
            ],
            f"How many works of the {collection.one} at the left have a work of the other as their "
            f"very nearest. {collection.many.capitalize()} of many works are named most, as there "
            "is most to mistake and most to be mistaken for.",
        ),
    )
