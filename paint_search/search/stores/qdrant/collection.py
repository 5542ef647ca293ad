"""Collections of a Qdrant server: made for an index, checked, replaced and deleted.

A collection says whose vectors it holds, so that those of two models never meet in one.
"""

import logging
from collections.abc import Mapping
from contextlib import closing
from functools import partial
from typing import Any, Final

from qdrant_client import QdrantClient, models

from paint_search.errors import StoreError, argument
from paint_search.painting import Value
from paint_search.search.stores.base import Maker, VectorName
from paint_search.search.stores.engine import Plan
from paint_search.search.stores.qdrant.wire import Wire
from paint_search.search.stores.uri import Place, Setting

#: What the graph is built and walked on: by default the plan's 4 bits.
_QUANTIZATIONS: Final[Mapping[Setting | None, models.QuantizationConfig]] = {
    None: models.TurboQuantization(
        turbo=models.TurboQuantQuantizationConfig(
            bits=models.TurboQuantBitSize.BITS4, always_ram=True
        )
    ),
    "int8": models.ScalarQuantization(
        scalar=models.ScalarQuantizationConfig(
            type=models.ScalarType.INT8, quantile=0.99, always_ram=True
        )
    ),
    "binary": models.BinaryQuantization(binary=models.BinaryQuantizationConfig(always_ram=True)),
}

#: Fields of which nearly every point has a value of its own: their indexes stay on disk, where a
#: query by them is quick enough, since they would fill the memory.
_UNIQUE: Final = frozenset({"path", "title", "_hash"})

#: Fields that the program itself looks for, with a value: indexed before those of the labels,
#: of which a server may take a few only.
_BOOKKEEPING: Final[Mapping[str, Value]] = {"_hash": "", "path": "", "_trimmed": 0.0}

#: Where a collection says whose vectors it holds.
_METADATA: Final = "paint_search"

_LOG: Final = logging.getLogger(__name__)


def enter(
    wire: Wire, place: Place, dimensions: Mapping[VectorName, int], maker: Maker, plan: Plan
) -> models.CollectionInfo:
    """Make the collection or check that it is ours; return what the server says of it.

    Raises:
        StoreError: the server is out of reach, or the collection holds other vectors.
    """
    name = place.name
    # Every collection has a kind of vectors, even where no point comes with one.
    lengths = dict(dimensions) or {"compact": 1}
    if not wire.call(lambda client: client.collection_exists(name)):
        try:
            _create(wire, place, lengths, maker, plan)
        except StoreError:
            # Another machine may have been quicker; then its collection is checked.
            if not wire.call(lambda client: client.collection_exists(name)):
                raise
    info = wire.call(lambda client: client.get_collection(name))
    _check(info, place, lengths, maker)
    return info


def _create(wire: Wire, place: Place, lengths: Mapping[Any, int], maker: Maker, plan: Plan) -> None:
    settings, name = place.settings, place.name
    first = "compact" if "compact" in lengths else "full"
    codes = _QUANTIZATIONS[settings.get("quantization")]
    vectors = {
        kind: models.VectorParams(
            size=length,
            distance=models.Distance.COSINE,
            datatype=models.Datatype.FLOAT16,
            on_disk=bool(settings.get("on_disk", False)),
            hnsw_config=plan.links(models.HnswConfigDiff, graph=kind == first),
            quantization_config=codes if kind == first else None,
        )
        for kind, length in lengths.items()
    }
    made = partial(
        QdrantClient.create_collection,
        collection_name=name,
        vectors_config=vectors,
        optimizers_config=plan.optimizers(models.OptimizersConfigDiff),
        shard_number=_number(settings, "shards"),
        replication_factor=_number(settings, "replicas"),
        write_consistency_factor=_number(settings, "consistency"),
        on_disk_payload=True,
        metadata={
            _METADATA: {
                "maker": maker.name,
                "fingerprint": maker.fingerprint,
            }
        },
    )
    try:
        wire.call(made)
    except StoreError as error:
        if "quantization" not in str(error) or settings.get("quantization"):
            raise
        _LOG.warning(
            "%s is older than Qdrant 1.18 and knows no codes of 4 bits: %r is searched by codes of "
            "8 bits, which take twice the memory",
            place.server,
            name,
        )
        vectors[first].quantization_config = _QUANTIZATIONS["int8"]
        wire.call(made)
    for field, value in _BOOKKEEPING.items():
        kind = field_kind(field, value)
        wire.call(
            partial(
                QdrantClient.create_payload_index,
                collection_name=name,
                field_name=field,
                field_schema=kind,
                wait=True,
            )
        )


def field_kind(field: str, value: Value) -> models.KeywordIndexParams | models.FloatIndexParams:
    """Return the index of a field whose first value this is."""
    if isinstance(value, str):
        keyword = models.KeywordIndexType.KEYWORD
        return models.KeywordIndexParams(type=keyword, on_disk=field in _UNIQUE)
    return models.FloatIndexParams(type=models.FloatIndexType.FLOAT, on_disk=True)


def _check(
    info: models.CollectionInfo, place: Place, ours: Mapping[Any, int], maker: Maker
) -> None:
    """Raise StoreError unless the collection was made for such vectors as ours."""
    name = f"the collection {place.name!r} of {place.server}"
    remedy = f"name another collection in {argument('store')}"
    theirs = (info.config.metadata or {}).get(_METADATA)
    if theirs is None:
        raise StoreError(f"{name} was not made by paint-search; {remedy}")
    vectors = info.config.params.vectors
    lengths = (
        {kind: params.size for kind, params in vectors.items()} if isinstance(vectors, dict) else {}
    )
    if lengths != ours or theirs.get("fingerprint") != maker.fingerprint:
        raise StoreError(
            f"{name} holds vectors {_shape(lengths)} of {theirs.get('maker')}, not "
            f"{_shape(ours)} of {maker.name}; {remedy}, or use the index folder that made it"
        )


def exists(place: Place) -> bool:
    """Tell whether there is a collection; raise StoreError unless the server takes the API key."""
    with closing(Wire(place)) as wire:
        return bool(wire.call(lambda client: client.collection_exists(place.name)))


def delete_collection(place: Place) -> None:
    """Delete the collection at ``place``, if there is one."""
    with closing(Wire(place)) as wire:
        wire.call(lambda client: client.delete_collection(place.name))


def _number(settings: Mapping[str, Any], name: str) -> int | None:
    value = settings.get(name)
    return None if value is None else int(value)


def _shape(lengths: Mapping[Any, int]) -> str:
    return ", ".join(f"{name} {length}" for name, length in sorted(lengths.items())) or "of none"
