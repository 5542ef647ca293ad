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
from typing import TYPE_CHECKING, Annotated, Any, Final, NamedTuple, TypeVar

import typer
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from paint_search.errors import PaintSearchError, readable
from paint_search.files import FIGURES, PAGES, SHEETS, TABLES, write_csv

if TYPE_CHECKING:
    from paint_search.index.index import Index
    from paint_search.painting import Progress
    from paint_search.report.tables import Part
    from paint_search.search.filters import Condition

T = TypeVar("T")

#: Letters of a word that is not broken, and of a line of the last column.
_WORD: Final = 16
_PIECE: Final = 12


class Exit(IntEnum):
    """What a command's exit code means."""

    DONE = 0
    FAILED = 1
    WRONG_USAGE = 2
    SOME_SKIPPED = 3
    INTERRUPTED = 130


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


class Written(NamedTuple):
    """Marks an option that names a file to be written, by the suffixes that it may have."""

    suffixes: Sequence[str]


PlotOption = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Draw a figure, as .png or .svg."),
    Written(FIGURES),
]
PageOption = Annotated[
    Path | None,
    typer.Option("--html", metavar="FILE", help="Write a page that opens anywhere."),
    Written(PAGES),
]
SheetOption = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Write a contact sheet, as .jpg or .png."),
    Written(SHEETS),
]
CsvOption = Annotated[
    Path | None,
    typer.Option("--csv", metavar="FILE", help="Write all rows and digits as CSV."),
    Written(TABLES),
]


@dataclasses.dataclass(frozen=True)
class Opening:
    """Which index a command is about."""

    index: Annotated[
        str | None,
        typer.Option(
            "--index",
            metavar="FOLDER|URL",
            help="Index folder, or qdrant://HOST:6334/COLLECTION for one that others share.  "
            "[default: $PAINT_SEARCH_INDEX, else .paint-search here or above]",
        ),
    ] = None
    images: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Where the paintings are on this machine, if not where the index says; kept for "
            "an index opened by its URL.",
        ),
    ] = None

    def open(self, store: str | None = None) -> "Index":
        """Open it; see ``Index.open``."""
        import paint_search

        return paint_search.Index.open(self.index, store=store, images=self.images)


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
            self.errors.print(_text(line))

    def line(self, line: str) -> None:
        """Print one line of the result."""
        if not (self.quiet or self.as_json):
            self.results.print(_text(line))

    def json(self, result: Mapping[str, Any]) -> None:
        """Print the result for machines, if they asked."""
        if self.as_json:
            sys.stdout.write(json.dumps(result, default=str) + "\n")

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
        shown = [[Text(readable(cell)) for cell in row] for row in rows]
        names = [column.lstrip(">") for column in columns]
        rights = [column.startswith(">") for column in columns]
        widths = _fit(names, rights, shown, self.results.width)
        table = Table(box=None, header_style="bold", pad_edge=False, show_header=any(columns))
        if widths is None:
            table.show_header = False
            table.add_column(overflow="fold", style="bold")
            table.add_column(overflow="fold")
            for row in shown:
                for name, cell in zip(names, row, strict=True):
                    if cell:
                        table.add_row(Text(name), cell)
                table.add_row()
        else:
            for name, right, width in zip(names, rights, widths, strict=True):
                table.add_column(
                    name, justify="right" if right else "left", width=width, overflow="fold"
                )
            for row in shown:
                table.add_row(*row)
        self.results.print(table)

    def csv(self, file: Path | None, rows: Sequence[Mapping[str, object]], *empty: str) -> None:
        """Write rows into a file, if one was asked for; ``empty`` are the columns of none."""
        if file is not None:
            columns = dict.fromkeys(name for row in rows for name in row) or empty
            write_csv(file, columns, ([row.get(name) for name in columns] for row in rows))
            self.note(f"wrote {file}")


def command(function: Callable[..., Exit | None]) -> Callable[..., None]:
    """Make a function a command of typer.

    A parameter whose type is a dataclass stands for the options that its fields are. The command
    ends with its exit code, and an error with one sentence instead of a trace.
    """

    @functools.wraps(function)
    def run(**given: Any) -> None:
        try:
            given = {name: _path(value, options[name]) for name, value in given.items()}
            code = _call(function, given) or Exit.DONE
            sys.stdout.flush()  # what cannot be written is to be known here, and not at the end
        except PaintSearchError as error:
            _fail(error.for_command_line(), given["as_json"])
            code = Exit(error.exit_code)
        except KeyboardInterrupt:
            code = Exit.INTERRUPTED
        except BrokenPipeError:  # the reader of our output has gone; that is no failure
            _drop_output()
            code = Exit.DONE
        except UnicodeEncodeError as error:  # of a library that takes names as text alone
            name = error.object[max(0, error.start - 80) : error.end + 80]
            message = f"a name is not valid text: {name}; rename it"
            _fail(message, given["as_json"])
            code = Exit.FAILED
        except OSError as error:
            what = f"{error.filename}: " if error.filename else ""
            message = f"{what}{error.strerror or error}; check the path and your permissions"
            _fail(message, given["as_json"])
            code = Exit.FAILED
            try:
                sys.stdout.flush()
            except OSError:  # nor could what is left of it in the end
                _drop_output()
        raise typer.Exit(code)

    parameters = list(_options(function))
    options = {option.name: option.annotation for option in parameters}
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = options
    return run


def _drop_output() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


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


def _path(value: Any, option: Any) -> Any:
    """Return a path without ``~``, checked before the work if it is of a file to be written."""
    if isinstance(value, Path):
        # Path.expanduser would refuse a file that is called "~name".
        value = Path(os.path.expanduser(value))  # noqa: PTH111
        for written in getattr(option, "__metadata__", ()):
            if isinstance(written, Written):
                from paint_search.studies.result import check_file

                check_file(value, written.suffixes)
    return value


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


def _fit(
    names: Sequence[str], rights: Sequence[bool], rows: Sequence[Sequence[Text]], room: int
) -> list[int] | None:
    """Return how wide each column is to be; None where words would have to be broken.

    Of the last, such as a path, some letters a line will do.
    """
    room -= 2 * (len(names) - 1)
    columns = [[Text(name), *(row[i] for row in rows)] for i, name in enumerate(names)]
    natural = [max(cell.cell_len for cell in column) for column in columns]
    if sum(natural) <= room:
        return natural
    least = natural.copy()
    for i, column in enumerate(columns):
        if not rights[i]:
            words = (cell_len(word) for cell in column for word in cell.plain.split())
            most = _PIECE if i == len(columns) - 1 else _WORD
            least[i] = min(max(words, default=0), most)
    for most in range(max(natural), 0, -1):
        widths = [max(low, min(wide, most)) for low, wide in zip(least, natural, strict=True)]
        if sum(widths) <= room:
            return widths
    return None


def _text(line: str) -> Text:
    """Return a line as it is printed, with the empty lines above it."""
    words = line.lstrip("\n")
    return Text("\n" * (len(line) - len(words)) + readable(words))


def _fail(message: str, as_json: bool) -> None:
    if as_json:
        with suppress(OSError):  # standard output may be what failed
            print(json.dumps({"error": message}), flush=True)
    _console(stderr=True).print(Text.assemble(("error: ", "bold red"), readable(message)))


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
