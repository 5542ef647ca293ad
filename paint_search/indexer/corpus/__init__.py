"""What there is to index: files found, labels read, tables joined, and what had to be left out.

In come folders, patterns and tables; out go paths with labels, one at a time and in bounded memory.
Opens no image. Called by the pipeline and by the index.
"""

from paint_search.indexer.corpus.labels import (
    FOLDER,
    FolderLabels,
    LabelSource,
    PatternLabels,
    TableLabels,
    clean,
    label_source,
)
from paint_search.indexer.corpus.scan import ScannedFile, Walk, scan
from paint_search.indexer.corpus.shards import Part
from paint_search.indexer.corpus.skips import SkipList, inside, read_skips
from paint_search.indexer.corpus.table import LabelTable, read_cell

__all__ = [
    "FOLDER",
    "FolderLabels",
    "LabelSource",
    "LabelTable",
    "Part",
    "PatternLabels",
    "ScannedFile",
    "SkipList",
    "TableLabels",
    "Walk",
    "clean",
    "inside",
    "label_source",
    "read_cell",
    "read_skips",
    "scan",
]
