"""A linear-chain CRF for named entities with the usual features (crfsuite, L-BFGS, untuned).

Features of a token and its two neighbours on each side: the word, its shape, prefixes and suffixes of up to four
characters, and whether it is capitalised, upper case or a number.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from entsemble._lib.text import word_spans
from entsemble.types import Document, Mention, Span, mention_at

WINDOW = 2
"""Tokens on each side whose features are used."""

PARAMETERS = {"c1": 0.05, "c2": 0.05, "max_iterations": 150, "feature.possible_transitions": True}
"""L1 and L2 regularisation, iterations of L-BFGS."""


class CrfTagger:
    """A CRF trained on annotated sentences. Mentions that lie inside another one are not learned (outermost only).

    Args:
        pool: annotated sentences.
    """

    def __init__(self, pool: Sequence[Document]) -> None:
        import pycrfsuite

        trainer: Any = pycrfsuite.Trainer(verbose=False)
        for document in pool:
            tokens = token_spans(document)
            if tokens:
                trainer.append(token_features(document.text, tokens), iob2_tags(document, tokens))
        trainer.set_params(PARAMETERS)
        with tempfile.TemporaryDirectory() as folder:
            file = str(Path(folder) / "model.crfsuite")
            trainer.train(file)
            self._model = Path(file).read_bytes()  # the tagger points into it
        self._tagger: Any = pycrfsuite.Tagger()
        self._tagger.open_inmemory(self._model)

    def predict(self, document: Document) -> tuple[Mention, ...]:
        """The mentions of the most probable tag sequence."""
        tokens = token_spans(document)
        tags = self._tagger.tag(token_features(document.text, tokens)) if tokens else []
        return tuple(mentions_from_tags(document.text, tokens, tags))


def token_spans(document: Document) -> list[Span]:
    """The document's own tokens, or words and punctuation where it has none."""
    return list(document.tokens) or word_spans(document.text)


def iob2_tags(document: Document, tokens: Sequence[Span]) -> list[str]:
    """One IOB2 tag per token for the outermost mentions; a mention covers each token that it overlaps."""
    tags = ["O"] * len(tokens)
    for mention in sorted(document.mentions, key=lambda m: m.start - m.end):
        covered = [i for i, token in enumerate(tokens) if token.overlaps(mention.span)]
        if covered and all(tags[i] == "O" for i in covered):
            tags[covered[0]] = f"B-{mention.label}"
            for i in covered[1:]:
                tags[i] = f"I-{mention.label}"
    return tags


def mentions_from_tags(text: str, tokens: Sequence[Span], tags: Sequence[str]) -> list[Mention]:
    """Mentions of an IOB2 sequence; an `I-` that continues nothing starts a mention."""
    ranges: list[tuple[int, int, str]] = []
    for index, tag in enumerate(tags):
        if tag == "O":
            continue
        prefix, _, label = tag.partition("-")
        if prefix == "I" and ranges and ranges[-1][1] == index - 1 and ranges[-1][2] == label:
            ranges[-1] = (ranges[-1][0], index, label)
        else:
            ranges.append((index, index, label))
    return [mention_at(text, tokens[first].start, tokens[last].end, label) for first, last, label in ranges]


def token_features(text: str, tokens: Sequence[Span]) -> list[list[str]]:
    """Feature names of each token."""
    own = [_word_features(token.slice(text)) for token in tokens]
    features = []
    for index in range(len(tokens)):
        row = ["bias"]
        for offset in range(-WINDOW, WINDOW + 1):
            neighbour = index + offset
            if 0 <= neighbour < len(tokens):
                row += [f"{offset}:{name}" for name in (own[neighbour] if abs(offset) <= 1 else own[neighbour][:2])]
            else:
                row.append(f"{offset}:outside")
        features.append(row)
    return features


def _word_features(word: str) -> list[str]:
    shape = "".join(_shape(character) for character in word)[:12]
    affixes = [f"prefix={word[:n].lower()}" for n in range(1, 5)] + [f"suffix={word[-n:].lower()}" for n in range(1, 5)]
    flags = [name for name in ("istitle", "isupper", "isdigit") if getattr(word, name)()]
    return [f"word={word.lower()}", f"shape={shape}", *affixes, *flags]


def _shape(character: str) -> str:
    if character.isalpha():
        return "X" if character.isupper() else "x"
    return "d" if character.isdigit() else character
