"""How commands speak: tables for people, JSON for machines, one sentence for an error.

Results go to standard output, everything else to standard error; colour and bars only appear on a
terminal.
"""

import dataclasses
import functools
import inspect
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from paint_search.errors import PaintSearchError

if TYPE_CHECKING:
    from paint_search.painting import Progress
    from paint_search.report.tables import Part
    from paint_search.search.filters import Condition

T = TypeVar("T")


class Exit(IntEnum):
    """What a command's exit code means."""

    DONE = 0
    FAILED = 1
    WRONG_USAGE = 2
    SOME_SKIPPED = 3
    INTERRUPTED = 130


IndexOption = Annotated[
    Path | None,
    typer.Option(
        "--index",
        help="Index folder.  [default: $PAINT_SEARCH_INDEX, else .paint-search here or above]",
    ),
]
WhereOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="FIELD=VALUE",
        help="Only paintings with this value; or FIELD=LOW..HIGH, or FIELD~=WORDS for words in a "
        "text; the same field twice: either.",
    ),
]
TableEncodingOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Encoding of a CSV that is not UTF-8, such as windows-1252.  "
        "[default: found out, where it is certain]",
    ),
]
ByOption = Annotated[
    str, typer.Option(metavar="FIELD", help="Label that groups the works: artist, movement, ...")
]
PlotOption = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Draw a figure, as .png or .svg.")
]


@dataclasses.dataclass(frozen=True)
class Works:
    """Which paintings a command is about."""

    where: WhereOption = None
    exclude: Annotated[
        list[str] | None,
        typer.Option("--not", metavar="FIELD=VALUE", help="Leave out paintings with this value."),
    ] = None

    @property
    def conditions(self) -> "list[Condition]":
        """What they have to meet."""
        from paint_search.search.filters import parse_filter

        return parse_filter(self.where or (), self.exclude or ())


@dataclasses.dataclass
class Output:
    """Prints as ``--json`` and ``--quiet`` ask."""

    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object, for machines.")
    ] = False
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")] = False

    def __post_init__(self) -> None:
        self.errors = _console(stderr=True)
        self.results = _console(stderr=False)

    def note(self, line: str) -> None:
        """Say one line that is not the result."""
        if not (self.quiet or self.as_json):
            self.errors.print(Text(line))

    def line(self, line: str) -> None:
        """Print one line of the result."""
        if not (self.quiet or self.as_json):
            self.results.print(Text(line))

    def json(self, result: Mapping[str, Any]) -> None:
        """Print the result for machines, if they asked."""
        if self.as_json:
            sys.stdout.write(json.dumps(result, ensure_ascii=False, default=str) + "\n")

    def show(self, parts: "Iterable[Part]") -> None:
        """Print lines, notes and tables as a result tells them."""
        from paint_search.report.tables import Remark, cell

        for part in parts:
            if isinstance(part, Remark):
                self.note(part)
            elif isinstance(part, str):
                self.line(part)
            else:
                self.table(part.columns, [[cell(value) for value in row] for row in part.rows])

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Print a table for people; columns whose name starts with ``>`` are right-aligned."""
        if self.quiet or self.as_json:
            return
        table = Table(box=None, header_style="bold", pad_edge=False, show_header=any(columns))
        for column in columns:
            right = column.startswith(">")
            table.add_column(
                column.lstrip(">"),
                justify="right" if right else "left",
                no_wrap=right,
                overflow="fold",
            )
        for row in rows:
            table.add_row(*(Text(cell) for cell in row))
        self.results.print(table)


def command(function: Callable[..., Exit | None]) -> Callable[..., None]:
    """Make a function a command of typer.

    A parameter whose type is a dataclass stands for the options that its fields are. The command
    ends with its exit code, and an error with one sentence instead of a trace.
    """

    @functools.wraps(function)
    def run(**given: Any) -> None:
        try:
            code = _call(function, given) or Exit.DONE
        except PaintSearchError as error:
            _fail(error.for_command_line(), given["as_json"])
            code = Exit(error.exit_code)
        except KeyboardInterrupt:
            code = Exit.INTERRUPTED
        except BrokenPipeError:  # the reader of our output has gone; that is no failure
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            code = Exit.DONE
        except OSError as error:
            what = f"{error.filename}: " if error.filename else ""
            message = f"{what}{error.strerror or error}; check the path and your permissions"
            _fail(message, given["as_json"])
            code = Exit.FAILED
        raise typer.Exit(code)

    options = list(_options(function))
    run.__signature__ = inspect.Signature(options)  # type: ignore[attr-defined]
    run.__annotations__ = {option.name: option.annotation for option in options}
    return run


def _options(function: Callable[..., Any]) -> Iterator[inspect.Parameter]:
    """Yield the options that the parameters of a function, or of a dataclass, stand for."""
    for parameter in inspect.signature(function).parameters.values():
        if _is_group(parameter.annotation):
            yield from _options(parameter.annotation)
        else:
            yield parameter.replace(kind=parameter.KEYWORD_ONLY)


def _call(function: Callable[..., T], given: Mapping[str, Any]) -> T:
    """Call a function, or make a dataclass, with the options that its parameters stand for."""
    taken = {}
    for name, parameter in inspect.signature(function).parameters.items():
        group: Any = parameter.annotation
        taken[name] = _call(group, given) if _is_group(group) else given[name]
    return function(**taken)


def _is_group(kind: Any) -> bool:
    return dataclasses.is_dataclass(kind)


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Leave it to the command to end; rich would exit with a failure."""
        raise BrokenPipeError


def _console(*, stderr: bool) -> Console:
    """Return a console; into a file or a pipe, lines go whole: only a terminal has a width."""
    console = _Console(stderr=stderr, highlight=False)
    if not console.is_terminal:
        console.width = 10_000
    return console


def _fail(message: str, as_json: bool) -> None:
    if as_json:
        with suppress(OSError):  # standard output may be what failed
            print(json.dumps({"error": message}), flush=True)
    _console(stderr=True).print(Text.assemble(("error: ", "bold red"), message))


@contextmanager
def shows_steps(output: Output, unit: str = "steps") -> "Iterator[Callable[[str, Progress], None]]":
    """Draw a bar for each step of a long run, with rate and time left, on a terminal only."""
    if output.quiet or output.as_json or not output.errors.is_terminal:
        yield lambda words, progress: None
        return
    from rich import progress as bars

    columns = (
        bars.TextColumn("{task.description}"),
        bars.BarColumn(),
        bars.MofNCompleteColumn(),
        bars.TextColumn("{task.fields[rate]}"),
        bars.TimeRemainingColumn(),
        bars.TextColumn("{task.fields[words]}"),
    )
    with bars.Progress(*columns, console=output.errors, transient=True) as bar:
        tasks: dict[str, bars.TaskID] = {}

        def report(words: str, progress: "Progress") -> None:
            if words not in tasks:
                tasks[words] = bar.add_task(words, total=None, rate="", words="")
            task = tasks[words]
            total = progress.total or None  # without one, the bar just beats
            bar.update(task, completed=progress.done, total=total, words=progress.words)
            speed = bar.tasks[bar.task_ids.index(task)].speed
            bar.update(task, rate=f"{speed:.3g} {unit}/s" if speed else "")

        yield report
