"""`entsemble demo`: extraction from a bundled text with the embedded models."""

from __future__ import annotations

from importlib.resources import as_file, files
from itertools import cycle

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from entsemble.api import load
from entsemble.cli.progress import show_progress
from entsemble.cli.summary import Summary
from entsemble.data.formats import read
from entsemble.ensemble import Ensemble
from entsemble.ner.documents import Extracted, Failed
from entsemble.types import Document

_LABEL_STYLES = ("bold black on bright_cyan", "bold black on bright_yellow", "bold black on bright_green")
_SAMPLES = files("entsemble") / "samples"


@click.command()
@click.option("--quiet", is_flag=True, help="Show no progress.")
def demo(quiet: bool) -> None:
    """Extract entities from a bundled text, with two embedded models and a pool of 48 sentences.

    Then the same without the pool, with experts selected for the text. Downloads the models if necessary. Votes are
    combined with the pre-trained weights; adapting them to the pool would take longer than everything else.
    """
    text = (_SAMPLES / "demo.txt").read_text(encoding="utf-8").strip()
    with as_file(_SAMPLES / "demo-pool.jsonl") as pool_path, show_progress(quiet=quiet) as progress:
        callbacks = progress.callbacks()
        with load(examples=pool_path, learn=0, cache=False, progress=callbacks) as ensemble:
            _extract_and_print(text, ensemble)
        labels = {mention.label for document in read(pool_path) for mention in document.mentions}
        with load(labels=sorted(labels), cache=False, progress=callbacks) as ensemble:
            _extract_and_print(
                text, ensemble, "\nThe same without a single example, by the experts that suit the text:\n"
            )


def _extract_and_print(text: str, ensemble: Ensemble, heading: str = "") -> None:
    documents = ensemble.prepare([Document("demo", text)])
    summary = Summary()
    [result] = ensemble.run(documents)
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
    styled_text = Text(document.text)
    for mention in document.mentions:
        styled_text.stylize(styles[mention.label], mention.start, mention.end)
    legend = Text("  ").join(Text(f" {label} ", styles[label]) for label in labels)
    console.print(styled_text, legend, sep="\n\n", end="\n\n")
    member_names = list(result.member_mentions)
    table = Table("mention", "at", "label", "score", *member_names)
    for mention in document.mentions:
        offsets, confidence = f"{mention.start}-{mention.end}", f"{mention.score or 0:.2f}"
        votes = [mention.votes.get(member_name, "") for member_name in member_names]
        table.add_row(*map(escape, (mention.text, offsets, mention.label, confidence, *votes)))
    console.print(table)
