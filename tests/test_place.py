"""Where points are, as users write it."""

from pathlib import Path

import pytest

from paint_search.errors import UsageError
from paint_search.search.stores import Place


@pytest.mark.parametrize(
    ("text", "kind", "name", "server", "settings"),
    [
        ("edge", "edge", "store", None, {}),
        ("faiss", "faiss", "store", None, {}),
        (
            "faiss?factory=IVF4096,PQ32",
            "faiss",
            "store",
            None,
            {"factory": "IVF4096,PQ32"},
        ),
        ("qdrant://host/works", "qdrant", "works", "qdrant://host:6334", {}),
        ("qdrants://host:7000/works", "qdrant", "works", "qdrants://host:7000", {}),
        (
            "qdrant://db1,db2:7000,[::1],db1/works?shards=2",
            "qdrant",
            "works",
            "qdrant://db1:6334,db2:7000,[::1]:6334",
            {"shards": 2},
        ),
        ("qdrant://[::1]:6334/works/", "qdrant", "works", "qdrant://[::1]:6334", {}),
        (
            "qdrant://host/w?shards=6&replicas=2&consistency=1&on_disk=true&quantization=int8",
            "qdrant",
            "w",
            "qdrant://host:6334",
            {
                "shards": 6,
                "replicas": 2,
                "consistency": 1,
                "on_disk": True,
                "quantization": "int8",
            },
        ),
    ],
)
def test_what_is_written(
    text: str, kind: str, name: str, server: str | None, settings: dict[str, object]
) -> None:
    place = Place.parse(text)
    assert (place.kind, place.base, place.server) == (kind, name, server)
    assert place.settings == settings
    assert Place.parse(str(place)) == place


def test_files_are_those_of_this_machine() -> None:
    place = Place.parse("qdrants://host/works?shards=2&ca=a%20b.pem&cert=~/c.pem&key=/k.pem")
    files = {"ca": Path.cwd() / "a b.pem", "cert": Path.home() / "c.pem", "key": Path("/k.pem")}
    assert place.files == files
    assert Place.parse(str(place)) == place
    other = place.as_named(Place.parse("qdrants://host/works?ca=/other.pem"))
    assert (other.files, other.settings["shards"]) == ({"ca": Path("/other.pem")}, 2)
    assert place.as_named(Place.parse("qdrants://host/works")) == place


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("milvus", "unknown store="),
        ("http://host/works", "unknown store="),
        ("qdrant://host", "no collection"),
        ("qdrant:///works", "no host"),
        ("qdrant://db1,,db2/works", "no host"),
        ("qdrant://db1,db2:port/works", "cannot read"),
        ("qdrant://host/a/b", "no collection"),
        ("qdrant://host/..", "no collection"),
        ("qdrant://host:port/works", "cannot read"),
        ("qdrant://host:99999/works", "cannot read"),
        ("qdrant://me:pa55@host:port/works", "QDRANT_API_KEY"),
        ("qdrant://host/works?shard=3", "no setting 'shard'"),
        ("qdrant://host/works?shards=0", "'0' is no value of shards"),
        ("qdrant://host/works?quantization=int4", "no value of quantization"),
        ("faiss?recall=0.98", "faiss takes no recall any more"),
        ("faiss?memory=4GB", "faiss takes no memory any more"),
        ("faiss?memor=4GB", "no setting 'memor'; faiss has factory"),
        ("edge?memory=1GB", "edge has none"),
        ("qdrant://host/works?ca=ca.pem", "name files for TLS; write qdrants://"),
        ("qdrants://host/works?ca=", "'' is no value of ca"),
        ("qdrants://host/works?cert=mine.pem", "go together"),
        ("qdrants://host/works?key=pa55", "an API key goes into QDRANT_API_KEY"),
        ("faiss?factory", "cannot read the settings"),
    ],
)
def test_what_cannot_be_read_is_said(text: str, says: str) -> None:
    with pytest.raises(UsageError) as refusal:
        Place.parse(text)
    assert says in str(refusal.value)
    assert "pa55" not in str(refusal.value)


def test_a_successor_skips_names_that_are_taken() -> None:
    place = Place.parse("qdrant://host/works?shards=2")
    taken = {"works-2", "works-3"}
    fresh = place.successor(lambda made: made.name in taken)
    assert fresh.name == "works-4"
    assert fresh.settings == place.settings
    assert fresh.same_as(place)
    assert fresh.successor(lambda place: False).name == "works-5"


def test_a_manifest_may_still_name_what_is_given_up() -> None:
    settings = {"memory": 4 * 10**9, "recall": 0.98, "factory": "HNSW32"}
    record = {"kind": "faiss", "base": "store", "generation": 2, "server": None}
    place = Place.from_dict({**record, "settings": settings})
    assert (str(place), place.generation) == ("faiss?factory=HNSW32", 2)
