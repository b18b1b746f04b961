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
    far_labels: float = (
        0.15  # distant corpora give some of the absent labels; 0.5 taught that unknown labels are absent
    )
    definitions: float = 0.22
    examples: float = 0.06
    joined: float = 0.05  # two sentences in one


class PromptWriter:
    """Writes examples for the sentences of a mixture; all chance comes from the generator that is passed."""

    def __init__(self, mixture: Mixture, label_wording: Wording, prompt_chances: Chances | None = None) -> None:
        self.mixture, self.wording, self.chances = mixture, label_wording, prompt_chances or Chances()
        self._neighbours: defaultdict[tuple[str, tuple[str, ...]], list[Document]] = defaultdict(list)
        for one_corpus in mixture.corpora.values():
            for document in one_corpus.documents:
                self._neighbours[document.source, document.known_labels].append(document)
        corpus_counts = Counter(
            label_name for one_corpus in mixture.corpora.values() for label_name in one_corpus.surfaces
        )
        self._surfaces = {
            label_name: {surface_text.lower() for surface_text in surfaces}
            for one_corpus in mixture.corpora.values()
            for label_name, surfaces in one_corpus.surfaces.items()
            if corpus_counts[label_name] == 1
        }
        group_labels: defaultdict[str, set[str]] = defaultdict(set)
        for one_corpus in mixture.corpora.values():
            group_labels[one_corpus.source.group].update(one_corpus.surfaces)
        self._far = {
            group_name: sorted(label_name for label_name in self._surfaces if label_name not in own_labels)
            for group_name, own_labels in group_labels.items()
        }

    def write(self, document: Document, random_generator: random.Random) -> Example:
        """One example; the same sentence gives other prompts at other times."""
        if random_generator.random() < self.chances.joined:
            document = self._joined(document, random_generator)
        word_list, word_spans, unreadable = aligned(document)
        known_labels = [label_name for label_name in document.known_labels if label_name not in unreadable]
        present_labels = sorted(labels_of(document) - unreadable)
        random_generator.shuffle(present_labels)
        if random_generator.random() < self.chances.only_absent:
            requested: list[str] = []
        else:
            remaining = [
                label_name
                for label_name in present_labels
                if random_generator.random() >= self.chances.positive_dropped
            ]
            requested = (remaining or present_labels[:1])[:MOST_LABELS]
        prompt_labels = self._with_absent(
            requested,
            [label_name for label_name in known_labels if label_name not in present_labels],
            document,
            random_generator,
        )
        random_generator.shuffle(prompt_labels)
        label_position = {label_name: label_index for label_index, label_name in enumerate(prompt_labels)}
        right_spans = tuple(
            (first_word, last_word, label_position[label_name])
            for first_word, last_word, label_name in word_spans
            if label_name in label_position
        )
        return Example(word_list, tuple(self._shown(prompt_labels, document, random_generator)), right_spans)

    def _with_absent(
        self, requested: list[str], absent_labels: list[str], document: Document, random_generator: random.Random
    ) -> list[str]:
        """The requested labels and some that the sentence does not have, 2 to `MOST_LABELS` in all where possible."""
        lowest_count, highest_count = random_generator.choice(((2, 6), (2, 6), (5, 12), (5, 12), (10, MOST_LABELS)))
        absent_count = max(0, random_generator.randint(lowest_count, highest_count) - len(requested))
        random_generator.shuffle(absent_labels)
        selected = absent_labels[:absent_count]
        if random_generator.random() < self.chances.far_labels or len(requested) + len(selected) < 2:
            maximum_count = min(random_generator.randint(1, 4), MOST_LABELS - len(requested) - len(selected))
            selected = selected + self.far_labels(document, max(0, maximum_count), random_generator)
        return requested + selected

    def far_labels(self, document: Document, maximum_count: int, random_generator: random.Random) -> list[str]:
        """Labels of one corpus only, of another group, sharing no stem with a known label and naming nothing here."""
        one_corpus = self.mixture.corpora[document.source]
        candidates = self._far[one_corpus.source.group]
        known_stems = set().union(
            *(stems_of(label_name) for label_name in (*document.known_labels, *one_corpus.surfaces))
        )
        text_runs = runs_of(document.text)
        sampled_labels = random_generator.sample(candidates, min(2 * maximum_count, len(candidates)))
        return [
            label_name
            for label_name in sampled_labels
            if not stems_of(label_name) & known_stems and not self._surfaces[label_name] & text_runs
        ][:maximum_count]

    def _shown(self, prompt_labels: list[str], document: Document, random_generator: random.Random) -> list[str]:
        own_corpus = self.mixture.corpora[document.source]
        taken_names = {label_name.lower() for label_name in (*document.known_labels, *prompt_labels)}
        show_definitions, show_examples = (
            random_generator.random() < probability for probability in (self.chances.definitions, self.chances.examples)
        )
        label_wordings: list[str] = []
        for label_name in prompt_labels:
            shown_label = self.wording.shown(
                label_name, taken_names, random_generator, own_corpus.synonyms.get(label_name, ())
            )
            taken_names.add(shown_label.lower())
            definition = self.wording.definition(
                label_name, own_corpus.definitions.get(label_name, ()), random_generator
            )
            surfaces = own_corpus.surfaces.get(label_name, ())
            if show_definitions and definition:
                shown_label = f"{shown_label}: {definition}"
            elif show_examples and surfaces:
                lower_text = document.text.lower()
                sampled_surfaces = random_generator.sample(surfaces, min(3, len(surfaces)))
                examples = [
                    surface_text
                    for surface_text in sampled_surfaces
                    if surface_text.lower() not in lower_text and len(surface_text) < 40
                ]
                shown_label = with_examples(shown_label, examples) if examples else shown_label
            label_wordings.append(shown_label)
        return label_wordings

    def _joined(self, document: Document, random_generator: random.Random) -> Document:
        """The sentence with another after it that was annotated for the same labels."""
        neighbour = random_generator.choice(self._neighbours[document.source, document.known_labels])
        if len(document.text.split()) + len(neighbour.text.split()) > MOST_WORDS_JOINED or neighbour is document:
            return document
        offset_shift = len(document.text) + 1
        moved_mentions = tuple(
            Mention(one_mention.start + offset_shift, one_mention.end + offset_shift, one_mention.label)
            for one_mention in neighbour.mentions
        )
        joined_text = f"{document.text} {neighbour.text}"
        return Document(
            document.source, joined_text, document.mentions + moved_mentions, document.split, document.known_labels
        )


