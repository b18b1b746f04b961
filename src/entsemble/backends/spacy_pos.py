"""Part of speech from a real tagger where one is installed: spaCy, with any pipeline of the text's language."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from entsemble.protocols import PosTagger
from entsemble.retrieval.pos_heuristic import HeuristicPosTagger
from entsemble.types import Span


class SpacyPosTagger:
    """Tags by a spaCy pipeline: a span's tag is that of its head, the token whose head lies outside the span.

    Args:
        name: an installed pipeline, such as `en_core_web_sm`.
    """

    def __init__(self, name: str) -> None:
        import spacy

        self.name = f"spacy:{name}"
        self._nlp = spacy.load(name, exclude=["ner", "lemmatizer"])

    def tag_spans(self, text: str, spans: Sequence[Span]) -> list[str]:
        """See `PosTagger.tag_spans`; a span that holds no token is `X`."""
        if not spans:
            return []
        parsed = self._nlp(text)
        return [self._head_tag(parsed, span) for span in spans]

    def _head_tag(self, parsed: Any, span: Span) -> str:  # noqa: ANN401 - untyped library
        found = parsed.char_span(span.start, span.end, alignment_mode="expand")
        return str(found.root.pos_) if found else "X"


def pos_tagger_for(language: str) -> PosTagger:
    """The first installed spaCy pipeline for `language`, else the stated fallback of `retrieval.tagging`."""
    try:
        import spacy.util
    except ImportError:
        return HeuristicPosTagger()
    installed = sorted(n for n in spacy.util.get_installed_models() if n.split("_")[0] == language)
    return SpacyPosTagger(installed[0]) if installed else HeuristicPosTagger()
