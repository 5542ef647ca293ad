"""Collection size, memory budget and wanted recall -> which FAISS indexes to try, and their knobs.

Everything that depends on the kind of a FAISS index is here; never sees a vector or a file.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from paint_search.errors import UsageError

#: Up to this many bytes of float16 vectors exact search is quick enough; see benchmarks/README.md.
_EXACT_BYTES: Final = 64 * 1024 * 1024

#: Fewer points than these cannot train lists of vectors and codebooks.
_TRAINABLE: Final = 10_000

FLAT: Final = "SQfp16"  # the very numbers that are stored
_HNSW: Final = "HNSW32,SQfp16"

#: Of an HNSW graph: 64 links of 4 bytes on the lowest level, and what the others take on top.
_LINK_BYTES: Final = 280
_EF_CONSTRUCTION: Final = 80
_EF: Final = (16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 2048)

#: How many candidates of a lossy index are compared by their stored vectors, for each match.
_FACTORS: Final = (4, 16, 64)

_LABEL_BYTES: Final = 8

#: Vectors that are handed to the GPUs at a time.
_GPU_BLOCK: Final = 65_536

#: Most bytes of vectors that are copied side by side at once.
_BLOCK_BYTES: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the user asks of the index.

    Attributes:
        memory: most bytes that the index may take in RAM; None for as many as it likes.
        recall: least recall@10 of approximate search, against exact.
        factory: a string for ``faiss.index_factory``, instead of choosing.
    """

    memory: int | None = None
    recall: float = 0.95
    factory: str | None = None

    def __post_init__(self) -> None:
        if not 0 < self.recall <= 1:
            raise UsageError(f"a recall of {self.recall} cannot be had: give one from 0 to 1")
        if self.memory is not None and self.memory <= 0:
            raise UsageError("the memory of an index is a number of bytes above 0")


@dataclass(frozen=True, slots=True)
class Plan:
    """An index as it was built, and how it is searched.

    Attributes:
        factory: the string it was made from.
        asked: the string that was tried first.
        points: how many vectors it was trained for.
        effort: efSearch or nprobe; None where it has no such knob.
        factor: how many candidates are compared by their stored vectors for each match; 1 where
            the index itself holds these.
        recall: recall@10 against exact search, measured; None where it is exact.
        remark: what was wanted and could not be had.
    """

    factory: str
    asked: str
    points: int
    effort: int | None = None
    factor: int = 1
    recall: float | None = None
    remark: str = ""

    def describe(self) -> str:
        """Return the plan in words."""
        words = [self.factory if self.recall is not None else "flat: exact"]
        if self.effort is not None:
            words.append(f"{'efSearch' if 'HNSW' in self.factory else 'nprobe'} {self.effort}")
        if self.factor > 1:
            words.append(f"{self.factor} times as many candidates re-ranked")
        if self.recall is not None:
            words.append(f"measured recall@10 {self.recall:.3f}")
        return ", ".join(words) + (f" ({self.remark})" if self.remark else "")


def choose(points: int, dimension: int, wanted: Wanted) -> tuple[list[str], str]:
    """Return the factories to try, first the likeliest to be quick, and a remark if none will do.

    A later one is tried where an earlier one misses the recall. The last is exact wherever the
    memory allows it.
    """
    if wanted.factory is not None:
        return [wanted.factory], ""
    flat = points * (2 * dimension + _LABEL_BYTES)
    fits = [(name, size) for name, size in _sizes(points, dimension) if _within(size, wanted)]
    exact = _within(flat, wanted)
    if exact and (2 * dimension * points <= _EXACT_BYTES or wanted.recall == 1):
        return [FLAT], ""
    if points < _TRAINABLE:
        return [FLAT], "" if exact else too_large(flat, wanted)
    kept = [name for name, _ in fits if name.endswith(FLAT)]
    if exact:
        return [*kept, FLAT], ""
    if fits:
        return kept or [fits[0][0]], ""
    name, size = _sizes(points, dimension)[-1]
    return [name], too_large(size, wanted)