def aligned(document: Document) -> tuple[tuple[str, ...], list[tuple[int, int, str]], set[str]]:
    """Words, spans in words, and the labels with a mention that no span can stand for (too long, inside a word)."""
    word_places = [word_match.span() for word_match in WORD.finditer(document.text)]
    word_starts = {start_offset: word_index for word_index, (start_offset, _) in enumerate(word_places)}
    word_ends = {end_offset: word_index for word_index, (_, end_offset) in enumerate(word_places)}
    word_spans: list[tuple[int, int, str]] = []
    unreadable: set[str] = set()
    for one_mention in document.mentions:
        first_word, last_word = word_starts.get(one_mention.start, -1), word_ends.get(one_mention.end, -1)
        if first_word < 0 or not 0 <= last_word - first_word < SPAN_WIDTH:
            unreadable.add(one_mention.label)
        else:
            word_spans.append((first_word, last_word, one_mention.label))
    readable = [word_span for word_span in word_spans if word_span[2] not in unreadable]
    return (
        tuple(document.text[start_offset:end_offset] for start_offset, end_offset in word_places),
        readable,
        unreadable,
    )


def stems_of(label_name: str) -> set[str]:
    """The first letters of a label's words, short words left out."""
    return {label_word[:_STEM_LENGTH] for label_word in re.findall(r"\w+", label_name.lower()) if len(label_word) > 2}


def runs_of(lower_text: str) -> set[str]:
    """Every run of up to four words of a text, in lower case."""
    word_list = [word_match.group() for word_match in WORD.finditer(lower_text.lower())]
    blank_words = lower_text.lower().split()
    return {
        " ".join(word_list[start_offset : start_offset + run_length])
        for word_list in (word_list, blank_words)
        for run_length in range(1, 5)
        for start_offset in range(len(word_list) - run_length + 1)
    }
