"""Select experts for a target, and score each expert by itself."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from entsemble.assembly import SelectionInputs, evaluate_experts, select_experts
from entsemble.cli.help import GroupedCommand
from entsemble.cli.options import RULES, SharedOptions, parse_options, sample_documents, shared_options
from entsemble.cli.progress import show_progress
from entsemble.cli.selection import print_selection, selection_json, selection_table
from entsemble.data.formats import read
from entsemble.errors import ConfigError, DataError
from entsemble.prompting.labels import label_set
from entsemble.settings import environment


@click.command("select", cls=GroupedCommand)
@click.argument("target_path", metavar="TARGET", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@shared_options(exclude={*RULES, "shots", "similarity", "learn", "nested"})
def select_for_target(target_path: Path, as_json: bool, **options: object) -> None:
    """Show which experts `extract` would select for the texts of TARGET, and why.

    With --pool, experts are scored on its sentences, as in an ensemble that has a pool and experts as members.
    """
    shared = parse_options(SharedOptions, options)
    documents = list(islice(read(target_path, shared.input_format), shared.limit))
    settings = shared.settings_with_experts()
    with show_progress(quiet=shared.quiet) as progress:
        selection = select_experts(SelectionInputs(settings, environment(), progress.callbacks()), documents)
    if as_json:
        click.echo(json.dumps(selection_json(selection)))
        return
    Console(highlight=False).print(selection_table(selection))
    print_selection(selection, quiet=shared.quiet)


@click.command("evaluate", cls=GroupedCommand)
@click.argument("gold_path", metavar="GOLD", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line.")
@shared_options(exclude={*RULES, "pool", "pool_format", "shots", "similarity", "learn", "nested"})
def evaluate_each(gold_path: Path, as_json: bool, **options: object) -> None:
    """Score each expert alone, and the base model, on the annotated documents of GOLD, without demonstrations.

    To score experts as members of an ensemble, with demonstrations, use `entsemble evaluate`. Without --labels, the
    labels of GOLD are used. With --limit, the documents are a random sample, drawn with --seed.
    """
    shared = parse_options(SharedOptions, options)
    settings = shared.settings_with_experts()
    documents = sample_documents(list(read(gold_path, shared.input_format)), shared.limit, settings.seed)
    gold_labels = sorted({mention.label for document in documents for mention in document.mentions})
    label_definitions = settings.labels or dict.fromkeys(gold_labels, "")
    if not label_definitions:
        raise DataError("contains no annotated mention, and there is no --labels", gold_path)
    try:
        labels = label_set(label_definitions)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    table = Table("expert", "F1", "95 % interval", "spans alone", "sentences")
    with show_progress(quiet=shared.quiet) as progress:
        for expert_name, score in evaluate_experts(
            SelectionInputs(settings, environment(), progress.callbacks()), documents, labels
        ):
            if as_json:
                click.echo(json.dumps({"expert": expert_name, **score.model_dump(mode="json", exclude={"data"})}))
            lower, upper = score.f1_ci95
            cells = (f"{score.f1:.3f}", f"{lower:.3f} to {upper:.3f}", f"{score.spans_f1:.3f}", str(score.sentences))
            table.add_row(expert_name or "none, the base model", *cells)
    if not as_json:
        Console(highlight=False).print(table)
