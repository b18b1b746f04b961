"""Training examples for experts: annotated sentences as prompts with varied labels, and their completions.

Experts are used with labels that they were not trained on. So the prompt of a sentence varies each time: its labels
are in another order, among labels that do not occur in it, paraphrased or not, with or without a definition; and
sometimes one of its labels is omitted, and its mentions must not be listed.
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

_MIN_LABELS = 4
"""With fewer labels, an expert would memorise them instead of reading the prompt."""

_WORD = re.compile(r"\w+(?:[-'.&]\w+)*")


@dataclass(frozen=True, slots=True)
class TextPiece:
    """A part of a training text; the loss is computed on the tokens of target pieces only."""

    text: str
    is_target: bool


@dataclass(frozen=True, slots=True)
class PromptVariation:
    """How much the prompts of training examples vary.

    Attributes:
        max_absent_labels: maximum number of labels in the prompt that do not occur in the sentence.
        omission_probability: probability that a label of the sentence is omitted from the prompt.
        paraphrase_probability: probability that a label is paraphrased.
        definition_probability: probability that a label has a definition, if there is one.
        max_negatives: maximum number of spans that are not mentions, to be classified as `none`.
    """

    max_absent_labels: int = 6
    omission_probability: float = 0.1
    paraphrase_probability: float = 0.5
    definition_probability: float = 0.2
    max_negatives: int = 2


def training_example(
    document: Document,
    vocabulary: Sequence[str],
    template: Template,
    variation: PromptVariation,
    generator: random.Random,
) -> tuple[TextPiece, ...]:
    """The prompt and completion of an annotated sentence.

    Args:
        document: one annotated sentence.
        vocabulary: label names to sample absent labels from; the sentence's labels may be among them.
        template: prompt template.
        variation: how much the prompt varies.
        generator: source of randomness; the same state gives the same example.

    Returns:
        Pieces whose concatenation is the training text.
    """
    text = one_line(document.text)
    labels = _prompt_labels(_sample_label_names(document, vocabulary, variation, generator), variation, generator)
    readable_names = {label.name: label.readable for label in labels}
    gold: dict[str, tuple[int, str]] = {}
    for mention in document.mentions:
        if mention.label in readable_names:
            gold.setdefault(one_line(mention.text).strip(), (mention.start, readable_names[mention.label]))
    questions = [(start, -len(surface), surface, label) for surface, (start, label) in gold.items()]
    questions += [
        (start, -len(surface), surface, NONE_LABEL)
        for start, surface in sample_negatives(document, variation.max_negatives, generator)
        if surface not in gold
    ]
    spans = render_list(template, tuple(gold)) + (template.types if questions else template.stop[0])
    pieces = [
        TextPiece(render_extraction_prompt(template, labels, (), text), is_target=False),
        TextPiece(spans, is_target=True),
    ]
    for _, _, surface, label in sorted(questions):
        pieces.append(TextPiece(render_typing_question(template, surface), is_target=False))
        pieces.append(TextPiece(render_type_answer(template, label), is_target=True))
    return tuple(pieces)


def label_vocabulary(label_names: Sequence[str]) -> list[str]:
    """The names that absent labels are sampled from.

    By default the labels of the same data set, since labels of other data may be unannotated in it. If these are fewer
    than `_MIN_LABELS`, also the labels with paraphrases, except those that a label of the data covers, as person covers
    politician.
    """
    if len(label_names) >= _MIN_LABELS:
        return list(label_names)
    present = {readable_name(name) for name in label_names}
    distinct = [name for name, entry in label_paraphrases().items() if not present & {name, *entry.get("within", ())}]
    return [*label_names, *distinct]


def sample_negatives(document: Document, max_count: int, generator: random.Random) -> list[tuple[int, str]]:
    """Sample spans that are not mentions: parts of names, names with a neighbouring word, name-like words.

    Returns:
        First offset and surface of at most `max_count` spans.
    """
    text = one_line(document.text)
    words = [Span(*match.span()) for match in _WORD.finditer(text)]
    if not words:
        return []
    gold = {mention.span for mention in document.mentions}
    gold_surfaces = {span.slice(text) for span in gold}
    negatives: dict[str, int] = {}
    for _ in range(generator.randint(0, max_count)):
        span = _sample_span(text, words, sorted(gold), generator)
        surface = span.slice(text)
        if span not in gold and surface not in gold_surfaces:
            negatives.setdefault(surface, text.index(surface))
    return [(start, surface) for surface, start in negatives.items()]


def _sample_span(text: str, words: Sequence[Span], gold: Sequence[Span], generator: random.Random) -> Span:
    """A gold span with a wrong boundary, or one to three words, preferably capitalised."""
    kind = generator.random()
    if gold and kind < 0.5:
        mention = generator.choice(gold)
        inside = [index for index, word in enumerate(words) if word.overlaps(mention)] or [0]
        first, last = inside[0], inside[-1]
        if first < last and kind < 0.25:
            first, last = (first + 1, last) if generator.random() < 0.5 else (first, last - 1)
        else:
            first, last = max(0, first - generator.randint(0, 1)), min(len(words) - 1, last + 1)
        return Span(words[first].start, words[last].end)
    capitalised = [index for index, word in enumerate(words) if text[word.start].isupper()]
    first = generator.choice(capitalised if capitalised and kind < 0.75 else range(len(words)))
    last = min(len(words) - 1, first + generator.choice((0, 0, 0, 1, 2)))
    return Span(words[first].start, words[last].end)


def _sample_label_names(
    document: Document, vocabulary: Sequence[str], variation: PromptVariation, generator: random.Random
) -> list[str]:
    """The names of the labels in the prompt: some that occur in the sentence, and some that do not."""
    present = sorted({mention.label for mention in document.mentions})
    sampled = [name for name in present if generator.random() >= variation.omission_probability]
    absent = [name for name in vocabulary if name not in present]
    min_absent = 0 if sampled else 1
    absent_count = generator.randint(min_absent, max(min_absent, variation.max_absent_labels))
    sampled += generator.sample(absent, min(len(absent), absent_count))
    return sampled or present


def _prompt_labels(names: Sequence[str], variation: PromptVariation, generator: random.Random) -> LabelSet:
    """The labels in random order, some of them paraphrased or defined, with distinct readable names."""
    labels: dict[str, Label] = {}
    for name in generator.sample(list(names), len(names)):
        default = readable_name(name)
        entry = label_paraphrases().get(default, {})
        is_paraphrased = generator.random() < variation.paraphrase_probability
        preferred = generator.choice(entry.get("words", [default])) if is_paraphrased else default
        alternatives = (word for word in (preferred, default, name) if word not in {*labels, NONE_LABEL})
        readable = next(alternatives, f"other {name}")
        definitions = entry.get("definitions", [])
        is_defined = definitions and generator.random() < variation.definition_probability
        labels[readable] = Label(name, readable, generator.choice(definitions) if is_defined else "")
    return LabelSet(tuple(labels.values()))


@cache
def label_paraphrases() -> Mapping[str, Mapping[str, Sequence[str]]]:
    """Readable label -> its paraphrases (`words`), `definitions`, and broader labels (`within`), if any."""
    return toml.loads(PARAPHRASES_FILE.read_text(encoding="utf-8"))
