"""List, show, add, remove, export and merge experts."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from entsemble._lib.paths import real_path
from entsemble._lib.text import message_line
from entsemble.assembly import TEMPLATE, base_checksum, check_adapter_fits, expert_store
from entsemble.cli.options import parse_options
from entsemble.cli.output import print_columns
from entsemble.errors import ConfigError, DataError
from entsemble.experts import card
from entsemble.experts.card import Card
from entsemble.experts.merging.merge import WEIGHTED_SUM, MergeSettings
from entsemble.experts.merging.methods import METHODS
from entsemble.experts.recipes import add_merged_expert, parse_weights
from entsemble.experts.store import Expert, ExpertSummary
from entsemble.settings import environment


@click.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line.")
def list_experts(as_json: bool) -> None:
    """List the experts on this machine."""
    store = expert_store(environment())
    if as_json:
        experts, broken = store.load_intact()
        for expert in experts:
            click.echo(expert.card.model_dump_json())
    else:
        summaries, broken = store.summarize_intact()
        print_columns(("name", "base", "labels", "licence", "yours", "domain"), [_cells(one) for one in summaries])
    for expert_name, error in broken.items():
        click.echo(message_line("entsemble", expert_name, error), err=True)
    if broken:
        sys.exit(DataError.exit_code)


def _cells(expert: ExpertSummary) -> tuple[str, ...]:
    card_summary = expert.card
    ownership = "" if expert.shipped else "yes"
    return (
        card_summary.name,
        card_summary.base,
        str(card_summary.label_count),
        card_summary.licence,
        ownership,
        card_summary.domain,
    )


@click.command("show")
@click.argument("expert_name", metavar="NAME")
def show_expert(expert_name: str) -> None:
    """Show the card of NAME."""
    expert = expert_store(environment()).get(expert_name)
    expert_card = expert.card
    card_rows = [
        ("name", expert_card.name),
        ("domain", expert_card.domain),
        ("base", f"{expert_card.base} ({expert_card.base_sha256[:12]})"),
        ("prompt shape", expert_card.template),
        ("labels", ", ".join(expert_card.labels)),
        ("licence", expert_card.licence),
        *_training_rows(expert_card),
        ("seed", str(expert_card.seed)),
        ("trained in", expert_card.precision or ""),
        *sorted(expert_card.versions.items()),
        ("folder", str(expert.folder)),
    ]
    for heading, value in card_rows:
        if value:
            click.echo(f"{heading + ':':15s} {message_line(value)}")


def _training_rows(expert_card: Card) -> list[tuple[str, str]]:
    training_rows = []
    for source in expert_card.sources:
        origin = f"{source.name}: {source.sentences:,} sentences, {source.licence} {source.attribution}"
        training_rows.append(("trained on", origin.rstrip()))
    for score in expert_card.scores:
        lower, upper = score.f1_ci95
        training_rows.append(
            ("F1", f"{score.f1:.3f} ({lower:.3f} to {upper:.3f}) on {score.data}, {score.sentences:,}")
        )
    training_rows.append(("started from", expert_card.start.expert if expert_card.start else ""))
    parts = expert_card.recipe.parts if expert_card.recipe else ()
    training_rows.extend(("merged from", f"{part.expert} x {part.weight:.3f}") for part in parts)
    return training_rows


@click.command("add")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--name", help="Name of the expert. Default: the name in its card, or that of the folder.")
@click.option("--base", help="The model that it adapts; required if the folder has no card.")
@click.option("--domain", default="", help="What its texts are about.")
@click.option("--labels", default="", help='The labels that it was trained on, such as "person,organisation".')
@click.option("--licence", help="Its licence.")
@click.option("--replace", is_flag=True, help="Replace an expert of the same name.")
def add_expert(
    folder: Path, name: str | None, base: str | None, domain: str, labels: str, licence: str | None, replace: bool
) -> None:
    """Copy the adapter in FOLDER, as written by PEFT or `experts export`, into the expert store."""
    store = expert_store(environment())
    if (folder / card.CARD_FILE).exists():
        if base or domain or labels or licence:
            raise ConfigError(
                f"{folder} has a {card.CARD_FILE} with its base, domain, labels and licence; leave these options out"
            )
        expert_card = card.load_card(folder)
        if name:
            expert_card = expert_card.model_copy(update={"name": name})  # the store checks the name
    elif base is None:
        raise ConfigError(f"{folder} has no {card.CARD_FILE}; name the model that it adapts with --base")
    else:
        expert_name = name or real_path(folder).name
        store.check_name(expert_name, replace=replace)
        label_names = tuple(label.strip() for label in labels.split(",") if label.strip())
        expert_card = Card(
            name=expert_name,
            domain=domain,
            base=base,
            base_sha256=base_checksum(base, environment()),
            template=TEMPLATE,
            labels=label_names,
            licence=licence or "unknown",
        )
    check_adapter_fits(folder, expert_card.base, environment())
    print_location(store.add(folder, expert_card, replace=replace))


@click.command("remove")
@click.argument("expert_names", nargs=-1, required=True, metavar="NAME...")
def remove_experts(expert_names: tuple[str, ...]) -> None:
    """Remove experts; the others stay as they are."""
    store = expert_store(environment())
    for expert_name in expert_names:
        store.remove(expert_name)


@click.command("export")
@click.argument("expert_name", metavar="NAME")
@click.argument("target_folder", metavar="TARGET", type=click.Path(path_type=Path))
def export_expert(expert_name: str, target_folder: Path) -> None:
    """Copy NAME into the new folder TARGET, for PEFT, vLLM or another machine."""
    click.echo(expert_store(environment()).export(expert_name, target_folder))


@click.command("merge")
@click.argument("expert_names", nargs=-1, required=True, metavar="NAME...")
@click.option("--into", "merged_name", required=True, metavar="NAME", help="Name of the merged expert.")
@click.option("--weights", help="One weight per expert, such as 0.5,0.5. Default: equal weights.")
@click.option(
    "--method",
    type=click.Choice([WEIGHTED_SUM, *METHODS]),
    default=WEIGHTED_SUM,
    show_default=True,
    help="Merge method.",
)
@click.option(
    "--rank", type=click.IntRange(1), help="Maximum rank of the merged expert. Default: the sum of the experts' ranks."
)
@click.option(
    "--density", type=float, default=0.3, show_default=True, help="Fraction of entries that TIES and DARE keep."
)
@click.option(
    "--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed for the entries that DARE drops."
)
@click.option("--replace", is_flag=True, help="Replace an expert of the same name.")
def merge_experts(
    expert_names: tuple[str, ...], merged_name: str, weights: str | None, replace: bool, **options: object
) -> None:
    """Merge experts of the same base into a new one."""
    store = expert_store(environment())
    experts = [store.get(expert_name) for expert_name in expert_names]
    merging = parse_options(MergeSettings, options)
    merged, error = add_merged_expert(
        store, merged_name, experts, parse_weights(weights, expert_names), merging, replace=replace
    )
    print_location(merged)
    if error > 0:
        click.echo(f"the rank limit cost {error:.1%} of the merged change", err=True)


def print_location(expert: Expert) -> None:
    """Print an expert's name and folder."""
    click.echo(f"{expert.card.name}: {expert.folder}")
