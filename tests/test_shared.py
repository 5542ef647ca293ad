"""Two handles on one index whose points are on a server: neither undoes what the other has done."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import WORKS
from qdrant_server import QdrantServer

from paint_search import Index
from paint_search.errors import StoreBusyError

TOTAL = 10 * WORKS


@pytest.fixture
def pair(painted: Path, tmp_path: Path) -> Iterator[tuple[Index, Index]]:
    """A and B, open at the same time; without labels but those of folders."""
    server = QdrantServer()
    shutil.copytree(painted, tmp_path / "paintings")
    folder = tmp_path / "index"
    Index.create(
        tmp_path / "paintings", folder, store=server.url("works"), backbone="descriptors"
    ).close()
    with Index.open(folder, patience=0.1) as one, Index.open(folder, patience=0.1) as other:
        yield one, other
    server.die()


def test_labels_of_one_outlive_a_run_of_the_other(pair: tuple[Index, Index]) -> None:
    one, other = pair
    table = one.root / "works.csv"
    one.add(table=table)
    support = one.field("support")
    assert None not in support
    summary = other.add()
    assert (summary.unchanged, summary.relabelled) == (TOTAL, 0)
    assert other.field("support") == support
    assert other.manifest.table == one.manifest.table is not None


def test_one_compresses_and_the_other_goes_on(pair: tuple[Index, Index]) -> None:
    one, other = pair
    one.add()
    query = next(iter(other)).path
    before = [hit.id for hit in other.similar(query, k=5)]
    one.compress("pca", 8)
    assert [hit.id for hit in other.similar(query, k=5)] == before
    assert other.vectors(which="compact")[1].shape == (TOTAL, 8)
    assert other.add().unchanged == TOTAL
    other.remove(query)
    assert len(one) == TOTAL - 1


def test_who_writes_meanwhile_is_said(pair: tuple[Index, Index]) -> None:
    one, other = pair
    busy: list[str] = []

    def report(progress: object) -> None:
        with pytest.raises(StoreBusyError, match="in use by process") as told:
            other.add()
        busy.append(str(told.value))

    one.add(report=report)
    assert busy
    assert other.add().unchanged == TOTAL
