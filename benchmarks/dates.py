"""How often the years that a date text is read as are those that a museum has beside it.

    python benchmarks/dates.py dates.tsv

The table has the columns text, year_from, year_to and works (how many have that date), separated by
tabs; empty years: none are known. Rows count from 0; even ones were in view while the grammar was
written, odd ones were not.
"""

import csv
import sys
from pathlib import Path

from paint_search.indexer.corpus import read_years


def measure(rows: list[dict[str, str]], name: str) -> None:
    """Print the shares of texts, and of works, that are right on both ends, and what is far off."""
    total = right = near = works = works_right = far = 0
    for row in rows:
        ends = (row["year_from"], row["year_to"])
        wanted = (int(ends[0]), int(ends[1])) if all(ends) else None
        found = read_years(row["text"])
        count = int(row["works"])
        off = max(abs(a - b) for a, b in zip(found, wanted, strict=True)) if found and wanted else 0
        total, works = total + 1, works + count
        right += found == wanted
        works_right += count * (found == wanted)
        near += (found is None) == (wanted is None) and off <= 1
        far += off > 100
    print(
        f"{name}: {total} texts, both ends right {right / total:.1%}, within a year "
        f"{near / total:.1%}, more than 100 years off {far}; of {works} works right "
        f"{works_right / works:.1%}"
    )


if __name__ == "__main__":
    with Path(sys.argv[1]).open(newline="", encoding="utf-8") as stream:
        table = list(csv.DictReader(stream, delimiter="\t", quoting=csv.QUOTE_NONE))
    for half, what in ((table[0::2], "seen"), (table[1::2], "unseen"), (table, "all")):
        measure(half, what)
