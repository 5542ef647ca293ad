"""The command ``paint-search``: its commands, in the order in which a user meets them."""

import warnings

import typer

from paint_search.cli.asking import similar, verify
from paint_search.cli.demo import demo
from paint_search.cli.indexing import backbones, index
from paint_search.cli.managing import compress, copy, export, info, list_paintings, remove
from paint_search.cli.studies import map_paintings, report, studies
from paint_search.cli.training import train

app = typer.Typer(
    name="paint-search",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
    help=(
        "Similarity search for paintings.\n\n"
        "`paint-search index ./paintings` embeds a folder of images; "
        "`paint-search similar query.jpg` finds the nearest.\n\n"
        "Exit codes: 0 all done, 1 failed, 2 wrong usage, 3 done but some files were skipped or "
        "labels refused, 130 interrupted."
    ),
)
app.command()(index)
app.command()(similar)
app.command()(verify)
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
    # What is amiss with a picture is said once, by its ImageError.
    warnings.filterwarnings("ignore", module="PIL")
    app()
