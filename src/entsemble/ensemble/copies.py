"""Which texts are copies of one another: what must not be shown for itself, nor learnt from where it is scored."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

from entsemble.data.windows import texts_within
from entsemble.retrieval.index import same_text_key
from entsemble.types import Document


def keys_within(documents: Iterable[Document], language: str = "en") -> set[str]:
    """The keys of the documents' texts and of all sentences within; those of another text share none of them."""
    return {same_text_key(text) for document in documents for text in texts_within(document, language)}


def by_text(documents: Iterable[Document], language: str = "en") -> Mapping[str, list[Document]]:
    """Key of a text -> the documents that are this text, or hold it."""
    held: defaultdict[str, list[Document]] = defaultdict(list)
    for document in documents:
        for key in keys_within([document], language):
            held[key].append(document)
    return dict(held)
