"""Documents with highlighted mentions: one HTML page for the browser, or a fragment for notebooks.

The page loads nothing from elsewhere. Its look is in `mentions.html`, its behaviour in `mentions.js`, and the look of a
fragment in `fragment.html`.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from html import escape
from importlib.resources import files
from string import Template
from typing import TextIO

from entsemble.data.palette import colour_class, hue, style_sheet
from entsemble.types import Document, Mention

GENERATOR = '<meta name="generator" content="entsemble">'
"""Marks the pages: between their words are labels, so they are no texts to read."""

_ARTICLE = Template('<article><h2>$id</h2><p dir="auto">$text</p></article>\n')
_LEGEND_ENTRY = Template(
    '<button type="button" class="chip $colour" aria-pressed="true" data-label="$label">$label $count</button>'
)
_PAGE_TAG = Template('<mark class="$colour" data-label="$label" data-score="$score" title="$title">')
_FRAGMENT_TAG = Template('<mark style="--h:$hue" title="$title">')
_LABEL = Template("<small>$label</small>")

_MAX_DEPTH = 20
"""Mentions that overlap at one place and are highlighted; of others only the label is shown, where they end."""


def fragment(document: Document) -> str:
    """One document as an HTML fragment with its own style, for notebooks with a light or dark background."""
    labels = dict.fromkeys(mention.label for mention in document.mentions)
    indices = {label: label_index for label_index, label in enumerate(labels)}

    def open_tag(mention: Mention) -> str:
        return _FRAGMENT_TAG.substitute(hue=hue(indices[mention.label]), title=escape(_title(mention)))

    template = Template(_read_template("fragment.html").removesuffix("\n"))
    return template.substitute(text="".join(_highlight(document, open_tag)))


def write(documents: Iterable[Document], stream: TextIO) -> None:
    """A page with each document and its id, on which mentions are filtered by label and score, and stepped through.

    Nested and crossing mentions are shown nested.
    """
    indices: dict[str, int] = {}
    counts: dict[str, int] = {}

    def open_tag(mention: Mention) -> str:
        return _PAGE_TAG.substitute(
            colour=colour_class(indices[mention.label]),
            label=escape(mention.label),
            score="" if mention.score is None else f"{mention.score:.4f}",
            title=escape(_title(mention)),
        )

    script = _read_template("mentions.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    start, end = _read_template("mentions.html").split("$articles")
    stream.write(Template(start).substitute(palette=style_sheet(), digest=digest))
    for document in documents:
        for mention in document.mentions:
            indices.setdefault(mention.label, len(indices))
            counts[mention.label] = counts.get(mention.label, 0) + 1
        text = "".join(_highlight(document, open_tag))
        stream.write(_ARTICLE.substitute(id=escape(document.id), text=text))
    legend = " ".join(
        _LEGEND_ENTRY.substitute(colour=colour_class(label_index), label=escape(label), count=counts[label])
        for label, label_index in indices.items()
    )
    stream.write(Template(end).substitute(legend=legend, script=script))


@cache
def _read_template(file_name: str) -> str:
    return files("entsemble.data").joinpath(file_name).read_text(encoding="utf-8")


def _highlight(document: Document, open_tag: Callable[[Mention], str]) -> Iterator[str]:
    """The text with `mark` elements; one that crosses the end of another is closed there and opened again."""
    starting: dict[int, list[Mention]] = {}
    for mention in document.mentions:
        starting.setdefault(mention.start, []).append(mention)
    open_mentions: list[Mention] = []
    unlit_labels: dict[int, list[str]] = {}
    position = 0
    for edge in sorted({edge for mention in document.mentions for edge in (mention.start, mention.end)}):
        yield escape(document.text[position:edge])
        position = edge
        yield "".join(unlit_labels.pop(edge, ()))
        outermost = next(
            (level for level, mention in enumerate(open_mentions) if mention.end == edge), len(open_mentions)
        )
        reopened = [mention for mention in open_mentions[outermost:] if mention.end != edge]
        for mention in reversed(open_mentions[outermost:]):
            label = _LABEL.substitute(label=escape(mention.label)) if mention.end == edge else ""
            yield label + "</mark>"
        del open_mentions[outermost:]
        for mention in reopened + starting.get(edge, []):
            if len(open_mentions) == _MAX_DEPTH:
                unlit_labels.setdefault(mention.end, []).append(_LABEL.substitute(label=escape(mention.label)))
                continue
            yield open_tag(mention)
            open_mentions.append(mention)
    yield escape(document.text[position:])


def _title(mention: Mention) -> str:
    score = "" if mention.score is None else f" {mention.score:.2f}"
    votes = "".join(f"; {member}: {label}" for member, label in mention.votes.items())
    return f"{mention.label}{score}{votes}"
