"""An annotated sentence as a prompt shows it: text, spans, types, checks."""

from __future__ import annotations

import re
from dataclasses import dataclass

from entsemble._lib.text import is_unspaced, one_line
from entsemble.types import NONE_LABEL, Document, LabelSet, Span

_WORD = re.compile(r"[^\W\d_]{4,}")


@dataclass(frozen=True, slots=True)
class Demonstration:
    """What one pool sentence teaches each stage.

    Attributes:
        id: of the pool sentence.
        text: the sentence, on one line.
        surfaces: the distinct mentions, in text order; what extraction should list.
        types: (surface, readable label) in text order, with a word that is no entity among them; what typing answers.
        checks: (surface, readable label, whether it is one); what verification answers.
    """

    id: str
    text: str
    surfaces: tuple[str, ...]
    types: tuple[tuple[str, str], ...]
    checks: tuple[tuple[str, str, bool], ...]


def build_demonstration(document: Document, labels: LabelSet, *, negatives: int = 1) -> Demonstration:
    """Turn a pool sentence into a demonstration.

    Args:
        document: annotated with labels of the label set.
        labels: gives each label its readable name.
        negatives: words that are no entity, typed `none`: without them, a model never learns to say so.
    """
    text = one_line(document.text)
    names = {label.name: label.readable for label in labels}
    gold: dict[str, tuple[int, str]] = {}
    for mention in document.mentions:
        gold.setdefault(one_line(mention.text).strip(), (mention.start, names[mention.label]))
    typed = [(place, -len(surface), surface, word) for surface, (place, word) in gold.items()]
    typed += [(place, -len(surface), surface, NONE_LABEL) for place, surface in _negatives(document, negatives)]
    types = tuple((surface, word) for _, _, surface, word in sorted(typed))
    return Demonstration(document.id, text, tuple(gold), types, _checks(types, labels))


def _negatives(document: Document, count: int) -> list[tuple[int, str]]:
    """Words outside every mention, capitalised ones first: they are what a model takes for names."""
    spans = [(m.group(), Span(*m.span())) for m in _WORD.finditer(document.text)]
    inside = {word for word, span in spans if any(span.overlaps(mention.span) for mention in document.mentions)}
    found = {word: span.start for word, span in reversed(spans) if word not in inside}
    words = [(place, word) for word, place in found.items() if not any(map(is_unspaced, word))]
    return sorted(words, key=lambda w: (not w[1][0].isupper(), w[0]))[:count]


def _checks(types: tuple[tuple[str, str], ...], labels: LabelSet) -> tuple[tuple[str, str, bool], ...]:
    """One right claim and one wrong one: about a word that is no entity, or with another type than a mention has."""
    right = [(surface, word, True) for surface, word in types if word != NONE_LABEL]
    words = [label.readable for label in labels]
    wrong = [(surface, words[len(surface) % len(words)], False) for surface, word in types if word == NONE_LABEL]
    if right and len(words) > 1:
        surface, word, _ = right[-1]
        wrong.append((surface, words[(words.index(word) + 1) % len(words)], False))
    return tuple(right[:1] + wrong[:1])
