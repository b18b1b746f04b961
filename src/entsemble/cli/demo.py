"""`entsemble demo`: the main job on the embedded models and a text that ships with the project."""

from __future__ import annotations

from importlib.resources import as_file, files
from itertools import cycle

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from entsemble import settings
from entsemble.assembly import Assembly, adapt
from entsemble.cli.display import Display, display
from entsemble.cli.summary import Summary
from entsemble.data.formats import read
from entsemble.ner.documents import Extracted, Failed
from entsemble.settings import Settings, environment
from entsemble.types import Document

_COLOURS = ("bold black on bright_cyan", "bold black on bright_yellow", "bold black on bright_green")
_SAMPLES = files("entsemble") / "samples"


@click.command()
@click.option("--quiet", is_flag=True, help="No progress.")
def demo(quiet: bool) -> None:
    """Find the entities of a text that ships with entsemble, with two embedded models and a pool of 48 sentences.

    Then the same without the pool, by experts that are chosen for the text. Pulls the models where they are not there.
    The votes are judged by what other corpora taught: learning from the pool's answers would take longer than all the
    rest.
    """
    text = (_SAMPLES / "demo.txt").read_text(encoding="utf-8").strip()
    with as_file(_SAMPLES / "demo-pool.jsonl") as pool, display(quiet=quiet) as shown:
        quick = {"cache": {"replies": False}, "stacking": {"sentences": 0}}
        asked = settings.load(overrides={**quick, "pool": {"path": pool}})
        _shown(text, asked, shown)
        labels = dict.fromkeys(sorted({m.label for d in read(pool) for m in d.mentions}), "")
        bare = settings.load(overrides={"labels": labels, "cache": {"replies": False}})
        _shown(text, bare, shown, "\nThe same without a single example, by the experts that suit the text:\n")


def _shown(text: str, asked: Settings, shown: Display, heading: str = "") -> None:
    asked, documents, _ = adapt(asked, environment(), [Document("demo", text)], shown.callbacks())
    with Assembly(asked, environment(), shown.callbacks()) as assembly:
        extractor = assembly.extractor()
        summary = Summary()
        [result] = extractor.extract(documents)
        summary.add(result)
    if isinstance(result, Failed):
        raise result.error
    console = Console(highlight=False)
    if heading:
        console.print(heading)
    show(result, console)
    click.echo(summary.line(), err=True)


def show(result: Extracted, console: Console) -> None:
    """The text with its mentions coloured by label, and a table of who voted what."""
    document = result.document
    labels = sorted({m.label for m in document.mentions})
    style = dict(zip(labels, cycle(_COLOURS), strict=False))
    text = Text(document.text)
    for mention in document.mentions:
        text.stylize(style[mention.label], mention.start, mention.end)
    legend = Text("  ").join(Text(f" {label} ", style[label]) for label in labels)
    console.print(text, legend, sep="\n\n", end="\n\n")
    members = list(result.alone)
    table = Table("mention", "at", "label", "score", *members)
    for m in document.mentions:
        votes = [m.votes.get(member, "") for member in members]
        table.add_row(*map(escape, (m.text, f"{m.start}-{m.end}", m.label, f"{m.score or 0:.2f}", *votes)))
    console.print(table)
