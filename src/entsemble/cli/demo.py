"""`entsemble demo`: extraction from a bundled text with the embedded models."""

from __future__ import annotations

from importlib.resources import as_file, files
from itertools import cycle

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from entsemble import settings
from entsemble.assembly import Assembly, SelectionInputs, adapt_to_documents
from entsemble.cli.progress import ProgressDisplay, show_progress
from entsemble.cli.summary import Summary
from entsemble.data.formats import read
from entsemble.ner.documents import Extracted, Failed
from entsemble.settings import Settings, environment
from entsemble.types import Document

_LABEL_STYLES = ("bold black on bright_cyan", "bold black on bright_yellow", "bold black on bright_green")
_SAMPLES = files("entsemble") / "samples"


@click.command()
@click.option("--quiet", is_flag=True, help="Show no progress.")
def demo(quiet: bool) -> None:
    """Extract entities from a bundled text, with two embedded models and a pool of 48 sentences.

    Then the same without the pool, with experts selected for the text. Downloads the models if necessary. Votes are
    combined with the pre-trained weights: to adapt them to the pool would take longer than everything else.
    """
    text = (_SAMPLES / "demo.txt").read_text(encoding="utf-8").strip()
    with as_file(_SAMPLES / "demo-pool.jsonl") as pool_path, show_progress(quiet=quiet) as progress:
        uncached = {"cache": {"replies": False}, "stacking": {"sentences": 0}}
        _extract_and_print(text, settings.load(overrides={**uncached, "pool": {"path": pool_path}}), progress)
        pool_labels = {mention.label for document in read(pool_path) for mention in document.mentions}
        labels = dict.fromkeys(sorted(pool_labels), "")
        without_pool = settings.load(overrides={"labels": labels, "cache": {"replies": False}})
        heading = "\nThe same without a single example, by the experts that suit the text:\n"
        _extract_and_print(text, without_pool, progress, heading)


def _extract_and_print(text: str, loaded: Settings, progress: ProgressDisplay, heading: str = "") -> None:
    adapted, documents, _ = adapt_to_documents(
        SelectionInputs(loaded, environment(), progress.callbacks()), [Document("demo", text)]
    )
    with Assembly(adapted, environment(), progress.callbacks()) as assembly:
        extractor = assembly.extractor()
        summary = Summary()
        [result] = extractor.extract(documents)
        summary.add(result)
    if isinstance(result, Failed):
        raise result.error
    console = Console(highlight=False)
    if heading:
        console.print(heading)
    print_result(result, console)
    click.echo(summary.line(), err=True)


def print_result(result: Extracted, console: Console) -> None:
    """Print the text with its mentions coloured by label, and a table of all votes."""
    document = result.document
    labels = sorted({mention.label for mention in document.mentions})
    styles = dict(zip(labels, cycle(_LABEL_STYLES), strict=False))
    text = Text(document.text)
    for mention in document.mentions:
        text.stylize(styles[mention.label], mention.start, mention.end)
    legend = Text("  ").join(Text(f" {label} ", styles[label]) for label in labels)
    console.print(text, legend, sep="\n\n", end="\n\n")
    member_names = list(result.member_mentions)
    table = Table("mention", "at", "label", "score", *member_names)
    for mention in document.mentions:
        offsets, confidence = f"{mention.start}-{mention.end}", f"{mention.score or 0:.2f}"
        votes = [mention.votes.get(member_name, "") for member_name in member_names]
        table.add_row(*map(escape, (mention.text, offsets, mention.label, confidence, *votes)))
    console.print(table)
