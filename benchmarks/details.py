"""Details found by rigid templates, as `similar --box` has them, and by MaxSim over multivectors.

    python benchmarks/details.py INDEX [--count 120] [--seed 0] [--mosaics]

INDEX has been built with `index --details` and stays as it is. Details are cut and pasted as `eval
details` does, and looked for by the same codes: as templates laid over the grid of each painting,
and in a Qdrant Edge shard of multivectors, where a painting scores the sum, over the places of the
detail, of the greatest cosine that any of its own places has (MaxSim), wherever they lie.

"one query": the places of the detail at all sizes, as it is and mirrored, are one multivector.
"by size": each size is one, and what counts is the one that is the most median deviations above
what it scores on most paintings, as with templates. "checked": the best 40, of one query the best
10, as every size is tried there, by their deviations times one and the share of places that agree
on one similarity transform. A box is that of the transform, else of the template, else round all
places that were matched.

``--mosaics`` asks something else: how often details of 1/8 to 1/5 of the longer side are found in
large scans, with their tiles and without. There being none, each is a mosaic of 4 x 4 works from
among the largest, drawn at 1,600 px; details are cut from other works, which are in no mosaic.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import qdrant_edge as edge
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console
from rich.table import Table

from paint_search import Index
from paint_search.eval import overlap
from paint_search.index.details import Box, Details, Found
from paint_search.indexer.images.preprocessing import Preprocessing
from paint_search.search import GRID, LENGTH, Template, agreement, lay
from paint_search.studies.details import paste, paste_details

K = 10
CHECKED = 40
CHECKED_AT_ALL_SIZES = 10
OVERLAP = 0.3
BATCH = 100
PLACES = "places"
ACROSS = 4  # works of a mosaic, along each side
CELL = 400  # pixels of each
SHARES = (1 / 8, 1 / 5)  # of a mosaic, that a detail takes

Codes = NDArray[np.int8]
Floats = NDArray[np.float32]


class Hit(NamedTuple):
    """A painting that may have the detail: its row, how good it is, and where it would lie."""

    row: int
    worth: float
    box: Callable[[tuple[int, int]], Box]


@dataclass
class Tally:
    """What a way has found, and how long that took."""

    boxed: int = 0
    alone: int = 0
    seconds: float = 0.0


@dataclass
class Way:
    """One way to look for a detail that was cut from a row, and what a painting takes for it."""

    look: Callable[[Sequence[Template], int], list[Hit]]
    bytes_each: float
    tally: Tally = field(default_factory=Tally)


class Multivectors:
    """The codes of paintings, (n, GRID, GRID, LENGTH), as multivectors of a Qdrant Edge shard."""

    def __init__(self, folder: Path, codes: Codes) -> None:
        self.codes = codes
        params = edge.EdgeVectorParams(
            size=LENGTH,
            distance=edge.Distance.Cosine,
            datatype=edge.VectorStorageDatatype.Float16,
            multivector_config=edge.MultiVectorConfig(edge.MultiVectorComparator.MaxSim),
        )
        config = edge.EdgeConfig(vectors={PLACES: params}, wal_enabled=False)
        self._shard = edge.EdgeShard.create(str(folder), config)
        for start in range(0, len(codes), BATCH):
            points = []
            for row, grid in enumerate(codes[start : start + BATCH], start):
                own = grid.reshape(-1, LENGTH).astype(np.float32)
                points.append(edge.Point(row, {PLACES: own[own.any(axis=1)].tolist()}))
            self._shard.update(edge.UpdateOperation.upsert_points(points))
        self._shard.flush()

    def scores(self, queries: Sequence[Floats]) -> Floats:
        """Return the MaxSim of queries, (m, LENGTH) each, with all paintings, (queries, n)."""
        requests = [
            edge.QueryRequest(
                limit=len(self.codes),
                query=edge.Query.Nearest(query.tolist(), using=PLACES),
                params=edge.SearchParams(exact=True),
            )
            for query in queries
        ]
        scores = np.zeros((len(queries), len(self.codes)), dtype=np.float32)
        for own, found in zip(
            scores, self._shard.query_batch(edge.QueryBatchRequest(requests)), strict=True
        ):
            own[[int(point.id) for point in found]] = [point.score for point in found]
        return scores

    def close(self) -> None:
        """Close the shard."""
        self._shard.close()


def deviations(scores: Floats) -> Floats:
    """Return scores, (queries, n), in median deviations above each query's median."""
    above = scores - np.median(scores, axis=1, keepdims=True)
    return np.asarray(above / np.maximum(np.median(np.abs(above), axis=1, keepdims=True), 1e-6))


