"""Collections of a Qdrant server: found by their public name, made, described, replaced.

The public name is an alias of the newest of some generations, ``paintings`` of ``paintings-2``. All
calls name the alias, so that a key for that name will do; names of vectors tell generations apart,
so that what was meant for another one is refused. Each generation says what it is in its metadata.
"""

import base64
import logging
import re
import time
import uuid
from collections.abc import Mapping
from contextlib import closing, suppress
from dataclasses import replace
from functools import partial
from typing import Any, Final

import grpc
from qdrant_client import QdrantClient, models

from paint_search.errors import StoreBusyError, StoreError, StoreMovedError, argument
from paint_search.painting import Value
from paint_search.search.stores.base import VectorName
from paint_search.search.stores.description import Description, Maker, Part
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

#: Where a collection says what it is.
_METADATA: Final = "paint_search"

#: Names of vectors: their kind, and the generation but in collections of before there were any.
_VECTOR: Final = re.compile(r"(full|compact)(-\d+)?")

#: Seconds for which the claim of somebody who fills a generation holds without being renewed.
_LEASE: Final = 300.0

#: Bytes of a file in one point of the companion collection: far below what a server takes at once.
_PIECE: Final = 2**20
_PIECES: Final = 8  # read at once

_LOG: Final = logging.getLogger(__name__)


