"""Leakage guard: pool documents that contain, equal or are contained in a text."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache

from entsemble._lib.text import same_text_digest, same_text_key
from entsemble.types import Document

Split = Callable[[str], Iterable[str]]
"""A text -> its sentences."""

REMEMBERED_TEXTS = 256
"""All that is computed from a pool asks about a sentence, some of it several times; so many may be in progress."""


def text_keys(documents: Iterable[Document], split: Split) -> set[str]:
    """Keys of the documents' texts and of all their sentences.

    Two documents whose key sets are disjoint share no sentence. Case and whitespace make no difference.
    """
    return {same_text_key(text) for document in documents for text in (document.text, *split(document.text))}


class LeakageGuard:
    """A pool, and which of its documents would give away the annotation of a text.

    Built once for a pool, and shared by all that is computed from it. It holds digests, not a second copy of the texts.

    Args:
        documents: the pool.
        split: cuts a text into sentences.

    Attributes:
        documents: the pool.
    """

    def __init__(self, documents: Sequence[Document], split: Split) -> None:
        self.documents, self._split = documents, split
        self._by_whole_text: defaultdict[bytes, list[int]] = defaultdict(list)
        self._by_sentence: defaultdict[bytes, list[int]] = defaultdict(list)
        for index, document in enumerate(documents):
            whole_text = same_text_digest(document.text)
            self._by_whole_text[whole_text].append(index)
            for digest in self._sentence_digests(document.text) - {whole_text}:
                self._by_sentence[digest].append(index)
        self._leaking_indices = lru_cache(REMEMBERED_TEXTS)(self._find_leaking)

    def leaking_indices(self, text: str) -> list[int]:
        """Ascending indices of the documents that equal the text, contain it as a sentence, or are one of its own."""
        return list(self._leaking_indices(text))

    def same_text_indices(self, text: str) -> list[int]:
        """Ascending indices of the documents that equal the text, but for case and whitespace."""
        return list(self._by_whole_text.get(same_text_digest(text), ()))

    def leaking_documents(self, text: str) -> list[Document]:
        """The documents at `leaking_indices`."""
        return [self.documents[index] for index in self.leaking_indices(text)]

    def _find_leaking(self, text: str) -> tuple[int, ...]:
        whole_text = same_text_digest(text)
        leaking = {*self._by_sentence.get(whole_text, ())}
        for digest in {whole_text, *self._sentence_digests(text)}:
            leaking.update(self._by_whole_text.get(digest, ()))
        return tuple(sorted(leaking))

    def _sentence_digests(self, text: str) -> set[bytes]:
        return {same_text_digest(sentence) for sentence in self._split(text)}
