"""What an expert learns from: annotated sentences as whole answers in the one prompt shape, each asked differently.

An expert is to be asked for labels that it never saw. So each time a sentence is shown, its labels stand in another
order, beside some that it has none of, under one of several wordings, with or without a definition; and now and then
one of its labels is not asked for, and its mentions are not to be listed.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from entsemble._lib import toml
from entsemble._lib.text import one_line
from entsemble.prompting.labels import readable_name
from entsemble.prompting.render import render_extraction_prompt, render_list, render_type_answer, render_typing_question
from entsemble.prompting.template import Template
from entsemble.types import NONE_LABEL, Document, Label, LabelSet, Span

PARAPHRASES_FILE = files("entsemble.experts") / "label_paraphrases.toml"
_FEW = 4
"""Labels; an expert of fewer would learn them by heart."""

_WORD = re.compile(r"\w+(?:[-'.&]\w+)*")


@dataclass(frozen=True, slots=True)
class TextPiece:
    """A part of a training text; the loss counts the tokens of those that are targets."""

    text: str
    is_target: bool


@dataclass(frozen=True, slots=True)
class PromptVariation:
    """How sentences are asked.

    Attributes:
        absent: labels at most that a sentence has none of, beside its own.
        left_out: how likely one of a sentence's own labels is not asked for.
        reworded: how likely a label is shown under another wording than its own.
        defined: how likely a label is shown with a definition, where there is one.
        negatives: spans at most that are no mention, to be typed `none`.
    """

    max_absent_labels: int = 6
    omission_probability: float = 0.1
    paraphrase_probability: float = 0.5
    definition_probability: float = 0.2
    max_negatives: int = 2


def training_example(
    document: Document, vocabulary: Sequence[str], template: Template, asking: PromptVariation, draw: random.Random
) -> tuple[TextPiece, ...]:
    """A sentence, asked and answered.

    Args:
        document: one sentence, annotated.
        vocabulary: label names to draw absent ones from; the sentence's own among them do no harm.
        template: the prompt shape.
        asking: how.
        draw: decides; the same state gives the same example.

    Returns:
        Pieces whose texts, joined, are the training text.
    """
    text = one_line(document.text)
    own = sorted({m.label for m in document.mentions})
    asked = [name for name in own if draw.random() >= asking.omission_probability]
    others = [name for name in vocabulary if name not in own]
    fewest = 0 if asked else 1
    asked += draw.sample(others, min(len(others), draw.randint(fewest, max(fewest, asking.max_absent_labels))))
    labels = _labels(asked or own, asking, draw)
    words = {label.name: label.readable for label in labels}
    gold: dict[str, tuple[int, str]] = {}
    for mention in document.mentions:
        if mention.label in words:
            gold.setdefault(one_line(mention.text).strip(), (mention.start, words[mention.label]))
    typed = [(place, -len(surface), surface, word) for surface, (place, word) in gold.items()]
    wrong = [
        (place, surface)
        for place, surface in sample_negatives(document, asking.max_negatives, draw)
        if surface not in gold
    ]
    typed += [(place, -len(surface), surface, NONE_LABEL) for place, surface in wrong]
    pieces = [TextPiece(render_extraction_prompt(template, labels, (), text), is_target=False)]
    pieces.append(
        TextPiece(render_list(template, tuple(gold)) + (template.types if typed else template.stop[0]), is_target=True)
    )
    for _, _, surface, word in sorted(typed):
        pieces.append(TextPiece(render_typing_question(template, surface), is_target=False))
        pieces.append(TextPiece(render_type_answer(template, word), is_target=True))
    return tuple(pieces)


def label_vocabulary(own: Sequence[str]) -> list[str]:
    """What absent labels are drawn from: the labels of the same data, since of others nobody knows whether it has any.

    Where these are so few that an expert would learn them by heart, also those of our wordings that mean something
    else: none that one of the data's labels covers, as person covers politician.
    """
    known = {readable_name(name) for name in own}
    if len(own) >= _FEW:
        return list(own)
    others = [word for word, told in label_paraphrases().items() if not known & {word, *told.get("within", ())}]
    return [*own, *others]


def sample_negatives(document: Document, count: int, draw: random.Random) -> list[tuple[int, str]]:
    """Up to `count` spans that are no mention: half of a name, a name and its neighbour, words that look like one.

    Returns:
        Where each stands first, and its surface.
    """
    text = one_line(document.text)
    words = [Span(*m.span()) for m in _WORD.finditer(text)]
    if not words:
        return []
    gold = {m.span for m in document.mentions}
    found: dict[str, int] = {}
    for _ in range(draw.randint(0, count)):
        span = _drawn(text, words, sorted(gold), draw)
        surface = span.slice(text)
        if span not in gold and surface not in {g.slice(text) for g in gold}:
            found.setdefault(surface, text.index(surface))
    return [(place, surface) for surface, place in found.items()]


def _drawn(text: str, words: Sequence[Span], gold: Sequence[Span], draw: random.Random) -> Span:
    kind = draw.random()
    if gold and kind < 0.5:  # a wrong boundary: some words of a mention, or a word more
        mention = draw.choice(gold)
        inside = [i for i, w in enumerate(words) if w.overlaps(mention)] or [0]
        first, last = inside[0], inside[-1]
        if first < last and kind < 0.25:
            first, last = (first + 1, last) if draw.random() < 0.5 else (first, last - 1)
        else:
            first, last = max(0, first - draw.randint(0, 1)), min(len(words) - 1, last + 1)
        return Span(words[first].start, words[last].end)
    capital = [i for i, w in enumerate(words) if text[w.start].isupper()]
    first = draw.choice(capital if capital and kind < 0.75 else range(len(words)))
    last = min(len(words) - 1, first + draw.choice((0, 0, 0, 1, 2)))
    return Span(words[first].start, words[last].end)


def _labels(names: Sequence[str], asking: PromptVariation, draw: random.Random) -> LabelSet:
    """The labels in another order and wording each time, no two alike."""
    found: dict[str, Label] = {}
    for name in draw.sample(list(names), len(names)):
        usual = readable_name(name)
        known = label_paraphrases().get(usual, {})
        choice = draw.choice(known.get("words", [usual])) if draw.random() < asking.paraphrase_probability else usual
        word = next((w for w in (choice, usual, name) if w not in {*found, NONE_LABEL}), f"other {name}")
        definitions = known.get("definitions", [])
        definition = draw.choice(definitions) if definitions and draw.random() < asking.definition_probability else ""
        found[word] = Label(name, word, definition)
    return LabelSet(tuple(found.values()))


@cache
def label_paraphrases() -> Mapping[str, Mapping[str, Sequence[str]]]:
    """Readable label -> other `words` for it, `definitions` of it, and labels that it lies `within`, if any."""
    return toml.loads(PARAPHRASES_FILE.read_text(encoding="utf-8"))
