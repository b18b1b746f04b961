"""Results on a terminal: the text with its mentions in colour, and a table of votes."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from entsemble.data.palette import terminal_colour
from entsemble.types import Document


def print_document(document: Document, console: Console) -> None:
    """Print the text with its mentions coloured by label, and a table of all votes.

    Args:
        document: with its mentions, their scores and votes.
        console: to print to.
    """
    labels = sorted({mention.label for mention in document.mentions})
    styles = {label: f"bold black on {terminal_colour(index)}" for index, label in enumerate(labels)}
    styled_text = Text(document.text.rstrip("\n"))
    for mention in document.mentions:
        styled_text.stylize(styles[mention.label], mention.start, mention.end)
    console.print(styled_text, end="\n\n")
    if not labels:
        return
    console.print(Text("  ").join(Text(f" {label} ", styles[label]) for label in labels), end="\n\n")
    voters = list(dict.fromkeys(voter for mention in document.mentions for voter in mention.votes))
    voters = voters if len(voters) > 1 else []  # the vote of a single voter is the label
    table = Table("mention", "at", "label", "score", *voters)
    for mention in document.mentions:
        offsets, confidence = f"{mention.start}-{mention.end}", f"{mention.score or 0:.2f}"
        votes = [mention.votes.get(voter, "") for voter in voters]
        table.add_row(*map(escape, (" ".join(mention.text.split()), offsets, mention.label, confidence, *votes)))
    console.print(table)
