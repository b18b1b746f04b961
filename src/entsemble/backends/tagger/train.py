"""Training of the sequence tagger on annotated sentences, with crfsuite (L-BFGS)."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from entsemble._lib.optional import require
from entsemble._lib.text import word_spans
from entsemble.backends.tagger.features import word_features
from entsemble.backends.tagger.model import SequenceTagger, TaggerLayer
from entsemble.types import Document, Mention, Span

_PARAMETERS = {"c1": 0.05, "c2": 0.05, "max_iterations": 100, "feature.possible_transitions": True}
"""Strengths of L1 and L2 regularisation, iterations of L-BFGS, and weights for transitions that never occur."""

_MAX_LAYERS = 3
"""Of mentions that lie inside one another; deeper ones are not learned."""

_MIN_LAYER_MENTIONS = 20
"""A layer with fewer mentions is not learned."""

_MAX_SPAN_WORDS = 24


def train_tagger(documents: Sequence[Document], labels: Sequence[str]) -> SequenceTagger:
    """Train a tagger.

    Mentions that lie inside one another are learned in layers, the outermost first (J. Ju et al., 2018, have such
    layers in a neural tagger). A mention covers every word that it overlaps.

    Args:
        documents: annotated sentences.
        labels: of their mentions.

    Raises:
        MissingExtraError: python-crfsuite is not installed.
    """
    sentences = [(document, word_spans(document.text)) for document in documents]
    sentences = [(document, words) for document, words in sentences if words]
    layers, longest = [], 1
    for layer_index in range(_MAX_LAYERS):
        tags = [_layer_tags(document, words, labels, layer_index) for document, words in sentences]
        mention_count = sum(1 <= tag <= len(labels) for sentence_tags in tags for tag in sentence_tags)
        if layer_index and mention_count < _MIN_LAYER_MENTIONS:
            break
        longest = max(longest, *(_longest_run(sentence_tags, len(labels)) for sentence_tags in tags), 1)
        words_of_sentences = [[word.slice(document.text) for word in words] for document, words in sentences]
        layers.append(_train_layer(words_of_sentences, tags, len(labels)))
    return SequenceTagger(tuple(labels), tuple(layers), min(_MAX_SPAN_WORDS, longest))


def _layer_tags(document: Document, words: Sequence[Span], labels: Sequence[str], layer_index: int) -> list[int]:
    """The tag of each word: 0 for O, then B of each label, then I of each label."""
    layers: list[list[int]] = [[0] * len(words) for _ in range(layer_index + 1)]
    for mention in sorted(document.mentions, key=_longest_first):
        covered = [index for index, word in enumerate(words) if word.overlaps(mention.span)]
        layer = next((tags for tags in layers if not any(tags[index] for index in covered)), None)
        if covered and layer is not None and mention.label in labels:
            label_index = labels.index(mention.label)
            for index in covered:
                layer[index] = 1 + len(labels) + label_index
            layer[covered[0]] = 1 + label_index
    return layers[layer_index]


def _longest_first(mention: Mention) -> tuple[int, int]:
    return mention.start - mention.end, mention.start


def _longest_run(tags: Sequence[int], label_count: int) -> int:
    """Words of the longest mention."""
    longest = length = 0
    for tag in tags:
        length = length + 1 if tag > label_count else int(tag > 0)
        longest = max(longest, length)
    return longest


def _train_layer(sentences: Sequence[Sequence[str]], tags: Sequence[Sequence[int]], label_count: int) -> TaggerLayer:
    """Fit one CRF, and read its weights; crfsuite sees features and tags as numbers, which need no escaping."""
    pycrfsuite: Any = require("pycrfsuite", "embedded", "the sequence tagger")
    trainer = pycrfsuite.Trainer(verbose=False)
    feature_ids: dict[str, int] = {}
    for words, sentence_tags in zip(sentences, tags, strict=True):
        rows = [[str(feature_ids.setdefault(name, len(feature_ids))) for name in row] for row in word_features(words)]
        trainer.append(rows, [str(tag) for tag in sentence_tags])
    trainer.set_params(_PARAMETERS)
    tagger = pycrfsuite.Tagger()
    with tempfile.TemporaryDirectory() as folder:
        file = str(Path(folder) / "layer.crfsuite")
        trainer.train(file)
        tagger.open(file)
        info = tagger.info()
        tagger.close()
    tag_count = 2 * label_count + 1
    emissions = np.zeros((len(feature_ids), tag_count), dtype=np.float32)
    for (feature, tag), weight in info.state_features.items():
        emissions[int(feature), int(tag)] = weight
    transitions = np.zeros((tag_count, tag_count))
    for (previous, following), weight in info.transitions.items():
        transitions[int(previous), int(following)] = weight
    is_used = (emissions != 0).any(axis=1)
    used_ids = (np.cumsum(is_used) - 1).tolist()
    used_features = {name: used_ids[index] for name, index in feature_ids.items() if is_used[index]}
    return TaggerLayer(used_features, emissions[is_used], transitions)