class ServedCollection:
    """The collection at ``place`` on its server, found or yet to be made; see ``Shared``.

    Args:
        place: where it is; the generation is the one that is found there.
        follows: for one that is still being filled, the generation that it is to replace.

    Attributes:
        place: where, of the generation that was found.
        wire: the line to the server.
        name: what calls name.
        info: what the server said of it last; None where it is not there.
        description: what it said of itself then.
    """

    def __init__(self, place: Place, follows: int | None = None) -> None:
        self.place = place
        self.wire = Wire(place)
        self.name = place.base if follows is None else place.name
        self.info: models.CollectionInfo | None = None
        self._follows = follows
        self.description: Description | None = None
        try:
            self.look()
        except BaseException:
            self.wire.close()
            raise

    @property
    def vectors(self) -> dict[VectorName, str]:
        """What each kind of vectors is called in it."""
        return {kind: name for kind, (name, _) in self._kinds().items()}

    def look(self) -> Description | None:
        """Ask what the public name leads to now, and what that says of itself."""
        self.wire.whole = True  # until a copy does not answer: all may be back
        self.info = self._ask_for(self.name)
        if self.info is None and self.name == self.place.base and self.place.generation > 1:
            # Of before there were aliases, or still being filled.
            self.info = self._ask_for(self.place.name)
            if self.info is not None:
                self.name = self.place.name
        elif self.info is None and self.name == self.place.base:
            self._finish_replacing()
        self.description = None if self.info is None else self._read(self.info)
        if self.description is not None and self.description.generation:
            self.place = replace(self.place, generation=self.description.generation)
        return self.description

    def _finish_replacing(self) -> None:
        """Lead the public name on from a plain collection, where that was cut short.

        It had the name itself, and had to go first.
        """
        second = replace(self.place, generation=2)
        info = self._ask_for(second.name)
        described = info and self._read(info)
        if described and described.manifest:
            self._lead_to(second)
            self.info = self._ask_for(self.name)

    def enter(
        self, dimensions: Mapping[VectorName, int], maker: Maker, plan: Plan
    ) -> models.CollectionInfo:
        """Make the collection if it is not there; check that it is for such vectors.

        Raises:
            StoreError: the server is out of reach, or the collection holds other vectors.
        """
        # Every collection has a kind of vectors, even where no point comes with one.
        lengths: dict[VectorName, int] = dict(dimensions) or {"compact": 1}
        if self.info is None:
            self._make(lengths, Description(maker, generation=1), plan)
        theirs = {kind: length for kind, (_, length) in self._kinds().items()}
        name, remedy = self._called, f"name another collection in {argument('store')}"
        if self.info is None or self.description is None:
            raise StoreError(f"{name} was not made by paint-search; {remedy}")
        made = self.description.maker
        if theirs != lengths or made.fingerprint != maker.fingerprint:
            raise StoreError(
                f"{name} holds vectors {_shape(theirs)} of {made.name}, not "
                f"{_shape(lengths)} of {maker.name}; {remedy}, or use the index folder that made it"
            )
        return self.info

    def _make(
        self, lengths: Mapping[VectorName, int], description: Description, plan: Plan
    ) -> None:
        first = replace(self.place, generation=1)
        try:
            self._create(first, lengths, description, plan)
        except StoreError:
            # Another machine may have been quicker; then its collection is checked.
            if self._ask_for(first.name) is None:
                raise
        self._create_companion()
        self._lead_to(first)
        self.look()

    def next(
        self, place: Place, dimensions: Mapping[VectorName, int], maker: Maker, claim: str
    ) -> "ServedCollection":
        """Make the next generation, which the public name does not lead to before ``publish``.

        Args:
            place: where this one is, with the settings that it was made with.
            dimensions: of each kind of vector that it keeps.
            maker: of those vectors.
            claim: who makes it; what was left unfinished under the same claim is deleted first.

        Raises:
            StoreBusyError: another machine is making one.
            StoreError: the server failed.
        """
        follows = self.place.generation
        self._still_follows(follows)
        made = replace(place, generation=follows + 1)
        while (info := self._ask_for(made.name)) is not None:
            found = self._read(info)
            if found is not None and found.claim:
                if found.claim != claim and found.until > time.time():
                    raise StoreBusyError(
                        f"another machine is writing {self.place.server}'s {made.name} for the "
                        "same index; wait until it has finished, or, if it was killed, for "
                        f"{found.until - time.time():.0f} s, and run the same command again"
                    )
                self._delete(made.name)
            made = replace(made, generation=made.generation + 1)
        described = Description(
            maker, generation=made.generation, claim=claim, until=time.time() + _LEASE
        )
        self._create(made, dict(dimensions) or {"compact": 1}, described, Plan())
        return ServedCollection(made, follows=follows)

    def renew(self) -> None:
        """Say that it is still being filled.

        Raises:
            StoreError: somebody has taken it for left behind.
        """
        described = self.description
        if described is not None and described.until - time.time() < _LEASE / 2:
            self._say(replace(described, until=time.time() + _LEASE))

    def publish(self, before: "ServedCollection") -> None:
        """Let the public name lead here instead of to the generation of before, in one step.

        Raises:
            StoreError: it leads elsewhere already, since another machine was quicker.
        """
        before._still_follows(self._follows)
        # From here on it may be the only one, even where the server's answer does not arrive.
        self._follows = None
        self._lead_to(self.place, before)
        self.name, before.name = self.place.base, before.own_name
        if self.description is not None:
            self._say(replace(self.description, claim="", until=0.0))
        self.look()

    def _still_follows(self, generation: int | None) -> None:
        """Raise StoreError unless the public name still leads to a generation."""
        if self.look() is None or self.place.generation != generation:
            raise StoreError(
                f"another machine has replaced {self._called} meanwhile; what it made stays: run "
                "the same command again to replace that"
            )

    def discard(self) -> None:
        """Delete this generation, unless it was, or may have been, published."""
        if self._follows is not None:
            self._delete(self.name)

    def retire(self, seconds: float) -> None:
        """Leave this generation to those who are reading it, for some time, and then delete it."""
        if self.is_plain:
            return  # its name was needed
        if seconds > 0 and self.description is not None:
            self._say(replace(self.description, until=time.time() + seconds))
        else:
            self._delete(self.own_name)

    def delete(self) -> None:
        """Delete the collection and the files that travel with it, and hang up."""
        with closing(self.wire):
            for name in (self.own_name, self._companion):
                if self._ask_for(name) is not None:
                    self._delete(name)

    def sweep(self) -> None:
        """Delete generations of before whose time is over, as far as the key may."""
        older = {replace(self.place, generation=n).name for n in range(1, self.place.generation)}
        try:
            there = self.wire.call(lambda client: client.get_collections()).collections
            for name in older.intersection(one.name for one in there):
                info = self._ask_for(name)
                found = info and self._read(info)
                if found and 0 < found.until < time.time():
                    self._delete(name)
        except StoreError as error:
            if code_of(error) != grpc.StatusCode.PERMISSION_DENIED:
                raise

    def describe(self, manifest: Mapping[str, Any], parts: Mapping[str, Part]) -> bool:
        """Say something else from now on; False where the key has no right to that."""
        described = self.description
        if described is None:
            return False
        if (described.manifest, described.parts) == (manifest, parts):
            return True
        said = replace(described, manifest=manifest, parts=parts)
        if not described.generation:  # of before collections said what they are
            said = replace(said, generation=self.place.generation)
        try:
            if not described.generation:
                self._create_companion()
            self._say(said)
            if not described.generation and self.name != self.place.base:
                self._lead_to(self.place)
                self.name = self.place.base
        except StoreError as error:
            if code_of(error) == grpc.StatusCode.PERMISSION_DENIED:
                return False
            if code_of(error) == grpc.StatusCode.NOT_FOUND:
                raise StoreMovedError(f"another machine has replaced {self._called}") from error
            raise
        return True

    def send(self, part: Part, content: bytes) -> bool:
        """Keep the content of a file, unless every copy has it; False where the key may not."""
        ids = _pieces(part)
        try:
            kept = self._kept(ids)
            for number, one in enumerate(ids):
                if one in kept:
                    continue
                data = base64.b64encode(content[number * _PIECE : (number + 1) * _PIECE]).decode()
                point = models.PointStruct(id=one, vector={}, payload={"data": data})
                self.wire.call(partial(_upsert, name=self._companion, point=point))
        except StoreError as error:
            if code_of(error) == grpc.StatusCode.PERMISSION_DENIED:
                return False
            raise
        return True

    def _kept(self, ids: list[str]) -> set[str]:
        """Return which pieces all copies have; make the companion if there is none."""
        try:
            found = self.wire.read(
                lambda client, copies: client.retrieve(
                    self._companion, ids, with_payload=False, consistency=copies
                )
            )
        except StoreError as error:
            if code_of(error) != grpc.StatusCode.NOT_FOUND:
                raise
            self._create_companion()
            return set()
        return {str(point.id) for point in found}

    def fetch(self, part: Part) -> bytes:
        """Return the content of a file.

        Raises:
            StoreError: it is not there, or not what was described.
        """
        content, ids = bytearray(), _pieces(part)
        for start in range(0, len(ids), _PIECES):
            asked = ids[start : start + _PIECES]
            points = self.wire.call(partial(_retrieve, name=self._companion, ids=asked))
            found = {str(point.id): point.payload or {} for point in points}
            for one in asked:
                piece = str(found.get(one, {}).get("data", ""))[: 2 * _PIECE]
                with suppress(ValueError):  # which the checksum tells
                    content += base64.b64decode(piece)
        if Part.of(bytes(content)) != part:
            raise StoreError(
                f"a file of {self._called} is damaged or not there (SHA-256 {part.sha256[:16]}): "
                f"its collection {self._companion!r} lacks it; send it again with "
                "paint-search index FOLDER --repair from the folder that has it"
            )
        return bytes(content)

    @property
    def _companion(self) -> str:
        return f"{self.place.base}.parts"

    @property
    def _called(self) -> str:
        return f"the collection {self.name!r} of {self.place.server}"

    def _kinds(self) -> dict[VectorName, tuple[str, int]]:
        """Return what each kind of vectors is called, and its length."""
        made: dict[VectorName, tuple[str, int]] = {}
        vectors = self.info and self.info.config.params.vectors
        for name, params in vectors.items() if isinstance(vectors, dict) else ():
            if match := _VECTOR.fullmatch(name):
                kind: VectorName = "full" if match[1] == "full" else "compact"
                made[kind] = name, params.size
        return made

    def _read(self, info: models.CollectionInfo) -> Description | None:
        record = (info.config.metadata or {}).get(_METADATA)
        if record is None:
            return None
        try:
            return Description.from_metadata(record)
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise StoreError(
                f"{self._called} does not say what it is in a way that can be read ({error}); "
                "restore it from a snapshot, or upgrade paint-search"
            ) from error

    def _ask_for(self, name: str) -> models.CollectionInfo | None:
        try:
            return self.wire.call(lambda client: client.get_collection(name))
        except StoreError as error:
            if code_of(error) == grpc.StatusCode.NOT_FOUND:
                return None
            raise

    def _say(self, description: Description) -> None:
        said = replace(description, revision=uuid.uuid4().hex)
        metadata = {_METADATA: said.to_metadata()}
        # By its own name: another generation may have become the public one.
        name = self.own_name
        self.wire.call(lambda client: client.update_collection(name, metadata=metadata))
        self.description = said

    def _delete(self, name: str) -> None:
        self.wire.call(lambda client: client.delete_collection(name))

    def _lead_to(self, place: Place, before: "ServedCollection | None" = None) -> None:
        """Let the public name lead to a generation."""
        alias = models.CreateAlias(collection_name=place.name, alias_name=place.base)
        steps: list[models.CreateAliasOperation | models.DeleteAliasOperation] = [
            models.CreateAliasOperation(create_alias=alias)
        ]
        if before is not None and before.is_plain:
            # A collection of before there were aliases has that name itself.
            before._delete(place.base)
        elif before is not None and before.name == place.base:
            old = models.DeleteAlias(alias_name=place.base)
            steps.insert(0, models.DeleteAliasOperation(delete_alias=old))
        self.wire.call(lambda client: client.update_collection_aliases(steps))

    @property
    def is_plain(self) -> bool:
        """Whether the public name is the collection's own, as before there were aliases."""
        return self.place.generation == 1 and all(k == name for k, name in self.vectors.items())

    @property
    def own_name(self) -> str:
        """What the collection is called, whatever the public name leads to."""
        return self.place.base if self.is_plain else self.place.name

    def _create_companion(self) -> None:
        """Make the collection of the files that travel with this one."""
        if self._ask_for(self._companion) is not None:
            return
        replicas = self.info and self.info.config.params.replication_factor
        try:
            self.wire.call(
                lambda client: client.create_collection(
                    self._companion,
                    vectors_config={},
                    shard_number=1,
                    replication_factor=replicas or _number(self.place.settings, "replicas"),
                    on_disk_payload=True,
                )
            )
        except StoreError:
            if self._ask_for(self._companion) is None:
                raise

    def _create(
        self,
        place: Place,
        lengths: Mapping[VectorName, int],
        description: Description,
        plan: Plan,
    ) -> None:
        settings, name = place.settings, place.name
        first = "compact" if "compact" in lengths else "full"
        codes = _QUANTIZATIONS[settings.get("quantization")]
        vectors = {
            f"{kind}-{place.generation}": models.VectorParams(
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
            metadata={_METADATA: description.to_metadata()},
        )
        try:
            self.wire.call(made)
        except StoreError as error:
            if "quantization" not in str(error) or settings.get("quantization"):
                raise
            _LOG.warning(
                "%s is older than Qdrant 1.18 and knows no codes of 4 bits: %r is searched by "
                "codes of 8 bits, which take twice the memory",
                place.server,
                name,
            )
            vectors[f"{first}-{place.generation}"].quantization_config = _QUANTIZATIONS["int8"]
            self.wire.call(made)
        for field, value in _BOOKKEEPING.items():
            kind = field_kind(field, value)
            self.wire.call(
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


def code_of(error: StoreError) -> grpc.StatusCode | None:
    """Return the code of what the server answered."""
    cause = error.__cause__
    return cause.code() if isinstance(cause, grpc.RpcError) else None


def _pieces(part: Part) -> list[str]:
    """Return the ids of the points that keep a file's content, in order."""
    count = max(1, -(-part.size // _PIECE))
    return [str(uuid.uuid5(uuid.NAMESPACE_OID, f"{part.sha256}/{n}")) for n in range(count)]


def _upsert(client: QdrantClient, name: str, point: models.PointStruct) -> None:
    client.upsert(name, [point], wait=True)


def _retrieve(client: QdrantClient, name: str, ids: list[str]) -> list[models.Record]:
    return client.retrieve(name, ids)


def _number(settings: Mapping[str, Any], name: str) -> int | None:
    value = settings.get(name)
    return None if value is None else int(value)


def _shape(lengths: Mapping[Any, int]) -> str:
    return ", ".join(f"{name} {length}" for name, length in sorted(lengths.items())) or "of none"