def round_matched(queries: Sequence[Floats], codes: Codes) -> Callable[[tuple[int, int]], Box]:
    """Return what gives the box round the places that any place of the queries is nearest to."""

    def box(size: tuple[int, int]) -> Box:
        cosines = np.concatenate(queries) @ codes.reshape(-1, LENGTH).T.astype(np.float32)
        rows, columns = np.divmod(cosines.argmax(axis=1), GRID)
        left, top, side, _ = Preprocessing(GRID, "pad").seen(size)
        place = side / GRID
        x, y = left + columns.min() * place, top + rows.min() * place
        wide, high = (int(np.ptp(ends) + 1) * place for ends in (columns, rows))
        return round(x), round(y), round(wide), round(high)

    return box


def by_maxsim(
    index: Multivectors, templates: Sequence[Template], excluded: int, by_size: bool, check: bool
) -> list[Hit]:
    """Return the paintings in which the detail scores best, best first."""
    places = [one.codes.reshape(-1, LENGTH) for one in templates]
    queries = places if by_size else [np.concatenate(places)]
    above = deviations(index.scores(queries))
    above[:, excluded] = -np.inf
    chosen, best = above.argmax(axis=0), above.max(axis=0)
    hits = []
    most = CHECKED if by_size and check else CHECKED_AT_ALL_SIZES
    for row in np.argsort(-best, kind="stable")[:most].tolist():
        codes = index.codes[row]
        worth, box = float(best[row]), round_matched([queries[chosen[row]]], codes)
        if check:
            asked = [templates[chosen[row]]] if by_size else templates
            agreed = [(*agreement(one, codes), one) for one in asked]
            share, transform, template = max(agreed, key=lambda found: found[0])
            worth *= 1 + share
            if transform is not None:
                box = Found(row, template, transform, [0, 0], worth, 0.0).box
        hits.append(Hit(row, worth, box))
    return sorted(hits, key=lambda hit: -hit.worth)


def by_templates(
    built: Details, templates: Sequence[Template], excluded: int, more: Codes, check: bool
) -> list[Hit]:
    """Return the paintings on which a template lies best, best first."""
    own = len(built.ids)
    may = np.ones(own + len(more), dtype=bool)
    may[excluded] = False
    if check:
        found = built.find(templates, K, may=may, more=[*more[:, np.newaxis]])
    else:
        lies = lay(templates, [built.codes(0, own), more])
        best = np.argsort(-np.where(may, lies.score, -np.inf), kind="stable")[:K].tolist()
        found = [
            Found(row, templates[int(lies.template[row])], None, lies.at[row].tolist(),
                  float(lies.score[row]), float(lies.cosine[row]))
            for row in best
        ]  # fmt: skip
    return [Hit(one.row, one.score, one.box) for one in found]


