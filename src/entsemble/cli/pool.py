"""`entsemble pool`: prepare a pool ahead of time, and see which demonstrations it gives."""

from __future__ import annotations

from pathlib import Path

import click
from rich.console import Console

from entsemble._lib.text import pluralize
from entsemble.cli.help import GroupedCommand
from entsemble.cli.options import RULES, SharedOptions, parse_options, shared_options
from entsemble.cli.progress import show_progress
from entsemble.ensemble import Ensemble


@click.group()
def pool() -> None:
    """Prepare and search a pool of annotated sentences."""


@pool.command("build", cls=GroupedCommand)
@click.argument("pool_path", metavar="PATH", type=click.Path(path_type=Path))
@shared_options(exclude={*RULES, "pool", "input_format", "limit"})
def build(pool_path: Path, **options: object) -> None:
    """Prepare the pool at PATH, and store the result: spans, vectors, and the weights of the votes.

    Re-run the same command to resume. If the experts depend on the texts, as with the preset best, everything that
    involves experts is prepared only when texts are extracted.
    """
    shared = parse_options(SharedOptions, {**options, "pool": pool_path})
    with show_progress(quiet=shared.quiet) as progress:
        with Ensemble(shared.settings(), progress=progress.callbacks()) as ensemble:
            prepared = ensemble.build_pool()
        if not prepared.is_complete and not shared.quiet:
            click.echo("the members' answers to the pool wait for the texts that select the experts", err=True)
    documents, labels = prepared.documents, prepared.labels
    counts = (
        pluralize(len(documents), "sentence"),
        pluralize(sum(len(document.mentions) for document in documents), "mention"),
        pluralize(len(labels), "label"),
    )
    click.echo(f"{', '.join(counts)}: {', '.join(labels.names)}", err=True)


@pool.command("search", cls=GroupedCommand)
@click.argument("pool_path", metavar="PATH", type=click.Path(path_type=Path))
@click.argument("query_text", metavar="TEXT")
@shared_options(exclude={*RULES, "pool", "input_format", "learn", "limit"})
def search(pool_path: Path, query_text: str, **options: object) -> None:
    """Show the demonstrations that TEXT gets from the pool at PATH, and why."""
    shared = parse_options(SharedOptions, {**options, "pool": pool_path})
    with (
        show_progress(quiet=shared.quiet) as progress,
        Ensemble(shared.settings(), progress=progress.callbacks()) as ensemble,
    ):
        retrieved = ensemble.demonstrations(query_text)
        compares_spans = ensemble.settings.pool.similarity == "span"
    console = Console(highlight=False)
    if compares_spans:
        surfaces = " | ".join(span.slice(query_text) for span in retrieved.spans)
        console.print(f"spans found without demonstrations: {surfaces or 'none'}", markup=False)
    for rank, hit in enumerate(retrieved.hits, 1):
        console.print(f"{rank}. {hit.score:.3f}  {hit.document.text}  [{hit.document.id}]", markup=False)
        for match in hit.matches:
            comparison = f"{match.query_surface} (weight {match.weight:g}) ~ {match.pool_surface} {match.cosine:.3f}"
            console.print(f"     {comparison}", style="dim", markup=False)
    if compares_spans and retrieved.hits and not retrieved.hits[0].matches:
        console.print("no span to compare, so sentence similarity decided", style="dim")
