"""``paint-search eval``: the studies of an index, one command each."""

import typer

from paint_search.cli.study_artists import artists
from paint_search.cli.study_classify import classify
from paint_search.cli.study_clusters import clusters
from paint_search.cli.study_compression import compression
from paint_search.cli.study_retrieval import retrieval
from paint_search.cli.study_silhouette import silhouette
from paint_search.cli.study_verify import verify

studies = typer.Typer(
    name="eval",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="Study an index: who is like whom, what belongs together, how well it is told apart.",
)
studies.command()(artists)
studies.command()(clusters)
studies.command()(silhouette)
studies.command()(retrieval)
studies.command()(compression)
studies.command()(classify)
studies.command()(verify)