def compare(index: Index, count: int, seed: int) -> Table:
    """Return a row for each way to look for details."""
    table = Table(f"hit@{K}", "with its box", "painting alone", "a query", "a painting", box=None)
    with tempfile.TemporaryDirectory() as folder:
        built = index.details()
        rows = {one: row for row, one in enumerate(built.ids)}
        works = [one for one in index.paintings() if one.id in rows]
        pasted = paste_details(index, works, count, seed, lambda: None)
        own = len(rows)
        looked = [built.eyes.look(one.made.picture)[0] for one in pasted]
        more = np.stack([built.fit.encode(places) for places in looked])
        start = time.perf_counter()
        shard = Multivectors(Path(folder), np.concatenate([built.codes(0, own), more]))
        print(f"{own + len(more):,} multivectors in {time.perf_counter() - start:.1f} s")
        stored = sum(file.stat().st_blocks * 512 for file in Path(folder).rglob("*"))
        ways: dict[str, Way] = {}
        sizes = built.bytes_on_disk / own, stored / (own + len(more))
        for check in (False, True):
            words = ", checked" if check else ""
            look = partial(by_templates, built, more=more, check=check)
            ways[f"templates{words}"] = Way(look, sizes[0])
            for by_size, name in ((False, "one query"), (True, "by size")):
                look = partial(by_maxsim, shard, by_size=by_size, check=check)
                ways[f"MaxSim, {name}{words}"] = Way(look, sizes[1])
        for number, one in enumerate(pasted):
            high, wide, _ = one.made.picture.shape
            start = time.perf_counter()
            templates = built.templates(one.pixels, one.made.box)
            cutting = time.perf_counter() - start
            for way in ways.values():
                start = time.perf_counter()
                hits = way.look(templates, rows[one.source.id])[:K]
                way.tally.seconds += cutting + time.perf_counter() - start
                for hit in hits:
                    if hit.row == own + number:
                        way.tally.alone += 1
                        lies = overlap(hit.box((wide, high)), one.made.pasted)
                        way.tally.boxed += lies >= OVERLAP
        for name, way in ways.items():
            tally = way.tally
            table.add_row(
                name,
                f"{tally.boxed} of {len(pasted)}",
                f"{tally.alone} of {len(pasted)}",
                f"{tally.seconds / len(pasted):.2f} s",
                f"{way.bytes_each / 1000:.1f} KB",
            )
        shard.close()
    return table


def mosaics(index: Index, count: int, seed: int) -> Table:
    """Return a row for large scans without their tiles, and one for those with them."""
    built, rng = index.details(), np.random.default_rng(seed)
    own = len(built.ids)
    largest = sorted(range(own), key=lambda row: -max(built.size(row)))[: 3 * count]
    works = [built.eyes.whole(index.locate(index.get(built.ids[row])))[0] for row in largest]
    order = rng.permutation(len(works)).tolist()
    pasted = []
    for source in order[:count]:
        cells = [
            np.asarray(Image.fromarray(works[cell]).resize((CELL, CELL), Image.Resampling.LANCZOS))
            for cell in rng.choice(order[count:], (ACROSS, ACROSS), replace=False).ravel()
        ]
        lines = [np.concatenate(cells[at::ACROSS], axis=1) for at in range(ACROSS)]
        longer = rng.uniform(*SHARES) * ACROSS * CELL
        pasted.append((source, paste(works[source], np.concatenate(lines), rng, longer)))
    table = Table(f"hit@{K}", "with its box", "painting alone", "a query", "a scan", "to index",
                  box=None)  # fmt: skip
    templates = [built.templates(works[source], made.box) for source, made in pasted]
    for name in ("without tiles", "with tiles"):
        start = time.perf_counter()
        if name == "with tiles":
            more = [built.eyes.grids(made.picture, built.fit)[0] for _, made in pasted]
        else:
            looked = [built.eyes.look(made.picture)[0] for _, made in pasted]
            more = [built.fit.encode(places[np.newaxis]) for places in looked]
        indexing, tally, start = time.perf_counter() - start, Tally(), time.perf_counter()
        for number, (source, made) in enumerate(pasted):
            may = np.ones(own + count, dtype=bool)
            may[largest[source]] = False
            for found in built.find(templates[number], K, may=may, more=more)[:K]:
                if found.row == own + number:
                    tally.alone += 1
                    side = ACROSS * CELL
                    tally.boxed += overlap(found.box((side, side)), made.pasted) >= OVERLAP
        seconds = (time.perf_counter() - start) / count
        table.add_row(
            name,
            f"{tally.boxed} of {count}",
            f"{tally.alone} of {count}",
            f"{seconds:.2f} s",
            f"{more[0].nbytes / 1000:.1f} KB",
            f"{indexing / count:.2f} s",
        )
    return table


def main() -> None:
    """Print what was found in each way."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("index", type=Path)
    parser.add_argument("--count", type=int, default=120)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--mosaics", action="store_true")
    options = parser.parse_args()
    with Index.open(options.index) as index:
        ask = mosaics if options.mosaics else compare
        table = ask(index, options.count, options.seed)
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
