"""The command ``paint-search``: its commands, in the order in which a user meets them."""

import io
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import typer
from typer.core import TyperGroup

from paint_search.cli.asking import explain, similar, verify
from paint_search.cli.demo import demo
from paint_search.cli.indexing import backbones, index
from paint_search.cli.managing import compress, copy, export, info, list_paintings, remove
from paint_search.cli.serving import serve
from paint_search.cli.studies import map_paintings, report, studies
from paint_search.cli.training import train
from paint_search.errors import readable


@contextmanager
def _readable() -> Iterator[None]:
    """Escape what errors of parsing quote of the command line."""
    try:
        yield
    except Exception as error:
        if isinstance(message := getattr(error, "message", None), str):
            lines = map(readable, message.split("\n"))
            error.message = "\n".join(lines)  # type: ignore[attr-defined]
        raise


class _Commands(TyperGroup):
    def make_context(self, *given: Any, **options: Any) -> Any:
        """Parse what stands before the name of a command."""
        with _readable():
            return super().make_context(*given, **options)

    def invoke(self, ctx: Any) -> Any:
        """Parse the rest, and run the command."""
        with _readable():
            return super().invoke(ctx)


app = typer.Typer(
    name="paint-search",
    cls=_Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
    help=(
        "Similarity search for paintings.\n\n"
        "`paint-search index ./paintings` embeds a folder of images; "
        "`paint-search similar query.jpg` finds the nearest.\n\n"
        "Exit codes: 0 all done, 1 failed, 2 wrong usage, 3 done but some files were skipped, "
        "labels refused, or nodes of a server away, 130 interrupted."
    ),
)
app.command()(index)
app.command()(similar)
app.command()(verify)
app.command()(explain)
app.command()(serve)
app.command()(compress)
app.command()(info)
app.command("list")(list_paintings)
app.command()(remove)
app.command()(export)
app.command()(copy)
app.command()(backbones)
app.command()(demo)
app.command("map")(map_paintings)
app.command()(report)
app.command()(train)
app.add_typer(studies)


def main() -> None:
    """Run the command line."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # of a few letters, or of none for a name's bytes
            stream.reconfigure(errors="backslashreplace")
    # What is amiss with a picture is said once, by its ImageError.
    warnings.filterwarnings("ignore", module="PIL")
    app()
