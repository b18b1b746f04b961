"""Grammars that restrict an extraction reply to spans of the text."""

from __future__ import annotations

from entsemble._lib.text import word_spans
from entsemble.prompting.separator import prompt_text
from entsemble.prompting.template import Template


def build_listing_grammar(template: Template, text: str) -> str:
    """GBNF for an extraction reply: `none`, or a list of word sequences of `text`, exactly as the prompt shows it.

    One rule per word: `w3 ::= "Acme" (" " w4)?` is the third word, optionally followed by the rest of a span. The
    grammar therefore grows with the number of words, not of spans. It does not restrict the order of the list: forcing
    text order made both embedded models less accurate, and the engine many times slower.

    Args:
        template: defines how a list is written.
        text: the sentence.
    """
    line = prompt_text(template, text)
    words = word_spans(line)
    if not words:
        return f'root ::= {_quote(template.nothing)} "\\n"'
    prefix, _, suffix = template.surface.partition("{surface}")
    rules = [
        f'root ::= ({_quote(template.nothing)} | span (separator span)*) "\\n"',
        f"separator ::= {_quote(template.surface_separator)}",
        f"span ::= {_quote(prefix)} word {_quote(suffix)}",
        "word ::= " + " | ".join(f"w{index}" for index in range(len(words))),
    ]
    for index, word in enumerate(words):
        continuation = ""
        if index + 1 < len(words):
            gap = line[word.end : words[index + 1].start]
            continuation = f" ({_quote(gap)} w{index + 1})?" if gap else f" w{index + 1}?"
        rules.append(f"w{index} ::= {_quote(word.slice(line))}{continuation}")
    return "\n".join(rules)


def _quote(text: str) -> str:
    return '"' + "".join(map(_escape, text)) + '"'


def _escape(character: str) -> str:
    if ord(character) < 32:
        return f"\\u{ord(character):04X}"
    return f"\\{character}" if character in '"\\' else character
