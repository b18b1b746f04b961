"""Synthetic inputs of any size, the same ones for the same seed."""

from __future__ import annotations

import random
import zlib
from collections.abc import Iterator, Sequence

import numpy as np

from entsemble.protocols import Vectors
from entsemble.types import Document, Mention, mention_at

SEED = 0
DIMENSIONS = 384
"""Of the vectors, as of the default encoder."""

LABELS = ("LOC", "MISC", "ORG", "PER")
_SYLLABLES = ("ba", "den", "fi", "gor", "ka", "lin", "mo", "ner", "ost", "pra", "ru", "sel", "ta", "ur", "vel", "zin")


class RandomEncoder:
    """A random unit vector for each text, the same one for the same text; stands in for a model."""

    fingerprint = weights_fingerprint = "random vectors"

    def encode(self, texts: Sequence[str]) -> Vectors:
        """See `Encoder.encode`."""
        vectors = np.empty((len(texts), DIMENSIONS), dtype=np.float32)
        for row, text in enumerate(texts):
            generator = np.random.default_rng(zlib.crc32(text.encode()))
            vector = generator.standard_normal(DIMENSIONS, dtype=np.float32)
            vectors[row] = vector / np.linalg.norm(vector)
        return vectors


def sentences(count: int) -> list[Document]:
    """Sentences of about 100 characters, each with two mentions; about half of the names occur once."""
    generator = random.Random(SEED)
    vocabulary = [_word(generator, 3) for _ in range(20_000)]
    return [_sentence(generator, f"s{number}", vocabulary) for number in range(count)]


def _sentence(generator: random.Random, document_id: str, vocabulary: Sequence[str]) -> Document:
    words = [vocabulary[int(len(vocabulary) * generator.random() ** 3)] for _ in range(14)]
    names = [f"{_word(generator, 2).title()} {_word(generator, 2).title()}" for _ in range(2)]
    words[2], words[9] = names
    text = " ".join(words) + "."
    mentions = []
    for position, name in zip((2, 9), names, strict=True):
        start = len(" ".join(words[:position])) + 1
        mentions.append(mention_at(text, start, start + len(name), generator.choice(LABELS)))
    return Document(document_id, text, tuple(mentions))


def _word(generator: random.Random, syllables: int) -> str:
    return "".join(generator.choices(_SYLLABLES, k=syllables))


def gold_and_predicted(document_count: int, label_count: int = 4) -> Iterator[tuple[Document, Document]]:
    """Documents with two gold mentions, and with two predicted ones with scores: seven of ten are right.

    The labels occur in turn, so that all of them occur where there are as many documents.
    """
    generator = random.Random(SEED)
    for number in range(document_count):
        text = f"Ada Berg {number} met Bo Carlsen in the town of Dalby."
        labels = [f"L{(number + shift) % label_count:05}" for shift in (0, 1)]
        spans = ((0, 8), (text.index("Bo"), text.index("Bo") + 10))
        gold = [mention_at(text, *span, label) for span, label in zip(spans, labels, strict=True)]
        predicted = [_predict(generator, mention, text, label_count) for mention in gold]
        yield Document(f"d{number}", text, tuple(gold)), Document(f"d{number}", text, tuple(predicted))


def _predict(generator: random.Random, gold: Mention, text: str, label_count: int) -> Mention:
    """A prediction for a gold mention: now and then of another label, or without the first characters."""
    outcome, score = generator.random(), round(generator.random(), 4)
    label = gold.label if outcome < 0.8 else f"L{generator.randrange(label_count):05}"
    start = gold.start + (3 if outcome > 0.9 else 0)
    return Mention(start, gold.end, label, text[start : gold.end], score)
