"""Which sentences of a pool teach what the votes are worth, and whether what looks like a name is a candidate there."""

from __future__ import annotations

import random
from collections.abc import Sequence

from entsemble.pool.capitalised import are_mostly_capitalised
from entsemble.settings import Settings
from entsemble.types import Document

_POOL = 20, 40
"""Sentences and mentions of a pool from which on it teaches, where nobody said whether it should: of fewer, what other
corpora taught would hardly be corrected."""

_SHARE, _FEWEST, _MOST = 5, 40, 80
"""One in so many of its sentences is answered for that, within these ends: more of them tell better how probable a
candidate is (`benchmarks/quality/teaching.py`), and each takes as long as a sentence of the user's own."""


def judges(settings: Settings) -> bool:
    """Whether what was learnt, from the pool or from other corpora, decides where there is a pool: no vote is named."""
    return settings.classification.vote is None


def teaches(settings: Settings, documents: Sequence[Document]) -> bool:
    """Whether some of a pool's sentences are answered to learn from them."""
    asked = settings.stacking.sentences
    if not judges(settings) or not documents or asked == 0:
        return False
    if asked is not None:
        return True
    sentences, mentions = _POOL
    return len(documents) >= sentences and sum(len(d.mentions) for d in documents) >= mentions


def in_order(settings: Settings, documents: Sequence[Document]) -> list[int]:
    """The pool's sentences by number, in the order in which they teach.

    It does not hang on what is scored, so that other texts are taught by nearly the same sentences.
    """
    return random.Random(settings.seed).sample(range(len(documents)), len(documents))


def enough(settings: Settings, documents: Sequence[Document]) -> int:
    """How many of the pool's sentences teach, from the first of that order on, where some do."""
    asked = settings.stacking.sentences
    return min(_MOST, max(_FEWEST, len(documents) // _SHARE)) if asked is None else asked


def looks_propose(settings: Settings, documents: Sequence[Document]) -> bool:
    """Whether what looks like a name is a candidate too, where no vote is counted."""
    asked = settings.stacking.capitalised
    return are_mostly_capitalised(documents) if asked is None else asked
