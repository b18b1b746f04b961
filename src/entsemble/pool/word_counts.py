"""What the pool's words tell of a place: how often they begin a name, end one, and stand before or after one.

A gazetteer knows whole names. A name that the pool never saw is often made of words that it knows, and stands between
words that it knows: where it begins and ends, and of what kind it is, they tell too. That a pool's words within and
near mentions are worth counting is DEER's idea (arXiv 2505.23722), which retrieves by them. Of a word that is rare or
unseen those tell that look and end alike, as in tagging (T. Brants, "TnT", ANLP 2000).

So they propose, too: spans that small models overlook, as looks do. And as with those, only where it was learnt what
that is worth.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from typing import Generic, Protocol, TypeVar

from entsemble._lib.math import logit
from entsemble._lib.text import one_line, word_spans
from entsemble.pool.leakage import LeakageGuard, Split
from entsemble.types import Document, LabelSet, Span

NAME = "words"
"""How the ledger calls who proposed such a span."""

PLACES = ("first", "last", "before", "after")
"""Of a word, at the ends of a name or beside them."""

_WITHIN = "within"
"""Of any word of a name."""

_TELLS_LABEL = PLACES[1:]
"""Where: what a name ends with ("Corp."), and what stands around it."""

_ANY = ""
"""In the place of a kind of word: any."""

_EDGES = {"before": "\n", "after": "\r"}
"""In the place of a word where a text begins and ends; no word is like these."""

_ENDING = 3
"""Letters."""

_HOLD, _HOLD_LABEL = 4.0, 1.0
"""Times that a word must have been seen, and seen at a name, to count as much as those that look and end alike."""

_K_contra = TypeVar("_K_contra", contravariant=True)


_LONGEST = 8
"""Words and marks of a span that is proposed."""

_LEAST = 1e-3
"""Probabilities are taken as no nearer than this to 0 and 1."""


@dataclass(frozen=True, slots=True)
class WordFeatures:
    """What the words within and around a place tell.

    Attributes:
        lifts: for each of `PLACES`, how much more often its word stands so than any word, as a difference of log-odds.
        inner_lift: of the words between the ends, the same of standing within a name, as a sum, at most 0.
        unseen_share: the share of its words that the pool never saw.
        label_log_ratios: label -> log of how much more often than any name one with such words has it; of the
            labels that the pool has names of.
    """

    lifts: tuple[float, ...]
    inner_lift: float
    unseen_share: float
    label_log_ratios: dict[str, float]


class WordStatistics:
    """The words of a pool, and where they stand.

    Args:
        documents: annotated sentences.
        labels: that are asked for.
        split: cuts a text into sentences.
    """

    def __init__(self, documents: Sequence[Document], labels: LabelSet, split: Split) -> None:
        self._labels = labels.names
        self._told = _Told.by(documents)
        self._copies = LeakageGuard(documents, split)

    def features_for(self, text: str, places: Sequence[Span]) -> list[WordFeatures | None]:
        """Of places of a text, what this very text told aside; `None` where no name is left to learn from."""
        told, labels, _, spans, words = self._read(text)
        if not labels:
            return [None] * len(places)
        there = [_within(spans, place) for place in places]
        return [told.worded(words, own, labels) if own else None for own in there]

    def likely_spans(self, text: str) -> tuple[str, ...]:
        """The spans that are names rather than not, by their words and those beside them, in text order.

        By naive Bayes: a priori a word begins a name as often as any does. The words between the ends speak against it
        alone, since there may be many. Of two that overlap, the likelier. None where any word is rather a name than
        not, in a pool of bare names.
        """
        told, labels, line, spans, words = self._read(text)
        if not labels or told.usual("first") >= 0.5:
            return ()
        at = range(len(words))
        first, last, before, after = (
            zip(*(told.lifts(words, range(i, i + 1)) for i in at), strict=True) if at else [()] * 4
        )
        against = [0.0, *accumulate(map(told.against, words))]
        ends = [i for i in at if any(map(str.isalnum, words[i]))]
        likely = []
        for i in ends:
            begun = logit(told.usual("first")) + before[i] + first[i]
            for j in ends[bisect_left(ends, i) : bisect_left(ends, i + _LONGEST)]:
                odds = begun + (against[j] - against[i + 1] if j > i else 0.0) + last[j] + after[j]
                if odds >= 0:
                    likely.append((odds, i, j))
        taken: set[int] = set()
        kept = []
        for _, i, j in sorted(likely, key=lambda found: (-found[0], *found[1:])):
            if taken.isdisjoint(range(i, j + 1)):
                taken.update(range(i, j + 1))
                kept.append(Span(spans[i].start, spans[j].end))
        return tuple(dict.fromkeys(span.slice(line) for span in sorted(kept, key=lambda s: s.start)))

    def _read(self, text: str) -> tuple[_Told, list[str], str, list[Span], list[str]]:
        """What the pool tells without this text, the labels that it has names of, and the text, in words."""
        same = self._copies.leaking_documents(text)
        told = self._told.without(_Told.by(same)) if same else self._told
        line = one_line(text)
        spans = word_spans(line)
        return told, [x for x in self._labels if told.names[x] > 0], line, spans, [span.slice(line) for span in spans]


@dataclass(frozen=True, slots=True)
class _Told:
    """Counts, of each word and of those that are like it.

    Attributes:
        seen: kind of word -> times.
        stood: place, kind of word -> times, of any word too.
        named: place, kind of word, label -> times.
        names: label -> mentions that have words.
        words: of all documents.
    """

    seen: _Counts[str]
    stood: _Counts[tuple[str, str]]
    named: _Counts[tuple[str, str, str]]
    names: Counter[str]
    words: int

    @classmethod
    def by(cls, documents: Sequence[Document]) -> _Told:
        """What these documents tell."""
        times: Counter[str] = Counter()
        placed: Counter[tuple[str, str, str]] = Counter()
        names: Counter[str] = Counter()
        for document in documents:
            line = one_line(document.text)
            spans = word_spans(line)
            words = [span.slice(line) for span in spans]
            times.update(words)
            for m in document.mentions:
                if there := _within(spans, m.span):
                    names[m.label] += 1
                    placed.update((place, word, m.label) for place, word in _standing(words, there))
                    placed.update((_WITHIN, words[i], m.label) for i in there)
        every = times.total()
        times.update(dict.fromkeys(_EDGES.values(), len(documents)))
        seen, stood, named = Counter[str](), Counter[tuple[str, str]](), Counter[tuple[str, str, str]]()
        for word, n in times.items():
            for kind in set(_kinds(word)):
                seen[kind] += n
        for (place, word, label), n in placed.items():
            stood[place, _ANY] += n
            for kind in set(_kinds(word)):
                stood[place, kind] += n
                named[place, kind, label] += n
        return cls(seen, stood, named, names, every)

    def without(self, own: _Told) -> _Told:
        """What is left where some is taken away."""
        left = _Rest(self.seen, own.seen), _Rest(self.stood, own.stood), _Rest(self.named, own.named)
        return _Told(*left, self.names - own.names, self.words - own.words)

    def usual(self, place: str) -> float:
        """How often any word stands so."""
        return self.stood[place, _ANY] / self.words

    def worded(self, words: Sequence[str], place: range, labels: Sequence[str]) -> WordFeatures:
        """Of a name that would stand at these words."""
        return WordFeatures(
            tuple(self.lifts(words, place)),
            float(sum(self.against(words[i]) for i in place[1:-1])),
            sum(self.seen[words[i]] == 0 for i in place) / len(place),
            dict(zip(labels, self._of_labels(words, place, labels), strict=True)),
        )

    def lifts(self, words: Sequence[str], place: range) -> list[float]:
        """For each of `PLACES`, how much more often its word stands so than any word, as a difference of log-odds."""
        return [self._lift(name, word) for name, word in _standing(words, place)]

    def against(self, word: str) -> float:
        """How much less often than any word it stands within a name, likewise, or 0."""
        return min(0.0, self._lift(_WITHIN, word))

    def _lift(self, place: str, word: str) -> float:
        share = usual = self.usual(place)
        for kind in reversed(_kinds(word)):
            share = (self.stood[place, kind] + _HOLD * share) / (self.seen[kind] + _HOLD)
        return logit(share) - logit(usual)

    def _of_labels(self, words: Sequence[str], place: range, labels: Sequence[str]) -> list[float]:
        """For each label, how much more often names have it where such words stand so than any name."""
        every = self.names.total()
        usual = [self.names[label] / every for label in labels]
        found = [0.0] * len(labels)
        for name, word in _standing(words, place):
            if name in _TELLS_LABEL:
                own = usual
                for kind in reversed(_kinds(word)):
                    whole = self.stood[name, kind] + _HOLD_LABEL
                    own = [
                        (self.named[name, kind, x] + _HOLD_LABEL * o) / whole for x, o in zip(labels, own, strict=True)
                    ]
                found = [f + math.log(o / u) for f, o, u in zip(found, own, usual, strict=True)]
        return found


class _Counts(Protocol[_K_contra]):
    """What is counted; 0 of what was never met."""

    def __getitem__(self, key: _K_contra, /) -> int: ...


@dataclass(frozen=True, slots=True)
class _Rest(Generic[_K_contra]):
    """Counts with some taken away as they are asked for: a pool's are many, and a text's few."""

    whole: _Counts[_K_contra]
    own: _Counts[_K_contra]

    def __getitem__(self, key: _K_contra, /) -> int:
        return self.whole[key] - self.own[key]


def _within(spans: Sequence[Span], span: Span) -> range:
    """The words that a span has a part of, by number."""
    return range(
        bisect_right(spans, span.start, key=lambda w: w.end), bisect_left(spans, span.end, key=lambda w: w.start)
    )


def _standing(words: Sequence[str], place: range) -> Iterator[tuple[str, str]]:
    """For each of `PLACES`, the word that stands so."""
    at = (place[0], place[-1], place[0] - 1, place[-1] + 1)
    for name, i in zip(PLACES, at, strict=True):
        yield name, words[i] if 0 <= i < len(words) else _EDGES[name]


@lru_cache(1 << 16)
def _kinds(word: str) -> tuple[str, ...]:
    """The word, what looks and ends alike, and what looks alike. A mark is like itself alone, so it counts sooner."""
    if word in _EDGES.values():
        return (word,)
    looks = _looks(word)
    return word, f"{looks} {word[-_ENDING:].lower() if len(word) > _ENDING else ''}", f"{looks}  "


def _looks(word: str) -> str:
    """Where it has capitals, and whether it has figures; of a mark, the mark."""
    letters, figures = any(map(str.isalpha, word)), any(map(str.isdigit, word))
    if not letters:
        return "0" if figures else word
    first, later = word[0].isupper(), any(map(str.isupper, word[1:]))
    if word.isupper() and len(word) > 1:
        case = "XX"
    elif first:
        case = "XxX" if later else "Xx"
    else:
        case = "xX" if later else "x"
    return case + "0" * figures
