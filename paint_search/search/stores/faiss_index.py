"""The vectors that are searched first, in a FAISS index derived from SQLite, and kept up with it.

The index is a file that is never changed, only replaced, and read memory-mapped. What has been
written since is searched exactly beside it, what was deleted is masked; ``optimize`` folds both
in. Whatever becomes of the file, nothing is lost.
"""

from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np

from paint_search.errors import StoreError
from paint_search.search.filters import Filter
from paint_search.search.stores import faiss_file, faiss_plans
from paint_search.search.stores.faiss_building import Builder, near
from paint_search.search.stores.faiss_kept import Kept
from paint_search.search.stores.faiss_plans import Plan
from paint_search.search.stores.faiss_scan import Filters, Floats, Found, Labels, scan
from paint_search.search.stores.faiss_segment import Segment

#: The index is added to, or built anew, once this many vectors are not in it.
_TAIL: Final = 4096

#: Most bytes of them that are held in memory; more are read from SQLite for every search.
_TAIL_BYTES: Final = 256 * 1024 * 1024

#: The index is built anew once this share of it is deleted, or it has grown this many times.
_GONE_SHARE: Final = 0.1
_GROWTH: Final = 2

#: Most bytes that remember which vectors filters keep; the oldest filters are forgotten.
_KEPT_BYTES: Final = 32 * 1024 * 1024

_NOTE: Final = "index"


