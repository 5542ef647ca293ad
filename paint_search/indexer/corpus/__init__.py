"""What there is to index: files found, labels read, tables joined, and what had to be left out.

In come folders, patterns and tables; out go paths with labels, one at a time and in bounded memory.
Opens no image. Called by the pipeline and by the index.
"""

from paint_search.indexer.corpus.dates import Years, read_years
from paint_search.indexer.corpus.labels import (
    FOLDER,
    LabelSource,
    clean,
    folder_labels,
    label_source,
    pattern_labels,
    table_labels,
)
from paint_search.indexer.corpus.scan import Part, ScannedFile, Walk, find_file, scan
from paint_search.indexer.corpus.skips import SkipList, inside, read_skips, skip_list
from paint_search.indexer.corpus.table import Fault, LabelTable, read_cell

__all__ = [
    "FOLDER",
    "Fault",
    "LabelSource",
    "LabelTable",
    "Part",
    "ScannedFile",
    "SkipList",
    "Walk",
    "Years",
    "clean",
    "find_file",
    "folder_labels",
    "inside",
    "label_source",
    "pattern_labels",
    "read_cell",
    "read_skips",
    "read_years",
    "scan",
    "skip_list",
    "table_labels",
]
