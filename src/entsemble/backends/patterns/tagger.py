"""Finds the words and matches of a file of patterns in texts."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from entsemble._lib.text import is_inside_word, word_spans
from entsemble.backends.patterns.file import Pattern, read_patterns
from entsemble.errors import DataError
from entsemble.types import ScoredSpan, Span

_PROBABILITY = 0.95
"""Of a match: users list what they are sure of."""

_TIME_LIMIT = 2.0
"""Seconds of the processor for all matches of a pattern in a text, which is a sentence."""

_MENTION_GROUP = "mention"


class PatternTagger:
    """Tags every word of a list, and every match of a regular expression, that is made of whole words.

    Args:
        name: in messages.
        path: see `read_patterns`.

    Raises:
        DataError, MissingExtraError: see `read_patterns`.
    """

    is_exhaustive = False
    parameters = 0

    def __init__(self, name: str, path: Path) -> None:
        file = read_patterns(path)
        self.name, self.fingerprint = name, f"patterns:{file.fingerprint}:{_PROBABILITY}"
        self.labels = tuple(file.labels)
        self._patterns = [(label, pattern) for label, value in file.labels.items() for pattern in value.patterns]
        self._exact, self._any_case = _WordLists(str), _WordLists(str.casefold)
        for label, patterns in file.labels.items():
            lists = self._any_case if patterns.ignore_case else self._exact
            for word in patterns.words:
                lists.add(word, label)

    def tag(self, texts: Sequence[str]) -> list[list[ScoredSpan]]:
        """See `SpanTagger.tag`.

        Raises:
            DataError: a pattern takes too long; the message names it.
        """
        return [[ScoredSpan(span, {label: _PROBABILITY}) for span, label in self._matches(text)] for text in texts]

    def _matches(self, text: str) -> Iterator[tuple[Span, str]]:
        words = word_spans(text)
        yield from self._exact.find(text, words)
        yield from self._any_case.find(text, words)
        for label, pattern in self._patterns:
            for span in _find_matches(pattern, text):
                if not is_inside_word(text, span.start) and not is_inside_word(text, span.end):
                    yield span, label

    def close(self) -> None:
        """Nothing to free but memory that goes with the object."""


class _WordLists:
    """Words and phrases with their labels; a text is compared at each word with those that begin with it."""

    def __init__(self, normalize: Callable[[str], str]) -> None:
        self._normalize = normalize
        self._labels: dict[str, list[str]] = {}
        self._lengths: dict[str, set[int]] = {}

    def add(self, phrase: str, label: str) -> None:
        key = self._key(phrase)
        words = word_spans(key)
        labels = self._labels.setdefault(key, [])
        if label not in labels:
            labels.append(label)
        self._lengths.setdefault(words[0].slice(key), set()).add(len(words))

    def find(self, text: str, words: Sequence[Span]) -> Iterator[tuple[Span, str]]:
        """The longest phrases that begin at each word, with their labels."""
        for first, word in enumerate(words):
            for length in sorted(self._lengths.get(self._key(word.slice(text)), ()), reverse=True):
                last = first + length - 1
                labels = self._labels.get(self._key(text[word.start : words[last].end])) if last < len(words) else None
                if labels:
                    yield from ((Span(word.start, words[last].end), label) for label in labels)
                    break

    def _key(self, phrase: str) -> str:
        return self._normalize(re.sub(r"\s+", " ", phrase.strip()))


def _find_matches(pattern: Pattern, text: str) -> Iterator[Span]:
    """The matches that are not empty; of a pattern with a group `mention`, what that group matches."""
    group = _MENTION_GROUP if _MENTION_GROUP in pattern.compiled.groupindex else 0
    try:
        for match in pattern.compiled.finditer(text, timeout=_TIME_LIMIT):
            start, end = match.span(group)
            if start < end:
                yield Span(start, end)
    except TimeoutError as error:
        raise DataError(
            f"the pattern {pattern.text!r} takes more than {_TIME_LIMIT:g} s on a text of {len(text)} characters; "
            "write it without repetitions inside repetitions, such as (a+)+",
            pattern.path,
            pattern.line,
        ) from error
