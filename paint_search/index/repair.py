"""Copies of a collection on several nodes, compared, and what differs among them made alike again.

``index`` reads what all copies have, and so writes again what one of them lacks; here is the rest:
what no file tells, and what a copy still has of paintings that are gone.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

from paint_search.errors import counted
from paint_search.indexer.pipeline import gone
from paint_search.painting import Record
from paint_search.search.stores.base import Node, Store
from paint_search.search.stores.opening import nodes_of, uneven_of

_FROM_FILE = {"_size", "_hash", "_run"}


def counts_of(nodes: list[Node]) -> dict[str, int]:
    """Return how many paintings each node counts that answers."""
    return {node.address or "": node.points for node in nodes if node.points is not None}


def repair(
    store: Store,
    before: Mapping[str, int],
    root: Path,
    own: Callable[[Record], bool],
    *,
    thorough: bool,
    prune: bool,
) -> list[str]:
    """Make the copies alike, and say in sentences what differed.

    A point that some copy has and another lacks is written again, with the vectors it has there.
    Its file may be on another machine: only ``prune`` deletes it where there is none here.

    Args:
        store: whose copies are compared, after a run has written what it found to be missing.
        before: what its nodes counted before that run.
        root: the corpus.
        own: which points the run answers for.
        thorough: compare every point, even where all nodes count as many.
        prune: delete what has no file.

    Raises:
        StoreError: the server failed.
    """
    nodes = nodes_of(store)
    if not nodes:
        why = "no copies were compared: the store has one, or the key may not ask for more"
        return [why] if thorough else []
    notes = []
    if faults := [fault for node in nodes for fault in node.faults]:
        notes += [f"{fault}; run index --repair when all nodes run" for fault in faults]
    elif thorough or not (_same(before) and _same(counts_of(nodes))):
        uneven = list(filter(own, uneven_of(store)))
        files = [record for record in uneven if prune and record.payload.keys() >= _FROM_FILE]
        ghosts = {record.id for record in gone(files, root)}
        if kept := [record for record in uneven if record.id not in ghosts]:
            store.upsert(kept)
            paintings = counted(len(kept), "painting")
            notes.append(f"{paintings} written again to copies that lacked some")
        if ghosts:
            store.delete(sorted(ghosts))
            paintings = counted(len(ghosts), "painting")
            notes.append(f"{paintings} without a file deleted from copies that still had some")
        store.flush()
        nodes = nodes_of(store) if uneven else nodes
    after = counts_of(nodes)
    if not _same(before) or not _same(after):
        told = ", ".join(f"{count:,} on {node}" for node, count in before.items())
        now = "they have the same again" if _same(after) else "they still differ"
        notes.insert(0, f"the copies differed ({told}); {now}")
    elif thorough and not notes:
        notes.append(f"all copies on {counted(len(after), 'node')} have the same")
    return notes


def _same(counts: Mapping[str, int]) -> bool:
    return len(set(counts.values())) <= 1
