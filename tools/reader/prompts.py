"""From a sentence to a training example: which labels are asked for, how they are shown, which spans are right."""

from __future__ import annotations

import random
import re
from collections import Counter, defaultdict
from dataclasses import dataclass

from tools.reader.corpora import Document, Mention
from tools.reader.mixture import Mixture, labels_of
from tools.reader.wording import Wording, with_examples

WORD = re.compile(r"\w+|[^\w\s]")
SPAN_WIDTH = 12  # words of the longest span
MOST_LABELS = 20
MOST_WORDS_JOINED = 80
_STEM_LENGTH = 5


@dataclass(frozen=True)
class Example:
    """Words, labels as shown, and right spans as (first word, last word, label)."""

    words: tuple[str, ...]
    labels: tuple[str, ...]
    spans: tuple[tuple[int, int, int], ...]


@dataclass(frozen=True)
class Chances:
    """How often a prompt has which shape."""

    positive_dropped: float = 0.15  # a label that occurs is not asked for
    only_absent: float = 0.05
    far_labels: float = 0.5  # labels of distant corpora are among the absent ones
    definitions: float = 0.22
    examples: float = 0.06
    joined: float = 0.05  # two sentences in one


class PromptWriter:
    """Writes examples for the sentences of a mixture; all chance comes from the generator that is passed."""

    def __init__(self, mixture: Mixture, wording: Wording, chances: Chances | None = None) -> None:
        self.mixture, self.wording, self.chances = mixture, wording, chances or Chances()
        self._neighbours: defaultdict[tuple[str, tuple[str, ...]], list[Document]] = defaultdict(list)
        for corpus in mixture.corpora.values():
            for document in corpus.documents:
                self._neighbours[document.source, document.known_labels].append(document)
        homes = Counter(label for corpus in mixture.corpora.values() for label in corpus.surfaces)
        self._surfaces = {
            label: {surface.lower() for surface in surfaces}
            for corpus in mixture.corpora.values()
            for label, surfaces in corpus.surfaces.items()
            if homes[label] == 1
        }
        groups: defaultdict[str, set[str]] = defaultdict(set)
        for corpus in mixture.corpora.values():
            groups[corpus.source.group].update(corpus.surfaces)
        self._far = {
            group: sorted(label for label in self._surfaces if label not in labels) for group, labels in groups.items()
        }

    def write(self, document: Document, generator: random.Random) -> Example:
        """One example; the same sentence gives other prompts at other times."""
        if generator.random() < self.chances.joined:
            document = self._joined(document, generator)
        words, spans, unreadable = aligned(document)
        known = [label for label in document.known_labels if label not in unreadable]
        present = sorted(labels_of(document) - unreadable)
        generator.shuffle(present)
        if generator.random() < self.chances.only_absent:
            asked: list[str] = []
        else:
            kept = [label for label in present if generator.random() >= self.chances.positive_dropped]
            asked = (kept or present[:1])[:MOST_LABELS]
        labels = self._with_absent(asked, [label for label in known if label not in present], document, generator)
        generator.shuffle(labels)
        position = {label: index for index, label in enumerate(labels)}
        right = tuple((first, last, position[label]) for first, last, label in spans if label in position)
        return Example(words, tuple(self._shown(labels, document, generator)), right)

    def _with_absent(
        self, asked: list[str], absent: list[str], document: Document, generator: random.Random
    ) -> list[str]:
        """The asked labels and some that the sentence does not have, 2 to `MOST_LABELS` in all where possible."""
        low, high = generator.choice(((2, 6), (2, 6), (5, 12), (5, 12), (10, MOST_LABELS)))
        wanted = max(0, generator.randint(low, high) - len(asked))
        generator.shuffle(absent)
        chosen = absent[:wanted]
        if generator.random() < self.chances.far_labels or len(asked) + len(chosen) < 2:
            most = min(generator.randint(1, 4), MOST_LABELS - len(asked) - len(chosen))
            chosen = chosen + self.far_labels(document, max(0, most), generator)
        return asked + chosen

    def far_labels(self, document: Document, most: int, generator: random.Random) -> list[str]:
        """Labels of one corpus only, of another group, sharing no stem with a known label and naming nothing here."""
        corpus = self.mixture.corpora[document.source]
        candidates = self._far[corpus.source.group]
        stems = set().union(*(stems_of(label) for label in (*document.known_labels, *corpus.surfaces)))
        runs = runs_of(document.text)
        drawn = generator.sample(candidates, min(2 * most, len(candidates)))
        return [label for label in drawn if not stems_of(label) & stems and not self._surfaces[label] & runs][:most]

    def _shown(self, labels: list[str], document: Document, generator: random.Random) -> list[str]:
        own_corpus = self.mixture.corpora[document.source]
        taken = {label.lower() for label in (*document.known_labels, *labels)}
        define, show_examples = (
            generator.random() < chance for chance in (self.chances.definitions, self.chances.examples)
        )
        shown: list[str] = []
        for label in labels:
            words = self.wording.shown(label, taken, generator, own_corpus.synonyms.get(label, ()))
            taken.add(words.lower())
            definition = self.wording.definition(label, own_corpus.definitions.get(label, ()), generator)
            surfaces = own_corpus.surfaces.get(label, ())
            if define and definition:
                words = f"{words}: {definition}"
            elif show_examples and surfaces:
                text = document.text.lower()
                drawn = generator.sample(surfaces, min(3, len(surfaces)))
                examples = [surface for surface in drawn if surface.lower() not in text and len(surface) < 40]
                words = with_examples(words, examples) if examples else words
            shown.append(words)
        return shown

    def _joined(self, document: Document, generator: random.Random) -> Document:
        """The sentence with another after it that was annotated for the same labels."""
        other = generator.choice(self._neighbours[document.source, document.known_labels])
        if len(document.text.split()) + len(other.text.split()) > MOST_WORDS_JOINED or other is document:
            return document
        shift = len(document.text) + 1
        moved = tuple(Mention(item.start + shift, item.end + shift, item.label) for item in other.mentions)
        text = f"{document.text} {other.text}"
        return Document(document.source, text, document.mentions + moved, document.split, document.known_labels)


def aligned(document: Document) -> tuple[tuple[str, ...], list[tuple[int, int, str]], set[str]]:
    """Words, spans in words, and the labels with a mention that no span can stand for (too long, inside a word)."""
    places = [match.span() for match in WORD.finditer(document.text)]
    starts = {start: index for index, (start, _) in enumerate(places)}
    ends = {end: index for index, (_, end) in enumerate(places)}
    spans: list[tuple[int, int, str]] = []
    unreadable: set[str] = set()
    for mention in document.mentions:
        first, last = starts.get(mention.start, -1), ends.get(mention.end, -1)
        if first < 0 or not 0 <= last - first < SPAN_WIDTH:
            unreadable.add(mention.label)
        else:
            spans.append((first, last, mention.label))
    readable = [span for span in spans if span[2] not in unreadable]
    return tuple(document.text[start:end] for start, end in places), readable, unreadable


def stems_of(label: str) -> set[str]:
    """The first letters of a label's words, short words left out."""
    return {word[:_STEM_LENGTH] for word in re.findall(r"\w+", label.lower()) if len(word) > 2}


def runs_of(text: str) -> set[str]:
    """Every run of up to four words of a text, in lower case."""
    words = [match.group() for match in WORD.finditer(text.lower())]
    blank_words = text.lower().split()
    return {
        " ".join(tokens[start : start + length])
        for tokens in (words, blank_words)
        for length in range(1, 5)
        for start in range(len(tokens) - length + 1)
    }
