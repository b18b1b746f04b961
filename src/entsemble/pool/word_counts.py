"""Word counts: how often words start, end and surround names, with back-off.

A gazetteer has whole names. A name that the pool does not have often consists of words that the pool has, and stands
between such words: they are evidence of where it starts and ends, and of its label. That words within and around
mentions are worth counting is DEER's idea (arXiv 2505.23722), which retrieves by them. Counts of rare and unseen words
back off to those of words with the same shape and ending, as in tagging (T. Brants, "TnT", ANLP 2000).
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Generic, Protocol, TypeVar

from entsemble._lib.math import logit
from entsemble._lib.text import one_line, word_spans
from entsemble.pool.leakage import LeakageGuard
from entsemble.types import Document, LabelSet, Span

POSITIONS = ("first", "last", "before", "after")
"""Of a word relative to a name: at its ends or next to them."""

_WITHIN = "within"
"""The position of every word of a name."""

_LABEL_POSITIONS = POSITIONS[1:]
"""Positions that are evidence of the label: the last word ("Corp.") and the words around the name."""

_ANY_WORD = ""
"""Stands for any word."""

_TEXT_EDGES = {"before": "\n", "after": "\r"}
"""Stand for a word before the text's first word and after its last one."""

_SUFFIX_LENGTH = 3
"""Letters."""

_BACKOFF_COUNT = 4.0
"""Pseudo-counts given to the back-off class (word shape + 3-letter suffix)."""

_LABEL_BACKOFF_COUNT = 1.0
"""The same for the labels of names."""

_REMEMBERED_LIFTS = 1 << 14
"""Positions of words whose evidence is remembered, some 2 MB: a few words are most of any text."""

_Key_contra = TypeVar("_Key_contra", contravariant=True)


@dataclass(frozen=True, slots=True)
class WordFeatures:
    """What the words within and around a span say about it.

    Attributes:
        lifts: for each of `POSITIONS`, the log-odds that the word there has this position, minus those of any word.
        inner_lift: the same for the position within a name, summed over the words between the ends; each at most 0.
        unseen_share: the share of the span's words that the pool does not have.
        label_log_ratios: label -> log of its probability given the words, relative to its share of the pool's names;
            only labels that the pool has names of.
    """

    lifts: tuple[float, ...]
    inner_lift: float
    unseen_share: float
    label_log_ratios: dict[str, float]


class WordStatistics:
    """The words of a pool.

    Args:
        leakage_guard: the annotated sentences, and which of them a text must not use.
        labels: that are asked for.
    """

    def __init__(self, leakage_guard: LeakageGuard, labels: LabelSet) -> None:
        self._labels = labels.names
        self._counts = WordCounts.from_documents(leakage_guard.documents)
        self._leakage_guard = leakage_guard

    def features_for(self, text: str, spans: Sequence[Span]) -> list[WordFeatures | None]:
        """Features of spans of a text; `None` for a span without words, or if the pool has no names.

        Documents that would leak the text's annotation are not counted.
        """
        counts = self.counts_without(text)
        labels = [label for label in self._labels if counts.mentions[label] > 0]
        if not labels:
            return [None] * len(spans)
        line = one_line(text)
        text_words = word_spans(line)
        words = [word.slice(line) for word in text_words]
        word_ranges = [_overlapping_words(text_words, span) for span in spans]
        return [counts.features(words, word_range, labels) if word_range else None for word_range in word_ranges]

    def counts_without(self, text: str) -> WordCounts:
        """The counts of all documents but those that would leak the text's annotation."""
        leaking = self._leakage_guard.leaking_documents(text)
        return self._counts.minus(WordCounts.from_documents(leaking)) if leaking else self._counts


