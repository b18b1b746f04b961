"""A spaCy entity recogniser of the default size, without pre-trained vectors, trained on the pool."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from entsemble.types import Document, Mention, mention_at

EPOCHS = {1_000: 30, 100_000: 10}
"""Size of the pool up to which -> passes over it; there is no held-out data for early stopping."""

SEED = 0


class SpacyTagger:
    """A blank English pipeline with an entity recogniser (spaCy's defaults, dropout 0.2, batches of 32).

    Args:
        pool: annotated sentences; of mentions that overlap, the longest is learned.
    """

    def __init__(self, pool: Sequence[Document]) -> None:
        import spacy
        from spacy.training import Example
        from thinc.util import fix_random_seed

        fix_random_seed(SEED)
        self._pipeline: Any = spacy.blank("en")
        self._pipeline.add_pipe("ner")
        examples = []
        for document in pool:
            doc = self._pipeline.make_doc(document.text)
            spans = [
                span
                for m in document.mentions
                if (span := doc.char_span(m.start, m.end, m.label, alignment_mode="expand"))
            ]
            entities = [(span.start_char, span.end_char, span.label_) for span in spacy.util.filter_spans(spans)]
            examples.append(Example.from_dict(doc, {"entities": entities}))
        self._pipeline.initialize(lambda: examples)
        shuffle = random.Random(SEED).shuffle
        for _ in range(next(epochs for size, epochs in EPOCHS.items() if len(pool) <= size)):
            shuffle(examples)
            for first in range(0, len(examples), 32):
                self._pipeline.update(examples[first : first + 32], drop=0.2)

    def predict(self, document: Document) -> tuple[Mention, ...]:
        """The mentions that the recogniser finds."""
        doc = self._pipeline(document.text)
        return tuple(mention_at(document.text, e.start_char, e.end_char, e.label_) for e in doc.ents)
