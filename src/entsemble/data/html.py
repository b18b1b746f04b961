"""One HTML page with the mentions marked, to look at in a browser. It loads nothing from anywhere."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from html import escape
from typing import TextIO

from entsemble.types import Document, Mention

_HEAD = """<!doctype html>
<html lang="und">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>Mentions</title>
<style>
:root { color-scheme: light dark; --l: 86%; --edge: 40%; --ink: #1b1b1b; --paper: #fdfdfb; --faint: #77777733; }
@media (prefers-color-scheme: dark) { :root { --l: 24%; --edge: 62%; --ink: #e8e8e4; --paper: #161618; } }
body { display: flex; flex-direction: column; max-width: 60rem; margin: 0 auto; padding: 1rem;
  color: var(--ink); background: var(--paper); font: 1rem/2 system-ui, sans-serif; }
#legend { order: -1; position: sticky; top: 0; padding: .5rem 0; background: var(--paper); }
article { padding: .75rem 0; border-top: 1px solid var(--faint); }
h2 { margin: 0; font: .75rem/1.5 ui-monospace, monospace; opacity: .65; overflow-wrap: anywhere; }
p { margin: 0; white-space: pre-wrap; overflow-wrap: anywhere; unicode-bidi: plaintext; }
mark { color: inherit; background: hsl(var(--h) 70% var(--l)); border-bottom: 2px solid hsl(var(--h) 60% var(--edge));
  border-radius: .2rem; padding: .1rem .15rem; }
mark mark { padding: 0 .1rem; }
small { font-size: .65em; font-weight: 600; margin-inline-start: .3em; opacity: .8; unicode-bidi: isolate; }
</style>
</head>
<body>
"""

_GOLDEN_ANGLE = 137.508
"""Degrees between the hues of two labels: any number of them stays apart."""


_FRAGMENT_STYLE = """<style>
.entsemble p { margin: 0; line-height: 2; white-space: pre-wrap; overflow-wrap: anywhere; unicode-bidi: plaintext; }
.entsemble mark { color: inherit; background: hsl(var(--h) 70% 50% / .3);
  border-bottom: 2px solid hsl(var(--h) 60% 50%); border-radius: .2rem; padding: .1rem .15rem; }
.entsemble small { font-size: .65em; font-weight: 600; margin-inline-start: .3em; opacity: .8; }
</style>"""


def fragment(document: Document) -> str:
    """One document as a piece of HTML with its own style, for notebooks; colours suit a light and a dark page."""
    labels = dict.fromkeys(mention.label for mention in document.mentions)
    hues = {label: round(number * _GOLDEN_ANGLE) % 360 for number, label in enumerate(labels)}
    highlighted = "".join(_marked(document, hues))
    return f'<div class="entsemble">{_FRAGMENT_STYLE}<p dir="auto">{highlighted}</p></div>'


def write(documents: Iterable[Document], stream: TextIO) -> None:
    """The page: a legend, then each document with its id. Nested and crossing mentions are shown nested."""
    hues: dict[str, int] = {}
    counts: dict[str, int] = {}
    stream.write(_HEAD)
    for document in documents:
        for mention in document.mentions:
            hues.setdefault(mention.label, round(len(hues) * _GOLDEN_ANGLE) % 360)
            counts[mention.label] = counts.get(mention.label, 0) + 1
        marked = "".join(_marked(document, hues))
        stream.write(f'<article><h2>{escape(document.id)}</h2><p dir="auto">{marked}</p></article>\n')
    legend = " ".join(
        f'<mark style="--h:{hue}">{escape(label)}<small>{counts[label]}</small></mark>' for label, hue in hues.items()
    )
    stream.write(f'<div id="legend">{legend}</div>\n</body>\n</html>\n')


def _marked(document: Document, hues: dict[str, int]) -> Iterator[str]:
    """The text with marks; a mention that crosses the end of another is closed and opened again there."""
    opening: dict[int, list[Mention]] = {}
    for mention in document.mentions:
        opening.setdefault(mention.start, []).append(mention)
    stack: list[Mention] = []
    at = 0
    for edge in sorted({m.start for m in document.mentions} | {m.end for m in document.mentions}):
        yield escape(document.text[at:edge])
        at = edge
        lowest = next((i for i, m in enumerate(stack) if m.end == edge), len(stack))
        again = [m for m in stack[lowest:] if m.end != edge]
        for mention in reversed(stack[lowest:]):
            yield (f"<small>{escape(mention.label)}</small>" if mention.end == edge else "") + "</mark>"
        del stack[lowest:]
        for mention in again + opening.get(edge, []):
            yield f'<mark style="--h:{hues[mention.label]}" title="{escape(_title(mention))}">'
            stack.append(mention)
    yield escape(document.text[at:])


def _title(mention: Mention) -> str:
    score = "" if mention.score is None else f" {mention.score:.2f}"
    votes = "".join(f"; {member}: {label}" for member, label in mention.votes.items())
    return f"{mention.label}{score}{votes}"
