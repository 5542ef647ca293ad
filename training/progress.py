"""Progress of long work on standard error: a bar with rate and time left, or nothing in a pipe."""

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

Item = TypeVar("Item")

console = Console(stderr=True)


class RateColumn(ProgressColumn):
    """Shows how many items are done in a second."""

    def render(self, task: Task) -> Text:
        """Return the rate, empty until there is one."""
        rate = task.finished_speed or task.speed
        return Text(f"{rate:.0f}/s" if rate else "")


def progress_bar() -> Progress:
    """Return a bar with the count, the rate and the time left."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        RateColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
        console=console,
    )


def track(items: Iterable[Item], what: str, scale: int = 1) -> Iterator[Item]:
    """Yield the items under a bar; each counts for ``scale``."""
    total = len(items) if isinstance(items, Sequence) else None
    with progress_bar() as bar:
        task = bar.add_task(what, total=total and total * scale, note="")
        for item in items:
            yield item
            bar.advance(task, scale)