@dataclass(frozen=True, slots=True)
class WordCounts:
    """Counts of words and of the classes that they back off to; see `_backoff_classes`.

    Attributes:
        occurrences: class -> occurrences of its words.
        positions: position, class -> mentions with such a word there; also for `_ANY_WORD`.
        label_positions: position, class, label -> mentions of the label with such a word there.
        mentions: label -> mentions that have words.
        total_words: words of all documents.
        lift: (position, word) -> log-odds that the word has this position, minus those of any word.
    """

    occurrences: _Counts[str]
    positions: _Counts[tuple[str, str]]
    label_positions: _Counts[tuple[str, str, str]]
    mentions: Counter[str]
    total_words: int
    lift: Callable[[str, str], float] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "lift", lru_cache(_REMEMBERED_LIFTS)(self._compute_lift))

    @classmethod
    def from_documents(cls, documents: Sequence[Document]) -> WordCounts:
        """The counts of annotated documents."""
        word_counts: Counter[str] = Counter()
        placed_words: Counter[tuple[str, str, str]] = Counter()
        mentions: Counter[str] = Counter()
        for document in documents:
            line = one_line(document.text)
            text_words = word_spans(line)
            words = [word.slice(line) for word in text_words]
            word_counts.update(words)
            for mention in document.mentions:
                if word_range := _overlapping_words(text_words, mention.span):
                    mentions[mention.label] += 1
                    placed_words.update(
                        (position, word, mention.label) for position, word in _words_at_positions(words, word_range)
                    )
                    placed_words.update((_WITHIN, words[index], mention.label) for index in word_range)
        total_words = word_counts.total()
        word_counts.update(dict.fromkeys(_TEXT_EDGES.values(), len(documents)))
        occurrences = Counter[str]()
        positions = Counter[tuple[str, str]]()
        label_positions = Counter[tuple[str, str, str]]()
        for word, count in word_counts.items():
            for word_class in set(_backoff_classes(word)):
                occurrences[word_class] += count
        for (position, word, label), count in placed_words.items():
            positions[position, _ANY_WORD] += count
            for word_class in set(_backoff_classes(word)):
                positions[position, word_class] += count
                label_positions[position, word_class, label] += count
        return cls(occurrences, positions, label_positions, mentions, total_words)

    def minus(self, other: WordCounts) -> WordCounts:
        """These counts without those of some of the same documents."""
        return WordCounts(
            _CountsMinus(self.occurrences, other.occurrences),
            _CountsMinus(self.positions, other.positions),
            _CountsMinus(self.label_positions, other.label_positions),
            self.mentions - other.mentions,
            self.total_words - other.total_words,
        )

    def base_rate(self, position: str) -> float:
        """How often a word has this position."""
        return self.positions[position, _ANY_WORD] / self.total_words

    def features(self, words: Sequence[str], word_range: range, labels: Sequence[str]) -> WordFeatures:
        """Features of a span of a text.

        Args:
            words: of the text.
            word_range: indices of the span's words.
            labels: that the pool has names of.
        """
        return WordFeatures(
            lifts=tuple(self.lifts(words, word_range)),
            inner_lift=float(sum(self.inner_lift(words[index]) for index in word_range[1:-1])),
            unseen_share=sum(self.occurrences[words[index]] == 0 for index in word_range) / len(word_range),
            label_log_ratios=dict(zip(labels, self._label_log_ratios(words, word_range, labels), strict=True)),
        )

    def lifts(self, words: Sequence[str], word_range: range) -> list[float]:
        """See `WordFeatures.lifts`."""
        return [self.lift(position, word) for position, word in _words_at_positions(words, word_range)]

    def inner_lift(self, word: str) -> float:
        """See `WordFeatures.inner_lift`; of one word."""
        return min(0.0, self.lift(_WITHIN, word))

    def _compute_lift(self, position: str, word: str) -> float:
        probability = base_rate = self.base_rate(position)
        for word_class in reversed(_backoff_classes(word)):
            count, occurrences = self.positions[position, word_class], self.occurrences[word_class]
            probability = (count + _BACKOFF_COUNT * probability) / (occurrences + _BACKOFF_COUNT)
        return logit(probability) - logit(base_rate)

    def _label_log_ratios(self, words: Sequence[str], word_range: range, labels: Sequence[str]) -> list[float]:
        """See `WordFeatures.label_log_ratios`; one for each label."""
        mention_count = self.mentions.total()
        base_rates = [self.mentions[label] / mention_count for label in labels]
        log_ratios = [0.0] * len(labels)
        for position, word in _words_at_positions(words, word_range):
            if position in _LABEL_POSITIONS:
                probabilities = base_rates
                for word_class in reversed(_backoff_classes(word)):
                    total = self.positions[position, word_class] + _LABEL_BACKOFF_COUNT
                    probabilities = [
                        (self.label_positions[position, word_class, label] + _LABEL_BACKOFF_COUNT * backoff) / total
                        for label, backoff in zip(labels, probabilities, strict=True)
                    ]
                log_ratios = [
                    log_ratio + math.log(probability / base_rate)
                    for log_ratio, probability, base_rate in zip(log_ratios, probabilities, base_rates, strict=True)
                ]
        return log_ratios


class _Counts(Protocol[_Key_contra]):
    """Counts by key; 0 for a key that is missing."""

    def __getitem__(self, key: _Key_contra, /) -> int: ...


@dataclass(frozen=True, slots=True)
class _CountsMinus(Generic[_Key_contra]):
    """A difference of counts, computed on access: a pool has many keys, and a text few."""

    minuend: _Counts[_Key_contra]
    subtrahend: _Counts[_Key_contra]

    def __getitem__(self, key: _Key_contra, /) -> int:
        return self.minuend[key] - self.subtrahend[key]


def _overlapping_words(words: Sequence[Span], span: Span) -> range:
    """Indices of the words that overlap a span."""
    return range(
        bisect_right(words, span.start, key=lambda word: word.end),
        bisect_left(words, span.end, key=lambda word: word.start),
    )


def _words_at_positions(words: Sequence[str], word_range: range) -> Iterator[tuple[str, str]]:
    """Each of `POSITIONS` with the word that has it, for a span of these words."""
    indices = (word_range[0], word_range[-1], word_range[0] - 1, word_range[-1] + 1)
    for position, index in zip(POSITIONS, indices, strict=True):
        yield position, words[index] if 0 <= index < len(words) else _TEXT_EDGES[position]


@lru_cache(1 << 16)
def _backoff_classes(word: str) -> tuple[str, ...]:
    """The word, words of the same shape and suffix, and words of the same shape, as keys.

    The shape of a punctuation mark is the mark itself, so all three are the same words and it needs fewer occurrences.
    """
    if word in _TEXT_EDGES.values():
        return (word,)
    shape = _shape(word)
    suffix = word[-_SUFFIX_LENGTH:].lower() if len(word) > _SUFFIX_LENGTH else ""
    return word, f"{shape} {suffix}", f"{shape}  "


def _shape(word: str) -> str:
    """Where a word has capitals, and whether it has digits; a punctuation mark is its own shape."""
    has_letters, has_digits = any(map(str.isalpha, word)), any(map(str.isdigit, word))
    if not has_letters:
        return "0" if has_digits else word
    starts_upper, has_later_upper = word[0].isupper(), any(map(str.isupper, word[1:]))
    if word.isupper() and len(word) > 1:
        case = "XX"
    elif starts_upper:
        case = "XxX" if has_later_upper else "Xx"
    else:
        case = "xX" if has_later_upper else "x"
    return case + "0" * has_digits
