"""`entsemble experts`: train experts; which there are, and how they come and go."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any, get_args

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from entsemble.assembly import (
    TEMPLATE,
    Brief,
    TrainingData,
    base_checksum,
    check_base,
    evaluate_experts,
    expert_store,
    select_experts,
    train_expert,
)
from entsemble.cli.display import display
from entsemble.cli.evaluate import sample
from entsemble.cli.options import Asked, shared_options
from entsemble.cli.selection import say_chosen, selection_json, selection_table
from entsemble.data.formats import read
from entsemble.errors import ConfigError, DataError
from entsemble.experts import card
from entsemble.experts.card import Card
from entsemble.experts.merging.merge import WEIGHTED_SUM, Merging
from entsemble.experts.merging.methods import METHODS
from entsemble.experts.recipes import keep_merged, weights_of
from entsemble.experts.store import Expert
from entsemble.experts.training import Progress, Training
from entsemble.prompting.labels import label_set
from entsemble.settings import environment
from entsemble.types import Precision


@click.group()
def experts() -> None:
    """Keep, merge and describe experts: adapters that were trained on one domain each."""


@experts.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def list_experts(as_json: bool) -> None:
    """The experts of this machine."""
    store = expert_store(environment())
    found, broken = store.whole()
    if as_json:
        for expert in found:
            click.echo(expert.card.model_dump_json())
    else:
        Console(highlight=False).print(_table(found))
    for name, error in broken.items():
        click.echo(f"entsemble: {name}: {error}", err=True)
    if broken:
        sys.exit(DataError.exit_code)


def _table(found: Sequence[Expert]) -> Table:
    narrow = {head: Column(head, no_wrap=True) for head in ("name", "base", "labels", "yours")}
    table = Table(narrow["name"], "domain", narrow["base"], narrow["labels"], "licence", narrow["yours"])
    for expert in found:
        c = expert.card
        told = (c.name, c.domain, c.base, str(len(c.labels)), c.licence, "" if expert.shipped else "yes")
        table.add_row(*map(escape, told))
    return table


@experts.command()
@click.argument("name")
def show(name: str) -> None:
    """All that is known of NAME."""
    expert = expert_store(environment()).get(name)
    c = expert.card
    rows = [
        ("name", c.name),
        ("domain", c.domain),
        ("base", f"{c.base} ({c.base_sha256[:12]})"),
        ("prompt shape", c.template),
        ("labels", ", ".join(c.labels)),
        ("licence", c.licence),
        *(
            ("trained on", f"{s.name}: {s.sentences:,} sentences, {s.licence} {s.attribution}".rstrip())
            for s in c.sources
        ),
        *(
            ("F1", f"{s.f1:.3f} ({s.f1_ci95[0]:.3f} to {s.f1_ci95[1]:.3f}) on {s.data}, {s.sentences:,}")
            for s in c.scores
        ),
        ("started from", c.start.expert if c.start else ""),
        *(("merged from", f"{p.expert} x {p.weight:.3f}") for p in (c.recipe.parts if c.recipe else ())),
        ("seed", str(c.seed)),
        ("trained in", c.precision or ""),
        *((key, value) for key, value in sorted(c.versions.items())),
        ("folder", str(expert.folder)),
    ]
    for key, value in rows:
        if value:
            click.echo(f"{key + ':':15s} {value}")


@experts.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--name", help="How to call it; the folder's name, or its card's, if not given.")
@click.option("--base", help="The model that it changes; needed where the folder has no card.")
@click.option("--domain", default="", help="What its texts are about.")
@click.option("--labels", default="", help='That it was trained on, as "person,organisation".')
@click.option("--licence", help="Its licence.")
@click.option("--replace", is_flag=True, help="Put it in the place of one of that name.")
def add(
    folder: Path, name: str | None, base: str | None, domain: str, labels: str, licence: str | None, replace: bool
) -> None:
    """Take over FOLDER, an adapter as PEFT or `experts export` writes it."""
    if (folder / card.CARD).exists():
        if base or domain or labels or licence:
            raise ConfigError(
                f"{folder} has a {card.CARD}, which says its base, domain, labels and licence; leave them out"
            )
        told = card.load(folder)
        told = told.model_copy(update={"name": name}) if name else told  # the store looks at the name
    elif base is None:
        raise ConfigError(f"{folder} has no {card.CARD}; say which model it changes, with --base")
    else:
        words = tuple(label.strip() for label in labels.split(",") if label.strip())
        told = _card(name or folder.resolve().name, base, domain, words, licence or "unknown")
    check_base(folder, told.base, environment())
    added = expert_store(environment()).add(folder, told, replace=replace)
    _said(added)


@experts.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
def remove(names: tuple[str, ...]) -> None:
    """Take experts away; the others stay as they are."""
    store = expert_store(environment())
    for name in names:
        store.remove(name)


@experts.command()
@click.argument("name")
@click.argument("target", type=click.Path(path_type=Path))
def export(name: str, target: Path) -> None:
    """Copy NAME into the new folder TARGET, for PEFT, vLLM or another machine."""
    click.echo(expert_store(environment()).export(name, target))


@experts.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option("--into", "target", required=True, metavar="NAME", help="How to call the merged expert.")
@click.option("--weights", help="One an expert, as 0.5,0.5; a mean if not given.")
@click.option(
    "--method", type=click.Choice([WEIGHTED_SUM, *METHODS]), default=WEIGHTED_SUM, show_default=True, help="How."
)
@click.option("--rank", type=click.IntRange(1), help="Of the merged expert, at most; the sum of theirs if not given.")
@click.option("--density", type=float, default=0.3, show_default=True, help="Share of entries that TIES and DARE keep.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of what DARE drops.")
@click.option("--replace", is_flag=True, help="Take the place of an expert of that name.")
def merge(  # each option is a part of the recipe
    names: tuple[str, ...],
    target: str,
    weights: str | None,
    method: str,
    rank: int | None,
    density: float,
    seed: int,
    replace: bool,
) -> None:
    """Merge experts of one base into a new one."""
    store = expert_store(environment())
    found = [store.get(name) for name in names]
    how = Merging(method, rank, density, seed)
    made, error = keep_merged(store, target, found, weights_of(weights, names), how, replace=replace)
    _said(made)
    if error > 0:
        click.echo(f"the rank budget cost {error:.1%} of the merged change", err=True)


def _said(expert: Expert) -> None:
    click.echo(f"{expert.card.name}: {expert.folder}")


def _card(name: str, base: str, domain: str, labels: tuple[str, ...], licence: str) -> Card:
    if not card.NAME.fullmatch(name):
        raise ConfigError(f"{name!r} is no name for an expert: {card.NAME_RULE}")
    return Card(
        name=name,
        domain=domain,
        base=base,
        base_sha256=base_checksum(base, environment()),
        template=TEMPLATE,
        labels=labels,
        licence=licence,
    )


@experts.command()
@click.argument("target", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@shared_options(but={"shots", "similarity", "learn", "nested"})
def select(target: Path, as_json: bool, **shared: Any) -> None:  # noqa: ANN401 - made into Asked at once
    """Which experts suit the texts of TARGET, and why: what `extract` would choose for them.

    With --pool, experts are tried on its sentences, as where a member of an ensemble with a pool is an expert.
    """
    asked = Asked(**shared)
    documents = list(islice(read(target, asked.input_format), asked.limit))
    with display(quiet=asked.quiet) as shown:
        found = select_experts(asked.settings(), environment(), documents, shown.callbacks())
    if as_json:
        click.echo(json.dumps(selection_json(found)))
        return
    Console(highlight=False).print(selection_table(found))
    say_chosen(found, quiet=asked.quiet)


@experts.command("evaluate")
@click.argument("gold", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@shared_options(but={"pool", "shots", "similarity", "learn", "nested"})
def evaluate_each(gold: Path, as_json: bool, **shared: Any) -> None:  # noqa: ANN401 - made into Asked at once
    """Score each expert by itself, and their base, on the annotated documents of GOLD, without demonstrations.

    As members, beside others and with demonstrations, they are scored by `entsemble evaluate`. With --limit, the
    documents are drawn at random with --seed.
    """
    asked = Asked(**shared)
    settings = asked.settings()
    documents = sample(list(read(gold, asked.input_format)), asked.limit, settings.seed)
    names = settings.labels or dict.fromkeys(sorted({m.label for d in documents for m in d.mentions}), "")
    if not names:
        raise DataError("no annotated mention in it, and no --labels", gold)
    try:
        labels = label_set(names)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    table = Table("expert", "F1", "95 % interval", "spans alone", "sentences")
    with display(quiet=asked.quiet) as shown:
        for name, score in evaluate_experts(settings, environment(), documents, labels, shown.callbacks()):
            if as_json:
                click.echo(json.dumps({"expert": name, **score.model_dump(mode="json", exclude={"data"})}))
            low, high = score.f1_ci95
            told = (f"{score.f1:.3f}", f"{low:.3f} to {high:.3f}", f"{score.spans_f1:.3f}", str(score.sentences))
            table.add_row(name or "none, the base as it is", *told)
    if not as_json:
        Console(highlight=False).print(table)


@experts.command()
@click.argument("data", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="DATA...")
@click.option("--name", required=True, help="How to call the expert.")
@click.option(
    "--base", default="smollm2-135m", show_default=True, help="A model of the catalogue, a .gguf file, or a folder."
)
@click.option("--domain", default="", help="What the texts are about.")
@click.option("--licence", default="unknown", help="Of the data, and so of the expert.")
@click.option("--attribution", default="", help="Whom the licence asks to name.")
@click.option(
    "--dev", type=click.Path(path_type=Path), help="Choose the best epoch by this; a part of DATA if not given."
)
@click.option("--limit", type=click.IntRange(1), help="Only this many sentences, drawn with the seed.")
@click.option("--start", metavar="NAME", help="An expert of that base to go on from, of no higher rank.")
@click.option("--foundation", is_flag=True, help="It is for others to start from, and chosen only where it is named.")
@click.option("--epochs", type=click.IntRange(1), default=1, show_default=True, help="Times that a sentence is seen.")
@click.option("--rank", type=click.IntRange(1), default=8, show_default=True, help="Of the adapter.")
@click.option("--learning-rate", type=float, default=3e-3, show_default=True, help="At its highest.")
@click.option("--batch", type=click.IntRange(1), default=4, show_default=True, help="Sentences a step.")
@click.option(
    "--precision",
    type=click.Choice(get_args(Precision)),
    default="float32",
    show_default=True,
    help="In which the base computes; bfloat16 is faster where the processor has it.",
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="For everything that is drawn.")
@click.option("--replace", is_flag=True, help="Take the place of an expert of that name.")
@click.option("--quiet", is_flag=True, help="No progress.")
def train(**given: Any) -> None:  # noqa: ANN401 - made into a Brief at once
    """Train an expert on annotated DATA and keep it. Said again, a training that was stopped goes on."""
    how = Training(
        rank=given["rank"],
        alpha=2 * given["rank"],
        epochs=given["epochs"],
        learning_rate=given["learning_rate"],
        batch=given["batch"],
        precision=given["precision"],
        seed=given["seed"],
    )
    data = tuple(TrainingData(path, given["licence"], given["attribution"]) for path in given["data"])
    asked = {key: given[key] for key in ("name", "base", "domain", "licence", "dev", "limit", "start", "foundation")}
    with display(quiet=given["quiet"]) as shown:

        def told(progress: Progress) -> None:
            shown.step("training", progress.step, progress.steps, f"loss {progress.loss:.3f}")

        made = train_expert(
            Brief(**asked, data=data, how=how, replace=given["replace"]), environment(), shown.callbacks(), told
        )
    _said(made)
    for measured in made.card.scores:
        low, high = measured.f1_ci95
        click.echo(
            f"F1 {measured.f1:.3f} ({low:.3f} to {high:.3f}), spans {measured.spans_f1:.3f}, "
            f"on {measured.sentences} sentences held back",
            err=True,
        )
