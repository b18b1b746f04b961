"""A grammar whose every list of spans stands in the text: what a model cannot write, it cannot make up."""

from __future__ import annotations

from entsemble._lib.text import one_line, word_spans
from entsemble.prompting.template import Template


def build_listing_grammar(template: Template, text: str) -> str:
    """GBNF for the answer to extraction: `none`, or runs of the words of `text`, each written as it stands there.

    One rule a word: `w3 ::= "Acme" (" " w4)?` reads "the third word, and perhaps the rest of a span after it". So the
    grammar grows with the text and not with the number of its spans. The order of the list is free: forcing the order
    of the text made both embedded models worse, and the engine many times slower.

    Args:
        template: says how a list is written.
        text: the sentence.
    """
    line = one_line(text)
    tokens = word_spans(line)
    if not tokens:
        return f'root ::= {_quoted(template.nothing)} "\\n"'
    before, _, after = template.surface.partition("{surface}")
    rules = [
        f'root ::= ({_quoted(template.nothing)} | span (separator span)*) "\\n"',
        f"separator ::= {_quoted(template.surface_separator)}",
        f"span ::= {_quoted(before)} word {_quoted(after)}",
        "word ::= " + " | ".join(f"w{i}" for i in range(len(tokens))),
    ]
    for i, word in enumerate(tokens):
        on = ""
        if i + 1 < len(tokens):
            gap = line[word.end : tokens[i + 1].start]
            on = f" ({_quoted(gap)} w{i + 1})?" if gap else f" w{i + 1}?"
        rules.append(f"w{i} ::= {_quoted(word.slice(line))}{on}")
    return "\n".join(rules)


def _quoted(text: str) -> str:
    escaped = "".join(f"\\u{ord(c):04X}" if ord(c) < 32 else {'"': '\\"', "\\": "\\\\"}.get(c, c) for c in text)
    return f'"{escaped}"'
