"""Tiny models that tests make: a BERT that gives each word the label of a table."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def save_tokenizer(folder: Path, words: Mapping[str, object]) -> int:
    """A tokenizer of these lowercase words; the number of its tokens."""
    import tokenizers
    import transformers

    vocabulary = {word: index for index, word in enumerate((*SPECIAL, *words))}
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = tokenizers.normalizers.Lowercase()
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    ends = (("[CLS]", vocabulary["[CLS]"]), ("[SEP]", vocabulary["[SEP]"]))
    tokenizer.post_processor = tokenizers.processors.BertProcessing(ends[1], ends[0])
    names = {f"{token.strip('[]').lower()}_token": token for token in SPECIAL}
    transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names).save_pretrained(folder)
    return len(vocabulary)


def save_classifier(folder: Path, labels: Mapping[str, str]) -> Path:
    """A token classifier that gives these words their labels, and `O` to all others."""
    import torch
    import transformers

    tokens = save_tokenizer(folder, labels)
    names = ["O", *dict.fromkeys(labels.values())]
    config = transformers.BertConfig(
        vocab_size=tokens,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=1,
        intermediate_size=8,
        max_position_embeddings=64,
        id2label=dict(enumerate(names)),
        label2id={name: index for index, name in enumerate(names)},
    )
    model: Any = transformers.BertForTokenClassification(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        for module in model.modules():
            if isinstance(module, torch.nn.LayerNorm):
                module.weight.fill_(1)
        rows = [0] * len(SPECIAL) + [names.index(label) for label in labels.values()]
        model.bert.embeddings.word_embeddings.weight[range(tokens), rows] = 8
        model.classifier.weight[range(len(names)), range(len(names))] = 2
    model.save_pretrained(folder)
    return folder
