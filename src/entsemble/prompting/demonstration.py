"""A demonstration: an annotated sentence as the example of a prompt."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from entsemble._lib.text import is_unspaced, one_line
from entsemble.types import NONE_LABEL, Document, LabelSet, Span

_LONG_WORD = re.compile(r"[^\W\d_]{4,}")


@dataclass(frozen=True, slots=True)
class Demonstration:
    """What a prompt shows of a pool sentence, for each stage.

    Attributes:
        id: of the pool sentence.
        text: the sentence, on one line.
        surfaces: distinct mentions, in text order: the answer to extraction.
        typed_surfaces: (surface, readable label or `none`) in text order: the answers to classification.
        checks: (surface, readable label, whether it is right): the answers to verification.
    """

    id: str
    text: str
    surfaces: tuple[str, ...]
    typed_surfaces: tuple[tuple[str, str], ...]
    checks: tuple[tuple[str, str, bool], ...]


def build_demonstration(document: Document, labels: LabelSet, *, negatives: int = 1) -> Demonstration:
    """The demonstration of an annotated sentence.

    Args:
        document: annotated with labels of the label set.
        labels: give each label its readable name.
        negatives: maximum number of words outside all mentions, typed `none`; without them, a model never answers so.
    """
    readable_names = {label.name: label.readable for label in labels}
    gold: dict[str, tuple[int, str]] = {}
    for mention in document.mentions:
        gold.setdefault(one_line(mention.text).strip(), (mention.start, readable_names[mention.label]))
    rows = [(start, -len(surface), surface, readable_name) for surface, (start, readable_name) in gold.items()]
    rows += [(start, -len(word), word, NONE_LABEL) for start, word in _select_negatives(document, negatives)]
    typed_surfaces = tuple((surface, readable_name) for _, _, surface, readable_name in sorted(rows))
    checks = _build_checks(document, typed_surfaces, readable_names)
    return Demonstration(document.id, one_line(document.text), tuple(gold), typed_surfaces, checks)


def _select_negatives(document: Document, count: int) -> list[tuple[int, str]]:
    """(start, word) of words outside all mentions; capitalised ones first, since models take them for names."""
    words = [(match.group(), Span(*match.span())) for match in _LONG_WORD.finditer(document.text)]
    mention_spans = [mention.span for mention in document.mentions]
    mention_words = {word for word, span in words if any(span.overlaps(other) for other in mention_spans)}
    first_starts = {word: span.start for word, span in reversed(words) if word not in mention_words}
    negatives = [(start, word) for word, start in first_starts.items() if not any(map(is_unspaced, word))]
    return sorted(negatives, key=lambda negative: (not negative[1][0].isupper(), negative[0]))[:count]


def _build_checks(
    document: Document, typed_surfaces: Sequence[tuple[str, str]], readable_names: Mapping[str, str]
) -> tuple[tuple[str, str, bool], ...]:
    """One right claim and one wrong one, in an order that the document's id determines.

    The wrong one gives a mention another label, so that a verifier learns to check types. A word outside all mentions
    is used only if there is no mention, or no other label.
    """
    true_labels: dict[str, set[str]] = {}
    for mention in document.mentions:
        true_labels.setdefault(one_line(mention.text).strip(), set()).add(readable_names[mention.label])
    right = [(surface, label, True) for surface, label in typed_surfaces if label != NONE_LABEL]
    wrong = [
        (surface, label, False)
        for surface, labels in true_labels.items()
        for label in readable_names.values()
        if label not in labels
    ] or [
        (surface, label, False)
        for surface, name in typed_surfaces
        if name == NONE_LABEL
        for label in readable_names.values()
    ]
    generator = random.Random(document.id)
    checks = [generator.choice(claims) for claims in (right, wrong) if claims]
    generator.shuffle(checks)
    return tuple(checks)
