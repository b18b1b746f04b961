"""`entsemble pool`: prepare a pool ahead of time, and see what it would show."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from rich.console import Console

from entsemble.assembly import Assembly
from entsemble.cli.display import display
from entsemble.cli.options import Asked, shared_options
from entsemble.cli.wording import counted
from entsemble.ner.stages.retrieve import retrieve
from entsemble.settings import environment


@click.group()
def pool() -> None:
    """Prepare and search a pool of annotated sentences."""


@pool.command("build")
@click.argument("path", type=click.Path(path_type=Path))
@shared_options(but={"pool", "input_format", "limit"})
def build(path: Path, **shared: Any) -> None:  # noqa: ANN401 - made into Asked at once
    """Prepare the pool at PATH: spans, vectors, and what the votes are worth, kept on disk.

    Killed, it goes on where it was. Where the texts choose the experts, as with the preset best, all that experts have
    a part in waits for the texts.
    """
    asked = Asked(**shared, pool=path)
    with display(quiet=asked.quiet) as shown, Assembly(asked.settings(), environment(), shown.callbacks()) as assembly:
        documents = assembly.pool_documents()
        labels = assembly.labels(documents)
        own, members = assembly.settings.pool, assembly.settings.members
        by_texts = any(isinstance(m.experts, str) for m in members)  # who answers is not known before there is a text
        asks_members = (own.spans == "members" and own.similarity == "span") or assembly.learns(documents)
        if asks_members and not by_texts:
            assembly.extractor()
        else:
            assembly.pool_index(documents, labels, [])
            assembly.likeness(documents, labels)
            if asks_members and not asked.quiet:
                click.echo("what the members say of the pool waits for the texts that choose the experts", err=True)
    mentions = sum(len(d.mentions) for d in documents)
    click.echo(
        f"{counted(len(documents), 'sentence')}, {counted(mentions, 'mention')}, {counted(len(labels), 'label')}: "
        + ", ".join(labels.names),
        err=True,
    )


@pool.command("search")
@click.argument("path", type=click.Path(path_type=Path))
@click.argument("text")
@shared_options(but={"pool", "input_format", "learn", "limit"})
def search(path: Path, text: str, **shared: Any) -> None:  # noqa: ANN401 - made into Asked at once
    """Show the demonstrations that TEXT would get from the pool at PATH, and why."""
    asked = Asked(**shared, pool=path)
    with display(quiet=asked.quiet) as shown, Assembly(asked.settings(), environment(), shown.callbacks()) as assembly:
        documents = assembly.pool_documents()
        labels = assembly.labels(documents)
        members = assembly.members() if assembly.settings.pool.similarity == "span" else []
        index = assembly.pool_index(documents, labels, members)
        found = retrieve(text, members, labels, index, assembly.shown(documents))
    console = Console(highlight=False)
    if index.similarity == "span":
        console.print(
            f"spans found without demonstrations: {' | '.join(s.of(text) for s in found.spans) or 'none'}", markup=False
        )
    for rank, hit in enumerate(found.hits, 1):
        console.print(f"{rank}. {hit.score:.3f}  {hit.document.text}  [{hit.document.id}]", markup=False)
        for match in hit.matches:
            told = f"{match.query} (weight {match.weight:g}) ~ {match.nearest} {match.cosine:.3f}"
            console.print(f"     {told}", style="dim", markup=False)
    if index.similarity == "span" and found.hits and not found.hits[0].matches:
        console.print("no span to compare, so sentence similarity decided", style="dim")