class DerivedIndex:
    """A FAISS index in ``folder``, made by ``builder``; ``filters`` tell which labels are kept."""

    def __init__(self, folder: Path, builder: Builder, filters: Filters) -> None:
        self._folder = folder
        self._builder = builder
        self._points = builder.points
        self._filters = filters
        self._main: Segment | None = None
        self._tail: Segment | None = None
        self._tail_is_long = False
        self._gone = np.empty(0, dtype=np.int64)
        self._kept: dict[tuple[str, int], Kept | None] = {}
        self._version = -1
        note = self._points.note(_NOTE)
        self._plan = None if note is None else Plan(**note["plan"])

    def nearest(
        self, queries: Floats, k: int, where: Filter, without: Labels, *, exact: bool
    ) -> list[Found]:
        """Return the ``k`` nearest to each query, by inner product, that meet a filter.

        Args:
            queries: (n, d) with unit norms.
            k: how many.
            where: conditions.
            without: labels that are not wanted; few.
            exact: compare with every vector as it is stored.
        """
        self._catch_up()
        more = k + len(without)
        main, after = self._main, 0
        found = [Found.none() for _ in queries]
        if main is not None and self._plan is not None:
            kept = self._which(main, where)
            if main.needs_scan(exact=exact, masked=kept is not None):
                found = self._scan(queries, more, where, 0)
                return [each.without(without, k) for each in found]
            after = main.last
            if exact:
                found = main.exact(queries, more, kept)
            else:
                names = self._points, self._builder.name
                found = near(main, self._plan, *names, queries, more, kept)
        newer = None
        if self._tail_is_long:
            newer = self._scan(queries, more, where, after)
        elif self._tail is not None:
            newer = self._tail.exact(queries, more, self._which(self._tail, where))
        if newer is not None:
            found = [each.merged(new, more) for each, new in zip(found, newer, strict=True)]
        return [each.without(without, k) for each in found]

    def optimize(self) -> None:
        """Fold in what was written since, by another kind of index where it is time for it."""
        self._catch_up()
        count = self._points.size(self._builder.name)
        factories, remark = self._choose(count)
        if self._is_due(factories[0], count):
            self._fold(factories, remark, count)

    def approximate(self) -> bool:
        """Tell whether searches may miss a neighbour."""
        return self._plan is not None and self._plan.recall is not None

    def describe(self) -> str:
        """Say in words how it is searched."""
        return "flat: exact" if self._plan is None else self._plan.describe()

    def raw(self) -> Any:
        """Return the FAISS index with everything in it and nothing that was deleted."""
        self._catch_up()
        count = self._points.size(self._builder.name)
        whole = self._main is not None and self._tail is None and not self._tail_is_long
        if not whole or self._main is None or len(self._main) != count:
            self._fold(*self._choose(count), count, purge=True)
        return None if self._main is None else self._main.index

    def _choose(self, count: int) -> tuple[list[str], str]:
        return faiss_plans.choose(count, self._builder.dimension, self._builder.wanted)

    def _is_due(self, factory: str, count: int) -> bool:
        """Tell whether enough has changed for the index to be added to or built anew."""
        main, plan = self._main, self._plan
        pending = self._pending()
        if main is None or plan is None:
            return pending > _TAIL or (self._builder.wanted.factory is not None and count > 0)
        limit = _GONE_SHARE if main.selects else 0
        return pending > _TAIL or self._gone_share(main) > limit or plan.asked != factory

    def _fold(self, factories: list[str], remark: str, count: int, *, purge: bool = False) -> None:
        """Add to the index where that does, and build it anew where not."""
        main, plan, index = self._main, self._plan, None
        if main is not None and plan is not None and plan.asked == factories[0]:
            limit = _GONE_SHARE if main.selects and not purge else 0
            if count <= _GROWTH * plan.points and self._gone_share(main) <= limit:
                index = self._read(writable=True)
        if main is not None and plan is not None and index is not None:
            self._builder.fill(index, main.last)
            plan = self._builder.tune(index, replace(plan, remark=""), remark)
        else:
            index, plan = self._builder.best(factories, remark)
        self._save(index, plan)

    def _save(self, index: Any, plan: Plan) -> None:
        """Put an index in the place of the one there is, and map it."""
        before = self._points.note(_NOTE)
        number = 1 if before is None else int(before["number"]) + 1
        file = self._folder / _file_name(number)
        faiss_file.write(index, file)
        plan = self._builder.remark_on(plan, file.stat().st_size)
        fingerprint = faiss_file.fingerprint_of(file)
        note = {"number": number, "fingerprint": fingerprint, "plan": asdict(plan)}
        self._points.write_note(_NOTE, note, Segment(index).labels)
        self._plan, self._tail, self._version = plan, None, -1
        mapped = self._read()
        if mapped is None:
            raise StoreError(f"{file} was written and cannot be read back; is the disk sound?")
        self._main = Segment(mapped, plan.effort, gpu=True)
        self._sweep(number)
        self._catch_up()

    def _read(self, *, writable: bool = False) -> Any | None:
        """Return the index that was written down; None where it is not there or damaged."""
        note = self._points.note(_NOTE)
        if note is None:
            return None
        file = self._folder / _file_name(note["number"])
        return faiss_file.read(file, note["fingerprint"], writable=writable)

    def _open(self) -> None:
        """Map the index that was written down; build it anew where that cannot be read."""
        note = self._points.note(_NOTE)
        self._sweep(None if note is None else note["number"])
        if self._plan is None:
            return
        index = self._read()
        if index is None:
            self._save(self._builder.build(self._plan.factory)[0], self._plan)
        else:
            self._main = Segment(index, self._plan.effort, gpu=True)

    def _sweep(self, number: int | None) -> None:
        """Delete what was there before, and what was left half written."""
        for file in self._folder.glob("vectors-*"):
            if number is None or file.name != _file_name(number):
                file.unlink(missing_ok=True)

    def _catch_up(self) -> None:
        """Bring what is in memory up to what SQLite knows."""
        if self._version == self._points.version:
            return
        if self._version == -1 and self._main is None:
            self._open()
        self._kept.clear()
        self._gone = self._points.gone()
        pending = self._pending()
        if self._tail is not None and self._gone_share(self._tail) > 0.5:
            self._tail = None
        self._tail_is_long = 2 * self._builder.dimension * pending > _TAIL_BYTES
        if self._tail_is_long or not pending:
            self._tail = None
        else:
            self._tail = self._tail or Segment.empty(faiss_plans.FLAT, self._builder.dimension)
            after = max(self._tail.last, self._last())
            for labels, vectors in self._points.blocks(self._builder.name, after):
                self._tail.add(vectors, labels)
        self._version = self._points.version

    def _pending(self) -> int:
        """Return how many vectors the index may lack, at most."""
        return max(0, self._points.newest(self._builder.name) - self._last())

    def _last(self) -> int:
        return 0 if self._main is None else self._main.last

    def _gone_share(self, segment: Segment) -> float:
        return float(np.isin(segment.labels, self._gone).mean()) if len(segment) else 0.0

    def _scan(self, queries: Floats, k: int, where: Filter, after: int) -> list[Found]:
        keeps = partial(self._filters.kept, where=where) if where else None
        return scan(self._points, self._builder.name, queries, k, keeps=keeps, after=after)

    def _which(self, segment: Segment, where: Filter) -> Kept | None:
        """Return which of a segment's vectors take part; None for all."""
        key = (repr(where) if where else "", id(segment))
        if key not in self._kept:
            mask = ~np.isin(segment.labels, self._gone)
            if where:
                mask &= self._filters.kept(segment.labels, where)
            self._kept[key] = Kept.of(mask)
            held = [0 if kept is None else kept.nbytes for kept in self._kept.values()]
            while sum(held) > _KEPT_BYTES and len(held) > 1:
                del self._kept[next(iter(self._kept))], held[0]
        return self._kept[key]


def _file_name(number: int) -> str:
    return f"vectors-{number}.faiss"
