"""Which texts are copies of one another: what must not be shown for itself, nor learnt from where it is scored."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from entsemble._lib.text import same_text_key
from entsemble.data.windows import texts_within
from entsemble.types import Document


def keys_within(documents: Iterable[Document], language: str = "en") -> set[str]:
    """The keys of the documents' texts and of all sentences within; those of another text share none of them."""
    return {same_text_key(text) for document in documents for text in texts_within(document, language)}


class Copies:
    """What of a pool gives the annotation of a text away: its copies, what holds it, and what it holds.

    Args:
        documents: the pool.
        language: of the texts, for their sentence boundaries.
    """

    def __init__(self, documents: Sequence[Document], language: str = "en") -> None:
        self._documents, self._language = documents, language
        self._whole: defaultdict[str, list[int]] = defaultdict(list)
        self._holding: defaultdict[str, list[int]] = defaultdict(list)
        for i, document in enumerate(documents):
            self._whole[same_text_key(document.text)].append(i)
            for key in keys_within([document], language):
                self._holding[key].append(i)

    def at(self, text: str) -> list[int]:
        """The numbers, ascending, of the documents that are this text, have it as a sentence, or are one of its own."""
        own = keys_within([Document("", text)], self._language)
        within = (self._whole[key] for key in own if key in self._whole)
        return sorted({*self._holding.get(same_text_key(text), ()), *(i for found in within for i in found)})

    def of(self, text: str) -> list[Document]:
        """The documents that `at` numbers."""
        return [self._documents[i] for i in self.at(text)]
