"""Leakage guard: pool documents that contain, equal or are contained in a text."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence

from entsemble._lib.text import same_text_key
from entsemble.types import Document

Split = Callable[[str], Iterable[str]]
"""A text -> its sentences."""


def text_keys(documents: Iterable[Document], split: Split) -> set[str]:
    """Keys of the documents' texts and of all their sentences.

    Two documents whose key sets are disjoint share no sentence. Case and whitespace make no difference.
    """
    return {same_text_key(text) for document in documents for text in (document.text, *split(document.text))}


class LeakageGuard:
    """Finds the documents of a pool whose annotation would give away the annotation of a text.

    Args:
        documents: the pool.
        split: cuts a text into sentences.
    """

    def __init__(self, documents: Sequence[Document], split: Split) -> None:
        self._documents, self._split = documents, split
        self._by_whole_text: defaultdict[str, list[int]] = defaultdict(list)
        self._by_any_text: defaultdict[str, list[int]] = defaultdict(list)
        for index, document in enumerate(documents):
            self._by_whole_text[same_text_key(document.text)].append(index)
            for key in text_keys([document], split):
                self._by_any_text[key].append(index)

    def leaking_indices(self, text: str) -> list[int]:
        """Ascending indices of the documents that equal the text, contain it as a sentence, or are one of its own."""
        containing = self._by_any_text.get(same_text_key(text), ())
        contained = (
            index
            for key in text_keys([Document("", text)], self._split)
            if key in self._by_whole_text
            for index in self._by_whole_text[key]
        )
        return sorted({*containing, *contained})

    def leaking_documents(self, text: str) -> list[Document]:
        """The documents at `leaking_indices`."""
        return [self._documents[index] for index in self.leaking_indices(text)]
