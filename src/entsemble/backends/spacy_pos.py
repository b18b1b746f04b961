"""Part-of-speech tags from an installed spaCy pipeline."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from entsemble.protocols import PosTagger
from entsemble.retrieval.pos_heuristic import HeuristicPosTagger
from entsemble.types import Span


class SpacyPosTagger:
    """Tags each span by its syntactic head, the token whose own head is outside the span.

    Args:
        name: an installed spaCy pipeline, such as `en_core_web_sm`.
    """

    def __init__(self, name: str) -> None:
        import spacy

        self.name = f"spacy:{name}"
        self._pipeline = spacy.load(name, exclude=["ner", "lemmatizer"])

    def tag_spans(self, text: str, spans: Sequence[Span]) -> list[str]:
        """See `PosTagger.tag_spans`; a span without a token is `X`."""
        if not spans:
            return []
        parsed = self._pipeline(text)
        return [self._head_tag(parsed, span) for span in spans]

    def _head_tag(self, parsed: Any, span: Span) -> str:  # noqa: ANN401 - untyped library
        tokens = parsed.char_span(span.start, span.end, alignment_mode="expand")
        return str(tokens.root.pos_) if tokens else "X"


def pos_tagger_for(language: str) -> PosTagger:
    """The first installed spaCy pipeline for `language`, or else the heuristic tagger."""
    try:
        import spacy.util
    except ImportError:
        return HeuristicPosTagger()
    pipelines = sorted(name for name in spacy.util.get_installed_models() if name.split("_")[0] == language)
    return SpacyPosTagger(pipelines[0]) if pipelines else HeuristicPosTagger()