def _sizes(points: int, dimension: int) -> list[tuple[str, int]]:
    """Return the kinds that are not exact, from the quickest to the smallest, and their bytes."""
    lists = 2 ** round(math.log2(4 * math.sqrt(points)))
    coarse = 4 * dimension * lists
    sizes = [
        (_HNSW, points * (2 * dimension + _LINK_BYTES + _LABEL_BYTES)),
        (f"IVF{lists},{FLAT}", points * (2 * dimension + 2 * _LABEL_BYTES) + coarse),
        (f"IVF{lists},SQ8", points * (dimension + 2 * _LABEL_BYTES) + coarse),
    ]
    for codes in (64, 32, 16, 8):
        if codes * 2 <= dimension:
            length = codes * min(4, dimension // codes)
            sizes.append(
                (
                    f"OPQ{codes}_{length},IVF{lists},PQ{codes}",
                    points * (codes + 2 * _LABEL_BYTES) + 4 * length * (lists + dimension + 256),
                )
            )
    return sizes


def _within(size: int, wanted: Wanted) -> bool:
    return wanted.memory is None or size <= wanted.memory


def too_large(size: int, wanted: Wanted) -> str:
    """Say that an index takes more memory than was wanted."""
    return f"takes {size / 1e6:.3g} MB, more than the {(wanted.memory or 0) / 1e6:.3g} MB wanted"


def library() -> Any:
    """Import FAISS, whose own stubs lack half of it."""
    import faiss

    return faiss


def make(factory: str, dimension: int) -> Any:
    """Return an empty index for unit vectors that keeps labels.

    Raises:
        UsageError: FAISS knows no such index for vectors of this length.
    """
    faiss = library()
    try:
        index = faiss.index_factory(dimension, f"IDMap,{factory}", faiss.METRIC_INNER_PRODUCT)
    except RuntimeError as error:
        reason = str(error).rpartition("Error: ")[2].rpartition("failed: ")[2].strip() or "unknown"
        raise UsageError(
            f"FAISS makes no index {factory!r} for {dimension} dimensions ({reason}); "
            "try HNSW32, IVF1024,SQfp16 or OPQ16_64,IVF1024,PQ16"
        ) from error
    _set_up(core(index))
    return index


def _set_up(index: Any) -> None:
    faiss = library()
    if isinstance(index, faiss.IndexPreTransform):
        for number in range(index.chain.size()):
            rotation = faiss.downcast_VectorTransform(index.chain.at(number))
            if isinstance(rotation, faiss.OPQMatrix):
                rotation.niter = 15  # of 50: the rest is minutes for nothing that re-ranking keeps
        _set_up(faiss.downcast_index(index.index))
    elif isinstance(index, faiss.IndexIVFScalarQuantizer) and _is_half(index.sq):
        index.by_residual = False  # the very numbers that are stored, as everywhere
    elif isinstance(index, faiss.IndexIVFPQ):
        index.do_polysemous_training = False  # half a minute for a search that is not used
    elif isinstance(index, faiss.IndexHNSW):
        index.hnsw.efConstruction = _EF_CONSTRUCTION


def core(index: Any) -> Any:
    """Return the index below the labels, which speaks of positions."""
    faiss = library()
    return faiss.downcast_index(index.index)


def storage(index: Any) -> Any | None:
    """Return the flat index of the stored numbers that a core is or has inside; None without."""
    faiss = library()
    if isinstance(index, faiss.IndexHNSW):
        return storage(faiss.downcast_index(index.storage))
    if isinstance(index, faiss.IndexScalarQuantizer):
        return index if _is_half(index.sq) else None
    return index if isinstance(index, faiss.IndexFlat) else None


def search_some(
    flat: Any, at: NDArray[np.int64], queries: NDArray[np.float32], k: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Compare with some positions of a flat index alone: FAISS itself would visit every position.

    They are copied side by side, a block at a time, which then is in the processor's cache.

    Args:
        flat: the index.
        at: positions, at least one.
        queries: (n, d).
        k: how many are wanted; fewer are found where there are fewer positions.

    Returns:
        The scores, falling, and the positions of the nearest to each query, (n, k) each.
    """
    faiss = library()
    best = faiss.ResultHeap(len(queries), min(k, len(at)), keep_max=True)
    codes = faiss.rev_swig_ptr(flat.codes.data(), flat.ntotal * flat.code_size)
    codes = codes.reshape(-1, flat.code_size)
    rows = min(len(at), max(1, _BLOCK_BYTES // flat.code_size))
    beside = _empty_like(flat)
    beside.codes.resize(rows * flat.code_size)
    block = faiss.rev_swig_ptr(beside.codes.data(), rows * flat.code_size).reshape(rows, -1)
    for start in range(0, len(at), rows):
        some = at[start : start + rows]
        beside.ntotal = len(some)
        np.take(codes, some, axis=0, out=block[: len(some)], mode="clip")
        scores, found = beside.search(queries, min(k, len(some)))
        best.add_result(scores, some[found])
    best.finalize()
    return best.D, best.I


def _empty_like(flat: Any) -> Any:
    faiss = library()
    if isinstance(flat, faiss.IndexScalarQuantizer):
        return faiss.IndexScalarQuantizer(flat.d, flat.sq.qtype, flat.metric_type)
    return faiss.IndexFlat(flat.d, flat.metric_type)


def is_lossless(index: Any) -> bool:
    """Tell whether a core holds the very numbers that are stored."""
    faiss = library()
    if isinstance(index, faiss.IndexIVFScalarQuantizer):
        return _is_half(index.sq) and not index.by_residual
    return storage(index) is not None or isinstance(index, faiss.IndexIVFFlat)


def _is_half(quantizer: Any) -> bool:
    faiss = library()
    return bool(quantizer.qtype == faiss.ScalarQuantizer.QT_fp16)


def lists_of(index: Any) -> int:
    """Return the number of inverted lists of a core; 0 where it has none."""
    faiss = library()
    if isinstance(index, faiss.IndexPreTransform):
        return lists_of(faiss.downcast_index(index.index))
    return int(index.nlist) if isinstance(index, faiss.IndexIVF) else 0


def settings(index: Any) -> Iterator[tuple[int | None, int]]:
    """Yield (effort, factor) of a core, from the quickest to the most thorough."""
    faiss = library()
    efforts: list[int | None] = [None]
    if lists := lists_of(index):
        efforts = [2**power for power in range(lists.bit_length()) if 2**power < lists]
        efforts.append(lists)
    elif isinstance(index, faiss.IndexHNSW):
        efforts = list(_EF)
    for factor in (1,) if is_lossless(index) else _FACTORS:
        yield from ((effort, factor) for effort in efforts)


def parameters(index: Any, effort: int | None, selector: Any) -> Any:
    """Return what a core's ``search`` takes as ``params``."""
    faiss = library()
    if isinstance(index, faiss.IndexPreTransform):
        inside = parameters(faiss.downcast_index(index.index), effort, selector)
        return None if inside is None else faiss.SearchParametersPreTransform(index_params=inside)
    given = {} if selector is None else {"sel": selector}
    if lists := lists_of(index):
        return faiss.SearchParametersIVF(nprobe=min(effort or 1, lists), **given)
    if isinstance(index, faiss.IndexHNSW):
        return faiss.SearchParametersHNSW(efSearch=effort or _EF[0], **given)
    return faiss.SearchParameters(**given) if given else None


def on_gpus(index: Any, effort: int | None) -> Any | None:
    """Return a copy of a core on all GPUs; None without a GPU, or where it has no such kind.

    There are GPU forms of IVF and IVF-PQ; what holds the stored numbers in a row, a graph or not,
    is copied as a flat index in float16, which a GPU searches exactly. None takes an id selector,
    so that searches with a filter stay on the CPU.
    """
    faiss = library()
    if faiss.get_num_gpus() == 0:
        return None
    flat = storage(index)
    try:
        if flat is None:
            copy = faiss.index_cpu_to_all_gpus(index)
            if effort is not None:
                faiss.GpuParameterSpace().set_index_parameter(copy, "nprobe", effort)
            return copy
        options = faiss.GpuMultipleClonerOptions()
        options.useFloat16 = True
        copy = faiss.index_cpu_to_all_gpus(faiss.IndexFlatIP(index.d), co=options)
        for start in range(0, flat.ntotal, _GPU_BLOCK):
            copy.add(flat.reconstruct_n(start, min(_GPU_BLOCK, flat.ntotal - start)))
    except RuntimeError:
        return None
    return copy
